# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wherever an address comes in, each of its notations means the same host."""

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.filter.firewall_rules import firewall_rules
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import checks as fail2ban_checks
from ansible_collections.sergas.ops.plugins.module_utils._firewall import (
    check,
    declaration,
    host,
    reach,
)
from ansible_collections.sergas.ops.plugins.module_utils._health import runner
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import lines, survey
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    container_rules,
    iptables_rules,
    packet_filter,
    ufw,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import termination_plan
from ansible_collections.sergas.ops.plugins.plugin_utils.report import targets

#: 192.0.2.7, as logs, inventories and people write it
NOTATIONS = [
    "192.0.2.7",
    "::ffff:192.0.2.7",
    "::FFFF:C000:207",
    "0:0:0:0:0:ffff:c000:207",
    "::ffff:192.0.2.7%eth0",
]
#: Those of options, which may be more than one word of a log.
GIVEN = [*NOTATIONS, "192.0.2.7:443", "[::ffff:192.0.2.7]:443", " 192.0.2.7 ", "192.0.2.7/32"]
START = 1795530000


def clients(*messages):
    """Return {address: failures} of some lines of the app's log."""
    reading = survey.Survey(START + 60, (), "b" * 32, START - 1000)
    reading.read(
        [
            {
                "__REALTIME_TIMESTAMP": str(int((START + second) * 1e6)),
                "MESSAGE": message,
                "_PID": "129",
                "PRIORITY": "6",
                "_TRANSPORT": "stdout",
                "_SYSTEMD_INVOCATION_ID": "a" * 32,
            }
            for second, message in enumerate(messages)
        ]
    )
    return {item["address"]: item["failures"] for item in reading.result({})["addresses"]}


@pytest.mark.parametrize(
    "line",
    [
        "WARNING authentication failed user=x path=/api/v1/login remote_ip=%s",
        'WARNING authentication failed user=x path=/api/v1/login remote_ip="%s"',
        '{"event": "authentication failed", "path": "/api/v1/login", "remote_ip": "%s"}',
        "WARNING authentication failed for x from %s",
        "WARNING authentication failed for x from %s port 4711",
        "WARNING authentication failed for x, client: %s, server: y",
        "WARNING authentication failed for x from [%s]:4711",
        'INFO:     %s:4711 - "POST /api/v1/login HTTP/1.1" 401 Unauthorized',
    ],
)
def test_one_attacker_in_several_notations_is_one(line):
    assert clients(*[line % text for text in NOTATIONS]) == {"192.0.2.7": len(NOTATIONS)}


def test_an_attacker_over_ipv6_is_itself():
    lines = [
        "WARNING authentication failed for x from %s",
        "WARNING authentication failed user=x remote_ip=%s",
        "WARNING authentication failed for x from [%s]:443",
    ]
    texts = ["2001:DB8::9", "2001:db8:0:0::9", "2001:db8::9%eth0"]
    assert clients(*[line % text for line in lines for text in texts]) == {"2001:db8::9": 9}


def test_an_address_in_two_notations_is_not_two_clients():
    line = "WARNING authentication failed remote_ip=192.0.2.7 remote_ip=%s"
    reading = survey.Survey(START + 60, (), "b" * 32, START - 1000)
    for text, ambiguous in (("::ffff:192.0.2.7", 0), ("::ffff:192.0.2.8", 1)):
        _found, seen, _words = lines.fields(line % text)
        assert seen is bool(ambiguous)
    assert reading.result({})["addresses"] == []


@pytest.mark.parametrize("text", GIVEN)
def test_a_rule_is_for_the_address_that_packets_have(text):
    (rule,) = declaration.declare([{"from": text, "port": "22"}], "sergas")
    assert (rule.source, rule.family) == ("192.0.2.7", 4)


@pytest.mark.parametrize(
    "text, source", [("::ffff:0:0/96", "0.0.0.0/0"), ("::ffff:192.0.2.0/120", "192.0.2.0/24")]
)
def test_a_mapped_network_shuts_out_whom_it_covers(text, source):
    rules = declaration.declare([{"action": "deny", "from": text, "port": "22"}], "sergas")
    assert [rule.source for rule in rules] == [source]
    denied = ufw.Firewall(True, True, "ACCEPT", rules)
    for given in GIVEN[:-1]:
        keep = [{"who": "the controller", "address": given, "port": 22}]
        assert len(reach.shut_out(denied, keep)) == 1
    elsewhere = [{"who": "the controller", "address": "2001:db8::1", "port": 22}]
    assert reach.shut_out(denied, elsewhere) == []


@pytest.mark.parametrize("text", GIVEN)
def test_rules_decide_for_every_notation(text):
    rules = declaration.declare([{"from": "192.0.2.0/24", "port": "22"}], "sergas")
    assert ufw.verdict(ufw.Firewall(True, True, "DROP", rules), 22, text)[0]


def test_a_rule_of_ipv6_for_a_mapped_address_fits_no_packet():
    found = ufw.parse_tuples("### tuple ### allow tcp 22 ::/0 any ::ffff:192.0.2.7 in", 6)
    assert not ufw.verdict(ufw.Firewall(True, True, "DROP", found), 22, "192.0.2.7")[0]


@pytest.mark.parametrize("text", GIVEN)
def test_the_names_in_rules_are_none_in_any_notation(text):
    assert check.resolve("rules: from", text, Deadline(1)) == ["192.0.2.7"]


@pytest.mark.parametrize("text", ["192.0.2.07", "192.0.2.0/33", "a b", "10.1"])
def test_a_rule_from_what_is_no_address_is_refused_by_the_option(text):
    with pytest.raises(ValueError, match="^rules: from: .* is not an IPv4 or IPv6 address"):
        check.resolve("rules: from", text, Deadline(1))


@pytest.mark.parametrize("text", NOTATIONS)
def test_the_session_is_one_of_ipv4(text):
    assert host.parse_session("%s 50122 192.0.2.9 22" % text)["peer"] == "192.0.2.7"


@pytest.mark.parametrize("text", GIVEN)
def test_published_ports_are_judged_in_every_notation(text):
    lines = "*filter\n:FORWARD DROP\n:DOCKER-USER -\n:DOCKER -\n-A FORWARD -j DOCKER-USER\n"
    lines += "-A FORWARD -o docker0 -j DOCKER\n"
    lines += "-A DOCKER-USER -s 192.0.2.7/32 -j RETURN\n-A DOCKER-USER -j DROP\n"
    found = packet_filter.Filter(iptables_rules.parse(lines, "ip"), [])
    assert container_rules.verdict(found, 8001, text)[0]
    assert container_rules.verdict(found, 8001, "192.0.2.8")[0] is False


def test_rules_of_a_fleet_are_not_doubled():
    rules = firewall_rules({"groups": ["sergas_redis"], "apps": GIVEN})["rules"]
    assert [rule["from"] for rule in rules] == ["any", "192.0.2.7"]


@pytest.mark.parametrize("text", [*GIVEN, "::ffff:192.0.2.0/120"])
def test_sessions_of_a_database_are_protected(text):
    (given,) = termination_plan.networks([text], "protected_clients")
    session = {
        "pid": 1,
        "backend_type": "client backend",
        "user": "x",
        "database": "d",
        "application": "a",
        "client": "192.0.2.7",
        "state": "idle",
        "own": False,
        "superuser": False,
        "state_seconds": 9.0,
    }
    no_one = {"include": [], "database": "d", "users": [], "applications": []}
    plan = termination_plan.plan([session], {"users": ["x"]}, {**no_one, "clients": [given]})
    assert plan.victims == [] and list(plan.spared) == ["listed"]


def test_a_database_in_two_notations_is_one():
    written = ["[%s]:5432" % text if ":" in text else text + ":5432" for text in NOTATIONS]
    found = {
        targets.target_of({"id": "db.unreachable", "evidence": {"target": target}})
        for target in written
    }
    assert found == {"192.0.2.7:5432"}
    owners = targets.owners_of([{"name": "db1", "addresses": ["::FFFF:192.0.2.7", "db1"]}])
    assert {owners.get(targets.host_of(target)) for target in written} == {"db1"}


@pytest.mark.parametrize("text", ["[::ffff:127.0.0.1]:5432", "[0:0::1]:5432", "[::]:5432"])
def test_a_loopback_database_is_its_hosts_own(text):
    assert targets.target_of({"id": "db.unreachable", "evidence": {"target": text}}) is None


@pytest.mark.parametrize("text", GIVEN)
def test_our_own_address_that_is_banned_is_reported(text):
    seen = {
        "installed": True,
        "protected": [text],
        "active": "active",
        "silent": None,
        "ufw": {},
        "jails": [{"name": "sshd", "banned": ["192.0.2.7"], "not_in_firewall": []}],
    }
    (found,) = fail2ban_checks.decide_bans(None, seen)
    assert found["status"] == "fail" and found["evidence"]["banned"] == {"sshd": ["192.0.2.7"]}


@pytest.mark.parametrize("text", GIVEN)
def test_a_jail_that_ignores_an_address_ignores_each_notation(text):
    jail = {"name": "sshd", "reason": None, "ignored": [text], "watches": "", "failed": 0}
    jail.update(maxretry=5, bantime=600)
    seen = {
        "installed": True,
        "protected": ["::ffff:192.0.2.7"],
        "active": "active",
        "silent": None,
        "jails": [jail],
        "overridden": [],
    }
    context = types.SimpleNamespace(params={"jails": ["sshd"]})
    assert [item["status"] for item in fail2ban_checks.decide_jails(context, seen)] == ["ok"]
    # A jail that ignores one address of a network ignores not all of it.
    wide = dict(seen, protected=["192.0.2.0/24"])
    assert [item["id"] for item in fail2ban_checks.decide_jails(context, wide)] == [
        "security.jail.exposed"
    ]


def test_a_balancer_that_is_no_address_is_refused_by_the_option():
    for text in (*GIVEN, "lb.example"):
        runner.check_addresses({"balancer_addresses": [text]})
    with pytest.raises(ValueError, match=r"^balancer_addresses: '192\.0\.2\.07' is not"):
        runner.check_addresses({"balancer_addresses": ["192.0.2.07"]})
