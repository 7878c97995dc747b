# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sergas_health by Ansible: as a program where pipelining allows, as a module elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AS_MODULE = "run as a module"


def environment(pipelining):
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
        "ANSIBLE_PIPELINING": str(pipelining),
    }


def ansible(arguments, pipelining=True, interpreter=sys.executable):
    """Run the module on this machine; return its exit status, its result and all that was said."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible")), "localhost", "-vvvvv"]
        + ["-e", "ansible_python_interpreter=%s" % interpreter]
        + ["-m", "sergas.ops.sergas_health", "-a", json.dumps(arguments)],
        cwd=ROOT,
        env={
            **environment(pipelining),
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    line = next((text for text in said.splitlines() if text.startswith("localhost | ")), "")
    found = json.loads(line[line.index("{") :]) if "{" in line else {}
    return done.returncode, found, said


def test_both_ways_find_the_same():
    arguments = {"checks": ["memory", "disk", "redis", "env"], "env_file": "~/none.env"}
    _status, lean, said = ansible(arguments)
    _status, module, said_by_module = ansible(arguments, pipelining=False)
    assert "AnsiballZ_sergas_health" not in said
    assert "AnsiballZ_sergas_health" in said_by_module
    assert [item["id"] for item in lean["findings"]] == [item["id"] for item in module["findings"]]
    assert lean["roots"] == module["roots"]


REFUSED = {
    "value of checks must be one or more of: service, port": {"checks": ["nothing"]},
    "deadline: -1 is not allowed, it must be from 1 to 600": {"deadline": -1},
    ") module: windows. Supported parameters include: app_dir": {"windows": 60},
}


@pytest.mark.parametrize("pipelining", [True, False])
def test_options_that_cannot_be_are_named(pipelining, tmp_path):
    playbook = tmp_path / "play.yml"
    tasks = [
        {"sergas.ops.sergas_health": options, "ignore_errors": True} for options in REFUSED.values()
    ]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    playbook.write_text(json.dumps([play]))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook)]
        + ["-e", "ansible_python_interpreter=%s" % sys.executable],
        cwd=ROOT,
        env=environment(pipelining),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "ignored=%d " % len(REFUSED) in done.stdout, done.stdout + done.stderr
    for reason in REFUSED:
        assert reason in " ".join(done.stdout.split())


def test_a_python_that_is_not_there_is_reported_as_for_any_module():
    status, _result, said = ansible({"checks": ["cpu"]}, interpreter="/nowhere/python3")
    assert status != 0
    assert AS_MODULE in said
    assert "'/nowhere/python3' was not found" in said


def test_secrets_stand_in_no_line_of_the_run():
    secret = "Corr3ct-horse-battery"
    _status, result, said = ansible({"checks": ["database"], "database_password": secret})
    assert result["findings"]
    assert secret not in said
