# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""remedy_stopper: the host after which a remedy is not tried any more."""

from __future__ import annotations

DOCUMENTATION = r"""
name: remedy_stopper
short_description: Tell after which host a remedy is not tried any more
version_added: 1.0.0
description:
  - A remedy that did not help on one host is not tried on the next one. One that made things worse,
    or in the middle of which the host was lost, stops all others as well.
positional: _input, hosts, remedy
options:
  _input:
    description:
      - The variables of all hosts, C(hostvars).
    type: dict
    required: true
  hosts:
    description:
      - The names of the hosts whose remedies have ended, in the order of the run.
    type: list
    elements: str
    required: true
  remedy:
    description:
      - The name of the remedy that is to be tried.
    type: str
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Name the host after which it is not tried
  ansible.builtin.debug:
    msg: "{{ hostvars | sergas.ops.remedy_stopper(['app1', 'app2'], 'start_service') }}"
"""

RETURN = r"""
_value:
  description: The name of the host, or an empty text if nothing speaks against it.
  type: str
"""

from ansible_collections.sergas.ops.plugins.plugin_utils.report import outcomes


def remedy_stopper(hostvars, hosts, remedy):
    """Return the name of the host, or an empty text; see the documentation."""
    ended = {}
    for name in hosts:
        variables = hostvars.raw_get(name)
        ended[str(name)] = (
            variables.get("sergas_remediate_outcomes", []),
            variables.get("sergas_remediate_current", ""),
        )
    return outcomes.stopped_by(ended, remedy) or ""


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"remedy_stopper": remedy_stopper}
