# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import guards, window

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # a Tuesday


def entry(**changes):
    return {
        "remedy": "restart_app",
        "host": "app1",
        "impact": "restart",
        "reversible": True,
        "component": "app",
        "approval": False,
        "variables": [],
        "target": None,
        "on_target": False,
        "fleet": None,
        "cooldown": 900,
        **changes,
    }


def change(minutes_ago, outcome="kept", remedy="restart_app", run="r1"):
    """Return an entry of a ledger."""
    at = NOW.timestamp() - 60 * minutes_ago
    line = {"time": times.clock(at), "run": run, "remedy": remedy, "outcome": outcome}
    if outcome in ledger.ENDED:
        line["ended"] = times.clock(at)
    return ledger.parse(json.dumps(line).encode())[0][0]


@pytest.mark.parametrize(
    ("changes", "approved", "held"),
    [
        ({}, (), False),
        ({"approval": True}, (), True),
        ({"approval": True}, ("restart_app",), False),
        ({"impact": "disruptive"}, (), True),
        ({"impact": "disruptive"}, ("other",), True),
        ({"impact": "disruptive"}, ("restart_app",), False),
        ({"impact": "none", "reversible": False}, (), True),
        ({"impact": "none", "reversible": False}, ("restart_app",), False),
    ],
)
def test_what_has_to_be_named_waits_for_it(changes, approved, held):
    guard = guards.approval(entry(**changes), approved)
    assert bool(guard) is held
    if guard:
        assert guard["allow"] == """-e '{"sergas_approve": ["restart_app"]}'"""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"approval": True}, "it needs approval"),
        ({"approval": True, "impact": "disruptive"}, "it is disruptive"),
        ({"approval": True, "reversible": False}, "it is not reversible"),
        ({"impact": "disruptive", "reversible": False}, "it is disruptive and not reversible"),
    ],
)
def test_the_approval_says_what_it_is_needed_for(changes, why):
    reason = guards.approval(entry(**changes), ())["reason"]
    assert reason == why + ", so it is only done if sergas_approve names it"


def test_missing_variables_are_named():
    guard = guards.variables(entry(variables=["a", "b", "c"]), {"b"})
    assert guard["reason"] == "a, c are not defined for app1"
    assert guards.variables(entry(variables=["b"]), {"b"}) is None


def test_what_belongs_on_an_unknown_host_waits():
    guard = guards.target(entry(host=None, target="10.0.0.9:5432"))
    assert "10.0.0.9:5432" in guard["reason"]
    assert guards.target(entry()) is None
    assert guards.reachable(entry(), {"app2"})["name"] == "unreachable"
    assert guards.reachable(entry(), {"app1"}) is None


SHARED = {"id": "fleet.db.unreachable", "target": "db1:5432", "hosts": 12}


@pytest.mark.parametrize(
    ("changes", "approved", "held"),
    [
        ({"fleet": SHARED}, (), True),
        ({"fleet": SHARED, "impact": "disruptive"}, (), True),
        ({"fleet": SHARED, "impact": "reload"}, (), False),
        ({"fleet": SHARED, "on_target": True}, (), False),
        ({"fleet": SHARED}, ("restart_app",), False),
        ({}, (), False),
    ],
)
def test_single_hosts_are_not_interrupted_for_a_cause_of_the_fleet(changes, approved, held):
    guard = guards.fleet_cause(entry(**changes), approved)
    assert bool(guard) is held
    if guard:
        assert "12 hosts" in guard["reason"] and "db1:5432" in guard["allow"]


def test_interruptions_wait_for_the_window():
    night = window.parse({"start": "22:00", "end": "04:00"})
    noon = window.parse({"start": "11:00", "end": "13:00"})
    assert "22:00-04:00" in guards.maintenance(entry(), night, NOW)["reason"]
    assert guards.maintenance(entry(impact="reload"), night, NOW) is None
    assert guards.maintenance(entry(), noon, NOW) is None
    assert guards.maintenance(entry(), None, NOW) is None


@pytest.mark.parametrize(
    ("hosts", "users", "most", "impact", "held"),
    [
        (1, 1, 0.5, "restart", False),  # one host is always allowed
        (2, 3, 0.5, "restart", True),
        (2, 4, 0.5, "restart", False),
        (3, 4, 0.5, "restart", True),
        (4, 4, 1, "restart", False),
        (20, 20, 0.5, "none", False),
        (2, 20, 0.1, "reload", False),
        (3, 20, 0.1, "reload", True),
    ],
)
def test_a_remedy_may_touch_a_share_of_the_hosts(hosts, users, most, impact, held):
    entries = [entry(host="app%d" % number, impact=impact) for number in range(hosts)]
    names = {"app%d" % number for number in range(users)}
    assert bool(guards.share(entries, {"app": names}, most)) is held


def test_the_share_counts_hosts_over_all_remedies():
    """Two remedies that each touch half of a tier touch all of it."""
    entries = [entry(host="a"), entry(host="b", remedy="other"), entry(host="c", impact="none")]
    found = guards.share(entries, {"app": {"a", "b", "c", "d"}, "redis": {"c"}}, 0.25)
    assert sorted(found) == ["a", "b"]
    assert "2 of 4 hosts with app (other, restart_app)" in found["a"]["reason"]
    assert found["a"]["allow"].endswith("sergas_max_share=0.5")
    assert not guards.share(entries, {"app": {"a", "b", "c", "d"}}, 0.5)


def test_a_host_counts_in_each_tier_that_it_is_part_of():
    """A remedy of the database's on half of the hosts, one of the app's on the other half."""
    entries = [entry(host="a", component="database"), entry(host="b", component="app")]
    assert not guards.share(entries, {"database": {"a"}, "app": {"b"}}, 0.5)
    tiers = {"database": {"a"}, "app": {"b"}, "host": {"a", "b"}}
    assert sorted(guards.share(entries, tiers, 0.5)) == ["a", "b"]


def test_a_host_that_another_run_works_on_is_locked_for_every_remedy():
    guard = guards.lock(entry(), [change(1, "begun", "other", "r7"), change(5)])
    assert "r7" in guard["reason"] and "other" in guard["reason"]
    assert guards.lock(entry(), [change(1, "interrupted"), change(5)]) is None


def test_a_remedy_waits_for_its_cooldown():
    assert guards.cooldown(entry(), [change(14)], NOW)["name"] == "cooldown"
    assert guards.cooldown(entry(), [change(16)], NOW) is None
    assert guards.cooldown(entry(), [change(1, remedy="other")], NOW) is None
    assert guards.cooldown(entry(cooldown=0), [change(0)], NOW) is None


def test_what_was_done_too_often_goes_to_a_person():
    three = [change(60 * hours) for hours in (1, 5, 20)]
    guard = guards.repetition(entry(), three, NOW, 3, 24)
    assert "3 times" in guard["reason"] and "someone has to" in guard["reason"]
    assert guard["allow"].endswith("sergas_repeat_times=4")
    assert guards.repetition(entry(), three, NOW, 4, 24) is None
    assert guards.repetition(entry(), three, NOW, 3, 6) is None
    assert guards.repetition(entry(), three, NOW, 0, 24) is None
