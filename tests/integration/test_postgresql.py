# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions with real servers, the same over both drivers."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time

import psycopg2
import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres as drivers
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import location, session

AWKWARD = [
    "it's",
    'a "b"',
    "back\\slash",
    "E'x'; DROP",
    ":name :'name' \\q",
    "100 %",
    "ñ€\n\ttwo lines",
    "",
    "$1 $$x$$",
]


@pytest.fixture(params=["psycopg2", "pgwire"])
def driver(request, monkeypatch):
    if request.param == "pgwire":
        monkeypatch.setattr(drivers, "psycopg2", None)
    return request.param


def connect(params, seconds=10, **options):
    return session.connect(params, Deadline(seconds), **options)


@pytest.mark.postgresql_versions
def test_values_come_back_as_they_went(postgres, driver):
    with connect(postgres.login()) as opened:
        for text in AWKWARD:
            assert opened.rows("SELECT %s::text AS t", [text]) == [{"t": text}]
        assert opened.rows(
            "SELECT %s AS a, %s AS b, %s AS c, %s::text AS d", [1, True, 1.5, None]
        ) == [{"a": 1, "b": True, "c": 1.5, "d": None}]
        assert opened.rows("SELECT %s = ANY(%s) AS a, 7 %% 4 AS m", ["x", ["x", "y'"]]) == [
            {"a": True, "m": 3}
        ]
        assert opened.rows("SELECT 7 % 4 AS m -- a comment at the end") == [{"m": 3}]
        assert opened.rows("SELECT 1 WHERE false") == []
        assert opened.rows("SELECT ARRAY['a', 'b'] AS a, '{\"k\":\n 1}'::json AS j") == [
            {"a": ["a", "b"], "j": {"k": 1}}
        ]
        assert opened.version // 10000 == postgres.version
        assert opened.driver == driver


def test_order_of_rows_is_kept(postgres, driver):
    with connect(postgres.login()) as opened:
        rows = opened.rows("SELECT i FROM generate_series(1, 5000) i ORDER BY i DESC")
    assert [row["i"] for row in rows] == list(range(5000, 0, -1))


def test_times_are_utc_and_read_back_exactly(postgres, driver):
    with connect(postgres.login()) as opened:
        [row] = opened.rows("SELECT clock_timestamp() AS t")
        assert row["t"].endswith("+00:00")
        assert opened.rows("SELECT %s::timestamptz AS t", [row["t"]]) == [row]


def test_a_reading_session_cannot_write(postgres, driver):
    with (
        connect(postgres.login(login_db="sergas_prod")) as opened,
        pytest.raises(errors.ReadOnly) as caught,
    ):
        opened.execute("CREATE TABLE public.t (i int)")
    assert caught.value.sqlstate == "25006"


def test_an_acting_session_writes_and_counts(postgres, driver):
    with connect(postgres.login(login_db="sergas_prod"), acting=True) as opened:
        opened.execute("CREATE TABLE public.t (i int)")
        try:
            assert opened.execute("INSERT INTO public.t SELECT generate_series(1, %s)", [7]) == 7
            assert opened.rows("SELECT count(*) AS n FROM public.t") == [{"n": 7}]
        finally:
            assert opened.execute("DROP TABLE public.t") == 0


def test_session_is_set_up_so_that_it_cannot_hurt(postgres, driver):
    with connect(postgres.login(), name="sergas.ops test") as opened:
        [row] = opened.rows(
            "SELECT current_setting('application_name') AS name, current_setting('search_path') AS"
            " path, current_setting('statement_timeout') AS timeout,"
            " current_setting('lock_timeout') AS lock"
        )
    assert row["name"] == "sergas.ops test"
    assert row["path"] == "pg_catalog"
    assert row["lock"] == "2s"
    assert 8000 < int(row["timeout"].rstrip("ms")) <= 9000


def test_a_failed_statement_leaves_the_session_usable(postgres, driver):
    with connect(postgres.login()) as opened:
        with pytest.raises(errors.StatementFailed, match="division by zero") as caught:
            opened.rows("SELECT 1 / 0")
        assert caught.value.sqlstate == "22012"
        with pytest.raises(errors.StatementFailed, match="syntax error"):
            opened.execute("SELEC 1")
        assert opened.rows("SELECT 1 AS i") == [{"i": 1}]


def test_statement_timeout(postgres, driver):
    with connect(postgres.login(), statement_timeout=0.2) as opened:
        with pytest.raises(errors.TimedOut):
            opened.rows("SELECT pg_sleep(5)")
        assert opened.rows("SELECT 1 AS i") == [{"i": 1}]


def test_ended_by_an_administrator(postgres, driver):
    with connect(postgres.login()) as opened:
        [row] = opened.rows("SELECT pg_backend_pid() AS pid")
        other = postgres.connect()
        other.cursor().execute("SELECT pg_terminate_backend(%s)", [row["pid"]])
        other.close()
        with pytest.raises(errors.ConnectionLost):
            opened.rows("SELECT 1 AS i")


def test_password_over_tcp(postgres, driver):
    with connect(postgres.tcp("sergas", login_db="sergas_prod")) as opened:
        assert opened.rows("SELECT current_user::text AS u") == [{"u": "sergas"}]


def test_password_is_on_no_command_line(postgres, driver):
    with connect(postgres.tcp("sergas")):
        lines = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/cmdline", "rb") as file:
                        lines.append(file.read().decode("utf-8", "replace"))
                except OSError:
                    continue
    assert lines
    assert not [line for line in lines if "Secr3t" in line]


@pytest.mark.parametrize(
    ("change", "error", "sqlstate"),
    [
        ({"login_password": "wrong"}, errors.AuthenticationFailed, "28P01"),
        ({"login_password": None}, errors.AuthenticationFailed, "28P01"),
        ({"login_user": "no_such_role"}, errors.AuthenticationFailed, "28P01"),
        ({"login_db": "no_such"}, errors.DatabaseMissing, "3D000"),
        ({"login_host": "no-such-host.invalid"}, errors.NameUnresolved, None),
        ({"login_port": 1}, errors.Refused, None),
        ({"ssl_mode": "require"}, errors.EncryptionFailed, None),
    ],
)
def test_reasons_are_distinguished(postgres, driver, change, error, sqlstate):
    with pytest.raises(errors.PostgresError) as caught:
        connect(postgres.tcp("sergas", **change))
    assert caught.value.__class__ is error, caught.value
    assert caught.value.sqlstate == sqlstate


@pytest.fixture(scope="module")
def spanish(make_postgres):
    """A server whose messages no English word matches."""
    server = make_postgres(
        environment={"LC_ALL": "C.UTF-8", "LANGUAGE": "es"}, lc_messages="'C.UTF-8'"
    )
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE ROLE sergas LOGIN PASSWORD %s", [server.password])
        cursor.execute("CREATE ROLE two LOGIN PASSWORD %s CONNECTION LIMIT 0", [server.password])
        cursor.execute("SELECT 1 / 1 WHERE current_setting('lc_messages') = 'C.UTF-8'")
        try:
            cursor.execute("SELECT 1 / 0")
        except psycopg2.Error as error:
            if "division by zero" in str(error):
                pytest.skip("this PostgreSQL is built without translations")
    return server


@pytest.mark.parametrize(
    ("change", "error", "sqlstate"),
    [
        ({"login_password": "wrong"}, errors.AuthenticationFailed, "28P01"),
        ({"login_user": "no_such_role"}, errors.AuthenticationFailed, "28P01"),
        ({"login_db": "no_such"}, errors.DatabaseMissing, "3D000"),
        ({"login_user": "two"}, errors.TooManyConnections, "53300"),
    ],
)
def test_reasons_are_distinguished_in_another_language(
    spanish, driver, monkeypatch, change, error, sqlstate
):
    monkeypatch.setattr(location, "reserved_target", lambda *unused: None)
    with pytest.raises(errors.PostgresError) as caught:
        connect(spanish.tcp("sergas", **change))
    assert caught.value.__class__ is error, caught.value
    assert caught.value.sqlstate == sqlstate


@pytest.fixture
def silent():
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_server_that_never_answers_costs_no_more_than_the_deadline(silent, driver):
    started = time.monotonic()
    with pytest.raises(errors.TimedOut):
        connect(
            {"login_host": "127.0.0.1", "login_port": silent, "login_user": "sergas"}, seconds=0.5
        )
    assert time.monotonic() - started < 3


def test_a_server_that_falls_silent_costs_no_more_than_the_deadline(postgres, driver):
    """The server's own timeout is out of the way: it is the driver that gives up."""
    with connect(postgres.login(), seconds=1) as opened:
        opened.execute("SET statement_timeout = 0")
        started = time.monotonic()
        with pytest.raises(errors.TimedOut):
            opened.rows("SELECT pg_sleep(4)")
    assert time.monotonic() - started < 3


@pytest.fixture(scope="module")
def standby(make_postgres):
    """A server that follows none and stays in recovery."""
    server = make_postgres()
    server.stop(mode="fast")
    (server.data / "standby.signal").touch()
    shutil.chown(server.data / "standby.signal", server.owner)
    server.start()
    return server


def test_a_standby_is_read_and_not_written(standby, driver):
    with connect(standby.login(), acting=True) as opened:
        assert opened.rows("SELECT pg_is_in_recovery() AS standby") == [{"standby": True}]
        with pytest.raises(errors.ReadOnly):
            opened.execute("CREATE TABLE public.t (i int)")


def test_a_server_in_recovery_takes_no_sessions(make_postgres, driver):
    server = make_postgres(hot_standby="off")
    server.stop(mode="fast")
    (server.data / "standby.signal").touch()
    shutil.chown(server.data / "standby.signal", server.owner)
    server.start(wait=False)
    end = time.monotonic() + 10
    while True:
        with pytest.raises((errors.StartingUp, errors.Refused)) as caught:
            connect(server.login())
        if isinstance(caught.value, errors.StartingUp):
            break
        assert time.monotonic() < end, caught.value
        time.sleep(0.02)
    assert caught.value.sqlstate == "57P03"
    server.remove()


@pytest.mark.parametrize("plain", [True, False])
def test_the_owner_of_a_database_puts_nothing_into_an_administrators_session(
    postgres, driver, plain
):
    """Not even by a search_path in which its own functions come before the server's."""
    owner = postgres.connect("sergas", "sergas_prod")
    seize = (
        "CREATE FUNCTION seized.{} RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
        " EXECUTE 'ALTER ROLE sergas SUPERUSER'; RETURN '150000'; END $$"
    )
    with contextlib.closing(owner), owner.cursor() as cursor:
        cursor.execute("CREATE SCHEMA seized")
        try:
            for function in ("current_setting(text)", "now()", "pg_is_in_recovery()"):
                cursor.execute(seize.format(function))
            cursor.execute("ALTER DATABASE sergas_prod SET search_path = seized, pg_catalog")
            with connect(postgres.login(login_db="sergas_prod"), plain=plain) as opened:
                [row] = opened.rows("SELECT current_setting('search_path') AS path, now() AS now")
            assert row["path"] == "pg_catalog"
            cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'sergas'")
            assert cursor.fetchone() == (False,)
        finally:
            cursor.execute("ALTER DATABASE sergas_prod RESET search_path")
            cursor.execute("DROP SCHEMA seized CASCADE")
            with contextlib.closing(postgres.connect()) as admin, admin.cursor() as undo:
                undo.execute("ALTER ROLE sergas NOSUPERUSER")
