# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""run_hosts: the hosts of a play, by what the run was found to be about."""

from __future__ import annotations

DOCUMENTATION = r"""
name: run_hosts
short_description: Tell the hosts of a play by what the run is about
version_added: 1.0.0
description:
  - The keyword C(hosts) of a play is templated before it has hosts, so it cannot read what
    M(sergas.ops.run_scope) has registered, nor a variable of the inventory. This reads both.
  - Where M(sergas.ops.run_scope) has not run, since C(--start-at-task) has left it out, these are
    the hosts of the pattern or of the groups.
positional: _input, part, begun
options:
  _input:
    description:
      - The variables of all hosts, C(hostvars).
    type: dict
    required: true
  part:
    description:
      - Which part of the run.
      - With V(report), all that the report is about; with V(failed), those that fail the run by it.
    type: str
    choices: [health, postgresql, zoho, cognee, security, report, failed]
    required: true
  begun:
    description:
      - Whether the play is for runs only that have begun with M(sergas.ops.run_scope). Others have
        no host for it then.
    type: bool
    default: false
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Diagnose the databases
  hosts: "{{ hostvars | sergas.ops.run_hosts('postgresql') }}"
"""

RETURN = r"""
_value:
  description: The names of the hosts, or a pattern.
  type: raw
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.plugin_utils.run_scope import PARTS, registered

NO_HOSTS = "all:!all"
_OTHERS = ("report", "failed")


def run_hosts(hostvars, part, begun=False):
    """Return the hosts of a play; see the documentation."""
    if part not in PARTS and part not in _OTHERS:
        raise AnsibleFilterError(
            "run_hosts: %r is none of: %s" % (part, ", ".join([*PARTS, *_OTHERS]))
        )
    if part == "failed":
        report = registered(hostvars, "sergas_fleet_report", "failed_hosts") or {}
        return list(report.get("failed_hosts", ())) or NO_HOSTS
    scope = registered(hostvars, "sergas_run_scope", "hosts")
    if scope:
        named = scope["report"] if part == "report" else scope["hosts"].get(part)
        return list(named or ()) or NO_HOSTS
    if begun:
        return NO_HOSTS
    variable, groups = PARTS["health" if part == "report" else part]
    # Where a playbook is only parsed, there are no hosts, and no variables of theirs.
    variables = (hostvars.raw_get(name) for name in hostvars)
    pattern = next((found[variable] for found in variables if variable in found), None)
    return pattern or ":".join(groups) or "all"


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"run_hosts": run_hosts}
