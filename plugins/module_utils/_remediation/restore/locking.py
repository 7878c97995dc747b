# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What other runs hold on a host: its lock, and restore points that cover the same files."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger, restore_points
from ansible_collections.sergas.ops.plugins.module_utils._remediation import host_lock
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import program
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore.plan import Refused


def conflict(params):
    """Return which other point, of another run, would put one of the files back, or None."""
    return restore_points.conflict(
        params["files"], params["run"], params["directory"], but=(params["name"],)
    )


def refuse_while_locked(params):
    """Refuse what the host would do later automatically while another run is at work there."""
    lease = _lease_of_another(params)
    if params["deadline"] and lease:
        raise _locked_by(lease)


def refuse_at_work(params, point):
    """Refuse to end a point that another run needs, being at work with it."""
    lease = _lease_of_another(params)
    if lease and lease["run"] == point["run"]:
        raise _locked_by(lease)


def take(params):
    """Take the host's lock for a point with a deadline; return the lease, None where the run has
    the lock for something larger.
    """
    if not params["deadline"] or not params["run"]:
        return None
    with host_lock.held(params["runtime_directory"]):
        refuse_while_locked(params)
        lease = host_lock.holder(params["runtime_directory"], params["dead_runs"])
        if lease and lease["remedy"] != _purpose(params):
            return None
        return host_lock.take(
            params["runtime_directory"],
            params["run"],
            _purpose(params),
            params["by"],
            params["controller"],
        )


def release(params, run):
    """Free the host's lock where a run has taken it for this point."""
    try:
        with program.locked(params["runtime_directory"]):
            lease = host_lock.holder(params["runtime_directory"])
            if lease and (lease["remedy"], lease["run"]) == (_purpose(params), run):
                host_lock.release(params["runtime_directory"])
    except FileNotFoundError:
        pass


def _lease_of_another(params):
    lease = host_lock.holder(params["runtime_directory"], params["dead_runs"])
    return lease if lease and lease["run"] != params["run"] else None


def _locked_by(lease):
    return Refused(ledger.lock_refusal(lease, times.uptime()), lease)


def _purpose(params):
    return "restore point %s" % params["name"]
