# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import crashes
from ansible_collections.sergas.ops.plugins.module_utils._host import crash_dumps, sockets

BULLSEYE = "6163a50bcf4e554e11134da9a08eae45fde9dc719b8605e488c09542a3a18aef"
BOOKWORM = "e000e2fb0bcd21f7ee4a7c1c0625a5b78d8f609515fe63a57e43bf4f59b1c021"
APP = "/system.slice/sergas-app.service"
BARE = {
    "Id": "sergas-app.service",
    "ControlGroup": APP,
    "ActiveState": "active",
    "SubState": "running",
    "User": "nobody",
}


def kill(at=100.0, cgroup=APP, **more):
    known = {
        "at": at,
        "pid": 77,
        "process": "uvicorn",
        "rss_kb": 65536,
        "limit_kb": 65536,
        "cgroup": cgroup,
    }
    return dict(
        {"constraint": "CONSTRAINT_MEMCG", "limited": cgroup, "in_group": True, "uid": "1001"},
        **dict(known, **more),
    )


def log(kills=(), events=(), faults=(), dumps=(), worker_deaths=(), pids=()):
    return {
        "since": 0.0,
        "kills": list(kills),
        "unit_events": list(events),
        "faults": list(faults),
        "dumps": list(dumps),
        "worker_deaths": list(worker_deaths),
        "pids": list(pids),
    }


def exited(at, code="killed", status=9):
    return {
        "what": "exit",
        "at": at,
        "code": code,
        "status": status,
        "name": None,
        "invocation": "i",
    }


def only(findings):
    assert len(findings) == 1
    return findings[0]


@pytest.fixture(autouse=True)
def bare_metal(monkeypatch):
    monkeypatch.setattr(sockets, "own_container", lambda: None)


@pytest.mark.parametrize(
    ("capture", "container", "known_by"),
    [("oom_unit", BULLSEYE, "container"), ("oom_by_hand", BOOKWORM, "container, time")],
)
def test_kills_as_captured_while_another_container_had_one_too(
    survey, properties, context, capture, container, known_by
):
    shown = properties(capture)
    found = survey(capture, shown)
    assert len(found["kills"]) > 1
    item = only(crashes.decide_oom(context(shown), found, container))
    assert (item["id"], item["status"], item["value"]) == ("app.oom.killed", "fail", 1)
    (kill,) = item["evidence"]["kills"]
    assert (kill["process"], kill["known_by"], kill["limit_kb"]) == ("uvicorn", known_by, 204800)
    assert container in kill["cgroup"]
    assert item["evidence"]["kills_of_others"] == len(found["kills"]) - 1


def test_a_kill_of_the_unit_itself(context):
    item = only(crashes.decide_oom(context(BARE), log([kill()])))
    assert (item["id"], item["confidence"], item["remedy"]) == (
        "app.oom.killed",
        "measured",
        "raise_memory_limit",
    )
    assert "uvicorn with 64 MiB, limit 64 MiB" in item["summary"]


@pytest.mark.parametrize(
    "path",
    [
        "/system.slice/postgresql.service",
        "/system.slice/sergas-app.service.d",
        "/machine.slice/libpod-%s.scope%s" % ("a" * 64, APP),
        "/docker/%s" % ("c" * 64),
        None,
    ],
)
def test_kills_of_others_are_not_the_apps(context, path):
    item = only(crashes.decide_oom(context(BARE), log([kill(cgroup=path)])))
    assert (item["id"], item["status"]) == ("app.oom.ok", "ok")
    assert item["evidence"] == {"kills_of_others": 1}


def test_another_containers_kill_at_the_moment_of_a_kill_here_is_still_not_ours(context):
    path = "/docker/%s" % ("c" * 64)
    assert (
        only(crashes.decide_oom(context(BARE), log([kill(cgroup=path)], [exited(100.5)])))["status"]
        == "ok"
    )


def test_a_kill_without_a_path_is_ours_if_the_app_died_then(context):
    item = only(
        crashes.decide_oom(context(BARE), log([kill(cgroup=None, limit_kb=None)], [exited(101.0)]))
    )
    assert (item["status"], item["confidence"]) == ("fail", "estimated")
    assert (
        only(crashes.decide_oom(context(BARE), log([kill(cgroup=None)], [exited(140.0)])))["status"]
        == "ok"
    )
    assert (
        only(
            crashes.decide_oom(context(BARE), log([kill(cgroup=None)], [exited(101.0, status=11)]))
        )["status"]
        == "ok"
    )


def test_a_worker_that_dies_at_that_moment_counts_too(context):
    found = log([kill(cgroup=None)], worker_deaths=[{"at": 102.0, "pid": "12"}])
    assert only(crashes.decide_oom(context(BARE), found))["id"] == "app.oom.killed"


def test_systemds_own_word_where_there_is_no_kernel_log(context):
    found = log(
        events=[{"what": "oom", "at": 50.0}, {"what": "failed", "at": 50.2, "result": "oom-kill"}]
    )
    item = only(crashes.decide_oom(context(dict(BARE, MemoryMax="67108864")), found))
    assert item["value"] == 1
    assert "limit 64 MiB" in item["summary"]
    assert item["evidence"]["kills"][0]["known_by"] == "systemd"


def test_the_machines_memory_is_another_matter_than_the_units(context):
    item = only(
        crashes.decide_oom(
            context(BARE), log([kill(constraint="CONSTRAINT_NONE", limit_kb=None, in_group=False)])
        )
    )
    assert item["evidence"]["scope"] == "machine"
    # No limit of the unit's own was met: there is none to raise.
    assert item["remedy"] is None
    assert "whole machine" in item["summary"]


def test_a_limit_that_was_raised_since_resolves_it(context):
    raised = dict(BARE, MemoryMax=str(128 << 20))
    assert only(crashes.decide_oom(context(raised), log([kill()])))["id"] == "app.oom.ok"
    same = dict(BARE, MemoryMax=str(64 << 20))
    assert only(crashes.decide_oom(context(same), log([kill()])))["id"] == "app.oom.killed"


def test_a_kill_before_the_window_that_journald_read_late(context):
    found = log([kill(at=100.0)])
    found["since"] = 200.0
    assert only(crashes.decide_oom(context(BARE), found))["status"] == "ok"


def dumps(*items, older=()):
    return {
        "dumps": list(items),
        "older": list(older),
        "unreadable": [],
        "container": None,
        "handler": None,
        "core_pattern": None,
    }


def dumped(name="core", uid=None, at=10.0):
    return {
        "path": "/var/crash/" + name,
        "bytes": 1,
        "at": at,
        "program": None,
        "uid": uid,
        "pid": None,
        "user": "root",
    }


def test_no_crash(context):
    item = only(crashes.decide(context(BARE), log(), dumps()))
    assert (item["id"], item["status"]) == ("app.crash.ok", "ok")


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (exited(5, status=11), "SIGSEGV"),
        (exited(5, "dumped", 6), "SIGABRT"),
        (exited(5, status=9), "SIGKILL"),
        (exited(5, status=200), "signal 200"),
    ],
)
def test_a_death_by_a_signal(context, event, name):
    item = only(crashes.decide(context(BARE), log(events=[event]), dumps()))
    assert (item["id"], item["status"]) == ("app.crash.signal", "fail")
    assert name in item["summary"]


@pytest.mark.parametrize(
    "event", [exited(5, status=15), exited(5, status=2), exited(5, "exited", 1)]
)
def test_an_end_on_purpose_or_with_a_status_is_no_crash(context, event):
    assert only(crashes.decide(context(BARE), log(events=[event]), dumps()))["status"] == "ok"


def test_a_memory_kill_is_no_second_crash(context):
    assert (
        only(crashes.decide(context(BARE), log([kill(at=100.0)], [exited(100.2)]), dumps()))[
            "status"
        ]
        == "ok"
    )


def test_a_worker_that_met_a_segmentation_fault_as_captured(survey, properties, context):
    shown = properties("mixed")
    item = only(crashes.decide(context(shown), survey("mixed", shown), dumps()))
    assert (item["id"], item["value"]) == ("app.crash.signal", 1)
    assert item["evidence"]["deaths"][0]["what"] == "worker 2396, segfault"


def test_a_fault_of_a_process_of_another_app(context):
    fault = {"at": 5.0, "process": "python3", "pid": 4242, "what": "segfault"}
    assert (
        only(crashes.decide(context(BARE), log(faults=[fault], pids=["10"]), dumps()))["status"]
        == "ok"
    )
    assert (
        only(crashes.decide(context(BARE), log(faults=[fault], pids=["4242"]), dumps()))["id"]
        == "app.crash.signal"
    )


def test_a_worker_that_died_of_nothing_known_is_a_warning(context):
    found = log(worker_deaths=[{"at": 5.0, "pid": "12"}])
    assert only(crashes.decide(context(BARE), found, dumps()))["status"] == "warn"


def test_a_core_dump_of_the_journal(context):
    core = {"at": 5.0, "pid": "12", "signal": "SIGBUS", "exe": "/usr/bin/python3"}
    item = only(crashes.decide(context(BARE), log(dumps=[core]), dumps()))
    assert "SIGBUS" in item["summary"]


def test_dumps_of_the_app_and_of_others(context):
    ctx = context(dict(BARE, User="root"))
    assert only(crashes.decide(ctx, log(), dumps(dumped(uid=0))))["id"] == "app.crash.dumps"
    assert only(crashes.decide(ctx, log(), dumps(dumped())))["status"] == "warn"
    assert only(crashes.decide(ctx, log(), dumps(dumped(uid=4711))))["status"] == "ok"


@pytest.mark.parametrize(
    ("name", "program", "uid", "pid"),
    [
        ("core.uvicorn.1001.%s.4711.1795530000000000.zst" % ("a" * 32), "uvicorn", 1001, 4711),
        ("_usr_bin_python3.11.1001.crash", "python3.11", 1001, None),
        ("vmcore", None, None, None),
    ],
)
def test_what_the_name_of_a_dump_tells(name, program, uid, pid):
    assert crash_dumps.dump(name) == {"program": program, "uid": uid, "pid": pid}


@pytest.mark.parametrize(
    ("pattern", "handler"),
    [
        ("|/usr/share/apport/apport -p%p -s%s -c%c -d%d -P%P -u%u -g%g -F%F -- %E", "apport"),
        ("|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h %d", "systemd-coredump"),
        ("|", ""),
        ("core", "file"),
        ("/var/crash/core.%e.%p", "file"),
    ],
)
def test_who_gets_a_core_is_what_the_kernel_says(tmp_path, monkeypatch, pattern, handler):
    path = tmp_path / "core_pattern"
    path.write_text(pattern + "\n")
    monkeypatch.setattr(crash_dumps, "CORE_PATTERN", str(path))
    assert crash_dumps.handler() == (handler, pattern)
    path.unlink()
    assert crash_dumps.handler() == (None, None)


def test_the_kernel_s_own_pattern_can_be_read():
    assert crash_dumps.handler()[1]


def test_reports_of_apport_are_dumps_and_what_is_beside_them_is_not(tmp_path, monkeypatch, context):
    """A host of Ubuntu: a report, its marks of being sent, and those of a kernel's crash."""
    monkeypatch.setattr(crash_dumps, "DIRECTORIES", (str(tmp_path),))
    monkeypatch.setattr(
        crash_dumps, "handler", lambda: ("apport", "|/usr/share/apport/apport -p%p -- %E")
    )
    report = "_opt_sergas_venv_bin_python3.12.1001.crash"
    marks = [report[:-5] + mark for mark in ("upload", "uploaded", "drkonqi")]
    for name in (report, ".lock", "kexec_cmd", "kdump_lock", *marks):
        (tmp_path / name).write_text("ProblemType: Crash\n")
    (tmp_path / "202611302305").mkdir()
    now = (tmp_path / report).stat().st_mtime + 1
    seen = crashes.observe(types.SimpleNamespace(now=now, params={"window": 60}))
    assert [item["path"] for item in seen["dumps"]] == [str(tmp_path / report)]
    monkeypatch.setattr(crashes, "_uid", lambda _name: 1001)
    item = only(crashes.decide(context(BARE), log(), seen))
    assert (item["id"], item["value"]) == ("app.crash.dumps", 1)
    assert item["evidence"]["core_pattern"].startswith("|/usr/share/apport/apport")
    assert "apport-unpack" in item["advice"]


def test_a_segmentation_fault_says_how_its_dump_is_read(context):
    fault = {"at": 5.0, "process": "python3", "pid": 12, "what": "segfault"}
    for handler, word in (("apport", "apport-unpack"), ("systemd-coredump", "coredumpctl info")):
        seen = dict(dumps(), handler=handler)
        item = only(crashes.decide(context(BARE), log(faults=[fault], pids=["12"]), seen))
        assert word in item["advice"]


def test_dumps_of_the_window_are_found(tmp_path, monkeypatch, context):
    (tmp_path / "core.new").write_text("x")
    monkeypatch.setattr(crash_dumps, "DIRECTORIES", (str(tmp_path), str(tmp_path / "nowhere")))
    written = (tmp_path / "core.new").stat().st_mtime
    ctx = types.SimpleNamespace(now=written + 10, params={"window": 60})
    assert [item["path"] for item in crashes.observe(ctx)["dumps"]] == [str(tmp_path / "core.new")]
    ctx.now = written + 100
    seen = crashes.observe(ctx)
    assert (seen["dumps"], [item["path"] for item in seen["older"]]) == (
        [],
        [str(tmp_path / "core.new")],
    )


@pytest.mark.parametrize(
    ("user", "dump", "reason"),
    [
        ("nobody", {"uid": 65534}, "older"),
        ("nobody", {"uid": 0}, None),
        ("nobody", {"uid": None}, None),
        # Of root's other programs, too.
        ("root", {"uid": 0, "program": "fwupd"}, None),
        ("root", {"uid": 0, "program": "python3.11"}, "older"),
    ],
)
def test_dumps_of_the_app_from_before_the_window(context, user, dump, reason):
    ctx = context({**BARE, "User": user})
    ctx.now = 10.0 + 3 * 86400
    item = only(crashes.decide(ctx, log(), dumps(older=[dict(dumped(), **dump)])))
    if reason is None:
        assert item["id"] == "app.crash.ok"
    else:
        assert (item["id"], item["status"], item["reason"]) == ("app.crash.dumps", "warn", reason)
        assert "(3 days ago)" in item["summary"]


def test_dumps_of_the_window_say_more_than_older_ones(context):
    ctx = context({**BARE, "User": "root"})
    item = only(crashes.decide(ctx, log(), dumps(dumped(uid=0), older=[dumped(uid=0)])))
    assert (item["reason"], item["value"]) == ("window", 1)
