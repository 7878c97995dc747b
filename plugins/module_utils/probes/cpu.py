# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processor time, load and waiting for I/O of the host."""

from __future__ import annotations

import os
import time

from ansible_collections.sergas.ops.plugins.module_utils import cgroup
from ansible_collections.sergas.ops.plugins.module_utils.finding import finding, grade

#: A moment is enough to see that a host is calm; one that looks too busy gets a longer look.
_GLANCE = 0.25
_LOOK = 1.0


def observe(ctx):
    """Return percent (of what this host may use), cpus, quota, load, iowait and contained."""
    contained = cgroup.contained()
    result = {"contained": contained, "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()}
    busy, waiting = ctx.thresholds["cpu_percent"][0], ctx.thresholds["iowait_percent"][0]
    before = sample(contained)
    for seconds in (_GLANCE, _LOOK):
        time.sleep(min(seconds, ctx.deadline.remaining()))
        after = sample(contained)
        result.update(compare(before, after, result["cpus"]))
        if (result["percent"] or 0) < busy and (result["iowait"] or 0) < waiting:
            break
        before = after
    return result


def sample(contained):
    """Return the counters of now: the host's, and those of the diagnosis itself."""
    with open("/proc/stat", encoding="ascii") as handle:
        text = handle.readline()
    return {
        "clock": time.monotonic(),
        "machine": parse_stat(text),
        "group": cgroup.cpu() if contained else None,
        "contained": contained,
        "own": _own_seconds(),
    }


def parse_stat(text):
    """Return {state: ticks} of the first line of /proc/stat."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    return dict(zip(names, (int(field) for field in text.split()[1:9])))


def _own_seconds():
    """Return the processor time of this process and its children so far: the host is not blamed for it."""
    times = os.times()
    total = sum(times[:4])
    for task in os.listdir("/proc/self/task"):
        try:
            with open("/proc/self/task/%s/children" % task, encoding="ascii") as handle:
                children = handle.read().split()
        except OSError:
            continue
        for child in children:
            try:
                with open("/proc/%s/stat" % child, encoding="utf-8", errors="replace") as handle:
                    fields = handle.read().rpartition(")")[2].split()
                total += (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))
            except (OSError, IndexError):
                continue
    return total


def compare(before, after, cpus):
    """Return percent, quota, iowait and steal between two samples (pure).

    The percentage is of the processors this host may use: the quota of its group in a container
    (all of the machine's without one), all processors otherwise.
    """
    elapsed = max(after["clock"] - before["clock"], 1e-3)
    own = max(0.0, after["own"] - before["own"])
    if after["contained"]:
        if not (before["group"] and after["group"]):
            return {"percent": None, "quota": None, "iowait": None, "steal": None}
        quota = after["group"]["quota"]
        used = after["group"]["seconds"] - before["group"]["seconds"] - own
        percent = 100.0 * used / elapsed / min(quota or cpus, cpus)
        return {"percent": _percent(percent), "quota": quota, "iowait": None, "steal": None}
    ticks = {name: after["machine"][name] - before["machine"].get(name, 0) for name in after["machine"]}
    total = sum(ticks.values())
    if total <= 0:
        return {"percent": None, "quota": None, "iowait": None, "steal": None}
    busy = total - ticks["idle"] - ticks["iowait"]
    return {
        "percent": _percent(100.0 * busy / total - 100.0 * own / elapsed / cpus),
        "quota": None,
        "iowait": _percent(100.0 * ticks["iowait"] / total),
        "steal": _percent(100.0 * ticks.get("steal", 0) / total),
    }


def _percent(value):
    return round(min(100.0, max(0.0, value)), 1)


def decide(ctx, cpu):
    """Return the finding about processor time."""
    warn, fail, unit = ctx.thresholds["cpu_percent"]
    percent = cpu["percent"]
    if percent is None:
        reason = "CPU: this host is a container whose control group cannot be read, and /proc shows the machine's"
        return [finding("host.cpu.unknown", "host", "unknown", reason)]
    status = grade(percent, warn, fail)
    available = "%g CPUs" % (cpu["quota"] if cpu["quota"] is not None else cpu["cpus"])
    return [
        finding(
            "host.cpu." + ("ok" if status == "ok" else "high"),
            "host",
            status,
            "CPU: %.1f %% of %s used (threshold %g %%)" % (percent, available, fail if status == "fail" else warn),
            value=percent,
            unit=unit,
            warn=warn,
            fail=fail,
            evidence={name: cpu[name] for name in ("cpus", "quota", "steal") if cpu[name] is not None},
            remedy=None if status == "ok" else "tune_concurrency",
            advice=None if status == "ok" else "See what runs (top), lower concurrency, or give the host more CPUs.",
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
            advice=None if status == "ok" else "See what runs or waits for a disk: top, and ps in state D.",
        )
    ]


def decide_iowait(ctx, cpu):
    """Return the finding about the time processors wait for I/O."""
    if cpu["contained"]:
        return [_machine("host.iowait", "I/O wait")]
    if cpu["iowait"] is None:
        return [finding("host.iowait.unknown", "host", "unknown", "I/O wait: the counters of /proc/stat stood still")]
    warn, fail, unit = ctx.thresholds["iowait_percent"]
    status = grade(cpu["iowait"], warn, fail)
    return [
        finding(
            "host.iowait." + ("ok" if status == "ok" else "high"),
            "host",
            status,
            "I/O wait: %.1f %% of processor time (threshold %g %%)"
            % (cpu["iowait"], fail if status == "fail" else warn),
            value=cpu["iowait"],
            unit=unit,
            warn=warn,
            fail=fail,
            advice=None if status == "ok" else "See which disk is busy and what writes to it: iostat -x, iotop.",
        )
    ]


def _machine(subject, what):
    return finding(
        subject + ".skipped", "host", "skipped", "%s is that of the machine this container runs on, not its own" % what
    )
