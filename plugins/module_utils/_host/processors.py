# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processor time of the host, of the diagnosis itself and of each process."""

from __future__ import annotations

import os
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._host import cgroup

#: Of a process that ran or waited for a processor for this share of its life, it wants all of one.
_ALWAYS = 0.8
#: Starting is work: what the app does in this many seconds after its start is no load of the host.
_STARTING = 30.0
#: How many processes and disks are named, and how much of a title of PostgreSQL.
_SHOWN, _TITLE = 5, 80
#: Less than this share of a processor is not worth a line.
_NEGLIGIBLE = 0.05


def sample(contained, processes):
    """Return the current counters: the host's, those of the diagnosis itself, and those of each
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
        "disks": {} if contained else parse_diskstats(_read("/proc/diskstats")),
    }


def parse_diskstats(text):
    """Return {device: (requests done, milliseconds that they took, milliseconds it was busy)}.

    Args:
        text: of /proc/diskstats (Documentation/admin-guide/iostats.rst of the kernel): reads are in
            the 4th to 7th column, writes in the 8th to 11th, the time with any request in the 13th.
    """
    found = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 13 and not fields[2].startswith(("loop", "ram", "zram")):
            numbers = [int(field) for field in fields[3:13]]
            found[fields[2]] = (numbers[0] + numbers[4], numbers[3] + numbers[7], numbers[9])
    return found


def busy_disks(before, after):
    """Return the devices that did most between two samples: [{device, percent, await_ms}] (pure).

    Args:
        before, after: as ``sample`` returns them.
    """
    elapsed = max(after["clock"] - before["clock"], 1e-3) * 1000.0
    found = []
    for device, (done, took, busy) in after["disks"].items():
        earlier = before["disks"].get(device, (done, took, busy))
        requests = done - earlier[0]
        if busy > earlier[2]:
            found.append(
                {
                    "device": device,
                    "percent": _percent(100.0 * (busy - earlier[2]) / elapsed),
                    "await_ms": round((took - earlier[1]) / float(requests), 1)
                    if requests
                    else None,
                }
            )
    return sorted(found, key=lambda item: (-item["percent"], item["device"]))[:_SHOWN]


def busiest(before, after):
    """Return the processes that used most processor time between two samples, of which each may be
    gone meanwhile: [{pid, command, unit, percent}], in percent of one processor.
    """
    elapsed = max(after["clock"] - before["clock"], 1e-3)
    used = [
        (ran - before["processes"].get(pid, (ran, 0.0))[0], pid)
        for pid, (ran, _waited) in after["processes"].items()
    ]
    found = []
    for seconds, pid in sorted(used, reverse=True)[:_SHOWN]:
        if seconds / elapsed >= _NEGLIGIBLE:
            found.append(
                {
                    "pid": pid,
                    "command": _command(pid),
                    "unit": cgroup.unit_of(pid),
                    "percent": round(100.0 * seconds / elapsed, 1),
                }
            )
    return found


def _command(pid):
    """Return the name of a process; of PostgreSQL's, what it says of its role, database and work.

    Not the arguments of others: they may hold secrets.
    """
    name = _read("/proc/%d/comm" % pid).strip()
    title = _read("/proc/%d/cmdline" % pid).replace("\0", " ").strip()
    return title[:_TITLE] if name.startswith("postgres") and title.startswith("postgres:") else name


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:  # path: /proc
            return handle.read()
    except OSError:
        return ""


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


def sort_out(before, after, app):
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
    (all of the host's without one), all processors otherwise. On a machine that is busy with
    others, a container gets less than it may use: what it wants shows in its processes that never
    sleep, and counts as used.

    Args:
        before, after: as ``sample`` returns them.
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
