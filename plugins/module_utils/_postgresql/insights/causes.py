# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which finding of the database derives from which other one."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad

#: What takes less of a full disk's used space than this has not filled it.
_LARGE_SHARE = 0.25


def _always(_symptom, _cause):
    return True


def _same_table(symptom, cause):
    """Whether a statement of the symptom names a table of the cause, or is one that waits there."""
    queries = {_plain(row.get("query")) for row in _rows(symptom, "statements")}
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


def _shared_table(symptom, cause):
    """Whether both have a table in common."""

    def tables(item):
        return {(row["schema"], row["table"]) for row in _rows(item, "tables")}

    return bool(tables(symptom) & tables(cause))


def _guess_on_same_table(symptom, cause):
    """Whether a table may be read whole for its statistics rather than for want of an index."""
    return symptom["confidence"] == "estimated" and _shared_table(symptom, cause)


def _waits_for_lock(symptom, _cause):
    return any(row.get("wait_type") == "Lock" for row in _rows(symptom, "statements"))


def _root_is_long(symptom, cause):
    roots = {row["pid"] for row in _rows(symptom, "roots")}
    return any(row.get("pid") in roots for row in _rows(cause, "transactions"))


def _holds_rows(_symptom, cause):
    """Whether a slot keeps dead rows from being removed."""
    return any(row.get("xmin_age") or row.get("catalog_xmin_age") for row in _rows(cause, "slots"))


def _autovacuum_off(_symptom, cause):
    return any(row["name"] in ("autovacuum", "track_counts") for row in _rows(cause, "settings"))


def _filled_by_wal(symptom, _cause):
    return _filled(symptom, "wal") >= _LARGE_SHARE


def _bloat_fills(symptom, cause):
    wasted = sum(row["wasted_bytes"] for key in ("tables", "indexes") for row in _rows(cause, key))
    return wasted >= _LARGE_SHARE * symptom["evidence"]["filesystem"]["used"]


def _filled(item, what):
    """Return which share of a disk's used space something takes."""
    taken = sum(row["bytes"] for row in _rows(item, "filled_by") if row["what"] == what)
    return float(taken) / max(1, item["evidence"]["filesystem"]["used"])


#: finding: [(what it may derive from, whether that holds here)], the likeliest first
CAUSES = {
    "db.queries.slow": (
        ("db.locks.blocked", _same_table),
        ("db.index.missing", _same_table),
        ("db.statistics.stale", _same_table),
        ("db.bloat", _same_table),
        ("db.vacuum.overdue", _same_table),
    ),
    "db.queries.running": (
        ("db.locks.blocked", _waits_for_lock),
        ("db.index.missing", _same_table),
        ("db.statistics.stale", _same_table),
        ("db.bloat", _same_table),
    ),
    "db.index.missing": (("db.statistics.stale", _guess_on_same_table),),
    "db.locks.blocked": (("db.transactions.long", _root_is_long),),
    "db.bloat": (("db.vacuum.overdue", _shared_table),),
    "db.bloat.unknown": (("db.statistics.stale", _shared_table),),
    "db.vacuum.overdue": (
        ("db.settings.harmful", _autovacuum_off),
        ("db.transactions.long", _always),
        ("db.wal.slot_inactive", _holds_rows),
    ),
    "db.statistics.stale": (("db.settings.harmful", _autovacuum_off),),
    "db.wraparound.near": (
        ("db.transactions.long", _always),
        ("db.wal.slot_inactive", _holds_rows),
        ("db.settings.harmful", _autovacuum_off),
    ),
    "db.cache.low": (("db.index.missing", _always),),
    "db.disk.full": (
        ("db.wal.slot_inactive", _filled_by_wal),
        ("db.wal.archiver_failing", _filled_by_wal),
        ("db.bloat", _bloat_fills),
    ),
}


def derive(findings):
    """Return the findings with C(cause) set where one of them explains another."""
    bad = {item["id"]: item for item in findings if is_bad(item)}
    return [dict(item, cause=item["cause"] or _cause(item, bad)) for item in findings]


def _cause(item, bad):
    if item["id"] not in bad:
        return None
    for id, applies in CAUSES.get(item["id"], ()):
        if id in bad and applies(item, bad[id]):
            return id
    return None
