# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM a WHERE id = 42", "SELECT * FROM a WHERE id = ?"),
        ("SELECT 'it''s secret' , x2 FROM t1", "SELECT ? , x2 FROM t1"),
        (r"SELECT E'a\'b secret' FROM t", "SELECT ? FROM t"),
        ("SELECT U&'d\\0061t' , B'101', x'ff'", "SELECT ?"),
        ("DO $$ secret $$", "DO ?"),
        ("SELECT $tag$ it's $$ secret $tag$ FROM t", "SELECT ? FROM t"),
        ("SELECT 1 -- secret 'note\nFROM t", "SELECT ? FROM t"),
        ("SELECT /* secret ' */ a FROM t", "SELECT a FROM t"),
        ('SELECT "col 1" FROM "T2"', 'SELECT "col 1" FROM "T2"'),
        ("WHERE a IN (1, 2,3 , 4)", "WHERE a IN (?)"),
        ("WHERE a = $1 AND b = $12", "WHERE a = $1 AND b = $12"),
        ("SELECT 1.5e-3, .5, 10.", "SELECT ?"),
        # cut off by track_activity_query_size in the middle of something
        ("SELECT * FROM t WHERE token = 'abc secr", "SELECT * FROM t WHERE token = ?"),
        ("SELECT $body$ secr", "SELECT ?"),
        ("SELECT a /* secr", "SELECT a"),
        ("ALTER ROLE x PASSWORD 'secret'", "ALTER ROLE x PASSWORD ?"),
        ("SELECT tab.größe FROM tab", "SELECT tab.größe FROM tab"),
    ],
)
def test_literals_go_and_names_stay(text, expected):
    assert statements.without_literals(text) == expected


def test_long_statement_is_cut():
    text = statements.without_literals("SELECT " + ", ".join("column_%d" % i for i in range(200)))
    assert len(text) == 500 and text.endswith("...")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("/* app */ -- x\n  update t set a = 1", "update"),
        ("(SELECT 1)", "select"),
        ("VACUUM t", "vacuum"),
        ("", ""),
    ],
)
def test_command(text, word):
    assert statements.command(text) == word


def row(**values):
    return {
        "queryid": "1",
        "role": "sergas",
        "query": "SELECT * FROM accounts WHERE owner_id = $1",
        "command": "select",
        "calls": 500,
        "mean_ms": 50.0,
        "total_ms": 25000.0,
        "share_percent": 60.0,
        **values,
    }


def seen(*rows, **more):
    return {
        "available": True,
        "installed": True,
        "hidden": 0,
        "since_seconds": 9,
        "top": list(rows),
        **more,
    }


def decide(scope, *rows, **more):
    [item] = statements.decide_slow(scope, seen(*rows, **more))
    return item


def test_slow_statement(scope):
    item = decide(scope(), row(), row(queryid="2", mean_ms=1500.0, calls=12))
    assert item["id"] == "db.queries.slow"
    assert item["status"] == "fail" and item["value"] == 1500
    assert len(item["evidence"]["statements"]) == 2


@pytest.mark.parametrize(
    "values",
    [
        {"mean_ms": 19.9},
        {"calls": 99},
        {"mean_ms": 2000.0, "calls": 9},
        {"share_percent": 0.9},
        {"command": "vacuum"},
        {"command": "copy"},
    ],
)
def test_not_slow(scope, values):
    assert decide(scope(), row(**values))["status"] == "ok"


def test_what_was_slow_before_the_previous_run_is_not_slow_now(scope):
    earlier = {"statements": {"top": [row(calls=400, total_ms=24900.0)]}}
    assert decide(scope(previous=earlier), row())["status"] == "ok"
    # counters that went back have been reset: then all of it is since
    reset = {"statements": {"top": [row(calls=900, total_ms=90000.0)]}}
    assert decide(scope(previous=reset), row())["status"] == "warn"


def test_statement_not_called_since_is_left_out():
    assert statements.since_previous([row()], [row()]) == []


def test_hidden_statements_are_never_ok(scope):
    assert decide(scope(), hidden=3)["id"] == "db.queries.slow.unknown"
    item = decide(scope(sees_sessions=False), row(mean_ms=1.0))
    assert item["status"] == "unknown" and "pg_read_all_stats" in item["advice"]


def test_library_not_loaded_is_distinguished_from_extension_not_created(scope):
    for installed, words in ((True, "has not loaded"), (False, "not installed")):
        [item] = statements.decide_slow(
            scope(), {"available": False, "installed": installed, "top": []}
        )
        assert item["status"] == "skipped" and words in item["summary"]


def running(**values):
    return {
        "pid": 7,
        "role": "sergas",
        "query": "SELECT ?",
        "command": "select",
        "seconds": 90.0,
        "wait_type": None,
        **values,
    }


def test_running_for_more_than_a_minute(scope):
    [item] = statements.decide_running(scope(), [running()])
    assert (item["id"], item["status"]) == ("db.queries.running", "warn")
    [item] = statements.decide_running(scope(), [running(seconds=900.0, wait_type="Lock")])
    assert item["status"] == "fail" and "waiting for a lock" in item["summary"]


def test_maintenance_may_take_its_time(scope):
    [item] = statements.decide_running(scope(), [running(command="copy"), running(seconds=5.0)])
    assert item["status"] == "ok" and "copy" in item["summary"]


def test_running_statements_out_of_sight(scope):
    [item] = statements.decide_running(scope(sees_sessions=False), [])
    assert item["status"] == "unknown"
