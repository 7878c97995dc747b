#!/usr/bin/python

# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_check
short_description: Compare a host's ufw with declared rules
version_added: 1.0.0
description:
  - Compares the rules, default policies and state of ufw with what is declared, and returns the
    steps that lead there, in their order. It changes nothing; the role P(sergas.ops.firewall#role)
    takes the steps.
  - Says beforehand whom the declared rules would shut out. The SSH connection that the module came
    over is among those who must get in, by its real peer and port.
  - Finds the ports that are open to every address and should not be, also those that containers
    publish past ufw.
  - It reads ufw's files, so it says the same whether or not ufw is active, and works where ufw is
    not installed.
options:
  rules:
    description:
      - The rules for incoming traffic, the first that fits decides.
    type: list
    elements: dict
    default: []
    suboptions:
      action:
        description:
          - What to do with the traffic.
        type: str
        choices: [allow, deny, limit, reject]
        default: allow
      from:
        description:
          - Where it comes from, an address, a network, a name or V(any). A name is resolved on the
            host, into all its addresses.
        type: str
        default: any
      port:
        description:
          - The port, a range such as V(8000:8010), a list such as V(80,443), or V(any).
          - V(ssh) stands for the ports that sshd is really reached at, which may be those of
            systemd's socket.
        type: str
        default: any
      protocol:
        description:
          - The protocol. If not given, V(tcp), and V(any) for all ports.
        type: str
        choices: [tcp, udp, any]
      interface:
        description:
          - The interface that the traffic comes in on, any if not given.
        type: str
      comment:
        description:
          - What the rule is for. It is kept with the rule, behind O(tag).
        type: str
  tag:
    description:
      - What the comments of owned rules begin with. A rule without it belongs to others.
    type: str
    default: sergas
  complete:
    description:
      - Whether O(rules) are all of the owned rules, so that other owned ones have to go.
    type: bool
    default: true
  exclusive:
    description:
      - Whether the rules of others for incoming traffic have to go, too.
    type: bool
    default: false
  policies:
    description:
      - The default policies, V(allow), V(deny) or V(reject), by direction C(incoming), C(outgoing)
        and C(routed). Those that are not named stay.
    type: dict
    default: {}
  logging:
    description:
      - How much ufw logs. If not given, it stays.
    type: str
    choices: ['off', low, medium, high, full]
  session:
    description:
      - Whether the SSH connection that the module came over must get in afterwards. A rule for it
        comes first, if O(rules) have none.
    type: bool
    default: true
  keep:
    description:
      - Who must get in afterwards, too.
    type: list
    elements: dict
    default: []
    suboptions:
      who:
        description:
          - The name for messages.
        type: str
        required: true
      address:
        description:
          - The address or name.
        type: str
        required: true
      port:
        description:
          - The port, those of sshd if not given.
        type: int
  published:
    description:
      - Ports that containers publish, beyond those that are found.
    type: list
    elements: int
    default: []
  published_file:
    description:
      - Where the rules for published ports are kept. Ports that are closed there stay closed.
    type: path
    default: /etc/sergas/published-ports.nft
  deadline:
    description:
      - How long all of it may take, in seconds.
    type: float
    default: 15
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - sergas.ops.attributes
attributes:
  check_mode:
    support: full
    details: It never changes anything.
  diff_mode:
    support: full
    details: It shows what the steps would change, if the task is made to count as changed.
  platform:
    platforms: posix
notes:
  - Exposed UDP ports are not looked for, except published ones.
seealso:
  - module: community.general.ufw
  - module: sergas.ops.sergas_health
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Check whether the firewall is as declared
  sergas.ops.firewall_check:
    rules:
      - {port: ssh, comment: SSH}
      - {from: 198.51.100.10, port: 8000, comment: the app from the balancer}
    policies: {incoming: deny}
    keep:
      - {who: the balancer, address: 198.51.100.10, port: 8000}
  become: true
  register: firewall
"""

RETURN = r"""
installed:
  description: Whether ufw is installed.
  returned: success
  type: bool
  sample: true
enabled:
  description: Whether ufw is active.
  returned: success
  type: bool
  sample: true
session:
  description: The SSH connection that the module came over, null for another transport.
  returned: success
  type: dict
  sample: {peer: 198.51.100.5, peer_port: 50122, address: 198.51.100.20, port: 22}
ssh_ports:
  description: The ports that sshd is reached at.
  returned: success
  type: list
  elements: int
  sample: [22]
steps:
  description: What is to be done with rules, in this order, as options of
    M(community.general.ufw), and as RV(steps[].text).
  returned: success
  type: list
  elements: dict
  sample:
    - rule: allow
      from_ip: 198.51.100.10
      to_port: "8000"
      proto: tcp
      comment: "sergas: the app from the balancer"
      family: 4
      text: allow from 198.51.100.10 to any port 8000 proto tcp
  contains:
    text:
      description: The step as a person would type it.
      type: str
policies:
  description: The default policies that differ, as they should be.
  returned: success
  type: dict
  sample: {incoming: deny}
logging:
  description: The level of the log if it differs, as it should be, else null.
  returned: success
  type: str
  sample: null
enable:
  description: Whether ufw has to be made active.
  returned: success
  type: bool
  sample: false
differs:
  description: Whether anything is to be done to ufw.
  returned: success
  type: bool
  sample: true
overruled:
  description: Rules of others that go because they say the contrary of a declared one.
  returned: success
  type: list
  elements: str
  sample: []
refused:
  description: Who must get in and would not, with the reason; empty where all is well.
  returned: success
  type: list
  elements: str
  sample: []
before:
  description: ufw's state and rules as text.
  returned: success
  type: str
  sample: "status: active\n..."
after:
  description: The same after all steps.
  returned: success
  type: str
  sample: "status: active\n..."
published:
  description: The ports that containers are reached at past ufw.
  returned: success
  type: list
  elements: dict
  sample: [{port: 8001, protocol: tcp, to: "172.17.0.2:8000", engine: docker}]
published_rules:
  description: The rules of nftables that leave published ports to those that O(rules) name; null
    where none is published.
  returned: success
  type: str
  sample: null
published_current:
  description: Whether these are in force.
  returned: success
  type: bool
  sample: true
published_before:
  description: Whether such rules are kept on the host.
  returned: success
  type: bool
  sample: false
findings:
  description: What was found, in the shape of M(sergas.ops.sergas_health).
  returned: success
  type: list
  elements: dict
  sample:
    - id: security.firewall.ok
      component: security
      status: ok
      summary: ufw is active with the 3 declared rules
roots:
  description: The ids of the bad findings that derive from no other one.
  returned: success
  type: list
  elements: str
  sample: []
bad:
  description: How many findings are C(warn), C(unknown) or C(fail).
  returned: success
  type: int
  sample: 0
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import runner
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._firewall import (
    check,
    declaration,
    plan,
)

RANGES = (("keep.port", 1, 65535), ("published", 1, 65535), ("deadline", 1, 600))


def main():
    rule = {
        "action": {"type": "str", "choices": list(declaration.ACTIONS), "default": "allow"},
        "from": {"type": "str", "default": "any"},
        "port": {"type": "str", "default": "any"},
        "protocol": {"type": "str", "choices": list(declaration.PROTOCOLS)},
        "interface": {"type": "str"},
        "comment": {"type": "str"},
    }
    keep = {
        "who": {"type": "str", "required": True},
        "address": {"type": "str", "required": True},
        "port": {"type": "int"},
    }
    module = Module(
        ranges=RANGES,
        argument_spec={
            "rules": {"type": "list", "elements": "dict", "default": [], "options": rule},
            "tag": {"type": "str", "default": "sergas"},
            "complete": {"type": "bool", "default": True},
            "exclusive": {"type": "bool", "default": False},
            "policies": {"type": "dict", "default": {}},
            "logging": {"type": "str", "choices": list(plan.LEVELS)},
            "session": {"type": "bool", "default": True},
            "keep": {"type": "list", "elements": "dict", "default": [], "options": keep},
            "published": {"type": "list", "elements": "int", "default": []},
            "published_file": {"type": "path", "default": "/etc/sergas/published-ports.nft"},
            "deadline": {"type": "float", "default": 15},
        },
        supports_check_mode=True,
    )
    runner.run(module, check.run, Deadline(module.params["deadline"]))


if __name__ == "__main__":
    main()
