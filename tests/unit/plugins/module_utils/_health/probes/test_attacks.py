# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import clients
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import attacks

BALANCER, ATTACKER = "10.0.0.2", "203.0.113.7"


def client(address, failures=60, **more):
    known = {
        "address": address,
        "failures": failures,
        "scanned": 0,
        "paths": ["/login"],
        "first": 1795533000.0,
        "last": 1795533900.0,
        "ambiguous": 0,
        "logged_in": None,
    }
    return dict(known, **more)


def seen(*listed, busiest=()):
    return {
        "addresses": list(listed),
        "busiest": list(busiest),
        "window": 3600,
        "since": 1795530400.0,
        "now": 1795534000.0,
        "oldest": 1795530400.0,
        "lines": 100,
        "entries": 100,
        "skipped": 0,
        "truncated": False,
    }


def decided(context, *listed, settings=(), command="", inbound=None):
    ctx = context({"ExecStart": "{ argv[]=%s ; ignore_errors=no }" % command})
    if inbound is None:
        inbound = {"balancers": {"lb1": BALANCER}}
    return attacks.decide(ctx, seen(*listed), {"plain": dict(settings)}, inbound)


def test_an_attack_through_the_balancer_says_so_and_blocks_no_one(context):
    (item,) = decided(context, client(BALANCER, logged_in=1795533950.0))
    assert (item["id"], item["reason"], item["remedy"]) == ("security.bruteforce", "balancer", None)
    assert "this address is your load balancer lb1" in item["summary"]
    assert "FORWARDED_ALLOW_IPS=10.0.0.2" in item["advice"]
    assert item["evidence"]["addresses"][0]["balancer"] == "lb1"


def test_the_balancer_is_known_by_the_option_where_the_firewall_was_not_read(context):
    ctx = context()
    ctx.params["balancer_addresses"] = ["::ffff:10.0.0.2"]
    (item,) = attacks.decide(ctx, seen(client(BALANCER)), None, None)
    assert item["reason"] == "balancer"


def test_other_addresses_are_blocked_as_before(context):
    first, guessed = decided(context, client(ATTACKER, logged_in=1795533950.0), client(BALANCER))
    assert (first["reason"], first["remedy"]) == ("client", "block_addresses")
    assert guessed["evidence"]["addresses"] == [ATTACKER]


EVERYWHERE = [
    ({"FORWARDED_ALLOW_IPS": "*"}, "uvicorn src.main:app"),
    ({"FORWARDED_ALLOW_IPS": "10.0.0.2, 0.0.0.0/0"}, "uvicorn src.main:app"),
    ({}, "uvicorn src.main:app --forwarded-allow-ips=*"),
    ({}, "uvicorn --forwarded-allow-ips * src.main:app"),
    ({"FORWARDED_ALLOW_IPS": "10.0.0.2"}, "gunicorn --forwarded-allow-ips='*' src.main:app"),
]
NOT_EVERYWHERE = [
    ({}, "uvicorn src.main:app"),
    ({"FORWARDED_ALLOW_IPS": "10.0.0.2"}, "uvicorn src.main:app"),
    ({"FORWARDED_ALLOW_IPS": "*"}, "uvicorn --forwarded-allow-ips 10.0.0.2 src.main:app"),
    ({"FORWARDED_ALLOW_IPS": "*"}, "uvicorn --no-proxy-headers src.main:app"),
]


def forwarded(context, settings, command, *listening):
    ctx = context({"ExecStart": "{ argv[]=%s ; ignore_errors=no }" % command})
    listeners = [{"address": address} for address in listening]
    (item,) = attacks.decide_forwarded(ctx, {"plain": settings}, {"listeners": listeners})
    return item


@pytest.mark.parametrize(("settings", "command"), EVERYWHERE)
def test_a_header_that_is_trusted_from_everywhere_is_a_finding(context, settings, command):
    item = forwarded(context, settings, command, "0.0.0.0")
    assert (item["id"], item["status"]) == ("security.forwarded.any", "warn")
    # Behind a proxy on this host, no other client reaches the app.
    assert forwarded(context, settings, command, "127.0.0.1", "::1")["status"] == "ok"
    (attack,) = decided(context, client(ATTACKER), settings=settings, command=command)
    assert (attack["reason"], attack["remedy"]) == ("forgeable", None)


@pytest.mark.parametrize(("settings", "command"), NOT_EVERYWHERE)
def test_a_header_that_is_trusted_from_the_balancer_is_none(context, settings, command):
    assert forwarded(context, settings, command, "0.0.0.0")["status"] == "ok"


def requests(*made):
    found = clients.Clients()
    for source, at, path, address in made:
        found.requested(source, at, path, address)
    return found.result()["busiest"]


def test_the_busiest_clients_are_evidence_though_nothing_fails(context):
    scraper = [("access", 1795533000.0 + n, "/accounts/{id}", ATTACKER) for n in range(600)]
    users = [("access", 1795533000.0, "/x", "198.51.100.%d" % n) for n in range(20)]
    busiest = requests(*scraper, *users, ("access", 1795533000.0, "/other", ATTACKER))
    assert len(busiest) == clients.BUSIEST
    assert busiest[0]["address"] == ATTACKER
    assert (busiest[0]["requests"], busiest[0]["per_minute"]) == (601, 60.2)
    assert busiest[0]["paths"] == ["/accounts/{id}", "/other"]
    (item,) = attacks.decide(context(), seen(busiest=busiest))
    assert item["status"] == "ok"
    assert item["evidence"]["busiest"][0]["requests"] == 601


def test_one_client_in_several_notations_is_one():
    (only,) = requests(("log", 1.0, "/", "10.0.0.9"), ("log", 61.0, "/", "::ffff:10.0.0.9"))
    assert (only["requests"], only["per_minute"]) == (2, 2.0)


def test_a_request_in_two_logs_counts_once():
    (only,) = requests(("log", 1.0, "/", "10.0.0.9"), ("access", 1.0, "/", "10.0.0.9"))
    assert only["requests"] == 1


def test_many_addresses_take_bounded_memory():
    found = clients.Clients()
    for number in range(3 * clients.MOST_ADDRESSES):
        found.requested("access", 1.0, "/%d" % number, "2001:db8::%x" % number)
        found.requested("access", 1.0, "/%d" % number, ATTACKER)
    assert len(found._requests["access"]) <= clients.MOST_ADDRESSES
    assert found.result()["busiest"][0]["requests"] == 3 * clients.MOST_ADDRESSES
