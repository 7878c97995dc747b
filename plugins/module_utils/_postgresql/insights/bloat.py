# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bloat: space of tables and indexes that holds nothing. Measured where it can be.

An estimate compares the size with what the rows should take by the planner's statistics. It is
only made where those are visible and fresh: without them it can be wrong either way by anything.
"""

from __future__ import annotations

import math

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import grade
from ansible_collections.sergas.ops.plugins.module_utils._net.postgres_errors import PostgresError
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    EXCLUSIVELY_LOCKED,
    IN_SCHEMAS,
)

#: What is smaller, or would free less, is not worth a finding.
_SMALLEST = 10 * 1024**2
_MOST_TABLES = 50
_MOST_MEASURED = 20
#: pgstattuple reads: no more than this of a relation, and of all, in one diagnosis.
_MOST_READ_EACH = 256 * 1024**2
_MOST_READ = 512 * 1024**2
#: Statistics are fresh enough while no more of the rows and of the pages changed.
_MOST_CHANGED = 0.1
_PAGE_HEADER = 24
_LINE_POINTER = 4
_ROW_HEADER = 23
_INDEX_ROW_HEADER = 8
_INDEX_SPECIAL = 16
_ALIGNMENT = {"c": 1, "s": 2, "i": 4, "d": 8}

_TABLES = (
    "WITH locked AS MATERIALIZED ("
    + EXCLUSIVELY_LOCKED
    + """)
SELECT * FROM (
  SELECT c.oid::bigint AS id, n.nspname::text AS schema, c.relname::text AS "table",
    c.reltuples::float8 AS estimated_rows, c.relpages::bigint AS pages,
    c.relallvisible::bigint AS visible_pages, am.amname = 'heap' AS is_heap,
    c.oid IN (SELECT l.relation FROM locked l) AS is_locked,
    CASE WHEN c.oid IN (SELECT l.relation FROM locked l) THEN c.relpages::bigint * {block}
      ELSE pg_relation_size(c.oid) END AS bytes,
    pg_stat_get_live_tuples(c.oid) AS live_rows, pg_stat_get_dead_tuples(c.oid) AS dead_rows,
    pg_stat_get_mod_since_analyze(c.oid) AS changed_rows,
    greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid))
      IS NOT NULL AS is_analyzed,
    coalesce((SELECT p.option_value::int FROM pg_options_to_table(c.reloptions) p
              WHERE p.option_name = 'fillfactor'), 100) AS fillfactor
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_am am ON am.oid = c.relam
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
    AND """
    + IN_SCHEMAS
    + """
) t
WHERE t.bytes >= {smallest} ORDER BY t.bytes DESC LIMIT {most}
"""
)

_COLUMNS = """
SELECT a.attrelid::bigint AS id, a.attnum AS number, a.attlen AS length, a.attalign AS alignment,
  s.null_frac::float8 AS null_share, s.avg_width AS width
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN LATERAL (
  SELECT p.null_frac, p.avg_width FROM pg_stats p
  WHERE p.schemaname = n.nspname AND p.tablename = c.relname AND p.attname = a.attname
    AND NOT p.inherited
) s ON true
WHERE c.oid IN ({ids})
ORDER BY a.attrelid, a.attnum
"""

_INDEXES = """
SELECT x.oid::bigint AS id, i.indrelid::bigint AS table_id, n.nspname::text AS schema,
  c.relname::text AS "table", x.relname::text AS "index", x.relpages::bigint * {block} AS bytes,
  am.amname AS method, i.indisunique AS is_unique,
  i.indexprs IS NULL AND i.indpred IS NULL AS is_plain,
  string_to_array(i.indkey::text, ' ')::int[] AS columns,
  coalesce((SELECT p.option_value::int FROM pg_options_to_table(x.reloptions) p
            WHERE p.option_name = 'fillfactor'), 90) AS fillfactor
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i'
JOIN pg_am am ON am.oid = x.relam
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indisvalid AND x.relpages * {block}::bigint >= {smallest} AND c.oid IN ({ids})
  AND x.oid NOT IN (SELECT l.relation FROM ({locked}) l)
ORDER BY x.relpages DESC LIMIT {most}
"""

_MEASURE_TABLES = """
SELECT v.id, t.table_len AS bytes,
  (t.approx_free_percent + t.dead_tuple_percent)::float8 AS wasted_percent
FROM unnest(ARRAY[{ids}]::bigint[]) v(id),
  LATERAL {schema}.pgstattuple_approx(v.id::oid::regclass) t
"""

_MEASURE_INDEXES = """
SELECT v.id, t.index_size AS bytes, t.avg_leaf_density::float8 AS density
FROM unnest(ARRAY[{ids}]::bigint[]) v(id),
  LATERAL {schema}.pgstatindex(v.id::oid::regclass) t
"""


def observe(scope):
    """Return large tables and their large indexes, with what is known of the bloat of each.

    Returns:
        {tables, indexes, unmeasured}: the rows of ``judge``, and why nothing could be measured.
    """
    block = scope.server["block_bytes"]
    tables = scope.rows(
        _TABLES.format(block=block, smallest=_SMALLEST, most=_MOST_TABLES),
        scope.schemas_json,
        scope.schemas_json,
    )
    indexes = []
    if tables:
        ids = _ids(tables)
        columns = {}
        for row in scope.rows(_COLUMNS.format(ids=ids)):
            columns.setdefault(row.pop("id"), []).append(row)
        for table in tables:
            table["columns"] = columns.get(table["id"], [])
        indexes = scope.rows(
            _INDEXES.format(
                block=block,
                smallest=_SMALLEST,
                ids=ids,
                locked=EXCLUSIVELY_LOCKED,
                most=_MOST_TABLES,
            )
        )
    observed = {"tables": tables, "indexes": indexes, "unmeasured": None}
    _measure(scope, observed, block)
    observed["tables"], observed["indexes"] = judge(observed, block)
    return observed


def _ids(rows):
    return ", ".join("%d" % row["id"] for row in rows)


def _measure(scope, observed, block):
    """Put what pgstattuple says into the rows, and why it cannot into ``unmeasured``."""
    if not scope.server["pgstattuple_schema"]:
        observed["unmeasured"] = "the extension pgstattuple is not installed"
        return
    if not scope.server["scans_tables"]:
        observed["unmeasured"] = "the role is not a member of pg_stat_scan_tables"
        return
    tables = _affordable(
        [row for row in observed["tables"] if row["is_heap"] and not row["is_locked"]],
        lambda row: max(0, row["bytes"] - row["visible_pages"] * block),
    )
    indexes = _affordable(
        [row for row in observed["indexes"] if row["method"] == "btree"],
        lambda row: row["bytes"],
    )
    try:
        for rows, function, statement in (
            (tables, "pgstattuple_approx", _MEASURE_TABLES),
            (indexes, "pgstatindex", _MEASURE_INDEXES),
        ):
            if not rows:
                continue
            with scope.member("pgstattuple", function, "regclass") as schema:
                if not schema:
                    observed["unmeasured"] = "the extension pgstattuple is too old"
                    return
                answers = scope.rows(statement.format(schema=schema, ids=_ids(rows)))
            by_id = {answer["id"]: answer for answer in answers}
            for row in rows:
                row["measured"] = by_id.get(row["id"])
    except PostgresError as error:
        observed["unmeasured"] = str(error)


def _affordable(rows, cost):
    chosen = []
    spent = 0
    for row in rows:
        price = cost(row)
        if price <= _MOST_READ_EACH and spent + price <= _MOST_READ:
            chosen.append(row)
            spent += price
    return chosen[:_MOST_MEASURED]


def _align(offset, alignment):
    return -(-offset // alignment) * alignment


def row_bytes(columns):
    """Return how many bytes a row takes on its page, by the statistics of its columns.

    Args:
        columns: in the order of the table: length (below 0: variable), alignment (c s i d), width
            (average, in bytes) and null_share of each.

    The layout is that of PostgreSQL's documentation, chapter "Database Page Layout": a header of
    23 bytes and a bitmap where there are nulls, aligned to 8; each column aligned by its type,
    short variable ones not at all; a line pointer of 4.
    """
    bitmap = math.ceil(len(columns) / 8.0) if any(c["null_share"] > 0 for c in columns) else 0
    offset = 0.0
    for column in columns:
        present = 1.0 - column["null_share"]
        fixed = column["length"] > 0
        start = _align(offset, _ALIGNMENT[column["alignment"]]) if fixed else offset
        offset += (start + column["width"] - offset) * present
    return _align(_ROW_HEADER + bitmap, 8) + _align(math.ceil(offset), 8) + _LINE_POINTER


def expected_bytes(rows, columns, fillfactor, block):
    """Return the bytes of a table without bloat: its rows, page by page, filled to fillfactor."""
    if rows <= 0:
        return 0
    usable = (block - _PAGE_HEADER) * fillfactor / 100.0
    return math.ceil(rows / max(1.0, usable // row_bytes(columns))) * block


def expected_index_bytes(rows, columns, fillfactor, block):
    """Return the bytes of a btree without bloat or duplicates, see ``row_bytes``."""
    width = sum(column["width"] * (1.0 - column["null_share"]) for column in columns)
    entry = _align(_INDEX_ROW_HEADER + math.ceil(width), 8) + _LINE_POINTER
    usable = (block - _PAGE_HEADER - _INDEX_SPECIAL) * fillfactor / 100.0
    leaves = math.ceil(rows / max(1.0, usable // entry))
    # the metapage, and the levels above the leaves
    return (1 + leaves + math.ceil(leaves / max(2.0, usable // entry))) * block


def doubt(table, block):
    """Return why the statistics of a table do not allow an estimate, or None."""
    if not table["is_heap"]:
        return "not a heap"
    if table["is_locked"]:
        return "exclusively locked"
    if not table["is_analyzed"]:
        return "not analyzed, as far as the statistics go back"
    rows = table["estimated_rows"]
    if rows < 0 or table["changed_rows"] > max(1.0, rows) * _MOST_CHANGED:
        return "stale statistics: %d of %d rows changed" % (table["changed_rows"], max(0, rows))
    pages = table["bytes"] / float(block)
    if abs(pages - table["pages"]) > pages * _MOST_CHANGED:
        return "stale statistics: %d pages, now %d" % (table["pages"], pages)
    if rows > 0 and not _complete(table["columns"]):
        return "its statistics (pg_stats) are not visible or not complete"
    return None


def _complete(columns):
    return bool(columns) and all(column["width"] is not None for column in columns)


def judge_table(table, block):
    """Return {percent, bytes, confidence, reason} of a table's bloat; percent None if unknown."""
    measured = table.get("measured")
    if measured:
        percent = min(100.0, measured["wasted_percent"])
        return _judged(percent, measured["bytes"] * percent / 100.0, "measured")
    reason = doubt(table, block)
    if reason:
        return _judged(None, None, "blind", reason)
    ideal = expected_bytes(table["estimated_rows"], table["columns"], table["fillfactor"], block)
    wasted = max(0, table["bytes"] - ideal)
    return _judged(100.0 * wasted / table["bytes"], wasted, "estimated")


def judge_index(index, table, block):
    """Return the same as ``judge_table`` of an index.

    A btree that is not unique stores equal values once since PostgreSQL 13: no statistics tell how
    large it should be.
    """
    measured = index.get("measured")
    if measured and measured["density"] == measured["density"]:
        percent = max(0.0, 100.0 * (1.0 - measured["density"] / index["fillfactor"]))
        return _judged(percent, measured["bytes"] * percent / 100.0, "measured")
    if index["method"] != "btree":
        return _judged(None, None, "blind", "the method %s" % index["method"])
    if not index["is_unique"]:
        return _judged(None, None, "blind", "a btree that stores equal values once")
    if not index["is_plain"]:
        return _judged(None, None, "blind", "an index on expressions or on a part of the rows")
    reason = doubt(table, block)
    if reason:
        return _judged(None, None, "blind", reason)
    by_number = {column["number"]: column for column in table["columns"]}
    columns = [by_number[number] for number in index["columns"] if number in by_number]
    if not _complete(columns):
        return _judged(None, None, "blind", "its table's statistics are not visible")
    ideal = expected_index_bytes(table["estimated_rows"], columns, index["fillfactor"], block)
    wasted = max(0, index["bytes"] - ideal)
    return _judged(100.0 * wasted / index["bytes"], wasted, "estimated")


def _judged(percent, wasted, confidence, reason=None):
    return {
        "percent": None if percent is None else round(percent, 1),
        "wasted_bytes": None if wasted is None else int(wasted),
        "confidence": confidence,
        "reason": reason,
    }


def judge(observed, block):
    """Return (tables, indexes): rows with names, sizes and what is known of their bloat."""
    by_id = {table["id"]: table for table in observed["tables"]}
    tables = [
        dict({key: row[key] for key in ("schema", "table", "bytes")}, **judge_table(row, block))
        for row in observed["tables"]
    ]
    indexes = [
        dict(
            {key: row[key] for key in ("schema", "table", "index", "bytes")},
            **judge_index(row, by_id[row["table_id"]], block),
        )
        for row in observed["indexes"]
    ]
    return tables, indexes


def decide(scope, observed):
    """Return the findings on bloat: of tables, and of indexes where there is something to say."""
    warn, fail, unit = scope.thresholds["bloat_percent"]
    tables, indexes = observed["tables"], observed["indexes"]
    known = [row for row in tables + indexes if row["percent"] is not None]
    bloated = [row for row in known if row["percent"] >= warn and row["wasted_bytes"] >= _SMALLEST]
    unknown_tables = [row for row in tables if row["percent"] is None]
    unknown_indexes = [row for row in indexes if row["percent"] is None]
    findings = []
    if bloated:
        findings.append(_bloated(scope, bloated))
    elif unknown_tables and scope.server["in_recovery"]:
        # Statistics of what was changed and analyzed stay on the primary.
        findings.append(
            verdict.skipped(
                "db.bloat",
                "A standby can only measure bloat, not estimate it: it is that of its primary",
                confidence="blind",
            )
        )
    elif unknown_tables:
        findings.append(_unmeasured(scope, unknown_tables, observed["unmeasured"]))
    else:
        findings.append(
            verdict.ok(
                "db.bloat",
                "%d tables and indexes of %s or more, none of them %.0f %% bloated"
                % (len(known), verdict.size(_SMALLEST), warn),
                confidence=(
                    "measured"
                    if all(row["confidence"] == "measured" for row in known)
                    else "estimated"
                ),
                unit=unit,
                warn=warn,
                fail=fail,
            )
        )
    if unknown_indexes:
        findings.append(
            verdict.skipped(
                "db.bloat.indexes",
                "%d large index(es) cannot be estimated, %s: %s"
                % (
                    len(unknown_indexes),
                    unknown_indexes[0]["reason"],
                    verdict.some(row["index"] for row in unknown_indexes),
                ),
                confidence="blind",
                evidence={"indexes": unknown_indexes[: scope.limit]},
                advice="CREATE EXTENSION pgstattuple lets the diagnosis measure them.",
            )
        )
    return findings


def _bloated(scope, rows):
    warn, fail, unit = scope.thresholds["bloat_percent"]
    rows.sort(key=lambda row: -row["wasted_bytes"])
    worst = max(row["percent"] for row in rows)
    total = sum(row["wasted_bytes"] for row in rows)
    first = rows[0]
    return verdict.bad(
        "db.bloat",
        grade(worst, warn, fail),
        "%d tables and indexes hold %s of unused space; most of it %s: %.0f %% of %s"
        % (
            len(rows),
            verdict.size(total),
            first.get("index", first["table"]),
            first["percent"],
            verdict.size(first["bytes"]),
        ),
        value=worst,
        unit=unit,
        warn=warn,
        fail=fail,
        confidence=(
            "measured" if all(row["confidence"] == "measured" for row in rows) else "estimated"
        ),
        evidence={
            "tables": [row for row in rows if "index" not in row][: scope.limit],
            "indexes": [row for row in rows if "index" in row][: scope.limit],
        },
        advice=(
            "VACUUM makes the space usable again for the same table. Returning it to the disk takes"
            " REINDEX CONCURRENTLY for an index, and for a table VACUUM FULL, which locks it and"
            " needs its size free, or pg_repack."
        ),
    )


def _unmeasured(scope, rows, unmeasured):
    reasons = {}
    for row in rows:
        reasons.setdefault(row["reason"].split(":")[0], []).append(row["table"])
    hidden = not scope.server["reads_data"]
    advice = "ANALYZE those tables"
    if hidden:
        role = "pg_read_all_data" if scope.server["version"] >= 140000 else "the tables' owner"
        advice = "GRANT %s TO %s" % (role, verdict.quoted(scope.server["role"]))
    return verdict.unknown(
        "db.bloat",
        "The bloat of %d table(s) is unknown: %s"
        % (
            len(rows),
            "; ".join(
                "%s (%s)" % (reason, verdict.some(names)) for reason, names in reasons.items()
            ),
        ),
        evidence={"tables": rows[: scope.limit], "unmeasured": unmeasured},
        advice=advice + ", or CREATE EXTENSION pgstattuple, which measures it.",
    )
