# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Begins and ends entries of a host's ledger, and holds the host's lock in between.

What may be done is decided in `ledger`, and `ledger_reader` reads.

The lock is the lease of `host_lock`.
"""

from __future__ import annotations

import errno
import os
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import errors, files, options, times
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact, redact_all
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    ledger,
    ledger_reader,
    restore_points,
)
from ansible_collections.sergas.ops.plugins.module_utils._remediation import host_lock, orphans

#: A full disk, or one that has become read-only.
_NO_LOCATION = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_MOST_FINDINGS = 10
_MOST_KNOWN = 100
_LONGEST = 300
#: Of the options that are numbers; the moments in seconds.
RANGES = (
    ("lease", 1, host_lock.LEASE_S),
    ("taken", 0, 1 << 40),
    ("cooldown", 0, 31 * 86400),
    ("repeat_times", 0, 1000),
    ("repeat_hours", 1, 31 * 24),
    ("max_bytes", 16384, 16 * 1024 * 1024),
)
#: What is read of a ledger that something else has made larger than it may be.
_MOST_BYTES = 16 * 1024 * 1024


class LedgerError(OperationError):
    """It cannot be done; the message says why."""


def run(params, check_mode):
    """Do what the module's options say and return its result.

    Raises:
        LedgerError: with a message for the person who runs it.
    """
    _check(params)
    runtime = params["runtime_directory"]
    act = {"begun": _begin, "ended": _end, "renewed": _renew}[params["state"]]
    with errors.reported(params["path"]):
        if check_mode or act is _renew:
            return act(params, check_mode)
        with host_lock.held(runtime):
            return act(params, False)


def _check(params):
    options.check_ranges(params, RANGES)
    for option in ("run",) if params["state"] == "renewed" else ("run", "remedy"):
        if not params[option].strip() or len(params[option]) > _LONGEST:
            raise LedgerError("%s: it must have 1 to %d characters" % (option, _LONGEST))


def _read(params):
    """Return (bytes of the ledger, bytes of its fallback, entries, skipped lines)."""
    main = ledger_reader.read_tail(params["path"], _MOST_BYTES)
    fallback = ledger_reader.read_tail(
        ledger_reader.fallback_path(params["runtime_directory"]), _MOST_BYTES
    )
    parsed, skipped = ledger.parse(main)
    moved, more = ledger.parse(fallback)
    return main, moved, ledger.merge(parsed, moved), skipped + more


def _result(changed, entry, skipped, **more):
    result = {
        "changed": changed,
        "entry": entry,
        "refused": None,
        "holder": None,
        "lease": None,
        "skipped_lines": skipped,
        "written_to": None,
    }
    result.update(more)
    return result


# Beginning


def _begin(params, check_mode):
    main, moved, entries, skipped = _read(params)
    now = time.time()
    lease = host_lock.holder(params["runtime_directory"], params["dead_runs"])
    if lease and lease["run"] != params["run"]:
        return _result(
            False,
            None,
            skipped,
            refused=ledger.lock_refusal(lease, times.uptime()),
            holder=lease,
        )
    entries = ledger.with_interruptions(entries, lease["run"] if lease else None)
    running = [
        entry for entry in entries if entry["outcome"] == "begun" and entry["run"] == params["run"]
    ]
    if lease and running and running[-1]["remedy"] == params["remedy"]:
        # The same task once more: it has begun already, and its time begins anew.
        lease = None if check_mode else _take(params)
        return _result(False, running[-1], skipped, lease=lease)
    if lease and running:
        refused = (
            "this run is at work with %s on this host, which has not ended"
            % (running[-1]["remedy"])
        )
        return _result(False, None, skipped, refused=refused, holder=lease)
    refused = _refused_by_point(params) or ledger.refusal(
        entries,
        params["remedy"],
        now,
        params["cooldown"],
        params["repeat_times"],
        params["repeat_hours"],
    )
    if refused:
        return _result(False, None, skipped, refused=refused)
    entry = _entry(params, now, entries)
    path = lease = None
    ended = []
    if not check_mode:
        lease = _take(params)
        try:
            ended = orphans.end(_interrupted(params, entries, now))
            path = _record(params, main, moved, entry)
        except orphans.StillRunning as reason:
            host_lock.release(params["runtime_directory"])
            return _result(False, None, skipped, refused=str(reason))
        except BaseException:
            host_lock.release(params["runtime_directory"])
            raise
    return _result(True, entry, skipped, written_to=path, lease=lease, ended_processes=ended)


def _interrupted(params, entries, now):
    """Return the names of the runs that were interrupted here within the last hour."""
    found = {
        entry["run"]
        for entry in entries
        if entry["outcome"] == "interrupted" and now - times.seconds(entry["time"]) < 3600
    }
    return found - {params["run"]}


def _refused_by_point(params):
    """Return which restore point of another run keeps this one from acting, or None.

    What is done beside it would be undone in part when its time is over.
    """
    if params["restore_points"] == "ignore":
        return None
    for item in restore_points.pending(restore_points.points(params["restore_directory"])):
        if item["point"].get("run") != params["run"]:
            return ledger.point_refusal(item["name"], item["point"])
    return None


def _take(params):
    return host_lock.take(
        params["runtime_directory"],
        params["run"],
        params["remedy"],
        params["by"],
        params["controller"],
        params["lease"],
    )


def _entry(params, now, entries):
    # Two entries of a run for the same remedy need different times to be distinguished.
    known = {ledger.identity(entry) for entry in entries}
    while (params["run"], params["remedy"], times.clock(now)) in known:
        now += 1
    return {
        "time": times.clock(now),
        "ended": None,
        "run": params["run"],
        "remedy": params["remedy"],
        "findings": [redact(item[:_LONGEST]) for item in params["findings"]],
        "by": params["by"],
        "host": params["host"] or os.uname().nodename,
        "outcome": "begun",
        "before": _small(params["before"]),
        "after": [],
        "reason": None,
        "known": [redact(item[:_LONGEST]) for item in params["known"][:_MOST_KNOWN]],
        "awaiting": [],
    }


def _small(findings):
    """Return findings as the ledger keeps them: id, status and summary, without secrets."""
    small = []
    for item in findings[:_MOST_FINDINGS]:
        small.append(
            redact_all(
                {key: str(item.get(key) or "")[:_LONGEST] for key in ("id", "status", "summary")}
            )
        )
    return small


# Ending


def _end(params, check_mode):
    main, moved, entries, skipped = _read(params)
    lease = host_lock.holder(params["runtime_directory"])
    own = [
        entry
        for entry in entries
        if entry["run"] == params["run"] and entry["remedy"] == params["remedy"]
    ]
    last = own[-1] if own else None
    frees = bool(lease and lease["run"] == params["run"])
    # One that waits for traffic is decided by a later run.
    decided = last and last["outcome"] == ledger.UNVERIFIED != params["outcome"]
    if last and last["outcome"] != "begun" and not decided:
        if last["outcome"] != params["outcome"]:
            raise LedgerError(
                "outcome: %s of run %s has ended at %s already, as %s"
                % (params["remedy"], params["run"], last["ended"], last["outcome"])
            )
        if frees and not check_mode:
            host_lock.release(params["runtime_directory"])
        return _result(frees, last, skipped)
    now = time.time()
    # Where its beginning is lost (its line is gone, or the host was down), the end still counts.
    entry = dict(last or _entry(params, now, entries))
    entry.update(
        # A clock that was set back must not end it before it began.
        ended=max(times.clock(now), entry["time"]),
        outcome=params["outcome"],
        after=_small(params["after"]),
        reason=redact(params["reason"][:_LONGEST]) if params["reason"] else None,
        awaiting=[redact(item[:_LONGEST]) for item in params["awaiting"][:_MOST_FINDINGS]],
    )
    path = None
    if not check_mode:
        try:
            path = _record(params, main, moved, entry)
        finally:
            if frees:
                host_lock.release(params["runtime_directory"])
    return _result(True, entry, skipped, written_to=path)


# Renewing


def _renew(params, check_mode):
    runtime, run = params["runtime_directory"], params["run"]
    if check_mode:
        lease = host_lock.holder(runtime)
        return _result(False, None, 0, held=bool(lease and lease["run"] == run))
    held = host_lock.renew(runtime, run, params["taken"], params["lease"])
    return _result(False, None, 0, held=held)


# Writing


def _record(params, main, moved, entry):
    """Write an entry to the ledger, and to its fallback if there is no space; return which."""
    path = params["path"]
    fallback = ledger_reader.fallback_path(params["runtime_directory"])
    entries = ledger.merge(moved, [entry])
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        files.replace(path, ledger.rewritten(main, entries, params["max_bytes"]), mode=0o600)
    except OSError as error:
        if error.errno not in _NO_LOCATION:
            raise
        # What is there is as it was.
        files.replace(fallback, ledger.rewritten(b"", entries, params["max_bytes"]), mode=0o600)
        return fallback
    try:
        os.unlink(fallback)
    except FileNotFoundError:
        pass
    return path
