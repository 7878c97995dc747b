# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a plan: each entry with its outcome, for the report. Pure."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.plan import is_ready
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.verdict import (
    WORSE,
    stopped_by,
)

#: What of an entry the report shows.
_SHOWN = (
    "remedy",
    "title",
    "host",
    "impact",
    "reversible",
    "findings",
    "why",
    "helps",
    "changes",
    "undo",
    "guards",
)
_AHEAD = "the run was about to begin it and has not told how it ended; if in the middle, %s"
_EVIDENCE = ("id", "status", "summary", "value", "unit", "evidence")


def account(planned, records, current, ahead=False):
    """Return the remediation as the report has it.

    Args:
        planned: the result of the action ``remediation_plan``.
        records: {host name: [record of a remedy that ended there]}.
        current: {host name: the remedy that was begun there last, or an empty text}.
        ahead: whether it is about to be carried out, and this is what a run leaves that does not
            live to tell.

    Returns:
        dict with run, by, mode, entries (each with outcome, reason, started, ended, before and
        after), gone, left_out, counts and failed.
    """
    entries = []
    for entry in planned["entries"]:
        shown = {key: entry[key] for key in _SHOWN}
        shown["before"] = [evidence(entry["finding"])]
        shown.update(_outcome(entry, planned, records, current))
        if ahead and is_ready(entry) and planned["mode"] == "apply":
            shown.update(outcome="unknown", reason=_AHEAD % _left(entry))
        entries.append(shown)
    counts = {}
    for entry in entries:
        counts[entry["outcome"]] = counts.get(entry["outcome"], 0) + 1
    return {
        "run": planned["run"],
        "by": planned["by"],
        "mode": planned["mode"],
        "entries": entries,
        "gone": planned["gone"],
        "left_out": planned["left_out"],
        "counts": counts,
        "failed": any(entry["outcome"] in WORSE for entry in entries),
    }


def evidence(item):
    """Return what of a finding tells how it was."""
    return {key: item.get(key) for key in _EVIDENCE}


def _outcome(entry, planned, records, current):
    told = {"outcome": None, "reason": None, "started": None, "ended": None, "after": []}
    if entry["gone"]:
        return dict(told, outcome="guarded", reason="the host is no longer in the inventory")
    if not is_ready(entry):
        return dict(told, outcome="guarded", reason=entry["guards"][0]["reason"])
    if planned["mode"] == "plan":
        return dict(told, outcome="planned", reason="sergas_apply is not set")
    record = _record(entry, records)
    if record is not None:
        told.update({key: record.get(key) for key in told if key != "after"})
        told["reason"] = redact(str(told["reason"] or ""))
        for key in ("before", "after"):
            told[key] = [evidence(item) for item in record.get(key) or ()]
        return told
    if current.get(entry["host"]) == entry["remedy"]:
        reason = "%s was lost in the middle of it; %s" % (entry["host"], _left(entry))
        return dict(told, outcome="unknown", reason=reason)
    ended = {
        name: (records.get(name, ()), current.get(name, ""))
        for batch in planned["batches"]
        for name in batch
    }
    stopper = stopped_by(ended, entry["remedy"])
    return dict(
        told,
        outcome="not tried",
        reason="stopped after %s" % stopper if stopper else "the run ended before it",
    )


def _left(entry):
    """Return what becomes of a host that a remedy was begun on and not ended."""
    if entry["undo"]:
        return "it has no undo, so look at the host"
    return "the host puts itself back, at the latest %d s after the begin" % entry["limit"]


def _record(entry, records):
    for record in records.get(entry["host"], ()):
        same = record.get("remedy") == entry["remedy"]
        if same and record.get("probe_host") == entry["probe_host"]:
            return record
    return None
