#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fail2ban_bans
short_description: Ban addresses with fail2ban, and unban them
version_added: 1.0.0
description:
  - Bans addresses by hand in one of fail2ban's jails, for as long as the jail's C(bantime) says,
    and waits until the firewall has them.
  - It never bans an address of O(protected) or of the C(ignoreip) of any jail, in whatever notation
    either is given. An address of 6to4, Teredo or NAT64 is protected like the IPv4 address that it
    leads to.
  - An IPv4-mapped address (C(::ffff:203.0.113.9), as a dual-stack server logs it) is banned as the
    IPv4 address that its packets come from.
options:
  jail:
    description:
      - The jail. P(sergas.ops.fail2ban#role) makes C(sergas-blocked), which also has ufw deny them.
    type: str
    default: sergas-blocked
  banned:
    description:
      - Addresses to ban, in any notation; no networks. One that is banned already stays so until
        its time is over.
    type: list
    elements: str
    default: []
  unbanned:
    description:
      - Addresses to unban, in any notation.
    type: list
    elements: str
    default: []
  protected:
    description:
      - Addresses, networks and names of hosts that must not be banned.
    type: list
    elements: str
    default: []
  skip_protected:
    description:
      - Whether protected addresses among O(banned) are left out, with a warning, and the others
        banned. If V(false), nothing is banned then and the module fails.
    type: bool
    default: false
  timeout:
    description:
      - How long the firewall may take, in seconds.
    type: float
    default: 30
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
    details: Where the jail does not run yet, all addresses that may be banned are to be.
  diff_mode:
    support: full
  platform:
    platforms: posix
seealso:
  - module: sergas.ops.fail2ban_jails
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Block two addresses for a day
  sergas.ops.fail2ban_bans:
    banned: [203.0.113.9, 203.0.113.10]
    protected: "{{ groups['all'] }}"
  become: true

- name: Unban an address
  sergas.ops.fail2ban_bans:
    unbanned: [203.0.113.9]
  become: true
"""

RETURN = r"""
banned:
  description: The addresses that had to be banned.
  returned: success
  type: list
  elements: str
  sample: [203.0.113.9]
unbanned:
  description: The addresses that were unbanned.
  returned: success
  type: list
  elements: str
  sample: []
refused:
  description: The addresses that must not be banned.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
      sample: 192.0.2.10
    reason:
      description: Why, and how it was given if that was in another notation.
      type: str
      sample: it is protected by 192.0.2.0/24
bans:
  description: What the jail bans now.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
      sample: 203.0.113.9
    until:
      description: When it is unbanned automatically, in the host's time, or C(never).
        V(null) for one that is not banned yet, in check mode.
      type: str
      sample: "2026-03-02 09:30:00"
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import bans

RANGES = (("timeout", 1, 3600),)


def main():
    module = Module(
        ranges=RANGES,
        argument_spec={
            "jail": {"type": "str", "default": "sergas-blocked"},
            "banned": {"type": "list", "elements": "str", "default": []},
            "unbanned": {"type": "list", "elements": "str", "default": []},
            "protected": {"type": "list", "elements": "str", "default": []},
            "skip_protected": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    runner.run(module, bans.run, module.check_mode)


if __name__ == "__main__":
    main()
