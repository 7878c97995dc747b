# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules as they are declared, as ufw keeps them, and as a person would type them."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._host import ufw

ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
ACTIONS = ("allow", "deny", "limit", "reject")
PROTOCOLS = ("tcp", "udp", "any")
_PORTS = re.compile(r"(any|\d{1,5}(:\d{1,5})?(,\d{1,5}(:\d{1,5})?)*)$")
#: What ufw and its module for Ansible take between quotes, whatever they do with it then.
_COMMENT = re.compile(r"[\w .,:;/()\[\]@+*=-]*$")


def declare(rules, tag, ipv6=True):
    """Return declared rules as the rules that ufw would keep for them, in the declared order.

    Args:
        rules: dicts with action, from (an address, a network or any), port (a port, a range, a list
            or any), protocol, interface and comment; only action is required.
        tag: what the comments of owned rules begin with.
        ipv6: whether ufw manages IPv6; if not, rules for its addresses are left out.

    Raises:
        ValueError: a rule is none; the message names it and says why.
    """
    wanted = []
    for number, rule in enumerate(rules, 1):
        try:
            wanted += _declare(rule, tag, ipv6)
        except ValueError as error:
            raise InvalidValue("rule %d (%s): %s" % (number, _described(rule), error))
    unique: dict = {}
    for rule in wanted:
        unique.setdefault(key(rule), rule)
    return list(unique.values())


def _described(rule):
    return ", ".join("%s %s" % item for item in sorted(rule.items()) if item[1] is not None)


def _declare(rule, tag, ipv6):
    action = rule.get("action") or "allow"
    protocol = rule.get("protocol") or "tcp"
    port = str(rule.get("port") or "any").replace(" ", "")
    source = str(rule.get("from") or "any")
    comment = "%s: %s" % (tag, rule["comment"]) if rule.get("comment") else tag
    if action not in ACTIONS:
        raise InvalidValue("the action is one of " + ", ".join(ACTIONS))
    if protocol not in PROTOCOLS:
        raise InvalidValue("the protocol is one of " + ", ".join(PROTOCOLS))
    if not _PORTS.match(port) or any(
        not 0 < int(number) < 65536 for number in re.findall(r"\d+", port)
    ):
        raise InvalidValue("the port is a number, a range as 8000:8010, a list as 80,443, or any")
    if protocol == "any" and not (port == "any" or port.isdigit()):
        raise InvalidValue("a range or a list of ports needs the protocol tcp or udp")
    if not _COMMENT.match(comment):
        raise InvalidValue("the comment has a character that ufw's command line would not keep")
    if source == "any":
        sources = [(4, ANYWHERE[4])] + ([(6, ANYWHERE[6])] if ipv6 else [])
    else:
        source = addresses.option("from", source, "an address, a network or any", addresses.network)
        family = addresses.family(source)
        if family == 6 and not ipv6:
            return []
        sources = [(family, source)]
    return [
        ufw.Rule(
            action,
            protocol if port != "any" or rule.get("protocol") else "any",
            _in_order(port),
            ANYWHERE[family],
            "any",
            address,
            rule.get("interface") or "",
            comment=comment,
            family=family,
        )
        for family, address in sources
    ]


def _in_order(ports):
    """Return a list of ports as ufw sorts it."""
    if "," not in ports:
        return ports
    return ",".join(sorted(ports.split(","), key=lambda part: int(part.partition(":")[0])))


def shortened(text):
    """Return an address of a rule in one spelling; what is none stays."""
    return addresses.known(text) or text


def key(rule):
    """Return what makes two rules the same to ufw: all but the action, the log and the comment."""
    return (
        rule.family,
        rule.direction,
        rule.interface,
        rule.interface_out,
        rule.protocol,
        _in_order(rule.ports),
        shortened(rule.destination),
        rule.source_ports,
        shortened(rule.source),
        rule.applications,
    )


def is_owned(rule, tag):
    """Return whether a rule's comment says that it is one of this collection's."""
    return rule.comment == tag or rule.comment.startswith(tag + ":")


def text(rule):
    """Return a rule as a person would type it after ``ufw``."""
    words = (["route"] if rule.direction == "route" else []) + [rule.action]
    if rule.direction == "out":
        words.append("out")
    if rule.interface:
        words.append("in on " + rule.interface)
    if rule.interface_out:
        words.append(("on " if rule.direction == "out" else "out on ") + rule.interface_out)
    if rule.log:
        words.append(rule.log)
    words.append("from " + rule.source)
    if rule.source_ports != "any":
        words.append("port " + rule.source_ports)
    if rule.applications[0]:
        return " ".join(words + ["to any app '%s'" % rule.applications[0]])
    destination = shortened(rule.destination)
    words.append("to " + ("any" if destination in ANYWHERE.values() else destination))
    if rule.ports != "any":
        words.append("port " + rule.ports)
    if rule.protocol != "any":
        words.append("proto " + rule.protocol)
    return " ".join(words)
