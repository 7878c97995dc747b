# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong with a PostgreSQL server: the same typed errors over every driver.

The server's SQLSTATE decides, never the text of a message, which may be in any language.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, postgres_failures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


class PostgresError(OperationError):
    """Something went wrong with the server; the subclass says what.

    Attributes:
        kind: a stable word for results and findings: that of the subclass, or a more exact one.
        sqlstate: the server's five-character code, or None where the server did not answer.
    """

    kind = "error"

    def __init__(
        self, message: str, sqlstate: Optional[str] = None, kind: Optional[str] = None
    ) -> None:
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

    kind = "password"


class MethodUnsupported(PostgresError):
    """The server wants a way to authenticate that the driver does not know."""

    kind = "method"


class NotAllowed(PostgresError):
    """No rule of the server allows this role, database and address."""

    kind = "pg_hba"


class DatabaseMissing(PostgresError):
    """The server has no database of this name."""

    kind = "database"


class TooManyConnections(PostgresError):
    """No slot is free: for this role, for this database, or on the whole server."""

    kind = "slots"


class StartingUp(PostgresError):
    """The server runs and takes no sessions: it starts, stops, or recovers."""

    kind = "starting"


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


class DiskFull(StatementFailed):
    """The server has no space to write what it has to, not even for a session."""

    kind = "disk_full"


#: What means something else in a session than at its start; the first prefix that fits counts.
_IN_A_SESSION = (
    ("57P04", ConnectionLost),
    ("57P05", ConnectionLost),
    ("08", ConnectionLost),
    ("57014", TimedOut),
    ("55P03", LockTimedOut),
    ("55", StatementFailed),
    ("42501", InsufficientPrivilege),
    ("25006", ReadOnly),
)
#: reason of ``failures`` and ``postgres_failures``: the class
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
    **dict.fromkeys(failures.ENCRYPTION, EncryptionFailed),
    failures.PROTOCOL: NotPostgres,
    "password": AuthenticationFailed,
    "role": AuthenticationFailed,
    "identity": AuthenticationFailed,
    "pg_hba": NotAllowed,
    "privilege": NotAllowed,
    "closed_database": NotAllowed,
    "database": DatabaseMissing,
    "slots": TooManyConnections,
    "role_limit": TooManyConnections,
    "database_limit": TooManyConnections,
    "disk_full": DiskFull,
    "starting": StartingUp,
    "stopping": ConnectionLost,
    "pooler": PoolerInBetween,
}


def of_connection(failure: failures.ConnectionFailed) -> PostgresError:
    """Return the error for a ``failures.ConnectionFailed``: the server itself said nothing."""
    return _BY_REASON.get(failure.reason, PostgresError)(str(failure), kind=failure.reason)


def of_login(message: str, sqlstate: str, routine: str) -> PostgresError:
    """Return the error for a session that the server refused to start.

    Args:
        message: to show; it may be in any language.
        routine: the function of the server that raised it: causes with one code differ in it.
    """
    reason = postgres_failures.of_login(sqlstate, routine)
    if reason in _BY_REASON:
        return _BY_REASON[reason](message, sqlstate, reason)
    return of_statement(message, sqlstate)


def of_statement(message: str, sqlstate: Optional[str]) -> PostgresError:
    """Return the error for a statement that failed.

    Args:
        sqlstate: five characters, or None for a session that broke off.
    """
    message = " ".join(message.split())
    if not sqlstate:
        return ConnectionLost(message)
    for prefix, error in _IN_A_SESSION:
        if sqlstate.startswith(prefix):
            return error(message, sqlstate)
    reason = postgres_failures.of_login(sqlstate)
    return _BY_REASON.get(reason, StatementFailed)(message, sqlstate)
