# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a load balancer sees: from its own side, and from the app's through the firewall."""

from __future__ import annotations

import os
import threading

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._host import ufw, unit
from ansible_collections.sergas.ops.plugins.module_utils._net import http, tcp, url
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

#: Where there is one of these, a load balancer may be on this host.
_BALANCERS = ("/etc/haproxy/haproxy.cfg", "/etc/nginx/nginx.conf")
#: Where a host that is up answers something, if only that nothing is there.
_OTHER_PORTS = (22, 1)
#: Longer than a balancer waits, and short enough to look further.
_TIMEOUT = 5.5


def observe(ctx):
    """Request the health of each of ``backends``, side by side; [] where none are given."""
    results = [{"backend": backend} for backend in ctx.params["backends"]]
    threads = [
        threading.Thread(
            target=_query, args=(result, ctx.params["health_path"], ctx.deadline), daemon=True
        )
        for result in results
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(ctx.deadline.remaining())
    # A copy: a thread that is late must not change what is being judged.
    return [dict(result) for result in results]


def _query(result, path, deadline):
    try:
        host, port = url.split_address(result["backend"], 8000)
        result["target"] = url.address(host, port)
        address = "http://%s/%s" % (result["target"], path.lstrip("/"))
        reply = http.get(address, deadline.within(_TIMEOUT), max_bytes=0)
        result.update(status=reply.status, seconds=reply.phases["total"])
    except ConnectionFailed as error:
        # A host that is up and whose other ports answer is not down, it is out of reach.
        hidden = error.phase == "connect" and error.kind in ("timeout", "unreachable", "denied")
        alive = _answers(host, deadline) if hidden else None
        result.update(failure=str(error), kind=error.kind, phase=error.phase, alive=alive)
    except ValueError as error:
        result.update(failure=str(error), kind="option", phase=None, alive=None)


def _answers(host, deadline):
    for port in _OTHER_PORTS:
        try:
            tcp.connect(host, port, deadline.within(2.0)).close()
            return True
        except ConnectionFailed as error:
            if error.kind == "refused":
                return True
    return False


def observe_firewall(ctx):
    """Return firewall, port and balancers ({given: address})."""
    balancers = {}
    for given in ctx.params["balancer_addresses"]:
        try:
            balancers[given] = (
                addresses.known(given) or tcp.resolve(given, None, ctx.deadline)[0][4][0]
            )
        except ConnectionFailed:
            balancers[given] = None
    return {"firewall": ufw.read(), "port": ctx.port, "balancers": balancers}


def observe_traffic(ctx):
    """Return what HAProxy and nginx on this host count of their requests; most hosts have none."""
    if not any(map(os.path.exists, _BALANCERS)):
        return {"balancers": []}
    # Only here: compiling it takes as long as a probe.
    from ansible_collections.sergas.ops.plugins.module_utils._health.probes import traffic

    return traffic.observe(ctx)


def decide_traffic(ctx, observed):
    """Return the findings about requests through balancers of this host."""
    if not observed["balancers"]:
        reason = "Neither HAProxy nor nginx is on this host"
        return [finding("lb.requests.skipped", "loadbalancer", "skipped", reason)]
    from ansible_collections.sergas.ops.plugins.module_utils._health.probes import traffic

    return traffic.decide(ctx, observed)


def decide(ctx, backends, inbound, logs=None, sockets=None):
    """Return the findings about what load balancers can reach, from either side."""
    listening_on = sorted(
        {listener["address"] for listener in (sockets or {}).get("listeners", ())}
    )
    threshold = ctx.thresholds["latency_seconds"]
    findings = [judge_backend(result, threshold) for result in backends]
    if ctx.has("app"):
        findings += judge_inbound(inbound, listening_on)
        findings += judge_start(
            (logs or {}).get("start_seconds"),
            ctx.thresholds["start_seconds"],
            ctx.params["service"],
            unit.span(ctx.unit.get("TimeoutStartUSec")),
        )
    if not findings:
        reason = "No load balancer: none of its backends is named, and no app is on this host"
        return [finding("lb.health.skipped", "loadbalancer", "skipped", reason)]
    bad = [item for item in findings if item["status"] != "ok"]
    # Of several good results, one says it.
    return bad or findings[:1]


def judge_backend(result, threshold):
    """Return the finding about one backend as a balancer sees it (pure)."""
    warn, fail, unit = threshold
    target = result.get("target", result["backend"])
    evidence = {"target": target}
    if result.get("kind") == "option":
        return finding(
            "lb.health.unknown", "loadbalancer", "unknown", "backends: %s" % result["failure"]
        )
    if "failure" not in result and "status" not in result:
        return finding(
            "lb.health.unknown",
            "loadbalancer",
            "unknown",
            "Backend %s was not checked in time" % target,
            evidence=evidence,
        )
    if "failure" in result:
        evidence.update(kind=result["kind"], phase=result["phase"], host_answers=result["alive"])
        if result["alive"]:
            return finding(
                "lb.blocked",
                "loadbalancer",
                "fail",
                "Backend %s cannot be reached though its host answers: %s"
                % (target, result["failure"]),
                evidence=evidence,
                remedy="allow_balancer",
                advice=(
                    "Allow this balancer's address to the app's port in the firewall of the"
                    " backend."
                ),
            )
        advice = (
            "Start the app there."
            if result["kind"] == "refused"
            else "Check whether the host and the app are up."
        )
        return finding(
            "lb.health.failing",
            "loadbalancer",
            "fail",
            "Backend %s does not answer: %s" % (target, result["failure"]),
            evidence=evidence,
            advice=advice,
        )
    evidence["status"] = result["status"]
    figures = {
        "value": round(result["seconds"], 3),
        "unit": unit,
        "warn": warn,
        "fail": fail,
        "evidence": evidence,
    }
    if result["status"] != 200:
        return finding(
            "lb.health.failing",
            "loadbalancer",
            "fail",
            "Backend %s answers %d, 200 is expected" % (target, result["status"]),
            advice="See the findings of that host: a balancer takes it out of service.",
            **figures,
        )
    status = grade(result["seconds"], warn, fail)
    summary = "Backend %s answers 200 in %.3f s (threshold %g s)" % (
        target,
        result["seconds"],
        fail if status == "fail" else warn,
    )
    if status == "ok":
        return finding("lb.health.ok", "loadbalancer", "ok", summary, **figures)
    advice = (
        "Find why /health is slow there; a balancer with a shorter timeout takes it out of service."
    )
    return finding("lb.health.failing", "loadbalancer", status, summary, advice=advice, **figures)


def judge_inbound(inbound, listening_on):
    """Return the findings about the way from the balancers to this host's app (pure).

    Args:
        inbound: what ``observe_firewall`` returned.
        listening_on: the addresses the app's port is open on; empty where nothing listens.
    """
    firewall, port = inbound["firewall"], inbound["port"]
    state = (
        "not installed" if not firewall.installed else "active" if firewall.enabled else "inactive"
    )
    evidence = {"target": "localhost:%d" % port, "ufw": state, "listening": listening_on}
    advice = "Allow the balancer: ufw allow from ADDRESS to any port %d proto tcp." % port
    blocked, unknown = {}, []
    for given, address in inbound["balancers"].items():
        if address is None:
            unknown.append(given)
            continue
        allowed, by = ufw.verdict(firewall, port, address)
        if not allowed:
            blocked[given] = by
    if blocked:
        evidence["blocked"] = ["%s: %s" % item for item in blocked.items()]
        name, by = next(iter(blocked.items()))
        others = " and %d more" % (len(blocked) - 1) if len(blocked) > 1 else ""
        summary = "ufw keeps the load balancer %s%s from port %d: %s" % (name, others, port, by)
        return [_blocked(summary, "measured", evidence, "allow_balancer", advice)]
    if (
        inbound["balancers"]
        and listening_on
        and all(addresses.is_loopback(address) for address in listening_on)
    ):
        summary = "The app listens on %s only: no load balancer can reach port %d" % (
            ", ".join(listening_on),
            port,
        )
        return [
            _blocked(
                summary,
                "measured",
                evidence,
                None,
                "Let the app listen on 0.0.0.0, or on the host's own address.",
            )
        ]
    if unknown:
        summary = "balancer_addresses: %s cannot be resolved" % ", ".join(unknown)
        return [finding("lb.health.unknown", "loadbalancer", "unknown", summary, evidence=evidence)]
    if (
        not inbound["balancers"]
        and listening_on
        and not all(addresses.is_loopback(address) for address in listening_on)
    ):
        if not ufw.opens(firewall, port):
            summary = "ufw is active (default %s) and no rule lets anybody reach port %d" % (
                firewall.policy,
                port,
            )
            return [_blocked(summary, "estimated", evidence, "allow_balancer", advice)]
    who = ", ".join(inbound["balancers"]) or "a load balancer"
    summary = "ufw (%s) does not keep %s from port %d" % (state, who, port)
    return [finding("lb.health.ok", "loadbalancer", "ok", summary, evidence=evidence)]


def _blocked(summary, confidence, evidence, remedy, advice):
    return finding(
        "lb.blocked",
        "loadbalancer",
        "fail",
        summary,
        confidence=confidence,
        evidence=evidence,
        remedy=remedy,
        advice=advice,
    )


def judge_start(seconds, threshold, service, timeout=None):
    """Return the finding about how long the app takes to start, [] where that is not known or fine
    (pure).

    Args:
        timeout: how long systemd gives it, in seconds; None where that has no end.
    """
    warn, fail, unit = threshold
    status = "ok" if seconds is None else grade(seconds, warn, fail)
    if status == "ok":
        return []
    return [
        finding(
            "lb.health.failing",
            "loadbalancer",
            status,
            "%s took %.1f s from its start until it served (threshold %g s): a balancer may give up"
            " before" % (service, seconds, fail if status == "fail" else warn),
            value=round(seconds, 1),
            unit=unit,
            warn=warn,
            fail=fail,
            evidence={
                "start_timeout": timeout,
                # Twice the time that it takes, as the remedy sets it.
                "timeout_suffices": timeout is None or timeout >= max(90, 2 * seconds),
            },
            remedy="raise_start_timeout",
            advice=(
                "Raise the balancer's grace period and TimeoutStartSec, and find what takes so long"
                " at start."
            ),
        )
    ]
