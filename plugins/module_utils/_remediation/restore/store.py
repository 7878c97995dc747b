# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore point on the host: reads it, saves files into it, and lets its time begin anew."""

from __future__ import annotations

import os
import shutil
import tempfile
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import files as core_files
from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._host import restore_points
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import (
    plan,
    program,
    timer,
)
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore.plan import (
    PointError,
    Refused,
)

#: The program, the list, and the blocks of directories and units.
_RESERVED = program.OUTCOME_BYTES + 65536


def read(directory):
    try:
        return program.read_point(directory), program.read_outcome(directory)
    except ValueError as error:
        raise PointError("%s/point.json cannot be read: %s" % (directory, error))


def read_at_rest(directory):
    """Return what ``read`` does, once a restore that is under way has ended."""
    try:
        with program.locked(directory):
            return read(directory)
    except FileNotFoundError:
        return read(directory)


def refuse_full(params, found):
    core_files.refuse_shared(params["directory"])
    existing = params["directory"]
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    status = os.statvfs(existing)
    free = (status.f_bfree if os.geteuid() == 0 else status.f_bavail) * status.f_frsize
    needed = plan.space_needed(found, _RESERVED)
    if free < needed:
        raise Refused(
            "%d bytes are free at %s and %d are needed to save the files: nothing was touched"
            % (free, existing, needed)
        )


def new_point(params, found):
    now = time.time()
    files, saved = [], {}
    for number, item in enumerate(found):
        more, file = {}, item.get("leads_to", item)
        if file["kind"] == "file":
            # A link may lead to another one of the files.
            more = {"saved": saved.setdefault(file["path"], "saved/%d" % number)}
        if item["kind"] == "absent":
            more = {"made_in": _missing_directories(item["path"])}
        files.append(dict(item, **more))
    return {
        "name": params["name"],
        "run": params["run"],
        "armed_at": times.clock(now),
        "due": times.clock(now + params["deadline"]) if params["deadline"] else None,
        "boot": program.boot(),
        "files": files,
        "commands": params["commands"],
        "restarts": {unit: program.unit_state(unit) for unit in params["restarts"]},
        "command_timeout": params["command_timeout"],
    }


def _missing_directories(path):
    """Return the directories above a path that do not exist, the innermost first."""
    missing = []
    directory = os.path.dirname(path)
    while not os.path.lexists(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    return missing


def save(params, directory, point):
    """Save the files and arm the point: all of it, or nothing stays."""
    base = params["directory"]
    core_files.own_directory(base)
    with program.locked(base):
        point_now, outcome = read(directory)
        if restore_points.standing(point_now, outcome) not in ("none", "restored"):
            raise Refused("%s has been armed by another run just now" % params["name"])
        for left in [name for name in os.listdir(base) if name.startswith(".")]:
            # Of a run that died here: no other run works on one while the lock is held.
            shutil.rmtree(os.path.join(base, left), ignore_errors=True)
        staging = tempfile.mkdtemp(prefix=".%s." % params["name"], dir=base)
        try:
            _fill(staging, point)
            if point["due"]:
                # Before the point is there, they do nothing: a run that dies here leaves none that
                # is armed and has no timer.
                timer.write_unit(params, directory)
                timer.stop(params["name"])
                timer.start(params)
            old = None
            if os.path.isdir(directory):
                old = staging + ".old"
                os.rename(directory, old)
            os.rename(staging, directory)
            program.sync(base)
            if old:
                shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            _give_up(params, staging, point)
            raise PointError(
                "%s could not be saved, and nothing was touched: %s: %s"
                % (params["name"], error.filename or base, error.strerror or error)
            )
        except (PointError, Refused):
            _give_up(params, staging, point)
            raise


def rearm(params, directory, new):
    """Let the time of an armed point begin anew.

    What it has saved stays: it is the state from before the first run armed it. What another run
    requests on top of that is saved as well, and undone by its own commands before the others.
    """
    with program.locked(directory):
        point, outcome = read(directory)
        if restore_points.standing(point, outcome) != "armed":
            raise Refused("%s has been restored by the host just now" % params["name"])
        saved = {item["path"] for item in point["files"]}
        added = [item for item in new["files"] if item["path"] not in saved]
        names = {}
        for item in [item for item in added if "saved" in item]:
            first = item["saved"] not in names
            name = "saved/%d" % (len(point["files"]) + len(names))
            item["saved"] = names.setdefault(item["saved"], name)
            if first:
                _copy(item.get("leads_to", item), os.path.join(directory, item["saved"]))
        if names:
            program.sync(os.path.join(directory, "saved"))
        point.update(
            {key: new[key] for key in ("run", "armed_at", "due", "boot", "command_timeout")},
            # The oldest ones last: they know the state from before all of it.
            commands=[c for c in new["commands"] if c not in point["commands"]] + point["commands"],
            files=point["files"] + added,
            restarts=dict(new["restarts"], **(point.get("restarts") or {})),
        )
        if new["due"]:
            timer.write_unit(params, directory)
        program.write_point(directory, point)
        timer.stop(params["name"])
        if new["due"]:
            timer.start(params)
        else:
            program.remove_unit(params["name"])


def discard(params, directory):
    """Remove what a point has saved, and its timer and unit."""
    try:
        # Waits for a restore that is under way.
        with program.locked(directory):
            plan.refuse_restored(params["name"], read(directory)[1])
            gone = os.path.join(params["directory"], ".%s.gone" % params["name"])
            shutil.rmtree(gone, ignore_errors=True)
            os.rename(directory, gone)
            # A crash must not bring back an armed point that has only some of its files.
            program.sync(params["directory"])
    except FileNotFoundError:
        return
    timer.stop(params["name"])
    program.remove_unit(params["name"])
    shutil.rmtree(gone)


def _give_up(params, staging, point):
    shutil.rmtree(staging, ignore_errors=True)
    if point["due"]:
        timer.stop(params["name"])
        program.remove_unit(params["name"])


def _fill(staging, point):
    os.mkdir(os.path.join(staging, "saved"), 0o700)
    saved = {item["saved"]: item for item in point["files"] if "saved" in item}
    for name, item in saved.items():
        _copy(item.get("leads_to", item), os.path.join(staging, name))
    program.sync(os.path.join(staging, "saved"))
    source = program.__loader__.get_source(program.__name__)
    program.write_outcome(staging, None)
    core_files.replace(os.path.join(staging, "restore.py"), source.encode("utf-8"), mode=0o700)
    program.write_point(staging, point)


def _copy(item, saved):
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with program.opened(item["path"]) as source:
        copy = os.open(saved, flags, 0o600)  # path: in the point's own directory
        try:
            with open(source, "rb", closefd=False) as reader, open(copy, "wb", closefd=False) as to:
                shutil.copyfileobj(reader, to)
            # So that a full disk can have it by a rename alone.
            program.give(copy, item)
            os.fsync(copy)
            if program.digest(copy) != item["sha256"]:
                raise Refused("%s is being changed by someone else just now" % item["path"])
        finally:
            os.close(copy)
