# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment that a unit's running process was started with, as /proc has it."""

from __future__ import annotations

import os
import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError

#: A process' environment is no larger where it is meant seriously.
MAX_BYTES = 1024 * 1024
_MOST_PROCESSES = 64
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*\Z")
#: What starts an app in another process, and may give it more variables than it has.
_LAUNCHERS = frozenset(
    "sh dash bash ash zsh ksh busybox env sudo su runuser setpriv tini dumb-init catatonit nice"
    " ionice timeout setsid flock systemd-cat chpst envdir gosu su-exec start-stop-daemon uv op"
    " vault doppler chamber envconsul aws-vault".split()
)
_PYTHON_LAUNCHERS = frozenset("dotenv honcho poetry pipenv supervisord circusd".split())
#: Their client is the unit's process, the app is another one elsewhere.
_CONTAINERS = frozenset("docker podman nerdctl conmon kubectl docker-compose".split())


class Process(namedtuple("Process", ["pid", "program", "arguments"])):
    """A process: the name of its program, and its command line as a list."""

    __slots__ = ()

    def is_launcher(self):
        """Return whether it is there only to start another one."""
        if not _PYTHON.match(self.program):
            return self.program in _LAUNCHERS
        script = os.path.basename(self.arguments[1]) if len(self.arguments) > 1 else ""
        return script in _PYTHON_LAUNCHERS


class Unreadable(OperationError):
    """The environment cannot be read; the message says why."""


def app(processes):
    """Return the ``Process`` that is the app, or None where none of these is (pure).

    Args:
        processes: those of the unit, the main one first and each before those that it started.
    """
    candidates = [one for one in processes if not one.is_launcher()]
    for one in candidates:
        if _PYTHON.match(one.program):
            return one
    for one in candidates:
        if one.program not in _CONTAINERS:
            return one
    return None if candidates else next(iter(processes), None)


def parse(data):
    """Return {name: value} of the bytes of a /proc/PID/environ, or None for what is none (pure).

    A process that sets its title (gunicorn with setproctitle) writes it over its environment.
    """
    entries = data.decode("utf-8", "replace").split("\0")
    if entries and not entries[-1]:
        entries.pop()
    if not entries or not all(re.match(r"[^=]+=", entry) for entry in entries):
        return None
    # The first one of a name is what getenv finds.
    return dict(reversed([entry.partition("=")[::2] for entry in entries]))


def _process(pid):
    program = os.path.basename(os.readlink("/proc/%d/exe" % pid).replace(" (deleted)", ""))
    with open("/proc/%d/cmdline" % pid, "rb") as source:
        words = source.read(4096).decode("utf-8", "replace").split("\0")
    return Process(pid, program, words)


def read(pids):
    """Return (pid of the app's process, {name: value} that it was started with).

    Args:
        pids: those of the unit, see ``unit.processes``.

    Raises:
        Unreadable: none of them can be read, or none is the app.
    """
    processes = []
    try:
        for pid in pids[:_MOST_PROCESSES]:
            try:
                processes.append(_process(pid))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended in the meantime
            if not processes[-1].is_launcher() and _PYTHON.match(processes[-1].program):
                break
        found = app(processes)
        if found is None:
            raise Unreadable("the unit's process is only a client of a container engine")
        with open("/proc/%d/environ" % found.pid, "rb") as source:
            values = parse(source.read(MAX_BYTES))
    except PermissionError:
        raise Unreadable("the environment of the app's process may not be read: run with become")
    except OSError as error:
        raise Unreadable("the environment of the app's process: %s" % error.strerror)
    if values is None:
        raise Unreadable("the app's process has overwritten its environment with its title")
    return found.pid, values
