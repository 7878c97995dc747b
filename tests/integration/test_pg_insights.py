# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pg_insights against real servers, with real faults in them."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import threading
import time

import psycopg2
import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import sql
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import (
    diagnosis,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    THRESHOLDS,
    Scope,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import connect

DRIVERS = ["psycopg2", "pgwire"]
GOOD = {"ok", "skipped"}


@pytest.fixture(scope="module")
def server(make_postgres):
    server = make_postgres(
        fsync="on",
        shared_preload_libraries="pg_stat_statements",
        max_prepared_transactions=5,
        wal_level="logical",
    )
    execute(
        server,
        "postgres",
        f"CREATE ROLE sergas LOGIN PASSWORD {quoted(server)}",
        f"CREATE ROLE plain LOGIN PASSWORD {quoted(server)}",
        f"CREATE ROLE monitor LOGIN PASSWORD {quoted(server)} IN ROLE pg_monitor",
        f"CREATE ROLE reader LOGIN PASSWORD {quoted(server)} IN ROLE pg_monitor",
    )
    if reads_all_data(server):
        execute(server, "postgres", "GRANT pg_read_all_data TO reader")
    return server


def reads_all_data(server):
    """Whether the server has a role that may read everything, as 14 and newer have."""
    return int(value(server, "postgres", "SHOW server_version_num")) >= 140000


def quoted(server):
    return sql.literal(server.tcp("x")["login_password"])


@pytest.fixture
def database(server, request):
    """A database for one test."""
    name = "t_%d" % (abs(hash(request.node.name)) % 10**8)
    execute(server, "postgres", f"CREATE DATABASE {name} OWNER sergas")
    execute(server, name, "CREATE EXTENSION pg_stat_statements")
    yield name
    execute(server, "postgres", f"DROP DATABASE {name} WITH (FORCE)")


def execute(server, database, *statements):
    """Run statements in a session that ends, so that its statistics are counted.

    ANALYZE takes effect at once, and what its own session counted before comes after it: it gets
    a separate session.
    """
    sessions = [[]]
    for statement in statements:
        if "ANALYZE" in statement:
            sessions.append([])
        sessions[-1].append(statement)
    for session in sessions:
        with contextlib.closing(server.connect(database=database)) as connection:
            with connection.cursor() as cursor:
                for statement in session:
                    cursor.execute(statement)


def value(server, database, statement):
    with contextlib.closing(server.connect(database=database)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]


def until(condition, seconds=20):
    """Query until the condition holds, and return what it returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError("the condition did not hold in time")


@pytest.fixture
def insights(server, run_module):
    """Return a function that runs the module and returns {id: finding} and the whole result."""

    def run(options=None, driver="psycopg2", login=None, **more):
        result = run_module(
            "pg_insights", {**(login or server.login()), **(options or {}), **more}, driver
        )
        assert not result.get("failed"), result
        assert not result["changed"]
        return {item["id"]: item for item in result["findings"]}, result

    return run


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_healthy_database_has_nothing_bad(insights, server, database, driver):
    execute(
        server,
        database,
        "CREATE TABLE accounts (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)",
        "INSERT INTO accounts (name) SELECT 'account ' || i FROM generate_series(1, 500) i",
    )
    findings, result = insights(login_db=database, driver=driver)
    assert result["driver"] == driver
    assert {item["status"] for item in findings.values()} <= GOOD, result["findings"]
    assert result["bad"] == 0 and result["roots"] == []
    assert len(findings) == len(diagnosis.CHECKS)
    for item in findings.values():
        assert item["evidence"]["target"] == "localhost:%d" % server.port
        assert item["guide"]
    assert set(result["insights"]) == set(diagnosis.QUERIES) | {"server"}
    assert findings["db.sequences.ok"]["value"] == pytest.approx(0, abs=0.1)


def test_extension_absent_is_skipped_with_advice(insights, server, database):
    execute(server, database, "DROP EXTENSION pg_stat_statements")
    findings, _result = insights(login_db=database, checks=["slow_queries"])
    item = findings["db.queries.slow.skipped"]
    assert "CREATE EXTENSION pg_stat_statements" in item["advice"]


@pytest.fixture
def activities(server, database):
    """A table of 40000 rows without the index its statements need."""
    execute(
        server,
        database,
        "CREATE TABLE activities (id bigint PRIMARY KEY, account_id int, kind text, at"
        " timestamptz)",
        "INSERT INTO activities SELECT i, i % 5000, 'call', now() FROM generate_series(1, 40000) i",
        "VACUUM ANALYZE activities",
        "SELECT public.pg_stat_statements_reset()",
    )

    def load(times=150):
        with contextlib.closing(server.connect(database=database)) as connection:
            with connection.cursor() as cursor:
                for number in range(times):
                    cursor.execute(
                        "SELECT count(*) FROM activities a WHERE a.account_id = %s AND kind ="
                        " 'secret-literal'",
                        [number],
                    )

    load()
    return load


@pytest.mark.postgresql_versions
def test_missing_index_is_the_cause_of_slow_queries_and_its_creation_ends_both(
    insights, server, database, activities
):
    options = {
        "login_db": database,
        "checks": ["slow_queries", "missing_indexes", "statistics"],
        # 40000 rows are read in a few milliseconds
        "thresholds": {"statement_ms": {"warn": 0.5}},
    }

    def found():
        findings, result = insights(options)
        return (findings, result) if "db.index.missing" in findings else None

    findings, result = until(found)
    slow, missing = findings["db.queries.slow"], findings["db.index.missing"]
    assert slow["cause"] == "db.index.missing"
    assert result["roots"] == ["db.index.missing"]
    assert slow["evidence"]["statements"][0]["calls"] == 150
    assert missing["evidence"]["create"] == [
        "CREATE INDEX CONCURRENTLY ON public.activities (account_id)"
    ]
    assert missing["confidence"] == "measured"
    assert "secret-literal" not in str(result)

    execute(server, database, missing["evidence"]["create"][0])
    activities()

    def fixed():
        findings, _result = insights(options, previous=result["insights"])
        return set(findings) >= {"db.queries.slow.ok", "db.index.missing.ok"}

    until(fixed)


def test_without_the_extension_columns_are_candidates_only(insights, server, database, activities):
    execute(server, database, "DROP EXTENSION pg_stat_statements")
    findings, _result = until(
        lambda: (
            (answer := insights(login_db=database, checks=["missing_indexes"]))
            and "db.index.missing" in answer[0]
            and answer
        )
    )
    item = findings["db.index.missing"]
    assert item["confidence"] == "estimated"
    assert item["evidence"]["tables"][0]["candidates"] == ["account_id"]


def test_foreign_key_without_index(insights, server, database):
    execute(
        server,
        database,
        "CREATE TABLE parents (a int, b int, PRIMARY KEY (a, b))",
        "CREATE TABLE children (id int PRIMARY KEY, b int, a int, FOREIGN KEY (a, b) REFERENCES"
        " parents)",
        "INSERT INTO parents SELECT i, i FROM generate_series(1, 100) i",
        "INSERT INTO children SELECT i, i % 90 + 1, i % 90 + 1 FROM generate_series(1, 12000) i",
        "VACUUM ANALYZE children",
        "DELETE FROM parents WHERE a = 99",
    )
    options = {"login_db": database, "checks": ["missing_indexes"]}
    findings, _result = until(lambda: (a := insights(options)) and "db.index.missing" in a[0] and a)
    keys = findings["db.index.missing"]["evidence"]["foreign_keys"]
    assert [(key["table"], key["columns"]) for key in keys] == [("children", ["a", "b"])]
    # Any order of the columns serves, as long as they come first.
    execute(server, database, "CREATE INDEX ON children (b, a, id)")
    findings, _result = insights(options)
    assert "db.index.missing.ok" in findings


def test_duplicate_indexes(insights, server, database):
    execute(
        server,
        database,
        "CREATE TABLE d (id int PRIMARY KEY, a int, b int, t text)",
        "CREATE INDEX d_a ON d (a)",
        "CREATE INDEX d_a_b ON d (a, b)",
        "CREATE INDEX d_id ON d (id)",
        "CREATE INDEX d_t ON d (t)",
        "CREATE INDEX d_t2 ON d (t)",
        # none of these is covered by another one
        "CREATE INDEX d_b_desc ON d (b DESC)",
        "CREATE INDEX d_b ON d (b)",
        "CREATE INDEX d_t_pattern ON d (t text_pattern_ops)",
        "CREATE INDEX d_a_part ON d (a) WHERE b > 5",
        "CREATE INDEX d_lower ON d (lower(t))",
        "CREATE INDEX d_upper ON d (upper(t))",
        "CREATE INDEX d_b_include ON d (b) INCLUDE (t)",
        "CREATE UNIQUE INDEX d_unique ON d (a, id)",
        "CREATE INDEX d_hash ON d USING hash (a)",
    )
    findings, _result = insights(login_db=database, checks=["duplicate_indexes"])
    pairs = {
        (row["index"], row["covered_by"])
        for row in findings["db.index.duplicate"]["evidence"]["indexes"]
    }
    assert {index for index, _by in pairs} == {"d_a", "d_id", "d_t2", "d_b"}
    assert (
        ("d_id", "d_pkey") in pairs and ("d_t2", "d_t") in pairs and ("d_b", "d_b_include") in pairs
    )


def test_invalid_index_is_what_a_failed_concurrent_build_leaves(insights, server, database):
    execute(server, database, "CREATE TABLE i (a int)", "INSERT INTO i VALUES (1), (1)")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        execute(server, database, "CREATE UNIQUE INDEX CONCURRENTLY i_a ON i (a)")
    findings, _result = insights(login_db=database, checks=["invalid_indexes"])
    item = findings["db.index.invalid"]
    assert item["status"] == "warn" and "DROP INDEX CONCURRENTLY public.i_a" in item["advice"]


def test_index_being_built_is_not_invalid(insights, server, database):
    execute(server, database, "CREATE TABLE i (a int)", "INSERT INTO i VALUES (1)")
    with contextlib.closing(server.connect(database=database)) as blocker:
        blocker.autocommit = False
        blocker.cursor().execute("INSERT INTO i VALUES (2)")
        builder = threading.Thread(
            target=execute, args=(server, database, "CREATE INDEX CONCURRENTLY i_a ON i (a)")
        )
        builder.start()
        until(lambda: value(server, database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"))
        findings, _result = insights(login_db=database, checks=["invalid_indexes"])
        blocker.rollback()
        builder.join()
    assert "i_a" in findings["db.index.invalid.ok"]["summary"]


def test_unused_index_waits_for_a_week_of_statistics(insights, server, database):
    execute(
        server,
        database,
        "CREATE TABLE u (id int, filler text)",
        "INSERT INTO u SELECT i, md5(i::text) FROM generate_series(1, 200000) i",
        "CREATE INDEX u_filler ON u (filler)",
        "ANALYZE u",
    )
    findings, _result = insights(login_db=database, checks=["unused_indexes"])
    assert "too early" in findings["db.index.unused.skipped"]["summary"]


def test_bloat_estimate_agrees_with_the_measurement(insights, server, database):
    execute(
        server,
        database,
        "CREATE TABLE b (flag bool, id bigint PRIMARY KEY, n int, note text) WITH"
        " (autovacuum_enabled = off)",
        "INSERT INTO b SELECT true, i, CASE WHEN i % 3 = 0 THEN i END, repeat('x', (i % 60)::int) "
        "FROM generate_series(1, 200000) i",
        "VACUUM ANALYZE b",
    )
    options = {
        "login_db": database,
        "checks": ["bloat"],
        "thresholds": {"bloat_percent": {"warn": 0}},
    }

    def bloat():
        _findings, result = insights(options)
        return next(row for row in result["insights"]["bloat"]["tables"] if row["table"] == "b")

    # Before 15 statistics take half a second to be seen.
    fresh = until(lambda: (row := bloat())["percent"] is not None and row)
    assert fresh["confidence"] == "estimated" and fresh["percent"] < 5
    execute(server, database, "UPDATE b SET n = n", "UPDATE b SET n = n", "VACUUM ANALYZE b")
    estimated = until(lambda: ((row := bloat())["percent"] or 0) > 50 and row)
    execute(server, database, "CREATE EXTENSION pgstattuple")
    measured = bloat()
    assert measured["confidence"] == "measured"
    assert estimated["percent"] == pytest.approx(measured["percent"], abs=5)
    assert 55 < measured["percent"] < 75
    findings, _result = insights(login_db=database, checks=["bloat"])
    assert findings["db.bloat"]["evidence"]["tables"][0]["table"] == "b"
    # Rows that came after ANALYZE spoil an estimate, and not a measurement.
    execute(server, database, "DROP EXTENSION pgstattuple", "UPDATE b SET n = 1 WHERE id < 60000")
    stale = until(lambda: (row := bloat())["percent"] is None and row)
    assert "stale" in stale["reason"]


@pytest.mark.postgresql_versions
def test_bloat_without_sight_of_statistics_is_unknown(insights, server, database):
    execute(
        server,
        database,
        "CREATE TABLE b (id bigint PRIMARY KEY, note text)",
        "INSERT INTO b SELECT i, repeat('x', 100) FROM generate_series(1, 100000) i",
        "VACUUM ANALYZE b",
    )
    options = {"checks": ["bloat"]}
    findings, _result = insights(options, login=server.tcp("monitor", login_db=database))
    item = findings["db.bloat.unknown"]
    role = "pg_read_all_data" if reads_all_data(server) else "owner"
    assert item["status"] == "unknown" and role in item["advice"]
    execute(server, database, "GRANT SELECT ON b TO reader")
    findings, _result = until(
        lambda: (
            (a := insights(options, login=server.tcp("reader", login_db=database)))
            and "db.bloat.ok" in a[0]
            and a
        )
    )
    assert findings["db.bloat.ok"]["confidence"] == "estimated"


@pytest.mark.postgresql_versions
def test_dead_rows_and_stale_statistics(insights, server, database):
    execute(
        server,
        database,
        "CREATE TABLE v (id int, n int) WITH (autovacuum_enabled = off)",
        "INSERT INTO v SELECT i, 0 FROM generate_series(1, 30000) i",
        "VACUUM ANALYZE v",
    )
    execute(server, database, "UPDATE v SET n = 1", "UPDATE v SET n = 2")
    options = {"login_db": database, "checks": ["vacuum", "statistics"]}
    findings, _result = until(
        lambda: (a := insights(options)) and "db.vacuum.overdue" in a[0] and a
    )
    assert "autovacuum is off for v" in findings["db.vacuum.overdue"]["summary"]
    assert findings["db.statistics.stale"]["evidence"]["tables"][0]["changed_rows"] == 60000
    execute(server, database, "VACUUM ANALYZE v")
    until(lambda: set(insights(options)[0]) == {"db.vacuum.ok", "db.statistics.ok"})


@pytest.mark.postgresql_versions
def test_lock_chain_and_its_root(insights, server, database):
    execute(
        server,
        database,
        "CREATE TABLE l (id int PRIMARY KEY, n int)",
        "INSERT INTO l VALUES (1, 1)",
    )

    def waiting(count):
        statement = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        return value(server, database, statement) == count

    threads = []
    with contextlib.closing(server.connect(database=database, application="culprit")) as root:
        root.autocommit = False
        root.cursor().execute("UPDATE l SET n = 2")
        for statement in (
            "UPDATE l SET n = 471147 WHERE id = 1",
            "ALTER TABLE l ADD COLUMN m int",
            "SELECT * FROM l",
        ):
            threads.append(threading.Thread(target=execute, args=(server, database, statement)))
            threads[-1].start()
            until(functools.partial(waiting, len(threads)))
        findings, result = insights(
            login_db=database,
            thresholds={"lock_wait_seconds": {"warn": 0.01}, "transaction_seconds": {"warn": 0}},
        )
        pid = root.info.backend_pid
        root.rollback()
    for thread in threads:
        thread.join()
    item = findings["db.locks.blocked"]
    assert [row["pid"] for row in item["evidence"]["roots"]] == [pid]
    assert item["evidence"]["roots"][0]["application"] == "culprit"
    assert len(item["evidence"]["waiting"]) == 3
    assert "pg_terminate_backend(%d)" % pid in item["advice"]
    assert "471147" not in str(result)
    # The table's exclusive lock was waited for: no question about sizes stood in that queue.
    assert not [item for item in findings.values() if item["status"] == "unknown"]


def test_locked_index_does_not_hold_up_the_diagnosis(insights, server, database):
    execute(
        server,
        database,
        "CREATE TABLE r AS SELECT i AS id, repeat('x', 300) AS t FROM generate_series(1, 50000) i",
        "CREATE UNIQUE INDEX r_id ON r (id)",
        "CREATE EXTENSION pgstattuple",
        "VACUUM ANALYZE r",
    )
    with contextlib.closing(server.connect(database=database)) as connection:
        connection.autocommit = False
        connection.cursor().execute("REINDEX INDEX r_id")
        findings, result = insights(login_db=database)
        connection.rollback()
    # That one table's bloat is unknown, and it says why.
    unknown = [item["summary"] for item in findings.values() if item["status"] == "unknown"]
    assert len(unknown) == 1 and "exclusively locked (r)" in unknown[0]
    assert max(result["query_seconds"].values()) < 2, result["query_seconds"]


def test_previous_of_another_database_is_refused(server, database, run_module):
    other = {"server": {"database": "other", "taken_at": 0}}
    result = run_module("pg_insights", server.login(login_db=database, previous=other))
    assert result["failed"] and "previous" in result["msg"]


@pytest.mark.postgresql_versions
def test_a_prepared_transaction_that_locks_a_table(insights, server, database):
    execute(
        server,
        database,
        "CREATE TABLE p (id int)",
        "BEGIN",
        "LOCK TABLE p IN SHARE ROW EXCLUSIVE MODE",
        "INSERT INTO p VALUES (1)",
        "PREPARE TRANSACTION 'abandoned'",
    )
    try:
        # What is a minute old counts: the test must not wait for that.
        findings, _result = insights(
            login_db=database,
            checks=["transactions"],
            thresholds={"prepared_seconds": {"warn": 0}},
        )
    finally:
        execute(server, database, "ROLLBACK PREPARED 'abandoned'")
    item = findings["db.transactions.prepared"]
    assert (item["status"], item["reason"]) == ("warn", "locks")
    (row,) = item["evidence"]["prepared"]
    assert (row["gid"], row["database"]) == ("abandoned", database)
    assert {"table": "public.p", "mode": "ShareRowExclusiveLock"} in row["locks"]
    assert "ROLLBACK PREPARED 'abandoned'" in item["advice"]


@pytest.mark.postgresql_versions
def test_slot_that_no_client_reads_holds_wal(insights, server, database):
    execute(
        server,
        database,
        "SELECT pg_create_physical_replication_slot('dead', true)",
        "CREATE TABLE w AS SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i",
        "SELECT pg_switch_wal()",
    )
    try:
        findings, _result = insights(
            login_db=database,
            checks=["slots", "disk"],
            thresholds={"slot_bytes": {"warn": 1000000}, "disk_percent": {"warn": 0}},
        )
    finally:
        execute(server, "postgres", "SELECT pg_drop_replication_slot('dead')")
    item = findings["db.wal.slot_inactive"]
    assert item["value"] >= 1000000 and "pg_drop_replication_slot('dead')" in item["advice"]
    held = findings["db.disk.full"]["evidence"]["wal_held_by"]
    assert len(held) == 1 and held[0].startswith("slot dead")


@pytest.mark.postgresql_versions
def test_sequence_ends_where_its_column_does(insights, server, database):
    execute(
        server,
        database,
        "CREATE SEQUENCE s",
        "CREATE TABLE q (id int DEFAULT nextval('s'), big bigserial)",
        "ALTER SEQUENCE s OWNED BY q.id",
        "SELECT setval('s', 2000000000)",
    )
    findings, _result = insights(login_db=database, checks=["sequences"])
    item = findings["db.sequences.exhausted"]
    assert item["status"] == "warn" and item["value"] == pytest.approx(93.13, abs=0.01)
    assert "the type of q.id" in item["summary"]


@pytest.mark.postgresql_versions
def test_disabled_triggers(insights, server, database):
    execute(
        server,
        database,
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE child (id int CONSTRAINT of_parent REFERENCES parent)",
        "ALTER TABLE child DISABLE TRIGGER ALL",
    )
    findings, _result = insights(login_db=database, checks=["triggers"])
    rows = findings["db.triggers.ok"]["evidence"]["triggers"]
    assert [(row["table"], row["trigger"], row["is_constraint"]) for row in rows] == [
        ("child", "of_parent", True)
    ]


@pytest.mark.postgresql_versions
def test_a_sequence_that_only_defaults_name(insights, server, database):
    execute(
        server,
        database,
        "CREATE SEQUENCE shared",
        "CREATE TABLE wide (id bigint DEFAULT nextval('shared'))",
        "CREATE TABLE narrow (id int DEFAULT nextval('shared'))",
        "SELECT setval('shared', 2000000000)",
    )
    findings, _result = insights(login_db=database, checks=["sequences"])
    item = findings["db.sequences.exhausted"]
    assert item["value"] == pytest.approx(93.13, abs=0.01)
    assert "the type of narrow.id" in item["summary"]


def test_growth_since_the_previous_run(insights, server, database):
    execute(server, database, "CREATE TABLE audit_logs (id int, line text)")
    _findings, first = insights(login_db=database, checks=["sizes"])
    execute(
        server,
        database,
        "INSERT INTO audit_logs SELECT i, repeat('x', 200) FROM generate_series(1, 20000) i",
    )
    findings, _result = insights(login_db=database, checks=["sizes"], previous=first["insights"])
    grown = findings["db.size.ok"]["evidence"]["growth"]
    assert (
        grown["tables"][0]["table"] == "audit_logs" and grown["tables"][0]["grown_bytes"] > 4000000
    )
    assert database in [row["database"] for row in grown["databases"]]


def test_schemas_select(insights, server, database):
    execute(
        server,
        database,
        'CREATE SCHEMA "odd ""one"""',
        'CREATE TABLE "odd ""one""".t (a int)',
        'CREATE INDEX a ON "odd ""one""".t (a)',
        'CREATE INDEX b ON "odd ""one""".t (a)',
    )
    findings, _result = insights(
        login_db=database, checks=["duplicate_indexes"], schemas=["public"]
    )
    assert "db.index.duplicate.ok" in findings
    findings, _result = insights(
        login_db=database, checks=["duplicate_indexes"], schemas=['odd "one"']
    )
    assert 'DROP INDEX CONCURRENTLY "odd ""one""".b' in findings["db.index.duplicate"]["advice"]


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_plain_role_gets_unknown_and_the_role_to_grant(insights, server, database, driver):
    execute(server, database, "CREATE SEQUENCE s", "SELECT count(*) FROM pg_class")
    findings, _result = insights(login=server.tcp("plain", login_db=database), driver=driver)
    for id, role in (
        ("db.queries.slow.unknown", "pg_read_all_stats"),
        ("db.queries.running.unknown", "pg_read_all_stats"),
        ("db.transactions.unknown", "pg_read_all_stats"),
        ("db.wal.unknown", "pg_monitor"),
        ("db.sequences.unknown", "pg_read_all_data" if reads_all_data(server) else "SEQUENCES"),
    ):
        assert role in findings[id]["advice"], id
    assert not [item for item in findings.values() if item["status"] in ("warn", "fail")]
    assert all("error" not in item["summary"].lower() for item in findings.values())


@pytest.mark.postgresql_versions
def test_monitor_sees_all_but_sequences_and_column_statistics(insights, server, database):
    execute(server, database, "CREATE SEQUENCE s")
    findings, _result = insights(login=server.tcp("monitor", login_db=database))
    assert [item["id"] for item in findings.values() if item["status"] == "unknown"] == [
        "db.sequences.unknown"
    ]


@pytest.mark.parametrize("driver", DRIVERS)
def test_wrong_password_is_a_finding(insights, server, driver):
    findings, result = insights(login=server.tcp("plain", login_password="wrong"), driver=driver)
    assert result["driver"] is None
    assert list(findings) == ["db.auth.failed"] and result["roots"] == ["db.auth.failed"]


def test_impossible_options_are_refused(server, run_module):
    for options, word in (
        ({"thresholds": {"nothing": {"warn": 1}}}, "nothing"),
        ({"limit": 0}, "limit"),
        ({"checks": ["disk"], "skip": ["disk"]}, "leave nothing"),
    ):
        result = run_module("pg_insights", {**server.login(), **options})
        assert result["failed"] and word in result["msg"]


class Counting:
    """A session that counts its questions."""

    def __init__(self, session):
        self._session = session
        self.version = session.version
        self.questions = 0

    def rows(self, sql, args=()):
        self.questions += 1
        return self._session.rows(sql, args)


def test_number_of_questions_does_not_grow_with_the_tables(server, database):
    def questions():
        with connect(server.login(login_db=database), Deadline(60)) as session:
            counting = Counting(session)
            diagnosis.diagnose(Scope(counting, THRESHOLDS), list(diagnosis.CHECKS), "here")
            return counting.questions

    execute(
        server,
        database,
        "CREATE TABLE first AS SELECT i AS id, repeat('x', 500) AS note FROM generate_series(1,"
        " 30000) i",
    )
    execute(server, database, "SELECT count(*) FROM first")
    few = questions()
    execute(
        server,
        database,
        "DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE format("
        "'CREATE TABLE many_%s (id serial PRIMARY KEY, a int)', i); END LOOP; END $$",
        "DO $$ BEGIN FOR i IN 1..3 LOOP EXECUTE format("
        "'CREATE TABLE large_%s AS SELECT * FROM first', i); END LOOP; END $$",
    )
    assert questions() == few < 40


def test_diagnosis_leaves_no_trace_in_the_statistics_it_reads(insights, server, database):
    execute(server, database, "SELECT public.pg_stat_statements_reset()")
    insights(login_db=database)
    _findings, result = insights(login_db=database, checks=["slow_queries"])
    assert not [
        row for row in result["insights"]["statements"]["top"] if "pg_catalog" in row["query"]
    ]
    assert (
        value(
            server,
            database,
            "SELECT count(*) FROM public.pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid "
            "WHERE d.datname = current_database() AND s.query ~ 'pg_(class|locks|stat)' "
            "AND s.query !~ 'sergas[.]ops' AND s.query !~ 'public'",
        )
        == 0
    )


def test_a_schema_that_is_not_there_is_refused_by_name(run_module, server, database):
    result = run_module(
        "pg_insights", {**server.login(login_db=database), "schemas": ["public", "nope"]}
    )
    assert result["failed"] and result["msg"].startswith("schemas: there is no nope in"), result


def test_deadline_bounds_a_server_that_hangs(insights, server, database):
    started = time.monotonic()
    findings, _result = insights(login_db=database, deadline=0.001)
    assert time.monotonic() - started < 5
    assert {item["status"] for item in findings.values()} <= {"unknown", "fail"}


@pytest.fixture(scope="module")
def archiving(make_postgres):
    return make_postgres(
        archive_mode="on",
        archive_command="'false secret-credential %p'",
        full_page_writes="off",
    )


def test_failing_archiver_and_harmful_settings(insights, archiving):
    execute(archiving, "postgres", "CREATE TABLE a AS SELECT 1", "SELECT pg_switch_wal()")
    options = {"login": archiving.login(), "checks": ["archiver", "settings"]}
    findings, result = until(
        lambda: (a := insights(**options)) and "db.wal.archiver_failing" in a[0] and a
    )
    item = findings["db.wal.archiver_failing"]
    assert item["status"] == "fail" and item["value"] >= 1
    assert "secret-credential" not in str(result)
    harmful = {row["name"] for row in findings["db.settings.harmful"]["evidence"]["settings"]}
    # The tests' servers run without fsync unless a test says otherwise.
    assert harmful == {"fsync", "full_page_writes"}
    archiving.configure({"archive_command": "'true'"})
    execute(archiving, "postgres", "SELECT pg_reload_conf()", "SELECT pg_switch_wal()")
    until(lambda: "db.wal.archiver.ok" in insights(**options)[0], seconds=90)


@pytest.fixture(scope="module")
def standby(make_postgres, server):
    standby = make_postgres()
    standby.stop()
    shutil.rmtree(standby.data)
    execute(server, "postgres", "SELECT pg_create_physical_replication_slot('standby')")
    # A copy of a stopped server: not every package has pg_basebackup.
    server.stop(mode="fast")
    subprocess.run(["cp", "-a", server.data, standby.data], check=True)
    server.start()
    (standby.data / "standby.signal").touch()
    shutil.chown(standby.data / "standby.signal", standby.owner)
    shutil.rmtree(standby.data / "pg_replslot" / "standby")
    standby.configure(
        {
            "port": standby.port,
            "unix_socket_directories": f"'{standby.directory}'",
            "primary_slot_name": "standby",
            "primary_conninfo": f"'host={server.directory} port={server.port}'",
        }
    )
    standby.start()
    yield standby
    standby.stop()
    execute(server, "postgres", "SELECT pg_drop_replication_slot('standby')")


@pytest.mark.postgresql_versions
def test_standby_and_its_primary(insights, server, standby):
    login = standby.login()
    findings, _result = until(
        lambda: (a := insights(login=login)) and "db.replication.ok" in a[0] and a, seconds=30
    )
    assert {item["status"] for item in findings.values()} <= GOOD
    for id in ("db.vacuum.skipped", "db.statistics.skipped", "db.index.unused.skipped"):
        assert "standby" in findings[id]["summary"].lower()
    findings, _result = until(
        lambda: (
            (a := insights(checks=["replication", "slots"])) and "db.replication.ok" in a[0] and a
        )
    )
    assert "replica" in findings["db.replication.ok"]["summary"]
    assert "db.wal.slot.ok" in findings
    execute(standby, "postgres", "SELECT pg_wal_replay_pause()")
    try:
        findings, _result = insights(login=login, checks=["replication"])
        assert "paused" in findings["db.replication.lag"]["summary"]
    finally:
        execute(standby, "postgres", "SELECT pg_wal_replay_resume()")


@pytest.fixture
def small_disk(make_postgres):
    """A server whose data directory is a file system of 140 MB."""
    server = make_postgres(
        fsync="on", max_wal_size="'64MB'", min_wal_size="'32MB'", autovacuum="off"
    )
    server.stop()
    copy = server.directory / "copy"
    server.data.rename(copy)
    server.data.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=140m", "tmpfs", str(server.data)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        copy.rename(server.data / "copy")
        pytest.skip("a file system cannot be mounted here: %s" % mounted.stderr.decode())
    try:
        subprocess.run(["cp", "-a", f"{copy}/.", str(server.data)], check=True)
        server.data.chmod(0o700)
        server.start()
        yield server
        server.stop()
    finally:
        subprocess.run(["umount", "-l", str(server.data)], check=True)


@pytest.mark.postgresql_versions
def test_disk_full_names_what_fills_it(insights, small_disk):
    login = small_disk.login()
    options = {
        "login": login,
        "checks": ["disk", "slots", "settings"],
        "thresholds": {"disk_percent": {"warn": 70}, "slot_bytes": {"warn": 10000000}},
    }
    findings, _result = insights(**options)
    assert "db.disk.ok" in findings
    execute(
        small_disk,
        "postgres",
        "CREATE UNLOGGED TABLE audit_logs AS SELECT i, repeat('x', 900) AS line FROM"
        " generate_series(1, 90000) i",
    )
    findings, _result = insights(**options)
    item = findings["db.disk.full"]
    assert item["evidence"]["filled_by"][0]["what"] == "tables"
    assert item["evidence"]["tables"][0]["table"] == "audit_logs"
    assert "90 days" in item["advice"]
    execute(
        small_disk,
        "postgres",
        "DROP TABLE audit_logs",
        "CHECKPOINT",
        "SELECT pg_create_physical_replication_slot('dead', true)",
        "CREATE TABLE w (line text)",
        *["INSERT INTO w SELECT repeat('y', 900) FROM generate_series(1, 8000)", "TRUNCATE w"] * 10,
    )
    findings, result = insights(**options)
    item = findings["db.disk.full"]
    assert item["evidence"]["filled_by"][0]["what"] == "wal"
    assert item["cause"] == "db.wal.slot_inactive"
    assert "db.wal.slot_inactive" in result["roots"] and "db.disk.full" not in result["roots"]
    execute(small_disk, "postgres", "SELECT pg_drop_replication_slot('dead')", "CHECKPOINT")
    until(lambda: "db.disk.ok" in insights(**options)[0])
    # Not one byte free: the diagnosis writes nothing, so it works as ever.
    with contextlib.suppress(OSError), (small_disk.data / "ballast").open("wb", 0) as ballast:
        while ballast.write(bytes(65536)):
            pass
    for driver in DRIVERS:
        # Until 14, who reads statistics waits ten seconds for what the server cannot write.
        findings, _result = insights(login=login, driver=driver, deadline=60)
        item = findings["db.disk.full"]
        assert item["status"] == "fail" and item["evidence"]["filesystem"]["free"] == 0
        assert "other files" in [row["what"] for row in item["evidence"]["filled_by"]]
        unknown = {item["summary"] for item in findings.values() if item["status"] == "unknown"}
        # Until 14 the server itself writes its statistics to that disk, for who wants to read them.
        assert not unknown or (
            small_disk.version < 15 and all("statistics are not" in text for text in unknown)
        ), unknown
        assert {item["status"] for item in findings.values()} <= {*GOOD, "fail", "unknown"}
    (small_disk.data / "ballast").unlink()


def seizing(name, arguments, returns):
    """Return SQL for a function that makes its owner a superuser where it is called by one."""
    result = "" if returns == "void" else "RETURN NULL;"
    return (
        f"CREATE FUNCTION public.{name}({arguments}) RETURNS {returns} LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN"
        f" EXECUTE 'ALTER ROLE sergas SUPERUSER'; END IF; {result} END $$"
    )


def as_sergas(server, database, *statements):
    with contextlib.closing(server.connect("sergas", database)) as connection:
        for statement in statements:
            with connection.cursor() as cursor:
                cursor.execute(statement)


def sergas_is_superuser(server):
    return value(server, "postgres", "SELECT rolsuper FROM pg_roles WHERE rolname = 'sergas'")


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_what_an_old_extension_does_not_have_is_not_called_elsewhere(
    insights, run_module, server, database, driver
):
    execute(
        server,
        database,
        "DROP EXTENSION pg_stat_statements",
        "CREATE EXTENSION pg_stat_statements VERSION '1.6'",
        "GRANT CREATE ON SCHEMA public TO sergas",
    )
    as_sergas(
        server,
        database,
        seizing("pg_stat_statements_reset", "oid, oid, bigint", "void"),
        seizing("pg_stat_statements_reset", "oid, oid, bigint, boolean", "timestamptz"),
        seizing("stats_reset", "", "timestamptz"),
        "CREATE VIEW public.pg_stat_statements_info AS SELECT public.stats_reset() AS stats_reset",
        "CREATE TABLE t (i int)",
    )
    options = {
        **server.login(login_db=database),
        "tables": ["t"],
        "always": True,
        "reset_counters": True,
        "reset_statements": ["1"],
    }
    assert run_module("pg_vacuum", options, driver)["changed"]
    findings, _result = insights(login_db=database, checks=["slow_queries"])
    assert "db.queries.slow.unknown" not in findings
    assert not sergas_is_superuser(server)


@pytest.mark.postgresql_versions
def test_counters_of_statements_are_reset_by_their_ids(run_module, server, database):
    execute(server, database, "CREATE TABLE t (i int)", "SELECT public.pg_stat_statements_reset()")
    execute(server, database, "SELECT i FROM t WHERE i = 1", "SELECT i + 1 FROM t")
    counted = "SELECT {} FROM pg_stat_statements WHERE query LIKE 'SELECT i %'"
    ids = value(server, database, counted.format("array_agg(queryid::text ORDER BY query)"))
    assert len(ids) == 2
    options = {**server.login(login_db=database), "tables": ["t"], "always": True}
    run_module("pg_vacuum", {**options, "reset_statements": ids[:1]}, check=True)
    assert value(server, database, counted.format("count(*)")) == 2
    run_module("pg_vacuum", {**options, "reset_counters": True, "reset_statements": ids[:1]})
    assert value(server, database, counted.format("array_agg(queryid::text)")) == ids[1:]
    scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 't'"
    assert until(lambda: value(server, database, scans) == 0)


def test_a_schema_that_is_being_replaced_is_not_queried(insights, server, database):
    """The owner of the database owns public since 15: what is in there by the time it is called
    may be another one's.
    """
    execute(server, database, "ALTER SCHEMA public OWNER TO sergas")
    with contextlib.closing(server.connect("sergas", database)) as connection:
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute("ALTER SCHEMA public RENAME TO gone")
        findings, _result = insights(login_db=database, checks=["slow_queries"])
        assert "being changed" in findings["db.queries.slow.unknown"]["summary"]
        connection.rollback()
    findings, _result = insights(login_db=database, checks=["slow_queries"])
    assert "db.queries.slow.unknown" not in findings


def findings_of(server, name, database="postgres"):
    login = server.login(login_db=database)
    with connect(login, Deadline(30)) as session:
        scope = Scope(session, dict(THRESHOLDS), deadline=Deadline(30))
        return diagnosis.decide(scope, name, diagnosis.observe(scope, [name]))


def test_a_collation_that_changed_is_found_with_its_indexes(server, database):
    version = int(value(server, database, "SHOW server_version_num"))
    (item,) = findings_of(server, "collation", database)
    assert item["id"] == ("db.collation.ok" if version >= 150000 else "db.collation.skipped")
    has_version = "SELECT collversion FROM pg_collation WHERE collname = 'en-x-icu'"
    if version >= 150000:
        name = "the default of %s" % database
        execute(server, database, "CREATE TABLE words (word text PRIMARY KEY)")
        execute(
            server,
            database,
            "UPDATE pg_database SET datcollversion = '0.1' WHERE datname = current_database()",
        )
    elif value(server, database, has_version):
        name = "pg_catalog.en-x-icu"
        execute(server, database, 'CREATE TABLE words (word text COLLATE "en-x-icu" PRIMARY KEY)')
        execute(
            server,
            database,
            "UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'en-x-icu'",
        )
    else:
        pytest.skip("this server was built without ICU")
    (item,) = findings_of(server, "collation", database)
    assert (item["id"], item["status"]) == ("db.collation.changed", "fail")
    assert item["evidence"]["collations"][0]["collation"] == name
    assert item["value"] >= 1


def test_a_damaged_page_is_counted(make_postgres):
    server = make_postgres()
    if value(server, "postgres", "SHOW data_checksums") != "on":
        (item,) = findings_of(server, "checksums")
        assert item["id"] == "db.checksums.skipped"
        if not (server.programs / "pg_checksums").exists():
            pytest.skip("these programs have no pg_checksums")
        server.stop("fast")
        server._as_owner("pg_checksums", "--enable", "-D", server.data)
        server.start()
    execute(
        server,
        "postgres",
        "CREATE TABLE pages AS SELECT repeat('x', 3000) FROM generate_series(1, 9)",
    )
    execute(server, "postgres", "CHECKPOINT")
    (item,) = findings_of(server, "checksums")
    assert item["id"] == "db.checksums.ok"
    path = value(server, "postgres", "SELECT pg_relation_filepath('pages')")
    server.stop("fast")
    with open("%s/%s" % (server.data, path), "r+b") as page:
        page.seek(8100)
        page.write(b"damage")
    server.start()
    with pytest.raises(psycopg2.Error, match="invalid page"):
        execute(server, "postgres", "SELECT count(*) FROM pages")
    item = eventually(lambda: findings_of(server, "checksums")[0], "db.checksums.failing")
    assert item["status"] == "fail" and item["value"] >= 1


def eventually(find, id):
    """Return a finding as soon as it has an id: the server counts in another process."""
    for _attempt in range(50):
        item = find()
        if item["id"] == id:
            break
        time.sleep(0.2)
    return item
