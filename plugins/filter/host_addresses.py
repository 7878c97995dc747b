# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""host_addresses: the addresses of a group's hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_addresses
short_description: Return the addresses of hosts of the inventory
version_added: 1.0.0
description:
  - Returns the addresses that connections of hosts come from, each once. These are the variable
    C(sergas_addresses) of a host, which is what the hosts use among themselves; else its
    C(ansible_host); else its name.
  - Names are resolved on the controller, to all of their addresses.
  - It fails where a text is neither an address, a network nor the name of a host.
positional: _input, hosts
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
  own:
    description:
      - The name of the host that these addresses are for. It is left out.
    type: str
  strict:
    description:
      - Whether a name that has no address is an error. If V(false), it is returned as it is.
    type: bool
    default: true
seealso:
  - plugin: sergas.ops.host_targets
    plugin_type: filter
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Allow the balancers to the app
  community.general.ufw:
    rule: allow
    from_ip: "{{ item }}"
    to_port: "8000"
  loop: "{{ hostvars | sergas.ops.host_addresses(groups['sergas_lb'], own=inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The addresses, in the order of the hosts.
  type: list
  elements: str
  sample: [198.51.100.2, "2001:db8::2"]
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.module_utils._core.addresses import AddressError
from ansible_collections.sergas.ops.plugins.plugin_utils import inventory


def host_addresses(hostvars, hosts, own=None, strict=True):
    """Return the addresses of hosts; see DOCUMENTATION."""
    try:
        return inventory.host_addresses(hostvars, hosts, own, strict)
    except (AddressError, inventory.Unresolved) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter."""

    def filters(self):
        """Return {name: function}."""
        return {"host_addresses": host_addresses}
