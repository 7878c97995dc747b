# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a load balancer sees: from its own side, and from the app's through the firewall."""

from __future__ import annotations

import os
import threading

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, diagnosis
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_endpoint,
    packet_filter,
    packet_walk,
    ufw,
    unit,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp, url
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

REASONS = {"lb.blocked": ("rule", "limit", "closed", "listen", "attempt")}
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
        threading.Thread(target=_query, args=(result, ctx.params, ctx.deadline), daemon=True)
        for result in results
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(ctx.deadline.remaining())
    # A copy: a thread that is late must not change what is being judged.
    return [dict(result) for result in results]


def _query(result, params, deadline):
    try:
        host, port = url.split_address(result["backend"], 8000)
        result["target"] = url.address(host, port)
        scheme = params["health_scheme"]
        endpoint = app_endpoint.Endpoint(host, port, None, scheme or "http", False)
        reply, _scheme = app_endpoint.get(
            endpoint,
            params["health_path"],
            deadline.within(_TIMEOUT),
            max_bytes=0,
            # A server of several names tells them apart by it; an address is none of them.
            name=params["health_host"] or (None if addresses.known(host) else result["target"]),
            fixed=scheme,
        )
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
    """Return port, balancers ({given: address}), ufw (its state) and ways ({address, None for any:
    [end, what decides, whether ufw does]}) of this host's app; ways is {} where there is no app.

    The aspect ``rules`` has a gap where it cannot be known how a balancer's packets fare.
    """
    balancers = {}
    for given in ctx.params["balancer_addresses"]:
        try:
            balancers[given] = (
                addresses.known(given) or tcp.resolve(given, None, ctx.deadline)[0][4][0]
            )
        except ConnectionFailed:
            balancers[given] = None
    seen = {"port": ctx.port, "balancers": balancers, "ufw": None, "ways": {}}
    seen["socket"] = ctx.endpoint.socket
    if not ctx.has("app"):
        return seen
    known = [address for address in balancers.values() if address]
    versions = {addresses.family(address) for address in known} or (4, 6)
    firewall, found = ufw.read(), packet_filter.read(ctx.deadline, versions)
    seen["ufw"] = (
        "not installed" if not firewall.installed else "active" if firewall.enabled else "inactive"
    )
    seen["ways"] = packet_filter.fates(found, firewall, ctx.port, known or [None])
    return diagnosis.Observed(seen, _gaps(seen["ways"], found.gaps))


def _gaps(ways, gaps):
    unclear = [
        "%s: %s" % (address, by)
        for address, (end, by, _ufw) in ways.items()
        if address and end == packet_walk.UNCLEAR
    ]
    if gaps and any(end != packet_walk.DROPPED for end, _by, _ufw in ways.values()):
        return {"rules": "not all rules of the packet filter can be read: " + "; ".join(gaps)}
    if unclear:
        return {"rules": "what a rule of the packet filter does is not known: " + unclear[0]}
    return {}


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
    # Whatever the answer was: packets went both ways.
    reached = sorted(
        result.get("target", result["backend"]) for result in backends if "status" in result
    )
    for item in findings:
        item["evidence"]["reached"] = reached
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
                reason="attempt",
                summary="Backend %s cannot be reached though its host answers: %s"
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
    if inbound.get("socket"):
        return [_on_socket(inbound)]
    port, ways = inbound["port"], inbound["ways"]
    evidence = {
        "target": "localhost:%d" % port,
        "ufw": inbound["ufw"],
        "listening": listening_on,
        "balancers": inbound["balancers"],
        "kept_out": [],
    }
    blocked = {packet_walk.DROPPED: {}, packet_walk.SOME_DROPPED: {}}
    unknown = []
    for given, address in inbound["balancers"].items():
        if address is None:
            unknown.append(given)
        elif ways[address][0] in blocked:
            blocked[ways[address][0]][given] = ways[address][1:]
    for end, found in blocked.items():
        if found:
            return [_keeps(end, found, port, evidence)]
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
                "listen",
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
        end, by, by_ufw = ways[None]
        if end == packet_walk.DROPPED:
            summary = "No rule allows any client to reach port %d: %s" % (port, by)
            return [
                _blocked(
                    summary,
                    "estimated",
                    evidence,
                    "allow_balancer" if by_ufw else None,
                    _ALLOW % port if by_ufw else _OTHER_RULE,
                    "closed",
                )
            ]
    who = ", ".join(inbound["balancers"]) or "a load balancer"
    summary = "The packet filter (ufw: %s) does not keep %s from port %d" % (
        inbound["ufw"],
        who,
        port,
    )
    return [finding("lb.health.ok", "loadbalancer", "ok", summary, evidence=evidence)]


def _on_socket(inbound):
    path = inbound["socket"]
    return finding(
        "lb.health.skipped",
        "loadbalancer",
        "skipped",
        "The app listens on the Unix socket %s: balancers reach what passes requests on to it"
        % path,
        evidence={"socket": path},
    )


_ALLOW = "Allow the balancer: ufw allow from ADDRESS to any port %d proto tcp."
_OTHER_RULE = (
    "It is none of the rules that `ufw status` shows: change it where it comes from (ufw's"
    " before.rules, /etc/nftables.conf, another program)."
)


def _keeps(end, blocked, port, evidence):
    """Return the finding about balancers that rules block, or let through a few times only."""
    name, (by, by_ufw) = next(iter(blocked.items()))
    who = name + (" and %d more" % (len(blocked) - 1) if len(blocked) > 1 else "")
    evidence = dict(
        evidence,
        blocked=["%s: %s" % (key, blocked[key][0]) for key in blocked],
        kept_out=[evidence["balancers"][key] for key in blocked],
    )
    subject = "ufw" if by_ufw else "The packet filter"
    if end == packet_walk.DROPPED:
        summary = "%s keeps the load balancer %s from port %d: %s" % (subject, who, port, by)
    else:
        summary = "%s lets the load balancer %s open few connections to port %d: %s" % (
            subject,
            who,
            port,
            by,
        )
    return _blocked(
        summary,
        "measured",
        evidence,
        "allow_balancer" if by_ufw else None,
        _ALLOW % port if by_ufw else _OTHER_RULE,
        "rule" if end == packet_walk.DROPPED else "limit",
    )


def _blocked(summary, confidence, evidence, remedy, advice, reason):
    return finding(
        "lb.blocked",
        "loadbalancer",
        "fail",
        summary,
        reason=reason,
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
