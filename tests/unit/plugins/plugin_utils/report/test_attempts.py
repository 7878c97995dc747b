# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import fleet


def app(id="lb.blocked", reason="rule", kept_out=("10.0.0.2",), balancers=("10.0.0.2",)):
    item = finding(
        id,
        "loadbalancer",
        "unknown" if id.endswith("unknown") else "fail",
        "the rules say so",
        reason=reason,
        remedy="allow_balancer",
        evidence={
            "target": "localhost:8000",
            "balancers": {address: address for address in balancers},
            "kept_out": list(kept_out),
        },
    )
    return {"name": "app1", "addresses": ["app1", "10.0.0.11"], "findings": [item]}


def balancer(*reached, name="lb1", address="10.0.0.2"):
    item = finding("lb.health.ok", "loadbalancer", "ok", "x", evidence={"reached": list(reached)})
    return {"name": name, "addresses": [name, address], "findings": [item]}


def judged(*hosts):
    fleet.correlate(list(hosts))
    (item,) = hosts[0]["findings"]
    return item["id"], item["status"]


@pytest.mark.parametrize("target", ["10.0.0.11:8000", "app1:8000", "[::ffff:10.0.0.11]:8000"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"id": "lb.health.unknown", "reason": "gap:firewall.rules", "kept_out": ()},
    ],
)
def test_a_packet_that_went_through_counts_more_than_a_rule(target, given):
    one = app(**given)
    assert judged(one, balancer(target)) == ("lb.health.ok", "ok")
    assert one["findings"][0]["remedy"] is None
    assert one["findings"][0]["evidence"]["rules"] == "the rules say so"
    assert "lb1 has reached" in one["findings"][0]["summary"]


@pytest.mark.parametrize(
    ("one", "others"),
    [
        (app(), [balancer()]),
        (app(), [balancer("10.0.0.11:9000")]),
        (app(), [balancer("10.0.0.12:8000")]),
        (app(), [balancer("10.0.0.11:8000", name="lb2", address="10.0.0.3")]),
        # One attempt says nothing of a limit.
        (app(reason="limit"), [balancer("10.0.0.11:8000")]),
        # One of two that the rules block.
        (app(kept_out=("10.0.0.2", "10.0.0.3")), [balancer("10.0.0.11:8000")]),
    ],
)
def test_another_attempt_does_not_count(one, others):
    assert judged(one, *others) == ("lb.blocked", "fail")


def test_what_is_unknown_for_another_reason_stays_so():
    one = app("lb.health.unknown", "permission:firewall")
    assert judged(one, balancer("10.0.0.11:8000")) == ("lb.health.unknown", "unknown")
