# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restarts by an upgrade: what apt has upgraded within the window, and what was restarted by it."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core import files, times
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere, finding
from ansible_collections.sergas.ops.plugins.module_utils._host import systemctl
from ansible_collections.sergas.ops.plugins.module_utils._host import unit as host_unit

_HISTORY = "/var/log/apt/history.log"
_MOST_BYTES = 1024 * 1024
#: Services beside the app whose restart the app notices.
_SERVICES = ("postgresql.service", "redis-server.service", "valkey-server.service")
#: needrestart restarts services after dpkg has ended; in seconds.
_AFTER = 120
_NAMED = 5


def observe(ctx):
    """Return the runs of apt within the window, and when services were last started.

    Raises:
        NotHere: there is no apt.
    """
    try:
        text = files.read_text(_HISTORY)[-_MOST_BYTES:]
    except FileNotFoundError:
        raise NotHere("apt has no history here")
    since = ctx.now - ctx.params["window"]
    started = {
        host_unit.name(ctx.params["service"]): host_unit.since(
            ctx.unit, "ActiveEnterTimestamp", ctx.now
        )
    }
    for name in _SERVICES:
        found = systemctl.show(name, ["ActiveEnterTimestampMonotonic"], ctx.deadline)
        started[name] = host_unit.since(found, "ActiveEnterTimestamp", ctx.now)
    return {
        "runs": [run for run in runs(text) if run["end"] >= since],
        "started": {name: at for name, at in started.items() if at is not None and at >= since},
    }


def runs(text):
    """Return [{begin, end, command, packages}] of the text of apt's history, times in seconds since
    the epoch; it is written in the host's own time zone.
    """
    found = []
    for part in text.split("\n\n"):
        fields = dict(re.findall(r"^([\w-]{1,40}): (.{0,100000})$", part, re.M))
        begin, end = (_time(fields.get(name, "")) for name in ("Start-Date", "End-Date"))
        if begin is None or not (fields.get("Upgrade") or fields.get("Install")):
            continue
        packages = (fields.get("Upgrade", "") + ", " + fields.get("Install", "")).split("), ")
        names = [name.strip(" ,").partition(":")[0].partition(" ")[0] for name in packages]
        found.append(
            {
                "begin": begin,
                "end": begin if end is None else end,
                "command": fields.get("Commandline", "")[:200],
                "packages": [name for name in names if name][:50],
            }
        )
    return found


def _time(text):
    """Return a time as apt writes it, in the host's own time zone, in seconds since the epoch."""
    found = re.match(r"(\d{4})-(\d\d)-(\d\d) {1,2}(\d\d):(\d\d):(\d\d)\Z", text)
    return times.moment(tuple(int(part) for part in found.groups()), None) if found else None


def decide(ctx, packages):
    """Return the finding about services that an upgrade has restarted."""
    restarted = [
        (name, at, run)
        for name, at in sorted(packages["started"].items())
        for run in packages["runs"]
        if run["begin"] <= at <= run["end"] + _AFTER
    ]
    if not restarted:
        summary = "No upgrade has restarted a service within the window"
        return [finding("host.packages.ok", "host", "ok", summary)]
    name, at, run = restarted[0]
    return [
        finding(
            "host.packages.restarted",
            "host",
            "warn",
            "An upgrade (%s) has restarted %s at %s: %s"
            % (
                run["command"] or "apt",
                ", ".join(dict.fromkeys(item[0] for item in restarted)),
                times.clock(at),
                ", ".join(run["packages"][:_NAMED]),
            ),
            reason="unit:" + name,
            evidence={
                "units": list(dict.fromkeys(item[0] for item in restarted)),
                "packages": run["packages"],
                "command": run["command"],
                "last_seen": times.clock(max(item[1] for item in restarted)),
            },
            advice="Upgrade at a quiet time (apt-daily-upgrade.timer), or keep needrestart from"
            " restarting this unit ($nrconf{override_rc}).",
        )
    ]
