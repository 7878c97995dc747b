# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed, remedies that change nothing, and restarts of a whole tier."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import shlex
import subprocess
import threading
import time
import urllib.error
import urllib.request

import fleet as reference
import playbook
import pytest

REMEDIES = reference.HERE / "remedies_slow"
ENV = "/home/sergas/super-account-manager/.env"
HALF_DONE = "/etc/sergas-slow.conf"
#: Seconds from the death of a run to the first change of the next one, wherever that runs.
SOONEST_S = 60
TIMEOUT_S = 240
#: A program for a host: its lease, with what else is to be in it.
CHANGE_LEASE = """
import json, sys
path = "/run/sergas/remedy.lease"
with open(path) as file:
    lease = json.load(file)
lease.update(json.loads(sys.argv[1]))
with open(path, "w") as file:
    json.dump(lease, file)
"""


def on(host, command):
    """Return what a shell command prints on a host."""
    return reference.on(reference.find(host), command).stdout.strip()


def on_each(hosts, command):
    """Return {host: what a shell command prints}, of all side by side."""
    with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
        return dict(zip(hosts, pool.map(lambda host: on(host, command), hosts)))


def lease(host):
    """Return the lease of the host's lock, with the seconds that it has left."""
    text, uptime = on(host, "cat /run/sergas/remedy.lease; echo; cat /proc/uptime").split("\n")
    found = json.loads(text)
    return dict(found, left=found["ends"] - float(uptime.split()[0]))


def change_lease(host, **values):
    """Write other values into the lease of the host's lock."""
    on(host, "python3 -c %s %s" % (shlex.quote(CHANGE_LEASE), shlex.quote(json.dumps(values))))


def until(true, what):
    """Wait until something is true."""
    end = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < end, "not within %d s: %s" % (TIMEOUT_S, what())
        # Each query of a host starts processes on it and on this machine.
        time.sleep(1)


@pytest.fixture(scope="module")
def three(fleet):
    """One fresh host of each release, in the order of the inventory, as batches have them."""
    return sorted(fleet.fresh_of_each())


@contextlib.contextmanager
def killed_in_the_middle(hosts, tmp_path):
    """A run of fix.yml on each host, whose controller is killed while it carries out a remedy."""
    runs = []
    with contextlib.ExitStack() as logs:
        for host in hosts:
            words = playbook.command(
                "sergas.ops.fix",
                limit=[host],
                sergas_apply=True,
                sergas_checks=["redis"],
                sergas_remedies_dir=str(REMEDIES),
                sergas_report_dir=str(tmp_path / host),
            )
            out = logs.enter_context((tmp_path / (host + ".log")).open("w"))
            runs.append(
                subprocess.Popen(
                    words,
                    # As it is by default: each module is copied to the host.
                    env=playbook.environment(ANSIBLE_PIPELINING="False"),
                    cwd=playbook.ROOT,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                )
            )
        try:
            until(
                lambda: all(on_each(hosts, "[ ! -e %s ] || echo there" % HALF_DONE).values()),
                lambda: "".join(log.read_text()[-2000:] for log in tmp_path.glob("*.log")),
            )
            yield
        finally:
            for run in runs:
                run.kill()
                run.wait()


def test_a_killed_run_is_recognised_and_what_it_left_is_resolved(fix, diagnose, three, tmp_path):
    """One host whose remedy had not helped, one whose had, and one that only another controller's
    run may know of.
    """
    not_helped, helped, elsewhere = three
    on_each(three, "systemctl stop redis-server")
    on(helped, "touch /etc/sergas-slow.start")
    with killed_in_the_middle(three, tmp_path):
        first = lease(elsewhere)
        assert 0 < first["left"] <= SOONEST_S
        # Another run may look, sees that it is not alone, and that not all is well.
        report = diagnose([elsewhere], sergas_checks=["restore_points"])
        (armed,) = report["roots"]
        assert (armed["id"], armed["status"]) == ("host.restore_point.armed", "warn")
        until(lambda: lease(elsewhere)["ends"] > first["ends"], lambda: "a renewal")
    left = {host: lease(host) for host in three}
    assert all(one["left"] <= SOONEST_S for one in left.values()), left
    # However long the next run takes, no lease ends meanwhile: it sees that this run is dead.
    for host in three:
        change_lease(host, ends=left[host]["ends"] + 3600)
    # As if that run had been on another controller, whose processes cannot be seen from here.
    change_lease(elsewhere, controller={**left[elsewhere]["controller"], "boot": "another"})
    run = fix(three, sergas_checks=["redis", "restore_points"])
    remedy = "resolve_restore_points"
    assert [run.outcome(host, remedy) for host in (not_helped, helped)] == ["kept", "kept"], (
        run.shown
    )
    # Not helped: what it did is undone, and the fault has its own remedy.
    assert run.outcome(not_helped, "start_redis") == "kept", run.shown
    there = "ls %s /run/sergas-slow-undone 2>/dev/null || true" % HALF_DONE
    assert on(not_helped, there) == "/run/sergas-slow-undone"
    # Helped, as the check that found the fault says: kept.
    assert on(helped, there) == HALF_DONE
    for host, outcome in ((not_helped, "undone"), (helped, "kept")):
        (entry,) = [e for e in ledger(host) if e["remedy"] == "slow"]
        assert entry["outcome"] == outcome and "interrupted" in entry["reason"]
        # Its task had gone on without its controller.
        assert on(host, "pgrep -f '[s]ergas-slow-task' || true") == ""
    assert [guard["name"] for guard in run.entries[elsewhere, remedy]["guards"]] == ["lock"]
    assert on(elsewhere, there) == HALF_DONE
    # Once its lease is over, a run from anywhere may act.
    change_lease(elsewhere, ends=0)
    run = fix(three, sergas_checks=["redis", "restore_points"])
    assert run.outcome(elsewhere, remedy) == "kept", run.shown
    assert run.outcome(elsewhere, "start_redis") == "kept", run.shown
    assert on(elsewhere, there) == "/run/sergas-slow-undone"
    # There is nothing left to do on the others.
    assert set(run.changed) == {host for host, _remedy in run.entries} == {elsewhere}


def ledger(host):
    """Return the entries of a host's ledger."""
    return [json.loads(line) for line in on(host, "cat /var/lib/sergas/ledger.jsonl").splitlines()]


def test_a_file_that_the_host_will_restore_is_not_written_by_others(three):
    host = three[0]
    options = {"path": ENV, "values": {"LOG_LEVEL": "WARNING"}}
    armed = playbook.module(
        host,
        "sergas.ops.restore_point",
        name="set_variables",
        state="armed",
        files=[ENV],
        deadline=600,
    )
    assert armed["changed"], armed
    before = on(host, "md5sum %s" % ENV)
    for check in (True, False):
        refused = playbook.module(host, "sergas.ops.sergas_env", check=check, **options)
        assert refused["failed"] and "the restore point set_variables" in refused["msg"], refused
    assert on(host, "md5sum %s" % ENV) == before
    disarmed = playbook.module(
        host, "sergas.ops.restore_point", name="set_variables", state="disarmed"
    )
    assert disarmed["changed"], disarmed


def test_undoing_what_changed_nothing_leaves_a_working_app_alone(fix, three):
    """The database has another password; the app still serves with the connections it has. Its .env
    has a second name, so the remedy refuses to write it.
    """
    on_each(three, 'su postgres -c "psql -qc \\"ALTER ROLE sergas_app PASSWORD \'rotated\'\\""')
    on_each(three, "su sergas -s /bin/sh -c 'ln %s %s.other'" % (ENV, ENV))
    show = "systemctl show -p InvocationID -p ActiveState sergas-app; md5sum %s" % ENV
    before = on_each(three, show)
    run = fix(
        three,
        sergas_checks=["database", "service"],
        sergas_env_values={"DATABASE_PASSWORD": "other"},
        # The app serves, so it is only restarted where a person has said so.
        sergas_approve=["database_credentials"],
    )
    for host in three:
        assert run.outcome(host, "database_credentials") == "failed", run.describe(host)
        reason = run.entries[host, "database_credentials"]["reason"]
        assert "is one of 2 names" in reason and "nothing had been changed" in reason
        assert host not in run.changed
    assert on_each(three, show) == before
    assert all(healthy(reference.find(host).address) for host in three)


def healthy(address):
    """Return whether the app at an address answers 200 on its health endpoint."""
    try:
        with urllib.request.urlopen("http://%s:8000/health" % address, timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


class Watch(threading.Thread):
    """Counts which apps are down at the same time while something is done."""

    def __init__(self, hosts):
        super().__init__(daemon=True)
        self.addresses = [reference.find(host).address for host in hosts]
        self.ended = threading.Event()
        self.down = set()
        self.together = set()

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(len(self.addresses)) as pool:
            # A restart takes longer than a second.
            while not self.ended.wait(0.2):
                self._inspect(list(pool.map(healthy, self.addresses)))

    def _inspect(self, answers):
        down = frozenset(address for address, well in zip(self.addresses, answers) if not well)
        self.down |= down
        if len(down) > 1:
            self.together.add(down)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.ended.set()
        self.join()


def test_apps_of_a_tier_are_restarted_one_after_the_other(fleet, inject, three):
    hosts = sorted(fleet.fresh_of_each())
    for host in hosts:
        inject(host, "17_weak_keys")
    invocation = "systemctl show -p InvocationID --value sergas-app"
    before = on_each(hosts, invocation)
    words = playbook.command("sergas.ops.harden", "--tags", "keys", limit=hosts)
    with Watch(hosts) as watch:
        played = playbook.play(words)
    assert played.status == 0, played.shown
    after = on_each(hosts, invocation)
    assert all(before[host] != after[host] for host in hosts), "not all were restarted"
    assert watch.down, "no restart was seen"
    assert not watch.together, watch.together
    assert set(on_each(hosts, "grep -c ENABLE_RATE_LIMITING=true %s" % ENV).values()) == {"1"}
