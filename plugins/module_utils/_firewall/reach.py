# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who gets in by a firewall: where a plan leads, who would be locked out, what is exposed."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._host import ufw


def as_firewall(state, the_plan):
    """Return the ``ufw.Firewall`` that a plan leads to, for ``ufw.verdict``."""
    policy = the_plan.policies.get("incoming", state.policies["incoming"])
    target = {"allow": "ACCEPT", "deny": "DROP", "reject": "REJECT"}[policy]
    rules = [rule for rule in the_plan.rules if rule.direction == "in"]
    return ufw.Firewall(True, True, target, rules, state.ipv6)


def shut_out(firewall, keep):
    """Return the reasons, as sentences, why addresses that must get in would not.

    Args:
        firewall: a ``ufw.Firewall``.
        keep: dicts with who (a name for the message), address and port.
    """
    reasons = []
    for item in keep:
        allowed, by = ufw.verdict(firewall, item["port"], item["address"])
        if not allowed:
            reasons.append(
                "%s (%s) could not reach port %d: %s"
                % (item["who"], item["address"], item["port"], by)
            )
    return reasons


def exposed(firewall, declared, listeners, stranger):
    """Return the open ports that should not be open to every address.

    Args:
        firewall: the ``ufw.Firewall`` as it is.
        declared: the one that the declared rules alone would make.
        listeners: dicts with port and addresses (those it is open on, none of them loopback).
        stranger: {family: an address that no rule is meant for}.

    Returns:
        dicts with port, addresses and by (what allows a stranger).
    """
    found = []
    for listener in listeners:
        by = None
        for address in stranger.values():
            allowed, why = ufw.verdict(firewall, listener["port"], address)
            if allowed and not ufw.verdict(declared, listener["port"], address)[0]:
                by = by or why
        if by:
            found.append(dict(listener, by=by))
    return found
