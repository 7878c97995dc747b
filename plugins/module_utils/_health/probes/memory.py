# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory and swap of the host, and who holds the most of it."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import sizes
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._host import memory as host_memory
from ansible_collections.sergas.ops.plugins.module_utils._host.unit import name as unit_name

#: How many of several holders are named.
_NAMED = 3


def observe(ctx):
    """Return total, used, swap_total and swap_used in bytes, contained, and the largest holders."""
    return host_memory.measure("/", ctx.thresholds["memory_percent"][0])


def decide(ctx, memory):
    """Return the finding about memory."""
    service = unit_name(ctx.params["service"])
    return [judge(memory, ctx.thresholds["memory_percent"], service)]


def judge(memory, threshold, service=None):
    """Return the finding about memory (pure).

    Args:
        memory: what ``measure`` returned.
        threshold: (warn, fail, unit).
        service: the app's unit. It is the one that can be bounded; where another one holds the
            most, a person decides.
    """
    warn, fail, unit = threshold
    if memory["used"] is None:
        reason = (
            "Memory: this host is a container whose control group cannot be read, and /proc shows"
            " the machine's"
        )
        return finding("host.memory.unknown", "host", "unknown", reason)
    percent = round(100.0 * memory["used"] / memory["total"], 1)
    status = grade(percent, warn, fail)
    holders = _holders(memory) if status != "ok" else []
    bound = status != "ok" and _is_cause(memory, service)
    return finding(
        "host.memory." + ("ok" if status == "ok" else "high"),
        "host",
        status,
        "Memory: %s of %s used (%.1f %%, threshold %g %%)%s"
        % (
            sizes.size(memory["used"]),
            sizes.size(memory["total"]),
            percent,
            fail if status == "fail" else warn,
            _named(holders, memory["used"]),
        ),
        value=percent,
        unit=unit,
        warn=warn,
        fail=fail,
        evidence=dict(
            memory["processes"],
            others=memory["others"],
            source=memory["source"],
            used=memory["used"],
            total=memory["total"],
        ),
        reason=_reason(holders, memory["used"]) if holders else None,
        remedy="limit_memory" if bound else None,
        advice=_advice(holders, bound) if status != "ok" else None,
    )


def _holders(memory):
    """Return [(what, bytes)] of all that holds memory, the largest first."""
    found = [(item["unit"], item["bytes"]) for item in memory["processes"]["units"]]
    found += [(item["what"], item["bytes"]) for item in memory["others"]]
    return sorted(found, key=lambda item: -item[1])


def _named(holders, used):
    """Return who holds the memory, as the end of a sentence: one, if it holds half of it."""
    if not holders:
        return ""
    if 2 * holders[0][1] >= used:
        return ", mostly %s (%s)" % (holders[0][0], sizes.size(holders[0][1]))
    shown = ", ".join("%s (%s)" % (what, sizes.size(size)) for what, size in holders[:_NAMED])
    return ", no one holds half of it: %s" % shown


#: Which of several causes a finding with an id has, see docs/findings.md.
REASONS = {"host.memory.high": ("unit", "tmpfs", "huge_pages", "several")}


def _reason(holders, used):
    what, size = holders[0]
    if 2 * size < used:
        return "several"
    if what.endswith(" (tmpfs)"):
        return "tmpfs:" + what.partition(" ")[0]
    return "huge_pages" if what.startswith("reserved") else "unit:" + what


def _is_cause(memory, service):
    """Return whether the app's unit fills the memory: to bound another one helps nothing."""
    holders = _holders(memory)
    return bool(holders) and holders[0][0] == service and 3 * holders[0][1] >= memory["used"]


def _advice(holders, bound):
    if bound:
        return "Lower workers, concurrency and pool in .env, and set MemoryMax for the unit."
    if holders and holders[0][0].endswith("(tmpfs)"):
        return "Files in memory: remove those no one needs from %s." % holders[0][0].split(" ")[0]
    if holders and holders[0][0].startswith("reserved"):
        return "Reserve fewer huge pages (vm.nr_hugepages): no process uses these."
    return "Find what grew (see the processes), then give it a limit or the host memory."


def decide_swap(ctx, memory):
    """Return the finding about swap."""
    service = unit_name(ctx.params["service"])
    return [judge_swap(memory, ctx.thresholds["swap_percent"], service)]


def judge_swap(memory, threshold, service=None):
    """Return the finding about swap (pure); the arguments are those of ``judge``."""
    warn, fail, unit = threshold
    if not memory["swap_total"]:
        if memory["swap_total"] is None:
            return finding(
                "host.swap.skipped",
                "host",
                "skipped",
                "Swap belongs to the machine this container runs on",
            )
        return finding(
            "host.swap.ok",
            "host",
            "ok",
            "There is no swap",
            value=0.0,
            unit=unit,
            warn=warn,
            fail=fail,
        )
    if memory["swap_used"] is None:
        return finding(
            "host.swap.skipped",
            "host",
            "skipped",
            "This container's share of the swap is not known",
        )
    percent = round(100.0 * memory["swap_used"] / memory["swap_total"], 1)
    status = grade(percent, warn, fail)
    return finding(
        "host.swap." + ("ok" if status == "ok" else "high"),
        "host",
        status,
        "Swap: %s of %s used (%.1f %%, threshold %g %%)"
        % (
            sizes.size(memory["swap_used"]),
            sizes.size(memory["swap_total"]),
            percent,
            fail if status == "fail" else warn,
        ),
        value=percent,
        unit=unit,
        warn=warn,
        fail=fail,
        evidence={} if status == "ok" else dict(memory["processes"]),
        remedy=("limit_memory" if status != "ok" and _is_cause(memory, service) else None),
        advice=(
            None
            if status == "ok"
            else "Find what grew (see the processes), then give it a limit or the host memory."
        ),
    )
