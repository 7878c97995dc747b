# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import math

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._health import runner
from ansible_collections.sergas.ops.plugins.modules import sergas_health
from ansible_collections.sergas.ops.plugins.plugin_utils import run_variables


def refused(name, value, **choices):
    return "; ".join(run_variables.refusals([(name, value, ["web1"])], choices))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sergas_treshold", "sergas_thresholds"),
        ("sergas_host", "sergas_hosts"),
        ("sergas_postgres_hosts", "sergas_postgresql_hosts"),
        ("Sergas_deadline", "sergas_deadline"),
        ("sergas_fail_onn", "sergas_fail_on"),
        ("sergas_thresholds", None),
        ("sergas_thresholds_site", None),
        ("sergas_diagnose_health", None),
        ("sergas_remediation_plan", None),
        ("sergas_addresses", None),
        ("sergas_site", None),
        ("sergas_region", None),
    ],
)
def test_a_misspelt_variable_is_named_and_no_other(name, meant):
    assert run_variables.misspelt([name]) == ({name: meant} if meant else {})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("sergas_deadline", "abc", "sergas_deadline: 'abc' is not allowed, it must be a number"),
        ("sergas_deadline", 0, "sergas_deadline: 0 is not allowed"),
        ("sergas_deadline", -5, "sergas_deadline: -5 is not allowed"),
        ("sergas_deadline", math.nan, "sergas_deadline: nan is not allowed"),
        ("sergas_deadline", 1e300, "sergas_deadline: 1e+300 is not allowed"),
        ("sergas_deadline", True, "sergas_deadline: True is not allowed"),
        ("sergas_window", 1.5, "sergas_window: 1.5 is not allowed, it must be a whole number"),
        ("sergas_window", [1], "sergas_window: [1] is not allowed"),
        (
            "sergas_port",
            70000,
            "sergas_port: 70000 is not allowed, it must be a whole number from 1",
        ),
        ("sergas_insights_deadline", "x", "sergas_insights_deadline: 'x' is not allowed"),
        (
            "sergas_fail_on",
            "warning",
            "sergas_fail_on: 'warning' is not allowed, did you mean warn?",
        ),
        (
            "sergas_become",
            "maybe",
            "sergas_become: 'maybe' is not allowed, it must be true or false",
        ),
        ("sergas_report_dir", ["x"], "sergas_report_dir: ['x'] is not allowed, it must be a text"),
        ("sergas_latency_paths", 5, "sergas_latency_paths: 5 is not allowed, it must be a list"),
        ("sergas_thresholds", 5, "sergas_thresholds: 5 is not allowed, it must be a dictionary"),
        ("sergas_thresholds", {"disk": {"warn": 1}}, "sergas_thresholds: unknown name 'disk'"),
        (
            "sergas_thresholds_site",
            {"disk_percent": {"warn": "x"}},
            "sergas_thresholds_site.disk_percent.warn: 'x' is not a number",
        ),
    ],
)
def test_a_value_that_cannot_be_is_kept_in_the_message(name, value, sentence):
    assert refused(name, value).startswith(sentence)
    assert refused(name, value).endswith("(on web1)")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sergas_deadline", "20"),
        ("sergas_deadline", 2.5),
        ("sergas_window", "7200"),
        ("sergas_become", "no"),
        ("sergas_become", False),
        ("sergas_checks", "disk,load"),
        ("sergas_checks", []),
        ("sergas_port", ""),
        ("sergas_env_file", None),
        ("sergas_thresholds", {"disk_percent": {"warn": 70}}),
        ("sergas_thresholds_site", {"disk_percent": {"fail": 99}}),
        ("sergas_of_others", object()),
    ],
)
def test_what_the_roles_take_is_not_refused(name, value):
    checks = sergas_health.ARGUMENT_SPEC["checks"]["choices"]
    assert refused(name, value, sergas_checks=checks) == ""


def test_of_a_list_the_wrong_name_is_given():
    checks = sergas_health.ARGUMENT_SPEC["checks"]["choices"]
    sentence = refused("sergas_checks", ["disk", "servce"], sergas_checks=checks)
    assert sentence.startswith("sergas_checks: 'servce' is not allowed, did you mean service? ")


def test_a_secret_is_not_shown():
    sentence = refused("sergas_database_password", {"hunter2": 1})
    assert sentence.startswith("sergas_database_password: its value is not allowed")
    assert "hunter2" not in sentence


def test_hosts_are_counted_beyond_three():
    hosts = ["web%d" % number for number in range(5)]
    (sentence,) = run_variables.refusals([("sergas_port", 0, hosts)])
    assert sentence.endswith("(on web0, web1, web2 +2)")


def test_ranges_are_those_of_the_modules():
    # The controller's own clock is no variable.
    ranges = {"sergas_" + row[0]: row[1:] for row in runner.RANGES if "." not in row[0]}
    del ranges["sergas_controller_time"]
    for name, (least, most) in ranges.items():
        for value in (least, most):
            assert not refused(name, value)
        for value in (least - 1, most + 1):
            assert refused(name, value)
    assert not refused("sergas_thresholds", {name: {"warn": 1} for name in thresholds.DEFAULTS})
