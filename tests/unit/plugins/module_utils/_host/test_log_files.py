# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._host import log_files

NOW = 1795530000.0
LINE = '{"event": "request", "timestamp": "%s"}'


@pytest.fixture
def read(tmp_path):
    """Return a function: the LogFile of a text, and its lines, the oldest first."""

    def make(text, modified=NOW, name="a.log", **given):
        path = tmp_path / name
        path.write_text(text)
        os.utime(path, (modified, modified))
        reading = log_files.LogFile(
            str(tmp_path / "a.log"),
            NOW - 3600,
            given.pop("deadline", Deadline(9)),
            now=NOW,
            **given,
        )
        lines = []
        for chunk in reading.chunks():
            lines = chunk + lines
        return reading, lines

    return make


def at(seconds):
    return clock(NOW + seconds)


def messages(lines):
    return [line["MESSAGE"] for line in lines]


def test_the_lines_of_the_window(read):
    reading, lines = read(
        "%s old\n%s new\nTraceback (most recent call last):\n%s newest\n"
        % (at(-7200), at(-60), at(-1))
    )
    assert messages(lines) == [
        at(-60) + " new",
        "Traceback (most recent call last):",
        at(-1) + " newest",
    ]
    # A line without a time has that of the line before.
    assert lines[1]["__REALTIME_TIMESTAMP"] == lines[0]["__REALTIME_TIMESTAMP"]
    assert (reading.problem, reading.truncated, reading.entries) == (None, False, 3)


def test_a_long_file_is_read_from_its_end(read, monkeypatch):
    monkeypatch.setattr(log_files, "_BLOCK", 64)
    text = "".join("%s old %d\n" % (at(-9000 + number), number) for number in range(500)) + "".join(
        "%s new %d\n" % (at(-100 + number), number) for number in range(100)
    )
    reading, lines = read(text)
    assert [line.split()[-1] for line in messages(lines)] == [str(number) for number in range(100)]
    assert reading.problem is None


def test_a_file_that_was_not_written_in_the_window(read):
    reading, lines = read("%s old\n" % at(-7200), modified=NOW - 7200)
    assert (lines, reading.problem) == ([], None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2025-10-19 12:00:01 ERROR src.sync boom\nRuntimeError: 1\n", "is of 2025-10-19"),
        ("INFO:     Started server process [7]\n", "have no time"),
    ],
)
def test_lines_whose_time_is_not_known(read, text, why):
    reading, lines = read(text)
    assert why in reading.problem and lines == []


def test_a_file_that_is_not_there(tmp_path):
    reading = log_files.LogFile(str(tmp_path / "a.log"), NOW, Deadline(9), now=NOW)
    assert list(reading.chunks()) == [] and "is not there" in reading.problem


def test_a_link_that_another_user_may_have_made(tmp_path, monkeypatch):
    monkeypatch.setattr(log_files.files, "_privileged", lambda: {4711})
    (tmp_path / "b.log").write_text("%s x\n" % at(-1))
    (tmp_path / "a.log").symlink_to("b.log")
    reading = log_files.LogFile(str(tmp_path / "a.log"), NOW - 3600, Deadline(9), now=NOW)
    assert list(reading.chunks()) == [] and "cannot be read" in reading.problem


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.log")
    reading = log_files.LogFile(str(tmp_path / "a.log"), NOW - 3600, Deadline(9), now=NOW)
    assert list(reading.chunks()) == [] and "not a regular file" in reading.problem


def test_what_was_moved_within_the_window_is_read_too(read, tmp_path):
    read("%s first\n%s second\n" % (at(-7200), at(-600)), modified=NOW - 600, name="a.log.1")
    reading, lines = read("%s third\n" % at(-10))
    assert [line.split()[-1] for line in messages(lines)] == ["second", "third"]
    assert reading.problem is None


def test_what_was_packed_within_the_window_is_missing(read):
    read("", modified=NOW - 600, name="a.log.2.gz")
    reading, lines = read("%s third\n" % at(-10))
    assert len(lines) == 1 and "a.log.2.gz" in reading.problem


def test_what_was_packed_before_the_window_is_not(read):
    read("", modified=NOW - 9000, name="a.log.2.gz")
    assert read("%s third\n" % at(-10))[0].problem is None


def test_how_far_a_file_was_written(read):
    text = "%s new\n" % at(-10)
    _reading, lines = read(text + "%s of an earlier start\n" % at(-900), end=len(text))
    assert messages(lines) == [at(-10) + " new"]


def test_the_time_may_run_out(read):
    reading, lines = read("%s new\n" % at(-10), deadline=Deadline(0))
    assert reading.truncated and lines == []


def test_a_line_of_many_bytes_is_dropped(read, monkeypatch):
    monkeypatch.setattr(log_files, "_BLOCK", 1000)
    monkeypatch.setattr(log_files, "_LONGEST", 5000)
    reading, lines = read("%s old\n%s\n%s new\n" % (at(-20), "x" * 20000, at(-10)))
    assert messages(lines)[0] == at(-20) + " old" and messages(lines)[-1] == at(-10) + " new"
    assert reading.skipped


def test_the_invocation_of_a_line(read):
    _reading, lines = read(
        "%s before\n%s after\n" % (at(-100), at(-10)), started=NOW - 50, invocation="a"
    )
    assert [line.get("_SYSTEMD_INVOCATION_ID") for line in lines] == [None, "a"]


def test_a_zone_that_is_not_this_hosts(read):
    # The process writes its own time, two hours ahead.
    text = time.strftime("%Y-%m-%d %H:%M:%S INFO x\n", time.localtime(NOW + 7200 - 5))
    reading, lines = read(text)
    assert reading.problem is None
    assert int(lines[0]["__REALTIME_TIMESTAMP"]) / 1e6 == pytest.approx(NOW - 5, abs=10)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-24T15:00:00.250Z INFO x", 1795532400.25),
        ("2026-11-24 16:00:00,250+0100 INFO x", 1795532400.25),
        ("INFO 2026-11-24T10:00:00-05:00 x", 1795532400.0),
        ('203.0.113.9 - - [24/Nov/2026:15:00:00 +0000] "GET /" 200 1', 1795532400.0),
        ('{"event": "x", "timestamp": "2026-11-24T15:00:00Z"}', 1795532400.0),
        ('{"time": 1795532400.5, "msg": "x"}', 1795532400.5),
        ('{"time": 1795532400500, "msg": "x"}', 1795532400.5),
        # what a client has written
        ('INFO: 1.2.3.4:5 - "GET /2026-11-24T15:00:00Z HTTP/1.1" 200 OK', None),
        (r'{"event": "x", "agent": "\"timestamp\": \"2026-11-24T15:00:00Z\""}', None),
        ("2026-99-99T99:99:99 x", None),
        ("no time", None),
    ],
)
def test_the_time_that_a_logger_gave(line, expected):
    found = log_files.stamp(line, NOW)
    assert (found and found[0]) == expected


def test_syslogs_time_has_no_year():
    line = time.strftime("%b %d %H:%M:%S app1 x[7]: y", time.localtime(NOW))
    assert log_files.stamp(line, NOW) == (NOW, False)
    assert log_files.stamp(line, NOW - 90 * 86400)[0] < NOW - 300 * 86400
