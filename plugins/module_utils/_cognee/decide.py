# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides what to say about Cognee, from what one host has seen (pure).

``evidence.error_kind`` distinguishes the reasons of one finding.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._cognee import (
    container_findings,
    service_findings,
    views,
)
from ansible_collections.sergas.ops.plugins.module_utils._cognee import replies as cognee_replies
from ansible_collections.sergas.ops.plugins.module_utils._cognee.findings import cognee_finding
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad, roots

THRESHOLDS = {"health_seconds": (2.0, 5.0, "s"), "restarts": (3, 10, "restarts")}


def decide(seen, limits):
    """Return the findings of one host.

    Args:
        seen: {"target", "base", "port", "guard", "source", "here" (the service is on this host),
            "replies", "has_key", "wants_key" (the app's settings are known), "container",
            "container_error", "listeners" ({"addresses", "holder"}), "access" ([{"client",
            "allowed", "by"}]), "exposed" (the engine allows any client past the firewall),
            "components_checked"}.
        limits: thresholds, {name: (warn, fail, unit)}.
    """
    who = cognee_replies.identity(seen["replies"])
    if who in ("silent", "failing"):
        findings = [service_findings.down(seen, who)]
    elif who != "cognee":
        findings = [service_findings.wrong_service(seen, who)]
    else:
        findings = service_findings.serving(seen, limits)
    is_down = any(is_bad(item) for item in findings)
    findings += container_findings.beside_its_answers(seen, limits, is_down)
    if seen["exposed"]:
        findings.append(container_findings.exposed(seen))
    blocked = [entry for entry in seen["access"] if entry["allowed"] is False]
    unclear = [entry for entry in seen["access"] if entry["allowed"] is None]
    if blocked and who == "cognee":
        findings.append(views.blocked_by_rules(seen, blocked))
    elif who == "cognee" and (unclear or seen["exposed"] is None):
        findings.append(views.unclear_rules(seen, unclear))
    return findings


def summary(seen, findings):
    """Return the result of the module: the findings and what they are based on."""
    replies = seen["replies"]
    who = cognee_replies.identity(replies)
    state = cognee_replies.readiness(replies)[0] if who == "cognee" else None
    path, query, _text = cognee_replies.query_state(replies)
    answered = [reply for reply in replies.values() if "status" in reply]
    return {
        "target": seen["target"],
        "url": seen["base"],
        "here": seen["here"],
        "reachable": bool(answered),
        "error_kind": None if answered else replies.get("root", {}).get("error_kind"),
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


def unclear(reason):
    """Return the result of the module where Cognee's address is unknown."""
    item = cognee_finding(
        "cognee.unknown",
        "unknown",
        "The address of Cognee is unknown: %s" % reason,
        {"target": None},
        advice="Correct it, for example COGNEE_BASE_URL=http://cognee.example.com:8001.",
    )
    return {
        "target": None,
        "url": None,
        "here": False,
        "reachable": False,
        "error_kind": "url",
        "identity": "silent",
        "state": None,
        "ready": False,
        "version": None,
        "key": None,
        "query": None,
        "container": None,
        "listeners": None,
        "port": None,
        "guard": None,
        "access": [],
        "exposed": False,
        "findings": [item],
        "roots": [item["id"]],
        "bad": 1,
    }
