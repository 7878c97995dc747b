# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process that runs Ansible: what another run needs to tell whether this one is alive."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any


def identity(pid: int | None = None) -> dict[str, Any]:
    """Return what tells a run of Ansible from all others on the same controller.

    Args:
        pid: of its main process; by default the parent of this one, as in an action plugin.

    Returns:
        name of the controller, boot and pid_namespace (where the pid means something), pid, and
        started, in clock ticks since the boot; None for what this controller does not tell.
    """
    pid = os.getppid() if pid is None else pid
    return {
        "name": socket.gethostname(),
        "boot": _text("/proc/sys/kernel/random/boot_id"),
        "pid_namespace": _link("/proc/self/ns/pid"),
        "pid": pid,
        "started": _started(pid),
    }


def is_alive(run: dict[str, Any]) -> bool:
    """Return whether the process of an identity of this controller is still there."""
    if run["started"] is not None:
        return _started(run["pid"]) == run["started"]
    # A controller without /proc.
    try:
        os.kill(run["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_dead(run: Any) -> bool:
    """Return whether a run is known to be gone.

    Args:
        run: the ``identity`` that it left, or anything else.

    Returns:
        bool: only a process of this very controller can be known to be gone; one in another
        container, on another machine or before another boot cannot.
    """
    if not isinstance(run, dict) or not isinstance(run.get("pid"), int):
        return False
    own = identity()
    here = all(own[key] and run.get(key) == own[key] for key in ("boot", "pid_namespace"))
    return here and run.get("started") is not None and not is_alive(run)


def run_name() -> str:
    """Return a name for the run that this process is part of, the same in all of its tasks."""
    own = identity()
    return "%s-%s-%s" % (own["name"], own["pid"], own["started"])


def who(task_vars: dict[str, Any]) -> str:
    """Return who runs this: the user of AWX where it is that, else user@controller."""
    for name in ("awx_user_name", "tower_user_name"):
        if isinstance(task_vars.get(name), str):
            return str(task_vars[name])
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return "%s@%s" % (user, socket.gethostname())


def _started(pid: int) -> int | None:
    """Return when a process was started, in clock ticks since the boot, or None if it is gone."""
    text = _text("/proc/%d/stat" % pid)
    # The name of the command, in brackets, may have spaces. A zombie has come to its end.
    fields = text.rpartition(")")[2].split() if text else []
    return int(fields[19]) if len(fields) > 19 and fields[0] not in "ZX" else None


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            return source.read().strip()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None
