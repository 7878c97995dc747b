# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The smaller decisions: indexes, maintenance, locks, cache, WAL, storage, sequences, settings."""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import causes
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import cause_rules
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import (
    cache,
    indexes,
    locks,
    maintenance,
    sequences,
    settings,
    storage,
    triggers,
    verdict,
    wal,
)

GB = 1024**3


def only(findings):
    [item] = findings
    return item


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (1536, "1.5 kB"), (5 * GB, "5.0 GB")])
def test_size(value, text):
    assert verdict.size(value) == text


@pytest.mark.parametrize(("value", "text"), [(1.25, "1.2 s"), (5400, "1.5 h"), (90, "1.5 min")])
def test_span(value, text):
    assert verdict.span(value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("accounts", "accounts"), ("Odd", '"Odd"'), ('a"b', '"a""b"'), ("1a", '"1a"'), ("ä", '"ä"')],
)
def test_quoted(name, text):
    assert verdict.quoted(name) == text


UNUSED = [{"schema": "public", "table": "t", "index": "t_a", "bytes": 20 * 1024**2, "writes": 5}]


def test_unused_index(scope):
    assert only(indexes.decide_unused(scope(), UNUSED))["id"] == "db.index.unused"
    early = only(indexes.decide_unused(scope(statistics_seconds=6 * 86400.0), UNUSED))
    assert early["status"] == "skipped"
    assert only(indexes.decide_unused(scope(statistics_seconds=1.0), []))["status"] == "ok"
    assert only(indexes.decide_unused(scope(in_recovery=True), UNUSED))["status"] == "skipped"


def maintained(**values):
    return {
        "schema": "public",
        "table": "t",
        "live_rows": 100000,
        "dead_rows": 0,
        "changed_rows": 0,
        "vacuum_at": 20050.0,
        "analyze_at": 10050.0,
        "vacuumed_seconds_ago": None,
        "analyzed_seconds_ago": 60.0,
        "autovacuum": True,
        "vacuuming": False,
        "has_statistics": True,
        **values,
    }


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"dead_rows": 40000}, "ok"),
        ({"dead_rows": 40200}, "warn"),
        ({"dead_rows": 300000}, "fail"),
        ({"dead_rows": 300000, "vacuuming": True}, "ok"),
        ({"dead_rows": 9000, "vacuum_at": 50.0}, "ok"),
    ],
)
def test_vacuum(scope, values, status):
    assert only(maintenance.decide_vacuum(scope(), [maintained(**values)]))["status"] == status


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"changed_rows": 20000}, "ok"),
        ({"changed_rows": 20200}, "warn"),
        ({"changed_rows": 200000}, "fail"),
        ({"has_statistics": False}, "warn"),
        # not to be allowed to see them is not the same as none
        ({"has_statistics": None}, "ok"),
        ({"has_statistics": False, "live_rows": 500}, "ok"),
    ],
)
def test_statistics(scope, values, status):
    assert only(maintenance.decide_statistics(scope(), [maintained(**values)]))["status"] == status


@pytest.mark.parametrize(("age", "status"), [(2e8, "ok"), (1.3e9, "warn"), (1.4e9, "fail")])
@pytest.mark.parametrize("kind", ["age", "multixact_age"])
def test_wraparound(scope, age, status, kind):
    database = {"database": "postgres", "age": 5, "multixact_age": 5, kind: int(age)}
    observed = {"databases": [database], "tables": []}
    assert only(maintenance.decide_wraparound(scope(), observed))["status"] == status


def waiting(pid, *blockers, **values):
    return {"pid": pid, "blockers": list(blockers), "seconds": 30.0, "query": "UPDATE t", **values}


def test_roots_wait_for_no_one():
    chain = [waiting(2, 1), waiting(3, 2, 1), waiting(4, 3), waiting(9, 8)]
    assert locks.roots(chain) == [1, 8]
    assert locks.roots([waiting(2, 0)]) == [0]


def test_locks(scope):
    observed = {"count": 1, "waiting": [waiting(2, 0)], "roots": [], "prepared": True}
    item = only(locks.decide_locks(scope(), observed))
    assert item["status"] == "warn" and "prepared transaction" in item["summary"]
    observed["waiting"][0]["seconds"] = 1.0
    assert only(locks.decide_locks(scope(), observed))["status"] == "ok"
    # before 14 a plain role cannot tell for how long
    observed["waiting"][0]["seconds"] = None
    unprivileged = scope(version=130014, sees_sessions=False)
    assert only(locks.decide_locks(unprivileged, observed))["status"] == "unknown"


def left(seconds, *modes, **details):
    held = [{"table": "public.accounts", "mode": mode} for mode in modes]
    given = {"gid": "xa-4711", "role": "app", "database": "prod", "xmin_age": 3}
    return dict(given, seconds=seconds, locks=held, **details)


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (left(4.0, "AccessExclusiveLock"), None),
        (left(5.0, "AccessExclusiveLock"), "warn"),
        (left(59.0, "ShareLock"), "warn"),
        (left(60.0, "AccessExclusiveLock"), "fail"),
        # It keeps no one from the table, only from the rows that it has changed.
        (left(599.0, "RowExclusiveLock"), None),
        (left(600.0, "RowExclusiveLock"), "warn"),
        (left(9000.0), "warn"),
    ],
)
def test_a_prepared_transaction_that_no_one_waits_for(scope, row, status):
    item = only(locks.decide_transactions(scope(), [], [row]))
    if status is None:
        assert item["id"] == "db.transactions.ok"
    else:
        assert (item["id"], item["status"]) == ("db.transactions.prepared", status)
        assert "'xa-4711'" in item["summary"] and "'xa-4711'" in item["advice"]


def test_a_prepared_transaction_hides_no_long_one_of_a_session(scope):
    row = {"pid": 7, "role": "app", "state": "active", "seconds": 4000.0}
    found = locks.decide_transactions(scope(), [row], [left(700.0, "ShareLock")])
    assert [item["id"] for item in found] == ["db.transactions.prepared", "db.transactions.long"]


def test_the_prepared_transaction_at_the_root_of_locks_is_named(scope):
    waits = waiting(2, 0, schema="public", table="accounts")
    observed = {"count": 1, "waiting": [waits], "roots": [], "prepared": True}
    other = left(70.0, "AccessExclusiveLock", gid="other")
    other["locks"][0]["table"] = "public.notes"
    rows = [other, left(12.0, "AccessExclusiveLock")]
    item = only(locks.decide_locks(scope(), observed, rows))
    assert "'xa-4711' (app, prod, for 12 s, locks on public.accounts)" in item["summary"]
    assert [row["gid"] for row in item["evidence"]["prepared"]] == ["xa-4711"]
    assert item["remedy"] is None
    cause = only(locks.decide_transactions(scope(), [], [left(70.0, "AccessExclusiveLock")]))
    derived = causes.derive([item, cause], cause_rules.RULES)
    assert derived[0]["cause"] == "db.transactions.prepared"


@pytest.mark.parametrize(
    ("names", "waits", "id"),
    [
        ([], [("public", "accounts")], "db.triggers.ok"),
        (["audit"], [], "db.triggers.ok"),
        (["audit"], [("public", "notes")], "db.triggers.ok"),
        (["audit"], [("public", "accounts")], "db.triggers.disabled"),
    ],
)
def test_disabled_triggers_are_a_note_unless_sessions_wait(scope, names, waits, id):
    rows = [
        {"schema": "public", "table": "accounts", "trigger": name, "is_constraint": False}
        for name in names
    ]
    seen = {"waiting": [waiting(2, 1, schema=schema, table=table) for schema, table in waits]}
    item = only(triggers.decide(scope(), rows, seen))
    assert (item["id"], item["evidence"].get("triggers", [])) == (id, rows)
    # Without the locks there is no wait to see.
    assert only(triggers.decide(scope(), rows))["id"] == "db.triggers.ok"


def accesses(hit, read):
    return {"hit": hit, "read": read, "shared_buffers": "128MB", "tables": []}


@pytest.mark.parametrize(
    ("observed", "status"),
    [
        (accesses(1000, 900), "skipped"),
        (accesses(990000, 10000), "ok"),
        (accesses(900000, 100000), "warn"),
        (accesses(500000, 500000), "fail"),
    ],
)
def test_cache(scope, observed, status):
    assert only(cache.decide(scope(), observed))["status"] == status


def test_cache_since_the_previous_run(scope):
    earlier = {"cache": accesses(500000, 5000000)}
    assert only(cache.decide(scope(previous=earlier), accesses(1500000, 5000000)))["status"] == "ok"


def test_wal_volume(scope):
    observed = {
        "files": 3,
        "bytes": 3 * 16 * 1024**2,
        "max_wal_size": "1GB",
        "bytes_per_hour": None,
    }
    assert "48.0 MB" in only(wal.decide_volume(scope(), observed))["summary"]
    observed["bytes_per_hour"] = GB
    assert "1.0 GB an hour" in only(wal.decide_volume(scope(), observed))["summary"]
    observed["bytes"] = None
    assert only(wal.decide_volume(scope(), observed))["status"] == "unknown"


def archiver(**values):
    return {
        "mode": "on",
        "has_command": True,
        "archived_seconds_ago": 10.0,
        "failed_seconds_ago": None,
        "failed_count": 0,
        "last_failed_wal": None,
        "ready": 0,
        **values,
    }


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({}, "ok"),
        ({"mode": "off"}, "skipped"),
        ({"failed_seconds_ago": 100.0}, "ok"),
        ({"failed_seconds_ago": 5.0}, "fail"),
        ({"failed_seconds_ago": 5.0, "archived_seconds_ago": None}, "fail"),
        ({"has_command": False}, "fail"),
        ({"ready": 20}, "warn"),
        ({"ready": 200}, "fail"),
        ({"ready": None}, "unknown"),
    ],
)
def test_archiver(scope, values, status):
    assert only(wal.decide_archiver(scope(), archiver(**values)))["status"] == status


def test_archiver_of_a_standby(scope):
    standby = scope(in_recovery=True)
    assert (
        only(wal.decide_archiver(standby, archiver(failed_seconds_ago=5.0)))["status"] == "skipped"
    )
    observed = archiver(mode="always", failed_seconds_ago=5.0)
    assert only(wal.decide_archiver(standby, observed))["status"] == "fail"


def slot(**values):
    return {"slot": "s", "active": False, "bytes": 0, "wal_status": "reserved", **values}


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({}, "ok"),
        ({"bytes": None}, "ok"),
        ({"bytes": 64 * 1024**2}, "warn"),
        ({"bytes": GB}, "fail"),
        ({"bytes": GB, "active": True}, "ok"),
        ({"bytes": None, "wal_status": "lost"}, "warn"),
    ],
)
def test_slots(scope, values, status):
    assert only(wal.decide_slots(scope(), [slot(**values)]))["status"] == status


def replica(**values):
    return {
        "pid": 1,
        "application": "r",
        "client": None,
        "state": "streaming",
        "seconds": None,
        "bytes": 0,
        **values,
    }


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({}, "ok"),
        ({"seconds": 5.0}, "warn"),
        ({"seconds": 60.0}, "fail"),
        ({"bytes": 2 * GB}, "fail"),
        ({"state": None, "bytes": None}, "unknown"),
    ],
)
def test_replica(scope, values, status):
    observed = {"replicas": [replica(**values)], "standby": None}
    assert only(wal.decide_replication(scope(), observed))["status"] == status


def test_standby_cut_off(scope):
    standby = {"streams": True, "receivers": 0, "paused": False, "seconds": 0, "bytes": 0}
    item = only(wal.decide_replication(scope(), {"replicas": [], "standby": standby}))
    assert item["status"] == "fail" and "not connected" in item["summary"]


def filesystem(used, free, *holds, tablespace_bytes=0):
    return {
        "path": "/data",
        "holds": list(holds),
        "total": used + free,
        "used": used,
        "free": free,
        "tablespace_bytes": tablespace_bytes,
    }


def locations(*filesystems, logs=()):
    return {"local": True, "reason": None, "filesystems": list(filesystems), "logs": list(logs)}


def sizes(databases, table="accounts"):
    return {
        "databases": [{"database": "sergas_prod", "bytes": databases}],
        "tables": [{"schema": "public", "table": table, "table_bytes": 5, "index_bytes": 1}],
    }


def test_disk_names_the_largest_part_first(scope):
    item = only(
        storage.decide_disk(
            scope(),
            locations(
                filesystem(95, 5, "data", "wal"),
                logs=[{"bytes": 20, "shares_disk": True}, {"bytes": 999, "shares_disk": False}],
            ),
            sizes(15),
            {"bytes": 50},
            [slot(bytes=40), slot(slot="used", active=True, bytes=9)],
            archiver(ready=3),
        )
    )
    assert (item["id"], item["status"], item["value"]) == ("db.disk.full", "fail", 95.0)
    assert item["evidence"]["filled_by"] == [
        {"what": "wal", "bytes": 50},
        {"what": "logs", "bytes": 20},
        {"what": "tables", "bytes": 15},
        {"what": "other files", "bytes": 10},
    ]
    assert item["evidence"]["wal_held_by"] == ["slot s (40 B)", "archiver (3 files wait)"]
    assert "never delete" in item["advice"].lower()


def test_disk_full_of_audit_rows(scope):
    item = only(
        storage.decide_disk(
            scope(),
            locations(filesystem(85, 15, "data")),
            sizes(80, "audit_logs"),
            None,
            None,
            None,
        )
    )
    assert item["status"] == "warn" and "90 days" in item["advice"]


def test_wal_on_a_separate_disk(scope):
    item = only(
        storage.decide_disk(
            scope(),
            locations(filesystem(10, 90, "data"), filesystem(90, 10, "wal")),
            sizes(10),
            {"bytes": 88},
            [],
            archiver(),
        )
    )
    assert item["evidence"]["filled_by"][0] == {"what": "wal", "bytes": 88}


def test_tablespace_on_a_separate_disk(scope):
    item = only(
        storage.decide_disk(
            scope(),
            locations(
                filesystem(20, 80, "data", "wal"),
                filesystem(95, 5, "tablespace", tablespace_bytes=90),
            ),
            sizes(100),
            {"bytes": 5},
            [],
            archiver(),
        )
    )
    assert item["evidence"]["filled_by"] == [
        {"what": "tables", "bytes": 90},
        {"what": "other files", "bytes": 5},
    ]


def test_disk_out_of_reach(scope):
    far = {"local": False, "reason": "elsewhere", "filesystems": []}
    assert only(storage.decide_disk(scope(), far, None, None, None, None))["status"] == "skipped"
    hidden = {"local": True, "reason": "not allowed", "filesystems": []}
    assert only(storage.decide_disk(scope(), hidden, None, None, None, None))["status"] == "unknown"


def test_growth():
    grown = storage.growth(sizes(2000), sizes(1000), 43200)
    assert grown["databases"] == [
        {"database": "sergas_prod", "grown_bytes": 1000, "bytes_per_day": 2000}
    ]
    assert grown["tables"] == []


def sequence(**values):
    return {
        "sequence": "s",
        "table": "t",
        "column": "id",
        "most": 2147483647,
        "column_is_smaller": True,
        "percent": 10.0,
        **values,
    }


@pytest.mark.parametrize(
    ("percent", "hidden", "status"),
    [(84.9, 0, "ok"), (85.0, 0, "warn"), (95.0, 1, "fail"), (10.0, 1, "unknown")],
)
def test_sequences(scope, percent, hidden, status):
    observed = {
        "sequences": 5,
        "inspected": 5,
        "hidden": hidden,
        "fullest": [sequence(percent=percent)],
    }
    assert only(sequences.decide(scope(), observed))["status"] == status


def configured(memory=16 * GB, **values):
    names = {
        "fsync": "on",
        "work_mem": "4096",
        "shared_buffers": "524288",
        "max_connections": "100",
    }
    names.update(values)
    units = {"shared_buffers": "8kB", "work_mem": "kB"}
    return {
        "memory_bytes": memory,
        "settings": {
            name: {"name": name, "value": value, "unit": units.get(name), "pending_restart": False}
            for name, value in names.items()
        },
    }


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({}, "ok"),
        ({"fsync": "off"}, "fail"),
        ({"autovacuum": "off"}, "fail"),
        ({"enable_seqscan": "off"}, "warn"),
        # 4 GB of shared_buffers and 100 times 128 MB are 16.5 GB
        ({"work_mem": "131072"}, "warn"),
        ({"work_mem": "131072", "max_connections": "300"}, "fail"),
        ({"work_mem": "131072", "memory": None}, "ok"),
    ],
)
def test_settings(scope, values, status):
    assert only(settings.decide(scope(), configured(**values)))["status"] == status


@pytest.mark.parametrize(
    ("what", "table", "remedy"),
    [
        ("tables", "audit_logs", "retain_audit"),
        ("tables", "exports", "delete_old_rows"),
        ("logs", "audit_logs", "vacuum_journal"),
        # What holds WAL is a separate finding, with its own remedy.
        ("wal", "audit_logs", None),
        ("other files", "audit_logs", None),
    ],
)
def test_a_full_disk_has_the_remedy_of_what_fills_it(what, table, remedy):
    filled = [{"what": what, "bytes": 9}]
    assert storage._disk_remedy(filled, {"tables": [{"table": table}]}) == remedy
    assert storage._disk_remedy([], None) is None
    assert storage._disk_remedy([{"what": "tables", "bytes": 9}], None) == "delete_old_rows"
