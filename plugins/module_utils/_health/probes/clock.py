# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's clock beside the controller's, which is sent with the options. Pure.

Tokens, certificates and sessions end by the clock, and the logs of several hosts are read side by
side. What the way to the host takes looks like an offset: the controller, which knows when the
answer came, corrects the finding by half of that (``corrected``).
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    NotHere,
    finding,
    grade,
    is_bad,
    roots,
)


def decide(ctx):
    """Return the finding on the offset from the time of the controller, on the way for a while."""
    sent = ctx.params.get("controller_time")
    if sent is None:
        raise NotHere("No time of a controller was sent")
    return [judge(ctx.now - sent, 0.0, ctx.thresholds["clock_seconds"])]


def judge(offset, margin, threshold):
    """Return the finding on an offset that may be so many seconds smaller or larger.

    Args:
        offset: in seconds, above 0 for a clock that is ahead.
        margin: what of it may be the way to the host.
        threshold: (warn, fail, unit); the least that the offset can be is judged.
    """
    warn, fail, unit = threshold
    status = grade(max(0.0, abs(offset) - margin), warn, fail)
    summary = "The clock is %.1f s %s the controller's" % (
        abs(offset),
        "ahead of" if offset > 0 else "behind",
    )
    advice = None
    if status != "ok":
        summary += " (threshold %g s)" % (fail if status == "fail" else warn)
        advice = (
            "Compare both with a third one: timedatectl on each; then have chrony or"
            " systemd-timesyncd set the wrong one."
        )
    return finding(
        "host.clock.ok" if status == "ok" else "host.clock.offset",
        "host",
        status,
        summary,
        value=round(offset, 1),
        unit=unit,
        warn=warn,
        fail=fail,
        evidence={"margin": round(margin, 1)},
        advice=advice,
    )


def corrected(result, took):
    """Return a result of the diagnosis with the offset less what the way to the host has taken.

    Args:
        result: of ``sergas_health``.
        took: seconds from sending the options until the result was there.
    """
    half = max(0.0, took - (result.get("seconds") or 0.0)) / 2
    findings = [_less(item, half) for item in result["findings"]]
    return dict(
        result,
        findings=findings,
        roots=[item["id"] for item in roots(findings)],
        bad=sum(1 for item in findings if is_bad(item)),
    )


def _less(item, half):
    if item["id"] not in ("host.clock.ok", "host.clock.offset") or item["value"] is None:
        return item
    threshold = (item["warn"], item["fail"], item["unit"])
    return {**judge(item["value"] - half, half, threshold), "guide": item["guide"]}
