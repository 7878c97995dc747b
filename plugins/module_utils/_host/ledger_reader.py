# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what was changed on a host lately: its ledger, and what it has restored automatically."""

from __future__ import annotations

import json
import os

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger, restore_points

#: hundreds of entries, whatever the ledger has grown to
_TAIL_BYTES = 131072
_LEASE_BYTES = 8192


def lease_path(runtime=ledger.RUNTIME):
    """Return the path of the file that says who holds the host's lock."""
    return os.path.join(runtime, "remedy.lease")


def fallback_path(runtime=ledger.RUNTIME):
    """Return the path of the ledger that is written while the disk is full."""
    return os.path.join(runtime, "ledger.jsonl")


def read_lease(runtime=ledger.RUNTIME):
    """Return the lease as it was written, or None where there is none that makes sense.

    Raises:
        PermissionError: this user may not read it.
    """
    try:
        with open(lease_path(runtime), "rb") as source:
            lease = json.loads(source.read(_LEASE_BYTES).decode("utf-8"))
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None
    known = isinstance(lease, dict) and all(
        isinstance(lease.get(key), kind)
        for key, kind in (
            ("run", str),
            ("remedy", str),
            ("boot_id", str),
            ("ends", (int, float)),
        )
    )
    return lease if known else None


def read_tail(path, most=_TAIL_BYTES):
    """Return the last bytes of a file from the beginning of a line on, or none if it is not there.

    Raises:
        PermissionError: this user may not read it.
    """
    try:
        with open(path, "rb") as source:
            size = os.fstat(source.fileno()).st_size
            if size <= most:
                return source.read(most)
            source.seek(size - most)
            return source.read(most).partition(b"\n")[2]
    except PermissionError:
        raise
    except OSError:
        return b""


def read(path=ledger.PATH, runtime=ledger.RUNTIME, restore=restore_points.DIRECTORY):
    """Return the recent changes of the host, newest first, or None if this user may not read them.

    Args:
        path: of the ledger.
        runtime: the directory of its fallback and of the lock.
        restore: the directory of the restore points.
    """
    try:
        found = entries(path, runtime)
        lease = ledger.holder(read_lease(runtime), times.boot_id(), times.uptime())
        found = ledger.with_interruptions(found, lease["run"] if lease else None)
        found += automatic(restore)
    except PermissionError:
        return None
    for entry in found:
        if entry["outcome"] == "begun":
            # For a run on the same controller, which sees whether that process is alive.
            entry["controller"] = lease.get("controller")
    found.sort(key=lambda entry: times.seconds(entry["ended"] or entry["time"]), reverse=True)
    return found


def entries(path=ledger.PATH, runtime=ledger.RUNTIME):
    """Return the recent entries of the ledger and its fallback as they were written, oldest first.

    Raises:
        PermissionError: this user may not read them.
    """
    return ledger.merge(
        ledger.parse(read_tail(path))[0], ledger.parse(read_tail(fallback_path(runtime)))[0]
    )


def automatic(directory):
    """Return what the host has restored automatically, in the shape of the ledger's entries.

    Raises:
        PermissionError: this user may not read there.
    """
    found = []
    for item in restore_points.points(directory):
        outcome = item["outcome"]
        if outcome and outcome.get("by") in ("timer", "boot"):
            entry = restored_entry(item["name"], item["point"], outcome)
            if entry:
                found.append(entry)
    return found


def restored_entry(name, point, outcome):
    """Return an entry for an automatic restore, or None if it makes no sense.

    Args:
        name: of the restore point.
        point: its point.json.
        outcome: what came of it, with ``by`` ``timer`` or ``boot``.
    """
    at = outcome.get("restored_at")
    if times.seconds(at) is None:
        return None
    begun = point.get("armed_at")
    return {
        "time": begun if times.seconds(begun) is not None else at,
        "ended": at,
        "run": point.get("run"),
        "remedy": name,
        "findings": [],
        "by": "host",
        "host": None,
        "outcome": "undone" if outcome.get("complete") else "failed",
        "before": [],
        "after": [],
        "known": [],
        "awaiting": [],
        "reason": "the host restored it automatically, %s"
        % (
            "as no one had disarmed it by its deadline"
            if outcome["by"] == "timer"
            else "as it came up again while it was armed"
        ),
    }
