# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance that is due: dead rows, statistics of the planner, and transaction ids."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import grade
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    IN_SCHEMAS,
)

#: Fewer dead or changed rows do no harm, whatever share of a small table they are.
_FEWEST_ROWS = 10000

# autovacuum_vacuum_max_threshold came with 18. The table's own options win over the server's.
_TABLES = (
    """
SELECT t.*,
  least(coalesce(o.vacuum_threshold, current_setting('autovacuum_vacuum_threshold')::float8)
    + coalesce(o.vacuum_factor, current_setting('autovacuum_vacuum_scale_factor')::float8)
      * t.live_rows,
    nullif(coalesce(o.vacuum_most,
      current_setting('autovacuum_vacuum_max_threshold', true)::float8), -1)) AS vacuum_at,
  coalesce(o.analyze_threshold, current_setting('autovacuum_analyze_threshold')::float8)
    + coalesce(o.analyze_factor, current_setting('autovacuum_analyze_scale_factor')::float8)
      * t.live_rows AS analyze_at,
  coalesce(o.enabled, true) AS autovacuum,
  EXISTS (SELECT 1 FROM pg_stat_progress_vacuum p WHERE p.relid = t.id
    AND p.datname = current_database()) AS vacuuming,
  {statistics} AS has_statistics
FROM (
  SELECT c.oid AS id, n.nspname::text AS schema, c.relname::text AS "table", c.reloptions,
    greatest(pg_stat_get_live_tuples(c.oid), c.reltuples, 0)::bigint AS live_rows,
    pg_stat_get_dead_tuples(c.oid) AS dead_rows,
    pg_stat_get_mod_since_analyze(c.oid) AS changed_rows,
    extract(epoch FROM clock_timestamp() - greatest(pg_stat_get_last_vacuum_time(c.oid),
      pg_stat_get_last_autovacuum_time(c.oid)))::float8 AS vacuumed_seconds_ago,
    extract(epoch FROM clock_timestamp() - greatest(pg_stat_get_last_analyze_time(c.oid),
      pg_stat_get_last_autoanalyze_time(c.oid)))::float8 AS analyzed_seconds_ago
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
    AND (pg_stat_get_dead_tuples(c.oid) >= {rows}
      OR pg_stat_get_mod_since_analyze(c.oid) >= {rows}
      OR (c.reltuples >= {rows} AND pg_stat_get_last_analyze_time(c.oid) IS NULL
        AND pg_stat_get_last_autoanalyze_time(c.oid) IS NULL))
    AND """
    + IN_SCHEMAS
    + """
  ORDER BY greatest(pg_stat_get_dead_tuples(c.oid), pg_stat_get_mod_since_analyze(c.oid)) DESC
  LIMIT 300
) t
CROSS JOIN LATERAL (
  SELECT
    max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_vacuum_threshold')::float8
      AS vacuum_threshold,
    max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_vacuum_scale_factor')::float8
      AS vacuum_factor,
    max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_vacuum_max_threshold')::float8
      AS vacuum_most,
    max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_analyze_threshold')::float8
      AS analyze_threshold,
    max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_analyze_scale_factor')::float8
      AS analyze_factor,
    max(p.option_value) FILTER (WHERE p.option_name = 'autovacuum_enabled')::boolean AS enabled
  FROM pg_options_to_table(t.reloptions) p
) o
"""
)

_HAS_STATISTICS = """EXISTS (SELECT 1 FROM pg_stats s
    WHERE s.schemaname = t.schema AND s.tablename = t."table")"""

_DATABASES = """
SELECT d.datname::text AS database, age(d.datfrozenxid)::bigint AS age,
  mxid_age(d.datminmxid)::bigint AS multixact_age
FROM pg_database d
ORDER BY greatest(age(d.datfrozenxid), mxid_age(d.datminmxid)) DESC LIMIT 50
"""

_OLDEST_TABLES = """
SELECT n.nspname::text AS schema, c.relname::text AS "table", age(c.relfrozenxid)::bigint AS age,
  mxid_age(c.relminmxid)::bigint AS multixact_age
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 't')
ORDER BY greatest(age(c.relfrozenxid), mxid_age(c.relminmxid)) DESC LIMIT {limit}
"""


def observe_tables(scope):
    """Return tables with many dead or changed rows, and when autovacuum was to start on them."""
    # A role without the right sees no statistics of a table, which is not the same as none.
    seen = _HAS_STATISTICS if scope.server["reads_data"] else "NULL::boolean"
    rows = scope.rows(
        _TABLES.format(rows=_FEWEST_ROWS, statistics=seen), scope.schemas_json, scope.schemas_json
    )
    for row in rows:
        row.pop("reloptions")
    return rows


def observe_wraparound(scope):
    """Return how many transactions ago the databases and the oldest tables were frozen."""
    return {
        "databases": scope.rows(_DATABASES),
        "tables": scope.rows(_OLDEST_TABLES.format(limit=scope.limit)),
    }


def decide_vacuum(scope, tables):
    """Return the finding on dead rows that VACUUM should have removed."""
    subject = "db.vacuum"
    if scope.server["in_recovery"]:
        return [verdict.skipped(subject, "A standby is vacuumed by its primary")]
    warn, fail, unit = scope.thresholds["vacuum_factor"]
    due = [
        dict(_evidence(row), factor=row["dead_rows"] / max(1.0, row["vacuum_at"]))
        for row in tables
        if row["dead_rows"] >= _FEWEST_ROWS
    ]
    busy = [row["table"] for row in due if row["vacuuming"] and row["factor"] >= warn]
    late = [row for row in due if row["factor"] >= warn and not row["vacuuming"]]
    late.sort(key=lambda row: -row["factor"])
    if not late:
        text = "No table has %g times the dead rows that autovacuum waits for" % warn
        if busy:
            text += ", or it is being vacuumed right now (%s)" % verdict.some(busy)
        return [verdict.ok(subject, text)]
    worst = late[0]
    off = [row["table"] for row in late if not row["autovacuum"]]
    return [
        verdict.bad(
            "db.vacuum.overdue",
            grade(worst["factor"], warn, fail),
            "%d table(s) have %g times or more the dead rows that autovacuum waits for; %s has %d "
            "dead beside %d live rows%s"
            % (
                len(late),
                warn,
                worst["table"],
                worst["dead_rows"],
                worst["live_rows"],
                "; autovacuum is off for %s" % verdict.some(off) if off else "",
            ),
            value=round(worst["factor"], 1),
            unit=unit,
            warn=warn,
            fail=fail,
            evidence={"tables": late[: scope.limit]},
            advice=(
                "End what keeps the rows alive (transactions open for long, dead slots), then "
                "VACUUM (ANALYZE) %s."
            )
            % verdict.qualified(worst),
            remedy="vacuum_analyze",
        )
    ]


def decide_statistics(scope, tables):
    """Return the finding on statistics that are missing or older than the table's content."""
    subject = "db.statistics"
    if scope.server["in_recovery"]:
        return [verdict.skipped(subject, "A standby has the statistics of its primary")]
    warn, fail, unit = scope.thresholds["analyze_factor"]
    stale = []
    for row in tables:
        factor = row["changed_rows"] / max(1.0, row["analyze_at"])
        changed = row["changed_rows"] >= _FEWEST_ROWS and factor >= warn
        # False, not None: what the role cannot see is no evidence.
        none = row["has_statistics"] is False and row["live_rows"] >= _FEWEST_ROWS
        if changed or none:
            stale.append(dict(_evidence(row), factor=factor, has_statistics=row["has_statistics"]))
    if not stale:
        return [
            verdict.ok(subject, "The planner's statistics are as fresh as autovacuum keeps them")
        ]
    stale.sort(key=lambda row: -row["factor"])
    worst = stale[0]
    status = grade(worst["factor"], warn, fail)
    return [
        verdict.bad(
            "db.statistics.stale",
            "warn" if status == "ok" else status,
            "The statistics of %d table(s) are stale; %s: %d rows changed since ANALYZE (%s), of %d"
            % (
                len(stale),
                worst["table"],
                worst["changed_rows"],
                (
                    "never done or not known"
                    if worst["analyzed_seconds_ago"] is None
                    else "%s ago" % verdict.span(worst["analyzed_seconds_ago"])
                ),
                worst["live_rows"],
            ),
            value=round(worst["factor"], 1),
            unit=unit,
            warn=warn,
            fail=fail,
            evidence={"tables": stale[: scope.limit]},
            advice="ANALYZE %s;" % verdict.qualified(worst),
            remedy="vacuum_analyze",
        )
    ]


def _evidence(row):
    keys = (
        "schema table live_rows dead_rows changed_rows vacuumed_seconds_ago analyzed_seconds_ago "
        "autovacuum vacuuming"
    ).split()
    result = {key: row[key] for key in keys}
    for key in ("vacuumed_seconds_ago", "analyzed_seconds_ago"):
        if result[key] is not None:
            result[key] = round(result[key])
    return result


def decide_wraparound(scope, observed):
    """Return the finding on transaction ids that run out."""
    warn, fail, unit = scope.thresholds["wraparound_age"]
    worst = max(observed["databases"], key=_oldest)
    age = _oldest(worst)
    return [_wraparound(scope, observed, worst, age, grade(age, warn, fail), (warn, fail, unit))]


def _oldest(row):
    return max(row["age"], row["multixact_age"])


def _wraparound(scope, observed, worst, age, status, threshold):
    warn, fail, unit = threshold
    numbers = {"value": age, "unit": unit, "warn": warn, "fail": fail}
    summary = (
        "The oldest unfrozen row, in %s, is %d million transactions old (warn %d, fail %d)"
        % (
            worst["database"],
            age // 10**6,
            warn // 10**6,
            fail // 10**6,
        )
    )
    if status == "ok":
        return verdict.ok("db.wraparound", summary, **numbers)
    tables = [row for row in observed["tables"] if _oldest(row) >= warn]
    return verdict.bad(
        "db.wraparound.near",
        status,
        summary,
        evidence={"databases": observed["databases"][: scope.limit], "tables": tables},
        advice=(
            "End old transactions, prepared ones and dead slots, then VACUUM (FREEZE) the "
            "oldest tables of that database; at 2.1 billion the server refuses to write."
        ),
        **numbers,
    )
