# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""run_serial: how many hosts a play takes at once."""

from __future__ import annotations

DOCUMENTATION = r"""
name: run_serial
short_description: Tell how many hosts a play takes at once
version_added: 1.0.0
description:
  - The keyword C(serial) of a play is templated before it has hosts, so it cannot read a variable
    of the inventory. This reads C(sergas_serial) as M(sergas.ops.run_scope) has found it.
positional: _input, otherwise
options:
  _input:
    description:
      - The variables of all hosts, C(hostvars).
    type: dict
    required: true
  otherwise:
    description:
      - The value where C(sergas_serial) is not set.
    type: raw
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Harden the hosts
  hosts: all
  serial: "{{ hostvars | sergas.ops.run_serial([1, '25%']) }}"
"""

RETURN = r"""
_value:
  description: What C(serial) of a play takes.
  type: raw
"""

from ansible_collections.sergas.ops.plugins.plugin_utils.run_scope import registered


def run_serial(hostvars, otherwise):
    """Return what ``serial`` takes; see the documentation."""
    scope = registered(hostvars, "sergas_run_scope", "serial") or {}
    return otherwise if scope.get("serial") is None else scope["serial"]


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"run_serial": run_serial}
