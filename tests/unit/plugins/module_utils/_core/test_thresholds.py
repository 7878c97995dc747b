# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.modules import sergas_health


def test_the_defaults_hold_without_overrides():
    assert thresholds.merge({}) == thresholds.DEFAULTS


def test_one_half_of_a_threshold_can_be_replaced():
    assert thresholds.merge({"disk_percent": {"warn": "70"}})["disk_percent"] == (70.0, 90.0, "%")


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"dsk": {"warn": 1}}, ["dsk", "disk_percent"]),
        ({"disk_percent": 70}, ["disk_percent", "70", "warn"]),
        ({"disk_percent": {}}, ["disk_percent", "warn"]),
        ({"disk_percent": {"high": 70}}, ["disk_percent", "high"]),
        ({"disk_percent": {"warn": -1}}, ["disk_percent.warn", "-1", "0 or more"]),
        ({"disk_percent": {"warn": "much"}}, ["disk_percent.warn", "much", "number"]),
        ({"disk_percent": {"warn": True}}, ["disk_percent.warn", "True"]),
        ({"disk_percent": {"fail": "nan"}}, ["disk_percent.fail", "nan"]),
        ({"disk_percent": {"warn": 95}}, ["disk_percent", "95", "90"]),
        ({"disk_percent": {"fail": 101}}, ["disk_percent", "101", "100"]),
    ],
)
def test_a_bad_threshold_is_named_with_its_value_and_what_is_allowed(overrides, words):
    with pytest.raises(ValueError) as caught:
        thresholds.merge(overrides)
    for word in words:
        assert word in str(caught.value)


def test_the_manual_tells_the_defaults():
    manual = " ".join(sergas_health.DOCUMENTATION.split())
    documented = {
        name: (float(warn), float(fail))
        for name, warn, fail in re.findall(r"V\((\w+)\) ([\d.]+), ([\d.]+\d|\d)", manual)
    }
    assert documented == {name: values[:2] for name, values in thresholds.DEFAULTS.items()}
