# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory of the reports: one directory for each run, a link to the latest, the oldest
removed.

A run is ``2026-11-24T145427Z/report.json`` and so on; ``latest`` is a link to
``2026-11-24T145427Z``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.plugin_utils.report.model import SCHEMA_VERSION

LATEST = "latest"
#: Reports name hosts, addresses and what is wrong with them: for the group that runs them only.
DIRECTORY_MODE = 0o750
FILE_MODE = 0o640

_RUN = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z(?:-(\d+))?\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_REPORT = re.compile(r"report\.[a-z]+\Z|recording-[A-Za-z0-9_.-]+\.json\Z")


class Unwritable(Exception):
    """The reports cannot be written; the message says where and why."""


def runs(directory: str) -> list[str]:
    """Return the names of the runs in a directory, the oldest first; none where it is missing."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return sorted(filter(_RUN.match, names), key=lambda name: (name[:18], _number(name)))


def _number(name: str) -> int:
    """Return which run of its second a directory is, from 1."""
    found = _RUN.match(name)
    return int(found[1] or 1) if found else 1


def read_previous(directory: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return (model, ``None``) of the latest report in a directory, or (``None``, why there is none
    to compare with).
    """
    names = runs(directory)
    if not names:
        return None, "this is the first report in this directory"
    path = os.path.join(directory, names[-1], "report.json")
    try:
        with open(path, encoding="utf-8") as file:
            previous = json.load(file)
    except OSError as error:
        return None, "the previous report %s cannot be read: %s" % (path, error.strerror)
    except ValueError as error:
        return None, "the previous report %s is not JSON: %s" % (path, error)
    version = previous.get("schema_version") if isinstance(previous, dict) else None
    if (
        not isinstance(version, str)
        or version.partition(".")[0] != SCHEMA_VERSION.partition(".")[0]
    ):
        return None, "the previous report %s has the schema version %s, this is %s" % (
            path,
            version,
            SCHEMA_VERSION,
        )
    if not _comparable(previous):
        return None, "the previous report %s does not match its schema" % path
    return previous, None


def _comparable(model: Any) -> bool:
    """Return whether a model has all that a comparison reads."""
    with contextlib.suppress(KeyError, TypeError, AttributeError):
        findings = model["fleet"] + [item for host in model["hosts"] for item in host["findings"]]
        names = [host["name"] for host in model["hosts"]]
        texts = [model["generated_at"]] + names
        texts += [item[key] for item in findings for key in ("id", "status", "summary")]
        return all(isinstance(text, str) for text in texts) and bool(
            _TIME.match(model["generated_at"])
        )
    return False


def write(directory: str, moment: datetime, documents: Mapping[str, str]) -> str:
    """Write the documents of one run, all or none of them.

    Args:
        directory: the directory of all reports; made where it is missing.
        moment: the time of the run, a datetime in UTC.
        documents: {file name: text}.

    Returns:
        the path of the run's own directory.

    Raises:
        Unwritable: with the path and the reason.
    """
    unfinished = None
    try:
        os.makedirs(directory, mode=DIRECTORY_MODE, exist_ok=True)
        unfinished = tempfile.mkdtemp(prefix=".unfinished-", dir=directory)
        os.chmod(unfinished, DIRECTORY_MODE)
        for name, text in documents.items():
            descriptor = os.open(
                os.path.join(unfinished, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE
            )
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        return _publish(directory, times.clock(moment.timestamp()).replace(":", ""), unfinished)
    except OSError as error:
        if unfinished:
            shutil.rmtree(unfinished, ignore_errors=True)
        reason = "it is not a directory" if isinstance(error, FileExistsError) else error.strerror
        raise Unwritable("%s: %s" % (error.filename or directory, reason)) from error


def _publish(directory: str, stamp: str, unfinished: str) -> str:
    """Give the finished directory its name: a rename, so that no reader sees half a report."""
    # After the last one of this second, not in a gap: the order of the names is that of the runs.
    attempt = 1 + max(
        (_number(name) for name in runs(directory) if name.startswith(stamp)), default=0
    )
    while True:
        path = os.path.join(directory, stamp if attempt == 1 else "%s-%d" % (stamp, attempt))
        # rename replaces an empty directory silently, and a run that is being removed may be one.
        if not os.path.lexists(path):
            try:
                os.rename(unfinished, path)
                return path
            except OSError:
                # Another run took the name meanwhile: the next one then. Anything else is an error.
                if not os.path.lexists(path):
                    raise
        attempt += 1


def link_latest(directory: str, run: str) -> tuple[str | None, str | None]:
    """Point ``latest`` at a run, in one step.

    Returns:
        (path of the link, ``None``), or (``None``, why there is none).
    """
    link = os.path.join(directory, LATEST)
    temporary = os.path.join(directory, ".latest-%d" % os.getpid())
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.symlink(os.path.basename(run), temporary)
        os.replace(temporary, link)
        return link, None
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        return None, "%s could not be made a link to this run: %s" % (link, error.strerror)


def prune(directory: str, keep: int) -> list[str]:
    """Remove the oldest runs beyond the number to keep; a directory with anything but reports in it
    stays.

    Returns:
        the names of the removed runs.
    """
    removed = []
    for name in runs(directory)[:-keep]:
        path = os.path.join(directory, name)
        with contextlib.suppress(OSError):
            files = os.listdir(path)
            if not os.path.islink(path) and all(map(_REPORT.match, files)):
                for file in files:
                    os.unlink(os.path.join(path, file))
                os.rmdir(path)
                removed.append(name)
    return removed
