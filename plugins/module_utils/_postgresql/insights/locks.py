# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who waits for a lock, who is at the root of it, and which transactions have been open for
long.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import grade
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import prepared
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.statements import (
    without_literals,
)

#: Finding a session's blockers stops the lock manager for a moment: not for more sessions.
_MOST_WAITING = 50
#: A prepared transaction without a lock on a table may take so many times as long as one with it.
_OPEN_FACTOR = 10

# 14 knows since when a session waits. Before, it waits for as long as its statement runs, at most.
_WAITED = {True: "l.waitstart", False: "a.query_start"}

_WAITING = """
SELECT l.*, to_json(pg_blocking_pids(l.pid)) AS blockers FROM (
  SELECT l.pid, l.locktype AS type, l.mode, a.datname::text AS database, a.usename::text AS role,
    a.application_name AS application, n.nspname::text AS schema, c.relname::text AS "table",
    extract(epoch FROM clock_timestamp() - {waited})::float8 AS seconds,
    left(a.query, 4000) AS query, count(*) OVER ()::int AS waiting
  FROM pg_locks l
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  LEFT JOIN pg_class c ON c.oid = l.relation
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT l.granted AND l.pid <> pg_backend_pid()
  ORDER BY {waited} LIMIT {most}
) l
"""

_SESSIONS = """
SELECT a.pid, a.usename::text AS role, a.datname::text AS database,
  a.application_name AS application, host(a.client_addr) AS client, a.state, a.backend_type,
  extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_seconds,
  left(a.query, 4000) AS query
FROM pg_stat_activity a WHERE a.pid IN ({pids})
"""

_TRANSACTIONS = """
SELECT a.pid, a.usename::text AS role, a.datname::text AS database,
  a.application_name AS application, host(a.client_addr) AS client, a.state,
  extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
  age(a.backend_xmin)::bigint AS xmin_age, left(a.query, 4000) AS query
FROM pg_stat_activity a
WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
  AND a.xact_start < clock_timestamp() - interval '1 minute'
ORDER BY seconds DESC LIMIT 200
"""


def observe_locks(scope):
    """Return who waits for a lock, whom each waits for, and the sessions at the root."""
    waited = _WAITED[scope.server["version"] >= 140000]
    waiting = scope.rows(_WAITING.format(waited=waited, most=_MOST_WAITING))
    pids = roots(waiting)
    sessions = []
    if pids:
        sessions = scope.rows(_SESSIONS.format(pids=", ".join("%d" % pid for pid in pids)))
    for row in waiting + sessions:
        row["query"] = without_literals(row["query"] or "")
    count = waiting[0]["waiting"] if waiting else 0
    for row in waiting:
        row.pop("waiting")
    return {"count": count, "waiting": waiting, "roots": sessions, "prepared": 0 in pids}


def roots(waiting):
    """Return the pids that others wait for and that wait for no one; 0 is a prepared
    transaction.
    """
    blocked = {row["pid"] for row in waiting}
    return sorted({pid for row in waiting for pid in row["blockers"]} - blocked)


def observe_transactions(scope):
    """Return the transactions of sessions that have been open for a minute or more."""
    rows = scope.rows(_TRANSACTIONS)
    for row in rows:
        row["query"] = without_literals(row["query"] or "")
    return rows


def observe_prepared(scope):
    """Return the prepared transactions."""
    return scope.rows(prepared.QUERY)


def decide_locks(scope, observed, prepared_rows=None):
    """Return the finding on sessions that wait for a lock."""
    subject = "db.locks"
    warn, fail, unit = scope.thresholds["lock_wait_seconds"]
    waits = [row["seconds"] for row in observed["waiting"] if row["seconds"] is not None]
    longest = max(waits, default=0.0)
    exact = scope.server["version"] >= 140000
    if observed["count"] and not waits and not (exact or scope.server["sees_sessions"]):
        return [
            verdict.needs_role(
                subject, "How long sessions wait for a lock", "pg_read_all_stats", scope.server
            )
        ]
    status = grade(longest, warn, fail)
    numbers = {
        "value": round(longest, 1),
        "unit": unit,
        "warn": warn,
        "fail": fail,
        "confidence": "measured" if exact else "estimated",
    }
    if status == "ok":
        text = "No session waits for a lock"
        if observed["count"]:
            text = "%d session(s) wait for a lock, none for %.0f s or more" % (
                observed["count"],
                warn,
            )
        return [verdict.ok(subject, text, **numbers)]
    root = observed["roots"][0] if observed["roots"] else None
    evidence = {
        "waiting": [_lean(row) for row in observed["waiting"][: scope.limit]],
        "roots": [_lean(row) for row in observed["roots"][: scope.limit]],
    }
    advice = "Inspect pg_prepared_xacts, and COMMIT or ROLLBACK PREPARED what is left there."
    at_root = _at_root(root, observed["prepared"])
    if root:
        advice = (
            "Let the session at the root end its transaction; SELECT "
            "pg_terminate_backend(%d) does it by force." % root["pid"]
        )
    elif observed["prepared"]:
        holders = _holders(observed["waiting"], prepared_rows or ())
        if holders:
            evidence["prepared"] = holders
            at_root = "at the root is " + prepared.in_words(holders[0])
            advice = prepared.ADVICE % holders[0]["gid"]
    return [
        verdict.bad(
            "db.locks.blocked",
            status,
            "%d session(s) wait for a lock, the longest for %s; %s"
            % (observed["count"], verdict.span(longest), at_root),
            evidence=evidence,
            advice=advice,
            remedy="end_blocker" if root else None,
            **numbers,
        )
    ]


def _at_root(root, prepared):
    if root is None:
        return "a prepared transaction is at the root" if prepared else "the root has just ended"
    return "at the root is pid %d (%s, %s, %s, transaction open for %s)" % (
        root["pid"],
        root["role"],
        root["application"] or "no application name",
        root["state"] or "state not visible",
        (
            "an unknown time"
            if root["transaction_seconds"] is None
            else verdict.span(root["transaction_seconds"])
        ),
    )


def _holders(waiting, rows):
    """Return the prepared transactions that hold what others wait for: of a table that one waits
    for, else all that lock one at all.
    """
    tables = {"%s.%s" % (row["schema"], row["table"]) for row in waiting if row.get("table")}
    exact = [row for row in rows if tables & {lock["table"] for lock in row["locks"]}]
    return exact or [row for row in rows if row["locks"]] or list(rows)


def _lean(row):
    """Return a row without what is not known, times rounded."""
    return {
        key: round(value, 1) if isinstance(value, float) else value
        for key, value in row.items()
        if value not in (None, "")
    }


def decide_transactions(scope, rows, prepared_rows):
    """Return the findings on transactions that have been open for long."""
    left = _decide_prepared(scope, prepared_rows)
    found = _decide_open(scope, rows)
    return left + [item for item in found if item["status"] != "ok" or not left]


def _decide_prepared(scope, rows):
    """Return the finding, in a list, on prepared transactions that no one ends.

    One that keeps others from writing to a table counts at once: a manager of transactions ends one
    in milliseconds, and all who come next wait. Any other one locks rows, and keeps VACUUM away.
    """
    warn, fail, unit = scope.thresholds["prepared_seconds"]
    open_warn = _OPEN_FACTOR * fail
    left = [row for row in rows if row["seconds"] >= (warn if prepared.locked(row) else open_warn)]
    if not left:
        return []
    left.sort(key=lambda row: (not prepared.locked(row), -row["seconds"]))
    worst = left[0]
    holds = bool(prepared.locked(worst))
    return [
        verdict.bad(
            "db.transactions.prepared",
            grade(worst["seconds"], warn, fail) if holds else "warn",
            "%d prepared transaction(s) are left: %s" % (len(left), prepared.in_words(worst)),
            reason="locks" if holds else "open",
            value=round(worst["seconds"], 1),
            unit=unit,
            warn=warn,
            fail=fail,
            evidence={"prepared": left[: scope.limit]},
            advice=prepared.ADVICE % worst["gid"],
        )
    ]


def _decide_open(scope, rows):
    subject = "db.transactions"
    warn, fail, unit = scope.thresholds["transaction_seconds"]
    long = [row for row in rows if row["seconds"] >= warn]
    if long:
        first = long[0]
        return [
            verdict.bad(
                "db.transactions.long",
                grade(first["seconds"], warn, fail),
                "%d transaction(s) have been open for %s or more; the oldest for %s (%s, %s, %s)"
                % (
                    len(long),
                    verdict.span(warn),
                    verdict.span(first["seconds"]),
                    "pid %d" % first["pid"],
                    first["role"],
                    first["state"],
                ),
                value=round(first["seconds"], 1),
                unit=unit,
                warn=warn,
                fail=fail,
                evidence={"transactions": [_lean(row) for row in long[: scope.limit]]},
                advice=(
                    "They keep VACUUM from removing dead rows anywhere. "
                    "End them, and set idle_in_transaction_session_timeout for the role."
                ),
            )
        ]
    if not scope.server["sees_sessions"]:
        return [
            verdict.needs_role(
                subject, "Other roles' transactions", "pg_read_all_stats", scope.server
            )
        ]
    return [verdict.ok(subject, "No transaction has been open for %s or more" % verdict.span(warn))]
