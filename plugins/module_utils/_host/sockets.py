# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who listens on a port and how many connections it has, from /proc alone."""

from __future__ import annotations

import os
import pwd
import re
import socket
import struct

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import (
    is_secret_name,
    redact,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

#: include/net/tcp_states.h
STATES = {
    "01": "ESTABLISHED",
    "02": "SYN_SENT",
    "03": "SYN_RECV",
    "04": "FIN_WAIT1",
    "05": "FIN_WAIT2",
    "06": "TIME_WAIT",
    "07": "CLOSE",
    "08": "CLOSE_WAIT",
    "09": "LAST_ACK",
    "0A": "LISTEN",
    "0B": "CLOSING",
}
_UNIT = re.compile(r"(?:^|/)([^/]+\.(?:service|scope|socket|mount))(?=/|$)")
_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope|/|$)")
_CONTAINER_FILE = re.compile(r"/(?:overlay-containers|vfs-containers|containers)/([0-9a-f]{64})/")
_COMMAND_LENGTH = 160


def observe(ctx):
    """Return the listeners of the app's port with their owners, and its connections by state.

    Raises:
        OSError: /proc cannot be read.
    """
    listeners, states = read(ctx.port, unit.processes(ctx.unit))
    return {
        "port": ctx.port,
        "listeners": listeners,
        "states": states,
        "root": os.geteuid() == 0,
        "container": own_container(),
        "running_since": (
            unit.since(ctx.unit, "ActiveEnterTimestamp", ctx.now)
            if unit.is_running(ctx.unit)
            else None
        ),
    }


def read(port, likely=()):
    """Return ([listener], {state: connections}) of a local port, as parse, with the ``holders`` of
    each listener.

    Args:
        port: the local port.
        likely: the pids to check first.

    Raises:
        OSError: /proc cannot be read.
    """
    listeners, states, tables = [], {}, 0
    for name in ("tcp", "tcp6"):
        try:
            with open("/proc/net/" + name, encoding="ascii") as table:
                found, counted = parse(table, port)
        except FileNotFoundError:
            continue  # a machine without IPv6
        tables += 1
        listeners += found
        for state, count in counted.items():
            states[state] = states.get(state, 0) + count
    if not tables:
        raise Unmeasurable("/proc/net has no table of TCP sockets")
    holders = _holders({listener["inode"] for listener in listeners}, likely)
    for listener in listeners:
        listener["holders"] = holders.get(listener["inode"], [])
    return listeners, states


def parse(lines, port):
    """Return ([listener], {state: connections}) of a table of /proc/net/tcp or tcp6 for a local
    port.

    A listener is {"address": text, "uid": number, "inode": text}.
    """
    wanted = ":%04X " % port
    listeners, states = [], {}
    for line in lines:
        if wanted not in line:
            continue
        fields = line.split()
        if len(fields) < 10 or not fields[1].endswith(wanted.strip()):
            continue
        state = STATES.get(fields[3], fields[3])
        if state == "LISTEN":
            address = _address(fields[1].partition(":")[0])
            listeners.append({"address": address, "uid": int(fields[7]), "inode": fields[9]})
        else:
            states[state] = states.get(state, 0) + 1
    return listeners, states


def _address(digits):
    """Return an address as people write it; the kernel prints words in the host's
    byte order.
    """
    words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
    packed = struct.pack("=%dI" % len(words), *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)


def _holders(inodes, likely):
    """Return {inode: [process, ...]}; the likely pids first, all others only if those are not
    all.
    """
    found = {}
    if not inodes:
        return found
    _inspect(inodes, likely, found)
    if set(found) != inodes:
        known = set(likely)
        others = sorted(
            int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in known
        )
        _inspect(inodes, others, found)
    return found


def _inspect(inodes, pids, found):
    wanted = {"socket:[%s]" % inode: inode for inode in inodes}
    for pid in pids:
        directory = "/proc/%d/fd" % pid
        try:
            handles = os.listdir(directory)
        except OSError:
            continue
        held = set()
        for handle in handles:
            try:
                target = os.readlink("%s/%s" % (directory, handle))
            except OSError:
                continue
            if target in wanted:
                held.add(wanted[target])
        if held:
            process = describe(pid)
            for inode in held:
                found.setdefault(inode, []).append(process)


def describe(pid):
    """Return what is known of a process: pid, parent, user, command without secrets, cgroup, age.

    started is in seconds since the machine's boot, like systemd's monotonic times.
    """
    process = {
        "pid": pid,
        "parent": None,
        "user": None,
        "command": None,
        "cgroup": None,
        "started": None,
        "cwd": None,
    }
    try:
        process["user"] = user_name(os.stat("/proc/%d" % pid).st_uid)
        process["cgroup"] = cgroup(_text(pid, "cgroup"))
        fields = _text(pid, "stat").rpartition(")")[2].split()
        process["parent"] = int(fields[1])
        process["started"] = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        process["command"] = command(_text(pid, "cmdline")) or "[%s]" % _text(pid, "comm").strip()
        process["cwd"] = os.readlink("/proc/%d/cwd" % pid)
    except (OSError, IndexError, ValueError):
        pass
    return process


def _text(pid, name):
    with open("/proc/%d/%s" % (pid, name), encoding="utf-8", errors="replace") as source:
        return source.read(65536)


def user_name(uid):
    """Return the name of a user, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def cgroup(text):
    """Return the path of systemd's hierarchy in a /proc/PID/cgroup of cgroup v1, v2 or both."""
    unified = named = None
    for line in text.splitlines():
        hierarchy, _sign, rest = line.partition(":")
        controllers, _sign, path = rest.partition(":")
        if controllers == "name=systemd":
            named = path
        elif hierarchy == "0" and not controllers:
            unified = path
    # On a machine with both, systemd keeps its units in the named one; the other one then has "/"
    # only.
    if named and named != "/":
        return named
    return unified or named


def own_container():
    """Return the id of the container that this host is, or None: podman and docker mount files into
    it.
    """
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            found = _CONTAINER_FILE.search(mounts.read(1024 * 1024))
    except OSError:
        return None
    return found.group(1) if found else None


def unit_of(path):
    """Return the innermost unit that a cgroup path names, or None."""
    found = _UNIT.findall(path or "")
    return found[-1] if found else None


def container_of(path):
    """Return the id of the innermost container that a cgroup path names, or None."""
    found = _CONTAINER.findall(path or "")
    return found[-1] if found else None


def command(arguments):
    """Return a NUL-separated command line as a short text without secrets."""
    shown, hide = [], False
    for argument in arguments.rstrip("\0").split("\0"):
        if hide:
            argument, hide = "********", False
        elif argument.startswith("-") and "=" not in argument and is_secret_name(argument):
            hide = True
        shown.append(argument)
    text = redact(" ".join(shown))
    return text if len(text) <= _COMMAND_LENGTH else text[: _COMMAND_LENGTH - 3] + "..."


def belongs(process, properties, app_dir, container=None):
    """Return ``own``, ``leftover`` or ``foreign``: what a process is to the app's unit.

    leftover: it is in the unit's cgroup, but from a run that systemd takes for ended.

    Args:
        process: as ``describe`` returns it.
        properties: those of the unit, {} where there is no systemd.
        app_dir: the directory of the app.
        container: the id of the container that this host is, or None.
    """
    path = process["cgroup"] or ""
    group = properties.get("ControlGroup") or ""
    main = unit.number(properties, "MainPID")
    if main and main in (process["pid"], process["parent"]):
        return "own"
    if group:
        mine = path == group or path.startswith(group + "/")
    elif properties:
        mine = unit_of(path) == properties.get("Id") and container_of(path) in (None, container)
    else:
        return "own" if process["cwd"] == app_dir else "foreign"
    if not mine:
        return "foreign"
    exited = unit.number(properties, "ExecMainExitTimestampMonotonic")
    if not main and exited and process["started"] is not None and process["started"] < exited / 1e6:
        return "leftover"
    return "own"
