# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app's own counters at /metrics, also where no Prometheus scrapes them.

They run since the app was started, and of several workers one answers. So they say how requests
have ended within the window where the app was started in it, or where none has failed at all.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observed
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._host import app_endpoint, unit
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

ASPECTS = ("requests", "latency")
PATH = "/metrics"
_MAX_BYTES = 2 * 1024 * 1024
_MOST_LINES = 20000
#: Exporters name these labels differently.
_STATUS = ("status", "status_code", "code", "http_response_status_code", "http_status_code")
_ROUTE = ("path", "handler", "endpoint", "route", "http_route", "path_template")
_LABELS = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
_NAME = re.compile(r"[A-Za-z_:][\w:]*")
#: What a counter of requests and a histogram of their durations are called.
_COUNTERS = ("_total", "_count")
_SHOWN = 10
#: Counters that began a little after the window did are of the window.
_SLACK = 5.0
_FEWEST, _FEWEST_SLOW = 3, 2


def observe(ctx):
    """Return what the app's own counters say of its requests.

    Returns:
        dict with source, since (when the counters began), within (whether that was in the window),
        requests, failed, failed_by_path and slow_paths, and gaps where the counters say nothing of
        the window.
    """
    address = ctx.endpoint.shown(PATH)
    result = {
        "source": PATH,
        "since": unit.since(ctx.unit, "ExecMainStartTimestamp", ctx.now),
        "within": False,
        "requests": 0,
        "failed": 0,
        "failed_by_path": [],
        "slow_paths": [],
    }
    try:
        reply, _scheme = app_endpoint.get(
            ctx.endpoint,
            PATH,
            ctx.deadline,
            _MAX_BYTES,
            name=ctx.params["health_host"],
            fixed=ctx.params["health_scheme"],
        )
        why = None if reply.status == 200 else "%s answers %d" % (address, reply.status)
    except (ConnectionFailed, ValueError) as error:
        why = "%s: %s" % (address, error)
    if why:
        return Observed(result, dict.fromkeys(ASPECTS, why))
    samples = read(reply.text(), (ctx.params["health_path"], PATH))
    result["since"] = samples["started"] or result["since"]
    return judge(
        dict(result, **samples["requests"]),
        samples["durations"],
        ctx.now - ctx.params["window"],
        ctx.thresholds["error_rate_percent"][0],
        ctx.thresholds["latency_seconds"][0],
    )


def judge(result, durations, since, fewest_percent, slow_seconds):
    """Return the ``Observed`` counters (pure).

    Args:
        result: as of ``observe``; requests is None where there is no counter.
        durations: {path: {upper end of a bucket: requests}}, or None where there is no histogram.
        since: when the window begins.
        fewest_percent: from which rate of failures on there is a finding.
        slow_seconds: from when on a request is slow.
    """
    gaps = {}
    within = result["since"] is not None and result["since"] >= since - _SLACK
    result["within"] = within
    began = clock(result["since"]) or "an unknown time"
    if result["requests"] is None:
        gaps["requests"] = "%s has no counter of requests by status" % PATH
        result["requests"] = 0
    elif result["failed"] and not within:
        if result["failed"] * 100.0 / result["requests"] < fewest_percent:
            gaps["requests"] = (
                "%s counts since %s, and when its %d failed requests failed is not known"
                % (PATH, began, result["failed"])
            )
    slow = []
    for path, buckets in (durations or {}).items():
        count = buckets.get(float("inf"), 0)
        many = count - max([n for end, n in buckets.items() if end <= slow_seconds] or [0])
        if many:
            p95 = percentile(buckets, 0.95)
            slow.append(
                {"path": path, "count": int(count), "slow": int(many), "p95": round(p95, 3)}
            )
    if durations is None:
        gaps["latency"] = "%s has no histogram of durations" % PATH
    elif slow and not within:
        gaps["latency"] = "%s counts since %s, and when its %d slow requests came is not known" % (
            PATH,
            began,
            sum(path["slow"] for path in slow),
        )
    else:
        result["slow_paths"] = sorted(
            (path for path in slow if path["count"] >= _FEWEST and path["slow"] >= _FEWEST_SLOW),
            key=lambda path: -path["p95"],
        )[:_SHOWN]
    return Observed(result, gaps)


def percentile(buckets, share):
    """Return the seconds that a share of the requests took at most, by the buckets of a histogram:
    {upper end: how many took no longer}.
    """
    wanted = share * buckets.get(float("inf"), 0)
    before, below = 0.0, 0.0
    for end in sorted(buckets):
        if buckets[end] >= wanted:
            if end == float("inf"):
                return before
            inside = buckets[end] - below
            return before + (end - before) * ((wanted - below) / inside if inside else 1.0)
        before, below = end, buckets[end]
    return before


def read(text, ignored=()):
    """Return started, requests and durations of a text of metrics (pure).

    Args:
        text: what /metrics answers.
        ignored: paths whose requests do not count.
    """
    counters, histograms, started = {}, {}, None
    for line in text.split("\n", _MOST_LINES)[:_MOST_LINES]:
        if line[:1] in ("#", ""):
            continue
        found = _NAME.match(line)
        name = found.group() if found else ""
        is_request = ("request" in name or "http" in name or "response" in name) and (
            "client" not in name
        )
        if not is_request and name != "process_start_time_seconds":
            continue
        labels_text, _brace, value = line[len(name) :].rpartition("}")
        try:
            number = float(value.split()[0])
        except (IndexError, ValueError):
            continue
        if not 0 <= number < float("inf"):
            continue
        if name == "process_start_time_seconds":
            started = number
            continue
        labels = dict(_LABELS.findall(labels_text))
        path = next((labels[label] for label in _ROUTE if labels.get(label)), "")[:120]
        if path in ignored:
            continue
        status = next((labels[label] for label in _STATUS if labels.get(label)), None)
        if name.endswith(_COUNTERS) and status is not None:
            counters.setdefault(name, []).append((path, status, number))
        elif name.endswith("_bucket") and "le" in labels and "size" not in name:
            try:
                end = float(labels["le"]) / (1000 if "milli" in name or "_ms_" in name else 1)
            except ValueError:
                continue
            buckets = histograms.setdefault(name, {}).setdefault(path, {})
            buckets[end] = buckets.get(end, 0) + number
    return {
        "started": started,
        "requests": _requests(counters),
        "durations": max(histograms.values(), key=_count) if histograms else None,
    }


def _count(paths):
    return sum(buckets.get(float("inf"), 0) for buckets in paths.values())


def _requests(counters):
    if not counters:
        return {"requests": None}
    # Several families may count the same requests: the one that has most.
    samples = max(counters.values(), key=lambda family: sum(number for _p, _s, number in family))
    failed = {}
    for path, status, number in samples:
        if status.startswith("5") and number:
            failed[path] = failed.get(path, 0) + number
    ordered = sorted(failed.items(), key=lambda item: -item[1])
    return {
        "requests": int(sum(number for _path, _status, number in samples)),
        "failed": int(sum(failed.values())),
        "failed_by_path": [{"path": path, "count": int(n)} for path, n in ordered[:_SHOWN]],
    }
