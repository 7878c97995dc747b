# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pg_retention, pg_index and pg_vacuum on a real server, over both clients."""

from __future__ import annotations

import concurrent.futures
import contextlib
import shutil
import time

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql import sql

DRIVERS = ["psycopg2", "pgwire"]
ROWS = """
INSERT INTO {table} (actor, created_at)
SELECT 'a', now() - n * interval '1 day' - interval '1 hour' FROM generate_series(0, 199) AS n
"""


#: The session that builds an index, as long as it does.
LEADS_TO_INDEX = "SELECT 1 FROM pg_stat_progress_create_index"


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


def until(condition):
    """Wait until a condition holds: before 15, what statistics have counted is seen later."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "the condition did not hold in time"
        time.sleep(0.05)


def counted(connection, table, condition):
    """Wait until the statistics of a table are seen."""
    query = "SELECT %s FROM pg_stat_user_tables WHERE relname = '%s'" % (condition, table)
    until(lambda: run(connection, query) == [(True,)])


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


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("kind", ["indexed", "plain", "partitioned"])
def test_old_rows_go_and_no_other_one(database, run_module, kind, driver):
    connection, login = database
    make(connection, kind)
    options = {**login, "table": "log", "days": 90, "batch_rows": 7, "pause": 0}
    planned = run_module("pg_retention", options, driver, check=True)
    assert run(connection, "SELECT count(*) FROM log") == [(200,)]
    done = run_module("pg_retention", options, driver)
    assert done["driver"] == driver
    assert (planned["changed"], planned["rows"]) == (done["changed"], done["rows"]) == (True, 110)
    # The same rows in two ways: how they are padded differs by a few bytes.
    assert planned["bytes"] == pytest.approx(done["bytes"], rel=0.01) and done["bytes"] > 110 * 20
    assert done["finished"] and done["batches"] >= 110 // 7
    assert run(
        connection,
        "SELECT count(*), count(*) FILTER (WHERE created_at < now() - interval '90 days') FROM log",
    ) == [(90, 0)]
    again = run_module("pg_retention", options, driver)
    assert (again["changed"], again["rows"]) == (False, 0)


@pytest.mark.parametrize("batch_rows", [1, 7, 5000])
@pytest.mark.parametrize("kind", ["indexed", "plain"])
def test_a_row_that_another_session_works_on_is_left_to_a_later_run(
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


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("kind", ["indexed", "plain", "partitioned"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_percent_sign_in_a_name_is_one(database, run_module, kind, driver):
    connection, login = database
    make(connection, kind)
    run(connection, 'ALTER TABLE log RENAME COLUMN created_at TO "at%s"')
    if kind == "partitioned":
        run(connection, 'ALTER TABLE log_old RENAME TO "%(old)s"')
    run(connection, 'ALTER TABLE log RENAME TO "log%d"; CREATE SCHEMA "s%"')
    run(connection, 'ALTER TABLE "log%d" SET SCHEMA "s%"')
    table = {"schema": "s%", "table": "log%d", "column": "at%s", "batch_rows": 7, "pause": 0}
    done = run_module("pg_retention", {**login, **table}, driver)
    assert (done["rows"], done["finished"]) == (110, True), done


KEEPING = {
    "trigger": (
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN IF {which} THEN RETURN NULL; END IF; RETURN OLD; END $$;"
        "CREATE TRIGGER hold BEFORE DELETE ON log FOR EACH ROW EXECUTE FUNCTION keep()"
    ),
    "rule": "CREATE RULE hold AS ON DELETE TO log WHERE {which} DO INSTEAD NOTHING",
}


@pytest.mark.parametrize("rows", ["indexed", "plain"])
@pytest.mark.parametrize("kind", KEEPING)
def test_what_keeps_rows_from_being_deleted_is_named(keeper, postgres, run_module, kind, rows):
    connection, base = keeper
    make(connection, rows)
    options = {**base, "batch_rows": 7, "owner_password": postgres.password, "deadline": 20}
    # Every third one: what is in a batch with others goes.
    run(connection, KEEPING[kind].format(which="OLD.id % 3 = 0"))
    planned = run_module("pg_retention", options, check=True)
    assert "the %s hold of public.log" % kind in str(planned["warnings"]), planned
    done = run_module("pg_retention", options)
    kept = run(connection, "SELECT count(*) FROM log WHERE created_at < now() - interval '90 days'")
    assert done["rows"] + kept[0][0] == 110 and kept[0][0] >= 36, done
    assert (done["finished"], done["remaining"]) == (False, kept[0][0])
    assert "the %s hold of public.log keeps rows" % kind in done["stopped_by"]
    # All of them: it ends after a batch, long before its deadline.
    run(connection, "DROP TABLE log; DROP FUNCTION IF EXISTS keep()")
    make(connection, rows)
    run(connection, KEEPING[kind].format(which="true"))
    none = run_module("pg_retention", options)
    assert (none["changed"], none["rows"], none["batches"]) == (False, 0, 1), none
    assert "hold of public.log keeps rows" in none["stopped_by"]


def test_a_table_that_others_refer_to_is_refused(database, run_module):
    connection, login = database
    run(connection, "CREATE TABLE log (id int PRIMARY KEY, created_at timestamptz)")
    run(connection, "CREATE TABLE detail (log_id int REFERENCES log ON DELETE CASCADE)")
    result = run_module("pg_retention", {**login, "table": "log"})
    assert result["failed"] and "detail" in result["msg"]


#: What the app's role can put beside its tables: it makes the role a superuser wherever it runs
#: with the rights of one, and steps back into the session's own role first.
SEIZE = """
CREATE FUNCTION public.seize_now() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    EXECUTE 'RESET SESSION AUTHORIZATION'; EXECUTE 'RESET ROLE';
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
    EXECUTE 'ALTER ROLE keeper SUPERUSER';
  END IF;
END $$;
CREATE FUNCTION public.seize(n bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN PERFORM public.seize_now(); RETURN n; END $$;
CREATE FUNCTION public.seize() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM public.seize_now(); RETURN OLD; END $$;
"""
TABLE = "CREATE TABLE log (id bigint PRIMARY KEY, created_at timestamptz NOT NULL);"
#: What it makes of its table, and how the refusal to touch that as a superuser names it.
CODE = {
    "trigger": (
        TABLE + "CREATE TRIGGER hook BEFORE DELETE ON log FOR EACH ROW EXECUTE FUNCTION seize()",
        "the trigger hook",
    ),
    "deferred trigger": (
        TABLE + "CREATE CONSTRAINT TRIGGER hook AFTER DELETE ON log DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION seize()",
        "the trigger hook",
    ),
    "rule": (TABLE + "CREATE RULE hook AS ON DELETE TO log DO ALSO SELECT seize(1)", "rule hook"),
    "policy": (TABLE + "CREATE POLICY hook ON log USING (seize(id) > 0)", "the row policy hook"),
    "index": (TABLE + "CREATE INDEX hook ON log ((id + seize(1)))", "the index hook"),
    "partial index": (TABLE + "CREATE INDEX hook ON log (id) WHERE id > seize(1)", "index hook"),
    "statistics": (
        TABLE + "CREATE STATISTICS hook ON (id + seize(1)), created_at FROM log",
        "the statistics hook",
    ),
    "constraint": (
        TABLE + "ALTER TABLE log ADD CONSTRAINT hook CHECK (id > seize(-1))",
        "the constraint hook",
    ),
    "operator": (
        TABLE + "CREATE OPERATOR public.!!! (RIGHTARG = bigint, FUNCTION = seize);"
        "CREATE INDEX hook ON log ((!!! 1::bigint + id))",
        "the index hook",
    ),
    "domain": (
        "CREATE DOMAIN word AS bigint CHECK (seize(VALUE) > 0);"
        "CREATE TABLE log (id word, created_at timestamptz NOT NULL)",
        "a type of log",
    ),
    "generated column": (
        TABLE + "ALTER TABLE log ADD hook bigint GENERATED ALWAYS AS (seize(id)) STORED",
        "the generated column hook",
    ),
    "key of a partition": (
        "CREATE TABLE log (id bigint, created_at timestamptz NOT NULL)"
        " PARTITION BY RANGE ((id + seize(1)));"
        "CREATE TABLE log_all PARTITION OF log FOR VALUES FROM (0) TO (1000)",
        "the partition key",
    ),
}
OLD_ROWS = """
INSERT INTO log (id, created_at)
SELECT n, now() - n * interval '1 day' + interval '1 hour' FROM generate_series(81, 100) n
"""


@pytest.fixture
def keeper(postgres):
    """A database of a plain role; what the role does there, and the options that lead the modules
    there as a superuser.
    """
    with contextlib.closing(postgres.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS kept WITH (FORCE)")
        cursor.execute("DROP ROLE IF EXISTS keeper")
        cursor.execute("CREATE ROLE keeper LOGIN PASSWORD %s", [postgres.password])
        cursor.execute("CREATE DATABASE kept OWNER keeper")
        # Older servers let any role create there, newer ones the owner of the database only.
        cursor.execute("GRANT CREATE ON DATABASE kept TO keeper")
    with contextlib.closing(postgres.connect("keeper", "kept")) as connection:
        yield connection, postgres.login(login_db="kept", table="log", pause=0)


def superuser(connection):
    return run(connection, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = 'keeper'") == [
        (True,)
    ]


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("kind", CODE)
def test_code_in_a_table_never_runs_with_a_superusers_rights(keeper, postgres, run_module, kind):
    connection, options = keeper
    code, named = CODE[kind]
    if kind == "statistics" and connection.server_version < 140000:
        pytest.skip("statistics on expressions came with 14")
    if kind == "generated column" and connection.server_version < 150000:
        # It is the table that depends on what the column runs.
        named = "a generated column or a type of log"
    run(connection, SEIZE + code)
    run(connection, OLD_ROWS)
    # Counting the rows is a statement on the table as well.
    refused = run_module("pg_retention", options, check=kind != "trigger")
    assert not superuser(connection)
    assert refused["failed"] and named in refused["msg"], refused
    assert "public.log" in refused["msg"] and "owner_password" in refused["msg"]
    if kind not in ("trigger", "deferred trigger", "rule", "index"):
        return
    done = run_module("pg_retention", {**options, "owner_password": postgres.password})
    assert not superuser(connection)
    assert (done["rows"], done["role"]) == (10, "keeper")
    assert postgres.password not in str(done)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_plain_table_needs_no_owner(keeper, run_module, driver):
    connection, options = keeper
    run(connection, TABLE + OLD_ROWS)
    planned = run_module("pg_retention", {**options, "batch_rows": 3}, driver, check=True)
    done = run_module("pg_retention", {**options, "batch_rows": 3}, driver)
    assert (planned["rows"], done["rows"]) == (10, 10)
    assert done["finished"] and done["role"] == planned["role"] != "keeper"


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_owner_logs_in_with_what_the_app_has(keeper, postgres, run_module, driver, tmp_path):
    connection, options = keeper
    run(connection, SEIZE + CODE["trigger"][0])
    run(connection, OLD_ROWS)
    run(connection, "ALTER ROLE keeper PASSWORD 'of-the-app'")
    env = tmp_path / "env"
    # The address leads to a pooler, or to nothing: the server is the one of the module's own login.
    env.write_text("DATABASE_URL=postgresql://keeper:of-the-app@192.0.2.9:6432/kept\n")
    done = run_module("pg_retention", {**options, "env_file": str(env)}, driver)
    assert (done["rows"], done["role"]) == (10, "keeper"), done
    assert "of-the-app" not in str(done) and not superuser(connection)


@pytest.mark.postgresql_versions
@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        ("SELECT 1", {}, "no password of its owner is known"),
        ("SELECT 1", {"owner_password": "wrong"}, "password authentication failed"),
        ("SELECT 1", {"owner_user": "sergas"}, "it belongs to keeper, and owner_user is sergas"),
        ("ALTER ROLE keeper NOLOGIN", None, "not permitted to log in"),
        ("ALTER ROLE keeper SUPERUSER", None, "has a superuser's rights itself"),
        ("GRANT {super} TO keeper", None, "has a superuser's rights itself"),
        ("ALTER ROLE keeper SET role = 'sergas'; GRANT sergas TO keeper", None, "one of sergas"),
    ],
)
def test_an_owner_that_does_not_log_in_as_one_is_no_owner(
    keeper, postgres, run_module, change, options, reason
):
    connection, base = keeper
    run(connection, SEIZE + CODE["trigger"][0])
    run(connection, OLD_ROWS)
    with contextlib.closing(postgres.connect()) as admin:
        run(admin, change.format(super=postgres.owner))
        try:
            given = {"owner_password": postgres.password} if options is None else options
            refused = run_module("pg_retention", {**base, **given})
            assert refused["failed"] and "the trigger hook" in refused["msg"]
            assert reason in refused["msg"], refused["msg"]
            # Without code of others, it does not take the owner.
            run(connection, "DROP TRIGGER hook ON log")
            assert run_module("pg_retention", {**base, **given})["rows"] == 10
        finally:
            run(admin, "ALTER ROLE keeper RESET ALL")


def test_a_partition_that_others_refer_to_is_refused(keeper, postgres, run_module):
    connection, options = keeper
    run(
        connection,
        "CREATE TABLE log (id bigint, created_at timestamptz NOT NULL) PARTITION BY RANGE (id);"
        "CREATE TABLE log_all PARTITION OF log FOR VALUES FROM (0) TO (1000);"
        "ALTER TABLE log_all ADD UNIQUE (id);"
        "CREATE TABLE detail (log_id bigint REFERENCES log_all (id) ON DELETE CASCADE)",
    )
    for given in ({}, {"owner_password": postgres.password}):
        result = run_module("pg_retention", {**options, **given})
        assert result["failed"] and "public.detail" in result["msg"]


@pytest.mark.postgresql_versions
def test_a_role_that_may_become_a_superuser_is_taken_for_one(keeper, postgres, run_module):
    connection, options = keeper
    run(connection, SEIZE + CODE["trigger"][0])
    run(connection, OLD_ROWS)
    run(connection, "GRANT ALL ON log TO sergas")
    plain = {**postgres.tcp("sergas"), "login_db": "kept", "table": "log"}
    with contextlib.closing(postgres.connect()) as admin:
        run(admin, "GRANT pg_execute_server_program TO sergas")
        try:
            refused = run_module("pg_retention", plain)
            assert refused["failed"] and "reach beyond the table" in refused["msg"]
            owner = {**plain, "owner_password": postgres.password}
            assert run_module("pg_retention", owner, check=True)["role"] == "keeper"
        finally:
            run(admin, "REVOKE pg_execute_server_program FROM sergas")
    assert run_module("pg_retention", plain)["rows"] == 10


@pytest.mark.parametrize(
    "swap",
    [
        "ALTER TABLE log RENAME TO gone; CREATE VIEW log AS SELECT * FROM trap.log",
        "ALTER SCHEMA public RENAME TO gone; ALTER SCHEMA trap RENAME TO public",
    ],
)
def test_what_takes_a_tables_name_meanwhile_is_not_touched(keeper, postgres, run_module, swap):
    connection, options = keeper
    if "SCHEMA" in swap and connection.server_version < 150000:
        pytest.skip("public belongs to the owner of the database since 15")
    run(connection, TABLE + OLD_ROWS + ";" + SEIZE + "CREATE SCHEMA trap")
    run(connection, "CREATE TABLE trap.log (LIKE log); INSERT INTO trap.log TABLE log")
    run(
        connection,
        "CREATE TRIGGER hook BEFORE DELETE ON trap.log FOR EACH ROW EXECUTE FUNCTION seize()",
    )
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        connection.autocommit = False
        run(connection, swap)
        result = pool.submit(run_module, "pg_retention", options)
        with contextlib.closing(postgres.connect()) as admin:
            for _attempt in range(100):
                if run(admin, "SELECT 1 FROM pg_locks WHERE NOT granted"):
                    break
                time.sleep(0.05)
        connection.commit()
        connection.autocommit = True
        result = result.result()
    assert result["failed"] and "has become another relation" in result["msg"], result
    assert not superuser(connection)


@pytest.mark.parametrize("driver", DRIVERS)
def test_names_are_names_whatever_is_in_them(keeper, postgres, run_module, driver, tmp_path):
    connection, options = keeper
    name = "a\"; DROP TABLE log; --\n\\! touch %s\n%%s%%(x)s' {where} :ERROR" % (tmp_path / "x")
    assert len(name.encode()) > 63
    name = name.encode()[:63].decode()
    run(connection, TABLE + OLD_ROWS)
    run(connection, "ALTER TABLE log RENAME TO %s" % sql.identifier(name))
    tmp_path.chmod(0o777)
    for given in ({}, {"owner_password": postgres.password}):
        planned = run_module("pg_retention", {**options, **given, "table": name}, driver, True)
        assert planned["rows"] == 10, planned
    index = {key: options[key] for key in ("login_unix_socket", "login_port", "login_db")}
    made = run_module("pg_index", {**index, "table": name, "columns": ["created_at"]}, driver)
    assert made["changed"] and made["valid"], made
    # Nor is what a server's message holds anything else than a message.
    run(
        connection,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
        " E'it''s\n\\! touch {0}/y\n`touch {0}/z` :ERROR'; END $$;"
        "CREATE TRIGGER hook BEFORE DELETE ON {1} FOR EACH ROW EXECUTE FUNCTION fail()".format(
            tmp_path, sql.identifier(name)
        ),
    )
    owner = {**options, "table": name, "owner_password": postgres.password}
    failed = run_module("pg_retention", owner, driver)
    assert failed["failed"] and "touch" in failed["msg"], failed
    run(connection, "DROP FUNCTION fail CASCADE")
    done = run_module("pg_retention", {**options, "table": name, "batch_rows": 3}, driver)
    assert done["rows"] == 10 and not list(tmp_path.iterdir())


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_an_index_is_made_once(database, run_module, driver):
    connection, login = database
    make(connection, "plain")
    options = {**login, "table": "log", "columns": ["actor"]}
    planned = run_module("pg_index", options, driver, check=True, diff=True)
    assert planned["changed"] and not run(
        connection, "SELECT 1 FROM pg_indexes WHERE tablename = 'log'"
    )
    done = run_module("pg_index", options, driver, diff=True)
    assert done["driver"] == driver
    assert (done["changed"], done["valid"], done["diff"]) == (True, True, planned["diff"])
    assert run(connection, "SELECT indexname FROM pg_indexes WHERE tablename = 'log'") == [
        ("idx_log_actor",)
    ]
    assert not run_module("pg_index", options, driver)["changed"]
    gone = run_module("pg_index", {**options, "state": "absent"}, driver)
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


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_an_attempt_leaves_at_the_deadline_is_reported_and_dropped(
    database, postgres, run_module, driver
):
    connection, login = database
    make(connection, "plain")
    with contextlib.closing(postgres.connect(database="upkeep")) as other:
        other.autocommit = False
        # It waits for this transaction, with the index in the catalog already.
        run(other, "INSERT INTO log (actor, created_at) VALUES ('a', now())")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            index = {**login, "table": "log", "columns": ["actor"], "deadline": 1}
            begun = pool.submit(run_module, "pg_index", index, driver)
            until(lambda: run(connection, "SELECT 1 FROM pg_index WHERE NOT indisvalid"))
            until(lambda: not run(connection, LEADS_TO_INDEX))
            other.rollback()
            failed = begun.result()
    assert failed["failed"] and failed["dropped"] == "idx_log_actor", failed
    assert "idx_log_actor that it has left was dropped" in failed["msg"]
    assert not run(connection, "SELECT 1 FROM pg_index WHERE indrelid = 'log'::regclass")


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_index_of_a_constraint_stays(database, run_module, driver):
    connection, login = database
    run(connection, "CREATE TABLE log (id int PRIMARY KEY, code int)")
    run(connection, "CREATE UNIQUE INDEX by_code ON log (code)")
    run(connection, "CREATE TABLE detail (code int REFERENCES log (code))")
    for name, needed in (("log_pkey", "log_pkey of public.log"), ("by_code", "detail_code_fkey")):
        index = {**login, "table": "log", "name": name, "state": "absent"}
        for check in (True, False):
            refused = run_module("pg_index", index, driver, check=check)
            assert refused["failed"] and needed in refused["msg"], refused


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_condition_is_one_expression_that_the_server_takes(database, run_module, driver):
    connection, login = database
    make(connection, "plain")
    index = {**login, "table": "log", "columns": ["id"]}
    for where, named in (
        ("true); DROP TABLE log; SELECT (1", "where: "),
        ("nope = 1", "nope"),
        ("id IN (SELECT 1)", "subquery"),
        ("created_at < now()", "IMMUTABLE"),
    ):
        refused = run_module("pg_index", {**index, "where": where}, driver, check=True)
        assert refused["failed"] and named in refused["msg"], refused
    assert run(connection, "SELECT count(*) FROM log") == [(200,)]
    options = {**index, "where": "actor='A' and  (id%2)=0"}
    assert run_module("pg_index", options, driver)["changed"]
    assert not run_module("pg_index", options, driver)["changed"]
    other = run_module("pg_index", {**options, "where": "actor='a' and (id%2)=0"}, driver)
    assert "another index of this name" in other["msg"]
    for wrong in ({"columns": ["nope"]}, {"method": "nope"}, {"include": ["nope"]}):
        refused = run_module("pg_index", {**index, "name": "other", **wrong}, driver, check=True)
        assert refused["failed"] and "nope" in refused["msg"], refused
    assert not run(connection, "SELECT 1 FROM pg_class WHERE relname ~ 'rehears'")


def test_what_a_condition_calls_never_runs_with_a_superusers_rights(keeper, run_module):
    connection, options = keeper
    run(connection, SEIZE + "CREATE TABLE log (id bigint)")
    index = {key: options[key] for key in options if key != "pause"}
    run_module("pg_index", {**index, "columns": ["id"], "where": "public.seize(1) = id"})
    assert not superuser(connection)
    assert run(connection, "SELECT indisvalid FROM pg_index WHERE indrelid = 'log'::regclass") == [
        (True,)
    ]


def test_an_invalid_leftover_of_another_session_is_replaced(database, run_module):
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


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_due_is_vacuumed_once(database, postgres, run_module, driver):
    connection, login = database
    run(connection, "CREATE TABLE busy (n int) WITH (autovacuum_enabled = false)")
    run(connection, "INSERT INTO busy SELECT generate_series(1, 60000)")
    run(connection, "DELETE FROM busy WHERE n > 5000")
    connection.close()
    with contextlib.closing(postgres.connect(database="upkeep")) as again:
        counted(again, "busy", "n_dead_tup >= 55000")
    planned = run_module("pg_vacuum", login, driver, check=True)
    done = run_module("pg_vacuum", login, driver)
    assert done["driver"] == driver
    assert planned["changed"] and done["changed"]
    assert [(t["table"], t["action"]) for t in planned["tables"]] == [("busy", "vacuum")]
    assert [(t["table"], t["action"]) for t in done["tables"]] == [("busy", "vacuum")]
    assert done["freed_bytes"] > 0
    with contextlib.closing(postgres.connect(database="upkeep")) as again:
        counted(again, "busy", "n_dead_tup = 0")
    assert not run_module("pg_vacuum", login, driver)["changed"]


@pytest.mark.postgresql_versions
def test_full_gives_the_space_of_a_bloated_table_back(database, postgres, run_module):
    connection, login = database
    run(connection, "CREATE TABLE bloated (n int, body text) WITH (autovacuum_enabled = false)")
    run(
        connection,
        "INSERT INTO bloated SELECT n, repeat('x', 500) FROM generate_series(1, 40000) AS n",
    )
    run(connection, "DELETE FROM bloated WHERE n % 20 <> 0")
    # What a session has counted before comes after its own ANALYZE.
    connection.close()
    with contextlib.closing(postgres.connect(database="upkeep")) as connection:
        counted(connection, "bloated", "n_dead_tup > 0")
        run(connection, "VACUUM ANALYZE bloated")
        counted(connection, "bloated", "last_analyze IS NOT NULL AND n_live_tup = 2000")
        before = run(connection, "SELECT sum(n) FROM bloated")
    options = {**login, "tables": ["bloated"], "full": True}
    done = run_module("pg_vacuum", options)
    assert done["changed"] and done["freed_bytes"] > 10_000_000, done
    with contextlib.closing(postgres.connect(database="upkeep")) as connection:
        assert run(connection, "SELECT sum(n) FROM bloated") == before
    assert not run_module("pg_vacuum", options)["changed"]
    missing = run_module("pg_vacuum", {**login, "tables": ["nothing"], "full": True})
    assert missing["failed"] and "no table public.nothing" in missing["msg"]


@pytest.fixture(scope="module")
def standby(make_postgres):
    """A server in recovery, with an old row in a table of the app's role."""
    server = make_postgres()
    connection = server.connect()
    run(connection, f"CREATE ROLE app LOGIN PASSWORD {sql.literal(server.password)}")
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


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_is_described_and_reloaded(postgres, run_module, driver):
    options = {**postgres.login(), "settings": ["Work_Mem"]}
    found = run_module("pg_server", options, driver)
    assert (found["driver"], found["changed"]) == (driver, False)
    assert found["settings"] == {"Work_Mem": "4MB"}
    assert "sergas" in found["login_roles"]
    forced = {**options, "state": "reloaded", "force": True}
    assert run_module("pg_server", forced, driver)["changed"]
    assert not run_module("pg_server", {**forced, "force": False}, driver)["changed"]
    refused = run_module("pg_server", {**options, "settings": ["no_such"]}, driver)
    assert "the server has no setting no_such" in refused["msg"]
