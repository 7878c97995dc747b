# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import network as probe
from ansible_collections.sergas.ops.plugins.module_utils._host import network

CTX = types.SimpleNamespace(thresholds=thresholds.merge({}), deadline=Deadline(5))
NETSTAT = """TcpExt: SyncookiesSent ListenOverflows ListenDrops
TcpExt: 0 41 42
IpExt: InNoRoutes
IpExt: 0
"""
SOCKSTAT = "sockets: used 300\nTCP: inuse %d orphan 0 tw %d alloc 20 mem 3\nUDP: inuse 3 mem 1\n"
HEAD = "  sl  local_address rem_address   st\n"


def counters(**changes):
    healthy = {
        "conntrack": {"count": 100, "max": 1000},
        "local_ports": {"range": 28232, "destination": None, "used": 0},
        "overflows": {"total": 41, "rate": 0.0},
    }
    return dict(healthy, **changes)


def test_a_counter_by_its_name():
    assert network.overflows(NETSTAT) == 41
    for text in (None, "", "TcpExt: Other\nTcpExt: 1\n"):
        assert network.overflows(text) is None


def line(local, remote, state):
    return "   0: 0100007F:%04X %s %s 00000000:00000000\n" % (local, remote, state)


def test_the_destination_that_has_the_most_local_ports():
    rows = [line(40000 + number, "0500000A:1538", "06") for number in range(30)]
    rows += [line(8000, "0600000A:9C40", "01"), line(40050, "00000000:0000", "0A")]
    table = HEAD + "".join(rows)
    found = network.local_ports("40000\t40049\n", SOCKSTAT % (5, 30), lambda: [table, None])
    assert found == {"range": 50, "destination": "0500000A:1538", "used": 30}


def test_tables_are_read_only_where_ports_can_be_short():
    def read():
        raise AssertionError

    found = network.local_ports("32768 60999", SOCKSTAT % (500, 900), read)
    assert found == {"range": 28232, "destination": None, "used": 0}
    assert network.local_ports(None, SOCKSTAT % (1, 1), read) is None
    assert network.local_ports("1 2", "", read) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [("host.network.ok", "ok")]),
        ({"conntrack": None}, [("host.network.ok", "ok")]),
        ({"conntrack": {"count": 800, "max": 1000}}, [("host.conntrack.high", "warn")]),
        ({"conntrack": {"count": 1000, "max": 1000}}, [("host.conntrack.high", "fail")]),
        (
            {"local_ports": {"range": 50, "destination": "x", "used": 49}},
            [("host.local_ports.high", "fail")],
        ),
        ({"overflows": {"total": 50, "rate": 3.0}}, [("host.backlog.full", "warn")]),
        (dict.fromkeys(counters()), [("host.network.unknown", "unknown")]),
    ],
)
def test_findings(changes, expected):
    found = probe.decide(CTX, counters(**changes))
    assert [(item["id"], item["status"]) for item in found] == expected
    assert all(item["advice"] for item in found if item["status"] in ("warn", "fail"))


def test_a_full_accept_queue_is_counted_for_real():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        clients = [socket.socket() for _number in range(6)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        before = network._overflows()
        for _attempt in range(20):
            found = network.measure(Deadline(5))
            if found["overflows"]["total"] > before:
                break
        for client in clients:
            client.close()
    assert found["overflows"]["total"] > before
    assert found["local_ports"]["range"] > 0
