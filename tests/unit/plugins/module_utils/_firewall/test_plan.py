# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._firewall import declaration, reach
from ansible_collections.sergas.ops.plugins.module_utils._firewall import plan as firewall_plan
from ansible_collections.sergas.ops.plugins.module_utils._host import packet_filter, ufw

POLICIES = {"incoming": "deny", "outgoing": "allow", "routed": "deny"}
BALANCER = {"from": "198.51.100.2", "port": "8000", "comment": "the app from the balancer"}
SSH = {"port": "22", "comment": "SSH"}


def state(four="", six="", enabled=True, ipv6=True):
    """Return what ufw would say of rules, one a line as in its files."""
    rules = []
    for lines, family in ((four, 4), (six, 6)):
        text = "".join("### tuple ### %s\n" % line for line in lines.strip().splitlines())
        rules += ufw.parse_tuples(text, family)
    return ufw.State(True, enabled, ipv6, dict(POLICIES), "low", rules)


def owned(line):
    return "%s comment=%s" % (line, b"sergas: x".hex())


def plan(live, *rules, **options):
    return firewall_plan.plan(live, declaration.declare(rules, "sergas"), "sergas", **options)


def texts(found):
    return [step["text"] for step in found.steps]


ALLOW_SSH = "allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"
ALLOW_SSH6 = "allow tcp 22 ::/0 any ::/0 in"
ALLOW_BALANCER = "allow tcp 8000 0.0.0.0/0 any 198.51.100.2 in"


def test_nothing_is_done_where_all_is_there_regardless_of_who_made_it():
    found = plan(state(ALLOW_BALANCER + "\n" + ALLOW_SSH, ALLOW_SSH6), SSH, BALANCER)
    assert not found.changed


def test_a_fresh_host_gets_the_rules_in_their_order_and_both_families_at_once():
    found = plan(state(enabled=False), SSH, BALANCER)
    assert texts(found) == [
        "allow from any to any port 22 proto tcp",
        "allow from 198.51.100.2 to any port 8000 proto tcp",
    ]
    assert found.enable
    assert [rule.comment for rule in found.rules] == [
        "sergas: SSH",
        "sergas: the app from the balancer",
        "sergas: SSH",
    ]
    assert "insert" not in found.steps[0] and found.steps[0]["from_ip"] == "any"


def test_what_is_added_comes_before_what_goes():
    live = state(owned("allow tcp 8000 0.0.0.0/0 any 198.51.100.9 in") + "\n" + ALLOW_SSH)
    assert texts(plan(live, BALANCER)) == [
        "allow from 198.51.100.2 to any port 8000 proto tcp",
        "delete allow from 198.51.100.9 to any port 8000 proto tcp",
    ]


def test_rules_of_others_stay_unless_they_shall_not():
    live = state(
        "allow tcp 5432 0.0.0.0/0 any 0.0.0.0/0 in\nallow any 53 0.0.0.0/0 any 0.0.0.0/0 out"
    )
    assert not plan(live).changed
    assert texts(plan(live, exclusive=True)) == [
        "delete allow from 0.0.0.0/0 to any port 5432 proto tcp"
    ]
    both = state("allow tcp 5432 0.0.0.0/0 any 0.0.0.0/0 in", "allow tcp 5432 ::/0 any ::/0 in")
    assert texts(plan(both, exclusive=True)) == ["delete allow from any to any port 5432 proto tcp"]


def test_some_rules_only_leave_the_other_owned_ones():
    live = state(owned("allow tcp 5432 0.0.0.0/0 any 198.51.100.9 in"))
    assert texts(plan(live, BALANCER, complete=False)) == [
        "allow from 198.51.100.2 to any port 8000 proto tcp"
    ]


DENIES_ALL = [
    "deny tcp 8000 0.0.0.0/0 any 198.51.100.0/29 in",
    "reject any any 0.0.0.0/0 any 0.0.0.0/0 in",
    "limit tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in",
    "deny tcp 7000:9000 0.0.0.0/0 any 198.51.100.2 in",
]
OTHERS = [
    "deny udp 8000 0.0.0.0/0 any 0.0.0.0/0 in",
    "deny tcp 8001 0.0.0.0/0 any 0.0.0.0/0 in",
    "deny tcp 8000 0.0.0.0/0 any 198.51.100.3 in",
    "deny tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in_eth7",
    "deny tcp 8000 192.0.2.1 any 0.0.0.0/0 in",
    "route:deny any any 0.0.0.0/0 any 0.0.0.0/0 in_eth0!out_eth1",
]


@pytest.mark.parametrize("line", DENIES_ALL)
@pytest.mark.parametrize("there", [True, False])
def test_a_rule_that_makes_the_wanted_one_a_dead_letter_is_overtaken(line, there):
    live = state("\n".join([ALLOW_SSH, line] + ([ALLOW_BALANCER] if there else [])))
    found = plan(live, BALANCER)
    wanted = "allow from 198.51.100.2 to any port 8000 proto tcp"
    assert texts(found) == (["delete " + wanted] if there else []) + [wanted]
    assert found.steps[-1]["insert"] == 2
    assert not found.overruled
    assert (
        reach.shut_out(
            reach.as_firewall(live, found),
            [{"who": "the balancer", "address": "198.51.100.2", "port": 8000}],
        )
        == []
    )


@pytest.mark.parametrize("line", OTHERS)
def test_a_rule_for_other_traffic_is_in_nobodys_way(line):
    assert not plan(state(line + "\n" + ALLOW_BALANCER), BALANCER).changed


def test_somebodys_decision_on_a_part_stands():
    live = state("deny any any 0.0.0.0/0 any 203.0.113.9 in\n" + ALLOW_SSH, ALLOW_SSH6)
    assert not plan(live, SSH).changed


def test_what_goes_anyway_is_in_nobodys_way():
    live = state(DENIES_ALL[0] + "\n" + ALLOW_BALANCER)
    assert texts(plan(live, BALANCER, exclusive=True)) == [
        "delete deny from 198.51.100.0/29 to any port 8000 proto tcp"
    ]


def test_the_contrary_of_a_declared_rule_is_replaced_and_reported():
    found = plan(state("deny tcp 8000 0.0.0.0/0 any 198.51.100.2 in"), BALANCER)
    assert texts(found) == [
        "delete deny from 198.51.100.2 to any port 8000 proto tcp",
        "allow from 198.51.100.2 to any port 8000 proto tcp",
    ]
    assert found.overruled == ["deny from 198.51.100.2 to any port 8000 proto tcp"]


def test_a_declared_denial_comes_before_what_it_is_to_deny():
    deny = {"action": "deny", "from": "198.51.100.0/24", "port": "8000"}
    found = plan(state(ALLOW_SSH + "\n" + ALLOW_BALANCER), deny)
    assert [step.get("insert") for step in found.steps] == [2]
    # An earlier declared rule keeps its place before it.
    assert not plan(
        state(ALLOW_BALANCER + "\n" + DENIES_ALL[0].replace("/29", "/24")), BALANCER, deny
    ).changed


def test_positions_in_the_second_family_are_counted_behind_the_first():
    live = state(ALLOW_SSH + "\n" + ALLOW_BALANCER, "deny any any ::/0 any 2001:db8::/32 in")
    found = plan(live, {"from": "2001:db8::7", "port": "8000"})
    assert found.steps[0]["insert"] == 3 and found.steps[0]["from_ip"] == "2001:db8::7"


def test_a_profile_of_an_application_counts_once_for_ufw():
    live = state(
        "allow udp 137,138 0.0.0.0/0 any 0.0.0.0/0 Samba - in\n"
        "allow tcp 139,445 0.0.0.0/0 any 0.0.0.0/0 Samba - in\n" + DENIES_ALL[0]
    )
    assert plan(live, BALANCER).steps[0]["insert"] == 2


def test_without_ipv6_only_the_rules_of_the_other_family_are_made():
    rules = declaration.declare([SSH, {"from": "2001:db8::7"}], "sergas", ipv6=False)
    assert [rule.family for rule in rules] == [4]


def test_policies_and_logging_only_where_they_differ():
    found = plan(state(), policies={"incoming": "deny", "outgoing": "reject"}, logging="low")
    assert (found.policies, found.logging) == ({"outgoing": "reject"}, None)
    assert plan(state(), logging="high").logging == "high"


def test_spelling_is_no_difference():
    live = state(
        "allow tcp 80,443 0.0.0.0/0 any 10.9.9.0/24 in",
        "allow tcp 80,443 ::/0 any 2001:db8::1/64 in",
    )
    rules = [{"from": source, "port": "443,80"} for source in ("10.9.9.7/24", "2001:DB8:0::/64")]
    assert not plan(live, *rules).changed


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({"from": "10.0.0.300"}, "10.0.0.300"),
        ({"port": "0"}, "port"),
        ({"port": "http"}, "port"),
        ({"port": "80,443", "protocol": "any"}, "needs the protocol"),
        ({"action": "permit"}, "action"),
        ({"comment": "it's"}, "comment"),
        ({"comment": "$(reboot)$"}, "comment"),
    ],
)
def test_a_rule_that_is_none_is_named(rule, word):
    with pytest.raises(ValueError, match="rule 2 .*" + word.replace("$", "[$]")):
        declaration.declare([SSH, rule], "sergas")


KEEP = [{"who": "this session", "address": "198.51.100.5", "port": 22}]


@pytest.mark.parametrize(
    ("rules", "address", "reason"),
    [
        ([BALANCER], "198.51.100.5", "the default policy DROP"),
        ([dict(SSH, port="2222")], "198.51.100.5", "the default policy DROP"),
        ([dict(SSH, **{"from": "2001:db8::/32"})], "198.51.100.5", "the default policy DROP"),
        ([dict(SSH, **{"from": "198.51.100.0/24"})], "2001:db8::5", "the default policy DROP"),
        (
            [dict(SSH, action="deny", **{"from": "198.51.100.4/30"}), SSH],
            "198.51.100.5",
            "the rule",
        ),
        ([SSH], "198.51.100.5", None),
        ([SSH], "2001:db8::5", None),
        ([dict(SSH, action="limit")], "2001:db8::5", None),
    ],
)
def test_who_would_be_shut_out_is_reported_beforehand(rules, address, reason):
    live = state(enabled=False)
    firewall = reach.as_firewall(live, plan(live, *rules))
    reasons = reach.shut_out(firewall, [dict(KEEP[0], address=address)])
    assert [reason in text and address in text for text in reasons] == ([True] if reason else [])


def test_without_ipv6_a_session_over_it_would_be_shut_out():
    live = state(ipv6=False)
    firewall = reach.as_firewall(live, plan(live, SSH))
    assert "IPV6=no" in reach.shut_out(firewall, [dict(KEEP[0], address="2001:db8::5")])[0]


STRANGERS = [("192.0.2.254", None, None), ("2001:db8:ffff::fe", None, None)]


def exposed(live, should, listening, gaps=()):
    tables = [ufw.table(live)] if live.enabled else []
    found = packet_filter.Filter(tables, list(gaps))
    return reach.exposed(found, live, should, listening, STRANGERS)


def test_ports_that_are_open_to_everybody_and_should_not_be():
    listening = [{"port": port, "addresses": ["0.0.0.0"]} for port in (22, 5432, 8000)]
    should = ufw.Firewall(True, True, "DROP", declaration.declare([SSH, BALANCER], "sergas"))
    live = ufw.Firewall(
        True, True, "DROP", state(ALLOW_SSH + "\nallow any 5432 ::/0 any ::/0 in").rules
    )
    found = exposed(live, should, listening)[0]
    assert [item["port"] for item in found] == [5432]
    closed = live._replace(enabled=False)
    assert [item["port"] for item in exposed(closed, should, listening)[0]] == [
        5432,
        8000,
    ]
