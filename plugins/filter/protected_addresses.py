# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses that nothing may ever block: the inventory's hosts, and further ones. Pure."""

from __future__ import annotations

DOCUMENTATION = r"""
name: protected_addresses
short_description: The addresses that must never be banned
version_added: 1.0.0
description:
  - The addresses of an inventory's hosts (C(ansible_host), else their names, and
    C(sergas_addresses)) together with others, each once, sorted. An address or a network is there
    in the notation that a packet filter has it in, whatever it is given in.
  - It fails where one of them is neither an address, a network nor the name of a host.
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
- name: Show the addresses that no rule may block
  ansible.builtin.debug:
    msg: "{{ hostvars | sergas.ops.protected_addresses(groups['all'], ['192.0.2.0/24']) }}"
"""

RETURN = r"""
_value:
  description: The addresses, networks and names.
  type: list
  elements: str
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.plugin_utils import inventory


def protected_addresses(hostvars, hosts, more=()):
    """Return the addresses that must never be banned, sorted; see DOCUMENTATION."""
    try:
        texts = {addresses.option_or_name("more", str(item)) for item in more if item}
        for host in hosts:
            connection = inventory.read(hostvars, host, ["ansible_connection"])
            if connection["ansible_connection"] != "local":
                texts.update(inventory.declared(hostvars, host, reached_too=True))
    except addresses.AddressError as error:
        raise AnsibleFilterError(str(error)) from error
    return sorted(item for item in texts if not addresses.is_loopback(item))


class FilterModule:
    """The filter."""

    def filters(self):
        """Return {name: function}."""
        return {"protected_addresses": protected_addresses}
