# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clusters of PostgreSQL on this host as Debian's tools know them, also those that are down.

It is what ``pg_lsclusters`` shows, and what keeps a cluster from serving: its process, its data
directory, its last words. It costs some files, so it is read where a connection has failed.
"""

from __future__ import annotations

import glob
import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import files, process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact
from ansible_collections.sergas.ops.plugins.module_utils._host.local_servers import (
    conf_value,
    words,
)

#: The names of the server's processes.
_SERVERS = ("postgres", "postmaster")
#: The server's own default.
_MOST_CONNECTIONS = 100
#: The title of a session's process, after the name of the cluster: role, database, client, state.
_SESSION = re.compile(
    r"postgres: (?:\S{1,200}: )?(\S{1,64}) (\S{1,64}) (?:\[local\]|\S{1,64}\(\d{1,5}\)) ?(.{0,80})"
)
#: What is read of the end of a log.
_TAIL_BYTES = 64 * 1024
_LONGEST_LINE = 300
_MOST_LINES = 400
#: The journal has what ``pg_ctlcluster`` itself complains of.
_JOURNAL_LINES = 40


def read(deadline, root="/"):
    """Return the clusters of this host, each as a dict.

    It has name (``15/main``), port, start (``auto``, ``manual`` or ``disabled``), data (the
    directory), unit, running (a dict, see ``postmaster``, None for a cluster that is down), and of
    one that is down access (what is wrong with its data directory, or None), available (bytes that
    are free there, or None) and log (its last lines).
    """
    found = []
    for path in sorted(glob.glob(os.path.join(root, "etc/postgresql/*/*/postgresql.conf"))):
        found.append(_cluster(os.path.dirname(path), deadline, root))
    return found


def _cluster(directory, deadline, root):
    version, name = directory.split("/")[-2:]
    data = conf_value(directory, "data_directory") or os.path.join(
        root, "var/lib/postgresql", version, name
    )
    cluster = {
        "name": "%s/%s" % (version, name),
        "port": _number(conf_value(directory, "port"), 5432),
        "start": (words(os.path.join(directory, "start.conf")) or ["auto"])[0],
        "data": data,
        "unit": "postgresql@%s-%s.service" % (version, name),
        "running": running(data, root),
    }
    if not cluster["running"]:
        log = os.path.join(root, "var/log/postgresql/postgresql-%s-%s.log" % (version, name))
        lines = tail(_collected(data) or log) + _journal(cluster["unit"], deadline)
        cluster.update(access=_access(data), available=_available(data), log=lines)
    return cluster


def _number(text, default):
    return int(text) if text and text.isdigit() else default


def running(data, root="/"):
    """Return the ``postmaster`` of a data directory with its process, or None where none runs."""
    try:
        found = postmaster(files.read_text(os.path.join(data, "postmaster.pid"), 4096))
    except (OSError, ValueError):
        return None
    try:
        stat_of = os.path.join(root, "proc/%d/stat" % found["pid"])
        with open(stat_of, encoding="latin-1") as stat:  # path: /proc
            command, state = process_state(stat.read(4096))
    except OSError:
        return None
    return dict(found, process=state) if command in _SERVERS else None


def process_state(text):
    """Return (name, state) of the text of a /proc/PID/stat; the state is a letter, see proc(5)."""
    name, _end, rest = text.partition("(")[2].rpartition(")")
    return name, rest.split()[0]


def postmaster(text):
    """Return pid, port, socket (a directory), listens (an address, ``*``, or nothing for sockets
    only) and state (``starting``, ``ready``, ``standby`` or ``stopping``) of a postmaster.pid.

    Raises:
        ValueError: it is none.
    """
    lines = text.split("\n") + [""] * 8
    return {
        "pid": abs(int(lines[0])),
        "port": int(lines[3] or 0),
        "socket": lines[4].strip(),
        "listens": lines[5].strip(),
        "state": lines[7].strip(),
    }


def backends(pid, root="/"):
    """Return user, database and state of the sessions of a server, by the titles of its processes,
    which need no free slot.
    """
    found = []
    for path in glob.glob(os.path.join(root, "proc/%d/task/*/children" % pid)):
        for child in _text(path).split():
            title = _text(os.path.join(root, "proc", child, "cmdline")).replace("\0", " ")
            session = _SESSION.match(title.strip())
            if session:
                user, database, state = session.groups()
                found.append({"user": user, "database": database, "state": state.strip()})
    return found


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as source:  # path: /proc
            return source.read(4096)
    except OSError:
        return ""


def most_connections(cluster, root="/"):
    """Return the max_connections that a cluster is configured with."""
    directory = os.path.join(root, "etc/postgresql", cluster["name"])
    for line in reversed(words(os.path.join(cluster["data"], "postgresql.auto.conf"))):
        name, _sign, value = line.partition("=")
        if name.strip() == "max_connections":
            return _number(value.strip().strip("'"), _MOST_CONNECTIONS)
    return _number(conf_value(directory, "max_connections"), _MOST_CONNECTIONS)


def _access(data):
    """Return what keeps the server from its data directory, in words, or None."""
    try:
        status = files.stat_directory(data)
    except FileNotFoundError:
        return "its data directory %s does not exist" % data
    except OSError as error:
        return "its data directory %s cannot be read: %s" % (data, error.strerror)
    # The server itself refuses any other mode than 0700 and 0750.
    if status.st_mode & 0o027 or status.st_mode & 0o700 != 0o700:
        return "its data directory %s has mode %04o, not 0700" % (data, status.st_mode & 0o7777)
    for name in ("PG_VERSION", "global"):
        try:
            inner = os.stat(os.path.join(data, name), follow_symlinks=False)
        except OSError:
            continue
        if inner.st_uid != status.st_uid:
            return "%s in its data directory %s has another owner" % (name, data)
    if not status.st_uid:
        return "its data directory %s is root's" % data
    return None


def _available(data):
    """Return the bytes that the server can still write, where it has least, or None."""
    sizes = []
    for path in (data, os.path.join(data, "pg_wal")):
        try:
            figures = os.statvfs(path)
        except OSError:
            continue
        sizes.append(figures.f_bavail * figures.f_frsize)
    return min(sizes) if sizes else None


def _collected(data):
    """Return the file that the server's own collector writes, or None where there is none."""
    for line in words(os.path.join(data, "current_logfiles")):
        kind, _space, path = line.partition(" ")
        if kind == "stderr":
            return os.path.join(data, path)
    return None


def tail(path):
    """Return the last lines of a log, without the values of statements."""
    try:
        with files.open_safely(path) as log:
            os.lseek(log, max(0, os.fstat(log).st_size - _TAIL_BYTES), os.SEEK_SET)
            text = os.read(log, _TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return _lines(text)


def _lines(text):
    return [redact(line[:_LONGEST_LINE]) for line in text.splitlines()[-_MOST_LINES:] if line]


def _journal(unit, deadline):
    argv = ["journalctl", "--no-pager", "--boot", "--output=cat", "--unit=" + unit]
    try:
        _status, out, _error = process.run(
            argv + ["--lines=%d" % _JOURNAL_LINES], deadline.within(2)
        )
    except (process.CommandMissing, DeadlineExceeded):
        return []
    return _lines(out)
