# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Missing indexes: tables read from end to end, foreign keys without an index, and which
columns.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    IN_SCHEMAS,
)

#: Reading a smaller table from end to end is what the planner should do.
_FEWEST_ROWS = 10000
#: A nightly dump reads every table as well, and building an index reads it once.
_FEWEST_SCANS = 50
_SCANS_WHATEVER_THE_TIME = 1000
_SCANS_PER_HOUR = 1.0
#: Below this share of index scans a table is missing one.
_INDEX_SHARE = 95.0
#: An index over fewer different values helps hardly any query.
_FEWEST_VALUES = 10

_TABLES = (
    """
SELECT t.*, extract(epoch FROM clock_timestamp())::float8 AS taken_at FROM (
  SELECT c.oid::bigint AS id, n.nspname::text AS schema, c.relname::text AS "table",
    greatest(pg_stat_get_live_tuples(c.oid), c.reltuples)::bigint AS live_rows,
    pg_stat_get_numscans(c.oid) AS seq_scans, pg_stat_get_tuples_returned(c.oid) AS seq_rows,
    coalesce((SELECT sum(pg_stat_get_numscans(i.indexrelid))
              FROM pg_index i WHERE i.indrelid = c.oid), 0)::bigint AS index_scans
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
    AND greatest(pg_stat_get_live_tuples(c.oid), c.reltuples) >= {rows}
    AND pg_stat_get_numscans(c.oid) > 0
    AND """
    + IN_SCHEMAS
    + """
) t
ORDER BY t.seq_rows DESC LIMIT 200
"""
)

# A list of tables at once: one round trip, however many there are.
_COLUMNS = """
SELECT a.attrelid::bigint AS id, a.attname::text AS "column", s.n_distinct::float8 AS n_distinct,
  EXISTS (SELECT 1 FROM pg_index i
          WHERE i.indrelid = a.attrelid AND i.indisvalid AND i.indpred IS NULL
            AND i.indkey[0] = a.attnum) AS leads_index
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN LATERAL (
  SELECT p.n_distinct FROM pg_stats p
  WHERE p.schemaname = n.nspname AND p.tablename = c.relname AND p.attname = a.attname
  ORDER BY p.inherited LIMIT 1
) s ON true
WHERE c.oid IN ({ids})
ORDER BY a.attrelid, a.attnum LIMIT 2000
"""

# Deleting or changing a row of the parent looks for its rows in the child, by reading all of it
# where no index starts with the columns of the key, in whichever order.
_FOREIGN_KEYS = (
    """
SELECT n.nspname::text AS schema, c.relname::text AS "table", k.conname::text AS foreign_key,
  k.confrelid::regclass::text AS parent,
  (SELECT json_agg(a.attname ORDER BY u.position)
   FROM unnest(k.conkey) WITH ORDINALITY u(number, position)
   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number) AS columns,
  greatest(pg_stat_get_live_tuples(c.oid), c.reltuples)::bigint AS live_rows,
  pg_stat_get_tuples_deleted(k.confrelid) AS parent_deletes,
  pg_stat_get_tuples_updated(k.confrelid) - pg_stat_get_tuples_hot_updated(k.confrelid)
    AS parent_updates
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid AND c.relkind = 'r'
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f'
  AND greatest(pg_stat_get_live_tuples(c.oid), c.reltuples) >= {rows}
  AND NOT EXISTS (
    SELECT 1 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
      JOIN pg_am am ON am.oid = x.relam AND am.amname IN ('btree', 'hash')
    WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
      AND cardinality(k.conkey) <= i.indnkeyatts
      AND (string_to_array(i.indkey::text, ' '))[1:cardinality(k.conkey)]
        @> k.conkey::text[])
  AND """
    + IN_SCHEMAS
    + """
ORDER BY live_rows DESC LIMIT 200
"""
)

_NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)'
_NO_ALIAS = frozenset(
    "where set join inner left right full cross natural on using order group having limit offset "
    "union values returning for as window fetch intersect except default select tablesample".split()
)
# Where predicates are, up to what ends them.
_PREDICATES = re.compile(
    r"\b(?:where|on)\b(?P<text>.*?)"
    r"(?=\b(?:where|on|group\s+by|order\s+by|limit|returning|set|union|having|window|offset)\b|\Z)",
    re.I | re.S,
)
_EQUAL = r"\s*(?:=(?!>)|\bin\b|\bis\s+null\b)"
_RANGE = r"\s*(?:<=|>=|<(?!>)|>|\bbetween\b|\blike\b)"


def observe(scope):
    """Return tables that are read from end to end, their columns, and foreign keys without
    index.
    """
    schemas = (scope.schemas_json, scope.schemas_json)
    tables = scope.rows(_TABLES.format(rows=_FEWEST_ROWS), *schemas)
    ids = [table["id"] for table in tables if _is_read_whole(scope, table)]
    columns = {}
    if ids:
        for row in scope.rows(_COLUMNS.format(ids=", ".join("%d" % number for number in ids[:50]))):
            columns.setdefault(row.pop("id"), []).append(row)
    for table in tables:
        table["columns"] = columns.get(table["id"], [])
    keys = scope.rows(_FOREIGN_KEYS.format(rows=_FEWEST_ROWS), *schemas)
    return {"tables": tables, "foreign_keys": keys}


def predicate_columns(query, table, columns):
    """Return which columns of a table a statement filters or joins by.

    It reads the words of the statement, not its grammar: a column that another table of the
    statement has as well is taken for this table's unless its prefix says otherwise.

    Args:
        query: a statement without literals.
        table: the table's name.
        columns: names of its columns.

    Returns:
        {column: ``equality`` or ``range``}, in the order of columns; None where the statement does
        not name the table.
    """
    mention = re.compile(
        r'(?<![\w$"])"?%s"?(?![\w$])(?:\s+(?:as\s+)?(?P<alias>%s))?' % (re.escape(table), _NAME),
        re.I,
    )
    names = {table.lower()}
    found = list(mention.finditer(query))
    if not found:
        return None
    for match in found:
        alias = (match.group("alias") or "").strip('"').lower()
        if alias and alias not in _NO_ALIAS:
            names.add(alias)
    text = " ; ".join(match.group("text") for match in _PREDICATES.finditer(query))
    result = {}
    for column in columns:
        pattern = r'(?<![\w$"])(?:(?P<prefix>%s)\s*\.\s*)?"?%s"?(?![\w$])' % (
            _NAME,
            re.escape(column),
        )
        for match in re.finditer(pattern, text, re.I):
            prefix = (match.group("prefix") or "").strip('"').lower()
            if prefix and prefix not in names:
                continue
            after, before = text[match.end() :], text[: match.start()]
            if re.match(_EQUAL, after, re.I) or re.search(r"(?<![<>!])=\s*$", before):
                result[column] = "equality"
            elif re.match(_RANGE, after, re.I):
                result.setdefault(column, "range")
    return result


def suggest(table, statements):
    """Return what statements say about the index that a table is missing.

    Args:
        table: a row of ``observe``, with its columns.
        statements: rows with a query and its total time in total_ms.

    Returns:
        dict: mentioned, how many statements name the table; wanted, a list of {columns, total_ms,
        calls, query, queryids} for those that filter by columns no index starts with, the
        costliest first.
    """
    by_name = {column["column"]: column for column in table["columns"]}
    mentioned = 0
    wanted = {}
    for statement in statements:
        used = predicate_columns(statement["query"], table["table"], by_name)
        if used is None:
            continue
        mentioned += 1
        if any(by_name[column]["leads_index"] for column in used):
            continue
        selective = [column for column in used if _selective(by_name[column], table["live_rows"])]
        equal = [column for column in selective if used[column] == "equality"]
        equal.sort(key=lambda name: -_values(by_name[name], table["live_rows"]))
        ranges = [column for column in selective if used[column] == "range"]
        columns = tuple(equal[:2] + ranges[:1])
        if not columns:
            continue
        entry = wanted.setdefault(
            columns,
            {
                "columns": list(columns),
                "total_ms": 0.0,
                "calls": 0,
                "query": statement["query"],
                "queryids": [],
            },
        )
        if statement.get("queryid"):
            entry["queryids"].append(statement["queryid"])
        entry["total_ms"] += statement.get("total_ms") or 0.0
        entry["calls"] += statement.get("calls") or 0
    ranked = sorted(wanted.values(), key=lambda entry: -entry["total_ms"])
    for entry in ranked:
        entry["total_ms"] = round(entry["total_ms"], 1)
    return {"mentioned": mentioned, "wanted": ranked}


def _has_statistics(table):
    return any(column["n_distinct"] is not None for column in table["columns"])


def _values(column, rows):
    """Return how many different values a column has; what is not known counts as many."""
    distinct = column["n_distinct"]
    if distinct is None:
        return rows
    return -distinct * rows if distinct < 0 else distinct


def _selective(column, rows):
    return _values(column, rows) >= _FEWEST_VALUES


def is_read_whole(table, earlier, statistics_seconds):
    """Return whether a table is read from end to end so often that it seems to be missing an index.

    Args:
        table: a row of ``observe``.
        earlier: the same of an earlier run, or None; then what happened since counts.
        statistics_seconds: how long the counters have been counting.
    """
    scans, index_scans = table["seq_scans"], table["index_scans"]
    seconds = statistics_seconds
    if earlier and earlier["id"] == table["id"] and earlier["seq_scans"] <= scans:
        scans -= earlier["seq_scans"]
        index_scans -= earlier["index_scans"]
        seconds = table["taken_at"] - earlier["taken_at"]
    if scans < _FEWEST_SCANS:
        return False
    if scans < _SCANS_WHATEVER_THE_TIME and scans / max(seconds / 3600.0, 1.0) < _SCANS_PER_HOUR:
        return False
    return 100.0 * index_scans / (index_scans + scans) < _INDEX_SHARE


def _is_read_whole(scope, table):
    earlier = scope.earlier("missing_indexes", "tables") or ()
    before = next((row for row in earlier if row["id"] == table["id"]), None)
    return is_read_whole(table, before, scope.server["statistics_seconds"])


def decide(scope, observed, statements, running):
    """Return the finding on missing indexes.

    Args:
        observed: what ``observe`` returned.
        statements: what ``statements.observe_statements`` returned, or None.
        running: what ``statements.observe_running`` returned, or None.
    """
    subject = "db.index.missing"
    counted = bool(statements and statements["available"] and statements["top"])
    texts = list(statements["top"]) if counted else []
    texts += [dict(row, total_ms=1000.0 * row["seconds"], calls=1) for row in running or ()]
    tables = []
    for table in observed["tables"]:
        if not _is_read_whole(scope, table):
            continue
        advice = suggest(table, texts)
        # Where the statements are known and none is missing an index, they want the whole table.
        if counted and advice["mentioned"] and not advice["wanted"]:
            continue
        row = _evidence(table, advice["wanted"], observed["foreign_keys"])
        if _has_statistics(table) and not (
            row["wanted"] or row["foreign_keys"] or row["candidates"]
        ):
            continue
        tables.append(row)
    keys = [
        key for key in observed["foreign_keys"] if key["parent_deletes"] or key["parent_updates"]
    ]
    if not tables and not keys:
        return [
            verdict.ok(
                subject,
                "No table of %d rows or more seems to be missing an index" % _FEWEST_ROWS,
                evidence={"foreign_keys_without_index": len(observed["foreign_keys"])},
            )
        ]
    return [_missing(scope, subject, tables, keys)]


def _evidence(table, wanted, keys):
    row = {
        "schema": table["schema"],
        "table": table["table"],
        "live_rows": table["live_rows"],
        "seq_scans": table["seq_scans"],
        "rows_per_scan": round(table["seq_rows"] / max(1, table["seq_scans"])),
        "index_scans": table["index_scans"],
        "wanted": wanted[:3],
        "foreign_keys": [],
        "candidates": [],
    }
    if not wanted:
        # Without statements: foreign keys are joined by, else what could be filtered by.
        row["foreign_keys"] = [
            key["columns"]
            for key in keys
            if (key["schema"], key["table"]) == (row["schema"], row["table"])
        ]
        row["candidates"] = [
            column["column"]
            for column in table["columns"]
            if not column["leads_index"]
            and column["n_distinct"] is not None
            and _values(column, table["live_rows"]) > 1000
        ][:5]
    return row


def _missing(scope, subject, tables, keys):
    parts = []
    if tables:
        parts.append(
            "%d table(s) are read from end to end: %s"
            % (
                len(tables),
                verdict.some(
                    "%s (%d times, %d rows each)"
                    % (row["table"], row["seq_scans"], row["rows_per_scan"])
                    for row in tables
                ),
            )
        )
    if keys:
        parts.append(
            "%d foreign key(s) have no index: %s"
            % (
                len(keys),
                verdict.some("%s(%s)" % (key["table"], ", ".join(key["columns"])) for key in keys),
            )
        )
    wanted = [
        {"schema": row["schema"], "table": row["table"], "columns": columns}
        for row in tables
        for columns in [entry["columns"] for entry in row["wanted"][:1]] or row["foreign_keys"]
    ]
    wanted += [{name: key[name] for name in ("schema", "table", "columns")} for key in keys]
    indexes = [index for n, index in enumerate(wanted) if index not in wanted[:n]]
    creations = [_create(index["schema"], index["table"], index["columns"]) for index in indexes]
    counted = [id for row in tables for entry in row["wanted"] for id in entry.get("queryids", ())]
    known = all(row["wanted"] for row in tables)
    return verdict.bad(
        subject,
        "warn",
        "; ".join(parts),
        value=len(tables) + len(keys),
        unit="indexes",
        confidence="measured" if known else "estimated",
        evidence={
            "tables": tables[: scope.limit],
            "foreign_keys": keys[: scope.limit],
            "create": creations[: scope.limit],
            "indexes": indexes[: scope.limit],
            # What has been counted of these is out of date once the indexes are there.
            "counted": {"queryids": sorted(set(counted))},
        },
        remedy="create_indexes" if indexes else None,
        advice=(
            "Check with EXPLAIN, then: %s;" % creations[0]
            if creations
            else (
                "Find the statements that read the table (pg_stat_statements names them) and index "
                "the columns they filter by, with CREATE INDEX CONCURRENTLY."
            )
        ),
    )


def _create(schema, table, columns):
    return "CREATE INDEX CONCURRENTLY ON %s.%s (%s)" % (
        verdict.quoted(schema),
        verdict.quoted(table),
        ", ".join(verdict.quoted(column) for column in columns),
    )
