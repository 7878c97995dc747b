# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts of what the lines of a log say, in bounded memory whatever they say."""

from __future__ import annotations

#: Kept at most, of each sort; the rarest are dropped first.
MOST_GROUPS = 400
MOST_EVENTS = 1000


def note(table, at, invocation):
    """Note in {invocation: (first, last)} that something happened at a time."""
    times = table.get(invocation)
    if times is not None:
        table[invocation] = (min(times[0], at), max(times[1], at))
    elif len(table) < MOST_EVENTS:
        table[invocation] = (at, at)


class Groups:
    """Counts of equal things, with first, last and an example of each; bounded."""

    def __init__(self, most=MOST_GROUPS):
        self._most = most
        self._groups = {}

    def add(self, key, at, invocation, **details):
        """Count one more of key, at a time in seconds since the epoch, in an invocation of the
        unit.
        """
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= self._most:
                self._purge()
            group = self._groups[key] = dict(details, count=0, first=at, last=at, by={})
        group["count"] += 1
        group["first"] = min(group["first"], at)
        group["last"] = max(group["last"], at)
        by = group["by"]
        if invocation in by or len(by) < MOST_EVENTS:
            by[invocation] = by.get(invocation, 0) + 1

    def _purge(self):
        common = sorted(self._groups.items(), key=lambda item: item[1]["count"], reverse=True)
        self._groups = dict(common[: self._most // 2])

    def listed(self, resolved=()):
        """Return ([group, ...], dropped): the commonest first, without what resolved invocations
        had.
        """
        listed, dropped = [], 0
        for group in self._groups.values():
            group = dict(group)
            gone = sum(
                count for invocation, count in group.pop("by").items() if invocation in resolved
            )
            dropped += gone
            group["count"] -= gone
            if group["count"] > 0:
                listed.append(group)
        listed.sort(key=lambda group: (-group["count"], -group["last"]))
        return listed, dropped


class Latest:
    """The latest lines, those that say the same counted together."""

    def __init__(self, most=20):
        self._most = most
        self._groups = {}
        self._floor = 0.0

    def add(self, key, at, invocation, line):
        """Take a line that says what key is, in an invocation of the unit."""
        known = self._groups.get((key, invocation))
        if known is None:
            if at < self._floor:
                return
            if len(self._groups) >= 4 * self._most:
                self._purge()
            known = self._groups[(key, invocation)] = {"count": 0, "last": at, "line": line[:400]}
        known["count"] += 1
        if at >= known["last"]:
            known["last"], known["line"] = at, line[:400]

    def _purge(self):
        kept = sorted(self._groups.items(), key=lambda item: -item[1]["last"])[: 2 * self._most]
        self._groups, self._floor = dict(kept), kept[-1][1]["last"]

    def listed(self, resolved=()):
        """Return [{count, last, line}], the latest first, without those of resolved invocations."""
        found = [
            dict(known)
            for (_key, invocation), known in self._groups.items()
            if invocation not in resolved
        ]
        return sorted(found, key=lambda item: -item["last"])[: self._most]


class Event:
    """When something happened, how often, and the latest example."""

    def __init__(self):
        self._by = {}

    def add(self, at, sample, invocation=None):
        """Count one more, in an invocation of the unit."""
        known = self._by.get(invocation)
        if known is None:
            if len(self._by) >= MOST_EVENTS:
                return
            known = self._by[invocation] = {"count": 0, "first": at, "last": at, "sample": ""}
        known["count"] += 1
        if at >= known["last"]:
            known["last"], known["sample"] = at, sample[:300]
        known["first"] = min(known["first"], at)

    def plain(self, since=None, without=()):
        """Return the event as a dict, or None if it never happened.

        Args:
            since: seconds since the epoch; what ended before then does not count.
            without: invocations that do not count.
        """
        known = [
            part
            for invocation, part in self._by.items()
            if invocation not in without and (since is None or part["last"] >= since)
        ]
        if not known:
            return None
        return {
            "count": sum(part["count"] for part in known),
            "first": min(part["first"] for part in known),
            "last": max(part["last"] for part in known),
            "sample": max(known, key=lambda part: part["last"])["sample"],
        }
