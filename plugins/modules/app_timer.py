#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_timer
short_description: Run a command at given times by a timer of systemd
version_added: 1.0.0
description:
  - Writes a timer and the service that it starts to C(/etc/systemd/system), and has the timer run
    now and after each boot. What it misses while the host is down, it makes up for.
  - It serves the scheduled restart of the app.
options:
  name:
    description:
      - The name of both units, without C(.timer).
    type: str
    required: true
  state:
    description:
      - Whether the timer is to be there. If V(absent), the units are removed.
    type: str
    choices: [present, absent]
    default: present
  calendar:
    description:
      - When, as C(OnCalendar=) takes it, see C(man systemd.time). It is checked with systemd
        first.
    type: str
  command:
    description:
      - The program with its full path, and its arguments. No shell reads them.
    type: list
    elements: str
  description:
    description:
      - The description of the units. If not given, the command.
    type: str
  delay:
    description:
      - Up to so many seconds later, each time and host by chance, so that not all hosts do it at
        once.
    type: int
    default: 0
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: posix
seealso:
  - module: sergas.ops.app_service
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Restart the app every night
  sergas.ops.app_timer:
    name: sergas-app-restart
    calendar: "*-*-* 03:30:00"
    delay: 1800
    command: [/usr/bin/systemctl, try-restart, sergas-app.service]
  become: true

- name: Remove the restart timer
  sergas.ops.app_timer:
    name: sergas-app-restart
    state: absent
  become: true
"""

RETURN = r"""
timer:
  description: The timer.
  returned: success
  type: str
  sample: sergas-app-restart.timer
next:
  description: When it elapses next, as systemd says it.
  returned: success
  type: str
  sample: Sun 2026-03-01 03:30:00 UTC
"""

from ansible_collections.sergas.ops.plugins.module_utils._app import timer
from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module

RANGES = (("delay", 0, 366 * 86400),)


def main():
    spec = {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "calendar": {"type": "str"},
        "command": {"type": "list", "elements": "str"},
        "description": {"type": "str"},
        "delay": {"type": "int", "default": 0},
    }
    module = Module(
        ranges=RANGES,
        argument_spec=spec,
        required_if=[("state", "present", ("calendar", "command"))],
        supports_check_mode=True,
    )
    runner.run(module, timer.run, module.check_mode)


if __name__ == "__main__":
    main()
