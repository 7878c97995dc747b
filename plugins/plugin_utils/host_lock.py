# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of the lock of a host: it renews the lease for as long as the run lives.

A lease is short, so that a run that died does not hold its hosts. But tasks may be long, most of
them are not this collection's, and in a batch a host waits for the others between two tasks. So
not the tasks renew it but a process beside the run, one for each host that is acted on, which ends
with the run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sergas.ops.plugins.module_utils._remediation.host_lock import LEASE_S
from ansible_collections.sergas.ops.plugins.plugin_utils import controller

#: Two renewals may fail before the lease ends.
PERIOD_S = LEASE_S / 3
_MODULE = "sergas.ops.remedy_ledger"


def execute(action: ActionBase, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    """Run a module that may take the lock of a host, and keep the lock if it did.

    A lock whose run was started on this controller and is gone counts as free.

    Args:
        action: the action plugin of the task.
        args: the module's options.
        task_vars: those of the task.

    Returns:
        The module's result.
    """
    result = action._execute_module(module_args=args, task_vars=task_vars)
    holder = result.get("holder")
    if isinstance(holder, dict) and controller.is_dead(holder.get("controller")):
        dead = [*(args.get("dead_runs") or ()), holder["run"]]
        result = action._execute_module(module_args=dict(args, dead_runs=dead), task_vars=task_vars)
    lease = result.get("lease")
    if isinstance(lease, dict):
        keep(action, lease, args, task_vars)
    return result


def keep(
    action: ActionBase, lease: dict[str, Any], args: dict[str, Any], task_vars: dict[str, Any]
) -> None:
    """Start the process that renews a lease until its run ends, or no longer holds it."""
    run = controller.identity()
    if os.fork():
        return
    # From here on in the new process, which never returns into Ansible's worker.
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        # Its messages would be shown among those of the tasks.
        Display().verbosity = 0
        options = {
            "state": "renewed",
            "run": lease["run"],
            "taken": lease["taken"],
        }
        if args.get("runtime_directory"):
            options["runtime_directory"] = args["runtime_directory"]
        _renew(action, options, task_vars, run)
    finally:
        os._exit(0)


def _renew(
    action: ActionBase, options: dict[str, Any], task_vars: dict[str, Any], run: dict[str, Any]
) -> None:
    held_at = tried_at = time.monotonic()
    while controller.is_alive(run) and time.monotonic() - held_at < LEASE_S:
        time.sleep(0.5)
        if time.monotonic() - tried_at < PERIOD_S:
            continue
        tried_at = time.monotonic()
        result: dict[str, Any] = {}
        # That of the task, which the task itself has removed.
        action._connection._shell.tmpdir = None
        # A host that cannot be reached just now may be reached the next time.
        with contextlib.suppress(Exception):
            result = action._execute_module(
                module_name=_MODULE, module_args=options, task_vars=task_vars
            )
        with contextlib.suppress(Exception):
            action.cleanup()
        if result.get("held") is False:
            return
        if result.get("held"):
            held_at = time.monotonic()
