# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arms, disarms and uses restore points.

What may be done is decided in `restore_plan`, the restoring is done by `restore_program`, of
which the host keeps a copy.

Two things start that copy. A transient timer at the deadline: it runs on the clock that no one can
set, and vanishes with the reboot that would make it meaningless. And a unit file with a link in
``multi-user.target.wants`` at the next boot: the run that armed it has lost its connection then,
so that the host puts itself back as it comes up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import files as core_files
from ansible_collections.sergas.ops.plugins.module_utils._core import process, times
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    ledger,
    restore_points,
    systemctl,
)
from ansible_collections.sergas.ops.plugins.module_utils._remediation import host_lock
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import plan, program
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore.plan import Refused

_SYSTEMD_SECONDS = 20
#: The program, the list, and the blocks of directories and units.
_RESERVED = program.OUTCOME_BYTES + 65536
_UNIT = """\
# Made by the collection sergas.ops: puts the restore point %(name)s back, unless it is disarmed.
[Unit]
Description=Restore %(name)s, which was not disarmed
ConditionPathExists=%(directory)s/point.json
StartLimitIntervalSec=3600
StartLimitBurst=60

[Service]
# Nothing at boot waits for it, so that its commands may start and stop other units.
Type=simple
ExecStart=%(python)s -I -B %(directory)s/restore.py
# What the commands have started stays.
KillMode=process
Restart=on-failure
RestartSec=10
"""


class PointError(OperationError):
    """It did not work; the message says what and in which state the host is now."""

    def __init__(self, message, **result):
        super().__init__(message)
        self.result = result


def run(params, check_mode):
    """Do what the module's options say and return its result.

    Raises:
        Refused: nothing was touched.
        PointError: something failed on the way.
    """
    plan.check(params)
    act = {
        "armed": _arm,
        "disarmed": _disarm,
        "observed": _observed,
        "restored": _restored,
    }[params["state"]]
    try:
        return act(params, check_mode)
    except OSError as error:
        raise PointError(
            "%s%s: %s"
            % (
                error.filename or params["directory"],
                "" if os.geteuid() == 0 else " (as this user, which takes become: true)",
                error.strerror or error,
            )
        )


def _directory(params):
    return os.path.join(params["directory"], params["name"])


def _read(directory):
    try:
        return program.read_point(directory), program.read_outcome(directory)
    except ValueError as error:
        raise PointError("%s/point.json cannot be read: %s" % (directory, error))


def _read_at_rest(directory):
    """Return what ``_read`` does, once a restore that is under way has ended."""
    try:
        with program.locked(directory):
            return _read(directory)
    except FileNotFoundError:
        return _read(directory)


def _result(params, changed, point, outcome, **more):
    point = point or {}
    result = {
        "changed": changed,
        "name": params["name"],
        "armed_at": point.get("armed_at"),
        "due": point.get("due"),
        "run": point.get("run"),
        "outcome": plan.shown_outcome(outcome),
    }
    result.update(more)
    return result


# Arming


def _observed(params, check_mode):
    """Return what there is, and whether the run that armed it still is at work on the host."""
    del check_mode
    point, outcome = _read(_directory(params))
    lease = host_lock.holder(params["runtime_directory"], params["dead_runs"])
    standing = restore_points.standing(point, outcome)
    at_work = standing == "armed" and lease is not None and lease["run"] == point["run"]
    more = {
        "at_work": at_work,
        "holder": lease if at_work else None,
        "conflict": _conflict(params),
    }
    return _result(params, False, point, outcome, state=standing, differing=[], **more)


def _arm(params, check_mode):
    directory = _directory(params)
    _refuse_without_systemd(params)
    _refuse_while_locked(params)
    reason = _conflict(params) if params["deadline"] else None
    if reason:
        raise Refused(reason)
    point, outcome = _read_at_rest(directory)
    found = [program.describe(path) for path in params["files"]]
    plan.refuse_kinds(found)
    standing = restore_points.standing(point, outcome)
    if standing == "failed":
        raise Refused(
            "%s is half restored (%s): fix that, then use state: restored"
            % (params["name"], plan.failures(outcome))
        )
    adopted = None
    if standing == "armed":
        same = plan.same(point, found, params["commands"], params["restarts"])
        if not same and not (params["adopt"] and point["run"] != params["run"]):
            raise Refused(
                "%s is armed since %s%s, with other files, commands or contents: disarm or restore"
                " it first%s"
                % (
                    params["name"],
                    point["armed_at"],
                    " by run %s" % point["run"] if point["run"] else "",
                    ", or wait until %s, when the host restores it" % point["due"]
                    if point["due"]
                    else "",
                )
            )
        if same and not params["deadline"] and not point["due"]:
            return _result(params, False, point, None, state="armed", differing=[], adopted=None)
        if not same:
            adopted = {key: point[key] for key in ("run", "armed_at", "due")}
            saved = {item["path"] for item in point["files"]}
            found = [item for item in found if item["path"] not in saved]
    if standing != "armed" or adopted:
        _refuse_full(params, found)
    new = _new_point(params, found)
    lease = None
    if not check_mode:
        lease = _lock(params)
        try:
            if standing == "armed":
                _rearm(params, directory, new)
            else:
                _save(params, directory, new)
        except BaseException:
            if lease:
                _unlock(params, lease["run"])
            raise
    return _result(
        params,
        True,
        new,
        None,
        state="armed",
        differing=[],
        adopted=adopted,
        lease=lease,
        diff={
            "before": {"state": standing, "due": (point or {}).get("due")},
            "after": {"state": "armed", "due": new["due"]},
        },
    )


def _conflict(params):
    """Return which other point, of another run, would put one of the files back, or None."""
    return restore_points.conflict(
        params["files"], params["run"], params["directory"], but=(params["name"],)
    )


def _refuse_while_locked(params):
    """Refuse what the host would do later automatically while another run is at work there."""
    lease = _lease_of_another(params)
    if params["deadline"] and lease:
        raise _locked_by(lease)


def _refuse_at_work(params, point):
    """Refuse to end a point that another run needs, being at work with it."""
    lease = _lease_of_another(params)
    if lease and lease["run"] == point["run"]:
        raise _locked_by(lease)


def _lease_of_another(params):
    lease = host_lock.holder(params["runtime_directory"], params["dead_runs"])
    return lease if lease and lease["run"] != params["run"] else None


def _locked_by(lease):
    return Refused(ledger.lock_refusal(lease, times.uptime()), lease)


def _lock(params):
    """Take the host's lock for a point with a deadline; return the lease, None where the run has
    the lock for something larger.
    """
    if not params["deadline"] or not params["run"]:
        return None
    with host_lock.held(params["runtime_directory"]):
        _refuse_while_locked(params)
        lease = host_lock.holder(params["runtime_directory"], params["dead_runs"])
        if lease and lease["remedy"] != _purpose(params):
            return None
        return host_lock.take(
            params["runtime_directory"],
            params["run"],
            _purpose(params),
            params["by"],
            params["controller"],
        )


def _unlock(params, run):
    """Free the host's lock where a run has taken it for this point."""
    try:
        with program.locked(params["runtime_directory"]):
            lease = host_lock.holder(params["runtime_directory"])
            if lease and (lease["remedy"], lease["run"]) == (_purpose(params), run):
                host_lock.release(params["runtime_directory"])
    except FileNotFoundError:
        pass


def _purpose(params):
    return "restore point %s" % params["name"]


def _new_point(params, found):
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


def _refuse_without_systemd(params):
    if not params["deadline"]:
        return
    if not os.path.isdir("/run/systemd/system"):
        raise Refused("deadline: systemd does not run this host, so that nothing would end it")
    if os.geteuid() != 0:
        raise Refused("deadline: a timer of the host takes become: true")


def _refuse_full(params, found):
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


def _save(params, directory, point):
    """Save the files and arm the point: all of it, or nothing stays."""
    base = params["directory"]
    core_files.own_directory(base)
    with program.locked(base):
        point_now, outcome = _read(directory)
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
                _write_unit(params, directory)
                _stop_timer(params["name"])
                _start_timer(params)
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


def _give_up(params, staging, point):
    shutil.rmtree(staging, ignore_errors=True)
    if point["due"]:
        _stop_timer(params["name"])
        program.remove_unit(params["name"])


def _fill(staging, point):
    os.mkdir(os.path.join(staging, "saved"), 0o700)
    saved = {item["saved"]: item for item in point["files"] if "saved" in item}
    for name, item in saved.items():
        _copy(item.get("leads_to", item), os.path.join(staging, name))
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


def _rearm(params, directory, new):
    """Let the time of an armed point begin anew.

    What it has saved stays: it is the state from before the first run armed it. What another run
    requests on top of that is saved as well, and undone by its own commands before the others.
    """
    with program.locked(directory):
        point, outcome = _read(directory)
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
        point.update(
            {key: new[key] for key in ("run", "armed_at", "due", "boot", "command_timeout")},
            # The oldest ones last: they know the state from before all of it.
            commands=[c for c in new["commands"] if c not in point["commands"]] + point["commands"],
            files=point["files"] + added,
            restarts=dict(new["restarts"], **(point.get("restarts") or {})),
        )
        if new["due"]:
            _write_unit(params, directory)
        program.write_point(directory, point)
        _stop_timer(params["name"])
        if new["due"]:
            _start_timer(params)
        else:
            program.remove_unit(params["name"])


def _write_unit(params, directory):
    unit, link = program.unit_files(params["name"])
    text = _UNIT % {"name": params["name"], "directory": directory, "python": sys.executable}
    core_files.replace(unit, text.encode("utf-8"), mode=0o644)
    os.makedirs(os.path.dirname(link), exist_ok=True)
    if not os.path.islink(link):
        os.symlink(unit, link)


def _start_timer(params):
    unit = program.unit_of(params["name"])
    argv = [
        "systemd-run",
        "--quiet",
        "--on-active=%d" % params["deadline"],
        "--timer-property=AccuracySec=100ms",
        "--unit=" + unit,
    ]
    try:
        status, _out, reason = process.run(argv, Deadline(_SYSTEMD_SECONDS))
    except (process.CommandMissing, DeadlineExceeded) as error:
        status, reason = 1, str(error)
    if status != 0:
        raise PointError(
            "the timer of %s could not be started, so that it is not armed: %s"
            % (params["name"], reason.strip())
        )


def _stop_timer(name):
    timer = program.unit_of(name)[: -len("service")] + "timer"
    with contextlib.suppress(systemctl.SystemctlError):
        systemctl.run("stop", "--", timer, deadline=Deadline(_SYSTEMD_SECONDS))


# Disarming


def _disarm(params, check_mode):
    directory = _directory(params)
    point, outcome = _read_at_rest(directory)
    standing = restore_points.standing(point, outcome)
    if standing == "none":
        return _result(params, False, None, None, state="none", differing=[])
    if standing != "armed" and not check_mode:
        _unlock(params, point["run"])
    _refuse_restored(params, outcome)
    if standing == "restored":
        return _result(params, False, point, outcome, state="restored", differing=[])
    _refuse_at_work(params, point)
    if not check_mode:
        with program.locked(params["directory"]):
            _discard(params, directory)
        _unlock(params, point["run"])
    return _result(
        params,
        True,
        point,
        None,
        state="none",
        differing=[],
        diff={
            "before": {"state": "armed", "due": point["due"]},
            "after": {"state": "none", "due": None},
        },
    )


def _refuse_restored(params, outcome):
    if outcome and (outcome["by"] != "module" or not outcome["complete"]):
        problem = plan.failures(outcome)
        raise PointError(
            "%s was restored at %s %s: what was done under its protection is undone%s"
            % (
                params["name"],
                outcome["restored_at"],
                plan.who(outcome),
                "; but " + problem if problem else "",
            ),
            outcome=plan.shown_outcome(outcome),
        )


def _discard(params, directory):
    try:
        # Waits for a restore that is under way.
        with program.locked(directory):
            _refuse_restored(params, _read(directory)[1])
            gone = os.path.join(params["directory"], ".%s.gone" % params["name"])
            shutil.rmtree(gone, ignore_errors=True)
            os.rename(directory, gone)
    except FileNotFoundError:
        return
    _stop_timer(params["name"])
    program.remove_unit(params["name"])
    shutil.rmtree(gone)


# Restoring


def _restored(params, check_mode):
    directory = _directory(params)
    point, outcome = _read_at_rest(directory)
    standing = restore_points.standing(point, outcome)
    if standing == "none":
        raise Refused("nothing is saved under the name %s" % params["name"])
    if standing == "restored":
        if not check_mode:
            _unlock(params, point["run"])
        return _result(
            params, False, point, outcome, state="restored", differing=[], planned_commands=[]
        )
    _refuse_at_work(params, point)
    differing = [item for item in point["files"] if not program.is_back(item)]
    touched = bool(differing or (outcome and outcome.get("touched", True)))
    booted = point["boot"] != program.boot()
    more = {
        "state": "restored",
        "planned_commands": program.commands_of(point, touched, booted),
        "differing": [item["path"] for item in differing],
        "diff": plan.diff([_sides(item, directory) for item in differing]),
    }
    if check_mode:
        return _result(params, True, point, outcome, **more)
    outcome = program.restore(directory, "module")
    if outcome is None:
        raise PointError("%s has been disarmed by someone else just now" % params["name"])
    problem = plan.failures(outcome)
    if outcome["complete"]:
        _stop_timer(params["name"])
        _unlock(params, point["run"])
    if problem:
        raise PointError(
            "%s is %s: %s"
            % (
                params["name"],
                "restored, but not all of its commands worked"
                if outcome["complete"]
                else "not restored completely",
                problem,
            ),
            **_result(params, True, point, outcome, **more),
        )
    return _result(params, True, point, outcome, **more)


def _sides(item, directory):
    """Return ((what is there, its content), (what was saved, its content))."""
    now = program.current(item["path"])
    saved = os.path.join(directory, item["saved"]) if "saved" in item else None
    if "leads_to" in item and now.get("target") == item["target"]:
        # The link is as it was, and the file that it leads to is not.
        item = item["leads_to"]
        now = program.current(item["path"])
    return (
        (now, _content(item["path"]) if now["kind"] == "file" else None),
        (item, _content(saved) if item["kind"] == "file" else None),
    )


def _content(path):
    try:
        with program.opened(path) as source:
            return os.pread(source, 1 << 20, 0)
    except OSError:
        return None
