# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes and drops indexes CONCURRENTLY, and clears away what a failed attempt has left behind.

An index that could not be built concurrently stays as an invalid one: it costs every write, serves
no read, and keeps its name from the next attempt.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import (
    InvalidValue,
    OperationError,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import (
    connect,
    refuse_standby,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sql import identifier

#: PostgreSQL cuts longer names off, in bytes.
_LONGEST_NAME = 63

_INDEXES = """
SELECT x.relname::text AS name, i.indisvalid AS valid, i.indisready AS ready, i.indisunique AS
  "unique",
  m.amname::text AS method, pg_get_indexdef(i.indexrelid) AS definition,
  pg_relation_size(i.indexrelid) AS bytes, pg_get_expr(i.indpred, i.indrelid) AS predicate,
  (SELECT array_agg(a.attname::text ORDER BY k.position)
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, position)
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
    WHERE k.position <= i.indnkeyatts) AS columns,
  (SELECT coalesce(array_agg(a.attname::text ORDER BY k.position), '{}')
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE k.position > i.indnkeyatts) AS include,
  i.indoption::text AS options, t.relname::text AS "table",
  (SELECT min(p.pid) FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) AS
    built_by
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_am m ON m.oid = x.relam
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = x.relnamespace
WHERE n.nspname = %s AND (t.relname = %s OR x.relname = %s)
"""
_TABLE = """
SELECT c.relkind::text AS kind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'm', 'p')
"""


class IndexRefused(OperationError):
    """The index cannot be made or dropped; the message says why."""


class Plan:
    """What is to be done.

    Attributes:
        drop: the name of the index to drop first, or None.
        create: whether to create one.
        served_by: the name of the valid index that is what is wanted, or None.
    """

    def __init__(self, drop=None, create=False, served_by=None):
        self.drop = drop
        self.create = create
        self.served_by = served_by

    @property
    def changes(self):
        """Whether anything is to be done."""
        return bool(self.drop or self.create)


def name_of(params):
    """Return the name of the index: the one given, else made from those of the table and
    columns.
    """
    if params["name"]:
        return params["name"]
    name = "idx_" + "_".join([params["table"]] + params["columns"])
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")


def plan(params, indexes):
    """Decide what is to be done. Pure.

    Args:
        params: the options of ``pg_index``.
        indexes: the rows of the table's indexes, and of the one with the wanted name.

    Raises:
        IndexRefused: the name belongs to something else, or the index is being built right now.
    """
    name = name_of(params)
    there = next((row for row in indexes if row["name"] == name), None)
    if there and there["table"] != params["table"]:
        raise IndexRefused("%s is an index of another table, %s" % (name, there["table"]))
    if there and there["built_by"]:
        raise IndexRefused("%s is being built right now, by pid %d" % (name, there["built_by"]))
    if params["state"] == "absent":
        return Plan(drop=name if there else None)
    if there and there["valid"]:
        if not _same(params, there):
            raise IndexRefused("there is another index of this name: %s" % there["definition"])
        return Plan(served_by=name)
    serving = next((row["name"] for row in indexes if row["valid"] and _same(params, row)), None)
    leftover = name if there else None
    return Plan(drop=leftover, create=not serving, served_by=serving)


def _same(params, row):
    """Return whether an index serves what is wanted: the same columns in the same order, all rows,
    all that is requested.
    """
    wanted = (params["columns"], params["include"], params["method"])
    if (row["columns"], row["include"], row["method"]) != wanted or row["table"] != params["table"]:
        return False
    # Descending or NULLS FIRST reads the same rows in another order.
    if row["unique"] != params["unique"] or set(row["options"].split()) != {"0"}:
        return False
    return _plain(row["predicate"]) == _plain(params["where"])


def _plain(predicate):
    """Return a predicate without spaces and parentheses, which the server sets as it likes."""
    return "".join(char for char in predicate or "" if char not in " ()\n").lower()


def statements(params, planned):
    """Return the SQL of a plan, in order."""
    name = identifier(name_of(params))
    sql = []
    if planned.drop:
        sql.append(
            "DROP INDEX CONCURRENTLY %s.%s"
            % (identifier(params["schema"]), identifier(planned.drop))
        )
    if planned.create:
        sql.append(
            "CREATE %sINDEX CONCURRENTLY %s ON %s.%s USING %s (%s)%s%s"
            % (
                "UNIQUE " if params["unique"] else "",
                name,
                identifier(params["schema"]),
                identifier(params["table"]),
                identifier(params["method"]),
                ", ".join(map(identifier, params["columns"])),
                (
                    " INCLUDE (%s)" % ", ".join(map(identifier, params["include"]))
                    if params["include"]
                    else ""
                ),
                " WHERE %s" % params["where"] if params["where"] else "",
            )
        )
    return sql


def run(params, deadline, check_mode):
    """Bring the index into its state.

    Args:
        params: the options of ``pg_index``.
        deadline: the Deadline of it all.
        check_mode: whether to decide only.

    Raises:
        IndexRefused: see plan(); or the index is invalid after the last attempt, and was dropped
            again.
        PostgresError: the server cannot be queried, or refused.
    """
    if params["state"] == "present" and not params["columns"]:
        raise InvalidValue("columns: an index needs at least one")
    if params["state"] == "absent" and not (params["name"] or params["columns"]):
        raise InvalidValue(
            "name: which index of %s? Give its name or its columns" % params["table"]
        )
    with connect(
        params,
        deadline,
        acting=True,
        name="sergas.ops pg_index",
        # It waits for transactions that are older than the index, and blocks no one meanwhile.
        lock_timeout=params["lock_timeout"],
    ) as session:
        kinds = session.rows(_TABLE, [params["schema"], params["table"]])
        if not kinds and not (params["state"] == "absent" and params["name"]):
            raise IndexRefused(
                "there is no table %s.%s in this database" % (params["schema"], params["table"])
            )
        if kinds and kinds[0]["kind"] == "p":
            raise IndexRefused(
                "%s is partitioned: name its partitions, one by one" % params["table"]
            )
        before = _indexes(session, params)
        planned = plan(params, before)
        sql = statements(params, planned)
        if sql:
            refuse_standby(session, "an index")
        attempts = 0
        if not check_mode and sql:
            attempts = _apply(session, params, planned)
        after = before if check_mode else _indexes(session, params)
        index = next(
            (row for row in after if row["name"] == (planned.served_by or name_of(params))), None
        )
    return {
        "changed": planned.changes,
        "driver": session.driver,
        "name": name_of(params),
        "served_by": planned.served_by,
        "dropped": planned.drop,
        "attempts": attempts,
        "statements": sql,
        "valid": bool(index and index["valid"]),
        "bytes": index["bytes"] if index else None,
        "diff": {
            "before": {"indexes": _definitions(before)},
            "after": {"indexes": _expected(before, planned, sql)},
        },
    }


def _indexes(session, params):
    return session.rows(_INDEXES, [params["schema"], params["table"], name_of(params)])


def _apply(session, params, planned):
    """Run the plan's statements, the creation as often as is allowed; return how often that was."""
    for attempt in range(1, params["attempts"] + 1):
        try:
            for statement in statements(params, planned):
                session.execute(statement)
            return attempt if planned.create else 0
        except errors.ConnectionLost:
            raise
        except errors.PostgresError as error:
            _clear_away(session, params)
            hopeless = not isinstance(error, (errors.LockTimedOut, errors.StatementFailed))
            if hopeless or attempt == params["attempts"]:
                raise IndexRefused("%s (after %d attempts)" % (error, attempt)) from error
            planned = Plan(create=planned.create)
    raise InvalidValue("attempts: %d is below 1" % params["attempts"])


def _clear_away(session, params):
    """Drop what the failed attempt has left, if it has left anything."""
    name = name_of(params)
    for row in _indexes(session, params):
        if row["name"] == name and not row["valid"] and not row["built_by"]:
            session.execute(
                "DROP INDEX CONCURRENTLY %s.%s" % (identifier(params["schema"]), identifier(name))
            )


def _definitions(rows):
    return sorted(row["definition"] + ("" if row["valid"] else " (invalid)") for row in rows)


def _expected(before, planned, sql):
    rows = [row for row in before if row["name"] != planned.drop]
    return sorted(_definitions(rows) + ([sql[-1]] if planned.create else []))
