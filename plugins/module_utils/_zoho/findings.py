# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings about Zoho's token (pure)."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._net import failures

GUIDE = "Zoho CRM Authentication Failed"
GUIDE_LIMIT = "Zoho API Rate Limiting"
#: {kind of problem: (id, status, remedy, advice)}
_PROBLEMS = {
    "refresh_token": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        (
            "Make a new refresh token in Zoho's API console with the same client, and set it in"
            " the vault and .env. A user has 20 at most: the 21st kills the oldest."
        ),
    ),
    "client": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        (
            "Compare the client id with Zoho's API console, and the data centre with that of the"
            " account (ZOHO_SDK_REGION, ZOHO_ACCOUNTS_URL); find_data_centre queries the others."
        ),
    ),
    "client_secret": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        "Copy the client secret from Zoho's API console into the vault and .env.",
    ),
    "credentials": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        "Set them in .env, from the vault.",
    ),
    "unreadable": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Run with become: only root may read the app's .env.",
    ),
    "mixed": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        "Set the id, the secret and the refresh token of one and the same client.",
    ),
    "placeholder": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        "Set the real value, from the vault.",
    ),
    "region": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        "Set ZOHO_SDK_REGION to the account's data centre.",
    ),
    "url": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        "Correct ZOHO_ACCOUNTS_URL and ZOHO_API_URL.",
    ),
    "plaintext": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        "Use https in ZOHO_ACCOUNTS_URL and ZOHO_API_URL.",
    ),
    "throttled": (
        "zoho.rate_limited",
        "fail",
        "zoho_throttle",
        (
            "Wait. Each further request is refused, too; find out what else refreshes with this"
            " refresh token."
        ),
    ),
    "rate_limited": (
        "zoho.rate_limited",
        "fail",
        "zoho_throttle",
        (
            "Throttle, cache and batch the calls. A new token changes nothing: the limit is the"
            " account's."
        ),
    ),
    "dead": (
        "zoho.token.invalid",
        "fail",
        "zoho_refresh",
        "Refresh once for the fleet (state: valid), and restart what holds the old token.",
    ),
    "scope": (
        "zoho.token.scope",
        "warn",
        None,
        (
            "Do not refresh: a new token has the same scope. Make a refresh token with the scope"
            " that is missing."
        ),
    ),
    "permission": (
        "zoho.token.scope",
        "warn",
        None,
        "Do not refresh. Give the token's user the permission in Zoho CRM.",
    ),
    "not_arrived": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Find the proxy on the way that drops the Authorization header.",
    ),
    "dns": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Fix this host's resolver, or the host name.",
    ),
    "refused": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Check the address and the port, and the firewalls in between.",
    ),
    "unreachable": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Check this host's routes and firewall.",
    ),
    "timeout": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Check the firewalls in between: this host must reach port 443.",
    ),
    "hung": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Try again later; check Zoho's status page if it persists.",
    ),
    "closed": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Try again; if it persists, find the firewall that cuts TLS.",
    ),
    "tls": (
        "zoho.token.unknown",
        "unknown",
        None,
        (
            "Check this host's clock and its authorities; behind a proxy that opens TLS, name its"
            " authority in ca_path."
        ),
    ),
    **{
        kind: ("zoho.token.unknown", "unknown", None, failures.ADVICE[kind])
        for kind in (failures.EXPIRED, failures.ISSUER, failures.NAME, failures.PORTS)
    },
    "proxy": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Correct the proxy in the environment, or its rules.",
    ),
    "page": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Find the proxy or the portal between this host and Zoho.",
    ),
    "garbage": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Find out what answers there: it is not Zoho.",
    ),
    "redirect": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Correct the address; a proxy in between may redirect, too.",
    ),
    "server": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Try again later; check Zoho's status page if it persists.",
    ),
    "refusal": ("zoho.token.unknown", "unknown", None, "Look the code up in Zoho's documentation."),
    "busy": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Another host refreshes and does not finish: try again.",
    ),
    "store": (
        "zoho.token.unknown",
        "unknown",
        None,
        ("Fix Redis first: without it, each host would spend a token, and ten lock the account."),
    ),
    "driver": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Install redis-py (python3-redis) on this host, or name the server in REDIS_HOST.",
    ),
}
#: {id: its sentence}
_SENTENCES = {
    "zoho.token.invalid": "Zoho's token cannot be obtained or used: %s",
    "zoho.rate_limited": "Zoho limits this account: %s",
    "zoho.token.scope": "Zoho's token is of limited use: %s",
    "zoho.token.unknown": "Whether Zoho's token works is unknown: %s",
}


def problem(kind, message, target, evidence=None, advice=None, status=None):
    """Return the finding for a problem.

    Args:
        kind: a key of the table above: of ``Failed``, ``Unusable`` or ``Verdict``, ``store`` or
            ``driver``.
        message: what is known of it, without secrets.
        target: host:port of the server that answered, or that of the accounts server.
        evidence: more of it.
        advice: replaces the usual one.
        status: replaces the usual one.
    """
    identity, usual_status, remedy, usual = _PROBLEMS[kind]
    return finding(
        identity,
        "zoho",
        status or usual_status,
        _SENTENCES[identity] % message,
        evidence={**(evidence or {}), "target": target, "error_kind": kind},
        remedy=remedy,
        advice=advice or usual,
        guide=GUIDE_LIMIT if identity == "zoho.rate_limited" else GUIDE,
    )


def of_store(failure, target, message="%s"):
    """Return the finding for a ``StoreFailed``."""
    kind = "driver" if failure.error_kind == "driver" else "store"
    return problem(kind, message % failure, target)


def of_earlier_refusal(shared, target, status=None):
    """Return the finding for a refusal that another run got, with the time since then.

    Args:
        shared: a ``Shared`` that has one.
        target: host:port of the accounts server.
        status: replaces the usual one.
    """
    failure = shared.failure
    age = (shared.now - int(failure["at"])) // 1000
    evidence = {"seen_by": failure["host"], "seconds_ago": age}
    if int(failure["until"]) > shared.now:
        evidence["retry_after"] = (int(failure["until"]) - shared.now + 999) // 1000
    message = "%s (answer to %s, %d s ago)" % (failure["message"], failure["host"], age)
    return problem(failure["error_kind"], message, target, evidence, status=status)


def good(left, verified, target, evidence=None):
    """Return the finding for a token that can be used.

    Args:
        left: milliseconds it lives at least, or None.
        verified: whether the API accepts it.
        target: host:port of the accounts server.
        evidence: more of it.
    """
    life = "%d s left at least" % (left // 1000) if left is not None else "an unknown lifetime"
    known = "the API accepts it" if verified else "not verified against the API"
    return finding(
        "zoho.token.ok",
        "zoho",
        "ok",
        "Zoho's token has %s, %s" % (life, known),
        value=None if left is None else left // 1000,
        unit="seconds",
        confidence="measured" if verified else "estimated",
        evidence=dict(evidence or {}, target=target),
        guide=GUIDE,
    )


def nothing(reason, target, evidence=None):
    """Return the finding for a cache without a token, which is not bad: the next one to need it
    requests it.
    """
    return finding(
        "zoho.token.skipped",
        "zoho",
        "skipped",
        "There is no token of Zoho to judge: %s" % reason,
        confidence="blind",
        evidence=dict(evidence or {}, target=target),
        guide=GUIDE,
    )


def stale(reason, target):
    """Return the finding for a cache with an old value, which the app may use."""
    return finding(
        "zoho.cache.stale",
        "zoho",
        "warn",
        "Redis holds stale data of Zoho, and the app may use it: %s" % reason,
        evidence={"target": target},
        remedy="zoho_clear_cache",
        advice="Clear the cache (state: absent), then restart the app.",
        guide=GUIDE,
    )
