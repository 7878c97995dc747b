# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import inspect

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import causes
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._net.postgres_errors import (
    InsufficientPrivilege,
    TimedOut,
    TooManyConnections,
    UnsupportedServer,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import cause_rules
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import (
    diagnosis,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    THRESHOLDS,
    Scope,
)
from ansible_collections.sergas.ops.plugins.modules import pg_insights


def bad(id, **evidence):
    return finding(id, "database", "warn", id, evidence=evidence)


def causes_of(*findings):
    return {item["id"]: item["cause"] for item in causes.derive(list(findings), cause_rules.RULES)}


SLOW = bad(
    "db.queries.slow", statements=[{"query": "SELECT * FROM activities WHERE account_id = $1"}]
)


@pytest.mark.parametrize(
    "id", ["db.index.missing", "db.statistics.stale", "db.bloat", "db.vacuum.overdue"]
)
def test_slow_derives_from_what_is_wrong_with_the_same_table(id):
    same = bad(id, tables=[{"schema": "public", "table": "activities"}])
    other = bad(id, tables=[{"schema": "public", "table": "activities_archive"}])
    assert causes_of(SLOW, same)["db.queries.slow"] == id
    assert causes_of(SLOW, other)["db.queries.slow"] is None


@pytest.mark.parametrize(
    ("confidence", "cause"), [("estimated", "db.statistics.stale"), ("measured", None)]
)
def test_guessed_index_derives_from_stale_statistics(confidence, cause):
    table = {"schema": "public", "table": "activities"}
    missing = dict(bad("db.index.missing", tables=[table]), confidence=confidence)
    stale = bad("db.statistics.stale", tables=[table])
    assert causes_of(missing, stale)["db.index.missing"] == cause


def test_slow_derives_from_the_lock_its_statement_waits_for():
    blocked = bad(
        "db.locks.blocked", waiting=[{"query": "select * from activities where account_id = ?"}]
    )
    assert causes_of(SLOW, blocked)["db.queries.slow"] == "db.locks.blocked"


def test_disk_derives_from_what_holds_wal_only_when_wal_fills_it():
    slot = bad("db.wal.slot_inactive", slots=[])
    used = {"used": 10}
    wal = bad("db.disk.full", filesystem=used, filled_by=[{"what": "wal", "bytes": 9}])
    parts = [{"what": "tables", "bytes": 8}, {"what": "wal", "bytes": 2}]
    tables = bad("db.disk.full", filesystem=used, filled_by=parts)
    assert causes_of(wal, slot)["db.disk.full"] == "db.wal.slot_inactive"
    assert (
        causes_of(wal, bad("db.wal.archiver_failing"))["db.disk.full"] == "db.wal.archiver_failing"
    )
    assert causes_of(tables, slot)["db.disk.full"] is None


@pytest.mark.parametrize(("wasted", "cause"), [(3, "db.bloat"), (2, None)])
def test_disk_derives_from_bloat_that_takes_a_good_part_of_it(wasted, cause):
    full = bad("db.disk.full", filesystem={"used": 10}, filled_by=[{"what": "tables", "bytes": 9}])
    assert (
        causes_of(full, bad("db.bloat", tables=[{"wasted_bytes": wasted}]))["db.disk.full"] == cause
    )


def test_locks_derive_from_the_long_transaction_at_their_root():
    blocked = bad("db.locks.blocked", roots=[{"pid": 7}])
    assert causes_of(blocked, bad("db.transactions.long", transactions=[{"pid": 7}]))[
        "db.locks.blocked"
    ]
    assert not causes_of(blocked, bad("db.transactions.long", transactions=[{"pid": 8}]))[
        "db.locks.blocked"
    ]


def test_what_is_good_causes_nothing_and_has_no_cause():
    good = finding(
        "db.index.missing", "database", "ok", "fine", evidence={"tables": [{"table": "activities"}]}
    )
    assert causes_of(SLOW, good) == {"db.queries.slow": None, "db.index.missing": None}


def test_no_finding_can_cause_itself():
    def reachable(id, seen=()):
        for cause in {name for rule in cause_rules.RULES.get(id, ()) for name in rule.causes}:
            assert cause not in seen, (id, cause)
            reachable(cause, (*seen, cause))

    for id in cause_rules.RULES:
        reachable(id, (id,))


def test_checks_need_queries_that_exist_and_take_their_answers():
    for name, check in diagnosis.CHECKS.items():
        assert set(check.needs + check.uses) <= set(diagnosis.QUERIES), name
        parameters = inspect.signature(check.decide).parameters
        assert len(parameters) == 1 + len(check.needs) + len(check.uses), name


def test_documented_choices_are_the_checks():
    documented = pg_insights.DOCUMENTATION.split("choices: &checks")[1].split("skip:")[0]
    names = [line.strip()[2:] for line in documented.splitlines() if line.strip().startswith("- ")]
    assert names == list(diagnosis.CHECKS)


def test_documented_thresholds_are_the_defaults():
    text = " ".join(pg_insights.DOCUMENTATION.split())
    for name, (warn, fail, _unit) in diagnosis.THRESHOLDS.items():
        assert "V(%s) %d, %d" % (name, warn, fail) in text


def test_select():
    assert diagnosis.select(["locks", "bloat"], ["locks"]) == ["bloat"]
    with pytest.raises(ValueError, match="leave nothing"):
        diagnosis.select(["locks"], ["locks"])


def test_query_that_fails_is_unknown_and_the_others_go_on(scope, monkeypatch):
    def denied(scope):
        raise InsufficientPrivilege("permission denied for function pg_ls_waldir", "42501")

    def broken(scope):
        raise ZeroDivisionError("defect")

    monkeypatch.setitem(diagnosis.QUERIES, "slots", denied)
    monkeypatch.setitem(diagnosis.QUERIES, "locks", broken)
    monkeypatch.setitem(diagnosis.QUERIES, "running", lambda scope: [])
    names = diagnosis.select(["running_queries", "locks", "slots"], None)
    result = diagnosis.diagnose(scope(), names, "db1:5432")
    found = {item["id"]: item for item in result["findings"]}
    assert set(found) == {"db.queries.running.ok", "db.locks.unknown", "db.wal.slot.unknown"}
    assert "pg_monitor" in found["db.wal.slot.unknown"]["summary"]
    assert "ZeroDivisionError" in found["db.locks.unknown"]["summary"]
    assert found["db.locks.unknown"]["evidence"]["target"] == "db1:5432"
    assert result["bad"] == 2


def run(monkeypatch, error):
    def connect(*_args, **_options):
        raise error

    monkeypatch.setattr(diagnosis, "connect", connect)
    params = {"checks": None, "skip": None, "thresholds": {}, "limit": 20, "deadline": 5}
    return diagnosis.run(dict(params, login_host="db1", login_port=5432))


def test_server_that_allows_no_one_is_a_finding(monkeypatch):
    result = run(monkeypatch, TooManyConnections("too many clients", "53300"))
    assert result["roots"] == ["db.connections.exhausted"]
    assert result["findings"][0]["evidence"]["target"] == "db1:5432"


def test_server_that_is_too_old_is_an_error(monkeypatch):
    with pytest.raises(UnsupportedServer, match="older than 13"):
        run(monkeypatch, UnsupportedServer("PostgreSQL 12 is older than 13"))


class Old:
    """A session of a server that cannot give its statistics, or not any more."""

    def __init__(self, version, gone=True):
        self.version = version
        self.gone = gone
        self.settings = []

    def rows(self, sql, args=()):
        if "statistics_seconds" in sql and self.gone:
            raise TimedOut("canceling statement due to statement timeout")
        if "set_config" in sql:
            self.settings.append(args[0])
        return [{"role": "postgres", "database": "prod", "set": "10s", "taken_at": 0.0}]


def test_statistics_that_do_not_come_are_awaited_once_and_hide_nothing_else(monkeypatch):
    """Until 14 a full disk takes them away, for ten seconds a query."""
    session = Old(140000)
    scope = Scope(session, THRESHOLDS)
    assert session.settings == ["3s", "10s"]
    for name in diagnosis.QUERIES:
        monkeypatch.setitem(
            diagnosis.QUERIES,
            name,
            lambda scope, name=name: pytest.fail(name) if name in diagnosis.STATISTICS else [],
        )
    answers = diagnosis.observe(scope, list(diagnosis.CHECKS))
    failed = {name for name, answer in answers.items() if answer.error}
    assert failed == diagnosis.STATISTICS
    (item,) = diagnosis.decide(scope, "vacuum", answers)
    assert item["id"] == "db.vacuum.unknown" and "statistics are not" in item["summary"]
    with pytest.raises(TimedOut):
        Scope(Old(150000), THRESHOLDS)


@pytest.mark.parametrize(("version", "gone"), [(140000, True), (140000, False), (150000, True)])
def test_statistics_that_no_longer_come_are_awaited_once(monkeypatch, version, gone):
    """Those of before may be young enough when the diagnosis begins."""
    session = Old(version, gone=False)
    scope, queried = Scope(session, THRESHOLDS), []
    session.gone = gone

    def late(scope, name):
        queried.append(name)
        raise TimedOut("canceling statement due to statement timeout")

    for name in diagnosis.STATISTICS:
        monkeypatch.setitem(diagnosis.QUERIES, name, lambda scope, name=name: late(scope, name))
    for name in set(diagnosis.QUERIES) - diagnosis.STATISTICS:
        monkeypatch.setitem(diagnosis.QUERIES, name, lambda scope: [])
    answers = diagnosis.observe(scope, list(diagnosis.CHECKS))
    errors = {answers[name].error for name in diagnosis.STATISTICS}
    if gone and version < 150000:
        assert len(queried) == 1
        assert errors == {scope.statistics_error} and "statistics are not" in scope.statistics_error
        assert session.settings == ["3s", "10s"] * 2
    else:
        # What takes long for another reason says its own.
        assert len(queried) == len(diagnosis.STATISTICS)
        assert errors == {"canceling statement due to statement timeout"}
