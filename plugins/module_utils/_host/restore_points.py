# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the restore points of a host, for those that arm none: a diagnosis, and a run that is about
to write a file that a restore point covers.
"""

from __future__ import annotations

import json
import os

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError

DIRECTORY = "/var/lib/sergas/restore"
#: The environment variable that names the run that a module works for.
RUN_VARIABLE = "SERGAS_RUN"
_POINT_BYTES = 1 << 20
_OUTCOME_BYTES = 8192
_MOST_POINTS = 100


class Armed(OperationError):
    """A file is covered by a restore point of another run; the message names both."""


def points(directory=DIRECTORY):
    """Return the restore points of the host as a list of ``{name, point, outcome}``.

    Args:
        directory: where they are kept.

    Raises:
        OSError: they are there and cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(directory) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for name in names[:_MOST_POINTS]:
        point = _json(os.path.join(directory, name, "point.json"), _POINT_BYTES)
        if point is not None:
            outcome = _json(os.path.join(directory, name, "outcome"), _OUTCOME_BYTES)
            found.append({"name": name, "point": point, "outcome": outcome})
    return found


def _json(path, most):
    try:
        with open(path, "rb") as source:
            found = json.loads(source.read(most).decode("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def standing(point, outcome):
    """Return the state of a point: ``none``, ``armed``, ``restored``, ``failed`` (in part)."""
    if point is None:
        return "none"
    if outcome is None:
        return "armed"
    return "restored" if outcome.get("complete") else "failed"


def pending(found):
    """Return those of ``points`` that the host will still restore automatically."""
    return [
        item
        for item in found
        if item["point"].get("due") and standing(item["point"], item["outcome"]) != "restored"
    ]


def conflict(paths, run=None, directory=DIRECTORY, but=()):
    """Return which restore point of another run covers one of some files, in words, or None.

    What is written there now would be lost when that restore point's time is over.

    Args:
        paths: of the files, absolute.
        run: the run that this is part of; by default the one that the environment names.
        directory: where restore points are kept.
        but: names of restore points that do not matter.
    """
    run = run or os.environ.get(RUN_VARIABLE)
    try:
        armed = pending(points(directory))
    except PermissionError:
        # Only root arms restore points that the host restores, for files that only root may write.
        return None
    for item in armed:
        point = item["point"]
        saved = point.get("files", ())
        # A link is restored with the file that it leads to.
        covered = {file.get("path") for file in [*saved, *(f.get("leads_to", {}) for f in saved)]}
        hit = sorted(covered.intersection(paths) - {None})
        if hit and item["name"] not in but and not (run and point.get("run") == run):
            return (
                "%s: the restore point %s%s is armed since %s, and this host restores the file at"
                " %s. Wait until then, or run playbook fix, which resolves what an interrupted run"
                " has left"
                % (
                    hit[0],
                    item["name"],
                    " of run %s" % point["run"] if point.get("run") else "",
                    point.get("armed_at"),
                    point["due"],
                )
            )
    return None


def refuse_covered(paths, run=None, directory=DIRECTORY):
    """Refuse to write files that the host will restore automatically for another run.

    Args: see ``conflict``.

    Raises:
        Armed: one of the files is covered by an armed restore point of another run.
    """
    reason = conflict(paths, run, directory)
    if reason:
        raise Armed(reason + ". Nothing was written")
