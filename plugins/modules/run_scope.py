#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is documentation: the work is in plugins/action/run_scope.py, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: run_scope
short_description: Decide which hosts a run is about, before a host is contacted
version_added: 1.0.0
description:
  - Reads the inventory's groups and the variables C(sergas_hosts), C(sergas_postgresql_hosts),
    C(sergas_zoho_hosts), C(sergas_cognee_hosts), C(sergas_security_hosts) and C(sergas_serial),
    wherever they are set, and returns the hosts of each part of the run.
  - Fails where a run that ends with a report has no host, where a pattern matches none, and where
    a variable of the diagnosis or of the remedies has a value that cannot be. The message names
    the variable, its value and what is allowed. Other runs say that they have nothing to do.
  - Warns of variables and groups that look like one of this collection and are none.
  - Network devices are in no part of the run, for a module for one runs on the controller.
  - It runs once, on the controller, and connects to no host. It changes nothing.
options:
  playbook:
    description:
      - The playbook of this collection that the run is.
    type: str
    required: true
    choices: [diagnose, fix, harden, cognee, maintain_postgresql, tune_postgresql, zoho]
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
  - Register it as C(sergas_run_scope), which M(sergas.ops.fleet_report) reads; the filters
    P(sergas.ops.run_hosts#filter) and P(sergas.ops.run_serial#filter) have its answers for the
    plays that follow.
seealso:
  - module: sergas.ops.fleet_report
  - module: sergas.ops.remediation_plan
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Decide which hosts are diagnosed
  sergas.ops.run_scope:
    playbook: diagnose
  register: sergas_run_scope
"""

RETURN = r"""
hosts:
  description: The names of the hosts by the part of the run; C(health) are those that all parts are
    about.
  returned: success
  type: dict
  sample: {"health": ["web1", "db1"], "postgresql": ["db1"], "zoho": [], "cognee": []}
report:
  description: The names of the hosts that the report is about, network devices included.
  returned: success
  type: list
  elements: str
not_diagnosed:
  description: Why hosts are in no part of the run, by their names.
  returned: success
  type: dict
serial:
  description: C(sergas_serial), where it is set.
  returned: success
  type: raw
notes:
  description: Names of variables and groups that are likely misspelt, a sentence each.
  returned: success
  type: list
  elements: str
"""
