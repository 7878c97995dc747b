# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deaths of the app that it did not choose: the kernel's memory kills, signals, crash dumps.

The kernel log is the machine's: on a container host it lists the kills of all containers. Only a
kill that the unit's cgroup, its container or its own death at that moment claims is this host's.
"""

from __future__ import annotations

import signal

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._host import crash_dumps, sockets, unit

#: the kernel's line and the death of the process that systemd reports lie this close together, in
#: seconds
_TOGETHER_SECONDS = 3.0
_SHOWN = 10
_MOST_OLDER = 200
#: The programs that run an app, where its user is root: others of root's have dumps, too.
_OF_APPS = ("python", "uvicorn", "gunicorn", "hypercorn", "celery")
#: How a dump is read, by who has made it; by hand where another program has.
_READ = {
    "apport": "apport-unpack FILE DIRECTORY, then gdb with its CoreDump",
    "systemd-coredump": "coredumpctl info",
}
#: Signals with which a unit is ended on purpose.
_ON_PURPOSE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def observe(ctx):
    """Return the crash dumps of the window and older ones, and the container that this host is, if
    any.
    """
    found, unreadable = crash_dumps.read()
    since = ctx.now - ctx.params["window"]
    dumps = [item for item in found if item["at"] >= since]
    handler, pattern = crash_dumps.handler()
    return {
        "dumps": dumps,
        "older": found[len(dumps) : len(dumps) + _MOST_OLDER],
        "unreadable": unreadable,
        "container": sockets.own_container(),
        "handler": handler,
        "core_pattern": pattern,
    }


def attribute(kill, properties, deaths, own_container):
    """Return how a kill of the kernel is known to be of the app, or None if it is not.

    ``cgroup``: it names the unit's cgroup. ``container``: it names the unit's in this container.
    ``container, time``: it names this container, and a process of the app died at that moment.
    ``time``: only the moment fits.

    Args:
        kill: one of the kills of the log's observation.
        properties: those of the app's unit.
        deaths: the times at which a process of the app was killed, by systemd's or its own log.
        own_container: the id of the container that this host is, or None.
    """
    path = kill["cgroup"] or ""
    group = properties.get("ControlGroup") or "/system.slice/" + (properties.get("Id") or "?")
    if path == group or path.startswith(group + "/"):
        return "cgroup"
    other = sockets.container_of(path)
    if other is not None:
        if other != own_container:
            return None
        if (path + "/").endswith(group + "/"):
            return "container"
    if any(abs(at - kill["at"]) <= _TOGETHER_SECONDS for at in deaths):
        return "time" if other is None else "container, time"
    return None


def app_kills(logs, properties, own_container=None):
    """Return the memory kills of the app within the window, those of systemd's word among them."""
    events = logs["unit_events"]
    killed = [
        event["at"]
        for event in events
        if event["what"] == "oom"
        or event["what"] == "exit"
        and event["code"] == "killed"
        and event["status"] == 9
    ] + [death["at"] for death in logs["worker_deaths"]]
    kills = []
    for kill in logs["kills"]:
        how = None
        if kill["at"] >= logs["since"]:
            how = attribute(kill, properties, killed, own_container)
        if how:
            kills.append(dict(kill, known_by=how))
    for event in events:
        reported = (
            event["what"] == "oom" or event["what"] == "failed" and event["result"] == "oom-kill"
        )
        if reported and not any(
            abs(kill["at"] - event["at"]) <= _TOGETHER_SECONDS for kill in kills
        ):
            kills.append(
                {
                    "at": event["at"],
                    "pid": None,
                    "process": None,
                    "rss_kb": None,
                    "limit_kb": None,
                    "cgroup": properties.get("ControlGroup"),
                    "limited": None,
                    "constraint": None,
                    "known_by": "systemd",
                }
            )
    return sorted(kills, key=lambda kill: kill["at"])


def _megabytes(kilobytes):
    return "an unknown amount" if kilobytes is None else "%.0f MiB" % (kilobytes / 1024.0)


def decide_oom(ctx, logs, own_container=None):
    """Return whether the kernel killed the app for memory."""
    properties = ctx.unit
    kills = app_kills(logs, properties, own_container or sockets.own_container())
    limit = unit.memory_limit(properties)
    others = len([kill for kill in logs["kills"] if kill["at"] >= logs["since"]]) - len(
        [kill for kill in kills if kill["known_by"] != "systemd"]
    )
    evidence = {"kills_of_others": others} if others else {}
    if not kills:
        return [
            finding(
                "app.oom.ok",
                "app",
                "ok",
                "The kernel has not killed the app for memory",
                value=0,
                unit="kills",
                evidence=evidence,
            )
        ]
    last = kills[-1]
    grown = all(
        kill["limit_kb"]
        and kill["known_by"] == "cgroup"
        and limit
        and limit > kill["limit_kb"] * 1024
        for kill in kills
    )
    if grown and unit.is_running(properties):
        return [
            finding(
                "app.oom.ok",
                "app",
                "ok",
                "%d memory kills, all at a limit lower than today's %s"
                % (len(kills), _megabytes(limit / 1024)),
                value=len(kills),
                unit="kills",
                evidence=dict(evidence, last=clock(last["at"])),
            )
        ]
    cap = last["limit_kb"] or (limit / 1024 if limit else None)
    of_machine = last["constraint"] == "CONSTRAINT_NONE"
    evidence.update(
        kills=[
            {
                "at": clock(kill["at"]),
                "process": kill["process"],
                "pid": kill["pid"],
                "rss_kb": kill["rss_kb"],
                "limit_kb": kill["limit_kb"],
                "cgroup": kill["cgroup"],
                "known_by": kill["known_by"],
            }
            for kill in kills[-_SHOWN:]
        ],
        last_seen=clock(last["at"]),
        memory_max_bytes=limit,
        scope="machine" if of_machine else "unit",
    )
    return [
        finding(
            "app.oom.killed",
            "app",
            "fail",
            "The kernel killed the app for memory %d times, last at %s: %s with %s, limit %s"
            % (
                len(kills),
                clock(last["at"]),
                last["process"] or "a process",
                _megabytes(last["rss_kb"]),
                "of the whole machine" if of_machine else _megabytes(cap) if cap else "unknown",
            ),
            value=len(kills),
            unit="kills",
            confidence=(
                "estimated" if all(kill["known_by"] == "time" for kill in kills) else "measured"
            ),
            evidence=evidence,
            remedy=None if of_machine else "raise_memory_limit",
            advice=(
                "Check which other process takes the machine's memory, or give the machine more."
                if of_machine
                else "Raise MemoryMax of the unit within what the machine has, or find the leak."
            ),
        )
    ]


def deaths(logs, kills):
    """Return the deaths of the app's processes that were not on purpose and that no memory kill
    explains.
    """

    def near(at, items):
        return any(abs(item["at"] - at) <= _TOGETHER_SECONDS for item in items)

    found = []
    for event in logs["unit_events"]:
        if (
            event["what"] != "exit"
            or event["code"] not in ("killed", "dumped")
            or event["status"] in _ON_PURPOSE
        ):
            continue
        if event["status"] != signal.SIGKILL or not near(event["at"], kills):
            found.append(
                {
                    "at": event["at"],
                    "signal": _signal_name(event["status"]),
                    "what": "the main process",
                }
            )
    for death in logs["worker_deaths"]:
        if not near(death["at"], kills):
            fault = [fault for fault in logs["faults"] if near(death["at"], [fault])]
            what = "worker %s" % death["pid"] + (", %s" % fault[0]["what"] if fault else "")
            found.append({"at": death["at"], "signal": "SIGSEGV" if fault else None, "what": what})
    for fault in logs["faults"]:
        if str(fault["pid"]) in logs["pids"] and not near(fault["at"], found):
            what = "%s %d, %s" % (fault["process"], fault["pid"], fault["what"])
            found.append({"at": fault["at"], "signal": "SIGSEGV", "what": what})
    for core in logs["dumps"]:
        if not near(core["at"], found):
            found.append(
                {"at": core["at"], "signal": core["signal"], "what": "process %s" % core["pid"]}
            )
    return sorted(found, key=lambda item: item["at"])


def _how_to_read(handler):
    return _READ.get(handler, "coredumpctl info, or gdb")


def _signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def decide(ctx, logs, crash_dumps):
    """Return whether the app died by a signal, and the crash dumps it left."""
    found = deaths(logs, app_kills(logs, ctx.unit, crash_dumps["container"]))
    findings = []
    if found:
        last = found[-1]
        findings.append(
            finding(
                "app.crash.signal",
                "app",
                "fail" if any(item["signal"] for item in found) else "warn",
                "Processes of the app died %d times, last by %s at %s (%s)"
                % (
                    len(found),
                    last["signal"] or "an unknown signal",
                    clock(last["at"]),
                    last["what"],
                ),
                value=len(found),
                unit="crashes",
                evidence={
                    "last_seen": clock(last["at"]),
                    "deaths": [dict(item, at=clock(item["at"])) for item in found[-_SHOWN:]],
                },
                advice=(
                    "A segmentation fault is a compiled library's: see which was updated last, and"
                    " read the dump (%s)." % _how_to_read(crash_dumps["handler"])
                    if last["signal"] == "SIGSEGV"
                    else (
                        "Check what sent the signal: a person, a time limit of systemd, or the app"
                        " itself."
                    )
                ),
            )
        )
    uid = _uid(ctx.unit.get("User"))
    mine = [
        item
        for item in crash_dumps["dumps"]
        if item["uid"] is None or uid is None or item["uid"] == uid
    ]
    older = [item for item in crash_dumps["older"] if _is_of_app(item, uid)]
    if mine:
        summary = "%d crash dumps in the window, the latest %s of %s"
        findings.append(_left(ctx, crash_dumps, mine, "window", summary))
    elif older:
        summary = "%d crash dumps from before the window, the latest %s of %s"
        findings.append(_left(ctx, crash_dumps, older, "older", summary))
    if findings:
        return findings
    evidence = {"unreadable": crash_dumps["unreadable"]} if crash_dumps["unreadable"] else {}
    return [
        finding(
            "app.crash.ok",
            "app",
            "ok",
            "No crash and no dump of one in the window",
            value=0,
            unit="crashes",
            evidence=evidence,
        )
    ]


def _left(ctx, crash_dumps, dumps, reason, summary):
    """Return the finding on the dumps of the app that are there."""
    latest = dumps[0]
    return finding(
        "app.crash.dumps",
        "app",
        "warn",
        summary % (len(dumps), latest["path"], clock(latest["at"]))
        + (" (%d days ago)" % ((ctx.now - latest["at"]) // 86400) if reason == "older" else ""),
        reason="older" if reason == "older" else "window",
        value=len(dumps),
        unit="dumps",
        evidence={
            "last_seen": clock(latest["at"]),
            "core_pattern": crash_dumps["core_pattern"],
            "dumps": [
                {
                    "path": item["path"],
                    "bytes": item["bytes"],
                    "at": clock(item["at"]),
                    "program": item["program"],
                }
                for item in dumps[:_SHOWN]
            ],
        },
        advice="Read them (%s), keep what helps and remove the rest."
        % _how_to_read("apport" if latest["path"].endswith(".crash") else crash_dumps["handler"]),
    )


def _is_of_app(dump, uid):
    """Return whether a dump is the app's, by its name alone: its log may be gone."""
    if uid is None or dump["uid"] != uid:
        return False
    return uid != 0 or str(dump["program"]).startswith(_OF_APPS)


def _uid(name):
    import pwd  # only where there are dumps to inspect

    try:
        return pwd.getpwnam(name).pw_uid if name else 0
    except KeyError:
        return None
