#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_service
short_description: Ensure that the app runs with its current configuration, and answers
version_added: 1.0.0
description:
  - Starts the app's unit where it is stopped, has failed or is started again and again, and
    restarts it where it was started before its C(.env), its unit file or one of its drop-ins was
    last changed, or where it runs and does not answer. Where none of this is so, nothing is done.
  - It decides from the host's state alone. A run that ended between a change of the configuration
    and the restart is made up for by the next one.
  - Where systemd has given up on the unit after too many starts, that is reset. Where it has not
    read the unit's files yet, it does so.
  - It then waits until the app answers on its health endpoint.
options:
  health_path:
    description:
      - The path of the app's health endpoint.
    type: str
    default: /health
  health_scheme:
    description:
      - Whether the app speaks TLS, where that should not be found out.
    type: str
    choices: [http, https]
  health_host:
    description:
      - What the app is called by, in the C(Host) header and in TLS. If not given, V(localhost).
    type: str
  restart:
    description:
      - Whether the configuration is changed by this run. Give the C(changed) of the tasks before,
        so that check mode, where they change nothing, says the same as the real run.
    type: bool
    default: false
  until:
    description:
      - What is waited for. V(healthy) is an answer 200, V(answering) any answer in HTTP, such as
        the 503 of an app whose database is down. V(recovered) is an answer 200 if the app gave one
        before it was restarted, else any answer. V(started) does not wait.
    type: str
    choices: [healthy, recovered, answering, started]
    default: healthy
  wait_timeout:
    description:
      - How long to wait for it, in seconds. An app that was started less than this ago is not
        restarted for not answering.
    type: float
    default: 60
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
  - sergas.ops.app
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The state of the unit before and after, and why it is restarted.
  platform:
    platforms: posix
notes:
  - What was changed when is decided by the time the file's inode was changed (ctime), so that
    a file that is restored with its old time counts, and so does a change of its mode.
seealso:
  - module: sergas.ops.sergas_env
  - module: sergas.ops.app_limits
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Give the app a smaller pool
  sergas.ops.sergas_env:
    values:
      DATABASE_POOL_SIZE: 5
  become: true
  register: pool

- name: Restart the app with the new pool
  sergas.ops.app_service:
    restart: "{{ pool is changed }}"
  become: true

- name: Start an app whose database may still be down
  sergas.ops.app_service:
    until: answering
    wait_timeout: 120
  become: true
"""

RETURN = r"""
action:
  description: What was done.
  returned: success
  type: str
  choices: [none, start, restart]
  sample: restart
reasons:
  description: Why.
  returned: success
  type: list
  elements: str
  sample: [it was started before /home/sergas/super-account-manager/.env was changed]
service:
  description: The unit.
  returned: success
  type: str
  sample: sergas-app.service
port:
  description: The port of the app's health endpoint.
  returned: success
  type: int
  sample: 8000
status:
  description: What the health endpoint answered, null with O(until=started).
  returned: success, not in check mode
  type: int
  sample: 200
waited:
  description: How long it took until then, in seconds.
  returned: success, not in check mode
  type: float
  sample: 3.2
"""

from ansible_collections.sergas.ops.plugins.module_utils._app import service
from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module

RANGES = (("port", 1, 65535), ("wait_timeout", 0, 3600))


def main():
    spec = {
        "service": {"type": "str", "default": "sergas-app"},
        "app_dir": {"type": "path"},
        "env_file": {"type": "path"},
        "port": {"type": "int"},
        "health_path": {"type": "str", "default": "/health"},
        "health_scheme": {"type": "str", "choices": ["http", "https"]},
        "health_host": {"type": "str"},
        "restart": {"type": "bool", "default": False},
        "until": {
            "type": "str",
            "choices": ["healthy", "recovered", "answering", "started"],
            "default": "healthy",
        },
        "wait_timeout": {"type": "float", "default": 60},
    }
    module = Module(
        ranges=RANGES,
        renamed={"patience": "wait_timeout"},
        argument_spec=spec,
        supports_check_mode=True,
    )
    runner.run(module, service.run, module.check_mode)


if __name__ == "__main__":
    main()
