# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import coverage

NOW = 1795530000.0
STATE = {"storage": "auto", "running": True, "max_level": "debug", "beginning": NOW - 90000}
OUTPUT = {"journal": True, "files": [], "elsewhere": [], "piped": False}
RESULT = {
    "lines": 100,
    "continued": 0,
    "unread": 0,
    "unread_samples": ["what"],
    "requests": 0,
    "timed": 0,
    "refused_without_address": 0,
}


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({}, None),
        ({"running": None}, None),
        ({"storage": "volatile"}, None),
        ({"storage": "none"}, "stores nothing"),
        ({"running": False}, "does not run"),
        ({"max_level": "warning"}, "no line below warning"),
        ({"max_level": "4"}, "no line below 4"),
        ({"max_level": "info"}, None),
        ({"beginning": None}, "no journal files"),
    ],
)
def test_a_journal_that_keeps_nothing(state, why):
    found = coverage.stored(dict(STATE, **state))
    assert found is None if why is None else why in found


@pytest.mark.parametrize(
    ("beginning", "begun", "gap"),
    [
        (NOW - 7200, NOW - 90000, False),
        (NOW - 60, NOW - 90000, True),  # older files were removed
        (NOW - 60, NOW - 65, False),  # the host was booted then
        (NOW - 60, None, False),
        (None, NOW - 90000, False),
    ],
)
def test_a_journal_that_begins_within_the_window(beginning, begun, gap):
    assert (coverage.reach(beginning, NOW - 3600, begun) is not None) is gap


@pytest.mark.parametrize(
    ("output", "properties", "journals", "heard", "why"),
    [
        ({}, {}, None, False, None),
        ({"elsewhere": ["StandardOutput=null"]}, {}, None, False, "StandardOutput=null"),
        ({}, {"LogLevelMax": "4", "SyslogLevel": "6"}, None, False, "LogLevelMax=warning"),
        ({}, {"LogLevelMax": "6", "SyslogLevel": "6"}, None, False, None),
        ({}, {"LogLevelMax": "-1", "SyslogLevel": "6"}, None, False, None),
        ({"piped": True}, {}, None, False, "a pipe takes"),
        ({"piped": True}, {}, None, True, None),
        ({}, {}, "journald does not run", False, "journald does not run"),
        # what is written to a file does not need the journal
        ({"journal": False}, {"LogLevelMax": "4"}, "journald does not run", False, None),
    ],
)
def test_where_the_output_goes(output, properties, journals, heard, why):
    found = coverage.destination(dict(OUTPUT, **output), properties, journals, heard)
    assert found is None if why is None else why in found


BURST = {"lines": 60, "newest": NOW - 20, "limit": 60, "interval": 15.0}


@pytest.mark.parametrize(
    ("suppressed", "properties", "burst", "why"),
    [
        (None, {}, None, None),
        ({"count": 10350, "last": NOW - 5}, {}, None, "dropped 10350 lines"),
        (None, {"LogFilterPatterns": "~noise"}, None, "LogFilterPatterns"),
        (None, {}, BURST, "may have been dropped"),
        (None, {}, dict(BURST, lines=59), None),
        (None, {}, dict(BURST, newest=NOW - 1), None),  # it still comes
        (None, {}, dict(BURST, limit=0), None),
    ],
)
def test_what_was_dropped(suppressed, properties, burst, why):
    found = coverage.loss(suppressed, properties, burst, NOW)
    assert found is None if why is None else why in found


@pytest.mark.parametrize(
    ("logs", "journals", "problems", "why"),
    [
        ({}, None, [], None),
        ({}, "the journal has nothing from before", [], "nothing from before"),
        ({}, None, ["x.log is not there"], "x.log is not there"),
        ({"truncated": True, "oldest": NOW - 1200}, None, [], None),
        ({"truncated": True, "oldest": NOW - 200}, None, [], "ran out"),
        ({"truncated": True, "oldest": NOW - 60, "window": 60}, None, [], None),
        ({"truncated": True, "oldest": None}, None, [], "ran out"),
    ],
)
def test_how_far_back_it_was_read(logs, journals, problems, why):
    whole = dict({"truncated": False, "oldest": NOW - 3600, "now": NOW, "window": 3600}, **logs)
    found = coverage.window(whole, journals, problems)
    assert found is None if why is None else why in found


@pytest.mark.parametrize(
    ("result", "gap"),
    [
        ({}, False),
        ({"unread": 21}, True),
        ({"unread": 20}, False),
        ({"unread": 21, "requests": 1}, False),
        ({"unread": 9, "lines": 10}, False),  # fewer than would be a finding
        ({"unread": 21, "lines": 200}, False),
        ({"unread": 21, "lines": 200, "continued": 120}, True),
        ({"lines": 0}, False),
    ],
)
def test_how_many_lines_are_understood(result, gap):
    assert (coverage.lines(dict(RESULT, **result), 10.0) is not None) is gap


def test_the_share_that_is_understood():
    assert coverage.understood_percent(dict(RESULT, unread=30, continued=40)) == 50.0
    assert coverage.understood_percent(dict(RESULT, lines=0)) is None


@pytest.mark.parametrize(("count", "gap"), [(9, False), (10, True)])
def test_refusals_without_an_address(count, gap):
    found = coverage.clients(dict(RESULT, refused_without_address=count), 10.0)
    assert (found is not None) is gap


@pytest.mark.parametrize(
    ("requests", "timed", "gap"), [(9, 0, False), (10, 0, True), (10, 1, False), (0, 0, False)]
)
def test_requests_without_durations(requests, timed, gap):
    found = coverage.latency(dict(RESULT, requests=requests, timed=timed))
    assert (found is not None) is gap
