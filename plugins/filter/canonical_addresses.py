# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses as a packet filter has them, whatever notation they are given in. Pure."""

from __future__ import annotations

DOCUMENTATION = r"""
name: canonical_addresses
short_description: Addresses in the notation that a packet filter has them in
version_added: 1.0.0
description:
  - Returns addresses and networks in one notation, without brackets, zone and port; an IPv4-mapped
    one as the IPv4 address that its packets come from. Names of hosts stay. Each is there once, in
    the order in which they are given.
  - It fails where one of them is neither an address, a network nor the name of a host.
positional: _input
options:
  _input:
    description:
      - Addresses, networks and names.
    type: list
    elements: str
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Show them
  ansible.builtin.debug:
    msg: "{{ ['::ffff:192.0.2.7', '[2001:DB8::1]:443'] | sergas.ops.canonical_addresses }}"
"""

RETURN = r"""
_value:
  description: The addresses, networks and names.
  type: list
  elements: str
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses


def canonical_addresses(texts):
    """Return addresses, networks and names in one notation; see DOCUMENTATION."""
    try:
        return list(dict.fromkeys(addresses.option_or_name("_input", str(item)) for item in texts))
    except addresses.AddressError as error:
        raise AnsibleFilterError(str(error))


class FilterModule:
    """The filter."""

    def filters(self):
        """Return {name: function}."""
        return {"canonical_addresses": canonical_addresses}
