# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role ``remediate`` has compared on a host before the plan: a remedy that would change
nothing cannot help. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact

_IN_USE = (
    "what it would set is in use already",
    "what the inventory has is refused, too: correct it there, or have the service accept it",
)
_BY_HAND = "stop a client that has many sessions, which ends them; then run this again"
_INSTALLED = (
    "pip would replace nothing, for all that the requirements name is installed and whole",
    "deploy a release whose code and requirements belong together, or pin what has changed",
)
#: An app that has not been restarted since its configuration was changed is helped by a restart.
_PENDING = "app.restart.pending"


def unchanged(
    findings: Iterable[Mapping[str, Any]], credentials: Any, requirements: Any, sessions: Any
) -> dict[str, tuple[str, str]]:
    """Return {remedy: (why it would change nothing, what a person would do)}.

    Args:
        findings: those of the host.
        credentials: the registered result of comparing the vault's credentials with those in use,
            an item for each remedy; anything else where nothing was compared.
        requirements: that of comparing the requirements with what is installed.
        sessions: that of counting the sessions of a database that may be ended, an item for each
            remedy.
    """
    found: dict[str, tuple[str, str]] = {}
    pending = any(item.get("id") == _PENDING and item.get("status") != "ok" for item in findings)
    for item in _items(credentials) if not pending else ():
        keys = item.get("changed_keys")
        if isinstance(item.get("item"), str) and isinstance(keys, list) and not keys:
            found[item["item"]] = _IN_USE
    if isinstance(requirements, dict) and requirements.get("packages") == []:
        found["reinstall_requirements"] = _INSTALLED
    for item in _items(sessions):
        remedy = item["item"].get("remedy") if isinstance(item.get("item"), dict) else None
        if remedy and item.get("matched") == 0 and isinstance(item.get("spared"), dict):
            found[str(remedy)] = _no_session(item["spared"])
        elif remedy and "matched" not in item and isinstance(item.get("msg"), str):
            # A server all of whose slots are taken, also those that are reserved.
            found[str(remedy)] = ("it cannot query the server: %s" % redact(item["msg"]), _BY_HAND)
    return found


def _no_session(spared: Mapping[str, Any]) -> tuple[str, str]:
    counts = ", ".join("%s %s" % (count, reason) for reason, count in spared.items())
    because = "no session is what it ends: none has been so for long enough"
    if counts:
        because = "the sessions that it could end are protected (%s)" % counts
    return because, "find out whose sessions they are; pg_connections ends those that are named"


def _items(registered: Any) -> list[dict[str, Any]]:
    items = registered.get("results") if isinstance(registered, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
