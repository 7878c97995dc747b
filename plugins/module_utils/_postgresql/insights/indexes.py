# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Indexes that cost writes and disk and give nothing: unused, duplicate and invalid ones."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    IN_SCHEMAS,
)

#: A smaller index is not worth a thought.
_SMALLEST_UNUSED = 10 * 1024**2
#: Reports run weekly, so that statistics of fewer days cannot tell what is not used.
_DAYS_OF_STATISTICS = 7

# What a constraint, replication or a cluster order stands on is in use without being scanned.
_UNUSED = (
    """
SELECT n.nspname::text AS schema, c.relname::text AS "table", x.relname::text AS "index",
  x.relpages::bigint * {block} AS bytes, pg_stat_get_tuples_inserted(c.oid)
    + pg_stat_get_tuples_updated(c.oid) AS writes
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE x.relkind = 'i' AND i.indisvalid AND NOT i.indisunique AND NOT i.indisprimary
  AND NOT i.indisexclusion AND NOT i.indisreplident AND NOT i.indisclustered
  AND x.relpages >= {pages} AND pg_stat_get_numscans(x.oid) = 0
  AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.oid)
  AND """
    + IN_SCHEMAS
    + """
ORDER BY x.relpages DESC LIMIT 200
"""
)

# b covers a: same table, method, predicate and expressions, and the key columns of a are the
# first ones of b (all of them, where the method has no order). Pairs are found by their first
# column, so that the arrays are only built for those.
_DUPLICATE = (
    """
WITH candidate AS MATERIALIZED (
  SELECT i.*, i.indkey[0] AS first_column, x.relname, x.relam, x.relpages, m.amname
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
  WHERE i.indisvalid AND x.relkind = 'i'
), pair AS MATERIALIZED (
  SELECT a.indrelid, a.indexrelid, a.relname AS "index", b.relname AS covered_by, a.relpages,
    b.indexrelid AS covering, a.amname, a.indnkeyatts AS keys, b.indnkeyatts AS covering_keys,
    b.indisunique OR b.indisprimary OR b.indisreplident OR b.indisexclusion OR b.indisclustered
      AS is_needed,
    a.indpred, b.indpred AS covering_pred, a.indexprs, b.indexprs AS covering_exprs,
    string_to_array(a.indkey::text, ' ') AS columns,
    string_to_array(b.indkey::text, ' ') AS covering_columns,
    string_to_array(a.indclass::text, ' ') AS classes,
    string_to_array(b.indclass::text, ' ') AS covering_classes,
    string_to_array(a.indcollation::text, ' ') AS collations,
    string_to_array(b.indcollation::text, ' ') AS covering_collations,
    string_to_array(a.indoption::text, ' ') AS options,
    string_to_array(b.indoption::text, ' ') AS covering_options
  FROM candidate a
  JOIN candidate b ON b.indrelid = a.indrelid AND b.first_column = a.first_column
    AND b.relam = a.relam AND b.indexrelid <> a.indexrelid AND a.indnkeyatts <= b.indnkeyatts
  WHERE NOT a.indisunique AND NOT a.indisprimary AND NOT a.indisexclusion
    AND NOT a.indisreplident AND NOT a.indisclustered
)
SELECT n.nspname::text AS schema, c.relname::text AS "table", p."index"::text AS "index",
  p.covered_by::text AS covered_by, p.relpages::bigint * {block} AS bytes,
  pg_stat_get_numscans(p.indexrelid) AS scans
FROM pair p
JOIN pg_class c ON c.oid = p.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (p.amname = 'btree' OR p.keys = p.covering_keys)
  AND p.columns[1:p.keys] = p.covering_columns[1:p.keys]
  AND p.classes[1:p.keys] = p.covering_classes[1:p.keys]
  AND p.collations[1:p.keys] = p.covering_collations[1:p.keys]
  AND p.options[1:p.keys] = p.covering_options[1:p.keys]
  AND p.columns[p.keys + 1:] <@ p.covering_columns
  AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = p.indexrelid)
  AND coalesce(pg_get_expr(p.indpred, p.indrelid), '')
    = coalesce(pg_get_expr(p.covering_pred, p.indrelid), '')
  AND coalesce(pg_get_expr(p.indexprs, p.indrelid), '')
    = coalesce(pg_get_expr(p.covering_exprs, p.indrelid), '')
  -- of two that cover each other, the younger one goes
  AND (p.indexrelid > p.covering OR p.is_needed OR p.covering_keys > p.keys
       OR NOT p.covering_columns[p.covering_keys + 1:] <@ p.columns)
  AND """
    + IN_SCHEMAS
    + """
ORDER BY p.relpages DESC, p.indexrelid, p.covering LIMIT 200
"""
)

# While CREATE INDEX CONCURRENTLY builds an index, that is invalid and its table is locked in
# ShareUpdateExclusive mode by a client, which also holds for what a plain role may not see of
# pg_stat_progress_create_index.
_INVALID = (
    """
SELECT n.nspname::text AS schema, c.relname::text AS "table", x.relname::text AS "index",
  x.relpages::bigint * {block} AS bytes, i.indisunique AS is_unique, i.indisready AS is_written,
  EXISTS (
    SELECT 1 FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.relation = i.indrelid AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock')
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
  ) AS building
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE x.relkind = 'i' AND (NOT i.indisvalid OR NOT i.indisready OR NOT i.indislive)
  AND """
    + IN_SCHEMAS
    + """
ORDER BY x.relpages DESC LIMIT 200
"""
)


def _rows(scope, statement):
    block = scope.server["block_bytes"]
    text = statement.format(block=block, pages=_SMALLEST_UNUSED // block)
    return scope.rows(text, scope.schemas_json, scope.schemas_json)


def observe_unused(scope):
    """Return the indexes of 10 MB or more that no statement has used since the statistics began."""
    return _rows(scope, _UNUSED)


def observe_duplicate(scope):
    """Return the indexes that another one covers, with that one."""
    seen = set()
    rows = []
    for row in _rows(scope, _DUPLICATE):
        key = (row["schema"], row["index"])
        if key not in seen:
            seen.add(key)
            rows.append(row)
    return rows


def observe_invalid(scope):
    """Return the indexes that no statement can use, and whether one is being built just now."""
    return _rows(scope, _INVALID)


def decide_unused(scope, rows):
    """Return the finding on unused indexes."""
    subject = "db.index.unused"
    if scope.server["in_recovery"]:
        return [
            verdict.skipped(
                subject,
                "A standby counts its own scans only: what is unused is judged on the primary",
            )
        ]
    age = scope.server["statistics_seconds"]
    if rows and age < _DAYS_OF_STATISTICS * 86400:
        return [
            verdict.skipped(
                subject,
                "%d index(es) have not been used for %s, and unused means for %d days: too early"
                % (len(rows), verdict.span(age), _DAYS_OF_STATISTICS),
            )
        ]
    if not rows:
        return [
            verdict.ok(
                subject,
                "Every index of %s or more is used or needed" % verdict.size(_SMALLEST_UNUSED),
            )
        ]
    total = sum(row["bytes"] for row in rows)
    return [
        verdict.bad(
            subject,
            "warn",
            "%d index(es) of %s in all have not been used for %s: %s"
            % (
                len(rows),
                verdict.size(total),
                verdict.span(age),
                verdict.some(row["index"] for row in rows),
            ),
            value=total,
            unit="B",
            evidence={"indexes": rows[: scope.limit], "since_seconds": round(age)},
            advice=(
                "Check whether a standby uses it and whether it is older than the statistics, "
                "then: %s;"
            )
            % _drop(rows[0]),
        )
    ]


def decide_duplicate(scope, rows):
    """Return the finding on duplicate indexes."""
    subject = "db.index.duplicate"
    if not rows:
        return [verdict.ok(subject, "No index is covered by another one")]
    total = sum(row["bytes"] for row in rows)
    return [
        verdict.bad(
            subject,
            "warn",
            "%d index(es) of %s in all are covered by another one: %s"
            % (
                len(rows),
                verdict.size(total),
                verdict.some("%(index)s by %(covered_by)s" % row for row in rows),
            ),
            value=total,
            unit="B",
            evidence={"indexes": rows[: scope.limit]},
            advice="Drop what is covered: %s;" % _drop(rows[0]),
        )
    ]


def decide_invalid(scope, rows):
    """Return the finding on invalid indexes."""
    subject = "db.index.invalid"
    left = [row for row in rows if not row["building"]]
    building = [row["index"] for row in rows if row["building"]]
    if not left:
        text = "Every index is valid"
        if building:
            text += " or being built right now (%s)" % verdict.some(building)
        return [verdict.ok(subject, text)]
    return [
        verdict.bad(
            subject,
            "warn",
            "%d index(es) are invalid, no query uses them: %s"
            % (len(left), verdict.some("%(index)s on %(table)s" % row for row in left)),
            value=len(left),
            unit="indexes",
            evidence={"indexes": left[: scope.limit]},
            advice=(
                "A failed CREATE INDEX CONCURRENTLY leaves them behind: %s; and build it again, "
                "or REINDEX INDEX CONCURRENTLY it."
            )
            % _drop(left[0]),
        )
    ]


def _drop(row):
    name = "%s.%s" % (verdict.quoted(row["schema"]), verdict.quoted(row["index"]))
    return "DROP INDEX CONCURRENTLY %s" % name
