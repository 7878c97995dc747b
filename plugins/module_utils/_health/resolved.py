# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which findings are of the past: a remedy has resolved them, and they have not been seen since.

The journal still shows a fault for as long as the window reaches back. Without this, a fault
that was fixed a minute ago would be fixed again by every run of the next hour.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, is_bad


def mark_resolved(findings, ok_id, entries):
    """Return the findings of one check, those that are resolved with the status ``ok``.

    A finding is resolved if the ledger has an entry with the outcome ``kept`` for its id, and its
    ``evidence.last_seen`` lies before the end of that entry. A finding without a ``last_seen`` is
    current.

    Args:
        findings: those of the check.
        ok_id: the id of its good findings.
        entries: those of the ledger.
    """
    return [_marked(item, ok_id, entries) for item in findings]


def _marked(item, ok_id, entries):
    seen = times.seconds(item["evidence"].get("last_seen")) if is_bad(item) else None
    if seen is None:
        return item
    resolving = None
    for entry in entries:
        ended = times.seconds(entry["ended"])
        if entry["outcome"] != "kept" or item["id"] not in entry["findings"] or ended is None:
            continue
        # Both are whole seconds: within the same one, the order is not known.
        if seen < ended and (resolving is None or ended > times.seconds(resolving["ended"])):
            resolving = entry
    if resolving is None:
        return item
    # One check may speak of several subjects of the app: app.files.exhausted becomes app.files.ok.
    subject = item["id"].rpartition(".")[0]
    return finding(
        subject + ".ok" if subject.startswith("app.") else ok_id,
        item["component"],
        "ok",
        "Fixed at %s by the remedy %s, not seen since (last at %s): %s"
        % (
            resolving["ended"],
            resolving["remedy"],
            item["evidence"]["last_seen"],
            item["summary"],
        ),
        confidence=item["confidence"],
        evidence=dict(
            item["evidence"],
            resolved={
                "finding": item["id"],
                "at": resolving["ended"],
                "remedy": resolving["remedy"],
                "run": resolving["run"],
            },
        ),
        guide=item["guide"],
    )
