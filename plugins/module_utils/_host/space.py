# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fills a file system: its usual consumers by name, then the largest of the rest.

Directories of other users are read too. Nothing is opened or followed: entries are counted as
``lstat`` shows them, on one device, in bounded time.
"""

from __future__ import annotations

import glob
import os
import re

_MOST_FILES = 3
#: (what it is, patterns of paths), the more special ones first: a file counts once.
CONSUMERS = (
    ("journal", ("/var/log/journal", "/run/log/journal")),
    ("package_cache", ("/var/cache/apt", "/var/cache/dnf", "/var/cache/yum")),
    (
        "container_logs",
        (
            "/var/lib/docker/containers/*/*-json.log*",
            "/var/lib/containers/storage/overlay-containers/*/userdata/ctr.log",
        ),
    ),
    ("containers", ("/var/lib/docker", "/var/lib/containers", "/var/lib/containerd")),
    ("crash_dumps", ("/var/crash", "/var/lib/systemd/coredump")),
    ("wal", ("{postgresql}/pg_wal",)),
    (
        "temporary_files",
        ("{postgresql}/base/pgsql_tmp", "{postgresql}/pg_tblspc/*/*/pgsql_tmp"),
    ),
    ("server_logs", ("{postgresql}/log", "{postgresql}/pg_log")),
    ("database", ("{postgresql}/base", "{postgresql}/pg_tblspc/*", "{postgresql}")),
    ("redis", ("/var/lib/redis", "/var/lib/valkey")),
    ("logs", ("/var/log",)),
    ("temporary", ("/tmp", "/var/tmp")),  # noqa: S108 (measured, nothing is written)
)
_DATA = ("/var/lib/postgresql/*/*", "/var/lib/pgsql/*/data", "/var/lib/pgsql/data")
_ROTATED = re.compile(r"\.(?:\d+|gz|xz|bz2|zst|old)(?:-\d+)?\Z|-\d{8}(?:\.gz)?\Z")


def measure(mount, deadline, root="/"):
    """Return what holds the space of a file system: [{what, path, bytes}], the largest first.

    Args:
        mount: where it is mounted.
        deadline: a ``Deadline``; what is not counted until then is missing.
        root: the root directory of the host.

    Returns:
        ([{what, path, bytes}], whether all was counted). ``what`` is a name of ``CONSUMERS``,
        ``rotated_logs``, ``deleted`` (files that are open and have no name any more), or ``files``
        for anything else.
    """
    try:
        device = os.lstat(_under(root, mount)).st_dev
    except OSError:
        return [], False
    walk = _Walk(device, deadline)
    found = []
    whole = _under(root, mount)
    for what, patterns in CONSUMERS:
        for path in _paths(patterns, root):
            # The file system may be a part of what a consumer has, such as the archives of apt.
            inside = whole.startswith(path.rstrip("/") + "/")
            found += walk.count(what, whole if inside else path)
    found += walk.count("files", whole)
    found += _deleted(device, deadline, root)
    merged = {}
    for item in found:
        known = merged.setdefault(item["what"], {"what": item["what"], "path": None, "bytes": 0})
        # The path of the largest part, for a person to begin with.
        if known["path"] is None or item["bytes"] > known["largest"]:
            known.update(path=item["path"], largest=item["bytes"])
        known["bytes"] += item["bytes"]
    result = [
        {key: item[key] for key in ("what", "path", "bytes")}
        for item in merged.values()
        if item["bytes"]
    ]
    return sorted(result, key=lambda item: -item["bytes"]), not deadline.expired()


def _under(root, path):
    return os.path.join(root, path.lstrip("/"))


def _paths(patterns, root):
    paths = []
    for pattern in patterns:
        bases = [pattern]
        if pattern.startswith("{postgresql}"):
            bases = [pattern.replace("{postgresql}", data) for data in _DATA]
        for base in bases:
            for path in sorted(glob.glob(_under(root, base))):
                # A directory of WAL or a tablespace is often a link to another disk.
                paths.append(os.path.realpath(path))
    return paths


class _Walk:
    """Counts each file once, on one device, until a deadline."""

    def __init__(self, device, deadline):
        self._device = device
        self._deadline = deadline
        self._done = set()

    def count(self, what, path):
        """Return [{what, path, bytes}] of a path; log files that were rotated away count apart."""
        if path in self._done or self._deadline.expired():
            return []
        totals, largest = {}, {}
        todo = [path]
        while todo:
            current = todo.pop()
            if current in self._done:
                continue
            self._done.add(current)
            try:
                status = os.lstat(current)
                if status.st_dev != self._device:
                    continue
                if not _is_directory(status):
                    kind = "rotated_logs" if what == "logs" and _ROTATED.search(current) else what
                    size = status.st_blocks * 512
                    totals[kind] = totals.get(kind, 0) + size
                    if size > largest.get(kind, (0, ""))[0]:
                        largest[kind] = (size, current)
                    continue
                with os.scandir(current) as entries:
                    todo += [entry.path for entry in entries]
            except OSError:
                continue
            if self._deadline.expired():
                break
        return [
            {"what": kind, "path": largest.get(kind, (0, path))[1], "bytes": size}
            for kind, size in totals.items()
        ]


def _is_directory(status):
    return status.st_mode & 0o170000 == 0o040000


def _deleted(device, deadline, root):
    """Return what open files without a name hold: their space is freed when they are closed."""
    found = {}
    for link in glob.iglob(_under(root, "/proc/[0-9]*/fd/*")):
        if deadline.expired():
            break
        try:
            target = os.readlink(link)
            if not target.startswith("/") or not target.endswith(" (deleted)"):
                continue
            status = os.stat(link)
        except OSError:
            continue
        if status.st_dev == device and status.st_nlink == 0:
            found[status.st_ino] = {
                "what": "deleted",
                "path": "%s, open in process %s" % (target[:-10], link.split("/")[-3]),
                "bytes": status.st_blocks * 512,
            }
    return list(found.values())
