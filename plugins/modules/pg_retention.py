#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_retention
short_description: Delete rows of a PostgreSQL table that are older than an age, in small batches
version_added: 1.0.0
description:
  - Deletes the rows of one table, partitioned or not, whose time is older than O(days), in batches
    that each commit, with a pause
    after each, so that a session that writes to the table waits for no more than a batch.
  - At O(deadline) it stops after a batch and says so with RV(finished); the next run goes on.
  - It refuses a table that others refer to by a foreign key, since a deletion there would touch
    their rows or fail halfway.
  - What touches the table runs in a session that the table's owner has logged in to. The owner of a
    table decides what code a statement on it runs (triggers, rules, policies, expressions of
    indexes), and that code has the rights of the session. O(login_user) only reads catalogs and
    writes checkpoints, unless it is the owner or a role that is no superuser.
  - The owner logs in to the same server with O(owner_password), or with what O(env_file) has for
    it. Being a member of the owner's role does not count.
  - In that session C(search_path) is C(pg_catalog), so that a function that a trigger calls has to
    name other schemas, or to set its own C(search_path).
  - Where the owner does not log in and O(login_user) is a superuser, the rows are deleted by that,
    provided that no code of others can run. It is refused where the table or a partition has a
    trigger, a rule, a row policy, or an expression (of an index, a constraint, statistics, a
    generated column, a partition key) that calls a function outside C(pg_catalog) which is not
    written in C. That is checked under a lock in the transaction of each statement. On a standby
    the rows cannot even be counted like that.
  - Where the disk for WAL is nearly full and on the host that this runs on, it lets the server
    recycle WAL by checkpoints between the
    batches, and stops before there is no room left, since a server that cannot write WAL panics.
      That takes a role that may CHECKPOINT.
  - Deleted rows leave their space to new rows of the table. VACUUM (M(sergas.ops.pg_vacuum)) makes
    that so;
    only VACUUM FULL returns it to the disk.
options:
  column:
    description:
      - The column with the time of a row, of a type with a date.
    type: str
    default: created_at
  days:
    description:
      - Rows older than this many days are deleted.
    type: float
    default: 90
  before:
    description:
      - Rows from before this moment are deleted, instead of O(days). It is what RV(before) of a
        check run has returned.
    type: str
  batch_rows:
    description:
      - How many rows a batch has at most.
    type: int
    default: 5000
  pause:
    description:
      - How long to wait after each batch, in seconds.
    type: float
    default: 0.1
  owner_user:
    description:
      - The role that O(owner_password) is of. If not given, the owner of the table. A role that is
        not the owner does not log in.
    type: str
  owner_password:
    description:
      - The password of the table's owner. It is never put on a command line.
      - If not given, the one that O(env_file) has for the owner.
    type: str
  owner_host:
    description:
      - Where the owner logs in, a host or the directory of the server's Unix socket.
      - If not given, O(login_host), or C(127.0.0.1) where that is not given either; then, where the
        server does not accept the owner from there, the C(DATABASE_HOST) of O(env_file).
    type: str
  owner_port:
    description:
      - The port for O(owner_host). If not given, O(login_port).
    type: int
  env_file:
    description:
      - The app's C(.env), where it is on this host, with the C(DATABASE_USER) and
        C(DATABASE_PASSWORD), or the C(DATABASE_URL), of the table's owner.
    type: path
    default: /home/sergas/super-account-manager/.env
  deadline:
    description:
      - How long all of it may take, in seconds.
    type: float
    default: 600
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
  - sergas.ops.postgresql
  - sergas.ops.postgresql.table
  - sergas.ops.postgresql.work
attributes:
  check_mode:
    support: full
    details: The rows are counted exactly.
seealso:
  - module: sergas.ops.pg_vacuum
  - module: sergas.ops.pg_insights
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Keep 90 days of the audit log
  sergas.ops.pg_retention:
    login_db: sergas_prod
    table: audit_logs
  become: true

- name: Keep 90 days of a table on a host without the app, as the table's owner
  sergas.ops.pg_retention:
    login_db: sergas_prod
    table: audit_logs
    owner_user: sergas_app
    owner_password: "{{ vault_database_password }}"
  become: true

- name: Delete slowly, for an hour at most
  sergas.ops.pg_retention:
    login_db: sergas_prod
    table: audit_logs
    days: 30
    batch_rows: 1000
    pause: 1
    deadline: 3600
  become: true
"""

RETURN = r"""
rows:
  description: How many rows were deleted, or would be in check mode.
  returned: success
  type: int
  sample: 18300
bytes:
  description: The bytes that these rows take, without indexes.
  returned: success
  type: int
  sample: 1134600
batches:
  description: In how many batches.
  returned: success
  type: int
  sample: 4
before:
  description: Rows from before this moment are the old ones.
  returned: success
  type: str
  sample: "2026-03-01 10:00:00.123456+00"
driver:
  description: What spoke to the server, C(psycopg2) or C(pgwire), the client of this collection.
  returned: success
  type: str
  sample: psycopg2
role:
  description: The role that counted and deleted them.
  returned: success
  type: str
  sample: sergas_app
finished:
  description: Whether it got to the last old row.
  returned: success
  type: bool
  sample: true
stopped_by:
  description: Why it stopped before; null where it has finished.
  returned: success
  type: str
  sample: the deadline came first
remaining:
  description: How many of the old rows are left, of those there were at the beginning.
  returned: success
  type: int
  sample: 0
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import session, table_session
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.maintenance import retention

RANGES = (
    ("owner_port", 1, 65535),
    ("days", 0, 36500),
    ("batch_rows", 1, 1000000),
    ("pause", 0, 3600),
    *session.RANGES,
)


def main():
    module = Module(
        ranges=RANGES,
        argument_spec=dict(
            session.CONNECTION,
            **session.TABLE,
            **table_session.OWNER,
            column={"type": "str", "default": "created_at"},
            days={"type": "float", "default": 90},
            before={"type": "str"},
            batch_rows={"type": "int", "default": 5000},
            pause={"type": "float", "default": 0.1},
            deadline={"type": "float", "default": 600},
        ),
        supports_check_mode=True,
    )
    runner.run(module, retention.run, Deadline(module.params["deadline"]), module.check_mode)


if __name__ == "__main__":
    main()
