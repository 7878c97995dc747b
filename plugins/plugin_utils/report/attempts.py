# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What balancers have reached, beside what the rules of the hosts behind them say. Pure.

Rules are followed as far as they are understood; a packet that went through is a fact. One attempt
says nothing of a limit, so a finding about one stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.plugin_utils.report.targets import host_of


def heed(hosts: list[dict[str, Any]], owners: Mapping[str, str]) -> None:
    """Change what the rules of a host say of a balancer that has reached its app to ok.

    Args:
        hosts: entries with ``name``, ``addresses`` and ``findings``, which are changed.
        owners: see ``targets.owners_of``.
    """
    reached = _reached(hosts, owners)
    for host in hosts:
        for item in host["findings"]:
            if not _is_about_rules(item):
                continue
            port = str(item["evidence"]["target"]).rpartition(":")[2]
            named = item["evidence"]["kept_out"] or item["evidence"]["balancers"].values()
            names = {owners.get(addresses.same(address)) for address in named if address}
            if names and all(name in reached.get((host["name"], port), ()) for name in names):
                _correct(item, ", ".join(sorted(filter(None, names))))


def _reached(
    hosts: list[dict[str, Any]], owners: Mapping[str, str]
) -> dict[tuple[str, str], set[str]]:
    """Return {(host, port): names of the hosts whose balancer has reached it}."""
    found: dict[tuple[str, str], set[str]] = {}
    for host in hosts:
        for item in host["findings"]:
            for target in item["evidence"].get("reached") or () if _is_balancing(item) else ():
                owner = owners.get(host_of(target.strip().lower()))
                if owner is not None:
                    found.setdefault((owner, target.rpartition(":")[2]), set()).add(host["name"])
    return found


def _is_balancing(item: Mapping[str, Any]) -> bool:
    return item["id"].startswith("lb.")


def _is_about_rules(item: Mapping[str, Any]) -> bool:
    """Return whether a finding stands on rules alone, for balancers that are known."""
    code = (item.get("reason") or "").partition(":")
    if item["id"] == "lb.blocked":
        return code[0] == "rule" and "kept_out" in item["evidence"]
    return (
        item["id"] == "lb.health.unknown"
        and code[2] == "firewall.rules"
        and "kept_out" in item["evidence"]
    )


def _correct(item: dict[str, Any], names: str) -> None:
    item["evidence"] = dict(item["evidence"], rules=item["summary"])
    item.update(
        id="lb.health.ok",
        status="ok",
        reason=None,
        confidence="measured",
        summary="%s has reached the app's port, whatever the rules look like" % names,
        cause=None,
        remedy=None,
        advice=None,
    )
