# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures on the reference fleet: fresh hosts, faults on them, and the real playbook's report."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import fleet as reference  # found by the path above

# A dozen hosts share two cores: how long an app's start or a reading of a journal takes says
# nothing of them.
PATIENCE = {
    "sergas_deadline": 40,
    "sergas_thresholds": {"start_seconds": {"warn": 90, "fail": 120}},
}
# Hosts of each release that the tests use side by side: more would only wait for the cores.
HOSTS_PER_RELEASE = int(os.environ.get("SERGAS_FLEET_TEST_HOSTS", "4"))


class Fleet:
    """The hosts that the tests may use, and which of them are not as new."""

    def __init__(self, hosts):
        self.hosts = {host.name: host for host in hosts if host.role == "app"}
        self.used = set()
        self._lock = threading.Lock()

    def of(self, release):
        """Return the names of a release's hosts."""
        return [name for name, host in self.hosts.items() if host.release == release]

    def fresh(self, name):
        """Make a host as new if anything may have changed it; from now on it counts as used."""
        with self._lock:
            dirty = name in self.used
            self.used.add(name)
        if dirty:
            reference.renew([self.hosts[name]])
        return name

    def stop(self, names):
        """Stop used hosts, since many a fault keeps the processor busy; fresh() brings them
        back.
        """
        reference.remove([self.hosts[name] for name in names])

    def restore(self):
        """Make every used host as new."""
        used, self.used = sorted(self.used), set()
        reference.renew([self.hosts[name] for name in used])


@pytest.fixture(scope="session")
def fleet():
    """Hosts of every release: those that are up if they are enough, else ones of our own."""
    wanted = HOSTS_PER_RELEASE * len(reference.RELEASES)
    before = reference.running() if Path("/usr/bin/podman").exists() else []
    hosts = reference.up(max(wanted, sum(host.role == "app" for host in before)))
    shared = Fleet(hosts)
    # What was up before may have been tried on by a person.
    shared.used.update(host.name for host in before)
    yield shared
    if before:
        shared.restore()
    else:
        reference.down()


@pytest.fixture(scope="session")
def diagnose(fleet, tmp_path_factory):
    """Return a function that runs the real playbook on hosts and returns its parsed report.json."""

    def run(hosts, **variables):
        reports = tmp_path_factory.mktemp("reports")
        variables = {
            **PATIENCE,
            **variables,
            "sergas_fail_on": "never",
            "sergas_report_dir": str(reports),
        }
        environment = dict(os.environ)
        environment.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))
        environment.setdefault("ANSIBLE_COLLECTIONS_PATH", str(ROOT / ".build"))
        environment["PATH"] = "%s:%s" % (Path(sys.executable).parent, environment["PATH"])
        command = [
            "ansible-playbook",
            "sergas.ops.diagnose",
            "-i",
            str(reference.STATE / "inventory.yml"),
        ]
        # Hosts share two cores: one that waits for the others must not look slow itself.
        command += ["--forks", "4"]
        command += ["--limit", ",".join(hosts), "-e", json.dumps(variables)]
        done = subprocess.run(
            command,
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return json.loads((reports / "latest" / "report.json").read_text())

    return run


#: What the loop around a remedy does itself: it is not what a check run predicts.
MACHINERY = ("sergas.ops.remedy_ledger", "sergas.ops.restore_point")


@dataclasses.dataclass
class Fix:
    """What a run of fix.yml did.

    Attributes:
        status: the exit status of ansible-playbook.
        report: its report.json, or None if it made none.
        entries: those of the report's remediation, by (host, remedy).
        changed: {host: {task: [diffs]}} of what the remedies changed, or would change.
        tasks: {host: {task: [results]}} of everything.
        shown: standard error, which has the plan and the summary.
    """

    status: int
    report: dict
    entries: dict
    changed: dict
    tasks: dict
    shown: str

    def outcome(self, host, remedy):
        """Return the outcome of a remedy on a host, or None if it was not planned there."""
        return self.entries.get((host, remedy), {}).get("outcome")


@pytest.fixture(scope="session")
def fix(fleet, tmp_path_factory):
    """Return a function that runs the real fix.yml on hosts and returns a Fix.

    It applies unless C(check=True) (with C(--check --diff)) or C(sergas_apply=False). All hosts go
    at once and the share does not hold back, for a test has a fault of each kind on many of them.
    """

    def run(hosts, *options, check=False, inventory=None, **variables):
        reports = tmp_path_factory.mktemp("reports")
        variables = {
            **PATIENCE,
            "sergas_apply": True,
            "sergas_max_share": 1,
            "sergas_batches": ["100%"],
            "sergas_fail_on": "never",
            "sergas_report_dir": str(reports),
            **variables,
        }
        environment = dict(os.environ, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
        environment.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))
        environment.setdefault("ANSIBLE_COLLECTIONS_PATH", str(ROOT / ".build"))
        environment["PATH"] = "%s:%s" % (Path(sys.executable).parent, environment["PATH"])
        command = ["ansible-playbook", "sergas.ops.fix"]
        for path in [reference.STATE / "inventory.yml", *([inventory] if inventory else [])]:
            command += ["-i", str(path)]
        command += ["--forks", "4", "--limit", ",".join(hosts), "-e", json.dumps(variables)]
        command += ["--diff", *(["--check"] if check else []), *options]
        done = subprocess.run(
            command,
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert "{" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
        played = json.loads(done.stdout[done.stdout.index("{") :])
        latest = reports / "latest" / "report.json"
        report = json.loads(latest.read_text()) if latest.exists() else None
        remediation = (report or {}).get("remediation") or {"entries": []}
        return Fix(
            status=done.returncode,
            report=report,
            entries={(one["host"], one["remedy"]): one for one in remediation["entries"]},
            changed=_changes(played),
            tasks=_results(played),
            shown=done.stderr,
        )

    return run


def _results(played):
    """Return {host: {task: [results]}} of the JSON callback's output, a loop's items one by one."""
    found = {}
    for task in [task for play in played["plays"] for task in play["tasks"]]:
        name = task["task"]["name"].rpartition(" : ")[2]
        for host, result in task["hosts"].items():
            items = result.get("results")
            found.setdefault(host, {}).setdefault(name, []).extend(
                items if isinstance(items, list) and items else [result]
            )
    return found


def _changes(played):
    found = {}
    for task in [task for play in played["plays"] for task in play["tasks"]]:
        name = task["task"]["name"].rpartition(" : ")[2]
        for host, result in task["hosts"].items():
            if not result.get("changed") or result.get("action") in MACHINERY:
                continue
            items = result.get("results") or [result]
            diffs = [item.get("diff") for item in items if item.get("changed")]
            found.setdefault(host, {}).setdefault(name, []).extend(diffs)
    return found


@pytest.fixture
def fresh_host(fleet):
    """Return a function that gives the name of a fresh host of a release."""
    return lambda release: fleet.fresh(fleet.of(release)[0])


@pytest.fixture
def inject(fleet):
    """Return a function that makes faults happen on a host, which is used up thereby."""

    def run(host, *faults):
        fleet.used.add(host)
        for fault in faults:
            reference.inject(fault, host)

    return run


@pytest.fixture(scope="module")
def cases(request):
    """The selected cases of the test's own module, each once: what may share a wave of hosts."""
    return selected(item for item in request.session.items if item.module is request.module)


def selected(items):
    """Return the values of the parameter C(case) of tests, each once."""
    with_cases = (item.callspec.params for item in items if hasattr(item, "callspec"))
    return list(dict.fromkeys(params["case"] for params in with_cases if "case" in params))


class Waves:
    """Runs cases, each a release and the faults to make on a fresh host, many hosts to a
    diagnosis.
    """

    def __init__(self, fleet, diagnose, cases):
        self.fleet = fleet
        self.diagnose = diagnose
        self.waiting = list(dict.fromkeys(cases))
        self.findings = {}
        self.errors = {}

    def of(self, case):
        """Return the findings of a case's host by id, running the wave that it is in first."""
        while case not in self.findings and case not in self.errors:
            self._run_wave(self._next_wave(case))
        if case in self.errors:
            raise self.errors[case]
        return self.findings[case]

    def _next_wave(self, case):
        """Choose a host for this case and for as many more as there are hosts.

        What computes without end would make every other host slow: such cases go together.
        """
        free = {
            release: self.fleet.of(release)[:HOSTS_PER_RELEASE] for release in reference.RELEASES
        }
        wave = {}
        for other in [case] + [other for other in self.waiting if other != case]:
            release, faults = other
            if free[release] and busy(faults) == busy(case[1]):
                wave[other] = free[release].pop(0)
        self.waiting = [other for other in self.waiting if other not in wave]
        return wave

    def _run_wave(self, wave):
        def prepare(case):
            self.fleet.fresh(wave[case])
            for fault in case[1]:
                reference.inject(fault, wave[case])

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            futures = {case: pool.submit(prepare, case) for case in wave}
        for case, future in futures.items():
            if future.exception():
                self.errors[case] = future.exception()
        ready = {case: host for case, host in wave.items() if case not in self.errors}
        if not ready:
            return
        try:
            # Where Zoho itself fails, asking it would make that the root.
            asked = [host for case, host in ready.items() if not case[1] or case[1][0][:3] != "08_"]
            report = self.diagnose(
                sorted(ready.values()), sergas_zoho_hosts=",".join(asked) or "all:!all"
            )
        except Exception as error:  # it is every case's failure, and each says so
            self.errors.update(dict.fromkeys(ready, error))
            return
        finally:
            self.fleet.stop(wave.values())
        by_name = {host["name"]: host for host in report["hosts"]}
        for case, host in ready.items():
            self.findings[case] = by_name[host]["findings"]


def busy(faults):
    """Return whether faults keep the processor busy after they are made."""
    return any(fault.startswith("19_cpu") for fault in faults)


@pytest.fixture(scope="session")
def waves(request, fleet, diagnose):
    """The findings of every selected case; see Waves."""
    items = request.session.items
    cases = selected(item for item in items if "waves" in getattr(item, "fixturenames", ()))
    return Waves(fleet, diagnose, cases)
