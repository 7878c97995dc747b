# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures on the reference fleet: fresh hosts, faults on them, and the real playbook's report."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

# Found by the path above.
import fleet as reference
import playbook
import reports
import zoho as fleet_zoho

# Hosts of each release that the tests use side by side: more would only wait for the cores.
HOSTS_PER_RELEASE = int(os.environ.get("SERGAS_FLEET_TEST_HOSTS", "4"))


class Fleet:
    """The hosts that the tests may use, and which of them are not as new."""

    def __init__(self, hosts):
        self.hosts = {host.name: host for host in hosts if host.role == "app"}
        self.used = set()
        self._lock = threading.Lock()

    def of(self, release):
        """Return the names of a release's hosts that are used side by side."""
        names = [name for name, host in self.hosts.items() if host.release == release]
        return names[:HOSTS_PER_RELEASE]

    def fresh(self, name):
        """Make a host as new if anything may have changed it; from now on it counts as used."""
        with self._lock:
            dirty = name in self.used
            self.used.add(name)
        if dirty:
            reference.renew([self.hosts[name]])
        return name

    def fresh_of_each(self, which=0, releases=()):
        """Return a fresh host of each release: the first one of its hosts, or another.

        Args:
            which: of the hosts of a release.
            releases: those that do, unless all is tried on each.
        """
        wanted = releases if releases and not reference.EVERYWHERE else reference.RELEASES
        names = [self.of(release)[which] for release in wanted]
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            return list(pool.map(self.fresh, names))

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
    reference.keep_code = not reference.EVERYWHERE
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

    def run(hosts, inventory=None, **variables):
        directory = tmp_path_factory.mktemp("reports")
        variables = {
            **playbook.TIMEOUT,
            **variables,
            "sergas_fail_on": "never",
            "sergas_report_dir": str(directory),
        }
        done = playbook.run(
            playbook.command("sergas.ops.diagnose", inventory=inventory, limit=hosts, **variables)
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return reports.latest(directory)

    return run


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

    def findings(self, host):
        """Return a host's findings in the report."""
        return reports.findings(self.report)[host]

    def bad_roots(self, host):
        """Return a host's bad findings that derive from no other."""
        return reports.bad_roots(self.findings(host))

    def roots(self, host):
        """Return the ids of a host's bad findings that derive from no other."""
        return reports.roots(self.findings(host))

    def describe(self, host):
        """Return what went on with a host, for a failure's message."""
        entries = [
            (remedy, entry["outcome"], entry["reason"])
            for (name, remedy), entry in self.entries.items()
            if name == host
        ]
        return reports.describe(self.findings(host), entries=entries)


@pytest.fixture(scope="session")
def fix(fleet, tmp_path_factory):
    """Return a function that runs the real fix.yml on hosts and returns a Fix.

    It applies unless ``check=True`` (with ``--check --diff``) or ``sergas_apply=False``. All hosts
    go at once and the share does not hold back, for a test has a fault of each kind on many
    of them. ``program`` is the command of another ansible-playbook.
    """

    def run(hosts, *options, check=False, inventory=None, program=None, **variables):
        directory = tmp_path_factory.mktemp("reports")
        variables = {
            **playbook.TIMEOUT,
            "sergas_apply": True,
            "sergas_max_share": 1,
            "sergas_batches": ["100%"],
            "sergas_fail_on": "never",
            "sergas_report_dir": str(directory),
            **variables,
        }
        options = ["--diff", *(["--check"] if check else []), *options]
        words = playbook.command(
            "sergas.ops.fix", *options, inventory=inventory, limit=hosts, **variables
        )
        played = playbook.play([*(program or words[:1]), *words[1:]])
        report = reports.latest(directory)
        remediation = (report or {}).get("remediation") or {"entries": []}
        return Fix(
            status=played.status,
            report=report,
            entries={(one["host"], one["remedy"]): one for one in remediation["entries"]},
            changed=played.diffs(),
            tasks=played.results(),
            shown=played.shown,
        )

    return run


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
def world(fleet, tmp_path_factory):
    """A Zoho that the hosts reach."""
    opened = fleet_zoho.World(tmp_path_factory.mktemp("zoho"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def cases(request):
    """The selected cases of the test's own module, each once: what may share a wave of hosts."""
    items = (item for item in request.session.items if item.module is request.module)
    with_cases = (item.callspec.params for item in items if hasattr(item, "callspec"))
    return list(dict.fromkeys(params["case"] for params in with_cases if "case" in params))
