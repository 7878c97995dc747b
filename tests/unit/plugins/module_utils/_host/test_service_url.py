# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import app_config, service_url

RAW = "postgresql://sergas_app:p@ss%word/1@127.0.0.1:5432/sergas_prod"


@pytest.mark.parametrize(
    ("text", "login", "servers", "path"),
    [
        (
            "postgresql://u:p@h1:5432,h2:5433/db?target_session_attrs=read-write",
            ("u", "p"),
            [("h1", 5432), ("h2", 5433)],
            "/db",
        ),
        ("postgresql://u:p@h1,h2/db", ("u", "p"), [("h1", None), ("h2", None)], "/db"),
        (
            "postgresql+psycopg2://u:p@/db?host=h1:5432&host=h2:5433",
            ("u", "p"),
            [("h1", 5432), ("h2", 5433)],
            "/db",
        ),
        ("postgresql://u:p@/db?host=a,b", ("u", "p"), [("a", None), ("b", None)], "/db"),
        (
            "postgresql://u@/db?host=a,b&port=1,2",
            ("u", None),
            [("a", 1), ("b", 2)],
            "/db",
        ),
        (
            "postgresql://host/db?user=uri-user&port=12345",
            ("uri-user", None),
            [("host", 12345)],
            "/db",
        ),
        ("postgresql:///db?host=/run/postgresql", (None, None), [("/run/postgresql", None)], "/db"),
        ("postgresql://u:p@[::1]:5433,[::2]/db", ("u", "p"), [("::1", 5433), ("::2", None)], "/db"),
        ("postgresql:///?dbname=other", (None, None), [("", None)], "/other"),
        (RAW, ("sergas_app", "p@ss%word/1"), [("127.0.0.1", 5432)], "/sergas_prod"),
        ("redis://:a@b/c@host:6379/0", ("", "a@b/c"), [("host", 6379)], "/0"),
        ("postgresql://u:p@h/a?application_name=x@y", ("u", "p"), [("h", None)], "/a"),
    ],
)
def test_a_url_is_taken_as_libpq_and_sqlalchemy_take_it(text, login, servers, path):
    parts, found = service_url.split(text)
    assert ((parts.user, parts.password), found, parts.path) == (login, servers, path)
    assert (parts.host, parts.port) == servers[0]


@pytest.mark.parametrize("text", ["not a url", "postgresql://h:70000/x", "postgresql://h?port=x"])
def test_what_is_none_is_refused_without_any_of_it(text):
    with pytest.raises(ValueError) as caught:
        service_url.split(text)
    assert "70000" not in str(caught.value).replace("70000 is not a port", "")


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        (RAW, "%/@"),
        ("postgresql://u:p%40ss%2F@h/db", ""),
        ("postgresql://us@er:p@h/db", "@"),
        ("postgresql://u:a?b#c@h/db", "#?"),
        ("postgresql://h/db?options=a@b", ""),
    ],
)
def test_what_a_password_must_not_have_as_it_is(text, characters):
    assert service_url.to_encode(text) == characters


def test_no_reading_of_a_raw_password_is_shown():
    """libpq takes ``ss%word`` for the host, SQLAlchemy ``1`` for a port, and messages quote it."""
    found = service_url.fragments(RAW)
    assert {"p@ss%word/1", "ss%word/1", "ss%word", '"1"'} <= found
    # A short part alone would mask ordinary words.
    assert not {"p", "1"} & found
    assert app_config.secret_values([("DATABASE_URL", RAW)]) == found


def test_a_long_hostile_text_costs_no_more_than_its_length():
    service_url.fragments("postgresql://" + "@/?a=" * 20000)
    service_url.to_encode("postgresql://" + "?" * 100000 + "@h")


def test_several_servers_are_targets_in_their_order():
    url = "postgresql://u:p@h1:5433,h2/db?sslmode=require"
    settings = app_config.with_options({"DATABASE_URL": url}, {})
    found = app_config.database_targets(settings)
    assert [(one["host"], one["port"]) for one in found] == [("h1", 5433), ("h2", 5432)]
    assert {(one["user"], one["name"], one["tls"]) for one in found} == {("u", "db", "require")}
    # An option of the module replaces them all.
    settings = app_config.with_options({"DATABASE_URL": url}, {"database_host": "other"})
    assert [one["host"] for one in app_config.database_targets(settings)] == ["other"]
