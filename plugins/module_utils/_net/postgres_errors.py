# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong with a PostgreSQL server: the same typed errors over every driver.

The server's SQLSTATE decides, never the text of a message, which may be in any language.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._net import failures


class PostgresError(OperationError):
    """Something went wrong with the server; the subclass says what.

    Attributes:
        kind: a stable word for results and findings: that of the subclass, or a more exact one.
        sqlstate: the server's five-character code, or None where the server did not answer.
    """

    kind = "error"

    def __init__(self, message, sqlstate=None, kind=None):
        super().__init__(message)
        self.sqlstate = sqlstate
        self.kind = kind or self.kind


class NameUnresolved(PostgresError):
    """The host's name has no address, or the name servers do not answer."""

    kind = "dns"


class Refused(PostgresError):
    """Nothing listens there: the connection is refused, or there is no socket."""

    kind = "refused"


class Unreachable(PostgresError):
    """There is no route to the server."""

    kind = "unreachable"


class Denied(Unreachable):
    """This host does not allow the connection: its own firewall, or the mode of the socket."""

    kind = "denied"


class TimedOut(PostgresError):
    """There was no answer in time, or the server ended the statement at its timeout.

    It hangs; where not even the connection was accepted, the kind is ``timeout``.
    """

    kind = "hung"


class NotPostgres(PostgresError):
    """What answers does not speak PostgreSQL's protocol."""

    kind = "protocol"


class EncryptionFailed(PostgresError):
    """TLS could not be negotiated, or a certificate was not accepted."""

    kind = "tls"


class AuthenticationFailed(PostgresError):
    """The server does not accept this role with this password or system user."""

    kind = "authentication"


class MethodUnsupported(PostgresError):
    """The server wants a way to authenticate that the driver does not know."""

    kind = "authentication_method"


class NotAllowed(PostgresError):
    """No rule of the server allows this role, database and address."""

    kind = "not_allowed"


class DatabaseMissing(PostgresError):
    """The server has no database of this name."""

    kind = "database_missing"


class TooManyConnections(PostgresError):
    """No slot is free: for this role, for this database, or on the whole server."""

    kind = "too_many_connections"


class StartingUp(PostgresError):
    """The server runs and takes no sessions: it starts, stops, or recovers."""

    kind = "starting_up"


class ConnectionLost(PostgresError):
    """The session ended while it was in use."""

    kind = "closed"


class PoolerInBetween(PostgresError):
    """What answers is a connection pooler, which does not pass on the settings that keep a session
    harmless.
    """

    kind = "pooler"


class UnsupportedServer(PostgresError):
    """The server is older than the oldest version that this collection supports."""

    kind = "unsupported_version"


class InsufficientPrivilege(PostgresError):
    """The role may not do that."""

    kind = "insufficient_privilege"


class LockTimedOut(PostgresError):
    """Another session held the lock for longer than lock_timeout."""

    kind = "lock_timeout"


class ReadOnly(PostgresError):
    """A write in a session that only reads, or on a standby."""

    kind = "read_only"


class StatementFailed(PostgresError):
    """The server refused the statement for any other reason."""

    kind = "statement"


#: The first prefix that fits counts.
_BY_SQLSTATE = (
    ("28P01", AuthenticationFailed),
    ("28", NotAllowed),
    ("3D000", DatabaseMissing),
    ("53300", TooManyConnections),
    ("57P03", StartingUp),
    ("57P0", ConnectionLost),
    ("08", ConnectionLost),
    ("57014", TimedOut),
    ("55P03", LockTimedOut),
    ("42501", InsufficientPrivilege),
    ("25006", ReadOnly),
)
_BY_REASON = {
    failures.DNS: NameUnresolved,
    failures.REFUSED: Refused,
    failures.MISSING: Refused,
    failures.UNREACHABLE: Unreachable,
    failures.DENIED: Denied,
    failures.PERMISSION: Denied,
    failures.TIMEOUT: TimedOut,
    failures.HUNG: TimedOut,
    failures.CLOSED: ConnectionLost,
    failures.TLS: EncryptionFailed,
    failures.PROTOCOL: NotPostgres,
}


def of_connection(failure):
    """Return the error for a ``failures.ConnectionFailed``: the server itself said nothing."""
    return _BY_REASON.get(failure.reason, PostgresError)(str(failure), kind=failure.reason)


def of_login(message, sqlstate, routine):
    """Return the error for a session that the server refused to start.

    Args:
        message: to show; it may be in any language.
        routine: the function of the server that raised it: for 28000 only that distinguishes a
            role that is unknown or not trusted from one that pg_hba.conf does not allow.
    """
    if sqlstate == "28000" and routine != "ClientAuthentication":
        return AuthenticationFailed(message, sqlstate)
    if sqlstate in ("42501", "55000"):
        return NotAllowed(message, sqlstate)
    if sqlstate == "08P01":
        # A server knows every parameter that is sent to it here, PgBouncer only some.
        return PoolerInBetween(message, sqlstate)
    return of_statement(message, sqlstate)


def of_statement(message, sqlstate):
    """Return the error for a statement that failed.

    Args:
        sqlstate: five characters, or None for a session that broke off.
    """
    message = " ".join(message.split())
    if not sqlstate:
        return ConnectionLost(message)
    for prefix, error in _BY_SQLSTATE:
        if sqlstate.startswith(prefix):
            return error(message, sqlstate)
    return StatementFailed(message, sqlstate)
