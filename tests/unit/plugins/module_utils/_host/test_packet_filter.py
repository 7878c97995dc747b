# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import io
import struct

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    packet_filter,
    packet_walk,
    ufw,
)

PACKET = packet_walk.Packet("10.0.0.1", 8000, "10.0.0.9", "eth0")
NO_UFW = ufw.Firewall(False, False, "ACCEPT", [])
FILTER = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.1/32 -j DROP\nCOMMIT\n"
RULESET = (
    '{"nftables": [{"table": {"family": "inet", "name": "t"}},'
    ' {"chain": {"family": "inet", "table": "t", "name": "c", "hook": "input", "prio": 0,'
    ' "policy": "drop"}}]}'
)
#: what iptables' rules look like to nft: only that there is something
OF_IPTABLES = (
    '{"nftables": [{"table": {"family": "ip", "name": "filter"}},'
    ' {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input", "prio": 0}},'
    ' {"rule": {"family": "ip", "table": "filter", "chain": "INPUT",'
    ' "expr": [{"xt": {"type": "match", "name": "set"}}, {"drop": null}]}}]}'
)
LATE = DeadlineExceeded("no answer in time from nft")


class Host:
    """A host whose kernel has some tables, and whose commands answer as they are given."""

    def __init__(self, monkeypatch, tables=(), legacy="", **answers):
        self.ran = []
        self.answers = {name.replace("_", "-"): answer for name, answer in answers.items()}
        monkeypatch.setattr(packet_filter, "_query_tables", lambda _deadline: set(tables))
        monkeypatch.setattr(
            packet_filter, "_legacy_tables", lambda family: set(legacy.split() * (family == "ip"))
        )
        monkeypatch.setattr(process, "find", lambda name: name if name in self.answers else None)
        monkeypatch.setattr(process, "run", self.run)

    def run(self, argv, _deadline):
        self.ran.append(argv[0])
        answer = self.answers.get(argv[0])
        if answer is None:
            raise process.CommandMissing("%s is not installed" % argv[0])
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, tuple) else (0, answer, "")

    def end(self):
        found = packet_filter.read(Deadline(5), (4,))
        return packet_filter.fate(found, NO_UFW, PACKET)[0], found.gaps


def test_without_tables_no_command_is_run(monkeypatch):
    host = Host(monkeypatch)
    assert host.end() == ("accepted", [])
    assert host.ran == []


def test_tables_of_iptables_are_read_with_its_own_command(monkeypatch):
    host = Host(monkeypatch, [("ip", "filter")], iptables_nft_save=FILTER, nft=OF_IPTABLES)
    assert host.end() == ("dropped", [])
    assert host.ran == ["iptables-nft-save"]


def test_other_tables_are_read_with_nft(monkeypatch):
    host = Host(monkeypatch, [("inet", "t")], nft=RULESET, iptables_nft_save=FILTER)
    assert host.end() == ("dropped", [])
    assert host.ran == ["nft"]


def test_tables_of_the_older_interface_are_read_with_their_command(monkeypatch):
    host = Host(monkeypatch, [], "filter", iptables_legacy_save=FILTER, iptables_save="")
    assert host.end() == ("dropped", [])
    assert host.ran == ["iptables-legacy-save"]


@pytest.mark.parametrize(
    "answer",
    [None, LATE, (1, "", "Operation not permitted"), "rubbish", "", '{"nftables": [{"rule": 1}]}'],
)
def test_rules_of_nft_that_cannot_be_read_are_a_gap(monkeypatch, answer):
    end, gaps = Host(monkeypatch, [("inet", "t")], nft=answer).end()
    assert end == "unknown"
    assert len(gaps) == 1 and "the table inet t" in gaps[0]


@pytest.mark.parametrize("answer", [None, LATE, (1, "", "x"), "rubbish", ""])
@pytest.mark.parametrize("nft", [None, OF_IPTABLES])
def test_rules_of_iptables_that_cannot_be_read_are_not_none(monkeypatch, answer, nft):
    tables = [("ip", "filter")]
    answers = {"iptables_nft_save": answer, "nft": nft}
    given = {name: value for name, value in answers.items() if value is not None}
    assert Host(monkeypatch, tables, **given).end()[0] == "unknown"


@pytest.mark.parametrize("answer", [None, LATE, (1, "", "x"), "rubbish"])
def test_rules_of_the_older_interface_that_cannot_be_read_are_a_gap(monkeypatch, answer):
    given = {} if answer is None else {"iptables_legacy_save": answer}
    assert Host(monkeypatch, [], "filter", **given).end()[0] == "unknown"


def test_what_the_rules_that_were_read_block_is_blocked_all_the_same(monkeypatch):
    host = Host(monkeypatch, [("ip", "filter"), ("inet", "t")], iptables_nft_save=FILTER, nft=LATE)
    end, gaps = host.end()
    assert end == "dropped" and gaps


@pytest.mark.parametrize("number", [errno.EPROTONOSUPPORT, errno.EINVAL])
def test_a_kernel_without_nftables_has_no_such_rules(monkeypatch, number):
    host = Host(monkeypatch)

    def fail(_deadline):
        raise OSError(number, "x")

    monkeypatch.setattr(packet_filter, "_query_tables", fail)
    assert host.end() == ("accepted", [])


@pytest.mark.parametrize("error", [OSError(errno.ENOBUFS, "x"), LATE, struct.error("x")])
def test_a_kernel_that_does_not_answer_is_a_gap(monkeypatch, error):
    host = Host(monkeypatch)

    def fail(_deadline):
        raise error

    monkeypatch.setattr(packet_filter, "_query_tables", fail)
    assert host.end()[0] == "unknown"


def test_without_root_it_is_not_known(monkeypatch):
    def refuse(_deadline):
        raise PermissionError(errno.EPERM, "x")

    monkeypatch.setattr(packet_filter, "_query_tables", refuse)
    with pytest.raises(PermissionError, match="only root"):
        packet_filter.read(Deadline(5))


def answer(*tables, kind=(10 << 8) | 0):
    """Return messages as the kernel sends them: {family number: name}."""
    data = b""
    for family, name in tables:
        text = name.encode() + b"\0"
        attribute = struct.pack("=HH", 4 + len(text), 1) + text + b"\0" * (-len(text) % 4)
        body = struct.pack("=BBH", family, 0, 0) + attribute
        data += struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body
    return data


def test_the_kernel_s_tables():
    data = answer((2, "filter"), (10, "filter"), (1, "mine"), (7, "bridge"))
    expected = {("ip", "filter"), ("ip6", "filter"), ("inet", "mine")}
    assert packet_filter.parse_tables(data) == (False, expected)
    end = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)
    assert packet_filter.parse_tables(data + end) == (True, expected)
    refusal = struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -1) + b"\0" * 16
    with pytest.raises(PermissionError):
        packet_filter.parse_tables(refusal)


ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0101010A\t0003\t0\t0\t0\t00000000\t0\t0\t0
wg0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
eth1\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


@pytest.mark.parametrize(
    ("address", "interface"),
    [((10, 0, 2, 7), "eth1"), ((10, 9, 9, 9), "wg0"), ((192, 0, 2, 1), "eth0")],
)
def test_the_interface_is_that_of_the_longest_route(address, interface):
    assert packet_filter.parse_route(io.StringIO(ROUTES), bytes(address)) == interface


def test_the_interface_of_a_route_of_ipv6():
    rows = [("2001:db8".replace(":", "").ljust(32, "0"), "20", "eth0"), ("0" * 32, "00", "eth9")]
    lines = [
        "%s %s %s 00 %s 00000400 00000001 00000000 00000001 %s"
        % (to, length, "0" * 32, "0" * 32, name)
        for to, length, name in rows
    ]
    packed = bytes.fromhex("20010db8" + "00" * 12)
    # 2001:db8::/32 as the kernel prints it.
    lines[0] = lines[0].replace("2001db8" + "0" * 25, "20010db8" + "0" * 24)
    assert packet_filter.parse_route6(lines, packed) == "eth0"
    assert packet_filter.parse_route6(lines, bytes.fromhex("fd00" + "00" * 14)) == "eth9"


def test_the_way_to_this_host_is_loopback():
    assert packet_filter.route("127.0.0.1")[0] == "127.0.0.1"
