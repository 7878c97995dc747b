# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides what to do for a token, and what there is to say about it. No I/O, no clock of its
own.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._zoho.credentials import digest
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import PERMANENT, Verdict

GUIDE = "Zoho CRM Authentication Failed"
GUIDE_LIMIT = "Zoho API Rate Limiting"
#: For so long a refusal that nothing but other credentials can change is not asked for again; in
#: ms.
_REFUSED_FOR = 60 * 1000
#: For so long what the API has said of a token holds for other hosts, too; in ms.
_VERIFIED_FOR = 60 * 1000


class Wanted(NamedTuple):
    """What a token must be to be used. Times are milliseconds of the store's clock."""

    #: the fingerprint of the credentials
    credentials: str
    min_ttl: int
    #: when the module began
    started: int
    #: a token issued earlier does not do, or None
    not_before: Optional[int] = None
    #: the digest of a token that the API has rejected
    rejected: Optional[str] = None
    #: the budget
    limit: int = 10
    window: int = 600 * 1000


class Choice(NamedTuple):
    """What to do.

    action: use, refresh, failed (what another host was told holds for this one) or blocked (until
        wait is over).
    """

    action: str
    reason: str
    #: milliseconds the cached token lives at least, or None where that is not known
    left: Optional[int]
    #: milliseconds until a token may be asked for again
    wait: int = 0


def lifetime(shared):
    """Return for how many milliseconds the cached token lives at least, or None where that is not
    known.

    A token that the app put there lives at least as long as the app lets it stay.
    """
    if not shared.token:
        return None
    record = shared.own_record()
    if record.get("expires"):
        return max(0, int(record["expires"]) - shared.now)
    return None if shared.cached_until is None else max(0, shared.cached_until - shared.now)


def choose(shared, wanted):
    """Return the L(Choice) for what is known."""
    left = lifetime(shared)
    reason = _unusable(shared, wanted, left)
    if reason is None:
        return Choice("use", "the cached token has %d s left" % (left // 1000), left)
    failure = shared.failure
    if failure:
        at, until = int(failure["at"]), int(failure["until"])
        if failure["told"] == "throttled" and until > shared.now:
            return Choice("blocked", failure["message"], left, until - shared.now)
        again = failure["told"] in PERMANENT and shared.now - at < _REFUSED_FOR
        if failure["told"] != "throttled" and (again or at >= wanted.started):
            return Choice("failed", failure["message"], left)
    wait = budget_wait(shared.spent, wanted.limit, wanted.window, shared.now)
    if wait:
        return Choice(
            "blocked",
            "%d tokens were asked for within %d s" % (wanted.limit, wanted.window // 1000),
            left,
            wait,
        )
    return Choice("refresh", reason, left)


def _unusable(shared, wanted, left):
    """Return why the cached token does not do, or None."""
    if not shared.token:
        return "no token is cached"
    if digest(shared.token) == wanted.rejected:
        return "the API rejects the cached token"
    record = shared.own_record()
    if record and record.get("credentials") != wanted.credentials:
        return "the cached token is of other credentials"
    if left is None:
        return "nobody knows how long the cached token lives"
    if left < wanted.min_ttl:
        return "the cached token has %d s left, less than %d s" % (
            left // 1000,
            wanted.min_ttl // 1000,
        )
    if wanted.not_before is not None and int(record.get("issued", 0)) < wanted.not_before:
        return "a new token was asked for"
    return None


def budget_wait(spent, limit, window, now):
    """Return the milliseconds until one more token may be asked for; 0 for now.

    Args:
        spent: when tokens were asked for, in ms.
        limit: how many may be asked for within the window, in ms.
    """
    recent = sorted(time for time in spent if time > now - window)
    return recent[-limit] + window - now if len(recent) >= limit else 0


def is_fresh(shared):
    """Return whether the cached token was issued a moment ago: if the API rejects it, the next
    one will be, too.
    """
    issued = shared.own_record().get("issued")
    return bool(issued) and shared.now - int(issued) < _VERIFIED_FOR


def is_verified(shared):
    """Return whether the API has accepted the cached token a moment ago, wherever it was asked
    from.
    """
    verified = shared.own_record().get("verified")
    return bool(verified) and shared.now - int(verified) < _VERIFIED_FOR


def accepted():
    """Return the L(Verdict) that another host got a moment ago."""
    return Verdict("alive", "the API has just accepted the token")


def unanswered():
    """Return the L(Verdict) for an API that could not be asked."""
    return Verdict("unknown", "the API could not be asked")


#: told: (id, status, remedy, advice)
_TOLD = {
    "refresh_token": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        (
            "Make a new refresh token in Zoho's API console with the same client, and put it into"
            " the vault and .env. A user has 20 at most: the 21st kills the oldest."
        ),
    ),
    "client": (
        "zoho.token.invalid",
        "fail",
        "zoho_credentials",
        (
            "Compare the client id with Zoho's API console, and the data centre with that of the"
            " account (ZOHO_SDK_REGION, ZOHO_ACCOUNTS_URL); find_data_centre asks the others."
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
        "Put the real value there, from the vault.",
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
            "Wait. Each further request is refused, too; look for what else refreshes with this"
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
        "Look for a proxy on the way that drops the Authorization header.",
    ),
    "dns": ("zoho.token.unknown", "unknown", None, "Mend this host's resolver, or the host name."),
    "refused": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Look at the address and the port, and the firewalls in between.",
    ),
    "unreachable": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Look at this host's routes and firewall.",
    ),
    "timeout": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Look at the firewalls in between: this host must reach port 443.",
    ),
    "hung": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Try again later; look at Zoho's status page if it stays so.",
    ),
    "closed": (
        "zoho.token.unknown",
        "unknown",
        None,
        "Try again; look for a firewall that cuts TLS if it stays so.",
    ),
    "tls": (
        "zoho.token.unknown",
        "unknown",
        None,
        (
            "Look at this host's clock and its authorities; behind a proxy that opens TLS, name its"
            " authority in ca_path."
        ),
    ),
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
        "Look for a proxy or a portal between this host and Zoho.",
    ),
    "garbage": ("zoho.token.unknown", "unknown", None, "See what answers there: it is not Zoho."),
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
        "Try again later; look at Zoho's status page if it stays so.",
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
        (
            "Mend Redis first: without it, each host would spend a token of its own, and ten lock"
            " the account."
        ),
    ),
}


def trouble(told, message, target, evidence=None, advice=None, status=None):
    """Return the finding for what went wrong.

    Args:
        told: a key of the table above: of Failed, Unusable or Verdict.
        message: what was told, without secrets.
        target: host:port of the server that told it, or that of the accounts server.
        evidence: more of it.
        advice: replaces the usual one.
        status: replaces the usual one.
    """
    identity, usual_status, remedy, usual = _TOLD[told]
    sentence = {
        "zoho.token.invalid": "Zoho's token cannot be had or used: %s",
        "zoho.rate_limited": "Zoho limits this account: %s",
        "zoho.token.scope": "Zoho's token is of limited use: %s",
        "zoho.token.unknown": "Whether Zoho's token works cannot be told: %s",
    }[identity]
    return finding(
        identity,
        "zoho",
        status or usual_status,
        sentence % message,
        evidence=dict(evidence or {}, target=target, told=told),
        remedy=remedy,
        advice=advice or usual,
        guide=GUIDE_LIMIT if identity == "zoho.rate_limited" else GUIDE,
    )


def good(left, verified, target, evidence=None):
    """Return the finding for a token that can be used.

    Args:
        left: milliseconds it lives at least, or None.
        verified: whether the API accepts it.
    """
    life = (
        "%d s left at least" % (left // 1000)
        if left is not None
        else "a lifetime that nobody knows"
    )
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
    """Return the finding for a cache without a token, which is nothing bad: the next one to
    need it asks for it.
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


def staleness(shared, refresh_token, credentials):
    """Return the reasons why what is cached is something old.

    Args:
        refresh_token: the digest of the configuration's.
        credentials: the fingerprint of the configuration's.
    """
    reasons = []
    if shared.refresh_token and shared.refresh_token != refresh_token:
        reasons.append("its refresh token is not the configuration's")
    record = shared.own_record()
    if record and record.get("credentials") != credentials:
        reasons.append("its token was issued for other credentials")
    elif shared.token and lifetime(shared) is None:
        reasons.append("its token never leaves the cache, so it stays after its end")
    return reasons


def stale(reason, target):
    """Return the finding for a cache that has something old, which the app may use."""
    return finding(
        "zoho.cache.stale",
        "zoho",
        "warn",
        "Redis has something old of Zoho, and the app may use it: %s" % reason,
        evidence={"target": target},
        remedy="zoho_clear_cache",
        advice="Clear the cache (state: absent), then restart the app.",
        guide=GUIDE,
    )
