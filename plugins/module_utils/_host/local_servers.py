# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that are to run on this host, by their configuration."""

from __future__ import annotations

import glob
import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._host.app_config import SOCKETS
from ansible_collections.sergas.ops.plugins.module_utils._net import resp

_REDIS = "/etc/redis/redis.conf"
#: Where systemd keeps what starts at boot.
_ENABLED = "/etc/systemd/system/*.wants/redis*.service"


def postgresql(root="/"):
    """Return the targets of the clusters that are to run here, by Debian's directories."""
    targets = []
    for path in sorted(glob.glob(os.path.join(root, "etc/postgresql/*/*/postgresql.conf"))):
        directory = os.path.dirname(path)
        if words(os.path.join(directory, "start.conf"))[:1] in (["manual"], ["disabled"]):
            continue
        port = conf_value(directory, "port") or ""
        targets.append(_local(port if port.isdigit() else "5432"))
    if not targets:
        for directory in SOCKETS[1:]:
            for path in glob.glob(os.path.join(root, directory.lstrip("/"), ".s.PGSQL.*[0-9]")):
                targets.append(_local(path.rpartition(".")[2]))
    return targets


def _local(port):
    return {
        "host": "127.0.0.1",
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


def redis(path=_REDIS):
    """Return the target of this host's own server, from its configuration, or None."""
    try:
        # In Debian, the directory is the server's own user's.
        text = files.read_text(path)
    except OSError:
        return None
    port = re.findall(r"^\s*port\s+([0-9]{1,5})\s*$", text, re.M)
    password = re.findall(r"^\s*requirepass\s+\"?([^\s\"]+)\"?\s*$", text, re.M)
    return {
        "host": "127.0.0.1",
        "port": int(port[-1]) if port and port[-1] != "0" else resp.DEFAULT_PORT,
        "user": None,
        "password": password[-1] if password else None,
        "tls": False,
    }


def is_redis_enabled():
    """Return whether this host's own Redis starts at boot."""
    return bool(glob.glob(_ENABLED))
