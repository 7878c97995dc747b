#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sergas_health
short_description: Diagnose a host of the Sergas Super Account Manager in one round trip
version_added: 1.0.0
description:
  - Runs every host-level probe of the Sergas troubleshooting guide side by side under one deadline,
    and returns findings.
  - It reads only. It writes nothing to the host, works on a full disk, and needs nothing but Python
    there.
  - A probe that gets no answer in time becomes a finding with the status V(unknown), which is never
    counted as V(ok).
  - A finding names the finding it derives from in RV(findings[].cause), so that one fault gives one
    root.
  - What a remedy has fixed by the host's ledger, and the journal has not shown since, is V(ok).
options:
  checks:
    description:
      - The checks to run. All of them, if not given.
    type: list
    elements: str
    choices: &checks
      - service
      - port
      - env
      - restart
      - imports
      - database
      - redis
      - oom
      - crashes
      - resources
      - exceptions
      - errors
      - events
      - api
      - latency
      - prometheus
      - connections
      - rate_limit
      - attacks
      - forwarded
      - keys
      - env_file
      - loadbalancer
      - traffic
      - memory
      - swap
      - disk
      - cpu
      - load
      - iowait
      - network
      - kernel
      - packages
      - resolver
      - clock
      - restore_points
  skip:
    description:
      - Checks to leave out.
    type: list
    elements: str
    choices: *checks
  components:
    description:
      - What this host must have. What is in the list and not on the host is a failure.
      - If not given, the host gets the checks of whatever is found on it, and the others are
        V(skipped).
    type: list
    elements: str
    choices: [app, postgresql, redis, cognee, lb]
  thresholds:
    description:
      - Replaces default thresholds. A dictionary of names, each with V(warn), V(fail) or both.
      - "The names and their defaults (warn, fail):
        V(disk_percent) 80, 90; V(inode_percent) 80, 90; V(memory_percent) 80, 90; V(swap_percent)
          50, 80;
        V(cpu_percent) 80, 90; V(iowait_percent) 20, 40; V(load_per_cpu) 2, 4; V(latency_seconds) 2,
          5;
        V(start_seconds) 20, 30; V(error_rate_percent) 1, 5; V(errors) 10, 100; V(exceptions) 1, 10;
        V(restarts) 2, 5; V(connections) 500, 1000; V(open_files_percent) 80, 90; V(pool_percent)
          90, 100;
        V(db_connections_percent) 80, 90; V(redis_memory_percent) 80, 90; V(auth_failures) 10, 50;
        V(scanned_paths) 15, 60; V(rate_limit_lines) 1, 10;
        V(conntrack_percent) 80, 95; V(local_ports_percent) 80, 95;
        V(clock_seconds) 5, 60."
      - A value at its threshold or above it counts. V(warn) must not be above V(fail).
    type: dict
    default: {}
  window:
    description:
      - How far back to look in the journal, in seconds.
    type: int
    default: 3600
  controller_time:
    description:
      - The time of the controller in seconds since the epoch, with which the host's is compared.
      - If not given, that of the controller as it sends the options.
    type: float
  deadline:
    description:
      - How long the diagnosis of the host may take, in seconds.
    type: float
    default: 15
  service:
    description:
      - The systemd unit of the app, with or without C(.service).
    type: str
    default: sergas-app
  app_dir:
    description:
      - The directory of the app. If not given, the unit's C(WorkingDirectory), else
        C(/home/sergas/super-account-manager).
    type: path
  env_file:
    description:
      - The app's C(.env), which remedies change. If not given, the unit's C(EnvironmentFile) of
        that name, else C(.env) in O(app_dir) where it is there, else the unit's last one. The other
        files of the unit count as well.
    type: path
  port:
    description:
      - The port the app listens on. If not given, the one that a process of the unit listens on; if
        none does, that of the unit's command line, else C(API_PORT), else 8000.
      - The address is the one that the unit's processes listen on, over TCP or on a Unix socket.
    type: int
  health_path:
    description:
      - The path of the health endpoint.
    type: str
    default: /health
  health_scheme:
    description:
      - Whether the app speaks TLS. If not given, as its command line says, and where that gets no
        answer in the protocol, the other one.
      - The certificate is not required to be valid; what is known of that is in the evidence.
    type: str
    choices: [http, https]
  health_host:
    description:
      - What the app and the apps of O(backends) are called by, in the C(Host) header and in TLS. If
        not given, V(localhost).
    type: str
  latency_paths:
    description:
      - Further paths whose response time is measured, for example V(/api/v1/accounts).
    type: list
    elements: str
    default: []
  latency_token:
    description:
      - A bearer token for the requests of O(latency_paths).
      - It is sent to a process of the app's unit only.
    type: str
  latency_headers:
    description:
      - Headers for the requests of O(latency_paths), for example the key of an API.
      - They are sent to a process of the app's unit only.
    type: dict
  samples:
    description:
      - How many times the health endpoint is requested.
    type: int
    default: 3
  verify_requests:
    description:
      - So many requests, served since a remedy, decide whether it has helped against what shows
        only under traffic. With fewer, its finding stays.
    type: int
    default: 100
  required_variables:
    description:
      - Names of variables that the app must get, from its C(.env), its unit or what starts it.
      - A name with alternatives is written with V(|) between them, for example
        V(REDIS_HOST|REDIS_URL).
    type: list
    elements: str
    default:
      - DATABASE_HOST|DATABASE_URL
      - DATABASE_NAME|DATABASE_URL
      - DATABASE_USER|DATABASE_URL
      - DATABASE_PASSWORD|DATABASE_URL
      - REDIS_HOST|REDIS_URL
      - ZOHO_SDK_CLIENT_ID|ZOHO_MCP_CLIENT_ID
      - ZOHO_SDK_CLIENT_SECRET|ZOHO_MCP_CLIENT_SECRET
      - ZOHO_SDK_REFRESH_TOKEN
      - COGNEE_BASE_URL|COGNEE_API_URL
  log_patterns:
    description:
      - Events to look for in the app's log, besides failed agent sessions (V(agent_sessions)),
        failed syncs of accounts (V(account_syncs)) and failed queries of the memory service
        (V(memory_queries)). One with such a name replaces it.
      - At most 20. They see the first 400 characters of each line that is no access line.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the event in the report, of small letters, digits and V(_).
        type: str
        required: true
      pattern:
        description:
          - A regular expression of Python, in which case does not matter, of 300 characters at
            most.
          - One that may take long is refused. It may have two of V(*) and V(+), none within
            another, and no reference to a group.
        type: str
        required: true
      severity:
        description: The status of the finding.
        type: str
        choices: [warn, fail]
        default: warn
  prometheus_url:
    description:
      - Where Prometheus answers. Nothing there is V(skipped), if neither this nor
        O(prometheus_queries) is given.
      - If not given, C(http://127.0.0.1:9090).
    type: str
  prometheus_queries:
    description:
      - Expressions to evaluate there, each under its own name, with the thresholds for its
        largest value.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the expression in the report.
        type: str
        required: true
      query:
        description: The expression, in PromQL.
        type: str
        required: true
      warn:
        description: A value at this or above is a warning.
        type: float
      fail:
        description: A value at this or above is a failure.
        type: float
  record:
    description:
      - Whether to return what was observed, in RV(recording), and to judge that.
      - It holds no secrets, and another machine finds the same in it with C(scripts/replay) of the
        collection's repository. Attach it where a finding is wrong.
    type: bool
    default: false
  backends:
    description:
      - For a load balancer, the addresses of the apps behind it, as V(host:port). Their health is
        checked from here.
    type: list
    elements: str
    default: []
  balancer_addresses:
    description:
      - For a host of the app, the addresses its load balancers connect from. They must get
        through the firewall.
    type: list
    elements: str
    default: []
  database_host:
    description: Replaces C(DATABASE_HOST) of the app's C(.env).
    type: str
  database_port:
    description: Replaces C(DATABASE_PORT) of the app's C(.env).
    type: int
  database_name:
    description: Replaces C(DATABASE_NAME) of the app's C(.env).
    type: str
  database_user:
    description: Replaces C(DATABASE_USER) of the app's C(.env).
    type: str
  database_password:
    description: Replaces C(DATABASE_PASSWORD) of the app's C(.env).
    type: str
  required_tables:
    description:
      - Tables that the app must be able to read and to write, each as V(schema.table). A missing
        table, or one that the app's role may not select from, insert into, update and delete from,
        is a failure. Without them, only grants that can be no more than a mistake are.
    type: list
    elements: str
    default: []
  redis_host:
    description: Replaces C(REDIS_HOST) of the app's C(.env).
    type: str
  redis_port:
    description: Replaces C(REDIS_PORT) of the app's C(.env).
    type: int
  redis_password:
    description: Replaces C(REDIS_PASSWORD) of the app's C(.env).
    type: str
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
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
  - Run it with C(become), else other users' processes, the journal and the app's C(.env) may be out
    of sight, and what depends on them V(unknown).
  - What each finding means, by which thresholds, what it may derive from and what fixes it is in
    the collection's C(docs/findings.md).
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Diagnose the host
  sergas.ops.sergas_health:
  become: true
  register: health

- name: Check the disks only, with a lower threshold
  sergas.ops.sergas_health:
    checks: [disk]
    thresholds:
      disk_percent:
        warn: 70

- name: Check the apps behind a load balancer from its own host
  sergas.ops.sergas_health:
    components: [lb]
    backends:
      - app1:8000
      - app2:8000
"""

RETURN = r"""
findings:
  description: What the checks found, in the order of the checks.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Dotted and stable, component.subject.state. The state of a good result is C(ok).
      type: str
      sample: app.port.conflict
    component:
      description: One of app, api, database, redis, zoho, cognee, host, security, loadbalancer.
      type: str
      sample: app
    status:
      description: One of ok, warn, fail, unknown, skipped.
      type: str
      sample: fail
    summary:
      description: One sentence with the figure and its threshold.
      type: str
      sample: Port 8000 is held by python3 (pid 4711, unit rogue.service), sergas-app cannot bind it
    value:
      description: The measured number, where there is one.
      type: float
      sample: 92.5
    unit:
      description: The unit of the number.
      type: str
      sample: "%"
    warn:
      description: The threshold of a warning, where there is one.
      type: float
      sample: 80.0
    fail:
      description: The threshold of a failure, where there is one.
      type: float
      sample: 90.0
    confidence:
      description: One of measured, estimated, blind. What is blind is never ok.
      type: str
      sample: measured
    evidence:
      description: What the finding rests on, small and without secrets.
      type: dict
      sample: {pid: 4711, unit: rogue.service}
    cause:
      description: The id of the finding this one derives from.
      type: str
      sample: app.port.conflict
    remedy:
      description: The name of the remedy that answers it.
      type: str
      sample: free_port
    advice:
      description: What a person would do.
      type: str
      sample: Stop rogue.service, or move the app with API_PORT.
    guide:
      description: The section of the troubleshooting guide.
      type: str
      sample: Application Won't Start
roots:
  description: The ids of the bad findings that derive from no other one.
  returned: success
  type: list
  elements: str
  sample: [app.port.conflict]
bad:
  description: How many findings are C(warn), C(unknown) or C(fail).
  returned: success
  type: int
  sample: 3
components:
  description: The components that belong to this host.
  returned: success
  type: list
  elements: str
  sample: [app, postgresql, redis]
app:
  description: What is known of the app, for its repair. Each is null where it is not known or the
    app is not on this host.
  returned: success
  type: dict
  contains:
    service:
      description: Its systemd unit.
      type: str
      sample: sergas-app.service
    env_file:
      description: Its C(.env).
      type: str
      sample: /home/sergas/super-account-manager/.env
    app_dir:
      description: Its directory.
      type: str
      sample: /home/sergas/super-account-manager
    user:
      description: The user it runs as.
      type: str
      sample: sergas
    group:
      description: The group it runs as.
      type: str
      sample: sergas
    port:
      description: The port it listens on.
      type: int
      sample: 8000
    python:
      description: The Python of its virtual environment.
      type: str
      sample: /home/sergas/super-account-manager/venv/bin/python
    dropin_dir:
      description: The directory for drop-ins of its unit, whether or not it is there.
      type: str
      sample: /etc/systemd/system/sergas-app.service.d
    database:
      description: Host, port and name of the database that it uses. The port is the server's own,
        null where that was not reached.
      type: dict
      sample: {host: db1, port: 5432, name: sergas_prod}
changes:
  description:
    - What remedies did on this host lately, the newest first, 20 at most.
      M(sergas.ops.remedy_ledger) says what is in an entry.
    - What the host has restored automatically (M(sergas.ops.restore_point)) is among them, with
      C(by) V(host), and the name of the restore point as C(remedy).
    - Null if the ledger is not readable for this user.
  returned: success
  type: list
  elements: dict
  sample:
    - time: "2026-03-01T09:30:00Z"
      ended: "2026-03-01T09:30:41Z"
      run: 20260301T092959Z-4711
      remedy: raise_memory_limit
      findings: [app.oom.killed]
      by: alice
      host: app1
      outcome: kept
      before: [{id: app.oom.killed, status: fail, summary: The kernel killed the app for memory}]
      after: [{id: app.oom.ok, status: ok, summary: The kernel has not killed the app for memory}]
      reason: null
decided:
  description:
    - The remedies that waited for traffic and are decided by it, each with C(run), C(remedy),
      C(time), C(findings), C(before), C(outcome) (V(kept) or V(failed)) and C(reason).
    - Role P(sergas.ops.remediate#role) writes it to the ledger.
  returned: success
  type: list
  elements: dict
  sample: []
found_by:
  description: The names of the checks that have found what is bad, by its id.
  returned: success
  type: dict
  sample: {app.oom.killed: [oom]}
distribution:
  description:
    - Which distribution the host has, by C(/etc/os-release). C(id) is null where that says nothing.
  returned: success
  type: dict
  sample: {id: ubuntu, like: [debian], name: Ubuntu 24.04.3 LTS}
managed:
  description:
    - The services C(database) and C(redis) that a cluster manager of the host owns (Patroni,
      repmgr, Pacemaker, Redis Sentinel), with its name and the command that shows what it manages.
      Remedies leave them alone.
  returned: success
  type: dict
  sample: {database: {name: Patroni, command: patronictl -c /etc/patroni/17-main.yml list}}
recording:
  description:
    - What the checks were judged from, without secrets. Its keys are not part of the interface.
  returned: if O(record)
  type: dict
seconds:
  description: How long the diagnosis took on the host.
  returned: success
  type: float
  sample: 0.412
probe_seconds:
  description: How long each probe took; null for one that did not end in time.
  returned: success
  type: dict
  sample: {disks: 0.001, database: 0.012}
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner, traffic
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._health import checks
from ansible_collections.sergas.ops.plugins.module_utils._health import runner as health

ARGUMENT_SPEC = {
    "checks": {"type": "list", "elements": "str", "choices": list(checks.CHECKS)},
    "skip": {"type": "list", "elements": "str", "choices": list(checks.CHECKS)},
    "components": {
        "type": "list",
        "elements": "str",
        "choices": ["app", "postgresql", "redis", "cognee", "lb"],
    },
    "thresholds": {"type": "dict", "default": {}},
    "window": {"type": "int", "default": 3600},
    "deadline": {"type": "float", "default": 15},
    "controller_time": {"type": "float"},
    "service": {"type": "str", "default": "sergas-app"},
    "app_dir": {"type": "path"},
    "env_file": {"type": "path"},
    "port": {"type": "int"},
    "health_path": {"type": "str", "default": "/health"},
    "health_scheme": {"type": "str", "choices": ["http", "https"]},
    "health_host": {"type": "str"},
    "latency_paths": {"type": "list", "elements": "str", "default": []},
    "latency_token": {"type": "str", "no_log": True},
    "latency_headers": {"type": "dict", "no_log": True},
    "samples": {"type": "int", "default": 3},
    "verify_requests": {"type": "int", "default": traffic.REQUESTS},
    "required_variables": {
        "type": "list",
        "elements": "str",
        "default": [
            "DATABASE_HOST|DATABASE_URL",
            "DATABASE_NAME|DATABASE_URL",
            "DATABASE_USER|DATABASE_URL",
            "DATABASE_PASSWORD|DATABASE_URL",
            "REDIS_HOST|REDIS_URL",
            "ZOHO_SDK_CLIENT_ID|ZOHO_MCP_CLIENT_ID",
            "ZOHO_SDK_CLIENT_SECRET|ZOHO_MCP_CLIENT_SECRET",
            "ZOHO_SDK_REFRESH_TOKEN",
            "COGNEE_BASE_URL|COGNEE_API_URL",
        ],
    },
    "log_patterns": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "pattern": {"type": "str", "required": True},
            "severity": {"type": "str", "choices": ["warn", "fail"], "default": "warn"},
        },
    },
    "prometheus_url": {"type": "str"},
    "prometheus_queries": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "query": {"type": "str", "required": True},
            "warn": {"type": "float"},
            "fail": {"type": "float"},
        },
    },
    "record": {"type": "bool", "default": False},
    "backends": {"type": "list", "elements": "str", "default": []},
    "balancer_addresses": {"type": "list", "elements": "str", "default": []},
    "database_host": {"type": "str"},
    "database_port": {"type": "int"},
    "database_name": {"type": "str"},
    "database_user": {"type": "str"},
    "database_password": {"type": "str", "no_log": True},
    "required_tables": {"type": "list", "elements": "str", "default": []},
    "redis_host": {"type": "str"},
    "redis_port": {"type": "int"},
    "redis_password": {"type": "str", "no_log": True},
}


def main():
    module = Module(ranges=health.RANGES, argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    runner.run(module, checks.run)


if __name__ == "__main__":
    main()
