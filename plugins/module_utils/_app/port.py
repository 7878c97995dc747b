# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes the app's port back from what holds it in its place, or finds another one for the app.

Who holds it is looked up again before anything is done: a finding is minutes old, and a pid is
given to another process some day. What may be ended is decided in ``judge``, which is pure.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import signal
import time
from typing import List, NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._app import unit as app_unit
from ansible_collections.sergas.ops.plugins.module_utils._app.unit import AppError
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_endpoint,
    port_holders,
    sockets,
    systemctl,
)

#: Programs that are never ended, whatever port they hold: the way in, the database, and what other
#: services and containers depend on.
PROTECTED_PROGRAMS = (
    "systemd*",
    "init",
    "sshd*",
    "ssh",
    "postgres",
    "postmaster",
    "redis-server",
    "valkey-server",
    "dbus-*",
    "dockerd",
    "docker-proxy",
    "containerd*",
    "conmon",
    "kubelet",
)
PROTECTED_UNITS = (
    "ssh.s*",
    "ssh@*",
    "sshd*",
    "postgresql*",
    "redis*",
    "valkey*",
    "systemd-*",
    "init.scope",
    "dbus*",
    "docker*",
    "containerd*",
    "kubelet*",
    "user@*",
)
#: between two checks of a process that is to end, in seconds
_PAUSE = 0.1


class Holder(NamedTuple):
    """A process that holds the port, and the unit that it is all of, if there is one."""

    pid: int
    #: in seconds since the machine's boot
    started: Optional[float]
    user: Optional[str]
    command: str
    #: a service of systemd's own that this process belongs to; None where stopping one would stop
    #: something else
    unit: Optional[str]
    #: left over from an earlier run of the app
    leftover: bool
    #: whether this run itself came through it (the login, sudo)
    ancestor: bool

    def program(self):
        """Return the name of the program."""
        return os.path.basename((self.command or "?").split(" ")[0]).rstrip(":")

    def shown(self):
        """Return who it is, for a message."""
        return "%s (pid %d, user %s, %s)" % (
            self.program(),
            self.pid,
            self.user,
            self.unit or "no unit",
        )


class Verdict(NamedTuple):
    """Whether a holder may be ended, how (its unit or its process), or why not."""

    how: Optional[str]
    refused: Optional[str]


def judge(holder, expected, allowed, approved):
    """Return the ``Verdict`` on a holder. Pure.

    Args:
        holder: ``Holder``, as it is now.
        expected: {pid, started, unit, command} that the finding named, each None where not known;
            {} where there is no finding.
        allowed: patterns of units and programs that may be ended.
        approved: whether a person has approved that this holder is ended.
    """
    program = holder.program()
    # What a socket unit has is held by systemd, and the unit is what is stopped.
    is_socket = bool(holder.unit) and holder.unit.endswith(".socket")
    if not is_socket and (
        holder.pid == 1 or holder.ancestor or _matches(program, PROTECTED_PROGRAMS)
    ):
        return Verdict(None, "%s is never ended" % program)
    if _matches(holder.unit, PROTECTED_UNITS):
        return Verdict(None, "%s is never stopped" % holder.unit)
    other = _other(holder, expected)
    if other:
        return Verdict(None, other)
    if holder.leftover:
        return Verdict("process", None)
    if not (approved or _matches(holder.unit, allowed) or _matches(program, allowed)):
        return Verdict(
            None,
            "%s is not in the option allowed (sergas_app_port_holders_allowed of role app): add it"
            " there, or approve it" % (holder.unit or program),
        )
    return Verdict("unit" if holder.unit else "process", None)


def _matches(name, patterns):
    return bool(name) and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns or ())


def _other(holder, expected):
    """Return why a holder is not the one that the finding named, or None."""
    if not expected or not expected.get("pid"):
        return None
    if holder.unit and holder.unit in (expected.get("unit"), *(expected.get("triggers") or ())):
        # Whatever process of it holds the port today, the unit is what is stopped; a socket unit
        # hands the port to the units that it starts.
        return None
    same = holder.pid == expected["pid"]
    for name in ("started", "command"):
        known = expected.get(name)
        if known is not None and known != getattr(holder, name):
            same = False
    if same:
        return None
    return (
        "it is not what held the port when that was found (pid %s): diagnose again"
        % (expected["pid"])
    )


def free(taken, candidates):
    """Return the first candidate that no process listens on, or None. Pure.

    Args:
        taken: the ports that are listened on.
        candidates: ports, the preferred ones first.
    """
    return next((port for port in candidates if port not in taken), None)


def run(params, check_mode):
    """Do what the options of ``sergas.ops.app_port`` say and return its result.

    Raises:
        AppError: a holder may not be ended, or does not end; or no port is free to move to.
    """
    app = app_unit.read(params["service"], params["app_dir"], params["env_file"], params["port"])
    found = holders(app)
    result = {
        "changed": False,
        "port": app.port,
        "holders": [
            {"pid": one.pid, "user": one.user, "command": one.command, "unit": one.unit}
            for one in found
        ],
        "ended": [],
        "move_to": None,
        "warnings": [],
    }
    if not found:
        return result
    if params["policy"] == "move":
        result["move_to"] = _other_port(app, params["candidates"])
        return result
    chosen = []
    for holder in found:
        verdict = judge(holder, params["holder"], params["allowed"], params["approved"])
        if verdict.refused:
            raise AppError(
                "Port %d is held by %s: %s" % (app.port, holder.shown(), verdict.refused)
            )
        chosen.append((holder, verdict.how))
    units = sorted({holder.unit for holder, how in chosen if how == "unit"})
    lone = [holder for holder, how in chosen if how == "process"]
    result["changed"] = True
    result["ended"] = units + [holder.shown() for holder in lone]
    result["diff"] = {
        "before_header": "port %d" % app.port,
        "after_header": "port %d" % app.port,
        "before": "".join("held by %s\n" % name for name in result["ended"]),
        "after": "free\n",
    }
    for name in units:
        if app_unit.show(name).get("UnitFileState") in ("enabled", "enabled-runtime"):
            result["warnings"].append(
                "%s is enabled: it takes the port again at the next boot, if it is not disabled"
                % name
            )
    if not check_mode:
        # A socket first: it starts its service again with the next connection.
        for name in sorted(units, key=lambda name: (not name.endswith(".socket"), name)):
            systemctl.run("stop", name)
        for holder in lone:
            end(holder, params["wait"])
        _confirm(app, params["wait"])
    return result


def _other_port(app, candidates):
    if not _from_environment(app):
        raise AppError(
            "%s is given its port by its own command line, not by API_PORT: it cannot be moved"
            " by the .env" % app.service
        )
    taken = listening()
    port = free(taken, [port for port in candidates if port != app.port])
    if port is None:
        raise AppError("none of the ports to move to is free: %s" % _span(candidates))
    return port


def _from_environment(app):
    return app.settings.get("API_PORT") == str(app.port)


def _span(candidates):
    return ", ".join(str(port) for port in candidates[:20]) or "none is given"


def listening():
    """Return the set of the TCP ports that something on this host listens on."""
    found = set()
    for name in ("tcp", "tcp6"):
        try:
            with open("/proc/net/" + name, encoding="ascii") as table:
                lines = table.read().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 3 and sockets.STATES.get(fields[3]) == "LISTEN":
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def holders(app):
    """Return the ``Holder`` of each process that holds the app's port and is not the app's.

    Raises:
        AppError: a holder cannot be seen.
    """
    seen = sockets.seen(app.port, app.properties, time.time()).value
    hidden = [listener for listener in seen["listeners"] if not listener["holders"]]
    if hidden:
        raise AppError(
            "Port %d is held by a process of %s that cannot be seen: become root"
            % (app.port, sockets.user_name(hidden[0]["uid"]))
        )
    above = _ancestors(os.getpid())
    wanted = app_endpoint.configured(app.properties, app.settings).host
    found: List[Holder] = []
    for listener in seen["listeners"]:
        for one in listener["holders"]:
            relation = sockets.belongs(one, app.properties, app.app_dir, seen["container"])
            one["owner"] = _held(one, relation, app, seen["container"])
    for listener, _first, _relation in sockets.rivals(seen, app.properties, app.app_dir, wanted):
        for one in listener["holders"]:
            relation = sockets.relation(one, app.properties, app.app_dir, seen["container"])
            held = one["owner"]
            if relation != "own" and one["pid"] not in [other.pid for other in found]:
                found.append(
                    Holder(
                        pid=one["pid"],
                        started=one["started"],
                        user=one["user"],
                        command=one["command"],
                        unit=held["name"]
                        if held["kind"] == "socket"
                        else _whole_unit(one, seen["container"]),
                        leftover=relation == "leftover",
                        ancestor=one["pid"] in above,
                    )
                )
    return found


def _held(one, relation, app, container):
    if relation != "foreign":
        return {"kind": "unit", "name": None, "triggers": []}
    return port_holders.owner(one, app.port, Deadline(10), container)


def _whole_unit(one, container):
    """Return the service of this host's systemd that a process belongs to, or None.

    The name alone does not tell: a person's own systemd and a container have units, too.
    """
    name = sockets.unit_of(one["cgroup"])
    inside = sockets.container_of(one["cgroup"])
    if not name or not name.endswith(".service") or inside not in (None, container):
        return None
    group = app_unit.show(name).get("ControlGroup")
    path = one["cgroup"]
    return name if group and (path == group or path.startswith(group + "/")) else None


def _ancestors(pid):
    found = []
    while pid and pid not in found:
        found.append(pid)
        pid = sockets.describe(pid)["parent"]
    return found


def end(holder, wait):
    """End a process: TERM, and after ``wait`` seconds KILL.

    Raises:
        AppError: it is still there after that.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _same(holder):
            return
        try:
            os.kill(holder.pid, number)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return
            raise AppError("%s cannot be ended: %s" % (holder.shown(), error.strerror))
        until = time.monotonic() + wait
        while time.monotonic() < until:
            if not _same(holder):
                return
            time.sleep(_PAUSE)
    raise AppError("%s does not end, not even by KILL" % holder.shown())


def _same(holder):
    """Return whether the process is still there, and still the same one."""
    now = sockets.describe(holder.pid)
    return now["started"] is not None and now["started"] == holder.started and not _dead(holder.pid)


def _dead(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as source:
            return source.read().rpartition(")")[2].split()[0] in ("Z", "X")
    except (OSError, IndexError):
        return True


def _confirm(app, wait):
    """Raise ``AppError`` if another process holds the port all the time that is waited."""
    until = time.monotonic() + wait
    while True:
        left = holders(app._replace(properties=app_unit.show(app.service)))
        if not left:
            return
        if time.monotonic() >= until:
            raise AppError(
                "Port %d is held again, by %s: find what starts it" % (app.port, left[0].shown())
            )
        time.sleep(_PAUSE)
