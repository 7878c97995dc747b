# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.filter import stricter_throttle

throttle = stricter_throttle.FilterModule().filters()["stricter_throttle"]


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("", {"RATE_LIMIT_PER_MINUTE": 50}, {"RATE_LIMIT_PER_MINUTE": 50}),
        (
            "RATE_LIMIT_PER_MINUTE=60\n",
            {"RATE_LIMIT_PER_MINUTE": 50},
            {"RATE_LIMIT_PER_MINUTE": 50},
        ),
        ("RATE_LIMIT_PER_MINUTE=30  # ours\n", {"RATE_LIMIT_PER_MINUTE": 50}, {}),
        ("RATE_LIMIT_PER_MINUTE=50\n", {"RATE_LIMIT_PER_MINUTE": "50"}, {}),
        (
            "RATE_LIMIT_PER_MINUTE=many\n",
            {"RATE_LIMIT_PER_MINUTE": 50},
            {"RATE_LIMIT_PER_MINUTE": 50},
        ),
        ("ZOHO_BATCH_DELAY=5\n", {"ZOHO_BATCH_DELAY": 2}, {}),
        ("ZOHO_BATCH_DELAY=1\n", {"ZOHO_BATCH_DELAY": 2}, {"ZOHO_BATCH_DELAY": 2}),
        ("ENABLE_CACHE=false\n", {"ENABLE_CACHE": True}, {"ENABLE_CACHE": True}),
    ],
)
def test_an_app_is_throttled_more_and_never_less(text, wanted, expected):
    assert throttle(text, wanted) == expected
