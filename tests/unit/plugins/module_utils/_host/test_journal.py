# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
import time

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._host import journal


def line(second, message, **fields):
    return json.dumps(dict(fields, __REALTIME_TIMESTAMP=str(second * 1000000), MESSAGE=message))


@pytest.fixture
def journalctl(monkeypatch):
    """Have a shell script stand where journalctl is."""

    def install(script):
        def start(argv):
            pipe = subprocess.PIPE
            return subprocess.Popen(
                ["/bin/sh", "-c", script], stdout=pipe, stderr=pipe, start_new_session=True
            )

        monkeypatch.setattr(journal.process, "start", start)

    return install


def read(seconds=5.0):
    reading = journal.Journal(journal.matches("sergas-app.service"), 0, Deadline(seconds))
    return reading, list(reading.chunks())


def test_chunks_run_forward_though_the_journal_is_read_backwards(journalctl, tmp_path):
    (tmp_path / "j").write_text("".join(line(second, "x") + "\n" for second in (3, 2, 1)))
    journalctl("cat %s" % (tmp_path / "j"))
    reading, chunks = read()
    assert [int(entry["__REALTIME_TIMESTAMP"]) for entry in chunks[0]] == [
        1000000,
        2000000,
        3000000,
    ]
    assert (reading.entries, reading.truncated, reading.oldest) == (3, False, 1.0)


def test_many_chunks_newest_first(journalctl, tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "_CHUNK_BYTES", 4096)
    monkeypatch.setattr(journal, "_PIPE_BYTES", 4096)
    (tmp_path / "j").write_text(
        "".join(line(second, "x" * 100) + "\n" for second in range(999, 0, -1))
    )
    journalctl("cat %s" % (tmp_path / "j"))
    reading, chunks = read()
    assert len(chunks) > 10
    assert [entry["__REALTIME_TIMESTAMP"] for chunk in chunks for entry in reversed(chunk)] == [
        str(second * 1000000) for second in range(999, 0, -1)
    ]
    assert reading.oldest == 1.0


def test_the_deadline_ends_the_reading_with_what_came(journalctl, tmp_path):
    (tmp_path / "j").write_text(
        line(9, "newest") + "\n" + line(8, "older") + "\n" + '{"MESSAGE": "half a li'
    )
    journalctl("cat %s; sleep 60" % (tmp_path / "j"))
    started = time.monotonic()
    reading, chunks = read(0.5)
    assert time.monotonic() - started < 3
    assert reading.truncated
    assert [entry["MESSAGE"] for entry in chunks[0]] == ["older", "newest"]
    assert reading.oldest == 8.0


def test_a_line_that_is_no_json_is_skipped_and_counted(journalctl, tmp_path):
    (tmp_path / "j").write_bytes(
        (line(2, "a") + '\n{"MESSAGE": \n-- No entries --\n').encode()
        + b'{"MESSAGE": "\xff"}\n'
        + line(1, "b").encode()
    )
    journalctl("cat %s" % (tmp_path / "j"))
    reading, chunks = read()
    assert [entry["MESSAGE"] for entry in chunks[0]] == ["b", "\ufffd", "a"]
    assert reading.skipped == 1


def test_an_entry_beyond_all_measure_is_skipped(journalctl, tmp_path):
    huge = line(2, "y" * 6 * 1024 * 1024)
    (tmp_path / "j").write_text(line(3, "new") + "\n" + huge + "\n" + line(1, "old") + "\n")
    journalctl("cat %s" % (tmp_path / "j"))
    reading, chunks = read()
    assert [entry["MESSAGE"] for chunk in chunks for entry in chunk] == ["new", "old"]
    assert reading.skipped == 1


@pytest.mark.parametrize(
    ("complaint", "reason"),
    [
        ("No journal files were opened due to insufficient permissions.", "run with become"),
        (
            "Hint: You are currently not seeing messages from other users and the system.",
            "run with become",
        ),
        ("No journal files were found.", "no journal files"),
        ("Failed to open files: Bad message", "journalctl: Failed to open files"),
    ],
)
def test_why_the_journal_cannot_be_read(journalctl, complaint, reason):
    journalctl("echo '%s' >&2; exit 1" % complaint)
    with pytest.raises(journal.JournalUnreadable, match=reason):
        read()


@pytest.mark.parametrize(
    ("script", "reason"),
    [("exit 1", "exit status 1"), ("echo rubbish {", "prints no JSON"), ("kill -9 $$", "-9")],
)
def test_a_journalctl_that_fails_silently_has_shown_nothing(journalctl, script, reason):
    journalctl(script)
    with pytest.raises(journal.JournalUnreadable, match=reason):
        read()


def test_what_a_journalctl_printed_that_failed_is_not_the_whole_window(journalctl, tmp_path):
    (tmp_path / "j").write_text(line(2, "a") + "\n")
    journalctl("cat %s; exit 1" % (tmp_path / "j"))
    reading, chunks = read()
    assert [entry["MESSAGE"] for entry in chunks[0]] == ["a"]
    assert reading.truncated


def test_a_window_without_entries_is_no_error(journalctl):
    journalctl("echo '-- No entries --'")
    reading, chunks = read()
    assert (chunks, reading.entries, reading.truncated) == ([], 0, False)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("plain", "plain"),
        (None, ""),
        ([98, 105, 110, 255], "bin\ufffd"),
        ([27, 91, 51, 49, 109, 69, 82, 82, 27, 91, 48, 109], "ERR"),
        (["first", "second"], "first"),
        ([[104, 105], "x"], "hi"),
        ([300], ""),
        ([], ""),
        ({"a": 1}, ""),
        ("\x1b[1;31mred\x1b[0m", "red"),
    ],
)
def test_messages_as_the_journal_gives_them(message, text):
    assert journal.text_of(message) == text


def test_a_long_message_keeps_its_beginning_and_its_end():
    text = journal.text_of("ERROR " + "x" * 100000 + " remote_ip=203.0.113.9")
    assert len(text) < journal.LONGEST_MESSAGE + 10
    assert text.startswith("ERROR ")
    assert text.endswith("remote_ip=203.0.113.9")


def burst(interval, limit, *chunks):
    reading = journal.Burst(interval, limit)
    for seconds in chunks:
        reading.count(
            [
                {"__REALTIME_TIMESTAMP": str(int(at * 1e6)), "_TRANSPORT": "stdout", "_PID": "7"}
                for at in seconds
            ]
        )
    return reading.plain()


def test_how_many_lines_came_just_before_the_newest():
    found = burst(15, 60, [110, 120], [90, 99, 106], [50, 60])
    assert found == {"lines": 3, "newest": 120.0, "limit": 60, "interval": 15}
    assert burst(15, 0, [1, 2]) is None
    assert burst(15, 60) is None


def test_lines_of_systemd_do_not_count():
    reading = journal.Burst(15, 60)
    reading.count([{"__REALTIME_TIMESTAMP": "1", "_TRANSPORT": "journal", "_PID": "1"}])
    assert reading.plain() is None
