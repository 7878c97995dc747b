#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: security_check
short_description: Check that a host's protection works
version_added: 1.0.0
description:
  - Reads from fail2ban's server which jails it runs, what each watches and whom they ban, and from
    sshd how it would treat a login from outside. It changes nothing.
  - A jail that runs and has nothing to see is found, and so is a service that died although it is
    enabled, a ban that the firewall does not have, and one of an address of O(protected).
  - Attacks themselves are found by M(sergas.ops.sergas_health), in the app's journal, and so are
    weak keys of the app and a C(.env) that others may read.
options:
  checks:
    description:
      - The checks to run. All of them, if not given.
    type: list
    elements: str
    choices: &checks [jails, bans, sshd]
  skip:
    description:
      - Checks to leave out.
    type: list
    elements: str
    choices: *checks
  jails:
    description:
      - The jails that this host must run. They must ignore the addresses of O(protected), too.
      - If not given, a host without fail2ban is skipped, and what runs is checked.
    type: list
    elements: str
    default: []
  protected:
    description:
      - Addresses, networks and names that must not be banned.
    type: list
    elements: str
    default: []
  deadline:
    description:
      - How long all of it may take, in seconds. What has no answer by then is V(unknown).
    type: float
    default: 15
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
    details: The module only reads, so a check run is the same as a real one.
  diff_mode:
    support: none
    details: The module changes nothing.
  platform:
    platforms: posix
notes:
  - Only root may query fail2ban and sshd. Without it their findings are V(unknown).
seealso:
  - module: sergas.ops.sergas_health
  - module: sergas.ops.fail2ban_jails
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Check that attacks are stopped
  sergas.ops.security_check:
    jails: [sshd, sergas-app]
    protected: [192.0.2.2]
  become: true
  register: security
"""

RETURN = r"""
findings:
  description: What the checks found, in the order of the checks. Keys as those of
    M(sergas.ops.sergas_health).
  returned: success
  type: list
  elements: dict
  sample:
    - id: security.jail.no_input
      component: security
      status: fail
      summary: "The jail sergas-app sees nothing: sergas-api.service is no unit of this host"
      remedy: set_up_jails
roots:
  description: The ids of the bad findings that derive from no other one.
  returned: success
  type: list
  elements: str
  sample: [security.jail.no_input]
bad:
  description: How many findings are C(warn), C(unknown) or C(fail).
  returned: success
  type: int
  sample: 1
probe_seconds:
  description: How long each probe took.
  returned: success
  type: dict
  sample: {fail2ban: 0.12}
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import checks as fail2ban
from ansible_collections.sergas.ops.plugins.module_utils._security import check, sshd


def main():
    names = [*fail2ban.CHECKS, *sshd.CHECKS]
    module = Module(
        ranges=check.RANGES,
        argument_spec={
            "checks": {"type": "list", "elements": "str", "choices": names},
            "skip": {"type": "list", "elements": "str", "choices": names},
            "jails": {"type": "list", "elements": "str", "default": []},
            "protected": {"type": "list", "elements": "str", "default": []},
            "deadline": {"type": "float", "default": 15},
        },
        supports_check_mode=True,
    )
    runner.run(module, check.run, fail2ban, sshd)


if __name__ == "__main__":
    main()
