# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""remediation_hosts: the hosts of a play that follows the plan."""

from __future__ import annotations

DOCUMENTATION = r"""
name: remediation_hosts
short_description: Tell the hosts of a play that follows the plan
version_added: 1.0.0
description:
  - Reads what M(sergas.ops.remediation_plan) has planned, and returns the hosts of a play that
    follows it. A host without a remedy is in none of them, and costs nothing.
positional: _input, play
options:
  _input:
    description:
      - The variables of all hosts, C(hostvars).
    type: dict
    required: true
  play:
    description:
      - Which play.
      - With V(apply), the hosts that get remedies, and one more, for a play that loses all of its
        hosts would end the run.
      - With V(recheck), the hosts that were acted on and those that failed.
    type: str
    choices: [apply, recheck]
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Apply
  hosts: "{{ hostvars | sergas.ops.remediation_hosts('apply') }}"
"""

RETURN = r"""
_value:
  description: The names of the hosts, or a pattern that matches none.
  type: raw
"""

from ansible.errors import AnsibleFilterError

NO_HOSTS = "all:!all"


def remediation_hosts(hostvars, play):
    """Return the hosts of a play; see the documentation."""
    if play not in ("apply", "recheck"):
        raise AnsibleFilterError("remediation_hosts: %r is neither apply nor recheck" % (play,))
    planned = _plan(hostvars)
    if planned is None:
        return NO_HOSTS
    if play == "recheck":
        return list(planned["unhealthy_hosts"]) or NO_HOSTS
    acting = list(planned["acting"])
    return [*acting, planned["anchor_host"]] if acting else NO_HOSTS


def _plan(hostvars):
    """Return the plan, which every host that answered has, or None."""
    for name in hostvars:
        found = hostvars.raw_get(name).get("sergas_remediation_plan")
        if isinstance(found, dict) and "acting" in found:
            return found
    return None


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"remediation_hosts": remediation_hosts}
