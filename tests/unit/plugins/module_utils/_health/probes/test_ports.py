# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import process as processes
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import ports
from ansible_collections.sergas.ops.plugins.module_utils._host import app_endpoint, port_holders
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


def owned(holder, container):
    """Return a process with what it holds the port for; no command is run for these."""
    held = port_holders.owner(holder, 8000, Deadline(1), container)
    return dict(holder, owner=held, advice=port_holders.advice(holder, held))


def sockets(*holders, states=None, container=None, root=True, address="0.0.0.0"):
    listeners = (
        [
            {
                "address": address,
                "uid": 1001,
                "inode": "7",
                "v6only": None,
                "holders": [owned(item, container) for item in holders],
            }
        ]
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


def held_by_systemd(*others, triggers=()):
    held = {"kind": "socket", "name": "x.socket", "triggers": list(triggers), "error": None}
    seen = sockets(OTHER)
    systemd = dict(ON_PID_1, owner=held, advice="Disable the socket unit")
    seen["listeners"][0]["holders"] = [systemd, *others]
    return seen


def test_a_socket_that_systemd_has_passed_on_is_the_apps(context):
    (item,) = ports.decide_port(context(RUNNING), held_by_systemd(process()))
    assert (item["id"], item["evidence"]["pid"]) == ("app.port.ok", 10)


def test_a_socket_that_systemd_listens_on_for_the_app_is_no_conflict(context):
    mine = held_by_systemd(triggers=["sergas-app.service"])
    (item,) = ports.decide_port(context(DEAD), mine)
    assert item["id"] == "app.port.ok"
    (item,) = ports.decide_port(context(DEAD), held_by_systemd(triggers=["legacy.service"]))
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


ENGINE = {
    "docker ps": "a\tdb\t5432/tcp\nb\toldweb\t0.0.0.0:8000->80/tcp, :::8000->80/tcp\n",
    "docker inspect": "/oldweb\n",
    "podman ps": "c\tweb\t0.0.0.0:7990-8010->7990-8010/tcp\n",
}
SOCKETS = """Listen=/run/dbus/system_bus_socket (Stream)
Id=dbus.socket
Triggers=dbus.service
ActiveState=active

Listen=0.0.0.0:9000 (Stream)
Listen=[::]:8000 (Stream)
Id=%s.socket
Triggers=%s.service
ActiveState=active

Listen=[::]:8000 (Stream)
Id=stopped.socket
Triggers=stopped.service
ActiveState=inactive
"""


class TestHolders:
    """Who holds the port for whom: never the daemon that all others depend on."""

    @pytest.fixture(autouse=True)
    def commands(self, monkeypatch):
        self.answers = dict(ENGINE)

        def run(argv, _deadline):
            answer = self.answers.get(" ".join(argv[:2]))
            if isinstance(answer, Exception):
                raise answer
            if answer is None:
                raise processes.CommandMissing("%s is not installed" % argv[0])
            return 0, answer, ""

        monkeypatch.setattr(processes, "run", run)

    def conflict(self, context, holder, unit=None):
        return ports.decide_port(context(unit or DEAD), sockets(holder))[0]

    def systemd(self):
        return process(
            1, cgroup="/init.scope", user="root", command="/lib/systemd/systemd --system"
        )

    def test_a_socket_unit(self, context):
        self.answers["systemctl show"] = SOCKETS % ("legacy", "legacy")
        item = self.conflict(context, self.systemd())
        assert item["reason"] == "socket"
        assert item["evidence"]["unit"] == "legacy.socket"
        assert item["remedy"] == "free_port"
        assert "legacy.socket" in item["summary"]
        assert "systemctl disable --now legacy.socket legacy.service" in item["advice"]
        assert "init.scope" not in item["summary"] + item["advice"]

    def test_the_app_s_own_socket_unit_is_no_conflict(self, context):
        self.answers["systemctl show"] = SOCKETS % ("sergas-app", "sergas-app")
        item = self.conflict(context, self.systemd(), RUNNING)
        assert (item["id"], item["status"]) == ("app.port.ok", "ok")

    @pytest.mark.parametrize("answer", [None, DeadlineExceeded("no answer in time"), "rubbish"])
    def test_a_socket_unit_that_cannot_be_named(self, context, answer):
        self.answers["systemctl show"] = answer
        item = self.conflict(context, self.systemd())
        assert (item["id"], item["reason"], item["remedy"]) == (
            "app.port.conflict",
            "process",
            None,
        )
        assert "list-sockets" in item["advice"]
        assert "Stop" not in item["advice"] and "End" not in item["advice"]

    @pytest.mark.parametrize(
        ("cgroup", "command", "name"),
        [
            ("/system.slice/docker.service", "/usr/bin/docker-proxy -proto tcp", "oldweb"),
            ("/system.slice/docker.service", "/usr/sbin/dockerd -H fd://", "oldweb"),
            ("/docker/%s" % ("d" * 64), "nginx: master", "oldweb"),
            ("/system.slice/docker-%s.scope" % ("d" * 64), "nginx: master", "oldweb"),
            ("/machine.slice/libpod-conmon-%s.scope" % ("e" * 64), "/usr/bin/conmon -c", "e" * 12),
            ("/user.slice/user-1000.slice/user@1000.service/x.scope", "rootlessport", "web"),
        ],
    )
    def test_a_container(self, context, cgroup, command, name):
        item = self.conflict(context, process(99, cgroup=cgroup, user="root", command=command))
        assert (item["reason"], item["remedy"]) == ("container", None)
        assert item["evidence"]["container"] == name
        assert item["evidence"]["unit"] is None
        assert name in item["summary"] and "docker.service" not in item["summary"]
        assert " stop " + name in item["advice"] and "docker.service" not in item["advice"]

    def test_a_container_that_cannot_be_named(self, context):
        self.answers = {"docker ps": DeadlineExceeded("no answer in time from docker")}
        command = "/usr/bin/docker-proxy -proto tcp"
        holder = process(99, cgroup="/system.slice/docker.service", user="root", command=command)
        item = self.conflict(context, holder)
        assert item["reason"] == "container"
        assert item["evidence"]["not_known"] == "no answer in time from docker"
        assert "docker ps" in item["advice"] and "docker.service" not in item["advice"]

    @pytest.mark.parametrize(
        "cgroup",
        [
            "/user.slice/user-0.slice/session-3.scope",
            "/system.slice/cron.service",
            "/system.slice/supervisor.service",
            "/system.slice/ssh.service",
        ],
    )
    def test_a_process_of_a_unit_of_many(self, context, cgroup):
        holder = process(99, cgroup=cgroup, user="root", command="/usr/bin/python3 x.py")
        item = self.conflict(context, holder)
        assert (item["reason"], item["evidence"]["unit"]) == ("process", None)
        assert item["advice"].startswith("End process 99")

    def test_a_unit_of_a_user(self, context):
        cgroup = "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service"
        item = self.conflict(context, process(99, cgroup=cgroup, user="eve"))
        assert item["reason"] == "user_unit"
        assert "systemctl --user stop web.service" in item["advice"]

    def test_the_app_run_a_second_time(self, context):
        command = context(DEAD).app_dir + "/venv/bin/python uvicorn src.main:app"
        holder = process(99, cgroup="/system.slice/sergas-old.service", command=command)
        item = self.conflict(context, holder)
        assert (item["reason"], item["evidence"]["unit"]) == ("same_app", "sergas-old.service")
        assert "the app itself" in item["summary"]


def test_without_a_kernel_table_it_is_not_known_who_listens(monkeypatch):
    def absent(*_args, **_kwargs):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", absent)
    with pytest.raises(Unmeasurable):
        host_sockets.read(8000)
