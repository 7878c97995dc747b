# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deletes rows older than an age, in batches that each commit, so that no one waits long for a
lock.

Where an index leads with the column, a batch goes on where the last one ended: the entries of the
rows that are gone are not read again. Without one, a batch is a range of the table's blocks, so
that all of them together read it once.

What is in the table is the business of its owner, and so is the code that a statement on it runs:
see ``table_session``. The module's own login reads catalogs only, and writes checkpoints.
"""

from __future__ import annotations

import time

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import (
    OperationError,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import table_session
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.maintenance import wal_room
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import (
    connect,
    refuse_standby,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sql import identifier

_TYPES = ("timestamp with time zone", "timestamp without time zone", "date")
#: Ranges of blocks are read as such from 14 on; before, each would read the whole table.
_RANGES_SINCE = 140000

_TABLE = """
SELECT c.oid::bigint AS id, n.nspname::text AS schema, c.relname::text AS "table",
  pg_get_userbyid(c.relowner)::text AS owner, format_type(a.atttypid, NULL) AS type,
  ARRAY(SELECT DISTINCT r.conrelid::regclass::text FROM pg_constraint r
    WHERE r.contype = 'f' AND r.confrelid IN (
      SELECT c.oid UNION ALL SELECT t.relid::oid FROM pg_partition_tree(c.oid) t)
    ORDER BY 1) AS referenced_by
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %s AND a.attnum > 0 AND NOT
  a.attisdropped
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p')
"""
# Of a table that is neither partitioned nor a partition, pg_partition_tree() has no rows: it is
# its own only leaf.
_LEAVES = """
SELECT c.oid::bigint AS id, n.nspname::text AS schema, c.relname::text AS "table",
  pg_get_userbyid(c.relowner)::text AS owner,
  pg_relation_size(c.oid) / current_setting('block_size')::int AS blocks,
  EXISTS (
    SELECT 1 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree' AND
      a.attname = %s
  ) AS indexed,
  ARRAY(
    -- Of the bits of tgtype: for each row, before, on delete.
    SELECT 'the trigger ' || t.tgname FROM pg_trigger t WHERE t.tgrelid = c.oid
      AND NOT t.tgisinternal AND t.tgtype & 11 = 11 AND t.tgenabled IN ('O', 'A')
    UNION ALL
    SELECT 'the rule ' || r.rulename FROM pg_rewrite r WHERE r.ev_class = c.oid
      AND r.ev_type = '4' AND r.is_instead AND r.ev_enabled IN ('O', 'A')
  ) AS kept_by
FROM (SELECT %s::oid AS id UNION SELECT relid::oid FROM pg_partition_tree(%s::oid) WHERE isleaf) p
JOIN pg_class c ON c.oid = p.id JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' ORDER BY 2, 3
"""
_COUNT = (
    "SELECT count(*) AS rows, coalesce(sum(pg_column_size(t.*)), 0)::bigint AS bytes FROM ONLY"
    " {table} t WHERE {old}"
)
_FILTER = "t.{column} < %s::timestamptz"
_BATCH = """
SELECT count(*) AS rows, coalesce(sum(b.bytes), 0)::bigint AS bytes, max(b.at)::text AS reached,
  coalesce(json_agg(b.id), '[]') AS ids
FROM (
  SELECT t.ctid::text AS id, t.{column} AS at, pg_column_size(t.*) AS bytes
  FROM ONLY {table} t WHERE {old} AND {where} {order} LIMIT {rows}
) b
"""
# The age is checked again: between the two statements a row may have become another one. What
# another session works on is not waited for.
_DELETE = """
DELETE FROM ONLY {table} WHERE ctid = ANY (ARRAY(
  SELECT t.ctid FROM ONLY {table} t WHERE t.ctid = ANY (%s::tid[]) AND {old} FOR UPDATE SKIP LOCKED
))
"""
# What is still there after its deletion, and no other session's.
_KEPT = """
SELECT count(*) AS rows FROM (
  SELECT 1 FROM ONLY {table} t WHERE t.ctid = ANY (%s::tid[]) AND {old} FOR UPDATE SKIP LOCKED
) k
"""


class RetentionError(OperationError):
    """The table is not one that rows can be deleted from like this; the message says why."""


def find(session, schema, name, column):
    """Return (table, leaves): a table, and the parts with rows of it, which may be the table alone.

    Args:
        session: an open ``session.Session`` to the table's database.
        schema, name, column: the table and the time its rows are judged by.

    Returns:
        Both are rows of {id, schema, table, owner}; a leaf has blocks, whether it is indexed, and
        the triggers and rules that may keep its rows from being deleted.

    Raises:
        RetentionError: there is no such table or column, the column is no time, or other tables
            refer to it.
    """
    found = session.rows(_TABLE, [column, schema, name])
    refusal = refused(found[0] if found else None, schema, name, column)
    if refusal:
        raise RetentionError(refusal)
    return found[0], session.rows(_LEAVES, [column, found[0]["id"], found[0]["id"]])


class Table:
    """A table, or the parts of a partitioned one, and the rows that are old.

    Args:
        work: the ``table_session.TableSession`` for statements on it.
        leaves: see ``find``.
        column: the time its rows are judged by.
        before: rows older than this go, as ISO 8601 text.

    Attributes:
        leaves: as given.
    """

    def __init__(self, work, leaves, column, before):
        self._work = work
        self._column = _escaped(column)
        self._before = before
        self.leaves = leaves

    def _sql(self, template, leaf, **words):
        return template.format(
            table="%s.%s" % (_escaped(leaf["schema"]), _escaped(leaf["table"])),
            column=self._column,
            old=_FILTER.format(column=self._column),
            **words,
        )

    def _row(self, sql, leaf, args):
        with self._work.on(leaf):
            return self._work.session.rows(sql, args)[0]

    def old(self):
        """Return how many rows are old and the bytes they take: {rows, bytes}."""
        counts = [self._row(self._sql(_COUNT, leaf), leaf, [self._before]) for leaf in self.leaves]
        return {key: sum(count[key] for count in counts) for key in ("rows", "bytes")}

    def batches(self, rows):
        """Yield each batch of at most so many old rows, as (leaf, {rows, bytes, ids}).

        The caller notes in ``deleted`` how many went: the others are not offered again.
        """
        for leaf in self.leaves:
            yield from self._by_index(leaf, rows) if leaf["indexed"] else self._by_block(leaf, rows)

    def _by_index(self, leaf, rows):
        reached, where = None, "true"
        while True:
            sql = self._sql(
                _BATCH, leaf, where=where, order="ORDER BY t.%s" % self._column, rows=rows
            )
            batch = self._row(sql, leaf, [self._before] + ([reached] if reached else []))
            if not batch["rows"]:
                return
            yield leaf, batch
            if batch["rows"] < rows:
                return
            # Not beyond: rows of the same moment may be left. Unless all of this batch are in use.
            reached = batch["reached"]
            where = "t.%s %s %%s" % (self._column, ">=" if batch["deleted"] else ">")

    def _by_block(self, leaf, rows):
        ranged = self._work.session.version >= _RANGES_SINCE
        # A range holds at most 291 rows to a block of 8 kB, as many as there are line pointers for.
        width = max(1, rows // 100) if ranged else leaf["blocks"] + 1
        for first in range(0, leaf["blocks"], width):
            where = (
                "t.ctid >= '(%d,0)' AND t.ctid < '(%d,0)'" % (first, first + width)
                if ranged
                else "true"
            )
            while True:
                batch = self._row(
                    self._sql(_BATCH, leaf, where=where, order="", rows=rows), leaf, [self._before]
                )
                if not batch["rows"]:
                    break
                yield leaf, batch
                if not batch["deleted"] or batch["rows"] < rows:
                    break

    def delete(self, leaf, batch):
        """Delete a batch and return how many rows that were."""
        with self._work.on(leaf):
            return self._work.session.execute(
                self._sql(_DELETE, leaf), [batch["ids"], self._before]
            )

    def kept(self, leaf, batch):
        """Return how many rows of a batch a trigger or a rule of the table has kept."""
        if not leaf["kept_by"]:
            return 0
        return self._row(self._sql(_KEPT, leaf), leaf, [batch["ids"], self._before])["rows"]


def _escaped(name):
    """Return a name quoted for SQL that is given arguments."""
    return identifier(name).replace("%", "%%")


def refused(found, schema, name, column):
    """Return why rows of a table cannot be deleted by age, or None where they can."""
    shown = "%s.%s" % (schema, name)
    if found is None:
        return "there is no table %s in this database" % shown
    if found["type"] is None:
        return "%s has no column %s" % (shown, column)
    if found["type"] not in _TYPES:
        return "%s.%s is of the type %s, an age takes one of: %s" % (
            shown,
            column,
            found["type"],
            ", ".join(_TYPES),
        )
    if found["referenced_by"]:
        return "other tables refer to %s, whose rows a deletion would touch: %s" % (
            shown,
            ", ".join(found["referenced_by"]),
        )
    return None


def run(params, deadline, check_mode, sleep=time.sleep):
    """Delete the old rows of a table, or count them in check mode.

    Args:
        params: the options of ``pg_retention``.
        deadline: the Deadline of it all; reaching it ends the work after a batch, and the next run
            goes on.
        check_mode: whether to count only.
        sleep: waits between batches.

    Raises:
        RetentionError: see ``find``.
        table_session.CodeOfOthers: the owner does not log in, and the table has code that would
            run with a superuser's rights.
        wal_room.NoRoom: the disk has no room for the WAL of even one batch.
        PostgresError: the server cannot be queried, is a standby, or refused.
    """
    name = "sergas.ops pg_retention"
    with connect(params, deadline, acting=True, name=name) as login:
        before = login.rows(
            "SELECT coalesce(%s::timestamptz, now() - make_interval(secs => %s))::text AS before",
            [params["before"], params["days"] * 86400.0],
        )[0]["before"]
        found, leaves = find(login, params["schema"], params["table"], params["column"])
        with table_session.opened(login, params, deadline, [found] + leaves, name) as work:
            table = Table(work, leaves, params["column"], before)
            old = table.old()
            if old["rows"]:
                refuse_standby(login, "the deletion of old rows")
            done = {"rows": old["rows"], "bytes": old["bytes"], "batches": 0, "finished": True}
            if not check_mode:
                done = _delete(table, wal_room.WalRoom(login, params), params, deadline, sleep)
    left = 0 if check_mode else max(0, old["rows"] - done["rows"])
    keepers = _keepers(leaves)
    warnings = []
    if not done["finished"]:
        warnings = ["Stopped: %s; about %d old rows are left." % (done["stopped_by"], left)]
    elif check_mode and keepers and old["rows"]:
        warnings = ["How many rows go is up to %s, which may keep some or all." % keepers]
    return {
        "changed": done["rows"] > 0,
        "driver": login.driver,
        "before": before,
        "rows": done["rows"],
        "bytes": done["bytes"],
        "batches": done["batches"],
        "role": work.role,
        "finished": done["finished"],
        "stopped_by": done.get("stopped_by"),
        "remaining": left,
        "warnings": warnings,
        "diff": {
            "before": {"old_rows": old["rows"]},
            "after": {"old_rows": max(0, old["rows"] - done["rows"])},
        },
    }


def _keepers(leaves):
    """Return the triggers and rules that may keep rows from being deleted, in words."""
    return ", ".join(
        "%s of %s.%s" % (name, leaf["schema"], leaf["table"])
        for leaf in leaves
        for name in leaf["kept_by"]
    )


def _delete(table, room, params, deadline, sleep):
    done = {"rows": 0, "bytes": 0, "batches": 0, "finished": True}
    # What is left of the time has to do for a batch that takes as long as the longest so far.
    longest, in_use, kept = 0.0, 0, 0
    for leaf, batch in table.batches(params["batch_rows"]):
        if deadline.remaining() < longest + params["pause"] + 1.0:
            done.update(finished=False, stopped_by="the deadline came first")
            break
        try:
            room.make()
        except wal_room.NoRoom as error:
            if not done["rows"]:
                raise
            done.update(finished=False, stopped_by=str(error))
            break
        left = deadline.remaining()
        deleted = batch["deleted"] = table.delete(leaf, batch)
        stayed = table.kept(leaf, batch) if deleted < batch["rows"] else 0
        kept += stayed
        in_use += batch["rows"] - deleted - stayed
        longest = max(longest, left - deadline.remaining())
        done["rows"] += deleted
        done["bytes"] += batch["bytes"] * deleted // batch["rows"]
        done["batches"] += 1
        if kept and not deleted:
            # The next ones would fare no better, and each costs as much as a deletion.
            break
        if params["pause"]:
            sleep(min(params["pause"], deadline.remaining()))
    if kept:
        done.update(
            finished=False,
            stopped_by="%s keeps rows from being deleted" % _keepers(table.leaves),
        )
    elif in_use and done["finished"]:
        done.update(finished=False, stopped_by="rows are in use by another session")
    return done
