# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Crash dumps that systemd-coredump and apport have left."""

from __future__ import annotations

import os
import re
import stat

from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._host.sockets import user_name

DIRECTORIES = ("/var/crash", "/var/lib/systemd/coredump")
CORE_PATTERN = "/proc/sys/kernel/core_pattern"
#: What is beside dumps in /var/crash: apport's marks that one was sent, and kdump's own files.
_NO_DUMPS = re.compile(r"\.|.*\.(?:upload|uploaded|drkonqi|lock)$|kexec_cmd$|kdump_lock$")
_CORE = r"core\.(.+?)\.(\d+)\.[0-9a-f]{32}\.(\d+)\."
_APPORT = r"(.+)\.(\d+)\.crash$"


def read():
    """Return (all dumps, the latest first; directories that cannot be read)."""
    dumps, unreadable = [], []
    for directory in DIRECTORIES:
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and not _NO_DUMPS.match(entry.name):
                        dumps.append(
                            dict(
                                dump(entry.name),
                                path=entry.path,
                                bytes=status.st_size,
                                at=status.st_mtime,
                                user=user_name(status.st_uid),
                            )
                        )
        except FileNotFoundError:
            continue
        except PermissionError:
            unreadable.append(directory)
    dumps.sort(key=lambda item: -item["at"])
    return dumps, unreadable


def handler():
    """Return (who gets a core, the kernel's pattern), or (None, None) where that cannot be read.

    Who: ``apport``, ``systemd-coredump``, the name of another program, or ``file`` where the kernel
    writes the core itself, to a path by that pattern.
    """
    try:
        pattern = files.read_text(CORE_PATTERN, 4096).strip()
    except OSError:
        return None, None
    if not pattern.startswith("|"):
        return "file", pattern
    return os.path.basename(pattern[1:].split(None, 1)[0] if pattern[1:].strip() else ""), pattern


def dump(name):
    """Return {program, uid, pid} from the name that systemd-coredump or apport gave a dump."""
    found = re.match(_CORE, name)
    if found:
        return {"program": found.group(1), "uid": int(found.group(2)), "pid": int(found.group(3))}
    found = re.match(_APPORT, name)
    if found:
        return {
            "program": found.group(1).rpartition("_")[2],
            "uid": int(found.group(2)),
            "pid": None,
        }
    return {"program": None, "uid": None, "pid": None}
