# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel drops while every service is well: no room in its tables, queues and ports."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._host import network


def observe(ctx):
    """Return the counters, see ``network.measure``."""
    return network.measure(ctx.deadline)


def decide(ctx, counters):
    """Return the findings about tracked connections, local ports and accept queues."""
    found = [
        _conntrack(counters["conntrack"], ctx.thresholds["conntrack_percent"]),
        _local_ports(counters["local_ports"], ctx.thresholds["local_ports_percent"]),
        _backlog(counters["overflows"]),
    ]
    bad = [item for item in found if item and item["status"] != "ok"]
    if bad:
        return bad
    good = [item for item in found if item]
    if not good:
        reason = "The kernel shows none of its counters of connections"
        return [finding("host.network.unknown", "host", "unknown", reason)]
    evidence = {key: value for item in good for key, value in item["evidence"].items()}
    summary = "; ".join(item["summary"] for item in good)
    return [finding("host.network.ok", "host", "ok", summary, evidence=evidence)]


def _conntrack(conntrack, threshold):
    # Without the kernel's tracking, no table can be full.
    if conntrack is None or not conntrack["max"]:
        return None
    warn, fail, unit = threshold
    percent = round(100.0 * conntrack["count"] / conntrack["max"], 1)
    status = grade(percent, warn, fail)
    return finding(
        "host.conntrack.high",
        "host",
        status,
        "%d of %d connections are tracked (%.1f %%, threshold %g %%)"
        % (conntrack["count"], conntrack["max"], percent, fail if status == "fail" else warn),
        value=percent,
        unit=unit,
        warn=warn,
        fail=fail,
        evidence={"conntrack": conntrack},
        advice=(
            None
            if status == "ok"
            else "When the table is full, new connections are dropped: raise"
            " net.netfilter.nf_conntrack_max, and find who opens so many."
        ),
    )


def _local_ports(ports, threshold):
    if ports is None:
        return None
    warn, fail, unit = threshold
    percent = round(100.0 * ports["used"] / ports["range"], 1)
    status = grade(percent, warn, fail)
    if status == "ok":
        summary = "no destination uses up the %d local ports" % ports["range"]
    else:
        summary = "%d of %d local ports are in use for connections to one destination" % (
            ports["used"],
            ports["range"],
        )
        summary += " (%.1f %%, threshold %g %%)" % (percent, fail if status == "fail" else warn)
    return finding(
        "host.local_ports.high",
        "host",
        status,
        summary,
        value=percent,
        unit=unit,
        warn=warn,
        fail=fail,
        evidence={"local_ports": ports},
        advice=(
            None
            if status == "ok"
            else "Connections to it fail when there are none left: find what opens one for each"
            " request instead of keeping it (ss -tan), or widen net.ipv4.ip_local_port_range."
        ),
    )


def _backlog(overflows):
    if overflows is None:
        return None
    bad = overflows["rate"] > 0
    return finding(
        "host.backlog.full",
        "host",
        "warn" if bad else "ok",
        "%g connections a second are refused by a full accept queue" % overflows["rate"]
        if bad
        else "no accept queue is full",
        value=overflows["rate"],
        unit="connections/s",
        evidence={"overflows": overflows},
        advice=(
            "A service accepts more slowly than clients come (ss -ltn: Recv-Q at Send-Q): give it"
            " workers, or raise its backlog and net.core.somaxconn."
        )
        if bad
        else None,
    )
