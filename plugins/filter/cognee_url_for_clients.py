# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cognee_url_for_clients
short_description: Return the URL of Cognee as other hosts must use it
version_added: 1.0.0
description:
  - A URL with an address of loopback leads to Cognee only on its own host. For other hosts, it
    becomes one with the address of that host. Any other URL stays as it is.
positional: address
options:
  _input:
    description:
      - The URL that the host of Cognee uses.
    type: str
    required: true
  address:
    description:
      - The address or the name of that host, as other hosts reach it.
    type: str
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Check Cognee from another host
  sergas.ops.cognee_check:
    view: reach
    url: "{{ cognee.url | sergas.ops.cognee_url_for_clients('192.0.2.7') }}"
  delegate_to: app2
"""

RETURN = r"""
_value:
  description: The URL.
  type: str
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.module_utils._cognee import settings


def cognee_url_for_clients(url, address):
    """Return the URL of Cognee as other hosts must use it; see DOCUMENTATION."""
    if not isinstance(url, str) or not isinstance(address, str) or not address:
        raise AnsibleFilterError("cognee_url_for_clients needs a URL and an address")
    return settings.url_for_clients(url, address)


class FilterModule:
    """The filter, by its name."""

    def filters(self):
        """Return {name: function}."""
        return {"cognee_url_for_clients": cognee_url_for_clients}
