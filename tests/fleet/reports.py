# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report.json says of the hosts."""

from __future__ import annotations

import json

#: What needs attention.
BAD = {"warn", "fail", "unknown"}


def latest(directory):
    """Return the latest report in a directory, or None if there is none.

    No test has to remember that a remedy is not kept beside its finding: each report is searched.
    """
    path = directory / "latest" / "report.json"
    report = json.loads(path.read_text()) if path.exists() else None
    refuted = contradictions(report) if report else []
    assert not refuted, json.dumps(refuted, indent=1)
    return report


def contradictions(report):
    """Return (host, remedy, outcome, id) where a remedy is kept, or was not needed, and the same
    report has what it answers as bad on that host.
    """
    every = findings(report)
    found = []
    for entry in (report.get("remediation") or {"entries": []})["entries"]:
        if entry["outcome"] not in ("kept", "not needed"):
            continue
        others = [(one["id"], one["reason"]) for one in entry["others"]]
        for host in entry["helps"]:
            wanted = {one["id"] for one in entry["answers"] if one["host"] == host}
            found += [
                (host, entry["remedy"], entry["outcome"], item["id"])
                for item in bad(every[host])
                if item["id"] in wanted and (item["id"], item["reason"]) not in others
            ]
    return found


def findings(report):
    """Return {host: its findings}."""
    return {host["name"]: host["findings"] for host in report["hosts"]}


def bad(items):
    """Return those of some findings that are bad."""
    return [item for item in items if item["status"] in BAD]


def bad_roots(items):
    """Return those of some findings that are bad and derive from no other."""
    return [item for item in bad(items) if not item["cause"]]


def roots(items):
    """Return the ids of the bad findings that derive from no other."""
    return {item["id"] for item in bad_roots(items)}


def describe(items, **more):
    """Return the bad findings as text, behind what else there is, for a failure's message."""
    keys = ("id", "status", "cause", "summary", "evidence")
    short = [{key: item[key] for key in keys} for item in bad(items)]
    return json.dumps({**more, "bad": short}, indent=1)[:6000]
