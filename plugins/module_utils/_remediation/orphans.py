# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run that is gone has left running on a host.

A controller that is killed ends no task on its hosts: the module that it had started goes on, and
would change the host under the hands of the next run. The tasks of a remedy carry the name of their
run in the environment, and so does whatever they start.
"""

from __future__ import annotations

import os
import signal
import time

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._host.restore_points import RUN_VARIABLE

#: Seconds: most tasks end within them.
GRACE_S = 10.0
_KILL_S = 5.0
_PAUSE_S = 0.25
#: Ended in the middle, they leave packages half installed.
_NEVER_ENDED = ("apt", "apt-get", "dpkg", "unattended-upgr")


class StillRunning(OperationError):
    """A task of a run that is gone must not be ended; the message names it."""


def of(runs, proc="/proc"):
    """Return [(pid, name)] of the processes that belong to runs, without this one and its parents.

    Args:
        runs: names of runs.
        proc: where the kernel shows processes.
    """
    marks = {("%s=%s" % (RUN_VARIABLE, run)).encode("utf-8", "surrogateescape") for run in runs}
    own = _parents(proc)
    found = []
    for name in os.listdir(proc) if marks else ():
        if not name.isdigit() or int(name) in own:
            continue
        try:
            with open("%s/%s/environ" % (proc, name), "rb") as source:  # path: /proc
                variables = source.read().split(b"\0")
            if marks.intersection(variables):
                found.append((int(name), _stat(proc, name)[0]))
        except OSError:
            continue
    return found


def _stat(proc, name):
    """Return (name, pid of the parent) of a process."""
    path = "%s/%s/stat" % (proc, name)
    with open(path, encoding="utf-8", errors="replace") as source:  # path: /proc
        head, _bracket, tail = source.read().rpartition(")")
    return head.partition("(")[2], int(tail.split()[1])


def _parents(proc):
    found = set()
    pid = os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            pid = _stat(proc, pid)[1]
        except (OSError, ValueError):
            break
    return found


def end(runs, grace=GRACE_S):
    """Wait until nothing of runs that are gone is left, and end what has not ended after ``grace``.

    Args:
        runs: their names.
        grace: how long to wait before that, in seconds.

    Returns:
        Names of the processes that were ended.

    Raises:
        StillRunning: one of them must not be ended.
    """
    ended = []
    for number, seconds in ((None, grace), (signal.SIGTERM, _KILL_S), (signal.SIGKILL, _KILL_S)):
        left = of(runs)
        if not left:
            break
        if number is not None:
            _refuse_to_end(left)
            ended = ended or sorted({name for _pid, name in left})
            for pid, _name in left:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        until = time.monotonic() + seconds
        while time.monotonic() < until and of(runs):
            time.sleep(_PAUSE_S)
    return ended


def _refuse_to_end(left):
    for pid, name in left:
        if name in _NEVER_ENDED:
            raise StillRunning(
                "%s (pid %d) of a run that is gone still works on this host and must not be"
                " interrupted: wait until it has ended" % (name, pid)
            )
