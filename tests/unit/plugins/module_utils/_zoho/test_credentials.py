# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._zoho import credentials
from ansible_collections.sergas.ops.plugins.module_utils._zoho.credentials import (
    DATA_CENTRES,
    Unusable,
)

SDK = {"ZOHO_SDK_CLIENT_ID": "1000.SDK", "ZOHO_SDK_CLIENT_SECRET": "sdk-secret"}
MCP = {"ZOHO_MCP_CLIENT_ID": "1000.MCP", "ZOHO_MCP_CLIENT_SECRET": "mcp-secret"}
REFRESH = {"ZOHO_SDK_REFRESH_TOKEN": "1000.a.b"}
NONE = {"client_id": None, "client_secret": None, "refresh_token": None}
NOWHERE = {"data_centre": None, "accounts_url": None, "api_url": None}


def choose(settings, pair="auto", **given):
    return credentials.choose(settings, {**NONE, **given}, pair)


@pytest.mark.parametrize(
    ("settings", "pair", "expected"),
    [
        ({**SDK, **REFRESH}, "auto", ("1000.SDK", "sdk-secret", "1000.a.b", "sdk")),
        ({**SDK, **MCP, **REFRESH}, "auto", ("1000.SDK", "sdk-secret", "1000.a.b", "sdk")),
        ({**MCP, **REFRESH}, "auto", ("1000.MCP", "mcp-secret", "1000.a.b", "mcp")),
        ({**MCP, **REFRESH}, "mcp", ("1000.MCP", "mcp-secret", "1000.a.b", "mcp")),
        (
            {**SDK, **MCP, **REFRESH, "ZOHO_MCP_REFRESH_TOKEN": "1000.c.d"},
            "mcp",
            ("1000.MCP", "mcp-secret", "1000.c.d", "mcp"),
        ),
        (
            {**MCP, **REFRESH, "ZOHO_SDK_CLIENT_ID": "  "},
            "auto",
            ("1000.MCP", "mcp-secret", "1000.a.b", "mcp"),
        ),
    ],
)
def test_one_pair_is_chosen(settings, pair, expected):
    assert tuple(choose(settings, pair)) == expected


@pytest.mark.parametrize(
    ("settings", "pair", "error_kind", "names"),
    [
        # The MCP pair is complete, and still the SDK's half is not completed with it.
        (
            {**MCP, **REFRESH, "ZOHO_SDK_CLIENT_ID": "1000.SDK"},
            "auto",
            "mixed",
            ["ZOHO_SDK_CLIENT_SECRET"],
        ),
        (
            {**MCP, **REFRESH, "ZOHO_SDK_CLIENT_SECRET": "x-secret"},
            "auto",
            "mixed",
            ["ZOHO_SDK_CLIENT_ID"],
        ),
        # The refresh token is the SDK client's, which is there.
        ({**SDK, **MCP, **REFRESH}, "mcp", "mixed", ["ZOHO_MCP_REFRESH_TOKEN"]),
        (SDK, "auto", "credentials", ["ZOHO_SDK_REFRESH_TOKEN"]),
        (REFRESH, "auto", "credentials", ["ZOHO_SDK_CLIENT_ID", "ZOHO_SDK_CLIENT_SECRET"]),
        (
            {},
            "auto",
            "credentials",
            ["ZOHO_SDK_CLIENT_ID", "ZOHO_SDK_CLIENT_SECRET", "ZOHO_SDK_REFRESH_TOKEN"],
        ),
        (
            {**SDK, "ZOHO_SDK_REFRESH_TOKEN": "<new-refresh-token>"},
            "auto",
            "placeholder",
            ["ZOHO_SDK_REFRESH_TOKEN"],
        ),
        (
            {**SDK, "ZOHO_SDK_REFRESH_TOKEN": "your_refresh_token"},
            "auto",
            "placeholder",
            ["ZOHO_SDK_REFRESH_TOKEN"],
        ),
        (
            {**SDK, "ZOHO_SDK_REFRESH_TOKEN": "1000.a.b # new"},
            "auto",
            "placeholder",
            ["ZOHO_SDK_REFRESH_TOKEN"],
        ),
    ],
)
def test_pairs_are_never_mixed_and_the_reason_is_named(settings, pair, error_kind, names):
    with pytest.raises(Unusable) as refusal:
        choose(settings, pair)
    assert (refusal.value.error_kind, refusal.value.names) == (error_kind, names)


def test_options_replace_all_of_the_settings():
    settings = {**SDK, **REFRESH}
    chosen = choose(
        settings, client_id="1000.X", client_secret="x-secret", refresh_token="1000.x.y"
    )
    assert tuple(chosen) == ("1000.X", "x-secret", "1000.x.y", "options")
    with pytest.raises(Unusable) as refusal:
        choose(settings, client_id="1000.X", client_secret="x-secret")
    assert refusal.value.error_kind == "mixed"


def test_a_traceback_or_a_log_shows_no_secret():
    chosen = choose({**SDK, **REFRESH})
    assert "secret" not in repr(chosen)
    assert "1000" not in str(chosen)


def test_fingerprints_tell_credentials_and_data_centres_apart():
    chosen = choose({**SDK, **REFRESH})
    others = [chosen._replace(refresh_token="1000.n.n"), chosen._replace(client_secret="new")]
    prints = {item.fingerprint("https://accounts.zoho.eu") for item in [chosen, *others]}
    prints.add(chosen.fingerprint("https://accounts.zoho.com"))
    assert len(prints) == 4
    assert chosen.fingerprint("a") == choose({**SDK, **REFRESH}).fingerprint("a")


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [
        ({}, {}, ("us", "https://accounts.zoho.com", "https://www.zohoapis.com", False)),
        (
            {"ZOHO_SDK_REGION": "EU"},
            {},
            ("eu", "https://accounts.zoho.eu", "https://www.zohoapis.eu", False),
        ),
        (
            {"ZOHO_SDK_REGION": "com.au"},
            {},
            ("au", "https://accounts.zoho.com.au", "https://www.zohoapis.com.au", False),
        ),
        (
            {"ZOHO_SDK_REGION": "ca"},
            {},
            ("ca", "https://accounts.zohocloud.ca", "https://www.zohoapis.ca", False),
        ),
        (
            {"ZOHO_ACCOUNTS_URL": "https://accounts.zoho.in/", "ZOHO_SDK_REGION": "us"},
            {},
            ("in", "https://accounts.zoho.in", "https://www.zohoapis.in", False),
        ),
        (
            {
                "ZOHO_ACCOUNTS_URL": "https://accounts.zoho.in",
                "ZOHO_API_URL": "https://www.zohoapis.in",
            },
            {"data_centre": "jp"},
            ("jp", "https://accounts.zoho.jp", "https://www.zohoapis.jp", False),
        ),
        (
            {"ZOHO_ACCOUNTS_URL": "http://127.0.0.1:8002/oauth/v2/token"},
            {},
            (None, "http://127.0.0.1:8002", "http://127.0.0.1:8002", True),
        ),
        (
            {"ZOHO_API_URL": "https://sandbox.zohoapis.com"},
            {},
            ("us", "https://accounts.zoho.com", "https://sandbox.zohoapis.com", True),
        ),
    ],
)
def test_the_endpoints_of_zoho(settings, given, expected):
    assert tuple(credentials.endpoints(settings, {**NOWHERE, **given})) == expected


@pytest.mark.parametrize(
    ("settings", "error_kind"),
    [
        ({"ZOHO_SDK_REGION": "mars"}, "region"),
        ({"ZOHO_ACCOUNTS_URL": "accounts.zoho.com"}, "url"),
        ({"ZOHO_ACCOUNTS_URL": "ftp://accounts.zoho.com"}, "url"),
        ({"ZOHO_ACCOUNTS_URL": "http://accounts.zoho.com"}, "plaintext"),
        ({"ZOHO_ACCOUNTS_URL": "http://127.0.0.1.example.com"}, "plaintext"),
        ({"ZOHO_API_URL": "http://www.zohoapis.com"}, "plaintext"),
    ],
)
def test_endpoints_that_get_no_secret(settings, error_kind):
    with pytest.raises(Unusable) as refusal:
        credentials.endpoints(settings, NOWHERE)
    assert refusal.value.error_kind == error_kind


def test_every_data_centre_is_known_by_its_host():
    for name, (accounts, api) in DATA_CENTRES.items():
        found = credentials.endpoints({"ZOHO_ACCOUNTS_URL": "https://" + accounts}, NOWHERE)
        assert (found.data_centre, found.api_url) == (name, "https://" + api)
        assert found.target() == accounts + ":443"
        assert credentials.trusted_api("https://" + api) == "https://" + api


@pytest.mark.parametrize(
    "domain",
    [
        None,
        "",
        "http://www.zohoapis.com",
        "https://www.zohoapis.com.evil.example",
        "https://evil.example/www.zohoapis.com",
        "https://zohoapis.com",
        "https://www.zohoapis.com:8443",
        "https://evil.zohoapis.com",
        "https://www.zohoapis.com@evil.example",
    ],
)
def test_a_token_goes_to_no_other_api(domain):
    assert credentials.trusted_api(domain) is None
