# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control groups: whether this host is a container, and what its own group may use and uses.

/proc shows a container the memory and the processors of the whole machine. Its limits and its
consumption are those of the group its init runs in, in the layout of cgroup v1 or v2.
"""

from __future__ import annotations

import os
import re

_MARKS = ("run/systemd/container", ".dockerenv", "run/.containerenv")
#: v1 says "no limit" with the largest number of pages.
_NO_LIMIT = 1 << 60


def contained(root="/"):
    """Return whether this host is a container, by the marks the engines and systemd leave."""
    if any(os.path.exists(os.path.join(root, mark)) for mark in _MARKS):
        return True
    return "container=" in _read(os.path.join(root, "proc/1/environ")).replace("\0", "\n")


def memory(root="/"):
    """Return limit, used, swap_limit and swap_used of the host's group in bytes, or None.

    A limit is None where there is none. What the kernel frees before it runs out is not used: the
    cache of files, also the part that is in use a lot, and of names. What lies in a tmpfs is no
    such cache: it counts, and is returned as ``shared`` as well.
    """
    for directory in _directories(root, "memory"):
        found = _memory(directory)
        if found and found["limit"] is not None:
            return found
    return _memory(_directories(root, "memory")[0])


def _memory(directory):
    unified = os.path.exists(os.path.join(directory, "memory.current"))
    used = _number(directory, "memory.current" if unified else "memory.usage_in_bytes")
    if used is None:
        return None
    figures = dict(
        re.findall(r"^(\w+) ([0-9]+)$", _read(os.path.join(directory, "memory.stat")), re.M)
    )
    prefix = "" if unified else "total_"
    cache = sum(
        int(figures.get(prefix + name, 0))
        for name in ("inactive_file", "active_file", "slab_reclaimable")
    )
    swap_limit, swap_used = None, None
    if unified:
        swap_limit, swap_used = (
            _number(directory, "memory.swap.max"),
            _number(directory, "memory.swap.current"),
        )
    elif "total_swap" in figures:
        swap_used = int(figures["total_swap"])
    return {
        "limit": _number(directory, "memory.max" if unified else "memory.limit_in_bytes"),
        "used": max(0, used - cache),
        "shared": int(figures.get(prefix + "shmem", 0)),
        "swap_limit": swap_limit,
        "swap_used": swap_used,
    }


def cpu(root="/"):
    """Return seconds (used so far) and quota (in processors, None: no limit) of the host's group,
    or None.
    """
    result = None
    for directory in _directories(root, "cpu"):
        quota, period = (_read(os.path.join(directory, "cpu.max")).split() + ["", ""])[:2]
        usage = re.search(
            r"^usage_usec ([0-9]+)$", _read(os.path.join(directory, "cpu.stat")), re.M
        )
        if usage:
            seconds = int(usage.group(1)) / 1e6
        else:
            quota, period = (
                _read(os.path.join(directory, "cpu.cfs_%s_us" % name)).strip()
                for name in ("quota", "period")
            )
            # cpuacct is a separate hierarchy where the two are not mounted together.
            for hierarchy in (directory, directory.replace("/cgroup/cpu", "/cgroup/cpuacct", 1)):
                nanoseconds = _number(hierarchy, "cpuacct.usage")
                if nanoseconds is not None:
                    break
            else:
                continue
            seconds = nanoseconds / 1e9
        limited = quota.isdigit() and period.isdigit() and int(period) > 0
        found = {"seconds": seconds, "quota": int(quota) / float(period) if limited else None}
        if found["quota"] is not None:
            return found
        result = result or found
    return result


def unit_of(pid, root="/"):
    """Return the name of the systemd unit a process belongs to, or None."""
    units = re.findall(
        r"([^/\n]+\.(?:service|scope))(?=/|$)",
        _read(os.path.join(root, "proc/%s/cgroup" % pid)),
        re.M,
    )
    services = [unit for unit in units if unit.endswith(".service")]
    return services[-1] if services else units[-1] if units else None


def _directories(root, controller):
    """Return where the host's group of a controller may be: what is mounted, and init's own path in
    it.

    A container has its own group mounted there. Where it sees the whole hierarchy, its limit is
    further down.
    """
    base = os.path.join(root, "sys/fs/cgroup")
    if os.path.isdir(os.path.join(base, controller)):
        base = os.path.join(base, controller)
        pattern = r"^[0-9]+:(?:[\w,]+,)?%s(?:,[\w,]+)?:(/.*)$" % controller
    else:
        pattern = r"^0::(/.*)$"
    match = re.search(pattern, _read(os.path.join(root, "proc/1/cgroup")), re.M)
    inner = re.sub(r"/init\.scope$", "", match.group(1)) if match else ""
    return [base, base + inner.rstrip("/")] if inner.strip("/") else [base]


def _number(directory, name):
    """Return the number in a file, or None where there is no such file or no limit."""
    text = _read(os.path.join(directory, name)).strip()
    return int(text) if text.isdigit() and int(text) < _NO_LIMIT else None


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:  # path: /sys
            return handle.read()
    except OSError:
        return ""
