# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import ledger
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import plan, show
from ansible_collections.sergas.ops.plugins.plugin_utils.report import model, results

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


SERVES = {"evidence": {"statuses": [200]}}
RESTARTS = {"restart_app": {"component": "app", "impact": "restart"}}


def guards_of(made):
    return [[guard["name"] for guard in entry["guards"]] for entry in made["entries"]]


def test_an_app_that_serves_is_restarted_only_if_a_person_names_it(makers, make):
    fault = makers.bad("app.env.missing", "restart_app", "app")
    serves = {"app1": [fault, makers.finding("api.health.ok", **SERVES)]}
    made = make(serves, RESTARTS)
    assert guards_of(made) == [["serving"]] and made["batches"] == []
    (guard,) = made["entries"][0]["guards"]
    assert "which serves" in guard["reason"] and "restart_app" in guard["allow"]
    assert guards_of(make(serves, RESTARTS, approve=("restart_app",))) == [[]]
    # Whatever its impact says.
    says_reload = {"restart_app": {"component": "app", "impact": "reload", "restarts_app": True}}
    assert guards_of(make(serves, says_reload)) == [["serving"]]
    down = {"app1": [fault, makers.finding("api.health.unreachable", "fail")]}
    assert guards_of(make(down, RESTARTS)) == [[]]
    # What is not known is no reason to restart it.
    assert guards_of(make({"app1": [fault]}, RESTARTS)) == [["serving"]]


def test_what_restarts_something_else_needs_no_one_for_the_app(makers, make):
    fault = makers.bad("cognee.down", "restart_cognee", "cognee")
    made = make(
        {"app1": [fault, makers.finding("api.health.ok", **SERVES)]},
        {"restart_cognee": {"component": "cognee", "impact": "restart"}},
    )
    assert guards_of(made) == [[]]


def test_remedies_that_an_app_which_is_down_needs_together_are_one_sequence(makers, make):
    """Case: a password that was rotated, and a package that is missing."""
    faults = [
        makers.bad("db.auth.failed", "credentials", "database"),
        makers.bad("app.import.error", "reinstall", "app"),
        makers.finding("api.health.unreachable", "fail", cause="app.import.error"),
    ]
    remedies = {
        "credentials": {"component": "app", "impact": "restart"},
        "reinstall": {"component": "app", "impact": "restart"},
    }
    made = make({"app1": faults, "app2": [makers.good("db.connection.ok", "database")]}, remedies)
    first, last = made["entries"]
    assert (first["remedy"], last["remedy"]) == ("credentials", "reinstall")
    assert guards_of(made) == [[], []]
    assert plan.has_more(first, made["entries"]) and not plan.has_more(last, made["entries"])
    # What is held back is not waited for.
    last["guards"] = [{"name": "cooldown", "reason": "", "allow": ""}]
    assert not plan.has_more(first, made["entries"])


USELESS = [
    {"evidence": {"may_end": 0}, "because": "what it could end is protected ({spared})"},
    {"reasons": ["protected", "other_role"], "because": "the sessions are not the app's"},
    {"evidence": {"unit.kind": ["socket", "container"]}, "because": "a {unit.kind} holds it"},
]


@pytest.mark.parametrize(
    ("details", "because"),
    [
        (
            {"evidence": {"may_end": 0, "spared": {"superuser": 2}}},
            "it cannot help: what it could end is protected (2 superuser)",
        ),
        ({"evidence": {"may_end": 1}}, None),
        ({"evidence": {}}, None),
        ({"reason": "other_role:metabase"}, "it cannot help: the sessions are not the app's"),
        ({"reason": "other"}, None),
        ({"evidence": {"unit": {"kind": "socket"}}}, "it cannot help: a socket holds it"),
        ({"evidence": {"unit": "socket"}}, None),
    ],
)
def test_what_cannot_help_is_held_back_by_what_its_finding_knows(makers, make, details, because):
    made = make(
        {"a": [makers.bad(advice="End them by hand.", **details)]},
        {"start_redis": {"useless": USELESS}},
    )
    found = made["entries"][0]["guards"]
    assert [(guard["name"], guard["reason"], guard["allow"]) for guard in found] == (
        [("useless", because, "End them by hand.")] if because else []
    )


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({}, "DATABASE_NAME|DATABASE_URL, ZOHO_SDK_REFRESH_TOKEN"),
        ({"DATABASE_URL": "set"}, "ZOHO_SDK_REFRESH_TOKEN"),
        ({"DATABASE_NAME": "set", "ZOHO_SDK_REFRESH_TOKEN": ""}, "ZOHO_SDK_REFRESH_TOKEN"),
        ({"DATABASE_NAME": "set", "ZOHO_SDK_REFRESH_TOKEN": "set"}, None),
        # A vault that is not there.
        (None, None),
    ],
)
def test_a_variable_that_no_one_has_given_a_value_holds_its_remedy_back(
    makers, make, values, missing
):
    labels = ["DATABASE_NAME|DATABASE_URL (it is not set)", "ZOHO_SDK_REFRESH_TOKEN (line 4)"]
    fault = makers.bad("app.env.missing", "set", "app", evidence={"variables": labels})
    made = make(
        {"a": [fault]},
        {"set": {"needs": {"values": {"app.env.missing": "evidence.variables"}}}},
        contexts={"a": plan.HostContext(values=values)},
    )
    found = [(guard["name"], guard["reason"]) for guard in made["entries"][0]["guards"]]
    reason = "it cannot help: no value is known for %s on a" % missing
    assert found == ([("useless", reason)] if missing else [])


def test_values_are_needed_for_the_finding_that_says_so_only(makers, make):
    fault = makers.bad("app.env.ambiguous", "set", "app", evidence={"variables": ["A (twice)"]})
    needs = {"values": {"app.env.missing": "evidence.variables", "redis.auth.failed": ["B"]}}
    contexts = {"a": plan.HostContext(values={})}
    assert guards_of(make({"a": [fault]}, {"set": {"needs": needs}}, contexts=contexts)) == [[]]
    other = makers.bad("redis.auth.failed", "set", "redis")
    assert guards_of(make({"a": [other]}, {"set": {"needs": needs}}, contexts=contexts)) == [
        ["useless"]
    ]


def test_what_would_change_nothing_is_held_back_on_its_host_and_others_go_on(makers, make):
    contexts = {
        "a": plan.HostContext(unchanged={"start_redis": ("it is so already", "fix it")}),
        "b": plan.HostContext(),
    }
    faults = {"a": [makers.bad(reason="password")], "b": [makers.bad(reason="down")]}
    made = make({**faults, "c": [makers.good("redis.ok", "redis")]}, contexts=contexts)
    assert planned(made) == [("start_redis", "a", ["useless"]), ("start_redis", "b", [])]
    (guard,) = made["entries"][0]["guards"]
    assert (guard["reason"], guard["allow"]) == ("it cannot help: it is so already", "fix it")


def waiting(outcome="unverified", remedy="debug_logging"):
    line = {
        "time": "2026-11-24T09:00:00Z",
        "ended": "2026-11-24T09:01:00Z",
        "run": "r0",
        "remedy": remedy,
        "outcome": outcome,
        "findings": ["app.exceptions"],
        "awaiting": ["app.exceptions"],
        "reason": None,
    }
    return ledger.parse(json.dumps(line).encode())[0][0]


@pytest.mark.parametrize(
    ("change", "held"),
    [
        (waiting(), ["traffic"]),
        (waiting(remedy="other"), []),
        (waiting("kept"), []),
        (waiting("failed"), []),
    ],
)
def test_what_waits_for_traffic_is_not_planned_again(makers, make, change, held):
    fault = makers.bad("app.exceptions", "debug_logging", "app")
    made = make(
        {"a": [fault]},
        {"debug_logging": {"cooldown": 0}},
        contexts={"a": plan.HostContext(changes=(change,))},
    )
    assert guards_of(made) == [held]
    if held:
        assert (
            "done at 2026-11-24T09:01:00Z and is not verified"
            in (made["entries"][0]["guards"][0]["reason"])
        )


def decided(outcome="failed", remedy="debug_logging"):
    return {
        "run": "r0",
        "remedy": remedy,
        "time": "2026-11-24T09:00:00Z",
        "findings": ["app.exceptions"],
        "before": [{"id": "app.exceptions", "status": "fail", "summary": "12 exceptions"}],
        "outcome": outcome,
        "reason": "so it is",
    }


@pytest.mark.parametrize("outcome", ["kept", "failed"])
def test_what_traffic_has_decided_is_recorded_and_not_done_again(makers, make, outcome):
    still = makers.bad("app.exceptions", "debug_logging", "app")
    found = [still] if outcome == "failed" else [makers.finding("app.exceptions.ok")]
    contexts = {
        name: plan.HostContext(changes=(waiting(),), decided=(decided(outcome),))
        for name in ("a", "b")
    }
    # Even where it restarts an app that serves, and on however many hosts: nothing is done.
    remedies = {"debug_logging": {"component": "app", "impact": "restart"}}
    made = make({"a": found, "b": found}, remedies, contexts=contexts)
    assert guards_of(made) == [[], []]
    entry = made["entries"][0]
    way_back = "; there is no undo: It was not up before" if outcome == "failed" else ""
    assert entry["decides"] == {"run": "r0", "outcome": outcome, "reason": "so it is" + way_back}
    text = "\n".join(line for line, _colour in show.lines(made, "apply", 200))
    assert "impact none" in text and "nothing is done: it is recorded as %s" % outcome in text
    assert "changes" not in text
    assert (entry["finding"]["summary"], entry["findings"]) == ("12 exceptions", ["app.exceptions"])
    assert not plan.has_more(entry, made["entries"])


def test_what_has_not_helped_names_the_way_back(makers, make):
    undo = {"files": ["/srv/.env"], "commands": [], "restarts": []}
    remedies = {"debug_logging": {"undo": undo, "changes": ["LOG_LEVEL is DEBUG"]}}
    contexts = {"a": plan.HostContext(decided=(decided(),))}
    (entry,) = make({"a": [makers.good()]}, remedies, contexts=contexts)["entries"]
    assert entry["decides"]["reason"] == (
        "so it is; to go back, undo what it changed by hand: LOG_LEVEL is DEBUG"
    )


def test_a_decision_on_a_remedy_that_is_not_in_the_catalogue_is_left_alone(makers, make):
    contexts = {"a": plan.HostContext(decided=(decided(remedy="gone"),))}
    assert make({"a": [makers.good()]}, contexts=contexts)["entries"] == []


def test_an_entry_knows_each_finding_that_it_is_for_and_which_it_is_not_for(makers, make):
    wanted = makers.bad(reason="password:1")
    other = makers.bad(remedy=None, reason="password:2")
    made = make({"a": [wanted, other]})
    (entry,) = made["entries"]
    assert entry["answers"] == [{"host": "a", "id": "redis.unreachable", "reason": "password:1"}]
    assert entry["others"] == [("redis.unreachable", "password:2")]


def test_what_another_host_cannot_reach_is_verified_by_its_own_attempt(makers, make):
    """Case: ufw allows the balancer by its rules, and a packet filter before it does not."""
    own = makers.bad("lb.blocked", "allow", "loadbalancer", evidence={"target": "localhost:8000"})
    theirs = makers.bad("lb.blocked", "allow", "loadbalancer", evidence={"target": "10.0.0.1:8000"})
    remedies = {"allow": {"component": "app", "runs_on": "target"}}
    owners = {"10.0.0.1": "app1", "localhost": "app1"}
    for hosts in ({"app1": [own], "lb1": [theirs]}, {"lb1": [theirs], "app1": [own]}):
        (entry,) = make(hosts, remedies, owners=owners)["entries"]
        assert (entry["host"], entry["probe_host"]) == ("app1", "lb1")
        assert entry["target"] == "10.0.0.1:8000"
        assert {one["host"] for one in entry["answers"]} == {"app1", "lb1"}


def test_an_entry_knows_which_checks_have_found_it(makers):
    health = {"findings": [makers.bad()], "found_by": {"redis.unreachable": ["redis", "api"]}}
    found = {"sergas_diagnose_health": health, "sergas_diagnose_zoho": {"findings": [makers.bad()]}}
    host = results.host_entry("a", [], ["a"], found, list(found))
    report = model.build([host], "2026-11-24T18:00:00Z", "1", {}, "never", "Fleet")
    made = plan.make(
        report,
        makers.remedies(start_redis={}),
        {"a": plan.HostContext()},
        {},
        plan.PlanOptions(),
        NOW,
    )
    assert made["entries"][0]["found_by"] == {"health": ["redis", "api"], "zoho": []}


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
