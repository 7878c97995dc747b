# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts and ends of the unit: what systemd and the app itself say of them."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._health.logs.tallies import (
    MOST_EVENTS,
    note,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

#: A unit that has been up this long, in seconds, has started cleanly even if it does not say so.
_STABLE_SECONDS = 30.0
_STARTING = ("started server process", "started parent process", "waiting for application startup")
_EXITED = r"code=(\w+), status=(\d+)(?:/(\w+))?"
_RESTART = r"restart counter is at (\d+)"


class Starts:
    """When invocations of the unit began, were ready and ended."""

    def __init__(self, now, monotonic):
        """Args: now: seconds since the epoch; monotonic: the host's clock."""
        self._now = now
        self._monotonic = monotonic
        self._starts = {}
        self._begun = set()
        self._ready = {}
        self._bound = {}
        self._events = []
        self.ready_pids = set()

    @property
    def saw_signal(self):
        """Whether systemd says that a signal ended a process."""
        return any(
            event["what"] == "oom" or event.get("code") in ("killed", "dumped")
            for event in self._events
        )

    def bound(self, at, invocation):
        """Take that the app has its port."""
        note(self._bound, at, invocation)

    def start(self, at, pid, low, invocation):
        """Take a line with the word start."""
        if "application startup complete" in low:
            note(self._ready, at, invocation)
            if len(self.ready_pids) < MOST_EVENTS:
                self.ready_pids.add(pid)
        elif low.endswith("startup.") or "started " in low:
            if any(needle in low for needle in _STARTING):
                note(self._starts, at, invocation)
                if len(self._begun) < MOST_EVENTS:
                    self._begun.add(invocation)

    def systemd(self, at, message, entry):
        """Take a line of systemd about the unit."""
        invocation = entry.get("INVOCATION_ID")
        event = None
        if "process exited, code=" in message:
            found = re.search(_EXITED, message)
            if found:
                event = {
                    "what": "exit",
                    "code": found.group(1),
                    "status": int(found.group(2)),
                    "name": found.group(3),
                }
        elif "restart counter is at" in message:
            found = re.search(_RESTART, message)
            event = {"what": "restart", "counter": int(found.group(1)) if found else None}
        elif "killed by the OOM killer" in message:
            event = {"what": "oom"}
        elif "repeated too quickly" in message:
            event = {"what": "gave up"}
        elif "Failed with result" in message:
            event = {"what": "failed", "result": message.partition("'")[2].partition("'")[0]}
        elif "Failed at step" in message or "Failed to load environment" in message:
            event = {"what": "not started", "reason": message.partition(": ")[2][:200]}
        elif "timed out" in message:
            event = {"what": "timeout", "reason": message.partition(": ")[2][:120]}
        elif entry.get("MESSAGE_ID") == "39f53479d3a045ac8e11786248231fbf":
            event = {"what": "started"}
            note(self._starts, at, invocation)
        elif entry.get("MESSAGE_ID") == "de5b426a63be47a7b6ac3eaac82e2f6f":
            event = {"what": "stopping"}
        if event is not None and len(self._events) < MOST_EVENTS:
            event.update(at=at, invocation=invocation)
            self._events.append(event)

    def completes(self):
        """Return {invocation: (first, last)} of when the app was ready AND had its port.

        With one worker uvicorn starts the app first and takes the port then, with several the other
        way round: either alone may still fail. Where no port is logged, ready is all there is.
        """
        if not self._bound:
            return self._ready
        return {
            name: (max(first, self._bound[name][0]), max(last, self._bound[name][1]))
            for name, (first, last) in self._ready.items()
            if name in self._bound
        }

    def clean_start(self, properties):
        """Return when the app last came up for certain, in seconds since the epoch, or None."""
        completes = self.completes()
        times = [times[1] for times in completes.values()]
        if unit.is_running(properties):
            entered = unit.since(properties, "ActiveEnterTimestamp", self._now, self._monotonic)
            if entered is not None and self._now - entered >= _STABLE_SECONDS:
                current = properties.get("InvocationID")
                # An app that logs its start, and has not yet in this invocation, has not
                # started.
                if current not in self._starts or current in completes or not completes:
                    times.append(entered)
        return max(times) if times else None

    def resolved(self, properties, clean_start):
        """Return the invocations that began in the window, never came up, and are behind a clean
        start.
        """
        completes = self.completes()
        if clean_start is None or not completes:
            return frozenset()
        current = properties.get("InvocationID")
        return frozenset(
            name
            for name, (started, _last) in self._starts.items()
            if name and name != current and name not in completes and started < clean_start
        )

    def result(self, properties):
        """Return all of it as plain data; properties: those of the unit, or {}."""
        completes = self.completes()
        return {
            "clean_start": self.clean_start(properties),
            "start_seconds": self._start_seconds(properties, completes),
            # By its own word: an app that says so will also say when it has started.
            "begun": [name for name in self._begun if name],
            "completes": {name: times for name, times in completes.items() if name},
            "unit_events": sorted(self._events, key=lambda event: event["at"]),
        }

    def _start_seconds(self, properties, completes):
        """Return how long the app's last start took, from its process to its own word, or None."""
        current = properties.get("InvocationID")
        started = unit.since(properties, "ExecMainStartTimestamp", self._now, self._monotonic)
        if current in completes and started is not None:
            return round(max(0.0, completes[current][0] - started), 3)
        return None
