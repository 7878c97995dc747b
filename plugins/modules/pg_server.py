#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_server
short_description: Read what a PostgreSQL server is, have it reload its files or write a checkpoint
version_added: 1.0.0
description:
  - Returns the version, the roles that can log in, values of settings, and whether the server has
    read its access rules (C(pg_hba.conf)).
  - Has it reload its files or write a checkpoint where O(state) says so.
options:
  state:
    description:
      - With V(reloaded), the server reads its files again if C(pg_hba.conf) is newer than what it
        has read, or with O(force=true), and the module waits until it has.
      - With V(checkpointed), it writes a checkpoint, after which it removes WAL that nothing holds.
    type: str
    choices: [observed, reloaded, checkpointed]
    default: observed
  force:
    description:
      - Reload in any case, for example because C(pg_hba.conf) was changed by the task before. The
        server knows the time of that file by the second only.
    type: bool
    default: false
  settings:
    description:
      - The settings to return.
    type: list
    elements: str
    default: []
  deadline:
    description:
      - How long all of it may take, in seconds.
    type: float
    default: 60
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
  - sergas.ops.postgresql
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    platforms: posix
seealso:
  - module: sergas.ops.pg_settings
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Read which libraries the server loads
  sergas.ops.pg_server:
    settings: [shared_preload_libraries]
  become: true
  register: server

- name: Reload the access rules of the server
  sergas.ops.pg_server:
    state: reloaded
  become: true
"""

RETURN = r"""
driver:
  description: What spoke to the server, C(psycopg2) or C(pgwire), the client of this collection.
  returned: success
  type: str
  sample: psycopg2
version:
  description: The version of the server.
  returned: success
  type: int
  sample: 150010
login_roles:
  description: The roles that can log in.
  returned: success
  type: list
  elements: str
  sample: [postgres, sergas_app]
settings:
  description: The values of O(settings), as the server shows them.
  returned: success
  type: dict
  sample:
    shared_preload_libraries: pg_stat_statements
hba_file:
  description: The file of the access rules; null where the role is no superuser.
  returned: success
  type: str
  sample: /etc/postgresql/15/main/pg_hba.conf
hba_unread:
  description: Whether that file is newer than what the server has read; null where the role is no
    superuser.
  returned: success
  type: bool
  sample: false
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import server, session


def main():
    module = Module(
        ranges=session.RANGES,
        argument_spec=dict(
            session.CONNECTION,
            state={
                "type": "str",
                "choices": ["observed", "reloaded", "checkpointed"],
                "default": "observed",
            },
            force={"type": "bool", "default": False},
            settings={"type": "list", "elements": "str", "default": []},
            deadline={"type": "float", "default": 60},
        ),
        supports_check_mode=True,
    )
    runner.run(module, server.run, Deadline(module.params["deadline"]), module.check_mode)


if __name__ == "__main__":
    main()
