#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_settings
short_description: Tune PostgreSQL for its machine and bring its settings into effect
version_added: 1.0.0
description:
  - Calculates settings for the hardware and the workload, for a server with a dedicated machine or
    for one that shares the memory with the app, Celery, Redis and Cognee.
  - Writes one file, C(conf.d/90-sergas.conf) beside C(postgresql.conf), with the reason for each
    value. C(postgresql.conf) itself is left alone; only if it includes no such directory, a line
    that does is added.
  - The server's own program reads the settings before anything is written, and refuses in its own
    words. The file is then checked through C(pg_file_settings) before the server reads it, and the
    values are waited for.
  - A restart is made only with O(allow_restart=true). If the server does not come up, the old file
    is restored and the server started with it.
  - All is decided from what the server has now, so that a run that was interrupted is finished by
    the next one.
  - A stopped server can be configured, too; it stays stopped.
options:
  state:
    description:
      - V(calculated) returns the settings and changes nothing. It needs no server.
      - V(present) brings them into effect.
      - V(absent) removes the file, and the server uses what its other files say.
    type: str
    choices: [present, absent, calculated]
    default: present
  settings:
    description:
      - Settings by name, on top of the calculated ones. V(null) leaves out a calculated one.
      - A password in a connection string (C(primary_conninfo)) is left out of results and diffs.
        The arguments of the
        task show it all the same when they are printed, so set C(no_log) for such a task.
    type: dict
    default: {}
  tune:
    description:
      - Whether settings are calculated. If V(false), O(settings) are all there is.
    type: bool
    default: true
  memory:
    description:
      - The memory of the host, for example V(16GB). If not given, what this host has, within its
        control group.
    type: str
  cpus:
    description:
      - The number of CPUs. If not given, what this host has, within its control group.
    type: int
  storage:
    description:
      - What the data is on. If not given, what the system says of the disk below the data
        directory.
      - A virtual disk does not know what it is on, and is taken for V(ssd).
    type: str
    choices: [hdd, ssd, san, nvme]
  workload:
    description:
      - V(web) for a web application, V(oltp) for many small transactions, V(dw) for a data
        warehouse, V(desktop) for
        a developer's machine, V(mixed) for some of each.
    type: str
    choices: [web, oltp, dw, desktop, mixed]
    default: web
  dataset:
    description:
      - Whether the data that is in use is less than the memory, about as much, or more.
    type: str
    choices: [less_ram, mid_ram, greater_ram]
    default: mid_ram
  connections:
    description:
      - The number of connections. If not given, what is usual for O(workload).
      - On a shared host, the number that the server has is only lowered if it is given here.
    type: int
  shared_host:
    description:
      - Whether the machine has other tenants, so that PostgreSQL gets a share of a budget for the
        whole host, and
        the size of the WAL is bounded by its disk.
      - If V(false), the settings are those of pgtune.
      - If not given, it is V(true) where the app, Celery, Redis, Cognee or anything else of size is
        found.
    type: bool
  tenants:
    description:
      - What the other tenants of a shared host may use. What is not given is taken from their
        configuration here.
    type: dict
    suboptions:
      app_workers:
        description: The app's workers. If not given, C(WORKERS) of its C(.env), else 4 where the
          app is.
        type: int
      app_worker_memory:
        description: What one of them may use. If not given, V(256MB) is taken.
        type: str
      celery_workers:
        description: Celery's workers. If not given, C(CELERY_WORKER_CONCURRENCY) of the app's
          C(.env).
        type: int
      celery_worker_memory:
        description: What one of them may use. If not given, V(256MB) is taken.
        type: str
      redis_maxmemory:
        description: Redis' C(maxmemory), V(0) for no bound. If not given, that of its configuration
          file.
        type: str
      cognee_memory:
        description: What Cognee may use. If not given, V(1GB) is taken where the app's Cognee is on
          this host.
        type: str
      other_memory:
        description:
          - What everything else may use. If not given, what is resident now beyond the reserve, in
            steps of an eighth
            of the memory.
        type: str
      reserve:
        description: For the system and its page cache. If not given, a tenth of the memory,
          V(256MB) at least.
        type: str
  wal_disk_size:
    description:
      - The size of the filesystem for WAL. If not given, that of the one that holds C(pg_wal).
    type: str
  env_file:
    description:
      - The app's C(.env), where it is on this host.
    type: path
    default: /home/sergas/super-account-manager/.env
  tolerance:
    description:
      - A calculated number that differs from what is there by no more than this, in percent, is no
        change.
      - What is in O(settings) is exact.
    type: float
    default: 5
  version:
    description:
      - The major version of PostgreSQL. It chooses among the clusters of the host.
      - For O(state=calculated), the version to calculate for; if not given, that of this host's
        cluster, else 17.
    type: int
  cluster:
    description:
      - The name of the cluster, for example V(main). Only needed if there are several.
    type: str
  data_directory:
    description:
      - The data directory. Only needed for a server that is not one of Debian's clusters.
    type: path
  service:
    description:
      - The systemd unit that is restarted. If not given, C(pg_ctlcluster) or C(pg_ctl) is used.
    type: str
  filename:
    description:
      - The name of the file in C(conf.d). Files there are read in the order of their names; the
        last one wins.
    type: str
    default: 90-sergas.conf
  allow_restart:
    description:
      - Whether the server may be restarted, if a setting of this file waits for it. All sessions
        end.
    type: bool
    default: false
  deadline:
    description:
      - How long everything but the restart may take, in seconds.
    type: float
    default: 30
  restart_timeout:
    description:
      - How long the server may take to accept sessions after a restart, in seconds.
    type: float
    default: 120
  login_port:
    description:
      - The port of the server. It chooses among the clusters of the host. If not given, that of the
        cluster.
    type: int
    default: null
extends_documentation_fragment:
  - sergas.ops.postgresql
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The whole file, with its comments.
  platform:
    platforms: posix
notes:
  - It runs on the server's host, as B(root) or as the system user that the server runs as.
  - PostgreSQL 13 or newer.
seealso:
  - module: sergas.ops.pg_connections
  - module: sergas.ops.pg_insights
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Show what a dedicated server would get
  sergas.ops.pg_settings:
    state: calculated
    memory: 16GB
    cpus: 8
    storage: ssd
    workload: web
    version: 14
    shared_host: false
  register: tuned

- name: Tune the server of this host, restart it if that is needed
  sergas.ops.pg_settings:
    allow_restart: true
  become: true

- name: Log slow statements, and nothing else
  sergas.ops.pg_settings:
    tune: false
    filename: 80-slow-queries.conf
    settings:
      log_min_duration_statement: 1s
      shared_preload_libraries: [pg_stat_statements]
  become: true

- name: Remove the settings file
  sergas.ops.pg_settings:
    state: absent
  become: true
"""

RETURN = r"""
settings:
  description:
    - For O(state=calculated), all settings. Else those of the file; what the server has anyway is
      not in it.
  returned: success
  type: dict
  sample: {shared_buffers: 4GB, max_connections: 200}
why:
  description: The reason for each value of RV(settings).
  returned: success
  type: dict
  sample: {shared_buffers: 1/4 of 16GB for PostgreSQL's own cache}
machine:
  description: What the settings are calculated for, and in C(evidence) where each figure is from.
  returned: when settings are calculated
  type: dict
  sample: {memory: 16GB, cpus: 8, storage: ssd, workload: web}
shared_host:
  description: Whether PostgreSQL shares the memory of the host.
  returned: when settings are calculated
  type: bool
  sample: true
budget:
  description: Who gets what of the memory, line by line. Empty for a dedicated machine.
  returned: when settings are calculated
  type: list
  elements: dict
  contains:
    consumer:
      description: One of postgresql, reserve, app, celery, redis, cognee, other, unassigned.
      type: str
      sample: app
    memory:
      description: The amount.
      type: str
      sample: 1GB
    kb:
      description: The amount in kB.
      type: int
      sample: 1048576
    why:
      description: How it comes about.
      type: str
      sample: 4 workers at 256MB each
postgresql_uses:
  description: What PostgreSQL's line of RV(budget) is for. Empty for a dedicated machine.
  returned: when settings are calculated
  type: list
  elements: dict
  contains:
    use:
      description: One of shared_buffers, wal_buffers, maintenance, autovacuum, sessions, sorts.
      type: str
      sample: sorts
    memory:
      description: The amount.
      type: str
      sample: 2GB
    kb:
      description: The amount in kB.
      type: int
      sample: 2097152
    why:
      description: How it comes about.
      type: str
      sample: 208 processes with 3 sorts or hashes of 3MB each
cluster:
  description: The cluster. C(server) is C(running) or C(stopped).
  returned: when O(state) is not V(calculated)
  type: dict
  sample: {version: 15, name: main, port: 5432, server: running}
driver:
  description: What spoke to the server, C(psycopg2) or C(pgwire), the client of this collection;
    null where the server is stopped.
  returned: when O(state) is not V(calculated)
  type: str
  sample: psycopg2
file:
  description: The file.
  returned: when O(state) is not V(calculated)
  type: str
  sample: /etc/postgresql/15/main/conf.d/90-sergas.conf
changes:
  description: What changes in the file.
  returned: when O(state) is not V(calculated)
  type: list
  elements: dict
  contains:
    name:
      description: The setting.
      type: str
      sample: shared_buffers
    before:
      description: Its value before, of the file or else of the server.
      type: str
      sample: 128MB
    after:
      description: Its value in the file after; null if it is not there any more.
      type: str
      sample: 4GB
    takes:
      description: What brings it into effect, C(reload), C(restart), or C(start) where the server
        is stopped.
      type: str
      sample: restart
reloaded:
  description: Whether the server reads its files again.
  returned: when O(state) is not V(calculated)
  type: bool
  sample: true
restarted:
  description: Whether the server is restarted.
  returned: when O(state) is not V(calculated)
  type: bool
  sample: false
restart_required:
  description: Whether settings of the file wait for a restart that is not allowed.
  returned: when O(state) is not V(calculated)
  type: bool
  sample: true
pending_restart:
  description: All settings of the server that wait for a restart, also those that others changed.
  returned: when O(state) is not V(calculated)
  type: list
  elements: str
  sample: [max_connections, shared_buffers]
overridden:
  description: Settings of the file that have no effect.
  returned: when O(state) is not V(calculated)
  type: list
  elements: dict
  contains:
    name:
      description: The setting.
      type: str
      sample: work_mem
    value:
      description: Its value in the file.
      type: str
      sample: 20MB
    effective:
      description: The value that counts.
      type: str
      sample: 4MB
    by:
      description: What makes it count.
      type: str
      sample: /var/lib/postgresql/15/main/postgresql.auto.conf line 3
unvalidated:
  description: What could not be checked before it was written, and why.
  returned: when O(state) is not V(calculated)
  type: list
  elements: str
  sample: ["pg_stat_statements.max: the library that defines it is not loaded"]
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import session
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import change, tuning

RANGES = (
    ("cpus", 1, 65536),
    ("connections", 1, 262143),
    ("tenants.app_workers", 0, 65536),
    ("tenants.celery_workers", 0, 65536),
    ("tolerance", 0, 100),
    ("version", tuning.OLDEST_VERSION, tuning.NEWEST_VERSION),
    ("restart_timeout", 1, 86400),
    *session.RANGES,
)


def main():
    spec = dict(
        session.CONNECTION,
        login_port={"type": "int"},
        state={"type": "str", "choices": ["present", "absent", "calculated"], "default": "present"},
        settings={"type": "dict", "default": {}},
        tune={"type": "bool", "default": True},
        memory={"type": "str"},
        cpus={"type": "int"},
        storage={"type": "str", "choices": ["hdd", "ssd", "san", "nvme"]},
        workload={
            "type": "str",
            "choices": ["web", "oltp", "dw", "desktop", "mixed"],
            "default": "web",
        },
        dataset={
            "type": "str",
            "choices": ["less_ram", "mid_ram", "greater_ram"],
            "default": "mid_ram",
        },
        connections={"type": "int"},
        shared_host={"type": "bool"},
        tenants={
            "type": "dict",
            "options": {
                "app_workers": {"type": "int"},
                "app_worker_memory": {"type": "str"},
                "celery_workers": {"type": "int"},
                "celery_worker_memory": {"type": "str"},
                "redis_maxmemory": {"type": "str"},
                "cognee_memory": {"type": "str"},
                "other_memory": {"type": "str"},
                "reserve": {"type": "str"},
            },
        },
        wal_disk_size={"type": "str"},
        env_file={"type": "path", "default": "/home/sergas/super-account-manager/.env"},
        tolerance={"type": "float", "default": 5},
        version={"type": "int"},
        cluster={"type": "str"},
        data_directory={"type": "path"},
        service={"type": "str"},
        filename={"type": "str", "default": "90-sergas.conf"},
        allow_restart={"type": "bool", "default": False},
        deadline={"type": "float", "default": 30},
        restart_timeout={"type": "float", "default": 120},
    )
    module = Module(ranges=RANGES, argument_spec=spec, supports_check_mode=True)
    runner.run(module, change.run, module.check_mode)


if __name__ == "__main__":
    main()
