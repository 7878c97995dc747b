# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection to PostgreSQL over one of two drivers: psycopg2 where this Python has it, else the
built-in client.

    with postgres.connect(Target(host="db1", ...), Deadline(15)) as connection:
        connection.execute("SELECT datname FROM pg_database WHERE datname = %s", ["sergas"]).rows

Both take the same statements, return the same values and raise the same errors, those of
``postgres_errors``. Who runs a statement with an administrator's rights opens a session of
``_postgresql.session`` instead, which is set up so that it runs no code of others.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import select
import socket
import threading
from typing import Any, Dict, Iterator, List, Match, NamedTuple, Optional, Sequence

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import (
    failures,
    pgpass,
    pgwire,
    pgwire_statements,
    tcp,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors

try:
    import psycopg2
    import psycopg2.extensions
except ImportError:
    psycopg2 = None

#: Cancelling what was given up is not worth more than this; in seconds.
_LONGEST_CANCEL = 1.0
#: Values of these types become Python's own; every other one is text, as the server shows it.
_DECODERS = {16: lambda text: text == "t", 700: float, 701: float}
_DECODERS.update(dict.fromkeys((20, 21, 23, 26), int))


class Target(NamedTuple):
    """Where and as whom to connect, and what the session starts with.

    Attributes:
        host: a name, an address, or the directory of the server's Unix socket.
        system_user: the system user whose identity the connection takes, or None for the current
            one. The server has the kernel say who opened its socket.
        tls: one of ``pgwire.TLS_MODES``.
        ca_cert, cert, key: files, or None.
        name: the application_name.
        settings: {name: value} of what the session starts with.
    """

    host: str
    port: int
    user: str
    database: str
    password: Optional[str] = None
    system_user: Optional[str] = None
    tls: str = "prefer"
    ca_cert: Optional[str] = None
    cert: Optional[str] = None
    key: Optional[str] = None
    name: str = "sergas.ops"
    settings: Dict[str, str] = {}

    def __repr__(self) -> str:
        # Without the password, wherever it is printed.
        return "Target(%s@%s:%s/%s)" % (self.user, self.host, self.port, self.database)


class Result(NamedTuple):
    """What a statement returned: its rows as lists, and how many rows it touched."""

    rows: List[List[Any]]
    count: int  # type: ignore[assignment]  # not the method of a tuple


class Connection:
    """A connection, the same over every driver.

    Attributes:
        driver: its name.
        version: the server's version as a number, for example 150004.
        deadline: the Deadline of all that it does; it can be replaced.
    """

    driver: str
    version: int
    deadline: Deadline

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Result:
        """Run one statement, in a separate transaction unless one is open.

        Args:
            parameters: a value (None, bool, int, float, str, or a list of these) for each ``%s``.
                With any, a literal ``%`` is written ``%%``; without any, the text is taken as it
                is.

        Raises:
            PostgresError: a subclass says what went wrong.
            ValueError, TypeError: the parameters do not fit the statement, or SQL.
        """
        for value in parameters:
            pgwire_statements.encode(value)
        return self._execute(statement, list(parameters), numbered(statement, len(parameters)))

    def close(self) -> None:
        """End the session; harmless when it has ended."""
        raise NotImplementedError

    def _execute(self, statement: str, parameters: List[Any], numbered_statement: str) -> Result:
        raise NotImplementedError

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_exception: Any) -> None:
        self.close()


def connect(target: Target, deadline: Deadline, driver: Optional[str] = None) -> Connection:
    """Open a connection.

    Args:
        deadline: of the login, and of all that follows until it is replaced.
        driver: ``psycopg2`` or ``pgwire``; by default the first one that there is.

    Raises:
        PostgresError: a subclass says what went wrong.
    """
    if driver == "pgwire" or psycopg2 is None:
        return WireConnection(target, deadline)
    # A server that is just starting, or had no slot free, may accept the other driver.
    for _attempt in range(2):
        try:
            return PsycopgConnection(target, deadline)
        except psycopg2.Error as error:
            message = " ".join(str(error).split())
        # libpq keeps the SQLSTATE of a failed connection to itself, and its messages may be in any
        # language. The built-in client fails for the same reason, and says which one that is.
        try:
            WireConnection(target, deadline).close()
        except errors.MethodUnsupported:
            break
    raise errors.PostgresError(message)


class WireConnection(Connection):
    """A connection over the built-in client."""

    driver = "pgwire"

    def __init__(self, target: Target, deadline: Deadline) -> None:
        self._target = target
        self._encryption = _encryption(target)
        try:
            with acting_as(target.system_user):
                self._session: pgwire_statements.StatementSession = pgwire.connect(
                    target.host,
                    target.port,
                    target.user,
                    target.database,
                    _password(target),
                    deadline,
                    *self._encryption,
                    settings=target.settings,
                    name=target.name,
                    session=pgwire_statements.StatementSession,
                )
        except pgwire.ServerError as refusal:
            raise errors.of_login(str(refusal), refusal.sqlstate, refusal.routine) from refusal
        except pgwire.PasswordMissing as missing:
            raise errors.AuthenticationFailed(
                str(missing), "28P01", "password_missing"
            ) from missing
        except pgwire.AuthenticationUnsupported as unknown:
            raise errors.MethodUnsupported(str(unknown)) from unknown
        except tcp.ConnectionFailed as failure:
            raise errors.of_connection(failure) from failure
        except OSError as unreadable:
            raise errors.EncryptionFailed(
                "the certificates cannot be used: %s" % unreadable
            ) from unreadable
        self.version = version_number(self._session.parameters.get("server_version", ""))

    @property
    def deadline(self) -> Deadline:
        """The Deadline of all that it does."""
        return self._session.deadline

    @deadline.setter
    def deadline(self, deadline: Deadline) -> None:
        self._session.deadline = deadline

    def close(self) -> None:
        self._session.__exit__()

    def _execute(self, statement: str, parameters: List[Any], numbered_statement: str) -> Result:
        if self._session.closed:
            raise errors.ConnectionLost("the session has ended")
        try:
            types, rows, count = self._session.execute(numbered_statement, parameters)
        except pgwire.ServerError as error:
            raise errors.of_statement(str(error), error.sqlstate) from error
        except tcp.ConnectionFailed as failure:
            if failure.kind == "timeout":
                self._session.cancel(
                    self._target.host,
                    self._target.port,
                    self._encryption,
                    Deadline(_LONGEST_CANCEL),
                )
            # What comes later would be taken for the answer to the next statement.
            self.close()
            raise errors.of_connection(failure) from failure
        return Result([_decoded(row, types) for row in rows], count)


class PsycopgConnection(Connection):
    """A connection over psycopg2, in its non-blocking mode: it holds to a deadline in every
    phase.

    Raises:
        psycopg2.Error: libpq cannot connect.
    """

    driver = "psycopg2"
    _connection: Any = None

    def __init__(self, target: Target, deadline: Deadline) -> None:
        self.deadline = deadline
        keywords = {
            "host": target.host,
            "port": target.port,
            "user": target.user,
            "password": target.password,
            "dbname": target.database,
            "application_name": target.name,
            "client_encoding": "UTF8",
            "options": pgwire.options_text(target.settings),
        }
        if not target.host.startswith("/"):
            addresses = resolve(target.host, target.port, deadline)
            keywords.update(
                # libpq has no deadline for names. It pairs them with the addresses one to one.
                host=",".join([target.host] * len(addresses)),
                hostaddr=",".join(addresses),
                sslmode=target.tls,
                sslrootcert=target.ca_cert,
                sslcert=target.cert,
                sslkey=target.key,
            )
        with acting_as(target.system_user), self._bounded():
            self._connection = psycopg2.connect(
                **{name: value for name, value in keywords.items() if value}
            )
        self._connection.autocommit = True
        # With one type for all of them, psycopg2 returns the server's text.
        psycopg2.extensions.register_type(
            psycopg2.extensions.new_type(
                tuple(psycopg2.extensions.string_types), "TEXT", lambda text, _cursor: text
            ),
            self._connection,
        )
        self.version = self._connection.server_version

    def close(self) -> None:
        self._connection.close()

    def _execute(self, statement: str, parameters: List[Any], numbered_statement: str) -> Result:
        try:
            with self._bounded(), self._connection.cursor() as cursor:
                cursor.execute(statement, parameters or None)
                if not cursor.description:
                    return Result([], max(0, cursor.rowcount))
                types = [column.type_code for column in cursor.description]
                return Result(
                    [_decoded(row, types) for row in cursor.fetchall()], max(0, cursor.rowcount)
                )
        except psycopg2.Error as error:
            diagnostics = getattr(error, "diag", None)
            message = diagnostics.message_primary if diagnostics else None
            raise errors.of_statement(message or str(error), error.pgcode) from error

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[None]:
        # psycopg2 has one callback for all connections: it is set while this one speaks.
        psycopg2.extensions.set_wait_callback(self._wait)
        try:
            yield
        finally:
            psycopg2.extensions.set_wait_callback(None)

    def _wait(self, connection: Any) -> None:
        while True:
            state = connection.poll()
            if state == psycopg2.extensions.POLL_OK:
                return
            event = select.POLLIN if state == psycopg2.extensions.POLL_READ else select.POLLOUT
            # The descriptor changes while libpq goes from one address to the next.
            poller = select.poll()
            poller.register(connection.fileno(), event)
            if not poller.poll(self.deadline.remaining() * 1000) and self.deadline.expired():
                self._cancel()
                raise errors.TimedOut(
                    "no answer in time from PostgreSQL",
                    kind=failures.HUNG if _is_accepted(connection) else failures.TIMEOUT,
                )

    def _cancel(self) -> None:
        """Have the server cancel what the session does; libpq has no deadline for that."""
        if self._connection is not None:
            thread = threading.Thread(target=self._send_cancel, daemon=True)
            thread.start()
            thread.join(_LONGEST_CANCEL)

    def _send_cancel(self) -> None:
        with contextlib.suppress(psycopg2.Error):
            self._connection.cancel()


def _is_accepted(connection: Any) -> bool:
    """Return whether the other side has accepted psycopg2's connection."""
    with socket.socket(fileno=os.dup(connection.fileno())) as own:
        try:
            own.getpeername()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def acting_as(system_user: Optional[str]) -> Iterator[None]:
    """Take a system user's identity for a moment, or none: the kernel says to the server who opened
    its socket.
    """
    if not system_user:
        yield
        return
    os.seteuid(pwd.getpwnam(system_user).pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def resolve(host: str, port: int, deadline: Deadline) -> List[str]:
    """Return the addresses of a host name, looked up within the deadline.

    Raises:
        NameUnresolved: it has none, or the name servers did not answer in time.
    """
    try:
        entries = tcp.resolve(host, port, deadline)
    except tcp.ConnectionFailed as failure:
        raise errors.of_connection(failure) from failure
    return list(dict.fromkeys(entry[4][0] for entry in entries))


def numbered(statement: str, count: int) -> str:
    """Return a statement with ``$1``, ``$2``, ... for each ``%s``, and ``%`` for each ``%%``.

    Args:
        count: how many parameters there are; without any, the statement is returned as it is.

    Raises:
        ValueError: the statement has another number of them.
    """
    if not count:
        return statement
    numbers = iter(range(1, statement.count("%") + 1))

    def replacement(match: Match[str]) -> str:
        if match.group(1) == "%":
            return "%"
        if match.group(1) != "s":
            raise ValueError("%r in SQL is neither %%s nor %%%%" % match.group(0))
        return "$%d" % next(numbers)

    text = re.sub(r"%(.?)", replacement, statement, flags=re.DOTALL)
    used = next(numbers, statement.count("%") + 1) - 1
    if used != count:
        raise ValueError("the SQL has %d parameters and there are %d values" % (used, count))
    return text


def version_number(text: str) -> int:
    """Return a version such as ``15.4 (Debian 15.4-1)``, ``17beta1`` or ``9.6.3`` as a number."""
    # The expression matches any text.
    digits = re.match(r"\d*(?:\.\d+)*", text).group()  # type: ignore[union-attr]
    parts = [int(part) for part in digits.split(".") if part]
    parts += [0, 0, 0]
    if parts[0] >= 10:
        return parts[0] * 10000 + parts[1]
    return parts[0] * 10000 + parts[1] * 100 + parts[2]


def _encryption(target: Target) -> pgwire.Encryption:
    """Return (one of ``pgwire.TLS_MODES``, file of authorities, client's certificate with its
    key), with the files that libpq takes where none is named.
    """
    tls, ca_cert, cert, key = target.tls, target.ca_cert, target.cert, target.key
    if not cert and os.path.exists(_default_file("postgresql.crt")):
        cert, key = _default_file("postgresql.crt"), _default_file("postgresql.key")
    if not ca_cert and (tls.startswith("verify") or os.path.exists(_default_file("root.crt"))):
        ca_cert = _default_file("root.crt")
    if tls == "require" and ca_cert:
        tls = "verify-ca"
    return tls, ca_cert, (cert, key) if cert else None


def _default_file(name: str) -> str:
    return os.path.expanduser("~/.postgresql/" + name)


def _password(target: Target) -> Optional[str]:
    if target.password:
        return target.password
    return pgpass.password(
        target.host, target.port, target.database, target.user, target.system_user
    )


def _decoded(row: Sequence[Optional[str]], types: Sequence[int]) -> List[Any]:
    return [
        value if value is None or oid not in _DECODERS else _DECODERS[oid](value)
        for value, oid in zip(row, types)
    ]
