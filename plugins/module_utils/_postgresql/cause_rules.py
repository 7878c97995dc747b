# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules for root causes within a database, for pg_insights and pg_connections.

How to add a rule: see ``_core/causes.py``.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.causes import Rule, by_effect
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sessions import (
    IDLE_IN_TRANSACTION,
)

#: What takes less of a full disk's used space than this has not filled it.
_LARGE_SHARE = 0.25


def same_table(effect, cause):
    """Whether a statement of the effect names a table of the cause, or is one that waits there."""
    queries = {_plain(row.get("query")) for row in _rows(effect, "statements")}
    waiting = {_plain(row.get("query")) for row in _rows(cause, "waiting")}
    tables = {
        str(row["table"]).lower()
        for key in ("tables", "foreign_keys", "waiting")
        for row in _rows(cause, key)
        if row.get("table")
    }
    text = " ".join(queries)
    return bool(queries & waiting) or any(
        re.search(r"(?<![\w$])%s(?![\w$])" % re.escape(table), text) for table in tables
    )


def _rows(item, key):
    return item["evidence"].get(key, ())


def _plain(query):
    """Return a statement without literals, with one mark for a parameter and a literal."""
    return re.sub(r"\$\d+", "?", query or "").lower()


def shared_table(effect, cause):
    """Whether both have a table in common."""

    def tables(item):
        return {(row["schema"], row["table"]) for row in _rows(item, "tables")}

    return bool(tables(effect) & tables(cause))


def guess_on_same_table(effect, cause):
    """Whether a table may be read whole for its statistics rather than for want of an index."""
    return effect["confidence"] == "estimated" and shared_table(effect, cause)


def waits_for_lock(effect, _cause):
    return any(row.get("wait_type") == "Lock" for row in _rows(effect, "statements"))


def same_prepared(effect, cause):
    gids = {row["gid"] for row in _rows(effect, "prepared")}
    return any(row["gid"] in gids for row in _rows(cause, "prepared"))


def root_is_long(effect, cause):
    roots = {row["pid"] for row in _rows(effect, "roots")}
    return any(row.get("pid") in roots for row in _rows(cause, "transactions"))


def holds_rows(_effect, cause):
    """Whether a slot keeps dead rows from being removed."""
    return any(row.get("xmin_age") or row.get("catalog_xmin_age") for row in _rows(cause, "slots"))


def autovacuum_off(_effect, cause):
    return any(row["name"] in ("autovacuum", "track_counts") for row in _rows(cause, "settings"))


def filled_by_wal(effect, _cause):
    return _filled(effect, "wal") >= _LARGE_SHARE


def bloat_fills(effect, cause):
    wasted = sum(row["wasted_bytes"] for key in ("tables", "indexes") for row in _rows(cause, key))
    return wasted >= _LARGE_SHARE * effect["evidence"]["filesystem"]["used"]


def _filled(item, what):
    """Return which share of a disk's used space something takes."""
    taken = sum(row["bytes"] for row in _rows(item, "filled_by") if row["what"] == what)
    return float(taken) / max(1, item["evidence"]["filesystem"]["used"])


def root_left_open(effect, _cause):
    """Whether the session at the root sits in a transaction and does nothing."""
    return any(row.get("state") in IDLE_IN_TRANSACTION for row in _rows(effect, "roots")[:1])


def most_wait(effect, cause):
    """Whether most sessions wait for a lock: the app opens one after another, none of which gets
    on.
    """
    return cause["evidence"]["count"] * 2 > effect["evidence"]["used"]


RULES = by_effect(
    Rule(
        "db.queries.slow",
        (
            "db.locks.blocked",
            "db.index.missing",
            "db.statistics.stale",
            "db.bloat",
            "db.vacuum.overdue",
        ),
        same_table,
    ),
    Rule("db.queries.running", ("db.locks.blocked",), waits_for_lock),
    Rule("db.queries.running", ("db.index.missing", "db.statistics.stale", "db.bloat"), same_table),
    Rule("db.index.missing", ("db.statistics.stale",), guess_on_same_table),
    Rule("db.connections.exhausted", ("db.locks.blocked",), most_wait),
    Rule("db.locks.blocked", ("db.transactions.idle",), root_left_open),
    Rule("db.locks.blocked", ("db.transactions.prepared",), same_prepared),
    Rule("db.locks.blocked", ("db.transactions.long",), root_is_long),
    Rule("db.bloat", ("db.vacuum.overdue",), shared_table),
    Rule("db.bloat.unknown", ("db.statistics.stale",), shared_table),
    Rule("db.vacuum.overdue", ("db.settings.harmful",), autovacuum_off),
    Rule("db.vacuum.overdue", ("db.transactions.long", "db.transactions.prepared")),
    Rule("db.vacuum.overdue", ("db.wal.slot_inactive",), holds_rows),
    Rule("db.statistics.stale", ("db.settings.harmful",), autovacuum_off),
    Rule("db.wraparound.near", ("db.transactions.long", "db.transactions.prepared")),
    Rule("db.wraparound.near", ("db.wal.slot_inactive",), holds_rows),
    Rule("db.wraparound.near", ("db.settings.harmful",), autovacuum_off),
    Rule("db.cache.low", ("db.index.missing",)),
    Rule("db.disk.full", ("db.wal.slot_inactive", "db.wal.archiver_failing"), filled_by_wal),
    Rule("db.disk.full", ("db.bloat",), bloat_fills),
)
