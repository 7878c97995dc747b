# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes and drops indexes CONCURRENTLY, and clears away what a failed attempt has left behind.

An index that could not be built concurrently stays as an invalid one: it costs every write, serves
no read, and keeps its name from the next attempt.
"""

from __future__ import annotations

import re
import time

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
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
#: How long it may take to clear away what an attempt has left at the deadline, in seconds.
_CLEARING_S = 30.0
#: What a condition may be made of: texts and names in quotes, and signs that begin no comment, no
#: text of another kind and no other statement. Without a backslash, E'' has no escapes either.
_CONDITION = re.compile(r"""(?:'[^'\\]*'|"[^"\\]*"|-(?!-)|/(?!\*)|[^'"\\;$/-])*\Z""")

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
    built_by,
  (SELECT format('the constraint %%I of %%s', k.conname, k.conrelid::regclass::text)
    FROM pg_constraint k WHERE k.conindid = i.indexrelid ORDER BY k.contype = 'f' LIMIT 1
  ) AS needed_by,
  (SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = i.indexrelid
  ) AS part_of,
  i.indisreplident AS identifies_rows
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_am m ON m.oid = x.relam
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = x.relnamespace
WHERE n.nspname = %s AND (t.relname = %s OR x.relname = %s)
"""
_TABLE = """
SELECT c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
  c.relowner = current_user::regrole AS own
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
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


def check(params):
    """Refuse options that no index can have. Pure.

    Raises:
        InvalidValue: the message names the option.
    """
    if params["state"] == "present" and not params["columns"]:
        raise InvalidValue("columns: an index needs at least one")
    if params["state"] == "absent" and not (params["name"] or params["columns"]):
        raise InvalidValue(
            "name: which index of %s? Give its name or its columns" % params["table"]
        )
    if len(name_of(params).encode()) > _LONGEST_NAME:
        raise InvalidValue(
            "name: %s is too long, %d bytes are the most" % (name_of(params), _LONGEST_NAME)
        )
    if params["where"] and not is_one_condition(params["where"]):
        raise InvalidValue(
            "where: it must be one condition in SQL, with its parentheses and quotes closed,"
            " without a semicolon, a comment, a backslash or a dollar sign: %s" % params["where"]
        )


def is_one_condition(text):
    """Return whether a text is at most one expression wherever it is put in parentheses. Pure.

    What it says is for the server to judge: see ``_rehearse``.
    """
    if not text.strip() or not _CONDITION.match(text):
        return False
    depth = 0
    for sign in re.sub(r"""'[^']*'|"[^"]*\"""", "", text):
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return False
    return depth == 0


def plan(params, indexes, predicate=None):
    """Decide what is to be done. Pure.

    Args:
        params: the options of ``pg_index``.
        indexes: the rows of the table's indexes, and of the one with the wanted name.
        predicate: the option ``where`` as the server spells it.

    Raises:
        IndexRefused: the name belongs to something else, the index is being built right now, or
            something needs the one that is to be dropped.
    """
    name = name_of(params)
    there = next((row for row in indexes if row["name"] == name), None)
    if there and there["table"] != params["table"]:
        raise IndexRefused("%s is an index of another table, %s" % (name, there["table"]))
    if there and there["built_by"]:
        raise IndexRefused("%s is being built right now, by pid %d" % (name, there["built_by"]))
    if params["state"] == "absent":
        if there:
            _refuse_needed(there)
        return Plan(drop=name if there else None)
    if there and there["valid"]:
        if not _same(params, there, predicate):
            raise IndexRefused("there is another index of this name: %s" % there["definition"])
        return Plan(served_by=name)
    if there:
        _refuse_needed(there)
    serving = next(
        (row["name"] for row in indexes if row["valid"] and _same(params, row, predicate)), None
    )
    leftover = name if there else None
    return Plan(drop=leftover, create=not serving, served_by=serving)


def _refuse_needed(row):
    """Refuse to drop an index that the server does not drop on its own, or should not.

    Raises:
        IndexRefused: names what needs it.
    """
    if row["needed_by"]:
        raise IndexRefused(
            "%s is needed by %s: the server drops it with that only, by ALTER TABLE …"
            " DROP CONSTRAINT" % (row["name"], row["needed_by"])
        )
    if row["part_of"]:
        raise IndexRefused(
            "%s is the part of %s for one partition, and goes with that only"
            % (row["name"], row["part_of"])
        )
    if row["identifies_rows"]:
        raise IndexRefused(
            "%s is the replica identity of %s: without it, a publication's updates and deletions"
            " fail. Give the table another one first" % (row["name"], row["table"])
        )


def _same(params, row, predicate):
    """Return whether an index serves what is wanted: the same columns in the same order, all rows,
    all that is requested.
    """
    wanted = (params["columns"], params["include"], params["method"])
    if (row["columns"], row["include"], row["method"]) != wanted or row["table"] != params["table"]:
        return False
    # Descending or NULLS FIRST reads the same rows in another order.
    if row["unique"] != params["unique"] or set(row["options"].split()) != {"0"}:
        return False
    return row["predicate"] == predicate


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
        table = "%s.%s" % (identifier(params["schema"]), identifier(params["table"]))
        sql.append(
            "CREATE %sINDEX CONCURRENTLY %s ON %s%s"
            % ("UNIQUE " if params["unique"] else "", name, table, _what(params))
        )
    return sql


def _what(params):
    """Return the part of CREATE INDEX that follows the name of the table."""
    include = ", ".join(map(identifier, params["include"]))
    return " USING %s (%s)%s%s" % (
        identifier(params["method"]),
        ", ".join(map(identifier, params["columns"])),
        " INCLUDE (%s)" % include if include else "",
        " WHERE (%s)" % params["where"] if params["where"] else "",
    )


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
    check(params)
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
        predicate = None
        if params["state"] == "present" and params["where"]:
            refuse_standby(session, "an index")
            predicate = _rehearse(session, params, kinds[0])
        planned = plan(params, before, predicate)
        sql = statements(params, planned)
        if sql:
            refuse_standby(session, "an index")
        if planned.create and not params["where"]:
            _rehearse(session, params, kinds[0])
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


def _rehearse(session, params, table):
    """Have the server judge the index on an empty table with the same columns, which is rolled
    back: in a check run, an index that cannot be would be promised otherwise.

    Nothing runs with the rights of the session: the server runs what an index calls as the owner of
    the table, who is the same. Triggers, expressions and conditions are not copied.

    Returns:
        The option ``where`` as the server spells it.

    Raises:
        IndexRefused: the server's own words.
    """
    try:
        with session.transaction(kept=False):
            session.execute(
                "CREATE TEMPORARY TABLE sergas_ops_rehearsal (LIKE %s.%s)"
                % (identifier(params["schema"]), identifier(params["table"]))
            )
            if not table["own"]:
                session.execute(
                    "ALTER TABLE pg_temp.sergas_ops_rehearsal OWNER TO %s"
                    % identifier(table["owner"])
                )
            session.execute(
                "CREATE %sINDEX sergas_ops_rehearsed ON pg_temp.sergas_ops_rehearsal%s"
                % ("UNIQUE " if params["unique"] else "", _what(params))
            )
            return session.rows(
                "SELECT pg_get_expr(i.indpred, i.indrelid) AS predicate FROM pg_index i"
                " WHERE i.indexrelid = 'pg_temp.sergas_ops_rehearsed'::regclass"
            )[0]["predicate"]
    except errors.InsufficientPrivilege as error:
        if not params["where"]:
            return None
        raise IndexRefused(
            "where: the role cannot have it judged, it may make no temporary table: %s" % error
        ) from error
    except errors.StatementFailed as error:
        raise IndexRefused("the server refuses such an index: %s" % error) from error


def _apply(session, params, planned):
    """Run the plan's statements, the creation as often as is allowed; return how often that was."""
    for attempt in range(1, params["attempts"] + 1):
        try:
            for statement in statements(params, planned):
                session.execute(statement)
            return attempt if planned.create else 0
        except (errors.PostgresError, DeadlineExceeded) as error:
            left, dropped = _clear_away(params)
            again = isinstance(error, (errors.LockTimedOut, errors.StatementFailed)) and not left
            if not again or attempt == params["attempts"]:
                raise IndexRefused(
                    "%s (after %d attempts)%s" % (error, attempt, left or dropped),
                    name=name_of(params),
                    dropped=name_of(params) if dropped else None,
                ) from error
            planned = Plan(create=planned.create)
    raise InvalidValue("attempts: %d is below 1" % params["attempts"])


def _clear_away(params):
    """Drop what the failed attempt has left, if it has left anything.

    In another session, with another deadline: the first one may have been lost, and the most
    frequent reason is that the time is up.

    Returns:
        (what is left and why, that something was dropped), each as the end of a sentence, or "".
    """
    name, deadline = name_of(params), Deadline(_CLEARING_S)
    try:
        with connect(
            params,
            deadline,
            acting=True,
            name="sergas.ops pg_index",
            lock_timeout=_CLEARING_S,
        ) as session:
            # The server notices after a moment that the session that builds it has gone.
            row = _leftover(session, params)
            while row and row["built_by"] and deadline.remaining() > _CLEARING_S / 2:
                time.sleep(0.2)
                row = _leftover(session, params)
            if row is None:
                return "", ""
            if row["built_by"]:
                raise IndexRefused("pid %d still builds it" % row["built_by"])
            session.execute(
                "DROP INDEX CONCURRENTLY %s.%s" % (identifier(params["schema"]), identifier(name))
            )
    except (OperationError, DeadlineExceeded) as error:
        return (
            "; what the attempt has left of %s may still be there, invalid, and costs every write:"
            " the next run drops it (%s)" % (name, error)
        ), ""
    return "", "; the invalid index %s that it has left was dropped" % name


def _leftover(session, params):
    name = name_of(params)
    return next(
        (row for row in _indexes(session, params) if row["name"] == name and not row["valid"]), None
    )


def _definitions(rows):
    return sorted(row["definition"] + ("" if row["valid"] else " (invalid)") for row in rows)


def _expected(before, planned, sql):
    rows = [row for row in before if row["name"] != planned.drop]
    return sorted(_definitions(rows) + ([sql[-1]] if planned.create else []))
