# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.filter import throttle_changes

throttle = throttle_changes.FilterModule().filters()["throttle_changes"]


@pytest.mark.parametrize(
    ("present", "wanted", "expected"),
    [
        ({}, {"RATE_LIMIT_PER_MINUTE": 50}, {"RATE_LIMIT_PER_MINUTE": 50}),
        (
            {"RATE_LIMIT_PER_MINUTE": "60"},
            {"RATE_LIMIT_PER_MINUTE": 50},
            {"RATE_LIMIT_PER_MINUTE": 50},
        ),
        ({"RATE_LIMIT_PER_MINUTE": "30"}, {"RATE_LIMIT_PER_MINUTE": 50}, {}),
        ({"RATE_LIMIT_PER_MINUTE": "50"}, {"RATE_LIMIT_PER_MINUTE": "50"}, {}),
        (
            {"RATE_LIMIT_PER_MINUTE": "many"},
            {"RATE_LIMIT_PER_MINUTE": 50},
            {"RATE_LIMIT_PER_MINUTE": 50},
        ),
        ({"ZOHO_BATCH_DELAY": "5"}, {"ZOHO_BATCH_DELAY": 2}, {}),
        ({"ZOHO_BATCH_DELAY": "1"}, {"ZOHO_BATCH_DELAY": 2}, {"ZOHO_BATCH_DELAY": 2}),
        ({"ENABLE_CACHE": "false"}, {"ENABLE_CACHE": True}, {"ENABLE_CACHE": True}),
    ],
)
def test_an_app_is_throttled_more_and_never_less(present, wanted, expected):
    assert throttle(present, wanted) == expected
