# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import fleet, targets

TARGET = "10.0.0.5:5432"


def db(status="fail", target=TARGET, id=None, **more):
    id = id or ("db.connection.ok" if status == "ok" else "db.unreachable")
    return finding(
        id, "database", status, "%s says %s" % (target, status), evidence={"target": target}, **more
    )


def host(name, *findings, addresses=()):
    return {"name": name, "addresses": [name, *addresses], "findings": list(findings)}


def ends(hosts):
    """Return ({(host, index): root node} of all bad findings, the fleet's findings)."""
    found, links = fleet.correlate(hosts)
    nodes = {
        (one["name"], index): fleet.resolve(links, (one["name"], index))
        for one in hosts
        for index, item in enumerate(one["findings"])
        if item["status"] in ("warn", "unknown", "fail")
    }
    return nodes, found


@pytest.mark.parametrize(
    ("target", "shared"),
    [
        ("10.0.0.5:5432", "10.0.0.5:5432"),
        ("DB1.example.com:5432", "db1.example.com:5432"),
        ("[2001:db8::1]:5432", "[2001:db8::1]:5432"),
        ("accounts.zoho.eu:443", "accounts.zoho.eu:443"),
        ("127.0.0.1:5432", None),
        ("127.0.1.1:5432", None),
        ("localhost:5432", None),
        ("LocalHost:5432", None),
        ("[::1]:5432", None),
        ("::1", None),
        ("0.0.0.0:5432", None),
        ("/var/run/postgresql", None),
        ("unix:/run/redis.sock", None),
        ("", None),
        (None, None),
        (5432, None),
    ],
)
def test_only_what_several_hosts_can_share_is_a_target(target, shared):
    assert targets.target_of(db(target=target)) == shared


def test_a_target_counts_for_dependencies_only():
    assert (
        targets.target_of(
            finding("app.port.closed", "app", "fail", "x", evidence={"target": TARGET})
        )
        is None
    )


@pytest.mark.parametrize(
    ("bad", "good", "expected"),
    [(1, 0, 0), (1, 1, 0), (2, 0, 1), (2, 1, 1), (2, 2, 0), (3, 3, 0), (3, 2, 1), (19, 1, 1)],
)
def test_more_than_half_of_the_users_and_two_at_least_make_it_the_fleets(bad, good, expected):
    hosts = [host("bad%d" % number, db()) for number in range(bad)]
    hosts += [host("good%d" % number, db("ok")) for number in range(good)]
    hosts.append(host("elsewhere", db("ok", target="10.9.9.9:5432")))
    nodes, found = ends(hosts)
    assert len(found) == expected
    if expected:
        assert found[0]["id"] == "fleet.db.unreachable"
        assert found[0]["component"] == "database"
        assert found[0]["evidence"]["target"] == TARGET
        assert (found[0]["evidence"]["hosts_bad"], found[0]["evidence"]["hosts_using"]) == (
            bad,
            bad + good,
        )
        assert set(nodes.values()) == {(None, 0)}
        assert all(one["findings"][0]["cause"] == "fleet.db.unreachable" for one in hosts[:bad])
    else:
        assert all(node == root for node, root in nodes.items())
        assert all(one["findings"][0]["cause"] is None for one in hosts)


def test_two_findings_of_one_host_are_one_host():
    assert ends([host("web1", db(), db()), host("web2", db("ok"))])[1] == []


def test_loopback_databases_are_each_hosts_own():
    assert (
        ends([host("web%d" % number, db(target="127.0.0.1:5432")) for number in range(5)])[1] == []
    )


def test_two_reasons_are_two_findings_of_the_fleet_or_none():
    hosts = [
        host("web%d" % number, dict(db(target=TARGET), reason=reason))
        for number, reason in enumerate(["password"] * 3 + ["database"])
    ]
    _nodes, found = ends(hosts)
    assert [(item["reason"], item["evidence"]["hosts"]) for item in found] == [
        ("password", ["web0", "web1", "web2"])
    ]


def test_two_targets_are_two_findings():
    hosts = [
        host("a%d" % number, db(target="10.0.0.%d:5432" % (number % 2))) for number in range(6)
    ]
    nodes, found = ends(hosts)
    assert [item["evidence"]["target"] for item in found] == ["10.0.0.0:5432", "10.0.0.1:5432"]
    assert nodes["a0", 0] == (None, 0) and nodes["a1", 0] == (None, 1)


def test_the_evidence_names_only_some_of_many_hosts():
    _nodes, found = ends([host("web%d" % number, db()) for number in range(300)])
    assert len(found[0]["evidence"]["hosts"]) == 20
    assert found[0]["evidence"]["hosts_bad"] == 300


def test_symptoms_follow_the_chain_to_the_fleet():
    def web(name):
        return host(
            name,
            finding("api.health.failing", "api", "fail", "x", cause="app.service.down"),
            finding("app.service.down", "app", "fail", "x", cause="db.unreachable"),
            db(),
        )

    nodes, _found = ends([web("web1"), web("web2")])
    assert set(nodes.values()) == {(None, 0)}


def test_a_fleet_finding_may_derive_from_another():
    def web(name):
        return host(name, db(), db(id="db.connections.exhausted", cause="db.unreachable"))

    nodes, found = ends([web("web1"), web("web2")])
    by_id = {item["id"]: item for item in found}
    assert by_id["fleet.db.connections.exhausted"]["cause"] == "fleet.db.unreachable"
    assert {found[root[1]]["id"] for root in nodes.values()} == {"fleet.db.unreachable"}


def test_a_cause_that_is_not_there_leaves_a_root():
    lone = finding("app.service.down", "app", "fail", "x", cause="db.unreachable")
    fine = finding("app.port.ok", "app", "ok", "x")
    of_fine = finding("app.port.closed", "app", "fail", "x", cause="app.port.ok")
    nodes, _found = ends([host("web1", lone, fine, of_fine)])
    assert nodes == {("web1", 0): ("web1", 0), ("web1", 2): ("web1", 2)}


def test_a_circle_of_causes_has_one_root():
    circle = [
        finding("app.a.down", "app", "fail", "x", cause="app.b.down"),
        finding("app.b.down", "app", "fail", "x", cause="app.c.down"),
        finding("app.c.down", "app", "fail", "x", cause="app.a.down"),
        finding("app.d.down", "app", "fail", "x", cause="app.c.down"),
        finding("app.e.down", "app", "fail", "x", cause="app.e.down"),
    ]
    nodes, _found = ends([host("web1", *circle)])
    assert {nodes["web1", index] for index in range(4)} == {("web1", 0)}
    assert nodes["web1", 4] == ("web1", 4)


def test_of_two_causes_with_one_id_that_of_the_same_target_counts():
    other, same = db(target="10.0.0.6:5432"), db()
    nodes, _found = ends([host("web1", other, same, db(id="db.missing", cause="db.unreachable"))])
    assert nodes["web1", 2] == ("web1", 1)


def lb(target, id="lb.health.failing"):
    return finding(
        id, "loadbalancer", "fail", "%s is not healthy" % target, evidence={"target": target}
    )


def app_down(name, *addresses):
    return host(
        name,
        finding("app.service.down", "app", "fail", "x", cause="app.port.conflict"),
        finding("app.port.conflict", "app", "fail", "x"),
        addresses=addresses,
    )


@pytest.mark.parametrize("target", ["web1:8000", "10.0.0.1:8000", "WEB1:8000"])
def test_a_balancer_derives_from_the_root_on_the_apps_host(target):
    balancer = host("lb1", lb(target))
    nodes, _found = ends([app_down("web1", "10.0.0.1"), balancer])
    assert nodes["lb1", 0] == ("web1", 1)
    assert balancer["findings"][0]["cause"] == "app.port.conflict"
    assert balancer["findings"][0]["evidence"]["cause_host"] == "web1"


def test_two_balancers_give_one_root():
    nodes, found = ends(
        [app_down("web1"), host("lb1", lb("web1:8000")), host("lb2", lb("web1:8000"))]
    )
    assert set(nodes.values()) == {("web1", 1)}
    assert (found[0]["cause"], found[0]["evidence"]["cause_host"]) == ("app.port.conflict", "web1")


def test_a_balancer_behind_the_fleets_database_derives_from_that():
    web = [
        host(
            "web%d" % n,
            finding("api.health.degraded", "api", "fail", "x", cause="db.unreachable"),
            db(),
        )
        for n in (1, 2)
    ]
    balancer = host("lb1", lb("web1:8000"))
    nodes, _found = ends([*web, balancer])
    assert nodes["lb1", 0] == (None, 0)
    assert balancer["findings"][0]["cause"] == "fleet.db.unreachable"


def test_an_unreachable_app_explains_its_balancer():
    lost = host("web1", finding("host.unreachable", "host", "fail", "x"))
    assert ends([lost, host("lb1", lb("web1:8000"))])[0]["lb1", 0] == ("web1", 0)


@pytest.mark.parametrize(
    "unrelated",
    [
        finding("zoho.token.invalid", "zoho", "fail", "x"),
        finding("host.disk.high", "host", "warn", "x"),
        finding("app.errors.rate", "app", "warn", "x"),
        finding("app.service.ok", "app", "ok", "x"),
    ],
)
def test_an_unrelated_fault_on_the_apps_host_stays_another_root(unrelated):
    assert ends([host("web1", unrelated), host("lb1", lb("web1:8000"))])[0]["lb1", 0] == ("lb1", 0)


def test_a_blocked_balancer_is_not_explained_by_the_app():
    assert ends([app_down("web1"), host("lb1", lb("web1:8000", "lb.blocked"))])[0]["lb1", 0] == (
        "lb1",
        0,
    )


def test_a_firewall_on_the_apps_host_is_the_root_of_its_blocked_balancers():
    app = host("web1", lb("localhost:8000", "lb.blocked"))
    nodes, found = ends(
        [
            app,
            host("lb1", lb("web1:8000", "lb.blocked")),
            host("lb2", lb("web1:8000", "lb.blocked")),
        ]
    )
    assert set(nodes.values()) == {("web1", 0)}
    assert found[0]["cause"] == "lb.blocked"


def test_a_balancers_own_faults_do_not_explain_another_hosts_app():
    failing = dict(lb("web2:8000"), cause="app.service.down")
    own = dict(lb("web1:8000"), cause="app.service.down")
    both = host("web1", failing, own, finding("app.service.down", "app", "fail", "x"))
    nodes, _found = ends([both, host("web2")])
    assert nodes["web1", 0] == ("web1", 0)
    assert failing["cause"] is None
    assert nodes["web1", 1] == ("web1", 2)


def test_an_address_of_two_hosts_says_nothing():
    nodes, _found = ends(
        [
            app_down("web1", "10.0.0.1"),
            app_down("web2", "10.0.0.1"),
            host("lb1", lb("10.0.0.1:8000")),
        ]
    )
    assert nodes["lb1", 0] == ("lb1", 0)


def test_the_fleets_database_derives_from_what_its_own_host_says():
    server = host("db1", db(target="127.0.0.1:5432", cause=None), addresses=["10.0.0.5"])
    nodes, found = ends([host("web1", db()), host("web2", db()), server])
    assert set(nodes.values()) == {("db1", 0)}
    assert found[0]["evidence"]["cause_host"] == "db1"


def test_a_full_disk_on_the_database_host_explains_that_it_does_not_answer():
    server = host("db1", finding("host.disk.high", "host", "fail", "x"), addresses=["10.0.0.5"])
    assert ends([host("web1", db()), server])[0]["web1", 0] == ("db1", 0)
    wrong = db(id="db.auth.failed")
    assert ends([host("web1", wrong), server])[0]["web1", 0] == ("web1", 0)


def test_a_host_that_serves_itself_does_not_derive_from_itself():
    one = host("web1", lb("web1:8000"), finding("app.port.conflict", "app", "fail", "x"))
    assert ends([one])[0]["web1", 0] == ("web1", 0)


def test_members_on_the_serving_host_do_not_make_a_circle():
    hosts = [host("db1", db(), addresses=["10.0.0.5"]), host("web1", db())]
    nodes, found = ends(hosts)
    assert set(nodes.values()) == {(None, 0)}
    assert found[0]["cause"] is None


def slow_app(name, *more, **evidence):
    slow = finding("api.latency.high", "api", "fail", "slow", evidence=evidence)
    return host(name, db("ok"), slow, *more)


def server(*findings):
    local = [dict(item, evidence={"target": "localhost:5432"}) for item in findings]
    return host("db1", *local, addresses=["10.0.0.5"])


def locks(id="db.locks.blocked", **more):
    return finding(id, "database", "fail", "x", **more)


def test_what_is_slow_in_the_database_explains_the_apps_on_other_hosts():
    missing = locks("db.index.missing")
    hosts = [slow_app("web1"), slow_app("web2"), server(locks("db.queries.slow"), missing)]
    hosts[2]["findings"][0]["cause"] = "db.index.missing"
    nodes, found = ends(hosts)
    assert not found
    assert set(nodes.values()) == {("db1", 1)}
    assert hosts[0]["findings"][1]["cause"] == "db.queries.slow"
    assert hosts[0]["findings"][1]["evidence"]["cause_host"] == "db1"


def test_errors_of_the_app_derive_from_the_database_of_another_host_by_their_kind():
    def errors(kind):
        return finding("app.errors.rate", "app", "fail", "x", evidence={"kinds": {kind: 20}})

    hosts = [host("web1", db("ok"), errors("database.timeout")), server(locks())]
    assert ends(hosts)[0]["web1", 1] == ("db1", 0)
    hosts = [host("web1", db("ok"), errors("redis")), server(locks())]
    assert ends(hosts)[0]["web1", 1] == ("web1", 1)


@pytest.mark.parametrize(
    "web",
    [
        host("web1", db("ok", target="10.0.0.9:5432"), slow_app("web1")["findings"][1]),
        host("web1", db("ok", target="127.0.0.1:5432"), slow_app("web1")["findings"][1]),
    ],
)
def test_a_database_that_the_app_does_not_use_explains_nothing(web):
    assert ends([web, server(locks())])[0]["web1", 1] == ("web1", 1)


def test_what_explains_it_on_its_own_host_comes_first():
    own = finding("app.service.down", "app", "fail", "x", evidence={"stopped": True})
    web = slow_app("web1", own)
    web["findings"][1]["cause"] = own["id"]
    nodes, _found = ends([web, server(locks())])
    assert nodes["web1", 1] == nodes["web1", 2] == ("web1", 2)


def test_an_unused_index_explains_no_slow_app():
    idle = finding("db.index.unused", "database", "warn", "x")
    assert ends([slow_app("web1"), server(idle)])[0]["web1", 1] == ("web1", 1)
