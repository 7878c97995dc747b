# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings about who answers at Cognee's address, and how (pure)."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._cognee import container_findings, settings
from ansible_collections.sergas.ops.plugins.module_utils._cognee import replies as cognee_replies
from ansible_collections.sergas.ops.plugins.module_utils._cognee.findings import (
    cognee_finding,
    memory,
    of_container,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import grade
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact
from ansible_collections.sergas.ops.plugins.module_utils._net import failures

_SILENCE_ADVICE = {
    failures.DNS: "Correct COGNEE_BASE_URL, or the name in DNS or /etc/hosts.",
    failures.REFUSED: "Start it, and read in its log why it ended.",
    failures.UNREACHABLE: "Check the route to it and that its host is up.",
    failures.DENIED: "Allow it in the firewall of this host for outgoing connections.",
    failures.TIMEOUT: (
        "Check on its own host whether it answers: if it does, a firewall is in between."
    ),
    failures.HUNG: "Restart it; its log says what it was doing.",
    failures.CLOSED: (
        "The server in the container is not up behind the published port: read its log."
    ),
    failures.TLS: (
        "Check the scheme of COGNEE_BASE_URL, the certificate, and ca_path for a private one."
    ),
    failures.EXPIRED: failures.ADVICE[failures.EXPIRED],
    failures.ISSUER: failures.ADVICE[failures.ISSUER],
    failures.NAME: failures.ADVICE[failures.NAME],
}
#: What a restart of the server does not help against.
_NOT_BY_RESTART = (failures.DNS, failures.DENIED, failures.PORTS, *failures.ENCRYPTION)
_WHO = {
    "cognee-mcp": "cognee-mcp, whose API is another one",
    "redirect": "a service that redirects its clients to %s",
    "other": "a service that is not Cognee",
}


def down(seen, who):
    """Return the finding for a server that does not answer, or with errors only."""
    container, root = seen["container"], seen["replies"].get("root", {})
    evidence = {"url": seen["base"], "error": root.get("error")}
    remedy = "restart_cognee" if seen["here"] else None
    if container:
        evidence["container"] = of_container(container)
        evidence["log"] = container["log"]
    if container and (not container["running"] or container["state"] == "paused"):
        kind, text = container_findings.ended(container)
        name = "%s container %s" % (container["engine"], container["name"])
        advice = "Start it, and read in its log why it ended."
        if kind == "oom":
            advice = "Give it more memory (limit: %s), then start it." % memory(
                container["memory_limit"]
            )
        return cognee_finding(
            "cognee.down",
            "fail",
            "Cognee at %s is down: its %s %s" % (seen["target"], name, text),
            seen,
            kind,
            evidence=evidence,
            remedy=remedy,
            advice=advice,
        )
    if who == "failing":
        status = max(reply.get("status", 0) for reply in seen["replies"].values())
        return cognee_finding(
            "cognee.down",
            "fail",
            "Cognee at %s answers %d only" % (seen["target"], status),
            seen,
            "error",
            evidence=evidence,
            remedy=remedy,
            advice="Read its log, then restart it; if there is a proxy in front, check what is"
            " behind it.",
        )
    kind = root.get("error_kind") or "closed"
    return cognee_finding(
        "cognee.down",
        "fail",
        "Cognee at %s is down: %s"
        % (seen["target"], failures.WORDS.get(kind, root.get("error", kind))),
        seen,
        kind,
        evidence=evidence,
        remedy=None if kind in _NOT_BY_RESTART else remedy,
        advice=_SILENCE_ADVICE.get(kind, "Read its log, then restart it."),
    )


def wrong_service(seen, who):
    """Return the finding for another service at Cognee's address."""
    replies = seen["replies"]
    answers = [replies[name] for name in ("root", "health") if "status" in replies.get(name, {})]
    location = next((reply["location"] for reply in answers if reply["location"]), None)
    words = _WHO[who] % redact(str(location)) if who == "redirect" else _WHO[who]
    holder = (seen["listeners"] or {}).get("holder")
    evidence = {
        "url": seen["base"],
        "statuses": [reply["status"] for reply in answers],
        "body": redact(answers[0]["body"])[:200] if answers else None,
        "location": redact(str(location)) if location else None,
    }
    if holder:
        evidence.update({name: holder[name] for name in holder if name != "advice"})
    container = seen["container"]
    advice = "Point COGNEE_BASE_URL at Cognee, or free the port for it."
    if who == "redirect":
        advice = "Point COGNEE_BASE_URL at where Cognee itself answers."
    elif container and container["running"] and container["ports"]:
        ports = ", ".join(str(item["port"]) for item in container["ports"])
        advice = "Point COGNEE_BASE_URL at Cognee: container %s publishes port %s." % (
            container["name"],
            ports,
        )
    elif holder:
        advice = "%s, which holds the port, then start Cognee." % (
            holder.get("advice") or "Stop %s" % (holder.get("unit") or holder.get("command"))
        )
    held = " (%s)" % (holder.get("unit") or holder.get("command")) if holder else ""
    return cognee_finding(
        "cognee.wrong_service",
        "fail",
        "At %s there is %s%s" % (seen["target"], words, held),
        seen,
        who,
        evidence=evidence,
        remedy="free_cognee_port" if seen["here"] and holder else None,
        advice=advice,
    )


def serving(seen, limits):
    """Return the findings about a server that is Cognee."""
    replies = seen["replies"]
    state, kind = cognee_replies.readiness(replies)
    version = cognee_replies.version(replies)
    name = "Cognee%s at %s" % (" " + version if version else "", seen["target"])
    warn, fail, unit = limits["health_seconds"]
    seconds = replies.get("health", {}).get("seconds")
    measured = {"value": seconds, "unit": unit, "warn": warn, "fail": fail}
    evidence = {
        "url": seen["base"],
        "version": version,
        "seconds": {item: reply["seconds"] for item, reply in replies.items()},
    }
    container = seen["container"]
    if container:
        evidence["container"] = of_container(container)
        evidence["log"] = container["log"]
    findings = []
    if state in ("unhealthy", "failing"):
        findings.append(
            cognee_finding(
                "cognee.down",
                "fail",
                "%s is up and says that it is not ready: %s" % (name, kind),
                seen,
                "unhealthy" if state == "unhealthy" else "error",
                evidence=evidence,
                remedy="restart_cognee" if seen["here"] else None,
                advice="Restart it; if it persists, check its components (components: true, which"
                " may cost calls of the language model).",
            )
        )
    elif state == "slow":
        findings.append(
            cognee_finding(
                "cognee.slow",
                "fail",
                "%s lives, but %s" % (name, kind),
                seen,
                "health",
                evidence=evidence,
                advice="It waits for one of the services that it uses, mostly for embeddings: check"
                " its components.",
                **measured,
            )
        )
    elif state == "unknown":
        findings.append(
            cognee_finding(
                "cognee.unknown", "unknown", "%s: %s" % (name, kind), seen, evidence=evidence
            )
        )
    else:
        findings += _ready(seen, name, evidence, measured)
    if seen["components_checked"]:
        findings.append(_components(seen))
    return findings


def _ready(seen, name, evidence, measured):
    replies = seen["replies"]
    findings = []
    status = grade(measured["value"], measured["warn"], measured["fail"])
    key = cognee_replies.key_state(replies, seen["has_key"]) if "bare" in replies else "unknown"
    if status != "ok":
        findings.append(
            cognee_finding(
                "cognee.slow",
                status,
                "%s is ready, but says so after %.1f s" % (name, measured["value"]),
                seen,
                "health",
                evidence=evidence,
                advice="Check what its host is busy with, and its components.",
                **measured,
            )
        )
    if key in ("refused", "missing") and (key == "refused" or seen["wants_key"]):
        findings.append(_auth(seen, name, key))
    path, query, kind = cognee_replies.query_state(replies)
    if query in ("failing", "no route", "slow"):
        findings.append(
            cognee_finding(
                "cognee.query",
                "warn" if query == "slow" else "fail",
                "%s is ready, but a query fails: %s" % (name, kind),
                seen,
                query.replace(" ", "_"),
                evidence={"path": path},
                advice="Read its log of this moment.",
            )
        )
    if not findings:
        words = {
            "X-Api-Key": "accepts the key",
            "Bearer": "accepts the key as Bearer",
            "unchecked": "checks no keys",
        }.get(key, "its key was not tried")
        by = ", a query goes to %s" % path if path else ""
        text = "%s is ready, %s%s" % (name, words, by)
        evidence = dict(evidence, key=key, query=path)
        findings.append(
            cognee_finding("cognee.ok", "ok", text, seen, evidence=evidence, **measured)
        )
    addresses = (seen["listeners"] or {}).get("addresses") or ()
    if key == "unchecked" and any(not settings.is_loopback(item) for item in addresses):
        findings.append(
            cognee_finding(
                "cognee.open",
                "warn",
                "%s checks no keys and listens on %s: any client that reaches it reads everything"
                % (name, ", ".join(addresses)),
                seen,
                "unchecked",
                advice="Set REQUIRE_AUTHENTICATION=true for Cognee, and allow the app's hosts"
                " only.",
            )
        )
    return findings


def _auth(seen, name, key):
    tried = [item for item in ("key", "bearer") if item in seen["replies"]]
    statuses = {item: seen["replies"][item].get("status") for item in ["bare"] + tried}
    if key == "missing":
        text, advice = (
            "requires a key, and COGNEE_API_KEY is not set",
            "Set COGNEE_API_KEY in .env.",
        )
    else:
        text = "does not accept the key, neither as X-Api-Key nor as Bearer"
        advice = "Set COGNEE_API_KEY to a key of this server, and restart the app."
    return cognee_finding(
        "cognee.auth",
        "fail",
        "%s %s" % (name, text),
        seen,
        key,
        evidence={"statuses": statuses},
        remedy="renew_cognee_key",
        advice=advice,
    )


def _components(seen):
    reply = seen["replies"].get("components", {})
    states, vital, minor = cognee_replies.components(reply)
    if states is None:
        kind = reply.get("error") or "HTTP %s" % reply.get("status")
        return cognee_finding(
            "cognee.components",
            "unknown",
            "Cognee at %s does not list its components: %s" % (seen["target"], kind),
            seen,
        )
    bad = vital + minor
    text = ", ".join("%s %s" % (name, states[name]) for name in bad) or "all healthy"
    return cognee_finding(
        "cognee.components",
        "fail" if vital else "warn" if minor else "ok",
        "Components of Cognee at %s: %s" % (seen["target"], text),
        seen,
        evidence={"components": states},
        advice="Fix %s; Cognee itself needs no restart for it." % ", ".join(bad) if bad else None,
    )
