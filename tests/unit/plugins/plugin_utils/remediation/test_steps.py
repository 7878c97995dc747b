# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import steps

NOW = 1764000000
APP = {"service": "sergas-app"}
RESTORED = {"outcome": {"touched": True, "commands": []}}
UNTOUCHED = {"outcome": {"touched": False, "commands": []}}


class Run:
    """One remedy on one host, step by step, on its own clock."""

    def __init__(self, makers, **changes):
        self.makers = makers
        self.now = NOW
        self.earlier = steps.state_of(None)
        self.order = {
            "remedy": "start_redis",
            "position": 0,
            "batch": 0,
            "resolves_points": False,
            "probe_host": "a",
            "target": None,
            "finding": makers.bad(),
            "findings": ["redis.unreachable"],
            "answers": [{"host": "a", "id": "redis.unreachable", "reason": None}],
            "others": [],
            "found_by": {},
            "awaiting": [],
            "restarts_app": False,
            "approved": False,
            "more": False,
            "decides": None,
            "known": ["redis.unreachable"],
            "undo": None,
            "timeout": 120,
            "verification": {
                "part": "health",
                "checks": ["redis"],
                "timeout": 30,
                "resolves": True,
            },
        }
        self.host = {
            "name": "a",
            "app": APP,
            "from_report": False,
            "checked": True,
            "blocked_by": None,
            "check_mode": False,
        }
        for key, value in changes.items():
            (self.order if key in self.order else self.host)[key] = value
        self.state = steps.start(self.earlier, self.order, self.host, self.now)

    @property
    def next(self):
        return self.state["next"]

    def take(self, seconds=1, *found, **returned):
        """Take the step, which lasts so long, finds this or has its module return that."""
        self.now += seconds
        host = {"name": "a", "app": APP, "results": [{"findings": list(found)}]}
        self.state = steps.advance(self.state, {**host, "returned": returned}, self.now)
        return self

    def fail(self, reason="it broke"):
        self.state = steps.fail(self.state, reason, self.now)
        if self.next != "done":
            # The state is read once more before the step that the failure has decided.
            self.take(0)
        return self

    def until_verified(self):
        """Go on to the first verification."""
        assert self.next == "begin"
        self.take()
        assert self.next == "run" and self.state["acted"]
        self.take()
        assert self.next == "check" and self.state["check"]["purpose"] == "verify"
        return self

    @property
    def record(self):
        assert self.next == "done" and self.state["current"] == ""
        return self.state["outcomes"][-1]

    @property
    def ended(self):
        return self.record["outcome"], self.record["reason"], self.record["worse"]


@pytest.fixture
def run(makers):
    return lambda **changes: Run(makers, **changes)


@pytest.fixture
def ok(makers):
    return makers.good("redis.ok", "redis")


def test_what_helps_is_kept(run, ok):
    made = run().until_verified()
    assert made.take(2, ok).next == "conclude" and made.state["verdict"]["good"]
    assert made.take().next == "end"
    assert (made.state["outcome"], made.state["current"]) == ("kept", "start_redis")
    made.take()
    assert made.ended == ("kept", "redis.unreachable is gone", False)
    assert (made.record["started"], made.record["ended"]) == (
        "2025-11-24T16:00:00Z",
        "2025-11-24T16:00:06Z",
    )
    assert made.record["before"] == [made.order["finding"]] and made.record["after"] == []


def test_it_is_verified_again_until_it_helps_or_its_time_is_over(run, makers, ok):
    made = run().until_verified()
    assert made.take(28, makers.bad()).next == "check" and made.state["wait"] == steps.INTERVAL_S
    # Its window begins with the remedy.
    assert made.state["check"]["since"] == NOW
    assert made.take(1, ok).state["verdict"]["good"] and made.state["wait"] == 0
    made = run().until_verified()
    assert made.take(29, makers.bad()).next == "check"
    assert made.take(1, makers.bad()).next == "conclude" and not made.state["verdict"]["good"]
    made.take(0, **RESTORED).take()
    assert made.ended == ("undone", "still redis.unreachable: redis.unreachable is bad", False)
    assert [item["id"] for item in made.record["after"]] == ["redis.unreachable"]


def test_what_had_changed_nothing_has_failed(run, makers):
    made = run().until_verified().take(30, makers.bad()).take(0, **UNTOUCHED).take()
    assert made.ended[0] == "failed" and made.ended[1].endswith("; nothing had been changed")
    # Its restore point could not be armed, so that there is none to restore.
    made = run().take().fail("no space left")
    assert made.next == "conclude"
    made.take(0, skipped=True).take()
    assert made.ended == ("failed", "no space left; nothing had been changed", False)


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_host_that_was_lost_takes_no_further_step(run, ok, taken):
    made = run()
    for found in [(), (), (ok,)][:taken]:
        made.take(1, *found)
    assert made.next == ("begin", "run", "", "conclude")[taken]
    made.take(1, unreachable=True, msg="Connection timed out")
    assert (made.next, made.state["outcomes"]) == ("done", [])
    assert made.state["current"] == "start_redis"
    # Nor is the next remedy begun on it.
    order = {**made.order, "remedy": "start_service", "position": 1}
    later = steps.start(made.state, order, {**made.host, "blocked_by": "a"}, made.now)
    assert (later["next"], later["current"]) == ("done", "start_redis")


def test_without_an_undo_there_is_nothing_to_conclude(run, makers, ok):
    made = run(undo="gone is gone").until_verified().take(1, ok)
    assert (made.next, made.state["outcome"]) == ("end", "kept")
    made = run(undo="gone is gone").take().fail()
    assert made.next == "end" and made.take().ended == (
        "failed",
        "it broke; there is no undo: gone is gone",
        False,
    )


def test_something_new_that_fails_is_worse_and_undone(run, makers, ok):
    new = makers.bad("host.disk.full", None, "host")
    made = run().until_verified().take(30, ok, new).take(0, **RESTORED).take()
    assert made.ended == ("undone", "new: host.disk.full: host.disk.full is bad", True)


def test_tasks_that_take_too_long_are_undone(run):
    made = run().take()
    assert made.state["deadline"] == made.now + 120
    made.take(120)
    assert made.next == "conclude"
    made.take(0, **RESTORED).take()
    assert made.ended[:2] == (
        "undone",
        "it exceeded its timeout of 120 s; its remaining tasks were skipped",
    )


def test_a_point_that_the_host_has_restored_already_cannot_be_kept(run, ok):
    made = run().until_verified().take(1, ok).fail("it is restored")
    assert made.next == "end" and made.take().ended == ("undone", "it is restored", False)


def test_what_could_not_be_undone_is_worse(run, makers):
    made = run().until_verified().fail("probe died").fail("disk is full")
    assert made.next == "end"
    assert made.take().ended == ("failed", "probe died; undoing it failed: disk is full", True)


def test_a_ledger_that_refuses_or_fails_ends_the_remedy_before_it_acts(run):
    made = run().take(refused="run r7 is at work")
    assert made.ended == ("refused", "run r7 is at work", False)
    made = run().fail("no such file")
    assert made.ended == ("failed", "no such file", False)


def test_what_follows_a_failure_does_not_wait(run, makers):
    made = run().until_verified().take(1, makers.bad())
    assert made.state["wait"] == steps.INTERVAL_S
    assert steps.fail(made.state, "probe died", made.now)["wait"] == 0


def test_an_end_that_the_ledger_does_not_take_is_worse(run, ok):
    made = run(undo="none needed").until_verified().take(1, ok).fail("disk is full")
    assert made.ended == ("failed", "disk is full", True)


@pytest.mark.parametrize(
    "old", [{"batch": 1}, {"position": 1}, {"checked": False}], ids=lambda old: next(iter(old))
)
def test_what_was_found_before_other_remedies_is_checked_first(run, makers, ok, old):
    made = run(**old)
    check = made.state["check"]
    assert (made.next, check["purpose"], check["since"]) == ("check", "needed", None)
    # Nothing has been begun that a lost host could be in the middle of.
    assert made.state["current"] == ""
    made.take(1, ok)
    assert made.ended == ("not needed", "redis.unreachable is gone", False)
    still = makers.bad(summary="refused")
    full = makers.bad("host.disk.full", None, "host")
    made = run(**old).take(1, still, full)
    assert (made.next, made.state["current"]) == ("begin", "start_redis")
    assert made.state["known"] == ["redis.unreachable", "host.disk.full"]
    assert made.state["before"] == [still]
    # What was bad before it is not its doing.
    assert made.until_verified().take(1, ok, full).state["verdict"]["good"]


def test_a_check_that_does_not_show_the_finding_leaves_the_remedy_needed(run, makers):
    verification = {"part": "database", "checks": ["settings"], "timeout": 30, "resolves": False}
    made = run(batch=1, findings=["db.queries.slow"], verification=verification)
    made.take(1, makers.good("db.settings.ok", "database"))
    assert made.next == "begin"


def test_what_only_traffic_shows_is_not_kept(run, makers):
    """Case: exceptions that were "gone" a moment after the restart, before anyone used the app."""
    waits = {"findings": ["app.exceptions"], "awaiting": ["app.exceptions"]}
    made = run(**waits).until_verified()
    made.take(1, makers.good("app.exceptions.ok", "app"), makers.good("app.service.ok", "app"))
    # It is not undone either.
    assert made.next == "conclude" and made.state["verdict"]["good"]
    made.take()
    assert (made.next, made.state["outcome"]) == ("end", "unverified")
    assert made.state["verdict"]["awaiting"] == ["app.exceptions"]
    made.take()
    assert made.ended == (
        "unverified",
        "only traffic shows whether app.exceptions has ended",
        False,
    )
    # Something else that fails is its doing all the same.
    made = run(**waits, undo="none").until_verified()
    down = makers.bad("app.service.down", None, "app", cause=None)
    made.take(30, makers.good("app.exceptions.ok", "app"), down).take()
    assert made.ended[0] == "failed" and made.ended[2]


def test_before_it_begins_what_was_found_counts_also_where_only_traffic_shows_it(run, makers):
    made = run(batch=1, findings=["app.exceptions"], awaiting=["app.exceptions"])
    made.take(1, makers.good("app.exceptions.ok", "app"))
    assert made.ended[0] == "not needed"


def test_what_cannot_be_shown_by_its_check_is_not_kept(run, makers):
    verification = {"part": "database", "checks": ["settings"], "timeout": 30, "resolves": False}
    made = run(findings=["db.queries.slow"], verification=verification, undo="none")
    made.until_verified().take(1, makers.good("db.settings.ok", "database")).take()
    assert made.ended[0] == "unverified"


def test_what_traffic_has_decided_is_recorded_and_nothing_else_is_done(run):
    decides = {"run": "r0", "outcome": "failed", "reason": "still app.exceptions: 3"}
    made = run(decides=decides)
    assert (made.next, made.state["outcome"], made.state["acted"]) == ("end", "failed", False)
    assert made.take().ended == ("failed", "still app.exceptions: 3", False)
    made = run(decides=decides, check_mode=True)
    assert made.ended[:2] == (
        "would apply",
        "it would be recorded as failed: still app.exceptions: 3",
    )


@pytest.mark.parametrize(
    ("found_by", "expected"),
    [
        ({}, [("health", ["redis"])]),
        ({"health": ["redis"]}, [("health", ["redis"])]),
        ({"health": ["api"]}, [("health", ["redis", "api"])]),
        # Case: the app cannot use Cognee, and Cognee itself says that all is well.
        ({"cognee": []}, [("health", ["redis"]), ("cognee", [])]),
        ({"health": ["api"], "zoho": []}, [("health", ["redis", "api"]), ("zoho", [])]),
    ],
)
def test_what_has_found_it_verifies_it(run, found_by, expected):
    parts = run(batch=1, found_by=found_by).state["check"]["parts"]
    assert [(part["part"], part["checks"]) for part in parts] == expected
    assert {part["on"] for part in parts} == {"a"}


def test_an_app_that_serves_by_now_is_not_restarted_without_a_person(run, makers):
    """Another remedy has brought it back since the plan was made."""
    healthy = makers.finding("api.health.ok", evidence={"statuses": [200]})
    still = makers.bad()
    made = run(batch=1, restarts_app=True).take(1, still, healthy)
    assert made.ended[0] == "refused" and "sergas_approve" in made.ended[1]
    assert run(batch=1, restarts_app=True, approved=True).take(1, still, healthy).next == "begin"
    assert run(batch=1).take(1, still, healthy).next == "begin"
    down = makers.bad("api.health.unreachable", None, "api")
    assert run(batch=1, restarts_app=True).take(1, still, down).next == "begin"


def test_until_the_others_of_its_sequence_are_done_the_app_may_stay_down(run, makers):
    """Case: a limit of memory that is too low beside a package that is missing."""
    oom = {"findings": ["app.oom.killed"]}
    ok = makers.finding("app.oom.ok")
    down = makers.bad("app.service.down", None, "app")
    assert run(**oom).until_verified().take(30, ok, down).state["verdict"]["worse"]
    assert run(**oom, more=True).until_verified().take(1, ok, down).state["verdict"]["good"]
    other = makers.bad("host.disk.full", None, "host")
    assert not run(**oom, more=True).until_verified().take(1, ok, other).state["verdict"]["good"]


def test_a_check_that_fails_before_the_remedy_is_a_failure_without_an_undo(run):
    assert run(batch=1).fail("no answer").ended == ("failed", "no answer", False)


def test_a_host_is_diagnosed_before_the_first_remedy_of_a_report(run):
    made = run(from_report=True, app={})
    check = made.state["check"]
    assert (check["purpose"], check["parts"]) == ("survey", [{"part": "health", "on": "a"}])
    made.take()
    assert made.state["app"] == APP and made.state["check"]["purpose"] == "needed"
    later = steps.start(made.state, {**made.order, "position": 1}, {**made.host, "app": {}}, NOW)
    assert (later["check"]["purpose"], later["app"]) == ("needed", APP)
    # Also where that is not the first of its plan.
    made = run(from_report=True, app={}, blocked_by="b")
    later = steps.start(
        made.state, {**made.order, "position": 1}, {**made.host, "blocked_by": None}, NOW
    )
    assert later["check"]["purpose"] == "survey"


def test_the_check_runs_where_the_finding_is(run):
    elsewhere = {"batch": 1, "probe_host": "b", "target": "192.0.2.1:6379"}
    check = run(**elsewhere).state["check"]
    assert check["parts"] == [{"part": "health", "checks": ["redis"], "on": "b"}]
    assert check["backends"] == ["192.0.2.1:6379"]
    # What is of the server is checked on the server.
    verification = {"part": "database", "checks": [], "timeout": 30, "resolves": True}
    (part,) = run(**elsewhere, verification=verification).state["check"]["parts"]
    assert part["on"] == "a"


def test_a_check_run_begins_nothing_and_changes_nothing(run):
    made = run(check_mode=True)
    assert (made.next, made.state["current"]) == ("begin", "")
    assert made.take().take().ended == ("would apply", "a check run changes nothing", False)
    assert run(check_mode=True).take().fail("no such unit").ended == (
        "failed",
        "no such unit",
        False,
    )


def test_a_remedy_that_another_host_stops_leaves_no_record(run):
    made = run(blocked_by="b")
    assert made.next == "done" and made.state["outcomes"] == []


def test_the_outcomes_of_a_host_and_its_app_are_kept_from_remedy_to_remedy(makers, run, ok):
    first = run().until_verified().take(1, ok).take().take()
    order = {**first.order, "remedy": "start_service", "position": 1}
    second = steps.start(first.state, order, {**first.host, "app": {"service": "x"}}, first.now)
    assert second["app"] == APP and [one["remedy"] for one in second["outcomes"]] == ["start_redis"]


def test_a_state_is_read_from_what_was_registered_with_its_other_keys_left_out():
    state = steps.state_of({"next": "run", "changed": False, "failed": False})
    assert (state["next"], state["outcomes"], state["current"]) == ("run", [], "")
    assert "changed" not in state


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"msg": "no such unit"}, "no such unit (Start Redis)"),
        ({}, "it failed (Start Redis)"),
        (
            {
                "msg": "All items completed",
                "results": [{"failed": False}, {"failed": True, "msg": "two"}],
            },
            "two (Start Redis)",
        ),
    ],
)
def test_the_reason_of_a_failure_names_its_task(result, reason):
    assert steps.failure(result, "Start Redis") == reason
    assert steps.failure({}, None) == "it failed (a task)"


def test_the_parts_of_a_diagnosis_are_those_that_have_registered_something():
    names = ["other", "sergas_diagnose_insights", "sergas_diagnose_zoho", "sergas_diagnose_health"]
    assert steps.parts_of([*names, "sergas_diagnose_connections"]) == ["health", "database", "zoho"]
    assert steps.parts_of([]) == ["health"]
    for part in ("health", "database"):
        assert steps.parts_of(steps.registered_by(part))[-1] == part


def test_after_the_remedies_all_is_checked_again_while_the_app_is_starting(makers):
    closed = makers.bad("app.port.closed", evidence={"starting": True})
    starting = {"sergas_diagnose_health": {"findings": [closed]}}
    state = steps.recheck(steps.state_of({"next": "done", "outcomes": [1]}), starting, NOW)
    assert (state["parts"], state["wait"], state["outcomes"]) == (["health"], 0, [1])
    state = steps.recheck(state, starting, NOW + 5)
    assert (state["parts"], state["wait"]) == (["health"], steps.INTERVAL_S)
    state = steps.recheck(state, starting, NOW + 4 + steps.STARTING_S)
    assert state["parts"] == ["health"]
    state = steps.recheck(state, starting, NOW + 5 + steps.STARTING_S)
    assert (state["parts"], state["wait"]) == ([], 0)
    fine = {"sergas_diagnose_health": {"findings": [makers.good()]}}
    first = steps.recheck(steps.state_of(None), {}, NOW)
    assert steps.recheck(first, fine, NOW + 1)["parts"] == []
    lost = {"sergas_diagnose_health": {"unreachable": True}}
    assert steps.recheck(first, lost, NOW + 1)["parts"] == []
