# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Zoho's replies mean (pure). The HTTP status says little: errors come with 200, so the body
decides.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError

#: lifetime of a token where a reply does not say, in seconds (Zoho's documentation)
LIFETIME = 3600
#: the error codes of the token endpoint
_REFUSALS = {
    "invalid_code": ("refresh_token", "Zoho says the refresh token is dead (invalid_code)"),
    "invalid_client": ("client", "Zoho does not know the client there (invalid_client)"),
    "invalid_client_secret": (
        "client_secret",
        "Zoho says the client secret is wrong (invalid_client_secret)",
    ),
}
#: Another request cannot change these.
PERMANENT = ("refresh_token", "client", "client_secret")
#: These may be over in a moment: the same request is worth a second try.
TRANSIENT = ("closed", "refused", "server")


class Failed(OperationError):
    """A request without a usable answer.

    Attributes:
        error_kind: from Zoho: ``refresh_token``, ``client``, ``client_secret``, ``throttled``,
            ``refusal`` (any other error); on the way there: ``dns``, ``refused``, ``unreachable``,
            ``timeout``, ``hung``, ``closed``, ``tls``, ``proxy``, ``page`` (an HTML page),
            ``garbage``, ``redirect``, ``server`` (an error of the server).
    """

    def __init__(self, error_kind, message):
        super().__init__(message)
        self.error_kind = error_kind


class Grant(NamedTuple):
    """An access token as it was issued."""

    access_token: str
    #: how long it lives
    seconds: int
    #: the API it is for, or None where the reply does not say
    api_domain: Optional[str]
    scope: Optional[str]

    def __repr__(self):
        return "Grant(seconds=%r)" % self.seconds


class Verdict(NamedTuple):
    """What the API says of a token.

    Attributes:
        error_kind: ``alive``; ``dead`` (refresh it); ``scope`` or ``permission`` (alive, and a new
            one would not change it); ``not_arrived`` (the header got lost); ``rate_limited`` (a new
            one would not change it); ``unknown``.
    """

    error_kind: str
    message: str
    #: X-API-CREDITS-REMAINING, which comes only once half of them are used
    credits: Optional[int] = None


def token(status, body):
    """Return the ``Grant`` in a reply to a refresh.

    Args:
        status: the HTTP status.
        body: bytes.

    Raises:
        Failed: it has no token.
    """
    reply = _object(status, body)
    access_token = reply.get("access_token")
    if isinstance(access_token, str) and access_token.strip():
        return Grant(
            access_token.strip(), _seconds(reply), _text(reply, "api_domain"), _text(reply, "scope")
        )
    error = reply.get("error")
    if error in _REFUSALS:
        raise Failed(*_REFUSALS[error])
    # The text of a throttled request is in the language of the account; its status is not.
    if status == 429 or reply.get("status") == "failure":
        raise Failed("throttled", "Zoho issues no more tokens for now: too many were requested")
    if status >= 500:
        raise Failed("server", "Zoho's accounts server has an error (HTTP %d)" % status)
    raise Failed(
        "refusal", "Zoho refuses a token: %s" % (_code(error) or "no reason that is known")
    )


def check(status, headers, body):
    """Return the ``Verdict`` in a reply to a call of the API.

    Args:
        status: the HTTP status.
        headers: {name in lower case: value}.
        body: bytes.

    Raises:
        Failed: it says nothing of the token.
    """
    credits = headers.get("x-api-credits-remaining", "")
    credits = int(credits) if re.match(r"[0-9]{1,12}\Z", credits) else None
    if status == 204:
        return Verdict("alive", "the API accepts the token", credits)
    if status == 429:
        return Verdict("rate_limited", "the API's limit is reached (HTTP 429)", credits)
    reply = _object(status, body)
    code = reply.get("code")
    if code == "TOO_MANY_REQUESTS":
        return Verdict("rate_limited", "the API's limit is reached (%s)" % code, credits)
    if code in ("INVALID_TOKEN", "INVALID_OAUTHTOKEN"):
        return Verdict("dead", "the API rejects the token (%s)" % code, credits)
    if code == "OAUTH_SCOPE_MISMATCH":
        return Verdict(
            "scope",
            "the token is alive, and its scope does not cover the call (%s)" % code,
            credits,
        )
    if code in ("NO_PERMISSION", "AUTHORIZATION_FAILED"):
        return Verdict(
            "permission",
            "the token is alive, and its user may not make the call (%s)" % code,
            credits,
        )
    if code == "AUTHENTICATION_FAILURE":
        return Verdict("not_arrived", "no token arrived at the API (%s)" % code, credits)
    if status == 200 and isinstance(reply.get("users"), list):
        return Verdict("alive", "the API accepts the token", credits)
    if status >= 500:
        raise Failed("server", "Zoho's API has an error (HTTP %d)" % status)
    raise Failed(
        "refusal",
        "Zoho's API answers with HTTP %d %s" % (status, _code(code) or "and no code that is known"),
    )


def revoked(status, body):
    """Return whether a reply says that a token was revoked; False where it was dead already.
    Raises ``Failed``.
    """
    reply = _object(status, body)
    if reply.get("status") == "success":
        return True
    if status == 400 or reply.get("error") in ("invalid_token", "invalid_code"):
        return False
    raise Failed(
        "server" if status >= 500 else "refusal",
        "Zoho does not revoke the token (HTTP %d)" % status,
    )


def client_refusal(status, body):
    """Return the ``Failed`` for a client that is not known or has another secret, by the reply to a
    refresh with a made-up refresh token; None where both are right. Raises ``Failed``.
    """
    try:
        token(status, body)
    except Failed as failure:
        if failure.error_kind in ("client", "client_secret"):
            return failure
        if failure.error_kind != "refresh_token":
            raise
    return None


def _object(status, body):
    if 300 <= status < 400:
        raise Failed(
            "redirect",
            "the answer is a redirect (HTTP %d), which is not followed with secrets" % status,
        )
    if status == 407:
        raise Failed("proxy", "the proxy in between requires a login (HTTP 407)")
    try:
        reply = json.loads(body.decode("utf-8"))
    except ValueError:
        reply = None
    if isinstance(reply, dict):
        return reply
    if body.lstrip()[:1] == b"<":
        raise Failed(
            "page",
            "the answer is a web page (HTTP %d), not Zoho's: a proxy or a portal in between"
            % status,
        )
    if status >= 500:
        raise Failed("server", "the answer is an error of the server (HTTP %d)" % status)
    what = "is empty" if not body.strip() else "is no JSON object"
    raise Failed("garbage", "the answer %s (HTTP %d)" % (what, status))


def _seconds(reply):
    # With expires_in_sec beside it, expires_in is in milliseconds.
    for name in ("expires_in_sec", "expires_in"):
        try:
            seconds = int(reply[name])
        except (KeyError, TypeError, ValueError):
            continue
        if seconds > 0:
            # No token lives for days: these are milliseconds, too.
            return seconds // 1000 if seconds > 86400 else seconds
    return LIFETIME


def _text(reply, name):
    return reply[name] if isinstance(reply.get(name), str) and reply[name] else None


def _code(value):
    """Return an error code, or None for what may be anything else."""
    return (
        value if isinstance(value, str) and re.match(r"[A-Za-z][A-Za-z_ ]{1,60}\Z", value) else None
    )
