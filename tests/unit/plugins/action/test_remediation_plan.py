# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail, AnsibleFilterError

from ansible_collections.sergas.ops.plugins.action import fleet_report, remediation_plan
from ansible_collections.sergas.ops.plugins.filter import remediation_hosts
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import model, results

DOWN = finding(
    "redis.unreachable",
    "redis",
    "fail",
    "nothing listens",
    evidence={"target": "127.0.0.1:6379"},
    remedy="start_redis",
)
ROOT = Path(__file__).resolve().parents[4]
FINE = finding("redis.ok", "redis", "ok", "answers")


class Hostvars(dict):
    """The hosts' variables as Ansible hands them out."""

    def raw_get(self, name):
        return dict.__getitem__(self, name)


@pytest.fixture
def plan(monkeypatch):
    """Run the action on {host: registered result}, with options; ``lines`` is what it printed."""
    shown = []
    monkeypatch.setattr(
        fleet_report.display, "display", lambda text, **_options: shown.append(text)
    )

    def run(hosts, check_mode=False, variables=None, of=None, **options):
        task = SimpleNamespace(args=options, check_mode=check_mode, async_val=0, action="x")
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="x"))
        action = remediation_plan.ActionModule(task, connection, None, None, None, None)
        hostvars = {
            name: {
                "group_names": [],
                **(variables or {}),
                **(of or {}).get(name, {}),
                **({} if result is None else {"sergas_diagnose_health": result}),
            }
            for name, result in hosts.items()
        }
        del shown[:]
        run.lines = shown
        return action.run(
            task_vars={
                "hostvars": Hostvars(hostvars),
                "ansible_play_hosts_all": list(hosts),
                "ansible_play_hosts": list(hosts),
                "awx_user_name": "alice",
            }
        )

    return run


def found(*items, **more):
    return {"findings": list(items), **more}


def test_the_real_catalogue_answers_a_real_finding(plan):
    made = plan({"app1": found(DOWN), "app2": found(FINE), "app3": found(FINE)})
    assert [(entry["remedy"], entry["host"]) for entry in made["entries"]] == [
        ("start_redis", "app1")
    ]
    assert (made["mode"], made["by"], made["changed"]) == ("plan", "alice", False)
    assert made["acting"] == [] and made["unhealthy_hosts"] == [] and made["schedule"] == []
    assert any("Plan: 1 remedy on 1 host." in line for line in plan.lines)


@pytest.mark.parametrize(("check_mode", "mode"), [(False, "apply"), (True, "check")])
def test_what_follows_acts_on_planned_hosts_only(plan, check_mode, mode):
    hosts = {"app1": found(FINE), "app2": found(DOWN), "app3": found(FINE)}
    made = plan(hosts, check_mode=check_mode, apply="true")
    assert (made["mode"], made["acting"], made["anchor_host"]) == (mode, ["app2"], "app1")
    assert list(made["orders"]) == ["app2"] and made["orders"]["app2"][0]["batch"] == 0
    turns = [{"remedy": "start_redis", "hosts": ["app2"]}]
    assert made["schedule"] == [{"hosts": ["app2"], "turns": turns}]
    assert made["unhealthy_hosts"] == ["app2"]
    names = Hostvars({"app1": {"sergas_remediation_plan": made}})
    assert remediation_hosts.remediation_hosts(names, "apply") == ["app2", "app1"]
    assert remediation_hosts.remediation_hosts(names, "recheck") == ["app2"]


def test_a_host_that_no_task_reaches_is_no_anchor_and_not_checked_again(plan):
    undefined = {"failed": True, "msg": "Error processing keyword 'remote_user': 'x' is undefined"}
    broken = {"failed": True, "msg": "No space left on device"}
    made = plan({"app1": undefined, "app2": broken, "app3": found(DOWN)}, apply="true")
    assert (made["anchor_host"], made["unhealthy_hosts"]) == ("app2", ["app2", "app3"])
    alone = plan({"app1": undefined, "app3": found(DOWN)}, apply="true")
    assert (alone["anchor_host"], alone["unhealthy_hosts"]) == ("localhost", ["app3"])


def test_an_approval_that_nothing_needs_is_a_note(plan):
    made = plan({"app1": found(FINE)}, approve=["end_blocker"])
    assert not made.get("failed")
    assert any("nothing needs end_blocker" in line for line in plan.lines)


def test_a_target_is_the_host_that_has_its_address(plan):
    """A balancer reaches an app by its address among the hosts, not by that for management."""
    blocked = finding(
        "lb.blocked",
        "loadbalancer",
        "fail",
        "ufw",
        evidence={"target": "198.51.100.11:8000"},
        remedy="allow_balancer",
    )
    own = {"ansible_host": "192.0.2.11", "sergas_addresses": ["198.51.100.11"]}
    made = plan({"app1": found(FINE), "lb1": found(blocked)}, of={"app1": own})
    assert [(entry["remedy"], entry["host"]) for entry in made["entries"]] == [
        ("allow_balancer", "app1")
    ]


def test_a_fleet_without_failures_has_no_hosts_to_act_on(plan):
    made = plan({"app1": found(FINE)}, apply=True)
    names = Hostvars({"app1": {"sergas_remediation_plan": made}})
    assert remediation_hosts.remediation_hosts(names, "apply") == "all:!all"
    assert remediation_hosts.remediation_hosts(Hostvars({"app1": {}}), "apply") == "all:!all"
    with pytest.raises(AnsibleFilterError):
        remediation_hosts.remediation_hosts(names, "other")


def test_the_ledger_that_the_diagnosis_has_read_holds_back(plan):
    change = {
        "time": "2026-11-24T12:00:00Z",
        "run": "r1",
        "remedy": "start_service",
        "outcome": "begun",
    }
    made = plan({"app1": found(DOWN, changes=[change, "nonsense"])})
    assert [guard["name"] for guard in made["entries"][0]["guards"]] == ["lock"]


def test_the_playbooks_and_roles_read_only_keys_of_the_plan(plan):
    files = [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("roles/**/*.yml")]
    text = "".join(path.read_text() for path in files)
    read = set(re.findall(r"\bsergas_remediation_plan(?:\.|\[')(\w+)", text))
    assert "mode" in read and read <= set(plan({"app1": found(DOWN)}))


def test_a_host_that_does_not_answer_is_not_acted_on(plan):
    lost = {"unreachable": True, "msg": "Connection timed out"}
    made = plan({"app1": lost, "app2": found(DOWN)}, apply=True)
    assert made["acting"] == ["app2"] and made["anchor_host"] == "localhost"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"remedies": ["reboot"]}, "sergas_remedies: 'reboot' is not allowed, it must be one of:"),
        ({"skip_remedies": "x"}, "sergas_skip_remedies: 'x' is not allowed"),
        ({"approve": ["end_bloker"]}, "sergas_approve: 'end_bloker' is not allowed"),
        ({"max_share": 2}, "sergas_max_share: 2 is not allowed"),
        ({"batches": ["0%"]}, "sergas_batches: ['0%'] is not allowed"),
        ({"maintenance_window": {"start": "1"}}, "sergas_maintenance_window: "),
        ({"apply": "perhaps"}, "sergas_apply: 'perhaps' is not allowed"),
        ({"repeat_times": "x"}, "sergas_repeat_times: 'x' is not allowed"),
        ({"cooldown": -1}, "sergas_cooldown: -1 is not allowed"),
        ({"report_file": "/nonexistent/report.json"}, "sergas_report_file: /nonexistent"),
        ({"report_file": 5}, "sergas_report_file: 5 is not allowed"),
        ({"remedies_dir": "/nonexistent"}, "the remedies in /nonexistent cannot be read"),
        ({"colour": "red"}, "colour: there is no such option"),
    ],
)
def test_options_that_cannot_be_are_named_before_anything_is_touched(plan, options, reason):
    with pytest.raises(AnsibleActionFail) as error:
        plan({"app1": found(DOWN)}, **options)
    assert reason in str(error.value)


def report_of(tmp_path, **changes):
    entries = [
        results.host_entry(name, [], [name], {"x": found(DOWN)}, ["x"]) for name in ("app1", "old")
    ]
    made = model.build(entries, "2026-11-24T18:00:00Z", "1", {}, "never", "Fleet")
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**made, **changes}))
    return str(path)


def test_a_report_gives_the_findings_of_hosts_that_were_not_checked(plan, tmp_path):
    made = plan({"app1": None, "app2": None}, report_file=report_of(tmp_path), max_share=1)
    assert made["from_report"] and made["gone"] == ["old"]
    assert [(entry["host"], entry["gone"]) for entry in made["entries"]] == [
        ("app1", False),
        ("old", True),
    ]
    assert made["batches"] == [["app1"]]
    with pytest.raises(AnsibleActionFail, match="none of its hosts .*app1, old.* is a host"):
        plan({"other": None}, report_file=report_of(tmp_path))
    with pytest.raises(AnsibleActionFail, match="schema version 1.1, allowed is 2.x"):
        plan({"app1": None}, report_file=report_of(tmp_path, schema_version="1.1"))
