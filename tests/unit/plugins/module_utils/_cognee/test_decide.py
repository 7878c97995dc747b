# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._cognee import decide as cognee_decide
from ansible_collections.sergas.ops.plugins.module_utils._cognee import views as cognee_views

REFUSED = {
    "root": {"error_kind": "refused", "error": "cognee:8001: connection refused", "seconds": 0.1}
}
READY = {
    "root": {
        "status": 200,
        "json": {"message": "Hello, World, I am alive!"},
        "body": "",
        "location": None,
        "seconds": 0.01,
    },
    "health": {
        "status": 200,
        "json": {"status": "ready", "health": "healthy", "version": "1.6.5"},
        "body": "",
        "location": None,
        "seconds": 0.02,
    },
}
SHOP = {
    "root": {
        "status": 200,
        "json": {"name": "shop"},
        "body": "{}",
        "location": None,
        "seconds": 0.1,
    },
    "health": {"status": 404, "json": None, "body": "", "location": None, "seconds": 0.1},
    "open_search": {"status": 404, "json": None, "body": ""},
    "open_query": {"status": 404, "json": None, "body": ""},
}
CONTAINER = {
    "engine": "docker",
    "name": "cognee",
    "state": "running",
    "running": True,
    "health": "healthy",
    "exit_code": None,
    "oom_killed": False,
    "error": None,
    "restarts": 0,
    "memory_limit": None,
    "ports": [{"address": "0.0.0.0", "port": 8001, "inside": 8000}],
    "log": [],
}


def container(**changes):
    return dict(CONTAINER, **changes)


def seen(replies, **changes):
    result = {
        "target": "127.0.0.1:8001",
        "base": "http://127.0.0.1:8001",
        "port": 8001,
        "guard": None,
        "source": "COGNEE_BASE_URL",
        "here": True,
        "replies": replies,
        "has_key": True,
        "wants_key": True,
        "container": None,
        "container_error": None,
        "listeners": {"addresses": ["0.0.0.0"], "holder": None},
        "access": [],
        "exposed": False,
        "components_checked": False,
    }
    result.update(changes)
    return result


def decide(observed):
    return cognee_decide.decide(observed, cognee_decide.THRESHOLDS)


def bad(findings):
    return {
        item["id"]: (item["status"], item["evidence"].get("error_kind"), item["remedy"])
        for item in findings
        if item["status"] not in ("ok", "skipped")
    }


@pytest.mark.parametrize(
    ("changes", "error_kind"),
    [
        ({"state": "exited", "running": False, "exit_code": 0}, "stopped"),
        ({"state": "exited", "running": False, "exit_code": 143}, "stopped"),
        ({"state": "exited", "running": False, "exit_code": 3}, "exited"),
        ({"state": "exited", "running": False, "exit_code": 137, "oom_killed": True}, "oom"),
        ({"state": "paused"}, "paused"),
        ({}, "refused"),
    ],
)
def test_a_silent_service_is_distinguished_by_its_container(changes, error_kind):
    findings = decide(seen(REFUSED, container=container(**changes)))
    assert bad(findings) == {"cognee.down": ("fail", error_kind, "restart_cognee")}


def test_what_is_on_another_host_is_not_restarted_from_here():
    findings = decide(seen(REFUSED, here=False, listeners=None))
    assert bad(findings) == {"cognee.down": ("fail", "refused", None)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"restarts": 4}, ("warn", "restarts", None)),
        ({"restarts": 12}, ("fail", "restarts", None)),
        ({"oom_killed": True, "restarts": 1}, ("warn", "oom", None)),
        ({"health": "unhealthy"}, ("warn", "healthcheck", None)),
    ],
)
def test_a_container_that_answers_may_still_be_unhealthy(changes, expected):
    findings = decide(seen(READY, container=container(**changes)))
    assert bad(findings) == {"cognee.container": expected}


def test_a_mark_of_an_earlier_life_is_no_restart():
    assert not bad(decide(seen(READY, container=container(oom_killed=True))))


def test_a_slow_health_is_no_service_that_is_down():
    slow = dict(READY, health={"error_kind": "hung", "error": "no answer", "seconds": 5.0})
    assert bad(decide(seen(slow))) == {"cognee.slow": ("fail", "health", None)}
    late = dict(READY, health=dict(READY["health"], seconds=3.0))
    assert bad(decide(seen(late))) == {"cognee.slow": ("warn", "health", None)}


def test_the_holder_of_the_port_is_named():
    holder = {"pid": 7, "user": "shop", "command": "shop --port", "unit": "shop.service"}
    findings = decide(seen(SHOP, listeners={"addresses": ["0.0.0.0"], "holder": holder}))
    assert bad(findings) == {"cognee.wrong_service": ("fail", "other", "free_cognee_port")}
    assert findings[0]["evidence"]["unit"] == "shop.service"
    assert "shop.service" in findings[0]["advice"]


def test_a_server_without_keys_is_a_matter_only_where_others_reach_it():
    open_server = dict(READY, bare={"status": 200, "json": [], "body": "[]", "seconds": 0.1})
    assert bad(decide(seen(open_server)))["cognee.open"][0] == "warn"
    alone = {"addresses": ["127.0.0.1"], "holder": None}
    assert not bad(decide(seen(open_server, listeners=alone)))


def test_an_engine_that_cannot_be_queried_is_unknown_and_the_service_is_well():
    findings = decide(seen(READY, container_error="docker: permission denied"))
    assert bad(findings) == {"cognee.container": ("unknown", None, None)}


def view(name, reachable, client=True, **changes):
    result = {
        "from": name,
        "queried": client,
        "client": client,
        "target": "192.0.2.9:8001",
        "reachable": reachable,
        "error_kind": None if reachable else "timeout",
        "identity": "cognee" if reachable else "silent",
    }
    result.update(changes)
    return result


def merged(observed, views):
    findings = decide(observed)
    return cognee_views.merge(cognee_decide.summary(observed, findings), views)


def test_what_answers_at_home_and_not_to_its_clients_is_blocked():
    denied = [{"client": "192.0.2.1", "allowed": False, "by": "the default policy DROP"}]
    result = merged(
        seen(READY, access=denied), [view("app1", False), view("localhost", True, False)]
    )
    assert bad(result["findings"]) == {"cognee.blocked": ("fail", "firewall", "allow_cognee")}
    blocked = [item for item in result["findings"] if item["id"] == "cognee.blocked"][0]
    assert blocked["evidence"]["target"] == "192.0.2.9:8001"
    assert blocked["evidence"]["views"] == [
        {"from": "app1", "result": "timeout"},
        {"from": "localhost", "result": "reached"},
    ]
    assert result["roots"] == ["cognee.blocked"] and result["bad"] == 1


def test_a_service_on_loopback_is_blocked_by_no_firewall():
    alone = {"addresses": ["127.0.0.1", "::1"], "holder": None}
    result = merged(seen(READY, listeners=alone), [view("app1", False)])
    assert bad(result["findings"]) == {"cognee.blocked": ("fail", "loopback", None)}


def test_clients_that_get_through_know_better_than_the_rules():
    denied = [{"client": "192.0.2.1", "allowed": False, "by": "the default policy DROP"}]
    observed = seen(READY, access=denied)
    assert bad(decide(observed)) == {"cognee.blocked": ("fail", "rules", "allow_cognee")}
    assert not bad(merged(observed, [view("app1", True)])["findings"])
    # The controller's view says nothing of them.
    assert bad(merged(observed, [view("localhost", True, False)])["findings"])


def test_a_client_with_a_separate_cognee_need_not_get_through():
    assert not bad(merged(seen(READY), [view("app1", False, client=False)])["findings"])


def test_what_no_one_reaches_is_down_and_what_others_reach_is_blocked_here():
    observed = seen(REFUSED, here=False, listeners=None)
    down = merged(observed, [view("app1", False), view("localhost", False, False)])
    assert bad(down["findings"]) == {"cognee.down": ("fail", "refused", None)}
    blocked = merged(observed, [view("app1", False), view("localhost", True, False)])
    assert bad(blocked["findings"]) == {"cognee.blocked": ("fail", "refused", None)}


def test_a_client_that_meets_another_service_is_reported():
    result = merged(seen(READY), [view("app1", True, identity="other")])
    assert bad(result["findings"]) == {"cognee.wrong_service": ("fail", "other", None)}


@pytest.mark.parametrize(
    "unclear",
    [
        {"access": [{"client": "192.0.2.8", "allowed": None, "by": "no answer from nft"}]},
        {"exposed": None},
    ],
)
def test_rules_that_are_not_known_neither_block_nor_expose(unclear):
    observed = seen(READY, **unclear)
    assert bad(decide(observed)) == {"cognee.unknown": ("unknown", "rules", None)}


def test_what_a_client_of_it_has_tried_counts_more_than_rules_that_are_not_known():
    access = [{"client": "192.0.2.8", "allowed": None, "by": "no answer from nft"}]
    result = merged(seen(READY, access=access), [view("app1", True)])
    assert bad(result["findings"]) == {}
