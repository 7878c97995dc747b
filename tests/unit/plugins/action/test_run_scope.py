# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real runs of the playbooks: what is refused before a host is contacted, and that each other run
ends with a report that has each host as it is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
LOCAL = (
    """
[all:vars]
ansible_python_interpreter=%s
ansible_connection=local
sergas_become=false
sergas_checks=['load']
[web]
web1
web2
[empty]
"""
    % sys.executable
)
#: The first host has no user, the last one no address.
ODD = (
    LOCAL
    + """
[all:vars]
sergas_hosts=odd:!left
sergas_zoho_hosts=all:!all
sergas_checks=['memory']
sergas_thresholds_fleet={'memory_percent': {'warn': 98, 'fail': 99}}
sergas_thresholds_site={'memory_percent': {'fail': 100}}
[odd]
aa_bad ansible_user="{{ nowhere }}"
good
plugin ansible_connection=nosuch
switch ansible_connection=ansible.netcommon.network_cli ansible_network_os=ios
api ansible_connection=httpapi
left
zz_bad ansible_host="{{ terraform_ip }}"
[sergas_lb]
zz_bad
[sergas_app]
good
[sergas_apps]
plugin
"""
)


@pytest.fixture
def play(tmp_path):
    """Run a playbook with an inventory; returns (exit status, output, report or None)."""

    def run(playbook, inventory, *words, **environment):
        path = tmp_path / "hosts.ini"
        path.write_text(inventory)
        program = [sys.executable, "-m", "ansible", "playbook"]
        done = subprocess.run(
            [*program, *(["sergas.ops." + playbook] if playbook else []), "-i", path, *words],
            cwd=tmp_path,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
                "ANSIBLE_NOCOLOR": "1",
                "COLUMNS": "100",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        latest = tmp_path / "sergas-reports" / "latest" / "report.json"
        report = json.loads(latest.read_text()) if latest.exists() else None
        run.failed = dict(re.findall(r"^(\w+) +: ok=.* failed=(\d)", done.stdout, re.M))
        # YAML doubles quotes.
        said = (done.stdout + done.stderr).replace("''", "'")
        return done.returncode, re.sub(r"\s+", " ", said), report

    return run


@pytest.mark.parametrize(
    ("playbook", "inventory", "words", "sentence"),
    [
        ("diagnose", "[web]\n", [], "there is no host to report on: the inventory has no hosts"),
        (
            "fix",
            LOCAL,
            ["-e", "sergas_approve=end_bloker"],
            "sergas_approve: 'end_bloker' is not allowed",
        ),
        ("diagnose", LOCAL, ["--tags", "report"], "--tags report leaves nothing to do"),
        (
            "diagnose",
            LOCAL,
            ["--start-at-task", "Write the report on all hosts"],
            "the first tasks of this playbook have not run",
        ),
        (
            "diagnose",
            LOCAL + "[web:vars]\nsergas_hosts=wep\nsergas_treshold=1\n",
            [],
            "sergas_hosts: 'wep' matches no host of the inventory, did you mean web?",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_a_sentence_and_leaves_no_report(
    play, playbook, inventory, words, sentence
):
    status, said, report = play(playbook, inventory, *words)
    assert status == 2 and sentence in said, said
    assert report is None
    assert "Check the host's health" not in said
    if "treshold" in inventory:
        assert "there is no variable sergas_treshold (set for web1 +1), did you mean" in said


def test_a_playbook_whose_group_is_empty_says_so(play):
    status, said, _report = play("cognee", LOCAL)
    assert status == 0 and "Nothing to do: the group sergas_cognee has no hosts." in said, said


def test_each_host_is_reported_as_it_is_and_fails_for_itself(play):
    status, said, report = play("diagnose", ODD, ANSIBLE_STRATEGY="free")
    assert status == 2, said
    found = {
        host["name"]: [item["reason"] for item in host["findings"] if item["status"] == "unknown"]
        for host in report["hosts"]
    }
    assert found == {
        "aa_bad": ["undefined:nowhere"],
        "good": [],
        "plugin": ["plugin:nosuch"],
        "switch": ["left_out"],
        "api": ["left_out"],
        "zz_bad": ["undefined:terraform_ip"],
    }
    good = next(host for host in report["hosts"] if host["name"] == "good")
    memory = next(item for item in good["findings"] if item["id"].startswith("host.memory"))
    # Those of the site do not replace those of the fleet.
    assert (memory["warn"], memory["fail"]) == (98, 100)
    assert "the group sergas_apps means nothing here, did you mean sergas_app?" in said
    failed = {name: "1" if reasons else "0" for name, reasons in found.items()}
    # The first host of the inventory is where the scope was decided.
    assert play.failed == {"web1": "0", **failed}


def test_an_approval_that_nothing_needs_is_a_note(play):
    status, said, report = play("fix", LOCAL, "-e", "sergas_approve=end_blocker")
    assert status == 0 and "Note: sergas_approve: nothing needs end_blocker." in said, said
    assert len(report["hosts"]) == 2


def test_a_role_does_not_diagnose_the_controller_as_a_network_device(play, tmp_path):
    """A play of one's own, which has not begun with the scope."""
    (tmp_path / "own.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  roles: [sergas.ops.diagnose]\n"
    )
    inventory = LOCAL.replace("web1\nweb2", "switch ansible_network_os=ios")
    inventory += "[sergas_postgresql]\nswitch\n"
    status, said, report = play(None, inventory, str(tmp_path / "own.yml"))
    assert status == 2, said
    (host,) = report["hosts"]
    (item,) = host["findings"]
    assert item["id"] == "host.diagnosis.failed" and "network device" in item["summary"]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"sergas_report_dir": "{{ lookup('env', 'HERE') }}/sergas-reports"}, None),
        ({"sergas_report_dir": "{{ nowhere }}/sergas-reports"}, None),
        ({"sergas_checks": ["{{ 'memroy' }}"]}, "sergas_checks: 'memroy' is not allowed"),
    ],
)
def test_variables_given_by_import_playbook_may_be_templates(play, tmp_path, variables, sentence):
    own = tmp_path / "own.yml"
    imported = {"import_playbook": "sergas.ops.diagnose", "vars": variables}
    own.write_text(json.dumps([imported]))
    status, said, report = play(None, LOCAL, str(own), HERE=str(tmp_path))
    if sentence:
        assert status == 2 and sentence in said, said
    elif "nowhere" not in str(variables):
        assert status == 0 and len(report["hosts"]) == 2, said
    else:
        # What reads it says so, not a missing key of this program.
        assert "Task failed: 'sergas_report_dir'" not in said and "nowhere" in said, said
