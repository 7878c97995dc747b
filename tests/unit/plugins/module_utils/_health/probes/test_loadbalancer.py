# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import socket
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import loadbalancer
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    iptables_rules,
    packet_filter,
    ufw,
)

ROOT = pathlib.Path(__file__).parents[4] / "fixtures" / "container-v1"
THRESHOLD = (2.0, 5.0, "s")
CLOSED = ufw.Firewall(True, True, "DROP", [])
ABSENT = ufw.Firewall(False, False, "ACCEPT", [])


def context(app=True, backends=(), **params):
    given = {"service": "sergas-app", "backends": list(backends), "health_path": "/health"}
    given.update(health_scheme=None, health_host=None)
    return types.SimpleNamespace(
        thresholds=thresholds.merge({}),
        params=dict(given, **params),
        has=lambda component: app,
        deadline=Deadline(5),
        unit={"TimeoutStartUSec": "1min 30s"},
    )


def inbound(firewall=ABSENT, tables=None, gaps=(), **balancers):
    """Return what is observed where the rules in force are ufw's, or others."""
    if tables is None:
        tables = [ufw.table(firewall)] if firewall.enabled else []
    known = [address for address in balancers.values() if address]
    ways = packet_filter.fates(
        packet_filter.Filter(tables, list(gaps)), firewall, 8000, known or [None]
    )
    return {"port": 8000, "balancers": balancers, "ufw": "active", "ways": ways}


def judged(listening=("0.0.0.0",), **given):
    return [
        (item["id"], item["status"])
        for item in loadbalancer.judge_inbound(inbound(**given), list(listening))
    ]


def test_a_real_host():
    firewall = ufw.read(str(ROOT))
    assert judged(firewall=firewall, lb="10.231.77.2") == [("lb.health.ok", "ok")]
    assert judged(firewall=firewall) == [("lb.health.ok", "ok")]
    assert judged(firewall=firewall, lb="10.231.77.9") == [("lb.blocked", "fail")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"firewall": ABSENT}, ("lb.health.ok", "ok")),
        ({"firewall": CLOSED}, ("lb.blocked", "fail")),
        ({"firewall": CLOSED, "listening": ["127.0.0.1"]}, ("lb.health.ok", "ok")),
        ({"firewall": CLOSED, "listening": []}, ("lb.health.ok", "ok")),
        ({"firewall": CLOSED, "lb": "10.0.0.1"}, ("lb.blocked", "fail")),
        ({"firewall": CLOSED, "lb": "10.0.0.1", "listening": []}, ("lb.blocked", "fail")),
        (
            {"firewall": ABSENT, "lb": "10.0.0.1", "listening": ["127.0.0.1", "::1"]},
            ("lb.blocked", "fail"),
        ),
        (
            {"firewall": ABSENT, "lb": "10.0.0.1", "listening": ["127.0.0.1", "10.0.0.2"]},
            ("lb.health.ok", "ok"),
        ),
        ({"firewall": ABSENT, "lb": None}, ("lb.health.unknown", "unknown")),
    ],
)
def test_the_way_in(given, expected):
    assert judged(**given) == [expected]


def test_what_is_only_guessed_says_so():
    (item,) = loadbalancer.judge_inbound(inbound(CLOSED), ["0.0.0.0"])
    assert (item["confidence"], item["remedy"]) == ("estimated", "allow_balancer")
    (item,) = loadbalancer.judge_inbound(inbound(CLOSED, lb1="10.0.0.1", lb2="10.0.0.2"), [])
    assert item["confidence"] == "measured"
    assert "lb1 and 1 more" in item["summary"]


RAW_DROP = iptables_rules.parse(
    "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.0.0.1/32 -j DROP\nCOMMIT\n", "ip"
)
OPEN = ufw.Firewall(
    True,
    True,
    "DROP",
    ufw.parse_tuples("### tuple ### allow any 8000 0.0.0.0/0 any 0.0.0.0/0 in", 4),
)
LIMIT = ufw.Firewall(
    True,
    True,
    "DROP",
    ufw.parse_tuples("### tuple ### limit tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in", 4),
)


@pytest.mark.parametrize(
    ("given", "reason", "remedy"),
    [
        ({"firewall": CLOSED}, "rule", "allow_balancer"),
        ({"firewall": LIMIT}, "limit", "allow_balancer"),
        # What ufw's own rules do not say, no rule of ufw changes.
        ({"firewall": OPEN, "tables": [ufw.table(OPEN), *RAW_DROP]}, "rule", None),
        ({"firewall": ABSENT, "tables": RAW_DROP}, "rule", None),
    ],
)
def test_a_rule_that_blocks_is_named_by_ufw_or_another(given, reason, remedy):
    (item,) = loadbalancer.judge_inbound(inbound(lb="10.0.0.1", **given), ["0.0.0.0"])
    assert (item["id"], item["reason"], item["remedy"]) == ("lb.blocked", reason, remedy)
    assert item["evidence"]["blocked"]


def test_rules_of_others_that_allow_count():
    found = iptables_rules.parse(
        "*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 8000 -j ACCEPT\n",
        "ip",
    )
    assert judged(firewall=CLOSED, tables=found, lb="10.0.0.1") == [("lb.health.ok", "ok")]


class TestGaps:
    """What cannot be known keeps the check from ok."""

    def observed(self, monkeypatch, tables=(), gaps=(), balancers=("10.0.0.1",)):
        monkeypatch.setattr(
            packet_filter, "read", lambda *_given: packet_filter.Filter(list(tables), list(gaps))
        )
        monkeypatch.setattr(ufw, "read", lambda: ABSENT)
        ctx = context(balancer_addresses=list(balancers))
        ctx.port = 8000
        ctx.endpoint = types.SimpleNamespace(socket=None)
        return loadbalancer.observe_firewall(ctx)

    @pytest.mark.parametrize("balancers", [["10.0.0.1"], []])
    def test_rules_that_cannot_be_read(self, monkeypatch, balancers):
        seen = self.observed(monkeypatch, gaps=["no answer in time from nft"], balancers=balancers)
        assert "no answer in time from nft" in seen.gaps["rules"]

    def test_an_expression_that_is_not_understood(self, monkeypatch):
        tables = iptables_rules.parse(
            "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m set --match-set bad src -j DROP\n", "ip"
        )
        seen = self.observed(monkeypatch, tables)
        assert "--match-set bad" in seen.gaps["rules"]
        # What blocks all packets is known whatever that rule does.
        drop = RAW_DROP + tables
        assert self.observed(monkeypatch, drop, ["x"]).gaps == {}

    def test_no_rules_at_all(self, monkeypatch):
        assert self.observed(monkeypatch).gaps == {}

    def test_a_host_without_the_app_has_no_way_in(self, monkeypatch):
        monkeypatch.setattr(packet_filter, "read", lambda *_given: pytest.fail("it is read"))
        ctx = context(app=False, balancer_addresses=[])
        ctx.port = 8000
        ctx.endpoint = types.SimpleNamespace(socket=None)
        assert loadbalancer.observe_firewall(ctx)["ways"] == {}


def test_a_backend_that_answered_was_reached_whatever_it_said():
    results = [
        {"backend": "a:1", "target": "a:1", "status": 503, "seconds": 0.1},
        {
            "backend": "b:1",
            "target": "b:1",
            "failure": "x",
            "kind": "timeout",
            "phase": "connect",
            "alive": True,
        },
    ]
    found = loadbalancer.decide(context(app=False), results, inbound())
    assert [item["evidence"]["reached"] for item in found] == [["a:1"], ["a:1"]]
    assert [item["reason"] for item in found] == [None, "attempt"]


def backend(**result):
    given = dict({"backend": "app1", "target": "app1:8000"}, **result)
    item = loadbalancer.judge_backend(given, THRESHOLD)
    return item["id"], item["status"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"status": 200, "seconds": 0.1}, ("lb.health.ok", "ok")),
        ({"status": 200, "seconds": 2.0}, ("lb.health.failing", "warn")),
        ({"status": 200, "seconds": 5.0}, ("lb.health.failing", "fail")),
        ({"status": 503, "seconds": 0.1}, ("lb.health.failing", "fail")),
        ({"status": 302, "seconds": 0.1}, ("lb.health.failing", "fail")),
        (
            {"failure": "x", "kind": "refused", "phase": "connect", "alive": None},
            ("lb.health.failing", "fail"),
        ),
        (
            {"failure": "x", "kind": "timeout", "phase": "connect", "alive": True},
            ("lb.blocked", "fail"),
        ),
        (
            {"failure": "x", "kind": "timeout", "phase": "connect", "alive": False},
            ("lb.health.failing", "fail"),
        ),
        (
            {"failure": "x", "kind": "timeout", "phase": "first_byte", "alive": None},
            ("lb.health.failing", "fail"),
        ),
        (
            {"failure": "x", "kind": "option", "phase": None, "alive": None},
            ("lb.health.unknown", "unknown"),
        ),
        ({}, ("lb.health.unknown", "unknown")),
    ],
)
def test_backends(result, expected):
    assert backend(**result) == expected


@pytest.mark.parametrize(
    ("seconds", "statuses"), [(None, []), (19.9, []), (20.0, ["warn"]), (31.0, ["fail"])]
)
def test_a_start_that_takes_too_long(seconds, statuses):
    found = loadbalancer.judge_start(seconds, (20.0, 30.0, "s"), "sergas-app")
    assert [item["status"] for item in found] == statuses


class TestDecide:
    def test_one_good_result_says_it(self):
        good = {"backend": "a", "status": 200, "seconds": 0.1}
        found = loadbalancer.decide(context(), [good, good], inbound(), {"start_seconds": 1.0})
        assert [item["id"] for item in found] == ["lb.health.ok"]

    def test_every_bad_backend_is_named(self):
        bad = [
            {"backend": name, "target": name, "status": 503, "seconds": 0.1}
            for name in ("a:1", "b:1")
        ]
        found = loadbalancer.decide(context(), bad, inbound(), None)
        assert [item["evidence"]["target"] for item in found] == ["a:1", "b:1"]

    def test_where_the_app_listens_is_what_the_sockets_say(self):
        sockets = {"listeners": [{"address": "127.0.0.1"}, {"address": "127.0.0.1"}]}
        (item,) = loadbalancer.decide(context(), [], inbound(lb="10.0.0.1"), None, sockets)
        assert (item["id"], item["evidence"]["listening"]) == ("lb.blocked", ["127.0.0.1"])
        (item,) = loadbalancer.decide(context(), [], inbound(lb="10.0.0.1"), None, None)
        assert item["id"] == "lb.health.ok"

    def test_nothing_to_check(self):
        (item,) = loadbalancer.decide(context(app=False), [], inbound())
        assert item["status"] == "skipped"

    def test_a_balancer_s_own_firewall_is_not_the_app_s(self):
        good = {"backend": "a", "status": 200, "seconds": 0.1}
        found = loadbalancer.decide(context(app=False), [good], inbound(CLOSED))
        assert [item["id"] for item in found] == ["lb.health.ok"]


def test_backends_are_queried_for_real():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    refused, wrong = loadbalancer.observe(
        context(backends=["127.0.0.1:%d" % port, "not an address"])
    )
    assert (refused["kind"], refused["alive"]) == ("refused", None)
    assert wrong["kind"] == "option"


def test_an_app_on_a_unix_socket_is_reached_through_something_else():
    seen = dict(inbound(CLOSED, lb="10.0.0.1"), socket="/run/sergas/app.sock")
    (item,) = loadbalancer.judge_inbound(seen, [])
    assert (item["id"], item["status"]) == ("lb.health.skipped", "skipped")
