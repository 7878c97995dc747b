# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import clock

THRESHOLD = (5.0, 60.0, "s")


def context(now, sent):
    return types.SimpleNamespace(
        now=now, params={"controller_time": sent}, thresholds={"clock_seconds": THRESHOLD}
    )


@pytest.mark.parametrize(
    ("offset", "status", "words"),
    [
        (0.4, "ok", "ahead"),
        (-4.9, "ok", "behind"),
        (5.0, "warn", "ahead"),
        (-5.0, "warn", "behind"),
        (60.0, "fail", "ahead"),
        (-3600.0, "fail", "3600.0 s behind"),
    ],
)
def test_the_offset(offset, status, words):
    (item,) = clock.decide(context(1000.0 + offset, 1000.0))
    assert (item["status"], item["value"]) == (status, offset)
    assert item["id"] == ("host.clock.ok" if status == "ok" else "host.clock.offset")
    assert words in item["summary"]
    assert bool(item["advice"]) is (status != "ok")


def test_without_a_controller():
    with pytest.raises(NotHere):
        clock.decide(context(1000.0, None))


@pytest.mark.parametrize(
    ("offset", "took", "status", "value"),
    [
        # All of it is the way there.
        (8.0, 9.0, "ok", 4.0),
        (8.0, 1.0, "warn", 8.0),
        # What may be the way there is no offset.
        (66.0, 21.0, "warn", 56.0),
        (90.0, 11.0, "fail", 85.0),
        # A clock that is behind is so whatever the way took.
        (-8.0, 1.0, "warn", -8.0),
        (-8.0, 5.0, "warn", -10.0),
    ],
)
def test_what_the_way_to_the_host_took_is_no_offset(offset, took, status, value):
    other = {"id": "app.env.missing", "status": "fail", "cause": None}
    found = {
        "findings": [*clock.decide(context(1000.0 + offset, 1000.0)), other],
        "seconds": 1.0,
        "roots": [],
        "bad": 0,
    }
    result = clock.corrected(found, took)
    item = result["findings"][0]
    assert (item["status"], item["value"]) == (status, value)
    bad = ["app.env.missing"] if status == "ok" else ["host.clock.offset", "app.env.missing"]
    assert (result["roots"], result["bad"]) == (bad, len(bad))
    assert result["findings"][1] is other


def test_a_result_without_the_clock_is_left_as_it_is():
    skipped = {"id": "host.clock.skipped", "status": "skipped", "cause": None, "value": None}
    found = {"findings": [skipped], "seconds": 1.0}
    assert clock.corrected(found, 9.0)["findings"] == [skipped]
