# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processor time, load and waiting for I/O of the host."""

from __future__ import annotations

import os
import time

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._host import cgroup, processors
from ansible_collections.sergas.ops.plugins.module_utils._host import unit as host_unit

#: A moment is enough to see that a host is calm; one that looks too busy gets a longer look.
_GLANCE = 0.25
_SAMPLE_SECONDS = 1.2
#: How many processes a summary names.
_NAMED = 2


def observe(ctx):
    """Return percent (of what this host may use), cpus, quota, load, iowait, steal, hungry and
    contained.
    """
    contained = cgroup.contained()
    result = {"contained": contained, "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()}
    busy, waiting = ctx.thresholds["cpu_percent"][0], ctx.thresholds["iowait_percent"][0]
    app = host_unit.name(ctx.params["service"])
    # On a machine the processes matter only if it looks busy; there may be thousands.
    for seconds, processes in ((_GLANCE, contained), (_SAMPLE_SECONDS, True)):
        before = processors.sample(contained, processes)
        time.sleep(min(seconds, ctx.deadline.remaining()))
        after = processors.sample(contained, processes)
        starting, hungry = processors.sort_out(before, after, app)
        result.update(processors.compare(before, after, result["cpus"], starting, hungry))
        if (result["percent"] or 0) < busy and (result["iowait"] or 0) < waiting:
            return dict(result, busiest=[], disks=[])
    return dict(
        result,
        busiest=processors.busiest(before, after),
        disks=processors.busy_disks(before, after),
    )


#: Which of several causes a finding with an id has, see docs/findings.md.
REASONS = {"host.cpu.high": ("unit", "several"), "host.iowait.high": ("device",)}


def _main_unit(cpu):
    """Return the unit, or the process without one, that uses half of what is used; None: several
    do.
    """
    shares = {}
    for item in cpu["busiest"]:
        name = item["unit"] or item["command"]
        shares[name] = shares.get(name, 0) + item["percent"]
    if not shares:
        return None
    name = max(shares, key=shares.get)
    used = cpu["percent"] * (cpu["quota"] or cpu["cpus"])
    return name if 2 * shares[name] >= min(used, sum(shares.values())) else None


def decide(ctx, cpu):
    """Return the finding about processor time."""
    warn, fail, unit = ctx.thresholds["cpu_percent"]
    percent = cpu["percent"]
    if percent is None:
        reason = (
            "CPU: this host is a container whose control group cannot be read, and /proc shows the"
            " machine's"
        )
        return [finding("host.cpu.unknown", "host", "unknown", reason)]
    status = grade(percent, warn, fail)
    main = _main_unit(cpu) if status != "ok" else None
    names = ", ".join(
        "%s (%s, %.0f %%)" % (item["command"], item["unit"] or "no unit", item["percent"])
        for item in cpu["busiest"][:_NAMED]
    )
    own = main == host_unit.name(ctx.params["service"])
    available = "%g CPUs" % (cpu["quota"] if cpu["quota"] is not None else cpu["cpus"])
    return [
        finding(
            "host.cpu." + ("ok" if status == "ok" else "high"),
            "host",
            status,
            "CPU: %.1f %% of %s used (threshold %g %%)%s"
            % (
                percent,
                available,
                fail if status == "fail" else warn,
                ", most by %s" % names if names and status != "ok" else "",
            ),
            value=percent,
            unit=unit,
            warn=warn,
            fail=fail,
            evidence={
                name: cpu[name]
                for name in ("cpus", "quota", "steal", "hungry", "busiest")
                if cpu[name] is not None
            },
            reason=(None if status == "ok" else "unit:" + main if main else "several"),
            # Less concurrency of the app frees nothing that another one uses.
            remedy="tune_concurrency" if own else None,
            advice=(
                None
                if status == "ok"
                else "Check what runs (top), lower concurrency, or give the host more CPUs."
            ),
        )
    ]


def decide_load(ctx, cpu):
    """Return the finding about the load average of the last minute."""
    if cpu["contained"]:
        return [_machine("host.load", "The load average")]
    warn, fail, unit = ctx.thresholds["load_per_cpu"]
    value = round(cpu["load"][0] / cpu["cpus"], 2)
    status = grade(value, warn, fail)
    return [
        finding(
            "host.load." + ("ok" if status == "ok" else "high"),
            "host",
            status,
            "Load: %.2f on %d CPUs, %.2f per CPU (threshold %g)"
            % (cpu["load"][0], cpu["cpus"], value, fail if status == "fail" else warn),
            value=value,
            unit=unit,
            warn=warn,
            fail=fail,
            evidence={"load": [round(number, 2) for number in cpu["load"]]},
            advice=(
                None
                if status == "ok"
                else "Check what runs or waits for a disk: top, and ps in state D."
            ),
        )
    ]


def decide_iowait(ctx, cpu):
    """Return the finding about the time processors wait for I/O."""
    if cpu["contained"]:
        return [_machine("host.iowait", "I/O wait")]
    if cpu["iowait"] is None:
        return [
            finding(
                "host.iowait.unknown",
                "host",
                "unknown",
                "I/O wait: the counters of /proc/stat stood still",
            )
        ]
    warn, fail, unit = ctx.thresholds["iowait_percent"]
    status = grade(cpu["iowait"], warn, fail)
    disks = cpu["disks"] if status != "ok" else []
    named = ""
    if disks:
        named = ", %s is busy %.0f %% of the time" % (disks[0]["device"], disks[0]["percent"])
        if disks[0]["await_ms"] is not None:
            named += " and takes %g ms for a request" % disks[0]["await_ms"]
    return [
        finding(
            "host.iowait." + ("ok" if status == "ok" else "high"),
            "host",
            status,
            "I/O wait: %.1f %% of processor time (threshold %g %%)%s"
            % (cpu["iowait"], fail if status == "fail" else warn, named),
            evidence={"disks": disks} if disks else {},
            reason="device:" + disks[0]["device"] if disks else None,
            value=cpu["iowait"],
            unit=unit,
            warn=warn,
            fail=fail,
            advice=(
                None
                if status == "ok"
                else "Check which disk is busy and what writes to it: iostat -x, iotop."
            ),
        )
    ]


def _machine(subject, what):
    return finding(
        subject + ".skipped",
        "host",
        "skipped",
        "%s is that of the host this container runs on, not its own" % what,
    )
