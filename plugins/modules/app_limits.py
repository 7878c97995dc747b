#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_limits
short_description: Set what the app's unit may use, within what the host has
version_added: 1.0.0
description:
  - Sets memory, open files, workers and the time to start of the app's unit by one drop-in that it
    owns, has systemd read it, and sees that systemd has understood it. If another drop-in overrules
    it, the old state is restored, and that is an error.
  - An amount of memory must fit the host, which is what it has, less what others use and a reserve
    of a tenth and 64 MiB at least. If it does not, it is refused with the figures.
  - Settings that are in the drop-in already and not named stay. A unit that has a limit by another
    way is left alone.
  - The unit runs with it after its next start, see M(sergas.ops.app_service).
options:
  service:
    description:
      - The systemd unit of the app.
    type: str
    default: sergas-app
  state:
    description:
      - Whether the limits are set. If V(absent), the drop-in is removed.
    type: str
    choices: [present, absent]
    default: present
  memory_max:
    description:
      - The memory that the unit may use, such as V(2G).
    type: str
  memory_above:
    description:
      - The limit that the app met, in bytes. If the unit's limit is no higher, it is doubled, as
        far as the host has the memory.
    type: int
  memory_cap:
    description:
      - Whether a unit without a limit, or with one above 80 percent of the host's memory, gets one
        that keeps the host below that with what others use.
    type: bool
    default: false
  open_files:
    description:
      - The files that a process of the unit may have open.
    type: int
  open_files_above:
    description:
      - The limit that the app met. If the unit's limit is no higher, it becomes four times that, at
        least 8192, as far as the host allows it.
    type: int
  workers:
    description:
      - The number of workers, for a unit that has it on its command line (C(--workers)). If it is a
        variable there, that is set in the C(.env).
    type: int
  start_timeout:
    description:
      - How long the unit may take to start, in seconds. A longer time stays.
    type: int
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
notes:
  - The drop-in is C(zz-sergas-limits.conf). systemd takes the last one by name, and what
    C(systemctl edit) makes is C(override.conf).
seealso:
  - module: sergas.ops.app_service
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Give the app 2 GiB, if the host has them
  sergas.ops.app_limits:
    memory_max: 2G
  become: true
  register: limits

- name: Restart the app with the new limits
  sergas.ops.app_service:
    restart: "{{ limits is changed }}"
  become: true

- name: Raise the limit that the app was killed at
  sergas.ops.app_limits:
    memory_above: 209715200
  become: true
"""

RETURN = r"""
path:
  description: The drop-in.
  returned: success
  type: str
  sample: /etc/systemd/system/sergas-app.service.d/zz-sergas-limits.conf
settings:
  description: What it sets.
  returned: success
  type: dict
  sample: {MemoryMax: 2048M}
memory:
  description: The host's memory in bytes.
  returned: when an amount of memory was requested
  type: dict
  contains:
    total:
      description: What the host may use.
      type: int
      sample: 1073741824
    others:
      description: What the processes of others have of it.
      type: int
      sample: 201326592
    budget:
      description: What the app may have.
      type: int
      sample: 738197504
"""

from ansible_collections.sergas.ops.plugins.module_utils._app import limits
from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module

RANGES = (
    ("memory_above", 0, 1 << 60),
    ("open_files", 1, 1 << 30),
    ("open_files_above", 0, 1 << 30),
    ("workers", 1, 1024),
    ("start_timeout", 1, 86400),
)


def main():
    spec = {
        "service": {"type": "str", "default": "sergas-app"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "memory_max": {"type": "str"},
        "memory_above": {"type": "int"},
        "memory_cap": {"type": "bool", "default": False},
        "open_files": {"type": "int"},
        "open_files_above": {"type": "int"},
        "workers": {"type": "int"},
        "start_timeout": {"type": "int"},
    }
    module = Module(ranges=RANGES, argument_spec=spec, supports_check_mode=True)
    runner.run(module, limits.run, module.check_mode)


if __name__ == "__main__":
    main()
