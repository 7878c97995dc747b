# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts a run is about, by the groups and the patterns of the inventory. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

#: The groups that say what a host has, each with other names for the same.
GROUPS = {
    "sergas_app": ("application", "api", "web"),
    "sergas_postgresql": ("postgres", "pg", "database", "databases", "db"),
    "sergas_redis": ("cache",),
    "sergas_cognee": (),
    "sergas_lb": ("balancer", "balancers", "loadbalancer", "load_balancer", "haproxy"),
    "sergas_firewall": ("ufw",),
    "sergas_fail2ban": ("f2b",),
}
#: {part of a run: (variable with its pattern, its groups; no groups: all hosts)}.
PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "health": ("sergas_hosts", ()),
    "postgresql": ("sergas_postgresql_hosts", ("sergas_postgresql",)),
    "zoho": ("sergas_zoho_hosts", ("sergas_app",)),
    "cognee": ("sergas_cognee_hosts", ("sergas_cognee",)),
    "security": ("sergas_security_hosts", ("sergas_firewall", "sergas_fail2ban")),
}


class Playbook(NamedTuple):
    """What a playbook is about.

    Attributes:
        parts: of ``PARTS``, the first one is what it cannot do without.
        reports: whether it ends with a report, and is refused therefore where there is no host.
        tags: those that select tasks of it.
    """

    parts: tuple[str, ...]
    reports: bool = False
    tags: tuple[str, ...] = ()


PLAYBOOKS = {
    "diagnose": Playbook(tuple(PARTS), reports=True),
    "fix": Playbook(tuple(PARTS), reports=True),
    "harden": Playbook(("health",), tags=("firewall", "fail2ban", "keys")),
    "cognee": Playbook(("cognee",)),
    "maintain_postgresql": Playbook(("postgresql",)),
    "tune_postgresql": Playbook(("postgresql",)),
    "zoho": Playbook(("zoho",)),
}
#: Connections over which a module would run on the controller instead of the host.
DEVICE_CONNECTIONS = ("network_cli", "httpapi", "netconf", "grpc", "libssh")


def near(name: str, known: Collection[str]) -> str | None:
    """Return which of the known names one is likely meant to be, or None.

    All of them begin with ``sergas_``; what follows is compared.
    """
    match = re.match(r"sergas[_-]?(.+)", name, re.IGNORECASE)
    if not match:
        return None
    rest = re.sub(r"\W", "_", match.group(1).lower())
    rests = {item.removeprefix("sergas_"): item for item in known}
    found = difflib.get_close_matches(rest, sorted(rests), 1, 0.8)
    return rests[found[0]] if found else None


def misnamed_groups(groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return {group of the inventory: the group of ours that it is likely meant to be}.

    Args:
        groups: {name: its hosts}. One whose hosts are all in the group that it resembles, such as a
            child of that group, is meant as it is.
    """
    aliases = {"sergas_" + alias: name for name, others in GROUPS.items() for alias in others}
    found = {}
    for group, hosts in groups.items():
        if group in GROUPS:
            continue
        close = near(group, [*GROUPS, *aliases])
        meant = aliases.get(close, close) if close else None
        if meant and not set(hosts) <= set(groups.get(meant, ())):
            found[group] = meant
    return found


def device(connection: Any, network_os: Any) -> str | None:
    """Return why a host is a network device by its variables, or None.

    Args:
        connection: its ``ansible_connection``, or None.
        network_os: its ``ansible_network_os``, or None.
    """
    short = str(connection or "").rpartition(".")[2]
    if short in DEVICE_CONNECTIONS:
        reason = "ansible_connection is %s" % connection
    elif short == "local" and network_os:
        reason = "ansible_network_os is %s, and ansible_connection is local" % network_os
    else:
        return None
    return (
        "it is a network device (%s): a module for it runs on the controller, and would report that"
        " machine instead" % reason
    )


def nothing_matches(
    variable: str, pattern: Any, groups: Mapping[str, Sequence[str]], limit: str | None
) -> str:
    """Return the sentence on a pattern that matches no host of a run.

    Args:
        variable: that holds the pattern.
        pattern: a text or a list of texts.
        groups: {name: its hosts}, with the group ``all``.
        limit: the pattern of ``--limit``, or None.
    """
    shown = "%s: %r" % (variable, pattern)
    words = _words(pattern)
    names = [*groups, *groups["all"]]
    unknown = unknown_words(pattern, groups)
    for word in unknown:
        close = difflib.get_close_matches(word, names, 1, 0.6)
        if close:
            return "%s matches no host of the inventory, did you mean %s?" % (shown, close[0])
    empty = [word for word in words if word in groups and not groups[word]]
    if empty:
        return "%s matches no host, for the group %s is empty" % (shown, empty[0])
    if limit and not unknown:
        return "%s matches no host within --limit %s" % (shown, limit)
    return "%s matches none of the %d hosts of the inventory" % (shown, len(groups["all"]))


def unknown_words(pattern: Any, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names in a pattern that are neither a group nor a host of the inventory.

    Args:
        pattern: a text or a list of texts.
        groups: {name: its hosts}, with the group ``all``.
    """
    return [
        word
        for word in _words(pattern)
        if word not in groups and word not in groups["all"] and not re.search(r"[*?\[~]", word)
    ]


def _words(pattern: Any) -> list[str]:
    texts = pattern if isinstance(pattern, list) else [pattern]
    return [word for text in texts for word in re.split(r"[,:&!]+", str(text)) if word]


def runs_with(tags: Iterable[str], only: Collection[str], skip: Collection[str]) -> bool:
    """Return whether ``--tags`` and ``--skip-tags`` leave what has these tags in a run."""
    own = set(tags)
    chosen = (
        not only
        or "all" in only
        or bool(own & set(only))
        or ("tagged" if own else "untagged") in only
    )
    left_out = "all" in skip or own & set(skip) or ("tagged" if own else "untagged") in skip
    return chosen and not left_out


def single(variable: str, values: Mapping[str, Any]) -> Any:
    """Return the value that a variable has for the whole run, or None.

    Args:
        variable: its name.
        values: {host: value} of the hosts that have it.

    Raises:
        ValueError: hosts have different values.
    """
    found: dict[str, tuple[str, Any]] = {}
    for host, value in values.items():
        found.setdefault(repr(value), (host, value))
    if len(found) > 1:
        shown = ", ".join("%r on %s" % (value, host) for host, value in list(found.values())[:3])
        raise ValueError(
            "%s: it holds for the whole run and must be the same for all hosts, but it is %s"
            % (variable, shown)
        )
    return next(iter(found.values()))[1] if found else None


def found(hostvars: Any, variable: str | None) -> dict[str, Any] | None:
    """Return what the module ``run_scope`` has registered, None where no variable is given.

    Args:
        hostvars: Ansible's.
        variable: its name.

    Raises:
        ValueError: it has not run, so the run was begun in the middle.
    """
    scope = registered(hostvars, variable, "not_diagnosed") if variable else None
    if variable and scope is None:
        raise ValueError(
            "the first tasks of this playbook have not run (--start-at-task, --step or --skip-tags"
            " left them out), so nothing can be said of all hosts. Start it from its beginning:"
            " sergas_checks selects what is checked, --limit selects the hosts"
        )
    return scope


def registered(hostvars: Any, variable: str, key: str) -> dict[str, Any] | None:
    """Return what a task has registered for all of its hosts, from the first host that has it.

    Args:
        hostvars: Ansible's.
        variable: its name.
        key: one that the result of a task that has succeeded has.
    """
    for name in hostvars:
        found = hostvars.raw_get(name).get(variable)
        if isinstance(found, dict) and key in found:
            return found
    return None
