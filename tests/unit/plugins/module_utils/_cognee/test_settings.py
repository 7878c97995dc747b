# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._cognee import settings as cognee_settings


def service(settings=None, published=None, **params):
    return cognee_settings.service(
        dict({"url": None, "api_key": None}, **params), settings or {}, published
    )


@pytest.mark.parametrize(
    ("settings", "base", "target"),
    [
        ({}, "http://127.0.0.1:8001", "127.0.0.1:8001"),
        ({"COGNEE_BASE_URL": "http://c:8001/"}, "http://c:8001", "c:8001"),
        ({"COGNEE_API_URL": "http://c:8000/api/v1"}, "http://c:8000", "c:8000"),
        ({"COGNEE_API_URL": "https://c/memory/api/v1/"}, "https://c:443/memory", "c:443"),
        ({"COGNEE_HOST": "c", "COGNEE_PORT": "8101"}, "http://c:8101", "c:8101"),
        ({"COGNEE_HOST": "c", "COGNEE_PORT": "many"}, "http://c:8001", "c:8001"),
        (
            {"COGNEE_URL": "http://[2001:db8::1]:8001"},
            "http://[2001:db8::1]:8001",
            "[2001:db8::1]:8001",
        ),
        # What the app's own client reads first.
        ({"COGNEE_URL": "http://b:1", "COGNEE_BASE_URL": "http://a:1"}, "http://a:1", "a:1"),
    ],
)
def test_the_settings_of_the_app_name_it(settings, base, target):
    found = service(settings)
    assert (found.base, found.target) == (base, target)


def test_options_come_first_and_what_is_published_comes_last():
    settings = {"COGNEE_BASE_URL": "http://a:1", "COGNEE_API_KEY": "of-the-app"}
    found = service(settings, published=9, url="http://b:2", api_key="given")
    assert (found.target, found.key) == ("b:2", "given")
    assert service(settings, published=9).target == "a:1"
    assert service(published=9).target == "127.0.0.1:9"


@pytest.mark.parametrize("text", ["ftp://u:s3cret@c", "c:8001", "http://", "http://c:99999"])
def test_a_url_that_is_none_is_refused_without_its_text(text):
    with pytest.raises(ValueError) as error:
        service({"COGNEE_BASE_URL": text})
    assert "COGNEE_BASE_URL" in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("key", ["s3cret\r\nHost: other", "s3cret\u00e9", "s3cret word"])
def test_a_key_that_no_header_can_have_is_refused_without_itself(key):
    with pytest.raises(ValueError) as error:
        service({"COGNEE_API_KEY": key})
    assert "COGNEE_API_KEY" in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("127.example.com", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback_is_known(host, expected):
    assert cognee_settings.is_loopback(host) is expected


@pytest.mark.parametrize(
    ("text", "address", "expected"),
    [
        ("http://localhost:8001", "192.0.2.9", "http://192.0.2.9:8001"),
        ("http://127.0.0.1:8001/memory", "c1.example.com", "http://c1.example.com:8001/memory"),
        ("https://127.8.8.8", "192.0.2.9", "https://192.0.2.9:443"),
        ("http://[::1]:8001", "2001:db8::9", "http://[2001:db8::9]:8001"),
        ("http://[::1]", "2001:db8::9", "http://[2001:db8::9]:80"),
        # Other notations of loopback, which an expression does not know.
        ("http://[0:0:0:0:0:0:0:1]:8001", "192.0.2.9", "http://192.0.2.9:8001"),
        ("http://[::ffff:127.0.0.1]:8001", "192.0.2.9", "http://192.0.2.9:8001"),
        ("http://LOCALHOST:8001", "192.0.2.9", "http://192.0.2.9:8001"),
        ("http://localhost:8001", "[2001:db8::9]", "http://[2001:db8::9]:8001"),
        # No loopback.
        ("http://127.example.com:8001", "192.0.2.9", "http://127.example.com:8001"),
        ("http://localhost.example.com", "192.0.2.9", "http://localhost.example.com"),
        ("http://192.0.2.1:8001/a?b", "192.0.2.9", "http://192.0.2.1:8001/a?b"),
        ("no url", "192.0.2.9", "no url"),
    ],
)
def test_the_url_that_other_hosts_use(text, address, expected):
    assert cognee_settings.url_for_clients(text, address) == expected
