# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the first packet of a TCP connection fares in the rules of the packet filter (pure).

A condition holds, does not, holds for some packets (a limit), or is not known: one that
this file does not understand, or one about what is not known of the packet. Both ways are followed
then, and the answer is unknown only where they lead to different ends.
"""

from __future__ import annotations

import fnmatch
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses

#: How certainly a condition holds, in the order in which "and" takes the least.
NO, UNKNOWN, SOME, YES = range(4)

#: the ends: ``SOME_DROPPED`` where a rate decides, ``UNCLEAR`` where it cannot be known
ACCEPTED, DROPPED, SOME_DROPPED, UNCLEAR = "accepted", "dropped", "limited", "unknown"

#: What a rule does: all else (a log, a counter) passes a packet on.
ENDS = {"accept": ACCEPTED, "drop": DROPPED, "translate": UNCLEAR, "unclear": UNCLEAR}

#: The hooks that a packet for this host comes through, in this order.
TO_HOST = ("ingress", "prerouting", "input")

#: The interfaces of containers' own networks: what comes from another host never comes in there.
INSIDE = ("lo", "docker*", "br-*", "podman*", "cni*", "veth*", "virbr*")
#: Linux' ephemeral ports: no client connects from one below, unless its source port is set.
_EPHEMERAL = (32768, 65535)
#: A limit of this many connections a second is none to a balancer, which keeps its connections
#: open; the one of ufw, six in half a minute, is exceeded by health checks alone.
_PLENTY = 1.0
_DEEPEST = 40


class Packet(
    namedtuple(
        "Packet",
        ["source", "port", "destination", "interface", "original_port", "family", "outgoing"],
        defaults=[None, None, None, None, None],
    )
):
    """The first packet of a connection; None for what is not known of it.

    Attributes:
        source: the address, or a network of which any address may be it.
        port: the port that it is for, where the rules see it.
        destination: the address that it is for.
        interface: that it comes in by.
        original_port: the port before a translation of addresses; None where there was none.
        family: 4 or 6, only needed where the source is not known.
        outgoing: the interface that it goes on by, where it is not for this host.
    """

    __slots__ = ()

    @property
    def version(self):
        """Return 4 or 6, or None where that is not known."""
        return addresses.family(self.source) if self.source else self.family


#: ``matches`` are (field, negated, values); ``does`` is a key of ENDS, pass, return, jump or goto;
#: ``target`` is the chain, or where a translation leads to (whether that allows it is not known).
Rule = namedtuple("Rule", ["matches", "does", "target", "text"])
#: ``hook`` is None for a chain that only others lead to; ``device`` is for the hook ingress;
#: ``translates`` is true for one that says where to, not whether.
Chain = namedtuple(
    "Chain",
    ["name", "rules", "hook", "priority", "policy", "device", "translates"],
    defaults=[None, 0, None, "", False],
)
#: ``family``: ip, ip6, inet or netdev; ``chains``: {name: Chain}
Table = namedtuple("Table", ["family", "name", "chains"])


def fate(tables, packet, hooks=TO_HOST):
    """Return (end, the rule that decides) of a packet.

    Args:
        tables: those of the host.
        packet: the ``Packet``.
        hooks: those that it comes through, in this order.
    """
    reach, accepted, seen = YES, None, {}
    for table, chain in _base_chains(tables, packet, hooks):
        ends = _ends(table, chain, packet)
        for (end, sure), by in ends.items():
            seen.setdefault((end, min(sure, reach)), by)
            if end == ACCEPTED and by:
                accepted = by
        onward = [sure for end, sure in ends if end != DROPPED]
        if not onward:
            return DROPPED, ends[max(ends)]
        reach = min(reach, max(onward))
    bad = [key for key in seen if key[0] != ACCEPTED]
    if not bad:
        return ACCEPTED, accepted or "no rule blocks it"
    if all(key == (DROPPED, SOME) for key in bad):
        return SOME_DROPPED, seen[bad[0]]
    # The first rule that is not understood says more than the last that is.
    return UNCLEAR, next(by for key, by in seen.items() if by and key[1] == UNKNOWN)


def _base_chains(tables, packet, hooks):
    found = []
    for table in tables:
        if packet.version and table.family == ("ip6" if packet.version == 4 else "ip"):
            continue
        for chain in table.chains.values():
            elsewhere = chain.device and packet.interface not in (None, chain.device)
            if chain.hook in hooks and not elsewhere:
                found.append((hooks.index(chain.hook), chain.priority, len(found), table, chain))
    return [item[3:] for item in sorted(found, key=lambda item: item[:3])]


def _ends(table, chain, packet):
    """Return {(end, how certainly): the first rule that leads to it} of a base chain."""
    ends, through = _walk(table, chain, packet, {}, 0)
    if through:
        by = "the policy of the chain %s %s" % (table.name, chain.name)
        dropped = chain.policy == "drop"
        ends = dict(ends)
        ends.setdefault((DROPPED if dropped else ACCEPTED, through), by if dropped else None)
    return ends


def _walk(table, chain, packet, known, depth):
    """Return ({(end, how certainly): by}, how certainly the packet comes back)."""
    if chain.name in known:
        return known[chain.name]
    if depth > _DEEPEST:
        return {(UNCLEAR, UNKNOWN): "the chain %s" % chain.name}, UNKNOWN
    ends, back, path = {}, NO, YES
    for rule in chain.rules:
        sure = holds(rule.matches, packet)
        if sure == NO or rule.does == "pass":
            continue
        way = min(path, sure)
        if rule.does == "return":
            back = max(back, way)
        elif rule.does in ENDS:
            end = ENDS[rule.does]
            ends.setdefault((end, UNKNOWN if end == UNCLEAR else way), rule.text)
        else:
            target = table.chains.get(rule.target)
            if target is None:
                inner, passed = {(UNCLEAR, UNKNOWN): rule.text}, UNKNOWN
            else:
                inner, passed = _walk(table, target, packet, known, depth + 1)
            for (end, inside), by in inner.items():
                # What makes it uncertain is named: this rule, unless that is in the chain.
                ends.setdefault((end, min(inside, way)), rule.text if sure < inside else by)
            if rule.does == "goto":
                back = max(back, min(way, passed))
            elif sure == YES:
                path = min(path, passed)
                if path == NO:
                    break
                continue
        if sure == YES and rule.does != "unclear":
            path = NO
            break
        path = min(path, UNKNOWN if rule.does == "unclear" else sure)
    known[chain.name] = ends, max(back, path)
    return known[chain.name]


def holds(matches, packet):
    """Return how certainly all of some conditions hold for a packet."""
    least = YES
    for field, negated, values in matches:
        sure = _FIELDS.get(field, _unknown)(values, packet)
        if negated and sure in (YES, NO):
            sure = YES + NO - sure
        if sure == NO:
            return NO
        least = min(least, sure)
    return least


def _unknown(_values, _packet):
    return UNKNOWN


def _truth(value):
    return YES if value else NO


def _address(values, text):
    """Return whether an address, or each of a network, is in one of some networks or ranges."""
    if text is None:
        return UNKNOWN
    if text in values:
        return YES
    first, last = _ends_of(addresses.network(text))
    partly = False
    for value in values:
        try:
            low, high = (
                (addresses.network(value[0])[0], addresses.network(value[1])[0])
                if isinstance(value, tuple)
                else _ends_of(addresses.network(value))
            )
        except addresses.AddressError:
            partly = True
            continue
        if low.version != first.version:
            continue
        if low <= first and last <= high:
            return YES
        partly = partly or (low <= last and first <= high)
    return UNKNOWN if partly else NO


def _ends_of(network):
    return network[0], network[-1]


def _port(ranges, number):
    if number is None:
        return UNKNOWN
    return _truth(any(low <= number <= high for low, high in ranges))


def _source_port(ranges, _packet):
    if any(low <= 1024 and high >= _EPHEMERAL[1] for low, high in ranges):
        return YES
    if any(low <= _EPHEMERAL[1] and high >= _EPHEMERAL[0] for low, high in ranges):
        return UNKNOWN
    return NO


def _interface(names, packet):
    if packet.interface is None:
        inside = all(any(fnmatch.fnmatch(name, own) for own in INSIDE) for name in names)
        return NO if inside else UNKNOWN
    return _truth(any(fnmatch.fnmatch(packet.interface, name) for name in names))


def _outgoing(names, packet):
    if packet.outgoing is not None:
        return _truth(any(fnmatch.fnmatch(packet.outgoing, name) for name in names))
    # A packet whose address was translated goes on to a container, by one of these.
    inside = packet.original_port is not None and all(
        any(fnmatch.fnmatch(name, own) for own in INSIDE) for name in names
    )
    return YES if inside else UNKNOWN


def _state(values, packet):
    return _truth("new" in values or ("dnat" in values and packet.original_port is not None))


def _version(values, packet):
    return UNKNOWN if packet.version is None else _truth(packet.version in values)


def _destination_type(values, packet):
    # To a container it is one of this host as well, until its address is translated.
    return _truth("local" in values) if packet.original_port is None else UNKNOWN


def _flags(values, _packet):
    mask, wanted = values
    return _truth({"syn"} & set(mask) == set(wanted))


def _over(values, _packet):
    """Return whether a packet exceeds a limit of connections a second, None where not known."""
    return NO if values[0] is not None and values[0] >= _PLENTY else SOME


def _under(values, packet):
    return YES if _over(values, packet) == NO else SOME


_FIELDS = {
    "saddr": lambda values, packet: _address(values, packet.source),
    "daddr": lambda values, packet: _address(values, packet.destination),
    "dport": lambda values, packet: _port(values, packet.port),
    "sport": _source_port,
    "origdport": lambda values, packet: _port(
        values, packet.port if packet.original_port is None else packet.original_port
    ),
    "protocol": lambda values, _packet: _truth({"tcp", "6", "all", "0"} & set(values)),
    "family": _version,
    "iif": _interface,
    "oif": _outgoing,
    "state": _state,
    # Of what conntrack knows of a connection, the first packet has no more than that.
    "status": lambda values, packet: _truth("dnat" in values and packet.original_port is not None),
    "direction": lambda values, _packet: _truth("original" in values),
    "dsttype": _destination_type,
    "srctype": lambda values, _packet: _truth("unicast" in values),
    "pkttype": lambda values, _packet: _truth({"host", "unicast"} & set(values)),
    "flags": _flags,
    # The interface is taken from the way back, so there is one.
    "way_back": lambda values, _packet: _truth(True in values),
    "over": _over,
    "under": _under,
    "always": lambda _values, _packet: YES,
    "one_of": lambda values, packet: max([NO, *(holds(one, packet) for one in values)]),
    "never": lambda _values, _packet: NO,
}
