# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has changed since the report before this one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

#: (host name or None, id, reason)
Key = tuple[str | None, str, str | None]
KINDS = ("new", "resolved", "still_bad", "unmeasured", "first_checked")

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
    """Return which bad findings are new, resolved, still there, or cannot be compared.

    A finding is known by its host, id and reason. It is resolved only where the check that made it
    has run again without a gap and does not make it any more, and new only where that check had run
    before. What a limited run left out is neither.

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
        "first_checked": [],
        "roots": dict.fromkeys(KINDS, 0),
        "hosts_added": [],
        "hosts_gone": [],
    }
    if previous is None:
        return result
    before, after = _bad(previous), _bad(model)
    then, now = _measured_hosts(previous), _measured_hosts(model)
    result["previous"] = previous["generated_at"]
    left_out_then, left_out_now = _left_out(previous), _left_out(model)
    result["hosts_added"] = [name for name in now if name not in then and name not in left_out_then]
    result["hosts_gone"] = [name for name in then if name not in now and name not in left_out_now]
    for key, item in after.items():
        if key in before:
            kind = "still_bad"
        else:
            added = key[0] in result["hosts_added"]
            kind = "new" if added or _was_checked(key, item, then) else "first_checked"
        result[kind].append(_entry(key, item))
    for key, item in before.items():
        if key not in after and key[0] not in result["hosts_gone"]:
            kind = "resolved" if _is_measured(key, item, now) else "unmeasured"
            result[kind].append(_entry(key, item))
    for kind in KINDS:
        result[kind].sort(key=lambda entry: not entry["root"])  # stable: root causes first
    result["roots"] = _count_roots(result)
    return result


def _count_roots(result: Mapping[str, Any]) -> dict[str, int]:
    """Return how many root causes there are of each kind: one that several hosts have is one, and
    is still bad where one of them had it before.
    """
    seen: set[tuple[str, Any]] = set()
    counts = {}
    for kind in ("still_bad", "first_checked", "unmeasured", "new", "resolved"):
        roots = {(entry["id"], entry["reason"]) for entry in result[kind] if entry["root"]} - seen
        counts[kind] = len(roots)
        seen |= roots
    return {kind: counts[kind] for kind in KINDS}


def _left_out(model: Mapping[str, Any]) -> set[str]:
    """Return the hosts of the inventory that a run was not about."""
    run = model.get("run")
    names = run.get("not_in_run") if isinstance(run, dict) else None
    return set(map(str, names)) if isinstance(names, list) else set()


def _bad(model: dict[str, Any]) -> dict[Key, Finding]:
    """Return {(host name or None, id, reason): finding} of all bad findings, in the order of the
    model.
    """
    found: dict[Key, Finding] = {
        (None, item["id"], item.get("reason")): item for item in model["fleet"]
    }
    for host in model["hosts"]:
        found.update(
            ((host["name"], item["id"], item.get("reason")), item)
            for item in host["findings"]
            if is_bad(item)
        )
    return found


def _measured_hosts(model: Mapping[str, Any]) -> dict[str, set[str]]:
    return {host["name"]: _measured(host["findings"]) for host in model["hosts"]}


def _measured(findings: Iterable[dict[str, Any]]) -> set[str]:
    """Return what was measured on a host: names of checks, of parts of the diagnosis, and subjects
    of findings that no check is known of.

    A check of which something is unknown has not been measured.
    """
    measured: set[str] = set()
    unknown: set[str] = set()
    for item in findings:
        check = item.get("check") or subject(item["id"])
        if item["status"] in ("ok", "warn", "fail"):
            part = re.split("[:/]", check)[0]
            measured.update((check, part, subject(item["id"]), of_part(part, item["id"])))
        elif item["status"] == "unknown":
            unknown.add(check)
    measured -= unknown
    if any(item["status"] != "unknown" and item["id"] != "host.unreachable" for item in findings):
        # A measurement shows that the host can be reached, and was diagnosed.
        measured.update(("host.unreachable", "host.diagnosis"))
    return measured


def _is_measured(key: Key, item: Mapping[str, Any], hosts: Mapping[str, set[str]]) -> bool:
    """Return whether a bad finding would have been seen again in a later run.

    Args:
        key: of the finding.
        item: the finding.
        hosts: {name: what was measured there in the later run}.
    """
    check = item.get("check") or subject(key[1])
    if key[0] is not None:
        return check in hosts.get(key[0], ())
    # That of the fleet is seen on the hosts that had it.
    names = item.get("evidence", {}).get("hosts") or []
    return all(_sees(hosts.get(name, set()), item) for name in names) and bool(hosts)


def _sees(measured: set[str], item: Mapping[str, Any]) -> bool:
    return (item.get("check") or subject(item["id"].removeprefix("fleet."))) in measured


def _was_checked(key: Key, item: Mapping[str, Any], hosts: Mapping[str, set[str]]) -> bool:
    """Return whether an earlier run would have seen a bad finding.

    Args:
        key: of the finding.
        item: the finding.
        hosts: {name: what was measured there in the earlier run}.
    """
    name, id, _reason = key
    if name is None:
        names = item.get("evidence", {}).get("hosts") or []
        return any(_sees(hosts.get(name, set()), item) for name in names) or not names
    if name not in hosts:
        return False
    # A host that cannot be diagnosed any more, and a check that sees nothing any more, are news.
    if id in ("host.unreachable", "host.diagnosis.failed"):
        return True
    return (item.get("check") or subject(id)) in hosts[name]


def of_part(part: str, id: str) -> str:
    """Return what stands for the check of a finding where its part of the diagnosis names none."""
    return "%s/%s" % (part, subject(id))


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
        "reason": key[2],
        "status": item["status"],
        "summary": item["summary"],
        "root": item.get("root") == key[1],
    }
