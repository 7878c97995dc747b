# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault of Cognee, with its container on a real host: named, planned, fixed, verified, once.

All hosts are hosts of Cognee and of the app that uses it, so each is queried from others, too. A
fault is on one release, and they go side by side, for Docker is installed on each host.
"""

from __future__ import annotations

import dataclasses
import json
import re
import socket

import fleet as reference
import playbook
import pytest
from waves import Waves

PORT = 8101
KEY = "fleet-cognee-key"


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A fault of Cognee and what fixes it.

    Attributes:
        release: that of its host.
        fault: its name in faults/.
        error_kind: evidence.error_kind of the root, which tells it from others of the same id.
        remedy: the one that fixes it.
        variables: of the host.
        approved: whether the remedy has to be approved.
        closed: whether only the clients reach it afterwards.
    """

    release: str
    fault: str
    error_kind: str
    remedy: str
    variables: dict = dataclasses.field(default_factory=dict)
    approved: bool = False
    closed: bool = False


CASES = [
    Case("bullseye", "14_cognee_stopped", "stopped", "restart_cognee"),
    Case("bookworm", "14_cognee_unhealthy", "unhealthy", "restart_cognee"),
    Case("trixie", "14_cognee_hangs", "hung", "restart_cognee"),
    Case(
        "bookworm",
        "14_cognee_port_taken",
        "other",
        "free_cognee_port",
        {"sergas_cognee_stop_units": ["shop.service"]},
        approved=True,
    ),
    Case(
        "trixie",
        "14_cognee_wrong_key",
        "refused",
        "renew_cognee_key",
        {"sergas_cognee_api_key": KEY},
        approved=True,
    ),
    Case("bullseye", "14_cognee_blocked", "firewall", "allow_cognee", closed=True),
    Case("bookworm", "14_cognee_published", "published", "allow_cognee", closed=True),
    Case("bullseye", "14_cognee_out_of_memory", "oom", "restart_cognee"),
]


@dataclasses.dataclass
class Outcome:
    """What came of a case: its host, and the three runs of fix.yml."""

    host: str
    planned: object = None
    applied: object = None
    again: object = None
    reached_by_client: str = None
    reached_by_controller: bool = None


@pytest.fixture(scope="module")
def outcomes(cases, fleet, fix, tmp_path_factory):
    """Return a function that gives the outcome of a case, after running the wave that it is in."""

    def prepare(case, host):
        reference.inject(case.fault, host)
        return Outcome(host)

    def run(ready):
        hosts = [outcome.host for outcome in ready.values()]
        if len(hosts) > 1:
            clients = hosts
        else:
            # A host of Cognee alone would have no client.
            names = [name for release in reference.RELEASES for name in fleet.of(release)]
            clients = [*hosts, fleet.fresh(next(name for name in names if name not in hosts))]
        return run_wave(fix, ready, clients, tmp_path_factory.mktemp("inventory"))

    return Waves(
        fleet, cases, prepare, run, hosts=lambda case: fleet.of(case.release), at_once=4
    ).of


def run_wave(fix, ready, clients, directory):
    """Run fix.yml three times on all hosts of {case: Outcome}, and return it."""
    own = {outcome.host: case.variables for case, outcome in ready.items()}
    given = {
        "inventory": playbook.inventory(directory / "own.json", own),
        "sergas_cognee_hosts": ",".join(own),
        "sergas_cognee_clients": clients,
        "sergas_skip": playbook.HOST_WIDE,
    }
    approved = sorted({case.remedy for case in ready if case.approved})
    planned = fix(own, check=True, sergas_approve=approved, **given)
    applied = fix(own, sergas_approve=approved, **given)
    for case, outcome in ready.items():
        outcome.planned, outcome.applied = planned, applied
        client = next(name for name in clients if name != outcome.host)
        outcome.reached_by_client = query(client, curl(outcome.host))
        outcome.reached_by_controller = connects(outcome.host) if case.closed else None
    again = fix(own, **given)
    for outcome in ready.values():
        outcome.again = again
    return ready


def query(host, script):
    """Return what a shell command on a host prints."""
    return reference.on(reference.find(host), script, check=False).stdout.strip()


def curl(host):
    """Return a shell command that prints how Cognee on a host answers with the app's key."""
    return (
        "curl -s -m 5 -o /dev/null -w '%%{http_code}' -H 'X-Api-Key: %s' http://%s:%d/api/v1/datasets"
        % (KEY, reference.find(host).address, PORT)
    )


def connects(host):
    """Return whether this machine, which is no client, reaches Cognee on a host."""
    try:
        socket.create_connection((reference.find(host).address, PORT), timeout=2).close()
    except OSError:
        return False
    return True


def changed(run, host):
    """Return {task: diffs} of a host, without where a template's text lay for a moment."""
    text = json.dumps(run.changed.get(host, {}))
    return json.loads(re.sub(r"/[^\s\"]*/ansible-local-[^\s\"]*/", "", text))


def name(case):
    """Name a case for pytest."""
    return "%s-%s" % (case.release, case.fault)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_fault_is_the_only_root_and_has_its_reason(case, outcomes):
    outcome = outcomes(case)
    run, host = outcome.planned, outcome.host
    expected = reference.faults()[case.fault].root
    assert run.roots(host) == {expected}, run.describe(host)
    assert case.error_kind in {
        item["evidence"].get("error_kind") for item in run.findings(host) if item["id"] == expected
    }, run.describe(host)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_check_mode_names_what_is_then_changed(case, outcomes):
    outcome = outcomes(case)
    planned, applied = (changed(run, outcome.host) for run in (outcome.planned, outcome.applied))
    assert planned, outcome.planned.describe(outcome.host)
    assert planned == applied


@pytest.mark.parametrize("case", CASES, ids=name)
def test_fault_is_fixed_and_its_clients_are_served(case, outcomes):
    outcome = outcomes(case)
    run, host = outcome.applied, outcome.host
    assert run.outcome(host, case.remedy) == "kept", run.describe(host)
    assert not run.roots(host), run.describe(host)
    assert outcome.reached_by_client == "200"
    assert not outcome.reached_by_controller


@pytest.mark.parametrize("case", CASES, ids=name)
def test_second_run_changes_nothing(case, outcomes):
    outcome = outcomes(case)
    assert not outcome.again.changed.get(outcome.host), outcome.again.describe(outcome.host)
    assert outcome.again.outcome(outcome.host, case.remedy) is None


def test_the_key_is_nowhere_in_the_runs(outcomes):
    outcome = outcomes(CASES[4])
    for run in (outcome.planned, outcome.applied, outcome.again):
        assert KEY not in json.dumps([run.report, run.tasks, run.shown])
