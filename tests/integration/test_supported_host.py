# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roles that change a host, on one whose distribution is not supported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
#: A diagnosis changes nothing, and a plan says for each remedy why such a host does not get it.
FOR_ANY_HOST = {"diagnose", "remediate", "supported_host"}
JOBS = {"dead_man_switch": "arm", "app": "start", "postgresql": "vacuum"}
ROCKY = {"id": "rocky", "like": ["rhel", "fedora"], "name": "Rocky Linux 9.3"}


def test_every_role_that_changes_a_host_refuses_it_first(tmp_path):
    roles = {path.name for path in (CHECKOUT / "roles").iterdir()} - FOR_ANY_HOST
    tasks = [
        {
            "name": role,
            "block": [
                {
                    "ansible.builtin.include_role": {
                        "name": "sergas.ops." + role,
                        "tasks_from": JOBS.get(role, "main"),
                    }
                }
            ],
            "rescue": [
                {
                    "ansible.builtin.set_fact": {
                        "refused": "{{ (refused | default({})) | combine({'%s': "
                        "[ansible_failed_task.name, ansible_failed_result.msg]}) }}" % role
                    }
                }
            ],
        }
        for role in sorted(roles)
    ]
    written = tmp_path / "refused.json"
    tasks.append(
        {"ansible.builtin.copy": {"content": "{{ refused | to_json }}", "dest": str(written)}}
    )
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"sergas_diagnose_health": {"distribution": ROCKY}, "sergas_dead_man_name": "x"},
        "tasks": tasks,
    }
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", playbook]
        + ["-c", "local", "-e", "ansible_python_interpreter=" + sys.executable],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".build"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    refused = json.loads(written.read_text())
    assert set(refused) == roles
    for role, (task, message) in refused.items():
        assert task == "Refuse a host whose distribution is not supported", role
        assert message.startswith("localhost is not changed: it runs Rocky Linux 9.3 (rocky), and")
    # The diagnosis has found it already, so it is not read once more.
    assert done.stdout.count("skipping: [localhost]") == 2 * len(roles) - 1
