# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may reach a port that a container publishes: ufw's rules do not count there.

A published port is translated before the filter, so its packets are forwarded and never come to
the rules for incoming traffic. What counts is what is before the translation, such as the tables of
this collection, and the rules for what is forwarded, such as Docker's chain for the administrator.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._host import packet_filter, packet_walk

#: The chains and tables of engines, which accept what they publish; DOCKER-USER is a person's.
ENGINES = re.compile(r"^(DOCKER(?!-USER)|NETAVARK|CNI-)", re.I)
#: TEST-NET-3: no real client has it.
_STRANGER = "203.0.113.254"


def verdict(found, port, source, to=(None, None)):
    """Return (allowed, by) of a new connection to a published port; None where it is not known.

    Args:
        found: the ``packet_filter.Filter`` of the host.
        port: the port of the host.
        source: the address that it comes from.
        to: the address and the port that the engine sends it on to, None for what is not known.
    """
    source = addresses.canonical(source)
    tables = [_by_others(table) for table in found.tables if not ENGINES.match(table.name)]
    own, interface = packet_filter.route(source)
    first = packet_walk.Packet(source, port, own, interface)
    outgoing = packet_filter.route(to[0])[1] if to[0] else None
    after = packet_walk.Packet(
        source, to[1], to[0], interface, original_port=port, outgoing=outgoing
    )
    ends = [
        packet_walk.fate(tables, first, ("ingress", "prerouting")),
        packet_walk.fate(tables, after, ("forward",)),
    ]
    for end, by in ends:
        if end == packet_walk.DROPPED:
            return False, "the rule %s" % by
    if found.gaps:
        return None, found.gaps[0]
    for end, by in ends:
        if end == packet_walk.UNCLEAR:
            return None, "the rule %s" % by
    return True, "no rule for published ports"


def restricts(found, port, to=(None, None)):
    """Return whether an address that no rule names is blocked from a published port, or None."""
    allowed = verdict(found, port, _STRANGER, to)[0]
    return None if allowed is None else not allowed


def _by_others(table):
    """Return a table without what an engine does: it accepts what it publishes."""
    chains = {
        name: chain._replace(
            hook=None if chain.translates else chain.hook,
            rules=[
                rule._replace(does="accept", target=None)
                if rule.does in ("jump", "goto") and ENGINES.match(rule.target)
                else rule
                for rule in chain.rules
            ],
        )
        for name, chain in table.chains.items()
    }
    return table._replace(chains=chains)
