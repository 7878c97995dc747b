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
from ansible_collections.sergas.ops.plugins.module_utils._host import ufw

ROOT = pathlib.Path(__file__).parents[4] / "fixtures" / "container-v1"
THRESHOLD = (2.0, 5.0, "s")
CLOSED = ufw.Firewall(True, True, "DROP", [])
ABSENT = ufw.Firewall(False, False, "ACCEPT", [])


def context(app=True, backends=(), **params):
    given = {"service": "sergas-app", "backends": list(backends), "health_path": "/health"}
    return types.SimpleNamespace(
        thresholds=thresholds.merge({}),
        params=dict(given, **params),
        has=lambda component: app,
        deadline=Deadline(5),
        unit={"TimeoutStartUSec": "1min 30s"},
    )


def inbound(firewall=ABSENT, **balancers):
    return {"firewall": firewall, "port": 8000, "balancers": balancers}


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
