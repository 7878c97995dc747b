# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes that reach across hosts: a dependency that fails for most, a service that fails on its own
host. Pure.

A finding is a I(node): C((host name, index)), and C((None, index)) for a finding of the fleet.
I(links) lead from a
bad finding to the one it derives from; the end of the way is its root.
"""

from __future__ import annotations

import re
from collections import defaultdict

from ansible_collections.sergas.ops.plugins.module_utils import connection_budget
from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import STATUSES, is_bad
from ansible_collections.sergas.ops.plugins.module_utils._health import cause_rules
from ansible_collections.sergas.ops.plugins.module_utils._net import url
from ansible_collections.sergas.ops.plugins.plugin_utils.report.host import join

#: Findings about something that several hosts may share.
DEPENDENCIES = ("db.", "redis.", "zoho.", "cognee.", "lb.")
#: How many hosts the evidence of a fleet finding names.
_NAMED_HOSTS = 20

#: What explains, on the host that serves a dependency, that nobody gets an answer from there.
_SILENT = ("host.unreachable", "host.disk.readonly", "host.disk.high", "host.inodes.high")
#: What explains, on a host of the app, that its load balancer gets no good answer.
_UNHEALTHY = (
    "api.",
    "app.service.",
    "app.port.",
    "app.env.",
    "app.import.",
    "app.oom.",
    "app.crash.",
    "app.resources.",
    "lb.blocked",
    "host.unreachable",
)
_NO_ANSWER = ("db.unreachable", "redis.unreachable", "cognee.down")


def rank(status):
    """Return how bad a status is, as a number."""
    return STATUSES.index(status)


def target_of(item):
    """Return C(host:port) of the shared dependency a finding speaks of, or None.

    What only its own host can mean (a loopback address, a socket in the file system) is not shared.
    """
    target = item["evidence"].get("target")
    if not isinstance(target, str) or not item["id"].startswith(DEPENDENCIES):
        return None
    target = target.strip().lower()
    if not target or "/" in target or target.startswith("unix:"):
        return None
    host = host_of(target)
    if not host or addresses.is_loopback(host) or addresses.is_any(host):
        return None
    if addresses.known(host) is None:
        return target
    # One address in two notations is one dependency.
    port = re.search(r"(?:\]|\A[^:]+):(\d+)\Z", target)
    return url.address(host, port.group(1)) if port else host


def host_of(target):
    """Return the host of C(host:port), C([address]:port) or a bare host, an address in the one
    notation that is compared.
    """
    found = addresses.known(target)
    if found is not None:
        return found
    if target.count(":") == 1:
        target = target.partition(":")[0]
    return addresses.same(target)


def resolve(links, node):
    """Return the root of a node. In a circle that is the same one from wherever the way begins."""
    way = [node]
    seen = {node}
    while way[-1] in links:
        following = links[way[-1]]
        if following in seen:
            circle = way[way.index(following) :]
            return min(circle, key=lambda item: (item[0] is not None, item[0] or "", item[1]))
        way.append(following)
        seen.add(following)
    return way[-1]


def correlate(hosts):
    """Find the fleet's own findings and lead every bad finding to its root.

    Args:
        hosts: entries with name, addresses and findings. The findings' C(cause) and
            C(evidence.cause_host) are
            set where the cause is not on the same host.

    Returns:
        (findings of the fleet, links).
    """
    links = {}
    owners = owners_of(hosts)
    for host in hosts:
        for item, joined in zip(host["findings"], join(host["findings"]), strict=True):
            item["cause"] = joined["cause"]
        _name_account(host["findings"])
        _forget_own_faults(host, owners)
        _link_local(host, links)
    fleet = _shared_failures(hosts, links)
    _add_pools(hosts, fleet, owners, links)
    _link_servers(hosts, fleet, owners, links)
    _link_users(hosts, owners, links)
    return fleet, links


def _name_account(findings):
    """Let what a host's app says of Zoho be about the account that Zoho was asked for there."""
    accounts = {item["evidence"]["account"] for item in findings if "account" in item["evidence"]}
    if len(accounts) == 1:
        for item in findings:
            if item["id"].startswith("zoho."):
                item["evidence"] = dict({"account": min(accounts)}, **item["evidence"])


def _forget_own_faults(host, owners):
    """Drop the cause of a balancer's finding on another host's app: what is wrong here does not
    explain that one.
    """
    for item in host["findings"]:
        if item["cause"] and item["id"].startswith("lb."):
            if _owner(item, owners) not in (None, host["name"]):
                item["cause"] = None


def _link_local(host, links):
    by_id = defaultdict(list)
    for index, item in enumerate(host["findings"]):
        if is_bad(item):
            by_id[item["id"]].append(index)
    for index, item in enumerate(host["findings"]):
        # A cause that is not there, or not bad, explains nothing: the finding is a root then. One
        # of the same id is that of a module which has looked more closely.
        candidates = [other for other in by_id[item["cause"]] if other != index]
        if is_bad(item) and candidates:
            links[host["name"], index] = (host["name"], _likeliest(host, item, candidates))
            if item["id"].startswith("zoho.") and item["cause"].startswith("zoho."):
                # What mends it is said there: a token that is limited is not to be refreshed.
                item["remedy"] = None


def _likeliest(host, item, candidates):
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


def _shared_failures(hosts, links):
    users = defaultdict(set)
    failures = defaultdict(list)
    for host in hosts:
        for index, item in enumerate(host["findings"]):
            target = target_of(item)
            if target is None:
                continue
            # One server, several accounts: what one of them is refused is no matter of the others.
            place = (target, item["evidence"].get("account"))
            users[place].add(host["name"])
            if is_bad(item):
                failures[(item["id"], *place)].append((host["name"], index, item))
    fleet = []
    node_of = {}
    groups = []
    for key, members in failures.items():
        id, target, account = key
        affected = list(dict.fromkeys(name for name, _index, _item in members))
        using = len(users[target, account])
        if len(affected) >= 2 and 2 * len(affected) > using:
            node_of[key] = (None, len(fleet))
            groups.append((key, members))
            fleet.append(
                _fleet_finding(id, target, affected, using, [item for _n, _i, item in members])
            )
            if account:
                fleet[-1]["evidence"]["account"] = account
    local = dict(links)
    member_of = {(name, index): key for key, members in groups for name, index, _item in members}
    for key, members in groups:
        _link_between(key, members, local, member_of, node_of, fleet, links)
        for name, index, item in members:
            item["cause"] = fleet[node_of[key][1]]["id"]
            links[name, index] = node_of[key]
    return fleet


def _link_between(key, members, local, member_of, node_of, fleet, links):
    """Let a fleet finding derive from another one, where its members do so on most of their
    hosts.
    """
    votes = defaultdict(int)
    for name, index, _item in members:
        other = member_of.get(local.get((name, index)))
        if other is not None and other != key:
            votes[other] += 1
    if votes:
        other, count = max(votes.items(), key=lambda vote: vote[1])
        if 2 * count > len(members):
            links[node_of[key]] = node_of[other]
            fleet[node_of[key][1]]["cause"] = fleet[node_of[other][1]]["id"]


def _fleet_finding(id, target, affected, users, items):
    worst = max(items, key=lambda item: rank(item["status"]))
    evidence = {
        "target": target,
        "hosts": affected[:_NAMED_HOSTS],
        "hosts_bad": len(affected),
        "hosts_using": users,
    }
    return dict(
        worst,
        id="fleet." + id,
        summary="%s (%d of %d hosts that use %s)"
        % (
            worst["summary"],
            len(affected),
            users,
            "it" if target in worst["summary"].lower() else target,
        ),
        evidence=evidence,
        cause=None,
    )


def _add_pools(hosts, fleet, owners, links):
    """Add what all hosts of a database may open there together, where that is more than it admits.

    Then that is the root of the database's exhausted slots, and of the hosts' own findings on their
    pools.
    """
    for target, pools in sorted(_pools_by_target(hosts).items()):
        slots = _slots(target, pools, hosts, owners)
        if len(pools) < 2 or not slots:
            continue
        budget = connection_budget.budget(
            {name: numbers for name, (_index, numbers) in pools.items()}, slots
        )
        if budget["fits"]:
            continue
        node = (None, len(fleet))
        item = connection_budget.decide(budget, target)
        evidence = dict(item["evidence"], pools=item["evidence"]["hosts"])
        evidence.update(
            hosts=list(pools)[:_NAMED_HOSTS], hosts_bad=len(pools), hosts_using=len(pools)
        )
        fleet.append(dict(item, id="fleet." + item["id"], evidence=evidence))
        for (name, index), bad in _about_slots(target, pools, hosts, owners):
            bad["cause"] = fleet[node[1]]["id"]
            links[name, index] = node
        for index, other in enumerate(fleet[: node[1]]):
            if (
                other["id"] == "fleet.db.connections.exhausted"
                and other["evidence"]["target"] == target
            ):
                other["cause"] = fleet[node[1]]["id"]
                links[None, index] = node


def _pools_by_target(hosts):
    """Return {target: {host name: (index of the finding, numbers of its pools)}} of databases that
    can be shared.
    """
    found = defaultdict(dict)
    for host in hosts:
        for index, item in enumerate(host["findings"]):
            evidence = item["evidence"]
            if not item["id"].startswith("app.resources.") or not isinstance(
                evidence.get("pool_size"), int
            ):
                continue
            target = target_of({"id": "db.", "evidence": evidence})
            if target:
                numbers = {
                    name: evidence[name] for name in connection_budget.DEFAULTS if name in evidence
                }
                numbers["assumed"] = ["max_overflow"] if evidence.get("assumed_overflow") else []
                found[target][host["name"]] = (index, numbers)
    return found


def _slots(target, pools, hosts, owners):
    """Return how many slots a database has, as its own host or one of its users has seen it; None
    for nobody.
    """
    seen = []
    for host in hosts:
        own = owners.get(host_of(target)) == host["name"]
        for index, item in enumerate(host["findings"]):
            slots = item["evidence"].get("slots")
            if not isinstance(slots, int) or slots < 1:
                continue
            if own and item["id"].startswith("db.connections."):
                return slots
            if pools.get(host["name"], (None,))[0] == index:
                seen.append(slots)
    return max(seen, default=None)


def _about_slots(target, pools, hosts, owners):
    """Yield (node, finding) of what a database's slots being too few explains."""
    for host in hosts:
        own = owners.get(host_of(target)) == host["name"]
        for index, item in enumerate(host["findings"]):
            if not is_bad(item):
                continue
            of_pool = (
                item["id"] == "app.resources.exhausted"
                and pools.get(host["name"], (None,))[0] == index
            )
            about = own or item["evidence"].get("target") == target
            if of_pool or (
                item["id"] == "db.connections.exhausted" and about and not item["cause"]
            ):
                yield (host["name"], index), item


def _link_servers(hosts, fleet, owners, links):
    """Lead a dependency's finding to what is wrong on the host of this inventory that serves it."""
    by_name = {host["name"]: host for host in hosts}
    nodes = [((None, index), item) for index, item in enumerate(fleet)]
    nodes += [
        ((host["name"], index), item)
        for host in hosts
        for index, item in enumerate(host["findings"])
        if is_bad(item) and target_of(item)
    ]
    for node, item in nodes:
        if node in links:
            continue
        owner = _owner(item, owners)
        if owner is None or owner == node[0]:
            continue
        root = _explanation(item["id"].replace("fleet.", "", 1), node, by_name[owner], links)
        if root is not None:
            links[node] = root
            explaining = (
                fleet[root[1]] if root[0] is None else by_name[root[0]]["findings"][root[1]]
            )
            item["cause"] = explaining["id"]
            if root[0] is not None:
                item["evidence"] = dict(item["evidence"], cause_host=root[0])


def _link_users(hosts, owners, links):
    """Lead what an app suffers to what is wrong within its database, where that is on another host.

    An app that waits for a database need not say so: what explains it on one host explains it
    across two.
    """
    by_name = {host["name"]: host for host in hosts}
    for host in hosts:
        servers = {
            owners.get(host_of(target))
            for target in map(target_of, host["findings"])
            if target is not None
        } - {None, host["name"]}
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
                node = next(node for node, other in theirs if other["id"] == cause)
                links[host["name"], index] = node
                item["cause"] = cause
                item["evidence"] = dict(item["evidence"], cause_host=node[0])


def owners_of(hosts):
    """Return {address: host name}; an address that several hosts share says nothing and is left
    out.
    """
    owners = {}
    for host in hosts:
        for address in map(addresses.same, host["addresses"]):
            owners[address] = (
                None if owners.get(address, host["name"]) != host["name"] else host["name"]
            )
    return {address: name for address, name in owners.items() if name is not None}


def _owner(item, owners):
    """Return the name of the host of this inventory that a dependency's finding speaks of, or
    None.
    """
    target = item["evidence"].get("target")
    return owners.get(host_of(target.strip().lower())) if isinstance(target, str) else None


def _explanation(id, node, owner, links):
    """Return the root on owner that explains a finding with this id at its address, or None."""
    best = None
    for index, item in enumerate(owner["findings"]):
        if not is_bad(item) or not _explains(item, id):
            continue
        root = resolve(links, (owner["name"], index))
        if root != node and (best is None or rank(item["status"]) > best[0]):
            best = (rank(item["status"]), root)
    return best[1] if best else None


def _explains(item, id):
    """Return whether a bad finding of the serving host explains that others have a finding with
    this id.
    """
    if id == "lb.blocked":
        # A firewall is a fault of its own, whatever else is wrong with the app behind it.
        return item["id"] in ("lb.blocked", "host.unreachable")
    if id.startswith("lb."):
        return item["id"].startswith(_UNHEALTHY)
    if item["id"] == id:
        return True
    return id in _NO_ANSWER and item["id"] in _SILENT and item["status"] == "fail"
