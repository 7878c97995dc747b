#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_point
short_description: Save files of a host, and have the host restore them automatically
version_added: 1.0.0
description:
  - Saves files before they are changed, with their owner, mode, access control list and extended
    attributes. Afterwards the files are restored, or the saved ones discarded.
  - With O(deadline), it is a dead-man switch. If it is not disarmed in time, the host restores the
    files automatically and runs O(commands). It needs neither the controller nor Ansible for that,
    and no network.
  - A reboot ends the time, too. A host that starts again while a point with a deadline is armed
    restores the files as it comes up.
  - Each file is replaced in one step. It is the old one or the new one, whenever the host goes
    down.
  - A point that has been restored is not restored again.
options:
  name:
    description:
      - The name of the restore point. It is 1 to 64 of the characters a-z, 0-9, C(.), C(_) and
        C(-), and begins with a letter or a digit.
    type: str
    required: true
  state:
    description:
      - V(armed) saves the files and starts the time. If the point is armed already, it is refused,
        unless the point would restore just what is there now; then its time begins anew.
      - V(disarmed) stops the timer and discards what was saved. It fails if the host has restored
        the point automatically.
      - V(restored) restores the files now and runs the commands, as far as anything was changed.
        Where nothing was, it does nothing.
      - V(observed) changes nothing and tells what there is, and whether another restore point
        covers one of O(files).
    type: str
    choices: [armed, disarmed, observed, restored]
    required: true
  files:
    description:
      - The absolute paths of the files to save, 200 at most, each of at most 512 MiB.
      - A symbolic link is saved together with the file that it leads to, and both are restored. It
        is only followed if root made it and it leads to a regular file with one name, which belongs
        to root or to the app's user, and whose directory no third user may change; see
        M(sergas.ops.sergas_env). In a directory that only root may change, a link that leads to
        nothing, or to something else than a file, is saved as a link alone.
      - Any other link is refused by name, when the point is armed and when it is restored, and so
        is one among the directories, unless it is root's where only root may change it, and a file
        that has several names (hard links) where another user than root may change its directory.
      - A path where nothing is gets removed again, and so do directories above it that are empty
        and were not there before.
    type: list
    elements: path
    default: []
  commands:
    description:
      - The commands to run once the files are restored, each as a list of the command and its
        arguments. There is no shell between.
      - They run only if one of the files was not as it had been saved. All of them run then, also
        after one that fails.
      - They are kept on the host and shown in results. A secret must not be among them.
    type: list
    elements: list
    default: []
  restarts:
    description:
      - Units of systemd that run with what is in O(files), for example the app's. They are
        restarted behind O(commands), and only as far as that undoes something.
      - A unit whose process is still the one from before the point was armed is left alone, since
        it has none of what was written since. So is every unit if none of the files was changed.
    type: list
    elements: str
    default: []
  deadline:
    description:
      - After how many seconds the host restores the files automatically, 86400 at most. V(0) means
        never.
      - It takes systemd and C(become).
      - With a deadline, the point is refused while another one, of another run, is armed for one of
        its files. It takes the host's lock (M(sergas.ops.remedy_ledger)) until it is disarmed or
        restored, unless its run holds the lock already, and is refused while another run holds it.
    type: int
    default: 0
  command_timeout:
    description:
      - How long each of the commands may take, in seconds, 3600 at most. It is killed then.
    type: int
    default: 60
  run:
    description:
      - The run that arms the point, or ends it. A point whose run is at work is not disarmed or
        restored by another one. If not given, the run of the plan that is being carried out
        (M(sergas.ops.remediation_plan)), else a name made of the start and the id of the process
        that runs Ansible.
    type: str
  by:
    description:
      - The person or the system that the run is of, for the message to another one.
    type: str
  controller:
    description:
      - As of M(sergas.ops.remedy_ledger).
    type: dict
  dead_runs:
    description:
      - Runs that are known to be dead. Their lock counts as free.
    type: list
    elements: str
    default: []
  adopt:
    description:
      - Whether V(armed) takes over a point that another run has armed and left, being gone since.
        What it has saved stays what would be restored, and its time begins anew. Files that it does
        not have are saved now.
      - Otherwise such a point is refused, unless it would restore just what is there now.
    type: bool
    default: false
  directory:
    description:
      - Where restore points are kept. Only root can read the directory.
    type: path
    default: /var/lib/sergas/restore
  runtime_directory:
    description:
      - Where the host's lock is.
    type: path
    default: /run/sergas
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
    details: What a real run would refuse is refused, too.
  diff_mode:
    support: full
    details: With V(restored), the files that change, with secrets masked.
  platform:
    platforms: posix
notes:
  - If the disk has no space for the saved files, arming fails and nothing is touched.
  - On a disk that is full by the time of the restore, a saved file takes its place by a rename,
    which needs no space. If it lies on another file system than its place, it is written over the
    file there, if there is room for that. What does not work then is tried again every 10 seconds
    for ten minutes, and at the next boot.
  - The saved files are removed once they are restored. What came of it is kept until
    the point is armed again.
seealso:
  - module: sergas.ops.remedy_ledger
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Save the firewall's rules, and restore them in two minutes unless all goes well
  sergas.ops.restore_point:
    name: firewall
    state: armed
    files:
      - /etc/ufw/user.rules
      - /etc/ufw/user6.rules
    commands:
      - [ufw, reload]
    deadline: 120
  become: true

- name: Disarm the restore point, which keeps the new rules
  sergas.ops.restore_point:
    name: firewall
    state: disarmed
  become: true

- name: Restore the old rules now
  sergas.ops.restore_point:
    name: firewall
    state: restored
  become: true
"""

RETURN = r"""
name:
  description: The name of the restore point.
  returned: success
  type: str
  sample: firewall
state:
  description: What the point is now, one of V(none), V(armed), V(failed) (half restored) and
    V(restored).
  returned: success
  type: str
  sample: armed
armed_at:
  description: When it was armed, or null.
  returned: success
  type: str
  sample: "2026-03-01T09:30:00Z"
due:
  description: When the host restores the files automatically, or null.
  returned: success
  type: str
  sample: "2026-03-01T09:32:00Z"
run:
  description: The run that armed it, or null.
  returned: success
  type: str
  sample: "20260301T092959Z-4711"
differing:
  description: The files that were not as they had been saved, and are restored.
  returned: success
  type: list
  elements: str
  sample: [/etc/ufw/user.rules]
planned_commands:
  description: The commands that take effect with the files, those for O(restarts) included. In
    check mode, what would run.
  returned: O(state=restored)
  type: list
  elements: list
  sample: [[ufw, reload]]
adopted:
  description: The C(run) whose point was taken over, with its C(armed_at) and C(due), or null.
  returned: O(state=armed)
  type: dict
  sample: null
at_work:
  description: Whether the run that armed the point holds the host's lock, being alive therefore.
  returned: O(state=observed)
  type: bool
  sample: false
conflict:
  description: Which other restore point, of another run, would restore one of O(files), or null.
  returned: O(state=observed)
  type: str
  sample: null
lease:
  description: The host's lock, if it was taken for the point, or null.
  returned: O(state=armed)
  type: dict
  sample: null
holder:
  description: Who holds the host's lock, if that is why nothing was touched, or null.
  returned: failure
  type: dict
  sample: null
outcome:
  description: What came of the restore, or null.
  returned: success, and on failure where there is one
  type: dict
  contains:
    restored_at:
      description: When.
      type: str
      sample: "2026-03-01T09:32:00Z"
    by:
      description: V(module), V(timer) for the host at its deadline, or V(boot) for the host as it
        came up.
      type: str
      sample: timer
    complete:
      description: Whether all files are as they were.
      type: bool
      sample: true
    attempts:
      description: How many times it was tried.
      type: int
      sample: 1
    files:
      description: The files that were restored.
      type: list
      elements: str
      sample: [/etc/ufw/user.rules]
    touched:
      description: Whether any of the files was not as it had been saved.
      type: bool
      sample: true
    errors:
      description: The files that could not be restored, and why.
      type: list
      elements: str
      sample: []
    commands:
      description: The commands, each with its C(argv), its C(status) (null if it was killed or not
        found), the C(seconds) it took, and the end of its standard error as C(error).
      type: list
      elements: dict
      sample: [{argv: [ufw, reload], status: 0, seconds: 0.6, error: null}]
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger, restore_points
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import plan, point


def main():
    module = Module(
        ranges=plan.RANGES,
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "choices": ["armed", "disarmed", "observed", "restored"],
                "required": True,
            },
            "files": {"type": "list", "elements": "path", "default": []},
            "commands": {"type": "list", "elements": "list", "default": []},
            "restarts": {"type": "list", "elements": "str", "default": []},
            "deadline": {"type": "int", "default": 0},
            "command_timeout": {"type": "int", "default": 60},
            "run": {"type": "str"},
            "by": {"type": "str"},
            "controller": {"type": "dict"},
            "dead_runs": {"type": "list", "elements": "str", "default": []},
            "adopt": {"type": "bool", "default": False},
            "directory": {"type": "path", "default": restore_points.DIRECTORY},
            "runtime_directory": {"type": "path", "default": ledger.RUNTIME},
        },
        supports_check_mode=True,
    )
    runner.run(module, point.run, module.check_mode)


if __name__ == "__main__":
    main()
