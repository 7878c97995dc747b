# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bans addresses by hand and lets them go, never one of our own."""

from __future__ import annotations

import re
import socket
import time
from typing import Dict, List, NamedTuple

from ansible_collections.sergas.ops.plugins.module_utils import fail2ban, fail2ban_rules, process
from ansible_collections.sergas.ops.plugins.module_utils.deadline import Deadline

_POLL_SECONDS = 0.2
_WITH_TIME = re.compile(r"(\S+)\s+\S+ \S+ \+ (-?\d+) = (\S+ \S+)")


class BanError(Exception):
    """It cannot be done; the message says why."""


class Plan(NamedTuple):
    """What is to be done (plain data)."""

    ban: List[str]
    unban: List[str]
    #: {address: why it must not be banned}
    refused: Dict[str, str]


def normal(texts):
    """Return addresses as fail2ban and the firewall write them (pure).

    Raises:
        BanError: for what is no address.
    """
    addresses = []
    for text in texts:
        known = fail2ban.network(text)
        if known is None or known.num_addresses > 1:
            raise BanError("%r is not an address" % text)
        addresses.append(str(known.network_address))
    return addresses


def plan(wanted, unwanted, banned, protected):
    """Return the L(Plan) for some addresses (pure).

    Args:
        wanted: addresses to ban.
        unwanted: those to let go.
        banned: those that are banned now.
        protected: addresses and networks that must not be.
    """
    refused, ban = {}, []
    for text in wanted:
        known = fail2ban.network(text)
        reason = _protection(text, known, protected)
        if reason:
            refused[text] = reason
        elif text not in banned and text not in ban:
            ban.append(text)
    return Plan(ban, [text for text in unwanted if text in banned and text not in wanted], refused)


def _protection(text, known, protected):
    if known.is_loopback or known.is_unspecified or known.is_multicast:
        return "it is nobody's outside"
    by = fail2ban.covers(protected, text)
    if by:
        return "it is protected" if by == text else "it is protected by %s" % by
    return None


def resolve(names, lookup=socket.getaddrinfo):
    """Return (addresses, unknown): names replaced by their addresses, and those that have none.

    Args:
        names: addresses, networks and names of hosts.
        lookup: of a name, as socket.getaddrinfo.
    """
    addresses, unknown = [], []
    for name in names:
        if fail2ban.network(name) is not None:
            addresses.append(name)
            continue
        try:
            addresses += sorted({found[4][0].partition("%")[0] for found in lookup(name, None)})
        except (OSError, UnicodeError):
            unknown.append(name)
    return addresses, unknown


def parse_times(lines):
    """Return {address: when its ban ends, or C(never)} of C(get JAIL banip --with-time) (pure)."""
    found = {}
    for line in lines:
        match = _WITH_TIME.match(line)
        if match:
            address, seconds, until = match.groups()
            found[address] = "never" if int(seconds) < 0 else until
    return found


def run(params, check_mode):
    """Do what the module's options ask for and return its result, with the key C(warnings).

    Raises:
        BanError, fail2ban.ServerDown, fail2ban.Refused, DeadlineExceeded: with a message for the
        person who runs it.
    """
    params = dict(params, banned=normal(params["banned"]), unbanned=normal(params["unbanned"]))
    protected, unknown = resolve(params["protected"])
    warnings = ["%s has no address here, so it cannot be protected" % name for name in unknown]
    if check_mode and not _is_up(params["jail"]):
        # The jail is set up by what would have run before.
        todo = plan(params["banned"], params["unbanned"], [], protected)
        _refuse(params, todo)
        return _result(params, todo, [], {}, warnings)
    with fail2ban.Server(timeout=params["timeout"]) as server:
        jail = server.jail(params["jail"])
        for name in server.jails():
            protected += server.jail(name).ignored
        deadline = Deadline(params["timeout"])
        standing = _standing(jail, params["banned"], deadline)
        todo = plan(params["banned"], params["unbanned"], standing, protected)
        _refuse(params, todo)
        if not check_mode:
            _carry_out(server, jail, todo, deadline)
        times = parse_times(server.ask("get", jail.name, "banip", "--with-time"))
    return _result(params, todo, standing, times, warnings)


def _standing(jail, wanted, deadline):
    """Return what a jail bans, without those wanted ones that the firewall has lost."""
    return [
        address
        for address in jail.banned
        if address not in wanted
        or fail2ban_rules.holds(jail.actions, jail.name, address, deadline) is not False
    ]


def _refuse(params, todo):
    if todo.refused and not params["skip_protected"]:
        told = ["%s (%s)" % item for item in sorted(todo.refused.items())]
        raise BanError("nothing was changed, some must not be banned: %s" % ", ".join(told))


def _is_up(jail):
    try:
        with fail2ban.Server() as server:
            return jail in server.jails()
    except fail2ban.ServerDown:
        return False


def _result(params, todo, before, times, warnings):
    after = sorted((set(before) | set(todo.ban)) - set(todo.unban))
    header = "banned by %s" % params["jail"]
    return {
        "changed": bool(todo.ban or todo.unban),
        "banned": todo.ban,
        "unbanned": todo.unban,
        "refused": [
            {"address": address, "reason": reason}
            for address, reason in sorted(todo.refused.items())
        ],
        "bans": [{"address": address, "until": times.get(address)} for address in after],
        "diff": {
            "before_header": header,
            "after_header": header,
            "before": "".join(address + "\n" for address in sorted(before)),
            "after": "".join(address + "\n" for address in after),
        },
        "warnings": warnings
        + ["%s is not banned: %s" % item for item in sorted(todo.refused.items())],
    }


def _carry_out(server, jail, todo, deadline):
    for address in todo.ban:
        if address in jail.banned:
            # It counts it, and the firewall has lost it: only a new ban makes the rule anew.
            server.ask("set", jail.name, "unbanip", address)
        server.ask("set", jail.name, "banip", address)
    for address in todo.unban:
        server.ask("set", jail.name, "unbanip", address)
    # The server answers at once; the firewall is another thread's work.
    waiting = list(todo.ban)
    while waiting:
        banned = server.jail(jail.name).banned
        waiting = [
            address
            for address in waiting
            if address not in banned
            or fail2ban_rules.holds(jail.actions, jail.name, address, Deadline(10)) is False
        ]
        if waiting and deadline.expired():
            raise BanError(
                "fail2ban was told to, but these are not in the firewall: %s" % ", ".join(waiting)
            )
        if waiting:
            time.sleep(_POLL_SECONDS)


#: What a run may raise for a person to read.
FAILURES = (BanError, fail2ban.ServerDown, fail2ban.Refused, process.CommandMissing)
