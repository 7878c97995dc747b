# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Crash dumps that systemd-coredump and apport have left."""

from __future__ import annotations

import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._host.sockets import user_name

DIRECTORIES = ("/var/crash", "/var/lib/systemd/coredump")
_CORE = r"core\.(.+?)\.(\d+)\.[0-9a-f]{32}\.(\d+)\."
_APPORT = r"(.+)\.(\d+)\.crash$"


def read(since):
    """Return (dumps since a time in seconds since the epoch, directories that cannot be read)."""
    dumps, unreadable = [], []
    for directory in DIRECTORIES:
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if status.st_mtime >= since and not entry.name.startswith("."):
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
