# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guards: what holds a remedy back on a host, and how a person allows it nevertheless. Pure.

Each guard takes an entry of the plan and what it has to know, and returns None or
``{name, reason, allow}``. None of them touches a host; the lock and the repetitions are checked
again on the host itself, by ``sergas.ops.remedy_ledger``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from ansible_collections.sergas.ops.plugins.module_utils._host import distribution, ledger
from ansible_collections.sergas.ops.plugins.plugin_utils import app_variables
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import window as windows
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.catalogue import INTERRUPTING

if TYPE_CHECKING:
    from datetime import datetime

    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding
    from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.catalogue import Useless
    from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.plan import (
        Entry,
        HostContext,
    )


#: What ``because`` of a rule names of the evidence.
_NAME = re.compile(r"\{([a-z_.]+)\}")


class Guard(TypedDict):
    """Why a remedy is held back on a host, and how a person allows it."""

    name: str
    reason: str
    allow: str


def _guard(name: str, reason: str, allow: str) -> Guard:
    return {"name": name, "reason": reason, "allow": allow}


def _by_name(remedy: str) -> str:
    return "-e '%s'" % json.dumps({"sergas_approve": [remedy]})


def approval(entry: Entry, approved: Container[str]) -> Guard | None:
    """Hold back what has to be named, unless it is."""
    why = ["disruptive"] if entry["impact"] == "disruptive" else []
    why += [] if entry["reversible"] else ["not reversible"]
    if entry["remedy"] in approved or not (why or entry["approval"]):
        return None
    return _guard(
        "approval",
        "it %s, so it is only done if sergas_approve names it"
        % ("is " + " and ".join(why) if why else "needs approval"),
        _by_name(entry["remedy"]),
    )


def serving(entry: Entry, approved: Container[str]) -> Guard | None:
    """Hold back a restart of an app that serves, unless it is named."""
    if not (entry["restarts_app"] and entry["serves"]) or entry["remedy"] in approved:
        return None
    return _guard(
        "serving",
        "it restarts the app of %s, which serves: its health endpoint answers as it should, and"
        " less than half of its requests fail" % entry["host"],
        _by_name(entry["remedy"]),
    )


def traffic(entry: Entry, waiting: Mapping[str, Mapping[str, Any]]) -> Guard | None:
    """Hold back what has been done already, and only traffic, or a person, will show whether it
    helped.

    Args:
        waiting: {id: entry of the ledger}, by ``ledger.waiting``.
    """
    for id in entry["findings"]:
        done = waiting.get(id)
        if done and done["remedy"] == entry["remedy"]:
            return _guard(
                "traffic",
                "it was done at %s and is not verified: %s"
                % (done["ended"], done["reason"] or "only traffic shows whether it has helped"),
                "wait until the app has served sergas_verify_requests (100) requests",
            )
    return None


def useless(items: Iterable[Finding], rules: Sequence[Useless]) -> Guard | None:
    """Hold back what cannot help, by what one of its findings knows.

    Args:
        items: the findings.
        rules: ``useless`` of the remedy; ``{name}`` in ``because`` is what the evidence has.
    """
    return next(filter(None, (_useless_for(item, rules) for item in items)), None)


def _useless_for(item: Finding, rules: Sequence[Useless]) -> Guard | None:
    for rule in rules:
        code = str(item.get("reason") or "").partition(":")[0]
        fits = not rule["reasons"] or code in rule["reasons"]
        for name, wanted in rule["evidence"].items():
            found = _evidence(item["evidence"], name)
            fits = fits and found in (wanted if isinstance(wanted, list) else [wanted])
        if fits:
            because = _NAME.sub(
                lambda match: _shown(_evidence(item["evidence"], match.group(1))), rule["because"]
            )
            return _useless(because, item["advice"])
    return None


def _useless(because: str, advice: str | None) -> Guard:
    return _guard("useless", "it cannot help: %s" % because, advice or "fix it by hand")


def _evidence(evidence: Any, path: str) -> Any:
    for name in path.split("."):
        evidence = evidence.get(name) if isinstance(evidence, Mapping) else None
    return evidence


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join("%s %s" % (value[name], name) for name in value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def values(entry: Entry, context: HostContext) -> Guard | None:
    """Hold back what would set variables that no one has given a value, or the values in use."""
    wanted = entry["values"].get(entry["finding"]["id"], [])
    if isinstance(wanted, str):
        wanted = _evidence(entry["finding"], wanted)
    if context.values is not None and isinstance(wanted, list):
        missing = app_variables.variables_without_value(map(str, wanted), context.values)
        if missing:
            return _useless(
                "no value is known for %s on %s" % (", ".join(missing), entry["host"]),
                "add what is missing to sergas_env_values in the inventory, secrets in a vault",
            )
    if entry["remedy"] in context.unchanged:
        return _useless(*context.unchanged[entry["remedy"]])
    return None


def variables(entry: Entry, defined: Container[str]) -> Guard | None:
    """Hold back what misses a variable.

    Args:
        defined: the names of the host's variables.
    """
    missing = [name for name in entry["variables"] if name not in defined]
    if not missing:
        return None
    names = ", ".join(missing)
    return _guard(
        "variables",
        "%s %s not defined for %s" % (names, "is" if len(missing) == 1 else "are", entry["host"]),
        "define %s in the inventory or the vault" % names,
    )


def target(entry: Entry) -> Guard | None:
    """Hold back what belongs on another host that is not in the inventory."""
    if entry["host"] is not None:
        return None
    return _guard(
        "target",
        "it belongs on %s, which is no host of this run" % (entry["target"] or "an unknown host"),
        "add that host to the inventory (or to --limit), by the address the app uses",
    )


def reachable(entry: Entry, left: Container[str]) -> Guard | None:
    """Hold back what belongs on a host that did not answer.

    Args:
        left: the names of the hosts that can be acted on.
    """
    if entry["host"] in left:
        return None
    return _guard(
        "unreachable",
        "%s did not answer" % entry["host"],
        "make it reachable, then run this again",
    )


def supported(entry: Entry, found: Mapping[str, Any] | None, ids: Sequence[str]) -> Guard | None:
    """Hold back everything on a host whose distribution is not supported.

    Args:
        found: the host's distribution by its diagnosis, or None if that does not say.
        ids: those of the distributions that are supported.
    """
    reason = distribution.refusal(found, ids) if found else None
    if not reason:
        return None
    return _guard(
        "distribution",
        "%s is not changed: %s" % (entry["host"], reason),
        "fix it by hand; sergas_supported_distributions says what is supported",
    )


def managed(
    entry: Entry, service: str | None, managers: Mapping[str, Mapping[str, str]]
) -> Guard | None:
    """Hold back what would act on a service behind the back of the cluster manager that owns it.

    Args:
        service: what the remedy acts on, or None.
        managers: {service: name and command of its manager} of the entry's host.
    """
    manager = managers.get(service or "")
    if not manager:
        return None
    return _guard(
        "managed",
        "%s owns this service on %s, and would undo that or fail over"
        % (manager["name"], entry["host"]),
        "do it with %s: %s" % (manager["name"], manager["command"]),
    )


def fleet_cause(entry: Entry, approved: Container[str]) -> Guard | None:
    """Hold back interruptions of single hosts for what most hosts have in common, unless named."""
    shared = entry["fleet"]
    if entry["remedy"] in approved:
        return None
    if shared is None or entry["impact"] not in INTERRUPTING or entry["on_target"]:
        return None
    return _guard(
        "fleet",
        "%s is one fault of the fleet, on %d hosts: restarting them one by one does not fix it"
        % (shared["id"], shared["hosts"]),
        "fix %s first; if the hosts themselves are wrong, %s"
        % (shared["target"] or shared["id"], _by_name(entry["remedy"])),
    )


def maintenance(entry: Entry, window: windows.Window | None, now: datetime) -> Guard | None:
    """Hold back interruptions outside of the maintenance window.

    Args:
        window: by ``window.parse``, or None.
        now: a datetime that knows its time zone.
    """
    if window is None or entry["impact"] not in INTERRUPTING or windows.is_open(window, now):
        return None
    return _guard(
        "window",
        "it is outside of the maintenance window (%s)" % windows.describe(window),
        "wait for the window, or run without sergas_maintenance_window",
    )


def share(entries: Iterable[Entry], users: Mapping[str, set[str]], most: float) -> dict[str, Guard]:
    """Return {host: guard} of the hosts that are held back since too many would be touched at once.

    Hosts count over all remedies of the run: a tier of which each half gets another remedy is
    touched as a whole. So many hosts with a fault point to something that they share, or to a probe
    that is wrong.

    Args:
        entries: those of the plan that nothing else holds back.
        users: {component: names of the hosts that have it}.
        most: the share of them that a run may touch, at least one host.
    """
    touched: dict[str | None, set[str]] = {}
    for entry in entries:
        if entry["impact"] != "none":
            touched.setdefault(entry["host"], set()).add(entry["remedy"])
    guards: dict[str, Guard] = {}
    for component, names in users.items():
        hosts = sorted(names & set(touched))
        allowed = max(1, math.floor(most * len(names) + 1e-9))
        if len(hosts) > allowed:
            guard = _guard(
                "share",
                "remedies would touch %d of %d hosts with %s (%s), more than %d (sergas_max_share"
                " is %s)"
                % (
                    len(hosts),
                    len(names),
                    component,
                    ", ".join(sorted(set().union(*(touched[name] for name in hosts)))),
                    allowed,
                    "%g" % most,
                ),
                "check what they have in common; then -e sergas_max_share=%s"
                % ("%g" % min(1, math.ceil(100 * len(hosts) / len(names)) / 100)),
            )
            for name in hosts:
                guards.setdefault(name, guard)
    return guards


def lock(entry: Entry, changes: Iterable[Mapping[str, Any]]) -> Guard | None:
    """Hold back everything while another run works on the host.

    Args:
        changes: the recent entries of the host's ledger.
    """
    for change in changes:
        if change["outcome"] == "begun":
            return _guard(
                "lock",
                "run %s%s is at work on %s with %s"
                % (
                    change["run"],
                    " of %s" % change["by"] if change["by"] else "",
                    entry["host"],
                    change["remedy"],
                ),
                "wait until it ends; the lock of a run that died ends automatically",
            )
    return None


def cooldown(entry: Entry, changes: Sequence[Mapping[str, Any]], now: datetime) -> Guard | None:
    """Hold back a remedy that has acted on the host a moment ago: it may still take effect."""
    reason = ledger.refusal(changes, entry["remedy"], now.timestamp(), entry["cooldown"], 0, 1)
    return reason and _guard("cooldown", reason, "wait for that, or -e sergas_cooldown=0")


def repetition(
    entry: Entry, changes: Sequence[Mapping[str, Any]], now: datetime, times: int, hours: int
) -> Guard | None:
    """Hold back a remedy that has acted on the host too often: it does not last.

    Args:
        times: how often it may be begun within so many hours; 0 for no limit.
        hours: those hours.
    """
    reason = ledger.refusal(changes, entry["remedy"], now.timestamp(), 0, times, hours)
    return reason and _guard(
        "repetition",
        reason,
        "find out why it does not last; then -e sergas_repeat_times=%d" % (times + 1),
    )
