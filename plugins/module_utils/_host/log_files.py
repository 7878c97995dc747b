# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A log that a unit writes to a file, newest lines first, as entries like those of the journal.

A line of a file has no time but the one that is written in it, so what such lines say is estimated:
a line without one has that of the line before.
"""

from __future__ import annotations

import os
import re
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import files, times
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock

_BLOCK = 1024 * 1024
_MOST_BYTES = 256 * 1024 * 1024
#: A longer line is dropped.
_LONGEST = 512 * 1024
#: The newest line that has a time may be so much older than the file, in seconds.
_SLACK = 600
_HALF_HOUR = 1800
_DAY = 86400
_STAMP = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6})\d*)?"
    r" ?(Z|UTC|[+-]\d\d:?\d\d)?"
)
_COMMON = re.compile(r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})\]")
_SYSLOG = re.compile(r"(?:<\d{1,3}>)?([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) ")
_FIELD = re.compile(r'"(?:timestamp|@timestamp|time|ts|asctime|datetime)"\s?:\s?"?([^",}]{10,40})')
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class LogFile:
    """The lines since a time.

    Attributes:
        entries, skipped, truncated, oldest: as of a ``Journal``.
        problem: why the lines of the window are not all there, or None.
    """

    def __init__(self, path, since, deadline, end=None, now=None, started=None, invocation=None):
        """Args: since: seconds since the epoch; end: how much of the file counts, None: all;
        started: since when the unit has run in its current invocation.
        """
        self.path = path
        self._since = since
        self._deadline = deadline
        self._end = end
        self._now = time.time() if now is None else now
        self._shift = None
        self._started = started
        self._invocation = invocation
        self.entries = self.skipped = 0
        self.truncated = False
        self.oldest = None
        self.problem = None

    def chunks(self):
        """Yield lists of entries, the newest list first; each list runs forward in time."""
        try:
            with files.open_safely(self.path) as handle:
                status = os.fstat(handle)
                if status.st_mtime >= self._since:
                    yield from self._read(handle, status)
        except FileNotFoundError:
            self.problem = "%s is not there" % self.path
            return
        except (files.FileRefused, PermissionError) as error:
            self.problem = "%s cannot be read: %s" % (self.path, error)
            return
        if not self.truncated and not self.problem and status.st_mtime >= self._since:
            yield from self._rotated()

    def _read(self, handle, status):
        position = status.st_size if self._end is None else min(self._end, status.st_size)
        tail, newest, read = b"", None, 0
        while position:
            if self._deadline.expired() or read >= _MOST_BYTES:
                self.truncated = True
                return
            length = min(_BLOCK, position)
            position -= length
            read += length
            data = os.pread(handle, length, position) + tail
            begin = 0
            if position:
                begin = data.find(b"\n") + 1
                if not begin:
                    tail = data if len(data) < _LONGEST else b""
                    self.skipped += not tail
                    continue
            tail = data[: begin - 1] if begin else b""
            lines = data[begin:].decode("utf-8", "replace").split("\n")
            times = [stamp(line, self._now) for line in lines]
            if newest is None:
                self._calibrate(times, status.st_mtime)
                if self.problem:
                    return
                newest = status.st_mtime
            entries, newest = self._dated(lines, times, newest)
            if entries:
                self.entries += len(entries)
                self.oldest = newest
                yield entries
            if newest < self._since:
                self.oldest = self._since
                return
        self.oldest = newest

    def _calibrate(self, times, modified):
        """Find how the times of the lines fit the time at which the file was last written.

        Without a zone a time is the process's own, whose zone may be another one than this host's.
        """
        known = [at for at in times if at is not None]
        if not known:
            self.problem = "the lines of %s have no time" % self.path
            return
        at, zoned = known[-1]
        late = modified - at
        self._shift = 0
        if not zoned:
            shift = round(late / _HALF_HOUR) * _HALF_HOUR
            if shift and abs(shift) <= 14 * 3600 and abs(late - shift) < 60:
                self._shift, late = shift, late - shift
        if late > _SLACK or late < -_SLACK:
            self.problem = (
                "the newest line of %s that has a time is of %s, and it was written at %s"
                % (
                    self.path,
                    clock(at),
                    clock(modified),
                )
            )

    def _dated(self, lines, times, newest):
        """Return (entries, time of the first line) of a block that ends before what is newest."""
        first = next((at for at in times if at is not None), None)
        current = newest if first is None else self._shifted(first)
        oldest, entries = current, []
        for line, at in zip(lines, times):
            if at is not None:
                current = min(self._shifted(at), newest)
            if current >= self._since and line:
                entry = {"__REALTIME_TIMESTAMP": str(int(current * 1e6)), "MESSAGE": line}
                if self._started is not None and current >= self._started:
                    entry["_SYSTEMD_INVOCATION_ID"] = self._invocation
                entries.append(entry)
        return entries, oldest

    def _shifted(self, found):
        at, zoned = found
        return at if zoned else at + self._shift

    def _rotated(self):
        """Yield what was moved to another file within the window, or say that it was."""
        if self.oldest is not None and self.oldest <= self._since:
            return
        directory, name = os.path.split(self.path)
        for other in files.names(directory):
            if not other.startswith((name + ".", name + "-")):
                continue
            path = os.path.join(directory, other)
            try:
                status = files.stat(path)
            except OSError:
                status = None
            if status is None or status.st_mtime < self._since:
                continue
            if other != name + ".1":
                self.problem = "lines of the window were moved to %s" % path
                continue
            older = LogFile(
                path,
                self._since,
                self._deadline,
                None,
                self._now,
                self._started,
                self._invocation,
            )
            # What was moved is read as far as its own times go, and not what was moved before it.
            older._rotated = lambda: ()
            yield from older.chunks()
            self.entries += older.entries
            self.skipped += older.skipped
            self.truncated = self.truncated or older.truncated
            self.problem = self.problem or older.problem
            self.oldest = older.oldest if older.oldest is not None else self.oldest


def stamp(line, now):
    """Return (seconds since the epoch, whether it has a zone) that a logger gave a line, or None.

    Only where a logger puts it: before the first quote, or in a field of a structured line.
    """
    if line[:1] == "{":
        values = _FIELD.findall(line[:400]) + _FIELD.findall(line[-400:])
        if not values:
            return None
        text = values[-1]
        if text.replace(".", "", 1).strip().isdigit():
            at = float(text)
            return (at / 1000 if at > 1e11 else at), True
    else:
        text = line[:80].partition('"')[0]
    found = _STAMP.search(text)
    if found:
        year, month, day, hour, minute, second, fraction, zone = found.groups()
        moment = (int(year), int(month), int(day), int(hour), int(minute), int(second))
        return _seconds(moment, zone, float("0." + (fraction or "0")))
    found = _COMMON.search(text)
    if found and found.group(2) in _MONTHS:
        day, month, year, hour, minute, second, zone = found.groups()
        moment = (
            int(year),
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
        )
        return _seconds(moment, zone, 0.0)
    found = _SYSLOG.match(text)
    if found and found.group(1) in _MONTHS:
        month, day, hour, minute, second = found.groups()
        year = times.year(now)
        moment = (_MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))
        at = _seconds((year,) + moment, None, 0.0)
        # It has no year: the last one where it would be in the future.
        return at if at is None or at[0] < now + _DAY else _seconds((year - 1,) + moment, None, 0.0)
    return None


def _seconds(moment, zone, fraction):
    at = times.moment(moment, zone)
    return None if at is None else (at + fraction, zone is not None)
