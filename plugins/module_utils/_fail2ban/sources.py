# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a jail watches, and whether there is anything to see: a jail can be green and blind."""

from __future__ import annotations

import os
import re
from typing import NamedTuple, Tuple

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import client
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

#: The jail that nothing but a person or a remedy fills.
BY_HAND = "sergas-blocked"


#: SD_JOURNAL_SYSTEM of sd_journal_open(3), which fail2ban opens the journal with
_SYSTEM_ONLY = 4


class Sources(NamedTuple):
    """What a jail is configured to read, and what of that is there."""

    journalmatch: str
    #: {unit: (LoadState, ActiveState)} of the units that the match names
    units: dict
    #: whether what it reads of the journal holds a line for the match; None where that is not known
    lines: object
    logpaths: Tuple[str, ...]
    #: those of the log files that exist
    present: Tuple[str, ...]


def observe(backend, journalmatch, logpaths, deadline):
    """Return the ``Sources`` of a jail.

    Args:
        backend: of the jail, such as ``systemd[journalflags=1]``; None where it is not known.
        journalmatch: as journalctl takes it.
        logpaths: the files, possibly none.
        deadline: a Deadline for the commands that are run.

    Raises:
        process.CommandMissing, DeadlineExceeded
        Unmeasurable: systemd does not say which units there are.
    """
    states = {}
    for name in client.units(journalmatch):
        known, reason = unit.read(name, deadline)
        if reason:
            raise Unmeasurable(reason)
        states[name] = (known.get("LoadState", ""), known.get("ActiveState", ""))
    lines = None
    if journalmatch and backend is not None:
        argv = ["journalctl", "--quiet", "--no-pager", "--lines=1", "--output=cat"]
        if reads_system_journal_only(backend):
            argv.append("--system")
        status, out, _err = process.run(argv + journalmatch.split(), deadline)
        lines = bool(out.strip()) if status == 0 else None
    present = tuple(path for path in logpaths if os.path.exists(path))
    return Sources(journalmatch, states, lines, tuple(logpaths), present)


def reads_system_journal_only(backend):
    """Return whether a backend passes over the journals of users, which is its default (pure).

    What a service says that runs as a user with a number from 1000 on is in such a journal.
    """
    flags = re.search(r"journalflags\s*=\s*\"?(\d+)", backend)
    return not flags or bool(int(flags.group(1)) & _SYSTEM_ONLY)


def describe(sources):
    """Return what a jail watches, in a word or two, or an empty text."""
    if sources.journalmatch:
        return "journal: " + sources.journalmatch
    return ", ".join(sources.logpaths)


def no_input(sources):
    """Return why a jail cannot see anything, or None (pure)."""
    if not sources.journalmatch and not sources.logpaths:
        return "it reads neither the journal of a unit nor a file"
    if not sources.journalmatch:
        missing = [path for path in sources.logpaths if path not in sources.present]
        return None if sources.present else "%s does not exist" % ", ".join(missing)
    if re.search(r"(?:^|\+ )(?!\S*_SYSTEMD_UNIT=)", sources.journalmatch) or not sources.units:
        return None if sources.lines is not False else "the journal has no line for its match"
    loaded = {name: state for name, state in sources.units.items() if state[0] == "loaded"}
    if not loaded:
        return "%s is no unit of this host" % " or ".join(sorted(sources.units))
    running = [name for name, state in loaded.items() if state[1] == "active"]
    if sources.lines is False and running:
        return "%s runs, but leaves no line in the journal that it reads" % ", ".join(
            sorted(running)
        )
    return None
