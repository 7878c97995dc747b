# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output of iptables-save as tables of ``packet_walk`` (pure)."""

from __future__ import annotations

import shlex

from ansible_collections.sergas.ops.plugins.module_utils._host.packet_walk import (
    Chain,
    Rule,
    Table,
)

_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
_HOOKS = {"PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward"}
_DOES = {
    "ACCEPT": "accept",
    "DROP": "drop",
    "REJECT": "drop",
    "RETURN": "return",
}
#: Targets after which a packet goes on as it is.
_PASS = frozenset(
    "AUDIT CHECKSUM CLASSIFY CONNMARK CONNSECMARK DSCP IDLETIMER LED LOG MARK MASQUERADE NFLOG"
    " RATEEST SECMARK SET SNAT TCPMSS TEE TOS TRACE TTL HL ULOG".split()
)
#: Options that match what is within a limit, or what exceeds it.
_LIMITS = {
    "--limit": "under",
    "--hashlimit-upto": "under",
    "--hashlimit-above": "over",
    "--connlimit-upto": "under",
    "--connlimit-above": "over",
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: How many open connections a limit of one a second stands for.
_OPEN = 10
#: Modules that only say what their options belong to.
_PLAIN = frozenset("addrtype comment conntrack iprange multiport pkttype state tcp udp".split())
#: option: (field, how its value is read)
_OPTIONS = {
    "-s": ("saddr", "words"),
    "-d": ("daddr", "words"),
    "--src-range": ("saddr", "range"),
    "--dst-range": ("daddr", "range"),
    "-i": ("iif", "interface"),
    "-o": ("oif", "interface"),
    "-p": ("protocol", "words"),
    "--dport": ("dport", "ports"),
    "--dports": ("dport", "ports"),
    "--sport": ("sport", "ports"),
    "--sports": ("sport", "ports"),
    "--ctorigdstport": ("origdport", "ports"),
    "--ctstate": ("state", "words"),
    "--state": ("state", "words"),
    "--ctstatus": ("status", "words"),
    "--ctdir": ("direction", "words"),
    "--dst-type": ("dsttype", "words"),
    "--src-type": ("srctype", "words"),
    "--pkt-type": ("pkttype", "words"),
    "--comment": (None, "words"),
}


def parse(text, family):
    """Return [Table].

    Args:
        text: the output of iptables-save or ip6tables-save.
        family: ``ip`` or ``ip6``.

    Raises:
        ValueError: this is no such output.
    """
    tables, chains, name = [], {}, ""
    for line in text.splitlines():
        if line.startswith("*"):
            name, chains = line[1:].strip(), {}
            tables.append(Table(family, name, chains))
        elif line.startswith(":"):
            chain, policy = (line[1:].split() + ["-", "-"])[:2]
            chains[chain] = Chain(
                chain,
                [],
                _HOOKS.get(chain) if policy != "-" else None,
                _PRIORITIES.get(name, 0),
                "drop" if policy == "DROP" else "accept",
                translates=name == "nat",
            )
        elif line.startswith("-A "):
            words = _words(line)
            if len(words) > 1 and words[1] in chains:
                chains[words[1]].rules.append(rule(words[2:], line))
    return tables


def _words(line):
    if '"' in line or "\\" in line:
        try:
            return shlex.split(line)
        except ValueError:
            pass
    return line.split()


def rule(words, text):
    """Return the ``Rule`` of the words behind ``-A CHAIN``."""
    matches, does, target = [], "pass", None
    position, negated = 0, False
    while position < len(words):
        word = words[position]
        value = words[position + 1] if position + 1 < len(words) else ""
        position += 1
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g"):
            does, target = _action(word, value, words[position + 1 :])
            break
        if word == "-m":
            position += 1
            if value not in _PLAIN:
                end = _next_module(words, position)
                matches.append(_module(value, words[position:end]))
                position = end
        elif word == "--tcp-flags":
            wanted = words[position + 1] if position + 1 < len(words) else ""
            matches.append(("flags", negated, (_flags(value), _flags(wanted))))
            position += 2
        elif word == "-f":
            # A later part of a packet: the first packet of a connection is none.
            matches.append(("never", negated, ()))
        elif word in _OPTIONS:
            field, kind = _OPTIONS[word]
            if field:
                matches.append(_match(field, negated, kind, value))
            position += 1
        else:
            matches.append(("unknown", False, ()))
            if value and not value.startswith("-") and value != "!":
                position += 1
        negated = False
    return Rule(tuple(matches), does, target, text)


def _next_module(words, position):
    while position < len(words) and words[position] not in ("-m", "-j", "-g"):
        position += 1
    return position


def _module(name, options):
    """Return the condition of a module and its options."""
    given = dict(zip(options, [*options[1:], ""]))
    if name in ("limit", "hashlimit", "connlimit"):
        for option, field in _LIMITS.items():
            if option in given and "!" not in options:
                return field, False, (_rate(given[option]),)
    if name in ("statistic", "quota"):
        return "over", False, (None,)
    if name == "recent" and "!" not in options:
        if "--set" in given:
            return "always", False, ()
        # Without a count it is no limit: a client that has knocked before is allowed.
        if "--hitcount" in given and "--seconds" in given:
            return "over", False, (int(given["--hitcount"]) / int(given["--seconds"]),)
    return "unknown", False, ()


def _rate(text):
    """Return a limit in connections a second, or None."""
    number, slash, unit = text.partition("/")
    if not number.isdigit():
        return None
    return int(number) / (_UNITS.get(unit[:1], 1) if slash else _OPEN)


def _action(word, target, options):
    if target in _DOES:
        return _DOES[target], None
    if target in _PASS or (target == "CT" and "--notrack" not in options):
        return "pass", None
    if target in ("DNAT", "REDIRECT"):
        return "translate", dict(zip(options, options[1:])).get("--to-destination")
    # A target that is no chain (NFQUEUE) is one that is not understood.
    return ("goto" if word == "-g" else "jump"), target


def _match(field, negated, kind, value):
    if kind == "range":
        low, _dash, high = value.partition("-")
        return field, negated, ((low, high),)
    if kind == "interface":
        return field, negated, (value[:-1] + "*" if value.endswith("+") else value,)
    if kind == "ports":
        try:
            return field, negated, tuple(_ports(part) for part in value.split(","))
        except ValueError:
            return "unknown", False, ()
    return field, negated, tuple(value.lower().split(","))


def _ports(text):
    low, _colon, high = text.partition(":")
    return int(low), int(high or low)


def _flags(text):
    names = text.lower()
    if names == "all":
        return ("fin", "syn", "rst", "psh", "ack", "urg")
    return () if names == "none" else tuple(names.split(","))
