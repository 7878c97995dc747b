# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of the journal the figures of a finding stand for."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock


def evidence(logs):
    """Return how much of the journal the figures stand for, for the evidence."""
    result = {"window_seconds": logs["window"], "lines": logs["lines"]}
    if logs.get("understood_percent") is not None:
        result["understood_percent"] = logs["understood_percent"]
    if logs.get("files"):
        result["files"] = logs["files"]
    if logs["truncated"]:
        result["truncated"] = True
        result["read_back_to"] = clock(logs["oldest"])
    if logs["skipped"]:
        result["skipped"] = logs["skipped"]
    return result


def suffix(logs):
    if not logs["truncated"]:
        return "in the last %s" % _span(logs["window"])
    return "since %s, where the time to read the journal ran out" % (
        clock(logs["oldest"]) or "an unknown time"
    )


def _span(seconds):
    if seconds % 3600 == 0:
        return "hour" if seconds == 3600 else "%d hours" % (seconds // 3600)
    return "%d minutes" % (seconds // 60) if seconds >= 120 else "%d s" % seconds


def confidence(logs):
    """Return how sure the figures are: the lines of a file have no time but what they say."""
    return "estimated" if logs["truncated"] or logs.get("files") else "measured"


def remedy(logs, name):
    """Return a remedy that restarts the app, None where only the lines of a file speak for it: who
    wrote them is not known.
    """
    return None if logs.get("files") else name
