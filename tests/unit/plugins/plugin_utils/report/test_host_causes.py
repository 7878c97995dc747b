# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the findings of several modules on one host, and the pools of several hosts, make of each
other.
"""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import fleet, host
from ansible_collections.sergas.ops.plugins.plugin_utils.report.formats import FORMATS

SERVER = "10.0.0.5:5432"


def bad(id, status="fail", component="database", cause=None, **evidence):
    return finding(id, component, status, id, cause=cause, evidence=evidence)


def causes_of(*findings):
    return [item["cause"] for item in host.join(list(findings))]


def errors(kind, count=50):
    return bad("app.errors.rate", component="app", kinds={kind: count})


def test_errors_that_time_out_in_the_database_derive_from_what_the_database_waits_for():
    assert causes_of(errors("database"), bad("db.locks.blocked")) == ["db.locks.blocked", None]
    assert causes_of(errors("database"), bad("db.queries.slow")) == ["db.queries.slow", None]


@pytest.mark.parametrize(
    "harmless",
    ["db.index.unused", "db.settings.harmful", "db.sequences.exhausted", "db.index.duplicate"],
)
def test_what_only_may_become_a_problem_explains_no_errors(harmless):
    assert causes_of(errors("database"), bad(harmless)) == [None, None]


def test_a_slow_app_derives_from_slow_statements():
    slow = bad("api.latency.high", component="api")
    assert causes_of(
        slow, bad("db.queries.slow", cause="db.index.missing"), bad("db.index.missing")
    ) == [
        "db.queries.slow",
        "db.index.missing",
        None,
    ]


def disk(fullest, **percent):
    return bad(
        "host.disk.high",
        component="host",
        filesystem={"path": fullest},
        percent=percent or {fullest: 95.0},
    )


@pytest.mark.parametrize(
    ("high", "cause"),
    [
        (disk("/var/lib/postgresql"), "db.disk.full"),
        (disk("/var/lib/postgresql/15/main"), "db.disk.full"),
        (disk("/srv"), None),
        # The data is on a separate file system, and the host's fullest is another one.
        (
            bad(
                "host.disk.high",
                component="host",
                filesystem={"path": "/"},
                percent={"/": 95.0, "/var/lib": 92.0},
            ),
            None,
        ),
        # Another directory whose name begins alike.
        (disk("/var/lib/postgres"), None),
    ],
)
def test_a_disk_that_the_database_fills_is_one_root(high, cause):
    full = bad("db.disk.full", filesystem={"path": "/var/lib/postgresql/15/main", "used": 1})
    assert causes_of(high, full) == [cause, None]


def test_exhausted_slots_derive_from_transactions_left_open_only_if_those_fill_them():
    idle = bad("db.transactions.idle", sessions=[{"pid": 7}])
    assert (
        causes_of(bad("db.connections.exhausted", reason="idle in transaction"), idle)[0]
        == "db.transactions.idle"
    )
    assert causes_of(bad("db.connections.exhausted", reason="idle"), idle)[0] is None


def test_what_one_module_explains_the_same_finding_of_another_one_need_not():
    seen_by_app = bad("db.connections.exhausted", target=SERVER)
    seen_by_server = bad("db.connections.exhausted", reason="idle in transaction")
    idle = bad("db.transactions.idle")
    assert causes_of(seen_by_app, seen_by_server, idle) == [
        "db.transactions.idle",
        "db.transactions.idle",
        None,
    ]


def test_a_lock_derives_from_the_transaction_that_holds_it():
    idle = bad("db.transactions.idle", sessions=[{"pid": 7}])
    assert causes_of(bad("db.locks.blocked", roots=[{"pid": 7}]), idle)[0] == "db.transactions.idle"
    assert causes_of(bad("db.locks.blocked", roots=[{"pid": 8}]), idle)[0] is None


@pytest.mark.parametrize("id", ["cognee.auth", "cognee.wrong_service", "cognee.blocked"])
def test_what_the_app_says_of_cognee_derives_from_what_was_seen_of_it(id):
    reported = bad("cognee.down", component="cognee", target="c:8001", reported="disconnected")
    measured = bad(id, component="cognee", target="10.0.0.9:8001", error_kind="refused")
    assert causes_of(reported, measured) == [id, None]
    assert causes_of(measured, errors("cognee")) == [None, id]
    assert causes_of(reported) == [None]


def test_a_cause_that_a_module_has_found_stays():
    assert (
        causes_of(
            bad("db.locks.blocked", cause="db.transactions.long", roots=[{"pid": 7}]),
            bad("db.transactions.long"),
        )[0]
        == "db.transactions.long"
    )


def app(name, pool, status="ok", target=SERVER, slots=97):
    id = "app.pool.ok" if status == "ok" else "app.pool.exhausted"
    evidence = {
        "workers": 2,
        "pool_size": pool,
        "max_overflow": 0,
        "target": target,
        "slots": slots,
    }
    return {"name": name, "addresses": [name], "findings": [bad(id, status, "app", **evidence)]}


def test_pools_that_fit_alone_and_not_together_are_one_finding_of_the_fleet():
    hosts = [app("app1", 20), app("app2", 20), app("app3", 20)]
    found, links = fleet.correlate(hosts)
    assert [item["id"] for item in found] == ["fleet.db.pools.overcommitted"]
    assert found[0]["value"] == 120
    assert [row["host"] for row in found[0]["evidence"]["pools"]] == ["app1", "app2", "app3"]
    assert found[0]["evidence"]["hosts"] == ["app1", "app2", "app3"]
    fits = [row["fit"] for row in found[0]["evidence"]["pools"]]
    assert (
        sum(2 * (fit["pool_size"] + fit["max_overflow"]) for fit in fits)
        <= 97 - found[0]["evidence"]["headroom"]
    )
    assert not links


def test_the_report_names_the_hosts_whose_pools_do_not_fit(makers):
    hosts = [makers.entry(name, app(name, 60)["findings"]) for name in ("app1", "app2")]
    root = makers.build(hosts)["roots"][0]
    assert (root["id"], root["scope"], root["hosts"]) == (
        "fleet.db.pools.overcommitted",
        "fleet",
        ["app1", "app2"],
    )
    for write in FORMATS.values():
        assert "overcommitted" in write[1](makers.build(hosts))


def test_pools_that_fit_together_are_no_finding():
    assert fleet.correlate([app("app1", 10), app("app2", 10)])[0] == []


def test_pools_on_separate_databases_are_not_added_up():
    hosts = [app("app1", 40, target="127.0.0.1:5432"), app("app2", 40, target="127.0.0.1:5432")]
    assert fleet.correlate(hosts)[0] == []
    hosts = [app("app1", 40, target="10.0.0.6:5432"), app("app2", 40, target="10.0.0.7:5432")]
    assert fleet.correlate(hosts)[0] == []


def test_exhausted_slots_of_a_database_derive_from_the_pools_of_its_apps():
    server = {
        "name": "db1",
        "addresses": ["db1", "10.0.0.5"],
        "findings": [
            bad("db.connections.exhausted", target="localhost:5432", slots=97, reason="busy")
        ],
    }
    hosts = [app("app1", 60, "fail"), app("app2", 20), server]
    found, links = fleet.correlate(hosts)
    assert [item["id"] for item in found] == ["fleet.db.pools.overcommitted"]
    assert fleet.resolve(links, ("db1", 0)) == (None, 0)
    assert fleet.resolve(links, ("app1", 0)) == (None, 0)


def test_slots_as_the_server_counts_them_win():
    server = {
        "name": "db1",
        "addresses": ["10.0.0.5"],
        "findings": [bad("db.connections.ok", "ok", target="localhost:5432", slots=500)],
    }
    assert fleet.correlate([app("app1", 40), app("app2", 40), server])[0] == []


@pytest.mark.parametrize(
    ("target", "remedy"),
    [("127.0.0.1:5432", "raise_connections"), (SERVER, "end_idle_sessions")],
)
def test_full_slots_are_answered_by_what_the_sessions_do(target, remedy):
    by_app = bad("db.connections.exhausted", target=target)
    by_app["remedy"] = "end_idle_sessions"
    by_server = bad("db.connections.exhausted", target="localhost:5432", by_state={"active": 91})
    by_server["remedy"] = "raise_connections"
    findings = [by_app, by_server]
    host.answer_once(findings)
    assert [item["remedy"] for item in findings] == [remedy, "raise_connections"]
