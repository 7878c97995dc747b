# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who gets in by a firewall: where a plan leads, who would be locked out, what is exposed."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._host import (
    packet_filter,
    packet_walk,
    ufw,
)


def as_firewall(state, the_plan):
    """Return the ``ufw.Firewall`` that a plan leads to, for ``ufw.verdict``."""
    policy = the_plan.policies.get("incoming", state.policies["incoming"])
    target = {"allow": "ACCEPT", "deny": "DROP", "reject": "REJECT"}[policy]
    rules = [rule for rule in the_plan.rules if rule.direction == "in"]
    return ufw.Firewall(True, True, target, rules, state.ipv6)


def shut_out(firewall, keep):
    """Return the reasons, as sentences, why addresses that must get in would not, or might not.

    Args:
        firewall: a ``ufw.Firewall``.
        keep: dicts with who (a name for the message), address and port, and own and interface, the
            address of this host that it is for and by which interface, where that is known.
    """
    reasons = []
    for item in keep:
        allowed, by = ufw.verdict(
            firewall, item["port"], item["address"], item.get("own"), item.get("interface")
        )
        if not allowed:
            reasons.append(
                "%s (%s) %s not reach port %d: %s"
                % (
                    item["who"],
                    item["address"],
                    "might" if allowed is None else "could",
                    item["port"],
                    by,
                )
            )
    return reasons


def exposed(found, firewall, declared, listeners, strangers):
    """Return the open ports that should not be open to every address, and those that may be.

    Args:
        found: the ``packet_filter.Filter`` of the host.
        firewall: the ``ufw.Firewall`` as it is.
        declared: the one that the declared rules alone would make.
        listeners: dicts with port and addresses (those it is open on, none of them loopback).
        strangers: [(address that no rule is meant for, own address, interface)].

    Returns:
        ([{port, addresses, by (what allows a stranger)}], [the same of what is not known]).
    """
    open_ports, unclear = [], []
    for listener in listeners:
        by: dict = {}
        for stranger, own, interface in strangers:
            packet = packet_walk.Packet(stranger, listener["port"], own, interface)
            if ufw.fate(declared, packet)[0] == packet_walk.DROPPED:
                end, why, _by_ufw = packet_filter.fate(found, firewall, packet)
                by.setdefault(end, why)
        by.pop(packet_walk.DROPPED, None)
        unknown = by.pop(packet_walk.UNCLEAR, None)
        if by:
            open_ports.append(dict(listener, by=next(iter(by.values()))))
        elif unknown:
            unclear.append(dict(listener, by=unknown))
    return open_ports, unclear
