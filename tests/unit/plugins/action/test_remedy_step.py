# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.sergas.ops.plugins.action import remedy_step
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding

DOWN = finding("redis.unreachable", "redis", "fail", "nothing listens")
TURN = {"remedy": "start_redis", "hosts": ["a", "b"]}


class Hostvars(dict):
    """The hosts' variables as Ansible hands them out."""

    def raw_get(self, name):
        return dict.__getitem__(self, name)


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
        "verification": {"part": "health", "checks": ["redis"], "timeout": 30},
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

    def run(name, check_mode=False, **options):
        task = SimpleNamespace(args=options, check_mode=check_mode, async_val=0, action="x")
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="x"))
        action = remedy_step.ActionModule(task, connection, None, None, None)
        variables = {"hostvars": Hostvars(hosts), "inventory_hostname": name}
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
    assert step("a", turn=TURN)["check"]["on"] == "a"
    assert step("a", turn=TURN)["next"] == "check" and slept[-1] == 2
    hosts["a"]["sergas_diagnose_health"] = {"findings": [finding("redis.ok", "redis", "ok", "up")]}
    assert step("a", turn=TURN)["next"] == "conclude" and slept[-1] == 0
    hosts["a"]["ansible_failed_result"] = {"msg": "it is restored already"}
    hosts["a"]["ansible_failed_task"] = {"name": "Disarm"}
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


@pytest.mark.parametrize(
    ("progress", "next_step"),
    [
        ({"outcomes": [{"remedy": "start_redis", "outcome": "undone", "worse": False}]}, "done"),
        ({"outcomes": [{"remedy": "other", "outcome": "undone", "worse": False}]}, "check"),
        ({"outcomes": [{"remedy": "other", "outcome": "undone", "worse": True}]}, "done"),
        ({"current": "other"}, "done"),
        ({}, "check"),
    ],
)
def test_what_ended_badly_on_a_host_of_an_earlier_batch_is_not_tried(
    hosts, step, progress, next_step
):
    hosts["a"]["sergas_remediate"] = {"next": "done", **progress}
    assert step("b", turn=TURN)["next"] == next_step
    # What a later batch does stops nothing.
    hosts["b"]["sergas_remediate"] = {"current": "start_redis"}
    del hosts["a"]["sergas_remediate"]
    assert step("a", turn=TURN)["next"] == "begin"


def test_a_check_run_notes_nothing_as_begun(step):
    assert step("a", check_mode=True, turn=TURN)["current"] == ""


def test_after_the_remedies_all_parts_are_run_again(hosts, step):
    hosts["a"]["sergas_diagnose_insights"] = {"findings": []}
    hosts["a"]["sergas_remediate"] = {"outcomes": [{"remedy": "x"}]}
    made = step("a", event="recheck")
    assert made["parts"] == ["health", "database"] and made["outcomes"] == [{"remedy": "x"}]
    assert step("a", event="recheck")["parts"] == []


def test_an_event_that_is_none_is_named(step):
    with pytest.raises(AnsibleActionFail, match="event: 'begun' is not allowed"):
        step("a", event="begun")
