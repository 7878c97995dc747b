#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is documentation: the work is in plugins/action/remedy_step.py, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: remedy_step
short_description: Decide which step of a remedy comes next on a host
version_added: 1.0.0
description:
  - Used by the role P(sergas.ops.remediate#role), which has a file of tasks for each step. It
    decides from what these tasks have registered, and from the time, which step is next.
  - A remedy is checked (is it still needed?), begun in the host's ledger, run, checked again until
    it has helped or the time for that is over, concluded (what undoing it needs is discarded, or
    the host is restored) and ended in the ledger.
  - It runs on the controller and connects to no host.
options:
  event:
    description:
      - With V(taken), the step that was next has been taken. If there is none, the remedy of
        O(turn) begins.
      - With V(failed), the task that has just failed was part of it.
      - With V(recheck), all remedies have ended, and the diagnosis is to be run again.
    type: str
    choices: [taken, failed, recheck]
    default: taken
  turn:
    description:
      - What is applied now, as the C(schedule) of M(sergas.ops.remediation_plan) has it. A host
        that is not in it has nothing to do.
    type: dict
    suboptions:
      remedy:
        description: The name of the remedy.
        type: str
        required: true
      hosts:
        description: The hosts that get it.
        type: list
        elements: str
        required: true
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
    support: none
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
  - Register it as C(sergas_remediate), and skip it on no host, for it reads there what it has
    returned before.
seealso:
  - module: sergas.ops.remediation_plan
  - module: sergas.ops.remedy_ledger
  - module: sergas.ops.restore_point
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Decide the next step of the remedy
  sergas.ops.remedy_step:
    turn:
      remedy: start_redis
      hosts: [app1, app2]
  register: sergas_remediate
"""

RETURN = r"""
next:
  description: The step to take, V(check), V(begin), V(run), V(conclude), V(end), or V(done).
  returned: success
  type: str
  sample: check
order:
  description: What the plan says of the remedy.
  returned: success
  type: dict
  sample: {remedy: start_redis, timeout: 120}
app:
  description: What was known of the host's app before the first remedy.
  returned: success
  type: dict
  sample: {service: sergas-app, port: 8000}
check:
  description: The C(part) of the diagnosis to run, its C(checks), the host that it runs C(on), the
    time C(since) which lines of the journal count, if that is not the usual window, and its
    C(purpose).
  returned: success
  type: dict
  sample: {purpose: verify, part: health, checks: [redis], "on": app1, since: 1764010800}
deadline:
  description: When the time of the remedy's tasks is over, in seconds since the epoch.
  returned: success
  type: int
  sample: 1764010800
outcomes:
  description: What became of the remedies that have ended on the host, for the report.
  returned: success
  type: list
  elements: dict
  sample: [{remedy: start_redis, outcome: kept, reason: redis.unreachable is gone}]
current:
  description: The remedy that was begun and has not ended, or an empty text.
  returned: success
  type: str
  sample: start_redis
parts:
  description: With O(event=recheck), the parts of the diagnosis to run.
  returned: success
  type: list
  elements: str
  sample: [health, database]
"""
