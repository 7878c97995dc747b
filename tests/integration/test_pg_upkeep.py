# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pg_retention, pg_index and pg_vacuum on a real server, over both clients."""

from __future__ import annotations

import contextlib
import shutil

import pytest

from ansible_collections.sergas.ops.plugins.module_utils import postgresql

CLIENTS = ["psycopg2", "psql"]
ROWS = """
INSERT INTO {table} (actor, created_at)
SELECT 'a', now() - n * interval '1 day' - interval '1 hour' FROM generate_series(0, 199) AS n
"""


@pytest.fixture
def database(postgres):
    """A connection to an empty database of one test, and the options that lead the modules
    there.
    """
    with contextlib.closing(postgres.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS upkeep WITH (FORCE)")
        cursor.execute("CREATE DATABASE upkeep")
    with contextlib.closing(postgres.connect(database="upkeep")) as connection:
        yield connection, postgres.login(login_db="upkeep")


def run(connection, sql):
    """Run a statement and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def make(connection, kind):
    """Make a log of 200 rows, one for each day: with an index on the time, without one, or in two
    partitions.
    """
    columns = "id bigint GENERATED ALWAYS AS IDENTITY, actor text, created_at timestamptz NOT NULL"
    if kind == "partitioned":
        run(
            connection,
            "CREATE TABLE log (actor text, created_at timestamptz NOT NULL) PARTITION BY RANGE"
            " (created_at)",
        )
        run(
            connection,
            "CREATE TABLE log_old PARTITION OF log FOR VALUES FROM (MINVALUE) TO (now() - interval"
            " '100 days')",
        )
        run(
            connection,
            "CREATE TABLE log_new PARTITION OF log FOR VALUES FROM (now() - interval '100 days') TO"
            " (MAXVALUE)",
        )
    else:
        run(connection, "CREATE TABLE log (%s)" % columns)
    if kind == "indexed":
        run(connection, "CREATE INDEX ON log (created_at)")
    run(connection, ROWS.format(table="log"))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("kind", ["indexed", "plain", "partitioned"])
def test_old_rows_go_and_no_other_one(database, run_module, kind, client):
    connection, login = database
    make(connection, kind)
    options = {**login, "table": "log", "days": 90, "batch_rows": 7, "pause": 0}
    planned = run_module("pg_retention", options, client, check=True)
    assert run(connection, "SELECT count(*) FROM log") == [(200,)]
    done = run_module("pg_retention", options, client)
    assert (planned["changed"], planned["rows"]) == (done["changed"], done["rows"]) == (True, 110)
    # The same rows in two ways: how they are padded differs by a few bytes.
    assert planned["bytes"] == pytest.approx(done["bytes"], rel=0.01) and done["bytes"] > 110 * 20
    assert done["finished"] and done["batches"] >= 110 // 7
    assert run(
        connection,
        "SELECT count(*), count(*) FILTER (WHERE created_at < now() - interval '90 days') FROM log",
    ) == [(90, 0)]
    again = run_module("pg_retention", options, client)
    assert (again["changed"], again["rows"]) == (False, 0)


@pytest.mark.parametrize("batch_rows", [1, 7, 5000])
@pytest.mark.parametrize("kind", ["indexed", "plain"])
def test_a_row_that_somebody_works_on_is_left_to_a_later_run(
    database, run_module, postgres, kind, batch_rows
):
    connection, login = database
    make(connection, kind)
    other = postgres.connect(database="upkeep")
    other.autocommit = False
    run(other, "SELECT 1 FROM log WHERE id = 200 FOR UPDATE")
    options = {**login, "table": "log", "days": 90, "pause": 0, "batch_rows": batch_rows}
    result = run_module("pg_retention", options)
    assert (result["rows"], result["finished"], result["remaining"]) == (109, False, 1), result
    other.close()
    again = run_module("pg_retention", options)
    assert (again["rows"], again["finished"]) == (1, True)


def test_a_table_that_others_refer_to_is_refused(database, run_module):
    connection, login = database
    run(connection, "CREATE TABLE log (id int PRIMARY KEY, created_at timestamptz)")
    run(connection, "CREATE TABLE detail (log_id int REFERENCES log ON DELETE CASCADE)")
    result = run_module("pg_retention", {**login, "table": "log"})
    assert result["failed"] and "detail" in result["msg"]


@pytest.mark.parametrize("client", CLIENTS)
def test_an_index_is_made_once(database, run_module, client):
    connection, login = database
    make(connection, "plain")
    options = {**login, "table": "log", "columns": ["actor"]}
    planned = run_module("pg_index", options, client, check=True, diff=True)
    assert planned["changed"] and not run(
        connection, "SELECT 1 FROM pg_indexes WHERE tablename = 'log'"
    )
    done = run_module("pg_index", options, client, diff=True)
    assert (done["changed"], done["valid"], done["diff"]) == (True, True, planned["diff"])
    assert run(connection, "SELECT indexname FROM pg_indexes WHERE tablename = 'log'") == [
        ("idx_log_actor",)
    ]
    assert not run_module("pg_index", options, client)["changed"]
    gone = run_module("pg_index", {**options, "state": "absent"}, client)
    assert gone["changed"] and not run(
        connection, "SELECT 1 FROM pg_indexes WHERE tablename = 'log'"
    )


def test_what_a_failed_attempt_leaves_is_cleared_away(database, run_module):
    connection, login = database
    make(connection, "plain")
    options = {**login, "table": "log", "columns": ["actor"], "unique": True}
    failed = run_module("pg_index", options)
    assert failed["failed"] and "2 attempts" in failed["msg"]
    assert not run(connection, "SELECT 1 FROM pg_index WHERE indrelid = 'log'::regclass")


def test_an_invalid_leftover_of_somebody_else_is_replaced(database, run_module):
    connection, login = database
    make(connection, "plain")
    with contextlib.suppress(Exception):
        run(connection, "CREATE UNIQUE INDEX CONCURRENTLY idx_log_actor ON log (actor)")
    assert run(connection, "SELECT indisvalid FROM pg_index WHERE indrelid = 'log'::regclass") == [
        (False,)
    ]
    result = run_module("pg_index", {**login, "table": "log", "columns": ["actor"]})
    assert (result["dropped"], result["valid"]) == ("idx_log_actor", True), result
    assert run(
        connection, "SELECT indisvalid, indisunique FROM pg_index WHERE indrelid = 'log'::regclass"
    ) == [(True, False)]


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_due_is_vacuumed_once(database, run_module, client):
    connection, login = database
    run(connection, "CREATE TABLE busy (n int) WITH (autovacuum_enabled = false)")
    run(connection, "INSERT INTO busy SELECT generate_series(1, 60000)")
    run(connection, "DELETE FROM busy WHERE n > 5000")
    connection.close()
    planned = run_module("pg_vacuum", login, client, check=True)
    done = run_module("pg_vacuum", login, client)
    assert planned["changed"] and done["changed"]
    assert [(t["table"], t["action"]) for t in planned["tables"]] == [("busy", "vacuum")]
    assert [(t["table"], t["action"]) for t in done["tables"]] == [("busy", "vacuum")]
    assert done["freed_bytes"] > 0
    assert not run_module("pg_vacuum", login, client)["changed"]


def test_full_gives_the_space_of_a_bloated_table_back(database, run_module):
    connection, login = database
    run(connection, "CREATE TABLE bloated (n int, body text) WITH (autovacuum_enabled = false)")
    run(
        connection,
        "INSERT INTO bloated SELECT n, repeat('x', 500) FROM generate_series(1, 40000) AS n",
    )
    run(connection, "DELETE FROM bloated WHERE n % 20 <> 0")
    run(connection, "VACUUM ANALYZE bloated")
    before = run(connection, "SELECT sum(n) FROM bloated")
    options = {**login, "tables": ["bloated"], "full": True}
    done = run_module("pg_vacuum", options)
    assert done["changed"] and done["freed_bytes"] > 10_000_000, done
    assert run(connection, "SELECT sum(n) FROM bloated") == before
    assert not run_module("pg_vacuum", options)["changed"]
    missing = run_module("pg_vacuum", {**login, "tables": ["nothing"], "full": True})
    assert missing["failed"] and "no table public.nothing" in missing["msg"]


@pytest.fixture(scope="module")
def standby(make_postgres):
    """A server in recovery, with an old row in a table of the app's role."""
    server = make_postgres()
    connection = server.connect()
    run(connection, f"CREATE ROLE app LOGIN PASSWORD {postgresql.literal(server.password)}")
    run(connection, "CREATE TABLE audit_logs (id int, created_at timestamptz)")
    run(connection, "INSERT INTO audit_logs VALUES (1, now() - interval '100 days')")
    run(connection, "ALTER TABLE audit_logs OWNER TO app")
    connection.close()
    server.stop(mode="fast")
    (server.data / "standby.signal").touch()
    shutil.chown(server.data / "standby.signal", server.owner)
    server.start()
    return server


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("pg_retention", {"table": "audit_logs"}),
        ("pg_index", {"table": "audit_logs", "columns": ["created_at"]}),
        ("pg_vacuum", {"tables": ["audit_logs"], "always": True}),
    ],
)
def test_a_standby_is_left_to_its_primary_in_a_check_run_too(
    standby, run_module, module, options, check
):
    owner = {"owner_password": standby.password} if module == "pg_retention" else {}
    result = run_module(module, standby.login(**options, **owner), check=check)
    assert result["failed"]
    assert "this server is a standby" in result["msg"]
    # Where nothing is to be done, there is nothing to refuse.
    idle = {
        "pg_retention": {"table": "audit_logs", "days": 1000},
        "pg_index": {"table": "audit_logs", "name": "nobodys", "state": "absent"},
        "pg_vacuum": {},
    }[module]
    assert not run_module(module, standby.login(**idle, **owner), check=check)["changed"]
