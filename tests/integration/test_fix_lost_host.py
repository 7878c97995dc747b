# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook fix, with a host that is lost in one task of a remedy and answers all others.

All of it is real but what would act on the hosts: actions of the same names stand for these
modules.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
STAND_IN = """
from ansible.plugins.action import ActionBase
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        host = task_vars["inventory_hostname"]
        words = (self._task.action.rpartition(".")[2], self._task.args.get("state", ""))
        call = ("%s %s" % words).strip()
        with open(task_vars["calls"], "r+") as file:
            calls = file.read().splitlines()
            file.write("%s %s\\n" % (host, call))
        if task_vars.get("unanswered") == call and "%s %s" % (host, call) not in calls:
            return dict(result, unreachable=True, msg="Connection timed out")
        if words[0] == "sergas_health":
            ill = task_vars.get("ill") and host + " app_service restarted" not in calls
            result.update(findings=HEALTH[bool(ill)], app={"service": "sergas-app"})
        return result


HEALTH = [
    [finding("redis.ok", "redis", "ok", "up"), finding("host.disk.ok", "host", "ok", "fine")],
    [finding("redis.unreachable", "redis", "fail", "down"),
     finding("host.disk.high", "host", "warn", "full")],
]
"""
STOOD_IN_FOR = ("sergas_health", "remedy_ledger", "restore_point", "app_service")
REMEDY = {
    "title": "Restart it",
    "changes": ["it is restarted"],
    "impact": "restart",
    "reversible": True,
    "component": "redis",
    "undo": {"files": ["/etc/made-up"]},
    "cooldown": 0,
    "timeout": 60,
}
REMEDIES = {
    "first": {"answers": ["host.disk.high"], "verification": {"part": "health"}},
    "second": {"answers": ["redis.unreachable"], "verification": {"part": "health"}},
}


@pytest.fixture
def fix(tmp_path):
    """Run the playbook on hosts a and b, which need two remedies each, and c, which needs none."""
    collection = tmp_path / "ansible_collections" / "sergas" / "ops"
    actions = collection / "plugins" / "action"
    actions.mkdir(parents=True)
    for source, target in (
        (CHECKOUT, collection),
        (CHECKOUT / "plugins", collection / "plugins"),
        (CHECKOUT / "plugins" / "action", actions),
    ):
        for entry in source.iterdir():
            if not entry.name.startswith(".") and not (target / entry.name).exists():
                (target / entry.name).symlink_to(entry)
    for name in STOOD_IN_FOR:
        (actions / (name + ".py")).unlink(missing_ok=True)
        (actions / (name + ".py")).write_text(STAND_IN)
    own = tmp_path / "remedies"
    (own / "tasks").mkdir(parents=True)
    for name, parts in REMEDIES.items():
        (own / (name + ".yml")).write_text(yaml.safe_dump({**REMEDY, **parts}))
        tasks = [
            {"sergas.ops.app_service": {"state": "restarted"}},
            {"ansible.builtin.include_tasks": "more/tasks.yml"},
        ]
        (own / "tasks" / (name + ".yml")).write_text(yaml.safe_dump(tasks))
    (own / "tasks" / "more").mkdir()
    more = [{"sergas.ops.app_service": {"state": "started"}}]
    (own / "tasks" / "more" / "tasks.yml").write_text(yaml.safe_dump(more))
    calls = tmp_path / "calls"
    calls.write_text("")

    def run(unanswered):
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "calls": str(calls),
            "sergas_apply": True,
            "sergas_max_share": 1,
            "sergas_remedies_dir": str(own),
            "sergas_report_dir": str(tmp_path / "reports"),
        }
        hosts = {"a": {"ill": True, "unanswered": unanswered}, "b": {"ill": True}, "c": {}}
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": variables}}))
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory]
            + [collection / "playbooks" / "fix.yml"],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "ANSIBLE_COLLECTIONS_PATH": str(tmp_path),
                "ANSIBLE_LOCALHOST_WARNING": "false",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        try:
            report = json.loads((tmp_path / "reports" / "latest" / "report.json").read_text())
        except OSError:
            pytest.fail(output)
        outcomes = {
            (entry["host"], entry["remedy"]): (entry["outcome"], entry["reason"])
            for entry in report["remediation"]["entries"]
        }
        return outcomes, calls.read_text().splitlines(), output

    return run


@pytest.mark.parametrize(
    ("unanswered", "done", "known"),
    [
        ("app_service restarted", ["remedy_ledger begun", "restore_point armed"], "rolls back"),
        (
            "remedy_ledger ended",
            [
                "remedy_ledger begun",
                "restore_point armed",
                "app_service restarted",
                "app_service started",
                "sergas_health",
                "restore_point disarmed",
            ],
            "after it had ended: kept",
        ),
    ],
)
def test_a_host_that_answers_again_is_only_checked(fix, unanswered, done, known):
    outcomes, calls, output = fix(unanswered)
    assert [call[2:] for call in calls if call.startswith("a ")] == [
        "sergas_health",
        *done,
        unanswered,
        "sergas_health",
    ], output
    outcome, reason = outcomes[("a", "first")]
    assert outcome == "unknown" and known in reason
    assert outcomes[("a", "second")] == ("not tried", "stopped after a")
    assert outcomes[("b", "first")] == ("not tried", "stopped after a")
    assert [call for call in calls if call.startswith("b ")] == ["b sergas_health"] * 2
