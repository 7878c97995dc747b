# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._net import url


def test_split():
    parts = url.split("postgresql://app:p%40ss%2F1@db.example:5433/prod?sslmode=require&x=%20#f")
    assert parts == (
        "postgresql",
        "app",
        "p@ss/1",
        "db.example",
        5433,
        "/prod",
        "sslmode=require&x=%20",
    )
    assert parts.option("ssl", "sslmode") == "require"
    assert parts.option("x") == " "
    assert parts.option("nothing") is None


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("http://[::1]:8000/health", "::1", 8000),
        ("http://a", "a", None),
        ("redis://:secret@r/0", "r", None),
        ("postgresql:///prod", "", None),
        ("postgresql://%2Frun%2Fpg/prod", "/run/pg", None),
    ],
)
def test_hosts(text, host, port):
    assert url.split(text)[3:5] == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", "db:5432", "http://a b/", "http://u:secret@h:99999/", "http://u:secret@h:port/", "://x"],
)
def test_what_is_no_url_is_refused_without_being_shown(text):
    with pytest.raises(ValueError) as refused:
        url.split(text)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app1", ("app1", 8000)),
        ("app1:9000", ("app1", 9000)),
        ("[2001:db8::1]:9000", ("2001:db8::1", 9000)),
        ("2001:db8::1", ("2001:db8::1", 8000)),
        (" 10.0.0.1:80 ", ("10.0.0.1", 80)),
    ],
)
def test_split_address(text, expected):
    assert url.split_address(text, 8000) == expected


@pytest.mark.parametrize("text", ["", "a:b", "a:0", "a:70000", "http://a", "a b"])
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="not of the form host:port"):
        url.split_address(text, 8000)


def test_quoting_goes_both_ways():
    text = 'sum(rate(x{a=~"5.."}[5m])) é&+%'
    assert set(url.quote(text)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%"
    )
    assert url.unquote(url.quote(text)) == text
