# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock of a host: one run at a time acts there.

It is a lease, a file in a directory that a reboot empties. The lease names its run and ends soon,
on the clock that nothing can set; the run's controller renews it for as long as the run lives. So a
run that died holds a host for less than a minute, however long its remedies may take.

A run that decides on the lease holds an flock on the directory (``held``) meanwhile, so that of two
runs one gets it. `ledger_reader` reads the lease.
"""

from __future__ import annotations

import json
import os

from ansible_collections.sergas.ops.plugins.module_utils._core import files, times
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger, ledger_reader
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import program

#: Seconds that a lease lasts unless it is renewed.
LEASE_S = 60


def held(runtime):
    """Hold the directory of the lease while it is decided on, as a context manager.

    Args:
        runtime: the directory; it is made if it is missing.

    Raises:
        OSError: it cannot be made.
    """
    os.makedirs(runtime, mode=0o700, exist_ok=True)
    return program.locked(runtime)


def holder(runtime, dead_runs=()):
    """Return the lease of the run that holds the host, or None.

    Args:
        runtime: the directory of the lease.
        dead_runs: runs that are known to be gone.
    """
    lease = ledger_reader.read_lease(runtime)
    return ledger.holder(lease, times.boot_id(), times.uptime(), dead_runs)


def take(runtime, run, remedy, by=None, controller=None, seconds=LEASE_S):
    """Write a lease and return it; one that the run holds already begins anew.

    Args:
        runtime: the directory of the lease; the caller holds it.
        run, remedy, by: which run, what it does here, and whose it is.
        controller: what tells another run on the same controller whether this one is alive.
        seconds: how long it lasts.
    """
    now = times.uptime()
    before = holder(runtime)
    same = before is not None and (before["run"], before["remedy"]) == (run, remedy)
    lease = {
        "run": run,
        "remedy": remedy,
        "by": by,
        "controller": controller,
        "boot_id": times.boot_id(),
        "taken": before["taken"] if same and "taken" in before else round(now, 3),
        "ends": round(now + seconds, 1),
    }
    files.replace(ledger_reader.lease_path(runtime), json.dumps(lease).encode("utf-8"), mode=0o600)
    return lease


def renew(runtime, run, taken, seconds=LEASE_S):
    """Let a lease last longer; return whether the run still holds it.

    Args:
        runtime: the directory of the lease.
        run, taken: which lease it is.
        seconds: how long it lasts from now on.
    """
    try:
        with program.locked(runtime):
            lease = holder(runtime)
            if lease is None or (lease["run"], lease.get("taken")) != (run, taken):
                return False
            lease["ends"] = round(times.uptime() + seconds, 1)
            files.replace(
                ledger_reader.lease_path(runtime), json.dumps(lease).encode("utf-8"), mode=0o600
            )
            return True
    except FileNotFoundError:
        return False


def release(runtime):
    """Remove the lease; the caller holds its directory and knows whose it is."""
    try:
        os.unlink(ledger_reader.lease_path(runtime))
    except FileNotFoundError:
        pass
