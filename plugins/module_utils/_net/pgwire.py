# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PostgreSQL client for the diagnosis: protocol 3.0, simple queries, failures by their SQLSTATE.

It does what the app's driver does (name, connection, TLS, authentication, database), needs no
library on the host, and understands a server in any language: the text of a message is only shown.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, files
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_PROTOCOL = 196608
#: An error, a row or a notice of these queries is far smaller.
_LONGEST_MESSAGE = 1024 * 1024
#: PostgreSQL uses 4096. A hostile server must not keep the CPU busy, which no deadline ends.
_MOST_ITERATIONS = 1000000
DEFAULT_PORT = 5432
TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: A diagnosis never hurts a sick server: it writes nothing, waits for no lock and ends soon.
#: The role may be a superuser, and what the database's owner has put into another schema must not
#: be called with its rights.
SESSION = {
    "search_path": "pg_catalog",
    "default_transaction_read_only": "on",
    "statement_timeout": "3000",
    "lock_timeout": "1000",
}


class ServerError(OperationError):
    """The server refused.

    Attributes:
        sqlstate: its code.
        routine: the function of the server that raised it, which tells causes with one code apart.
    """

    def __init__(self, fields):
        Exception.__init__(self, fields.get("M", "no message"))
        self.sqlstate = fields.get("C", "")
        self.routine = fields.get("R", "")


class AuthenticationUnsupported(OperationError):
    """The server asks for a way to authenticate that this client does not know (Kerberos, SSPI)."""


class PasswordMissing(OperationError):
    """The server asks for a password and none is known."""


class Session:
    """A session in which simple queries can be run."""

    def __init__(self, stream, encrypted):
        self._stream = stream
        self.encrypted = encrypted
        self.parameters = {}

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        try:
            self._stream.send(b"X\0\0\0\4")
        except ConnectionFailed:
            pass
        self._stream.close()

    def start(self, user, database, password, options):
        """Authenticate and wait until the server is ready."""
        words = {
            "user": user,
            "database": database,
            "application_name": "sergas-ops",
            "client_encoding": "UTF8",
        }
        if options:
            words["options"] = " ".join("-c %s=%s" % item for item in SESSION.items())
        packed = (
            b"".join(b"%s\0%s\0" % (name.encode(), value.encode()) for name, value in words.items())
            + b"\0"
        )
        self._stream.send(struct.pack("!ii", len(packed) + 8, _PROTOCOL) + packed)
        login = _Login(user, password)
        while True:
            kind, body = self._receive()
            if kind == b"R":
                answer = login.answer(*self._request(body))
                if answer is not None:
                    self._stream.send(b"p" + struct.pack("!i", len(answer) + 4) + answer)
            elif kind == b"S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
            elif kind == b"Z":
                return
            elif kind not in (b"K", b"N", b"v"):
                raise self._foreign()

    def query(self, sql):
        """Run a simple query and return the rows of its last result as lists of text or None."""
        data = sql.encode("utf-8") + b"\0"
        self._stream.send(b"Q" + struct.pack("!i", len(data) + 4) + data)
        rows, failure = [], None
        while True:
            try:
                kind, body = self._receive()
            except ServerError as error:
                failure = failure or error
                continue
            if kind == b"T":
                rows = []
            elif kind == b"D":
                rows.append(_row(body))
            elif kind == b"Z":
                if failure:
                    raise failure
                return rows

    def _request(self, body):
        if len(body) < 4:
            raise self._foreign()
        return struct.unpack("!i", body[:4])[0], body[4:]

    def _receive(self):
        """Return (type, body) of the next message; raises ServerError for an error."""
        kind, length = struct.unpack("!ci", self._stream.read_exactly(5))
        if not 4 <= length <= _LONGEST_MESSAGE or not kind.isalnum():
            raise self._foreign()
        body = self._stream.read_exactly(length - 4)
        self._stream.phase = "total"
        if kind == b"E":
            raise ServerError(
                {
                    field[:1].decode("latin-1"): field[1:].decode("utf-8", "replace")
                    for field in body.split(b"\0")
                    if field
                }
            )
        return kind, body

    def _foreign(self):
        message = "%s does not speak PostgreSQL's protocol" % self._stream.peer
        return ConnectionFailed("protocol", self._stream.phase, message)


def _row(body):
    values, position = [], 2
    for _column in range(struct.unpack("!h", body[:2])[0]):
        (size,) = struct.unpack("!i", body[position : position + 4])
        position += 4
        values.append(
            None if size < 0 else body[position : position + size].decode("utf-8", "replace")
        )
        position += max(size, 0)
    return values


class _Login:
    """The client's side of the authentication."""

    def __init__(self, user, password):
        self._user = user
        self._given = password
        self._bare = self._expected = b""

    @property
    def _password(self):
        if not self._given:
            raise PasswordMissing("the server asks for a password, and none is set")
        return self._given

    def answer(self, request, data):
        """Return the answer to a request for authentication, or None where it wants none."""
        if request == 0:
            return None
        if request == 3:
            return self._password.encode() + b"\0"
        if request == 5:
            inner = hashlib.md5((self._password + self._user).encode()).hexdigest()  # noqa: S324 (the protocol's)
            return b"md5" + hashlib.md5(inner.encode() + data[:4]).hexdigest().encode() + b"\0"  # noqa: S324
        if request == 10 and b"SCRAM-SHA-256" in data.split(b"\0"):
            self._password  # noqa: B018 (raises before the exchange begins)
            self._bare = b"n=,r=" + base64.b64encode(os.urandom(18))
            first = b"n,," + self._bare
            return b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first
        if request == 11:
            return self._prove(data)
        if request == 12:
            if data != b"v=" + base64.b64encode(self._expected):
                raise ConnectionFailed(
                    "protocol", "total", "the server does not prove that it knows the password"
                )
            return None
        raise AuthenticationUnsupported("the server asks for authentication method %d" % request)

    def _prove(self, challenge):
        """Return the client's final message of SCRAM-SHA-256 (RFC 5802, RFC 7677)."""
        try:
            parts = dict(part.split(b"=", 1) for part in challenge.split(b","))
            nonce, salt, iterations = parts[b"r"], base64.b64decode(parts[b"s"]), int(parts[b"i"])
        except (ValueError, KeyError):
            raise ConnectionFailed("protocol", "total", "the server's SCRAM challenge is malformed")
        if not 0 < iterations <= _MOST_ITERATIONS or not nonce.startswith(
            self._bare.partition(b"r=")[2]
        ):
            raise ConnectionFailed(
                "protocol", "total", "the server's SCRAM challenge is not acceptable"
            )
        salted = hashlib.pbkdf2_hmac("sha256", _prepared(self._password), salt, iterations)
        final = b"c=biws,r=" + nonce
        signed = self._bare + b"," + challenge + b"," + final
        client = _digest(salted, b"Client Key")
        signature = _digest(hashlib.sha256(client).digest(), signed)
        proof = bytes(one ^ other for one, other in zip(client, signature))
        self._expected = _digest(_digest(salted, b"Server Key"), signed)
        return final + b",p=" + base64.b64encode(proof)


def _digest(key, message):
    return hmac.new(key, message, "sha256").digest()


def _prepared(password):
    """Return the password as SASLprep (RFC 4013) makes it; for all but ASCII the forms are
    unified.
    """
    if not password.isascii():
        import unicodedata  # 1 MB of tables: only for such passwords

        password = unicodedata.normalize("NFKC", password)
    return password.encode("utf-8")


def connect(host, port, user, database, password, deadline, tls="prefer", root=None):
    """Open a session as a driver with these settings would.

    Args:
        host: a name, an address, or the folder of the server's Unix socket.
        port: also names the Unix socket.
        user, database, password: text; the password may be None.
        deadline: for the whole of it.
        tls: one of TLS_MODES, with libpq's meaning. To this machine itself C(prefer) tries without
            TLS first: what can be reached is the same, nobody can listen, and it saves the
            handshake.
        root: a file of certificates for verify-ca and verify-full, or None for the system's.

    Raises:
        ConnectionFailed, ServerError, AuthenticationUnsupported, PasswordMissing.
    """
    local = host.startswith("/") or addresses.is_loopback(host)
    if host.startswith("/"):
        host, tls = os.path.join(host, ".s.PGSQL.%s" % port), "disable"
    attempts = {
        "disable": (False,),
        "allow": (False, True),
        "prefer": (False, True) if local else (True, False),
    }.get(tls, (True,))
    failure = None
    for encrypted in attempts:
        try:
            return _open(host, port, user, database, password, deadline, encrypted, tls, root)
        except ServerError as error:
            # Only a rule of pg_hba.conf can differ between the two. The first refusal is the one
            # to show: the second says no more than that the other way is not offered either.
            failure = failure or error
            if error.sqlstate != "28000":
                raise
        except TlsUnavailable as error:
            failure = failure or error
            if tls not in ("prefer", "allow"):
                raise
    raise failure


class TlsUnavailable(ConnectionFailed):
    """The server does not offer TLS."""


def _open(host, port, user, database, password, deadline, encrypted, tls, root):
    # PgBouncer refuses options in the startup packet unless it is told to ignore them.
    for options in (True, False):
        stream = tcp.connect(host, port, deadline)
        try:
            if encrypted:
                _encrypt(stream, host, _verifying(tls, root) if tls.startswith("verify") else None)
            session = Session(stream, encrypted)
            session.start(user, database, password, options)
            return session
        except ServerError as error:
            stream.close()
            if error.sqlstate != "08P01" or not options:
                raise
        except Exception:
            stream.close()
            raise
    raise AssertionError("both attempts return or raise")


def _encrypt(stream, host, context):
    stream.send(_SSL_REQUEST)
    answer = stream.read_exactly(1)
    if answer in b"NE":
        raise TlsUnavailable("tls", "tls", "%s does not offer TLS" % stream.peer)
    if answer != b"S":
        raise ConnectionFailed(
            "protocol", "tls", "%s does not speak PostgreSQL's protocol" % stream.peer
        )
    stream.start_tls(host, context)


def _verifying(tls, root):
    import ssl  # only where certificates are verified

    if root:
        # The app names the file, and root reads it.
        with files.open_safely(root) as certificates:
            context = ssl.create_default_context(cafile="/proc/self/fd/%d" % certificates)
    else:
        context = ssl.create_default_context()
    context.check_hostname = tls == "verify-full"
    return context
