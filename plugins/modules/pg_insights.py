#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_insights
short_description: Find out what slows a PostgreSQL server down, fills its disk or is about to break
version_added: 1.0.0
description:
  - Inspects one database of a PostgreSQL server, 13 or newer, and the server as a whole, and
    returns findings together
    with the figures they rest on.
  - It reads only, in read-only transactions with statement and lock timeouts, under one deadline,
    and writes nothing to disk.
    No query takes a round trip per table, and all of them are bounded, so that ten thousand tables
      take seconds.
  - What the role may not see becomes a finding with the status V(unknown) that names the role to
    grant; it is never V(ok).
  - A finding names the finding it derives from in its C(cause), so that one fault gives one
    root.
options:
  checks:
    description:
      - The checks to run. All of them, if not given.
    type: list
    elements: str
    choices: &checks
      - slow_queries
      - running_queries
      - missing_indexes
      - unused_indexes
      - duplicate_indexes
      - invalid_indexes
      - bloat
      - vacuum
      - statistics
      - wraparound
      - locks
      - transactions
      - cache
      - sizes
      - disk
      - wal
      - archiver
      - slots
      - replication
      - sequences
      - triggers
      - checksums
      - collation
      - settings
  skip:
    description:
      - Checks to leave out.
    type: list
    elements: str
    choices: *checks
  schemas:
    description:
      - Only inspect tables, indexes and sequences in these schemas. All but the server's own, if
        not given.
    type: list
    elements: str
  limit:
    description:
      - How many rows the evidence of a finding may have.
    type: int
    default: 20
  thresholds:
    description:
      - Replaces default thresholds. A dictionary of names, each with V(warn), V(fail) or both.
      - "The names and their defaults (warn, fail):
        V(statement_ms) 20, 1000 (mean time of statements called at least 100 times, 10 times from
          the fail threshold on);
        V(running_seconds) 60, 600; V(lock_wait_seconds) 5, 60; V(transaction_seconds) 3600, 14400;
          V(prepared_seconds) 5, 60 (with a lock on a table; from ten times the second on without);
          V(bloat_percent) 40, 80;
        V(vacuum_factor) 2, 10 and V(analyze_factor) 2, 10 (multiples of what makes autovacuum
          start);
        V(wraparound_age) 1300000000, 1400000000; V(cache_miss_percent) 5, 20; V(archive_backlog)
          16, 128 (WAL files);
        V(slot_bytes) 67108864, 1073741824; V(replication_seconds) 5, 60; V(replication_bytes)
          134217728, 1073741824;
        V(disk_percent) 80, 90; V(sequence_percent) 85, 95; V(memory_percent) 100, 200 (shared
          buffers and one work_mem for each
        connection)."
      - A value at its threshold or above it counts. V(warn) must not be above V(fail).
    type: dict
    default: {}
  previous:
    description:
      - RV(insights) of an earlier run against the same server and database. With it, slow
        statements, tables read from end to
        end and the cache are judged by what happened since, and C(sizes.growth) in RV(insights)
          shows what grew.
    type: dict
    default: {}
  deadline:
    description:
      - How long all of it may take, in seconds.
    type: float
    default: 30
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
  - sergas.ops.postgresql
attributes:
  check_mode:
    support: full
    details: The module only reads, so a check run is the same as a real one.
  diff_mode:
    support: none
    details: The module changes nothing.
  platform:
    platforms: posix
notes:
  - A member of C(pg_monitor) sees all but the statistics of columns and the sequences;
    C(pg_read_all_data) (14 and newer) adds
    those. A superuser over the local socket sees everything.
  - The disk is inspected where the server runs on the same host, and also without the right to see
    C(data_directory) if the
    module runs as root.
  - On a standby, what is the primary's business (vacuum, statistics, unused indexes, archiving) is
    V(skipped).
seealso:
  - module: sergas.ops.sergas_health
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Inspect the database of the app, over the local socket
  sergas.ops.pg_insights:
    login_db: sergas_prod
  become: true
  register: insights

- name: Check only why queries are slow, since the last run
  sergas.ops.pg_insights:
    login_db: sergas_prod
    checks: [slow_queries, running_queries, missing_indexes, statistics, locks]
    previous: "{{ insights.insights }}"
  become: true

- name: Warn of WAL held back by a slot earlier
  sergas.ops.pg_insights:
    login_host: db1.example.org
    login_user: monitor
    login_password: "{{ vault_monitor_password }}"
    checks: [slots]
    thresholds:
      slot_bytes:
        warn: 16777216
"""

RETURN = r"""
findings:
  description:
    - What the checks found, in the order of the checks, each with the keys of
      RV(sergas.ops.sergas_health#module:findings).
    - A bad one says in its id what is wrong, a good one ends in C(ok), an unmeasurable one in
      C(unknown), an absent one in C(skipped). The component is always C(database).
  returned: success
  type: list
  elements: dict
  sample:
    - id: db.index.missing
      component: database
      status: warn
      summary: "1 table(s) are read from end to end: activities (5210 times, 200000 rows each)"
      value: 1
      unit: indexes
      confidence: measured
      evidence:
        target: "localhost:5432"
        create: ["CREATE INDEX CONCURRENTLY ON public.activities (account_id)"]
      cause: null
      remedy: create_indexes
      advice: "Check with EXPLAIN, then: CREATE INDEX CONCURRENTLY ON public.activities
        (account_id);"
      guide: Slow Database Queries
driver:
  description: What spoke to the server, C(psycopg2) or C(pgwire), the client of this collection;
    null where the server did not answer.
  returned: success
  type: str
  sample: psycopg2
insights:
  description:
    - The figures behind the findings, by query. Give it to O(previous) of a later run.
  returned: when the server answered
  type: dict
  sample: {sizes: {databases: [{database: sergas_prod, bytes: 8913927}]}}
roots:
  description: The ids of the bad findings that derive from no other one.
  returned: success
  type: list
  elements: str
  sample: [db.index.missing]
bad:
  description: How many findings are C(warn), C(unknown) or C(fail).
  returned: success
  type: int
  sample: 2
query_seconds:
  description: How long each query took, on the clock of the host that ran it.
  returned: when the server answered
  type: dict
  sample: {sizes: 0.021}
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import session
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import diagnosis

RANGES = (("limit", 1, 10000), *session.RANGES)


def main():
    names = list(diagnosis.CHECKS)
    module = Module(
        ranges=RANGES,
        argument_spec=dict(
            session.CONNECTION,
            checks={"type": "list", "elements": "str", "choices": names},
            skip={"type": "list", "elements": "str", "choices": names},
            schemas={"type": "list", "elements": "str"},
            limit={"type": "int", "default": 20},
            thresholds={"type": "dict", "default": {}},
            previous={"type": "dict", "default": {}},
            deadline={"type": "float", "default": 30},
        ),
        supports_check_mode=True,
    )
    runner.run(module, diagnosis.run)


if __name__ == "__main__":
    main()
