# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault, on a real host of each release, is diagnosed as its root cause and nothing else."""

from __future__ import annotations

import json

import fleet as reference
import pytest

BAD = {"warn", "fail", "unknown"}
PAIRS = [("03_database_stopped_under_app", "19_redis_down"), ("17_bruteforce", "19_disk")]
# Those of the database take its own modules, and what mends them: test_postgresql.py. Those of
# Cognee take its container, and hosts that use it: test_cognee.py.
ELSEWHERE = (9, 10, 11, 14)
SINGLE = [
    (release, (fault.name,))
    for release, fault in reference.spread(
        [fault for fault in reference.faults().values() if fault.number not in ELSEWHERE],
        lambda fault: fault.number,
    )
]
DOUBLE = [(release, pair) for pair in PAIRS for release in reference.RELEASES]
HEALTHY = [(release, ()) for release in reference.RELEASES]


def name(case):
    """Name a case for pytest."""
    release, faults = case
    return "-".join((release, *faults))


def bad(findings):
    """Return what needs somebody's attention, short enough to read in a failure."""
    keys = ("id", "status", "cause", "summary", "evidence")
    return [{key: finding[key] for key in keys} for finding in findings if finding["status"] in BAD]


def roots(findings):
    """Return the ids of the bad findings that derive from no other."""
    return {
        finding["id"] for finding in findings if finding["status"] in BAD and not finding["cause"]
    }


def told(findings):
    """Return the bad findings as text, for a failure's message."""
    return json.dumps(bad(findings), indent=1)[:6000]


@pytest.mark.parametrize("case", HEALTHY, ids=name)
def test_healthy_host_has_nothing_bad(case, waves):
    findings = waves.of(case)
    assert not bad(findings), told(findings)
    # It was looked at, not skipped.
    ok = {finding["id"].split(".")[0] for finding in findings if finding["status"] == "ok"}
    assert {"app", "api", "db", "redis", "host"} <= ok


@pytest.mark.parametrize("case", SINGLE, ids=name)
def test_fault_is_the_only_root(case, waves):
    findings = waves.of(case)
    assert roots(findings) == {reference.faults()[case[1][0]].root}, told(findings)


@pytest.mark.parametrize("case", DOUBLE, ids=name)
def test_two_faults_are_two_roots(case, waves):
    findings = waves.of(case)
    assert roots(findings) == {reference.faults()[fault].root for fault in case[1]}, told(findings)
