# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ufw's state and rules, from its files: no command is run, and what is not loaded is seen, too."""

from __future__ import annotations

import os
import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, files
from ansible_collections.sergas.ops.plugins.module_utils._host import packet_walk

_ANY = ("0.0.0.0/0", "::/0", "any")


class Rule(
    namedtuple(
        "Rule",
        [
            "action",
            "protocol",
            "ports",
            "destination",
            "source_ports",
            "source",
            "interface",
            "direction",
            "interface_out",
            "log",
            "applications",
            "comment",
            "family",
        ],
        defaults=["in", "", "", ("", ""), "", 0],
    )
):
    """One rule, as ufw keeps it in a ``### tuple ###`` line.

    Attributes:
        direction: in, out or route.
        interface_out: where a rule of the direction route lets traffic out.
        log: empty, log or log-all.
        applications: the profiles that the ports come from, of the destination and the source.
        family: 4 or 6: the file that the rule is in; 0 where it was not requested.
    """

    __slots__ = ()


class Firewall(
    namedtuple("Firewall", ["installed", "enabled", "policy", "rules", "ipv6"], defaults=[True])
):
    """What ufw allows.

    Attributes:
        policy: what happens to what no rule names: ACCEPT, DROP or REJECT.
        rules: in the order in which they are tried, IPv4 before IPv6.
        ipv6: whether ufw filters IPv6 at all: without, it drops all of it.
    """

    __slots__ = ()


class State(namedtuple("State", ["installed", "enabled", "ipv6", "policies", "logging", "rules"])):
    """All that ufw is configured with, whether or not it is active.

    Attributes:
        policies: {"incoming": , "outgoing": , "routed": }, each allow, deny or reject.
        logging: off, low, medium, high or full.
        rules: of every direction, in the order in which they are tried, IPv4 before IPv6.
    """

    __slots__ = ()


_POLICIES = {"incoming": "INPUT", "outgoing": "OUTPUT", "routed": "FORWARD"}
_VERDICTS = {"ACCEPT": "allow", "DROP": "deny", "REJECT": "reject"}


def read(root="/"):
    """Return the ``Firewall`` of the host. Raises PermissionError where its files may not be
    read.
    """
    state = read_state(root)
    if not state.installed:
        return Firewall(False, False, "ACCEPT", [])
    policy = {verdict: name for name, verdict in _VERDICTS.items()}[state.policies["incoming"]]
    incoming = [rule for rule in state.rules if rule.direction == "in"]
    return Firewall(True, state.enabled, policy, incoming, state.ipv6)


def read_state(root="/"):
    """Return the ``State`` of the host's ufw. Raises PermissionError where its files may not be
    read.
    """
    settings = _read(os.path.join(root, "etc/ufw/ufw.conf"))
    defaults = _read(os.path.join(root, "etc/default/ufw")) or ""
    policies = {}
    for name, chain in _POLICIES.items():
        found = re.search(r"^\s*DEFAULT_%s_POLICY=\"?(\w+)" % chain, defaults, re.M)
        builtin = "ACCEPT" if name == "outgoing" else "DROP"
        policies[name] = _VERDICTS.get(found.group(1).upper() if found else builtin, "deny")
    ipv6 = re.search(r"^\s*IPV6=\"?yes\b", defaults, re.M | re.I)
    if settings is None:
        return State(False, False, True, policies, "low", [])
    rules = []
    for name, family in (("user.rules", 4), ("user6.rules", 6)):
        # Ubuntu before 16.10 and the first releases of Debian's package kept them in /lib/ufw.
        text = (
            _read(os.path.join(root, "etc/ufw", name))
            or _read(os.path.join(root, "lib/ufw", name))
            or ""
        )
        rules += parse_tuples(text, family)
    enabled = re.search(r"^\s*ENABLED=\"?yes\b", settings, re.M | re.I)
    level = re.search(r"^\s*LOGLEVEL=\"?(\w+)", settings, re.M)
    logging = level.group(1).lower() if level else "low"
    return State(True, bool(enabled), bool(ipv6), policies, logging, rules)


def _read(path):
    try:
        return files.read_text(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def parse_tuples(text, family):
    """Return every rule in the text of user.rules or user6.rules.

    Args:
        text: the file.
        family: 4 or 6, as the rules shall say.
    """
    rules = []
    for line in text.splitlines():
        match = re.match(r"### tuple ### (.*)$", line)
        if not match:
            continue
        words = re.match(r"(.*?)(?:\s+comment=(\S*))?$", match.group(1))
        fields = words.group(1).split()
        if len(fields) < 7:
            continue
        # [route:]action[_log] proto dport destination sport source [dapp sapp] direction[_in!out]
        route, _colon, action = fields[0].rpartition(":")
        action, _underscore, log = action.partition("_")
        direction, _underscore, interface = fields[-1].partition("_")
        interface, _mark, interface_out = interface.partition("!out_")
        if direction == "out":
            interface, interface_out = "", interface
        profiles = fields[6:8] if len(fields) >= 9 else ("-", "-")
        rules.append(
            Rule(
                action,
                *fields[1:6],
                interface=interface,
                direction="route" if route else direction,
                interface_out=interface_out,
                log=log,
                applications=tuple(
                    "" if name == "-" else name.replace("%20", " ") for name in profiles
                ),
                comment=_comment(words.group(2) or ""),
                family=family,
            )
        )
    return rules


def _comment(digits):
    try:
        return bytes.fromhex(digits).decode("utf-8", "replace")
    except ValueError:
        return ""


def fate(firewall, packet):
    """Return (end, what decides) of a TCP connection, as ``packet_walk.fate``.

    Args:
        firewall: a ``Firewall``.
        packet: a ``packet_walk.Packet``.

    Raises:
        addresses.AddressError: its source is no address.
    """
    if not firewall.enabled:
        return packet_walk.ACCEPTED, "ufw is not active"
    if packet.version == 6 and not firewall.ipv6:
        return packet_walk.DROPPED, "IPV6=no in /etc/default/ufw"
    return packet_walk.fate([table(firewall)], packet)


def table(firewall):
    """Return the ``packet_walk.Table`` of an active ``Firewall``."""
    rules = [one for rule in firewall.rules for one in _as_rules(rule)]
    policy = "accept" if firewall.policy == "ACCEPT" else "drop"
    by = "the default policy %s" % firewall.policy
    rules.append(packet_walk.Rule((), policy, None, by))
    chain = packet_walk.Chain("ufw", rules, "input", 0, policy)
    return packet_walk.Table("inet", "ufw", {"ufw": chain})


def verdict(firewall, port, source, own=None, interface=None):
    """Return (allowed, by): whether a TCP connection from an address gets through, and what decides
    it; None where that depends on what is not known of it.

    Args:
        firewall: a ``Firewall``.
        port: the port of this host.
        source: the address it comes from, in any notation.
        own: the address of this host that it is for.
        interface: by which it comes in.

    Raises:
        addresses.AddressError: the source is no address.
    """
    packet = packet_walk.Packet(addresses.canonical(source), port, own, interface)
    end, by = fate(firewall, packet)
    return {packet_walk.DROPPED: False, packet_walk.UNCLEAR: None}.get(end, True), by


def _as_rules(rule):
    """Return a rule as rules of ``packet_walk``."""
    matches = []
    family = _family(rule)
    if family:
        matches.append(("family", False, (family,)))
    if rule.protocol != "any":
        matches.append(("protocol", False, (rule.protocol,)))
    if rule.interface:
        matches.append(("iif", False, (rule.interface.replace("+", "*"),)))
    for field, value in (("saddr", rule.source), ("daddr", rule.destination)):
        if value not in _ANY:
            matches.append((field, False, (value,)))
    for field, value in (("dport", rule.ports), ("sport", rule.source_ports)):
        if value != "any":
            matches.append((field, False, _ranges(value)))
    text = "the rule " + describe(rule)
    if rule.action == "limit":
        # ufw takes six connections in half a minute, and refuses the next ones.
        return [
            packet_walk.Rule((*matches, ("over", False, (6 / 30,))), "drop", None, text),
            packet_walk.Rule(tuple(matches), "accept", None, text),
        ]
    does = "accept" if rule.action == "allow" else "drop"
    return [packet_walk.Rule(tuple(matches), does, None, text)]


def _ranges(ports):
    found = []
    for part in ports.split(","):
        first, _colon, last = part.partition(":")
        if first.isdigit():
            found.append((int(first), int(last or first)))
    return tuple(found)


def opens(firewall, port):
    """Return whether ufw may let any client reach a TCP port of this host."""
    packets = [packet_walk.Packet(None, port, family=family) for family in (4, 6)]
    return any(fate(firewall, packet)[0] != packet_walk.DROPPED for packet in packets)


def describe(rule):
    """Return a rule as a person would type it."""
    words = [rule.action]
    if rule.interface:
        words += ["in on", rule.interface]
    words += ["from", "any" if rule.source in _ANY else rule.source]
    if rule.source_ports != "any":
        words += ["port", rule.source_ports]
    words.append("to")
    if rule.destination not in _ANY:
        words.append(rule.destination)
    words += ["port", rule.ports]
    return " ".join(words + (["proto", rule.protocol] if rule.protocol != "any" else []))


def _family(rule):
    for address in (rule.source, rule.destination):
        # By its form: a rule with an IPv4-mapped address is one of IPv6, and no packet fits it.
        if address != "any":
            return 6 if ":" in address else 4
    return rule.family or None
