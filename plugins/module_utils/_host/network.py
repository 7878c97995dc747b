# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel's network has room for, and what it has dropped for want of it."""

from __future__ import annotations

import collections
import re
import time

_CONNTRACK = "/proc/sys/net/netfilter/nf_conntrack_"
_SECONDS = 0.3
#: Below this share of the local ports no destination can have used its own up.
_WORTH_COUNTING = 0.5
_LISTENING = "0A"


def measure(deadline):
    """Return the counters of the kernel's network, each None where it is not there.

    Args:
        deadline: the ``Deadline`` of the probe; two samples lie a third of a second apart.

    Returns:
        dict with conntrack ({count, max}), overflows ({total, rate}: connections that a full accept
        queue refused, since the boot and in a second now), local_ports ({range, destination, used}:
        the destination with the most connections from here).
    """
    before, started = _overflows(), time.monotonic()
    found = {
        "conntrack": _conntrack(),
        "local_ports": local_ports(
            _read("/proc/sys/net/ipv4/ip_local_port_range"),
            _read("/proc/net/sockstat"),
            lambda: [_read("/proc/net/tcp"), _read("/proc/net/tcp6")],
        ),
        "overflows": None,
    }
    time.sleep(min(_SECONDS, deadline.remaining()))
    after, elapsed = _overflows(), time.monotonic() - started
    if before is not None and after is not None:
        found["overflows"] = {"total": after, "rate": round((after - before) / elapsed, 1)}
    return found


def _overflows():
    return overflows(_read("/proc/net/netstat"))


def overflows(text):
    """Return how many connections a full accept queue has refused since the boot, or None.

    Args:
        text: of /proc/net/netstat: a line of names, then one of numbers.
    """
    names, numbers = (re.findall(r"^TcpExt:(.*)$", text or "", re.M) + ["", ""])[:2]
    found = dict(zip(names.split(), numbers.split()))
    return int(found["ListenOverflows"]) if "ListenOverflows" in found else None


def _conntrack():
    count, most = _read(_CONNTRACK + "count"), _read(_CONNTRACK + "max")
    return {"count": int(count), "max": int(most)} if count and most else None


def local_ports(port_range, sockstat, tables):
    """Return range (how many ports there are for connections from here), destination and used, or
    None.

    Args:
        port_range: the text of ip_local_port_range.
        sockstat: the text of /proc/net/sockstat.
        tables: returns the texts of /proc/net/tcp and tcp6, which are long on a busy host: they are
            read only where there are enough sockets for one destination to be out of ports.
    """
    ends = (port_range or "").split()
    sockets = re.search(r"^TCP: inuse (\d+) orphan \d+ tw (\d+)", sockstat or "", re.M)
    if len(ends) != 2 or not sockets:
        return None
    first, last = int(ends[0]), int(ends[1])
    size = last - first + 1
    found = {"range": size, "destination": None, "used": 0}
    if int(sockets.group(1)) + int(sockets.group(2)) < _WORTH_COUNTING * size:
        return found
    used = collections.Counter()
    for text in tables():
        for line in (text or "").splitlines()[1:]:
            fields = line.split(None, 4)
            if len(fields) < 4 or fields[3] == _LISTENING:
                continue
            if first <= int(fields[1].rpartition(":")[2], 16) <= last:
                used[fields[2]] += 1
    if used:
        destination, count = used.most_common(1)[0]
        found.update(destination=destination, used=count)
    return found


def _read(path):
    try:
        with open(path, encoding="ascii", errors="replace") as handle:  # path: /proc
            return handle.read()
    except OSError:
        return None
