# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault of Cognee, with its container on a real host: named, planned, mended, proven, once.

All hosts are hosts of Cognee and of the app that uses it, so each is asked from others, too. A
fault is on one release, and they go side by side, for Docker is installed on each host.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import re
import socket

import fleet as reference
import pytest

BAD = {"warn", "fail", "unknown"}
PORT = 8101
KEY = "fleet-cognee-key"


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A fault of Cognee and what mends it.

    Attributes:
        release: that of its host.
        fault: its name in faults/.
        told: evidence.told of the root, which tells it from others of the same id.
        remedy: the one that mends it.
        variables: of the host.
        approved: whether the remedy has to be approved.
        closed: whether nobody but the clients reaches it afterwards.
    """

    release: str
    fault: str
    told: str
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
    ),
    Case("bullseye", "14_cognee_blocked", "firewall", "allow_cognee", closed=True),
    Case("bookworm", "14_cognee_published", "published", "allow_cognee", closed=True),
    Case("bullseye", "14_cognee_out_of_memory", "oom", "restart_cognee"),
]


@dataclasses.dataclass
class Outcome:
    """What came of a case: its host and those beside it, and the three runs of fix.yml."""

    host: str
    others: list
    planned: object = None
    applied: object = None
    again: object = None
    reached_by_client: str = None
    reached_by_controller: bool = None


@pytest.fixture(scope="module")
def outcomes(cases, fleet, fix, tmp_path_factory):
    """Return a function that gives the outcome of a case, after running the wave that it is in."""
    known = {}

    def run(wanted):
        while wanted not in known:
            free = {release: fleet.of(release) for release in reference.RELEASES}
            wave = {}
            for case in [wanted] + [case for case in cases if case != wanted]:
                if case not in known and free[case.release]:
                    wave[case] = free[case.release].pop(0)
            # A host of Cognee alone would have nobody that uses it.
            spare = [host for hosts in free.values() for host in hosts][: max(0, 2 - len(wave))]
            known.update(run_wave(fleet, fix, wave, spare, tmp_path_factory.mktemp("inventory")))
        if isinstance(known[wanted], Exception):
            raise known[wanted]
        return known[wanted]

    return run


def run_wave(fleet, fix, wave, spare, folder):
    """Make the faults, run fix.yml three times on all hosts, and return the outcomes."""

    def prepare(case):
        fleet.fresh(wave[case])
        reference.inject(case.fault, wave[case])

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        futures = {case: pool.submit(prepare, case) for case in wave}
    result = {case: future.exception() for case, future in futures.items() if future.exception()}
    names = [wave[case] for case in wave if case not in result]
    ready = {
        case: Outcome(wave[case], [name for name in names + spare if name != wave[case]])
        for case in wave
        if case not in result
    }
    inventory = folder / "own.json"
    hosts = {outcome.host: case.variables for case, outcome in ready.items()}
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    variables = {
        "sergas_cognee_hosts": ",".join(names),
        "sergas_cognee_clients": names + spare,
    }
    approved = sorted({case.remedy for case in ready if case.approved})
    try:
        if not ready:
            return result
        planned = fix(names, check=True, inventory=inventory, sergas_approve=approved, **variables)
        applied = fix(names, inventory=inventory, sergas_approve=approved, **variables)
        for case, outcome in ready.items():
            outcome.planned, outcome.applied = planned, applied
            outcome.reached_by_client = ask(outcome.others[0], curl(outcome.host))
            outcome.reached_by_controller = connects(outcome.host) if case.closed else None
        again = fix(names, inventory=inventory, **variables)
        for outcome in ready.values():
            outcome.again = again
    except Exception as error:  # it is every case's failure, and each says so
        return {**result, **dict.fromkeys(ready, error)}
    finally:
        fleet.stop(wave.values())
    return {**result, **ready}


def ask(host, script):
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


def findings(run, host):
    """Return a host's findings in the report of a run."""
    return {one["name"]: one for one in run.report["hosts"]}[host]["findings"]


def roots(run, host):
    """Return the ids of a host's bad findings that derive from no other."""
    return {
        item["id"] for item in findings(run, host) if item["status"] in BAD and not item["cause"]
    }


def changed(run, host):
    """Return {task: diffs} of a host, without where a template's text lay for a moment."""
    text = json.dumps(run.changed.get(host, {}))
    return json.loads(re.sub(r"/[^\s\"]*/ansible-local-[^\s\"]*/", "", text))


def told(run, host):
    """Return what went on with a host, for a failure's message."""
    keys = ("id", "status", "cause", "summary", "evidence")
    bad = [
        {key: item[key] for key in keys} for item in findings(run, host) if item["status"] in BAD
    ]
    entries = [
        (remedy, entry["outcome"], entry["reason"])
        for (name, remedy), entry in run.entries.items()
        if name == host
    ]
    return json.dumps({"bad": bad, "entries": entries}, indent=1)[:6000]


def name(case):
    """Name a case for pytest."""
    return "%s-%s" % (case.release, case.fault)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_fault_is_the_only_root_and_told_apart(case, outcomes):
    outcome = outcomes(case)
    expected = reference.faults()[case.fault].root
    assert roots(outcome.planned, outcome.host) == {expected}, told(outcome.planned, outcome.host)
    assert case.told in {
        item["evidence"].get("told")
        for item in findings(outcome.planned, outcome.host)
        if item["id"] == expected
    }, told(outcome.planned, outcome.host)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_check_mode_names_what_is_then_changed(case, outcomes):
    outcome = outcomes(case)
    planned, applied = (changed(run, outcome.host) for run in (outcome.planned, outcome.applied))
    assert planned, told(outcome.planned, outcome.host)
    assert planned == applied


@pytest.mark.parametrize("case", CASES, ids=name)
def test_fault_is_mended_and_its_clients_are_served(case, outcomes):
    outcome = outcomes(case)
    run, host = outcome.applied, outcome.host
    assert run.outcome(host, case.remedy) == "kept", told(run, host)
    assert not roots(run, host), told(run, host)
    assert outcome.reached_by_client == "200"
    assert not outcome.reached_by_controller


@pytest.mark.parametrize("case", CASES, ids=name)
def test_second_run_changes_nothing(case, outcomes):
    outcome = outcomes(case)
    assert not outcome.again.changed.get(outcome.host), told(outcome.again, outcome.host)
    assert outcome.again.outcome(outcome.host, case.remedy) is None


def test_the_key_is_nowhere_in_the_runs(outcomes):
    outcome = outcomes(CASES[4])
    for run in (outcome.planned, outcome.applied, outcome.again):
        assert KEY not in json.dumps([run.report, run.tasks, run.shown])
