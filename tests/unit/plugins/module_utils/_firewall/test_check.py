# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._firewall import (
    check,
    declaration,
    host,
    published,
)
from ansible_collections.sergas.ops.plugins.module_utils._firewall import plan as firewall_plan
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    iptables_rules,
    nft_rules,
    packet_filter,
    packet_walk,
    ufw,
)

STATE = ufw.State(
    True, True, True, {"incoming": "deny", "outgoing": "allow", "routed": "deny"}, "low", []
)


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("198.51.100.5 50122 198.51.100.20 2222", ("198.51.100.5", 50122, "198.51.100.20", 2222)),
        (
            "::ffff:198.51.100.5 50122 ::ffff:198.51.100.20 22",
            ("198.51.100.5", 50122, "198.51.100.20", 22),
        ),
        ("fe80::1%eth0 50122 fe80::2%eth0 22", ("fe80::1", 50122, "fe80::2", 22)),
        ("UNKNOWN", None),
    ],
)
def test_the_session_as_ssh_tells_it(text, session):
    found = host.parse_session(text)
    assert (tuple(found.values()) if found else None) == session


def test_the_session_is_found_above_sudo(tmp_path, monkeypatch):
    monkeypatch.setattr(host.os, "getpid", lambda: 30)
    for pid, parent, environ in (
        (30, 20, "A=1"),
        (20, 10, ""),
        (10, 1, "SSH_CONNECTION=192.0.2.1 5 192.0.2.2 22"),
    ):
        process = tmp_path / str(pid)
        process.mkdir()
        (process / "environ").write_text("PATH=/bin\0" + environ + "\0")
        (process / "stat").write_text("%d (a b) c) S %d 1 1" % (pid, parent))
    assert host.session(str(tmp_path))["peer"] == "192.0.2.1"
    (tmp_path / "10" / "environ").write_text("")
    assert host.session(str(tmp_path)) is None


def test_the_ports_of_sshd():
    socket = "[::]:2222 (Stream)\n/run/x (Stream)\n0.0.0.0:2222 (Stream)"
    assert host.parse_socket(socket) == [2222]
    assert host.parse_sshd("port 22\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:2200\n") == [
        22,
        2200,
    ]
    assert host.parse_sshd("port 24\n") == [24]
    assert host.parse_sshd("") == []


def test_listeners_that_others_can_reach():
    tail = " 00000000:0000 %s 00000000:00000000 00:00000000 00000000     0        0 1 1"
    lines = ["  sl  local_address rem_address   st"]
    lines += ["   0: 0100007F:1538" + tail % "0A", "   1: 00000000:0016" + tail % "0A"]
    lines += ["   2: 00000000:1F40" + tail % "01"]
    six = ["   0: 0000000000000000FFFF00000100007F:1F40" + tail % "0A"]
    six += ["   1: 00000000000000000000000000000000:0016" + tail % "0A"]
    assert host.parse_listeners(lines) == [("0.0.0.0", 22)]
    assert host.parse_listeners(six) == [("::", 22)]


DOCKER = """*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:NETAVARK-DN-1D8721804F16F - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8001 -j DNAT --to-destination 172.17.0.2:8000
-A DOCKER ! -d 127.0.0.0/8 ! -i docker0 -p tcp --dport 8004 -j DNAT --to-destination 172.17.0.5:80
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp --dport 8002 -j DNAT --to-destination 172.17.0.3:80
-A PREROUTING -p tcp -m tcp --dport 8003 -j DNAT --to-destination 10.0.0.7:80
-A NETAVARK-DN-1D8721804F16F -p udp -m udp --dport 53 -j DNAT --to-destination 10.88.0.2:53
COMMIT
"""


def test_published_ports_of_engines_and_not_a_persons_translations():
    found = host.published(packet_filter.Filter(iptables_rules.parse(DOCKER, "ip"), []))
    assert [(item["protocol"], item["port"]) for item in found] == [
        ("tcp", 8001),
        ("tcp", 8004),
        ("udp", 53),
    ]
    assert (found[0]["to"], found[0]["engine"]) == ("172.17.0.2:8000", "docker")


def rule(table, *matches):
    expressions = [
        {"match": {"op": "==", "left": {"payload": {"protocol": p, "field": f}}, "right": right}}
        for p, f, right in matches
    ]
    return {
        "rule": {
            "family": "inet",
            "table": table,
            "chain": "c",
            "expr": expressions + [{"dnat": {"addr": "10.88.0.2", "port": 80}}],
        }
    }


def tables(*names):
    where = [{"family": "inet", "table": name} for name in names]
    return [{"table": {"family": "inet", "name": name}} for name in names] + [
        {"chain": dict(one, name="c", type="nat", hook="prerouting", prio=-100)} for one in where
    ]


def test_published_ports_in_nftables_own_tables():
    items = [
        {"metainfo": {"version": "1"}},
        *tables("netavark", "docker-bridges", "mine"),
        rule("netavark", ("tcp", "dport", 8080)),
        rule("docker-bridges", ("ip", "daddr", "127.0.0.1"), ("tcp", "dport", 8081)),
        rule("mine", ("tcp", "dport", 8082)),
        dict(rule("netavark"), expr=[{"xt": None}, {"masquerade": None}]),
    ]
    found = packet_filter.Filter(nft_rules.parse(json.dumps({"nftables": items})), [])
    expected = {"port": 8080, "protocol": "tcp", "to": "10.88.0.2:80", "engine": "another"}
    assert host.published(found) == [expected]
    assert host.published(packet_filter.Filter([], [])) == []


PORT = {"port": 8001, "protocol": "tcp", "to": "172.17.0.2:8000", "engine": "docker"}


def declare(*rules):
    return declaration.declare(rules, "sergas")


def test_a_published_port_is_left_to_those_whom_the_rules_name():
    wanted = declare(
        {"action": "deny", "from": "198.51.100.9", "port": "8001"},
        {"from": "198.51.100.0/24", "port": "8001"},
        {"from": "2001:db8::7", "port": "8001"},
        {"from": "any", "port": "22"},
    )
    text, chain = published.table([PORT], wanted)
    about = [line.strip() for line in text.splitlines() if "dport" in line]
    assert about == [
        "tcp dport 8001 ip saddr 198.51.100.9 drop",
        "tcp dport 8001 ip saddr 198.51.100.0/24 accept",
        "tcp dport 8001 ip6 saddr 2001:db8::7 accept",
        "tcp dport 8001 drop",
    ]
    assert "chain %s {" % chain in text
    assert published.table([PORT], wanted[1:])[1] != chain
    assert published.bypassing([PORT], wanted, False) == [PORT]
    assert published.bypassing([PORT], wanted, True) == []
    assert published.bypassing([PORT], declare({"port": "8001"}), False) == []


def test_a_port_once_closed_stays_closed():
    text = published.table([PORT], [])[0]
    found = check.closed_ports([9000], [], text)
    assert [(item["protocol"], item["port"]) for item in found] == [("tcp", 9000), ("tcp", 8001)]


def test_a_port_that_others_close_is_left_to_them():
    def closed_by(name):
        drop = rule(name, ("tcp", "dport", 8001))
        drop["rule"]["expr"][-1] = {"drop": None}
        chain = {"family": "inet", "table": name, "name": "c", "hook": "prerouting", "prio": -150}
        items = [{"table": {"family": "inet", "name": name}}, {"chain": chain}, drop]
        return packet_filter.Filter(nft_rules.parse(json.dumps({"nftables": items})), [])

    assert check.is_closed_by_others(PORT, closed_by("sergas_cognee"))
    assert not check.is_closed_by_others(PORT, closed_by("sergas_published"))
    assert not check.is_closed_by_others(dict(PORT, port=8002), closed_by("sergas_cognee"))


def test_names_and_the_ports_of_sshd_are_filled_in():
    names = {"admin.example": ["198.51.100.5", "2001:db8::5"]}
    found = check.expand(
        [{"from": "admin.example", "port": "ssh"}, {"from": "any", "port": "80"}],
        [22, 2222],
        names.get,
    )
    assert [(item["from"], item["port"]) for item in found] == [
        ("198.51.100.5", 22),
        ("198.51.100.5", 2222),
        ("2001:db8::5", 22),
        ("2001:db8::5", 2222),
        ("any", "80"),
    ]


SESSION = {"peer": "198.51.100.5", "peer_port": 50122, "address": "198.51.100.20", "port": 2222}


def test_the_session_comes_first_unless_the_rules_allow_it():
    denied = declare({"action": "deny", "from": "198.51.100.0/24"}, {"port": "22"})
    found = check.with_session(denied, SESSION, STATE, "sergas", True)
    assert declaration.text(found[0]) == "allow from 198.51.100.5 to any port 2222 proto tcp"
    assert found[1:] == denied
    admins = declare({"from": "198.51.100.0/24", "port": "2222"})
    assert check.with_session(admins, SESSION, STATE, "sergas", True) == admins


def test_a_foreign_rule_for_the_session_counts_only_where_rules_are_added():
    live = STATE._replace(rules=declare({"port": "2222"}))
    assert check.with_session([], SESSION, live, "sergas", False) == []
    assert len(check.with_session([], SESSION, live, "sergas", True)) == 1


def test_a_firewall_that_blocks_no_one_fails_and_a_difference_warns():
    wanted = declare({"port": "22"})
    off = STATE._replace(enabled=False)
    found = check.judge_drift(off, firewall_plan.plan(off, wanted, "sergas"), wanted)
    assert [(item["id"], item["status"]) for item in found] == [("security.firewall.drift", "fail")]
    plan = firewall_plan.plan(STATE, wanted, "sergas")
    found = check.judge_drift(STATE, plan, wanted)
    assert found[0]["status"] == "warn" and "1 missing" in found[0]["summary"]
    same = STATE._replace(rules=wanted)
    found = check.judge_drift(same, firewall_plan.plan(same, wanted, "sergas"), wanted)
    assert found[0]["id"] == "security.firewall.ok"


def test_a_port_that_is_declared_for_some_fails_and_an_unknown_one_warns():
    wanted = declare({"from": "198.51.100.2", "port": "8000"})
    open_ports = [
        {"port": port, "addresses": ["0.0.0.0"], "by": "the rule x"} for port in (8000, 9100)
    ]
    found = check.judge_exposure(open_ports, [PORT], wanted)
    assert [(item["evidence"]["port"], item["status"]) for item in found] == [
        (8001, "fail"),
        (8000, "fail"),
        (9100, "warn"),
    ]
    assert check.judge_exposure([], [], wanted)[0]["id"] == "security.ports.ok"


def test_the_text_for_the_diff_has_all_that_changes():
    before = check.describe(STATE._replace(enabled=False), [], {}, None)
    after = check.describe(
        STATE, declare({"from": "192.0.2.1", "port": "22"}), {"incoming": "reject"}, "high"
    )
    assert "status: inactive" in before and "logging: low" in before
    assert (
        "status: active" in after
        and "logging: high" in after
        and "default incoming: reject" in after
    )
    assert "allow from 192.0.2.1 to any port 22 proto tcp # sergas" in after


def loaded(*names):
    chains = {name: packet_walk.Chain(name, []) for name in names}
    return [packet_walk.Table("ip", "filter", chains)]


@pytest.mark.parametrize(
    ("tables", "gaps", "status"),
    [
        (loaded("INPUT", "ufw-user-input"), [], "ok"),
        (loaded("INPUT"), [], "fail"),
        ([], ["no answer in time from iptables-save"], "unknown"),
    ],
)
def test_rules_that_ufw_has_in_its_files_are_not_in_force_by_that(tables, gaps, status):
    found = packet_filter.Filter(tables, gaps)
    plan = firewall_plan.plan(STATE, [], "sergas")
    (item,) = check.judge_drift(STATE, plan, [], check.is_loaded(STATE, found))
    assert item["status"] == status


def test_rules_that_are_not_known_make_no_closed_port():
    (item,) = check.judge_exposure([], [], [], ["no answer in time from nft"])
    assert (item["id"], item["status"]) == ("security.ports.unknown", "unknown")
    shown = [{"port": 8000, "addresses": ["0.0.0.0"], "by": "the policy"}]
    found = check.judge_exposure(shown, [], [], ["no answer in time from nft"])
    assert [item["status"] for item in found] == ["warn", "unknown"]


def test_without_a_kernel_table_it_is_not_known_what_is_open(tmp_path):
    with pytest.raises(OperationError, match="no table of TCP sockets"):
        host.listeners(str(tmp_path))


class TestSshPorts:
    """The port that a firewall must not close is known, or nothing is done."""

    @pytest.fixture(autouse=True)
    def commands(self, monkeypatch):
        self.answers = {"systemctl": (0, "ActiveState=inactive\nListen=\n", "")}

        def run(argv, _deadline):
            answer = self.answers.get(argv[0])
            if answer is None:
                raise process.CommandMissing("%s is not installed" % argv[0])
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(process, "run", run)
        monkeypatch.setattr(process, "find", lambda name: name if name in self.answers else None)

    def test_what_sshd_says(self):
        self.answers["sshd"] = (0, "port 2222\n", "")
        assert host.ssh_ports(Deadline(5)) == [2222]

    def test_what_the_socket_says(self):
        listen = "ActiveState=active\nListen=0.0.0.0:2200 (Stream)\n"
        self.answers["systemctl"] = (0, listen, "")
        assert host.ssh_ports(Deadline(5)) == [2200]

    def test_without_systemd(self):
        self.answers = {"sshd": (0, "port 2222\n", "")}
        assert host.ssh_ports(Deadline(5)) == [2222]

    def test_without_sshd_there_is_the_usual_one(self):
        assert host.ssh_ports(Deadline(5)) == [22]

    @pytest.mark.parametrize("answer", [(255, "", "x"), DeadlineExceeded("no answer"), (0, "", "")])
    def test_an_sshd_that_does_not_say_it(self, answer):
        self.answers["sshd"] = answer
        with pytest.raises(OperationError, match="the port of sshd is not known"):
            host.ssh_ports(Deadline(5))
        assert host.ssh_ports(Deadline(5), SESSION) == [2222]

    def test_a_systemd_that_does_not_answer(self):
        self.answers = {"systemctl": DeadlineExceeded("no answer"), "sshd": (0, "port 22\n", "")}
        with pytest.raises(OperationError):
            host.ssh_ports(Deadline(5))
        assert host.ssh_ports(Deadline(5), SESSION) == [22, 2222]
