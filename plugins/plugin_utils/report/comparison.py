# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has changed since the report before this one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

#: (host name or None, id)
Key = tuple[str | None, str]

#: {subject: that of the check which finds it, and which says ok of both}.
_CHECKED_AS = {
    "security.ban": "security.bans",
    "security.bruteforce": "security.access",
    "security.jail": "security.jails",
    "security.login": "security.access",
    "security.mfa": "security.keys",
}


def compare(
    previous: dict[str, Any] | None, model: dict[str, Any], note: str | None = None
) -> dict[str, Any]:
    """Return which bad findings are new, resolved, still there, or were not checked this time.

    A finding is known by its host and id. It is resolved only where the same subject was measured
    again and is no longer bad: a host that could not be reached, or a check that was not run,
    resolves nothing.

    Args:
        previous: an earlier model with the same major schema version, or ``None``.
        model: the model of this run, without its comparison.
        note: why there is no earlier report, or ``None``.
    """
    result: dict[str, Any] = {
        "previous": None,
        "note": note,
        "new": [],
        "resolved": [],
        "still_bad": [],
        "unmeasured": [],
        "hosts_added": [],
        "hosts_gone": [],
    }
    if previous is None:
        return result
    before, after = _bad(previous), _bad(model)
    measured = {host["name"]: _measured(host["findings"]) for host in model["hosts"]}
    hosts_before = dict.fromkeys(host["name"] for host in previous["hosts"])
    result["previous"] = previous["generated_at"]
    result["hosts_added"] = [name for name in measured if name not in hosts_before]
    result["hosts_gone"] = [name for name in hosts_before if name not in measured]
    for key, item in after.items():
        result["still_bad" if key in before else "new"].append(_entry(key, item))
    for key, item in before.items():
        name, id = key
        if key in after or name in result["hosts_gone"]:
            continue
        # A finding of the fleet ends when it is no longer that of most hosts: those that still have
        # it have a finding each.
        resolved = name is None or subject(id) in measured[name]
        result["resolved" if resolved else "unmeasured"].append(_entry(key, item))
    for kind in ("new", "resolved", "still_bad", "unmeasured"):
        result[kind].sort(key=lambda entry: not entry["root"])  # stable: root causes first
    return result


def _bad(model: dict[str, Any]) -> dict[Key, Finding]:
    """Return {(host name or None, id): finding} of all bad findings, in the order of the model."""
    found: dict[Key, Finding] = {(None, item["id"]): item for item in model["fleet"]}
    for host in model["hosts"]:
        found.update(
            ((host["name"], item["id"]), item) for item in host["findings"] if is_bad(item)
        )
    return found


def _measured(findings: Iterable[dict[str, Any]]) -> set[str]:
    """Return the subjects on which there is something measured, neither unknown nor skipped."""
    measured = set()
    for item in findings:
        if item["status"] in ("ok", "warn", "fail"):
            measured.add(subject(item["id"]))
    if any(item["status"] != "unknown" and item["id"] != "host.unreachable" for item in findings):
        # A measurement shows that the host can be reached, and was diagnosed.
        measured.update(("host.unreachable", "host.diagnosis"))
    return measured


def subject(id: str) -> str:
    """Return what an id is about: its first two parts, or the first one where a dependency has
    only a state.

    ``db.unreachable`` and ``db.connection.ok`` are about one thing, ``host.disk.high`` and
    ``host.cpu.ok`` are not.
    """
    parts = id.split(".")
    if id == "host.unreachable":
        return id
    if parts[0] not in ("app", "api", "host", "security"):
        return parts[0]
    both = ".".join(parts[:2])
    return _CHECKED_AS.get(both, both)


def _entry(key: Key, item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "host": key[0],
        "id": key[1],
        "status": item["status"],
        "summary": item["summary"],
        "root": item.get("root") == key[1],
    }
