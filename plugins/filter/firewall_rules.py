# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of a host's firewall, from what the inventory says of the fleet. Pure."""

from __future__ import annotations

DOCUMENTATION = r"""
name: firewall_rules
short_description: Derive a host's firewall rules from its groups
version_added: 1.0.0
description:
  - Returns the rules that a host of the Sergas platform needs, and who must stay allowed whatever
    the rules say, for O(sergas.ops.firewall_check#module:rules) and
    O(sergas.ops.firewall_check#module:keep).
  - A host in none of the groups C(sergas_app), C(sergas_postgresql), C(sergas_redis),
    C(sergas_cognee) and C(sergas_lb) has all components, and only its app is for other hosts.
options:
  _input:
    description:
      - "C(groups): the groups of the host. C(apps), C(balancers), C(monitoring), C(controllers) and
        C(admins): addresses. C(ports): by C(app), C(postgresql), C(redis) and C(cognee) a port, by
        C(balancer) a list. C(ssh_limit): whether SSH from anywhere is limited. C(rules): further
        rules, which come first."
    type: dict
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Show the rules of an app behind a balancer
  ansible.builtin.debug:
    msg: "{{ (fleet | sergas.ops.firewall_rules).rules }}"
  vars:
    fleet:
      groups: [sergas_app]
      apps: [192.0.2.11, 192.0.2.12]
      balancers: [192.0.2.2]
      ports: {app: 8000}
"""

RETURN = r"""
_value:
  description: The rules, and who must stay allowed.
  type: dict
  contains:
    rules:
      description: The rules, in the order in which they have to be tried.
      type: list
      elements: dict
    keep:
      description: C(who) must be allowed from which C(address) to which C(port), that of SSH if
        there is none.
      type: list
      elements: dict
"""

GROUPS = ("sergas_app", "sergas_postgresql", "sergas_redis", "sergas_cognee", "sergas_lb")
PORTS = {"app": 8000, "postgresql": 5432, "redis": 6379, "cognee": 8001, "balancer": [80, 443]}


from ansible_collections.sergas.ops.plugins.module_utils._core import addresses


def firewall_rules(fleet):
    """Return the rules of a host and who must stay allowed; see DOCUMENTATION."""
    ports = {**PORTS, **(fleet.get("ports") or {})}
    groups = set(fleet.get("groups") or ())
    apps = fleet.get("apps") or []
    is_app = "sergas_app" in groups or not groups & set(GROUPS)
    rules = [dict(rule) for rule in fleet.get("rules") or ()]

    def allow(sources, port, comment, action="allow"):
        for source in sources:
            source = addresses.known(source) or source
            rule = {"action": action, "from": source, "port": str(port), "comment": comment}
            if not any(_same(rule, other) for other in rules):
                rules.append(rule)

    allow(fleet.get("admins") or (), "ssh", "SSH from an administrator")
    if not fleet.get("admins"):
        allow(["any"], "ssh", "SSH", "limit" if fleet.get("ssh_limit") else "allow")
    if is_app:
        allow(fleet.get("balancers") or (), ports["app"], "the app from the balancer")
        allow(apps, ports["app"], "the app from its peers")
        allow(fleet.get("monitoring") or (), ports["app"], "the app from the monitoring")
    for group, name, what in (
        ("sergas_postgresql", "postgresql", "PostgreSQL"),
        ("sergas_redis", "redis", "Redis"),
        ("sergas_cognee", "cognee", "Cognee"),
    ):
        if group in groups:
            allow(apps, ports[name], what + " from the app")
    if "sergas_lb" in groups:
        for port in ports["balancer"]:
            allow(["any"], port, "the platform from its users")
    return {"rules": rules, "keep": _keep(fleet, ports["app"] if is_app else None)}


def _keep(fleet, app_port):
    """Return who must stay allowed: to the app, where this host has one, and with SSH."""
    kept = [{"who": "the controller", "address": item} for item in fleet.get("controllers") or ()]
    if app_port is None:
        return kept
    clients = (("the balancer", "balancers"), ("the monitoring", "monitoring"))
    return [
        {"who": who, "address": address, "port": app_port}
        for who, name in clients
        for address in fleet.get(name) or ()
    ] + kept


def _same(rule, other):
    return all(
        addresses.same(str(rule[name])) == addresses.same(str(other.get(name)))
        for name in ("action", "from", "port")
    )


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return them by name."""
        return {"firewall_rules": firewall_rules}
