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


def measure(root):
    """Measure the host whose /proc and /sys are under root."""
    with open(
        os.path.join(root, "proc/meminfo"), encoding="ascii", errors="replace"
    ) as handle:  # path: /proc
        figures = parse_meminfo(handle.read())
    contained = cgroup.contained(root)
    group = cgroup.memory(root) if contained else None
    return dict(weigh(figures, contained, group), processes=largest_processes(root))


def parse_meminfo(text):
    """Return {name: bytes} of /proc/meminfo."""
    return {
        name: int(kib) * 1024 for name, kib in re.findall(r"^([\w()]+):\s+([0-9]+) kB$", text, re.M)
    }


def weigh(figures, contained, group):
    """Return what counts for this host: its group's figures in a container, the machine's otherwise
    (pure).

    Args:
        figures: as ``parse_meminfo`` returns them.
        contained: whether the host is a container.
        group: as ``cgroup.memory`` returns it, or None.
    """
    total = figures["MemTotal"]
    if not contained:
        # Kernels before 3.14 have no MemAvailable.
        available = figures.get("MemAvailable", figures["MemFree"] + figures.get("Cached", 0))
        return {
            "source": "machine",
            "total": total,
            "used": max(0, total - available),
            "swap_total": figures.get("SwapTotal", 0),
            "swap_used": figures.get("SwapTotal", 0) - figures.get("SwapFree", 0),
        }
    if group is None:
        return {"source": None, "total": total, "used": None, "swap_total": None, "swap_used": None}
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
    }


def largest_processes(root="/"):
    """Return the units and the processes that hold the most private memory, largest first.

    A process's private memory is its resident set without what it shares (files and shared memory),
    so that PostgreSQL's buffers do not count once for each backend. One small file is read for
    each.
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
    for size, pid in sizes[:_LOOKED_UP]:
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
