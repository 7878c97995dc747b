# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs systemctl, and reads what ``systemctl show`` prints."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError

#: how long a command may take that is given no deadline, in seconds
_SECONDS = 120


class SystemctlError(OperationError):
    """systemctl has failed or is not there; the message says why."""


def run(*words, deadline=None):
    """Run systemctl and return what it prints.

    Args:
        words: its arguments.
        deadline: a ``Deadline``, None for two minutes.

    Raises:
        SystemctlError: it fails or takes too long, or there is no systemd.
    """
    status, out, err = _run(words, deadline)
    if status:
        reason = err.strip() or "exit status %d" % status
        raise SystemctlError("systemctl %s: %s" % (" ".join(words), reason))
    return out


def show(name, properties, deadline):
    """Return {property: value} of a unit.

    A unit that does not exist has properties, too: its LoadState is ``not-found``.

    Args:
        name: of the unit, with its suffix.
        properties: names of the properties to return.
        deadline: a ``Deadline``.

    Raises:
        SystemctlError: systemd does not answer.
    """
    status, out, err = _run(
        ["show", "--no-pager", "--property=" + ",".join(properties), "--", name], deadline
    )
    shown = parse(out)
    if not shown:
        reason = err.strip().split("\n", 1)[0] or "exit status %d" % status
        raise SystemctlError("systemctl does not know %s: %s" % (name, reason))
    return shown


def parse(text):
    """Return {name: value} of lines NAME=VALUE (pure); values of a repeated name are joined by
    lines.
    """
    properties = {}
    for line in text.splitlines():
        key, sign, value = line.partition("=")
        if sign and value:
            properties[key] = properties[key] + "\n" + value if properties.get(key) else value
        elif sign:
            properties.setdefault(key, "")
    return properties


def _run(words, deadline):
    try:
        return process.run(["systemctl", *words], deadline or Deadline(_SECONDS))
    except (process.CommandMissing, DeadlineExceeded) as error:
        raise SystemctlError(str(error))
