# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan: which remedy on which host, why, what it changes, and what holds it back. Pure.

It is made from the model of a report, of this run or an earlier one, so that a plan from a report
file and a plan from fresh findings are the same code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, traffic
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, is_bad
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import (
    guards,
    options,
    serving,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.report.fleet import rank
from ansible_collections.sergas.ops.plugins.plugin_utils.report.outcomes import is_ready, key
from ansible_collections.sergas.ops.plugins.plugin_utils.report.targets import host_of

if TYPE_CHECKING:
    from datetime import datetime

    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding
    from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.catalogue import (
        Remedy,
        Useless,
        Verification,
    )
    from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.window import Window

#: What others depend on comes first: a full disk stops a database, a database stops an app.
ORDER = (
    "host",
    "database",
    "redis",
    "cognee",
    "zoho",
    "security",
    "loadbalancer",
    "app",
    "api",
)


#: Seconds for the last check and for keeping or undoing, after which a host rolls back on its own.
_CONCLUDING = 30
#: What an interrupted run has left comes before all else: the host would undo a part of it.
FIRST = "host.restore_point."
#: Seconds: a remedy that may take so long comes after the others of its component.
_LONG_S = 1800


class PlanOptions(NamedTuple):
    """What the person who runs it wants; the defaults are those of the role."""

    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    approve: Sequence[str] = ()
    max_share: float = options.DEFAULT_SHARE
    batches: Sequence[int | str] = tuple(options.DEFAULT_BATCHES)
    window: Window | None = None
    #: replaces the remedies' own cooldown, in seconds
    cooldown: int | None = None
    #: how often a remedy may be begun on a host within so many hours; 0 for no limit
    repeat_times: int = 3
    repeat_hours: int = 24
    #: the ids of the distributions whose hosts are changed
    supported_distributions: Sequence[str] = tuple(options.DEFAULT_DISTRIBUTIONS)


class HostContext(NamedTuple):
    """What is known of a host besides its findings."""

    #: the names of its variables
    variables: Collection[str] = frozenset()
    #: the recent entries of its ledger, by ``ledger.parse``
    changes: Sequence[Mapping[str, Any]] = ()
    #: the remedies that waited for traffic and are decided, as ``sergas_health`` returns them
    decided: Sequence[Mapping[str, Any]] = ()
    #: {variable of .env: what stands for the value that the inventory has}, None where that is not
    #: known
    values: Mapping[str, str] | None = None
    #: {remedy: (why it would change nothing, what a person would do)}
    unchanged: Mapping[str, tuple[str, str]] = MappingProxyType({})


class Shared(TypedDict):
    """The finding of the fleet that an entry of a plan is about."""

    id: str
    target: str | None
    #: how many of them have it
    hosts: Any


class Answer(TypedDict):
    """A finding that a remedy is for, on one host."""

    host: str
    id: str
    reason: str | None


class Entry(TypedDict):
    """One remedy on one host, as a plan has it.

    Attributes:
        host: where it is carried out; None where the inventory has no such host.
        probe_host: the host whose diagnosis shows whether it has helped.
        helps: the hosts whose findings it is for.
        finding: the worst of ``findings``, which are ids; ``answered`` are those and what derives
            from them, ``known`` all that is bad on ``probe_host``.
        answers: every finding that it is for, on each of the hosts in ``helps``.
        others: (id, reason) of the findings on ``probe_host`` that have one of its ids and are not
            for it.
        found_by: {part of the diagnosis: its checks} that have found them on ``probe_host``.
        awaiting: the ids of those that only traffic shows.
        after_remedy: the name of the remedy of another component that may make it unnecessary.
        target: the address that the finding is about, if it is about one.
        on_target: whether ``host`` is the one with that address.
        undo: why there is none, or None where there is one.
        limit: seconds after which the host rolls back on its own.
        gone: whether the host is no longer in the inventory.
        restarts_app, serves: whether it restarts the app, and whether that one serves.
        decides: how it ended by the traffic since an earlier run, which is all there is to do: run,
            outcome and reason. None for a remedy that is to be done.
    """

    remedy: str
    title: str
    host: str | None
    probe_host: str
    helps: list[str]
    finding: Finding
    findings: list[str]
    answered: list[str]
    known: list[str]
    answers: list[Answer]
    others: list[tuple[str, str | None]]
    found_by: dict[str, list[str]]
    awaiting: list[str]
    why: str
    after_remedy: str | None
    target: str | None
    on_target: bool
    fleet: Shared | None
    changes: list[str]
    impact: str
    reversible: bool
    component: str
    approval: bool
    variables: list[str]
    values: dict[str, list[str] | str]
    undo: str | None
    cooldown: int
    timeout: int
    limit: int
    verification: Verification
    gone: bool
    restarts_app: bool
    serves: bool
    decides: dict[str, Any] | None
    guards: list[guards.Guard]


def make(
    model: Mapping[str, Any],
    remedies: Mapping[str, Remedy],
    contexts: Mapping[str, HostContext],
    owners: Mapping[str, str],
    plan_options: PlanOptions,
    now: datetime,
) -> dict[str, Any]:
    """Return the plan as plain data.

    Args:
        model: the model of a report.
        remedies: {name: remedy} by ``catalogue.catalogue``.
        contexts: {host name: HostContext} of the hosts that can be acted on.
        owners: {address: host name} of the inventory, for remedies that belong on another host.
        plan_options: PlanOptions.
        now: a datetime that knows its time zone.

    Returns:
        dict with entries (in the order in which they are taken on each host), batches (lists of
        host names), gone (hosts of the model that are not in contexts), left_out (how many entries
        the choice of remedies left out) and without_remedy (root causes that a person has to
        fix).
    """
    unreachable = {host["name"] for host in model["hosts"] if not host["reachable"]}
    entries: list[Entry] = []
    for host in model["hosts"]:
        for item in host["findings"]:
            shared = _shared(host["name"], item, model)
            if _is_root(host["name"], item) or shared:
                remedy = choose(item, remedies)
                if remedy:
                    _add(entries, host, item, shared, remedy, owners)
    _follow(entries, model, remedies, owners)
    _decide(entries, model, remedies, contexts)
    entries.sort(key=_order)
    found = {host["name"]: host["findings"] for host in model["hosts"]}
    distributions = {host["name"]: host.get("distribution") for host in model["hosts"]}
    managers = {host["name"]: host.get("managed") or {} for host in model["hosts"]}
    chosen = [entry for entry in entries if _is_chosen(entry["remedy"], plan_options)]
    for entry in chosen:
        if plan_options.cooldown is not None:
            entry["cooldown"] = plan_options.cooldown
        known = entry["host"] in contexts or entry["host"] in unreachable or entry["host"] is None
        entry["gone"] = not known
        on_host = found.get(entry["host"] or "", ())
        entry["serves"] = serving.interruption(on_host) is None
        rules = remedies[entry["remedy"]]["useless"]
        items = [item for one in entry["answers"] for item in _found(one, found)]
        entry["guards"] = _guards(entry, items, rules, contexts, plan_options, now)
        refused = guards.supported(
            entry, distributions.get(entry["host"] or ""), plan_options.supported_distributions
        )
        owned = guards.managed(
            entry, remedies[entry["remedy"]]["acts_on"], managers.get(entry["host"] or "", {})
        )
        entry["guards"] += [guard for guard in (refused, owned) if guard]
    free = [entry for entry in chosen if not entry["guards"] and not entry["gone"] and _acts(entry)]
    held = guards.share(free, _users(model), plan_options.max_share)
    for entry in free:
        if entry["host"] in held and entry["impact"] != "none":
            entry["guards"].append(held[entry["host"]])
    ready = [entry for entry in chosen if is_ready(entry)]
    first = {entry["host"]: _depth(entry) for entry in reversed(ready)}
    hosts = sorted((name for name in contexts if name in first), key=first.__getitem__)
    return {
        "entries": chosen,
        "batches": options.split(hosts, plan_options.batches),
        "gone": sorted({entry["host"] for entry in chosen if entry["gone"]}),
        "left_out": len(entries) - len(chosen),
        "without_remedy": _without_remedy(model, remedies),
    }


def choose(item: Finding, remedies: Mapping[str, Remedy]) -> Remedy | None:
    """Return the remedy for a finding, or None.

    One of the user's own that answers the finding goes before the one that the finding names.
    """
    own = [remedy for remedy in remedies.values() if remedy["own"]]
    for remedy in own:
        if item["id"] in remedy["answers"]:
            return remedy
    return remedies.get(item["remedy"] or "")


def unused_approvals(plan: Mapping[str, Any], approve: Iterable[str]) -> list[str]:
    """Return the approved names that nothing planned, in order."""
    planned = {entry["remedy"] for entry in plan["entries"]}
    return [name for name in approve if name not in planned]


def has_more(entry: Entry, entries: Sequence[Entry]) -> bool:
    """Return whether an app that does not serve has further remedies that restart it behind one.

    It may need all of them before it comes up: they are one sequence, and the last one of them
    waits for the app.
    """
    if not entry["restarts_app"] or entry["serves"]:
        return False
    sequence = [
        one
        for one in entries
        if one["host"] == entry["host"] and one["restarts_app"] and is_ready(one)
        if one["decides"] is None
    ]
    return any(one is entry for one in sequence[:-1])


def turns(orders: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the order in which the remedies of a batch are taken: for each turn its remedy and the
    names of its hosts.

    Each host keeps its own order, and a remedy that several hosts get is taken on them at once
    where their orders allow that.

    Args:
        orders: {host name: names of its remedies, in their order}.
    """
    left = {name: list(remedies) for name, remedies in orders.items() if remedies}
    found = []
    while left:
        heads = list(dict.fromkeys(remedies[0] for remedies in left.values()))
        later = {remedy for remedies in left.values() for remedy in remedies[1:]}
        remedy = next((head for head in heads if head not in later), heads[0])
        hosts = [name for name, remedies in left.items() if remedies[0] == remedy]
        found.append({"remedy": remedy, "hosts": hosts})
        for name in hosts:
            left[name].pop(0)
            if not left[name]:
                del left[name]
    return found


def _is_chosen(name: str, plan_options: PlanOptions) -> bool:
    return (not plan_options.only or name in plan_options.only) and name not in plan_options.skip


def _is_root(name: str, item: Finding) -> bool:
    """Return whether a finding is the root cause of itself, on its host."""
    return is_bad(item) and item.get("root") == item["id"] and item.get("root_host") == name


def _shared(name: str, item: Finding, model: Mapping[str, Any]) -> Finding | None:
    """Return the finding of the fleet that a host's finding is part of, or None."""
    if not is_bad(item) or not item.get("root"):
        return None
    for shared in model["fleet"]:
        same = shared["id"] == "fleet." + item["id"]
        account = item["evidence"].get("account") == shared["evidence"].get("account")
        if same and account and shared["evidence"].get("target") == _target(item):
            return shared
    return None


def _target(item: Finding) -> str | None:
    target = item["evidence"].get("target")
    return target.strip().lower() if isinstance(target, str) else None


def _add(
    entries: list[Entry],
    reported: Mapping[str, Any],
    item: Finding,
    shared: Finding | None,
    remedy: Remedy,
    owners: Mapping[str, str],
) -> None:
    """Add an entry, or the finding to the entry of the same remedy on the same host."""
    name = reported["name"]
    target = _target(item)
    owner = owners.get(host_of(target)) if target else None
    # An address that only its own host can mean has no other owner.
    local = target is None or addresses.is_loopback(host_of(target)) or "/" in target
    on_target = owner == name or local
    host = name
    if remedy["runs_on"] == "target" and not local:
        host, on_target = owner, True
    for entry in entries:
        if (entry["remedy"], entry["host"], entry["probe_host"]) == (remedy["name"], host, name):
            entry["findings"] = list(dict.fromkeys([*entry["findings"], item["id"]]))
            _answer(entry, item, reported)
            entry["answered"] = list(dict.fromkeys([*entry["answered"], *_derived(reported, item)]))
            if rank(item["status"]) > rank(entry["finding"]["status"]):
                entry["finding"] = item
            return
        same = (entry["remedy"], entry["host"]) == (remedy["name"], host)
        if same and (host is not None or entry["target"] == target):
            # One remedy for several unhealthy hosts: the first of them is checked afterwards. But
            # what another host could not reach is shown by its next attempt, and not by what the
            # host itself expects of it.
            entry["helps"] = list(dict.fromkeys([*entry["helps"], name]))
            if entry["probe_host"] == host != name:
                entry["probe_host"], entry["target"] = name, target
                entry["finding"], entry["findings"] = item, [item["id"]]
                entry["answered"] = _derived(reported, item)
                entry["known"] = _known(reported)
            _answer(entry, item, reported)
            return
    entry = _entry(remedy, item, host, name)
    entry.update(
        {
            "answered": _derived(reported, item),
            "known": _known(reported),
            "target": target,
            "on_target": on_target,
            "fleet": None
            if shared is None
            else {
                "id": shared["id"],
                "target": shared["evidence"].get("target"),
                "hosts": shared["evidence"].get("hosts_bad"),
            },
        }
    )
    _answer(entry, item, reported)
    entries.append(entry)


def _found(answer: Answer, found: Mapping[str, Sequence[Finding]]) -> list[Finding]:
    wanted = (answer["id"], answer["reason"])
    return [item for item in found[answer["host"]] if key(item) == wanted and is_bad(item)]


def _known(reported: Mapping[str, Any]) -> list[str]:
    return sorted({other["id"] for other in reported["findings"] if is_bad(other)})


def _answer(entry: Entry, item: Finding, reported: Mapping[str, Any]) -> None:
    """Add a finding to those that an entry is for, and what the check that found it is."""
    answer: Answer = {"host": reported["name"], "id": item["id"], "reason": item.get("reason")}
    if answer not in entry["answers"]:
        entry["answers"].append(answer)
    if traffic.shows_it(item) and item["id"] not in entry["awaiting"]:
        entry["awaiting"].append(item["id"])
    if answer["host"] != entry["probe_host"]:
        return
    own = [one for one in entry["answers"] if one["host"] == entry["probe_host"]]
    keys = list(map(key, own))
    same_id = [
        key(other)
        for other in reported["findings"]
        if is_bad(other) and other["id"] in entry["findings"]
    ]
    entry["others"] = [one for one in dict.fromkeys(same_id) if one not in keys]
    found_by: dict[str, list[str]] = {}
    for id in dict.fromkeys(one["id"] for one in own):
        for part, checks in (reported.get("found_by") or {}).get(id, {}).items():
            found_by[part] = list(dict.fromkeys([*found_by.get(part, ()), *checks]))
    entry["found_by"] = found_by


def _entry(remedy: Remedy, item: Finding, host: str | None, name: str) -> Entry:
    """Return an entry with what the catalogue says of it, for one finding of a host."""
    return {
        "remedy": remedy["name"],
        "title": remedy["title"],
        "host": host,
        "probe_host": name,
        "helps": [name],
        "finding": item,
        "findings": [item["id"]],
        "answered": [item["id"]],
        "known": [],
        "answers": [],
        "others": [],
        "found_by": {},
        "awaiting": [],
        "why": item["summary"],
        "after_remedy": None,
        "target": None,
        "on_target": False,
        "fleet": None,
        "changes": remedy["changes"],
        "impact": remedy["impact"],
        "reversible": remedy["reversible"],
        "component": remedy["component"],
        "approval": remedy["needs"]["approval"],
        "variables": remedy["needs"]["variables"],
        "values": remedy["needs"]["values"],
        "undo": remedy["undo"].get("none"),
        "cooldown": remedy["cooldown"],
        "timeout": remedy["timeout"],
        "limit": remedy["timeout"] + remedy["verification"]["timeout"] + _CONCLUDING,
        "verification": remedy["verification"],
        "gone": False,
        "restarts_app": remedy["restarts_app"],
        "serves": True,
        "decides": None,
        "guards": [],
    }


def _follow(
    entries: list[Entry],
    model: Mapping[str, Any],
    remedies: Mapping[str, Remedy],
    owners: Mapping[str, str],
) -> None:
    """Add what may still be needed after the remedies of other components on the same host."""
    repaired = {
        (entry["host"], id): entry["remedy"]
        for entry in entries
        if entry["component"] != "app"
        for id in entry["findings"]
    }
    for host in model["hosts"]:
        for item in host["findings"]:
            remedy = choose(item, remedies)
            first = repaired.get((host["name"], item.get("root")))
            if is_bad(item) and item["id"] != item.get("root") and remedy and first:
                if remedy["after_dependencies"] and item["root_host"] == host["name"]:
                    count = len(entries)
                    _add(entries, host, item, None, remedy, owners)
                    if len(entries) > count:
                        entries[-1]["after_remedy"] = first


def _decide(
    entries: list[Entry],
    model: Mapping[str, Any],
    remedies: Mapping[str, Remedy],
    contexts: Mapping[str, HostContext],
) -> None:
    """Make entries of the remedies that waited for traffic and are decided by it; what is decided
    is not planned again in the same run.
    """
    reported = {host["name"]: host for host in model["hosts"]}
    for name, context in contexts.items():
        for decided in context.decided:
            remedy = remedies.get(str(decided.get("remedy")))
            ids = [str(id) for id in decided.get("findings") or ()]
            if remedy is None or name not in reported or not ids:
                continue
            entries[:] = [
                entry
                for entry in entries
                if (entry["remedy"], entry["host"]) != (remedy["name"], name)
            ]
            entry = _entry(remedy, _before(decided, ids[0]), name, name)
            entry["findings"] = entry["answered"] = ids
            entry["answers"] = [
                {"host": name, "id": item["id"], "reason": item.get("reason")}
                for item in reported[name]["findings"]
                if item["id"] in ids and is_bad(item)
            ] or [{"host": name, "id": id, "reason": None} for id in ids]
            facts = {key: str(decided.get(key) or "") for key in ("run", "outcome", "reason")}
            if facts["outcome"] == "failed":
                facts["reason"] += "; %s" % _way_back(remedy)
            entry["decides"] = facts
            entries.append(entry)


def _way_back(remedy: Remedy) -> str:
    """Return how a person undoes a remedy that has been kept for a while."""
    if "none" in remedy["undo"]:
        return "there is no undo: %s" % remedy["undo"]["none"]
    return "to go back, undo what it changed by hand: %s" % "; ".join(remedy["changes"])


def _before(decided: Mapping[str, Any], id: str) -> Finding:
    """Return the finding of a remedy that is decided, as it was before it by the ledger."""
    before: Mapping[str, Any] = next(
        (item for item in decided.get("before") or () if item.get("id") == id), {}
    )
    status = before.get("status")
    return finding(
        id,
        id.partition(".")[0],
        status if status in ("warn", "fail") else "warn",
        str(before.get("summary") or id),
    )


def _derived(reported: Mapping[str, Any], item: Finding) -> list[str]:
    """Return the id of a finding and those of the findings on its host that derive from it."""
    derived = [
        other["id"]
        for other in reported["findings"]
        if other.get("root") == item.get("root") and other.get("root_host") == item.get("root_host")
    ]
    return list(dict.fromkeys([item["id"], *derived]))


def _depth(entry: Entry) -> int:
    """Return how early an entry comes: what others depend on first, whatever its host."""
    return ORDER.index(entry["finding"]["component"])


def resolves_points(entry: Entry) -> bool:
    """Return whether an entry is about what an interrupted run has left.

    What the host would do automatically a little later is no further interruption.
    """
    return entry["finding"]["id"].startswith(FIRST)


def _acts(entry: Entry) -> bool:
    """Return whether an entry does more than to conclude what an earlier run has begun."""
    return entry["decides"] is None and not resolves_points(entry)


def _order(entry: Entry) -> tuple[Any, ...]:
    item = entry["finding"]
    return (
        not resolves_points(entry),
        _depth(entry),
        # An index waits for each transaction that another remedy may be there to end.
        entry["timeout"] >= _LONG_S,
        -rank(item["status"]),
        item["id"],
        entry["remedy"],
    )


def _guards(
    entry: Entry,
    items: Sequence[Finding],
    rules: Sequence[Useless],
    contexts: Mapping[str, HostContext],
    plan_options: PlanOptions,
    now: datetime,
) -> list[guards.Guard]:
    context = contexts.get(entry["host"] or "", HostContext())
    found = [guards.target(entry)]
    if entry["host"] is not None and not entry["gone"]:
        found.append(guards.reachable(entry, contexts))
    if entry["decides"]:
        found.append(guards.lock(entry, context.changes))
        return [guard for guard in found if guard]
    found += [
        guards.traffic(entry, ledger.waiting(context.changes)),
        guards.useless(items, rules),
        guards.values(entry, context),
        guards.approval(entry, plan_options.approve),
        guards.fleet_cause(entry, plan_options.approve),
        guards.lock(entry, context.changes),
    ]
    if not resolves_points(entry):
        found += [
            guards.serving(entry, plan_options.approve),
            guards.maintenance(entry, plan_options.window, now),
            guards.cooldown(entry, context.changes, now),
            guards.repetition(
                entry, context.changes, now, plan_options.repeat_times, plan_options.repeat_hours
            ),
        ]
    if entry["host"] in contexts:
        found.append(guards.variables(entry, context.variables))
    return [guard for guard in found if guard]


def _users(model: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return {component: names of the hosts that have it}, by what was checked there."""
    users: dict[str, set[str]] = {}
    for host in model["hosts"]:
        for item in host["findings"]:
            if item["status"] != "skipped":
                users.setdefault(item["component"], set()).add(host["name"])
    return users


def _without_remedy(
    model: Mapping[str, Any], remedies: Mapping[str, Remedy]
) -> list[dict[str, Any]]:
    """Return the root causes that no remedy fixes: id, hosts, advice."""
    answered = {
        item["id"]
        for host in model["hosts"]
        for item in host["findings"]
        if is_bad(item) and choose(item, remedies)
    }
    return [
        {"id": root["id"], "hosts": root["hosts"], "advice": root["advice"]}
        for root in model["roots"]
        if root["remedy"] not in remedies and root["id"].replace("fleet.", "", 1) not in answered
    ]
