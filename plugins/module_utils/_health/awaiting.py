# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a remedy has answered and only traffic can show: it stays until enough requests were served.

That the log has no exception since a restart says nothing while no one uses the app. So the finding
stays, whatever the window still shows of it, until so many requests were served since the remedy;
then the same check over the time since then decides.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import traffic
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, is_bad
from ansible_collections.sergas.ops.plugins.module_utils._health import resolved


def conclude(findings, waiting, again, needed):
    """Return (findings, decided) of a host on which remedies wait for traffic.

    Args:
        findings: those of the checks.
        waiting: {id: entry of the ledger}, by ``ledger.waiting``, of what was checked.
        again: called with (names of checks, entry) it returns their findings since its end, and how
            many requests there were.
        needed: so many requests decide.

    Returns:
        decided: a dict for each remedy that is: run, remedy, time, findings, before, outcome and
        reason.
    """
    groups = []
    for id, entry in waiting.items():
        group = next((group for group in groups if group[0] is entry), None)
        if group is None:
            group = (entry, [])
            groups.append(group)
        group[1].append(id)
    decided = []
    for entry, ids in groups:
        fresh = again(list(dict.fromkeys(traffic.SHOWN[id][0] for id in ids)), entry)
        served = requests(fresh)
        outcomes = {}
        for id in ids:
            outcomes[id] = _outcome(id, fresh) if (served or 0) >= needed else None
            findings = _replaced(findings, id, entry, outcomes[id], fresh, (served, needed))
        if set(outcomes) == set(entry["awaiting"]) and None not in outcomes.values():
            decided.append(_decided(entry, outcomes, fresh, served))
            if decided[-1]["outcome"] == "kept":
                findings = _without_symptoms(findings, entry)
    return findings, decided


def requests(findings):
    """Return how many requests the log shows, or None where that is not known."""
    for item in findings:
        if item["id"] in ("app.errors.ok", "app.errors.rate"):
            return item["evidence"].get("requests")
    return None


def _outcome(id, fresh):
    """Return ``kept`` or ``failed`` by what the check finds since the remedy, None where it is
    unmeasured.
    """
    if any(item["id"] == id and is_bad(item) for item in fresh):
        return "failed"
    subject = traffic.SHOWN[id][1]
    unmeasured = [subject + ending for ending in (".unknown", ".skipped", ".missing")]
    return None if any(item["id"] in unmeasured for item in fresh) else "kept"


def _replaced(findings, id, entry, outcome, fresh, figures):
    """Return the findings with what is now known of one id instead of what the window shows."""
    current = next((item for item in findings if item["id"] == id and is_bad(item)), None)
    if outcome == "failed":
        item = _not_helped(next(item for item in fresh if item["id"] == id), entry, figures[0])
    elif outcome == "kept":
        item = _fixed(id, entry, figures[0])
    else:
        item = _waiting(id, current, entry, *figures)
    good = traffic.SHOWN[id][1] + ".ok"
    left = [other for other in findings if other is not current and other["id"] != good]
    return left + [item]


def _without_symptoms(findings, entry):
    """Return the findings with those that derived from what is fixed as the past that they are."""
    kept = dict(entry, outcome="kept")
    result = []
    for item in findings:
        good = item["id"].rpartition(".")[0] + ".ok"
        result += resolved.mark_resolved([item], good, [kept])
    return result


def _not_helped(item, entry, served):
    facts = {key: entry[key] for key in ("remedy", "run", "ended")}
    text = "%s (%s did not help: %d requests served since %s)"
    return dict(
        item,
        evidence=dict(item["evidence"], not_helped=facts),
        summary=text % (item["summary"], entry["remedy"], served, entry["ended"]),
    )


def _fixed(id, entry, served):
    resolved = {"finding": id, "at": entry["ended"]}
    resolved.update((key, entry[key]) for key in ("remedy", "run"))
    return finding(
        traffic.SHOWN[id][1] + ".ok",
        id.partition(".")[0],
        "ok",
        "Fixed at %s by the remedy %s: not seen in %d requests since"
        % (entry["ended"], entry["remedy"], served),
        evidence={"resolved": resolved},
    )


def _waiting(id, current, entry, served, needed):
    """Return the finding of an id that is not decided yet."""
    if current is None:
        # The window does not show it, or not any more: what it was is in the ledger.
        before = next((item for item in entry["before"] if item.get("id") == id), {})
        status = before.get("status")
        current = finding(
            id,
            id.partition(".")[0],
            status if status in ("warn", "fail") else "warn",
            before.get("summary") or "%s was there before %s" % (id, entry["remedy"]),
            confidence="estimated",
            advice="Nothing, until the app has served more requests.",
        )
    facts = {"since": entry["ended"], "requests": served, "needed": needed}
    facts.update((key, entry[key]) for key in ("remedy", "run"))
    return dict(
        current,
        evidence=dict(current["evidence"], awaiting_traffic=facts),
        summary="%s (not verified yet: %s at %s, %s of %d requests served since)"
        % (
            current["summary"],
            entry["remedy"],
            entry["ended"],
            "an unknown number" if served is None else served,
            needed,
        ),
        remedy=entry["remedy"],
    )


def _decided(entry, outcomes, fresh, served):
    failed = [id for id, outcome in outcomes.items() if outcome == "failed"]
    reason = "not seen in %d requests since" % served
    if failed:
        item = next(item for item in fresh if item["id"] in failed)
        reason = "still %s: %s" % (item["id"], item["summary"])
    return {
        "run": entry["run"],
        "remedy": entry["remedy"],
        "time": entry["time"],
        "findings": entry["awaiting"],
        "before": entry["before"],
        "outcome": "failed" if failed else "kept",
        "reason": reason,
    }
