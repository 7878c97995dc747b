# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to say about Cognee, from what one host and others have seen. Pure.

C(evidence.told) tells the reasons of one finding apart.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._cognee import replies as cognee_replies
from ansible_collections.sergas.ops.plugins.module_utils._cognee import settings
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    finding,
    grade,
    is_bad,
    roots,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact
from ansible_collections.sergas.ops.plugins.module_utils._net import failures

GUIDE = "Cognee Memory Service Down"
THRESHOLDS = {"health_seconds": (2.0, 5.0, "s"), "restarts": (3, 10, "restarts")}
_STOPPED = {
    "oom": "was killed for want of memory",
    "stopped": "is stopped",
    "exited": "has ended with status %s",
    "paused": "is paused",
}
_SILENCE_ADVICE = {
    failures.DNS: "Correct COGNEE_BASE_URL, or the name in DNS or /etc/hosts.",
    failures.REFUSED: "Start it, and see in its log why it ended.",
    failures.UNREACHABLE: "Check the route to it and that its host is up.",
    failures.DENIED: "Allow it in the firewall of this host for outgoing connections.",
    failures.TIMEOUT: (
        "See from its own host whether it answers: if it does, a firewall is in between."
    ),
    failures.HUNG: "Restart it; its log says what it was doing.",
    failures.CLOSED: (
        "The server in the container is not up (yet) behind the published port: see its log."
    ),
    failures.TLS: (
        "Check the scheme of COGNEE_BASE_URL and the certificate, and ca_path for an own one."
    ),
}
_WHO = {
    "cognee-mcp": "cognee-mcp, whose API is another one",
    "redirect": "something that sends its clients to %s",
    "other": "something that is not Cognee",
}


def decide(seen, limits):
    """Return the findings of one host's look.

    Args:
        seen: {"target", "base", "port", "guard", "source", "here" (the service is on this host),
            "replies", "has_key", "wants_key" (the app's settings are known), "container",
            "container_error", "listeners" ({"addresses", "holder"}), "access" ([{"client",
            "allowed", "by"}]), "exposed" (the engine lets everybody in past the firewall),
            "components_asked"}.
        limits: thresholds, {name: (warn, fail, unit)}.
    """
    who = cognee_replies.identity(seen["replies"])
    if who in ("silent", "failing"):
        findings = [_down(seen, who)]
    elif who != "cognee":
        findings = [_wrong_service(seen, who)]
    else:
        findings = _serving(seen, limits)
    findings += _container(seen, limits, any(is_bad(item) for item in findings))
    if seen["exposed"]:
        findings.append(_exposed(seen))
    blocked = [entry for entry in seen["access"] if not entry["allowed"]]
    if blocked and who == "cognee":
        findings.append(_blocked_by_rules(seen, blocked))
    return findings


def summary(seen, findings):
    """Return what the module returns of the findings and of what they are made of."""
    replies = seen["replies"]
    who = cognee_replies.identity(replies)
    state = cognee_replies.readiness(replies)[0] if who == "cognee" else None
    path, query, _told = cognee_replies.query_state(replies)
    answered = [reply for reply in replies.values() if "status" in reply]
    return {
        "target": seen["target"],
        "url": seen["base"],
        "here": seen["here"],
        "reachable": bool(answered),
        "told": None if answered else replies.get("root", {}).get("told"),
        "identity": who,
        "state": state,
        "ready": state == "ready",
        "version": cognee_replies.version(replies) if who == "cognee" else None,
        "key": cognee_replies.key_state(replies, seen["has_key"]) if "bare" in replies else None,
        "query": {"path": path, "state": query} if query else None,
        "container": seen["container"],
        "listeners": seen["listeners"],
        "port": seen["port"],
        "guard": seen["guard"],
        "access": seen["access"],
        "exposed": seen["exposed"],
        "findings": findings,
        "roots": [item["id"] for item in roots(findings)],
        "bad": sum(1 for item in findings if is_bad(item)),
    }


def merge(result, views):
    """Return a host's result with the views of others: what only they do not reach is blocked.

    Args:
        result: what the module returned on the host of the service, or of the app.
        views: [{"from", "asked" (a host that uses it was asked, which knows better than this host's
            rules), "client" (it must get through), "target", "reachable", "told", "identity"}];
            those of hosts that could not be asked are left out.
    """
    shown = [
        {
            "from": view["from"],
            "told": "reached" if _reaches(view) else view["told"] or view["identity"],
        }
        for view in views
    ]
    findings = [dict(item, evidence=dict(item["evidence"])) for item in result["findings"]]
    served = result["identity"] == "cognee" and result["reachable"]
    if served:
        shut_out = [view for view in views if view["client"] and not _reaches(view)]
        if any(view["asked"] for view in views):
            findings = [item for item in findings if item["id"] != "cognee.blocked"]
        if shut_out:
            findings.append(_blocked(result, shut_out))
    elif not result["reachable"] and any(_reaches(view) for view in views):
        findings = [
            _blocked_here(item, shown) if item["id"] == "cognee.down" else item for item in findings
        ]
    if shown:
        for item in findings:
            if item["id"].startswith(("cognee.down", "cognee.ok", "cognee.blocked")):
                item["evidence"]["views"] = shown
    return dict(
        result,
        findings=findings,
        roots=[item["id"] for item in roots(findings)],
        bad=sum(1 for item in findings if is_bad(item)),
    )


def _reaches(view):
    return view["reachable"] and view["identity"] == "cognee"


def _finding(id, status, text, seen, told=None, **details):
    evidence = {"target": seen["target"], "told": told}
    evidence.update(details.pop("evidence", {}))
    evidence = {key: value for key, value in evidence.items() if value not in (None, [], {})}
    return finding(id, "cognee", status, text, evidence=evidence, guide=GUIDE, **details)


def _down(seen, who):
    container, root = seen["container"], seen["replies"].get("root", {})
    evidence = {"url": seen["base"], "error": root.get("error")}
    remedy = "restart_cognee" if seen["here"] else None
    if container:
        evidence["container"] = _shown(container)
        evidence["log"] = container["log"]
    if container and (not container["running"] or container["state"] == "paused"):
        told, text = _ended(container)
        name = "%s container %s" % (container["engine"], container["name"])
        advice = "Start it, and see in its log why it ended."
        if told == "oom":
            advice = "Give it more memory (limit: %s), then start it." % _size(
                container["memory_limit"]
            )
        return _finding(
            "cognee.down",
            "fail",
            "Cognee at %s is down: its %s %s" % (seen["target"], name, text),
            seen,
            told,
            evidence=evidence,
            remedy=remedy,
            advice=advice,
        )
    if who == "failing":
        status = max(reply.get("status", 0) for reply in seen["replies"].values())
        return _finding(
            "cognee.down",
            "fail",
            "Cognee at %s answers %d only" % (seen["target"], status),
            seen,
            "error",
            evidence=evidence,
            remedy=remedy,
            advice="Read its log, then restart it; if there is a proxy in front, see what is behind"
            " it.",
        )
    told = root.get("told") or "closed"
    return _finding(
        "cognee.down",
        "fail",
        "Cognee at %s is down: %s"
        % (seen["target"], failures.WORDS.get(told, root.get("error", told))),
        seen,
        told,
        evidence=evidence,
        remedy=None if told in ("dns", "tls", "denied") else remedy,
        advice=_SILENCE_ADVICE.get(told, "See its log, then restart it."),
    )


def _ended(container):
    if container["oom_killed"]:
        return "oom", _STOPPED["oom"]
    if container["state"] == "paused":
        return "paused", _STOPPED["paused"]
    # 143 and 137 are the signals of a stop, and of one that took too long.
    if container["exit_code"] in (None, 0, 137, 143):
        return "stopped", _STOPPED["stopped"]
    return "exited", _STOPPED["exited"] % container["exit_code"]


def _size(limit):
    return "%d MiB" % (limit // 1048576) if limit else "none"


def _shown(container):
    keys = ("engine", "name", "state", "health", "exit_code", "oom_killed", "restarts", "error")
    return {key: container[key] for key in keys if container[key] not in (None, False)}


def _wrong_service(seen, who):
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
        evidence.update(holder)
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
        advice = "Stop %s, which holds the port, then start Cognee." % (
            holder.get("unit") or "process %s" % holder.get("pid")
        )
    held = " (%s)" % (holder.get("unit") or holder.get("command")) if holder else ""
    return _finding(
        "cognee.wrong_service",
        "fail",
        "At %s there is %s%s" % (seen["target"], words, held),
        seen,
        who,
        evidence=evidence,
        remedy="free_cognee_port" if seen["here"] and holder else None,
        advice=advice,
    )


def _serving(seen, limits):
    replies = seen["replies"]
    state, told = cognee_replies.readiness(replies)
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
        evidence["container"] = _shown(container)
        evidence["log"] = container["log"]
    findings = []
    if state in ("unhealthy", "failing"):
        findings.append(
            _finding(
                "cognee.down",
                "fail",
                "%s is up and says that it is not ready: %s" % (name, told),
                seen,
                "unhealthy" if state == "unhealthy" else "error",
                evidence=evidence,
                remedy="restart_cognee" if seen["here"] else None,
                advice="Restart it; if it stays so, ask for its components (components: true, which"
                " may cost calls of the language model).",
            )
        )
    elif state == "slow":
        findings.append(
            _finding(
                "cognee.slow",
                "fail",
                "%s lives, but %s" % (name, told),
                seen,
                "health",
                evidence=evidence,
                advice="It waits for something of its own, mostly the embedding service: ask for"
                " its components.",
                **measured,
            )
        )
    elif state == "unknown":
        findings.append(
            _finding("cognee.unknown", "unknown", "%s: %s" % (name, told), seen, evidence=evidence)
        )
    else:
        findings += _ready(seen, name, evidence, measured)
    if seen["components_asked"]:
        findings.append(_components(seen))
    return findings


def _ready(seen, name, evidence, measured):
    replies = seen["replies"]
    findings = []
    status = grade(measured["value"], measured["warn"], measured["fail"])
    key = cognee_replies.key_state(replies, seen["has_key"]) if "bare" in replies else "unknown"
    if status != "ok":
        findings.append(
            _finding(
                "cognee.slow",
                status,
                "%s is ready, but says so after %.1f s" % (name, measured["value"]),
                seen,
                "health",
                evidence=evidence,
                advice="See what its host is busy with, and ask for its components.",
                **measured,
            )
        )
    if key in ("refused", "missing") and (key == "refused" or seen["wants_key"]):
        findings.append(_auth(seen, name, key))
    path, query, told = cognee_replies.query_state(replies)
    if query in ("failing", "no route", "slow"):
        findings.append(
            _finding(
                "cognee.query",
                "warn" if query == "slow" else "fail",
                "%s is ready, but a query fails: %s" % (name, told),
                seen,
                query.replace(" ", "_"),
                evidence={"path": path},
                advice="Read its log of this moment.",
            )
        )
    if not findings:
        words = {
            "X-Api-Key": "takes the key",
            "Bearer": "takes the key as Bearer",
            "unchecked": "checks no keys",
        }.get(key, "its key was not tried")
        by = ", a query goes to %s" % path if path else ""
        text = "%s is ready, %s%s" % (name, words, by)
        evidence = dict(evidence, key=key, query=path)
        findings.append(_finding("cognee.ok", "ok", text, seen, evidence=evidence, **measured))
    addresses = (seen["listeners"] or {}).get("addresses") or ()
    if key == "unchecked" and any(not settings.is_loopback(item) for item in addresses):
        findings.append(
            _finding(
                "cognee.open",
                "warn",
                "%s checks no keys and listens on %s: who reaches it reads everything"
                % (name, ", ".join(addresses)),
                seen,
                "unchecked",
                advice="Set REQUIRE_AUTHENTICATION=true for Cognee, and let in the app's hosts"
                " only.",
            )
        )
    return findings


def _auth(seen, name, key):
    tried = [item for item in ("key", "bearer") if item in seen["replies"]]
    statuses = {item: seen["replies"][item].get("status") for item in ["bare"] + tried}
    if key == "missing":
        text, advice = "wants a key, and COGNEE_API_KEY is not set", "Set COGNEE_API_KEY in .env."
    else:
        text = "does not take the key, neither as X-Api-Key nor as Bearer"
        advice = "Put a key of this server into COGNEE_API_KEY, and restart the app."
    return _finding(
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
        told = reply.get("error") or "HTTP %s" % reply.get("status")
        return _finding(
            "cognee.components",
            "unknown",
            "Cognee at %s does not tell of its components: %s" % (seen["target"], told),
            seen,
        )
    bad = vital + minor
    text = ", ".join("%s %s" % (name, states[name]) for name in bad) or "all healthy"
    return _finding(
        "cognee.components",
        "fail" if vital else "warn" if minor else "ok",
        "Components of Cognee at %s: %s" % (seen["target"], text),
        seen,
        evidence={"components": states},
        advice="Mend %s; Cognee itself needs no restart for it." % ", ".join(bad) if bad else None,
    )


def _container(seen, limits, is_down):
    """Return what is to be said of the container beside what its answers say."""
    container = seen["container"]
    if seen["container_error"]:
        return [
            _finding(
                "cognee.container",
                "unknown",
                "The container cannot be looked at: %s" % seen["container_error"],
                seen,
                advice="Run with become; see whether the engine itself answers.",
            )
        ]
    if not container or is_down or not container["running"]:
        return []
    name = "The container %s" % container["name"]
    evidence = {"container": _shown(container)}
    warn, fail, unit = limits["restarts"]
    # Without a restart of its own, the mark is of an earlier life: Docker 20.10 keeps it.
    starved = container["oom_killed"] and container["restarts"] > 0
    if starved or container["restarts"] >= warn:
        why = " for want of memory" if starved else ""
        return [
            _finding(
                "cognee.container",
                "fail" if container["restarts"] >= fail else "warn",
                "%s runs, but was restarted %d times%s" % (name, container["restarts"], why),
                seen,
                "oom" if starved else "restarts",
                value=container["restarts"],
                unit=unit,
                warn=warn,
                fail=fail,
                evidence=evidence,
                advice="Give it more memory (limit: %s)." % _size(container["memory_limit"])
                if starved
                else "Read its log: it starts and ends again.",
            )
        ]
    if container["health"] == "unhealthy":
        return [
            _finding(
                "cognee.container",
                "warn",
                "%s is unhealthy for its engine, though it answers well" % name,
                seen,
                "healthcheck",
                evidence=dict(evidence, log=container["log"]),
                advice="See what its health check runs; not every image has curl.",
            )
        ]
    return []


def _exposed(seen):
    container = seen["container"]
    return _finding(
        "cognee.exposed",
        "warn",
        "Everybody reaches %s: %s publishes it past the firewall of this host"
        % (seen["target"], container["engine"]),
        seen,
        "published",
        evidence={"ports": container["ports"]},
        remedy="allow_cognee",
        advice="Publish it on 127.0.0.1 if only this host uses it, else let in the app's hosts"
        " only.",
    )


def _blocked_by_rules(seen, blocked):
    """Return the finding of this host's rules alone; those who were asked know better (merge)."""
    first = blocked[0]
    return _finding(
        "cognee.blocked",
        "fail",
        "The firewall keeps %s from Cognee at %s: %s"
        % (", ".join(item["client"] for item in blocked[:5]), seen["target"], first["by"]),
        seen,
        "rules",
        confidence="estimated",
        evidence={"blocked": blocked[:20]},
        remedy="allow_cognee",
        advice="Let in the hosts of the app, and no others.",
    )


def _blocked(result, shut_out):
    addresses = (result["listeners"] or {}).get("addresses") or []
    rules = {entry["client"]: entry["by"] for entry in result["access"] if not entry["allowed"]}
    names = ", ".join(view["from"] for view in shut_out[:5])
    target = shut_out[0].get("target") or result["target"]
    seen = dict(result, target=target)
    if any(view["reachable"] for view in shut_out):
        other = next(view for view in shut_out if view["reachable"])
        return _finding(
            "cognee.wrong_service",
            "fail",
            "Cognee serves its own host, but %s meets something else at %s (%s)"
            % (other["from"], target, other["identity"]),
            seen,
            other["identity"],
            evidence={"listens": addresses},
            advice="See what listens on the other addresses of the host.",
        )
    if addresses and all(settings.is_loopback(item) for item in addresses):
        return _finding(
            "cognee.blocked",
            "fail",
            "Cognee serves its own host only, and %s do not reach %s: it listens on %s"
            % (names, target, ", ".join(addresses)),
            seen,
            "loopback",
            evidence={"listens": addresses},
            advice="Publish its port on an address that the app reaches, and let in the app's hosts"
            " only.",
        )
    by = ": " + next(iter(rules.values())) if rules else ""
    return _finding(
        "cognee.blocked",
        "fail",
        "Cognee answers on its own host, and %s cannot reach %s%s" % (names, target, by),
        seen,
        "firewall",
        evidence={"listens": addresses, "rules": rules},
        remedy="allow_cognee",
        advice="Let in the hosts of the app, and no others."
        if rules
        else "The host's own rules let it in: look at what is between the hosts.",
    )


def _blocked_here(item, shown):
    """Return a host's finding that Cognee is down as what it is: others reach it."""
    reached = ", ".join(view["from"] for view in shown if view["told"] == "reached")
    return dict(
        item,
        id="cognee.blocked",
        summary="%s, but %s reaches it" % (item["summary"], reached),
        evidence=dict(item["evidence"]),
        remedy=None,
        advice="See what is between this host and Cognee: the firewall there, the route, outgoing"
        " rules here.",
    )
