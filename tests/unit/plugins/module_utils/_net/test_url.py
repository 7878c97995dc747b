# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import time

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
        # Not in lower case: on the host, that is another socket.
        ("postgresql://%2Frun%2FPg/prod", "/run/Pg", None),
        ("postgresql+asyncpg://u:p@Db.example:6432/prod", "Db.example", 6432),
        ("http://h\udcff/", "h\ufffd", None),
        ("http://h\ud800/", "h\ufffd", None),
    ],
)
def test_hosts(text, host, port):
    assert url.split(text)[3:5] == (host, port)


@pytest.mark.parametrize(
    "password",
    [
        "a:b",
        "p@ss",
        "[x",
        "a]b",
        "\ta\n",
        "50%",
        "%zz",
        "a b",
        "\u2100",
        "p\u00e4ss",
        '"',
        "\\",
        "+&=;",
        "",
    ],
)
def test_whatever_a_password_is_it_stays(password):
    parts = url.split("postgresql+asyncpg://app:%s@db:5433/prod" % password)
    assert parts == ("postgresql+asyncpg", "app", password, "db", 5433, "/prod", "")


def test_hostile_texts_take_no_longer_than_others():
    for piece in ("@", ":", "[", "%", "/", "?", "://", "a@"):
        text = "http://" + piece * (400000 // len(piece))
        began = time.process_time()
        with contextlib.suppress(ValueError):
            url.split(text)
        assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/b", "http://app:8000/b"),
        ("b?x=1", "http://app:8000/dir/b?x=1"),
        ("?x=1", "http://app:8000/dir/a?x=1"),
        ("../b#c", "http://app:8000/b"),
        ("//app:8000/b", "http://app:8000/b"),
        ("HTTP://APP:8000/b", "http://APP:8000/b"),
        ("http://app/b", None),
        ("http://user@app:8000/b", None),
        ("https://app:8000/b", None),
        ("//other/b", None),
        ("http://app:8000.evil/b", None),
        ("http://[x/", None),
        ("javascript:x", None),
    ],
)
def test_join(target, expected):
    assert url.join("http://app:8000/dir/a", target) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://a:%s/" % ("1" * 5000),
        "http://a/\tb",
        "http://a\nb/",
        " http://a/",
        "1http://a",
        "http://[a",
        "http://a]/",
        "",
        "http://a b/",
        "http://u:secret@h:99999/",
        "http://u:secret@h:port/",
        "://x",
    ],
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
