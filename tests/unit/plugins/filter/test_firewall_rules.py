# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.filter.firewall_rules import firewall_rules


def describe(**fleet):
    return [
        "%s %s %s" % (rule["action"], rule["from"], rule["port"])
        for rule in firewall_rules(fleet)["rules"]
    ]


APPS = ["192.0.2.11", "192.0.2.12"]


def test_each_service_is_for_the_hosts_of_the_app_only():
    assert describe(
        groups=["sergas_postgresql", "sergas_redis", "sergas_cognee", "web"], apps=APPS
    ) == [
        "allow any ssh",
        *("allow %s %d" % (app, port) for port in (5432, 6379, 8001) for app in APPS),
    ]


def test_the_app_is_for_balancers_peers_and_monitoring():
    rules = describe(
        groups=["sergas_app"],
        apps=APPS,
        balancers=["192.0.2.2"],
        monitoring=["192.0.2.9"],
        ports={"app": 8010},
        admins=["198.51.100.0/24"],
    )
    assert rules == [
        "allow 198.51.100.0/24 ssh",
        "allow 192.0.2.2 8010",
        "allow 192.0.2.11 8010",
        "allow 192.0.2.12 8010",
        "allow 192.0.2.9 8010",
    ]


def test_a_host_in_no_group_has_all_on_itself():
    assert describe(groups=["bookworm"], balancers=["192.0.2.2"]) == [
        "allow any ssh",
        "allow 192.0.2.2 8000",
    ]


def test_a_balancer_is_for_everybody_and_has_no_app():
    assert describe(groups=["sergas_lb"], balancers=["192.0.2.2"]) == [
        "allow any ssh",
        "allow any 80",
        "allow any 443",
    ]


def test_ssh_is_limited_where_it_is_for_everybody():
    assert describe(groups=["sergas_lb"], ssh_limit=True)[0] == "limit any ssh"
    assert (
        describe(groups=["sergas_lb"], ssh_limit=True, admins=["192.0.2.7"])[0]
        == "allow 192.0.2.7 ssh"
    )


def test_own_rules_come_first_and_none_twice():
    rules = [
        {"action": "deny", "from": "203.0.113.9"},
        {"action": "allow", "from": "192.0.2.2", "port": 8000},
    ]
    found = firewall_rules({"groups": ["sergas_app"], "balancers": ["192.0.2.2"], "rules": rules})[
        "rules"
    ]
    assert found[:2] == rules and len(found) == 3


def test_who_must_stay_allowed_whatever_the_rules_say():
    fleet = {
        "balancers": ["192.0.2.2"],
        "monitoring": ["192.0.2.9"],
        "controllers": ["198.51.100.7"],
        "apps": APPS,
        "ports": {"app": 8010},
    }
    controller = {"who": "the controller", "address": "198.51.100.7"}
    for groups in (["sergas_app"], ["bookworm"]):
        assert firewall_rules({**fleet, "groups": groups})["keep"] == [
            {"who": "the balancer", "address": "192.0.2.2", "port": 8010},
            {"who": "the monitoring", "address": "192.0.2.9", "port": 8010},
            controller,
        ]
    assert firewall_rules({**fleet, "groups": ["sergas_redis"]})["keep"] == [controller]
    assert firewall_rules({})["keep"] == []
