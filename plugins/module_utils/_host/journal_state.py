# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What journald keeps: whether it runs and stores anything, and how far back its files go.

All of it is read from files. That journald runs, systemd shows by a link that it has for each
running unit; when a file begins, its name or its header.
"""

from __future__ import annotations

import os
import pwd
import re
import struct

#: From the weakest to the strongest.
_CONFIGURATION = (
    "usr/lib/systemd",
    "usr/local/lib/systemd",
    "run/systemd",
    "etc/systemd",
)
_STORES = ("var/log/journal", "run/log/journal")
_ARCHIVED = re.compile(r"@[0-9a-f]{32}-[0-9a-f]{16}-([0-9a-f]{16})\.journal\Z")
_SIGNATURE = b"LPKSHHRH"
#: head_entry_realtime in the header of a journal file
_HEAD = struct.Struct("<Q")
_HEAD_AT = 184
_SPAN = re.compile(r"([0-9.]+) ?([a-z]*)")
_SPANS = {
    "": 1,
    "s": 1,
    "sec": 1,
    "ms": 0.001,
    "us": 1e-6,
    "m": 60,
    "min": 60,
    "h": 3600,
    "d": 86400,
}
#: systemd's defaults
_INTERVAL, _BURST = 30.0, 10000


def read(namespace="", user=None, root="/"):
    """Return what a journald keeps.

    Args:
        namespace: of the journal, an empty text for the host's own.
        user: whose processes write the lines: those of a person's account are kept apart.

    Returns:
        dict with running (None: not known), storage, max_level, interval and burst (of its limit of
        lines), beginning and beginning_of_user (of its files, in seconds since the epoch, or None).
    """
    configured = configuration(namespace, root)
    beginning, of_user = _beginnings(namespace, _uid(user), root)
    units = os.path.join(root, "run/systemd/units")
    unit = "systemd-journald%s.service" % ("@" + namespace if namespace else "")
    return {
        "running": os.path.lexists(os.path.join(units, "invocation:" + unit))
        if os.path.isdir(units)
        else None,
        "storage": configured.get("Storage", "auto").lower(),
        "max_level": configured.get("MaxLevelStore", "debug").lower(),
        "interval": span(configured.get("RateLimitIntervalSec", ""), _INTERVAL),
        "burst": int(span(configured.get("RateLimitBurst", ""), _BURST)),
        "beginning": beginning,
        "beginning_of_user": of_user,
    }


def began(root="/"):
    """Return when systemd started its first units, in seconds since the epoch, or None.

    The init process may have begun long before, while it waited for a disk's password.
    """
    directory = os.path.join(root, "run/systemd/units")
    times = []
    try:
        for name in os.listdir(directory):
            times.append(os.lstat(os.path.join(directory, name)).st_mtime)
    except OSError:
        pass
    return min(times) if times else None


def configuration(namespace="", root="/"):
    """Return {name: value} of a journald's configuration, as systemd puts its files together."""
    name = "journald%s.conf" % ("@" + namespace if namespace else "")
    whole, parts = None, {}
    for directory in _CONFIGURATION:
        path = os.path.join(root, directory, name)
        if os.path.exists(path):
            whole = path
        try:
            for part in os.listdir(path + ".d"):
                parts[part] = os.path.join(path + ".d", part)
        except OSError:
            continue
    values = {}
    for path in [whole] + [parts[part] for part in sorted(parts) if part.endswith(".conf")]:
        try:
            with open(path, encoding="utf-8", errors="replace") as lines:  # path: root's own
                for line in lines:
                    key, sign, value = line.strip().partition("=")
                    if sign and key[:1] not in ("#", ";"):
                        values[key.strip()] = value.strip()
        except (OSError, TypeError):
            continue
    return values


def span(text, default):
    """Return a span of time of systemd's in seconds; the default where it is none, or empty."""
    parts = _SPAN.findall(text.lower())
    try:
        return sum(float(number) * _SPANS[unit] for number, unit in parts) if parts else default
    except (KeyError, ValueError):
        return default


def _uid(user):
    if not user or user == "root":
        return None
    try:
        return int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _beginnings(namespace, uid, root):
    """Return when the files for the system and for a user begin; None where there are none."""
    try:
        # It is where it is read from for every program, and names a directory.
        with open(os.path.join(root, "etc/machine-id"), encoding="ascii") as file:  # path: /etc
            machine = file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None, None
    found = {"system": [], "user": []}
    for store in _STORES:
        directory = os.path.join(root, store, machine + ("." + namespace if namespace else ""))
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            stem = re.split(r"[@.]", name, maxsplit=1)[0]
            of = {"system": "system", "user-%s" % uid: "user"}.get(stem)
            at = of and _head(directory, name)
            if at:
                found[of].append(at)
    return tuple(min(times) if times else None for times in found.values())


def _head(directory, name):
    """Return the time of the first entry of a journal file, or None."""
    archived = _ARCHIVED.search(name)
    if archived:
        return int(archived.group(1), 16) / 1e6
    if not name.endswith((".journal", ".journal~")):
        return None
    try:
        with open(os.path.join(directory, name), "rb") as file:  # path: journald's own directory
            header = file.read(_HEAD_AT + _HEAD.size)
    except OSError:
        return None
    if not header.startswith(_SIGNATURE) or len(header) < _HEAD_AT + _HEAD.size:
        return None
    return _HEAD.unpack_from(header, _HEAD_AT)[0] / 1e6 or None
