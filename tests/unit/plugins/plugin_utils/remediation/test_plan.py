# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import plan

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def make(makers):
    """Plan for {host: findings}; keywords are options, remedies, owners and contexts."""

    def run(hosts, remedies=None, owners=None, contexts=None, **plan_options):
        report = makers.report(hosts)
        if contexts is None:
            contexts = {
                name: plan.HostContext() for name, items in hosts.items() if items is not None
            }
        owners = {name: name for name in hosts} if owners is None else owners
        catalogue = makers.remedies(**(remedies or {"start_redis": {}}))
        return plan.make(report, catalogue, contexts, owners, plan.PlanOptions(**plan_options), NOW)

    return run


def planned(made):
    """Return [(remedy, host, names of its guards)] of a plan, in order."""
    return [
        (entry["remedy"], entry["host"], [guard["name"] for guard in entry["guards"]])
        for entry in made["entries"]
    ]


def test_a_healthy_fleet_has_nothing_to_do(makers, make):
    made = make({"app1": [makers.good()], "app2": [makers.good()]})
    assert (made["entries"], made["batches"], made["without_remedy"]) == ([], [], [])


def test_roots_are_fixed_and_what_derives_from_them_is_not(makers, make):
    symptom = makers.bad("api.health.degraded", "restart_app", "api", cause="redis.unreachable")
    made = make(
        {"app1": [makers.bad(), symptom], "app2": [makers.good()]},
        {"start_redis": {}, "restart_app": {"component": "app"}},
    )
    assert planned(made) == [("start_redis", "app1", [])]
    entry = made["entries"][0]
    assert entry["answered"] == ["redis.unreachable", "api.health.degraded"]
    assert entry["known"] == ["api.health.degraded", "redis.unreachable"]
    assert made["batches"] == [["app1"]]


def test_one_remedy_answers_several_findings_of_a_host_at_once(makers, make):
    other = makers.bad("redis.memory.high", status="warn")
    made = make({"app1": [other, makers.bad()]})
    assert len(made["entries"]) == 1
    assert set(made["entries"][0]["findings"]) == {"redis.unreachable", "redis.memory.high"}
    assert made["entries"][0]["finding"]["id"] == "redis.unreachable"  # the worst one


def test_what_takes_long_comes_after_what_may_be_in_its_way(makers, make):
    index = makers.bad("db.index.missing", "create_indexes", "database")
    chain = makers.bad("db.locks.blocked", "end_blocker", "database", status="warn")
    made = make(
        {"db1": [index, chain]},
        {
            "create_indexes": {"component": "database", "timeout": 3700},
            "end_blocker": {"component": "database"},
        },
    )
    assert [entry["remedy"] for entry in made["entries"]] == ["end_blocker", "create_indexes"]


def test_what_an_interrupted_run_has_left_comes_first(makers, make):
    """Nothing else may begin before it: the host would undo a part of it."""
    disk = makers.bad("host.disk.high", "vacuum_journal", "host")
    armed = makers.bad("host.restore_point.armed", "resolve", "host", status="warn")
    made = make(
        {"a": [disk, armed]},
        {"vacuum_journal": {"component": "host"}, "resolve": {"component": "host"}},
    )
    assert [entry["remedy"] for entry in made["entries"]] == ["resolve", "vacuum_journal"]


def test_what_an_interrupted_run_has_left_is_not_held_back_by_its_share(makers, make):
    armed = makers.bad("host.restore_point.armed", "resolve", "host")
    remedies = {"resolve": {"component": "host", "impact": "restart"}}
    made = make({name: [armed] for name in "abc"}, remedies, max_share=0.3)
    assert [entry["guards"] for entry in made["entries"]] == [[], [], []]


def test_dependencies_are_fixed_before_the_app_and_on_their_hosts_first(makers, make):
    app = makers.bad("app.service.down", "start_app", "app")
    db = makers.bad("db.unreachable", "start_db", "database", evidence={"target": "127.0.0.1:1"})
    made = make(
        {"a": [app], "b": [app, db], "c": [makers.good()], "d": [makers.good()]},
        {"start_app": {"component": "app"}, "start_db": {"component": "database"}},
        batches=(1, "100%"),
        max_share=1,
    )
    assert [pair[:2] for pair in planned(made)] == [
        ("start_db", "b"),
        ("start_app", "a"),
        ("start_app", "b"),
    ]
    assert made["batches"] == [["b"], ["a"]]


def test_a_remedy_of_the_target_runs_there_once_for_all_hosts_with_the_finding(makers, make):
    shared = {"target": "10.0.0.5:5432"}
    down = makers.bad("db.unreachable", "start_db", "database", evidence=shared)
    hosts = {"app1": [down], "app2": [down], "db1": [makers.good()]}
    remedies = {"start_db": {"component": "database", "runs_on": "target", "impact": "restart"}}
    made = make(hosts, remedies, owners={"10.0.0.5": "db1"})
    assert planned(made) == [("start_db", "db1", [])]
    assert made["entries"][0]["probe_host"] == "app1"
    assert made["entries"][0]["helps"] == ["app1", "app2"]
    made = make(hosts, remedies, owners={})
    assert planned(made) == [("start_db", None, ["target"])]
    assert made["entries"][0]["helps"] == ["app1", "app2"]
    assert made["batches"] == []


def test_a_loopback_address_is_the_hosts_own(makers, make):
    down = makers.bad(evidence={"target": "127.0.0.1:6379"})
    made = make({"app1": [down], "app2": [makers.good()]}, {"start_redis": {"runs_on": "target"}})
    assert planned(made) == [("start_redis", "app1", [])]


def test_a_cause_of_the_fleet_forbids_interruptions_of_its_hosts(makers, make):
    down = makers.bad(evidence={"target": "10.0.0.7:6379"})
    hosts = {"app1": [down], "app2": [down], "app3": [makers.good()]}
    remedies = {"start_redis": {"impact": "restart"}}
    made = make(hosts, remedies, max_share=1)
    assert planned(made) == [("start_redis", "app1", ["fleet"]), ("start_redis", "app2", ["fleet"])]
    made = make(
        hosts, {"start_redis": {"impact": "restart"}}, max_share=1, approve=("start_redis",)
    )
    assert [pair[2] for pair in planned(made)] == [[], []]


def test_too_many_hosts_hold_a_remedy_back_on_all_of_them(makers, make):
    down = makers.bad(evidence={"target": "127.0.0.1:6379"})
    made = make({name: [down] for name in ("a", "b", "c")})
    assert [pair[2] for pair in planned(made)] == [["share"]] * 3
    assert made["batches"] == []


def test_hosts_that_something_else_holds_back_do_not_count_for_the_share(makers, make):
    down = makers.bad(evidence={"target": "127.0.0.1:6379"})
    hosts = {"a": [down], "b": [down], "c": [makers.good("redis.ok", "redis")]}
    remedies = {"start_redis": {"needs": {"variables": ["secret"]}}}
    contexts = {name: plan.HostContext() for name in hosts}
    contexts["a"] = plan.HostContext(variables=frozenset(["secret"]))
    made = make(hosts, remedies, contexts=contexts)
    assert planned(made) == [("start_redis", "a", []), ("start_redis", "b", ["variables"])]


def test_choices_leave_entries_out(makers, make):
    hosts = {"app1": [makers.bad()]}
    assert make(hosts, skip=("start_redis",))["left_out"] == 1
    made = make(hosts, {"start_redis": {}, "other": {}}, only=("other",))
    assert (made["entries"], made["left_out"]) == ([], 1)
    assert len(make(hosts, only=("start_redis",))["entries"]) == 1


def test_an_approval_of_nothing_is_named(makers, make):
    made = make({"app1": [makers.bad()]}, approve=("start_redis", "end_blocker"))
    assert plan.unused_approvals(made, ("start_redis", "end_blocker")) == ["end_blocker"]


def test_hosts_of_a_report_that_are_gone_are_listed_and_not_acted_on(makers, make):
    hosts = {
        "old": [makers.bad()],
        "app1": [makers.bad()],
        "app2": [makers.good("redis.ok", "redis")],
    }
    made = make(hosts, contexts={"app1": plan.HostContext(), "app2": plan.HostContext()})
    assert made["gone"] == ["old"] and made["batches"] == [["app1"]]
    assert {entry["host"]: entry["gone"] for entry in made["entries"]} == {
        "app1": False,
        "old": True,
    }


def test_a_host_that_is_lost_gets_nothing(makers, make):
    made = make({"app1": None, "app2": [makers.good()]})
    assert made["entries"] == []
    assert [root["id"] for root in made["without_remedy"]] == ["host.unreachable"]


def test_what_nothing_fixes_is_for_a_person(makers, make):
    made = make({"app1": [makers.bad("app.exceptions", None, "app", advice="Read them.")]})
    assert made["without_remedy"] == [
        {"id": "app.exceptions", "hosts": ["app1"], "advice": "Read them."}
    ]


def test_the_users_own_remedy_goes_before_the_one_that_the_finding_names(makers):
    remedies = makers.remedies(start_redis={}, own_start={})
    remedies["own_start"]["own"] = True
    assert plan.choose(makers.bad(), remedies)["name"] == "own_start"
    remedies["own_start"]["answers"] = ["app.exceptions"]
    assert plan.choose(makers.bad(), remedies)["name"] == "start_redis"
    assert plan.choose(makers.bad(remedy=None), remedies) is None


def test_what_may_outlast_its_cause_follows_it(makers, make):
    down = makers.bad("app.service.down", "start_app", "app", cause="redis.unreachable")
    made = make(
        {"app1": [down, makers.bad()]},
        {"start_redis": {}, "start_app": {"component": "app", "after_dependencies": True}},
    )
    assert [(entry["remedy"], entry["after_remedy"]) for entry in made["entries"]] == [
        ("start_redis", None),
        ("start_app", "start_redis"),
    ]


def test_what_is_a_root_beside_it_follows_nothing(makers, make):
    closed = makers.bad("app.port.closed", "start_app", "app")
    down = makers.bad("app.service.down", "start_app", "app", cause="redis.unreachable")
    made = make(
        {"app1": [closed, down, makers.bad()]},
        {"start_redis": {}, "start_app": {"component": "app", "after_dependencies": True}},
    )
    assert [(entry["remedy"], entry["after_remedy"]) for entry in made["entries"]] == [
        ("start_redis", None),
        ("start_app", None),
    ]
    assert made["entries"][1]["findings"] == ["app.port.closed", "app.service.down"]


@pytest.mark.parametrize(
    ("orders", "turns"),
    [
        ({}, []),
        ({"a": [], "b": ["x"]}, [("x", ["b"])]),
        ({"a": ["x", "y"], "b": ["x", "y"]}, [("x", ["a", "b"]), ("y", ["a", "b"])]),
        # Each keeps its own order, whichever host answers first, and what is the same runs at once.
        (
            {"a": ["redis", "app"], "b": ["database", "app"]},
            [("redis", ["a"]), ("database", ["b"]), ("app", ["a", "b"])],
        ),
        ({"a": ["y"], "b": ["x", "y"]}, [("x", ["b"]), ("y", ["a", "b"])]),
        ({"a": ["x", "y"], "b": ["y", "x"]}, [("x", ["a"]), ("y", ["a", "b"]), ("x", ["b"])]),
    ],
)
def test_hosts_of_a_batch_take_turns_in_which_each_keeps_its_order(orders, turns):
    found = [(turn["remedy"], turn["hosts"]) for turn in plan.turns(orders)]
    assert found == turns
    for host, remedies in orders.items():
        assert [remedy for remedy, hosts in found if host in hosts] == remedies


@pytest.mark.parametrize(
    ("found", "options", "held"),
    [
        ({"id": "rocky", "like": ["rhel"], "name": "Rocky Linux"}, {}, ["distribution"]),
        ({"id": "rocky", "like": ["rhel"], "name": None}, {"supported": ("rhel",)}, []),
        ({"id": "ubuntu", "like": ["debian"], "name": "Ubuntu"}, {}, []),
        (None, {}, []),
    ],
)
def test_a_host_with_another_distribution_gets_no_remedy(makers, found, options, held):
    report = makers.report({"app1": [makers.bad()], "app2": [makers.good()]})
    for host in report["hosts"]:
        host["distribution"] = found if host["name"] == "app1" else None
    given = {"supported_distributions": options["supported"]} if options else {}
    made = plan.make(
        report,
        makers.remedies(start_redis={}),
        {"app1": plan.HostContext(), "app2": plan.HostContext()},
        {},
        plan.PlanOptions(**given),
        NOW,
    )
    assert planned(made) == [("start_redis", "app1", held)]
    if held:
        (guard,) = made["entries"][0]["guards"]
        assert guard["reason"].startswith("app1 is not changed: it runs Rocky Linux (rocky), and")


@pytest.mark.parametrize(
    ("acts_on", "managed", "held"),
    [
        ("redis", {"redis": {"name": "Redis Sentinel", "command": "redis-cli -p 26379"}}, True),
        ("redis", {"database": {"name": "Patroni", "command": "patronictl list"}}, False),
        ("redis", {}, False),
        # It ends sessions, or changes the app: the manager has nothing against that.
        (None, {"redis": {"name": "Redis Sentinel", "command": "redis-cli -p 26379"}}, False),
    ],
)
def test_a_service_that_a_cluster_manager_owns_is_left_to_it(makers, acts_on, managed, held):
    report = makers.report({"app1": [makers.bad()], "app2": [makers.good()]})
    report["hosts"][0]["managed"] = managed
    made = plan.make(
        report,
        makers.remedies(start_redis={"acts_on": acts_on}),
        {"app1": plan.HostContext(), "app2": plan.HostContext()},
        {},
        plan.PlanOptions(),
        NOW,
    )
    assert planned(made) == [("start_redis", "app1", ["managed"] if held else [])]
    if held:
        (guard,) = made["entries"][0]["guards"]
        assert guard["reason"].startswith("Redis Sentinel owns this service on app1")
        assert "redis-cli -p 26379" in guard["allow"]
    assert bool(made["batches"]) is not held
