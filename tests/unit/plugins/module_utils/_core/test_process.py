# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)


def test_a_command_answers_in_the_untranslated_language():
    status, out, err = process.run(["sh", "-c", "echo $LC_ALL; echo oops >&2; exit 3"], Deadline(5))
    assert (status, out, err) == (3, "C\n", "oops\n")


def test_what_is_not_utf8_is_no_exception():
    assert process.run(["printf", r"\377"], Deadline(5))[1] == "�"


def test_a_missing_command_is_named():
    with pytest.raises(process.CommandMissing, match="no-such-command"):
        process.run(["no-such-command"], Deadline(5))


def test_a_hanging_command_and_its_children_are_ended():
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="sh"):
        process.run(["sh", "-c", "sleep 60 & echo $! ; wait"], Deadline(0.3))
    assert time.monotonic() - started < 5


def test_stop_ends_the_whole_group():
    running = process.start(["sh", "-c", "sleep 60 & echo $! ; wait"])
    child = int(running.stdout.readline())
    process.stop(running)
    deadline = Deadline(5)
    while not deadline.expired():
        try:
            with open("/proc/%d/stat" % child) as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except OSError:
            return
        os.sched_yield()
    pytest.fail("the child is still running")
