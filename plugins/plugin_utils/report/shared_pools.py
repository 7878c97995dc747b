# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools of several hosts that fit their database one by one and not together. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.sergas.ops.plugins.module_utils._core import causes
from ansible_collections.sergas.ops.plugins.module_utils._core.causes import Rule
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad
from ansible_collections.sergas.ops.plugins.plugin_utils import pools
from ansible_collections.sergas.ops.plugins.plugin_utils.report.targets import host_of, shared

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

#: The finding of the fleet, and how many hosts its evidence names.
OVERCOMMITTED = "fleet.db.pools.overcommitted"
_NAMED_HOSTS = 20


def _has_pool_there(item: Finding, other: Finding) -> bool:
    return _pool_target(item) == other["evidence"]["target"]


def _is_unexplained(item: Finding, _other: Finding) -> bool:
    return not item["cause"]


#: What derives from a finding of ``overcommitted`` about its database.
RULES = causes.by_effect(
    Rule("app.pool.exhausted", (OVERCOMMITTED,), _has_pool_there),
    Rule("db.connections.exhausted", (OVERCOMMITTED,), _is_unexplained),
    Rule("fleet.db.connections.exhausted", (OVERCOMMITTED,)),
)


def overcommitted(hosts: list[dict[str, Any]], owners: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a finding of the fleet for each database on which all hosts together may open more
    connections than it has.
    """
    for target, found in sorted(_pools_by_target(hosts).items()):
        slots = _slots(target, found, hosts, owners)
        if len(found) < 2 or not slots:
            continue
        budget = pools.budget({name: numbers for name, (_index, numbers) in found.items()}, slots)
        if budget["fits"]:
            continue
        item = pools.decide(budget, target)
        evidence = dict(
            item["evidence"],
            pools=item["evidence"]["hosts"],
            hosts=list(found)[:_NAMED_HOSTS],
            hosts_bad=len(found),
            hosts_using=len(found),
        )
        yield {**item, "id": OVERCOMMITTED, "evidence": evidence}


def derived(
    item: Finding,
    hosts: list[dict[str, Any]],
    fleet: list[Finding],
    owners: Mapping[str, str],
) -> Iterator[tuple[tuple[str | None, int], Finding]]:
    """Yield (node, finding) of what derives from a finding of ``overcommitted``."""
    for node, other in _about(item["evidence"]["target"], hosts, fleet, owners):
        if any(causes.explanations(causes.rules_for(other["id"], RULES), other, [item])):
            yield node, other


def _about(
    target: str,
    hosts: list[dict[str, Any]],
    fleet: list[Finding],
    owners: Mapping[str, str],
) -> Iterator[tuple[tuple[str | None, int], Finding]]:
    """Yield (node, finding) of what is bad on a database's own host, or about its address."""
    owner = owners.get(host_of(target))
    for host in hosts:
        for index, item in enumerate(host["findings"]):
            if is_bad(item):
                if host["name"] == owner or shared(item["evidence"].get("target")) == target:
                    yield (host["name"], index), item
    for index, item in enumerate(fleet):
        if item["evidence"].get("target") == target:
            yield (None, index), item


def _pools_by_target(
    hosts: list[dict[str, Any]],
) -> dict[str, dict[str, tuple[int, dict[str, Any]]]]:
    """Return {target: {host name: (index of the finding, numbers of its pools)}} of databases that
    can be shared.
    """
    found: dict[str, dict[str, tuple[int, dict[str, Any]]]] = defaultdict(dict)
    for host in hosts:
        for index, item in enumerate(host["findings"]):
            target = _pool_target(item)
            if target:
                evidence = item["evidence"]
                numbers = {name: evidence[name] for name in pools.DEFAULTS if name in evidence}
                numbers["assumed"] = ["max_overflow"] if evidence.get("assumed_overflow") else []
                found[target][host["name"]] = (index, numbers)
    return found


def _pool_target(item: Finding) -> str | None:
    """Return the shared database that a finding on the app's pool is about, or ``None``."""
    evidence = item["evidence"]
    sized = item["id"].startswith("app.pool.") and isinstance(evidence.get("pool_size"), int)
    return shared(evidence.get("target")) if sized else None


def _slots(
    target: str,
    found: dict[str, tuple[int, dict[str, Any]]],
    hosts: list[dict[str, Any]],
    owners: Mapping[str, str],
) -> int | None:
    """Return how many slots a database has by its own host, else by one of its users; ``None``
    where none has seen it.
    """
    owner = owners.get(host_of(target))
    seen = []
    for host in hosts:
        for index, item in enumerate(host["findings"]):
            slots = item["evidence"].get("slots")
            if not isinstance(slots, int) or slots < 1:
                continue
            if host["name"] == owner and item["id"].startswith("db.connections."):
                return slots
            if found.get(host["name"], (None,))[0] == index:
                seen.append(slots)
    return max(seen, default=None)
