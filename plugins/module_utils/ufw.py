# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ufw's state and rules, from its files: no command is run, and what is not loaded is seen, too."""

from __future__ import annotations

import os
import re
import socket
from typing import List, NamedTuple

_ANY = ("0.0.0.0/0", "::/0", "any")


class Rule(NamedTuple):
    """One rule for incoming traffic, as ufw keeps it in a C(### tuple ###) line."""

    action: str
    protocol: str
    ports: str
    destination: str
    source_ports: str
    source: str
    interface: str


class Firewall(NamedTuple):
    """What ufw lets in."""

    installed: bool
    enabled: bool
    #: what happens to what no rule names: ACCEPT, DROP or REJECT
    policy: str
    #: in the order in which they are tried, IPv4 before IPv6
    rules: List[Rule]


def read(root="/"):
    """Return the L(Firewall) of the host. Raises PermissionError where its files may not be
    read.
    """
    settings = _read(os.path.join(root, "etc/ufw/ufw.conf"))
    if settings is None:
        return Firewall(False, False, "ACCEPT", [])
    defaults = _read(os.path.join(root, "etc/default/ufw")) or ""
    rules = []
    for name in ("user.rules", "user6.rules"):
        # Ubuntu before 16.10 and the first releases of Debian's package kept them in /lib/ufw.
        text = (
            _read(os.path.join(root, "etc/ufw", name))
            or _read(os.path.join(root, "lib/ufw", name))
            or ""
        )
        rules += parse_rules(text)
    policy = re.search(r"^\s*DEFAULT_INPUT_POLICY=\"?(\w+)", defaults, re.M)
    enabled = re.search(r"^\s*ENABLED=\"?yes\b", settings, re.M | re.I)
    return Firewall(True, bool(enabled), policy.group(1).upper() if policy else "DROP", rules)


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def parse_rules(text):
    """Return the rules for incoming traffic in the text of user.rules or user6.rules."""
    rules = []
    for line in text.splitlines():
        match = re.match(r"### tuple ### (.*)$", line)
        fields = re.sub(r"\s+comment=\S*", "", match.group(1)).split() if match else []
        if len(fields) < 7 or fields[0].startswith("route:"):
            continue
        # action protocol dport destination sport source [dapp sapp] direction[_interface]
        direction, _underscore, interface = fields[-1].partition("_")
        if direction == "in":
            rules.append(Rule(fields[0].partition("_")[0], *fields[1:6], interface=interface))
    return rules


def verdict(firewall, port, source):
    """Return (allowed, by): whether a TCP connection from an address gets through, and what decides
    it.

    Args:
        firewall: a L(Firewall).
        port: the port of this host.
        source: the address it comes from.
    """
    if not firewall.enabled:
        return True, "ufw is not active"
    family = _number(source)[0]
    for rule in firewall.rules:
        # A rule for one interface or one of several own addresses may or may not apply: it counts.
        if (
            _family(rule) not in (None, family)
            or not _of_port(rule, port)
            or not _covers(rule.source, source)
        ):
            continue
        return rule.action in ("allow", "limit"), "the rule " + describe(rule)
    return firewall.policy == "ACCEPT", "the default policy %s" % firewall.policy


def opens(firewall, port):
    """Return whether ufw may let somebody reach a TCP port of this host."""
    if not firewall.enabled or firewall.policy == "ACCEPT":
        return True
    return any(
        rule.action in ("allow", "limit") and _of_port(rule, port) for rule in firewall.rules
    )


def describe(rule):
    """Return a rule as a person would type it."""
    words = [
        rule.action,
        "from",
        "any" if rule.source in _ANY else rule.source,
        "to port",
        rule.ports,
    ]
    return " ".join(words + (["proto", rule.protocol] if rule.protocol != "any" else []))


def _family(rule):
    for address in (rule.source, rule.destination):
        if address != "any":
            return _number(address.partition("/")[0])[0]
    return None


def _of_port(rule, port):
    if rule.protocol not in ("tcp", "any"):
        return False
    if rule.ports == "any":
        return True
    for part in rule.ports.split(","):
        first, _colon, last = part.partition(":")
        if first.isdigit() and int(first) <= port <= int(last or first):
            return True
    return False


def _covers(network, address):
    if network == "any":
        return True
    base, _slash, length = network.partition("/")
    family, bits, number = _number(base)
    own_family, _bits, own = _number(address)
    if family is None or family != own_family:
        return False
    shift = bits - (int(length) if length.isdigit() else bits)
    return number >> shift == own >> shift


def _number(address):
    """Return (family, bits, number) of an address, (None, 0, 0) for what is none."""
    for family, bits in ((socket.AF_INET, 32), (socket.AF_INET6, 128)):
        try:
            return family, bits, int.from_bytes(socket.inet_pton(family, address), "big")
        except OSError:
            continue
    return None, 0, 0
