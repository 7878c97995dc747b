#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_vacuum
short_description: Vacuum and analyze PostgreSQL tables where that is due
version_added: 1.0.0
description:
  - Vacuums the tables with more dead rows, and analyzes those with more changed rows, than
    autovacuum should have left,
    by the checks C(vacuum) and C(statistics) of M(sergas.ops.pg_insights). Where nothing is due,
      nothing is done.
  - With O(full=true), rewrites the named tables that are bloated, which returns their unused
    space to the disk. It locks each table for all sessions, and it is refused where the disk has
    not got the table's size free.
options:
  tables:
    description:
      - The tables to inspect, as V(table) or V(schema.table). All of the database, if not given.
    type: list
    elements: str
    default: []
  always:
    description:
      - Work on O(tables) whether it is due or not.
    type: bool
    default: false
  full:
    description:
      - VACUUM FULL of O(tables), of those that are bloated unless O(always=true).
    type: bool
    default: false
  reset_counters:
    description:
      - Reset what the server has counted of the tables that were worked on (scans, rows), after
        something has changed for good how they are read.
    type: bool
    default: false
  reset_statements:
    description:
      - The queryids of statements of whose past C(pg_stat_statements) is to keep nothing, for the
        same reason. Where the extension is not there, not loaded, or older than 1.7, nothing is
        reset.
    type: list
    elements: str
    default: []
  thresholds:
    description:
      - Replaces thresholds of M(sergas.ops.pg_insights), of which V(vacuum_factor),
        V(analyze_factor) and V(bloat_percent) count here.
    type: dict
    default: {}
  lock_timeout:
    description:
      - How long to wait for a table that another session has locked, in seconds.
    type: float
    default: 10
  deadline:
    description:
      - How long all of it may take, in seconds.
    type: float
    default: 1800
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
  - sergas.ops.postgresql
  - sergas.ops.postgresql.work
seealso:
  - module: sergas.ops.pg_insights
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Vacuum and analyze what is due
  sergas.ops.pg_vacuum:
    login_db: sergas_prod
  become: true

- name: Return the space of deleted audit rows to the disk, while the table is not used
  sergas.ops.pg_vacuum:
    login_db: sergas_prod
    tables: [audit_logs]
    full: true
  become: true
"""

RETURN = r"""
tables:
  description: What was done, or would be in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    schema:
      description: The schema.
      type: str
      sample: public
    table:
      description: The table.
      type: str
      sample: activities
    action:
      description: One of vacuum, analyze, full.
      type: str
      sample: vacuum
    bytes_before:
      description: The size of the table with its indexes before.
      type: int
      sample: 10485760
    bytes_after:
      description: The same afterwards; not in check mode.
      type: int
      sample: 8388608
driver:
  description: What spoke to the server, C(psycopg2) or C(pgwire), the client of this collection.
  returned: success
  type: str
  sample: psycopg2
left:
  description: What is still due because O(deadline) came first. Keys as in RV(tables).
  returned: success
  type: list
  elements: dict
freed_bytes:
  description: What was returned to the disk.
  returned: success
  type: int
  sample: 2097152
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import session
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.maintenance import vacuum


def main():
    module = Module(
        ranges=session.RANGES,
        argument_spec=dict(
            session.CONNECTION,
            tables={"type": "list", "elements": "str", "default": []},
            always={"type": "bool", "default": False},
            full={"type": "bool", "default": False},
            reset_counters={"type": "bool", "default": False},
            reset_statements={"type": "list", "elements": "str", "default": []},
            thresholds={"type": "dict", "default": {}},
            lock_timeout={"type": "float", "default": 10},
            deadline={"type": "float", "default": 1800},
        ),
        required_if=[("full", True, ("tables",)), ("always", True, ("tables",))],
        supports_check_mode=True,
    )
    runner.run(module, vacuum.run, Deadline(module.params["deadline"]), module.check_mode)


if __name__ == "__main__":
    main()
