# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sequences near their end, by their own limit and by the type of the column they fill."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import grade
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    IN_SCHEMAS,
)

#: Each is a file to open. Of those that have room for a thousand rows a second over thirty years,
#: not all are.
_MOST_READ = 10000
_WIDE = 10**12
_MOST_WIDE_READ = 1000

# The columns that a sequence fills: of its owner, and of each DEFAULT that takes its next value, as
# of a sequence made by hand, or one that several tables share; the narrowest counts.
# A standby cannot read an unlogged sequence. The share used is compared here, so that of ten
# thousand sequences only those near their end travel.
_SEQUENCES = (
    """
WITH filled AS MATERIALIZED (
  SELECT DISTINCT ON (d.sequence) d.sequence, d.attrelid, d.attnum FROM (
  SELECT d.objid AS sequence, a.attrelid, a.attnum, a.atttypid
  FROM pg_depend d
  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0
    AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
  UNION
  SELECT d.refobjid, a.attrelid, a.attnum, a.atttypid
  FROM pg_depend d
  JOIN pg_attrdef e ON e.oid = d.objid
  JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
  WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.deptype = 'n'
  ) d
  ORDER BY d.sequence, d.atttypid = 'int2'::regtype DESC, d.atttypid = 'int4'::regtype DESC
), sequence AS MATERIALIZED (
  SELECT c.oid AS id, n.nspname::text AS schema, c.relname::text AS sequence, s.seqmin, s.seqmax,
    s.seqincrement, o.relname::text AS "table", a.attname::text AS "column",
    t.most AS column_most, least(s.seqmax, coalesce(t.most, s.seqmax))::float8 - s.seqmin AS width,
    has_sequence_privilege(c.oid, 'SELECT, USAGE') AS is_visible
  FROM pg_sequence s
  JOIN pg_class c ON c.oid = s.seqrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN filled f ON f.sequence = c.oid
  LEFT JOIN pg_class o ON o.oid = f.attrelid
  LEFT JOIN pg_attribute a ON a.attrelid = f.attrelid AND a.attnum = f.attnum
  LEFT JOIN (VALUES ('int2'::regtype, 32767), ('int4'::regtype, 2147483647)) t(type, most)
    ON t.type = a.atttypid
  WHERE NOT s.seqcycle AND c.relpersistence IN ('p', {persistence})
    AND """
    + IN_SCHEMAS
    + """
), narrow AS MATERIALIZED (
  SELECT q.*, CASE WHEN q.is_visible THEN pg_sequence_last_value(q.id) END AS last_value
  FROM (
    SELECT * FROM sequence r
    ORDER BY r.width, r.id
    LIMIT least({read}, {wide_read} + (SELECT count(*) FROM sequence w WHERE w.width < {wide}))
  ) q
), used AS (
  SELECT q.*, CASE
      WHEN q.last_value IS NULL THEN 0
      WHEN q.seqincrement > 0 THEN 100.0 * (q.last_value::float8 - q.seqmin)
        / greatest(1, least(q.seqmax, coalesce(q.column_most, q.seqmax))::float8 - q.seqmin)
      ELSE 100.0 * (q.seqmax::float8 - q.last_value) / greatest(1, q.seqmax::float8 - q.seqmin)
    END AS percent
  FROM narrow q
)
SELECT (SELECT count(*) FROM sequence) AS sequences,
  (SELECT count(*) FROM used) AS inspected,
  (SELECT count(*) FROM used u WHERE NOT u.is_visible) AS hidden,
  (SELECT coalesce(json_agg(t), '[]') FROM (
    SELECT u.schema, u.sequence, u."table", u."column", u.last_value,
      least(u.seqmax, coalesce(u.column_most, u.seqmax)) AS most,
      u.column_most < u.seqmax AS column_is_smaller, u.percent
    FROM used u WHERE u.is_visible ORDER BY u.percent DESC LIMIT {limit}) t) AS fullest
"""
)


def observe(scope):
    """Return how many sequences there are, how many the role cannot read, and the fullest ones."""
    persistence = "'p'" if scope.server["in_recovery"] else "'u'"
    return scope.row(
        _SEQUENCES.format(
            persistence=persistence,
            limit=scope.limit,
            read=_MOST_READ,
            wide=_WIDE,
            wide_read=_MOST_WIDE_READ,
        ),
        scope.schemas_json,
        scope.schemas_json,
    )


def decide(scope, observed):
    """Return the finding on sequences near their end."""
    subject = "db.sequences"
    warn, fail, unit = scope.thresholds["sequence_percent"]
    near = [row for row in observed["fullest"] if row["percent"] >= warn]
    if near:
        first = near[0]
        return [
            verdict.bad(
                "db.sequences.exhausted",
                grade(first["percent"], warn, fail),
                "%d sequence(s) are near their end: %s has used %.1f %% of %d (%s)"
                % (
                    len(near),
                    first["sequence"],
                    first["percent"],
                    first["most"],
                    (
                        "the type of %s.%s ends there" % (first["table"], first["column"])
                        if first["column_is_smaller"]
                        else "its own limit"
                    ),
                ),
                value=round(first["percent"], 2),
                unit=unit,
                warn=warn,
                fail=fail,
                evidence={"sequences": near},
                advice=(
                    "Make the column a bigint (which rewrites the table) and the sequence too: "
                    "ALTER SEQUENCE ... AS bigint. Inserts fail at the end."
                ),
            )
        ]
    if observed["hidden"]:
        server = scope.server
        if server["version"] >= 140000:
            return [
                verdict.needs_role(
                    subject,
                    "%d of %d sequences" % (observed["hidden"], observed["sequences"]),
                    "pg_read_all_data",
                    server,
                )
            ]
        return [
            verdict.unknown(
                subject,
                "%d of %d sequences cannot be read by the role %s"
                % (observed["hidden"], observed["sequences"], server["role"]),
                advice="GRANT SELECT ON ALL SEQUENCES IN SCHEMA ... TO %s."
                % verdict.quoted(server["role"]),
            )
        ]
    highest = observed["fullest"][0]["percent"] if observed["fullest"] else 0.0
    return [
        verdict.ok(
            subject,
            "None of %d sequences has used %.0f %% of its range%s"
            % (
                observed["inspected"],
                warn,
                (
                    ""
                    if observed["inspected"] == observed["sequences"]
                    else "; %d with a wider one were not read"
                    % (observed["sequences"] - observed["inspected"])
                ),
            ),
            value=round(highest, 2),
            unit=unit,
            warn=warn,
            fail=fail,
        )
    ]
