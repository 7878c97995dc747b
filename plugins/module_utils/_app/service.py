# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the app's unit to run with its current configuration, and waits until it answers.

What has to be done is decided in ``decide``, from what the host shows and from nothing that an
earlier run may have meant to do.
"""

from __future__ import annotations

import time
from typing import Dict, List, NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._app import unit
from ansible_collections.sergas.ops.plugins.module_utils._app.unit import AppError
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._host import app_endpoint, systemctl
from ansible_collections.sergas.ops.plugins.module_utils._host import unit as host_unit
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

#: between two checks of an app that starts, in seconds
_PAUSE = 0.3
#: one request may take so long, in seconds
_REQUEST_SECONDS = 10
#: what systemd gives a unit to stop, and a little more, in seconds
_STOP_SECONDS = 100
#: so many starts in vain are a loop
_LOOP_RESTARTS = 2
NONE, START, RESTART = "none", "start", "restart"


class Seen(NamedTuple):
    """What ``decide`` decides from."""

    #: ActiveState, SubState and Result of the unit
    active: str
    sub: str
    result: str
    #: when its main process was started, in seconds since the epoch; None if it has none
    started: Optional[float]
    #: {path: when it was last changed} of what it reads as it starts
    configuration: Dict[str, float]
    #: whether systemd has not read the unit's files since they were changed
    unread: bool
    #: whether the health endpoint answers, with whatever status
    answers: bool
    #: whether something starts it after a boot
    starts_at_boot: bool = True


class Decision(NamedTuple):
    """What to do, and why."""

    action: str
    reasons: List[str]


def decide(seen, forced=False):
    """Return the ``Decision`` on a unit. Pure.

    Args:
        seen: ``Seen``.
        forced: whether its configuration is changed by what this run does, which check mode cannot
            see in the host.
    """
    down = seen.active in ("failed", "inactive", "deactivating")
    loop = seen.sub.startswith("auto-restart")
    action = START if down else RESTART
    if forced:
        # First, so that check mode and the real run give the same reason whatever moment of a loop
        # of restarts each of them sees.
        return Decision(action, ["its configuration is changed"])
    if loop:
        return Decision(action, ["it ends and systemd starts it again and again"])
    if down:
        reason = "it is stopped"
        if seen.result == "start-limit-hit":
            reason = "it failed so often that systemd starts it no more"
        elif seen.active == "failed":
            reason = "it has failed (%s)" % seen.result
        reasons = [reason]
        if not seen.starts_at_boot:
            reasons.append("it is disabled, so nothing would start it after a boot")
        return Decision(action, reasons)
    reasons = []
    newer = [path for path, at in seen.configuration.items() if seen.started and at > seen.started]
    if newer:
        reasons.append("it was started before %s was changed" % ", ".join(newer))
    elif seen.unread:
        reasons.append("systemd has not read the unit's files since they were changed")
    elif not seen.answers:
        reasons.append("it runs and does not answer")
    return Decision(action if reasons else NONE, reasons)


def run(params, check_mode):
    """Do what the options of ``sergas.ops.app_service`` say and return its result.

    Raises:
        AppError: the unit cannot be started, or does not answer in time.
    """
    app = unit.read(params["service"], params["app_dir"], params["env_file"], params["port"])
    seen = inspect(app)
    decision = decide(seen, params["restart"])
    if decision.action == NONE:
        seen = seen._replace(answers=_answers(app, params, seen.started))
        if not seen.answers:
            # It may have ended meanwhile.
            properties = unit.show(app.service)
            seen = inspect(app._replace(properties=properties))._replace(answers=False)
        decision = decide(seen)
    changed = decision.action != NONE
    reasons = "".join("%s\n" % reason for reason in decision.reasons)
    result = {
        "changed": changed,
        "action": decision.action,
        "reasons": decision.reasons,
        "service": app.service,
        "port": app.port,
        "diff": {
            "before_header": app.service,
            "after_header": app.service,
            "before": reasons,
            "after": "running with its configuration\n" if changed else "",
        },
    }
    if check_mode:
        return result
    began = time.monotonic()
    until = params["until"]
    if until == "recovered":
        was = query(app, params, Deadline(_REQUEST_SECONDS))
        until = "healthy" if was == 200 else "answering"
    if changed:
        if unit.show(app.service).get("NeedDaemonReload") == "yes":
            systemctl.run("daemon-reload")
        # It may have failed too often since it was checked.
        systemctl.run("reset-failed", app.service)
        if decision.action == START and not seen.starts_at_boot:
            systemctl.run("enable", app.service)
        systemctl.run(
            "restart", app.service, deadline=Deadline(params["wait_timeout"] + _STOP_SECONDS)
        )
        # What it listens on may be another port now.
        app = unit.read(params["service"], params["app_dir"], params["env_file"], params["port"])
    status = wait(app, dict(params, until=until), Deadline(params["wait_timeout"]))
    result.update(status=status, port=app.port, waited=round(time.monotonic() - began, 1))
    return result


def inspect(app):
    """Return the ``Seen`` of a unit, without a request to the app itself."""
    properties = app.properties
    running = _is_up(properties)
    return Seen(
        active=properties.get("ActiveState", ""),
        sub=properties.get("SubState", ""),
        result=properties.get("Result", ""),
        started=host_unit.since(properties, "ExecMainStartTimestamp", time.time())
        if running
        else None,
        configuration=unit.configuration(app),
        unread=properties.get("NeedDaemonReload") == "yes",
        answers=True,
        starts_at_boot=host_unit.starts_at_boot(properties),
    )


def _is_up(properties):
    """Return whether the unit has a main process, or is about to have one."""
    starting = properties.get("ActiveState") == "activating"
    loops = properties.get("SubState", "").startswith("auto-restart")
    return host_unit.is_running(properties) or (starting and not loops)


def _answers(app, params, started):
    """Return whether a running app answers; one that has just been started gets its time to."""
    began = started or time.time()
    deadline = Deadline(max(params["wait_timeout"] - (time.time() - began), _REQUEST_SECONDS))
    while query(app, params, deadline) is None:
        if time.time() - began >= params["wait_timeout"] or deadline.expired():
            return False
        if not _is_up(unit.show(app.service)):
            return False
        time.sleep(_PAUSE)
    return True


def address(app, params):
    """Return the URL of the app's health endpoint."""
    return _endpoint(app, params).shown(params["health_path"])


def _endpoint(app, params):
    """Return where the app is now: a start may have changed that."""
    return app_endpoint.find(
        app.properties, app.settings, params["port"], params.get("health_scheme")
    )


def query(app, params, deadline):
    """Return the HTTP status of the app's health endpoint, or None for no answer."""
    try:
        reply, _scheme = app_endpoint.get(
            _endpoint(app, params),
            params["health_path"],
            deadline.within(_REQUEST_SECONDS),
            4096,
            redirects=3,
            name=params.get("health_host"),
            fixed=params.get("health_scheme"),
        )
    except (ConnectionFailed, OSError):
        return None
    return reply.status


def wait(app, params, deadline):
    """Wait until the app is what the option ``until`` says, and return its HTTP status.

    Raises:
        AppError: its unit has failed, or the time is up.
    """
    if params["until"] == "started":
        return None
    status = None
    while True:
        status = query(app, params, deadline)
        if status == 200 or (status is not None and params["until"] == "answering"):
            return status
        properties = unit.show(app.service)
        # Once may be a database that was not up yet; the counter began anew with the start.
        loops = (
            properties.get("SubState", "").startswith("auto-restart")
            and (host_unit.number(properties, "NRestarts") or 0) >= _LOOP_RESTARTS
        )
        if loops or properties.get("ActiveState") == "failed":
            raise AppError(
                "%s does not start: %s. Its log says why: journalctl -u %s -n 50"
                % (app.service, _exit(properties), app.service)
            )
        if deadline.expired():
            break
        time.sleep(_PAUSE)
    raise AppError(
        "%s %s after %g s"
        % (
            address(app, params),
            "does not answer" if status is None else "answers %d, not 200," % status,
            params["wait_timeout"],
        )
    )


def _exit(properties):
    number = host_unit.number(properties, "ExecMainStatus")
    if properties.get("Result") == "start-limit-hit" or number is None:
        return "result %s" % properties.get("Result")
    # SIGCHLD's codes: 1 is an exit, all others are signals.
    kind = "exit status" if host_unit.number(properties, "ExecMainCode") == 1 else "signal"
    return "%s %d" % (kind, number)
