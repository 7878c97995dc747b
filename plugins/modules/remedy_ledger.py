#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: remedy_ledger
short_description: Write down what a remedy does on a host, and let one run at a time act there
version_added: 1.0.0
description:
  - Keeps a ledger on the host, with an entry for each remedy that was begun there. An entry has the
    run, the person, the findings before and after, and the outcome.
  - V(begun) takes the host's lock, so that no two runs act on a host at once. It is refused while
    another run holds the lock, if the same remedy ended a short time ago, and if it was begun too
    often. A refusal is a result, RV(refused), and no failure.
  - V(ended) writes the outcome and frees the lock.
  - The lock is a lease of at most a minute. For as long as the run lives, its controller renews the
    lease, whatever task is being carried out or waited for.
  - A run that dies does not keep the lock. It ends after O(lease) seconds, with the next boot of
    the host, and at once for a run that is started on the same controller, which sees that the
    process of the dead one is gone.
  - A task that a dead run has left running on the host gets 10 seconds to end, and is ended then.
    If it installs packages, V(begun) is refused until it has ended.
  - V(begun) is also refused while a restore point (M(sergas.ops.restore_point)) of another run is
    armed with a deadline. The host would undo a part of what is done beside it.
  - An entry that was begun and not ended, and whose lock is gone, counts as C(interrupted).
options:
  state:
    description:
      - V(begun) checks whether the remedy may act now, takes the lock and begins the entry. If the
        run has begun the remedy already, the lock is held for O(lease) seconds from now on.
      - V(ended) ends the entry, writes O(outcome) and frees the lock if O(run) holds it.
      - V(renewed) lets the lock of the run last for O(lease) seconds from now on. RV(held) says
        whether the run still has it. The action plugin does this in the background; a playbook need
        not.
    type: str
    choices: [begun, ended, renewed]
    required: true
  run:
    description:
      - The run, by a name that no other run has.
    type: str
    required: true
  remedy:
    description:
      - The name of the remedy. It is needed with V(begun) and V(ended).
    type: str
  outcome:
    description:
      - How the remedy ended. It is needed with V(ended).
      - V(unverified) is for one whose findings show only while the app serves requests. It can be
        ended once more, with what a later run has found.
    type: str
    choices: [kept, undone, failed, unverified]
  findings:
    description:
      - With V(begun), the ids of the findings that it answers, and of those that derive from them.
      - If the outcome is V(kept), M(sergas.ops.sergas_health) takes what it last saw before the end
        of the entry as resolved.
    type: list
    elements: str
    default: []
  known:
    description:
      - With V(begun), the ids of all that is bad on the host, of a hundred findings at most. If the
        run is interrupted, another one can tell from that what came of it.
    type: list
    elements: str
    default: []
  before:
    description:
      - With V(begun), the findings before. Their C(id), C(status) and C(summary) are kept, of ten
        findings at most, without secrets.
    type: list
    elements: dict
    default: []
  after:
    description:
      - With V(ended), the findings after, kept as those of O(before).
    type: list
    elements: dict
    default: []
  awaiting:
    description:
      - With V(ended) and O(outcome=unverified), the ids of the findings that are still to be
        decided. M(sergas.ops.sergas_health) keeps them until enough requests were served.
    type: list
    elements: str
    default: []
  reason:
    description:
      - With V(ended), why the remedy was undone or failed, or is not verified.
    type: str
  by:
    description:
      - The person or the system that the run is of.
    type: str
  host:
    description:
      - The name of the host in the entry. If not given, the one that it calls itself.
    type: str
  controller:
    description:
      - What a run on the same controller needs to know whether this one is alive. If not given, it
        has the C(boot) and the C(pid_namespace) of the controller, and the C(pid) and the time the
        process of the run C(started). It is returned in RV(holder).
    type: dict
  dead_runs:
    description:
      - Runs that are known to be dead. Their lock counts as free. A run on the same controller
        whose process is gone is recognised without being named.
    type: list
    elements: str
    default: []
  lease:
    description:
      - How long the lock lasts unless it is renewed, in seconds, 60 at most.
    type: int
    default: 60
  taken:
    description:
      - Which lease is to be renewed, by C(taken) of RV(lease). It is needed with V(renewed).
    type: float
  cooldown:
    description:
      - How long the same remedy has to wait after it has ended, in seconds. Entries that count as
        C(interrupted) do not matter.
    type: int
    default: 0
  repeat_times:
    description:
      - How often the same remedy may be begun within O(repeat_hours). After that it takes a person.
        V(0) is no limit.
    type: int
    default: 3
  repeat_hours:
    description:
      - The time for O(repeat_times), in hours.
    type: int
    default: 24
  path:
    description:
      - The ledger, a file of JSON lines. Only root can read it.
    type: path
    default: /var/lib/sergas/ledger.jsonl
  max_bytes:
    description:
      - How large the ledger may be, in bytes, 16384 at least. The oldest entries go.
    type: int
    default: 262144
  runtime_directory:
    description:
      - Where the lock is, and the ledger while the disk is full. It has to be in memory, so that a
        boot empties it.
    type: path
    default: /run/sergas
  restore_points:
    description:
      - Whether V(begun) is refused while a restore point of another run is armed with a deadline
        (V(refuse)), or not (V(ignore)), for the remedy that resolves it.
    type: str
    choices: [refuse, ignore]
    default: refuse
  restore_directory:
    description:
      - Where restore points are kept.
    type: path
    default: /var/lib/sergas/restore
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
    details: RV(refused) is what it would be now.
  diff_mode:
    support: none
    details: RV(entry) is what is written.
  platform:
    platforms: posix
notes:
  - While the disk is full, entries are written to C(ledger.jsonl) in O(runtime_directory), and
    moved to the ledger by the next run that can.
  - Lines that are no entry are skipped, counted in RV(skipped_lines) and left where they are.
seealso:
  - module: sergas.ops.restore_point
  - module: sergas.ops.sergas_health
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Begin a remedy, unless another run is at work here or it was done too often
  sergas.ops.remedy_ledger:
    state: begun
    run: 20260301T092959Z-4711
    remedy: raise_memory_limit
    findings: [app.oom.killed, app.service.restarting]
    before: "{{ sergas_health.findings | selectattr('id', 'equalto', 'app.oom.killed') }}"
    by: alice
    cooldown: 900
  become: true
  register: begun

- name: End the remedy
  sergas.ops.remedy_ledger:
    state: ended
    run: 20260301T092959Z-4711
    remedy: raise_memory_limit
    outcome: undone
    reason: The app did not come up within 90 s
  become: true
  when: not begun.refused
"""

RETURN = r"""
refused:
  description: Why the remedy must not act now, or null.
  returned: success
  type: str
  sample: run 20260301T092959Z-4711 of alice is at work on this host with start_service, its lock
    ends in 41 s
holder:
  description:
    - Who holds the lock, if that is the reason, or null. It has C(run), C(remedy), C(by),
      C(controller), C(boot_id) and C(ends), in seconds since the boot.
  returned: success
  type: dict
  sample: null
entry:
  description: The entry as it is now, or null after a refusal.
  returned: success
  type: dict
  contains:
    time:
      description: When it was begun.
      type: str
      sample: "2026-03-01T09:30:00Z"
    ended:
      description: When it ended, or null.
      type: str
      sample: "2026-03-01T09:30:41Z"
    run:
      description: The run.
      type: str
      sample: 20260301T092959Z-4711
    remedy:
      description: The name of the remedy.
      type: str
      sample: raise_memory_limit
    findings:
      description: The ids of the findings that it answers.
      type: list
      elements: str
      sample: [app.oom.killed]
    by:
      description: The person or the system that the run is of, or null.
      type: str
      sample: alice
    host:
      description: The host.
      type: str
      sample: app1
    outcome:
      description: V(begun), V(kept), V(undone), V(failed) or V(unverified).
      type: str
      sample: kept
    before:
      description: The findings before, each with C(id), C(status) and C(summary).
      type: list
      elements: dict
      sample: [{id: app.oom.killed, status: fail, summary: The kernel killed the app for memory}]
    after:
      description: The findings after.
      type: list
      elements: dict
      sample: [{id: app.oom.ok, status: ok, summary: The kernel has not killed the app for memory}]
    known:
      description: The ids of all that was bad on the host.
      type: list
      elements: str
      sample: [app.oom.killed]
    awaiting:
      description: The ids of the findings that only traffic will decide.
      type: list
      elements: str
      sample: []
    reason:
      description: Why it was undone or failed, or is not verified, or null.
      type: str
      sample: null
lease:
  description: The lock that was taken, or null. C(taken) tells it from others of the same run.
  returned: success
  type: dict
  sample: null
held:
  description: Whether the run still holds the lock.
  returned: O(state=renewed)
  type: bool
  sample: true
ended_processes:
  description: The names of processes that tasks of an interrupted run had left behind, and that
    were ended since they did not end within 10 seconds.
  returned: O(state=begun), if the remedy was begun
  type: list
  elements: str
  sample: []
skipped_lines:
  description: How many lines of the ledger are no entries.
  returned: success
  type: int
  sample: 0
written_to:
  description: Where the entry was written, or null if it was not.
  returned: success
  type: str
  sample: /var/lib/sergas/ledger.jsonl
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger, restore_points
from ansible_collections.sergas.ops.plugins.module_utils._remediation import host_lock
from ansible_collections.sergas.ops.plugins.module_utils._remediation import (
    ledger as remediation_ledger,
)


def main():
    module = Module(
        ranges=remediation_ledger.RANGES,
        argument_spec={
            "state": {"type": "str", "choices": ["begun", "ended", "renewed"], "required": True},
            "run": {"type": "str", "required": True},
            "remedy": {"type": "str"},
            "outcome": {"type": "str", "choices": list(ledger.ENDED)},
            "findings": {"type": "list", "elements": "str", "default": []},
            "known": {"type": "list", "elements": "str", "default": []},
            "before": {"type": "list", "elements": "dict", "default": []},
            "after": {"type": "list", "elements": "dict", "default": []},
            "awaiting": {"type": "list", "elements": "str", "default": []},
            "reason": {"type": "str"},
            "by": {"type": "str"},
            "host": {"type": "str"},
            "controller": {"type": "dict"},
            "dead_runs": {"type": "list", "elements": "str", "default": []},
            "lease": {"type": "int", "default": host_lock.LEASE_S},
            "taken": {"type": "float"},
            "cooldown": {"type": "int", "default": 0},
            "repeat_times": {"type": "int", "default": 3},
            "repeat_hours": {"type": "int", "default": 24},
            "path": {"type": "path", "default": ledger.PATH},
            "max_bytes": {"type": "int", "default": 262144},
            "runtime_directory": {"type": "path", "default": ledger.RUNTIME},
            "restore_points": {"type": "str", "choices": ["refuse", "ignore"], "default": "refuse"},
            "restore_directory": {"type": "path", "default": restore_points.DIRECTORY},
        },
        required_if=[
            ("state", "begun", ["remedy"]),
            ("state", "ended", ["remedy", "outcome"]),
            ("state", "renewed", ["taken"]),
        ],
        supports_check_mode=True,
    )
    runner.run(module, remediation_ledger.run, module.check_mode)


if __name__ == "__main__":
    main()
