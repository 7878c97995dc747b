# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who listens where, and how many connections a port has, from /proc and the kernel."""

from __future__ import annotations

import os
import pwd
import re
import socket
import struct

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observed
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import (
    is_secret_name,
    redact,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import sock_diag, unit

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
#: A process opens what it listens on at its start, so it is among its first files. One that leaks
#: files has a million of them.
_FIRST_FILES = 1024
#: SO_ACCEPTCON in the flags of /proc/net/unix, and the state of a connection there
_ACCEPTS = 0x10000
_CONNECTED = "03"
#: Sockets of Python's own workers and of what controls gunicorn, which serve no client.
_INTERNAL = re.compile(r"/pymp-[^/]+/|\.ctl\Z")
_NETWORK = "/proc/net"
_POSTGRESQL = re.compile(r"/\.s\.PGSQL\.([0-9]{1,5})\Z")
_POOLERS = ("pgbouncer", "odyssey", "pgcat", "pgpool")


def observe(ctx):
    """Return the listeners of the app's port with their owners, and its connections by state.

    An app that listens on a Unix socket (``ctx.endpoint``) has ``socket``, the path, and its
    connections are those of the socket.

    Raises:
        Unmeasurable: the tables of the kernel cannot be read.
    """
    return seen(ctx.port, ctx.unit, ctx.now, ctx.endpoint.socket)


def seen(port, properties, now, path=None):
    """Return ``Observed`` with what ``observe`` does.

    Args:
        port: the app's port.
        properties: those of its unit.
        now: in seconds since the epoch.
        path: the Unix socket that it listens on, or None.
    """
    listeners, states, gaps = table(port, unit.members(properties))
    if path:
        states = _unix_states(path)
    value = {
        "port": port,
        "socket": path,
        "listeners": listeners,
        "states": states,
        "root": os.geteuid() == 0,
        "container": own_container(),
        "running_since": (
            unit.since(properties, "ActiveEnterTimestamp", now)
            if unit.is_running(properties)
            else None
        ),
    }
    return Observed(value, gaps)


def read(port, likely=()):
    """Return ([listener], {state: connections}) of a local port, as ``table``.

    Raises:
        Unmeasurable: the tables of the kernel cannot be read.
    """
    return table(port, likely)[:2]


def table(port, likely=()):
    """Return ([listener], {state: connections}, {aspect: what was not seen}) of a local port, each
    listener as ``parse`` and with its ``holders`` and ``v6only``, which is None where not known.

    Args:
        port: the local port.
        likely: the pids to check first.

    Raises:
        Unmeasurable: the tables of the kernel cannot be read.
    """
    listeners, states, gaps = [], {}, {}
    for name, lines in _tables():
        broken = sum(1 for line in lines if line.count(":") < _COLONS)
        if broken:
            gaps["table"] = "%d lines of %s/%s cannot be read" % (broken, _NETWORK, name)
        found, counted = parse(lines, port)
        listeners += found
        for state, count in counted.items():
            states[state] = states.get(state, 0) + count
    holders = _holders({listener["inode"] for listener in listeners}, likely)
    wildcard = any(listener["address"] == "::" for listener in listeners)
    only = sock_diag.ipv6_only() if wildcard else None
    for listener in listeners:
        listener["holders"] = holders.get(listener["inode"], [])
        listener["v6only"] = (
            ":" in listener["address"]
            if listener["address"] != "::"
            else None
            if only is None
            else listener["inode"] in only
        )
    hidden = [listener for listener in listeners if not listener["holders"]]
    if hidden:
        gaps["owners"] = "which process of %s listens on port %d cannot be seen%s" % (
            user_name(hidden[0]["uid"]),
            port,
            "" if os.geteuid() == 0 else ": run with become",
        )
    return listeners, states, gaps


#: A line of /proc/net/tcp has so many at least, before and within its addresses, queues and times.
_COLONS = 5


def _tables():
    """Return [(name, its lines without the head)] of the tables of TCP.

    Raises:
        Unmeasurable: a table that there must be cannot be read.
    """
    names = ["tcp"]
    # A machine without IPv6 has no table of it.
    if os.path.exists(_NETWORK + "/if_inet6"):
        names.append("tcp6")
    return [(name, _lines(name)) for name in names]


def _lines(name):
    path = "%s/%s" % (_NETWORK, name)
    try:
        with open(path, encoding="utf-8", errors="replace") as source:  # path: /proc
            lines = source.readlines()
    except OSError as error:
        raise Unmeasurable("%s cannot be read: %s" % (path, error.strerror))
    if not lines:
        raise Unmeasurable("%s is empty, not even its head is there" % path)
    return lines[1:]


def listening(pids):
    """Return ([(address, port)], [path of a Unix socket]) that processes listen on.

    Raises:
        Unmeasurable: the tables of the kernel cannot be read.
        PermissionError: the files of none of the processes may be read.
    """
    held = _held(pids)
    if not held:
        return [], []
    tcp = []
    for _name, lines in _tables():
        for line in lines:
            fields = line.split() if " 0A " in line else ()
            if len(fields) > 9 and fields[3] == "0A" and fields[9] in held:
                digits, _colon, port = fields[1].partition(":")
                tcp.append((_address(digits), int(port, 16)))
    return tcp, [path for path, inode, _state in unix_sockets(_ACCEPTS) if inode in held]


def on_port(port):
    """Return ([address], [path of a Unix socket of PostgreSQL]) of what listens on a local port,
    of any process.

    Raises:
        Unmeasurable: the tables of the kernel cannot be read.
    """
    found = []
    for _name, lines in _tables():
        found += [listener["address"] for listener in parse(lines, port)[0]]
    return found, postgresql_sockets(port)


def postgresql_sockets(port):
    """Return the directories of the Unix sockets that a PostgreSQL server listens on for a port."""
    name = "/.s.PGSQL.%d" % port
    paths = (path for path, _inode, _state in unix_sockets(_ACCEPTS))
    return [path[: -len(name)] for path in dict.fromkeys(paths) if path.endswith(name)]


def postgresql_ports():
    """Return the set of the ports that the PostgreSQL servers of this host have; a pooler has a
    socket of the same name, and is none.
    """
    ports, poolers = set(), _held(pids_of(_POOLERS))
    for path, inode, _state in unix_sockets(_ACCEPTS):
        found = _POSTGRESQL.search(path)
        if found and inode not in poolers:
            ports.add(int(found.group(1)))
    return ports


def pids_of(programs):
    """Return the pids of the processes of these programs, by the names that the kernel has."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if _text(int(name), "comm").strip() in programs:
                    found.append(int(name))
            except OSError:
                continue
    return found


def reachable(found):
    """Return where to connect for what listens on these addresses: over loopback where it does,
    over IPv4 before IPv6; None for none.
    """
    hosts = {addresses.reached_at(address) for address in found}
    order = sorted(hosts, key=lambda host: (not addresses.is_loopback(host), ":" in host, host))
    # An address of one link would need the name of that link.
    return next((host for host in order if not host.lower().startswith("fe80:")), None)


def unix_sockets(flag=0):
    """Return [(path, inode, state)] of the Unix sockets that have a path in the file system.

    Args:
        flag: what their flags must have.

    Raises:
        Unmeasurable: the table of the kernel cannot be read.
    """
    found = []
    for line in _lines("unix"):
        fields = line.rstrip("\n").split(None, 7)
        if len(fields) == 8 and fields[7].startswith("/") and not _INTERNAL.search(fields[7]):
            if int(fields[3], 16) & flag == flag:
                found.append((fields[7], fields[6], fields[5]))
    return found


def _unix_states(path):
    """Return {state: connections} of a Unix socket."""
    count = sum(1 for name, _inode, state in unix_sockets() if (name, state) == (path, _CONNECTED))
    return {"ESTABLISHED": count} if count else {}


def _held(pids):
    """Return the inodes of the sockets among the first files of processes.

    Raises:
        PermissionError: the files of none of them may be read.
    """
    found, denied = set(), None
    for pid in pids:
        directory = "/proc/%d/fd" % pid
        try:
            for handle in os.listdir(directory)[:_FIRST_FILES]:
                target = os.readlink("%s/%s" % (directory, handle))
                if target.startswith("socket:["):
                    found.add(target[8:-1])
        except PermissionError as error:
            denied = error
        except OSError:
            continue  # it has ended in the meantime
    if denied and not found:
        raise denied
    return found


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


def rivals(seen, properties, app_dir, host=None):
    """Return [(listener, process, relation)] of what takes the app's port from it (pure).

    A socket that a process of the app holds is the app's, also if others hold it: systemd keeps one
    that it has passed on. What listens beside the app's own socket takes nothing from it, unless
    their addresses overlap: IPv6 only beside IPv4 is two sockets of one port.

    Args:
        seen: what ``observe`` saw.
        properties: those of the app's unit.
        app_dir: the directory of the app.
        host: the address that the app is configured to listen on, where that is known.
    """
    own, others = [], []
    for listener in seen["listeners"]:
        relations = [
            (process, relation(process, properties, app_dir, seen["container"]))
            for process in listener["holders"]
        ]
        if any(kind == "own" for _process, kind in relations):
            own.append(listener["address"])
        elif relations:
            others.append((listener, *relations[0]))
    if own:
        return [one for one in others if any(_overlap(one[0]["address"], mine) for mine in own)]
    return [one for one in others if _blocks(one[0], host or "0.0.0.0")]  # noqa: S104


def held(seen, properties, app_dir):
    """Return the processes that hold a listener of the app's port for the app (pure)."""
    return [
        process
        for listener in seen["listeners"]
        for process in listener["holders"]
        if relation(process, properties, app_dir, seen["container"]) == "own"
    ]


def relation(process, properties, app_dir, container=None):
    """Return what ``belongs`` does; what systemd holds for the app's unit is its own (pure).

    Args:
        process: as ``describe`` returns it, with the ``owner`` of ``port_holders`` if it has one.
        properties, app_dir, container: as for ``belongs``.
    """
    found = belongs(process, properties, app_dir, container)
    triggers = (process.get("owner") or {}).get("triggers", ())
    return "own" if found == "foreign" and properties.get("Id") in triggers else found


def _overlap(one, other):
    """Return whether two sockets that both listen on a port are for the same address.

    Of two families they are not: the system would have refused the second one.
    """
    if (":" in one) != (":" in other):
        return False
    return one == other or addresses.is_any(one) or addresses.is_any(other)


def _blocks(listener, host):
    """Return whether an app cannot listen on an address because of what listens there."""
    address = listener["address"]
    if (":" in address) == (":" in host):
        return _overlap(address, host)
    # One that is for both families by default: the app's own for ``::`` would be, too.
    return host == "::" or address == "::" and not listener.get("v6only")
