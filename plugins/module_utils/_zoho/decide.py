# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides what to do about a token, and what a diagnosis says of it (pure)."""

from __future__ import annotations

from typing import NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad
from ansible_collections.sergas.ops.plugins.module_utils._zoho import findings
from ansible_collections.sergas.ops.plugins.module_utils._zoho.credentials import digest
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import PERMANENT, Verdict

#: How long a refusal holds that only other credentials can change; in ms.
_REFUSED_FOR = 60 * 1000
#: How long the answer of the API on a token holds for other hosts, too; in ms.
_VERIFIED_FOR = 60 * 1000


class Wanted(NamedTuple):
    """The requirements on a token. Times are milliseconds of the store's clock."""

    #: the fingerprint of the credentials
    credentials: str
    min_ttl: int
    #: when the module began
    started: int
    #: a token issued earlier is not accepted; or None
    not_before: Optional[int] = None
    #: the digest of a token that the API has rejected
    rejected: Optional[str] = None
    #: the budget
    limit: int = 10
    window: int = 600 * 1000


class Choice(NamedTuple):
    """What to do.

    Attributes:
        action: ``use``, ``refresh``, ``failed`` (the refusal that another host got holds for this
            one) or ``blocked`` (until wait is over).
    """

    action: str
    reason: str
    #: milliseconds the cached token lives at least, or None where that is not known
    left: Optional[int]
    #: milliseconds until a token may be requested again
    wait: int = 0


def lifetime(shared):
    """Return for how many milliseconds the cached token lives at least, or None where that is not
    known.

    A token of the app itself lives at least as long as the app keeps it there.
    """
    if not shared.token:
        return None
    record = shared.own_record()
    if record.get("expires"):
        return max(0, int(record["expires"]) - shared.now)
    return None if shared.cached_until is None else max(0, shared.cached_until - shared.now)


def choose(shared, wanted):
    """Return the ``Choice`` for a ``Shared`` state and what is ``Wanted``."""
    left = lifetime(shared)
    reason = _unusable(shared, wanted, left)
    if reason is None:
        return Choice("use", "the cached token has %d s left" % (left // 1000), left)
    failure = shared.failure
    if failure:
        at, until = int(failure["at"]), int(failure["until"])
        if failure["error_kind"] == "throttled" and until > shared.now:
            return Choice("blocked", failure["message"], left, until - shared.now)
        again = failure["error_kind"] in PERMANENT and shared.now - at < _REFUSED_FOR
        if failure["error_kind"] != "throttled" and (again or at >= wanted.started):
            return Choice("failed", failure["message"], left)
    wait = budget_wait(shared.spent, wanted.limit, wanted.window, shared.now)
    if wait:
        return Choice(
            "blocked",
            "%d tokens were requested within %d s" % (wanted.limit, wanted.window // 1000),
            left,
            wait,
        )
    return Choice("refresh", reason, left)


def _unusable(shared, wanted, left):
    """Return why the cached token cannot be used, or None."""
    if not shared.token:
        return "no token is cached"
    if digest(shared.token) == wanted.rejected:
        return "the API rejects the cached token"
    record = shared.own_record()
    if record and record.get("credentials") != wanted.credentials:
        return "the cached token is of other credentials"
    if left is None:
        return "the lifetime of the cached token is unknown"
    if left < wanted.min_ttl:
        return "the cached token has %d s left, less than %d s" % (
            left // 1000,
            wanted.min_ttl // 1000,
        )
    if wanted.not_before is not None and int(record.get("issued", 0)) < wanted.not_before:
        return "a new token was requested"
    return None


def budget_wait(spent, limit, window, now):
    """Return the milliseconds until one more token may be requested; 0 if it may be now.

    Args:
        spent: when tokens were requested, in ms.
        limit: how many may be requested within the window, in ms.
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
    """Return whether the API has accepted the cached token a moment ago, from any host."""
    verified = shared.own_record().get("verified")
    return bool(verified) and shared.now - int(verified) < _VERIFIED_FOR


def accepted():
    """Return the ``Verdict`` that another host got a moment ago."""
    return Verdict("alive", "the API has just accepted the token")


def unanswered():
    """Return the ``Verdict`` for an API that did not answer."""
    return Verdict("unknown", "the API did not answer")


def staleness(shared, refresh_token, credentials):
    """Return the reasons why the cached values are old.

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


def describe_token(shared, verdict, refreshed):
    """Return what the module returns of a token, or None where there is none.

    Args:
        shared: a ``Shared``.
        verdict: the ``Verdict`` of the API, or None.
        refreshed: whether this run requested it.
    """
    if not shared.token:
        return None
    left = lifetime(shared)
    described = {
        "fingerprint": digest(shared.token),
        "source": "refresh" if refreshed else "cache",
        "issuer": shared.own_record().get("host"),
        "seconds_left": None if left is None else left // 1000,
        "verified": verdict.error_kind if verdict else None,
    }
    if verdict and verdict.credits is not None:
        described["api_credits_left"] = verdict.credits
    return described


def describe_budget(shared, limit, window):
    """Return what the module returns of the budget.

    Args:
        shared: a ``Shared``.
        limit: how many tokens may be requested within the window.
        window: in seconds.
    """
    wait = budget_wait(shared.spent, limit, int(window * 1000), shared.now)
    return {
        "limit": limit,
        "window": int(window),
        "used": len(shared.spent),
        "left": max(0, limit - len(shared.spent)),
        "retry_after": -(-wait // 1000),
    }


def earlier_refusal_holds(shared):
    """Return whether a refusal that another run got still says that no token can be obtained."""
    failure = shared.failure
    return bool(failure) and (
        failure["error_kind"] in PERMANENT or int(failure["until"]) > shared.now
    )


class Observed(NamedTuple):
    """What a diagnosis knows of a token."""

    shared: object
    verdict: Optional[Verdict]
    #: as describe_budget gives it
    budget: dict
    #: whether Zoho knows the client and its secret; None where that is not known
    client_is_known: Optional[bool]
    #: host:port of the accounts server, and what to call the store
    target: str
    store: str


def is_usable(shared, verdict):
    """Return whether there is a token that the API does not reject."""
    return bool(shared.token) and not _is_dead(verdict)


def _is_dead(verdict):
    return verdict is not None and verdict.error_kind == "dead"


def observed_findings(seen, known, stale, good):
    """Return the findings of a diagnosis.

    Args:
        seen: an ``Observed``.
        known: the findings so far: where one is bad, it says more than the cache does.
        stale: what ``staleness`` returns.
        good: the finding for a token that can be used.
    """
    result = list(known)
    if not any(is_bad(item) for item in result):
        result += _observed(seen, good)
    for item in result:
        if stale and item["evidence"].get("error_kind") == "dead":
            # One fault, not two: the cache is to be cleared.
            item["cause"] = "zoho.cache.stale"
    return result + [findings.stale(reason, seen.store) for reason in stale]


def _observed(seen, good):
    status = "warn" if is_usable(seen.shared, seen.verdict) else None
    if earlier_refusal_holds(seen.shared):
        return [findings.of_earlier_refusal(seen.shared, seen.target, status)]
    if seen.budget["left"] == 0:
        message = "all %(limit)d tokens of %(window)d s were requested" % seen.budget
        evidence = {"retry_after": seen.budget["retry_after"]}
        return [findings.problem("throttled", message, seen.target, evidence, status=status)]
    if _is_dead(seen.verdict):
        return [findings.problem("dead", seen.verdict.message, seen.store)]
    if not seen.shared.token:
        reason = "none is cached"
        if seen.client_is_known:
            reason += ", and Zoho knows the client and its secret"
        return [findings.nothing(reason, seen.target)]
    if seen.verdict is not None and seen.verdict.credits == 0:
        # The call was let through, and the next ones will not be.
        message = "no API credits are left, though this call was answered"
        evidence = {"api_credits_left": 0}
        return [findings.problem("rate_limited", message, seen.target, evidence)]
    return [good] if seen.verdict is None or seen.verdict.error_kind == "alive" else []
