# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lines of a unit's journal add up to, in bounded memory whatever they say."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import lines, tracebacks
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.clients import REMOTE, Clients
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.deaths import Deaths
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.errors import Errors
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.requests import Requests
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.starts import Starts
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.tallies import (
    MOST_EVENTS,
    Event,
)
from ansible_collections.sergas.ops.plugins.module_utils._host.journal import text_of

#: Lines of one process that wait for the older chunk in which their traceback may begin
MOST_HELD = 500


class Survey:
    """What the lines of a journal add up to, read chunk by chunk from the newest to the oldest."""

    def __init__(self, now, ignored_paths=(), boot=None, monotonic=None, slow_seconds=2.0):
        """Args: now: seconds since the epoch; boot, monotonic: the host's, to date kernel
        lines.
        """
        self.lines = 0
        self.clients = Clients()
        self.requests = Requests(self.clients, ignored_paths, slow_seconds)
        self.errors = Errors(self.requests.route)
        self.starts = Starts(now, monotonic)
        self.deaths = Deaths(now, boot, monotonic)
        self.rate_limits = Event()
        self.circuit_open = Event()
        self.circuit_closed = Event()
        self.zoho_refusals = Event()
        self.pids = set()
        self._open = {}
        self._leading = {}

    # Reading

    def read(self, entries):
        """Take a chunk of entries that runs forward in time and is older than the one before."""
        newer, self._leading = self._leading, {}
        seen = set()
        for entry in entries:
            try:
                at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
            except (KeyError, TypeError, ValueError):
                continue
            message = entry.get("MESSAGE")
            if not isinstance(message, str) or len(message) > 4096 or "\x1b" in message:
                message = text_of(message)
            transport = entry.get("_TRANSPORT")
            pid = entry.get("_PID")
            if transport == "kernel":
                self.deaths.kernel(at, message, entry)
            elif "COREDUMP_PID" in entry:
                self.deaths.coredump(at, entry)
            elif pid == "1" and "MESSAGE_ID" in entry or pid == "1" and "INVOCATION_ID" in entry:
                self.starts.systemd(at, message, entry)
            elif message:
                self._own(at, pid, message, entry, seen)
        self._join(newer, seen)

    @property
    def saw_death(self):
        """Whether a process was ended by a signal: the kernel may say more of it."""
        return self.deaths.seen or self.starts.saw_signal

    def finish(self):
        """Take what was held back: the oldest chunk has nothing before it."""
        leading, self._leading = self._leading, {}
        self._join(leading, leading)

    def _own(self, at, pid, message, entry, seen):
        invocation = entry.get("_SYSTEMD_INVOCATION_ID")
        urgent = entry.get("PRIORITY") in ("0", "1", "2", "3")
        for line in message.split("\n") if "\n" in message else (message,):
            if pid not in seen:
                held = self._leading.setdefault(pid, [])
                if len(held) < MOST_HELD and not tracebacks.is_outside(line):
                    held.append((at, line, invocation, urgent))
                    continue
                seen.add(pid)
            self._line(at, pid, line, invocation, urgent)

    def _join(self, newer, seen):
        """Go on with the lines that the newer chunk began with, then close what is still open."""
        for pid, held in newer.items():
            if pid not in seen and len(self._leading) < MOST_EVENTS:
                # This chunk lies within what is held back, or has nothing of this process.
                self._leading[pid] = (self._leading.get(pid, []) + held)[:MOST_HELD]
                continue
            for at, line, invocation, urgent in held:
                self._line(at, pid, line, invocation, urgent)
        for at, invocation, reading in list(self._open.values()):
            self.errors.exception(at, invocation, reading)
        self._open.clear()

    def _line(self, at, pid, line, invocation, urgent):
        self.lines += 1
        reading = self._open.get(pid)
        if reading is not None:
            step = reading[2].feed(line)
            if step == "more":
                return
            if step == "end":
                del self._open[pid]
                self.errors.exception(*reading)
        if not line:
            return
        if line[0] == "{":
            entry = lines.structured(line)
            if entry is not None:
                self._structured(at, pid, entry, invocation)
                return
        if line.endswith(tracebacks.HEADER):
            reading = tracebacks.Traceback()
            reading.feed(line)
            self._open[pid] = (at, invocation, reading)
            return
        if '" ' in line and " HTTP/" in line:
            request = lines.access(line)
            if request is not None:
                address, method, path, status = request
                self.requests.add("access", at, path, status, address, method == "POST")
                return
        if len(self.pids) < 4096 and pid:
            self.pids.add(pid)
        self._text(at, pid, line, invocation, urgent)

    def _text(self, at, pid, line, invocation, urgent):
        low = line.lower()
        known, ambiguous, words = {}, False, low
        if "=" in line and (
            "status_code=" in line
            or "remote_ip=" in line
            or "duration=" in line
            or "level=" in line
        ):
            known, ambiguous, words = lines.fields(line)
            words = words.lower()
        level = known.get("level", "").lower()
        if level:
            error = level in lines.ERROR_LEVELS
        else:
            error = ("error" in low or "critical" in low or "fatal" in low) and lines.is_error(line)
        self._judge(at, pid, invocation, words, known, ambiguous, line)
        if error or urgent:
            self.errors.line(at, invocation, words, lines.phrase(line), known.get("path"), line)

    def _structured(self, at, pid, entry, invocation):
        event = str(entry.get("event") or entry.get("message") or entry.get("msg") or "")
        error = entry.get("error")
        text = (
            event
            if not error
            else "%s: %s" % (event, error if isinstance(error, str) else repr(error))
        )
        stack = entry.get("exception") or entry.get("exc_info") or entry.get("traceback")
        if isinstance(stack, str):
            reading = tracebacks.parse(stack)
            if reading is not None:
                self.errors.exception(at, invocation, reading)
        low = text.lower()
        self._judge(at, pid, invocation, low, entry, False, text)
        if lines.is_structured_error(entry):
            self.errors.line(at, invocation, low, event[:80], entry.get("path"), text)

    def _judge(self, at, pid, invocation, low, known, ambiguous, line):
        """Take from a line what it may say whatever its level is."""
        status = known.get("status_code") or known.get("status")
        path = known.get("path")
        if status:
            try:
                status = int(status)
            except (TypeError, ValueError):
                status = None
        if status:
            self.requests.add("log", at, path, status, known.get("remote_ip"), False)
        if "duration" in known or "duration_ms" in known:
            self.requests.took(at, path, known)
        if ("fail" in low or "invalid" in low) and lines.is_failed_login(low):
            self.clients.failed_login(at, known, ambiguous, path, line)
        if "limit" in low or "429" in low or "many" in low or "throttled" in low:
            client = next((known[name] for name in REMOTE if known.get(name)), None)
            if lines.is_rate_limit(low, status, client):
                self.rate_limits.add(at, line, invocation)
        if "child process [" in low:
            self.deaths.child(at, low)
        if "circuit" in low:
            state = lines.circuit(low)
            if state == "open":
                self.circuit_open.add(at, line, invocation)
            elif state == "closed":
                self.circuit_closed.add(at, line, invocation)
        if "invalid_c" in low and "zoho" in low:
            self.zoho_refusals.add(at, line, invocation)
        if "running on http" in low or "listening at" in low:
            self.starts.bound(at, invocation)
        if "start" in low:
            self.starts.start(at, pid, low, invocation)

    def result(self, properties):
        """Return all of it as plain data; properties: those of the unit, or {}."""
        self.finish()
        clean_start = self.starts.clean_start(properties)
        resolved = self.starts.resolved(properties, clean_start)
        return {
            "lines": self.lines,
            "pids": sorted(self.pids),
            # A limit that holds is logged again; a breaker and the credentials start with the app.
            "rate_limits": self.rate_limits.plain(clean_start),
            "circuit_open": self.circuit_open.plain(clean_start),
            "circuit_closed": self.circuit_closed.plain(clean_start),
            "zoho_refusals": self.zoho_refusals.plain(clean_start),
            **self.errors.result(clean_start, resolved),
            **self.requests.result(),
            **self.clients.result(),
            **self.starts.result(properties),
            **self.deaths.result(self.starts.ready_pids),
        }
