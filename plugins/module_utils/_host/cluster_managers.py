# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services of this host a cluster manager owns: Patroni, repmgr, Pacemaker, Redis Sentinel.

Such a service is not started, stopped, restarted or reconfigured behind its manager's back, which
would undo that, or fail over. Most hosts have none, and a few names say so.
"""

from __future__ import annotations

import glob
import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import files

_CIB = "var/lib/pacemaker/cib/cib.xml"
#: Resource agents of Pacemaker: (service, pattern).
_AGENTS = (
    ("database", re.compile(r"type=\"(?:pgsql|pgsqlms|postgresql)\"")),
    ("redis", re.compile(r"type=\"redis\"")),
)
_LARGEST = 16 * 1024 * 1024


def read(root="/"):
    """Return {service: {name, command}} of ``database`` and ``redis``: the manager that owns it,
    and the command that shows what it manages.
    """
    found = {}
    for service, name, command in (
        *_patroni(root),
        *_repmgr(root),
        *_pacemaker(root),
        *_sentinel(root),
    ):
        found.setdefault(service, {"name": name, "command": command})
    return found


def _files(root, *patterns):
    return sorted(path for pattern in patterns for path in glob.glob(os.path.join(root, pattern)))


def _patroni(root):
    configured = _files(root, "etc/patroni.y*ml", "etc/patroni/*.y*ml")
    # Debian has files without a cluster there: one of a cluster names its scope.
    configured = [path for path in configured if re.search(r"^scope:", _text(path), re.M)]
    if configured and (_runs(root, "patroni") or _starts(root, "patroni")):
        yield "database", "Patroni", "patronictl -c /%s list" % os.path.relpath(configured[0], root)


def _repmgr(root):
    configured = _files(root, "etc/repmgr.conf", "etc/repmgr/*/repmgr.conf")
    if configured and (_runs(root, "repmgrd") or _starts(root, "repmgrd")):
        path = os.path.relpath(configured[0], root)
        yield "database", "repmgr", "repmgr -f /%s cluster show" % path


def _pacemaker(root):
    text = _text(os.path.join(root, _CIB))
    for service, agent in _AGENTS:
        if agent.search(text):
            yield service, "Pacemaker", "crm_mon -1"


def _sentinel(root):
    for path in _files(root, "etc/redis/sentinel.conf", "etc/valkey/sentinel.conf"):
        found = re.search(r"^sentinel monitor (\S{1,200}) ", _text(path), re.M)
        if found and (
            _runs(root, "redis-sentinel", "valkey-sentinel") or _starts(root, "*sentinel")
        ):
            port = re.search(r"^port (\d{1,5})$", _text(path), re.M)
            yield (
                "redis",
                "Redis Sentinel",
                "redis-cli -p %s sentinel master %s"
                % (port.group(1) if port else "26379", found.group(1)),
            )


def _text(path):
    try:
        return files.read_text(path, _LARGEST)
    except OSError:
        return ""


def _starts(root, name):
    """Return whether a unit of this name, or an instance of it, starts at boot."""
    return bool(_files(root, "etc/systemd/system/*.wants/%s*.service" % name))


def _runs(root, *names):
    """Return whether a process runs one of these programs, or a script of this name."""
    for path in _files(root, "proc/[0-9]*/cmdline"):
        try:
            with open(path, encoding="utf-8", errors="replace") as source:  # path: /proc
                words = source.read(4096).split("\0")[:2]
        except OSError:
            continue
        if any(os.path.basename(word.split(" ")[0]) in names for word in words):
            return True
    return False
