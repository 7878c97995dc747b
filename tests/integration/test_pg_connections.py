# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pg_connections against real servers; what it says is checked with SQL of the tests' own."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import psycopg2
import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import termination
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import connect
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sessions_report import (
    Observation,
)

DRIVERS = ["psycopg2", "pgwire"]
#: Nothing is idle longer than no time at all, but by a little.
AT_ONCE = 0


@pytest.fixture(scope="module")
def server(make_postgres):
    server = make_postgres(max_connections=20)
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE ROLE sergas LOGIN PASSWORD %s", [server.password])
        cursor.execute("CREATE ROLE report LOGIN PASSWORD %s", [server.password])
        cursor.execute("CREATE DATABASE sergas_prod OWNER sergas")
        cursor.execute("CREATE DATABASE other OWNER sergas")
    with (
        contextlib.closing(server.connect("sergas", "sergas_prod")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE TABLE accounts (id int PRIMARY KEY, name text)")
        cursor.execute(
            "INSERT INTO accounts SELECT i, 'account ' || i FROM generate_series(1, 5) i"
        )
    return server


OTHER_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class Crowd:
    """Sessions of an app that end with the test."""

    def __init__(self, server):
        self._server = server
        self._open = []
        self._threads = []

    def session(
        self, user="sergas", database="sergas_prod", application="sergas-app", statement=None
    ):
        """Open a session that has run one statement; return it."""
        connection = self._server.connect(user, database, application)
        self._open.append(connection)
        if statement:
            connection.cursor().execute(statement)
        return connection

    def idle(self, count, **identity):
        return [self.session(statement="SELECT 1", **identity) for _number in range(count)]

    def in_transaction(self, statement="SELECT 1", **identity):
        connection = self.session(**identity)
        connection.autocommit = False
        connection.cursor().execute(statement)
        return connection

    def busy(self, statement, **identity):
        """Open a session that is busy with a statement when this returns."""
        connection = self.session(**identity)

        def run():
            with contextlib.suppress(psycopg2.Error):
                connection.cursor().execute(statement)

        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)
        pid = connection.info.backend_pid
        self.until(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND state = 'active'", [pid], 1
        )
        return connection

    def count(
        self, sql="SELECT count(*) FROM pg_stat_activity WHERE datname = 'sergas_prod'", args=None
    ):
        with (
            contextlib.closing(self._server.connect()) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql, args)
            return cursor.fetchone()[0]

    def until(self, sql, args, expected):
        end = time.monotonic() + 5
        while self.count(sql, args) != expected:
            assert time.monotonic() < end, f"{sql} never gave {expected}"
            time.sleep(0.01)

    def leave(self):
        with (
            contextlib.closing(self._server.connect()) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(OTHER_SESSIONS.replace("count(*)", "pg_terminate_backend(pid)"))
        for thread in self._threads:
            thread.join(5)
        for connection in self._open:
            connection.close()
        self.until(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'", None, 1
        )


@pytest.fixture
def crowd(server):
    crowd = Crowd(server)
    yield crowd
    crowd.leave()


def pids(connections):
    return sorted(connection.info.backend_pid for connection in connections)


def listed(sessions):
    return sorted(session["pid"] for session in sessions)


def by_id(result):
    return {finding["id"]: finding for finding in result["findings"]}


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_idle_server_is_fine(server, crowd, run_module, driver):
    result = run_module("pg_connections", server.login(), driver=driver)
    assert result["driver"] == driver
    assert result["changed"] is False
    assert result["bad"] == 0
    assert [finding["id"] for finding in result["findings"]] == [
        "db.connections.ok",
        "db.transactions.ok",
        "db.locks.ok",
    ]
    assert result["connections"]["used"] == 0
    assert result["connections"]["slots"] == 17


@pytest.mark.parametrize("driver", DRIVERS)
def test_sessions_are_counted_by_everything(server, crowd, run_module, driver):
    crowd.idle(3)
    crowd.idle(2, user="report", application="report-1")
    crowd.in_transaction(database="other")
    result = run_module("pg_connections", server.login(), driver=driver)
    assert result["driver"] == driver
    counted = result["connections"]
    assert counted["by_state"] == {"idle": 5, "idle in transaction": 1}
    assert counted["by_user"] == {"sergas": 4, "report": 2}
    assert counted["by_application"] == {"sergas-app": 4, "report-1": 2}
    assert counted["by_database"] == {"sergas_prod": 5, "other": 1}
    assert counted["by_client"] == {"127.0.0.1": 6}
    assert counted["percent"] == round(100 * 6 / 17, 1)


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_every_ordinary_slot_is_taken(server, crowd, run_module, driver):
    held = crowd.idle(17)
    with pytest.raises(psycopg2.OperationalError, match="slots"):
        server.connect("sergas", "sergas_prod")
    # As the app's role there is no way in; the socket of this machine has one.
    result = run_module(
        "pg_connections", server.tcp("sergas", login_db="sergas_prod"), driver=driver
    )
    assert result["reserved_slot"] is True
    finding = by_id(result)["db.connections.exhausted"]
    assert (finding["status"], finding["value"], finding["evidence"]["reason"]) == (
        "fail",
        100.0,
        "idle",
    )
    assert finding["evidence"]["target"] == f"127.0.0.1:{server.port}"
    assert result["roots"] == ["db.connections.exhausted"]

    options = server.login(
        state="terminated", databases=["sergas_prod"], states=["idle"], idle_longer_than=AT_ONCE
    )
    planned = run_module("pg_connections", options, driver=driver, check=True)
    assert planned["changed"] is True
    assert listed(planned["terminated"]) == pids(held)
    assert crowd.count() == 17

    # The sessions of what has just been run may end later than that.
    crowd.until(OTHER_SESSIONS, None, 17)
    done = run_module("pg_connections", options, driver=driver)
    assert listed(done["terminated"]) == pids(held)
    assert done["survived"] == []
    assert crowd.count() == 0
    assert by_id(done)["db.connections.ok"]["value"] == 0
    again = run_module("pg_connections", options, driver=driver)
    assert again["changed"] is False
    assert again["terminated"] == []


def test_filters_choose_and_protections_spare(server, crowd, run_module):
    [mine] = crowd.idle(1)
    crowd.idle(1, user="report")
    crowd.idle(1, application="pg_dump")
    crowd.idle(1, database="other")
    crowd.idle(1, user="postgres")
    crowd.busy("SELECT pg_sleep(60)")
    options = server.login(
        state="terminated",
        login_db="sergas_prod",
        states=["idle"],
        idle_longer_than=AT_ONCE,
        protected_users=["report"],
    )
    result = run_module("pg_connections", options, diff=True)
    assert listed(result["terminated"]) == pids([mine])
    assert result["spared"] == {"listed": 2, "other_database": 1, "superuser": 1}
    assert len(result["diff"]["before"]["sessions"]) == 1
    assert result["diff"]["after"]["sessions"] == []
    assert (
        crowd.count(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name <> '' AND pid <>"
            " pg_backend_pid() AND backend_type = 'client backend'"
        )
        == 5
    )


def test_too_many_matches_end_nothing(server, crowd, run_module):
    held = crowd.idle(5)
    options = server.login(
        state="terminated", databases=["sergas_prod"], idle_longer_than=AT_ONCE, max_terminations=4
    )
    for check in (True, False):
        result = run_module("pg_connections", options, check=check)
        assert result["failed"] is True
        assert "5 sessions match and at most 4" in result["msg"]
        assert listed(result["candidates"]) == pids(held)
    assert crowd.count() == 5
    result = run_module("pg_connections", {**options, "on_excess": "limit"})
    assert listed(result["terminated"]) == pids(held[:4])
    assert crowd.count() == 1


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_chain_of_locks_has_its_root_named_and_ended(server, crowd, run_module, driver):
    root = crowd.in_transaction(
        "UPDATE accounts SET name = 'secret literal' WHERE id = 1", application="cron"
    )
    first = crowd.session()
    first.autocommit = False
    first.cursor().execute("UPDATE accounts SET name = 'b' WHERE id = 2")
    threading.Thread(
        target=_quietly, args=(first, "UPDATE accounts SET name = 'b' WHERE id = 1")
    ).start()
    crowd.until("SELECT count(*) FROM pg_locks WHERE NOT granted", None, 1)
    second = crowd.busy("UPDATE accounts SET name = 'c' WHERE id = 2")
    crowd.until("SELECT count(*) FROM pg_locks WHERE NOT granted", None, 2)

    thresholds = {
        "lock_wait_seconds": {"warn": 0, "fail": 3600},
        "idle_transaction_seconds": {"warn": 0, "fail": 3600},
    }
    result = run_module("pg_connections", server.login(thresholds=thresholds), driver=driver)
    [blocking] = result["blocking"]
    assert (blocking["pid"], blocking["blocks"], blocking["depth"]) == (root.info.backend_pid, 2, 2)
    assert listed(result["blocked"]) == pids([first, second])
    assert all(item["roots"] == [root.info.backend_pid] for item in result["blocked"])
    finding = by_id(result)["db.locks.blocked"]
    assert f"pid {root.info.backend_pid} (sergas, idle in transaction" in finding["summary"]
    assert finding["cause"] == "db.transactions.idle"
    assert result["roots"] == ["db.transactions.idle"]
    assert "secret literal" not in str(result)

    options = server.login(
        state="terminated", databases=["sergas_prod"], blocking_longer_than=AT_ONCE
    )
    done = run_module("pg_connections", options, driver=driver)
    assert listed(done["terminated"]) == [root.info.backend_pid]
    crowd.until(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s", [first.info.backend_pid], 0
    )


def _quietly(connection, statement):
    with contextlib.suppress(psycopg2.Error):
        connection.cursor().execute(statement)


@pytest.mark.parametrize("driver", DRIVERS)
def test_cancel_ends_the_statement_and_not_the_session(server, crowd, run_module, driver):
    busy = crowd.busy("SELECT pg_sleep(60)")
    crowd.idle(1)
    options = server.login(
        state="terminated", method="cancel", databases=["sergas_prod"], query_longer_than=AT_ONCE
    )
    result = run_module("pg_connections", options, driver=driver)
    assert listed(result["terminated"]) == pids([busy])
    assert crowd.count() == 2
    assert (
        crowd.count(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND datname ="
            " 'sergas_prod'"
        )
        == 0
    )
    assert run_module("pg_connections", options, driver=driver)["changed"] is False


def test_what_cannot_be_cancelled_is_spared(server, crowd, run_module):
    crowd.idle(2)
    options = server.login(
        state="terminated", method="cancel", databases=["sergas_prod"], states=["idle"]
    )
    result = run_module("pg_connections", options)
    assert result["changed"] is False
    assert result["spared"] == {"nothing_to_cancel": 2}


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_role_that_may_not_see_says_so(server, crowd, run_module, driver):
    crowd.idle(16)
    result = run_module("pg_connections", server.tcp("report", login_db="postgres"), driver=driver)
    assert result["connections"]["hidden"] == 16
    assert result["connections"]["by_state"] == {"hidden": 16}
    assert result["connections"]["percent"] is None
    assert {finding["id"]: finding["status"] for finding in result["findings"]} == {
        "db.connections.unknown": "unknown",
        "db.transactions.unknown": "unknown",
        "db.locks.ok": "ok",
    }
    options = server.tcp(
        "report", state="terminated", databases=["sergas_prod"], idle_longer_than=AT_ONCE
    )
    result = run_module("pg_connections", options, driver=driver)
    assert result["changed"] is False
    assert result["spared"] == {"hidden": 16}
    assert "grant it pg_monitor" in str(result["warnings"])


def test_few_hidden_sessions_cannot_be_too_many(server, crowd, run_module):
    crowd.idle(2)
    finding = by_id(run_module("pg_connections", server.tcp("report", login_db="postgres")))[
        "db.connections.ok"
    ]
    assert finding["confidence"] == "estimated"
    assert "at most 2 more" in finding["summary"]


def test_a_role_that_may_not_end_a_session_fails_and_says_which(server, crowd, run_module):
    with contextlib.closing(server.connect()) as connection:
        connection.cursor().execute("GRANT pg_read_all_stats TO report")
    try:
        [mine] = crowd.idle(1)
        options = server.tcp(
            "report", state="terminated", databases=["sergas_prod"], idle_longer_than=AT_ONCE
        )
        result = run_module("pg_connections", options)
    finally:
        with contextlib.closing(server.connect()) as connection:
            connection.cursor().execute("REVOKE pg_read_all_stats FROM report")
    assert result["failed"] is True
    assert listed(result["survived"]) == pids([mine])
    assert result["terminated"] == []
    assert crowd.count() == 1


def test_the_limit_of_a_role_counts(server, crowd, run_module):
    with contextlib.closing(server.connect()) as connection:
        connection.cursor().execute("ALTER ROLE report CONNECTION LIMIT 2")
    try:
        crowd.idle(2, user="report")
        result = run_module("pg_connections", server.login())
    finally:
        with contextlib.closing(server.connect()) as connection:
            connection.cursor().execute("ALTER ROLE report CONNECTION LIMIT -1")
    finding = by_id(result)["db.connections.exhausted"]
    assert finding["evidence"]["scope"] == "role report"
    assert (finding["value"], finding["evidence"]["limit"]) == (100.0, 2)


def test_transactions_left_open_are_what_exhausts(server, crowd, run_module):
    for _number in range(15):
        crowd.in_transaction()
    result = run_module("pg_connections", server.login())
    finding = by_id(result)["db.connections.exhausted"]
    assert finding["evidence"]["reason"] == "idle in transaction"
    assert finding["remedy"] == "end_idle_transactions"


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("change", "id"),
    [
        ({"login_password": "wrong"}, "db.auth.failed"),
        ({"login_db": "no_such"}, "db.missing"),
        ({"login_port": 1}, "db.unreachable"),
        ({"login_host": "no-such-host.invalid"}, "db.unreachable"),
    ],
)
def test_a_server_that_cannot_be_queried_is_a_finding(server, run_module, driver, change, id):
    result = run_module("pg_connections", server.tcp("sergas", **change), driver=driver)
    assert result["roots"] == [id]
    assert result["connections"] is None
    result = run_module(
        "pg_connections",
        server.tcp("sergas", state="terminated", states=["idle"], **change),
        driver=driver,
    )
    assert result["failed"] is True


def test_a_filter_is_required(server, run_module):
    result = run_module("pg_connections", server.login(state="terminated"))
    assert result["failed"] is True
    assert "idle_longer_than" in result["msg"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"clients": ["10.0.0.300"]}, "clients"),
        ({"users": []}, "users"),
        ({"idle_longer_than": -1}, "idle_longer_than"),
        ({"idle_longer_than": "nan"}, "idle_longer_than"),
        ({"users": ["sergas"], "deadline": 0}, "deadline"),
        ({"users": ["sergas"], "thresholds": {"x": {"warn": 1}}}, "thresholds"),
    ],
)
def test_options_that_cannot_be_are_refused(server, crowd, run_module, options, name):
    crowd.idle(1)
    result = run_module(
        "pg_connections", server.login(state="terminated", login_db="sergas_prod", **options)
    )
    assert result["failed"] is True
    assert name in result["msg"]
    assert crowd.count() == 1


# --- what happens between the choice and the signal


@pytest.fixture(params=DRIVERS)
def acting(request, server, monkeypatch):
    if request.param == "pgwire":
        monkeypatch.setattr(postgres, "psycopg2", None)
    with connect(server.login(), Deadline(20), acting=True) as session:
        yield session


def observed(session, connection):
    pid = connection.info.backend_pid
    return next(item for item in Observation(session).sessions if item["pid"] == pid)


def test_a_session_that_did_something_since_it_was_chosen_is_left_alone(crowd, acting):
    idle, used = crowd.idle(2)
    victims = [observed(acting, idle), observed(acting, used)]
    used.cursor().execute("SELECT 2")
    crowd.until(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND state = 'idle' AND query ="
        " 'SELECT 2'",
        [used.info.backend_pid],
        1,
    )
    ending = termination.end(acting, victims, "terminate", wait=5)
    assert listed(ending.ended) == pids([idle])
    assert listed(ending.moved_on) == pids([used])
    used.cursor().execute("SELECT 3")


def test_a_process_id_that_belongs_to_another_session_is_left_alone(crowd, acting):
    [other] = crowd.idle(1)
    victim = {**observed(acting, other), "backend_start": "2020-01-01T00:00:00+00:00"}
    ending = termination.end(acting, [victim], "terminate", wait=5)
    assert (ending.ended, ending.survived) == ([], [])
    assert ending.moved_on == [victim]
    other.cursor().execute("SELECT 1")


def test_a_session_that_does_not_go_is_reported_and_not_called_ended(server, crowd, acting):
    stuck, idle = crowd.idle(2)
    victims = [observed(acting, stuck), observed(acting, idle)]
    os.kill(stuck.info.backend_pid, signal.SIGSTOP)
    try:
        ending = termination.end(acting, victims, "terminate", wait=0.3)
    finally:
        os.kill(stuck.info.backend_pid, signal.SIGCONT)
    assert listed(ending.survived) == pids([stuck])
    assert listed(ending.ended) == pids([idle])


def test_many_sessions_end_together(make_postgres, run_module):
    server = make_postgres(max_connections=230)
    crowd = Crowd(server)
    held = crowd.idle(200, user="postgres", database="postgres")
    options = server.login(
        state="terminated",
        states=["idle"],
        include=["superusers"],
        max_terminations=200,
        applications=["sergas-app"],
    )
    result = run_module("pg_connections", options)
    assert listed(result["terminated"]) == pids(held)
    assert (
        crowd.count("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sergas-app'")
        == 0
    )
    crowd.leave()
