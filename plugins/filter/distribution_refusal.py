# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: distribution_refusal
short_description: Say why a host is not changed, if its distribution is not supported
version_added: 1.0.0
description:
  - The roles that change a host rely on Debian's packages, paths and names of units. Another host
    is diagnosed and not changed.
positional: supported
options:
  _input:
    description:
      - The content of the host's C(/etc/os-release), or the C(distribution) that
        M(sergas.ops.sergas_health) returned.
    type: raw
    required: true
  supported:
    description:
      - The C(ID) of each distribution that is supported. What names one of them in C(ID_LIKE) is
        supported, too.
    type: list
    elements: str
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Refuse a host with another distribution
  ansible.builtin.assert:
    that: refusal == ''
    fail_msg: "{{ inventory_hostname }} is not changed: {{ refusal }}"
  vars:
    refusal: "{{ os_release | sergas.ops.distribution_refusal(['debian', 'ubuntu']) }}"
"""

RETURN = r"""
_value:
  description: The reason, or an empty text if the distribution is supported.
  type: str
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.module_utils._host import distribution


def distribution_refusal(found, supported):
    """Return why a host is not changed, or an empty text; see DOCUMENTATION."""
    if not isinstance(supported, list) or not all(isinstance(name, str) for name in supported):
        raise AnsibleFilterError("distribution_refusal: supported is no list of names")
    if isinstance(found, str):
        found = distribution.parse(found)
    elif not isinstance(found, dict) or not {"id", "like", "name"} <= set(found):
        raise AnsibleFilterError("distribution_refusal: this is no text and no distribution")
    return distribution.refusal(found, supported) or ""


class FilterModule:
    """The filter, by its name."""

    def filters(self):
        """Return {name: function}."""
        return {"distribution_refusal": distribution_refusal}
