# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the hosts' registered results hold, in one shape for every host, also a lost one. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import BAD, finding
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

#: A host that returns more than this for one finding is broken, or an attack on the report.
_LONGEST_TEXT = 2000
_LARGEST_EVIDENCE = 16_000
#: What of an entry of the host's ledger is reported, of so many entries.
_CHANGE = ("time", "ended", "run", "remedy", "findings", "by", "outcome", "reason")
_MOST_CHANGES = 10
_ID = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+\Z")

#: What to do about a lost connection, by its reason; the first that matches.
_UNREACHABLE_ADVICE = (
    (
        r"could not resolve|name or service not known|no address associated",
        "Correct its name or ansible_host in the inventory, or its DNS record.",
    ),
    (
        r"timed? ?out|no route",
        "Check that it is up, and what is between it and this controller (route, firewall).",
    ),
    (r"refused", "Check that sshd runs there, and that ansible_port is its port."),
    (
        r"host key|identification has changed",
        "Compare its host key with the known one: was it reinstalled, or is it another host?",
    ),
    (
        r"permission denied|authentication|password",
        "Check ansible_user and its key or password on that host.",
    ),
)
#: The variables that the parts of role ``diagnose`` register: this and the part, but for these.
PREFIX = "sergas_diagnose_"
REGISTERED = {"database": ("sergas_diagnose_connections", "sergas_diagnose_insights")}
_NAME = re.compile(r"[a-z_]+\Z")
_GUIDE = "Quick Diagnostics"


def plain(value: Any) -> Any:
    """Return a copy of value in JSON's own types: no tags, no NaN, no other objects."""
    return json.loads(json.dumps(value, default=str), parse_constant=lambda _constant: None)


def host_entry(
    name: str,
    groups: Iterable[str],
    addresses: Iterable[str],
    results: Mapping[str, Any],
    names: Sequence[str],
    left_play: bool = False,
) -> dict[str, Any]:
    """Return what is known of one host.

    Args:
        name: its name in the inventory.
        groups: the names of its groups.
        addresses: by which other hosts may know it; its name is one of them.
        results: {variable: registered result}, those of ``names`` that the host has.
        names: the variables with registered results.
        left_play: whether it is out of the play, so that nothing more can come.

    Returns:
        dict with name, groups, addresses, results (the names found), reachable, diagnosed, findings
        (complete, in their order), found_by ({id of what is bad: {part of the diagnosis: checks}},
        no checks where that is not known), distribution (None where it is not known), managed
        (services that a cluster manager owns), changes (what was changed on it lately, newest
        first) and probe_seconds. A host that was not diagnosed has a finding that says so.
    """
    entry: dict[str, Any] = {
        "name": name,
        "groups": sorted(groups),
        "addresses": sorted(set(addresses) | {name}),
        "results": sorted(results),
        "reachable": True,
        "diagnosed": False,
        "findings": [],
        "found_by": {},
        "distribution": None,
        "managed": {},
        "changes": [],
        "probe_seconds": {},
    }
    for variable, result in results.items():
        for one in _flatten(result):
            _add(entry, variable, one)
    if not entry["findings"]:
        entry["findings"].append(_nothing(names, left_play))
    return entry


def _flatten(result: Any) -> list[Any]:
    """Return the results of a task with a loop one by one, and that of any other task as it is."""
    if (
        isinstance(result, dict)
        and isinstance(result.get("results"), list)
        and "findings" not in result
    ):
        return result["results"]
    return [result]


def _add(entry: dict[str, Any], variable: str, result: Any) -> None:
    if not isinstance(result, dict):
        entry["findings"].append(_failed("%s is not a registered result" % variable, variable))
    elif result.get("unreachable"):
        entry["reachable"] = False
        entry["findings"].append(unreachable(result.get("msg")))
    elif isinstance(result.get("findings"), list):
        entry["diagnosed"] = True
        _add_findings(entry, variable, result["findings"])
        _add_checks(entry, variable, result)
        if isinstance(result.get("changes"), list):
            entry["changes"] += [
                {key: change.get(key) for key in _CHANGE}
                for change in result["changes"][:_MOST_CHANGES]
                if isinstance(change, dict)
            ]
        if isinstance(result.get("distribution"), dict):
            entry["distribution"] = {
                key: result["distribution"].get(key) for key in ("id", "like", "name")
            }
        if isinstance(result.get("managed"), dict):
            entry["managed"] = {
                service: {key: str(manager.get(key)) for key in ("name", "command")}
                for service, manager in result["managed"].items()
                if isinstance(manager, dict)
            }
        if isinstance(result.get("probe_seconds"), dict):
            entry["probe_seconds"].update(result["probe_seconds"])
    elif result.get("failed"):
        entry["findings"].append(_failed(_reason(_failure(result)), variable))
    elif not result.get("skipped"):
        entry["findings"].append(_failed("%s holds no findings" % variable, variable))


def _add_findings(entry: dict[str, Any], variable: str, items: Iterable[Any]) -> None:
    refused = []
    for item in items:
        try:
            entry["findings"].append(_complete(item))
        except (TypeError, ValueError, KeyError) as error:
            refused.append("%s: %s" % (type(error).__name__, error))
    if refused:
        entry["findings"].append(
            _failed(
                "%d of its findings cannot be read, the first: %s"
                % (len(refused), _reason(refused[0])),
                variable,
            )
        )


def _add_checks(entry: dict[str, Any], variable: str, result: Mapping[str, Any]) -> None:
    """Note by which part of the diagnosis, and by which of its checks, what is bad was found."""
    part = part_of(variable)
    known = result.get("found_by")
    known = known if isinstance(known, dict) else {}
    for item in result["findings"]:
        id = item.get("id") if isinstance(item, dict) else None
        if part and isinstance(id, str) and _ID.match(id) and item.get("status") in BAD:
            checks = known.get(id)
            checks = checks if isinstance(checks, list) else []
            names = [name for name in checks if isinstance(name, str) and _NAME.match(name)]
            entry["found_by"].setdefault(id, {})[part] = names


def part_of(variable: str) -> str | None:
    """Return the part of role ``diagnose`` that registers a variable, None for any other one."""
    if not variable.startswith(PREFIX):
        return None
    name = variable[len(PREFIX) :]
    return next((part for part, names in REGISTERED.items() if variable in names), name)


def _complete(item: Any) -> Finding:
    """Return a finding with every key of the contract and values of the right types.

    Raises:
        KeyError, TypeError, ValueError: it does not follow the contract.
    """
    if not isinstance(item, dict):
        raise TypeError("a finding must be a dictionary")
    known = dict(item)
    head = [known.pop(key) for key in ("id", "component", "status", "summary")]
    if not all(isinstance(text, str) for text in head):
        raise TypeError("id, component, status and summary must be text")
    if not _ID.match(head[0]) or (known.get("cause") and not _ID.match(str(known["cause"]))):
        raise ValueError("%.100r or its cause is not an id" % head[0])
    head[3] = head[3][:_LONGEST_TEXT]
    for key in ("value", "warn", "fail"):
        if isinstance(known.get(key), bool) or not isinstance(
            known.get(key), (int, float, type(None))
        ):
            raise TypeError("%s must be a number" % key)
    for key in ("reason", "unit", "cause", "remedy", "advice", "guide"):
        if not isinstance(known.get(key), (str, type(None))):
            raise TypeError("%s must be text" % key)
    if not isinstance(known.setdefault("evidence", {}), dict):
        raise TypeError("evidence must be a dictionary")
    size = len(json.dumps(known["evidence"]))
    if size > _LARGEST_EVIDENCE:
        known["evidence"] = {"left_out": "%d bytes, more than a report takes" % size}
    return finding(*head, **known)


def _nothing(names: Sequence[str], left_play: bool) -> Finding:
    if left_play:
        return _failed("it left the play before its diagnosis, unreachable or failed", names[0])
    return _failed("it has not registered %s" % " or ".join(names), names[0])


def _failed(reason: str, variable: str) -> Finding:
    return finding(
        "host.diagnosis.failed",
        "host",
        "unknown",
        "Not diagnosed: %s" % reason,
        evidence={"result": variable},
        advice="Run the diagnosis on this host alone with -vvv and read the error.",
        guide=_GUIDE,
    )


def unreachable(reason: object) -> Finding:
    """Return the finding of a host that did not answer, from the reason that Ansible was given."""
    reason = _reason(reason)
    # ssh repeats the address it was given, the report names the host already.
    shown = re.sub(r"^ssh: (connect to host \S+ port \d+: )?", "", reason)
    advice = next(
        (advice for pattern, advice in _UNREACHABLE_ADVICE if re.search(pattern, reason, re.I)),
        "Connect to it by hand with the same user and address, and read what it reports.",
    )
    return finding(
        "host.unreachable",
        "host",
        "fail",
        "Ansible cannot reach it: %s" % shown,
        evidence={"reason": reason},
        advice=advice,
        guide=_GUIDE,
    )


def _failure(result: Mapping[str, Any]) -> Any:
    """Return why a task failed: of a module that broke, ansible-core 2.18 reports it only in the
    last line it wrote.
    """
    message = result.get("msg")
    written = result.get("module_stderr") or result.get("exception")
    if (
        isinstance(message, str)
        and message.startswith("MODULE FAILURE")
        and isinstance(written, str)
    ):
        return (written.strip().splitlines() or [message])[-1]
    return message


def _reason(text: Any) -> str:
    """Return an error's text in one line, without secrets and without Ansible's preamble."""
    text = re.sub(
        r"\s+", " ", redact(text if isinstance(text, str) else "no reason was given")
    ).strip()
    text = re.sub(
        r"^((Task|Module|Action) failed: |Failed to connect to the host via ssh: )+", "", text
    )
    return text[:500] or "no reason was given"
