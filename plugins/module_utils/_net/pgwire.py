# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The built-in PostgreSQL client: protocol 3.0, simple queries, failures by their SQLSTATE.

It does what the app's driver does (name, connection, TLS, authentication, database), needs no
library on the host, and understands a server in any language: the text of a message is only shown.
Statements with parameters are in ``pgwire_statements``, which a diagnosis without them need not
load.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, files
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import (
    InvalidValue,
    OperationError,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar

    from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline

    S = TypeVar("S", bound="Session")
    Rows = List[List[Optional[str]]]
    #: (file of the client's certificate, file of its key or None)
    Certificate = Tuple[str, Optional[str]]
    #: (one of TLS_MODES, file of authorities or None, the client's certificate or None)
    Encryption = Tuple[str, Optional[str], Optional[Certificate]]

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_PROTOCOL = 196608
#: An error, a row or a notice of a login and of simple queries is far smaller.
_LONGEST_MESSAGE = 1024 * 1024
#: PostgreSQL uses 4096. A hostile server must not keep the CPU busy, which no deadline ends.
_MOST_ITERATIONS = 1000000
#: What may come between a statement and the end of its result, and needs no answer.
_PASSED_OVER = (b"1", b"2", b"A", b"D", b"I", b"N", b"S", b"T", b"n")
DEFAULT_PORT = 5432
TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: A diagnosis never hurts an overloaded server: it waits for no lock and ends soon. That it writes
#: nothing is up to its transactions: whether the role may write by default is one of its questions.
#: The role may be a superuser, and what the database's owner has put into another schema must not
#: be called with its rights.
SESSION = {
    "search_path": "pg_catalog",
    "statement_timeout": "3000",
    "lock_timeout": "1000",
}


class ServerError(OperationError):
    """The server refused.

    Attributes:
        sqlstate: its code.
        routine: the function of the server that raised it: causes with one code differ in it.
    """

    def __init__(self, fields: Dict[str, str]) -> None:
        super().__init__(fields.get("M", "no message"))
        self.sqlstate = fields.get("C", "")
        self.routine = fields.get("R", "")


class AuthenticationUnsupported(OperationError):
    """The server wants a way to authenticate that this client does not know (Kerberos, SSPI)."""


class PasswordMissing(OperationError):
    """The server wants a password and none is known."""


class Session:
    """A session in which simple queries can be run.

    Attributes:
        encrypted: whether it is in TLS.
        parameters: {name: value} of what the server reports, for example server_version.
        closed: whether it has ended.
    """

    longest_message = _LONGEST_MESSAGE

    def __init__(self, stream: tcp.Stream, encrypted: bool) -> None:
        self._stream = stream
        self.encrypted = encrypted
        self.parameters: Dict[str, str] = {}
        self.closed = False
        self._cancel_key = b""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_exception: Any) -> None:
        try:
            self._stream.send(b"X\0\0\0\4")
        except ConnectionFailed:
            pass
        self._end()

    def _end(self) -> None:
        self.closed = True
        self._stream.close()

    def start(self, startup: Dict[str, str], password: Optional[str]) -> None:
        """Authenticate and wait until the server is ready.

        Args:
            startup: {name: value} of the parameters of the startup packet, user among them.
        """
        words = [word.encode("utf-8") for item in startup.items() for word in item]
        if b"\0" in b"".join(words):
            raise InvalidValue("a parameter of a PostgreSQL session cannot hold a null character")
        packed = b"\0".join(words) + b"\0\0"
        self._stream.send(struct.pack("!ii", len(packed) + 8, _PROTOCOL) + packed)
        login = _Login(startup["user"], password)
        while True:
            kind, body = self._receive()
            if kind == b"R":
                answer = login.answer(*self._request(body))
                if answer is not None:
                    self._stream.send(message(b"p", answer))
            elif kind == b"S":
                name, value = (body + b"\0").split(b"\0")[:2]
                self.parameters[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
            elif kind == b"K":
                self._cancel_key = body
            elif kind == b"Z":
                return
            elif kind not in (b"N", b"v"):
                raise self._foreign()

    def query(self, sql: str) -> Rows:
        """Run a simple query and return the rows of its last result as lists of text or None."""
        self._stream.send(message(b"Q", sql.encode("utf-8") + b"\0"))
        return self._result()[1]

    def _result(self) -> Tuple[List[int], Rows, bytes]:
        """Return (the types of the columns as oids, rows, tag) of the last result, once the server
        is ready for the next statement.
        """
        types: List[int] = []
        rows: Rows = []
        tag, failure = b"", None
        while True:
            try:
                kind, body = self._receive()
            except ServerError as error:
                failure = failure or error
                continue
            except ConnectionFailed as lost:
                self._end()
                # A server that ends a session says why before.
                raise failure or lost
            try:
                if kind == b"T":
                    types, rows = _types(body), []
                elif kind == b"D":
                    rows.append(_row(body))
            except (struct.error, ValueError):
                raise self._foreign()
            if kind == b"C":
                tag = body
            elif kind == b"Z":
                if failure:
                    raise failure
                return types, rows, tag
            elif kind not in _PASSED_OVER:
                raise self._foreign()

    def _request(self, body: bytes) -> Tuple[int, bytes]:
        if len(body) < 4:
            raise self._foreign()
        return struct.unpack("!i", body[:4])[0], body[4:]

    def _receive(self) -> Tuple[bytes, bytes]:
        """Return (type, body) of the next message; raises ServerError for an error."""
        kind, length = struct.unpack("!ci", self._stream.read_exactly(5))
        if not 4 <= length <= self.longest_message or not kind.isalnum():
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

    def _foreign(self) -> ConnectionFailed:
        message = "%s does not speak PostgreSQL's protocol" % self._stream.peer
        return ConnectionFailed("protocol", self._stream.phase, message)


def message(kind: bytes, body: bytes) -> bytes:
    """Return a message of the protocol."""
    return kind + struct.pack("!i", len(body) + 4) + body


def _types(body: bytes) -> List[int]:
    """Return the oids of the types of a row's columns."""
    types, rest = [], body[2:]
    for _column in range(struct.unpack("!h", body[:2])[0]):
        _name, _end, rest = rest.partition(b"\0")
        types.append(struct.unpack("!I", rest[6:10])[0])
        rest = rest[18:]
    return types


def _row(body: bytes) -> List[Optional[str]]:
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

    def __init__(self, user: str, password: Optional[str]) -> None:
        self._user = user
        self._given = password
        self._bare = self._expected = b""

    @property
    def _password(self) -> str:
        if not self._given:
            raise PasswordMissing("the server wants a password, and none is set")
        return self._given

    def answer(self, request: int, data: bytes) -> Optional[bytes]:
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
            return self._final_message(data)
        if request == 12:
            if data != b"v=" + base64.b64encode(self._expected):
                raise ConnectionFailed(
                    "protocol", "total", "the server did not show that it knows the password"
                )
            return None
        raise AuthenticationUnsupported("the server wants authentication method %d" % request)

    def _final_message(self, challenge: bytes) -> bytes:
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
        signature = bytes(one ^ other for one, other in zip(client, signature))
        self._expected = _digest(_digest(salted, b"Server Key"), signed)
        return final + b",p=" + base64.b64encode(signature)


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, "sha256").digest()


def _prepared(password: str) -> bytes:
    """Return the password as SASLprep (RFC 4013) makes it; for all but ASCII the forms are
    unified.
    """
    if not password.isascii():
        import unicodedata  # 1 MB of tables: only for such passwords

        password = unicodedata.normalize("NFKC", password)
    return password.encode("utf-8")


def connect(
    host: str,
    port: int,
    user: str,
    database: str,
    password: Optional[str],
    deadline: Deadline,
    tls: str = "prefer",
    root: Optional[str] = None,
    certificate: Optional[Certificate] = None,
    settings: Optional[Mapping[str, str]] = None,
    name: str = "sergas-ops",
    session: Type[S] = Session,  # type: ignore[assignment]
) -> S:
    """Open a session as a driver with these settings would.

    Args:
        host: a name, an address, or the directory of the server's Unix socket.
        port: also names the Unix socket.
        user, database, password: text; the password may be None.
        deadline: for the whole of it.
        tls: one of TLS_MODES, with libpq's meaning. To this machine itself ``prefer`` tries without
            TLS first: what can be reached is the same, no one can listen, and it saves the
            handshake.
        root: a file of certificates for verify-ca and verify-full, or None for the system's.
        certificate: (file of the client's certificate, file of its key or None), or None.
        settings: {name: value} of what the session starts with. Without them it is SESSION, or
            nothing where a pooler does not pass that on.
        name: the session's application_name.
        session: the class of what is returned.

    Raises:
        ConnectionFailed, ServerError, AuthenticationUnsupported, PasswordMissing.
        OSError: a file of certificates cannot be read.
    """
    local = host.startswith("/") or addresses.is_loopback(host)
    if host.startswith("/"):
        host, tls = os.path.join(host, ".s.PGSQL.%s" % port), "disable"
    startup = {
        "user": user,
        "database": database,
        "application_name": name,
        "client_encoding": "UTF8",
    }
    # PgBouncer refuses options in the startup packet unless it is configured to ignore them.
    options = (SESSION, None) if settings is None else (settings,)
    attempts = {
        "disable": (False,),
        "allow": (False, True),
        "prefer": (False, True) if local else (True, False),
    }.get(tls, (True,))
    failure: Optional[OperationError] = None
    for encrypted in attempts:
        try:
            encryption = (tls, root, certificate) if encrypted else None
            return _open(session, host, port, startup, options, password, deadline, encryption)
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
    raise failure  # type: ignore[misc]  # there is at least one attempt


class TlsUnavailable(ConnectionFailed):
    """The server does not offer TLS."""


def options_text(settings: Mapping[str, str]) -> str:
    """Return settings as the parameter ``options`` of the startup packet has them."""
    return " ".join(
        "-c %s=%s" % (name, value.replace("\\", "\\\\").replace(" ", "\\ "))
        for name, value in settings.items()
    )


def _open(
    session: Type[S],
    host: str,
    port: int,
    startup: Dict[str, str],
    options: Sequence[Optional[Mapping[str, str]]],
    password: Optional[str],
    deadline: Deadline,
    encryption: Optional[Encryption],
) -> S:
    for settings in options:
        stream = tcp.connect(host, port, deadline)
        try:
            if encryption:
                encrypt(stream, host, *encryption)
            opened = session(stream, encryption is not None)
            words = dict(startup, options=options_text(settings)) if settings else startup
            opened.start(words, password)
            return opened
        except ServerError as error:
            stream.close()
            if error.sqlstate != "08P01" or settings is options[-1]:
                raise
        except Exception:
            stream.close()
            raise
    raise AssertionError("the last attempt returns or raises")


def encrypt(
    stream: tcp.Stream,
    host: str,
    tls: str,
    root: Optional[str] = None,
    certificate: Optional[Certificate] = None,
) -> None:
    """Have a new connection to a server continue in TLS; see ``connect``."""
    stream.send(_SSL_REQUEST)
    answer = stream.read_exactly(1)
    if answer in b"NE":
        raise TlsUnavailable("tls", "tls", "%s does not offer TLS" % stream.peer)
    if answer != b"S":
        raise ConnectionFailed(
            "protocol", "tls", "%s does not speak PostgreSQL's protocol" % stream.peer
        )
    stream.start_tls(host, _context(tls, root, certificate))


def _context(tls: str, root: Optional[str], certificate: Optional[Certificate]) -> ssl.SSLContext:
    """Return the context of TLS for one of TLS_MODES."""
    import ssl  # 20 ms of CPU: only where it is needed

    verified = tls.startswith("verify")
    if verified and root:
        # The app names the file, and root reads it.
        with files.open_safely(root) as certificates:
            context = ssl.create_default_context(cafile="/proc/self/fd/%d" % certificates)
    else:
        context = ssl.create_default_context()
    context.check_hostname = tls == "verify-full"
    if not verified:
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        # Without a password OpenSSL would prompt for that of an encrypted key on the terminal.
        context.load_cert_chain(*certificate, password="")
    return context
