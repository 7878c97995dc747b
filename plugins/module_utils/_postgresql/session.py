# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions of the collection's modules: bounded in time, with errors that say what is wrong, rows
that look the same over every driver.

    with connect(module.params, Deadline(15)) as session:
        for row in session.rows("SELECT datname FROM pg_database WHERE datname = %s", ["sergas"]):
            row["datname"]

A session only reads unless it is opened with ``acting=True``.

The collection opens every session here, and a superuser's session never runs code of others:

- The search_path of every session is pg_catalog alone, so that no function or operator of the same
  name is called with an administrator's rights: name other schemas.
- How a session reads SQL and times is set, since the owner of a database may set that for all
  sessions in it.
- Statements on a table whose triggers, rules or expressions would run belong into a session of the
  table's owner: ``table_session``.
"""

from __future__ import annotations

import contextlib
import json

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres
from ansible_collections.sergas.ops.plugins.module_utils._net.postgres_errors import (
    LockTimedOut,
    PostgresError,
    ReadOnly,
    StatementFailed,
    TooManyConnections,
    UnsupportedServer,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    extension_members,
    location,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sql import MARKER

#: The options of the documentation fragment sergas.ops.postgresql.
CONNECTION = {
    "login_host": {"type": "str"},
    "login_port": {"type": "int"},
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
#: Of the options of CONNECTION and the deadline. A server counts its timeouts in milliseconds, up
#: to 24 days.
RANGES = (("login_port", 1, 65535), ("deadline", 0.001, 7 * 86400), ("lock_timeout", 0, 7 * 86400))
OLDEST_VERSION = 130000
#: Of every session. The owner of a database can set these for all sessions in it.
PINNED = {
    # Of the same name, the function or operator with the closest types is called.
    "search_path": "pg_catalog",
    "standard_conforming_strings": "on",
    # What one session has written, another one reads.
    "DateStyle": "ISO",
}
#: Another session's lock is not worth more of a diagnosis than this; in seconds.
LOCK_TIMEOUT = 2.0


def session_settings(deadline, acting=False, statement_timeout=None, lock_timeout=LOCK_TIMEOUT):
    """Return {name: value} of the settings a session starts with.

    Args:
        deadline: the Deadline of all the session does.
        acting: whether it may write.
        statement_timeout: the most a statement may take, in seconds; by default nine tenths of what
            the deadline leaves, so that the server's own answer comes before the client gives up.
        lock_timeout: the most it may wait for a lock, in seconds.
    """
    longest = deadline.remaining() * 0.9
    if statement_timeout is not None:
        longest = min(longest, statement_timeout)
    settings = {
        "statement_timeout": "%d" % max(1, longest * 1000),
        "lock_timeout": "%d" % max(1, lock_timeout * 1000),
        "TimeZone": "UTC",
        # Compiling costs more than it saves for these queries.
        "jit": "off",
    }
    if not acting:
        settings["default_transaction_read_only"] = "on"
    return dict(settings, **PINNED)


class Session:
    """A connection to the server, for the modules.

    Attributes:
        driver: the name of what speaks to the server, ``psycopg2`` or ``pgwire``.
        version: the server's version as a number, for example 150004.
        reserved: whether it is a superuser's session over the local socket instead of the requested
            one, because no ordinary slot was left.
    """

    def __init__(self, connection, reserved=False):
        self._connection = connection
        self.driver = connection.driver
        self.version = connection.version
        self.reserved = reserved

    def rows(self, sql, args=()):
        """Run one query (SELECT, WITH … SELECT, VALUES or TABLE) and return its rows as dicts.

        The server sends them as JSON, so values are str, int, float, bool, None, list or dict over
        every driver: a timestamp is ISO 8601 text in UTC, which SQL reads back with
        ``%s::timestamptz``. For SHOW use current_setting(), for a statement with RETURNING use
        ``execute``.

        Args:
            args: a value for each ``%s``; with any, a literal ``%`` is written ``%%``.

        Raises:
            PostgresError: a subclass says what went wrong.
        """
        query = sql.strip().rstrip(";")
        wrapped = (
            "SELECT coalesce(pg_catalog.json_agg(q), '[]')::pg_catalog.text FROM (%s\n) q" % query
        )
        return json.loads(self._connection.execute(wrapped, args).rows[0][0])

    def execute(self, sql, args=()):
        """Run one statement of any kind; return how many rows it touched. Each is its own
        transaction.

        Args and Raises: see ``rows``.
        """
        return self._connection.execute(sql.strip().rstrip(";"), args).count

    @contextlib.contextmanager
    def transaction(self, kept=True):
        """Keep the statements within in one transaction; an error rolls all of them back.

        Each statement sees what others have committed before it, whatever the default of the
        server, the database or the role is.

        Args:
            kept: whether it is committed at the end, instead of rolled back.
        """
        self.execute("BEGIN %s ISOLATION LEVEL READ COMMITTED" % MARKER)
        try:
            yield
        except BaseException:
            # A session that is lost, or out of time, is rolled back by the server.
            with contextlib.suppress(PostgresError, DeadlineExceeded):
                self.execute("ROLLBACK %s" % MARKER)
            raise
        self.execute("%s %s" % ("COMMIT" if kept else "ROLLBACK", MARKER))

    @contextlib.contextmanager
    def member(self, extension, name, arguments=None):
        """Yield the quoted schema of a member of an extension, or None where there is no such one;
        within, the schema keeps its name.

        Args: see ``extension_members.member``.

        Raises:
            StatementFailed: the schema belongs to a role that may rename it, and that cannot be
                prevented right now.
        """
        found = self.rows(extension_members.member(extension, name, arguments))
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
            stays = self.rows(extension_members.SCHEMA_STAYS, [schema])
            found = self.rows(extension_members.member(extension, name, arguments))
            if stays != [{"stays": True}] or not found:
                raise changing
            yield found[0]["schema"]

    def close(self):
        """End the session; harmless when it has ended."""
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()


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
        statement_timeout, lock_timeout: see ``session_settings``.
        plain: the session sets nothing but its search_path, so that it shows what the server is
            configured to.
        reserve: whether to take a superuser's session over the local socket where no ordinary slot
            is left. Not for a session that must be the role's own.
        login_timeout: the most that logging in may take, in seconds; by default what the deadline
            leaves.

    Raises:
        PostgresError: a subclass says what went wrong.
    """
    settings = (
        {"search_path": PINNED["search_path"]}
        if plain
        else session_settings(deadline, acting, statement_timeout, lock_timeout)
    )
    opening = deadline if login_timeout is None else deadline.within(login_timeout)
    reserved = False
    try:
        connection = postgres.connect(location.target(params, name, settings), opening)
    except TooManyConnections:
        target = location.reserved_target(params, name, settings) if reserve else None
        if target is None:
            raise
        connection, reserved = postgres.connect(target, opening), True
    connection.deadline = deadline
    if connection.version < OLDEST_VERSION:
        connection.close()
        raise UnsupportedServer(
            "PostgreSQL %d is older than 13, the oldest supported" % (connection.version // 10000)
        )
    return Session(connection, reserved)
