# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import options, window


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1, "25%", "100%"], [1, 5, 14]),
        ([1, "25%"], [1, 5, 5, 5, 4]),
        (["1%"], [1] * 20),
        ([50], [20]),
    ],
)
def test_batches_are_those_of_serial(sizes, expected):
    hosts = ["h%d" % number for number in range(20)]
    made = options.split(hosts, sizes)
    assert [len(batch) for batch in made] == expected
    assert [host for batch in made for host in batch] == hosts


@pytest.mark.parametrize("value", [0, -1, "0%", "101%", "half", True, 1.5, [], [1, None], {}])
def test_batches_that_cannot_be_are_refused(value):
    with pytest.raises(options.OptionError, match="sergas_batches: .* is not allowed"):
        options.batches("sergas_batches", value)


def test_batches_may_be_given_on_the_command_line():
    assert options.batches("x", "5") == [5]
    assert options.batches("x", "30%") == ["30%"]
    assert options.batches("x", None) == [1, "25%"]


@pytest.mark.parametrize("value", [0, 1.01, -1, "many", True, "nan"])
def test_a_share_that_cannot_be_is_refused(value):
    with pytest.raises(options.OptionError, match="sergas_max_share: .* above 0, at most 1"):
        options.share("sergas_max_share", value)


def test_an_unknown_remedy_is_named_with_those_there_are():
    with pytest.raises(options.OptionError) as error:
        options.names("sergas_approve", ["reboot"], {"start_redis": 1, "end_blocker": 1})
    assert str(error.value) == (
        "sergas_approve: 'reboot' is not allowed, it must be one of: end_blocker, start_redis"
    )
    assert options.names("x", "a, b,a", ["a", "b"]) == ["a", "b"]
    for wrong in ({"a": 1}, 5, [["a"]]):
        with pytest.raises(options.OptionError, match="a list of the names"):
            options.names("x", wrong, ["a"])


def test_numbers_and_switches_are_taken_as_text_and_nothing_else():
    assert options.number("x", "5", 1, 0, 9) == 5
    assert options.switch("x", "False") is False
    for wrong in ("10", -1, True, 1.5, "a"):
        with pytest.raises(options.OptionError, match="a whole number from 0 to 9"):
            options.number("x", wrong, 1, 0, 9)
    with pytest.raises(options.OptionError, match="sergas_apply: 'maybe' is not allowed"):
        options.switch("sergas_apply", "maybe")


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-11-23T22:00:00+00:00", True),  # a Monday
        ("2026-11-23T21:59:59+00:00", False),
        ("2026-11-24T03:59:00+00:00", True),  # Tuesday, the night of Monday
        ("2026-11-24T04:00:00+00:00", False),
        ("2026-11-24T23:00:00+00:00", False),
        ("2026-11-23T03:00:00+00:00", False),  # Monday, the night of Sunday
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_begins(moment, open_):
    made = window.parse({"days": ["mon"], "start": "22:00", "end": "04:00"})
    assert window.is_open(made, datetime.fromisoformat(moment)) is open_


def test_a_window_has_a_time_zone():
    made = window.parse({"start": "09:00", "end": "10:00", "timezone": "Asia/Tokyo"})
    assert window.is_open(made, datetime.fromisoformat("2026-11-24T00:30:00+00:00"))
    assert not window.is_open(made, datetime.fromisoformat("2026-11-24T09:30:00+00:00"))
    assert window.describe(made) == "daily 09:00-10:00 Asia/Tokyo"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"start": "22:00"}, "end: None must be a time"),
        ({"start": 1320, "end": "04:00"}, "start: 1320 must be a time"),
        ({"start": "24:00", "end": "04:00"}, "start: '24:00'"),
        ({"start": "22:00", "end": "04:00", "days": ["monday"]}, "days: ['monday'] must be"),
        ({"start": "22:00", "end": "04:00", "timezone": "Moon"}, "timezone: 'Moon'"),
        ({"start": "22:00", "end": "04:00", "hours": 2}, "hours is not one of its keys"),
        ("night", "it must be a dictionary"),
    ],
)
def test_a_window_that_cannot_be_is_named(value, reason):
    with pytest.raises(options.OptionError) as error:
        options.maintenance_window("sergas_maintenance_window", value)
    assert str(error.value).startswith("sergas_maintenance_window: ") and reason in str(error.value)
