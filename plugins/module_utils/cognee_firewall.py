# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may reach a port that a container publishes: Docker's own chain counts there, not ufw's.

A published port is translated before the filter, so its packets are forwarded and never come to the
rules for incoming traffic. C(DOCKER-USER) is the chain that Docker leaves to the administrator.
"""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.sergas.ops.plugins.module_utils import process
from ansible_collections.sergas.ops.plugins.module_utils.deadline import DeadlineExceeded

CHAIN = "DOCKER-USER"
_FINAL = {"RETURN": True, "ACCEPT": True, "DROP": False, "REJECT": False}


def read_rules(deadline):
    """Return the lines of the filter table as C(iptables -S) prints them, or None if they cannot
    be had.
    """
    try:
        status, out, _err = process.run(["iptables", "-w", "2", "-S"], deadline.within(5))
    except (process.CommandMissing, DeadlineExceeded):
        return None
    return out.splitlines() if status == 0 else None


def verdict(lines, port, source):
    """Return (allowed, by) of a new connection to a port that Docker publishes.

    Args:
        lines: of C(iptables -S).
        port: the port of the host.
        source: the address that it comes from.
    """
    allowed, rule = _walk(lines, CHAIN, port, source, 0)
    if allowed is None:
        return True, "no rule of %s" % CHAIN
    return allowed, "the rule %s" % rule


def restricts(lines, port):
    """Return whether an address that nobody has named is kept from a published port."""
    # TEST-NET-3: no real client has it.
    return not verdict(lines, port, "203.0.113.254")[0]


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
        try:
            inside = ipaddress.ip_address(source) in ipaddress.ip_network(
                network.group(2), strict=False
            )
        except ValueError:
            return False
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
