# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import verdict
from ansible_collections.sergas.ops.plugins.plugin_utils.report import outcomes


def judge(wanted, before, *after):
    return verdict.judge(wanted, before, list(after))


def test_it_has_helped_when_the_finding_is_gone(makers):
    found = judge(["redis.unreachable"], ["redis.unreachable"], makers.good("redis.ok", "redis"))
    assert found == {
        "good": True,
        "gone": True,
        "worse": False,
        "awaiting": [],
        "reason": "redis.unreachable is gone",
    }


def test_it_has_not_helped_while_one_of_the_findings_is_there(makers):
    found = judge(["db.missing", "redis.unreachable"], [], makers.bad(summary="refused"))
    assert (found["good"], found["gone"], found["worse"]) == (False, False, False)
    assert found["reason"] == "still redis.unreachable: refused"


def test_an_unknown_result_verifies_nothing(makers):
    unknown = makers.bad("redis.unknown", None, status="unknown", summary="no answer")
    assert not judge(["redis.unreachable"], [], unknown)["good"]
    assert not verdict.judge(["redis.unreachable"], [], None)["good"]
    skipped = makers.bad("redis.skipped", None, status="skipped")
    assert not judge(["redis.unreachable"], [], skipped)["good"]


def test_what_was_not_checked_is_not_gone(makers):
    found = judge(["app.exceptions"], [], makers.good("app.service.ok", "app"))
    assert not found["good"] and not found["gone"]
    assert found["reason"] == "not measured: app.exceptions"


@pytest.mark.parametrize("unmeasured", ["app.files.unknown", "app.resources.unknown"])
@pytest.mark.parametrize("resource", ["files", "tasks", "pool"])
def test_a_resource_that_was_not_measured_is_not_gone(makers, unmeasured, resource):
    ok = makers.good("app.service.ok", "app")
    unknown = makers.bad(unmeasured, None, "app", status="unknown")
    assert not judge(["app.%s.exhausted" % resource], [], unknown, ok)["good"]


def test_a_check_of_something_else_shows_only_that_nothing_else_has_failed(makers):
    ok, failed = makers.good("db.settings.ok", "database"), makers.bad("host.disk.high", None)
    found = verdict.judge(["db.queries.slow"], [], [ok], resolves=False)
    assert (found["good"], found["gone"]) == (True, False)
    assert found["awaiting"] == ["db.queries.slow"]
    assert found["reason"] == "nothing else has failed; this check does not show db.queries.slow"
    assert verdict.judge(["db.queries.slow"], [], [ok, failed], resolves=False)["worse"]


def test_what_only_traffic_shows_is_neither_gone_nor_there(makers):
    ok = makers.good("app.service.ok", "app")
    for seen in (
        [],
        [makers.bad("app.exceptions", None, "app")],
        [makers.good("app.exceptions.ok")],
    ):
        found = verdict.judge(["app.exceptions"], [], [ok, *seen], awaiting=["app.exceptions"])
        assert (found["good"], found["gone"], found["worse"]) == (True, False, False)
        assert found["awaiting"] == ["app.exceptions"]
        assert found["reason"] == "only traffic shows whether app.exceptions has ended"
    # What it answers beside that has to be gone.
    wanted = ["app.exceptions", "redis.unreachable"]
    found = verdict.judge(wanted, [], [ok, makers.bad()], awaiting=["app.exceptions"])
    assert found["reason"].startswith("still redis.unreachable") and not found["awaiting"]


def test_another_finding_of_the_same_id_is_no_matter_of_the_remedy(makers):
    ok = makers.good("redis.ok", "redis")
    other = makers.bad(reason="full:/data")
    known = [("redis.unreachable", "full:/data")]
    assert verdict.judge(["redis.unreachable"], [], [ok, other], others=known)["good"]
    # One that was not there before is.
    found = verdict.judge(["redis.unreachable"], [], [ok, other])
    assert found["reason"].startswith("still redis.unreachable")


@pytest.mark.parametrize(
    ("wanted", "new", "good"),
    [
        ("redis.unreachable", "host.disk.high", False),
        ("redis.unreachable", "redis.auth.failed", True),  # hidden behind it
        ("redis.auth.failed", "redis.unreachable", False),  # its doing
        ("db.unreachable", "db.auth.failed", True),
        ("db.auth.failed", "db.missing", True),
        ("db.missing", "db.unreachable", False),
        ("app.env.missing", "app.port.conflict", True),
        ("app.env.missing", "db.unreachable", True),
        ("app.port.conflict", "app.import.error", False),
        ("host.memory.high", "app.service.down", False),
    ],
)
def test_a_new_failure_counts_unless_the_old_one_hid_it(makers, wanted, new, good):
    inspected = makers.good(".".join([*wanted.split(".")[:2], "ok"]), "app")
    found = judge([wanted], [wanted], inspected, makers.bad(new, None, "host"))
    assert (found["good"], found["worse"]) == (good, not good)


def test_a_problem_that_was_there_before_or_derives_or_only_warns_is_no_new_failure(makers):
    ok = makers.good("redis.ok", "redis")
    old = makers.bad("host.disk.high", None, "host")
    derived = makers.bad("api.health.failing", None, "api", cause="host.disk.high")
    warns = makers.bad("host.cpu.high", None, "host", status="warn")
    assert judge(["redis.unreachable"], ["host.disk.high"], ok, old, derived, warns)["good"]


def test_the_findings_of_several_results_are_one():
    ok, more = {"findings": [{"id": "a"}]}, {"findings": [{"id": "b"}]}
    assert verdict.findings_of([ok, more, {}, {"skipped": True}]) is None
    assert verdict.findings_of([ok, {"skipped": True}, more]) == [{"id": "a"}, {"id": "b"}]
    assert verdict.findings_of([ok, {"failed": True}]) is None
    assert verdict.findings_of([]) is None


def answer(reason=None):
    return {"host": "h", "id": "redis.unreachable", "reason": reason}


def record(remedy, outcome, worse=False, reason="refused"):
    return {"remedy": remedy, "outcome": outcome, "worse": worse, "answers": [answer(reason)]}


@pytest.mark.parametrize(
    ("ended", "blocked_by"),
    [
        ({"a": ([record("x", "kept")], "")}, None),
        ({"a": ([record("x", "undone")], "")}, "a"),
        ({"a": ([record("x", "undone", reason="timeout")], "")}, None),
        ({"a": ([record("x", "undone", worse=True, reason="timeout")], "")}, "a"),
        ({"a": ([record("x", "unverified")], "")}, None),
        ({"a": ([record("other", "undone")], "")}, None),
        ({"a": ([record("other", "undone", worse=True)], "")}, "a"),
        ({"a": ([record("x", "not needed")], ""), "b": ([record("x", "failed")], "")}, "b"),
        ({"a": ([record("x", "refused")], "")}, None),
        ({"a": ([], "other")}, "a"),  # lost in the middle of it
        ({}, None),
    ],
)
def test_a_bad_end_stops_the_next(ended, blocked_by):
    assert outcomes.stopped_by(ended, "x", [answer("refused")]) == blocked_by
