# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that are to run on this host: by their configuration, and where they listen by the tables
of the kernel.
"""

from __future__ import annotations

import glob
import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, files
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._host import sockets
from ansible_collections.sergas.ops.plugins.module_utils._host.app_config import SOCKETS
from ansible_collections.sergas.ops.plugins.module_utils._net import resp

#: Valkey is Redis by another name, which Debian 13 has beside it: {unit: its configuration}.
_REDIS = {
    "redis-server": "/etc/redis/redis.conf",
    "valkey-server": "/etc/valkey/valkey.conf",
}
_UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
#: Where systemd keeps what starts at boot.
_ENABLED = "/etc/systemd/system/*.wants"
#: Of all instances of Redis and Valkey.
_ENABLED_UNITS = ("redis*.service", "valkey*.service")


def postgresql(root="/"):
    """Return the targets of the clusters that are to run here, by Debian's directories."""
    targets = []
    for path in sorted(glob.glob(os.path.join(root, "etc/postgresql/*/*/postgresql.conf"))):
        directory = os.path.dirname(path)
        if words(os.path.join(directory, "start.conf"))[:1] in (["manual"], ["disabled"]):
            continue
        port = conf_value(directory, "port") or ""
        listens = conf_value(directory, "listen_addresses") or ""
        targets.append(_local(port if port.isdigit() else "5432", listens))
    if not targets:
        for directory in SOCKETS[1:]:
            for path in glob.glob(os.path.join(root, directory.lstrip("/"), ".s.PGSQL.*[0-9]")):
                targets.append(_local(path.rpartition(".")[2]))
    return targets


def _local(port, configured=""):
    """Return the target of a cluster: where it listens, over loopback if it does; else where it is
    configured to.
    """
    try:
        found, directories = sockets.on_port(int(port))
    except Unmeasurable:
        found, directories = [], []
    host = sockets.reachable(found) or (directories or [None])[0]
    if not host:
        names = [name.strip() for name in configured.split(",") if name.strip()]
        own = [name for name in names if addresses.known(name) and not addresses.is_any(name)]
        host = own[0] if own and len(own) == len(names) else "127.0.0.1"
    return {
        "host": host,
        "port": int(port),
        "name": "postgres",
        "user": "postgres",
        "password": None,
        "tls": "disable",
        "root": None,
    }


def words(path):
    """Return the lines of a configuration without comments; none of a file that cannot be read."""
    try:
        # In Debian, the directory is the server's own user's.
        lines = files.read_text(path).splitlines()
        return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    except OSError:
        return []


def conf_value(directory, name):
    """Return a setting of postgresql.conf or of its conf.d as text, or None; the last one counts.

    Args:
        directory: of the cluster's configuration.
        name: of the setting.
    """
    found = None
    for path in [os.path.join(directory, "postgresql.conf")] + sorted(
        glob.glob(os.path.join(directory, "conf.d", "*.conf"))
    ):
        for line in words(path):
            match = re.match(r"%s\s*=?\s*('[^']*'|[^\s']+)\Z" % name, line, re.I)
            if match:
                found = match.group(1).strip("'")
    return found


def redis():
    """Return the target of this host's own server, Redis or Valkey, or None.

    Its configuration says how to log in; where it listens, the kernel's tables say where it runs.
    """
    text, own = None, redis_unit()
    for unit in sorted(_REDIS, key=lambda name: name != own):
        try:
            # In Debian, the directory is the server's own user's.
            text = files.read_text(_REDIS[unit])
            break
        except OSError:
            continue
    if text is None:
        return None
    port = int(_last(text, r"port\s+([0-9]{1,5})") or resp.DEFAULT_PORT)
    encrypted = int(_last(text, r"tls-port\s+([0-9]{1,5})") or 0)
    password = _last(text, r"requirepass\s+\"?([^\s\"]+)\"?")
    host, number = _redis_address(text, port or encrypted)
    return {
        "host": host,
        "port": number,
        "user": None,
        "password": password,
        "tls": not port and bool(encrypted),
    }


def _last(text, pattern):
    """Return what a directive is set to the last time, or None."""
    return (re.findall(r"^[ \t]*%s[ \t]*$" % pattern, text, re.M | re.I) or [None])[-1]


def _redis_address(text, port):
    """Return (host, port) of the server; the host may be the path of its Unix socket."""
    try:
        tcp, paths = sockets.listening(sockets.pids_of(_REDIS))
    except (Unmeasurable, PermissionError):
        tcp, paths = [], []
    ports = {number for _address, number in tcp}
    if port not in ports and len(ports) == 1:
        port = next(iter(ports))
    host = sockets.reachable(address for address, number in tcp if number == port)
    if host:
        return host, port
    path = _last(text, r"unixsocket\s+\"?(/[^\s\"]+)\"?")
    if paths or (not port and path):
        return (path if path in paths or not paths else paths[0]), resp.DEFAULT_PORT
    # It does not run. ``-`` before an address: it may be missing.
    bound = (_last(text, r"bind\s+(\S.*?)") or "").split()
    own = [name.lstrip("-") for name in bound]
    known = [name for name in own if addresses.known(name) and not addresses.is_any(name)]
    if own and len(known) == len(own) and not any(map(addresses.is_loopback, known)):
        return known[0], port or resp.DEFAULT_PORT
    return "127.0.0.1", port or resp.DEFAULT_PORT


def is_redis_enabled():
    """Return whether this host's own Redis starts at boot."""
    return any(_is_enabled(pattern) for pattern in _ENABLED_UNITS)


def _is_enabled(pattern):
    return bool(glob.glob(os.path.join(_ENABLED, pattern)))


def redis_unit():
    """Return the unit of this host's own Redis or Valkey: the one that runs, starts at boot or is
    there; None where there is neither.
    """
    tests = (
        lambda name: sockets.pids_of([name]),
        lambda name: _is_enabled(name + ".service"),
        lambda name: any(os.path.exists("%s/%s.service" % (path, name)) for path in _UNITS),
    )
    return next((name for test in tests for name in _REDIS if test(name)), None)
