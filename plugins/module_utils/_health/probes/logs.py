# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from the app's log within the window.

What a clean start has resolved (an import that failed, a port that was taken) is no current fault;
errors, exceptions and attacks count over the whole window.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import extent
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.requests import SHOWN

#: A rate says little of fewer requests, unless so many of them failed.
_FEWEST_REQUESTS = 20
_FEWEST_FAILED = 3
#: module: the distribution that has it, where the names differ
_DISTRIBUTIONS = {
    "psycopg2": "psycopg2-binary",
    "yaml": "pyyaml",
    "dotenv": "python-dotenv",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "multipart": "python-multipart",
    "dateutil": "python-dateutil",
    "bs4": "beautifulsoup4",
    "pil": "pillow",
    "sklearn": "scikit-learn",
    "opentelemetry": "opentelemetry-api",
    "google.protobuf": "protobuf",
}


def requirement(module, known):
    """Return the requirement that brings a module, as the app's requirements write it, or None."""
    top = module.partition(".")[0].lower()
    for name in (
        _DISTRIBUTIONS.get(module.lower()),
        _DISTRIBUTIONS.get(top),
        top.replace("_", "-"),
        "python-" + top,
    ):
        if name and name in known:
            return known[name]
    candidates = [
        name
        for name in known
        if name.startswith(top.replace("_", "-") + "-") or name == top + "-binary"
    ]
    return known[candidates[0]] if candidates else None


# Deciding


def decide_imports(ctx, logs, *_counters):
    """Return whether the app can import what it needs, as far as its last start shows."""
    missing = logs["imports"]
    if not missing:
        return [
            finding(
                "app.import.ok",
                "app",
                "ok",
                "No import has failed since the last clean start",
                evidence=extent.evidence(logs),
            )
        ]
    known = logs.get("requirements", {})
    modules = [
        {
            "module": group["module"],
            "requirement": requirement(group["module"], known),
            "count": group["count"],
            "last": clock(group["last"]),
            "message": group["sample"],
        }
        for group in missing[:SHOWN]
    ]
    first = modules[0]
    own = first["module"].partition(".")[0] in ("src", "app") and not first["requirement"]
    return [
        finding(
            "app.import.error",
            "app",
            "fail",
            "The app cannot import %s%s: %d times since its last clean start, the last one at %s"
            % (
                ", ".join(module["module"] for module in modules),
                " (%s)" % first["requirement"] if first["requirement"] else "",
                sum(group["count"] for group in missing),
                clock(max(group["last"] for group in missing)),
            ),
            value=len(missing),
            unit="modules",
            confidence=extent.confidence(logs),
            evidence=dict(
                extent.evidence(logs),
                last_seen=clock(max(group["last"] for group in missing)),
                modules=modules,
            ),
            remedy=None if own else extent.remedy(logs, "reinstall_requirements"),
            advice=(
                "Deploy the app's code again: the module is its own."
                if own
                else (
                    "Reinstall the requirements in the app's virtual environment and start the"
                    " unit."
                )
            ),
        )
    ]


def decide_exceptions(ctx, logs, *_counters):
    """Return the unhandled exceptions of the window, grouped by type and location."""
    warn, fail, unit_name = ctx.thresholds["exceptions"]
    count = logs["exception_count"]
    status = grade(count, warn, fail)
    groups = logs["exceptions"]
    evidence = extent.evidence(logs)
    if groups:
        evidence["last_seen"] = clock(max(group["last"] for group in groups))
    evidence["groups"] = [
        dict(group, first=clock(group["first"]), last=clock(group["last"]))
        for group in groups[:SHOWN]
    ]
    evidence["kinds"] = _kinds(groups)
    if logs["resolved"]["exceptions"]:
        evidence["before_clean_start"] = logs["resolved"]["exceptions"]
    if status == "ok":
        return [
            finding(
                "app.exceptions.ok",
                "app",
                "ok",
                "%d unhandled exceptions %s" % (count, extent.suffix(logs)),
                value=count,
                unit=unit_name,
                warn=warn,
                fail=fail,
                confidence=extent.confidence(logs),
                evidence=evidence,
            )
        ]
    top = groups[0]
    return [
        finding(
            "app.exceptions",
            "app",
            status,
            "%d unhandled exceptions of %d kinds %s (from %g on): mostly %s at %s"
            % (
                count,
                len(groups),
                extent.suffix(logs),
                warn,
                top["type"],
                top["location"] or "an unknown location",
            ),
            value=count,
            unit=unit_name,
            warn=warn,
            fail=fail,
            confidence=extent.confidence(logs),
            evidence=evidence,
            remedy=extent.remedy(logs, "debug_logging"),
            advice=(
                "Fix the code at the locations named; LOG_LEVEL=DEBUG for a limited time shows what"
                " leads there."
            ),
        )
    ]


def _kinds(groups):
    kinds = {}
    for group in groups:
        kinds[group["kind"]] = kinds.get(group["kind"], 0) + group["count"]
    return kinds


def decide_errors(ctx, logs, prometheus=None, metrics=None):
    """Return the rate of failed requests, or of error lines where no requests are known."""
    lines = logs["error_count"]
    rate_warn, rate_fail, rate_unit = ctx.thresholds["error_rate_percent"]
    order = ("ok", "warn", "fail")
    counted = max(
        _requests(logs, prometheus, metrics),
        key=lambda source: order.index(_grade_rate(source, rate_warn, rate_fail)),
        default=None,
    )
    lines_warn, lines_fail, lines_unit = ctx.thresholds["errors"]
    by_rate = _grade_rate(counted, rate_warn, rate_fail)
    by_lines = grade(lines, lines_warn, lines_fail)
    if logs["requests"] >= _FEWEST_REQUESTS and lines * 100.0 / logs["requests"] < rate_warn:
        # Many lines of a great many requests.
        by_lines = "ok"
    figured = counted and (by_rate != "ok" or counted["requests"] >= _FEWEST_REQUESTS)
    if figured and order.index(by_rate) >= order.index(by_lines):
        status, value, unit_name, warn, fail = (
            by_rate,
            round(counted["percent"], 2),
            rate_unit,
            rate_warn,
            rate_fail,
        )
        figure = "%.3g %% of the requests fail, by %s (from %g %% on)" % (
            counted["percent"],
            counted["source"],
            rate_warn,
        )
        if counted["requests"] < _FEWEST_REQUESTS:
            figure = "%d of %d requests fail, by %s" % (
                counted["failed"],
                counted["requests"],
                counted["source"],
            )
    else:
        status, value, unit_name, warn, fail = by_lines, lines, lines_unit, lines_warn, lines_fail
        figure = "%d error lines %s (from %g on)" % (lines, extent.suffix(logs), lines_warn)
    evidence = dict(
        extent.evidence(logs),
        error_lines=lines,
        requests=logs["requests"],
        server_errors=logs["server_errors"],
    )
    last = max([group["last"] for group in logs["errors"]] + [logs.get("last_server_error") or 0])
    elsewhere = bool(counted) and counted["source"] != "the log"
    # What is not of the log is counted until now.
    if last and not (elsewhere and by_rate != "ok"):
        evidence["last_seen"] = clock(last)
    if elsewhere:
        evidence["counted_by"] = counted
    evidence["last_lines"] = [
        {"last": clock(item["last"]), "count": item["count"], "line": item["line"]}
        for item in logs.get("last_lines", ())
    ]
    evidence["by_type"] = [
        {
            "type": group["type"],
            "path": group["path"],
            "kind": group["kind"],
            "count": group["count"],
            "first": clock(group["first"]),
            "last": clock(group["last"]),
        }
        for group in logs["errors"][:SHOWN]
    ]
    evidence["by_path"] = (
        logs["server_errors_by_path"]
        or (elsewhere and counted.get("by_path"))
        or _by_path(logs["errors"])
    )
    evidence["kinds"] = _kinds(logs["errors"])
    if logs["slow_paths"]:
        evidence["slow_paths"] = [
            dict(path, last=clock(path["last"])) for path in logs["slow_paths"]
        ]
    if logs["database"]:
        evidence["database"] = [
            {"kind": group["kind"], "count": group["count"]} for group in logs["database"]
        ]
    if logs["resolved"]["errors"]:
        evidence["before_clean_start"] = logs["resolved"]["errors"]
    good = status == "ok"
    remedy = None if good else _error_remedy(evidence["kinds"])
    if not elsewhere or by_rate == "ok":
        remedy = extent.remedy(logs, remedy)
    top = logs["errors"][0] if logs["errors"] else None
    worst = evidence["by_path"][0]["path"] if evidence["by_path"] else None
    summary = figure
    if not good:
        summary += "".join(
            [
                ": mostly %s" % (top["type"] or "of no type") if top else "",
                ", on %s" % worst if worst else "",
            ]
        )
    return [
        finding(
            "app.errors.ok" if good else "app.errors.rate",
            "app",
            status,
            summary,
            value=value,
            unit=unit_name,
            warn=warn,
            fail=fail,
            confidence=extent.confidence(logs),
            evidence=evidence,
            remedy=remedy,
            advice=None if good else _error_advice(evidence["kinds"]),
        )
    ]


def _requests(logs, prometheus, metrics):
    """Return what is known of how requests ended, the source that is preferred first.

    The log is of the window, and of all workers. The app's own counters run since it was started:
    where that was in the window, they also have what the log may not.
    """
    found = []
    if logs["requests"]:
        found.append(_counted("the log", logs["requests"], logs["server_errors"]))
    rate = (prometheus or {}).get("error_rate_percent")
    if rate is not None and not found:
        found.append(dict(_counted("Prometheus", _FEWEST_REQUESTS, 0), percent=float(rate)))
    if metrics and metrics["requests"] and (metrics["within"] or not found):
        found.append(
            dict(
                _counted(metrics["source"], metrics["requests"], metrics["failed"]),
                since=clock(metrics["since"]),
                by_path=metrics["failed_by_path"],
            )
        )
    return found


def _counted(source, requests, failed):
    return {
        "source": source,
        "requests": requests,
        "failed": failed,
        "percent": failed * 100.0 / requests,
    }


def _grade_rate(counted, warn, fail):
    """Return the status of a rate of failed requests.

    Of few requests one or two say little, unless they are all there are.
    """
    if not counted:
        return "ok"
    status = grade(counted["percent"], warn, fail)
    if counted["requests"] >= _FEWEST_REQUESTS or counted["failed"] >= _FEWEST_FAILED:
        return status
    alone = counted["failed"] == counted["requests"]
    return "warn" if alone and status != "ok" else "ok"


def _by_path(groups):
    paths = {}
    for group in groups:
        if group["path"]:
            paths[group["path"]] = paths.get(group["path"], 0) + group["count"]
    return [
        {"path": path, "count": count}
        for path, count in sorted(paths.items(), key=lambda item: -item[1])[:SHOWN]
    ]


_ADVICE = (
    (
        "database.timeout",
        "Check for slow queries and locks; DATABASE_TIMEOUT bounds how long the app waits.",
    ),
    (
        "database.pool",
        (
            "Check for sessions that are not returned to the pool; then check DATABASE_POOL_SIZE"
            " and DATABASE_MAX_OVERFLOW."
        ),
    ),
    ("database", "Check the database first: most of the errors come from it."),
    (
        "zoho",
        (
            "Check Zoho first; CIRCUIT_BREAKER_FAILURE_THRESHOLD and MAX_RETRY_ATTEMPTS bound"
            " what its failures cost."
        ),
    ),
    ("redis", "Check Redis first: most of the errors come from it."),
    ("cognee", "Check Cognee first: most of the errors come from it."),
)


def _commonest(kinds):
    """Return the kind that counts most of those that say something, or an empty text."""
    return max(
        (kind for kind in kinds if kind != "other"), key=lambda kind: kinds[kind], default=""
    )


def _error_remedy(kinds):
    """Return the remedy: calls that take too long or fail outside can be bounded, other errors
    take values that a person has to choose.
    """
    bounded = _commonest(kinds).startswith(("database.timeout", "zoho"))
    return "bound_failures" if bounded else "tune_concurrency"


def _error_advice(kinds):
    common = _commonest(kinds)
    for start, advice in _ADVICE:
        if common.startswith(start):
            return advice
    return "Check the types and paths in the evidence, the commonest first."


def decide_rate_limit(ctx, logs, *_counters):
    """Return whether Zoho limits the app, and whether its circuit breaker is open."""
    warn, fail, unit_name = ctx.thresholds["rate_limit_lines"]
    limited, opened, closed = logs["rate_limits"], logs["circuit_open"], logs["circuit_closed"]
    count = limited["count"] if limited else 0
    findings = []
    if grade(count, warn, fail) != "ok":
        findings.append(
            finding(
                "zoho.rate_limited",
                "zoho",
                grade(count, warn, fail),
                "%d lines of the log report a rate limit %s (from %g on), the last one at %s"
                % (count, extent.suffix(logs), warn, clock(limited["last"])),
                value=count,
                unit=unit_name,
                warn=warn,
                fail=fail,
                evidence=dict(
                    extent.evidence(logs),
                    first=clock(limited["first"]),
                    last_seen=clock(limited["last"]),
                    line=limited["sample"],
                ),
                remedy=extent.remedy(logs, "zoho_throttle"),
                advice=(
                    "Throttle, cache and batch the calls to Zoho; do not refresh the token, that is"
                    " limited as well."
                ),
            )
        )
    if opened and not (closed and closed["last"] >= opened["last"]):
        findings.append(
            finding(
                "zoho.circuit.open",
                "zoho",
                "fail",
                "The circuit breaker has been open since %s, by %d lines of the log"
                % (clock(opened["last"]), opened["count"]),
                value=opened["count"],
                unit="log lines",
                evidence=dict(
                    extent.evidence(logs),
                    first=clock(opened["first"]),
                    last_seen=clock(opened["last"]),
                    line=opened["sample"],
                ),
                remedy=extent.remedy(logs, "zoho_throttle"),
                advice=(
                    "Check why the calls to Zoho fail; the breaker closes automatically after"
                    " CIRCUIT_BREAKER_RECOVERY_TIMEOUT."
                ),
            )
        )
    if findings:
        return findings
    return [
        finding(
            "zoho.api.ok",
            "zoho",
            "ok",
            "%d lines report a rate limit or an open circuit %s" % (count, extent.suffix(logs)),
            value=count,
            unit=unit_name,
            warn=warn,
            fail=fail,
            confidence=extent.confidence(logs),
            evidence=extent.evidence(logs),
        )
    ]
