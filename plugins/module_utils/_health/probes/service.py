# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of the app's unit: up, down and why, or coming back again and again."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    NotHere,
    Unmeasurable,
    finding,
    grade,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

#: Why the app did not start, by the kinds of problem in its log.
_KINDS = {
    "port": "the port is in use",
    "import": "an import fails",
    "environment": "a variable is missing or wrong",
    "database": "the database does not serve it",
    "redis": "Redis does not serve it",
    "files": "it has too many open files",
    "disk": "the disk is full or read-only",
    "memory": "it cannot get memory",
}
#: one death of a unit that ran is an incident, not yet a loop
_LOOP_RESTARTS = 2
_NEW_SECONDS = 15.0


class UnitUnreadable(Unmeasurable):
    """There is no systemd, or it does not answer; the message says why."""


def observe(ctx):
    """Return the unit's properties, with its times in seconds since the epoch.

    Raises:
        UnitUnreadable: there is no systemd, or it does not answer.
    """
    if not ctx.unit:
        raise UnitUnreadable(ctx.unit_error or "systemctl gave nothing")
    properties = ctx.unit
    names = (
        "ActiveEnterTimestamp",
        "StateChangeTimestamp",
        "ExecMainStartTimestamp",
        "ExecMainExitTimestamp",
    )
    return {
        "properties": properties,
        "times": {name: unit.since(properties, name, ctx.now) for name in names},
    }


def observe_start(ctx):
    """Return why the last attempt to start the unit has failed, {code, words}, or None.

    Only of a unit that is down, or that was restarted: the journal is read for it.

    Raises:
        OperationError: systemd or the journal cannot be read.
    """
    from ansible_collections.sergas.ops.plugins.module_utils._health import start_reasons
    from ansible_collections.sergas.ops.plugins.module_utils._host import last_start

    if unit.is_running(ctx.unit) and not unit.number(ctx.unit, "NRestarts"):
        return None
    name = ctx.unit.get("Id") or unit.name(ctx.params["service"])
    found = start_reasons.find(last_start.read(name, ctx.now, ctx.deadline))
    return found and {"code": found.code, "words": found.words}


def decide(ctx, service, logs=None, start=None):
    """Return the state of the unit; the log, where there is one, says why and how often.

    Args:
        ctx: the context.
        service: what ``observe`` returned.
        logs: what the log adds up to, or None.
        start: what ``observe_start`` returned, or None.
    """
    properties = service["properties"]
    name = properties.get("Id") or unit.name(ctx.params["service"])
    if properties.get("LoadState") == "not-found":
        return [_missing(ctx, name)]
    evidence = _evidence(service, logs)
    if properties.get("LoadState") in ("masked", "error", "bad-setting"):
        return [_unloadable(name, properties, evidence)]
    loop = _is_loop(ctx, service, logs)
    if unit.is_running(properties) and not loop and not _comes_not_up(service, logs):
        item = _running(ctx, name, service, logs, evidence)
        late = [] if unit.starts_at_boot(properties) else [_disabled(name, evidence)]
        # It runs, and one warning says so.
        return late if late and item["status"] == "ok" else [item, *late]
    return [_down(name, service, logs, evidence, loop, start)]


def _missing(ctx, name):
    if not ctx.has("app"):
        raise NotHere("%s is not on this host" % name)
    return finding(
        "app.service.missing",
        "app",
        "fail",
        "There is no unit %s, and this host must run the app" % name,
        evidence={"unit": name},
        advice="Install the unit, or name the right one with service.",
    )


def _unloadable(name, properties, evidence):
    masked = properties["LoadState"] == "masked"
    return finding(
        "app.service.down",
        "app",
        "fail",
        (
            "%s is masked" % name
            if masked
            else "%s cannot be loaded: %s" % (name, properties.get("LoadError") or "error")
        ),
        evidence=dict(evidence, stopped=True),
        advice=(
            "Unmask it (systemctl unmask) and start it."
            if masked
            else "Fix the unit file (systemd-analyze verify), reload systemd and start the unit."
        ),
    )


def _evidence(service, logs):
    properties, times = service["properties"], service["times"]
    evidence = {
        "unit": properties.get("Id"),
        "active": properties.get("ActiveState"),
        "sub": properties.get("SubState"),
        "since": clock(times["StateChangeTimestamp"]),
        "enabled": properties.get("UnitFileState") or "unknown",
        "result": properties.get("Result"),
        "restarts": unit.number(properties, "NRestarts") or 0,
        "pid": unit.number(properties, "MainPID"),
    }
    if properties.get("NeedDaemonReload") == "yes":
        evidence["needs_daemon_reload"] = True
    exit = last_exit(properties, times, logs)
    if exit:
        evidence["last_exit"] = dict(exit, at=clock(exit["at"]))
    if logs:
        evidence["restarts_in_window"] = len(_events(logs, "restart"))
        if logs["start_seconds"] is not None:
            evidence["start_seconds"] = logs["start_seconds"]
    return evidence


def last_exit(properties, times, logs):
    """Return {at, code, status} of the main process's last exit, or None where none is known."""
    code = {"1": "exited", "2": "killed", "3": "dumped"}.get(properties.get("ExecMainCode"))
    if code and times["ExecMainExitTimestamp"]:
        return {
            "at": times["ExecMainExitTimestamp"],
            "code": code,
            "status": unit.number(properties, "ExecMainStatus") or 0,
        }
    exits = _events(logs, "exit")
    if exits:
        return {"at": exits[-1]["at"], "code": exits[-1]["code"], "status": exits[-1]["status"]}
    return None


def _events(logs, what):
    return [event for event in (logs or {}).get("unit_events", ()) if event["what"] == what]


def _is_loop(ctx, service, logs):
    """Return whether the unit is in a loop of failing starts, even if it happens to run right
    now.
    """
    properties, times = service["properties"], service["times"]
    if properties.get("SubState") == "auto-restart":
        return True
    entered = times["ActiveEnterTimestamp"]
    if not unit.is_running(properties) or entered is None or ctx.now - entered >= _NEW_SECONDS:
        return False
    if (unit.number(properties, "NRestarts") or 0) < _LOOP_RESTARTS:
        return False
    return not (logs and properties.get("InvocationID") in logs["completes"])


def _comes_not_up(service, logs):
    """Return whether the unit runs and the app in it has not started, for a reason in its log.

    With several workers it is they who fail and are replaced, while the unit stays active.
    """
    current = service["properties"].get("InvocationID")
    if not logs or current not in logs["begun"] or current in logs["completes"]:
        return False
    return any(kind.partition(".")[0] in _KINDS for kind in reasons(service, logs))


def flaps(logs):
    """Return how many restarts in the window followed the death of an app that had been up.

    A loop of failing starts that a clean start has ended does not count: it is resolved.
    """
    restarts = _events(logs, "restart")
    if not logs or not logs["completes"]:
        clean = (logs or {}).get("clean_start")
        return (
            len(restarts) if clean is None else sum(1 for event in restarts if event["at"] > clean)
        )
    count = 0
    for restart in restarts:
        deaths = [
            event
            for event in logs["unit_events"]
            if event["what"] in ("exit", "failed") and event["at"] <= restart["at"]
        ]
        count += bool(deaths) and deaths[-1]["invocation"] in logs["completes"]
    return count


def _running(ctx, name, service, logs, evidence):
    warn, fail, unit_name = ctx.thresholds["restarts"]
    count = flaps(logs) if logs else evidence["restarts"]
    status = grade(count, warn, fail)
    since = evidence["since"]
    if logs and count:
        evidence["last_seen"] = clock(_events(logs, "restart")[-1]["at"])
    details = {"value": count, "unit": unit_name, "warn": warn, "fail": fail, "evidence": evidence}
    if status == "ok":
        return finding(
            "app.service.ok",
            "app",
            "ok",
            "%s runs since %s, %d restarts" % (name, since, count),
            **details,
        )
    return finding(
        "app.service.restarting",
        "app",
        status,
        "%s runs since %s, but it died and was restarted %d times (from %g on)%s"
        % (name, since, count, warn, _exit_words(evidence)),
        advice="Check what ends it: the last exit, memory kills and exceptions.",
        **details,
    )


def _disabled(name, evidence):
    return finding(
        "app.service.disabled",
        "app",
        "warn",
        "%s runs since %s, but nothing starts it after a boot: it is disabled"
        % (name, evidence["since"]),
        evidence=evidence,
        advice="systemctl enable %s." % name,
    )


def _exit_words(evidence):
    exit = evidence.get("last_exit")
    if not exit:
        return ""
    if exit["code"] == "exited":
        return ", last exit with status %d" % exit["status"]
    return ", last killed by signal %d" % exit["status"]


def reasons(service, logs):
    """Return the kinds of problem in the app's log of its last run, the latest first."""
    start = service["times"]["ExecMainStartTimestamp"]
    if not logs or start is None:
        return []
    recent = [
        (known["last"], kind) for kind, known in logs["kinds"].items() if known["last"] >= start - 1
    ]
    return [kind for _last, kind in sorted(recent, reverse=True)]


def _named_by(start):
    """Return the kind of the exception that the last attempt to start has ended with, in a list.

    The next attempt may have begun, and its log has nothing yet.
    """
    if not (start and start["code"].startswith("exception")):
        return []
    from ansible_collections.sergas.ops.plugins.module_utils._health.logs import lines

    words = start["words"].lower()
    kind = lines.kind(words)
    if kind == "database":
        kind += "." + lines.database_kind(words)
    return [kind] if kind != "other" else []


#: Which of several causes a finding with an id has, see docs/findings.md.
REASONS = {
    "app.service.down": (
        "kind",
        "condition",
        "dependency",
        "command",
        "systemd",
        "variable",
        "exception",
        "log",
        "watchdog",
        "time_limit",
        "timeout",
        "oomd",
        "signal",
    )
}
#: Another start ends as the last one did, until a person has changed what it names.
_FUTILE = ("condition", "dependency", "command", "systemd", "variable", "exception", "log")


def _down(name, service, logs, evidence, loop, start):
    properties = service["properties"]
    active, sub = evidence["active"], evidence["sub"]
    why = reasons(service, logs) or _named_by(start)
    problem = next(
        (_KINDS[kind.partition(".")[0]] for kind in why if kind.partition(".")[0] in _KINDS), None
    )
    reason = start["code"] if start else None
    if problem:
        # What is behind it has a separate finding, which says if another start helps.
        reason = "kind:" + next(
            kind.partition(".")[0] for kind in why if kind.partition(".")[0] in _KINDS
        )
    stopped = active == "inactive" and properties.get("Result") in ("success", "", None)
    # An operator has stopped it: how an earlier attempt ended says nothing of that.
    if stopped and (reason or "").partition(":")[0] not in ("condition", "dependency"):
        reason = None
    evidence = dict(evidence, reasons=why, loop=loop, stopped=stopped and not reason)
    if start:
        evidence["start"] = start
    if logs and logs["child_deaths"]:
        evidence["worker_deaths"] = logs["child_deaths"]
    status = "fail"
    if loop:
        text = "%s does not start: it ends and systemd starts it again (%d restarts)" % (
            name,
            evidence["restarts"],
        )
    elif unit.is_running(properties):
        text = "%s runs, but the app in it does not start" % name
    elif active == "activating":
        text, status = "%s is starting (%s) since %s" % (name, sub, evidence["since"]), "warn"
    elif active == "deactivating":
        text, status = "%s is stopping (%s) since %s" % (name, sub, evidence["since"]), "warn"
    elif active == "failed":
        text = "%s has failed (%s) at %s" % (name, evidence["result"], evidence["since"])
    elif stopped:
        text = (
            "%s is stopped since %s" % (name, evidence["since"])
            if evidence["since"]
            else "%s is stopped" % name
        )
    else:
        text = "%s is %s (%s), result %s" % (name, active, sub, evidence["result"])
    if not stopped:
        text += _exit_words(evidence)
    if reason:
        text += ": " + (problem or start["words"])
    futile = (reason or "").partition(":")[0] in _FUTILE
    return finding(
        "app.service.down",
        "app",
        status,
        text,
        value=evidence["restarts"],
        unit="restarts",
        evidence=evidence,
        reason=reason,
        remedy=None if futile else "start_service",
        advice=_advice(name, evidence, reason, futile),
    )


def _advice(name, evidence, reason, futile):
    if evidence["stopped"]:
        return "Start it (systemctl start %s)." % name
    if futile:
        kind, _colon, detail = reason.partition(":")
        if kind == "dependency" and detail:
            return "Start %s first (systemctl status %s), then %s." % (detail, detail, name)
        return "Correct what it names, then start it (systemctl start %s)." % name
    return "Check why: systemctl status %s, journalctl -u %s -n 100." % (name, name)
