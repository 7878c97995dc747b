# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    sessions as seen,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    sessions_findings,
    termination_plan,
)

LIMITS = {"max_connections": 100, "superuser_reserved_connections": 3, "reserved_connections": None}
HIDDEN = {
    "backend_type": None,
    "state": None,
    "client": None,
    "backend_start": None,
    "state_change": None,
    "query_start": None,
    "state_seconds": None,
    "query_seconds": None,
    "transaction_seconds": None,
    "query": "<insufficient privilege>",
    "may_end": False,
}
WALSENDER = {"backend_type": "walsender", "state": "active", "database": None, "user": "replica"}
AUTOVACUUM = {"backend_type": "autovacuum worker", "state": "active", "user": None}


def session(pid=100, **given):
    """A client of the app that has been idle for a minute, but for what is given."""
    return {
        "pid": pid,
        "backend_type": "client backend",
        "leader_pid": None,
        "user": "sergas",
        "database": "sergas_prod",
        "application": "sergas-app",
        "client": "10.0.0.9",
        "state": "idle",
        "wait_event_type": "Client",
        "backend_start": "2026-03-01T10:00:00.000001+00:00",
        "state_change": "2026-03-01T10:05:00+00:00",
        "query_start": "2026-03-01T10:04:59+00:00",
        "state_seconds": 60.0,
        "query_seconds": 61.0,
        "transaction_seconds": None,
        "superuser": False,
        "own": False,
        "may_end": True,
        "query": "SELECT 1",
        **given,
    }


def crowd(count, first=100, **given):
    return [session(pid=first + i, **given) for i in range(count)]


def decide(sessions, waits=(), limits=None, prepared_rows=(), **thresholds):
    limits = LIMITS if limits is None else limits
    merged = {**sessions_findings.THRESHOLDS, **thresholds}
    findings = sessions_findings.decide(
        sessions, list(waits), limits, merged, "db1:5432", prepared_rows
    )
    return {finding["id"].rsplit(".", 1)[0]: finding for finding in findings}


def wait(pid, *blockers, seconds=30.0):
    return {"pid": pid, "blockers": list(blockers), "waiting_seconds": seconds}


# --- slots


@pytest.mark.parametrize(("reserved", "slots"), [(None, 97), (0, 97), (5, 92)])
def test_slots_are_less_than_max_connections(reserved, slots):
    assert seen.slots({**LIMITS, "reserved_connections": reserved}) == slots


def test_only_clients_take_slots():
    sessions = [
        *crowd(2),
        session(1, own=True),
        session(2, backend_type="parallel worker"),
        session(3, backend_type="checkpointer", user=None, database=None),
        session(4, **WALSENDER),
        session(5, **AUTOVACUUM),
    ]
    assert seen.summary(sessions, LIMITS)["used"] == 2


@pytest.mark.parametrize(
    ("count", "status"),
    [(0, "ok"), (77, "ok"), (78, "warn"), (87, "warn"), (88, "fail"), (97, "fail")],
)
def test_the_share_of_the_slots_is_graded(count, status):
    # 80 and 90 percent of 97 are 77.6 and 87.3.
    assert decide(crowd(count))["db.connections"]["status"] == status


def test_the_tightest_limit_counts():
    limits = {**LIMITS, "roles": {"sergas": 10, "other": 5}, "databases": {"sergas_prod": 50}}
    found = decide(crowd(9), limits=limits)["db.connections"]
    assert (found["status"], found["evidence"]["scope"], found["value"]) == (
        "fail",
        "role sergas",
        90.0,
    )


def test_a_superuser_is_not_held_to_the_limit_of_a_database():
    limits = {**LIMITS, "databases": {"sergas_prod": 2}}
    assert decide(crowd(2, superuser=True), limits=limits)["db.connections"]["status"] == "ok"


@pytest.mark.parametrize(
    ("given", "reason", "remedy"),
    [
        ({}, "idle", "end_idle_sessions"),
        (
            {"state": "idle in transaction", "state_seconds": 1.0},
            "idle in transaction",
            "end_idle_transactions",
        ),
        ({"state": "active", "wait_event_type": "Lock"}, "waiting for a lock", "end_blocker"),
        ({"state": "active", "wait_event_type": "IO"}, "busy", "raise_connections"),
    ],
)
def test_what_most_sessions_do_is_the_reason(given, reason, remedy):
    found = decide(crowd(90, **given))["db.connections"]
    assert found["evidence"]["reason"] == reason
    assert reason in found["summary"]
    assert found["remedy"] == remedy


def test_a_busy_role_at_its_own_limit_needs_no_larger_server():
    limits = {**LIMITS, "roles": {"sergas": 10}}
    found = decide(crowd(10, state="active", wait_event_type="IO"), limits=limits)["db.connections"]
    assert found["status"] == "fail" and found["evidence"]["reason"] == "busy"
    assert found["remedy"] is None and "raise this limit" in found["advice"]


def test_a_crowd_behind_a_lock_derives_from_the_lock():
    root = session(1, state="active", wait_event_type="IO")
    waiting = crowd(95, state="active", wait_event_type="Lock")
    found = decide([root, *waiting], [wait(item["pid"], 1) for item in waiting])
    assert found["db.connections"]["cause"] == "db.locks.blocked"
    assert found["db.locks"]["cause"] is None


# --- what a role may not see


def test_hidden_sessions_are_never_nothing():
    found = decide([session(1, own=True), *crowd(80, **HIDDEN)])
    assert {name: item["status"] for name, item in found.items()} == {
        "db.connections": "unknown",
        "db.transactions": "unknown",
        "db.locks": "ok",
    }
    assert found["db.connections"]["confidence"] == "blind"


def test_few_hidden_sessions_cannot_fill_the_slots():
    found = decide(crowd(10, **HIDDEN))["db.connections"]
    assert (found["status"], found["confidence"]) == ("ok", "estimated")


def test_what_is_seen_is_enough_to_be_too_many():
    found = decide([*crowd(90), *crowd(5, first=900, **HIDDEN)])["db.connections"]
    assert found["status"] == "fail"


def test_a_summary_with_hidden_sessions_claims_no_states():
    counts = seen.summary([session(1), session(2, **HIDDEN)], LIMITS)
    assert counts["by_state"] == {"idle": 1, "hidden": 1}
    assert counts["by_user"] == {"sergas": 2}
    assert (counts["percent"], counts["idle_longest_seconds"]) == (None, None)


def test_background_processes_are_not_hidden_sessions():
    """As a plain role sees the launcher of logical replication and a checkpointer."""
    launcher = session(1, **{**HIDDEN, "user": "postgres", "database": None})
    checkpointer = session(2, **{**HIDDEN, "user": None, "database": None})
    assert seen.summary([launcher, checkpointer], LIMITS)["hidden"] == 0


# --- transactions and locks


@pytest.mark.parametrize(("seconds", "status"), [(59.9, "ok"), (60.0, "warn"), (600.0, "fail")])
def test_transactions_left_open(seconds, status):
    found = decide([session(state="idle in transaction", state_seconds=seconds)])["db.transactions"]
    assert (found["status"], found["value"]) == (status, seconds)


def test_a_chain_of_locks_has_one_root():
    sessions = [
        session(1, state="idle in transaction", state_seconds=5.0),
        *crowd(3, first=2, state="active"),
    ]
    waits = [wait(2, 1, seconds=50.0), wait(3, 2, seconds=40.0), wait(4, 3, 2, seconds=30.0)]
    blocked, blocking = seen.lock_chains(sessions, waits)
    [root] = blocking
    assert (root["pid"], root["blocks"], root["depth"], root["longest_wait_seconds"]) == (
        1,
        3,
        2,
        50.0,
    )
    assert [(item["pid"], item["blocked_by"], item["roots"]) for item in blocked] == [
        (2, [1], [1]),
        (3, [2], [1]),
        (4, [2, 3], [1]),
    ]
    found = decide(sessions, waits)["db.locks"]
    assert (found["status"], found["value"]) == ("warn", 50.0)
    assert "at the root is pid 1 (sergas, idle in transaction for 5 s)" in found["summary"]


def test_a_lock_held_by_an_open_transaction_derives_from_it():
    sessions = [
        session(1, state="idle in transaction", state_seconds=300.0),
        session(2, state="active"),
    ]
    found = decide(sessions, [wait(2, 1)])
    assert found["db.locks"]["cause"] == found["db.transactions"]["id"] == "db.transactions.idle"


def test_a_lock_held_by_a_prepared_transaction():
    found = decide([session(2, state="active")], [wait(2, 0)])["db.locks"]
    assert "at the root is a prepared transaction" in found["summary"]
    assert "ROLLBACK PREPARED" in found["advice"]
    assert found["remedy"] is None


def test_a_prepared_transaction_at_the_root_is_named():
    row = {
        "gid": "xa-4711",
        "role": "sergas",
        "database": "prod",
        "seconds": 12.0,
        "locks": [{"table": "public.accounts", "mode": "AccessExclusiveLock"}],
    }
    found = decide([session(2, state="active")], [wait(2, 0)], prepared_rows=[row])["db.locks"]
    assert "'xa-4711' (sergas, prod, for 12 s, locks on public.accounts)" in found["summary"]
    assert "ROLLBACK PREPARED 'xa-4711'" in found["advice"]
    assert found["evidence"]["prepared"] == [row]


@pytest.mark.parametrize(("count", "status"), [(97, "fail"), (3, "warn")])
def test_open_transactions_that_take_all_connections_are_a_failure(count, status):
    sessions = crowd(
        count, state="idle in transaction", state_seconds=70.0, superuser=True, may_end=True
    )
    found = decide(sessions)
    assert found["db.transactions"]["status"] == status
    assert found["db.transactions"]["evidence"]["superusers"] == count


def test_an_open_transaction_whose_lock_others_wait_for_is_a_failure():
    sessions = [
        session(1, state="idle in transaction", state_seconds=70.0),
        session(2, state="active"),
    ]
    found = decide(sessions, [wait(2, 1, seconds=61.0)])
    assert found["db.transactions"]["status"] == "fail"
    assert decide(sessions, [wait(2, 1, seconds=50.0)])["db.transactions"]["status"] == "warn"


def test_a_deadlock_ends_the_search():
    sessions = crowd(2, first=1, state="active")
    blocked, blocking = seen.lock_chains(sessions, [wait(1, 2), wait(2, 1)])
    assert [item["roots"] for item in blocked] == [[1, 2], [1, 2]]
    assert {item["pid"] for item in blocking} == {1, 2}


def test_a_blocker_that_is_gone_or_hidden_is_still_named():
    sessions = [session(2, state="active"), session(3, state="active"), session(9, **HIDDEN)]
    _blocked, blocking = seen.lock_chains(sessions, [wait(2, 7), wait(3, 9)])
    assert {item["pid"]: item["user"] for item in blocking} == {7: None, 9: "sergas"}
    assert decide(sessions, [wait(2, 7), wait(3, 9)])["db.locks"]["status"] == "warn"


def test_before_version_14_a_wait_is_estimated_by_its_statement():
    found = decide(
        [session(1), session(2, state="active", query_seconds=61.0)], [wait(2, 1, seconds=None)]
    )["db.locks"]
    assert (found["status"], found["value"], found["confidence"]) == ("fail", 61.0, "estimated")
    assert "at most 61 s" in found["summary"]


def test_a_short_wait_is_fine():
    assert decide([session(1), session(2)], [wait(2, 1, seconds=4.9)])["db.locks"]["status"] == "ok"


def test_findings_carry_the_target_and_no_literals():
    sessions = [
        session(
            1,
            state="idle in transaction",
            state_seconds=900.0,
            query="UPDATE t SET a = 'hush' WHERE id = 7",
        )
    ]
    for found in decide(sessions).values():
        assert found["evidence"]["target"] == "db1:5432"
        assert "hush" not in str(found)


# --- whom to end

UNPROTECTED = {
    "include": [],
    "database": "sergas_prod",
    "users": [],
    "applications": [],
    "clients": [],
}


def chosen(sessions, filters, method="terminate", blocking=(), **protection):
    plan = termination_plan.plan(sessions, filters, {**UNPROTECTED, **protection}, method, blocking)
    return [item["pid"] for item in plan.victims], {
        reason: len(items) for reason, items in plan.spared.items()
    }


FILTERS = [
    ({"states": ["idle"]}, {}, {"state": "active"}),
    ({"idle_longer_than": 300.0}, {"state_seconds": 300.1}, {"state_seconds": 300.0}),
    (
        {"idle_longer_than": 300.0},
        {"state": "idle in transaction", "state_seconds": 301.0},
        {"state": "active", "state_seconds": 301.0},
    ),
    (
        {"query_longer_than": 60.0},
        {"state": "active", "query_seconds": 61.0},
        {"state": "idle", "query_seconds": 61.0},
    ),
    (
        {"query_longer_than": 60.0},
        {"state": "active", "query_seconds": 61.0},
        {"state": "active", "query_seconds": 59.0},
    ),
    (
        {"transaction_longer_than": 60.0},
        {"transaction_seconds": 61.0},
        {"transaction_seconds": None},
    ),
    ({"users": ["sergas"]}, {}, {"user": "report"}),
    ({"applications": ["sergas-*"]}, {}, {"application": "cron"}),
    ({"applications": ["sergas-*"]}, {}, {"application": None}),
    ({"clients": ["10.0.0.0/24"]}, {}, {"client": "10.0.1.9"}),
    ({"clients": ["10.0.0.9"]}, {}, {"client": None}),
    ({"clients": ["local"]}, {"client": None}, {}),
    ({"clients": ["2001:db8::/32"]}, {"client": "2001:db8::5"}, {}),
    ({"databases": ["other"]}, {"database": "other"}, {}),
    (
        {"sessions": [{"pid": 1, "backend_start": "2026-03-01T10:00:00.000001+00:00"}]},
        {},
        {"backend_start": "2026-03-01T10:00:00.000002+00:00"},
    ),
]


@pytest.mark.parametrize(("filters", "match", "no_match"), FILTERS)
def test_a_filter_chooses(filters, match, no_match):
    assert chosen([session(1, **match)], filters) == ([1], {})
    assert chosen([session(1, **no_match)], filters) == ([], {})


@pytest.mark.parametrize(
    "name", ["states", "users", "applications", "clients", "databases", "sessions"]
)
def test_an_empty_filter_is_not_everybody(name):
    assert chosen([session(1)], {name: []}) == ([], {})


@pytest.mark.parametrize(
    "name", ["idle_longer_than", "transaction_longer_than", "blocking_longer_than"]
)
def test_what_is_not_a_number_is_not_everybody(name):
    assert chosen([session(1, transaction_seconds=9.0)], {name: float("nan")}) == ([], {})


def test_every_filter_has_to_match():
    filters = {"states": ["idle"], "users": ["sergas"]}
    assert chosen([session(1, user="report"), session(2, state="active"), session(3)], filters) == (
        [3],
        {},
    )


def test_the_root_of_a_chain_can_be_chosen():
    blocking = [{"pid": 1, "longest_wait_seconds": 61.0}, {"pid": 2, "longest_wait_seconds": 60.0}]
    assert chosen(crowd(3, first=1), {"blocking_longer_than": 60.0}, blocking=blocking) == ([1], {})


PROTECTED = [
    ("own", {"own": True}, None),
    ("background", {"backend_type": "parallel worker"}, None),
    ("background", {"backend_type": "logical replication worker"}, None),
    ("replication", WALSENDER, "replication"),
    ("autovacuum", AUTOVACUUM, "autovacuum"),
    ("superuser", {"superuser": True}, "superusers"),
    ("other_database", {"database": "other"}, "other_databases"),
]


@pytest.mark.parametrize(("reason", "given", "lifted_by"), PROTECTED)
def test_protections_hold_unless_they_are_lifted_by_name(reason, given, lifted_by):
    sessions = [session(1, **given)]
    filters = {"states": ["idle", "active"]}
    everything = ["superusers", "other_databases", "replication", "autovacuum"]
    assert chosen(sessions, filters) == ([], {reason: 1})
    others = [name for name in everything if name != lifted_by]
    assert chosen(sessions, filters, include=others) == ([], {reason: 1})
    if lifted_by:
        assert chosen(sessions, filters, include=[lifted_by]) == ([1], {})
    else:
        assert chosen(sessions, filters, include=everything) == ([], {reason: 1})


def test_a_database_that_is_named_is_not_another_one():
    assert chosen([session(1, database="other")], {"databases": ["other"]}) == ([1], {})


@pytest.mark.parametrize(
    "protection",
    [{"users": ["sergas"]}, {"applications": ["sergas*"]}, {"clients": ["10.0.0.0/8"]}],
)
def test_the_operators_own_list_is_spared(protection):
    assert chosen([session(1)], {"states": ["idle"]}, **protection) == ([], {"listed": 1})


def test_what_cannot_be_seen_is_spared_and_counted():
    filters = {"idle_longer_than": 300.0, "users": ["sergas"]}
    assert chosen([session(1, **HIDDEN), session(2, **{**HIDDEN, "user": "report"})], filters) == (
        [],
        {"hidden": 1},
    )


def test_only_a_running_statement_can_be_cancelled():
    sessions = [session(1), session(2, state="active"), session(3, state="idle in transaction")]
    assert chosen(sessions, {"users": ["sergas"]}, "cancel") == ([2], {"nothing_to_cancel": 2})


def test_those_longest_in_their_state_come_first():
    sessions = [
        session(pid, state_seconds=seconds)
        for pid, seconds in ((1, 10.0), (2, 30.0), (3, None), (4, 30.0))
    ]
    assert chosen(sessions, {"states": ["idle"]})[0] == [2, 4, 1, 3]


def test_networks_are_checked_by_name_of_the_option():
    assert termination_plan.networks(["local", "10.0.0.0/8", "::1"], "clients") == [
        "local",
        "10.0.0.0/8",
        "::1",
    ]
    with pytest.raises(ValueError, match=r"clients: '10\.0\.0\.300'"):
        termination_plan.networks(["10.0.0.300"], "clients")
