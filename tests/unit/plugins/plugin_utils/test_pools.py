# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils import pools


def host(workers=4, pool_size=10, max_overflow=20, **more):
    return {"workers": workers, "pool_size": pool_size, "max_overflow": max_overflow, **more}


def taken(result):
    """What the proposed pools would open, by the definition and not by the module's own
    arithmetic.
    """
    return sum(
        row["workers"] * (row["fit"]["pool_size"] + row["fit"]["max_overflow"])
        + row["celery_workers"]
        + row["others"]
        for row in result["hosts"]
    )


def test_the_guides_numbers_do_not_fit_a_default_server():
    """Three hosts with 4 workers and the guide's pool of 30 + 50 against max_connections = 100."""
    result = pools.budget(
        {f"app{i}": host(pool_size=30, max_overflow=50) for i in (1, 2, 3)}, slots=97, reserved=3
    )
    assert (result["demand"], result["fits"]) == (960, False)
    assert [row["demand"] for row in result["hosts"]] == [320, 320, 320]
    # 97 slots less 10 leave 87 for 12 workers: 7 each.
    assert [row["fit"] for row in result["hosts"]] == [{"pool_size": 2, "max_overflow": 5}] * 3
    found = pools.decide(result, "db1:5432")
    assert (found["id"], found["status"], found["value"]) == ("db.pools.overcommitted", "warn", 960)
    assert found["evidence"]["target"] == "db1:5432"
    assert "app1: DATABASE_POOL_SIZE=2 DATABASE_MAX_OVERFLOW=5" in found["advice"]


def test_what_fits_is_left_alone():
    result = pools.budget({"app1": host(workers=2, pool_size=5, max_overflow=5)}, slots=97)
    assert (result["demand"], result["percent"], result["fits"]) == (20, 20.6, True)
    assert result["hosts"][0]["fit"] == {"pool_size": 5, "max_overflow": 5}
    assert pools.decide(result, "db1:5432")["status"] == "ok"


def test_the_headroom_is_not_the_apps():
    assert pools.budget({"app1": host(workers=1, pool_size=87, max_overflow=0)}, slots=97)["fits"]
    assert not pools.budget({"app1": host(workers=1, pool_size=88, max_overflow=0)}, slots=97)[
        "fits"
    ]


def test_a_small_host_keeps_its_pool():
    result = pools.budget(
        {"big": host(workers=8), "small": host(workers=1, pool_size=2, max_overflow=1)}, slots=97
    )
    fits = {row["host"]: row["fit"] for row in result["hosts"]}
    assert fits["small"] == {"pool_size": 2, "max_overflow": 1}
    assert fits["big"]["pool_size"] + fits["big"]["max_overflow"] == 10


def test_celery_and_others_count():
    result = pools.budget(
        {"app1": host(workers=1, pool_size=5, max_overflow=5, celery_workers=8, others=4)}, slots=97
    )
    assert result["demand"] == 10 + 8 + 4


@pytest.mark.parametrize("numbers", [host(pool_size=0), host(max_overflow=-1)])
def test_sqlalchemys_pools_without_a_bound(numbers):
    result = pools.budget({"app1": numbers}, slots=97)
    assert (result["demand"], result["percent"], result["needed_max_connections"]) == (
        None,
        None,
        None,
    )
    assert not result["fits"]
    assert taken(result) <= 87
    assert "without a bound" in pools.decide(result, "db1:5432")["summary"]


def test_more_workers_than_slots():
    result = pools.budget({"app1": host(workers=200)}, slots=97)
    assert result["hosts"][0]["fit"] is None
    assert "fewer workers" in pools.decide(result, "db1:5432")["advice"]


def test_no_slots():
    with pytest.raises(ValueError, match="0 slots"):
        pools.budget({"app1": host()}, slots=0)


def test_the_proposals_fit_and_waste_nothing():
    """Over random fleets: the pools fit, no worker could have one more, and the needed
    max_connections is the least.
    """
    random.seed(20260301)
    for _number in range(2000):
        hosts = {
            f"app{i}": host(
                random.randint(1, 16),
                random.randint(1, 50),
                random.randint(0, 50),
                others=random.randint(0, 3),
            )
            for i in range(random.randint(1, 20))
        }
        slots = random.randint(4, 1000)
        result = pools.budget(hosts, slots, reserved=3)
        room = slots - result["headroom"]
        needed = result["needed_max_connections"]
        assert pools.budget(hosts, needed - 3)["fits"]
        assert not pools.budget(hosts, needed - 4)["fits"]
        if any(row["fit"] is None for row in result["hosts"]):
            assert sum(row["workers"] + row["others"] for row in result["hosts"]) > room
            continue
        assert taken(result) <= room
        cut = [
            row
            for row in result["hosts"]
            if row["fit"]["pool_size"] != row["pool_size"]
            or row["fit"]["max_overflow"] != row["max_overflow"]
        ]
        assert bool(cut) != result["fits"]
        assert all(
            row["fit"]["pool_size"] >= 1 and row["fit"]["max_overflow"] >= 0
            for row in result["hosts"]
        )
        if cut:
            assert taken(result) + sum(row["workers"] for row in cut) > room


def test_what_is_not_given_has_sqlalchemys_and_uvicorns_defaults():
    result = pools.budget({"app1": {}}, slots=97)
    assert {name: result["hosts"][0][name] for name in pools.DEFAULTS} == host(
        workers=1, pool_size=5, max_overflow=10, celery_workers=0, others=0
    )


@pytest.mark.parametrize(
    ("assumed", "confidence"), [([], "measured"), (["max_overflow"], "estimated")]
)
def test_what_is_assumed_makes_an_estimate(assumed, confidence):
    result = pools.budget({"app1": host(assumed=assumed), "app2": host()}, slots=97)
    assert pools.decide(result, "db1:5432")["confidence"] == confidence
