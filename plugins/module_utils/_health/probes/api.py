# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app's health endpoint: does it answer, how fast in which phase, and what of its
dependencies.
"""

from __future__ import annotations

import re
import threading
import time

from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observed
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._core.zoho_data_centres import (
    DATA_CENTRES,
    region_name,
)
from ansible_collections.sergas.ops.plugins.module_utils._health import health_body
from ansible_collections.sergas.ops.plugins.module_utils._host import app_endpoint
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp, url
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

_REDIRECTS = 3
#: in seconds
_RESERVE = 0.5
_VERIFY_SECONDS = 2.0
#: Statuses that say who may request it, not how the app is.
_CREDENTIALS = (401, 403, 407)
#: the documented fields of the reply, and the variables that say the app uses such a thing
DEPENDENCIES = {
    "database": ("DATABASE_HOST", "DATABASE_URL"),
    "redis": ("REDIS_HOST", "REDIS_URL"),
    "zoho": ("ZOHO_SDK_CLIENT_ID", "ZOHO_SDK_REFRESH_TOKEN", "ZOHO_MCP_CLIENT_ID"),
    "cognee": ("COGNEE_BASE_URL", "COGNEE_API_URL"),
}
#: One slow request an hour ago is no slow path.
_FEWEST_LOGGED = 3
#: Of many requests, so many slow ones are no accident.
_FEWEST_SLOW = 2
#: So many requests at once show one in four that is slow.
_REPEATED = 12
#: error code of Zoho's: (what zoho_token calls it, in words)
ZOHO_REFUSALS = {
    "invalid_code": ("refresh_token", "the refresh token"),
    "invalid_client": ("client", "the client, or its data centre"),
    "invalid_client_secret": ("client_secret", "the client's secret"),
}
#: curl's names of the phases, in words
PHASES = {
    "name": "name resolution",
    "connect": "connecting",
    "tls": "TLS handshake",
    "first_byte": "the app's answer",
    "body": "the rest of the body",
}


def observe(ctx):
    """Request the health endpoint ``samples`` times, and each of ``latency_paths`` once."""
    endpoint, params = ctx.endpoint, ctx.params
    first, scheme = _sample(ctx, params["health_path"])
    samples, paths, missing = [first], {}, {}
    seen = {"url": endpoint.shown(params["health_path"], scheme), "samples": samples}
    if "error" not in first:
        if scheme == "https":
            seen["tls"] = _verified(ctx)
        for path in params["latency_paths"]:
            paths[path] = _sample_path(ctx, path, missing)
    # A server that does not answer the first time is not tried again, a slow one only once:
    # more would cost time and show nothing new.
    slow = ctx.thresholds["latency_seconds"][0]
    while len(samples) < params["samples"] and "error" not in samples[-1]:
        last = samples[-1]["phases"]["total"]
        if ctx.deadline.remaining() < 1.5 * last or (len(samples) > 1 and last >= slow):
            break
        samples.append(_sample(ctx, params["health_path"])[0])
    seen["paths"] = {path: sample for path, sample in paths.items() if sample}
    totals = [sample["phases"]["total"] for sample in samples if "error" not in sample]
    if totals and max(totals) >= slow > sorted(totals)[(len(totals) - 1) // 2]:
        # One was slow: a busy moment, or a part of all requests. More of them, at once, show which.
        seen["repeated"] = _repeat(ctx, slow)
    gaps = {}
    if missing:
        gaps["paths"] = "; ".join("GET %s: %s" % item for item in missing.items())
    return Observed(seen, gaps)


def _repeat(ctx, slow):
    """Return the seconds that further requests took; one that is late took at least until then."""
    seconds = []
    if ctx.deadline.remaining() - _RESERVE <= slow:
        return seconds

    def request():
        sample, _scheme = _sample(ctx, ctx.params["health_path"], max_bytes=0)
        if "error" not in sample:
            seconds.append(sample["phases"]["total"])
        elif sample["kind"] == "timeout":
            seconds.append(sample["seconds"])

    threads = [threading.Thread(target=request, daemon=True) for _time in range(_REPEATED)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(ctx.deadline.remaining())
    return sorted(seconds)


def _sample_path(ctx, path, missing):
    """Return the sample of one of ``latency_paths``; None where its time says nothing, and
    ``missing`` says why.
    """
    headers = app_endpoint.headers(ctx.params)
    if ctx.params["latency_token"]:
        headers["Authorization"] = "Bearer " + ctx.params["latency_token"]
    if headers and not ctx.endpoint.own:
        # Whatever else holds the port must not get it.
        missing[path] = "not requested, since no process of the app is known to listen there"
        return None
    sample, _scheme = _sample(ctx, path, 0, headers)
    if sample.get("status", 0) in _CREDENTIALS:
        missing[path] = "HTTP %d: give latency_token or latency_headers" % sample["status"]
    elif sample.get("status", 0) >= 400:
        # How fast it fails is not how fast it serves.
        missing[path] = "HTTP %d" % sample["status"]
    elif "error" in sample and sample["seconds"] < ctx.thresholds["latency_seconds"][0]:
        missing[path] = sample["error"]
    else:
        return sample
    return None


def _sample(ctx, path, max_bytes=65536, headers=None):
    """Return (sample, scheme); the scheme is None without an answer."""
    started = time.monotonic()
    # What is left at the end goes to the report, which must not be late.
    deadline = ctx.deadline.within(ctx.deadline.remaining() - _RESERVE)
    try:
        reply, scheme = app_endpoint.get(
            ctx.endpoint,
            path,
            deadline,
            max_bytes,
            headers,
            _REDIRECTS,
            ctx.params["health_host"],
            ctx.params["health_scheme"],
        )
    except ConnectionFailed as error:
        return {
            "error": str(error),
            "kind": error.kind,
            "phase": error.phase,
            "phases": error.phases,
            "seconds": time.monotonic() - started,
        }, None
    return {
        "status": reply.status,
        "body": reply.text(),
        "truncated": reply.truncated,
        "phases": reply.phases,
        "redirects": reply.redirects,
        "location": reply.headers.get("location"),
    }, scheme


def _verified(ctx):
    """Return what is known of the certificate: ``verified``, or why it is not.

    The name in it is checked only where the operator says how the app is called.
    """
    import ssl  # only where the app speaks TLS

    name = ctx.params["health_host"]
    context = ssl.create_default_context()
    context.check_hostname = bool(name)
    host, port = ctx.endpoint.address
    try:
        with tcp.connect(host, port, ctx.deadline.within(_VERIFY_SECONDS)) as stream:
            stream.start_tls(name.partition(":")[0] if name else app_endpoint.HOST_NAME, context)
    except ConnectionFailed as error:
        return "not verified: %s" % error.detail
    return "verified"


def decide(ctx, health, logs=None):
    """Return the findings about availability and about what /health says of the dependencies."""
    limit = ctx.thresholds["latency_seconds"][1]
    return judge(health, ctx.settings, (logs or {}).get("zoho_refusals"), limit)


def judge(health, settings, refusals=None, limit=5.0):
    """Return findings from what the endpoint answered and from the app's settings (pure).

    Args:
        refusals: what the app's log says of tokens that Zoho refused, or None.
        limit: how long one that is only slow may take, in seconds.
    """
    address, samples = health["url"], health["samples"]
    failed = [sample for sample in samples if "error" in sample]
    if failed:
        return [_unreachable(address, failed[0], len(failed), len(samples), limit)]
    # The worst answer counts: every second request failing is not healthy.
    sample = max(samples, key=lambda item: item["status"])
    status = sample["status"]
    # The text beside another status is that of the status: "Service Unavailable".
    is_report = not sample["truncated"] and (status == 200 or sample["body"][:1] == "{")
    report = health_body.parse(sample["body"]) if is_report else None
    evidence = {"url": address, "statuses": [item["status"] for item in samples]}
    for name in ("redirects", "tls"):
        found = sample.get(name) or health.get(name)
        if found:
            evidence[name] = found
    if report is None and status == 200:
        return [_invalid(address, sample, evidence)]
    report = report or health_body.Report(None, None, {})
    bad = report.of(health_body.BAD)
    findings = [
        _dependency(name, bad[name], address, settings, refusals)
        for name in ("zoho", "cognee")
        if name in bad
    ]
    evidence["dependencies"] = {name: word for name, (_verdict, word) in report.components.items()}
    silent = [name for name, keys in DEPENDENCIES.items() if any(settings.get(key) for key in keys)]
    silent = [name for name in silent if name not in report.components]
    if silent:
        # They have dedicated checks.
        evidence["not_mentioned"] = silent
    if bad or report.verdict == health_body.BAD:
        said = ", ".join("%s %s" % item for item in bad.items()) or "status %s" % report.word
        findings.insert(
            0,
            finding(
                "api.health.degraded",
                "api",
                "fail",
                "%s answers %d and reports %s" % (address, status, said),
                value=status,
                unit="HTTP status",
                evidence=evidence,
                advice="Fix what it reports: %s." % (", ".join(bad) or "see the app's log"),
            ),
        )
    elif status != 200:
        evidence["body"] = sample["body"][:200]
        findings.append(_other_status(address, samples, sample, evidence))
    else:
        findings.append(_good(address, report, samples, evidence))
    return findings


def _invalid(address, sample, evidence):
    size = len(sample["body"])
    why = "more than %d bytes" % size if sample["truncated"] else "no JSON object"
    return finding(
        "api.health.invalid",
        "api",
        "fail",
        "%s answers 200, but with %s instead of the health report" % (address, why),
        evidence=dict(evidence, body=sample["body"][:200]),
        advice=(
            "Check what answers there: another service on the port, a proxy, or a wrong"
            " health_path."
        ),
    )


def _other_status(address, samples, sample, evidence):
    """Return the finding about a status other than 200 where nothing says what is wrong."""
    status, count = sample["status"], len(samples)
    known = {"value": status, "unit": "HTTP status", "evidence": evidence}
    where = " to %s" % sample["location"] if sample["location"] else ""
    others = sum(item["status"] != 200 for item in samples)
    summary = "%s answers %d%s in %d of %d requests" % (address, status, where, others, count)
    if status in _CREDENTIALS:
        return finding(
            "api.health.unknown",
            "api",
            "unknown",
            summary + ": it wants to know who requests it, so what it reports is not known",
            reason="credentials",
            advice="Name a path that reports the health to any client (health_path).",
            **known,
        )
    if status in (400, 421) and re.search(r"\bhost\b", sample["body"][:200], re.I):
        return finding(
            "api.health.unknown",
            "api",
            "unknown",
            summary + ": it does not accept the name that it is called by",
            reason="host_name",
            advice="Name one that it accepts (health_host, sergas_health_host).",
            **known,
        )
    return finding(
        "api.health.failing",
        "api",
        "fail",
        summary + ", 200 is expected",
        advice="Read the app's log of this moment: journalctl -u the unit.",
        **known,
    )


def _good(address, report, samples, evidence):
    """Return the finding about 200 of all requests and no word that is known to be bad."""
    known = {"value": 200, "unit": "HTTP status", "evidence": evidence}
    words = report.of(health_body.UNKNOWN)
    if report.verdict == health_body.UNKNOWN:
        words = dict(words, status=report.word)
    if words:
        return finding(
            "api.health.unknown",
            "api",
            "unknown",
            "%s answers 200 and reports %s: whether that is good is not known"
            % (address, ", ".join("%s %s" % item for item in words.items())),
            reason="words",
            advice="Have it report words that are understood, such as ok and fail.",
            **known,
        )
    if report.verdict is None and not report.components:
        return finding(
            "api.health.unknown",
            "api",
            "unknown",
            "%s answers 200 and states nothing of the app's health" % address,
            reason="empty",
            advice="Have it report a status, or name the path that does (health_path).",
            **known,
        )
    warned = report.of(health_body.WARN)
    if report.verdict == health_body.WARN:
        warned = dict(warned, status=report.word)
    said = report.word or "with JSON"
    if warned:
        said = "with concerns: " + ", ".join("%s %s" % item for item in warned.items())
    return finding(
        "api.health.ok",
        "api",
        "ok",
        "%s answers 200 %s in all of %d requests" % (address, said, len(samples)),
        **known,
    )


def _unreachable(address, sample, failed, total, limit):
    if sample["kind"] == "timeout" and sample["seconds"] < limit:
        return finding(
            "api.health.unknown",
            "api",
            "unknown",
            "%s has not answered within the %.1f s that the deadline left"
            % (address, sample["seconds"]),
            reason="deadline",
            evidence={"url": address, "kind": "timeout", "phase": sample["phase"]},
            advice="Give the diagnosis more time (deadline).",
        )
    garbage = sample["kind"] in ("protocol", "redirect")
    waited = (
        ""
        if sample["kind"] != "timeout"
        else ", waited %.1f s for %s"
        % (
            sample["seconds"],
            PHASES.get(sample["phase"], "the end of the answer"),
        )
    )
    return finding(
        "api.health.invalid" if garbage else "api.health.unreachable",
        "api",
        "fail",
        "%s: %s%s" % (address, sample["error"], waited),
        value=round(sample["seconds"], 3),
        unit="s",
        evidence={
            "url": address,
            "kind": sample["kind"],
            "phase": sample["phase"],
            "failed": "%d of %d" % (failed, total),
        },
        remedy=None if garbage else "start_service",
        advice=(
            "Check what holds the port and what it answers."
            if garbage
            else "Check why the service does not answer: its state and its log."
        ),
    )


def _dependency(name, state, address, settings, refusals=None):
    evidence = {}
    if name == "cognee":
        target = _target(settings.get("COGNEE_BASE_URL") or settings.get("COGNEE_API_URL"))
        identity, summary = "cognee.down", "The app reports Cognee %s" % state
        remedy, advice = (
            "restart_cognee",
            "Check the container and the port with cognee_check, then restart it.",
        )
    else:
        region = region_name(settings.get("ZOHO_SDK_REGION") or settings.get("ZOHO_REGION") or "us")
        target = _target(settings.get("ZOHO_ACCOUNTS_URL")) or (
            "%s:443" % DATA_CENTRES[region][0] if region else None
        )
        throttled = re.search(r"rate|limit|throttl|429", state, re.I)
        identity = "zoho.rate_limited" if throttled else "zoho.token.invalid"
        summary = "The app reports Zoho %s" % state
        remedy = "zoho_throttle" if throttled else "zoho_refresh"
        advice = (
            "Lower the request rate; do not refresh the token."
            if throttled
            else (
                "Refresh the token once for the fleet; if Zoho refuses, check the client, the"
                " secret and the data centre."
            )
        )
        code = re.search(r"invalid_c[a-z_]+", (refusals or {}).get("sample") or "", re.I)
        if code and code.group().lower() in ZOHO_REFUSALS and not throttled:
            evidence["error_kind"], what = ZOHO_REFUSALS[code.group().lower()]
            summary += ", and its log that Zoho refuses %s (%s)" % (what, code.group().lower())
            remedy = "zoho_credentials"
            advice = "Write the client's id, its secret and its refresh token into .env again."
    return finding(
        identity,
        name,
        "fail",
        "%s (%s)" % (summary, target or "address not known"),
        confidence="estimated",
        evidence=dict(evidence, target=target, reported=state, url=address),
        remedy=remedy,
        advice=advice,
    )


def _target(text):
    try:
        parts = url.split(text or "")
    except ValueError:
        return None
    return (
        url.address(parts.host, parts.port or (443 if parts.scheme == "https" else 80))
        if parts.host
        else None
    )


def decide_latency(ctx, health, prometheus=None, logs=None, metrics=None):
    """Return the finding about response times."""
    return [judge_latency(health, ctx.thresholds["latency_seconds"], prometheus, logs, metrics)]


def judge_latency(health, threshold, prometheus=None, logs=None, metrics=None):
    """Return the finding about response times (pure).

    Args:
        health: what ``observe`` returned.
        threshold: (warn, fail, unit), in seconds.
        prometheus: what its probe returned (``p95_seconds``), or None.
        logs: what the probe of the journal returned (``slow_paths``), or None.
        metrics: what the app's own /metrics says (``slow_paths``), or None.
    """
    warn, fail, unit = threshold
    answered = [sample for sample in health["samples"] if "error" not in sample]
    if not answered:
        sample = health["samples"][0]
        if sample["kind"] != "timeout" or sample["seconds"] < warn:
            return finding(
                "api.latency.unknown", "api", "unknown", "No response time: %s" % sample["error"]
            )
        answered = [
            {
                "phases": dict(
                    sample["phases"], first_byte=sample["seconds"], total=sample["seconds"]
                )
            }
        ]
    # The median: one request that met a busy moment is not a slow service.
    middle = sorted(answered, key=lambda item: item["phases"]["total"])[(len(answered) - 1) // 2]
    phases = split_phases(middle["phases"])
    slow = max(phases, key=phases.get)
    measured = {"GET " + health["url"]: middle["phases"]["total"]}
    for path, sample in health["paths"].items():
        measured["GET " + path] = (
            sample["seconds"] if "error" in sample else sample["phases"]["total"]
        )
    if (prometheus or {}).get("p95_seconds") is not None:
        measured["p95 of the last 5 minutes (Prometheus)"] = prometheus["p95_seconds"]
    repeated = sorted(
        [sample["phases"]["total"] for sample in answered] + list(health.get("repeated", ()))
    )
    if sum(seconds >= warn for seconds in repeated) >= _FEWEST_SLOW:
        name = "95th percentile of %d requests of %s" % (len(repeated), health["url"])
        measured[name] = repeated[-(-95 * len(repeated) // 100) - 1]
    present = max(measured.values())
    logged = [
        path for path in (logs or {}).get("slow_paths") or () if path["count"] >= _FEWEST_LOGGED
    ]
    for path in logged:
        name = "of %s in the log (%d requests)" % (path["path"], path["count"])
        measured["mean " + name] = path["mean"]
        if _typical(path) == path["p95"]:
            measured["95th percentile " + name] = path["p95"]
    for path in (metrics or {}).get("slow_paths") or ():
        name = "95th percentile of %s by /metrics (%d requests)" % (path["path"], path["count"])
        measured[name] = path["p95"]
    worst = max(measured, key=measured.get)
    value = measured[worst]
    status = grade(value, warn, fail)
    evidence = {
        "phases": {name: round(seconds, 4) for name, seconds in phases.items()},
        "slow_phase": slow,
        "samples": [round(sample["phases"]["total"], 4) for sample in answered],
        "measured": {
            name: round(measured[name], 3)
            for name in sorted(measured, key=measured.get, reverse=True)[:20]
        },
    }
    slow_at = [path["last"] for path in logged if grade(_typical(path), warn, fail) != "ok"]
    if slow_at and grade(present, warn, fail) == "ok":
        # Only the log shows it, what was measured now does not.
        evidence["last_seen"] = clock(max(slow_at))
    if worst.startswith("GET " + health["url"]):
        text = "%s takes %.3f s, %.3f s of it %s" % (worst, value, phases[slow], PHASES[slow])
    else:
        text = "%s: %.3f s" % (worst, value)
    return finding(
        "api.latency." + ("ok" if status == "ok" else "high"),
        "api",
        status,
        "%s (threshold %g s)" % (text, fail if status == "fail" else warn),
        value=round(value, 4),
        unit=unit,
        warn=warn,
        fail=fail,
        evidence=evidence,
        remedy=None if status == "ok" else "tune_concurrency",
        advice=None if status == "ok" else _LATENCY_ADVICE[slow],
    )


def _typical(path):
    """Return the seconds by which a path of the log is judged: the larger of its mean and its 95th
    percentile. One request in four that takes seconds hides in the mean of those that do not.
    """
    return max(path["mean"], path["p95"] if path["slow"] >= _FEWEST_SLOW else 0)


_LATENCY_ADVICE = {
    "name": "Fix the name resolution of this host: /etc/resolv.conf and /etc/hosts.",
    "connect": (
        "The app does not accept connections fast enough: more workers, or a packet filter in"
        " between."
    ),
    "tls": "Check what ends TLS in front of the app.",
    "first_byte": (
        "Check the database and the external services first, then cache, pool and workers in .env."
    ),
    "body": "The answer is large or its producer slow: page it, or cache it.",
}


def split_phases(phases):
    """Return {phase: seconds} that add up to the total: what is left is the body."""
    parts = {
        name: phases[name] for name in ("name", "connect", "tls", "first_byte") if name in phases
    }
    parts["body"] = max(0.0, phases["total"] - sum(parts.values()))
    return parts
