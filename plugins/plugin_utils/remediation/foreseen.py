# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role ``remediate`` has compared on a host before the plan: a remedy that would change
nothing cannot help. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: An app that has not been restarted since its configuration was changed is helped by a restart.
_PENDING = "app.restart.pending"


def unchanged(
    findings: Iterable[Mapping[str, Any]], credentials: Any, requirements: Any
) -> dict[str, str]:
    """Return {remedy: why it would change nothing}.

    Args:
        findings: those of the host.
        credentials: the registered result of comparing the vault's credentials with those in use,
            an item for each remedy; anything else where nothing was compared.
        requirements: that of comparing the requirements with what is installed.
    """
    found: dict[str, str] = {}
    if any(item.get("id") == _PENDING for item in findings):
        return found
    for item in _items(credentials):
        keys = item.get("changed_keys")
        if isinstance(item.get("item"), str) and isinstance(keys, list) and not keys:
            found[item["item"]] = "what it would set is in use already"
    if isinstance(requirements, dict) and requirements.get("packages") == []:
        found["reinstall_requirements"] = (
            "pip would replace nothing, for all that the requirements name is installed and whole"
        )
    return found


def _items(registered: Any) -> list[dict[str, Any]]:
    items = registered.get("results") if isinstance(registered, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
