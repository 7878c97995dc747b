# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory and swap of the host, and which processes and units hold the most of it."""

from __future__ import annotations

import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._host import cgroup

_SHOWN = 5
#: Only the largest processes are resolved to units: more would cost time on a host with thousands.
_LOOKED_UP = 30


def measure(root, bad=None):
    """Measure the host whose /proc and /sys are under root.

    Args:
        root: its root directory.
        bad: the share of the memory, in percent, from which all that holds some is listed, not only
            the largest processes; None: never.
    """
    with open(
        os.path.join(root, "proc/meminfo"), encoding="ascii", errors="replace"
    ) as handle:  # path: /proc
        figures = parse_meminfo(handle.read())
    contained = cgroup.contained(root)
    group = cgroup.memory(root) if contained else None
    weighed = weigh(figures, contained, group, arc(_text(root, "proc/spl/kstat/zfs/arcstats")))
    full = bad is not None and weighed["used"] is not None
    full = full and 100.0 * weighed["used"] >= bad * weighed["total"]
    holders = largest_processes(root, None if full else _LOOKED_UP)
    others = weighed.pop("reserved") + (_filesystems(root) if full else [])
    return dict(weighed, processes=holders, others=others)


def parse_meminfo(text):
    """Return {name: bytes} of /proc/meminfo; the number of huge pages is no size."""
    return {
        name: int(number) * (1024 if unit else 1)
        for name, number, unit in re.findall(r"^([\w()]+):\s+([0-9]+)( kB)?$", text, re.M)
    }


def arc(text):
    """Return what ZFS frees of its cache when memory runs out, in bytes: all above its minimum.

    Args:
        text: of /proc/spl/kstat/zfs/arcstats, empty where there is none. The kernel does not count
            this cache as available.
    """
    figures = dict(re.findall(r"^(size|c_min)\s+\d+\s+(\d+)$", text, re.M))
    return max(0, int(figures.get("size", 0)) - int(figures.get("c_min", 0)))


def weigh(figures, contained, group, cache=0):
    """Return what counts for this host: its group's figures in a container, the machine's otherwise
    (pure).

    Reserved huge pages are no part of it: nothing else can have them, full or empty, so the rest of
    the memory is what may run out. Those that are empty are in ``reserved``.

    Args:
        figures: as ``parse_meminfo`` returns them.
        contained: whether the host is a container.
        group: as ``cgroup.memory`` returns it, or None.
        cache: as ``arc`` returns it.
    """
    total = figures["MemTotal"]
    if not contained:
        page = figures.get("Hugepagesize", 0)
        huge = figures.get("Hugetlb", figures.get("HugePages_Total", 0) * page)
        empty = (figures.get("HugePages_Free", 0) - figures.get("HugePages_Rsvd", 0)) * page
        # Kernels before 3.14 have no MemAvailable.
        available = figures.get("MemAvailable", figures["MemFree"] + figures.get("Cached", 0))
        return {
            "source": "machine",
            "total": total - huge,
            "used": max(0, total - huge - available - cache),
            "swap_total": figures.get("SwapTotal", 0),
            "swap_used": figures.get("SwapTotal", 0) - figures.get("SwapFree", 0),
            "reserved": [{"what": "reserved and empty huge pages", "bytes": empty}] * (empty > 0),
        }
    if group is None:
        return {
            "source": None,
            "total": total,
            "used": None,
            "swap_total": None,
            "swap_used": None,
            "reserved": [],
        }
    swap_limit = group["swap_limit"]
    swap_total = (
        figures.get("SwapTotal", 0)
        if swap_limit is None
        else min(swap_limit, figures.get("SwapTotal", 0))
    )
    return {
        "source": "cgroup",
        "total": min(total, group["limit"]) if group["limit"] is not None else total,
        "used": group["used"],
        "swap_total": swap_total,
        "swap_used": group["swap_used"],
        "reserved": [],
    }


def _filesystems(root):
    """Return what each file system in memory holds: [{what, bytes}], the fullest first."""
    found = {}
    for line in _text(root, "proc/self/mountinfo").splitlines():
        fields, dash, rest = line.partition(" - ")
        fields = fields.split(" ")
        if not dash or not rest.startswith("tmpfs ") or len(fields) < 5:
            continue
        path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), fields[4])
        try:
            figures = os.statvfs(path)
        except OSError:
            continue
        size = (figures.f_blocks - figures.f_bfree) * figures.f_frsize
        # One file system may be mounted several times.
        if size and (fields[2] not in found or len(path) < len(found[fields[2]]["path"])):
            found[fields[2]] = {"what": "%s (tmpfs)" % path, "path": path, "bytes": size}
    return sorted(found.values(), key=lambda item: -item["bytes"])[:_SHOWN]


def largest_processes(root="/", most=_LOOKED_UP):
    """Return the units and the processes that hold the most private memory, largest first.

    A process's private memory is its resident set without what it shares (files and shared memory),
    so that PostgreSQL's buffers do not count once for each backend. One small file is read for
    each.

    Args:
        root: the root directory of the host.
        most: how many of the largest processes are added up by their units; None: all, which takes
            a second small file of each: many small ones may hold more than the largest.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    sizes = []
    for pid in os.listdir(os.path.join(root, "proc")):
        if pid.isdigit():
            fields = _read(root, pid, "statm").split()
            if len(fields) > 2:
                sizes.append(((int(fields[1]) - int(fields[2])) * page, int(pid)))
    sizes.sort(reverse=True)
    units, processes = {}, []
    for size, pid in sizes[:most]:
        unit, command = cgroup.unit_of(pid, root), None
        if unit is None or len(processes) < _SHOWN:
            # The command's name only: its arguments may hold secrets.
            command = _read(root, pid, "comm").strip()
        units[unit or command] = units.get(unit or command, 0) + size
        if len(processes) < _SHOWN:
            processes.append({"pid": pid, "command": command, "unit": unit, "bytes": size})
    ordered = sorted(units.items(), key=lambda item: -item[1])[:_SHOWN]
    return {
        "units": [{"unit": name, "bytes": size} for name, size in ordered],
        "processes": processes,
    }


def _text(root, path):
    try:
        with open(
            os.path.join(root, path), encoding="utf-8", errors="surrogateescape"
        ) as handle:  # path: /proc
            return handle.read()
    except OSError:
        return ""


def _read(root, pid, name):
    # A process may end at any moment. Plain system calls: this is done for each process of the
    # host.
    try:
        handle = os.open(
            "%s/proc/%s/%s" % (root.rstrip("/"), pid, name), os.O_RDONLY
        )  # path: /proc
    except OSError:
        return ""
    try:
        return os.read(handle, 4096).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(handle)
