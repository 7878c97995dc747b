# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Vacuums and analyzes tables where that is due, by the same checks as
``pg_insights``.
"""

from __future__ import annotations

import os

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import location
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import diagnosis
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.maintenance import wal_room
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import (
    connect,
    refuse_standby,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sql import identifier

#: So many tables of a finding are worked on in a run; the next one goes on.
_MOST_TABLES = 300
#: What is left free beside the new copy of a table, for the WAL of others meanwhile; in bytes.
_SPARE_BYTES = 64 * 1024**2

_STATE = """
SELECT n.nspname::text AS schema, c.relname::text AS "table", c.relkind::text AS kind,
  pg_total_relation_size(c.oid) AS bytes, pg_stat_get_dead_tuples(c.oid) AS dead_rows,
  pg_stat_get_mod_since_analyze(c.oid) AS changed_rows
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'm', 'p')
"""
_DIRECTORY = """
SELECT coalesce(nullif(pg_tablespace_location(c.reltablespace), ''),
  current_setting('data_directory')) AS path
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname =
  %s
"""
_RESET_COUNTERS = """
SELECT pg_stat_reset_single_table_counters(c.oid)::text AS reset
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname =
  %s
"""
_RESET_STATEMENTS = """
SELECT {schema}.pg_stat_statements_reset(0::oid, d.oid, q.id::bigint{more})::text AS reset
FROM pg_database d, unnest(%s::text[]) q(id) WHERE d.datname = current_database()
"""
_COUNTS_STATEMENTS = "SELECT current_setting('pg_stat_statements.max', true) IS NOT NULL AS loaded"
#: The arguments of pg_stat_statements_reset, since 1.11 and since 1.7, and what the call adds.
_RESETS = (("oid, oid, bigint, boolean", ", false"), ("oid, oid, bigint", ""))
#: what is done, and whether it does what another one does as well
VACUUM, ANALYZE, FULL = "vacuum", "analyze", "full"
_SQL = {VACUUM: "VACUUM (ANALYZE)", ANALYZE: "ANALYZE", FULL: "VACUUM (FULL, ANALYZE)"}
_DUE = {"db.vacuum.overdue": VACUUM, "db.statistics.stale": ANALYZE}
_CHECKS = {VACUUM: ["vacuum", "statistics"], FULL: ["bloat"]}


class VacuumRefused(OperationError):
    """A table cannot be worked on; the message says why."""


def named(text):
    """Return (schema, table) of ``table`` or ``schema.table``."""
    schema, dot, table = text.rpartition(".")
    return (schema if dot else "public", table)


def due(findings):
    """Return {(schema, table): what} of the tables that findings say are due. Pure.

    VACUUM brings the statistics up to date as well, so a table that needs both gets it alone.
    """
    chosen = {}
    for item in findings:
        what = _DUE.get(item["id"])
        for row in item["evidence"].get("tables", ()) if what else ():
            key = (row["schema"], row["table"])
            if chosen.get(key) != VACUUM:
                chosen[key] = what
    return chosen


def bloated(findings):
    """Return {(schema, table)} of the tables that findings say are bloated. Pure."""
    return {
        (row["schema"], row["table"])
        for item in findings
        if item["id"] == "db.bloat"
        for row in item["evidence"].get("tables", ())
    }


def plan(params, findings):
    """Return [(schema, table, what)] to be done, in order. Pure.

    Args:
        params: the options of ``pg_vacuum``.
        findings: those of the checks that the options need.
    """
    tables = [named(text) for text in params["tables"]]
    if params["full"]:
        chosen = tables if params["always"] else [key for key in tables if key in bloated(findings)]
        return [key + (FULL,) for key in chosen]
    found = due(findings)
    if params["always"]:
        return [key + (VACUUM,) for key in tables]
    return [key + (what,) for key, what in sorted(found.items()) if not tables or key in tables]


def refused(row, free):
    """Return why VACUUM FULL of a table cannot be done, or None. Pure.

    It writes the table and its indexes anew beside the old ones.

    Args:
        row: the table with its bytes.
        free: what is free on its file system, in bytes; None where that cannot be seen.
    """
    if free is None:
        return "VACUUM FULL of %s.%s: how much is free cannot be seen from this host" % (
            row["schema"],
            row["table"],
        )
    if free < row["bytes"] + _SPARE_BYTES:
        return "VACUUM FULL of %s.%s takes up to %d MB beside the old table, and %d MB are free" % (
            row["schema"],
            row["table"],
            (row["bytes"] + _SPARE_BYTES) >> 20,
            free >> 20,
        )
    return None


def run(params, deadline, check_mode):
    """Do what is due.

    Args:
        params: the options of ``pg_vacuum``.
        deadline: the Deadline of it all.
        check_mode: whether to decide only.

    Raises:
        wal_room.NoRoom: the disk has no room for WAL.
        VacuumRefused: there is no such table, or no space for VACUUM FULL; nothing was done then.
        PostgresError: the server cannot be queried, or refused.
    """
    findings = _findings(params, deadline)
    with connect(
        params,
        deadline,
        acting=True,
        name="sergas.ops pg_vacuum",
        lock_timeout=params["lock_timeout"],
    ) as session:
        for schema, table in map(named, params["tables"]):
            if not session.rows(_STATE, [schema, table]):
                raise VacuumRefused("there is no table %s.%s in this database" % (schema, table))
        work = []
        for schema, table, what in plan(params, findings):
            row = session.rows(_STATE, [schema, table])[0]
            if what == FULL:
                refusal = refused(row, _free(session, params, schema, table))
                if refusal:
                    raise VacuumRefused(refusal)
            work.append((row, what))
        if work:
            refuse_standby(session, "VACUUM")
        done, left = [], []
        room = None if check_mode else wal_room.WalRoom(session, params)
        for row, what in work:
            entry = {
                "schema": row["schema"],
                "table": row["table"],
                "action": what,
                "bytes_before": row["bytes"],
            }
            if not check_mode:
                if deadline.remaining() < 1:
                    left.append(entry)
                    continue
                room.make()
                name = "%s.%s" % (identifier(row["schema"]), identifier(row["table"]))
                session.execute("%s %s" % (_SQL[what], name))
                after = session.rows(_STATE, [row["schema"], row["table"]])
                entry["bytes_after"] = after[0]["bytes"] if after else None
                if params["reset_counters"]:
                    session.rows(_RESET_COUNTERS, [row["schema"], row["table"]])
            done.append(entry)
        if params["reset_statements"] and not check_mode:
            _reset_statements(session, params["reset_statements"])
    return {
        "changed": bool(done),
        "driver": session.driver,
        "tables": done,
        "left": left,
        "warnings": [
            "The deadline came first: %d tables are left for the next run." % len(left),
        ]
        if left
        else [],
        "freed_bytes": sum(
            max(0, e["bytes_before"] - e["bytes_after"])
            for e in done
            if e.get("bytes_after") is not None
        ),
        "diff": {
            "before": {"due": [_line(entry) for entry in done + left]},
            "after": {"due": [_line(entry) for entry in left]},
        },
    }


def _reset_statements(session, ids):
    """Reset what pg_stat_statements has counted of statements of this database, by their queryid.

    Where there is no such extension, or one older than 1.7, or the server has not loaded it,
    nothing is reset.
    """
    if not session.rows(_COUNTS_STATEMENTS)[0]["loaded"]:
        return
    for arguments, more in _RESETS:
        with session.member("pg_stat_statements", "pg_stat_statements_reset", arguments) as schema:
            if schema is not None:
                session.rows(_RESET_STATEMENTS.format(schema=schema, more=more), [ids])
                return


def _findings(params, deadline):
    if params["always"]:
        return []
    result = diagnosis.run(
        dict(
            params,
            checks=_CHECKS[FULL if params["full"] else VACUUM],
            skip=[],
            schemas=None,
            limit=_MOST_TABLES,
            previous={},
            deadline=min(30.0, deadline.remaining()),
        )
    )
    unknown = [
        item
        for item in result["findings"]
        if item["status"] == "unknown" or item["id"] == "db.unreachable"
    ]
    if unknown:
        raise VacuumRefused(unknown[0]["summary"])
    return result["findings"]


def _free(session, params, schema, table):
    host = params["login_host"]
    if host and not host.startswith("/") and not location.is_local(host):
        return None
    path = session.rows(_DIRECTORY, [schema, table])[0]["path"]
    try:
        numbers = os.statvfs(path)
    except OSError:
        return None
    return numbers.f_bavail * numbers.f_frsize


def _line(entry):
    return "%s %s.%s" % (entry["action"], entry["schema"], entry["table"])
