# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may reach a port that a container publishes: ufw's rules do not count there.

A published port is translated before the filter, so its packets are forwarded and never come to
the rules for incoming traffic. What counts is the chain that Docker leaves to the administrator,
and the tables of this collection, which apply before the translation.
"""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded

CHAIN = "DOCKER-USER"
#: of the roles cognee and firewall, in nftables' family inet
TABLES = ("sergas_cognee", "sergas_published")
_FINAL = {"RETURN": True, "ACCEPT": True, "DROP": False, "REJECT": False}


class Rules(NamedTuple):
    """The rules that decide for a published port."""

    #: the lines of ``iptables -S``, None where it does not work
    iptables: Optional[List[str]]
    #: the lines of ``nft list table`` of each of TABLES that exists
    tables: List[List[str]]


def read(deadline):
    """Return the ``Rules`` of this host."""
    lines = _output(["iptables", "-w", "2", "-S"], deadline)
    found = [_output(["nft", "list", "table", "inet", name], deadline) for name in TABLES]
    return Rules(lines, [table for table in found if table])


def _output(argv, deadline):
    try:
        status, out, _err = process.run(argv, deadline.within(5))
    except (process.CommandMissing, DeadlineExceeded):
        return None
    return out.splitlines() if status == 0 else None


def verdict(rules, port, source, docker=True):
    """Return (allowed, by) of a new connection to a published port.

    Args:
        rules: the ``Rules``.
        port: the port of the host.
        source: the address that it comes from.
        docker: whether it is Docker's, so that its chain counts.
    """
    for table in rules.tables:
        for line in table:
            decided = _of_nft(line.strip(), port, source)
            if decided is False:
                return False, "the rule %s" % line.strip()
            if decided:
                break
    if docker:
        allowed, rule = _walk(rules.iptables or (), CHAIN, port, source, 0)
        if allowed is not None:
            return allowed, "the rule %s" % rule
    return True, "no rule for published ports"


def restricts(rules, port, docker=True):
    """Return whether an address that no rule names is blocked from a published port."""
    # TEST-NET-3: no real client has it.
    return not verdict(rules, port, "203.0.113.254", docker)[0]


def _of_nft(line, port, source):
    """Return whether a rule of this collection's own form accepts; None where it does not apply."""
    found = re.match(
        r"(?:ip6? saddr (?P<first>\{[^}]*\}|\S+) )?tcp dport (?P<ports>\{[^}]*\}|\S+) "
        r"(?:ip6? saddr (?P<saddr>\{[^}]*\}|\S+) )?(?:meta nfproto (?P<family>\S+) )?"
        r"(?P<verdict>accept|drop|reject)\b",
        line,
    )
    if not found or str(port) not in re.findall(r"\d+", found.group("ports")):
        return None
    family = found.group("family")
    if family and (family == "ipv6") != (addresses.family(source) == 6):
        return None
    networks = found.group("first") or found.group("saddr")
    if networks and not any(
        addresses.within(source, item) for item in networks.strip("{} ").split(",")
    ):
        return None
    return found.group("verdict") == "accept"


def _walk(lines, chain, port, source, depth):
    """Follow a chain; (None, None) where no rule decides. A rule that cannot be understood is
    passed over.
    """
    for line in lines:
        if not line.startswith("-A %s " % chain) or not _matches(line, port, source):
            continue
        target = re.search(r"\s-[jg] (\S+)", line)
        if not target:
            continue
        name = target.group(1)
        if name == "RETURN" and depth:
            # Back to the chain that led here.
            return None, None
        if name in _FINAL:
            return _FINAL[name], line[3:]
        if depth < 8:
            allowed, rule = _walk(lines, name, port, source, depth + 1)
            if allowed is not None:
                return allowed, rule
    return None, None


def _matches(line, port, source):
    ports = re.search(r"(! )?--ctorigdstport (\d+)(?::(\d+))?", line)
    if ports:
        within = int(ports.group(2)) <= port <= int(ports.group(3) or ports.group(2))
        if within == bool(ports.group(1)):
            return False
    protocol = re.search(r"\s(! )?-p (\S+)", line)
    if protocol and (protocol.group(2) in ("tcp", "6", "all")) == bool(protocol.group(1)):
        return False
    states = re.search(r"(! )?--ctstate (\S+)", line)
    # A first packet from outside to a published port: new, and its address is translated.
    if states:
        new = bool({"NEW", "DNAT"} & set(states.group(2).split(",")))
        if new == bool(states.group(1)):
            return False
    network = re.search(r"\s(! )?-s (\S+)", line)
    if network:
        inside = addresses.within(source, network.group(2))
        if inside == bool(network.group(1)):
            return False
    # What comes from the containers' own networks comes from no host.
    if re.search(r"\s-i (?:docker0|br-\S+)(?:\s|\Z)", line):
        return False
    # Rules for the container's own port, and of other modules: not this packet.
    rest = re.sub(
        r"(?:! )?(?:-[spi] \S+|--ct(?:origdstport|state|dir) \S+)|-m (?:conntrack|tcp|comment)"
        r"|--comment (?:\"[^\"]*\"|\S+)|-[jg] \S+.*\Z|\A-A \S+",
        "",
        line,
    )
    return not rest.strip()
