# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a plan of remedies: each entry with its outcome, for the report. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.sergas.ops.plugins.module_utils._core import traffic
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

#: outcome of a remedy, the worst first: the status it is shown as. What is ``guarded`` or only
#: ``planned`` was shown with the plan.
OUTCOMES = {
    "failed": "fail",  # it did not help, and was not undone
    "undone": "fail",  # it did not help and was undone
    "unknown": "unknown",  # the host was lost in the middle of it
    "unverified": "unknown",  # only traffic shows whether it has helped
    "refused": "warn",  # the host's ledger refused it
    "not tried": "warn",  # the run stopped before it, or its check was refuted by the last one
    "kept": "ok",  # it helped
    "not needed": "ok",  # its finding was resolved before it
    "would apply": "ok",  # a check run: it would be carried out
}
#: Those that fail the run, and stop the same remedy on further hosts.
WORSE = ("undone", "failed", "unknown")

#: What of an entry the report shows.
_SHOWN = (
    "remedy",
    "title",
    "host",
    "impact",
    "reversible",
    "findings",
    "answers",
    "why",
    "helps",
    "changes",
    "undo",
    "guards",
)
#: Stands for the remedy in progress on a host whose state was lost: it may have been any of them.
LOST = "?"
_AHEAD = "the run was about to begin it and did not report how it ended; if it was interrupted, %s"
_EVIDENCE = ("id", "status", "summary", "value", "unit", "evidence")


def account(
    planned: dict[str, Any],
    states: Mapping[str, dict[str, Any]],
    ahead: bool = False,
) -> dict[str, Any]:
    """Return the remediation as the report has it.

    Args:
        planned: the result of the action ``remediation_plan``.
        states: {host name: what was registered there as the state of its remedies; nothing where
            none has had its turn}.
        ahead: whether it is about to be carried out, so that this is all there is of a run that
            is killed.

    Returns:
        dict with run, by, mode, entries (each with outcome, reason, started, ended, before and
        after), gone, left_out, counts and failed.
    """
    entries = []
    for entry in planned["entries"]:
        shown = {key: entry[key] for key in _SHOWN}
        shown["others"] = [{"id": id, "reason": reason} for id, reason in entry["others"]]
        shown["before"] = [evidence(entry["finding"])]
        shown.update(_outcome(entry, planned, states))
        if ahead and is_ready(entry) and planned["mode"] == "apply":
            shown.update(outcome="unknown", reason=_AHEAD % _after_loss(entry))
        entries.append(shown)
    return {
        "run": planned["run"],
        "by": planned["by"],
        "mode": planned["mode"],
        "entries": entries,
        "gone": planned["gone"],
        "left_out": planned["left_out"],
        **_totals(entries),
    }


def _totals(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "counts": dict(Counter(entry["outcome"] for entry in entries)),
        "failed": any(entry["outcome"] in WORSE for entry in entries),
    }


def conclude(remediation: dict[str, Any], hosts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the remediation with the outcomes that the last check of the hosts leaves.

    No remedy is kept, or was not needed, for a finding that the same report has as bad: the last
    check decides.

    Args:
        remediation: what ``account`` returned.
        hosts: those of the report, with their findings.
    """
    bad = [
        ((host["name"], item["id"]), item)
        for host in hosts
        for item in host["findings"]
        if is_bad(item)
    ]
    entries = [_concluded(entry, bad) for entry in remediation["entries"]]
    return {**remediation, "entries": entries, **_totals(entries)}


def _concluded(
    entry: dict[str, Any], bad: Sequence[tuple[tuple[str, str], Finding]]
) -> dict[str, Any]:
    """Return an entry of the report with the outcome that what is bad leaves it."""
    if entry["outcome"] not in ("kept", "not needed"):
        return entry
    wanted = {(one["host"], one["id"]) for one in entry["answers"]}
    others = set(map(key, entry["others"]))
    left = [item for where, item in bad if where in wanted and key(item) not in others]
    if not left:
        return entry
    last = "the last check has %s: %s" % (left[0]["id"], left[0]["summary"])
    if entry["outcome"] == "not needed":
        outcome, reason = "not tried", "it seemed not to be needed, but %s" % last
    elif all(traffic.shows_it(item) for item in left):
        outcome, reason = "unverified", "only traffic shows whether it has helped: %s" % last
    else:
        outcome, reason = "failed", "it seemed to have helped, but %s" % last
        if entry["undo"]:
            reason += "; there is no undo: %s" % entry["undo"]
    after = [evidence(item) for item in left]
    return {**entry, "outcome": outcome, "reason": redact(reason), "after": after}


def key(item: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return what tells a finding from others of its host: its id and its reason."""
    return item["id"], item.get("reason")


def evidence(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a finding that shows how it was."""
    return {key: item.get(key) for key in _EVIDENCE}


def is_ready(entry: Mapping[str, Any]) -> bool:
    """Return whether no guard holds an entry of a plan back, and its host is there."""
    return not entry["guards"] and not entry["gone"]


def progress(state: Mapping[str, Any]) -> tuple[Sequence[dict[str, Any]], str]:
    """Return (records of the remedies that ended on a host, the one in progress or "").

    Args:
        state: what was registered there as the state of its remedies. A result that holds no state
            is that of a task that failed itself: what the state was is not known any more.
    """
    if not state:
        return (), ""
    return (state["outcomes"], state["current"]) if "next" in state else ((), LOST)


def stopped_by(
    ended: Mapping[str, tuple[Sequence[dict[str, Any]], str]],
    remedy: str,
    answers: Sequence[Mapping[str, Any]],
) -> str | None:
    """Return the name of the host after which a remedy must not be tried any more, or ``None``.

    A remedy that did not help on one host is not tried on the next that has the same finding for
    the same reason. One that made things worse, or in the middle of which the host was lost, stops
    all others as well.

    Args:
        ended: {host name: (records of the remedies that ended there, the one in progress or "")},
            in the order of the run.
        remedy: the name of the remedy that is to be tried.
        answers: the findings that it is for, each with id and reason.
    """
    wanted = set(map(key, answers))
    for name, (records, current) in ended.items():
        if current:
            return name
        for record in records:
            bad = record["outcome"] in WORSE
            same = record["remedy"] == remedy and wanted & set(map(key, record["answers"]))
            if bad and (record["worse"] or same):
                return name
    return None


def _outcome(
    entry: dict[str, Any],
    planned: dict[str, Any],
    states: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "outcome": None,
        "reason": None,
        "started": None,
        "ended": None,
        "after": [],
    }
    if entry["gone"]:
        return dict(result, outcome="guarded", reason="the host is no longer in the inventory")
    if not is_ready(entry):
        guard = entry["guards"][0]
        # What has been done waits, whatever else holds it back now.
        outcome = "unverified" if guard["name"] == "traffic" else "guarded"
        return dict(result, outcome=outcome, reason=guard["reason"])
    if planned["mode"] == "plan":
        return dict(result, outcome="planned", reason="sergas_apply is not set")
    state = states.get(entry["host"], {})
    records, current = progress(state)
    record = _record(entry, records)
    if record is not None:
        result.update({key: record.get(key) for key in ("outcome", "started", "ended")})
        result["reason"] = redact(str(record.get("reason") or ""))
        for key in ("before", "after"):
            result[key] = [evidence(item) for item in record.get(key) or ()]
        return result
    if current in (entry["remedy"], LOST):
        return dict(result, outcome="unknown", reason=_loss(entry, state))
    ended = {name: progress(states.get(name, {})) for batch in planned["batches"] for name in batch}
    host = stopped_by(ended, entry["remedy"], entry["answers"])
    return dict(
        result,
        outcome="not tried",
        reason="stopped after %s" % host if host else "the run ended before it",
    )


def _loss(entry: dict[str, Any], state: Mapping[str, Any]) -> str:
    """Return what is known of a remedy that was begun and did not end."""
    if "next" not in state:
        known = "the state of the remedies of %s was lost, so it may have begun"
    elif state["outcome"]:
        # Its restore point is disarmed or restored: only its end is missing in the ledger.
        return "%s was lost after it had ended: %s, %s" % (
            entry["host"],
            state["outcome"],
            redact(state["reason"]),
        )
    else:
        known = "%s was lost in the middle of it"
    return "%s; %s" % (known % entry["host"], _after_loss(entry))


def _after_loss(entry: dict[str, Any]) -> str:
    """Return what becomes of a host on which a remedy was begun and did not end."""
    if entry["undo"]:
        return "it has no undo, so inspect the host"
    return "the host rolls back automatically, at the latest %d s after the start" % entry["limit"]


def _record(entry: dict[str, Any], records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    for record in records:
        same = record.get("remedy") == entry["remedy"]
        if same and record.get("probe_host") == entry["probe_host"]:
            return record
    return None
