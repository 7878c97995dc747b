# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as plain data: one model, from which every format is written. Pure.

Its shape is ``docs/report.schema.json``; a change there that a reader must know of is a new
``SCHEMA_VERSION``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    BAD,
    COMPONENTS,
    STATUSES,
    is_bad,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.report import comparison, outcomes
from ansible_collections.sergas.ops.plugins.plugin_utils.report.fleet import (
    Host,
    Links,
    Node,
    correlate,
    rank,
    resolve,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.report.outcomes import WORSE

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

    Members = list[tuple[Node, Finding]]

SCHEMA_VERSION = "2.0"
FAIL_ON = ("fail", "warn", "never")
#: The classes a host is counted in, each host in one, the worst first.
HOST_CLASSES = ("unreachable", "fail", "unknown", "warn", "ok", "skipped")


def build(
    hosts: list[dict[str, Any]],
    generated_at: str,
    version: str,
    run: dict[str, Any],
    fail_on: str,
    title: str,
    previous: dict[str, Any] | None = None,
    previous_note: str | None = None,
    remediation: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the model of a report.

    Args:
        hosts: what ``results.host_entry`` returns, in the order of the play. They are changed:
            causes are added.
        generated_at: the time of the report, an ISO 8601 text in UTC.
        version: the version of the collection.
        run: plain data on the run: playbook, limit, check_mode and the like.
        fail_on: one of ``FAIL_ON``.
        title: the title of the report.
        previous: the model of an earlier report to compare with, or ``None``.
        previous_note: why there is none, or ``None``.
        remediation: what ``outcomes.account`` returns, or ``None`` where nothing was planned.

    Returns:
        dict, of JSON's types only.
    """
    fleet, links = correlate(hosts)
    roots = _roots(hosts, fleet, links)
    entries = [_host(host, roots) for host in hosts]
    entries.sort(
        key=lambda entry: HOST_CLASSES.index(entry["class"])
    )  # stable: else the order of the play
    findings = Counter(item["status"] for host in hosts for item in host["findings"])
    classes = Counter(entry["class"] for entry in entries)
    failed, reason = decide(fail_on, entries, roots)
    if remediation:
        remediation = outcomes.conclude(remediation, entries)
    if remediation and remediation["failed"]:
        failed, reason = True, "%s; %s" % (_badly_ended(remediation["counts"]), reason)
    model = {
        "schema_version": SCHEMA_VERSION,
        "generated_at": generated_at,
        "title": title,
        "collection": {"name": "sergas.ops", "version": version},
        "run": run,
        "summary": {
            "hosts": dict(
                {"total": len(entries)}, **{name: classes[name] for name in HOST_CLASSES}
            ),
            "findings": dict(
                {"total": sum(findings.values())},
                **{status: findings[status] for status in reversed(STATUSES)},
            ),
            "roots": len(roots),
            "fail_on": fail_on,
            "failed": failed,
            "reason": reason,
        },
        "remediation": remediation,
        "roots": roots,
        "fleet": fleet,
        "hosts": entries,
    }
    model["comparison"] = comparison.compare(previous, model, previous_note)
    return model


def decide(
    fail_on: str, hosts: Sequence[dict[str, Any]], roots: Sequence[dict[str, Any]]
) -> tuple[bool, str]:
    """Return whether the run fails, and the sentence that says why.

    Under ``fail`` a host that was not diagnosed counts as well: what was not checked has not
    passed.
    Where no host at all was diagnosed, an option that cannot be for example, there is no diagnosis
    to be lenient with.
    """
    if not any(host["diagnosed"] for host in hosts):
        return True, "no host could be diagnosed"
    if fail_on == "never":
        return False, "fail_on is never: what was found does not fail the run"
    counted = BAD if fail_on == "warn" else ("fail",)
    bad = [root for root in roots if root["status"] in counted]
    if bad:
        causes = "%d root cause%s" % (len(bad), "" if len(bad) == 1 else "s")
        return True, "fail_on is %s: %s with the status %s" % (
            fail_on,
            causes,
            _either([root["status"] for root in bad]),
        )
    undiagnosed = [host["name"] for host in hosts if not host["diagnosed"]]
    if undiagnosed:
        return True, "fail_on is %s: %d of %d hosts could not be diagnosed" % (
            fail_on,
            len(undiagnosed),
            len(hosts),
        )
    return False, "fail_on is %s: nothing found has the status %s" % (fail_on, _either(counted))


def failing(model: Mapping[str, Any]) -> dict[str, str]:
    """Return {host: why} of the hosts that fail the run, none where it does not fail.

    Args:
        model: a report.
    """
    summary = model["summary"]
    if not summary["failed"]:
        return {}
    reasons: dict[str, list[str]] = {}
    counted = BAD if summary["fail_on"] == "warn" else ("fail",)
    if summary["fail_on"] != "never":
        for root in model["roots"]:
            for name in root["hosts"] if root["status"] in counted else ():
                reasons.setdefault(name, []).append("%s (%s)" % (root["id"], root["status"]))
    everywhere = not any(host["diagnosed"] for host in model["hosts"])
    for host in model["hosts"]:
        if not host["diagnosed"] and (summary["fail_on"] != "never" or everywhere):
            reasons.setdefault(host["name"], ["could not be diagnosed"])
    for entry in (model["remediation"] or {}).get("entries", ()):
        if entry["outcome"] in WORSE and entry["host"]:
            text = "remedy %s: %s" % (entry["remedy"], entry["outcome"])
            reasons.setdefault(entry["host"], []).append(text)
    known = {host["name"] for host in model["hosts"]}
    return {
        name: "%s; sergas_fail_on is %s" % (", ".join(dict.fromkeys(texts)), summary["fail_on"])
        for name, texts in reasons.items()
        if name in known
    }


def _badly_ended(counts: dict[str, int]) -> str:
    """Return how many remedies ended badly, and how."""
    return "remedies ended badly: %s" % ", ".join(
        "%d %s" % (counts[name], name) for name in WORSE if counts.get(name)
    )


def _either(statuses: Sequence[str]) -> str:
    """Return statuses in a sentence, the worst first: fail, unknown or warn."""
    words = [status for status in reversed(STATUSES) if status in statuses]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _roots(hosts: list[Host], fleet: list[Finding], links: Links) -> list[dict[str, Any]]:
    """Return the root causes, the worst first, one for each id and reason (and target, if it is
    the fleet's).
    """
    findings: dict[Node, Finding] = {(None, index): item for index, item in enumerate(fleet)}
    findings.update(
        ((host["name"], index), item)
        for host in hosts
        for index, item in enumerate(host["findings"])
    )
    grouped: dict[tuple[str, str | None, int | None], tuple[Members, Members]] = {}
    for node, item in findings.items():
        item["root"] = item["root_host"] = None
        if not is_bad(item):
            continue
        root = resolve(links, node)
        id = findings[root]["id"]
        item["root"] = id
        item["root_host"] = root[0]
        # Fleet findings of one id speak of different targets, those of hosts mean the same.
        key = (id, findings[root]["reason"], root[1] if root[0] is None else None)
        grouped.setdefault(key, ([], []))[0 if node == root else 1].append((node, item))
    roots = [_root(own, derived) for own, derived in grouped.values()]
    roots.sort(
        key=lambda root: (
            -rank(root["status"]),
            -len(root["hosts"]) - len(root["affected"]),
            _order(root),
            root["id"],
            root["reason"] or "",
        )
    )
    return roots


def _order(root: Mapping[str, Any]) -> int:
    return COMPONENTS.index(root["component"])


def _root(own: Members, derived: Members) -> dict[str, Any]:
    """Return the entry of one root cause.

    Args:
        own: [(node, finding)] that are the root, at least one.
        derived: [(node, finding)] that derive from it.
    """
    # Of several that are as bad, what was measured says more than what was estimated.
    worst = max(
        (item for _node, item in own),
        key=lambda item: (rank(item["status"]), item["confidence"] == "measured"),
    )
    scope = "fleet" if own[0][0][0] is None else "host"
    # A finding of the fleet is on the hosts whose findings of the same id it stands for.
    holders = (
        own
        if scope == "host"
        else [pair for pair in derived if worst["id"] == "fleet." + pair[1]["id"]]
    )
    hosts = list(dict.fromkeys(name for (name, _index), _item in holders if name is not None))
    # One that stands for no findings of hosts names the hosts in its evidence.
    hosts = hosts or list(worst["evidence"].get("hosts") or ()) if scope == "fleet" else hosts
    # What differs from host to host is said of one of them by name.
    differs = (
        scope == "host"
        and len(hosts) > 1
        and any(item["summary"] != worst["summary"] for _node, item in own)
    )
    example = next((name for (name, _index), item in own if item is worst), None)
    target = worst["evidence"].get("target")
    touched = dict.fromkeys(name for (name, _index), _item in derived if name is not None)
    return {
        "id": worst["id"],
        "component": worst["component"],
        "status": worst["status"],
        "reason": worst["reason"],
        "scope": scope,
        "target": target if isinstance(target, str) else None,
        "summary": "%s: %s" % (example, worst["summary"]) if differs else worst["summary"],
        "advice": worst["advice"],
        "remedy": worst["remedy"],
        "guide": worst["guide"],
        "hosts": hosts,
        "affected": [name for name in touched if name not in hosts],
        "symptoms": list(dict.fromkeys(item["id"] for _node, item in derived)),
    }


def _host(host: Host, roots: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    findings = host["findings"]
    status = max((item["status"] for item in findings), key=rank)
    components: dict[str, str] = {}
    for item in findings:
        name = item["component"]
        components[name] = max(components.get(name, "skipped"), item["status"], key=rank)
    own = {item["root"] for item in findings if item["root"]}
    return {
        "name": host["name"],
        "groups": host["groups"],
        "reachable": host["reachable"],
        "diagnosed": host["diagnosed"],
        "status": status,
        "class": status if host["reachable"] else "unreachable",
        "components": {name: components[name] for name in COMPONENTS if name in components},
        "roots": list(dict.fromkeys(root["id"] for root in roots if root["id"] in own)),
        "findings": findings,
        "found_by": host["found_by"],
        "distribution": host["distribution"],
        "managed": host["managed"],
        "changes": host["changes"],
        "probe_seconds": host["probe_seconds"],
    }
