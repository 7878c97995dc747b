# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lines of a unit's journal add up to, in bounded memory whatever they say."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import (
    formats,
    lines,
    tracebacks,
)
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
#: journald cuts a line of standard output at 48 KiB, and marks all parts but the last one.
_CUT = "line-max"
_MOST_JOINED = 64 * 1024
#: What journald says of lines beyond its limit: the unit, or its control group.
_SUPPRESSED = re.compile(r"Suppressed (\d{1,12}) messages from (?:/\S*/)?(\S{1,300})$")


class Survey:
    """What the lines of a journal add up to, read chunk by chunk from the newest to the oldest."""

    def __init__(
        self, now, ignored_paths=(), boot=None, monotonic=None, slow_seconds=2.0, patterns=None
    ):
        """Args: now: seconds since the epoch; boot, monotonic: the host's, to date kernel lines;
        patterns: the ``Patterns`` to count, or None.
        """
        self.lines = 0
        #: lines that belong to a message or traceback above, and those that no format fits
        self.continued = 0
        self.unread = 0
        self.unread_samples = []
        self._patterns = patterns
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
        #: {unit: [lines that journald has dropped, when it last said so]}
        self._dropped = {}
        self._open = {}
        self._leading = {}

    # Reading

    def read(self, entries):
        """Take a chunk of entries that runs forward in time and is older than the one before."""
        newer, self._leading = self._leading, {}
        seen, parts = set(), {}
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
            # What is on standard output, most lines of most units, is nothing else.
            is_other = transport != "stdout" or pid == "1"
            if is_other and self._of_host(at, transport, pid, message, entry):
                continue
            if not message:
                continue
            if parts and pid in parts:
                message = (parts.pop(pid)[2] + message)[:_MOST_JOINED]
            if "_LINE_BREAK" in entry and entry["_LINE_BREAK"] == _CUT:
                parts[pid] = (at, entry, message)
                continue
            self._own(at, pid, message, entry, seen)
        for pid, (at, entry, message) in parts.items():
            self._own(at, pid, message, entry, seen)
        self._join(newer, seen)

    def _of_host(self, at, transport, pid, message, entry):
        """Take an entry of the kernel, of journald or of systemd; return whether it is one."""
        if transport == "kernel":
            self.deaths.kernel(at, message, entry)
        elif transport == "driver":
            self._driver(at, message)
        elif "COREDUMP_PID" in entry:
            self.deaths.coredump(at, entry)
        elif pid == "1" and ("MESSAGE_ID" in entry or "INVOCATION_ID" in entry):
            self.starts.systemd(at, message, entry)
        else:
            return False
        return True

    def _driver(self, at, message):
        """Take a line of journald itself."""
        found = _SUPPRESSED.match(message)
        if found and (found.group(2) in self._dropped or len(self._dropped) < MOST_EVENTS):
            count, last = self._dropped.get(found.group(2), (0, at))
            self._dropped[found.group(2)] = (count + int(found.group(1)), max(last, at))

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
        reading, step = self._open.get(pid), None
        if reading is not None:
            step = reading[2].feed(line)
            if step == "more":
                self.continued += 1
                return
            if step == "end":
                del self._open[pid]
                self.errors.exception(*reading)
        if not line:
            self.continued += 1
            return
        if line[0] == "{":
            entry = formats.structured(line)
            if entry is None and len(line) > 1024:
                entry = formats.salvaged(line)
            if entry:
                self._structured(at, pid, entry, invocation, line)
                return
        if '" ' in line or " => " in line or line.endswith("ms"):
            request = formats.access(line)
            if request is not None:
                address, method, path, status, seconds = request
                self.requests.add("access", at, path, status, address, method == "POST")
                if seconds is not None:
                    self.requests.took(at, path, seconds)
                return
        if line.endswith(tracebacks.HEADER):
            reading = tracebacks.Traceback()
            reading.feed(line)
            self._open[pid] = (at, invocation, reading)
            return
        if len(self.pids) < 4096 and pid:
            self.pids.add(pid)
        # What follows an exception may be the rest of its message.
        self._text(at, pid, line, invocation, urgent, step == "seen")

    def _text(self, at, pid, line, invocation, urgent, follows):
        low = line.lower()
        known, ambiguous, words = {}, False, low
        if "=" in line and (
            "status_code=" in line
            or "remote_ip=" in line
            or "duration=" in line
            or "level=" in line
            or "lvl=" in line
            or "severity=" in line
        ):
            known, ambiguous, words = lines.fields(line)
            words = words.lower()
        level = known.get("level", "").lower()
        error = formats.is_error_level(level) if level else None
        if error is None and not (known and _is_harmless(low)):
            level = formats.level(line)
            error = level in formats.ERROR_LEVELS
            if not (level or known):
                self._not_understood(line, urgent, follows)
        self._judge(at, pid, invocation, words, known, ambiguous, line)
        if error or urgent:
            self.errors.line(at, invocation, words, lines.phrase(line), known.get("path"), line)
        if self._patterns:
            self._patterns.match(at, invocation, line, "" if level in formats.QUIET else words)

    def _not_understood(self, line, urgent, follows):
        """Count a line that begins a message in a format that is not known."""
        if line[0] in " \t" or follows:
            self.continued += 1
            return
        if urgent:
            return
        self.unread += 1
        if len(self.unread_samples) < 3:
            self.unread_samples.append(line[:200])

    def _structured(self, at, pid, entry, invocation, line):
        known = formats.known(entry)
        event = str(known.get("event") or "")
        error = known.get("error") or entry.get("error")
        text = (
            event
            if not error
            else "%s: %s" % (event, error if isinstance(error, str) else repr(error))
        )
        kind = known.get("error_type")
        if isinstance(kind, str) and kind not in text:
            text = "%s: %s" % (text, kind)
        stack = known.get("stack")
        if isinstance(stack, str) and tracebacks.HEADER in stack:
            reading = tracebacks.parse(stack)
            if reading is not None:
                self.errors.exception(at, invocation, reading)
        if not formats.is_understood(known):
            self._not_understood(line, False)
        low = text.lower()
        self._judge(at, pid, invocation, low, known, False, text)
        is_error = formats.is_structured_error(entry, known)
        if is_error:
            self.errors.line(at, invocation, low, event[:80], known.get("path"), text)
        if self._patterns:
            bad = is_error or str(known.get("level")).lower() in ("warn", "warning")
            self._patterns.match(at, invocation, line, low if bad else "")

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
        if status or path:
            seconds = lines.duration(known)
            if seconds is not None:
                self.requests.took(at, path, seconds)
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

    def _suppressed(self, name):
        count, last = self._dropped.get(name, (0, None))
        return {"count": count, "last": last} if count else None

    def result(self, properties):
        """Return all of it as plain data; properties: those of the unit, or {}."""
        self.finish()
        clean_start = self.starts.clean_start(properties)
        resolved = self.starts.resolved(properties, clean_start)
        return {
            "lines": self.lines,
            "continued": self.continued,
            "unread": self.unread,
            "suppressed": self._suppressed(properties.get("Id")),
            "unread_samples": self.unread_samples,
            "events": self._patterns.result(resolved) if self._patterns else [],
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


def _is_harmless(low):
    """Return whether a line in lower case has nothing in it that names the level of an error."""
    return not (
        "err" in low
        or "crit" in low
        or "fatal" in low
        or "severe" in low
        or "panic" in low
        or "alert" in low
        or "emerg" in low
        or "exception" in low
    )
