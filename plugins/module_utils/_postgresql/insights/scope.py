# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scope of a diagnosis: which server, schemas and thresholds, how many rows, since when."""

from __future__ import annotations

import json

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._net.postgres_errors import TimedOut
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.extension_members import (
    member,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sql import MARKER

#: Of pg_insights, {name: (warn, fail, unit)}.
THRESHOLDS = {
    # a statement's mean time; a statement below the guide's 1000 ms counts when it is called often
    "statement_ms": (20.0, 1000.0, "ms"),
    # the guide inspects what runs for more than a minute
    "running_seconds": (60.0, 600.0, "s"),
    "lock_wait_seconds": (5.0, 60.0, "s"),
    "transaction_seconds": (3600.0, 14400.0, "s"),
    # of one that locks a table; without that, from ten times the second on
    "prepared_seconds": (5.0, 60.0, "s"),
    "bloat_percent": (40.0, 80.0, "%"),
    # dead rows, or rows changed since ANALYZE, as a multiple of what makes autovacuum start
    "vacuum_factor": (2.0, 10.0, "times autovacuum's threshold"),
    "analyze_factor": (2.0, 10.0, "times autovacuum's threshold"),
    # transaction ids are used up at 2.1e9; vacuum_failsafe_age is 1.6e9
    "wraparound_age": (1.3e9, 1.4e9, "transactions"),
    "cache_miss_percent": (5.0, 20.0, "%"),
    "archive_backlog": (16.0, 128.0, "WAL files"),
    "slot_bytes": (64.0 * 1024**2, 1024.0**3, "B"),
    "replication_seconds": (5.0, 60.0, "s"),
    "replication_bytes": (128.0 * 1024**2, 1024.0**3, "B"),
    "disk_percent": (80.0, 90.0, "%"),
    "sequence_percent": (85.0, 95.0, "%"),
    "memory_percent": (100.0, 200.0, "% of the memory"),
}

#: Needs the alias n for pg_namespace, and scope.schemas_json twice as arguments.
IN_SCHEMAS = """n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (CAST(%s AS text) IS NULL
       OR n.nspname IN (SELECT json_array_elements_text(CAST(%s AS json))))"""

#: Relations that another session holds, or waits to hold, exclusively: reading their size would
#: have the diagnosis wait in the same queue. A table counts as locked with its TOAST table or one
#: of its indexes.
EXCLUSIVELY_LOCKED = """SELECT DISTINCT u.relation FROM pg_locks l
    LEFT JOIN pg_index i ON i.indexrelid = l.relation
    LEFT JOIN pg_class t ON t.reltoastrelid = l.relation
    CROSS JOIN LATERAL unnest(ARRAY[l.relation, i.indrelid, t.oid]) u(relation)
  WHERE l.mode = 'AccessExclusiveLock' AND u.relation IS NOT NULL AND l.relation <> 0
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())"""

_FACTS = (
    """
SELECT
  current_user::text AS role,
  current_database()::text AS database,
  r.rolsuper AS superuser,
  pg_is_in_recovery() AS in_recovery,
  pg_has_role(r.oid, 'pg_read_all_stats', 'USAGE') AS sees_sessions,
  pg_has_role(r.oid, 'pg_monitor', 'USAGE') AS monitors,
  pg_has_role(r.oid, 'pg_read_all_settings', 'USAGE') AS sees_settings,
  pg_has_role(r.oid, 'pg_stat_scan_tables', 'USAGE') AS scans_tables,
  coalesce((SELECT pg_has_role(r.oid, a.oid, 'USAGE')
            FROM pg_roles a WHERE a.rolname = 'pg_read_all_data'), r.rolsuper) AS reads_data,
  current_setting('block_size')::int AS block_bytes,
  current_setting('max_connections')::int AS max_connections,
  host(inet_server_addr()) AS address,
  pg_backend_pid() AS backend_pid,
  extract(epoch FROM clock_timestamp())::float8 AS taken_at,
  extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS up_seconds,
  (SELECT m.schema FROM ("""
    + member("pg_stat_statements", "pg_stat_statements")
    + """) m) AS statements_schema,
  (SELECT e.extversion FROM pg_extension e
   WHERE e.extname = 'pg_stat_statements') AS statements_version,
  current_setting('pg_stat_statements.max', true) IS NOT NULL AS statements_loaded,
  (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
   WHERE e.extname = 'pgstattuple') AS pgstattuple_schema
FROM pg_roles r WHERE r.rolname = current_user
"""
)
_MISSING_SCHEMAS = """
SELECT w.name FROM json_array_elements_text(%s::json) w (name)
WHERE w.name NOT IN (SELECT n.nspname::text FROM pg_namespace n)
"""
_STATISTICS = """
SELECT extract(epoch FROM clock_timestamp() - coalesce(
  d.stats_reset, (SELECT b.stats_reset FROM pg_stat_bgwriter b), pg_postmaster_start_time()
))::float8 AS statistics_seconds
FROM pg_stat_database d WHERE d.datname = current_database()
"""
#: Until 14 a process writes the statistics to a file for who wants them, and a session waits ten
#: seconds for one that a full disk does not take. No query is to find that out again.
_STATISTICS_IN_FILES_UNTIL = 150000
_LONGEST_FOR_STATISTICS = "3s"
_SET_TIMEOUT = "SELECT set_config('statement_timeout', %s, false)"


class Scope:
    """The options of the diagnosis, the server's facts, and the session for its queries.

    Raises:
        ValueError: the earlier run was not of this database, or a schema is not there.

    Attributes:
        server: the facts of the server and of the session's role.
        thresholds: {name: (warn, fail, unit)}.
        limit: how many rows a finding's evidence may have.
        previous: the insights of an earlier run, {} where there is none.
        statistics_error: why the server's statistics cannot be read, or None.
        schemas_json: the selected schemas as JSON, or None for all.
    """

    def __init__(self, session, thresholds, limit=20, schemas=None, previous=None, deadline=None):
        self._session = session
        self.deadline = deadline
        self.thresholds = thresholds
        self.limit = limit
        self.previous = previous or {}
        self.schemas_json = json.dumps(schemas) if schemas else None
        self.server = dict(self.row(_FACTS), version=session.version, statistics_seconds=None)
        self.statistics_error = None
        self._check_schemas()
        self._read_statistics()
        if previous and self.earlier("server", "database") != self.server["database"]:
            raise InvalidValue(
                "previous: these are not the insights of an earlier run into the database %s"
                % self.server["database"]
            )

    def _check_schemas(self):
        missing = self.schemas_json and self.rows(_MISSING_SCHEMAS, self.schemas_json)
        if missing:
            raise InvalidValue(
                "schemas: there is no %s in the database %s"
                % (", no ".join(row["name"] for row in missing), self.server["database"])
            )

    def _read_statistics(self):
        in_files = self.server["version"] < _STATISTICS_IN_FILES_UNTIL
        if in_files:
            timeout = self.row("SELECT current_setting('statement_timeout') AS set")["set"]
            self.row(_SET_TIMEOUT, _LONGEST_FOR_STATISTICS)
        try:
            self.server.update(self.row(_STATISTICS))
        except TimedOut:
            if not in_files:
                raise
            self.statistics_error = (
                "the server's statistics are not to be had, as where stats_temp_directory is full"
            )
        if in_files:
            self.row(_SET_TIMEOUT, timeout)

    def statistics_gone(self):
        """Return why a query of the server's statistics did not end, where that is because they
        cannot be read any more, else None: the disk may have filled up since they were written.
        """
        try:
            self._read_statistics()
        except (TimedOut, DeadlineExceeded):
            pass
        return self.statistics_error

    def rows(self, statement, *args):
        """Return the rows of a statement as plain dicts."""
        if self.deadline:
            self.deadline.timeout("PostgreSQL")
        return self._session.rows(MARKER + statement, args)

    def member(self, extension, name, arguments=None):
        """Return the context of a member of an extension, see ``Session.member``."""
        return self._session.member(extension, name, arguments)

    def row(self, statement, *args):
        """Return the only row of a statement."""
        return self.rows(statement, *args)[0]

    def earlier(self, *path):
        """Return what an earlier run has at a path of keys, or None."""
        value = self.previous
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value
