# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore points that are armed: what this host undoes automatically unless someone disarms them.

A run that was interrupted leaves one behind. Until its time is over everything may look well, with
changes that are about to go.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    ledger,
    ledger_reader,
    restore_points,
)

_REMEDY = "resolve_restore_points"


def observe(ctx):
    """Return ``{points, lease, entries}``: the pending restore points, who holds the host's lock,
    and the recent entries of the ledger.

    Raises:
        PermissionError: only root may read them, and there are some.
    """
    del ctx
    points = restore_points.pending(restore_points.points())
    if not points:
        return {"points": [], "lease": None, "entries": []}
    lease = ledger.holder(ledger_reader.read_lease(), times.boot_id(), times.uptime())
    return {"points": points, "lease": lease, "entries": ledger_reader.entries()}


def decide(ctx, seen):
    """Return the findings."""
    del ctx
    if not seen["points"]:
        return [finding("host.restore_point.ok", "host", "ok", "No restore point is armed")]
    working = seen["lease"]["run"] if seen["lease"] else None
    points = [_shown(item, working, seen["entries"]) for item in seen["points"]]
    failed = [item for item in points if item["errors"]]
    findings = []
    if failed:
        findings.append(
            finding(
                "host.restore_point.failed",
                "host",
                "fail",
                "Restore point %s is restored in part: %s"
                % (failed[0]["name"], "; ".join(failed[0]["errors"])),
                value=len(failed),
                evidence={"points": points},
                remedy=_REMEDY,
                advice="Remove the reason, such as a full disk; then restore the rest.",
            )
        )
    armed = [item for item in points if not item["errors"]]
    if armed:
        gone = [item for item in armed if not item["at_work"]]
        first = (gone or armed)[0]
        findings.append(
            finding(
                "host.restore_point.armed",
                "host",
                "fail" if gone else "warn",
                "Restore point %s has been armed since %s%s%s: the host restores %d files at %s"
                % (
                    first["name"],
                    first["armed_at"],
                    " by run %s" % first["run"] if first["run"] else "",
                    ", which is gone" if gone else ", which holds the lock of the host",
                    len(first["files"]),
                    first["due"],
                ),
                value=len(armed),
                evidence={"points": points},
                remedy=_REMEDY,
                advice="Resolve it with playbook fix: what helped is kept, the rest is restored."
                if gone
                else "Wait until the run has ended.",
            )
        )
    return findings


def _shown(item, working, entries):
    point, outcome = item["point"], item["outcome"] or {}
    entry = _entry(item["name"], point.get("run"), entries)
    return {
        "name": item["name"],
        "run": point.get("run"),
        "armed_at": point.get("armed_at"),
        "due": point.get("due"),
        "at_work": working is not None and working == point.get("run"),
        "files": [saved.get("path") for saved in point.get("files") or ()],
        "errors": list(outcome.get("errors") or ()),
        # What the remedy was to resolve, and what was wrong before it.
        "remedy": bool(entry),
        "findings": [found.get("id") for found in entry["before"]] if entry else [],
        "known": entry["known"] if entry else [],
    }


def _entry(name, run, entries):
    """Return the ledger's last entry of a remedy in a run, or None."""
    own = [entry for entry in entries if (entry["remedy"], entry["run"]) == (name, run)]
    return own[-1] if own else None
