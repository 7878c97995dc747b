# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQL over psycopg2 or psql: bounded in time, with errors that say what is wrong, rows that look
the same.

    with connect(module.params, Deadline(15)) as session:
        for row in session.rows("SELECT datname FROM pg_database WHERE datname = %s", ["sergas"]):
            row["datname"]

A session only reads unless it is opened with acting=True.

The collection opens every session here, and a superuser's session never runs code of others:

- The search_path of every session is pg_catalog alone, so that no function or operator of the same
  name is called with an administrator's rights: name other schemas.
- How a session reads SQL and times is set, since the owner of a database may set that for all
  sessions in it.
- Statements on a table whose triggers, rules or expressions would run belong into a session of the
  table's owner: L(pg_table_session).
"""

from __future__ import annotations

import contextlib
import json
import locale
import os
import pwd
import re
import select
import socket
import subprocess
import uuid

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import (
    InvalidValue,
    OperationError,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._net import pgwire, tcp

try:
    import psycopg2
    import psycopg2.extensions
except ImportError:
    psycopg2 = None

#: The options of the documentation fragment sergas.ops.postgresql.
CONNECTION = {
    "login_host": {"type": "str"},
    "login_port": {"type": "int", "default": 5432},
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "login_db": {"type": "str", "default": "postgres"},
    "login_unix_socket": {"type": "path"},
    "ssl_mode": {
        "type": "str",
        "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
        "default": "prefer",
    },
    "ca_cert": {"type": "path"},
    "ssl_cert": {"type": "path"},
    "ssl_key": {"type": "path"},
}
#: Of modules that work on one table; documented in the fragment postgresql.table.
TABLE = {
    "schema": {"type": "str", "default": "public"},
    "table": {"type": "str", "required": True},
}
OLDEST_VERSION = 130000
#: In the text of a statement, so that pg_stat_statements does not blame a diagnosis.
MARKER = "/* sergas.ops */"
#: The section of the troubleshooting guide on a database that the app cannot use.
GUIDE = "Application Won't Start"
#: Debian and Red Hat, the same without the link, PostgreSQL's own default.
SOCKET_FOLDERS = (
    "/var/run/postgresql",
    "/run/postgresql",
    "/tmp",  # noqa: S108  where a server built from source puts its socket
)
#: Of every session. The owner of a database can set these for all sessions in it.
PINNED = {
    # Of the same name, the function or operator with the closest types is called.
    "search_path": "pg_catalog",
    "standard_conforming_strings": "on",
    # What one session has written, another one reads.
    "DateStyle": "ISO",
}
#: Somebody else's lock is not worth more of a diagnosis than this; in seconds.
LOCK_TIMEOUT = 2.0
#: Debian, Red Hat and the others give people the numbers after this one.
_LAST_SYSTEM_USER = 999


class PostgresError(OperationError):
    """Something went wrong with the server; the subclass says what.

    Attributes:
        kind: the subclass as a stable word, for results and findings.
        sqlstate: the server's five-character code, or None where the server had no say.
    """

    kind = "error"

    def __init__(self, message, sqlstate=None):
        super().__init__(message)
        self.sqlstate = sqlstate


class ClientMissing(PostgresError):
    """The target has neither psycopg2 nor psql."""

    kind = "client_missing"
    library = "psycopg2"


class NameUnresolved(PostgresError):
    """The host's name has no address."""

    kind = "name"


class Refused(PostgresError):
    """Nothing listens there: the connection is refused, or there is no socket."""

    kind = "refused"


class Unreachable(PostgresError):
    """The network does not lead there."""

    kind = "unreachable"


class TimedOut(PostgresError):
    """There was no answer in time, or the server ended the statement at its timeout."""

    kind = "timeout"


class EncryptionFailed(PostgresError):
    """TLS could not be agreed on, or a certificate was not accepted."""

    kind = "encryption"


class AuthenticationFailed(PostgresError):
    """The server does not accept this role with this password or system user."""

    kind = "authentication"


class NotAllowed(PostgresError):
    """The server has no rule that lets this role into this database from here."""

    kind = "not_allowed"


class DatabaseMissing(PostgresError):
    """The server has no database of this name."""

    kind = "database_missing"


class TooManyConnections(PostgresError):
    """No slot is left, for this role or database or at all."""

    kind = "too_many_connections"


class StartingUp(PostgresError):
    """The server is there and takes no sessions: it starts, stops, or recovers."""

    kind = "starting_up"


class ConnectionLost(PostgresError):
    """The session ended while it was in use."""

    kind = "connection_lost"


class PoolerInBetween(PostgresError):
    """What answers is a connection pooler, which does not pass on the settings that keep a session
    harmless.
    """

    kind = "pooler"


class UnsupportedServer(PostgresError):
    """The server is older than what this collection knows."""

    kind = "unsupported_version"


class InsufficientPrivilege(PostgresError):
    """The role may not do that."""

    kind = "insufficient_privilege"


class LockTimedOut(PostgresError):
    """Somebody else held the lock for longer than lock_timeout."""

    kind = "lock_timeout"


class ReadOnly(PostgresError):
    """A write in a session that only reads, or on a standby."""

    kind = "read_only"


class StatementFailed(PostgresError):
    """The server refused the statement for any other reason."""

    kind = "statement"


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
# libpq gives no SQLSTATE for a connection that failed, only the server's sentence. The first match
# counts: with
# sslmode=prefer a message may hold a second attempt, and the one about the password is the telling
# one.
_BY_SENTENCE = (
    (
        r"authentication failed|no password supplied|not permitted to log in",
        AuthenticationFailed,
        "28P01",
    ),
    (r"role \".*\" does not exist", AuthenticationFailed, "28000"),
    (r"pg_hba\.conf", NotAllowed, "28000"),
    (r"permission denied for database", NotAllowed, "42501"),
    (r"not currently accepting connections", NotAllowed, "55000"),
    (r"database \".*\" does not exist", DatabaseMissing, "3D000"),
    (
        r"too many clients|too many connections|connection slots are reserved",
        TooManyConnections,
        "53300",
    ),
    (r"database system is |not (?:yet )?accepting connections", StartingUp, "57P03"),
    (r"unsupported startup parameter", PoolerInBetween, "08P01"),
    (r"could not translate host name|[Nn]ame or service not known", NameUnresolved, None),
    (r"Connection refused|No such file or directory", Refused, None),
    (r"timeout expired|[Tt]imed out", TimedOut, None),
    (r"No route to host|[Uu]nreachable", Unreachable, None),
    (r"\bSSL\b|\bTLS\b|certificate", EncryptionFailed, None),
    (r"Permission denied", NotAllowed, None),
    (r"closed the connection|Connection reset", ConnectionLost, None),
)


def connection_error(message):
    """Return the error for what libpq printed when a connection failed."""
    message = " ".join(message.split())
    # Newer psql puts its own name in front, whichever way it was started.
    message = re.sub(r"^(?:\S*psql: )?(?:error: )?", "", message)
    for pattern, kind, sqlstate in _BY_SENTENCE:
        if re.search(pattern, message):
            return kind(message, sqlstate)
    return PostgresError(message)


#: The kinds of tcp.ConnectionFailed.
_BY_KIND = {
    "dns": NameUnresolved,
    "refused": Refused,
    "missing": Refused,
    "unreachable": Unreachable,
    "denied": NotAllowed,
    "timeout": TimedOut,
    "closed": ConnectionLost,
    "tls": EncryptionFailed,
}


def refusal(message, sqlstate, routine):
    """Return the error for a connection that the server refused.

    Args:
        message: to show; it may be in any language.
        routine: the function of the server that raised it: for 28000 only that tells a role that is
            not known or not
            trusted from one that pg_hba.conf does not let in.
    """
    if sqlstate == "28000" and routine != "ClientAuthentication":
        return AuthenticationFailed(message, sqlstate)
    if sqlstate in ("42501", "55000"):
        return NotAllowed(message, sqlstate)
    return statement_error(message, sqlstate)


def statement_error(message, sqlstate):
    """Return the error for a statement that failed.

    Args:
        sqlstate: five characters, or None for a session that broke off.
    """
    message = " ".join(message.split())
    if not sqlstate:
        return ConnectionLost(message)
    for prefix, kind in _BY_SQLSTATE:
        if sqlstate.startswith(prefix):
            return kind(message, sqlstate)
    return StatementFailed(message, sqlstate)


def identifier(name):
    """Return a name quoted for use in SQL."""
    if "\0" in name:
        raise InvalidValue("a name in PostgreSQL cannot hold a null character")
    return '"%s"' % name.replace('"', '""')


def literal(value):
    """Return a value (None, bool, int, float, str, or a list of these) quoted for use in SQL.

    Strings come as E'…' with backslashes doubled: that reads the same under every
    standard_conforming_strings.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return " %d" % value
    if isinstance(value, float):
        return " %r" % value if value - value == 0 else "'%r'::double precision" % value
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidValue("a text in PostgreSQL cannot hold a null character")
        return " E'%s'" % value.replace("\\", "\\\\").replace("'", "''")
    if isinstance(value, list):
        return "ARRAY[%s]" % ", ".join(literal(item) for item in value) if value else "'{}'"
    raise TypeError("a value of type %s cannot be used in SQL here" % type(value).__name__)


def interpolate(sql, args):
    """Return SQL with each %s replaced by the next argument as a literal and each %% by %.

    Without arguments the text is taken as it is, as psycopg2 does.
    """
    if not args:
        return sql
    values = iter(args)

    def replacement(match):
        if match.group(1) == "%":
            return "%"
        if match.group(1) != "s":
            raise ValueError("%r in SQL is neither %%s nor %%%%" % match.group(0))
        try:
            return literal(next(values))
        except StopIteration:
            raise ValueError("the SQL has more places than the %d arguments" % len(args)) from None

    text = re.sub(r"%(.?)", replacement, sql, flags=re.DOTALL)
    if next(values, values) is not values:
        raise ValueError("the SQL has fewer places than the %d arguments" % len(args))
    return text


def target(params):
    """Return C(host:port) of what the parameters lead to, for C(evidence.target)."""
    host = params.get("login_host") or "localhost"
    return "%s:%d" % (
        "localhost" if host.startswith("/") else host,
        params.get("login_port") or 5432,
    )


def session_settings(deadline, acting=False, statement_timeout=None, lock_timeout=LOCK_TIMEOUT):
    """Return {name: value} of the settings a session starts with.

    Args:
        deadline: the Deadline of all the session does.
        acting: whether it may write.
        statement_timeout: the most a statement may take, in seconds; by default nine tenths of what
            the
            deadline leaves, so that the server's own answer comes before the client gives up.
        lock_timeout: the most it may wait for a lock, in seconds.
    """
    longest = deadline.remaining() * 0.9
    if statement_timeout is not None:
        longest = min(longest, statement_timeout)
    settings = {
        "statement_timeout": "%d" % max(1, longest * 1000),
        "lock_timeout": "%d" % max(1, lock_timeout * 1000),
        "TimeZone": "UTC",
        # Compiling costs more than it saves for what is asked here.
        "jit": "off",
    }
    if not acting:
        settings["default_transaction_read_only"] = "on"
    return dict(settings, **PINNED)


# A member of an extension that belongs to a superuser is what it says, whatever its schema is. But
# the owner of that schema can rename it and put another one in its place.
_MEMBER = """
SELECT /* sergas.ops */ quote_ident(n.nspname) AS schema, s.rolsuper AS superuser,
  w.rolsuper OR (w.rolname = 'pg_database_owner' AND (SELECT b.rolsuper FROM pg_database d
    JOIN pg_roles b ON b.oid = d.datdba WHERE d.datname = current_database())) AS stays
FROM pg_roles s
CROSS JOIN pg_extension e
JOIN pg_depend x ON x.refclassid = 'pg_extension'::regclass AND x.refobjid = e.oid
  AND x.deptype = 'e' AND x.classid = '{catalog}'::regclass
JOIN {catalog} m ON m.oid = x.objid AND m.{letters}name = {name}{signature}
JOIN pg_namespace n ON n.oid = m.{letters}namespace
JOIN pg_roles w ON w.oid = n.nspowner
JOIN pg_roles o ON o.oid = m.{letters}owner
WHERE s.rolname = session_user AND e.extname = {extension} AND (o.rolsuper OR NOT s.rolsuper)
"""
# Renaming a schema takes effect when it is committed, and need not lock the catalog for so long.
_SCHEMA_STAYS = """
SELECT /* sergas.ops */ NOT EXISTS (
    SELECT 1 FROM pg_locks l WHERE l.locktype = 'transactionid' AND l.transactionid = n.xmax
  ) AS stays
FROM pg_namespace n WHERE quote_ident(n.nspname) = %s
"""


def member(extension, name, arguments=None):
    """Return the SQL that gives the row of a member of an extension, or none.

    An extension may lack what its newer releases have, and anybody who may create in its schema can
    fill the gap: a superuser must call nothing there that is not the extension's own.

    Args:
        extension: its name.
        name: that of a relation, or with arguments of a function.
        arguments: the types of the function's arguments, for example C(oid, bigint). It has to be
            called with exactly these: a call that leaves defaults out may be for another function.

    Returns:
        The SQL of a row of {schema: quoted, superuser: whether the session is one's, stays: whether
        only a superuser can rename the schema}.
    """
    function = arguments is not None
    return _MEMBER.format(
        catalog="pg_proc" if function else "pg_class",
        letters="pro" if function else "rel",
        name=literal(name),
        signature=(
            " AND oidvectortypes(m.proargtypes) = %s" % literal(arguments) if function else ""
        ),
        extension=literal(extension),
    )


class Session:
    """A connection to the server, the same over either client.

    Attributes:
        version: the server's version as a number, for example 150004.
        deadline: the Deadline for all that it does.
        reserved: whether it is a superuser's session over the local socket instead of the one asked
            for,
            because no ordinary slot was left.
    """

    version = None
    deadline = None
    reserved = False

    def rows(self, sql, args=()):
        """Run one query (SELECT, WITH … SELECT, VALUES or TABLE) and return its rows as dicts.

        The server sends them as JSON, so values are str, int, float, bool, None, list or dict over
        either client:
        a timestamp is ISO 8601 text in UTC, which SQL reads back with %s::timestamptz. For SHOW use
        current_setting(), for a statement with RETURNING use execute().

        Args:
            args: a value for each %s; with any, a literal % is written %%.

        Raises:
            PostgresError: a subclass says what went wrong.
        """
        query = sql.strip().rstrip(";")
        wrapped = (
            "SELECT coalesce(pg_catalog.json_agg(q), '[]')::pg_catalog.text FROM (%s\n) q" % query
        )
        return json.loads(self._text(wrapped, args))

    def execute(self, sql, args=()):
        """Run one statement of any kind; return how many rows it touched. Each is its own
        transaction.

        Args and Raises: see rows().
        """
        raise NotImplementedError

    @contextlib.contextmanager
    def transaction(self):
        """Keep the statements within in one transaction; an error rolls all of them back.

        Each statement sees what others have committed before it, whatever the default of the
        server, the database or the role is.
        """
        self.execute("BEGIN %s ISOLATION LEVEL READ COMMITTED" % MARKER)
        try:
            yield
        except BaseException:
            # A session that is lost, or out of time, is rolled back by the server.
            with contextlib.suppress(PostgresError, DeadlineExceeded):
                self.execute("ROLLBACK %s" % MARKER)
            raise
        self.execute("COMMIT %s" % MARKER)

    @contextlib.contextmanager
    def member(self, extension, name, arguments=None):
        """Yield the quoted schema of a member of an extension, or None where there is no such one;
        within, the schema keeps its name.

        Args: see L(member).

        Raises:
            StatementFailed: the schema belongs to a role that may rename it, and that cannot be
                prevented right now.
        """
        found = self.rows(member(extension, name, arguments))
        if not found or found[0]["stays"] or not found[0]["superuser"]:
            yield found[0]["schema"] if found else None
            return
        schema = found[0]["schema"]
        if self.rows("SELECT %s pg_is_in_recovery() AS standby" % MARKER)[0]["standby"]:
            raise StatementFailed(
                "the extension %s is in the schema %s, which its owner may replace by another one,"
                " and a standby cannot prevent that: log in as a member of pg_monitor, or move the"
                " extension to a superuser's schema" % (extension, schema)
            )
        with self.transaction():
            changing = StatementFailed("the schema %s is being changed right now" % schema)
            try:
                self.execute("LOCK TABLE %s pg_catalog.pg_namespace IN SHARE MODE" % MARKER)
            except LockTimedOut as error:
                raise changing from error
            stays = self.rows(_SCHEMA_STAYS, [schema])
            found = self.rows(member(extension, name, arguments))
            if stays != [{"stays": True}] or not found:
                raise changing
            yield found[0]["schema"]

    def close(self):
        """End the session; harmless when it has ended."""
        raise NotImplementedError

    def _text(self, sql, args):
        """Return the only column of the only row of a query."""
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class DriverSession(Session):
    """A session over psycopg2, in its non-blocking mode: it holds to a deadline in every phase."""

    def __init__(self, place, settings, deadline):
        self.deadline = deadline
        options = " ".join("-c %s=%s" % item for item in sorted(settings.items()))
        try:
            with acting_as(place.system_user), self._bounded():
                self._connection = psycopg2.connect(
                    options=options, client_encoding="UTF8", **place.keywords()
                )
        except psycopg2.Error as error:
            raise place.explain(connection_error(str(error)), deadline) from error
        self._connection.autocommit = True
        self.version = self._connection.server_version

    def execute(self, sql, args=()):
        return max(0, self._run(sql.strip().rstrip(";"), args)[1])

    def close(self):
        self._connection.close()

    def _text(self, sql, args):
        return self._run(sql, args)[0][0][0]

    def _run(self, sql, args):
        try:
            with self._bounded(), self._connection.cursor() as cursor:
                cursor.execute(sql, list(args) or None)
                return cursor.fetchall() if cursor.description else None, cursor.rowcount
        except psycopg2.Error as error:
            diagnostics = getattr(error, "diag", None)
            message = diagnostics.message_primary if diagnostics else None
            raise statement_error(message or str(error), error.pgcode) from error

    @contextlib.contextmanager
    def _bounded(self):
        # psycopg2 has one callback for all connections: it is set while this one speaks.
        psycopg2.extensions.set_wait_callback(self._wait)
        try:
            yield
        finally:
            psycopg2.extensions.set_wait_callback(None)

    def _wait(self, connection):
        while True:
            state = connection.poll()
            if state == psycopg2.extensions.POLL_OK:
                return
            event = select.POLLIN if state == psycopg2.extensions.POLL_READ else select.POLLOUT
            # The descriptor changes while libpq goes from one address to the next.
            poller = select.poll()
            poller.register(connection.fileno(), event)
            if not poller.poll(self.deadline.remaining() * 1000) and self.deadline.expired():
                raise TimedOut("no answer in time from PostgreSQL")


class PsqlSession(Session):
    """A session over one psql process that is fed statements and reports how each ended."""

    def __init__(self, place, settings, deadline):
        self.deadline = deadline
        self._marker = "end-of-%s" % uuid.uuid4().hex
        self._buffers = {}
        environment = place.environment()
        environment["PGOPTIONS"] = " ".join("-c %s=%s" % item for item in sorted(settings.items()))
        self._process = subprocess.Popen(
            place.demotion()
            + [process.find("psql"), "-X", "-q", "-A", "-t", "-w", "-v", "VERBOSITY=terse"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
        self._buffers = {self._process.stdout: b"", self._process.stderr: b""}
        try:
            # psql connects before it reads anything.
            self.version = int(
                self._text("SELECT pg_catalog.current_setting('server_version_num')", ())
            )
        except ConnectionLost as error:
            self.close()
            raise place.explain(connection_error(str(error)), deadline) from error
        except PostgresError:
            self.close()
            raise

    def execute(self, sql, args=()):
        return self._run(sql, args)[1]

    def close(self):
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            # At the end of its input psql says goodbye to the server.
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.stop(self._process)
        self._process.stdout.close()
        self._process.stderr.close()

    def _text(self, sql, args):
        return self._run(sql, args)[0]

    def _run(self, sql, args):
        statement = "%s\n;\n" % interpolate(sql.strip().rstrip(";"), args)
        # The variables hold how the statement ended, whatever language the server speaks.
        report = "\\echo %s :ERROR :SQLSTATE :ROW_COUNT :LAST_ERROR_MESSAGE\n\\echo %s.\n" % (
            (self._marker,) * 2
        )
        try:
            self._process.stdin.write((statement + report).encode("utf-8"))
            self._process.stdin.flush()
        except OSError:
            # It has ended; what it printed says why.
            pass
        printed = self._read_to(("%s.\n" % self._marker).encode("ascii"))
        output, _marker, ending = printed.rpartition(self._marker + " ")
        failed, sqlstate, count, message = (ending.rstrip("\n") + " ").split(" ", 3)
        if failed == "true":
            raise statement_error(message.strip() or "the statement failed", sqlstate)
        return output.rstrip("\n"), int(count)

    def _read_to(self, marker):
        """Return what psql prints up to the marker.

        Raises:
            ConnectionLost: it ended before; the message is what it said to standard error.
            TimedOut: the deadline passed before; psql is ended.
        """
        poller = select.poll()
        streams = {stream.fileno(): stream for stream in self._buffers}
        for descriptor in streams:
            poller.register(descriptor, select.POLLIN)
        open_streams = set(streams)
        while True:
            before, found, after = self._buffers[self._process.stdout].partition(marker)
            if found:
                self._buffers[self._process.stdout] = after
                self._buffers[self._process.stderr] = b""
                return before.decode("utf-8", "replace")
            if not open_streams:
                said = self._buffers[self._process.stderr].decode("utf-8", "replace")
                raise ConnectionLost(said.strip() or "psql ended without a word")
            ready = poller.poll(self.deadline.remaining() * 1000)
            if not ready and self.deadline.expired():
                process.stop(self._process)
                raise TimedOut("no answer in time from PostgreSQL")
            for descriptor, _event in ready:
                data = os.read(descriptor, 65536)
                self._buffers[streams[descriptor]] += data
                if not data:
                    poller.unregister(descriptor)
                    open_streams.discard(descriptor)


class Place:
    """Where and as whom to connect: the parameters with every default settled.

    Attributes:
        system_user: the system user whose identity the connection takes, or None for the current
            one.
    """

    def __init__(
        self, host, addresses, port, user, password, database, system_user, name, encryption
    ):
        self.host = host
        self.addresses = addresses
        self.port = port
        self.user = user
        self.password = password
        self.database = database
        self.system_user = system_user
        self.name = name
        self.encryption = encryption

    def keywords(self):
        """Return the connection's parameters by libpq's names."""
        # libpq pairs the names with the addresses one to one.
        keywords = {
            "host": ",".join([self.host] * max(1, len(self.addresses))),
            "hostaddr": ",".join(self.addresses),
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "application_name": self.name,
        }
        keywords.update(self.encryption)
        return {key: value for key, value in keywords.items() if value}

    def environment(self):
        """Return the environment for psql: the password is in there and never on a command line."""
        names = {
            "host": "PGHOST",
            "hostaddr": "PGHOSTADDR",
            "port": "PGPORT",
            "user": "PGUSER",
            "password": "PGPASSWORD",
            "dbname": "PGDATABASE",
            "application_name": "PGAPPNAME",
            "sslmode": "PGSSLMODE",
            "sslrootcert": "PGSSLROOTCERT",
            "sslcert": "PGSSLCERT",
            "sslkey": "PGSSLKEY",
        }
        environment = process.environment()
        environment.update((names[key], str(value)) for key, value in self.keywords().items())
        environment["PGCLIENTENCODING"] = "UTF8"
        if self.system_user:
            environment["HOME"] = pwd.getpwnam(self.system_user).pw_dir
        return environment

    def explain(self, error, deadline):
        """Return the error with its reason, asking the server once more where libpq's words did not
        tell.

        libpq keeps the SQLSTATE of a failed connection to itself, and the server may speak any
        language.
        """
        if error.kind != PostgresError.kind:
            return error
        tls = self.encryption.get("sslmode", "prefer")
        login = (self.user, self.database, self.password)
        try:
            with acting_as(self.system_user):
                pgwire.connect(
                    self.host,
                    self.port,
                    *login,
                    deadline=deadline,
                    tls=tls,
                    root=self.encryption.get("sslrootcert"),
                ).__exit__()
        except pgwire.ServerError as answer:
            return refusal(str(error), answer.sqlstate, answer.routine)
        except pgwire.PasswordMissing:
            return AuthenticationFailed(str(error), "28P01")
        except tcp.ConnectionFailed as failure:
            return _BY_KIND.get(failure.kind, PostgresError)(str(error))
        except (pgwire.AuthenticationUnsupported, OSError):
            pass
        return error

    def demotion(self):
        """Return what to put in front of a command so that it runs as the system user."""
        if not self.system_user:
            return []
        entry = pwd.getpwnam(self.system_user)
        return [
            process.find("setpriv") or "setpriv",
            "--reuid=%d" % entry.pw_uid,
            "--regid=%d" % entry.pw_gid,
            "--init-groups",
        ]


@contextlib.contextmanager
def acting_as(system_user):
    """Take a system user's identity for a moment: the server asks the kernel who opened its
    socket.
    """
    if not system_user:
        yield
        return
    os.seteuid(pwd.getpwnam(system_user).pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def refuse_standby(session, what):
    """Refuse work that only a primary can do.

    A check run would promise it otherwise, since it is only refused when it is done.

    Args:
        session: an open Session.
        what: the work, as the subject of a sentence.

    Raises:
        ReadOnly: the server is a standby, or recovers.
    """
    if session.rows("SELECT pg_is_in_recovery() AS standby")[0]["standby"]:
        raise ReadOnly("this server is a standby: %s is for its primary" % what)


def connect(
    params,
    deadline,
    acting=False,
    name="sergas.ops",
    statement_timeout=None,
    lock_timeout=LOCK_TIMEOUT,
    plain=False,
    reserve=True,
    login_timeout=None,
):
    """Open a session.

    Args:
        params: the options of CONNECTION, for example a module's parameters.
        deadline: the Deadline for everything the session will do.
        acting: whether the session may write.
        name: its application_name.
        statement_timeout, lock_timeout: see session_settings().
        plain: the session sets nothing but its search_path, so that it shows what the server is
            configured to.
        reserve: whether to take a superuser's session over the local socket where no ordinary slot
            is left. Not for a session that must be the role's own.
        login_timeout: the most that logging in may take, in seconds; by default what the deadline
            leaves.

    Raises:
        PostgresError: a subclass says what went wrong.
    """
    if psycopg2 is None and process.find("psql") is None:
        raise ClientMissing(
            "there is neither psycopg2 in the Python of this host nor the command psql"
        )
    # libpq's own sentences are told apart by their words.
    locale.setlocale(locale.LC_MESSAGES, "C")
    settings = (
        {"search_path": PINNED["search_path"]}
        if plain
        else session_settings(deadline, acting, statement_timeout, lock_timeout)
    )
    opening = deadline if login_timeout is None else deadline.within(login_timeout)
    try:
        session = _open(_place(params, name, opening), settings, opening)
    except TooManyConnections:
        place = _reserved_place(params, name) if reserve else None
        if place is None:
            raise
        session = _open(place, settings, opening)
        session.reserved = True
    session.deadline = deadline
    if session.version < OLDEST_VERSION:
        session.close()
        raise UnsupportedServer(
            "PostgreSQL %d is older than 13, the oldest supported" % (session.version // 10000)
        )
    return session


def _open(place, settings, deadline):
    return (PsqlSession if psycopg2 is None else DriverSession)(place, settings, deadline)


def _place(params, name, deadline):
    host = params.get("login_host")
    port = params.get("login_port") or 5432
    user = params.get("login_user")
    folder = params.get("login_unix_socket")
    if host and host.startswith("/"):
        host, folder = None, host
    if host:
        encryption = {
            "sslmode": params.get("ssl_mode") or "prefer",
            "sslrootcert": params.get("ca_cert"),
            "sslcert": params.get("ssl_cert"),
            "sslkey": params.get("ssl_key"),
        }
        addresses, system_user = addresses_of(host, port, deadline), None
    else:
        folder, owner = _socket(folder, port)
        encryption, host, addresses = {}, folder, []
        system_user = (
            owner if os.geteuid() == 0 and user in (None, owner) and owner != "root" else None
        )
    user = user or system_user or pwd.getpwuid(os.geteuid()).pw_name
    password, database = params.get("login_password"), params.get("login_db") or "postgres"
    return Place(host, addresses, port, user, password, database, system_user, name, encryption)


def _reserved_place(params, name):
    """Return the server's own local socket as its own system user, or None where that is out of
    reach.
    """
    port = params.get("login_port") or 5432
    host = params.get("login_host")
    if host and not host.startswith("/") and not is_local(host):
        return None
    try:
        folder, owner = _socket(params.get("login_unix_socket"), port)
    except PostgresError:
        return None
    if os.geteuid() not in (0, pwd.getpwnam(owner).pw_uid):
        return None
    system_user = owner if os.geteuid() == 0 and owner != "root" else None
    return Place(
        folder, [], port, owner, None, params.get("login_db") or "postgres", system_user, name, {}
    )


def _socket(folder, port):
    """Return (the folder of the server's socket, the name of its owner).

    Raises:
        Refused: there is none.
    """
    folders = (folder,) if folder else SOCKET_FOLDERS + listening_folders(_listening(), port)
    for candidate in folders:
        try:
            owner = os.stat(os.path.join(candidate, ".s.PGSQL.%d" % port)).st_uid
            name = pwd.getpwuid(owner).pw_name
        except (OSError, KeyError):
            continue
        # Anybody can put a socket of this name into /tmp and wait for an administrator's password.
        if folder or owner <= _LAST_SYSTEM_USER or owner == os.geteuid():
            return candidate, name
    raise Refused(
        "no server listens on port %d: there is no socket in %s" % (port, ", ".join(folders))
    )


def listening_folders(table, port):
    """Return the folders of the servers' sockets for a port.

    Args:
        table: the text of /proc/net/unix.
    """
    name = "/.s.PGSQL.%d" % port
    paths = ((line.split(None, 7) or [""])[-1] for line in table.splitlines())
    return tuple(
        dict.fromkeys(
            path[: -len(name)] for path in paths if path.startswith("/") and path.endswith(name)
        )
    )


def _listening():
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def addresses_of(host, port, deadline):
    """Return the addresses of a host name, looked up within the deadline, which libpq cannot do.

    Raises:
        NameUnresolved: it has none.
        TimedOut: the name servers did not answer in time.
    """
    try:
        entries = tcp.resolve(host, port, deadline)
    except tcp.ConnectionFailed as error:
        raise _BY_KIND.get(error.kind, PostgresError)(str(error)) from error
    return list(dict.fromkeys(entry[4][0] for entry in entries))


def is_local(host):
    """Return whether a name or address is this machine: its own addresses, and only those, can be
    bound.
    """
    try:
        addresses = addresses_of(host, 0, Deadline(2))
    except PostgresError:
        return False
    for address in addresses:
        try:
            with socket.socket(
                socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM
            ) as probe:
                probe.bind((address, 0))
                return True
        except OSError:
            continue
    return False


#: kind: (id, status, remedy, advice)
_FINDINGS = {
    "name": (
        "db.unreachable",
        "fail",
        None,
        "Correct DATABASE_HOST, or the name in DNS or /etc/hosts.",
    ),
    "refused": (
        "db.unreachable",
        "fail",
        "start_postgresql",
        "Start PostgreSQL, or correct the host and port.",
    ),
    "unreachable": (
        "db.unreachable",
        "fail",
        None,
        "Restore the network between this host and the database.",
    ),
    "timeout": (
        "db.unreachable",
        "fail",
        None,
        "Look for a firewall in between, or a server that hangs.",
    ),
    "encryption": (
        "db.unreachable",
        "fail",
        None,
        "Make ssl_mode and the certificates fit what the server offers.",
    ),
    "starting_up": (
        "db.unreachable",
        "fail",
        None,
        "Wait for the start or recovery to end; the server's log shows it.",
    ),
    "connection_lost": (
        "db.unreachable",
        "fail",
        None,
        "The server's log says why it ended the session.",
    ),
    "authentication": (
        "db.auth.failed",
        "fail",
        "database_credentials",
        "Correct the role and its password.",
    ),
    "not_allowed": (
        "db.auth.failed",
        "fail",
        None,
        "Allow the role, database and address in pg_hba.conf.",
    ),
    "database_missing": (
        "db.missing",
        "fail",
        None,
        "Create the database, or correct DATABASE_NAME.",
    ),
    "too_many_connections": (
        "db.connections.exhausted",
        "fail",
        "end_idle_sessions",
        "End idle sessions, then make the pools of all app hosts fit the server's slots.",
    ),
    "pooler": (
        "db.connection.unknown",
        "unknown",
        None,
        "Give the host and port of PostgreSQL itself, not of pgbouncer.",
    ),
    "client_missing": (
        "db.connection.unknown",
        "unknown",
        None,
        "Install python3-psycopg2, or postgresql-client for psql.",
    ),
}


def unreachable_finding(error, where):
    """Return the finding for a connection that failed.

    Args:
        error: a PostgresError.
        where: the C(host:port) that did not answer as it should.
    """
    id, status, remedy, advice = _FINDINGS.get(
        error.kind, ("db.connection.unknown", "unknown", None, None)
    )
    return finding(
        id,
        "database",
        status,
        "PostgreSQL at %s: %s" % (where, error),
        evidence={"target": where, "error": error.kind, "sqlstate": error.sqlstate},
        remedy=remedy,
        advice=advice,
        guide=GUIDE,
    )
