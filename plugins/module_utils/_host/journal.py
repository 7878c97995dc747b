# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of one unit, newest first, in bounded time and memory.

One ``journalctl`` reads backwards: where the time runs out, what is missing is the oldest. That is
no slower than reading forwards (measured), and only the selected fields are written out.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import subprocess

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable

FIELDS = (
    "MESSAGE,_PID,PRIORITY,_TRANSPORT,_SYSTEMD_INVOCATION_ID,INVOCATION_ID,MESSAGE_ID,"
    "_SOURCE_MONOTONIC_TIMESTAMP,_LINE_BREAK,COREDUMP_PID,COREDUMP_SIGNAL_NAME,COREDUMP_EXE"
)
_COREDUMP = "fc2e22bc6ee647b6b90729ab34a250b1"
#: What is parsed at once: some thousand entries.
_CHUNK_BYTES = 2 * 1024 * 1024
#: A longer entry is skipped. The standard output of a unit is cut at 48 KiB a line by journald.
_LONGEST_ENTRY = 512 * 1024
#: A longer message is cut; what classifies it stands at its beginning, an address at its end.
LONGEST_MESSAGE = 16 * 1024
#: An object of JSON is none when it is cut: a line of it may be as long as standard output allows.
_LONGEST_OBJECT = 64 * 1024
_PIPE_BYTES = 1024 * 1024
_NO_FILES = "there are no journal files on this host"
_COLOURS = re.compile("\x1b\\[[0-9;]*[A-Za-z]")


#: how lines of programs come to the journal
_OWN = ("stdout", "syslog", "journal")


class JournalUnreadable(Unmeasurable):
    """The journal cannot be read; the message says why and what to do."""


class JournalMissing(JournalUnreadable):
    """There are no files of a journal on this host."""


#: How journald says what it has dropped: "Suppressed 10350 messages from sergas-app.service".
_DROPPED = "a596d6fe7bfa4994828e72309e95d61e"
#: How the kernel reports that it killed a process, or that a disk fails: at its priority of errors
#: and above.
_KERNEL_ERRORS = ["_TRANSPORT=kernel", *("PRIORITY=%d" % number for number in range(4))]
#: What it logs beside that (the memory group, its limit, faults of a program) stands among all its
#: information, which is most of the journal on a host whose network interfaces come and go.
KERNEL_DETAILS = ["_TRANSPORT=kernel", "PRIORITY=6"]


def matches(unit):
    """Return the journal's matches for a unit: its own lines, those of systemd about it, and the
    kernel's errors, its kills of processes among them.
    """
    return [
        "_SYSTEMD_UNIT=" + unit,
        "+",
        "_PID=1",
        "UNIT=" + unit,
        "+",
        "MESSAGE_ID=" + _COREDUMP,
        "COREDUMP_UNIT=" + unit,
        "+",
        *_KERNEL_ERRORS,
        "+",
        "_TRANSPORT=driver",
        "MESSAGE_ID=" + _DROPPED,
    ]


class Journal:
    """The entries since a time that some matches select.

    Attributes:
        entries: how many were read.
        skipped: how many were too large or no JSON.
        truncated: whether the time ran out before the beginning of the window.
        oldest: the time of the oldest entry read, in seconds since the epoch, or None.
    """

    def __init__(self, selected, since, deadline, directory=None, namespace=""):
        """Args: selected: ``matches`` or KERNEL_DETAILS; since: seconds since the epoch; directory:
        of journal files; namespace: of a unit, which is read beside the host's own.
        """
        self._argv = ["journalctl", "--no-pager", "--output=json", "--all", "--reverse"]
        self._argv += ["--output-fields=" + FIELDS, "--since=@%d" % since]
        self._argv += ["--directory=" + directory] if directory else []
        self._argv += (["--namespace=+" + namespace] if namespace else []) + selected
        self._deadline = deadline
        self.entries = 0
        self.skipped = 0
        self.truncated = False
        self.oldest = None

    def chunks(self):
        """Yield lists of entries, the newest list first; each list runs forward in time.

        Raises:
            JournalUnreadable: nothing came, for a reason.
            CommandMissing: there is no journalctl.
        """
        reader = process.start(self._argv)
        try:
            for data in self._blocks(reader.stdout.fileno()):
                entries = self._parse(data)
                if entries:
                    self.oldest = _seconds(entries[0])
                    self.entries += len(entries)
                    yield entries
            # What has ended early, or prints something else, has not shown the whole journal.
            failed = self._status(reader)
            if failed and self.entries:
                self.truncated = True
            elif not self.truncated and not self.entries:
                problem = complaint(reader.stderr.read(4096).decode("utf-8", "replace"))
                if not problem and failed:
                    problem = "journalctl: exit status %d" % failed
                if not problem and self.skipped:
                    problem = "journalctl prints no JSON"
                if problem:
                    raise (JournalMissing if problem == _NO_FILES else JournalUnreadable)(problem)
        finally:
            process.stop(reader)

    def _status(self, reader):
        """Return the exit status of journalctl, or 0 where its end is not waited for."""
        try:
            return 0 if self.truncated else reader.wait(max(0.1, self._deadline.remaining()))
        except subprocess.TimeoutExpired:
            self.truncated = True
            return 0

    def _blocks(self, handle):
        """Yield blocks of whole lines, until the end or until the time is up."""
        try:
            fcntl.fcntl(handle, 1031, _PIPE_BYTES)  # F_SETPIPE_SZ: fewer switches between the two
        except OSError:
            pass
        parts, size, oversize = [], 0, False
        while True:
            remaining = self._deadline.remaining()
            if not remaining or not select.select([handle], [], [], remaining)[0]:
                self.truncated = True
                break
            part = os.read(handle, _PIPE_BYTES)
            if not part:
                break
            if oversize:
                # In the middle of an entry that is too large: discard all of it.
                _rest, newline, part = part.partition(b"\n")
                if not newline:
                    continue
                oversize = False
            parts.append(part)
            size += len(part)
            if size < _CHUNK_BYTES:
                continue
            block, newline, rest = b"".join(parts).rpartition(b"\n")
            if newline:
                yield block
            parts, size = [rest], len(rest)
            if size > _LONGEST_ENTRY:
                parts, size, oversize = [], 0, True
                self.skipped += 1
        if parts and not self.truncated:
            yield b"".join(parts)
        elif parts:
            yield b"".join(parts).rpartition(b"\n")[0]

    def _parse(self, block):
        lines = [line for line in block.split(b"\n") if line]
        if any(line[:1] != b"{" for line in lines):
            # Such as "-- No entries --", which is no entry that was lost.
            self.skipped += sum(line[:1] != b"{" and line[:3] != b"-- " for line in lines)
            lines = [line for line in lines if line[:1] == b"{"]
        lines.reverse()
        try:
            return json.loads((b"[%s]" % b",".join(lines)).decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            pass
        entries = []
        for line in lines:
            try:
                entries.append(json.loads(line.decode("utf-8", "replace")))
            except (ValueError, RecursionError):
                self.skipped += 1
        return entries


class Burst:
    """How many lines a unit wrote just before its newest one.

    journald drops what is beyond its limit, and says so with the next line that it keeps. Where the
    log ends with as many lines as are kept, more may have followed.
    """

    def __init__(self, interval, limit):
        """Args: interval: of the limit, in seconds; limit: how many lines, 0 for no limit."""
        self._interval = interval
        self._limit = limit
        self._newest = None
        self._lines = 0
        self._done = not limit

    def count(self, entries):
        """Take the next older chunk of entries."""
        for entry in reversed(entries) if not self._done else ():
            if entry.get("_TRANSPORT") not in _OWN or entry.get("_PID") == "1":
                continue
            at = _seconds(entry)
            if at is None:
                continue
            self._newest = at if self._newest is None else self._newest
            if at < self._newest - self._interval:
                self._done = True
                return
            self._lines += 1

    def plain(self):
        """Return lines, newest, limit and interval, or None where there is nothing to say."""
        if self._newest is None:
            return None
        return {
            "lines": self._lines,
            "newest": self._newest,
            "limit": self._limit,
            "interval": self._interval,
        }


def complaint(text):
    """Return what keeps journalctl from reading the journal, by its standard error, or None."""
    if "insufficient permissions" in text or "not seeing messages from" in text:
        return (
            "the journal is not readable for this user: run with become, or join the group"
            " systemd-journal"
        )
    if "No journal files were found" in text:
        return _NO_FILES
    line = text.strip().split("\n")[0]
    return "journalctl: " + line if line else None


def text_of(message):
    """Return a MESSAGE as text, without colours and cut to LONGEST_MESSAGE.

    journalctl gives null for what is too large, a list of numbers for what is not printable, and a
    list of those where an entry has the field several times.
    """
    if isinstance(message, list):
        if message and not isinstance(message[0], int):
            return text_of(message[0])
        try:
            message = bytes(message).decode("utf-8", "replace")
        except (TypeError, ValueError):
            return ""
    if not isinstance(message, str):
        return ""
    if "\x1b" in message:
        message = _COLOURS.sub("", message)
    if len(message) > (_LONGEST_OBJECT if message[:1] == "{" else LONGEST_MESSAGE):
        message = message[: LONGEST_MESSAGE - 1024] + " ... " + message[-1024:]
    return message


def _seconds(entry):
    try:
        return int(entry["__REALTIME_TIMESTAMP"]) / 1e6
    except (KeyError, TypeError, ValueError):
        return None
