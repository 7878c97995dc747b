# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of one remedy on one host, and what each of them leads to. Pure.

::

    check (still needed?) -> begin (the host's ledger) -> run (arm the restore point, run the tasks)
      -> check (has it helped?), repeated until it has or the time is over
      -> conclude (disarm the restore point, or restore it) -> end (the ledger) -> done

The state is plain data. The role ``remediate`` has a tasks file named after each step but the last,
and registers the state as ``sergas_remediate``: its key ``next`` is the step to take. Times are
whole seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import serving, verdict
from ansible_collections.sergas.ops.plugins.plugin_utils.report import outcomes, results

#: What is registered on a host as ``sergas_remediate``, with the keys of ``_NEW``.
State = dict[str, Any]

#: Seconds between two checks.
INTERVAL_S = 2
#: Seconds for which an app that has only just been started is checked again after the remedies.
STARTING_S = 60
_UNDECIDED = {"good": False, "gone": False, "worse": False, "awaiting": [], "reason": ""}
#: Every key of a state, as it is before the first remedy.
_NEW: State = {
    "next": "done",
    #: what the plan says of the remedy
    "order": {},
    #: the app of the host, as it was before the first remedy, and whether that is known
    "app": {},
    "surveyed": False,
    #: records of the remedies that have ended here
    "outcomes": [],
    #: the remedy that was begun here and has not ended, for the report of a run that loses the
    #: host; ``outcomes.LOST`` where that is not known any more
    "current": "",
    "check_mode": False,
    "started": 0,
    #: the ids of what was bad before the remedy, and the findings that it answers
    "known": [],
    "before": [],
    #: which check the step ``check`` runs, and what for
    "check": {},
    #: whether the ledger has let it begin, and when the time of its tasks is over
    "acted": False,
    "deadline": 0,
    "verifying_since": 0,
    "verdict": _UNDECIDED,
    #: what is bad among the subjects of the last check
    "after": [],
    "outcome": "",
    "reason": "",
    #: whether what was before could not be restored
    "stuck": False,
    #: seconds to wait before the next step
    "wait": 0,
    #: whether a failure has decided the next step already
    "failed_over": False,
    #: parts of the diagnosis to run once more after all remedies
    "parts": None,
    "starting_since": 0,
}


def state_of(registered: Any) -> State:
    """Return the state that a registered result holds, or a new one.

    A result without a state is that of a task that failed itself. It is not the beginning: what was
    begun on the host is not known any more.
    """
    registered = registered if isinstance(registered, dict) else {}
    if registered and "next" not in registered:
        registered = {"current": outcomes.LOST}
    return {key: registered.get(key, value) for key, value in _NEW.items()}


def start(earlier: State, order: dict[str, Any], host: Mapping[str, Any], now: int) -> State:
    """Return the state in which a remedy begins.

    Args:
        earlier: the state of the host before it.
        order: the entry of the plan with its batch, its position among the host's orders and
            whether it resolves what an interrupted run has left.
        host: dict with name, app (of its diagnosis), from_report (whether the plan was made of a
            report), checked (whether the part that verifies it has results already), blocked_by
            (the host after which the remedy is not tried any more, or None) and check_mode.
        now: the time.
    """
    first = order["position"] == 0
    surveyed = not first and earlier["surveyed"]
    state = dict(
        _NEW,
        order=order,
        app=earlier["app"] if surveyed else host["app"],
        surveyed=surveyed or not host["from_report"],
        outcomes=[] if first else earlier["outcomes"],
        check_mode=host["check_mode"],
        current=earlier["current"],
        started=now,
        known=order["known"],
        before=[order["finding"]],
    )
    if host["blocked_by"] is not None:
        return state
    if order["decides"]:
        return _decided(state, now)
    if not state["surveyed"]:
        # The report does not say how the host is now.
        parts = [{"part": "health", "on": host["name"]}]
        survey = {"purpose": "survey", "parts": parts, "since": None}
        return dict(state, next="check", check=survey)
    # What was found is old where something was done since: on this host or on those before it.
    if host["from_report"] or order["batch"] > 0 or not first or not host["checked"]:
        return _check(state, "needed", host["name"], None)
    return _begin(state)


def advance(state: State, host: Mapping[str, Any], now: int) -> State:
    """Return the state after the step of a state has been taken.

    Args:
        host: dict with name, app, results (the registered results of the check) and returned (what
            the module of the step returned).
        now: the time.
    """
    if state["failed_over"]:
        return dict(state, failed_over=False)
    state = dict(state, wait=0)
    if state["next"] == "check":
        if state["check"]["purpose"] == "survey":
            return _check(dict(state, app=host["app"], surveyed=True), "needed", host["name"], None)
        return _checked(state, host, now)
    if host["returned"].get("unreachable"):
        return lost(state)
    if state["next"] == "begin":
        return _begun(state, host["returned"], now)
    if state["next"] == "run":
        return _ran(state, host, now)
    if state["next"] == "conclude":
        return _concluded(state, host["returned"])
    return _done(state, now)


def lost(state: State) -> State:
    """Return the state of a host that was lost and answers again: it takes no further step.

    What was begun on it is rolled back automatically. The remedy stays the current one, so that the
    report says so, and none begins after it.
    """
    return dict(state, next="done", wait=0)


def fail(state: State, reason: str, now: int) -> State:
    """Return the state after a step has failed, or what it returned could not be read.

    Args:
        reason: why, as a sentence.
        now: the time.
    """
    step = state["next"]
    state = dict(state, wait=0, failed_over=True)
    if step == "run" or (step == "check" and state["acted"]):
        return _refute(state, reason, now)
    if step == "conclude":
        if state["verdict"]["good"]:
            # The time of the restore point was over before the remedy was kept.
            return dict(state, next="end", outcome="undone", reason=reason)
        reason = "%s; undoing it failed: %s" % (state["verdict"]["reason"], reason)
        return dict(state, next="end", outcome="failed", reason=reason, stuck=True)
    # Not the remedy but what surrounds it: the check, the ledger.
    return _done(dict(state, outcome="failed", reason=reason, stuck=state["acted"]), now)


def recheck(state: State, variables: Mapping[str, Any], now: int) -> State:
    """Return the state with the parts of the diagnosis to run again after all remedies, none once
    they have run.

    What was just undone restarts the app, which takes its time: until then it would seem to be
    down, so that all is checked again.

    Args:
        variables: {variable: registered result} of the host.
        now: the time.
    """
    registered = parts_of(variables)
    if state["parts"] is None:
        return dict(state, parts=registered, wait=0)
    since = state["starting_since"] or now
    again = _is_starting(variables.get(results.PREFIX + "health")) and now - since < STARTING_S
    return dict(
        state,
        parts=registered if again else [],
        wait=INTERVAL_S if again else 0,
        starting_since=since,
    )


def registered_by(part: str) -> tuple[str, ...]:
    """Return the names of the variables that a part of the diagnosis registers."""
    return results.REGISTERED.get(part, (results.PREFIX + part,))


def parts_of(variables: Iterable[str]) -> list[str]:
    """Return the parts of the diagnosis that a host has had, by the names of its variables."""
    found = [part for part in map(results.part_of, variables) if part]
    return list(dict.fromkeys(["health", *found]))


def failure(result: Mapping[str, Any], task: str | None) -> str:
    """Return why a task failed, as a sentence.

    Args:
        result: of the task; of a loop, the first item that failed counts.
        task: its name.
    """
    items = result.get("results")
    # Modules return what they like under this name, not only Ansible's results of a loop.
    items = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    bad = [item for item in items if item.get("failed")]
    return "%s (%s)" % ([*bad, result][0].get("msg", "it failed"), task or "a task")


def _check(state: State, purpose: str, name: str, since: int | None) -> State:
    """Return the state in which the check that found the problem runs again, over the journal since
    a time, or over its usual window for None.

    A host's own view of the app and what it uses is checked on the host of the finding, the other
    parts are of the server.
    """
    order = state["order"]
    check = {
        "purpose": purpose,
        "parts": [
            dict(part, on=order["probe_host"] if part["part"] == "health" else name)
            for part in verifying(order["verification"], order["found_by"])
        ],
        "since": since,
        "backends": [order["target"]] if order["target"] else [],
    }
    return dict(state, next="check", check=check)


def verifying(
    verification: Mapping[str, Any], found_by: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Return the parts of the diagnosis that verify a remedy, each with its checks, all if none.

    What has found a finding has to say that it is gone: another check may have another view of it.
    What the metadata says beside that shows what else may fail.

    Args:
        verification: what the remedy's metadata says.
        found_by: {part: checks that have found it}, where that is known.
    """
    part, checks = verification["part"], verification["checks"]
    by = found_by if verification["resolves"] else {}
    if checks:
        checks = list(dict.fromkeys([*checks, *by.get(part, ())]))
    others = [{"part": name, "checks": list(found)} for name, found in by.items() if name != part]
    return [{"part": part, "checks": checks}, *others]


def _decided(state: State, now: int) -> State:
    """Return the state of a remedy of an earlier run that traffic has decided since."""
    facts = state["order"]["decides"]
    if state["check_mode"]:
        reason = "it would be recorded as %(outcome)s: %(reason)s" % facts
        return _done(dict(state, outcome="would apply", reason=reason), now)
    return dict(state, next="end", outcome=facts["outcome"], reason=facts["reason"])


def _checked(state: State, host: Mapping[str, Any], now: int) -> State:
    order = state["order"]
    found = verdict.findings_of(host["results"])
    if found and order["more"] and state["acted"]:
        # Until the remedies behind it have been done, the app is as far as those keep it.
        found = [
            item
            for item in found
            if item["component"] not in ("app", "api")
            or item["id"] in order["findings"]
            or not is_bad(item)
        ]
    judged = verdict.judge(
        order["findings"],
        state["known"],
        found,
        order["verification"]["resolves"],
        [tuple(other) for other in order["others"]],
        # What was found before it began is as good as any other finding.
        order["awaiting"] if state["acted"] else (),
    )
    after = [item for item in found or () if is_bad(item)]
    state = dict(state, verdict=judged, after=after)
    if state["acted"]:
        if judged["good"]:
            return _conclude(state)
        if now - state["verifying_since"] < order["verification"]["timeout"]:
            return _verify(state, host, INTERVAL_S)
        return _conclude(state)
    known = list(dict.fromkeys([*state["known"], *(item["id"] for item in after)]))
    before = [item for item in found or () if item["id"] in order["findings"]]
    state = dict(state, known=known, before=before or state["before"])
    if judged["gone"]:
        return _done(dict(state, outcome="not needed", reason=judged["reason"]), now)
    if order["restarts_app"] and not order["approved"] and serving.serves_now(found or ()):
        reason = "the app serves by now: sergas_approve has to name what restarts it"
        return _done(dict(state, outcome="refused", reason=reason), now)
    return _begin(state)


def _begin(state: State) -> State:
    # A check run begins nothing that a lost host could be in the middle of.
    current = "" if state["check_mode"] else state["order"]["remedy"]
    return dict(state, next="begin", current=current)


def _begun(state: State, returned: Mapping[str, Any], now: int) -> State:
    if returned.get("refused"):
        return _done(dict(state, outcome="refused", reason=returned["refused"]), now)
    # The time of its tasks ends well before the host restores what was: nothing may change then.
    deadline = now + state["order"]["timeout"]
    return dict(
        state, next="run", acted=True, deadline=deadline, verdict=dict(_UNDECIDED), after=[]
    )


def _ran(state: State, host: Mapping[str, Any], now: int) -> State:
    if now >= state["deadline"]:
        limit = state["order"]["timeout"]
        reason = "it exceeded its timeout of %d s; its remaining tasks were skipped" % limit
        return _refute(state, reason, now)
    if state["check_mode"]:
        reason = "a check run changes nothing"
        return _done(dict(state, outcome="would apply", reason=reason), now)
    return _verify(dict(state, verifying_since=now), host, 0)


def _verify(state: State, host: Mapping[str, Any], wait: int) -> State:
    # Older lines of the journal than the remedy do not count against it.
    return dict(_check(state, "verify", host["name"], state["started"]), wait=wait)


def _refute(state: State, reason: str, now: int) -> State:
    """Return the state of a remedy that has not helped, whatever a check says."""
    state = dict(state, verdict=dict(state["verdict"], good=False, reason=reason))
    if state["check_mode"]:
        return _done(dict(state, outcome="failed", reason=reason), now)
    return _conclude(state)


def _conclude(state: State) -> State:
    # Without an undo there is nothing to disarm or to restore.
    return _concluded(state, {}) if state["order"]["undo"] else dict(state, next="conclude")


def _concluded(state: State, returned: Mapping[str, Any]) -> State:
    reason = state["verdict"]["reason"]
    if state["verdict"]["good"]:
        outcome = "unverified" if state["verdict"]["awaiting"] else "kept"
        return dict(state, next="end", outcome=outcome, reason=reason)
    restored = returned.get("outcome") or {}
    # Where nothing was changed, undoing has nothing to do.
    if restored.get("touched") or restored.get("commands"):
        return dict(state, next="end", outcome="undone", reason=reason)
    if state["order"]["undo"]:
        reason += "; there is no undo: %s" % state["order"]["undo"]
    else:
        reason += "; nothing had been changed"
    return dict(state, next="end", outcome="failed", reason=reason)


def _done(state: State, now: int) -> State:
    """Return the state with the record of the remedy among the outcomes."""
    ended_badly = state["outcome"] in ("undone", "failed")
    record = {
        "remedy": state["order"]["remedy"],
        "answers": state["order"]["answers"],
        "probe_host": state["order"]["probe_host"],
        "outcome": state["outcome"],
        # Its findings are gone and something else has failed, or what was could not be restored.
        "worse": ended_badly and (state["verdict"]["worse"] or state["stuck"]),
        "reason": state["reason"],
        "started": clock(state["started"]),
        "ended": clock(now),
        "before": state["before"],
        "after": state["after"],
    }
    return dict(state, next="done", current="", outcomes=[*state["outcomes"], record])


def _is_starting(health: Any) -> bool:
    findings = health.get("findings") if isinstance(health, dict) else None
    return any((item.get("evidence") or {}).get("starting") for item in findings or ())
