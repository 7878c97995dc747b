# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bans addresses by hand and unbans them, never one of our own."""

from __future__ import annotations

import re
import socket
import time
from typing import Dict, List, NamedTuple

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, errors, process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import client, rules
from ansible_collections.sergas.ops.plugins.module_utils._host import ufw

_POLL_SECONDS = 0.2
#: How long fail2ban's own action may take to remove one rule of ufw.
_UFW_SECONDS = 3
_WITH_TIME = re.compile(r"(\S+)\s+\S+ \S+ \+ (-?\d+) = (\S+ \S+)")


class BanError(OperationError):
    """It cannot be done; the message says why."""


class Plan(NamedTuple):
    """What is to be done (plain data)."""

    ban: List[str]
    unban: List[str]
    #: {address: why it must not be banned}
    refused: Dict[str, str]


def normal(option, texts):
    """Return {address as the packet filter sees it: the first text that names it} (pure).

    An IPv4-mapped address is the IPv4 address that the client's packets come from.

    Args:
        option: the module's option that has the texts, for the message.
        texts: addresses in any notation.

    Raises:
        addresses.AddressError: for what is no address; a network is none.
    """
    found: Dict[str, str] = {}
    for text in texts:
        found.setdefault(addresses.option(option, text, "one IPv4 or IPv6 address"), text)
    return found


def plan(wanted, unwanted, banned, protected, denied=()):
    """Return the ``Plan`` for some addresses (pure).

    Args:
        wanted: addresses to ban, as ``normal`` returns them, or a list of such addresses.
        unwanted: those to unban.
        banned: those that are banned now.
        protected: addresses and networks that must not be, in any notation.
        denied: those that ufw denies for the jail; a jail that has lost a ban leaves it there.
    """
    refused, ban = {}, []
    for text in wanted:
        reason = _protection(text, protected)
        if reason:
            given = wanted[text] if isinstance(wanted, dict) else text
            refused[text] = reason if given == text else "%s, given as %s" % (reason, given)
        elif text not in banned and text not in ban:
            ban.append(text)
    there = {*banned, *denied}
    return Plan(ban, [text for text in unwanted if text in there and text not in wanted], refused)


def _protection(text, protected):
    if addresses.is_no_client(text):
        return "no client outside has it"
    by = addresses.covering(protected, text)
    if by:
        return "it is protected" if addresses.same(by) == text else "it is protected by %s" % by
    return None


def resolve(names, lookup=socket.getaddrinfo, option="protected"):
    """Return (addresses, unknown): names replaced by their addresses, and those that have none.

    Args:
        names: addresses and networks in any notation, and names of hosts.
        lookup: of a name, as socket.getaddrinfo.
        option: the module's option that has them, for the message.

    Raises:
        addresses.AddressError: one of them is none of these. An address in a bad form is not
            looked up: some resolvers take 192.0.2.07 for an address, each for another one.
    """
    checked = [addresses.option_or_name(option, name) for name in names]
    resolved, unknown = [], []
    for name in checked:
        if addresses.known(name) is not None:
            resolved.append(name)
            continue
        try:
            resolved += sorted({addresses.same(found[4][0]) for found in lookup(name, None)})
        except (OSError, UnicodeError):
            unknown.append(name)
    return resolved, unknown


def parse_times(lines):
    """Return {address: end of its ban, or ``never``} of ``get JAIL banip --with-time`` (pure)."""
    found = {}
    for line in lines:
        match = _WITH_TIME.match(line)
        if match:
            address, seconds, until = match.groups()
            found[addresses.same(address)] = "never" if int(seconds) < 0 else until
    return found


@errors.reported()
def run(params, check_mode):
    """Do what the module's options say and return its result, with the key ``warnings``.

    Raises:
        BanError, addresses.AddressError, fail2ban.ServerDown, fail2ban.Refused, DeadlineExceeded:
            with a message for the person who runs it.
    """
    params = dict(params, **{name: normal(name, params[name]) for name in ("banned", "unbanned")})
    protected, unknown = resolve(params["protected"])
    warnings = ["%s has no address here, so it cannot be protected" % name for name in unknown]
    if check_mode and not _is_up(params["jail"]):
        # The jail is set up by what would have run before.
        todo = plan(params["banned"], params["unbanned"], [], protected)
        _refuse(params, todo)
        return _result(params, todo, [], {}, warnings)
    with client.Server(timeout=params["timeout"]) as server:
        jail = server.jail(params["jail"])
        for name in server.jails():
            protected += server.jail(name).ignored
        deadline = Deadline(params["timeout"])
        standing = _standing(jail, params["banned"], deadline)
        denied, others = _in_ufw(jail.name)
        todo = plan(params["banned"], params["unbanned"], standing, protected, denied)
        _refuse(params, todo)
        if not check_mode:
            _carry_out(server, jail, todo, deadline)
            _clear_ufw(jail.name, todo.unban, deadline)
        times = parse_times(server.query("get", jail.name, "banip", "--with-time"))
    warnings += [
        "%s stays denied by another rule of ufw, from %s" % (address, by)
        for address in params["unbanned"]
        for by in [addresses.covering(others, address)]
        if by
    ]
    return _result(params, todo, {*standing, *todo.unban}, times, warnings)


def _in_ufw(jail):
    """Return (addresses that ufw denies for a jail, what its other rules deny)."""
    of_jails, others = rules.denied_by_ufw(ufw.read_state().rules)
    return of_jails.get(jail, []), [text for text in others if addresses.known(text)]


def _clear_ufw(jail, unbanned, deadline):
    """Remove the rules of ufw that are left for addresses that are not banned any more.

    Raises:
        BanError: some are still there.
    """
    if not unbanned:
        return
    # The jail's own action removes them, which takes about a second for each.
    own = deadline.within(_UFW_SECONDS * len(unbanned))
    while True:
        left = [address for address in _in_ufw(jail)[0] if address in unbanned]
        if not left or own.expired():
            break
        time.sleep(_POLL_SECONDS)
    for address in left:
        process.run(["ufw", "delete", "deny", "from", address], deadline)
    left = [address for address in _in_ufw(jail)[0] if address in left]
    if left:
        raise BanError("fail2ban has unbanned them, and ufw still denies: %s" % ", ".join(left))


def _standing(jail, wanted, deadline):
    """Return what a jail bans, without those wanted ones that the firewall has lost."""
    return [
        address
        for address in jail.banned
        if address not in wanted
        or rules.holds(jail.actions, jail.name, address, deadline) is not False
    ]


def _refuse(params, todo):
    if todo.refused and not params["skip_protected"]:
        listed = ["%s (%s)" % item for item in sorted(todo.refused.items())]
        raise BanError("nothing was changed, some must not be banned: %s" % ", ".join(listed))


def _is_up(jail):
    try:
        with client.Server() as server:
            return jail in server.jails()
    except client.ServerDown:
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
            server.query("set", jail.name, "unbanip", address)
        server.query("set", jail.name, "banip", address)
    for address in set(todo.unban).intersection(jail.banned):
        server.query("set", jail.name, "unbanip", address)
    # The server answers at once; the firewall is another thread's work.
    waiting = list(todo.ban)
    while waiting:
        banned = server.jail(jail.name).banned
        waiting = [
            address
            for address in waiting
            if address not in banned
            or rules.holds(jail.actions, jail.name, address, Deadline(10)) is False
        ]
        if waiting and deadline.expired():
            raise BanError(
                "fail2ban has the bans, but these are not in the firewall: %s" % ", ".join(waiting)
            )
        if waiting:
            time.sleep(_POLL_SECONDS)
