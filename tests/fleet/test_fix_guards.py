# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds a remedy back, and what becomes of one that does not help or loses its host.

A Redis that is expected at a port where nothing listens is a fault that needs no injection.
"""

from __future__ import annotations

import json
import time

import fleet as reference
import playbook
import pytest

REMEDIES = reference.HERE / "remedies"
CUT = reference.HERE / "remedies_cut"
#: Every host has this fault; the remedy that answers it then is the one of the directory.
NO_REDIS = {"sergas_redis_host": "127.0.0.1", "sergas_redis_port": 1, "sergas_checks": ["redis"]}
USELESS = {**NO_REDIS, "sergas_remedies_dir": str(REMEDIES)}


def on(host, command):
    """Return what a shell command prints on a host."""
    return reference.on(reference.find(host), command).stdout.strip()


def there(host, path):
    """Return whether a file is there."""
    return on(host, "[ -e %s ] && echo yes || echo no" % path) == "yes"


@pytest.fixture(scope="module")
def three(fleet):
    """One fresh host of each release, in the order of the inventory, as batches have them."""
    return sorted(fleet.fresh_of_each())


def hold_lock(host):
    """Take a host's lock, or renew it, for a run on a controller that cannot be seen from here."""
    begun = {"state": "begun", "run": "other", "remedy": "start_service"}
    elsewhere = {"name": "elsewhere", "pid": 1}
    taken = playbook.module(host, "sergas.ops.remedy_ledger", controller=elsewhere, **begun)
    assert taken["lease"]["run"] == "other", taken


def guards(fix_run, remedy):
    """Return {host: names of the guards} of a remedy."""
    return {
        host: [guard["name"] for guard in entry["guards"]]
        for (host, name), entry in fix_run.entries.items()
        if name == remedy
    }


def test_faults_on_three_hosts_are_planned_fixed_and_stay_fixed(fix, three, inject):
    """Faults that differ from host to host; the check run names the changes, and each host gets its
    remedies in the order of the plan, beside others that get the same ones.
    """
    first, second, third = three
    faults = {
        first: ("19_redis_down", "03_database_stopped"),
        second: ("19_redis_password",),
        third: ("19_redis_down", "03_wrong_password"),
    }
    for host, names in faults.items():
        inject(host, *names)
    secrets = {"REDIS_PASSWORD": "rotated", "DATABASE_PASSWORD": "rotated"}
    # How busy the machine of the tests is, is no fault of the hosts.
    variables = {"sergas_env_values": secrets, "sergas_skip": playbook.HOST_WIDE}
    planned = fix(three, check=True, **variables)
    applied = fix(three, **variables)
    for host, names in faults.items():
        roots = {reference.faults()[fault].root for fault in names}
        assert planned.roots(host) == roots, planned.describe(host)
    remedies = {
        (first, "start_postgresql"),
        (first, "start_redis"),
        (second, "redis_credentials"),
        (third, "database_credentials"),
        (third, "start_redis"),
    }
    assert {planned.outcome(*key) for key in remedies} == {"would apply"}, planned.shown
    assert {applied.outcome(*key) for key in remedies} == {"kept"}, applied.shown
    for host, before in ((first, "start_postgresql"), (third, "database_credentials")):
        earlier, later = applied.entries[host, before], applied.entries[host, "start_redis"]
        assert earlier["ended"] <= later["started"], applied.describe(host)
    # An app that comes back automatically needs no start any more, and that is a question of time.
    automatic_restores = {"Start the app's unit, or restart it with its current configuration"}
    for host in three:
        foreseen, done = set(planned.changed.get(host, ())), set(applied.changed.get(host, ()))
        assert foreseen ^ done <= automatic_restores and foreseen & done, (host, foreseen, done)
    assert not [root["id"] for root in applied.report["roots"] if root["status"] == "fail"]
    for run in (planned, applied):
        assert "rotated" not in json.dumps(run.tasks) + json.dumps(run.report) + run.shown
    again = fix(three, **variables)
    assert not again.changed and not again.entries, again.shown
    assert again.status == 0


def test_a_remedy_that_does_not_help_is_undone_and_not_tried_on_the_next_host(fix, three):
    run = fix(three, **USELESS, sergas_batches=[1, "100%"])
    first, *others = three
    assert run.outcome(first, "useless") == "undone", run.shown
    assert "still redis.unreachable" in run.entries[first, "useless"]["reason"]
    assert not there(first, "/etc/sergas-useless.conf")
    assert there(first, "/run/sergas-useless-undone")
    for host in others:
        assert run.outcome(host, "useless") == "not tried"
        assert run.entries[host, "useless"]["reason"] == "stopped after %s" % first
        assert host not in run.changed
    assert run.status == 2 and run.report["summary"]["failed"]
    recent = next(host for host in run.report["hosts"] if host["name"] == first)["changes"]
    assert (recent[0]["remedy"], recent[0]["outcome"]) == ("useless", "undone")
    # What has just been tried waits for its cooldown, and goes to a person if it was too often.
    held = fix([first], **USELESS, sergas_apply=False, sergas_repeat_times=1)
    assert guards(held, "useless") == {first: ["cooldown", "repetition"]}
    assert held.outcome(first, "useless") == "guarded" and not held.changed


def test_too_many_hosts_a_shared_cause_and_closed_hours_hold_a_remedy_back(fix, three):
    later = time.strftime("%H:%M", time.gmtime(time.time() + 7200))
    latest = time.strftime("%H:%M", time.gmtime(time.time() + 10800))
    run = fix(three, **USELESS, sergas_max_share=0.5, sergas_cooldown=0)
    assert set(map(tuple, guards(run, "useless").values())) == {("share",)}, run.shown
    assert not run.changed
    # An address that is everybody's, where nothing listens.
    gateway = str(reference.network()[1])
    shared = {**USELESS, "sergas_redis_host": gateway}
    window = {"start": later, "end": latest}
    run = fix(three, **shared, sergas_maintenance_window=window, sergas_cooldown=0)
    assert set(map(tuple, guards(run, "useless").values())) == {("fleet", "window")}, run.shown
    assert not run.changed
    # The remedy of the collection belongs on the host that the address is of.
    run = fix(three, **{**NO_REDIS, "sergas_redis_host": gateway})
    assert {key: entry["guards"][0]["name"] for key, entry in run.entries.items()} == {
        (None, "start_redis"): "target"
    }, run.shown
    assert not run.changed


def test_a_host_that_another_run_works_on_is_left_alone(fix, three, tmp_path):
    host = three[1]
    hold_lock(host)
    run = fix([host], **USELESS)
    assert guards(run, "useless") == {host: ["lock"]}, run.shown
    # A plan from a report knows nothing of it: the host itself refuses.
    report = tmp_path / "report.json"
    report.write_text(json.dumps(run.report))
    hold_lock(host)
    run = fix([host], **USELESS, sergas_report_file=str(report))
    assert run.outcome(host, "useless") == "refused", run.shown
    assert "other" in run.entries[host, "useless"]["reason"]
    assert not run.changed and not there(host, "/etc/sergas-useless.conf")


def test_a_host_lost_in_the_middle_rolls_back_and_the_next_run_converges(fix, three, tmp_path):
    first, _second, host = three
    inventory = playbook.inventory(tmp_path / "own.json", {host: NO_REDIS})
    run = fix([first, host], inventory=inventory, sergas_remedies_dir=str(CUT))
    assert run.outcome(host, "cut_off") == "unknown", run.shown
    assert "rolls back automatically, at the latest 75 s" in run.entries[host, "cut_off"]["reason"]
    assert run.status != 0 and run.report["summary"]["failed"]
    deadline = time.monotonic() + 180
    while there(host, "/etc/sergas-cut.conf") and time.monotonic() < deadline:
        # Each query of a host starts processes on it and on this machine.
        time.sleep(2)
    assert not there(host, "/etc/sergas-cut.conf")
    while on(host, "systemctl is-active ssh || :") != "active" and time.monotonic() < deadline:
        time.sleep(0.5)
    run = fix([host], sergas_skip=playbook.HOST_WIDE)
    assert not run.changed and run.status == 0, run.shown
    changes = run.report["hosts"][0]["changes"]
    assert ("cut_off", "undone") in [(one["remedy"], one["outcome"]) for one in changes]


def refusal(run):
    """Return why a run of fix.yml was refused as a whole."""
    assert run.status != 0 and run.report is None and not run.changed
    return " ".join(
        message for tasks in run.tasks.values() for message in playbook.failures(tasks).values()
    )


def test_what_cannot_be_is_refused_before_anything_is_touched(fix, three, tmp_path):
    """A report of another schema or of hosts that are gone, a remedy that is none, an approval of
    one that is none.
    """
    host = three[0]
    report = fix([host], sergas_apply=False, sergas_checks=["redis"]).report
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**report, "schema_version": "9.0"}))
    for host_of_report in report["hosts"]:
        host_of_report["name"] = "former1"
    gone = tmp_path / "gone.json"
    gone.write_text(json.dumps(report))
    refused = {
        "schema version 9.0, allowed is": {"sergas_report_file": str(other)},
        "none of its hosts (former1)": {"sergas_report_file": str(gone)},
        "sergas_remedies: 'restart_everything' is not allowed": {
            "sergas_remedies": ["restart_everything"]
        },
        "sergas_approve: 'end_bloker' is not allowed": {"sergas_approve": ["end_bloker"]},
    }
    for reason, variables in refused.items():
        message = refusal(fix([host], **variables))
        assert reason in message, message
