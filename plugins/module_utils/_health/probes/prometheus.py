# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus: the error rate and the 95th percentile of the app, and any expression given."""

from __future__ import annotations

import json
import math

from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observed
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._net import http, url
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

ASPECTS = ("requests", "latency")
DEFAULT_URL = "http://127.0.0.1:9090"
#: Exporters name these labels differently; one that is missing groups as empty.
_STATUS_LABELS = ("status", "status_code", "code")
_PATH_LABELS = ("path", "endpoint", "handler", "route")
RATE = "sum by (%s) (rate(sergas_http_requests_total[5m]))" % ", ".join(
    _STATUS_LABELS + _PATH_LABELS
)
P95 = (
    "histogram_quantile(0.95, sum by (le) (rate(sergas_http_request_duration_seconds_bucket[5m])))"
)
_MAX_BYTES = 4 * 1024 * 1024


class QueryFailed(OperationError):
    """Prometheus gave no result; the message says why."""


def observe(ctx):
    """Return what ``query`` does, and why it does not say how the app's requests end."""
    result = query(ctx)
    gaps = {
        aspect: result["error"] or result["notes"].get(name) or "no value"
        for aspect, name in (("requests", "error_rate_percent"), ("latency", "p95_seconds"))
        if result[name] is None
    }
    return Observed(result, {name: "Prometheus: " + why for name, why in gaps.items()})


def query(ctx):
    """Evaluate the app's rates and the expressions given.

    Returns:
        dict with url, given (whether one was configured), error (why nothing could be queried, or
        None), error_rate_percent, requests_per_second, failing (the worst first, per status and
        path), p95_seconds, notes ({what: why it is None}) and queries.
    """
    base = (ctx.params["prometheus_url"] or DEFAULT_URL).rstrip("/")
    given = bool(ctx.params["prometheus_url"] or ctx.params["prometheus_queries"])
    result = {"url": base, "given": given, "error": None, "p95_seconds": None, "queries": []}
    rates, failure = [], None
    try:
        rates = evaluate(base, RATE, ctx.deadline)
    except (ConnectionFailed, NotPrometheus) as error:
        return dict(error_rate([]), **dict(result, error=str(error)))
    except QueryFailed as error:
        failure = str(error)
    result.update(error_rate(rates))
    if failure:
        result["notes"]["error_rate_percent"] = failure
    try:
        p95, note = largest(evaluate(base, P95, ctx.deadline))[::2]
    except (QueryFailed, ConnectionFailed) as error:
        p95, note = None, str(error)
    result["p95_seconds"] = p95
    if note:
        result["notes"]["p95_seconds"] = note
    for query in ctx.params["prometheus_queries"]:
        entry = dict(query, value=None, labels=None, error=None)
        try:
            entry["value"], entry["labels"], entry["error"] = largest(
                evaluate(base, query["query"], ctx.deadline)
            )
        except (QueryFailed, ConnectionFailed) as error:
            entry["error"] = str(error)
        result["queries"].append(entry)
    return result


class NotPrometheus(QueryFailed):
    """Something else answers there."""


def evaluate(base, expression, deadline):
    """Return the result of an instant query as a list of (labels, value).

    Raises:
        ConnectionFailed: no answer.
        NotPrometheus: an answer, but not Prometheus's.
        QueryFailed: Prometheus refused the expression.
    """
    try:
        reply = http.get(
            "%s/api/v1/query?query=%s" % (base, url.quote(expression)), deadline, _MAX_BYTES
        )
    except ValueError as error:
        raise QueryFailed("prometheus_url: %s" % error)
    return read_result(reply.status, reply.text(), reply.truncated)


def read_result(status, text, truncated=False):
    """Return the list of (labels, value) in an answer of the query API (pure; raises as
    ``evaluate``).
    """
    if truncated:
        raise QueryFailed("the result is larger than %d bytes" % _MAX_BYTES)
    try:
        answer = json.loads(text)
        if answer["status"] == "error":
            raise QueryFailed(
                "%s: %s"
                % (answer.get("errorType", "error"), answer.get("error", "no reason given"))
            )
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind == "scalar":
            return [({}, float(result[1]))]
        if kind == "vector":
            return [(sample["metric"], float(sample["value"][1])) for sample in result]
        if kind == "matrix":
            return [
                (sample["metric"], float(sample["values"][-1][1]))
                for sample in result
                if sample["values"]
            ]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError):
        raise NotPrometheus("HTTP %d, but not the answer of Prometheus" % status)
    raise QueryFailed("the expression gives a %s, which has no number" % kind)


def largest(samples):
    """Return (value, labels, None) of the largest sample, or (None, None, why there is none)."""
    if not samples:
        return None, None, "no series matches"
    numbers = [sample for sample in samples if not math.isnan(sample[1])]
    if not numbers:
        return None, None, "not a number: nothing happened in its time window"
    labels, value = max(numbers, key=lambda sample: sample[1])
    return value, labels, None


def error_rate(samples):
    """Return the app's error rate from requests per second by status and path.

    The rate of failed requests alone says nothing: 1/s is all of a quiet service and none of a
    busy one, so it is taken over all requests.
    """
    total = failed = 0.0
    failing = []
    for labels, value in samples:
        if math.isnan(value):
            continue
        total += value
        status = next((labels[name] for name in _STATUS_LABELS if labels.get(name)), "")
        if status.startswith("5") and value > 0:
            failed += value
            path = next((labels[name] for name in _PATH_LABELS if labels.get(name)), None)
            failing.append({"status": status, "path": path, "per_second": round(value, 4)})
    failing.sort(key=lambda item: -item["per_second"])
    why = None if total else "no requests in the last 5 minutes" if samples else "no series matches"
    return {
        "requests_per_second": round(total, 4) if samples else None,
        "error_rate_percent": round(100 * failed / total, 3) if total else None,
        "failing": failing[:20],
        "notes": {"error_rate_percent": why} if why else {},
    }


def decide(ctx, observed):
    """Return a finding for each expression given, or one for Prometheus itself."""
    if observed["error"] and not observed["given"]:
        # No host must have one: a fleet may have a single Prometheus, or none.
        summary = "No Prometheus answers at %s: %s" % (observed["url"], observed["error"])
        return [finding("app.metrics.skipped", "app", "skipped", summary)]
    if observed["error"]:
        return [
            finding(
                "app.metrics.unknown",
                "app",
                "unknown",
                "Prometheus at %s: %s" % (observed["url"], observed["error"]),
                evidence={"url": observed["url"]},
                advice="Check prometheus_url and that Prometheus runs there.",
            )
        ]
    figures = {
        name: observed[name] if observed[name] is not None else observed["notes"].get(name)
        for name in ("error_rate_percent", "requests_per_second", "p95_seconds")
    }
    if not observed["queries"]:
        summary = "Prometheus answers at %s" % observed["url"]
        if observed["error_rate_percent"] is not None:
            summary += ", error rate %.2f %% of %.3g requests/s" % (
                observed["error_rate_percent"],
                observed["requests_per_second"],
            )
        else:
            summary += ", error rate of the app: %s" % figures["error_rate_percent"]
        return [
            finding(
                "app.metrics.ok", "app", "ok", summary, evidence=dict(figures, url=observed["url"])
            )
        ]
    return [_judge(query, observed["url"]) for query in observed["queries"]]


def _judge(query, base):
    evidence = {"name": query["name"], "query": query["query"], "url": base}
    if query["value"] is None:
        return finding(
            "app.metrics.unknown",
            "app",
            "unknown",
            "%s: %s" % (query["name"], query["error"]),
            evidence=evidence,
            advice="Check the expression and that Prometheus scrapes the app.",
        )
    value, warn, fail = query["value"], query["warn"], query["fail"]
    status = grade(value, warn, fail)
    limit = fail if status == "fail" else warn if warn is not None else fail
    labels = ", ".join('%s="%s"' % item for item in sorted(query["labels"].items()))
    return finding(
        "app.metrics." + ("ok" if status == "ok" else "high"),
        "app",
        status,
        "%s is %.6g%s (%s)"
        % (
            query["name"],
            value,
            " for " + labels if labels else "",
            "no threshold" if limit is None else "threshold %g" % limit,
        ),
        value=value if math.isfinite(value) else None,
        warn=warn,
        fail=fail,
        evidence=dict(evidence, labels=query["labels"]),
        advice=(
            None if status == "ok" else "Check the series behind the expression in Prometheus."
        ),
    )
