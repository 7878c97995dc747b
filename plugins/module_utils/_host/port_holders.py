# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a port is held for: a process that listens may do so for a socket unit or a container.

The unit of such a process is systemd's or the engine's own: to stop it would stop all that they
serve. So what is named here is what can be stopped: the socket unit, the container, the process.
"""

from __future__ import annotations

import fnmatch
import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import process as processes
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._host import sockets, systemctl

#: Programs that listen for a container, and the units that they belong to.
_ENGINE_PROGRAMS = ("docker-proxy", "dockerd", "containerd*", "rootlessport", "conmon", "slirp4*")
_ENGINE_UNITS = ("docker.service", "containerd.service", "podman.service")
#: Units with processes of many: who logs in, jobs, what a supervisor runs.
_SHARED_UNITS = (
    "init.scope",
    "session-*.scope",
    "user@*.service",
    "ssh.service",
    "sshd.service",
    "ssh@*.service",
    "cron.service",
    "crond.service",
    "atd.service",
    "supervisor.service",
    "supervisord.service",
    "inetd.service",
    "xinetd.service",
    "openbsd-inetd.service",
    "machine-*.scope",
    "*.slice",
)
_PUBLISHED = re.compile(r":(\d+)(?:-(\d+))?->")
_SECONDS = 3


def owner(holder, port, deadline, own_container=None):
    """Return what a process holds a port for.

    Args:
        holder: as ``sockets.describe`` returns it.
        port: the port.
        deadline: a ``Deadline``; each command has a few seconds of it.
        own_container: the id of the container that this host is, or None.

    Returns:
        {"kind": socket, container, unit, user_unit or process, "name": of the unit or container,
        "triggers": the units that a socket starts, "engine": docker, podman or None, "error": why
        the name is not known, or None}.
    """
    found = {"kind": "process", "name": None, "triggers": [], "engine": None, "error": None}
    path = holder["cgroup"] or ""
    program = os.path.basename((holder["command"] or "").split(" ")[0]).rstrip(":")
    name = sockets.unit_of(path)
    container = sockets.container_of(path)
    if container and container != own_container:
        found.update(kind="container", name=container[:12], engine=_engine_of(path))
        return _named(found, container, deadline)
    if _matches(program, _ENGINE_PROGRAMS) or _matches(name, _ENGINE_UNITS):
        found.update(kind="container", engine=_engine_of("%s %s" % (program, name)))
        return _publisher(found, port, deadline)
    if holder["pid"] == 1 or program == "systemd" and name == "init.scope":
        return _socket(found, holder, port, deadline)
    if "/user@" in path and name and not _matches(name, _SHARED_UNITS):
        found.update(kind="user_unit", name=name)
    elif name and not _matches(name, _SHARED_UNITS):
        found.update(kind="unit", name=name)
    return found


def _matches(name, patterns):
    return bool(name) and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _engine_of(text):
    if "libpod" in text or "podman" in text or "conmon" in text or "rootless" in text:
        return "podman"
    return "docker" if "docker" in text else None


def _socket(found, holder, port, deadline):
    """Add the socket unit that systemd listens for."""
    if holder["pid"] != 1:
        return dict(found, error="it is of the systemd of user %s" % holder["user"])
    try:
        text = systemctl.run(
            "show",
            "*.socket",
            "--property=Id,Listen,Triggers,ActiveState",
            deadline=deadline.within(_SECONDS),
        )
    except systemctl.SystemctlError as error:
        return dict(found, error=str(error))
    for unit in listening_units(text, port):
        return dict(found, kind="socket", name=unit["Id"], triggers=unit["Triggers"].split())
    return found


def listening_units(text, port):
    """Return the properties of the socket units in the output of ``systemctl show`` that listen on
    a port (pure).
    """
    units = [systemctl.parse(block) for block in text.split("\n\n")]
    wanted = re.compile(r":%d \(Stream\)$" % port, re.M)
    return [
        dict({"Triggers": ""}, **unit)
        for unit in units
        if wanted.search(unit.get("Listen", ""))
        and unit.get("ActiveState") == "active"
        and "Id" in unit
    ]


def _named(found, container, deadline):
    """Add the name of a container whose id is known."""
    if not found["engine"]:
        return found
    argv = [found["engine"], "inspect", "--type", "container", "--format", "{{.Name}}", container]
    out, error = _output(argv, deadline)
    name = out.strip().lstrip("/")
    return dict(found, name=name or found["name"], error=None if name else error)


def _publisher(found, port, deadline):
    """Add the container that publishes a port."""
    error = None
    for engine in (found["engine"],) if found["engine"] else ("docker", "podman"):
        out, error = _output(
            [engine, "ps", "--no-trunc", "--format", "{{.ID}}\t{{.Names}}\t{{.Ports}}"], deadline
        )
        name = publisher(out, port)
        if name:
            return dict(found, name=name, engine=engine)
    return dict(found, error=error or "the engine shows no container that publishes it")


def publisher(text, port):
    """Return the name of the container in the output of ``ps`` that publishes a port (pure)."""
    for line in text.splitlines():
        _id, _tab, rest = line.partition("\t")
        name, _tab, ports = rest.partition("\t")
        for first, last in _PUBLISHED.findall(ports):
            if int(first) <= port <= int(last or first):
                return name
    return None


def _output(argv, deadline):
    try:
        status, out, err = processes.run(argv, deadline.within(_SECONDS))
    except (processes.CommandMissing, DeadlineExceeded) as error:
        return "", str(error)
    if status:
        return "", (err.strip().splitlines() or ["exit status %d" % status])[-1][:200]
    return out, None


def advice(holder, held):
    """Return what to stop, and how, as the beginning of a sentence (pure).

    Args:
        holder: the process.
        held: what ``owner`` returned.
    """
    name = held["name"]
    if held["kind"] == "container":
        engine = held["engine"] or "its engine"
        if name and held["engine"]:
            return "Stop the container %s (%s stop %s)" % (name, engine, name)
        if name:
            return "Stop the container %s" % name
        return "Find the container that publishes the port (%s ps) and stop it" % engine
    if held["kind"] == "socket":
        units = " ".join([name, *held["triggers"]])
        return "Disable the socket unit and what it starts (systemctl disable --now %s)" % units
    if held["kind"] == "unit":
        return "Stop %s" % name
    if held["kind"] == "user_unit":
        return "Have user %s stop %s (systemctl --user stop %s)" % (holder["user"], name, name)
    if holder["pid"] == 1:
        return "Find for what process 1 holds the port (systemctl list-sockets)"
    return "End process %d" % holder["pid"]
