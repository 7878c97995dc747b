# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import limits
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

RUNNING = {
    "Id": "sergas-app.service",
    "ActiveState": "active",
    "SubState": "running",
    "ActiveEnterTimestampMonotonic": "1",
}


def observed(processes=((10, 8, 1024),), pool=None, tasks=None, hidden=0):
    known = [{"pid": pid, "open_files": used, "limit": limit} for pid, used, limit in processes]
    return {"processes": known, "hidden": hidden, "tasks": tasks, "tasks_max": 100, "pool": pool}


def pool(workers=4, size=10, overflow=20):
    return limits.pool(
        {"DATABASE_POOL_SIZE": str(size), "DATABASE_MAX_OVERFLOW": str(overflow)}, workers
    )


def only(findings):
    assert len(findings) == 1
    return findings[0]


def test_the_limit_of_open_files_as_captured(proc):
    assert unit.open_files_limit(proc("limits")) == 1024
    assert (
        unit.open_files_limit(
            "Max open files            unlimited            unlimited            files"
        )
        is None
    )


def test_plenty_of_everything(context):
    found = limits.decide(
        context(RUNNING),
        observed(pool=pool(1, 5, 5), tasks=5),
        None,
        {"slots": 97, "target": "x:5432"},
    )
    assert {item["id"]: item["status"] for item in found} == {
        "app.files.ok": "ok",
        "app.tasks.ok": "ok",
        "app.pool.ok": "ok",
    }
    assert found[-1]["value"] == 10.3


@pytest.mark.parametrize(
    ("used", "status"), [(819, "ok"), (820, "warn"), (922, "fail"), (1024, "fail")]
)
def test_open_files_of_the_fullest_process(context, used, status):
    item = only(limits.decide(context(RUNNING), observed([(10, 8, 1024), (11, used, 1024)])))
    assert item["status"] == status
    if status != "ok":
        assert (item["id"], item["remedy"], item["evidence"]["pid"]) == (
            "app.files.exhausted",
            "raise_open_files",
            11,
        )


def test_refusals_in_the_log_count_whatever_is_open_now(context):
    log = {
        "too_many_files": {
            "count": 7,
            "first": 1.0,
            "last": 1795533999.0,
            "sample": "OSError: [Errno 24]",
        }
    }
    stopped = dict(RUNNING, ActiveState="failed")
    item = only(limits.decide(context(stopped), observed(), log))
    assert (item["status"], item["evidence"]["refused"]) == ("fail", 7)


def test_refusals_of_an_earlier_run_are_past(context, monkeypatch):
    monkeypatch.setattr(limits, "current_start", lambda ctx, logs: 2000.0)
    log = {"too_many_files": {"count": 7, "first": 1.0, "last": 1999.0, "sample": "OSError"}}
    assert only(limits.decide(context(RUNNING), observed(), log))["status"] == "ok"


@pytest.mark.parametrize(
    ("workers", "slots", "status"),
    [
        (1, 97, "ok"),
        (2, 60, "warn"),
        (3, 97, "warn"),
        (4, 97, "fail"),
        (4, 120, "warn"),
        (4, 200, "ok"),
    ],
)
def test_the_pools_of_all_workers_against_the_slots(context, workers, slots, status):
    item = limits.decide(
        context(RUNNING),
        observed(pool=pool(workers)),
        None,
        {"slots": slots, "target": "db:5432"},
    )[-1]
    assert item["status"] == status
    if status != "ok":
        assert item["id"] == "app.pool.exhausted"
        assert item["remedy"] == "fit_pool"
        assert item["evidence"]["connections"] == workers * 30
        assert item["evidence"]["target"] == "db:5432"


@pytest.mark.parametrize("database", [None, {}, {"slots": None, "target": "x"}])
def test_without_slots_the_pools_cannot_be_judged(context, database):
    assert (
        only(limits.decide(context(RUNNING), observed(pool=pool(400)), None, database))["status"]
        == "ok"
    )


@pytest.mark.parametrize(
    ("settings", "workers", "connections"),
    [
        ({"DATABASE_POOL_SIZE": "10", "DATABASE_MAX_OVERFLOW": "20"}, 4, 120),
        ({"DATABASE_POOL_SIZE": "10", "DATABASE_MAX_OVERFLOW": "20", "WORKERS": "2"}, None, 60),
        ({"DATABASE_POOL_SIZE": "10", "DATABASE_MAX_OVERFLOW": "20", "WORKERS": "2"}, 4, 120),
        ({"DATABASE_POOL_SIZE": "10", "WEB_CONCURRENCY": "3"}, None, 60),
        ({"DATABASE_POOL_SIZE": "5 # small", "DATABASE_MAX_OVERFLOW": "0"}, None, 5),
    ],
)
def test_what_the_settings_need_of_the_database(settings, workers, connections):
    assert limits.pool(settings, workers)["connections"] == connections


@pytest.mark.parametrize("value", [None, "", "many", "-1", "1e3"])
def test_settings_that_do_not_say(value):
    assert limits.pool({"DATABASE_POOL_SIZE": value} if value is not None else {}, 4) is None


def test_tasks(context):
    item = limits.decide(context(RUNNING), observed(tasks=85))[-1]
    assert (item["status"], item["id"]) == ("warn", "app.tasks.exhausted")


def test_two_resources_are_two_findings(context):
    found = limits.decide(
        context(RUNNING), observed([(10, 1000, 1024)], pool(9)), None, {"slots": 97, "target": "x"}
    )
    assert [item["id"] for item in found] == ["app.files.exhausted", "app.pool.exhausted"]


def test_processes_that_cannot_be_seen_are_unknown(context):
    item = only(limits.decide(context(RUNNING), observed([], hidden=3)))
    assert (item["id"], item["status"]) == ("app.files.unknown", "unknown")
    # What is known beside them stays.
    found = limits.decide(context(RUNNING), observed([], tasks=5, hidden=3))
    assert [item["id"] for item in found] == ["app.files.unknown", "app.tasks.ok"]


def test_an_app_that_does_not_run_uses_nothing(context):
    nothing = observed([], tasks=None)
    stopped = only(limits.decide(context(dict(RUNNING, ActiveState="failed")), nothing))
    assert stopped["id"] == "app.files.skipped"
    assert only(limits.decide(context({}), nothing))["id"] == "app.files.unknown"
