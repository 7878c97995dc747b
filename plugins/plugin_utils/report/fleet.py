# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes that reach across hosts: a dependency that fails for most, a service that fails on its own
host. Pure.

A finding is a *node*: ``(host name, index)``, and ``(None, index)`` for a finding of the fleet.
*Links* lead from a bad finding to the one it derives from; the end of such a chain is its root.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.sergas.ops.plugins.module_utils._core import causes
from ansible_collections.sergas.ops.plugins.module_utils._core.causes import Rule
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import STATUSES, is_bad
from ansible_collections.sergas.ops.plugins.module_utils._health import cause_rules
from ansible_collections.sergas.ops.plugins.plugin_utils.report import attempts, shared_pools
from ansible_collections.sergas.ops.plugins.plugin_utils.report.host import answer_once, join
from ansible_collections.sergas.ops.plugins.plugin_utils.report.targets import (
    host_of,
    owner_of,
    owners_of,
    target_of,
)

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

Host = dict[str, Any]
Node = tuple[str | None, int]
Links = dict[Node, Node]

#: How many hosts the evidence of a fleet finding names.
_NAMED_HOSTS = 20


def _fails(_item: Finding, other: Finding) -> bool:
    return other["status"] == "fail"


def _host_id(item: Finding) -> str:
    """Return the id that a finding, or those of hosts that it stands for, has on a host."""
    return item["id"].removeprefix("fleet.")


def _same(item: Finding, _findings: list[Finding]) -> tuple[str, ...]:
    """Select the same finding of the host that serves it, also where it is unknown there."""
    return (_host_id(item),)


#: A full or unwritable disk, or a host that is down, keeps a service from answering.
_SILENT = ("host.unreachable", "host.disk.readonly", "host.disk.high", "host.inodes.high")
#: What explains a finding about an address on the host that has that address.
RULES = causes.by_effect(
    Rule("db.", ("db.",), select=_same),
    Rule("db.unreachable", ("db.unreachable",)),
    Rule("db.unreachable", _SILENT, _fails),
    Rule("redis.", ("redis.",), select=_same),
    Rule("redis.unreachable", ("redis.unreachable",)),
    Rule("redis.unreachable", _SILENT, _fails),
    Rule("zoho.", ("zoho.",), select=_same),
    Rule("cognee.", ("cognee.",), select=_same),
    Rule("cognee.down", ("cognee.down",)),
    Rule("cognee.down", _SILENT, _fails),
    Rule(
        "lb.",
        (
            "api.",
            "app.service.",
            "app.port.",
            "app.env.",
            "app.import.",
            "app.oom.",
            "app.crash.",
            "app.files.",
            "app.tasks.",
            "app.pool.",
            "lb.blocked",
            "host.unreachable",
        ),
    ),
    Rule(
        "lb.requests.failing",
        (
            "app.service.",
            "app.port.",
            "api.health.unreachable",
            "app.exceptions",
            "app.errors.",
            "host.unreachable",
        ),
    ),
    Rule(
        "lb.blocked",
        ("lb.blocked", "host.unreachable"),
        why="a firewall is a separate fault, whatever else is wrong with the app behind it",
    ),
)


def rank(status: str) -> int:
    """Return how bad a status is, as a number."""
    return STATUSES.index(status)


def resolve(links: Mapping[Node, Node], node: Node) -> Node:
    """Return the root of a node; in a circle the same one from wherever the chain begins."""
    chain = [node]
    seen = {node}
    while chain[-1] in links:
        following = links[chain[-1]]
        if following in seen:
            circle = chain[chain.index(following) :]
            return min(circle, key=lambda item: (item[0] is not None, item[0] or "", item[1]))
        chain.append(following)
        seen.add(following)
    return chain[-1]


def correlate(hosts: list[Host]) -> tuple[list[Finding], Links]:
    """Find the fleet's own findings and lead every bad finding to its root.

    Args:
        hosts: entries with ``name``, ``addresses`` and ``findings``. The findings' ``cause`` and
            ``evidence.cause_host`` are set where the cause is not on the same host.

    Returns:
        (findings of the fleet, links).
    """
    links: Links = {}
    owners = owners_of(hosts)
    attempts.heed(hosts, owners)
    for host in hosts:
        for item, joined in zip(host["findings"], join(host["findings"]), strict=True):
            item["cause"] = joined["cause"]
        answer_once(host["findings"])
        _name_account(host["findings"])
        _drop_own_causes(host, owners)
        _link_local(host, links)
    fleet = _shared_failures(hosts, links)
    for item in shared_pools.overcommitted(hosts, owners):
        for node, other in shared_pools.derived(item, hosts, fleet, owners):
            _derive(links, node, other, (None, len(fleet)), item)
        fleet.append(item)
    _link_servers(hosts, fleet, owners, links)
    _link_users(hosts, owners, links)
    return fleet, links


def _derive(links: Links, node: Node, item: Finding, root: Node, cause: Finding) -> None:
    """Link a finding to the one it derives from, and name that one in it."""
    links[node] = root
    item["cause"] = cause["id"]
    if root[0] is not None:
        item["evidence"] = dict(item["evidence"], cause_host=root[0])


def _name_account(findings: Iterable[Finding]) -> None:
    """Add the account that was checked with Zoho on a host to what its app reports of Zoho."""
    accounts = {item["evidence"]["account"] for item in findings if "account" in item["evidence"]}
    if len(accounts) == 1:
        for item in findings:
            if item["id"].startswith("zoho."):
                item["evidence"] = dict({"account": min(accounts)}, **item["evidence"])


def _drop_own_causes(host: Host, owners: Mapping[str, str]) -> None:
    """Drop the cause of a balancer's finding on another host's app: a fault of this host does not
    explain that one.
    """
    for item in host["findings"]:
        if item["cause"] and item["id"].startswith("lb."):
            if owner_of(item, owners) not in (None, host["name"]):
                item["cause"] = None


def _link_local(host: Host, links: Links) -> None:
    by_id = defaultdict(list)
    for index, item in enumerate(host["findings"]):
        if is_bad(item):
            by_id[item["id"]].append(index)
    for index, item in enumerate(host["findings"]):
        # A cause that is not there, or not bad, explains nothing: the finding is a root then. One
        # of the same id is that of a module which has inspected it more closely.
        candidates = [other for other in by_id[item["cause"]] if other != index]
        if is_bad(item) and candidates:
            links[host["name"], index] = (host["name"], _likeliest(host, item, candidates))
            if item["id"].startswith("zoho.") and item["cause"].startswith("zoho."):
                # That finding has the remedy: a token that is limited is not to be refreshed.
                item["remedy"] = None


def _likeliest(host: Host, item: Finding, candidates: list[int]) -> int:
    """Return which of several findings of one id explains another: the one of the same target, else
    the worst.
    """
    findings = host["findings"]
    target = item["evidence"].get("target")
    return max(
        candidates,
        key=lambda index: (
            target is not None and findings[index]["evidence"].get("target") == target,
            rank(findings[index]["status"]),
            -index,
        ),
    )


#: What one finding of the fleet stands for: (id, reason, target, account).
_Key = tuple[str, str | None, str, Any]


def _shared_failures(hosts: list[Host], links: Links) -> list[Finding]:
    """Return a finding of the fleet for each dependency that is bad on most hosts that use it."""
    users = defaultdict(set)
    failures = defaultdict(list)
    for host in hosts:
        for index, item in enumerate(host["findings"]):
            target = target_of(item)
            if target is None:
                continue
            # One server, several accounts: a refusal of one of them does not concern the others.
            account = item["evidence"].get("account")
            users[target, account].add(host["name"])
            if is_bad(item):
                key = (item["id"], item["reason"], target, account)
                failures[key].append(((host["name"], index), item))
    fleet: list[Finding] = []
    groups: dict[_Key, Node] = {}
    for key, members in failures.items():
        affected = list(dict.fromkeys(node[0] for node, _item in members))
        using = len(users[key[2:]])
        if len(affected) >= 2 and 2 * len(affected) > using:
            groups[key] = (None, len(fleet))
            fleet.append(_fleet_finding(key, affected, using, [item for _node, item in members]))
    local = dict(links)
    group_of = {node: key for key in groups for node, _item in failures[key]}
    for key, root in groups.items():
        _link_between(key, failures[key], local, group_of, groups, fleet, links)
        for node, item in failures[key]:
            _derive(links, node, item, root, fleet[root[1]])
    return fleet


def _link_between(
    key: _Key,
    members: list[tuple[Node, Finding]],
    local: Links,
    group_of: Mapping[Node, _Key],
    groups: Mapping[_Key, Node],
    fleet: list[Finding],
    links: Links,
) -> None:
    """Derive a fleet finding from another one, where its members do so on most of their hosts."""
    votes: dict[_Key, int] = defaultdict(int)
    for node, _item in members:
        cause = local.get(node)
        other = group_of.get(cause) if cause else None
        if other is not None and other != key:
            votes[other] += 1
    if votes:
        other, count = max(votes.items(), key=lambda vote: vote[1])
        if 2 * count > len(members):
            root = groups[other]
            _derive(links, groups[key], fleet[groups[key][1]], root, fleet[root[1]])


def _fleet_finding(key: _Key, affected: list[str], users: int, items: list[Finding]) -> Finding:
    id, _reason, target, account = key
    worst = max(items, key=lambda item: rank(item["status"]))
    evidence = {
        "target": target,
        "hosts": affected[:_NAMED_HOSTS],
        "hosts_bad": len(affected),
        "hosts_using": users,
    }
    if account:
        evidence["account"] = account
    return {
        **worst,
        "id": "fleet." + id,
        "summary": "%s (%d of %d hosts that use %s)"
        % (
            worst["summary"],
            len(affected),
            users,
            "it" if target in worst["summary"].lower() else target,
        ),
        "evidence": evidence,
        "cause": None,
    }


def _link_servers(
    hosts: list[Host], fleet: list[Finding], owners: Mapping[str, str], links: Links
) -> None:
    """Lead a dependency's finding to what is wrong on the host of this inventory that serves it."""
    by_name = {host["name"]: host for host in hosts}
    nodes: list[tuple[Node, Finding]] = [((None, index), item) for index, item in enumerate(fleet)]
    nodes += [
        ((host["name"], index), item)
        for host in hosts
        for index, item in enumerate(host["findings"])
        if is_bad(item) and target_of(item)
    ]
    for node, item in nodes:
        owner = owner_of(item, owners)
        if node in links or owner is None or owner == node[0]:
            continue
        root = _explanation(node, item, by_name[owner], links)
        if root is not None:
            name, index = root
            cause = fleet[index] if name is None else by_name[name]["findings"][index]
            _derive(links, node, item, root, cause)


def _explanation(node: Node, item: Finding, owner: Host, links: Links) -> Node | None:
    """Return the root of the worst finding on ``owner`` that explains one at its address."""
    best = None
    rules = causes.rules_for(_host_id(item), RULES)
    for index, other in enumerate(owner["findings"]):
        if not is_bad(other) or not any(causes.explanations(rules, item, [other])):
            continue
        root = resolve(links, (owner["name"], index))
        if root != node and (best is None or rank(other["status"]) > best[0]):
            best = (rank(other["status"]), root)
    return best[1] if best else None


def _link_users(hosts: list[Host], owners: Mapping[str, str], links: Links) -> None:
    """Lead what is wrong with an app to what is wrong within its database on another host.

    An app that waits for a database need not say so: what explains it on one host explains it
    across two.
    """
    by_name = {host["name"]: host for host in hosts}
    for host in hosts:
        used = [target for target in map(target_of, host["findings"]) if target is not None]
        servers = {owners[name] for name in map(host_of, used) if name in owners} - {host["name"]}
        theirs = [
            ((name, index), item)
            for name in sorted(servers)
            for index, item in enumerate(by_name[name]["findings"])
            if item["component"] == "database" and is_bad(item)
        ]
        for index, item in enumerate(host["findings"]):
            if item["component"] not in ("app", "api") or not is_bad(item) or item["cause"]:
                continue
            cause = cause_rules.derive([item] + [other for _node, other in theirs])[0]["cause"]
            if cause:
                root, other = next(pair for pair in theirs if pair[1]["id"] == cause)
                _derive(links, (host["name"], index), item, root, other)
