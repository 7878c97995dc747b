#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_connections
short_description: Show who holds the connections of a PostgreSQL server, and end those that should
  not
version_added: 1.0.0
description:
  - With O(state=observed), counts the sessions by state, user, application, client and database
    against the slots that the app can have,
    lists the ones idle longest, those idle in a transaction, and who waits for whose lock, with the
      root of the chain.
  - With O(state=terminated), ends the sessions that every given filter matches and no protection
    holds, and waits until they are gone.
  - A session is signalled only if it is still the same one in the same state as when it was chosen.
    One that has done anything since, or whose process id now belongs to another one, is left alone.
  - A role that may not see what other roles' sessions do gets findings with the status V(unknown),
    never a count of 0.
options:
  state:
    description:
      - What to do.
    type: str
    choices: [observed, terminated]
    default: observed
  method:
    description:
      - Whether to end the session, or only the statement it runs.
      - A session that runs none cannot be cancelled and is spared.
    type: str
    choices: [terminate, cancel]
    default: terminate
  states:
    description:
      - Ends sessions in these states.
    type: list
    elements: str
    choices:
      - idle
      - idle in transaction
      - idle in transaction (aborted)
      - active
      - fastpath function call
      - disabled
  idle_longer_than:
    description:
      - Ends sessions that have been idle, in a transaction or not, for more than this many seconds.
      - Add O(states) to distinguish the two.
    type: float
  query_longer_than:
    description:
      - Ends sessions whose statement has been running for more than this many seconds.
    type: float
  transaction_longer_than:
    description:
      - Ends sessions whose transaction has been open for more than this many seconds.
    type: float
  blocking_longer_than:
    description:
      - Ends sessions at the root of a chain of locks that has kept another session waiting for more
        than this many seconds.
    type: float
  users:
    description:
      - Ends sessions of these roles.
    type: list
    elements: str
  applications:
    description:
      - Ends sessions with these application names, which may be shell patterns.
    type: list
    elements: str
  clients:
    description:
      - Ends sessions from these addresses or networks. V(local) is the Unix socket.
    type: list
    elements: str
  databases:
    description:
      - Ends sessions in these databases.
      - If not given, those in O(login_db), and the ones in other databases are protected.
    type: list
    elements: str
  sessions:
    description:
      - Ends these sessions, as an earlier result named them.
    type: list
    elements: dict
    suboptions:
      pid:
        description: The process id.
        type: int
        required: true
      backend_start:
        description: The start of the session as in RV(idle[].backend_start), since process ids are
          used again.
        type: str
        required: true
  include:
    description:
      - Lifts protections by name. Without it, sessions of superusers, in other databases, of
        replication and of autovacuum are spared.
      - The module's own session and PostgreSQL's background processes are never ended.
    type: list
    elements: str
    choices: [superusers, other_databases, replication, autovacuum]
    default: []
  protected_users:
    description:
      - Spares sessions of these roles.
    type: list
    elements: str
    default: []
  protected_applications:
    description:
      - Spares sessions with these application names, which may be shell patterns.
    type: list
    elements: str
    default: [pg_dump, pg_dumpall, pg_restore, pg_basebackup, "barman*", "pgbackrest*", "repmgr*"]
  protected_clients:
    description:
      - Spares sessions from these addresses or networks. V(local) is the Unix socket.
    type: list
    elements: str
    default: []
  max_terminations:
    description:
      - How many sessions may be ended at most.
    type: int
    default: 50
  on_excess:
    description:
      - What to do if more sessions match than O(max_terminations).
      - V(fail) ends none of them and fails, since a filter that matches too much is likely a wrong
        one.
      - V(limit) ends as many as are allowed, those longest in their state first. The next run then
        goes on with the others.
    type: str
    choices: [fail, limit]
    default: fail
  wait:
    description:
      - How long to wait for the sessions to be gone, in seconds. One that is still there afterwards
        fails the task.
    type: float
    default: 5
  deadline:
    description:
      - How long the module may take, in seconds.
    type: float
    default: 15
  thresholds:
    description:
      - Replaces default thresholds of the findings. A dictionary of names, each with V(warn),
        V(fail) or both.
      - "The names and their defaults (warn, fail): V(db_connections_percent) 80, 90 of the slots;
        V(idle_transaction_seconds) 60, 600; V(lock_wait_seconds) 5, 60."
      - A value at its threshold or above it counts. V(warn) must not be above V(fail).
    type: dict
    default: {}
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
  - sergas.ops.postgresql
attributes:
  check_mode:
    support: full
    details: RV(terminated) lists exactly the sessions that would be ended at that moment.
  diff_mode:
    support: full
  platform:
    platforms: posix
notes:
  - PostgreSQL 13 and newer.
  - Ending sessions alone resolves nothing. C(idle_session_timeout) (14 and newer) and
    C(idle_in_transaction_session_timeout) keep them from piling
    up again, and they act on new sessions only.
  - Ending sessions of other roles takes a superuser or a member of C(pg_signal_backend), which may
    not end those of superusers.
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Show who holds the connections
  sergas.ops.pg_connections:
  become: true
  register: connections

- name: End what the app has left idle for five minutes
  sergas.ops.pg_connections:
    state: terminated
    login_db: sergas_prod
    states: [idle]
    idle_longer_than: 300
  become: true

- name: End the session that has kept others waiting for a minute
  sergas.ops.pg_connections:
    state: terminated
    login_db: sergas_prod
    blocking_longer_than: 60
    max_terminations: 1
  become: true

- name: Cancel reports that take more than ten minutes
  sergas.ops.pg_connections:
    state: terminated
    method: cancel
    databases: [sergas_prod]
    applications: ["report*"]
    query_longer_than: 600
  become: true
"""

RETURN = r"""
connections:
  description:
    - The sessions of clients, without the module's own; null where the server could not be queried.
    - With O(state=terminated), as they are afterwards.
  returned: success
  type: dict
  contains:
    max_connections:
      description: What the server is set to.
      type: int
      sample: 100
    reserved:
      description: Slots of C(superuser_reserved_connections) and C(reserved_connections).
      type: int
      sample: 3
    slots:
      description: Slots that the app can have.
      type: int
      sample: 97
    used:
      description: Sessions of clients that can be seen.
      type: int
      sample: 42
    hidden:
      description: Sessions of which this role cannot see what they are. They may or may not take a
        slot.
      type: int
      sample: 0
    percent:
      description: How much of the slots is used; null where sessions are hidden.
      type: float
      sample: 43.3
    idle_longest_seconds:
      description: How long the longest idle one has been so; null where sessions are hidden.
      type: float
      sample: 512.3
    idle_in_transaction_longest_seconds:
      description: The same for those in a transaction.
      type: float
      sample: 0.0
    by_state:
      description: Sessions by state.
      type: dict
      sample: {idle: 40, active: 2}
    by_user:
      description: Sessions by role.
      type: dict
      sample: {sergas: 42}
    by_application:
      description: Sessions by application name.
      type: dict
      sample: {sergas-app: 42}
    by_client:
      description: Sessions by address; C(local) is the Unix socket.
      type: dict
      sample: {192.0.2.10: 42}
    by_database:
      description: Sessions by database.
      type: dict
      sample: {sergas_prod: 42}
idle:
  description: The sessions idle longest, at most 20.
  returned: success
  type: list
  elements: dict
  contains: &session
    pid:
      description: The process id.
      type: int
      sample: 4711
    backend_start:
      description: When the session began, in UTC.
      type: str
      sample: "2026-03-01T10:00:00.123456+00:00"
    user:
      description: The role.
      type: str
      sample: sergas
    database:
      description: The database.
      type: str
      sample: sergas_prod
    application:
      description: The application name.
      type: str
      sample: sergas-app
    client:
      description: The client's address; null for the Unix socket.
      type: str
      sample: 192.0.2.10
    state:
      description: The state.
      type: str
      sample: idle
    backend_type:
      description: What kind of process it is.
      type: str
      sample: client backend
    query:
      description: The last statement, without its literals.
      type: str
      sample: UPDATE accounts SET name = ? WHERE id = ?
    state_seconds:
      description: For how long it has been in its state.
      type: float
      sample: 512.3
    query_seconds:
      description: For how long ago the last statement began.
      type: float
      sample: 512.4
    transaction_seconds:
      description: For how long its transaction has been open; null where there is none.
      type: float
      sample: 600.1
idle_in_transaction:
  description: The sessions that sit in an open transaction, longest first, at most 20. Keys as in
    RV(idle).
  returned: success
  type: list
  elements: dict
  contains: *session
blocked:
  description: The sessions that wait for a lock, longest first, at most 20. Keys as in RV(idle),
    and these.
  returned: success
  type: list
  elements: dict
  contains:
    blocked_by:
      description: The process ids it waits for; 0 is a prepared transaction.
      type: list
      elements: int
      sample: [4711]
    roots:
      description: The process ids at the end of its chain.
      type: list
      elements: int
      sample: [4700]
    waiting_seconds:
      description: For how long it has been waiting.
      type: float
      sample: 75.2
    exact:
      description: Whether that is the wait itself. Before PostgreSQL 14 it is how long ago the
        statement began.
      type: bool
      sample: true
blocking:
  description: The sessions at the roots, which wait for no one, the widest first, at most 20. Keys
    as in RV(idle), and these.
  returned: success
  type: list
  elements: dict
  contains:
    blocks:
      description: How many sessions wait for it in the end.
      type: int
      sample: 12
    depth:
      description: How many steps away the farthest of them is.
      type: int
      sample: 2
    longest_wait_seconds:
      description: For how long the longest of them has been waiting.
      type: float
      sample: 75.2
findings:
  description:
    - "What there is to say: C(db.connections.*), C(db.transactions.*), C(db.locks.*), with the keys
      of RV(sergas.ops.sergas_health#module:findings)."
    - Where the server could not be queried, the one finding that says why.
  returned: success
  type: list
  elements: dict
roots:
  description: The ids of the bad findings that derive from no other one.
  returned: success
  type: list
  elements: str
  sample: [db.connections.exhausted]
bad:
  description: How many findings are C(warn), C(unknown) or C(fail).
  returned: success
  type: int
  sample: 1
driver:
  description: What spoke to the server, C(psycopg2) or C(pgwire), the client of this collection;
    null where the server could not be queried.
  returned: success
  type: str
  sample: psycopg2
server_version:
  description: The server's version as a number; null where it could not be queried.
  returned: success
  type: int
  sample: 150004
reserved_slot:
  description: Whether no slot was left for O(login_user), and the module came in over the local
    socket as a superuser.
  returned: success
  type: bool
  sample: false
terminated:
  description: The sessions that were ended, or would be in check mode. Keys as in RV(idle).
  returned: O(state=terminated)
  type: list
  elements: dict
  contains: *session
survived:
  description: The sessions that were to end and are still there, each with a C(reason). Any of them
    fails the task.
  returned: O(state=terminated)
  type: list
  elements: dict
spared:
  description:
    - How many sessions matched and were left alone, by the reason, which is one of own, background,
      hidden, replication, autovacuum,
      superuser, other_database, listed, nothing_to_cancel, moved_on.
  returned: O(state=terminated)
  type: dict
  sample: {superuser: 1}
matched:
  description: How many sessions matched and are not protected.
  returned: O(state=terminated)
  type: int
  sample: 12
candidates:
  description: The first 20 of those that matched, where there were too many. Keys as in RV(idle).
  returned: if nothing was ended because of O(max_terminations)
  type: list
  elements: dict
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    connections,
    session,
    sessions,
    termination_plan,
)


def main():
    module = Module(
        ranges=connections.RANGES,
        argument_spec=dict(
            session.CONNECTION,
            state={"type": "str", "choices": ["observed", "terminated"], "default": "observed"},
            method={"type": "str", "choices": ["terminate", "cancel"], "default": "terminate"},
            states={"type": "list", "elements": "str", "choices": list(sessions.STATES)},
            idle_longer_than={"type": "float"},
            query_longer_than={"type": "float"},
            transaction_longer_than={"type": "float"},
            blocking_longer_than={"type": "float"},
            users={"type": "list", "elements": "str"},
            applications={"type": "list", "elements": "str"},
            clients={"type": "list", "elements": "str"},
            databases={"type": "list", "elements": "str"},
            sessions={
                "type": "list",
                "elements": "dict",
                "options": {
                    "pid": {"type": "int", "required": True},
                    "backend_start": {"type": "str", "required": True},
                },
            },
            include={
                "type": "list",
                "elements": "str",
                "choices": ["superusers", "other_databases", "replication", "autovacuum"],
                "default": [],
            },
            protected_users={"type": "list", "elements": "str", "default": []},
            protected_applications={
                "type": "list",
                "elements": "str",
                "default": [
                    "pg_dump",
                    "pg_dumpall",
                    "pg_restore",
                    "pg_basebackup",
                    "barman*",
                    "pgbackrest*",
                    "repmgr*",
                ],
            },
            protected_clients={"type": "list", "elements": "str", "default": []},
            max_terminations={"type": "int", "default": 50},
            on_excess={"type": "str", "choices": ["fail", "limit"], "default": "fail"},
            wait={"type": "float", "default": 5},
            deadline={"type": "float", "default": 15},
            thresholds={"type": "dict", "default": {}},
        ),
        required_if=[("state", "terminated", termination_plan.LISTS + termination_plan.AGES, True)],
        supports_check_mode=True,
    )
    runner.run(module, connections.run, Deadline(module.params["deadline"]), module.check_mode)


if __name__ == "__main__":
    main()
