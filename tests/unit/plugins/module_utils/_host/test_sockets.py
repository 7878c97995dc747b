# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
import struct

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import diagnosis
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._health.checks import CHECKS, PROBES
from ansible_collections.sergas.ops.plugins.module_utils._host import sock_diag, sockets, unit

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
LISTENS = (
    "   0: 00000000:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 %s"
    " 1 0 100 0 0 10 0\n"
)
UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 22533 /run/systemd/private
0000000000000000: 00000002 00000000 00010000 0001 01 99213 /srv/with a space/.s.PGSQL.5432
0000000000000000: 00000003 00000000 00000000 0001 03 99300 /srv/with a space/.s.PGSQL.5432
0000000000000000: 00000002 00000000 00010000 0001 01 99214 /srv/two/.s.PGSQL.54321
0000000000000000: 00000002 00000000 00010000 0001 01 99215 @/srv/abstract/.s.PGSQL.5433
0000000000000000: 00000002 00000000 00010000 0001 01 99216 /tmp/pymp-x1/listener-y
0000000000000000: 00000002 00000000 00010000 0001 01 99217 /home/sergas/.gunicorn/gunicorn.ctl
0000000000000000: 00000003 00000000 00000000 0001 03 22534
"""


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Return a function that writes tables of the kernel, which are read then."""
    monkeypatch.setattr(sockets, "_NETWORK", str(tmp_path))

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / name).write_text(text)

    return write


def test_sockets_in_unusual_directories(tables):
    tables(unix=UNIX)
    assert sockets.postgresql_sockets(5432) == ["/srv/with a space"]
    assert sockets.postgresql_sockets(5433) == []


def test_the_ports_of_the_servers_are_without_those_of_poolers(tables, monkeypatch):
    tables(unix=UNIX)
    assert sockets.postgresql_ports() == {5432, 54321}
    monkeypatch.setattr(sockets, "_held", lambda pids: {"99214"})
    assert sockets.postgresql_ports() == {5432}


def test_what_listens_on_a_unix_socket(tables, monkeypatch):
    tables(unix=UNIX, tcp=HEAD + LISTENS % (8000, 7) + LISTENS % (9000, 8))
    monkeypatch.setattr(sockets, "_held", lambda pids: {"22533", "99216", "99217", "99300", "7"})
    # Neither a connection, nor what Python's own workers use, is one.
    assert sockets.listening([1]) == ([("0.0.0.0", 8000)], ["/run/systemd/private"])


@pytest.mark.parametrize("text", [None, ""])
def test_a_table_that_is_not_there_is_not_a_port_that_is_closed(tables, text):
    if text is not None:
        tables(tcp=text)
    with pytest.raises(Unmeasurable, match="/tcp "):
        sockets.table(8000)


def test_a_machine_without_ipv6_has_no_table_of_it(tables):
    tables(tcp=HEAD)
    assert sockets.table(8000) == ([], {}, {})
    tables(if_inet6="")
    with pytest.raises(Unmeasurable, match="/tcp6 "):
        sockets.table(8000)


def decided(check, listeners, gaps, context):
    observation = diagnosis.Observation()
    observation.gaps = gaps
    observation.value = {
        "port": 8000,
        "socket": None,
        "listeners": listeners,
        "states": {},
        "root": True,
        "container": None,
        "running_since": None,
    }
    probes = {"sockets": observation}
    return diagnosis.decide("x", CHECKS[check], PROBES, context(), probes)[0]


def test_lines_that_cannot_be_read_leave_open_what_they_say(tables, context):
    tables(tcp=HEAD + "   0: garbage\n")
    listeners, _states, gaps = sockets.table(8000)
    assert list(gaps) == ["table"]
    item = decided("connections", listeners, gaps, context)
    assert (item["id"], item["reason"]) == ("app.connections.unknown", "gap:sockets.table")
    assert decided("connections", listeners, {}, context)["status"] == "ok"


def test_a_listener_without_a_visible_owner_is_a_gap(tables):
    tables(tcp=HEAD + LISTENS % (8000, 999999999999))
    (listener,), _states, gaps = sockets.table(8000)
    assert listener["holders"] == [] and list(gaps) == ["owners"]
    assert "port 8000" in gaps["owners"]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("only", [0, 1])
def test_a_socket_for_ipv6_only_is_distinguished_from_one_for_both(only):
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        listener.bind(("::", 0))
        listener.listen()
        found = sockets.table(listener.getsockname()[1], [os.getpid()])[0]
    assert [item["v6only"] for item in found] == [bool(only)]


def message(inode, attributes=b"", kind=20):
    body = bytes(68) + struct.pack("=I", inode) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def test_the_answer_of_the_kernel():
    yes, no = (struct.pack("=HHB3x", 5, 11, flag) for flag in (1, 0))
    other = struct.pack("=HHI", 8, 2, 7)
    data = message(7, other + yes) + message(8, other + no) + message(9)
    assert sock_diag.parse(data) == (True, {"7"})
    assert sock_diag.parse(data + message(0, kind=3)) == (False, {"7"})
    with pytest.raises(OSError):
        sock_diag.parse(message(0, kind=2))
    # An attribute of no length is no reason to read for ever.
    assert sock_diag.parse(message(7, bytes(8)))[0]


def test_a_worker_whose_parent_has_ended_is_of_the_unit(tmp_path, monkeypatch):
    group = tmp_path / "system.slice" / "app.service" / "workers"
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("41\n42\n")
    (group.parent / "cgroup.procs").write_text("40\n")
    monkeypatch.setattr(unit, "_CGROUPS", [str(tmp_path)])
    found = unit.members({"ControlGroup": "/system.slice/app.service", "MainPID": "40"})
    assert found[0] == 40 and sorted(found) == [40, 41, 42]
    assert unit.members({"ControlGroup": "", "MainPID": "0"}) == []


def test_the_processes_of_a_program():
    with open("/proc/self/comm") as source:
        name = source.read().strip()
    assert os.getpid() in sockets.pids_of([name])
    assert sockets.pids_of(["no such program"]) == []
