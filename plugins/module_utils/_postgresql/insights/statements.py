# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statements: the slow ones of pg_stat_statements, and those that run right now."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import grade
from ansible_collections.sergas.ops.plugins.module_utils._net.postgres_errors import PostgresError
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict

#: As many statements, by total time, are inspected.
_MOST_STATEMENTS = 200
#: A mean says little about a statement that ran only a few times.
_OFTEN = 100
_OFTEN_WHEN_VERY_SLOW = 10
#: What takes less of the time of all statements is no reason for a slow application.
_SMALLEST_SHARE = 1.0
#: Work that is slow by nature, whichever role starts it.
_MAINTENANCE = frozenset(
    "vacuum analyze create reindex cluster refresh copy alter checkpoint start_replication".split()
)
_QUERIES = frozenset("select insert update delete with merge values execute fetch call".split())
_HIDDEN = "<insufficient privilege>"
_LONGEST_TEXT = 500

# 1.8, which comes with PostgreSQL 13, renamed the columns; an upgrade keeps the old extension
# until an administrator runs ALTER EXTENSION pg_stat_statements UPDATE.
_TIMES = {True: ("total_exec_time", "mean_exec_time"), False: ("total_time", "mean_time")}

_STATEMENTS = """
SELECT t.*, CASE WHEN t.all_ms > 0 THEN 100 * t.total_ms / t.all_ms ELSE 0 END AS share_percent
FROM (
  SELECT s.queryid::text AS queryid, pg_get_userbyid(s.userid)::text AS role,
    s.calls::bigint AS calls, s.{total}::float8 AS total_ms, s.{mean}::float8 AS mean_ms,
    s.rows::bigint AS rows, s.shared_blks_hit::bigint AS blocks_hit,
    s.shared_blks_read::bigint AS blocks_read, s.temp_blks_written::bigint AS blocks_temp,
    sum(s.{total}) OVER ()::float8 AS all_ms, left(s.query, 4000) AS query
  FROM {schema}.pg_stat_statements s
  WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
    AND s.query !~ 'sergas[.]ops'
) t
ORDER BY t.total_ms DESC LIMIT {limit}
"""

_SINCE = """
SELECT extract(epoch FROM clock_timestamp() - i.stats_reset)::float8 AS seconds
FROM {schema}.pg_stat_statements_info i
"""

_RUNNING = """
SELECT a.pid, a.usename::text AS role, a.datname::text AS database,
  a.application_name AS application, host(a.client_addr) AS client,
  a.wait_event_type AS wait_type, a.wait_event AS wait,
  extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS seconds,
  left(a.query, 4000) AS query
FROM pg_stat_activity a
WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND a.state = 'active'
  AND a.query !~ 'sergas[.]ops' AND a.query_start < clock_timestamp() - interval '1 second'
ORDER BY a.query_start LIMIT 200
"""

# One pass over the text, so that a quote in a comment or a comment in a string misleads no one.
# What ends without its closing mark was cut off by track_activity_query_size.
_PIECES = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*(?s:.*?)(?:\*/|\Z))
  | (?P<dollar>\$(?P<tag>[A-Za-z_]\w*)?\$(?s:.*?)(?:\$(?P=tag)\$|\Z))
  | (?P<dollar2>\$\$(?s:.*?)(?:\$\$|\Z))
  | (?P<escaped>\b[eE]'(?:[^'\\]|''|\\(?s:.))*(?:'|\Z))
  | (?P<string>(?:\b(?:[bBxXnN]|[uU]&))?'(?:[^']|'')*(?:'|\Z))
  | (?P<name>"(?:[^"]|"")*(?:"|\Z))
  | (?P<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|\$\d+)
  | (?P<number>(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
    """,
    re.X,
)
_LISTS = re.compile(r"\?(?:\s*,\s*\?)+")


def without_literals(text):
    """Return a statement without its literals and comments, on one line, at most 500 characters.

    Strings, numbers and dollar-quoted bodies become ``?``, a list of them one ``?``; parameters
    (``$1``) and names stay.
    """

    def replacement(match):
        if match.lastgroup in ("word", "name"):
            return match.group()
        return " " if match.group("comment") is not None else "?"

    def replace(match):
        for kind in ("word", "name"):
            if match.group(kind) is not None:
                return match.group()
        return replacement(match)

    text = _LISTS.sub("?", " ".join(_PIECES.sub(replace, text).split()))
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 3] + "..."


def command(text):
    """Return the first word of a statement in lower case, whatever comments come before it."""
    found = re.search(r"[A-Za-z_]+", without_literals(text))
    return found.group().lower() if found else ""


def observe_statements(scope):
    """Return what pg_stat_statements has on this database, or why it has nothing."""
    facts = scope.server
    if not facts["statements_schema"] or not facts["statements_loaded"]:
        return {"available": False, "installed": bool(facts["statements_schema"]), "top": []}
    renamed = _release(facts["statements_version"]) >= (1, 8)
    total, mean = _TIMES[renamed]
    with scope.member("pg_stat_statements", "pg_stat_statements") as schema:
        if schema is None:
            raise PostgresError("the view pg_stat_statements is no longer the extension's own")
        rows = scope.rows(
            _STATEMENTS.format(limit=_MOST_STATEMENTS, schema=schema, total=total, mean=mean)
        )
    with scope.member("pg_stat_statements", "pg_stat_statements_info") as schema:
        # Since 1.9.
        since = scope.row(_SINCE.format(schema=schema))["seconds"] if schema else None
    hidden = sum(1 for row in rows if row["query"] == _HIDDEN)
    top = []
    for row in rows:
        row.pop("all_ms")
        if row["query"] != _HIDDEN and row["queryid"] is not None:
            row["command"] = command(row["query"])
            row["query"] = without_literals(row["query"])
            top.append(row)
    return {"available": True, "top": top, "hidden": hidden, "since_seconds": since}


def _release(version):
    return tuple(int(part) for part in re.findall(r"\d+", version or "0")[:2])


def observe_running(scope):
    """Return the statements that have been running for a second or more, without literals."""
    rows = scope.rows(_RUNNING)
    for row in rows:
        row["command"] = command(row["query"])
        row["query"] = without_literals(row["query"])
    return rows


def since_previous(top, earlier):
    """Return statements with the calls and times since an earlier run, where that knew them.

    A statement's mean holds all that was since the statistics were reset, so that what has been
    fixed stays slow there for long: the difference of two runs shows how it is now. The share
    is left as it is. A statement that was not called since is left out.

    Args:
        top: rows of ``observe_statements``.
        earlier: the same of the earlier run, or None.
    """
    known = {(row["queryid"], row["role"]): row for row in earlier or ()}
    result = []
    for row in top:
        before = known.get((row["queryid"], row["role"]))
        if before and before["calls"] <= row["calls"]:
            calls = row["calls"] - before["calls"]
            total = row["total_ms"] - before["total_ms"]
            if not calls:
                continue
            row = dict(row, calls=calls, total_ms=total, mean_ms=total / calls)
        result.append(row)
    return result


def decide_slow(scope, statements):
    """Return the finding on slow statements."""
    subject = "db.queries.slow"
    if not statements["available"]:
        return [_without_extension(subject, statements)]
    warn, fail, unit = scope.thresholds["statement_ms"]
    judged = since_previous(statements["top"], scope.earlier("statements", "top"))
    slow = [row for row in judged if _is_slow(row, warn, fail)]
    slow.sort(key=lambda row: -row["total_ms"])
    if slow:
        worst = max(row["mean_ms"] for row in slow)
        first = slow[0]
        return [
            verdict.bad(
                subject,
                grade(worst, warn, fail),
                "%d statement(s) take %.0f ms or more on average; the most expensive: %.0f ms, "
                "%d calls, %.0f %% of all time: %s"
                % (
                    len(slow),
                    warn,
                    first["mean_ms"],
                    first["calls"],
                    first["share_percent"],
                    first["query"][:120],
                ),
                value=round(worst, 3),
                unit=unit,
                warn=warn,
                fail=fail,
                evidence={
                    "statements": [_short(row) for row in slow[: scope.limit]],
                    "since_seconds": statements["since_seconds"],
                    "since_previous_run": bool(scope.earlier("statements", "top")),
                },
                advice=(
                    "Fix the cause named here; where there is none, inspect the plan: "
                    "EXPLAIN (ANALYZE, BUFFERS) of the statement with real values."
                ),
                remedy="slow_query_log",
            )
        ]
    if statements["hidden"] or not scope.server["sees_sessions"]:
        return [
            verdict.needs_role(
                subject, "Other roles' statements", "pg_read_all_stats", scope.server
            )
        ]
    return [
        verdict.ok(
            subject,
            "None of %d statements takes %.0f ms or more on average over %d calls or more"
            % (len(judged), warn, _OFTEN),
            evidence={"statements": [_short(row) for row in judged[:3]]},
        )
    ]


def _is_slow(row, warn, fail):
    if row["command"] not in _QUERIES or row["share_percent"] < _SMALLEST_SHARE:
        return False
    often = _OFTEN_WHEN_VERY_SLOW if row["mean_ms"] >= fail else _OFTEN
    return row["mean_ms"] >= warn and row["calls"] >= often


def _short(row):
    return {
        "query": row["query"],
        "role": row["role"],
        "calls": row["calls"],
        "mean_ms": round(row["mean_ms"], 3),
        "total_ms": round(row["total_ms"], 1),
        "share_percent": round(row["share_percent"], 1),
    }


def _without_extension(subject, statements):
    if statements["installed"]:
        reason = "pg_stat_statements is installed here, but the server has not loaded it"
    else:
        reason = "pg_stat_statements is not installed in this database"
    return verdict.skipped(
        subject,
        reason + ": the time of statements is not counted",
        advice=(
            "Add pg_stat_statements to shared_preload_libraries, restart the server, and run "
            "CREATE EXTENSION pg_stat_statements in the application's database."
        ),
    )


def decide_running(scope, running):
    """Return the finding on statements that run for long right now."""
    subject = "db.queries.running"
    warn, fail, unit = scope.thresholds["running_seconds"]
    longest = [row for row in running if row["seconds"] >= warn]
    work = [row for row in longest if row["command"] in _MAINTENANCE]
    queries = [row for row in longest if row["command"] not in _MAINTENANCE]
    evidence = {}
    if work:
        evidence["maintenance"] = [_session(row) for row in work[: scope.limit]]
    if queries:
        worst = queries[0]
        return [
            verdict.bad(
                subject,
                grade(worst["seconds"], warn, fail),
                "%d statement(s) run for %.0f s or more; the longest for %s (pid %d, %s)%s: %s"
                % (
                    len(queries),
                    warn,
                    verdict.span(worst["seconds"]),
                    worst["pid"],
                    worst["role"],
                    ", waiting for a lock" if worst["wait_type"] == "Lock" else "",
                    worst["query"][:120],
                ),
                value=round(worst["seconds"], 1),
                unit=unit,
                warn=warn,
                fail=fail,
                evidence=dict(
                    evidence, statements=[_session(row) for row in queries[: scope.limit]]
                ),
                advice=(
                    "Find out whether anybody still waits for it; SELECT pg_cancel_backend(%d) "
                    "ends the statement and keeps the session."
                )
                % worst["pid"],
            )
        ]
    if not scope.server["sees_sessions"]:
        return [
            verdict.needs_role(subject, "What other roles run", "pg_read_all_stats", scope.server)
        ]
    text = "No statement runs for %.0f s or more" % warn
    if work:
        text += " but maintenance (%s)" % verdict.some(row["command"] for row in work)
    return [verdict.ok(subject, text, evidence=evidence)]


def _session(row):
    return dict(
        {key: value for key, value in row.items() if value is not None},
        seconds=round(row["seconds"], 1),
    )
