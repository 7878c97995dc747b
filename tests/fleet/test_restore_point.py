# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that no one can reach any more, or that starts again, restores itself, on each release.

All hosts go through it side by side; what no release does otherwise is tried on one.
"""

from __future__ import annotations

import concurrent.futures
import json
import socket
import time

import fleet as reference
import playbook
import pytest

RULES = ["/etc/ufw/user.rules", "/etc/ufw/user6.rules"]
RELOAD = [["ufw", "reload"]]
#: Long enough for a busy machine to cut its hosts off within it.
DEADLINE_S = 40
TIMEOUT_S = 180


class Host:
    """A host of the fleet as the tests see it: by modules through SSH, and by the back door."""

    def __init__(self, name):
        self.reference = reference.find(name)
        self.name = name

    def module(self, module, /, check=False, **options):
        """Run a module of the collection there, and return its result."""
        return playbook.module(self.name, "sergas.ops." + module, check=check, **options)

    def sh(self, script):
        """Return what a shell command prints, by the back door that no firewall closes."""
        return reference.on(self.reference, script).stdout.strip()

    def outcome(self, name):
        """Return what came of a restore point, or None."""
        text = self.sh("cat /var/lib/sergas/restore/%s/outcome 2>/dev/null || true" % name).strip()
        return json.loads(text) if text else None

    def restored(self, name):
        """Return whether a restore point has been restored to the end."""
        return bool((self.outcome(name) or {}).get("complete"))

    def answers(self):
        """Return whether a new connection to SSH succeeds."""
        try:
            with socket.create_connection((self.reference.address, 22), timeout=2) as connection:
                return connection.recv(4).startswith(b"SSH")
        except OSError:
            return False

    def units(self):
        """Return what of restore points systemd would still start, now or at the next boot."""
        return self.sh(
            "ls /etc/systemd/system | grep sergas-restore; "
            "ls /etc/systemd/system/multi-user.target.wants | grep sergas-restore; "
            "systemctl list-units --all --no-legend --plain 'sergas-restore-*.timer'"
        )


def until(true, what):
    """Wait until something is true."""
    end = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < end, "not within %d s: %s" % (TIMEOUT_S, what)
        # Each query of a host starts processes on it and on this machine.
        time.sleep(1)


@pytest.fixture(scope="module")
def hosts(fleet):
    """A fresh host of each release."""
    return [Host(name) for name in fleet.fresh_of_each()]


@pytest.fixture
def on_all(hosts):
    """Return a function that calls another for all of the hosts side by side."""

    def run(function):
        with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
            return list(pool.map(function, hosts))

    return run


@pytest.fixture
def on_one(hosts):
    """Return a function that calls another for one of the hosts, or for each with EVERYWHERE."""
    chosen = hosts if reference.EVERYWHERE else hosts[:1]

    def run(function):
        return [function(host) for host in chosen]

    return run


def test_who_locks_ssh_out_finds_the_host_as_it_was(on_all):
    def lock_out(host):
        # Its reload writes the files anew, in its own words.
        host.sh("ufw reload")
        before = host.sh("cat %s" % " ".join(RULES))
        armed = host.module(
            "restore_point",
            name="firewall",
            state="armed",
            files=RULES,
            commands=RELOAD,
            deadline=DEADLINE_S,
        )
        assert armed["changed"] and armed["due"], armed
        assert host.answers()
        host.sh("sed -i '/--dport 22 /d; /tuple.* 22 /d' %s && ufw reload" % " ".join(RULES))
        assert not host.answers(), "SSH was not locked out"
        assert not host.outcome("firewall"), "the machine is too busy for this deadline"
        until(host.answers, "SSH is back")
        assert host.sh("cat %s" % " ".join(RULES)) == before
        until(lambda: host.restored("firewall"), "the outcome is written")
        result = host.module("restore_point", name="firewall", state="disarmed")
        assert result["failed"] and "by the host itself, at its deadline" in result["msg"], result
        assert result["outcome"]["commands"][0]["status"] == 0
        changes = host.module("sergas_health", checks=["load"])["changes"]
        assert [(entry["remedy"], entry["by"]) for entry in changes] == [("firewall", "host")]
        until(lambda: not host.units(), "no unit stays")

    on_all(lock_out)


def test_a_host_that_starts_again_rolls_back(on_all):
    def reboot(host):
        host.sh("echo old >/etc/sergas-try; mkdir -p /etc/systemd/system/sergas-app.service.d")
        armed = host.module(
            "restore_point",
            name="reboot",
            state="armed",
            run="cut",
            files=["/etc/sergas-try", "/etc/systemd/system/sergas-app.service.d/50-try.conf"],
            # While the host comes up, the app's own start is still under way.
            commands=[["systemctl", "daemon-reload"], ["systemctl", "restart", "sergas-app"]],
            deadline=3600,
        )
        assert armed["changed"], armed
        host.sh(
            "echo new >/etc/sergas-try; printf '[Service]\\nMemoryMax=64M\\n'"
            " >/etc/systemd/system/sergas-app.service.d/50-try.conf"
        )
        cut = host.module("remedy_ledger", state="begun", run="cut", remedy="reboot")
        assert cut["changed"], cut
        reference.run("podman", "restart", "--time", "20", host.reference.container)
        until(lambda: host.restored("reboot"), "the host has rolled back")
        outcome = host.outcome("reboot")
        assert outcome["by"] == "boot" and outcome["complete"], outcome
        assert [command["status"] for command in outcome["commands"]] == [0, 0], outcome
        assert host.sh("cat /etc/sergas-try") == "old"
        assert host.sh("systemctl show -p MemoryMax --value sergas-app") == "infinity"
        until(lambda: not host.units(), "no unit stays")
        until(host.answers, "SSH is up")
        result = host.module("restore_point", name="reboot", state="disarmed")
        assert result["failed"] and "as it started again" in result["msg"], result
        # Nor is the lock of the run that was cut off there any more.
        again = host.module("remedy_ledger", state="begun", run="next", remedy="reboot")
        assert again["changed"] and not again["refused"], again
        changes = host.module("sergas_health", checks=["load"])["changes"]
        outcomes = {entry["run"]: entry["outcome"] for entry in changes if entry["run"]}
        assert (outcomes["cut"], outcomes["next"]) == ("interrupted", "begun")
        options = {"run": "next", "remedy": "reboot", "outcome": "kept"}
        assert host.module("remedy_ledger", state="ended", **options)["changed"]

    on_all(reboot)


def test_what_is_disarmed_or_restored_is_not_restored_later(on_one):
    def in_time(host):
        host.sh("echo old >/etc/sergas-try")
        for state in ("disarmed", "restored"):
            options = {"name": "in-time", "files": ["/etc/sergas-try"], "deadline": 3600}
            assert host.module("restore_point", state="armed", **options)["changed"]
            assert "sergas-restore-in-time.timer" in host.units()
            # Once more, as an interrupted run would: its time begins anew.
            assert host.module("restore_point", state="armed", **options)["changed"]
            host.sh("echo new >/etc/sergas-try")
            predicted = host.module("restore_point", check=True, name="in-time", state=state)
            done = host.module("restore_point", name="in-time", state=state)
            assert predicted["changed"] and done["changed"], done
            assert predicted["differing"] == done["differing"]
            assert host.units() == ""
            assert not host.module("restore_point", name="in-time", state=state)["changed"]
            assert host.sh("cat /etc/sergas-try") == ("old" if state == "restored" else "new")
            host.sh("echo old >/etc/sergas-try")

    on_one(in_time)


def test_of_two_controllers_at_once_one_works_on_a_host(on_one):
    def race(host):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = [
                pool.submit(
                    host.module,
                    "remedy_ledger",
                    state="begun",
                    run="run-%d" % n,
                    remedy="race",
                    # What ended here a moment ago would not be at work.
                    controller={"name": "elsewhere"},
                )
                for n in range(2)
            ]
            results = [run.result() for run in runs]
        assert sorted(bool(result["refused"]) for result in results) == [False, True], results
        (winner,) = [result["entry"]["run"] for result in results if result["changed"]]
        options = {"run": winner, "remedy": "race", "outcome": "kept"}
        assert host.module("remedy_ledger", state="ended", **options)["changed"]

    on_one(race)
