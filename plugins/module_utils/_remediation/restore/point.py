# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arms, disarms and uses restore points.

What may be done is decided in ``plan``, and what is saved lies in ``store``. The restoring is done
by ``program``, of which the host keeps a copy that ``timer`` starts.
"""

from __future__ import annotations

import os

from ansible_collections.sergas.ops.plugins.module_utils._core import errors
from ansible_collections.sergas.ops.plugins.module_utils._host import restore_points
from ansible_collections.sergas.ops.plugins.module_utils._remediation import host_lock
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import (
    locking,
    plan,
    program,
    store,
    timer,
)
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore.plan import (
    PointError,
    Refused,
)


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
    with errors.reported(params["directory"]):
        return act(params, check_mode)


def _directory(params):
    return os.path.join(params["directory"], params["name"])


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


def _observed(params, check_mode):
    """Return what there is, and whether the run that armed it still is at work on the host."""
    del check_mode
    point, outcome = store.read(_directory(params))
    lease = host_lock.holder(params["runtime_directory"], params["dead_runs"])
    standing = restore_points.standing(point, outcome)
    at_work = standing == "armed" and lease is not None and lease["run"] == point["run"]
    more = {
        "at_work": at_work,
        "holder": lease if at_work else None,
        "conflict": locking.conflict(params),
    }
    return _result(params, False, point, outcome, state=standing, differing=[], **more)


# Arming


def _arm(params, check_mode):
    directory = _directory(params)
    timer.refuse_without_systemd(params)
    locking.refuse_while_locked(params)
    reason = locking.conflict(params) if params["deadline"] else None
    if reason:
        raise Refused(reason)
    point, outcome = store.read_at_rest(directory)
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
        store.refuse_full(params, found)
    new = store.new_point(params, found)
    lease = None
    if not check_mode:
        lease = locking.take(params)
        try:
            if standing == "armed":
                store.rearm(params, directory, new)
            else:
                store.save(params, directory, new)
        except BaseException:
            if lease:
                locking.release(params, lease["run"])
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


# Disarming


def _disarm(params, check_mode):
    directory = _directory(params)
    point, outcome = store.read_at_rest(directory)
    standing = restore_points.standing(point, outcome)
    if standing == "none":
        return _result(params, False, None, None, state="none", differing=[])
    if standing != "armed" and not check_mode:
        locking.release(params, point["run"])
    plan.refuse_restored(params["name"], outcome)
    if standing == "restored":
        return _result(params, False, point, outcome, state="restored", differing=[])
    locking.refuse_at_work(params, point)
    if not check_mode:
        with program.locked(params["directory"]):
            store.discard(params, directory)
        locking.release(params, point["run"])
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


# Restoring


def _restored(params, check_mode):
    directory = _directory(params)
    point, outcome = store.read_at_rest(directory)
    standing = restore_points.standing(point, outcome)
    if standing == "none":
        raise Refused("nothing is saved under the name %s" % params["name"])
    if standing == "restored":
        if not check_mode:
            locking.release(params, point["run"])
        return _result(
            params, False, point, outcome, state="restored", differing=[], planned_commands=[]
        )
    locking.refuse_at_work(params, point)
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
        timer.stop(params["name"])
        locking.release(params, point["run"])
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
