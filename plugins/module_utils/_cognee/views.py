# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Combines what several hosts see of Cognee: no host alone knows who cannot reach it (pure)."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._cognee import settings
from ansible_collections.sergas.ops.plugins.module_utils._cognee.findings import cognee_finding
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad, roots


def merge(result, views):
    """Return a host's result with the views of others: what only they do not reach is blocked.

    Args:
        result: what the module returned on the host of the service, or of the app.
        views: [{"from", "queried" (the view of a host that uses it, which counts more than this
            host's rules), "client" (it must get through), "target",
            "reachable", "error_kind", "identity"}]; those of hosts without an answer are left out.
    """
    shown = [
        {
            "from": view["from"],
            "result": "reached" if _reaches(view) else view["error_kind"] or view["identity"],
        }
        for view in views
    ]
    findings = [dict(item, evidence=dict(item["evidence"])) for item in result["findings"]]
    served = result["identity"] == "cognee" and result["reachable"]
    if served:
        blocked_clients = [view for view in views if view["client"] and not _reaches(view)]
        if any(view["queried"] for view in views):
            findings = [item for item in findings if item["evidence"].get("error_kind") != "rules"]
        if blocked_clients:
            findings.append(_blocked(result, blocked_clients))
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


def blocked_by_rules(seen, blocked):
    """Return the finding of this host's rules alone; a view of a client counts more (``merge``)."""
    first = blocked[0]
    return cognee_finding(
        "cognee.blocked",
        "fail",
        "The firewall blocks %s from Cognee at %s: %s"
        % (", ".join(item["client"] for item in blocked[:5]), seen["target"], first["by"]),
        seen,
        "rules",
        confidence="estimated",
        evidence={"blocked": blocked[:20]},
        remedy="allow_cognee",
        advice="Allow the hosts of the app, and no others.",
    )


def unclear_rules(seen, unclear):
    """Return the finding where this host's rules do not say who reaches Cognee."""
    by = unclear[0]["by"] if unclear else "rules for its published port are not understood"
    return cognee_finding(
        "cognee.unknown",
        "unknown",
        "Whether %s Cognee at %s is not known: %s"
        % ("the app's hosts reach" if unclear else "any client reaches", seen["target"], by),
        seen,
        "rules",
        evidence={"unclear": unclear[:20]},
        advice="Run with become, and check the rules by hand: nft list ruleset, iptables-save.",
    )


def _blocked(result, blocked_clients):
    addresses = (result["listeners"] or {}).get("addresses") or []
    rules = {
        entry["client"]: entry["by"] for entry in result["access"] if entry["allowed"] is False
    }
    names = ", ".join(view["from"] for view in blocked_clients[:5])
    target = blocked_clients[0].get("target") or result["target"]
    seen = dict(result, target=target)
    if any(view["reachable"] for view in blocked_clients):
        other = next(view for view in blocked_clients if view["reachable"])
        return cognee_finding(
            "cognee.wrong_service",
            "fail",
            "Cognee serves its own host, but %s reaches another service at %s (%s)"
            % (other["from"], target, other["identity"]),
            seen,
            other["identity"],
            evidence={"listens": addresses},
            advice="Check what listens on the other addresses of the host.",
        )
    if addresses and all(settings.is_loopback(item) for item in addresses):
        return cognee_finding(
            "cognee.blocked",
            "fail",
            "Cognee serves its own host only, and %s do not reach %s: it listens on %s"
            % (names, target, ", ".join(addresses)),
            seen,
            "loopback",
            evidence={"listens": addresses},
            advice="Publish its port on an address that the app reaches, and allow the app's hosts"
            " only.",
        )
    by = ": " + next(iter(rules.values())) if rules else ""
    return cognee_finding(
        "cognee.blocked",
        "fail",
        "Cognee answers on its own host, and %s cannot reach %s%s" % (names, target, by),
        seen,
        "firewall",
        evidence={"listens": addresses, "rules": rules},
        remedy="allow_cognee",
        advice="Allow the hosts of the app, and no others."
        if rules
        else "The host's own rules allow it: check what is between the hosts.",
    )


def _blocked_here(item, shown):
    """Return a host's finding that Cognee is down as one that it is blocked: others reach it."""
    reached = ", ".join(view["from"] for view in shown if view["result"] == "reached")
    return dict(
        item,
        id="cognee.blocked",
        summary="%s, but %s reaches it" % (item["summary"], reached),
        evidence=dict(item["evidence"]),
        remedy=None,
        advice="Check what is between this host and Cognee: the firewall there, the route, outgoing"
        " rules here.",
    )
