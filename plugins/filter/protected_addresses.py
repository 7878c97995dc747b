# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whom nothing may ever block: the hosts of the inventory, and who is named beside them. Pure."""

from __future__ import annotations

DOCUMENTATION = r"""
name: protected_addresses
short_description: The addresses that must never be banned
version_added: 1.0.0
description:
  - The addresses of an inventory's hosts (C(ansible_host), else their names, and
    C(sergas_addresses)) together with others, each once, sorted.
  - The controller itself, a host with a local connection, is left out. Loopback addresses are, too.
positional: _input
options:
  _input:
    description:
      - C(hostvars).
    type: dict
    required: true
  hosts:
    description:
      - The names of the hosts.
    type: list
    elements: str
    required: true
  more:
    description:
      - Further addresses, networks and names. Empty ones are left out.
    type: list
    elements: str
    default: []
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Show them
  ansible.builtin.debug:
    msg: "{{ hostvars | sergas.ops.protected_addresses(groups['all'], ['192.0.2.0/24']) }}"
"""

RETURN = r"""
_value:
  description: The addresses, networks and names.
  type: list
  elements: str
"""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def protected_addresses(hostvars, hosts, more=()):
    """Return the addresses that must never be banned, sorted; see DOCUMENTATION."""
    found = set(more)
    for name in hosts:
        host = hostvars[name]
        if host.get("ansible_connection", "ssh") == "local":
            continue
        found.add(host.get("ansible_host") or name)
        found.update(host.get("sergas_addresses") or ())
    return sorted(str(item) for item in found if item and item not in _LOOPBACK)


class FilterModule:
    """The filter."""

    def filters(self):
        """Return {name: function}."""
        return {"protected_addresses": protected_addresses}
