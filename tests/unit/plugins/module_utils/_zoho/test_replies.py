# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._zoho import replies
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import Failed

TOKEN = "1000.8cb99dxxxxxxxxxxxxx9be93.9b8xxxxxxxxxxxxxxxf"
GRANTED = {
    "access_token": TOKEN,
    "scope": "ZohoCRM.modules.ALL",
    "api_domain": "https://www.zohoapis.com",
    "token_type": "Bearer",
    "expires_in": 3600,
}
PAGE = b"<!DOCTYPE html><html><head><title>Login</title></head></html>"


def body(value):
    return value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 3600),
        ({"expires_in": "3600"}, 3600),
        ({"expires_in_sec": 3600, "expires_in": 3600000}, 3600),
        ({"expires_in": 3600000}, 3600),
        ({"expires_in": None}, 3600),
        ({"expires_in": -1}, 3600),
        ({"expires_in": 60}, 60),
    ],
)
def test_the_lifetime_of_a_token(changes, seconds):
    grant = replies.token(200, body({**GRANTED, **changes}))
    assert (grant.access_token, grant.seconds) == (TOKEN, seconds)
    assert TOKEN not in repr(grant)


def test_a_token_is_a_success_whatever_the_status_and_what_is_missing():
    grant = replies.token(400, body({"access_token": TOKEN}))
    assert (grant.access_token, grant.api_domain, grant.scope) == (TOKEN, None, None)


@pytest.mark.parametrize(
    ("status", "reply", "error_kind"),
    [
        (200, {"error": "invalid_client"}, "client"),
        (200, {"error": "invalid_code"}, "refresh_token"),
        (200, {"error": "invalid_client_secret"}, "client_secret"),
        (
            400,
            {
                "error": "Access Denied",
                "error_description": "You have made too many",
                "status": "failure",
            },
            "throttled",
        ),
        (
            200,
            {"error": "Zugriff verweigert", "error_description": "Zu viele", "status": "failure"},
            "throttled",
        ),
        (200, {"error": "アクセス拒否", "status": "failure"}, "throttled"),
        (429, {}, "throttled"),
        (200, {"error": "general_error"}, "refusal"),
        (200, {}, "refusal"),
        (200, {"access_token": ""}, "refusal"),
        (200, {"access_token": None}, "refusal"),
        (500, {"code": "INTERNAL_ERROR"}, "server"),
        (502, b"", "server"),
        (200, PAGE, "page"),
        (503, b"\n " + PAGE, "page"),
        (407, PAGE, "proxy"),
        (302, b"", "redirect"),
        (200, b"", "garbage"),
        (200, b"[]", "garbage"),
        (200, b"\xff\xfe", "garbage"),
        (200, b'{"access_token": "1000.', "garbage"),
    ],
)
def test_refusals_are_distinguished(status, reply, error_kind):
    with pytest.raises(Failed) as failure:
        replies.token(status, body(reply))
    assert failure.value.error_kind == error_kind


def test_a_refusal_quotes_nothing_that_may_be_a_secret():
    with pytest.raises(Failed) as failure:
        replies.token(200, body({"error": "no such token " + TOKEN}))
    assert TOKEN not in str(failure.value)


@pytest.mark.parametrize(
    ("status", "reply", "error_kind"),
    [
        (200, {"users": [{"id": "1"}]}, "alive"),
        (204, b"", "alive"),
        (401, {"code": "INVALID_TOKEN", "details": {}}, "dead"),
        (401, {"code": "INVALID_OAUTHTOKEN", "details": []}, "dead"),
        (401, {"code": "OAUTH_SCOPE_MISMATCH", "details": {}}, "scope"),
        (403, {"code": "OAUTH_SCOPE_MISMATCH", "details": []}, "scope"),
        (403, {"code": "NO_PERMISSION"}, "permission"),
        (401, {"code": "AUTHENTICATION_FAILURE"}, "not_arrived"),
        (429, {"code": "TOO_MANY_REQUESTS"}, "rate_limited"),
        (429, PAGE, "rate_limited"),
    ],
)
def test_what_the_api_says_of_a_token(status, reply, error_kind):
    assert replies.check(status, {}, body(reply)).error_kind == error_kind


@pytest.mark.parametrize(
    ("status", "reply", "error_kind"),
    [
        (200, PAGE, "page"),
        (200, {"data": []}, "refusal"),
        (500, {"code": "INTERNAL_ERROR"}, "server"),
    ],
)
def test_what_says_nothing_of_a_token(status, reply, error_kind):
    with pytest.raises(Failed) as failure:
        replies.check(status, {}, body(reply))
    assert failure.value.error_kind == error_kind


def test_the_credits_are_read_where_they_are_sent():
    alive = body({"users": []})
    assert replies.check(200, {"x-api-credits-remaining": "2100"}, alive).credits == 2100
    assert replies.check(200, {"x-api-credits-remaining": "many"}, alive).credits is None
    assert replies.check(200, {}, alive).credits is None


def test_revoking():
    assert replies.revoked(200, body({"status": "success"})) is True
    assert replies.revoked(400, body({"error": "invalid_token"})) is False
    with pytest.raises(Failed):
        replies.revoked(500, body({}))


def test_a_client_is_known_where_its_made_up_refresh_token_is_what_is_wrong():
    assert replies.client_refusal(200, body({"error": "invalid_code"})) is None
    for code, error_kind in (
        ("invalid_client_secret", "client_secret"),
        ("invalid_client", "client"),
    ):
        assert replies.client_refusal(200, body({"error": code})).error_kind == error_kind
    with pytest.raises(Failed):
        replies.client_refusal(200, PAGE)
