#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_port
short_description: Free the app's port from what holds it, or find another one
version_added: 1.0.0
description:
  - Sees who listens on the app's port. If that is the app itself or no one, nothing is done.
  - Another service of systemd is stopped, another process gets TERM and, if it has not ended then,
    KILL. Both are only done to what O(allowed) or O(approved) covers. What an earlier run of the
    app has left over needs neither.
  - The app itself, process 1, sshd, PostgreSQL, Redis, systemd's own services, container engines
    and whatever this very session came through are never ended.
  - "With O(policy=move), nothing is ended: RV(move_to) is a port that is free."
options:
  policy:
    description:
      - Whether the holder is stopped, or the app is to move.
    type: str
    choices: [stop, move]
    default: stop
  holder:
    description:
      - Who held the port when that was found, the C(evidence) of the finding V(app.port.conflict).
        It is refused to end anybody else. A service is the same if its C(unit) is, a process if its
        C(pid), its C(started) in seconds since the machine's boot, and its C(command) are, of which
        the last two may be left out. Other keys do not matter.
    type: dict
    default: {}
  allowed:
    description:
      - The units and programs that may be ended, by name or pattern, such as V(legacy-*.service).
    type: list
    elements: str
    default: []
  approved:
    description:
      - Whether a person has approved that what holds the port is ended.
    type: bool
    default: false
  candidates:
    description:
      - The ports that the app may move to, the preferred ones first.
    type: list
    elements: int
    default: []
  wait:
    description:
      - How long a process has to end after TERM, in seconds, and how long is waited for
        the port to be free.
    type: float
    default: 10
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
  - sergas.ops.app
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Who holds the port.
  platform:
    platforms: posix
notes:
  - A service that was stopped stays enabled if it was. A warning says so.
seealso:
  - module: sergas.ops.app_service
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Stop the old version of the API, if it holds the app's port
  sergas.ops.app_port:
    allowed: [legacy-api.service]
  become: true
  register: port

- name: Show where the app could move to
  sergas.ops.app_port:
    policy: move
    candidates: "{{ range(8001, 8010) }}"
  become: true
  register: port

- name: Move the app to the free port
  sergas.ops.sergas_env:
    values:
      API_PORT: "{{ port.move_to }}"
  become: true
  when: port.move_to
"""

RETURN = r"""
port:
  description: The app's port.
  returned: success
  type: int
  sample: 8000
holders:
  description: The processes that hold it and are not the app's, before anything was done.
  returned: success
  type: list
  elements: dict
  contains:
    pid:
      description: The process.
      type: int
      sample: 4711
    user:
      description: Whose it is.
      type: str
      sample: ops
    command:
      description: Its command line, without secrets.
      type: str
      sample: python3 -m http.server 8000
    unit:
      description: The service that it belongs to, or null.
      type: str
      sample: legacy-api.service
ended:
  description: The services and processes that were ended.
  returned: success
  type: list
  elements: str
  sample: [legacy-api.service]
move_to:
  description: A port that is free, null if the app's own is not held by others or with
    O(policy=stop).
  returned: success
  type: int
  sample: 8001
"""

from ansible_collections.sergas.ops.plugins.module_utils._app import port
from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module

RANGES = (("port", 1, 65535), ("candidates", 1, 65535), ("wait", 0, 3600))


def main():
    spec = {
        "service": {"type": "str", "default": "sergas-app"},
        "app_dir": {"type": "path"},
        "env_file": {"type": "path"},
        "port": {"type": "int"},
        "policy": {"type": "str", "choices": ["stop", "move"], "default": "stop"},
        "holder": {"type": "dict", "default": {}},
        "allowed": {"type": "list", "elements": "str", "default": []},
        "approved": {"type": "bool", "default": False},
        "candidates": {"type": "list", "elements": "int", "default": []},
        "wait": {"type": "float", "default": 10},
    }
    module = Module(ranges=RANGES, argument_spec=spec, supports_check_mode=True)
    runner.run(module, port.run, module.check_mode)


if __name__ == "__main__":
    main()
