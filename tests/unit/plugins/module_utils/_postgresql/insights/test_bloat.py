# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import bloat

BLOCK = 8192
MB = 1024 * 1024


def column(length, alignment, width, null_share=0.0, number=1):
    return {
        "number": number,
        "length": length,
        "alignment": alignment,
        "width": width,
        "null_share": null_share,
    }


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        # 24 header, 8 data, 4 pointer
        ([column(8, "d", 8)], 36),
        # int, int: 8; bool, bigint: 1, 7 of padding, 8
        ([column(4, "i", 4), column(4, "i", 4)], 36),
        ([column(1, "c", 1), column(8, "d", 8)], 44),
        # the same in the better order
        ([column(8, "d", 8), column(1, "c", 1)], 44),
        # text of 5 bytes needs no alignment
        ([column(4, "i", 4), column(-1, "i", 5)], 44),
        # a bitmap for up to 8 columns fits the header, for 9 it does not
        ([column(4, "i", 4, 0.5)] + [column(4, "i", 4)] * 7, 60),
        ([column(4, "i", 4, 0.5)] + [column(4, "i", 4)] * 8, 76),
    ],
)
def test_row_bytes(columns, expected):
    assert bloat.row_bytes(columns) == expected


def test_expected_bytes_by_hand():
    # 8168 / 36 = 226 rows a page
    assert bloat.expected_bytes(226 * 10, [column(8, "d", 8)], 100, BLOCK) == 10 * BLOCK
    assert bloat.expected_bytes(226 * 10 + 1, [column(8, "d", 8)], 100, BLOCK) == 11 * BLOCK
    assert bloat.expected_bytes(0, [], 100, BLOCK) == 0


def test_expected_index_bytes_is_what_a_server_builds():
    # CREATE INDEX over 1000000 bigints: 21.4 MB on every release since 13
    size = bloat.expected_index_bytes(1000000, [column(8, "d", 8)], 90, BLOCK)
    assert size == pytest.approx(22487040, rel=0.01)


def table(**values):
    pages = 10000
    return {
        "id": 1,
        "schema": "public",
        "table": "t",
        "estimated_rows": 226.0 * pages,
        "pages": pages,
        "visible_pages": 0,
        "is_heap": True,
        "is_locked": False,
        "bytes": pages * BLOCK,
        "live_rows": 226 * pages,
        "dead_rows": 0,
        "changed_rows": 0,
        "is_analyzed": True,
        "fillfactor": 100,
        "columns": [column(8, "d", 8)],
        **values,
    }


def test_full_table_is_not_bloated():
    assert bloat.judge_table(table(), BLOCK) == {
        "percent": 0.0,
        "wasted_bytes": 0,
        "confidence": "estimated",
        "reason": None,
    }


def test_half_empty_table_is():
    judged = bloat.judge_table(table(estimated_rows=226.0 * 5000), BLOCK)
    assert (judged["percent"], judged["wasted_bytes"]) == (50.0, 5000 * BLOCK)


def test_emptied_table_is_all_bloat():
    judged = bloat.judge_table(table(estimated_rows=0.0, columns=[]), BLOCK)
    assert judged["percent"] == 100.0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        # as pg_monitor alone sees it: no rows in pg_stats
        ({"columns": [column(8, "d", None)]}, "not visible"),
        ({"columns": []}, "not visible"),
        ({"changed_rows": 300000}, "stale"),
        ({"pages": 5000}, "stale"),
        ({"estimated_rows": -1.0}, "stale"),
        ({"is_analyzed": False}, "not analyzed"),
        ({"is_heap": False}, "heap"),
        ({"is_locked": True}, "locked"),
    ],
)
def test_what_spoils_an_estimate_makes_it_unknown(values, reason):
    judged = bloat.judge_table(table(**values), BLOCK)
    assert judged["percent"] is None and judged["confidence"] == "blind"
    assert reason in judged["reason"]


def test_measurement_needs_no_statistics():
    row = table(is_analyzed=False, measured={"bytes": 100 * MB, "wasted_percent": 60.0})
    assert bloat.judge_table(row, BLOCK) == {
        "percent": 60.0,
        "wasted_bytes": 60 * MB,
        "confidence": "measured",
        "reason": None,
    }


def index(**values):
    return {
        "id": 2,
        "table_id": 1,
        "schema": "public",
        "table": "t",
        "index": "t_pkey",
        "bytes": 100 * MB,
        "method": "btree",
        "is_unique": True,
        "is_plain": True,
        "columns": [1],
        "fillfactor": 90,
        **values,
    }


def test_unique_btree_is_estimated():
    judged = bloat.judge_index(index(), table(), BLOCK)
    assert judged["confidence"] == "estimated" and 45 < judged["percent"] < 60


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"is_unique": False}, "equal values once"),
        ({"method": "gin"}, "gin"),
        ({"is_plain": False}, "expressions"),
    ],
)
def test_other_indexes_are_not_guessed(values, reason):
    judged = bloat.judge_index(index(**values), table(), BLOCK)
    assert judged["percent"] is None and reason in judged["reason"]


def test_leaf_density_is_compared_with_the_fillfactor():
    judged = bloat.judge_index(index(measured={"bytes": 100 * MB, "density": 45.0}), table(), BLOCK)
    assert judged["percent"] == 50.0 and judged["confidence"] == "measured"


def decide(scope, tables=(), indexes=()):
    judged = bloat.judge({"tables": list(tables), "indexes": list(indexes)}, BLOCK)
    observed = dict(zip(("tables", "indexes"), judged), unmeasured=None)
    return {item["id"]: item for item in bloat.decide(scope, observed)}


def test_bloated_is_said_with_its_confidence(scope):
    found = decide(scope(), [table(estimated_rows=226.0 * 3000)])
    assert found["db.bloat"]["status"] == "warn" and found["db.bloat"]["confidence"] == "estimated"
    assert found["db.bloat"]["value"] == 70.0


def test_one_unknown_table_is_no_ok(scope):
    found = decide(scope(reads_data=False), [table(), table(columns=[])])
    assert list(found) == ["db.bloat.unknown"]
    assert "pg_read_all_data" in found["db.bloat.unknown"]["advice"]
    found = decide(scope(reads_data=False, version=130014), [table(columns=[])])
    assert "owner" in found["db.bloat.unknown"]["advice"]


def test_standby_has_no_statistics_to_estimate_by(scope):
    found = decide(scope(in_recovery=True), [table(is_analyzed=False)])
    assert list(found) == ["db.bloat.skipped"]


def test_deduplicated_indexes_are_skipped_with_advice(scope):
    found = decide(scope(), [table()], [index(is_unique=False)])
    assert set(found) == {"db.bloat.ok", "db.bloat.indexes.skipped"}
    assert "pgstattuple" in found["db.bloat.indexes.skipped"]["advice"]


def test_reading_stays_within_the_budget():
    rows = [{"id": number, "bytes": 200 * MB} for number in range(5)]
    assert [row["id"] for row in bloat._affordable(rows, lambda row: row["bytes"])] == [0, 1]
