#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fail2ban_jails
short_description: Set up fail2ban's jails, tested before and verified afterwards
version_added: 1.0.0
description:
  - Brings the files of this collection under C(/etc/fail2ban) to what is given, ensures that
    fail2ban runs with them, and that each jail has something to watch.
  - Everything is tested first in a copy of the whole configuration, by C(fail2ban-client -t) and
    C(fail2ban-regex). What would not work is refused, and nothing is changed.
  - After the restart it is verified over the server's socket that it runs the jails as the files
    have them. If it does not, the old files are restored and the module fails.
  - "Only this collection's files are touched: C({action,filter,jail}.d/sergas*.conf). Those not
    given are removed. What an operator sets in C(jail.local) or C(jail.d/*.local) counts over them,
    and RV(overridden) lists it."
  - It decides by what the server runs, so a run that was interrupted is completed by the next one.
options:
  files:
    description:
      - The text of each file, by its path under O(config_dir), such as C(jail.d/sergas.conf).
      - C(@REVISION@) in a text stands for a hash of all of them. An action that has it as the
        property C(revision) lets the server say which files it has read.
    type: dict
    required: true
  jails:
    description:
      - The jails that must run then, unless an operator's own file switches one off.
    type: list
    elements: str
    required: true
  samples:
    description:
      - Lines that a filter is tried on before it is used.
    type: list
    elements: dict
    default: []
    suboptions:
      filter:
        description:
          - The name of the filter.
        type: str
        required: true
      lines:
        description:
          - The lines, in the order in which they are read.
        type: list
        elements: dict
        required: true
        suboptions:
          line:
            description:
              - A line as C(journalctl --output=short-iso) prints it.
            type: str
            required: true
          address:
            description:
              - The address that the filter must find in it. If not given, it must find none.
            type: str
  verify_commands:
    description:
      - Commands, as lists of words, that exit 0 if what the bans rest on is there, for example
        C(nft list set ...).
    type: list
    elements: list
    default: []
  protected:
    description:
      - Addresses and networks that must not be banned. Those that are banned in any jail are taken
        out of it.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - How long the server may take until it runs the jails, in seconds.
    type: float
    default: 60
  config_dir:
    description:
      - Where fail2ban has its configuration.
    type: path
    default: /etc/fail2ban
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
    details: The files are tested in check mode, too. Where fail2ban is not installed, all of them
      are to be made.
  diff_mode:
    support: full
  platform:
    platforms: posix
notes:
  - The bans that hold survive the restart, fail2ban keeps them in its database.
  - fail2ban starts with a broken jail left out, or not at all, and C(fail2ban-client -t) is content
    with either. That is why the server itself is checked.
seealso:
  - module: sergas.ops.fail2ban_bans
  - module: sergas.ops.security_check
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Watch sshd in the journal
  sergas.ops.fail2ban_jails:
    files:
      jail.d/sergas.conf: |
        [sshd]
        enabled = true
        backend = systemd
        journalmatch = _SYSTEMD_UNIT=ssh.service
    jails: [sshd]
    protected: [192.0.2.10, 198.51.100.0/24]
  become: true
"""

RETURN = r"""
files:
  description: The files that changed, by their paths under O(config_dir).
  returned: success
  type: list
  elements: str
  sample: [jail.d/sergas.conf]
enabled:
  description: Whether the service had to be enabled.
  returned: success
  type: bool
  sample: false
restarted:
  description: Whether the service had to be started or restarted.
  returned: success
  type: bool
  sample: true
was_running:
  description: Whether the service ran before.
  returned: success
  type: bool
  sample: true
database:
  description: The file in which the server keeps its bans, or V(null) where it keeps them in none.
  returned: success
  type: str
  sample: /var/lib/fail2ban/fail2ban.sqlite3
jails:
  description: The jails that run, of O(jails).
  returned: success
  type: list
  elements: str
  sample: [sshd, sergas-app]
unbanned:
  description: The addresses of O(protected) that were banned.
  returned: success
  type: list
  elements: dict
  contains:
    jail:
      description: The jail.
      type: str
      sample: sshd
    address:
      description: The address.
      type: str
      sample: 192.0.2.10
overridden:
  description: What an operator's own files set otherwise.
  returned: success
  type: list
  elements: dict
  contains:
    file:
      description: The file that counts.
      type: str
      sample: /etc/fail2ban/jail.local
    jail:
      description: The jail.
      type: str
      sample: sshd
    key:
      description: The setting.
      type: str
      sample: maxretry
    ours:
      description: The value in O(files).
      type: str
      sample: "5"
    theirs:
      description: The value that counts.
      type: str
      sample: "3"
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import client, setup

RANGES = (("timeout", 1, 3600),)


def main():
    line = {"line": {"type": "str", "required": True}, "address": {"type": "str"}}
    sample = {
        "filter": {"type": "str", "required": True},
        "lines": {"type": "list", "elements": "dict", "required": True, "options": line},
    }
    module = Module(
        ranges=RANGES,
        renamed={"proofs": "verify_commands"},
        argument_spec={
            "files": {"type": "dict", "required": True},
            "jails": {"type": "list", "elements": "str", "required": True},
            "samples": {"type": "list", "elements": "dict", "default": [], "options": sample},
            "verify_commands": {"type": "list", "elements": "list", "default": []},
            "protected": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 60},
            "config_dir": {"type": "path", "default": client.CONFIG},
        },
        supports_check_mode=True,
    )
    runner.run(module, setup.run, module.check_mode)


if __name__ == "__main__":
    main()
