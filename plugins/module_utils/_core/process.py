# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands of the host: bounded in time and in what they may print, in a language that parses."""

from __future__ import annotations

import os
import signal
import subprocess

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional, Sequence, Tuple

#: systemd and the PostgreSQL tools live here, whatever PATH the login gave us.
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CommandMissing(OperationError):
    """The host does not have this command."""


def find(name: str) -> Optional[str]:
    """Return the full path of a command, or None."""
    for directory in SEARCH_PATH.split(":"):
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return None


def environment() -> Dict[str, str]:
    """Return the environment for a command: its messages untranslated, its times in UTC."""
    return {"PATH": SEARCH_PATH, "LC_ALL": "C", "TZ": "UTC", "HOME": os.environ.get("HOME", "/")}


def start(argv: Sequence[str]) -> subprocess.Popen:
    """Start a command whose standard output is read as bytes; it leads a dedicated process group.

    Raises:
        CommandMissing: there is no such command.
    """
    path = find(argv[0])
    if path is None:
        raise CommandMissing("%s is not installed" % argv[0])
    return subprocess.Popen(
        [path] + list(argv[1:]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )


def stop(process: subprocess.Popen) -> None:
    """End a started command and its children at once, and close its pipes."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass
    for pipe in (process.stdout, process.stderr):
        if pipe:
            pipe.close()
    process.wait()


def run(argv: Sequence[str], deadline: Deadline) -> Tuple[int, str, str]:
    """Run a command to its end and return (exit status, standard output, standard error) as text.

    Raises:
        CommandMissing: there is no such command.
        DeadlineExceeded: it had not ended in time; it is killed.
    """
    process = start(argv)
    try:
        out, err = process.communicate(timeout=deadline.timeout(argv[0]))
    except subprocess.TimeoutExpired:
        stop(process)
        raise DeadlineExceeded("no answer in time from %s" % argv[0])
    return process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
