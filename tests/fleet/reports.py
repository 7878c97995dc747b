# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report.json says of the hosts."""

from __future__ import annotations

import json

#: What needs attention.
BAD = {"warn", "fail", "unknown"}


def latest(directory):
    """Return the latest report in a directory, or None if there is none."""
    path = directory / "latest" / "report.json"
    return json.loads(path.read_text()) if path.exists() else None


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
