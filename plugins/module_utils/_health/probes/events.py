# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events in the app's log that named expressions find: the shipped ones and the operator's."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import extent

REASONS = {
    "app.events.seen": ("agent_sessions", "account_syncs", "memory_queries", "pattern"),
}
#: What each shipped event is about, in words.
_EVENTS = {
    "agent_sessions": "Agent sessions fail",
    "account_syncs": "Syncs of accounts fail",
    "memory_queries": "Queries of the memory service fail",
}


def decide(_ctx, logs, *_counters):
    """Return the events that named expressions find in the log."""
    found = []
    for event in logs["events"]:
        shown = _EVENTS.get(event["name"]) if event["shipped"] else None
        found.append(
            finding(
                "app.events.seen",
                "app",
                event["severity"],
                "%s: %d lines %s, the last one at %s"
                % (
                    shown or "The log has the event " + event["name"],
                    event["count"],
                    extent.suffix(logs),
                    clock(event["last"]),
                ),
                reason=event["name"] if event["shipped"] else "pattern:" + event["name"],
                value=event["count"],
                unit="log lines",
                confidence=extent.confidence(logs),
                evidence=dict(
                    extent.evidence(logs),
                    first=clock(event["first"]),
                    last_seen=clock(event["last"]),
                    line=event["sample"],
                ),
                advice="Read the lines of that time: journalctl -u the unit.",
            )
        )
    return found or [
        finding(
            "app.events.ok",
            "app",
            "ok",
            "None of the events to watch is in the log %s" % extent.suffix(logs),
            value=0,
            unit="log lines",
            confidence=extent.confidence(logs),
            evidence=extent.evidence(logs),
        )
    ]
