# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a ban that fail2ban counts is in the firewall, for the actions of this collection."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List

NFTABLES = "sergas-nftables"
IPTABLES = "sergas-iptables"
#: The comment of a rule of ufw that the action sergas-ufw has made.
_COMMENT = re.compile(r"fail2ban (\S+) until (?:\d+|ever)\Z")


def lookup(action, jail, address):
    """Return the command that exits 0 if the ban is in the firewall, or None where that is not
    known.

    Args:
        action: the name of the jail's action.
        jail: its name.
        address: an address or a network.
    """
    address = addresses.known(address)
    if address is None:
        return None
    family = addresses.family(address)
    if action == NFTABLES:
        name = "%s-%d" % (jail, family)
        return ["nft", "get", "element", "inet", "sergas-fail2ban", name, "{ %s }" % address]
    if action == IPTABLES:
        command = "iptables" if family == 4 else "ip6tables"
        chain = "f2b-" + jail
        return [command, "-w", "-t", "raw", "-C", chain, "-s", address, "-j", "DROP"]
    return None


def holds(actions, jail, address, deadline):
    """Return whether the firewall has a ban, or None where no action of ours makes it, or the
    command that would say so fails.

    Raises:
        process.CommandMissing, DeadlineExceeded
    """
    commands = [lookup(action, jail, address) for action in actions]
    commands = [argv for argv in commands if argv]
    if not commands:
        return None
    found = True
    for argv in commands:
        status = process.run(argv, deadline)[0]
        if status > 1 or status < 0:
            return None
        found = found and status == 0
    return found


def denied_by_ufw(found):
    """Return ({jail: addresses that ufw denies for it}, sources that its other rules deny all of)
    (pure).

    Args:
        found: rules of ``ufw.read_state``.
    """
    of_jails: Dict[str, List[str]] = {}
    others: List[str] = []
    for rule in found:
        if rule.action not in ("deny", "reject") or rule.direction != "in":
            continue
        match = _COMMENT.match(rule.comment or "")
        if match:
            of_jails.setdefault(match.group(1), []).append(addresses.same(rule.source))
        elif (rule.protocol, rule.ports) == ("any", "any") and not addresses.is_any(rule.source):
            others.append(rule.source)
    return of_jails, others
