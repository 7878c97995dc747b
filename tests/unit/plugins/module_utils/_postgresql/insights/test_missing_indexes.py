# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import missing_indexes

COLUMNS = ["id", "owner_id", "status", "created_at"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT * FROM accounts WHERE owner_id = $1", {"owner_id": "equality"}),
        ("SELECT * FROM accounts WHERE $1 = owner_id", {"owner_id": "equality"}),
        ("select id from public.accounts a where a.owner_id in ($1)", {"owner_id": "equality"}),
        ('SELECT 1 FROM "accounts" AS x WHERE "x"."owner_id" = $1', {"owner_id": "equality"}),
        (
            "SELECT * FROM accounts WHERE status = $1 AND created_at >= $2 ORDER BY id LIMIT $3",
            {"status": "equality", "created_at": "range"},
        ),
        ("UPDATE accounts SET status = $1 WHERE id = $2", {"id": "equality"}),
        ("DELETE FROM accounts WHERE created_at < now() - interval $1", {"created_at": "range"}),
        (
            "SELECT * FROM activities v JOIN accounts a ON a.id = v.account_id WHERE v.status = $1",
            {"id": "equality"},
        ),
        (
            "SELECT * FROM activities WHERE EXISTS (SELECT 1 FROM accounts WHERE id = ref)",
            {"id": "equality"},
        ),
        ("SELECT owner_id, count(*) FROM accounts GROUP BY owner_id", {}),
        ("SELECT * FROM accounts WHERE status <> $1", {}),
        ("SELECT * FROM accounts_archive WHERE owner_id = $1", None),
    ],
)
def test_predicate_columns(query, expected):
    assert missing_indexes.predicate_columns(query, "accounts", COLUMNS) == expected


def table(**values):
    return {
        "id": 1,
        "schema": "public",
        "table": "accounts",
        "live_rows": 100000,
        "seq_scans": 5000,
        "seq_rows": 500000000,
        "index_scans": 10,
        "taken_at": 10000.0,
        "columns": [
            {"column": "id", "n_distinct": -1.0, "leads_index": True},
            {"column": "owner_id", "n_distinct": 5000.0, "leads_index": False},
            {"column": "status", "n_distinct": 3.0, "leads_index": False},
            {"column": "created_at", "n_distinct": -0.9, "leads_index": False},
        ],
        **values,
    }


def statement(query, total=100.0, calls=10):
    return {"query": query, "total_ms": total, "calls": calls}


def test_suggestion_sums_by_columns_the_costliest_first():
    advice = missing_indexes.suggest(
        table(),
        [
            statement("SELECT * FROM accounts WHERE owner_id = $1"),
            statement("SELECT id FROM accounts WHERE owner_id = $1 AND status = $2", 500.0),
            statement("SELECT id FROM accounts WHERE status = $1 AND created_at > $2", 50.0),
            statement("SELECT 1 FROM other WHERE owner_id = $1", 9999.0),
        ],
    )
    assert advice["mentioned"] == 3
    assert [(entry["columns"], entry["total_ms"]) for entry in advice["wanted"]] == [
        (["owner_id"], 600.0),
        (["created_at"], 50.0),
    ]


def test_no_suggestion_where_an_index_serves_or_nothing_is_selective():
    advice = missing_indexes.suggest(
        table(),
        [
            statement("SELECT * FROM accounts WHERE id = $1 AND owner_id = $2"),
            statement("SELECT * FROM accounts WHERE status = $1"),
            statement("SELECT count(*) FROM accounts"),
        ],
    )
    assert advice == {"mentioned": 3, "wanted": []}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, True),
        ({"seq_scans": 49}, False),
        # a dump every night for two months
        ({"seq_scans": 60, "index_scans": 0}, False),
        ({"seq_scans": 800, "index_scans": 0}, True),
        ({"index_scans": 5000 * 19}, False),
        ({"index_scans": 5000 * 19 - 1000}, True),
    ],
)
def test_is_read_whole(values, expected):
    seconds = 30 * 86400.0
    assert missing_indexes.is_read_whole(table(**values), None, seconds) is expected


def test_only_what_happened_since_the_previous_run_counts():
    earlier = table(seq_scans=4990, taken_at=6400.0)
    assert not missing_indexes.is_read_whole(table(), earlier, 1.0)
    assert missing_indexes.is_read_whole(table(), table(seq_scans=4900, taken_at=6400.0), 1.0)
    # counters that went back, or another table of the same name: no comparison
    assert missing_indexes.is_read_whole(table(), table(seq_scans=9000), 1.0)
    assert missing_indexes.is_read_whole(table(), table(id=2, seq_scans=4990), 1.0)


def decide(scope, tables=(), keys=(), top=None, running=None):
    known = None if top is None else {"available": True, "top": top}
    [item] = missing_indexes.decide(
        scope, {"tables": list(tables), "foreign_keys": list(keys)}, known, running
    )
    return item


def test_table_whose_statements_want_all_rows_needs_no_index(scope):
    whole = [statement("SELECT count(*) FROM accounts")]
    assert decide(scope(), [table()], top=whole)["status"] == "ok"
    # statements of other tables say nothing about it
    other = [statement("SELECT 1 FROM other")]
    assert decide(scope(), [table()], top=other)["confidence"] == "estimated"


def test_table_without_a_column_worth_an_index_needs_none(scope):
    columns = [
        {"column": "id", "n_distinct": -1.0, "leads_index": True},
        {"column": "status", "n_distinct": 3.0, "leads_index": False},
    ]
    assert decide(scope(), [table(columns=columns)])["status"] == "ok"
    # what cannot be seen is no reason to be content
    hidden = [dict(column, n_distinct=None) for column in columns]
    assert decide(scope(), [table(columns=hidden)])["status"] == "warn"


def test_running_statement_is_evidence_as_well(scope):
    item = decide(
        scope(),
        [table()],
        running=[{"query": "SELECT * FROM accounts WHERE owner_id = ?", "seconds": 3.0}],
    )
    assert item["evidence"]["create"] == ["CREATE INDEX CONCURRENTLY ON public.accounts (owner_id)"]


def test_foreign_key_is_the_guess_without_statements(scope):
    key = {
        "schema": "public",
        "table": "accounts",
        "columns": ["owner_id", "id"],
        "parent_deletes": 0,
        "parent_updates": 0,
    }
    item = decide(scope(), [table()], keys=[key])
    assert item["confidence"] == "estimated"
    assert item["evidence"]["create"] == [
        "CREATE INDEX CONCURRENTLY ON public.accounts (owner_id, id)"
    ]
    known = [statement("SELECT 1 FROM accounts WHERE created_at > $1")]
    item = decide(scope(), [table()], keys=[key], top=known)
    assert item["evidence"]["create"] == [
        "CREATE INDEX CONCURRENTLY ON public.accounts (created_at)"
    ]


def test_foreign_key_matters_when_the_parent_is_written(scope):
    key = {
        "schema": "public",
        "table": "Activities",
        "foreign_key": "fk",
        "columns": ["account_id"],
        "parent_deletes": 0,
        "parent_updates": 0,
    }
    assert decide(scope(), keys=[key])["status"] == "ok"
    item = decide(scope(), keys=[dict(key, parent_deletes=1)])
    assert item["id"] == "db.index.missing"
    assert item["evidence"]["create"] == [
        'CREATE INDEX CONCURRENTLY ON public."Activities" (account_id)'
    ]
