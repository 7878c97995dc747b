#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is documentation: the work is in plugins/action/remediation_plan.py, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: remediation_plan
short_description: Plan which remedies which hosts get
version_added: 1.0.0
description:
  - Reads what the hosts' diagnoses found, or a report of an earlier run, and plans what would fix
    it.
  - The plan names for each remedy its host, its impact, whether it is reversible, why it is
    planned, what it changes, what holds it back, and how a person allows it nevertheless. It is
    shown on the terminal.
  - It runs once, on the controller, and connects to no host. It changes nothing, and fails before
    anything is touched if an option, the report or a remedy of the catalogue cannot be.
  - Root causes have remedies, what derives from them has none. An interruption of single hosts for
    a cause that the fleet shares is held back.
options:
  apply:
    description:
      - Whether the plan is to be carried out by what follows. In check mode it is, for nothing is
        changed by that.
    type: bool
    default: false
  report_file:
    description:
      - A C(report.json) to take the findings from, instead of those of this run.
      - A report of another schema version is refused. Hosts that are no longer in the inventory are
        listed in the plan. If all of them are gone, that is an error.
    type: path
  remedies_dir:
    description:
      - A directory with further remedies, each as C(NAME.yml) with its metadata and
        C(tasks/NAME.yml) with its tasks.
    type: path
  remedies:
    description:
      - The remedies to plan, all of them if empty.
    type: list
    elements: str
    default: []
  skip_remedies:
    description:
      - The remedies to leave out.
    type: list
    elements: str
    default: []
  approve:
    description:
      - The remedies that are allowed by name. It takes that for what is disruptive or not
        reversible, for what says that it needs approval, and for an interruption of single hosts
        for a cause of the fleet.
      - An approval of what nothing planned is an error.
    type: list
    elements: str
    default: []
  max_share:
    description:
      - The share of the hosts with a component that a run may touch, over all of its remedies, one
        host at least. If more hosts need remedies, they have something in common, and these are
        held back on all of them. A remedy with the impact V(none) is not counted.
    type: float
    default: 0.5
  batches:
    description:
      - How many hosts are acted on at once, as numbers and shares of them. The last one repeats.
    type: list
    elements: raw
    default: [1, 25%]
  maintenance_window:
    description:
      - When services may be interrupted, with C(start) and C(end) as C(HH:MM), and perhaps C(days)
        (V(mon) to V(sun), those on which it starts) and C(timezone) (V(UTC) if not given). Outside
        of it, what has the impact V(restart) or V(disruptive) is held back.
    type: dict
  cooldown:
    description:
      - Replaces the remedies' own cooldown, in seconds.
    type: int
  repeat_times:
    description:
      - How often a remedy may be begun on a host within O(repeat_hours). After that it takes a
        person. V(0) is no limit.
    type: int
    default: 3
  repeat_hours:
    description:
      - The hours for O(repeat_times).
    type: int
    default: 24
  supported_distributions:
    description:
      - The C(ID) of each distribution in C(/etc/os-release) whose hosts may be changed. What names
        one of them in C(ID_LIKE) is supported, too.
    type: list
    elements: str
    default: [debian, ubuntu]
  results:
    description:
      - The names of the registered variables with findings. If not given, all that begin with
        C(sergas_diagnose_).
    type: list
    elements: str
  scope:
    description:
      - The variable that M(sergas.ops.run_scope) was registered as, in a run that begins with it.
        Then the task fails where it has not run.
    type: str
    version_added: 1.0.0
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - ansible.builtin.action_common_attributes.conn
  - ansible.builtin.action_common_attributes.flow
  - sergas.ops.attributes
attributes:
  action:
    support: full
  async:
    support: none
  become:
    support: none
  bypass_host_loop:
    support: full
  check_mode:
    support: full
  connection:
    support: none
  delegation:
    support: none
  diff_mode:
    support: none
    details: It changes no host.
  platform:
    platforms: posix
notes:
  - Run it once (C(run_once)) and register it as C(sergas_remediation_plan), which the role
    P(sergas.ops.remediate#role), the filter P(sergas.ops.remediation_hosts#filter) and
    M(sergas.ops.fleet_report) read.
seealso:
  - module: sergas.ops.fleet_report
  - module: sergas.ops.remedy_ledger
  - module: sergas.ops.restore_point
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Plan from the findings of this run
  sergas.ops.remediation_plan:
    skip_remedies: [vacuum_journal]
  run_once: true
  register: sergas_remediation_plan

- name: Plan from an earlier report, with the end of blocking sessions allowed
  sergas.ops.remediation_plan:
    report_file: sergas-reports/latest/report.json
    approve: [end_blocker]
  run_once: true
  register: sergas_remediation_plan
"""

RETURN = r"""
entries:
  description: What is planned, in the order in which it is done on each host.
  returned: success
  type: list
  elements: dict
  contains:
    remedy:
      description: The name of the remedy.
      type: str
      sample: start_redis
    host:
      description: Where it runs. Null if that is no host of this run.
      type: str
      sample: app1
    impact:
      description: What it does to the service while it acts, V(none), V(reload), V(restart) or
        V(disruptive).
      type: str
      sample: reload
    reversible:
      description: Whether what it changes can be brought back as it was.
      type: bool
      sample: true
    findings:
      description: The ids of the findings that it answers.
      type: list
      elements: str
      sample: [redis.unreachable]
    why:
      description: The summary of the worst of them.
      type: str
      sample: "Redis at 127.0.0.1:6379 cannot be used: nothing listens there"
    changes:
      description: What it changes, in words.
      type: list
      elements: str
      sample: [the unit of Redis is started]
    guards:
      description: What holds it back, each with C(name), C(reason) and C(allow).
      type: list
      elements: dict
      sample: []
batches:
  description: The hosts that are acted on, batch by batch.
  returned: success
  type: list
  elements: list
  sample: [[app1], [app2, app3]]
schedule:
  description: The batches with their C(hosts) and C(turns), for M(sergas.ops.remedy_step). Each
    turn has a C(remedy) and the C(hosts) that get it at once. Empty where nothing is applied.
  returned: success
  type: list
  elements: dict
  sample: [{hosts: [app1], turns: [{remedy: start_redis, hosts: [app1]}]}]
gone:
  description: Hosts of the report that are no longer in the inventory.
  returned: success
  type: list
  elements: str
  sample: []
left_out:
  description: How many entries O(remedies) and O(skip_remedies) left out.
  returned: success
  type: int
  sample: 0
without_remedy:
  description: Root causes that a person has to fix, each with C(id), C(hosts) and C(advice).
  returned: success
  type: list
  elements: dict
  sample: []
mode:
  description: What follows, V(plan), V(check) or V(apply).
  returned: success
  type: str
  sample: plan
run:
  description: The name of this run in the hosts' ledgers.
  returned: success
  type: str
  sample: 20261124T184832Z-14391
by:
  description: Who runs it.
  returned: success
  type: str
  sample: alice@controller
msg:
  description: How many remedies are planned and held back, in one line.
  returned: success
  type: str
  sample: 3 remedies planned on 2 hosts, 1 held back
"""
