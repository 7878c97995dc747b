# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pg_index, pg_retention and pg_vacuum decide, and how they keep room for WAL."""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import errors
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.maintenance import (
    index as indexes,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.maintenance import (
    retention,
    vacuum,
    wal_room,
)

MB = 1024**2


def wanted(**changes):
    options = {
        "state": "present",
        "schema": "public",
        "table": "accounts",
        "columns": ["owner_id"],
        "name": None,
        "include": [],
        "unique": False,
        "method": "btree",
        "where": None,
    }
    return dict(options, **changes)


def index(**changes):
    row = {
        "name": "idx_accounts_owner_id",
        "table": "accounts",
        "valid": True,
        "unique": False,
        "method": "btree",
        "columns": ["owner_id"],
        "include": [],
        "options": "0",
        "predicate": None,
        "definition": "CREATE INDEX …",
        "built_by": None,
        "needed_by": None,
        "part_of": None,
        "identifies_rows": False,
    }
    return dict(row, **changes)


def test_an_index_that_is_not_there_is_made_concurrently():
    planned = indexes.plan(wanted(), [])
    assert (planned.drop, planned.create) == (None, True)
    assert indexes.statements(wanted(), planned) == [
        'CREATE INDEX CONCURRENTLY "idx_accounts_owner_id" ON "public"."accounts" USING "btree"'
        ' ("owner_id")'
    ]


def test_names_are_quoted_and_all_options_are_used():
    params = wanted(
        table='odd"name',
        columns=["a b", "c"],
        name="x",
        include=["d"],
        unique=True,
        where="c IS NOT NULL",
    )
    assert indexes.statements(params, indexes.plan(params, [])) == [
        'CREATE UNIQUE INDEX CONCURRENTLY "x" ON "public"."odd""name" USING "btree" ("a b", "c")'
        ' INCLUDE ("d") WHERE (c IS NOT NULL)'
    ]


def test_an_index_that_is_there_is_no_change_whatever_its_name():
    assert not indexes.plan(wanted(), [index()]).changes
    other = indexes.plan(wanted(), [index(name="by_owner")])
    assert (other.changes, other.served_by) == (False, "by_owner")


@pytest.mark.parametrize(
    "other",
    [
        {"columns": ["owner_id", "id"]},
        {"columns": ["id"]},
        {"include": ["name"]},
        {"unique": True},
        {"method": "hash"},
        {"predicate": "(status = 'lead'::text)"},
        {"options": "3"},
        {"valid": False},
    ],
)
def test_an_index_that_does_something_else_under_another_name_is_not_enough(other):
    assert indexes.plan(wanted(), [index(name="by_owner", **other)]).create


def test_a_leftover_is_dropped_first():
    planned = indexes.plan(wanted(), [index(valid=False)])
    assert (
        indexes.statements(wanted(), planned)[0]
        == 'DROP INDEX CONCURRENTLY "public"."idx_accounts_owner_id"'
    )
    assert planned.create


@pytest.mark.parametrize(
    "there",
    [
        {"columns": ["id"]},
        {"valid": False, "built_by": 4711},
        {"table": "activities"},
        {"unique": True},
    ],
)
def test_a_name_that_is_something_elses_is_refused(there):
    with pytest.raises(indexes.IndexRefused):
        indexes.plan(wanted(), [index(**there)])


def test_absent_drops_only_what_is_there():
    assert indexes.plan(wanted(state="absent"), [index()]).drop == "idx_accounts_owner_id"
    assert not indexes.plan(wanted(state="absent"), []).changes


@pytest.mark.parametrize(
    ("needed", "named"),
    [
        ({"needed_by": "the constraint accounts_pkey of accounts"}, "accounts_pkey"),
        ({"part_of": "idx_log"}, "idx_log"),
        ({"identifies_rows": True}, "replica identity"),
    ],
)
def test_an_index_that_something_needs_is_not_dropped(needed, named):
    with pytest.raises(indexes.IndexRefused, match=named):
        indexes.plan(wanted(state="absent"), [index(**needed)])


def test_a_condition_is_compared_as_the_server_spells_it():
    params = wanted(where="status='Lead'")
    there = index(predicate="(status = 'Lead'::text)")
    assert not indexes.plan(params, [there], "(status = 'Lead'::text)").changes
    with pytest.raises(indexes.IndexRefused, match="another index of this name"):
        indexes.plan(params, [there], "(status = 'lead'::text)")


@pytest.mark.parametrize(
    "condition",
    [
        "a = 1",
        "status IN ('x; y', 'it''s -- ok /* too */') AND (b OR \"odd;name\" > 2 - -1)",
        "data->>'kind' = ')' AND a / 2 > 1",
    ],
)
def test_one_condition_is_one(condition):
    indexes.check(wanted(where=condition))


@pytest.mark.parametrize(
    "text",
    [
        "true; DROP TABLE accounts",
        "true) ; DROP TABLE accounts; SELECT (1",
        "true) TABLESPACE slow WHERE (true",
        "a = 1 -- rest",
        "a = 1 /* rest",
        "a = E'\\'; DROP TABLE accounts --'",
        "a = $$x$$",
        "a = 'open",
        'a = "open',
        "(a = 1",
        "a = 1)",
        " ",
    ],
)
def test_what_is_not_one_condition_is_refused_by_name(text):
    with pytest.raises(errors.InvalidValue, match="^where: "):
        indexes.check(wanted(where=text))


def test_a_name_that_the_server_would_cut_is_refused():
    with pytest.raises(errors.InvalidValue, match="^name: "):
        indexes.check(wanted(name="x" * 64))


def test_a_long_name_is_cut_as_the_server_does():
    name = indexes.name_of(wanted(columns=["ü" * 40]))
    assert len(name.encode()) <= 63 and name.startswith("idx_accounts_ü")


def vacuum_finding(id, *tables):
    rows = [{"schema": "public", "table": table} for table in tables]
    return finding(id, "database", "warn", id, evidence={"tables": rows})


def test_a_table_that_needs_both_is_vacuumed_alone():
    stale = vacuum_finding("db.statistics.stale", "a", "b")
    overdue = vacuum_finding("db.vacuum.overdue", "b")
    for findings in ([stale, overdue], [overdue, stale]):
        assert vacuum.due(findings) == {("public", "a"): "analyze", ("public", "b"): "vacuum"}


def plan(findings, **options):
    return vacuum.plan(dict({"tables": [], "full": False, "always": False}, **options), findings)


def test_only_named_tables_are_worked_on_where_some_are_named():
    findings = [vacuum_finding("db.vacuum.overdue", "a", "b")]
    assert plan(findings, tables=["b"]) == [("public", "b", "vacuum")]
    assert plan(findings, tables=["other.b"]) == []
    assert plan([], tables=["s.a"], always=True) == [("s", "a", "vacuum")]


def test_full_takes_only_what_is_bloated():
    findings = [vacuum_finding("db.bloat", "a"), vacuum_finding("db.vacuum.overdue", "b")]
    assert plan(findings, tables=["a", "b"], full=True) == [("public", "a", "full")]


@pytest.mark.parametrize(
    ("free", "refused"), [(None, True), (100 * MB, True), (163 * MB, True), (164 * MB, False)]
)
def test_full_needs_the_size_of_the_table_free(free, refused):
    row = {"schema": "public", "table": "a", "bytes": 100 * MB}
    assert bool(vacuum.refused(row, free)) == refused


def found(**changes):
    return dict(
        {"id": 1, "kind": "r", "type": "timestamp with time zone", "referenced_by": []}, **changes
    )


@pytest.mark.parametrize(
    ("row", "part"),
    [
        (None, "no table"),
        (found(type=None), "no column"),
        (found(type="text"), "type text"),
        (found(referenced_by=["public.details"]), "public.details"),
    ],
)
def test_rows_are_not_deleted_from_what_is_no_log(row, part):
    assert part in retention.refused(row, "public", "audit_logs", "created_at")


def test_rows_of_a_log_may_be_deleted():
    assert retention.refused(found(), "public", "audit_logs", "created_at") is None


class Server:
    """A server whose checkpoints free something, and whose WAL grows with each look."""

    def __init__(self, free, freed):
        self.free = free
        self.freed = freed
        self.checkpoints = 0
        self.at = 0

    def rows(self, _sql):
        return [{"at": self.at}]

    def execute(self, sql):
        assert sql == "CHECKPOINT"
        self.checkpoints += 1
        self.free += self.freed


def room(server):
    return wal_room.WalRoom(server, {}, free=lambda: server.free)


def test_a_disk_with_room_gets_no_checkpoint():
    server = Server(free=wal_room.LOW, freed=0)
    room(server).make()
    assert server.checkpoints == 0


def test_a_full_disk_gets_one_for_each_bit_of_wal_and_not_for_each_batch():
    server = Server(free=40 * MB, freed=0)
    keeper = room(server)
    for _batch in range(10):
        keeper.make()
        server.at += 2 * MB
    assert server.checkpoints == 3


def test_a_disk_that_stays_full_is_left_alone():
    with pytest.raises(wal_room.NoRoom, match="16 MB are free"):
        room(Server(free=16 * MB, freed=0)).make()


def test_a_disk_that_a_checkpoint_relieves_is_worked_on():
    server = Server(free=16 * MB, freed=32 * MB)
    room(server).make()
    assert server.checkpoints == 1


def test_the_disk_of_another_host_is_not_inspected():
    server = Server(free=0, freed=0)
    wal_room.WalRoom(server, {}, free=lambda: None).make()
    assert server.checkpoints == 0
