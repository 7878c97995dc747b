# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import ports
from ansible_collections.sergas.ops.plugins.module_utils._host import app_endpoint
from ansible_collections.sergas.ops.plugins.module_utils._host import sockets as host_sockets

APP = "/system.slice/sergas-app.service"


def process(pid=10, parent=1, cgroup=APP, **more):
    known = {
        "pid": pid,
        "parent": parent,
        "user": "sergas",
        "command": "uvicorn src.main:app",
        "cgroup": cgroup,
    }
    return dict({"started": 100.0, "cwd": "/"}, **dict(known, **more))


def sockets(*holders, states=None, container=None, root=True, address="0.0.0.0"):
    listeners = (
        [{"address": address, "uid": 1001, "inode": "7", "v6only": None, "holders": list(holders)}]
        if holders != (None,)
        else []
    )
    return {
        "port": 8000,
        "socket": None,
        "listeners": listeners,
        "states": states or {},
        "root": root,
        "container": container,
        "running_since": None,
    }


RUNNING = {
    "Id": "sergas-app.service",
    "ActiveState": "active",
    "SubState": "running",
    "MainPID": "10",
    "ControlGroup": APP,
}
DEAD = dict(
    RUNNING,
    ActiveState="failed",
    SubState="failed",
    MainPID="0",
    ControlGroup="",
    ExecMainExitTimestampMonotonic="500000000",
)


def test_a_captured_table_of_the_kernel(proc):
    listeners, states = host_sockets.parse(proc("tcp").splitlines(), 8000)
    assert [(item["address"], item["uid"], item["inode"]) for item in listeners] == [
        ("0.0.0.0", 1001, "735876")
    ]
    assert states == {"ESTABLISHED": 3}  # those of the client's side have another local port


def test_another_port_that_only_looks_alike(proc):
    line = (
        "   0: 0100007F:9C40 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0"
        " 1 1 0 20 4 0 10 -1"
    )
    assert host_sockets.parse([line], 8000) == ([], {})


def test_an_address_of_ipv6():
    line = (
        "  0: 00000000000000000000000001000000:1F40 00000000000000000000000000000000:0000 0A 0:0"
        " 0:0 0 1001 0 9 1 0 1 0"
    )
    listeners, _states = host_sockets.parse([line], 8000)
    assert listeners[0]["address"] == "::1"


def test_lines_that_are_no_sockets():
    assert host_sockets.parse(["", "  sl  local_address rem_address", "x :1F40 "], 8000) == ([], {})


@pytest.mark.parametrize("name", ["cgroup", "cgroup_bullseye"])
def test_the_cgroup_of_a_machine_with_both_versions(proc, name):
    path = host_sockets.cgroup(proc(name))
    assert host_sockets.unit_of(path) == "sergas-app.service"
    assert len(host_sockets.container_of(path)) == 64


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/sergas-app.service\n", "sergas-app.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n", "x.service"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope"),
        (
            "12:pids:/system.slice/a.service\n1:name=systemd:/system.slice/b.service\n0::/\n",
            "b.service",
        ),
        ("1:name=systemd:/\n0::/system.slice/c.service\n", "c.service"),
        ("0::/\n", None),
        ("", None),
    ],
)
def test_the_unit_of_a_process(text, unit):
    assert host_sockets.unit_of(host_sockets.cgroup(text)) == unit


def test_secrets_of_a_command_line_are_hidden():
    shown = host_sockets.command(
        "app\0--db-password\0hunter2hunter2\0--token=abcdef123\0postgres://u:secretpw@h/d\0"
    )
    assert "hunter2" not in shown
    assert "abcdef123" not in shown
    assert "secretpw" not in shown
    assert shown.startswith("app --db-password")


def test_a_long_command_line_is_cut():
    assert len(host_sockets.command("x" * 5000)) == 160


def test_the_port_is_the_apps_own(context):
    (item,) = ports.decide_port(context(RUNNING), sockets(process(), process(11, parent=10)))
    assert (item["id"], item["status"]) == ("app.port.ok", "ok")
    assert item["evidence"]["processes"] == 2


def test_a_worker_outside_the_cgroup_belongs_to_its_parent(context):
    (item,) = ports.decide_port(
        context(RUNNING), sockets(process(11, parent=10, cgroup="/user.slice/x.scope"))
    )
    assert item["id"] == "app.port.ok"


def test_another_unit_holds_the_port(context):
    holder = process(
        4711,
        cgroup="/system.slice/rogue.service",
        user="root",
        command="/usr/bin/python3 -m http.server",
    )
    (item,) = ports.decide_port(context(DEAD), sockets(holder))
    assert (item["id"], item["status"], item["remedy"]) == (
        "app.port.conflict",
        "fail",
        "free_port",
    )
    assert (
        item["summary"]
        == "Port 8000 is held by python3 (pid 4711, user root, unit rogue.service), so"
        " sergas-app.service cannot bind it"
    )
    assert item["evidence"]["unit"] == "rogue.service"


def test_a_foreign_listener_beside_the_apps_own_is_a_conflict(context):
    seen = sockets(process())
    seen["listeners"] += sockets(
        process(9, cgroup="/system.slice/other.service"), address="127.0.0.1"
    )["listeners"]
    (item,) = ports.decide_port(context(RUNNING), seen)
    assert (item["id"], item["evidence"]["pid"]) == ("app.port.conflict", 9)


OTHER = process(9, cgroup="/system.slice/other.service")
ON_PID_1 = process(1, parent=0, cgroup="/init.scope", user="root", command="/sbin/init")


def side_by_side(mine, others, v6only=None):
    seen = sockets(process(), address=mine)
    seen["listeners"] += sockets(OTHER, address=others)["listeners"]
    seen["listeners"][1]["v6only"] = v6only
    return seen


@pytest.mark.parametrize(
    ("mine", "others", "id"),
    [
        # That both listen says that one of them is for IPv6 only.
        ("0.0.0.0", "::", "app.port.ok"),
        ("::", "0.0.0.0", "app.port.ok"),
        ("10.0.0.5", "::1", "app.port.ok"),
        ("10.0.0.5", "127.0.0.1", "app.port.ok"),
        ("10.0.0.5", "0.0.0.0", "app.port.conflict"),
        ("0.0.0.0", "10.0.0.5", "app.port.conflict"),
        ("::", "::1", "app.port.conflict"),
    ],
)
def test_what_listens_beside_the_app_is_a_conflict_where_it_takes_its_address(
    context, mine, others, id
):
    (item,) = ports.decide_port(context(RUNNING), side_by_side(mine, others))
    assert item["id"] == id


@pytest.mark.parametrize(
    ("address", "v6only", "host", "id"),
    [
        ("::", True, "127.0.0.1", "app.port.closed"),
        ("::", False, "127.0.0.1", "app.port.conflict"),
        ("::", None, "127.0.0.1", "app.port.conflict"),
        ("::1", True, "127.0.0.1", "app.port.closed"),
        ("0.0.0.0", None, "127.0.0.1", "app.port.conflict"),
        ("0.0.0.0", None, "::1", "app.port.closed"),
        ("10.0.0.5", None, "10.0.0.6", "app.port.closed"),
    ],
)
def test_an_app_that_is_down_is_kept_from_its_address_or_not(context, address, v6only, host, id):
    ctx = context(DEAD)
    ctx.endpoint = ctx.endpoint._replace(host=host, own=False)
    seen = sockets(OTHER, address=address)
    seen["listeners"][0]["v6only"] = v6only
    (item,) = ports.decide_port(ctx, seen)
    assert item["id"] == id


def test_a_socket_that_systemd_has_passed_on_is_the_apps(context):
    (item,) = ports.decide_port(context(RUNNING), sockets(ON_PID_1, process()))
    assert (item["id"], item["evidence"]["pid"]) == ("app.port.ok", 10)


def test_a_socket_that_systemd_listens_on_for_the_app_is_no_conflict(context):
    waiting = dict(DEAD, TriggeredBy="sergas-app.socket")
    (item,) = ports.decide_port(context(waiting), sockets(ON_PID_1))
    assert item["id"] == "app.port.ok"
    (item,) = ports.decide_port(context(DEAD), sockets(ON_PID_1))
    assert item["id"] == "app.port.conflict"


@pytest.mark.parametrize(("own", "id"), [(True, "app.port.ok"), (False, "app.port.closed")])
def test_an_app_on_a_unix_socket(context, own, id):
    ctx = context(RUNNING)
    ctx.endpoint = app_endpoint.Endpoint(None, 8000, "/run/app.sock", "http", own)
    (item,) = ports.decide_port(ctx, dict(sockets(None), socket="/run/app.sock"))
    assert item["id"] == id and "/run/app.sock" in item["summary"]
    seen = dict(sockets(None, states={"ESTABLISHED": 3}), socket="/run/app.sock")
    (item,) = ports.decide_connections(ctx, seen)
    assert item["summary"].startswith("3 connections on /run/app.sock")


def test_the_same_unit_of_another_container_is_not_this_one(context):
    other = "/machine.slice/libpod-%s.scope%s" % ("a" * 64, APP)
    (item,) = ports.decide_port(context(RUNNING), sockets(process(9, cgroup=other)))
    assert item["id"] == "app.port.conflict"
    assert item["evidence"]["container"] == "a" * 12
    (item,) = ports.decide_port(context(DEAD), sockets(process(9, cgroup=other)))
    assert item["id"] == "app.port.conflict"


def test_what_an_earlier_run_left_over_holds_the_port(context):
    (item,) = ports.decide_port(context(DEAD), sockets(process(9, started=100.0)))
    assert item["id"] == "app.port.conflict"
    assert item["evidence"]["leftover"]


def test_a_run_that_began_after_the_unit_was_read_is_no_leftover(context):
    (item,) = ports.decide_port(context(DEAD), sockets(process(9, started=501.0)))
    assert item["id"] == "app.port.ok"


def test_in_a_container_the_units_own_process_is_recognised(context):
    own = "b" * 64
    seen = sockets(process(9, started=501.0, cgroup="/x/libpod-%s%s" % (own, APP)), container=own)
    (item,) = ports.decide_port(context(DEAD), seen)
    assert item["id"] == "app.port.ok"


def test_without_systemd_the_directory_tells_the_app(context):
    ctx = context({})
    ctx.endpoint = ctx.endpoint._replace(own=False)
    (item,) = ports.decide_port(ctx, sockets(process(cgroup="/", cwd=ctx.app_dir)))
    assert item["id"] == "app.port.ok"
    (item,) = ports.decide_port(ctx, sockets(process(cgroup="/", cwd="/srv")))
    assert item["id"] == "app.port.conflict"


def test_an_owner_that_cannot_be_seen_is_unknown(context):
    (item,) = ports.decide_port(context(RUNNING), sockets(root=False))
    assert (item["id"], item["status"], item["confidence"]) == (
        "app.port.unknown",
        "unknown",
        "blind",
    )
    assert "run with become" in item["summary"]


def test_no_one_listens(context):
    (item,) = ports.decide_port(context(DEAD), sockets(None))
    assert (item["id"], item["status"]) == ("app.port.closed", "fail")
    assert not item["evidence"]["starting"]


@pytest.mark.parametrize(("seconds", "starting"), [(1, True), (29, True), (31, False)])
def test_an_app_that_has_only_just_started_may_not_listen_yet(context, seconds, starting):
    ctx = context(RUNNING)
    (item,) = ports.decide_port(ctx, dict(sockets(None), running_since=ctx.now - seconds))
    assert (item["id"], item["evidence"]["starting"]) == ("app.port.closed", starting)


@pytest.mark.parametrize(
    ("states", "id", "status", "value"),
    [
        ({}, "app.connections.ok", "ok", 0),
        ({"ESTABLISHED": 499, "TIME_WAIT": 9000}, "app.connections.ok", "ok", 499),
        ({"ESTABLISHED": 500}, "app.connections.high", "warn", 500),
        ({"ESTABLISHED": 100, "CLOSE_WAIT": 900}, "app.connections.high", "fail", 1000),
    ],
)
def test_connections(context, states, id, status, value):
    (item,) = ports.decide_connections(context(RUNNING), sockets(process(), states=states))
    assert (item["id"], item["status"], item["value"]) == (id, status, value)
    assert item["evidence"]["states"] == states


def test_a_pile_of_connections_that_the_app_does_not_close_is_named(context):
    (item,) = ports.decide_connections(
        context(RUNNING), sockets(process(), states={"CLOSE_WAIT": 60})
    )
    assert item["status"] == "ok"
    assert "60 of them CLOSE_WAIT" in item["summary"]


def test_this_process_is_found_as_the_holder_of_its_socket():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with open("/proc/net/tcp") as table:
            found, _states = host_sockets.parse(table, listener.getsockname()[1])
        holders = host_sockets._holders({found[0]["inode"]}, [])
    assert [item["pid"] for item in holders[found[0]["inode"]]] == [os.getpid()]
