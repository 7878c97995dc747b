# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processor time, load and waiting for I/O of the host."""

from __future__ import annotations

import os
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._host import cgroup
from ansible_collections.sergas.ops.plugins.module_utils._host import unit as host_unit

#: A moment is enough to see that a host is calm; one that looks too busy gets a longer look.
_GLANCE = 0.25
_LOOK = 1.2
#: Of a process that ran or waited for a processor for this share of its life, it wants all of one.
_ALWAYS = 0.8
#: Starting is work: what the app does in this many seconds after its start is no load of the host.
_STARTING = 30.0


def observe(ctx):
    """Return percent (of what this host may use), cpus, quota, load, iowait, steal, hungry and
    contained.
    """
    contained = cgroup.contained()
    result = {"contained": contained, "cpus": len(os.sched_getaffinity(0)), "load": os.getloadavg()}
    busy, waiting = ctx.thresholds["cpu_percent"][0], ctx.thresholds["iowait_percent"][0]
    app = host_unit.name(ctx.params["service"])
    # On a machine the processes are of interest only if it looks busy; there may be thousands.
    for seconds, processes in ((_GLANCE, contained), (_LOOK, True)):
        before = sample(contained, processes)
        time.sleep(min(seconds, ctx.deadline.remaining()))
        after = sample(contained, processes)
        starting, hungry = _sort_out(before, after, app)
        result.update(compare(before, after, result["cpus"], starting, hungry))
        if (result["percent"] or 0) < busy and (result["iowait"] or 0) < waiting:
            break
    return result


def sample(contained, processes):
    """Return the counters of now: the host's, those of the diagnosis itself, and those of each
    process.
    """
    with open("/proc/stat", encoding="ascii") as handle:
        text = handle.readline()
    children = _children()
    return {
        "clock": time.monotonic(),
        "machine": parse_stat(text),
        "group": cgroup.cpu() if contained else None,
        "contained": contained,
        "own": _own_seconds(children),
        "processes": _processes(set(children) | {os.getpid()}) if processes else {},
    }


def _processes(without):
    """Return {pid: (seconds it ran, seconds it waited for a processor)}."""
    result = {}
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) not in without:
            try:
                handle = os.open("/proc/%s/schedstat" % pid, os.O_RDONLY)
            except OSError:
                continue
            try:
                ran, waited = os.read(handle, 100).split()[:2]
                result[int(pid)] = int(ran) / 1e9, int(waited) / 1e9
            except (OSError, ValueError):
                continue
            finally:
                os.close(handle)
    return result


def _sort_out(before, after, app):
    """Return (seconds the app spent on starting, how many other processes never sleep)."""
    starting, hungry = 0.0, 0
    elapsed = after["clock"] - before["clock"]
    for pid, (ran, waited) in after["processes"].items():
        earlier = before["processes"].get(pid, (0.0, 0.0))
        if ran + waited - sum(earlier) < elapsed / 4:
            continue
        age = _age(pid)
        if age is None:
            continue
        if age < _STARTING and cgroup.unit_of(pid) == app:
            starting += ran - earlier[0]
        elif pid in before["processes"] and ran + waited >= _ALWAYS * age:
            hungry += 1
    return starting, hungry


def _age(pid):
    """Return how many seconds ago a process was started, or None if it is gone."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as handle:
            started = int(handle.read().rpartition(")")[2].split()[19]) / float(
                os.sysconf("SC_CLK_TCK")
            )
    except (OSError, IndexError):
        return None
    return times.uptime() - started


def parse_stat(text):
    """Return {state: ticks} of the first line of /proc/stat."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    return dict(zip(names, (int(field) for field in text.split()[1:9])))


def _children():
    """Return the pids of the commands the diagnosis runs at this moment."""
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open("/proc/self/task/%s/children" % task, encoding="ascii") as handle:
                found += [int(pid) for pid in handle.read().split()]
        except OSError:
            continue
    return found


def _own_seconds(children):
    """Return the processor time of this process and its children so far: the host is not blamed for
    it.
    """
    total = sum(os.times()[:4])
    for child in children:
        try:
            with open("/proc/%d/stat" % child, encoding="utf-8", errors="replace") as handle:
                fields = handle.read().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))
        except (OSError, IndexError):
            continue
    return total


def compare(before, after, cpus, starting=0.0, hungry=0):
    """Return percent, quota, iowait, steal and hungry between two samples (pure).

    The percentage is of the processors this host may use: the quota of its group in a container
    (all of the machine's without one), all processors otherwise. On a machine that is busy with
    others, a container gets less than it may use: what it wants shows in its processes that never
    sleep, and counts as used.

    Args:
        before, after: as L(sample) returns them.
        cpus: how many processors there are.
        starting: seconds of processor time between them that the app needed to start.
        hungry: how many processes ran or waited for a processor all their life.
    """
    elapsed = max(after["clock"] - before["clock"], 1e-3)
    own = max(0.0, after["own"] - before["own"]) + starting
    result = {"percent": None, "quota": None, "iowait": None, "steal": None, "hungry": hungry}
    if after["contained"]:
        if before["group"] and after["group"]:
            used = after["group"]["seconds"] - before["group"]["seconds"] - own
            quota = after["group"]["quota"]
            share = max(used / elapsed, hungry) / min(quota or cpus, cpus)
            result.update(percent=_percent(100.0 * share), quota=quota)
        return result
    ticks = {
        name: after["machine"][name] - before["machine"].get(name, 0) for name in after["machine"]
    }
    total = sum(ticks.values())
    if total > 0:
        busy = total - ticks["idle"] - ticks["iowait"]
        result["percent"] = _percent(100.0 * busy / total - 100.0 * own / elapsed / cpus)
        result["iowait"] = _percent(100.0 * ticks["iowait"] / total)
        result["steal"] = _percent(100.0 * ticks.get("steal", 0) / total)
    return result


def _percent(value):
    return round(min(100.0, max(0.0, value)), 1)


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
    available = "%g CPUs" % (cpu["quota"] if cpu["quota"] is not None else cpu["cpus"])
    return [
        finding(
            "host.cpu." + ("ok" if status == "ok" else "high"),
            "host",
            status,
            "CPU: %.1f %% of %s used (threshold %g %%)"
            % (percent, available, fail if status == "fail" else warn),
            value=percent,
            unit=unit,
            warn=warn,
            fail=fail,
            evidence={
                name: cpu[name]
                for name in ("cpus", "quota", "steal", "hungry")
                if cpu[name] is not None
            },
            remedy=None if status == "ok" else "tune_concurrency",
            advice=(
                None
                if status == "ok"
                else "See what runs (top), lower concurrency, or give the host more CPUs."
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
                else "See what runs or waits for a disk: top, and ps in state D."
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
            advice=(
                None
                if status == "ok"
                else "See which disk is busy and what writes to it: iostat -x, iotop."
            ),
        )
    ]


def _machine(subject, what):
    return finding(
        subject + ".skipped",
        "host",
        "skipped",
        "%s is that of the machine this container runs on, not its own" % what,
    )
