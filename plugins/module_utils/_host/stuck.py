# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that wait in the kernel and cannot be interrupted, and the remote mounts they use.

No remote path is opened or inspected here: that would wait as well.
"""

from __future__ import annotations

import os
import re
import time

from ansible_collections.sergas.ops.plugins.module_utils._host import cgroup

#: File systems whose server may be gone.
_REMOTE = re.compile(r"(?:nfs\d?|cifs|smb3|ceph|glusterfs|9p|afs|lustre|fuse\..*)\Z")
_SECONDS = 0.3
_SHOWN = 10
_FIRST_FILES = 256


def observe(deadline):
    """Return [{pid, command, unit, waits_in, mount}] of the processes that stay in that state.

    Args:
        deadline: a ``Deadline``; a process counts that is in that state twice, a moment apart.
    """
    first = _uninterruptible()
    if not first:
        return []
    time.sleep(min(_SECONDS, deadline.remaining()))
    mounts = remote_mounts(_read("/proc/self/mountinfo"))
    found = []
    for pid in sorted(first & _uninterruptible())[:_SHOWN]:
        found.append(
            {
                "pid": pid,
                "command": _read("/proc/%d/comm" % pid).strip(),
                "unit": cgroup.unit_of(pid),
                "waits_in": _read("/proc/%d/wchan" % pid).strip() or None,
                "mount": mount_of(_paths(pid), mounts),
            }
        )
    return found


def _uninterruptible():
    found = set()
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            # pid (comm) state: the name may hold anything, also brackets and spaces.
            if _read("/proc/%s/stat" % pid).rpartition(")")[2][1:2] == "D":
                found.add(int(pid))
    return found


def remote_mounts(mountinfo):
    """Return [(path, server)] of the remote file systems in the text of /proc/self/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        fields, dash, rest = line.partition(" - ")
        fields, rest = fields.split(" "), rest.split(" ")
        if dash and len(fields) > 4 and len(rest) > 1 and _REMOTE.match(rest[0]):
            found.append((fields[4], rest[1]))
    return found


def mount_of(paths, mounts):
    """Return {path, server} of the first remote mount that one of these paths lies on, or None."""
    for mount, server in sorted(mounts, key=lambda item: -len(item[0])):
        for path in paths:
            if path == mount or path.startswith(mount.rstrip("/") + "/"):
                return {"path": mount, "server": server}
    return None


def _paths(pid):
    """Return the directory and the open files of a process: reading these links waits for no
    server.
    """
    paths = []
    for directory, names in (("/proc/%d" % pid, ["cwd"]), ("/proc/%d/fd" % pid, None)):
        try:
            names = names or os.listdir(directory)[:_FIRST_FILES]
        except OSError:
            continue
        for name in names:
            try:
                paths.append(os.readlink("%s/%s" % (directory, name)))
            except OSError:
                continue
    return paths


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:  # path: /proc
            return handle.read()
    except OSError:
        return ""
