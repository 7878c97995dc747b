#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is documentation: the work is in plugins/action/fleet_report.py, on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_report
short_description: Report what the hosts' diagnoses found, once for the whole fleet
version_added: 1.0.0
description:
  - Reads the registered results of M(sergas.ops.sergas_health) of every host of the play, finds
    what is wrong fleet-wide,
    prints a summary, and writes it as JSON, HTML and Markdown.
  - It runs once, on the controller, and connects to no host.
  - A host that could not be reached is in the report as C(host.unreachable), one without a
    diagnosis as
    C(host.diagnosis.failed). None is left out.
  - A dependency that is bad on more than half of the hosts that use it, and on two at least, is one
    finding of the fleet,
    C(fleet.) and the id of the hosts' finding, which derive from it.
  - The reports are compared with the latest ones in the same directory.
options:
  report_dir:
    description:
      - The directory of the reports. Each run gets a directory in it, named by the time in UTC, and
        C(latest) is a link to the newest one.
      - A relative path starts from the directory that C(ansible-playbook) was started in.
      - Directories are made with the mode 0750 and files with 0640, less what the umask takes away,
        for reports name hosts and what is wrong with them.
    type: path
    default: sergas-reports
  fail_on:
    description:
      - What fails the task, and with it the play, after the reports are written.
      - With V(fail), a finding with the status C(fail), an unreachable host included, or a host
        that could not be diagnosed.
      - With V(warn), also C(warn) and C(unknown).
      - With V(never), nothing that was found.
      - A run in which no host could be diagnosed fails in any case.
    type: str
    choices: [fail, warn, never]
    default: fail
  results:
    description:
      - The names of the registered variables to read from each host. A result holds the findings in
        C(findings).
    type: list
    elements: str
    default: [sergas_diagnose_health]
  formats:
    description:
      - The formats to write. Without V(json) the next run has nothing to compare with.
    type: list
    elements: str
    choices: [json, html, md]
    default: [json, html, md]
  keep:
    description:
      - How many runs to keep, this one included. Older ones are removed from O(report_dir), if they
        hold nothing but reports.
    type: int
    default: 30
  title:
    description:
      - The title of the reports.
    type: str
    default: Sergas fleet
  run:
    description:
      - What else the reports show of the run, as names and values, for example the time window.
    type: dict
    default: {}
  plan:
    description:
      - The variable that M(sergas.ops.remediation_plan) was registered as. If a host has it, the
        plan is in the reports with what became of it, and a remedy that failed or was undone fails
        the task, whatever O(fail_on) says.
    type: str
    default: sergas_remediation_plan
    version_added: 1.0.0
  ahead:
    description:
      - Whether the plan is about to be carried out, by a run that may be killed. Then the
        reports are written quietly, with what is planned as V(unknown), and nothing that was found
        fails the task. A run that ends well writes others after them.
    type: bool
    default: false
    version_added: 1.0.0
  scope:
    description:
      - The variable that M(sergas.ops.run_scope) was registered as, in a run that begins with it.
        Then the task fails where it has not run, reports the hosts that it left out, and returns in
        C(failed_hosts) those that fail the run, for a play that fails on them.
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
    details: It writes the same reports. They are the output of the run, no host's state.
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
  - It is never C(changed), for reports are the output of a run.
  - In a play with C(serial), put it into a separate play after that. Else it would run for each
    batch, before the others are diagnosed.
  - It needs the strategy V(linear), as every action that runs once for a play does.
  - For a report with every host unreachable, the task that diagnoses needs C(ignore_unreachable),
    else no host is left to run
    this one.
seealso:
  - module: sergas.ops.sergas_health
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Diagnose every host
  sergas.ops.sergas_health:
  become: true
  register: sergas_diagnose_health
  ignore_unreachable: true
  ignore_errors: true

- name: Report on all of them
  sergas.ops.fleet_report:
    report_dir: /var/lib/sergas/reports
    fail_on: warn
    keep: 90
"""

RETURN = r"""
failed_hosts:
  description: Why hosts fail the run, by their names.
  returned: with O(scope)
  type: dict
report_dir:
  description: The directory of this run's reports. Null if it could not be written.
  returned: success or failure
  type: str
  sample: /srv/ops/sergas-reports/2026-11-24T145427Z
reports:
  description: The path of each format.
  returned: success or failure
  type: dict
  sample: {json: /srv/ops/sergas-reports/2026-11-24T145427Z/report.json}
latest:
  description: The link to the directory of the newest run. Null where a link could not be made.
  returned: success or failure
  type: str
  sample: /srv/ops/sergas-reports/latest
summary:
  description: How many hosts there are in total, and by their worst finding. Each host is in one
    class.
  returned: success or failure
  type: dict
  sample: {total: 20, unreachable: 1, fail: 2, unknown: 0, warn: 1, ok: 16, skipped: 0}
roots:
  description: The ids of the root causes, the worst first.
  returned: success or failure
  type: list
  elements: str
  sample: [fleet.db.unreachable, app.port.conflict]
msg:
  description: What was decided by O(fail_on), in one line.
  returned: success or failure
  type: str
  sample: "fail_on is fail: 2 root causes with the status fail (20 hosts: 1 unreachable, 2 fail, 1
    warn, 16 ok)"
"""
