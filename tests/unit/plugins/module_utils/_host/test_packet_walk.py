# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import (
    iptables_rules,
    nft_rules,
    packet_walk,
    ufw,
)

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures" / "firewall"
BALANCER = packet_walk.Packet("10.231.77.2", 8000, "10.231.77.11", "eth0")
SIX = packet_walk.Packet("2001:db8::2", 8000, "2001:db8::11", "eth0")


def saved(*rules, policy="ACCEPT", table="filter", chain="INPUT"):
    lines = ["*" + table, ":%s %s [0:0]" % (chain, policy), ":other - [0:0]"]
    return iptables_rules.parse("\n".join([*lines, *rules, "COMMIT", ""]), "ip")


def end(tables, packet=BALANCER):
    return packet_walk.fate(tables, packet)[0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("10.231.77.1", "accepted"),
        ("10.231.77.2", "limited"),
        ("10.231.77.3", "dropped"),
        ("10.231.77.0/24", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_rules_of_a_real_host_with_ufw(source, expected):
    tables = iptables_rules.parse((FIXTURES / "ufw-limit.txt").read_text("utf-8"), "ip")
    packet = packet_walk.Packet(source, 8000, "10.231.77.11", "eth0", family=4)
    assert packet_walk.fate(tables, packet)[0] == expected


def test_what_limits_is_named_and_not_what_it_leads_to():
    tables = iptables_rules.parse((FIXTURES / "ufw-limit.txt").read_text("utf-8"), "ip")
    assert "--hitcount 6" in packet_walk.fate(tables, BALANCER)[1]


#: What ufw 0.36.2 wrote for each, and how connections of 10.231.77.2 to 10.231.77.11 at port 8000
#: of a real host then fared, by eth0.
UFW = [
    ("allow 8000", ["allow any 8000 0.0.0.0/0 any 0.0.0.0/0 in"], "accepted"),
    ("allow 8000/udp", ["allow udp 8000 0.0.0.0/0 any 0.0.0.0/0 in"], "dropped"),
    ("allow 7999:8001/tcp", ["allow tcp 7999:8001 0.0.0.0/0 any 0.0.0.0/0 in"], "accepted"),
    ("its network", ["allow tcp 8000 0.0.0.0/0 any 10.231.77.0/24 in"], "accepted"),
    ("in on eth0", ["allow tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in_eth0"], "accepted"),
    ("in on wg0", ["allow tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in_wg0"], "dropped"),
    ("to the host", ["allow tcp 8000 10.231.77.11 any 0.0.0.0/0 in"], "accepted"),
    ("to another address", ["allow tcp 8000 10.231.77.99 any 0.0.0.0/0 in"], "dropped"),
    ("a source port", ["allow tcp 8000 0.0.0.0/0 1234 10.231.77.2 in"], "dropped"),
    ("all source ports", ["allow tcp 8000 0.0.0.0/0 1024:65535 0.0.0.0/0 in"], "accepted"),
    ("some source ports", ["allow tcp 8000 0.0.0.0/0 40000:40100 0.0.0.0/0 in"], "unknown"),
    ("esp", ["allow esp any 0.0.0.0/0 any 0.0.0.0/0 in"], "dropped"),
    ("limit 8000/tcp", ["limit tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in"], "limited"),
    (
        "allow 8000/tcp, deny from it",
        ["allow tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in", "deny any any 0.0.0.0/0 any 10.231.77.2 in"],
        "accepted",
    ),
    (
        "deny in on wg0, allow",
        [
            "deny any 8000 0.0.0.0/0 any 0.0.0.0/0 in_wg0",
            "allow tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in",
        ],
        "accepted",
    ),
    (
        "deny udp, allow",
        ["deny udp any 0.0.0.0/0 any 10.231.77.2 in", "allow tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in"],
        "accepted",
    ),
    (
        "deny out, allow",
        [
            "deny any 8000 0.0.0.0/0 any 0.0.0.0/0 out",
            "allow tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in",
        ],
        "accepted",
    ),
    ("a profile", ["allow tcp 8000 0.0.0.0/0 any 10.231.77.2 SergasApp - in"], "accepted"),
    (
        "deny, allow from it",
        ["deny tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in", "allow any 8000 0.0.0.0/0 any 10.231.77.2 in"],
        "dropped",
    ),
    (
        "reject from it, allow",
        [
            "reject any any 0.0.0.0/0 any 10.231.77.2 in",
            "allow any 8000 0.0.0.0/0 any 0.0.0.0/0 in",
        ],
        "dropped",
    ),
]


@pytest.mark.parametrize(("tuples", "expected"), [row[1:] for row in UFW], ids=[r[0] for r in UFW])
def test_rules_of_ufw_as_packets_fared(tuples, expected):
    text = "\n".join("### tuple ### " + line for line in tuples)
    rules = [rule for rule in ufw.parse_tuples(text, 4) if rule.direction == "in"]
    assert ufw.fate(ufw.Firewall(True, True, "DROP", rules), BALANCER)[0] == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], "accepted"),
        (["-A INPUT -s 10.231.77.0/24 -j DROP"], "dropped"),
        (["-A INPUT ! -s 10.231.77.0/24 -j DROP"], "accepted"),
        (["-A INPUT -p udp -j DROP", "-A INPUT ! -p tcp -j DROP"], "accepted"),
        (["-A INPUT -m iprange --src-range 10.231.77.1-10.231.77.3 -j REJECT"], "dropped"),
        (["-A INPUT -p tcp -m multiport --dports 80,7000:9000 -j DROP"], "dropped"),
        (["-A INPUT -i lo -j ACCEPT", "-A INPUT -i eth+ -j DROP"], "dropped"),
        (["-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j DROP"], "accepted"),
        (["-A INPUT -m state --state INVALID,NEW -j DROP"], "dropped"),
        (["-A INPUT -p tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"], "dropped"),
        (["-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"], "accepted"),
        (["-A INPUT -m addrtype --dst-type LOCAL -j DROP"], "dropped"),
        (["-A INPUT -m pkttype --pkt-type broadcast -j DROP"], "accepted"),
        (['-A INPUT -m comment --comment "to -j DROP" -j ACCEPT'], "accepted"),
        (["-A INPUT -j LOG --log-prefix x", "-A INPUT -j MARK --set-xmark 0x1"], "accepted"),
        (["-A INPUT -j other", "-A other -j RETURN", "-A INPUT -j DROP"], "dropped"),
        (["-A INPUT -j other", "-A other -j ACCEPT", "-A INPUT -j DROP"], "accepted"),
        # To a chain without a way back: the base chain's policy decides.
        (["-A INPUT -g other", "-A other -p udp -j DROP", "-A INPUT -j DROP"], "accepted"),
        (["-A INPUT -f -j DROP"], "accepted"),
        # Limits: of a few connections they block a balancer, of many they do not.
        (["-A INPUT -m limit --limit 3/min -j ACCEPT", "-A INPUT -j DROP"], "limited"),
        (["-A INPUT -m limit --limit 50/sec -j ACCEPT", "-A INPUT -j DROP"], "accepted"),
        (["-A INPUT -m connlimit --connlimit-above 2 --connlimit-mask 32 -j REJECT"], "limited"),
        (["-A INPUT -m connlimit --connlimit-above 200 --connlimit-mask 32 -j DROP"], "accepted"),
        (
            ["-A INPUT -m hashlimit --hashlimit-above 20/min --hashlimit-mode srcip -j DROP"],
            "limited",
        ),
        (["-A INPUT -m statistic --mode random --probability 0.1 -j DROP"], "limited"),
        # What is not understood is unknown, unless it makes no difference.
        (["-A INPUT -m set --match-set bad src -j DROP"], "unknown"),
        (["-A INPUT -m mac --mac-source 00:11:22:33:44:55 -j ACCEPT"], "accepted"),
        (["-A INPUT -m mark --mark 0x1 -j ACCEPT", "-A INPUT -j DROP"], "unknown"),
        (["-A INPUT -m recent --rcheck --name KNOCK -j ACCEPT", "-A INPUT -j DROP"], "unknown"),
        (["-A INPUT -j NFQUEUE --queue-num 0"], "unknown"),
        (
            ["-A INPUT -s 10.0.0.0/8 -m set --match-set x src -j DROP", "-A INPUT -j DROP"],
            "dropped",
        ),
        (["-A INPUT -p tcp -m tcp --dport http -j DROP"], "unknown"),
    ],
)
def test_rules_of_iptables(rules, expected):
    assert end(saved(*rules)) == expected


def test_a_policy_and_an_earlier_table_decide():
    assert end(saved(policy="DROP")) == "dropped"
    raw = saved("-A PREROUTING -p tcp -j DROP", table="raw", chain="PREROUTING")
    assert end(saved("-A INPUT -j ACCEPT") + raw) == "dropped"
    # A chain for what is sent on, or of the other family, is none for this host.
    assert end(saved("-A FORWARD -j DROP", chain="FORWARD")) == "accepted"
    assert end(saved(policy="DROP"), SIX) == "accepted"


def test_a_translation_of_the_port_is_not_followed():
    nat = saved(
        "-A PREROUTING -p tcp -m tcp --dport 8000 -j REDIRECT --to-ports 9000",
        table="nat",
        chain="PREROUTING",
    )
    assert end(nat) == "unknown"


def test_what_is_not_known_of_a_packet_makes_no_answer():
    packet = BALANCER._replace(destination=None, interface=None)
    assert end(saved("-A INPUT -d 10.231.77.11/32 -j DROP"), packet) == "unknown"
    assert end(saved("-A INPUT -i wg0 -j DROP"), packet) == "unknown"
    # No client comes in by an interface of containers, whichever it is.
    assert end(saved("-A INPUT -i docker0 -j DROP"), packet) == "accepted"


@pytest.mark.parametrize(
    "text", ["*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m recent --update --hitcount x --seconds 3\n"]
)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError):
        iptables_rules.parse(text, "ip")


def nft(*expressions, policy="accept", sets=()):
    """Return the tables of one chain with rules, each a list of expressions as nft prints them."""
    where = {"family": "inet", "table": "t"}
    items = [
        {"metainfo": {"json_schema_version": 1}},
        {"table": {"family": "inet", "name": "t"}},
        {"chain": dict(where, name="input", hook="input", prio=0, type="filter", policy=policy)},
        {"chain": dict(where, name="other")},
        *({"set": dict(where, name=name, elem=elem)} for name, elem in sets),
        *({"rule": dict(where, chain="input", expr=expr)} for expr in expressions),
    ]
    return nft_rules.parse(json.dumps({"nftables": items}))


def match(left, right, op="=="):
    return {"match": {"op": op, "left": left, "right": right}}


def payload(protocol, field):
    return {"payload": {"protocol": protocol, "field": field}}


SADDR, DPORT = payload("ip", "saddr"), payload("tcp", "dport")
DROP = {"drop": None}


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        ([DROP], "dropped"),
        ([match(SADDR, "10.231.77.2"), DROP], "dropped"),
        ([match(SADDR, {"prefix": {"addr": "10.0.0.0", "len": 8}}, "!="), DROP], "accepted"),
        ([match(SADDR, {"range": ["10.231.77.1", "10.231.77.3"]}), DROP], "dropped"),
        ([match(DPORT, {"set": [80, {"range": [7000, 9000]}]}), DROP], "dropped"),
        ([match(payload("udp", "dport"), 8000), DROP], "accepted"),
        ([match(payload("th", "dport"), 8000), DROP], "dropped"),
        ([match(DPORT, 8000, ">="), DROP], "dropped"),
        ([match(DPORT, 8000, "<"), DROP], "accepted"),
        ([match(payload("ip6", "saddr"), "::/0"), DROP], "accepted"),
        ([match({"meta": {"key": "nfproto"}}, "ipv4"), {"reject": None}], "dropped"),
        ([match({"ct": {"key": "state"}}, ["established", "related"], "in"), DROP], "accepted"),
        ([match({"ct": {"key": "state"}}, {"set": ["new", "invalid"]}), DROP], "dropped"),
        ([match({"meta": {"key": "iifname"}}, "eth*"), DROP], "dropped"),
        ([match(SADDR, "@bad"), DROP], "dropped"),
        ([match(SADDR, "@none"), DROP], "unknown"),
        ([match({"concat": [SADDR, DPORT]}, "@pair"), DROP], "dropped"),
        ([{"counter": None}, {"log": None}, {"limit": {"rate": 9, "per": "second"}}], "accepted"),
        ([{"limit": {"rate": 5, "per": "minute", "inv": True}}, DROP], "limited"),
        ([{"limit": {"rate": 500, "per": "second", "inv": True}}, DROP], "accepted"),
        ([{"ct count": {"val": 3, "inv": True}}, DROP], "limited"),
        (
            [
                {
                    "set": {
                        "op": "add",
                        "elem": SADDR,
                        "set": "@x",
                        "stmt": [{"limit": {"rate": 5, "per": "hour", "inv": True}}],
                    }
                },
                DROP,
            ],
            "limited",
        ),
        (
            [{"vmap": {"key": DPORT, "data": {"set": [[22, {"accept": None}], [8000, DROP]]}}}],
            "dropped",
        ),
        ([{"vmap": {"key": DPORT, "data": "@none"}}], "unknown"),
        ([{"jump": {"target": "other"}}], "accepted"),
        # Unknown expressions: of iptables' modules, and of newer releases of nft.
        ([{"xt": {"type": "match", "name": "set"}}, DROP], "unknown"),
        ([{"xt": None}], "unknown"),
        ([match({"meta": {"key": "mark"}}, 1), DROP], "unknown"),
        ([match({"socket": {"key": "cgroupv2"}}, 1), DROP], "unknown"),
        ([{"brand new": {}}], "unknown"),
        ([{"queue": {"num": 0}}], "unknown"),
        ([{"redirect": {"port": 9000}}], "unknown"),
        # In a rule that another condition excludes, they make no difference.
        ([match(payload("udp", "dport"), 53), {"brand new": {}}, DROP], "accepted"),
    ],
)
def test_rules_of_nftables(expressions, expected):
    sets = [
        ("bad", ["10.231.77.2"]),
        ("pair", [{"concat": ["10.0.0.1", 80]}, {"concat": ["10.231.77.2", 8000]}]),
    ]
    assert end(nft(expressions, sets=sets)) == expected


def test_an_unknown_expression_counts_only_where_ends_differ():
    assert end(nft([{"brand new": {}}, DROP], [DROP])) == "unknown"
    assert end(nft([match({"meta": {"key": "mark"}}, 1), DROP], [DROP])) == "dropped"


def test_a_real_ruleset_of_nft():
    tables = nft_rules.parse((FIXTURES / "nft.json").read_text("utf-8"))
    assert end(tables) == "accepted"
    assert end(tables, SIX) == "accepted"
    (ingress,) = [table for table in tables if table.family == "netdev"]
    assert [chain.hook for chain in ingress.chains.values()] == ["ingress"]
    first = tables[0].chains["input"].rules
    assert not [rule.text for rule in first if rule.does == "unclear"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"nftables": [{"rule": {}}]}', "Error: x"])
def test_what_is_no_ruleset_is_refused(text):
    with pytest.raises(ValueError):
        nft_rules.parse(text)


def test_many_rules_take_linear_time():
    rules = ["-A INPUT -j other"] * 2000 + [
        "-A other -s 192.0.2.%d/32 -j DROP" % n for n in range(250)
    ]
    assert end(saved(*rules)) == "accepted"
    chains = "".join(":c%d - [0:0]\n" % n for n in range(60))
    deep = "".join("-A c%d -j c%d\n-A c%d -j c%d\n" % (n, n + 1, n, n + 1) for n in range(59))
    text = "*filter\n:INPUT ACCEPT [0:0]\n%s-A INPUT -j c0\n%sCOMMIT\n" % (chains, deep)
    assert end(iptables_rules.parse(text, "ip")) == "unknown"
