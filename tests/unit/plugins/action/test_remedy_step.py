# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.sergas.ops.plugins.action import remedy_step
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import outcomes

DOWN = finding("redis.unreachable", "redis", "fail", "nothing listens")
TURN = {"remedy": "start_redis", "hosts": ["a", "b"]}


class Hostvars(dict):
    """The hosts' variables as Ansible hands them out."""

    def raw_get(self, name):
        return dict.__getitem__(self, name)


class Unreadable:
    """What is not to be copied."""

    def __str__(self):
        raise AssertionError("it was copied")


@pytest.fixture
def slept(monkeypatch):
    """The seconds that the action has slept."""
    seconds = []
    monkeypatch.setattr(remedy_step.time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def hosts():
    """Two batches of a host each, both of which get the remedy."""
    order = {
        "remedy": "start_redis",
        "resolves_points": False,
        "target": None,
        "finding": DOWN,
        "findings": ["redis.unreachable"],
        "known": ["redis.unreachable"],
        "undo": None,
        "timeout": 120,
        "verification": {"part": "health", "checks": ["redis"], "timeout": 30, "resolves": True},
        "answers": [{"host": "a", "id": "redis.unreachable", "reason": None}],
        "others": [],
        "found_by": {},
        "awaiting": [],
        "restarts_app": False,
        "approved": False,
        "more": False,
        "decides": None,
    }
    plan = {
        "batches": [["a"], ["b"]],
        "from_report": False,
        "orders": {
            name: [dict(order, batch=batch, probe_host=name)] for batch, name in enumerate("ab")
        },
    }
    health = {"findings": [DOWN], "app": {"service": "sergas-app"}}
    return {
        name: {"sergas_remediation_plan": plan, "sergas_diagnose_health": dict(health)}
        for name in "ab"
    }


@pytest.fixture
def step(hosts, slept):
    """Run the action on a host and register what it returns, as the role does."""

    def run(name, check_mode=False, lost=(), **options):
        task = SimpleNamespace(args=options, check_mode=check_mode, async_val=0, action="x")
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="x"))
        action = remedy_step.ActionModule(task, connection, None, None, None, None)
        variables = {
            "hostvars": Hostvars(hosts),
            "inventory_hostname": name,
            "ansible_play_hosts": [host for host in hosts if host not in lost],
        }
        result = action.run(task_vars=variables)
        assert result["changed"] is False
        hosts[name]["sergas_remediate"] = result
        return result

    return run


def test_the_steps_of_a_remedy_take_what_the_tasks_have_registered(hosts, step, slept):
    made = step("a", turn=TURN)
    assert (made["next"], made["current"]) == ("begin", "start_redis")
    assert made["app"] == {"service": "sergas-app"} and made["order"]["position"] == 0
    hosts["a"]["__remediate_returned"] = {"refused": None}
    assert step("a", turn=TURN)["next"] == "run"
    assert step("a", turn=TURN)["check"]["parts"][0]["on"] == "a"
    assert step("a", turn=TURN)["next"] == "check" and slept[-1] == 2
    hosts["a"]["sergas_diagnose_health"] = {"findings": [finding("redis.ok", "redis", "ok", "up")]}
    assert step("a", turn=TURN)["next"] == "conclude" and slept[-1] == 0
    hosts["a"]["ansible_failed_result"] = {"msg": "it is restored already"}
    # All else of the task is left where it is, however much that is.
    hosts["a"]["ansible_failed_task"] = {"name": "Disarm", "parent": Unreadable()}
    assert step("a", event="failed")["next"] == "end"
    assert step("a", turn=TURN)["next"] == "end"
    (record,) = step("a", turn=TURN)["outcomes"]
    assert (record["outcome"], record["reason"]) == ("undone", "it is restored already (Disarm)")


def test_a_host_waits_for_no_turn_of_others_and_keeps_its_outcomes(hosts, step):
    hosts["a"]["sergas_remediate"] = {"next": "done", "outcomes": [{"remedy": "x"}]}
    made = step("a", turn={"remedy": "start_redis", "hosts": ["b"]})
    assert (made["next"], made["outcomes"]) == ("done", [{"remedy": "x"}])
    # The host beside those acted on has no plan where it is the controller.
    hosts["localhost"] = {}
    assert step("localhost", turn=TURN)["next"] == "done"


def undone(remedy, worse=False, reason=None):
    answers = [{"host": "a", "id": "redis.unreachable", "reason": reason}]
    return {"remedy": remedy, "outcome": "undone", "worse": worse, "answers": answers}


@pytest.mark.parametrize(
    ("progress", "next_step"),
    [
        ({"outcomes": [undone("start_redis")]}, "done"),
        # Where it is so for another reason, it may help.
        ({"outcomes": [undone("start_redis", reason="other")]}, "check"),
        ({"outcomes": [undone("other")]}, "check"),
        ({"outcomes": [undone("other", worse=True)]}, "done"),
        ({"current": "other"}, "done"),
        # Its state was lost: what was begun there is not known.
        (None, "done"),
        ({}, "check"),
    ],
)
def test_what_ended_badly_on_a_host_of_an_earlier_batch_is_not_tried(
    hosts, step, progress, next_step
):
    lost = {"failed": True, "msg": "worker found in a dead state"}
    state = {"next": "done", "outcomes": [], "current": ""}
    hosts["a"]["sergas_remediate"] = lost if progress is None else {**state, **progress}
    made = step("b", turn=TURN)
    assert made["next"] == next_step and not made["outcomes"] and not made["reason"]
    # What a later batch does stops nothing.
    hosts["b"]["sergas_remediate"] = {**state, "current": "start_redis"}
    del hosts["a"]["sergas_remediate"]
    assert step("a", turn=TURN)["next"] == "begin"


def test_a_check_run_notes_nothing_as_begun(step):
    assert step("a", check_mode=True, turn=TURN)["current"] == ""


def test_after_the_remedies_all_parts_are_run_again(hosts, step):
    hosts["a"]["sergas_diagnose_insights"] = {"findings": []}
    hosts["a"]["sergas_remediate"] = {"next": "done", "outcomes": [{"remedy": "x"}]}
    made = step("a", event="recheck")
    assert made["parts"] == ["health", "database"] and made["outcomes"] == [{"remedy": "x"}]
    assert step("a", event="recheck")["parts"] == []


def test_a_host_that_was_lost_goes_on_with_nothing(hosts, step):
    # It was lost before its first remedy had begun, or in the middle of it.
    assert step("a", turn=TURN, lost=["a"])["next"] == "done"
    step("a", turn=TURN)
    made = step("a", turn=TURN, lost=["a"])
    assert (made["next"], made["current"], made["outcomes"]) == ("done", "start_redis", [])
    assert step("a", turn=TURN)["next"] == "done"
    assert step("b", turn=TURN)["next"] == "done"
    # What it has is checked again.
    assert step("a", event="recheck")["parts"] == ["health"]


@pytest.mark.parametrize("results", [["No package x"], [None], "two", [{"failed": True}, 3]])
def test_a_failed_task_may_return_any_results(hosts, step, results):
    step("a", turn=TURN)
    step("a", turn=TURN)
    hosts["a"]["ansible_failed_result"] = {"failed": True, "msg": "no package", "results": results}
    made = step("a", event="failed")
    assert (made["next"], made["current"]) == ("conclude", "start_redis")


def test_a_result_that_cannot_be_used_is_a_failure_that_keeps_the_state(hosts, step):
    for _step in range(3):
        made = step("a", turn=TURN)
    assert (made["next"], made["check"]["purpose"]) == ("check", "verify")
    hosts["a"]["sergas_diagnose_health"] = {"findings": [{"id": "redis.unreachable"}]}
    made = step("a", turn=TURN)
    # The step that undoes it comes next, and comes once.
    assert (made["next"], made["failed_over"]) == ("conclude", False)
    assert (made["current"], made.get("failed")) == ("start_redis", None)
    hosts["a"]["__remediate_returned"] = {"outcome": {"touched": True}}
    assert step("a", turn=TURN)["next"] == "end"
    (record,) = step("a", turn=TURN)["outcomes"]
    assert record["outcome"] == "undone"
    assert record["reason"] == "the result of a task cannot be used: KeyError: 'status'"
    # A task that failed, too: its own step follows once more.
    hosts["a"]["sergas_remediate"] = dict(made, next="run")
    hosts["a"]["ansible_failed_result"] = {"failed": True, 3: {4: 5}, "results": {(1, 2): 3}}
    made = step("a", event="failed")
    assert (made["next"], made["failed_over"]) == ("conclude", True)
    assert "TypeError" in made["verdict"]["reason"]


def test_a_turn_that_cannot_begin_fails_and_keeps_what_has_ended(hosts, step):
    hosts["a"]["sergas_remediate"] = {"next": "done", "outcomes": [{"remedy": "x"}]}
    del hosts["a"]["sergas_remediation_plan"]["orders"]
    made = step("a", turn=TURN)
    assert made["failed"] and made["msg"].endswith("KeyError: 'orders'")
    assert (made["next"], made["outcomes"]) == ("done", [{"remedy": "x"}])


def test_a_state_that_was_lost_stays_lost(hosts, step):
    hosts["a"]["sergas_remediate"] = {"failed": True, "msg": "worker found in a dead state"}
    assert step("a", turn=TURN)["current"] == outcomes.LOST
    assert step("a", event="recheck")["current"] == outcomes.LOST
    hosts["a"]["sergas_diagnose_health"] = {"findings": 3}
    assert step("a", event="recheck")["current"] == outcomes.LOST


def test_an_event_that_is_none_is_named(step):
    with pytest.raises(AnsibleActionFail, match="event: 'begun' is not allowed"):
        step("a", event="begun")
