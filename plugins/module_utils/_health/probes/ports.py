# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who listens on the app's port and how many connections it has, from /proc alone."""

from __future__ import annotations

import os

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._host import sockets as host_sockets
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

REASONS = {
    "app.port.conflict": (
        "container",
        "leftover",
        "process",
        "same_app",
        "socket",
        "unit",
        "user_unit",
    )
}

_SERVERS = ("uvicorn", "gunicorn", "hypercorn")
#: peers that closed and wait for the app to do the same: a few are a moment, many are a leak
_CLOSE_WAIT_PILE = 50
#: an app that has run for less may not listen yet
_STARTING_SECONDS = 30.0


def observe(ctx):
    """Return what ``sockets.observe`` returns; who is not the app's has an ``owner``, too."""
    found = host_sockets.observe(ctx)
    seen = found.value
    for listener in seen["listeners"]:
        for process in listener["holders"]:
            relation = host_sockets.belongs(process, ctx.unit, ctx.app_dir, seen["container"])
            if relation == "foreign":
                # Only here: on most hosts the app has its port.
                from ansible_collections.sergas.ops.plugins.module_utils._host import port_holders

                process["owner"] = port_holders.owner(
                    process, seen["port"], ctx.deadline, seen["container"]
                )
                process["advice"] = port_holders.advice(process, process["owner"])
    return found


def decide_port(ctx, sockets):
    """Return whether the app's port is held by the app, by something else, or by no process."""
    port, service = sockets["port"], unit.name(ctx.params["service"])
    listeners = sockets["listeners"]
    if sockets["socket"]:
        return [_on_socket(ctx, sockets["socket"], service)]
    host = ctx.endpoint.host
    rivals = host_sockets.rivals(sockets, ctx.unit, ctx.app_dir, host)
    if rivals:
        return [_conflict(ctx, sockets, service, *rivals[0])]
    if not listeners:
        return [_closed(ctx, sockets, service)]
    evidence = {"port": port, "addresses": sorted({listener["address"] for listener in listeners})}
    unseen = [listener for listener in listeners if not listener["holders"]]
    if unseen:
        who = host_sockets.user_name(unseen[0]["uid"])
        return [
            finding(
                "app.port.unknown",
                "app",
                "unknown",
                "A process of %s listens on port %d, which one cannot be seen%s"
                % (who, port, "" if sockets["root"] else ": run with become"),
                reason="owner",
                evidence=dict(evidence, user=who),
            )
        ]
    mine = host_sockets.held(sockets, ctx.unit, ctx.app_dir)
    if not mine:
        # What listens there leaves the app's address free.
        return [_closed(ctx, sockets, service)]
    first = mine[0]
    name = host_sockets.unit_of(first["cgroup"])
    evidence.update(pid=first["pid"], user=first["user"], command=first["command"], unit=name)
    evidence["processes"] = len({process["pid"] for process in mine})
    return [
        finding(
            "app.port.ok",
            "app",
            "ok",
            "Port %d is held by %s (pid %d)" % (port, name or "the app", first["pid"]),
            evidence=evidence,
        )
    ]


def _on_socket(ctx, path, service):
    if ctx.endpoint.own:
        summary = "%s listens on the Unix socket %s" % (service, path)
        return finding("app.port.ok", "app", "ok", summary, evidence={"socket": path})
    return finding(
        "app.port.closed",
        "app",
        "fail",
        "%s does not listen on its Unix socket %s" % (service, path),
        evidence={"socket": path, "starting": False},
        remedy="start_service",
        advice="Check why %s does not run, or whether it listens elsewhere." % service,
    )


def _closed(ctx, sockets, service):
    port, since = sockets["port"], sockets["running_since"]
    starting = since is not None and ctx.now - since < _STARTING_SECONDS
    return finding(
        "app.port.closed",
        "app",
        "fail",
        "Nothing%s listens on port %d%s"
        % (
            " of the app" if sockets["listeners"] else "",
            port,
            ", %s has only just started" % service if starting else "",
        ),
        evidence={"port": port, "starting": starting},
        remedy="start_service",
        advice="Check why %s does not run, or whether it listens on another port." % service,
    )


def _conflict(ctx, sockets, service, listener, process, relation):
    port, path = sockets["port"], process["cgroup"]
    container = host_sockets.container_of(path)
    container = container[:12] if container and container != sockets["container"] else None
    held = process.get("owner") or {"kind": "process", "name": None, "error": None}
    program = os.path.basename((process["command"] or "?").split(" ")[0])
    reason = "leftover" if relation == "leftover" else held["kind"]
    name = host_sockets.unit_of(path) if relation == "leftover" else held["name"]
    by = "pid %d, user %s, %s" % (process["pid"], process["user"], _called(held["kind"], name))
    summary = "Port %d is held by %s (%s), so %s cannot bind it" % (port, program, by, service)
    advice = "%s, or move the app with API_PORT." % process.get("advice", "End the process")
    if relation == "leftover":
        summary = (
            "Port %d is held by %s (%s), left over from an earlier run, so %s cannot bind it"
            % (port, program, by, service)
        )
        advice = "End the process that is left over, then start the unit."
    elif _runs_app(process, ctx.app_dir) and held["kind"] not in ("container", "socket"):
        reason = "same_app"
        summary = (
            "Port %d is held by the app itself, run a second time by %s (%s), so %s cannot"
            % (
                port,
                program,
                by,
                service,
            )
        )
        summary += " bind it"
        advice = "%s, or let that one run the app and disable %s." % (
            process.get("advice", "End the process"),
            service,
        )
    elif held["kind"] == "socket":
        summary = "Port %d is held by systemd for %s, so %s cannot bind it" % (port, name, service)
    elif held["kind"] == "container":
        summary = "Port %d is held for %s (%s, pid %d), so %s cannot bind it" % (
            port,
            "the container %s" % name if name else "a container",
            program,
            process["pid"],
            service,
        )
    # What belongs to another daemon is not ended from here.
    ends = relation == "leftover" or held["kind"] in ("unit", "socket", "process")
    return finding(
        "app.port.conflict",
        "app",
        "fail",
        summary,
        reason=reason,
        evidence={
            "port": port,
            "address": listener["address"],
            "pid": process["pid"],
            "started": process["started"],
            "user": process["user"],
            "command": process["command"],
            "unit": name if held["kind"] in ("unit", "socket") or relation == "leftover" else None,
            "container": name if held["kind"] == "container" else container,
            "triggers": held.get("triggers", []),
            "not_known": held["error"],
            "cgroup": path,
            "leftover": relation == "leftover",
        },
        remedy="free_port" if ends and process["pid"] != 1 or held["kind"] == "socket" else None,
        advice=advice,
    )


def _called(kind, name):
    if kind == "container":
        return "container %s" % name if name else "a container"
    return "unit %s" % name if name else "no dedicated unit"


def _runs_app(process, app_dir):
    """Return whether a process runs the app's own code, whichever unit it is of."""
    command = process["command"] or ""
    serves = process["cwd"] == app_dir and any(name in command for name in _SERVERS)
    return bool(app_dir) and app_dir != "/" and (serves or app_dir + "/" in command)


def decide_connections(ctx, sockets):
    """Return whether the app's port has too many connections; those in TIME_WAIT cost nothing."""
    warn, fail, unit_name = ctx.thresholds["connections"]
    states = sockets["states"]
    where = sockets["socket"] or "port %d" % sockets["port"]
    count = sum(number for state, number in states.items() if state != "TIME_WAIT")
    waiting = states.get("CLOSE_WAIT", 0)
    status = grade(count, warn, fail)
    summary = "%d connections on %s (from %g on)" % (count, where, warn)
    if waiting >= _CLOSE_WAIT_PILE:
        summary += ", %d of them CLOSE_WAIT: closed by the client and not by the app" % waiting
    return [
        finding(
            "app.connections.ok" if status == "ok" else "app.connections.high",
            "app",
            status,
            summary,
            value=count,
            unit=unit_name,
            warn=warn,
            fail=fail,
            evidence={"port": sockets["port"], "states": states},
            remedy=None if status == "ok" else "tune_concurrency",
            advice=(
                None
                if status == "ok"
                else (
                    "Check which addresses hold them (`ss -tn sport = :%d`), and whether the app"
                    " answers."
                )
                % sockets["port"]
            ),
        )
    ]
