# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times as text in UTC, and back."""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import times


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Asia/Kathmandu"])
@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (951782399, "2000-02-28T23:59:59Z"),
        (951782400, "2000-02-29T00:00:00Z"),
        (1772366400, "2026-03-01T12:00:00Z"),
        (4107542399, "2100-02-28T23:59:59Z"),
        (4107542400, "2100-03-01T00:00:00Z"),
    ],
)
def test_there_and_back_in_whichever_zone(monkeypatch, zone, at, text):
    monkeypatch.setenv("TZ", zone)
    assert (times.clock(at), times.seconds(text)) == (text, at)
    assert times.compact(at) == text.replace("-", "").replace(":", "")


def test_parts_of_a_second_are_left_out():
    assert times.clock(1772366400.9) == "2026-03-01T12:00:00Z"


def test_no_time_is_none():
    assert times.clock(None) is None


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        "",
        "2026-03-01",
        "2026-03-01T12:00:00",
        "2026-03-01T12:00:00Z\n",
        "2026-03-01 12:00:00Z",
        "2026-03-01T12:00:00+00:00",
        "2026-13-01T12:00:00Z",
        "2026-03-01T24:00:00Z",
        "2026-02-30T12:00:00Z",
        "0000-03-01T12:00:00Z",
        "٢٠٢٦-03-01T12:00:00Z",
    ],
)
def test_what_is_no_time_has_no_seconds(text):
    assert times.seconds(text) is None
