# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses that findings are about, and the hosts that have them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._net import url

#: Findings about something that several hosts may share.
DEPENDENCIES = ("db.", "redis.", "zoho.", "cognee.", "lb.")


def target_of(item: Mapping[str, Any]) -> str | None:
    """Return ``host:port`` of the shared dependency a finding is about, or ``None``."""
    return shared(item["evidence"].get("target")) if item["id"].startswith(DEPENDENCIES) else None


def shared(target: Any) -> str | None:
    """Return an address as all hosts write it, or ``None`` for what only one host can mean (a
    loopback address, a socket in the file system).
    """
    if not isinstance(target, str):
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
    return url.address(host, int(port.group(1))) if port else host


def host_of(target: str) -> str:
    """Return the host of ``host:port``, ``[address]:port`` or a bare host; an address in the one
    notation that is compared.
    """
    found = addresses.known(target)
    if found is not None:
        return found
    if target.count(":") == 1:
        target = target.partition(":")[0]
    return addresses.same(target)


def owners_of(hosts: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return {address: host name}, without addresses that several hosts share.

    Args:
        hosts: entries with ``name`` and ``addresses``.
    """
    names: dict[str, set[str]] = {}
    for host in hosts:
        for address in map(addresses.same, host["addresses"]):
            names.setdefault(address, set()).add(host["name"])
    return {address: next(iter(found)) for address, found in names.items() if len(found) == 1}


def owner_of(item: Mapping[str, Any], owners: Mapping[str, str]) -> str | None:
    """Return the name of the host of the inventory that a finding's address is one of, or
    ``None``.
    """
    target = item["evidence"].get("target")
    return owners.get(host_of(target.strip().lower())) if isinstance(target, str) else None
