# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""remedy_ledger on real files: who gets the lock, what is written, and a full disk."""

from __future__ import annotations

import concurrent.futures
import json
import os
import stat
import subprocess

import pytest


@pytest.fixture
def ledger(run_module, tmp_path):
    """Return a function that runs the module on a dedicated ledger."""

    def run(state, run="run-1", remedy="raise_memory_limit", check=False, **options):
        given = {
            "state": state,
            "run": run,
            "remedy": remedy,
            "path": str(tmp_path / "lib" / "ledger.jsonl"),
            "runtime_directory": str(tmp_path / "run"),
            "restore_directory": str(tmp_path / "restore"),
        }
        return run_module("remedy_ledger", {**given, **options}, check=check)

    return run


@pytest.fixture
def lines(tmp_path):
    """Return a function that gives the entries of the ledger, or of its fallback."""

    def read(name="lib"):
        path = tmp_path / name / "ledger.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    return read


def test_an_entry_from_its_beginning_to_its_end(ledger, lines, tmp_path):
    finding = {"id": "app.oom.killed", "status": "fail", "summary": "killed, token=abcdef"}
    begun = ledger(
        "begun",
        findings=["app.oom.killed"],
        by="alice",
        host="app1",
        before=[{**finding, "evidence": {"much": "x" * 1000}}],
    )
    assert begun["changed"] and begun["refused"] is None
    ended = ledger("ended", outcome="kept", after=[{**finding, "status": "ok"}])
    assert ended["changed"]
    (entry,) = lines()
    assert entry == ended["entry"]
    assert (entry["outcome"], entry["by"], entry["host"]) == ("kept", "alice", "app1")
    assert entry["findings"] == ["app.oom.killed"] and entry["ended"] >= entry["time"]
    # Small, and without secrets.
    assert entry["before"] == [{**finding, "summary": "killed, token=********"}]
    assert stat.S_IMODE((tmp_path / "lib" / "ledger.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_while_one_run_is_at_work_another_is_refused(ledger, lines):
    ledger("begun", by="alice", controller={"host": "control", "pid": 42})
    refused = ledger("begun", run="run-2", remedy="start_service")
    assert not refused["changed"] and "run-1 of alice is at work" in refused["refused"]
    assert refused["holder"]["controller"] == {"host": "control", "pid": 42}
    ledger("ended", outcome="failed", reason="it broke")
    assert ledger("begun", run="run-2", remedy="start_service")["refused"] is None
    assert [entry["run"] for entry in lines()] == ["run-1", "run-2"]


def test_of_runs_at_the_same_time_one_gets_the_lock(ledger, lines):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda number: ledger("begun", run="run-%d" % number), range(6)))
    assert sum(result["changed"] for result in results) == 1
    assert sum("is at work" in (result["refused"] or "") for result in results) == 5
    assert len(lines()) == 1


def test_the_lock_of_a_dead_run_is_free_for_who_knows(ledger):
    ledger("begun")
    again = ledger("begun", run="run-2", dead_runs=["run-1"])
    assert again["changed"]


def test_the_lock_runs_out(ledger, tmp_path):
    ledger("begun")
    assert ledger("begun", run="run-2")["refused"]
    lease = tmp_path / "run" / "remedy.lease"
    held = json.loads(lease.read_text())
    lease.write_text(json.dumps({**held, "ends": 1}))
    assert ledger("begun", run="run-2")["changed"]
    # The slow one still writes down how it ended, and does not free the other's lock.
    assert ledger("ended", outcome="undone")["changed"]
    assert "run-2" in ledger("begun", run="run-3")["refused"]


def test_the_lock_lasts_for_as_long_as_it_is_renewed(ledger, tmp_path):
    taken = ledger("begun")["lease"]
    lease = tmp_path / "run" / "remedy.lease"
    assert 50 < taken["ends"] - taken["taken"] <= 61
    soon = json.loads(lease.read_text())["ends"] - 55
    lease.write_text(json.dumps({**taken, "ends": soon}))
    assert ledger("renewed", remedy=None, taken=taken["taken"])["held"]
    assert json.loads(lease.read_text())["ends"] > soon + 50
    # Not by who has lost it, and not by another lease of the same run.
    assert not ledger("renewed", run="run-2", taken=taken["taken"])["held"]
    assert not ledger("renewed", taken=taken["taken"] + 1)["held"]
    ledger("ended", outcome="kept")
    assert not ledger("renewed", taken=taken["taken"])["held"]
    assert not lease.exists()


@pytest.fixture
def left_running():
    """Return a function that starts what a task of a run has left running."""
    started = []

    def start(run, argv):
        environment = dict(os.environ, SERGAS_RUN=run)
        started.append(subprocess.Popen(argv, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def interrupt(tmp_path):
    """Take away the lock of a run, as time does."""
    (tmp_path / "run" / "remedy.lease").unlink()


def test_what_an_interrupted_run_has_left_running_ends_first(ledger, left_running, tmp_path):
    ledger("begun")
    quick, slow = left_running("run-1", ["sleep", "3"]), left_running("run-1", ["sleep", "300"])
    other = left_running("run-9", ["sleep", "300"])
    interrupt(tmp_path)
    assert not ledger("begun", run="run-2", check=True).get("ended_processes")
    assert slow.poll() is None
    begun = ledger("begun", run="run-2")
    assert begun["changed"] and begun["ended_processes"] == ["sleep"], begun
    assert (quick.wait(), slow.wait(), other.poll()) == (0, -15, None)


def test_a_package_manager_is_waited_for_and_never_ended(ledger, left_running, tmp_path, lines):
    ledger("begun")
    program = tmp_path / "dpkg"
    program.symlink_to("/bin/sleep")
    installing = left_running("run-1", [str(program), "300"])
    interrupt(tmp_path)
    refused = ledger("begun", run="run-2")
    assert not refused["changed"] and "dpkg (pid %d)" % installing.pid in refused["refused"]
    assert installing.poll() is None
    assert [entry["run"] for entry in lines()] == ["run-1"]
    # The lock is free for who comes later.
    installing.kill()
    installing.wait()
    assert ledger("begun", run="run-2")["changed"]


def test_no_lock_lasts_longer_than_a_minute(ledger):
    assert "lease: 61 is not allowed, it must be from 1 to 60" in ledger("begun", lease=61)["msg"]


def test_beside_the_restore_point_of_another_run_nothing_is_begun(ledger, tmp_path):
    point = {"run": "run-1", "armed_at": "2026-03-01T12:00:00Z", "due": "2026-03-01T12:05:00Z"}
    (tmp_path / "restore" / "set_variables").mkdir(parents=True)
    path = tmp_path / "restore" / "set_variables" / "point.json"
    path.write_text(json.dumps({**point, "files": [{"path": "/opt/app/.env"}]}))
    for check in (True, False):
        refused = ledger("begun", run="run-2", check=check)
        assert not refused["changed"] and refused["holder"] is None
        assert "set_variables of run run-1" in refused["refused"]
        assert "resolve_restore_points" in refused["refused"]
    assert ledger("begun", run="run-1")["changed"]
    ledger("ended", run="run-1", outcome="kept")
    assert ledger("begun", run="run-2", restore_points="ignore")["changed"]


def test_a_boot_frees_the_lock(ledger, tmp_path):
    ledger("begun")
    lease = tmp_path / "run" / "remedy.lease"
    lease.write_text(json.dumps({**json.loads(lease.read_text()), "boot_id": "another"}))
    assert ledger("begun", run="run-2")["changed"]


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"run": 1}', "\0" * 100])
def test_a_lock_that_makes_no_sense_blocks_no_run(ledger, tmp_path, broken):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "remedy.lease").write_text(broken)
    assert ledger("begun")["changed"]


def test_the_same_task_twice_changes_nothing_the_second_time(ledger, lines):
    ledger("begun")
    assert not ledger("begun")["changed"]
    ledger("ended", outcome="kept")
    assert not ledger("ended", outcome="kept")["changed"]
    assert "as kept" in ledger("ended", outcome="undone")["msg"]
    assert len(lines()) == 1


def test_a_run_ends_one_remedy_before_the_next(ledger):
    ledger("begun")
    assert "has not ended" in ledger("begun", remedy="start_service")["refused"]


def test_cooldown_and_repetition(ledger):
    ledger("begun")
    ledger("ended", outcome="kept")
    assert "may act again" in ledger("begun", run="run-2", cooldown=600)["refused"]
    for number in (2, 3):
        assert ledger("begun", run="run-%d" % number)["changed"]
        ledger("ended", run="run-%d" % number, outcome="undone")
    assert "someone has to investigate" in ledger("begun", run="run-4")["refused"]
    assert ledger("begun", run="run-4", repeat_times=4)["changed"]


def test_check_mode_predicts_and_writes_nothing(ledger, tmp_path):
    assert ledger("begun", check=True)["changed"]
    assert ledger("ended", check=True, outcome="kept")["changed"]
    assert os.listdir(tmp_path) == []
    ledger("begun")
    assert ledger("begun", run="run-2", check=True)["refused"]
    assert not ledger("begun", check=True)["changed"]


def test_what_is_no_entry_is_skipped_counted_and_left(ledger, tmp_path):
    path = tmp_path / "lib" / "ledger.jsonl"
    path.parent.mkdir()
    path.write_bytes(b'half a li\n{"time": "2026-03-01T09:30:00Z"}\n\xff\xfe\n')
    assert ledger("begun")["skipped_lines"] == 3
    assert path.read_bytes().startswith(b"half a li\n")


def test_the_ledger_keeps_its_bound_and_the_newest(ledger, lines, tmp_path):
    path = tmp_path / "lib" / "ledger.jsonl"
    path.parent.mkdir()
    old = {"time": "2020-01-01T00:00:00Z", "run": "old", "remedy": "r", "outcome": "kept"}
    path.write_text("".join(json.dumps({**old, "reason": "x" * n}) + "\n" for n in range(500)))
    ledger("begun", max_bytes=16384)
    assert path.stat().st_size <= 16384
    assert lines()[-1]["run"] == "run-1" and lines()[-2]["reason"] == "x" * 499


@pytest.fixture
def full(tmp_path):
    """A full disk at the location of the ledger, with an entry on it; yields a function that frees
    it.
    """
    location = tmp_path / "lib"
    location.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(location)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    entry = {"time": "2026-03-01T09:30:00Z", "run": "old", "remedy": "r", "outcome": "kept"}
    (location / "ledger.jsonl").write_text(json.dumps(entry) + "\n")
    with open(location / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    yield (location / "filler").unlink
    subprocess.run(["umount", str(location)], check=True)


def test_a_full_disk_loses_nothing(ledger, lines, full, tmp_path):
    before = (tmp_path / "lib" / "ledger.jsonl").read_bytes()
    assert ledger("begun")["written_to"] == str(tmp_path / "run" / "ledger.jsonl")
    assert ledger("ended", outcome="undone", reason="no space")["changed"]
    assert (tmp_path / "lib" / "ledger.jsonl").read_bytes() == before
    assert [entry["outcome"] for entry in lines("run")] == ["undone"]
    # It counts while it is there.
    assert "may act again" in ledger("begun", run="run-2", cooldown=600)["refused"]
    full()
    ledger("begun", run="run-2")
    assert [entry["run"] for entry in lines()] == ["old", "run-1", "run-2"]
    assert not (tmp_path / "run" / "ledger.jsonl").exists()


def test_an_end_on_a_full_disk_is_the_one_that_counts(ledger, lines, full, tmp_path):
    full()
    ledger("begun")
    filler = tmp_path / "lib" / "filler"
    filler.write_bytes(b"x" * 12288)
    ledger("ended", outcome="kept")
    assert lines()[-1]["outcome"] == "begun" and lines("run")[-1]["outcome"] == "kept"
    filler.unlink()
    ledger("begun", run="run-2")
    assert [entry["outcome"] for entry in lines()] == ["kept", "kept", "begun"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lease": 0}, "lease"),
        ({"cooldown": -1}, "cooldown"),
        ({"repeat_hours": 0}, "repeat_hours"),
        ({"max_bytes": 10}, "max_bytes"),
        ({"run": ""}, "run"),
        ({"remedy": "x" * 301}, "remedy"),
    ],
)
def test_what_cannot_be_is_refused(ledger, tmp_path, options, message):
    result = ledger("begun", **options)
    assert result["failed"] and result["msg"].startswith(message)
    assert os.listdir(tmp_path) == []
