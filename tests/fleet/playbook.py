# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of Ansible on the reference fleet, and what its JSON callback says of them."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import fleet as reference

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = reference.STATE / "inventory.yml"
#: What these checks see is the machine that a dozen hosts share, where it is not the fault.
SHARED = ("cpu", "load", "iowait")
# Nor does it say anything of a host how long an app's start or a reading of a journal takes.
TIMEOUT = {
    "sergas_deadline": 40,
    "sergas_thresholds": {"start_seconds": {"warn": 90, "fail": 120}},
    "sergas_skip": SHARED,
}
#: Nor how long a request took, where that is not the fault.
UNHURRIED = {
    "start_seconds": {"warn": 90, "fail": 120},
    "latency_seconds": {"warn": 15, "fail": 30},
}
HOST_WIDE = (*SHARED, "latency")
#: What the loop around a remedy does itself: it is not what a check run predicts.
MACHINERY = ("sergas.ops.remedy_ledger", "sergas.ops.restore_point")
#: Seconds: no run takes that long unless it hangs.
TIMEOUT_S = 900
#: ``ansible`` takes the callback of a playbook only where it is configured to load any.
JSON = {
    "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
}


def environment(**more):
    """Return the environment in which Ansible finds this checkout, with further variables."""
    found = dict(os.environ, **more)
    found.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))
    found.setdefault("ANSIBLE_COLLECTIONS_PATH", str(ROOT / ".build"))
    # The inventories are YAML or JSON: loading what reads other formats costs each run a tenth.
    found.setdefault("ANSIBLE_INVENTORY_ENABLED", "yaml")
    found["PATH"] = "%s:%s" % (Path(sys.executable).parent, found["PATH"])
    return found


def thresholds(faults):
    """Return the thresholds for a host with faults: those of TIMEOUT where latency is one."""
    slow = any(fault.startswith("15_") for fault in faults)
    return TIMEOUT["sergas_thresholds"] if slow else UNHURRIED


def skipped(faults):
    """Return the checks to skip on a host with faults: those of SHARED where none is the CPU's."""
    return () if any(fault.startswith("19_cpu") for fault in faults) else SHARED


def inventory(path, hosts, groups=None):
    """Write an inventory beside the fleet's own one and return its path.

    Args:
        path: of the file.
        hosts: {name: variables}.
        groups: {group: names of its hosts}.
    """
    children = {
        group: {"hosts": {name: {} for name in names}} for group, names in (groups or {}).items()
    }
    path.write_text(json.dumps({"all": {"hosts": hosts, "children": children}}))
    return path


def command(name, /, *options, inventory=None, limit=(), **variables):
    """Return the command for a playbook on the fleet.

    Args:
        name: the playbook's name or path.
        options: further ones of ansible-playbook.
        inventory: a file beside the fleet's own one.
        limit: names of hosts, if not all that the playbook is for.
        variables: for all hosts.
    """
    words = ["ansible-playbook", str(name), "-i", str(INVENTORY)]
    if inventory:
        words += ["-i", str(inventory)]
    if limit:
        words += ["--limit", ",".join(limit)]
    # Hosts share two cores: one that waits for the others must not look slow itself.
    return [*words, "--forks", "4", "-e", json.dumps(variables), *options]


def run(words, **more):
    """Run a command of Ansible to its end, with further variables of its environment."""
    return subprocess.run(
        words,
        env=environment(**more),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@dataclasses.dataclass
class Played:
    """What a run of Ansible did.

    Attributes:
        status: its exit status.
        document: what the JSON callback says.
        shown: standard error.
    """

    status: int
    document: dict
    shown: str

    def results(self):
        """Return {host: {task: [results]}}, a loop's items one by one, a task without its role."""
        found = {}
        for host, task, _action, result in self._each():
            found.setdefault(host, {}).setdefault(task, []).append(result)
        return found

    def diffs(self):
        """Return {host: {task: [diffs]}} of what was changed, or would be, but for MACHINERY."""
        found = {}
        for host, task, action, result in self._each():
            if result.get("changed") and action not in MACHINERY:
                found.setdefault(host, {}).setdefault(task, []).append(result.get("diff"))
        return found

    def _each(self):
        for task in [task for play in self.document["plays"] for task in play["tasks"]]:
            name = task["task"]["name"].rpartition(" : ")[2]
            for host, result in task["hosts"].items():
                items = result.get("results")
                for item in items if isinstance(items, list) else [result]:
                    yield host, name, result["action"], item


def play(words):
    """Run a command of Ansible to its end and return what it Played."""
    done = run(words, **JSON)
    try:
        document = json.loads("{" + done.stdout.partition("{")[2])
    except ValueError:
        raise AssertionError(done.stdout[-3000:] + done.stderr[-3000:])
    return Played(done.returncode, document, done.stderr)


def module(host, action, /, check=False, **options):
    """Run a module on a host as a task would, and return its result."""
    words = ["ansible", host, "-i", str(INVENTORY), "-m", action, "-a", json.dumps(options)]
    played = play(words + (["--check"] if check else []))
    ((result,),) = played.results()[host].values()
    return result


def failures(tasks):
    """Return {task: message} of what failed on a host, of its {task: [results]}."""
    return {
        name: str(result.get("msg"))
        for name, results in tasks.items()
        for result in results
        if result.get("failed") or result.get("unreachable")
    }


def changes(tasks):
    """Return the names of the tasks that changed something on a host; none of them may fail."""
    failed = failures(tasks)
    assert not failed, failed
    return sorted(
        name for name, results in tasks.items() if any(result.get("changed") for result in results)
    )
