# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""host_targets: where the other hosts reach the hosts of a group."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_targets
short_description: Return where hosts of the inventory are reached by the others
version_added: 1.0.0
description:
  - Returns the first address of each host as a URL has it, one of IPv6 in brackets. Which addresses
    a host has is the same as for P(sergas.ops.host_addresses#filter).
  - A name is returned as it is, for the host that connects to resolve it.
positional: _input, hosts, port_variable, port
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
  port_variable:
    description:
      - The variable of a host that has its port.
    type: str
  port:
    description:
      - The port of hosts without the variable. With neither, there is no port in the result.
    type: int
seealso:
  - plugin: sergas.ops.host_addresses
    plugin_type: filter
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Show where a balancer reaches the app
  ansible.builtin.debug:
    msg: "{{ hostvars | sergas.ops.host_targets(groups['sergas_app'], 'sergas_port', 8000) }}"
"""

RETURN = r"""
_value:
  description: A target for each host, in the order of the hosts.
  type: list
  elements: str
  sample: ["192.0.2.11:8000", "[2001:db8::12]:8000"]
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.module_utils._core.addresses import AddressError
from ansible_collections.sergas.ops.plugins.plugin_utils import inventory


def host_targets(hostvars, hosts, port_variable=None, port=None):
    """Return where hosts are reached by the others; see DOCUMENTATION."""
    try:
        return inventory.host_targets(hostvars, hosts, port_variable, port)
    except AddressError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter."""

    def filters(self):
        """Return {name: function}."""
        return {"host_targets": host_targets}
