#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_index
short_description: Make or drop a PostgreSQL index while the table is in use
version_added: 1.0.0
description:
  - Makes an index with CREATE INDEX CONCURRENTLY, so that no session waits to read or write the
    table meanwhile.
  - What a failed attempt has left behind, now or earlier, is an invalid index. It is dropped, and
    the index is tried again.
  - An index that does the same under another name is enough. One of this name that is another index
    is left alone, and refused.
options:
  state:
    description:
      - Whether the index should be there.
    type: str
    choices: [present, absent]
    default: present
  columns:
    description:
      - The columns, in their order.
    type: list
    elements: str
    default: []
  name:
    description:
      - The name of the index. If not given, C(idx_TABLE_COLUMN), with all columns.
    type: str
  include:
    description:
      - Further columns whose values the index carries.
    type: list
    elements: str
    default: []
  unique:
    description:
      - Whether the index is unique.
    type: bool
    default: false
  method:
    description:
      - The access method.
    type: str
    default: btree
  where:
    description:
      - The condition of a partial index, in SQL.
    type: str
  attempts:
    description:
      - How often to try.
    type: int
    default: 2
  lock_timeout:
    description:
      - How long an attempt may wait for older transactions on the table, in seconds. It keeps
        no session waiting meanwhile.
    type: float
    default: 60
  deadline:
    description:
      - How long all of it may take, in seconds.
    type: float
    default: 3600
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
  - sergas.ops.postgresql
  - sergas.ops.postgresql.table
  - sergas.ops.postgresql.work
seealso:
  - module: sergas.ops.pg_insights
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Serve queries by account and time
  sergas.ops.pg_index:
    login_db: sergas_prod
    table: activities
    columns: [account_id, created_at]
  become: true

- name: Drop an index that is not used
  sergas.ops.pg_index:
    login_db: sergas_prod
    state: absent
    table: activities
    name: idx_activities_kind
  become: true
"""

RETURN = r"""
name:
  description: The name of the index.
  returned: success
  type: str
  sample: idx_activities_account_id_created_at
served_by:
  description: The index that was there and does the same, which may be this one; null where there
    was none.
  returned: success
  type: str
  sample: null
dropped:
  description: The index that was dropped, or would be in check mode; null for none.
  returned: success
  type: str
  sample: null
driver:
  description: What spoke to the server, C(psycopg2) or C(pgwire), the client of this collection.
  returned: success
  type: str
  sample: psycopg2
statements:
  description: The SQL that was run, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      CREATE INDEX CONCURRENTLY "idx_activities_kind"
      ON "public"."activities" USING "btree" ("kind")
attempts:
  description: How often it was tried.
  returned: success
  type: int
  sample: 1
valid:
  description: Whether the index is there and valid.
  returned: success
  type: bool
  sample: true
bytes:
  description: The size of the index; null where there is none.
  returned: success
  type: int
  sample: 475136
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import session
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.maintenance import index

RANGES = (("attempts", 1, 100), *session.RANGES)


def main():
    module = Module(
        ranges=RANGES,
        argument_spec=dict(
            session.CONNECTION,
            **session.TABLE,
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            columns={"type": "list", "elements": "str", "default": []},
            name={"type": "str"},
            include={"type": "list", "elements": "str", "default": []},
            unique={"type": "bool", "default": False},
            method={"type": "str", "default": "btree"},
            where={"type": "str"},
            attempts={"type": "int", "default": 2},
            lock_timeout={"type": "float", "default": 60},
            deadline={"type": "float", "default": 3600},
        ),
        supports_check_mode=True,
    )
    runner.run(module, index.run, Deadline(module.params["deadline"]), module.check_mode)


if __name__ == "__main__":
    main()
