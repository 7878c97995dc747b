# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._net import url
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed
from ansible_collections.sergas.ops.plugins.module_utils._zoho import client
from ansible_collections.sergas.ops.plugins.module_utils._zoho.credentials import Endpoints
from ansible_collections.sergas.ops.plugins.module_utils._zoho.replies import Failed

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("kind", "phase", "error_kind"),
    [
        ("dns", "name", "dns"),
        ("timeout", "name", "dns"),
        ("timeout", "connect", "timeout"),
        ("timeout", "tls", "hung"),
        ("timeout", "first_byte", "hung"),
        ("timeout", "total", "hung"),
        ("refused", "connect", "refused"),
        ("unreachable", "connect", "unreachable"),
        ("denied", "connect", "unreachable"),
        ("closed", "total", "closed"),
        ("missing", "connect", "closed"),
        ("protocol", "first_byte", "garbage"),
        ("proxy", "connect", "proxy"),
    ],
)
def test_failures_are_distinguished_and_name_the_host(kind, phase, error_kind):
    failure = client.explain(ConnectionFailed(kind, phase, "x"), "accounts.zoho.com")
    assert failure.error_kind == error_kind
    assert "accounts.zoho.com" in str(failure)


def test_a_certificate_that_is_not_accepted_says_why():
    detail = "self-signed certificate"
    error = ConnectionFailed("tls", "tls", "a:443: TLS: " + detail, detail=detail)
    failure = client.explain(error, "accounts.zoho.com")
    assert failure.error_kind == "tls"
    assert str(failure) == "TLS with accounts.zoho.com fails: self-signed certificate"


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, "proxy.example.com"),
        ({"https_proxy": PROXY}, "proxy.example.com"),
        ({"ALL_PROXY": PROXY}, "proxy.example.com"),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "proxy.example.com:3128"}, "proxy.example.com"),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "localhost, .zoho.eu"}, None),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "accounts.zoho.eu:443"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "accounts.zoho.eu:8443"}, "proxy.example.com"),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "ho.eu,zoho.com"}, "proxy.example.com"),
    ],
)
def test_the_proxy_of_the_environment(environment, address):
    proxy = client.proxy_for(url.split("https://accounts.zoho.eu/x"), environment)
    assert (proxy and proxy.host) == address


@pytest.mark.parametrize("proxy", ["https://proxy.example.com", "socks5://proxy:1080", "http://"])
def test_a_proxy_that_cannot_be_used_is_said_so(proxy):
    with pytest.raises(Failed) as failure:
        client.proxy_for(url.split("https://accounts.zoho.eu"), {"HTTPS_PROXY": proxy})
    assert failure.value.error_kind == "proxy"


@pytest.mark.parametrize("cached", ["1000.a.b\r\nX-Other: 1", "two words", "tokén"])
def test_what_is_no_token_is_not_sent(cached):
    # Nothing listens there: a request would fail.
    endpoints = Endpoints(None, "https://127.0.0.1:1", "https://127.0.0.1:1", True)
    assert client.Client(endpoints, 1).check(cached).error_kind == "dead"


def test_authorities_that_are_not_there_are_named(tmp_path):
    endpoints = Endpoints(None, "https://127.0.0.1:1", "https://127.0.0.1:1", True)
    for name, text in (("missing.pem", None), ("empty.pem", "nothing")):
        if text:
            (tmp_path / name).write_text(text)
        with pytest.raises(Failed) as failure:
            client.Client(endpoints, 1, str(tmp_path / name)).check("1000.a.b")
        assert failure.value.error_kind == "tls"
        assert name in str(failure.value)
