# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import ufw

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures"
#: as ufw 0.36.2 writes them for the command beside each
TUPLES = {
    "deny from 203.0.113.9": "deny any any 0.0.0.0/0 any 203.0.113.9 in",
    "deny log from 192.0.2.7 comment hello": (
        "deny_log any any 0.0.0.0/0 any 192.0.2.7 in comment=68656c6c6f"
    ),
    "allow from 198.51.100.0/24 to any port 8000 proto tcp": (
        "allow tcp 8000 0.0.0.0/0 any 198.51.100.0/24 in"
    ),
    "allow 8000:8010/tcp": "allow tcp 8000:8010 0.0.0.0/0 any 0.0.0.0/0 in",
    "allow proto tcp from any to any port 80,443": "allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in",
    "allow in on eth0 to any port 9000 proto tcp": "allow tcp 9000 0.0.0.0/0 any 0.0.0.0/0 in_eth0",
    "route allow in on eth0 out on eth1": (
        "route:allow any any 0.0.0.0/0 any 0.0.0.0/0 in_eth0!out_eth1"
    ),
    "allow out 53": "allow any 53 0.0.0.0/0 any 0.0.0.0/0 out",
    "allow OpenSSH": "allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 OpenSSH - in",
    "limit 8000/tcp": "limit tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in",
    "reject 8000/tcp": "reject tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in",
    "allow 8000": "allow any 8000 0.0.0.0/0 any 0.0.0.0/0 in",
    "allow 8000/udp": "allow udp 8000 0.0.0.0/0 any 0.0.0.0/0 in",
    "allow from 2001:db8::/32 to any port 8000": "allow any 8000 ::/0 any 2001:db8::/32 in",
}


def firewall(*commands, enabled=True, policy="DROP"):
    text = "".join(
        "### tuple ### %s\n-A ufw-user-input -j X\n\n" % TUPLES[command] for command in commands
    )
    incoming = [rule for rule in ufw.parse_tuples(text, 0) if rule.direction == "in"]
    return ufw.Firewall(True, enabled, policy, incoming)


def test_a_real_host():
    found = ufw.read(str(FIXTURES / "container-v1"))
    assert found[:3] == (True, True, "DROP")
    assert [(rule.action, rule.ports, rule.source) for rule in found.rules] == [
        ("allow", "22", "0.0.0.0/0"),
        ("allow", "8000", "10.231.77.1"),
        ("allow", "8000", "10.231.77.2"),
        ("allow", "22", "::/0"),
    ]
    assert ufw.verdict(found, 8000, "10.231.77.2")[0]
    assert ufw.verdict(found, 8000, "10.231.77.3") == (False, "the default policy DROP")


def test_a_host_without_ufw(tmp_path):
    found = ufw.read(str(tmp_path))
    assert (found.installed, found.enabled) == (False, False)
    assert ufw.verdict(found, 8000, "10.0.0.1") == (True, "ufw is not active")


def test_only_rules_for_incoming_traffic_count():
    assert (
        len(firewall("route allow in on eth0 out on eth1", "allow out 53", "allow OpenSSH").rules)
        == 1
    )


@pytest.mark.parametrize(
    ("commands", "source", "allowed"),
    [
        (["allow 8000"], "10.0.0.1", True),
        (["allow 8000"], "2001:db8::1", False),
        (["allow 8000/udp"], "10.0.0.1", False),
        (["allow 8000:8010/tcp"], "10.0.0.1", True),
        (["allow proto tcp from any to any port 80,443"], "10.0.0.1", False),
        (["limit 8000/tcp"], "10.0.0.1", True),
        (["reject 8000/tcp", "allow 8000"], "10.0.0.1", False),
        (["allow 8000", "reject 8000/tcp"], "10.0.0.1", True),
        (["deny from 203.0.113.9", "allow 8000"], "203.0.113.9", False),
        (["deny log from 192.0.2.7 comment hello", "allow 8000"], "192.0.2.7", False),
        (["deny from 203.0.113.9", "allow 8000"], "203.0.113.8", True),
        (["allow from 198.51.100.0/24 to any port 8000 proto tcp"], "198.51.100.255", True),
        (["allow from 198.51.100.0/24 to any port 8000 proto tcp"], "198.51.101.1", False),
        (["allow from 2001:db8::/32 to any port 8000"], "2001:db8:1::7", True),
        (["allow from 2001:db8::/32 to any port 8000"], "2001:db9::7", False),
        ([], "10.0.0.1", False),
    ],
)
def test_the_first_rule_that_fits_decides(commands, source, allowed):
    assert ufw.verdict(firewall(*commands), 8000, source)[0] is allowed


def test_without_a_rule_the_policy_decides_and_inactive_means_open():
    assert ufw.verdict(firewall(policy="ACCEPT"), 8000, "10.0.0.1")[0]
    assert ufw.verdict(firewall("reject 8000/tcp", enabled=False), 8000, "10.0.0.1")[0]


def test_whether_anybody_may_reach_a_port():
    assert ufw.opens(firewall("allow from 198.51.100.0/24 to any port 8000 proto tcp"), 8000)
    assert not ufw.opens(firewall("allow OpenSSH", "reject 8000/tcp", "allow 8000/udp"), 8000)
    assert ufw.opens(firewall(enabled=False), 8000)
    assert ufw.opens(firewall(policy="ACCEPT"), 8000)
