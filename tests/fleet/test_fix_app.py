# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault of the app, on a real host: named, planned, fixed, verified, once.

The faults are made on many hosts at once, which then share each run of fix.yml: a check run, the
real one, and one more.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import re
import tempfile
import time
from pathlib import Path

import fleet as reference
import playbook
import pytest
import reports
from waves import Waves

APP = "/home/sergas/super-account-manager"
#: What the inventory knows of the app's variables, secrets from a vault among them.
VALUES = {
    "DATABASE_NAME": "sergas_prod",
    "REDIS_PORT": 6379,
    "ZOHO_SDK_REFRESH_TOKEN": "1000.fleet.refresh",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A fault of the app and what fixes it.

    Attributes:
        fault: its name in faults/.
        remedy: the one that fixes it, None where a person has to.
        verification: a shell command on the host that prints what is true once it is fixed.
        expected: that.
        variables: of the host.
        outcome: that of the remedy.
        left: the roots that stay, since they are another matter.
        release: the one it is tried on, unless all are tried on each.
        variant: what tells it from another case of the same fault.
        also: further faults on the same host.
    """

    fault: str
    remedy: str
    verification: str = "echo"
    expected: str = ""
    variables: dict = dataclasses.field(default_factory=dict)
    outcome: str = "kept"
    left: frozenset = frozenset()
    release: str = "bullseye"
    variant: str = ""
    also: tuple = ()

    def faults(self):
        """Return the names of all its faults."""
        return (self.fault, *self.also)

    def roots(self):
        """Return the ids of the findings that name them."""
        return {reference.faults()[fault].root for fault in self.faults()}


def variable(name):
    """Return a shell command that prints what the app's process was given for a variable."""
    return (
        "tr '\\0' '\\n' < /proc/$(systemctl show --value --property MainPID sergas-app)/environ"
        " | sed -n 's/^%s=//p'" % name
    )


def limit(name):
    """Return a shell command that prints a property of the app's unit."""
    return "systemctl show --value --property %s sergas-app" % name


#: In brackets, so that the shell that queries does not find itself.
HOLDER = "pgrep -c -f '^python3 .*http[.]server 8000'"
PORT_FREED = "systemctl is-active legacy-api; " + HOLDER
CASES = [
    Case("01_port_in_use", "free_port", PORT_FREED, "inactive\n0"),
    Case(
        "01_port_in_use_by_person",
        "free_port",
        PORT_FREED,
        "inactive\n0",
        release="bookworm",
    ),
    Case(
        "01_port_in_use_by_person",
        "free_port",
        "%s; %s" % (HOLDER, variable("API_PORT")),
        # On 8001 and 8002 are others.
        "1\n8003",
        {"sergas_app_port_policy": "move"},
        # The firewall allows the balancer to the old port only: the next run's remedy fixes it.
        left=frozenset({"lb.blocked"}),
        release="trixie",
        variant="move",
    ),
    Case(
        "01_port_in_use_socket",
        "free_port",
        "systemctl is-active legacy.socket legacy.service sergas-app",
        "inactive\ninactive\nactive",
        release="trixie",
    ),
    Case(
        "01_start_limit",
        "start_service",
        limit("ActiveState"),
        "active",
    ),
    Case(
        "02_missing_variable",
        "set_variables",
        variable("DATABASE_NAME"),
        "sergas_prod",
        release="bookworm",
    ),
    Case(
        "02_missing_secret",
        "set_variables",
        variable("ZOHO_SDK_REFRESH_TOKEN"),
        "1000.fleet.refresh",
    ),
    Case(
        "02_ambiguous_variable",
        "set_variables",
        variable("REDIS_CACHE_TTL"),
        "300",
        release="trixie",
    ),
    Case(
        "02_invalid_variable",
        "set_variables",
        variable("REDIS_PORT"),
        "6379",
        release="bookworm",
    ),
    Case(
        "04_import_error",
        "reinstall_requirements",
        "%s/venv/bin/python -c 'import structlog; print(structlog.__version__)'" % APP,
        "25.4.0",
        release="bookworm",
    ),
    Case("05_out_of_memory", "raise_memory_limit", limit("MemoryMax"), str(400 << 20)),
    Case(
        "06_open_files",
        "raise_open_files",
        "awk '/open files/ {print $4}'"
        " /proc/$(systemctl show --value --property MainPID sergas-app)/limits",
        "8192",
        # The flood of its log before made journald drop lines within the window.
        left=frozenset({"app.import.unknown"}),
    ),
    Case(
        "06_pool_arithmetic",
        "fit_pool",
        "%s; %s" % (variable("DATABASE_POOL_SIZE"), variable("DATABASE_MAX_OVERFLOW")),
        "48\n37",
        release="trixie",
    ),
    Case(
        "07_unhandled_exceptions",
        "debug_logging",
        variable("LOG_LEVEL"),
        "DEBUG",
        outcome="unverified",
        left=frozenset({"app.exceptions"}),
        release="bookworm",
    ),
    Case(
        "07_unhandled_exceptions_text",
        "debug_logging",
        "systemctl is-active sergas-debug-logging.timer",
        "active",
        outcome="unverified",
        left=frozenset({"app.exceptions"}),
    ),
    Case(
        "08_error_rate_failing_api",
        "bound_failures",
        variable("CIRCUIT_BREAKER_FAILURE_THRESHOLD"),
        "3",
        outcome="unverified",
        left=frozenset({"app.errors.rate"}),
        release="bookworm",
    ),
    Case(
        "08_error_rate_slow_database",
        "bound_failures",
        variable("DATABASE_TIMEOUT"),
        "60",
        outcome="unverified",
        left=frozenset({"app.errors.rate"}),
        release="trixie",
    ),
    Case(
        "08_error_rate_text",
        "bound_failures",
        variable("DATABASE_TIMEOUT"),
        "60",
        outcome="unverified",
        left=frozenset({"app.errors.rate"}),
    ),
    # What the inventory says is not what the app is missing.
    Case(
        "15_latency",
        "tune_concurrency",
        variable("MAX_CONCURRENT_ACCOUNTS"),
        "5",
        {"sergas_app_tuning": {"MAX_CONCURRENT_ACCOUNTS": 4}},
        outcome="undone",
        left=frozenset({"api.latency.high"}),
        release="trixie",
        variant="undone",
    ),
    Case(
        "16_memory_leak",
        "limit_memory",
        "[ $(%s) -lt $((820 << 20)) ] && systemctl is-active sergas-app-restart.timer"
        % limit("MemoryMax"),
        "active",
        {"sergas_app_restart_schedule": "*-*-* 03:30:00"},
        release="trixie",
    ),
    Case(
        "17_weak_keys",
        "rate_limit_keys",
        "%s; %s; stat --format %%a %s/.env"
        % (variable("ENABLE_RATE_LIMITING"), variable("SESSION_TIMEOUT"), APP),
        "true\n1800\n640",
        release="bookworm",
        also=("17_readable_env",),
    ),
    Case(
        "17_mfa_off",
        "require_mfa",
        variable("REQUIRE_MFA"),
        "true",
        release="bookworm",
    ),
    Case(
        "19_journal",
        "vacuum_journal",
        "[ $(df --output=pcent /var/log/journal | tr -dc 0-9) -lt 80 ] && echo relieved",
        "relieved",
        release="trixie",
    ),
    Case(
        "19_package_cache",
        "clean_package_cache",
        "ls /var/cache/apt/archives/*.deb 2> /dev/null | wc -l",
        "0",
        release="bookworm",
    ),
]
#: Nothing that is safe can be known: the remedy that is held back and why, or none at all.
ADVICE = [
    Case("04_import_error_own_module", None),
    Case("15_latency_slow_dependency", "tune_concurrency", release="trixie"),
    Case("19_redis_memory", None, also=("19_inodes", "19_readonly_mount"), release="bookworm"),
]
RESOLVED = [(release, case) for case in CASES for release in reference.tried_on(case.release)]
ADVISED = [(release, case) for case in ADVICE for release in reference.tried_on(case.release)]


@dataclasses.dataclass
class Outcome:
    """What came of a case: its host, and the three runs of fix.yml (one where nothing is done)."""

    host: str
    planned: object = None
    applied: object = None
    verification: str = None
    again: object = None


@pytest.fixture(scope="module")
def outcomes(cases, fleet, fix, tmp_path_factory):
    """Return a function that gives the outcome of a case, after running the wave that it is in."""

    def prepare(case, host):
        for fault in case[1].faults():
            reference.inject(fault, host)
        return Outcome(host)

    def run(ready):
        return run_wave(fix, ready, tmp_path_factory.mktemp("inventory"))

    return Waves(fleet, cases, prepare, run).of


def run_wave(fix, ready, directory):
    """Run fix.yml three times on all hosts of {case: Outcome}, and return it."""
    own = {
        outcome.host: {
            "sergas_env_values": VALUES,
            "own_thresholds": playbook.thresholds(key[1].faults()),
            **key[1].variables,
        }
        for key, outcome in ready.items()
    }
    given = {
        "inventory": playbook.inventory(directory / "own.json", own),
        "sergas_thresholds": "{{ own_thresholds }}",
    }
    # Most of these apps serve, and what restarts one of them has to be named.
    approved = sorted({key[1].remedy for key in ready if key[1].remedy})
    planned = fix(sorted(own), check=True, sergas_approve=approved, **given)
    for outcome in ready.values():
        outcome.planned = planned
    acted = {key: outcome for key, outcome in ready.items() if key in RESOLVED}
    if acted:
        names = sorted(outcome.host for outcome in acted.values())
        applied = fix(names, sergas_approve=approved, **given)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            verifications = {
                key: pool.submit(query, acted[key].host, key[1].verification) for key in acted
            }
        again = fix(names, **given)
        for key, outcome in acted.items():
            outcome.applied, outcome.again = applied, again
            outcome.verification = verifications[key].result()
    return ready


def query(host, script):
    """Return what a shell command on a host prints."""
    return reference.on(reference.find(host), script, check=False).stdout.strip()


def name(case):
    """Name a case for pytest."""
    return "-".join(part for part in (case[0], case[1].fault, case[1].variant) if part)


@pytest.mark.parametrize("case", RESOLVED + ADVISED, ids=name)
def test_fault_is_the_only_root(case, outcomes):
    outcome = outcomes(case)
    run, host = outcome.planned, outcome.host
    assert run.roots(host) == case[1].roots(), run.describe(host)


@pytest.mark.parametrize("case", RESOLVED, ids=name)
def test_check_mode_names_what_is_then_changed(case, outcomes):
    outcome = outcomes(case)
    planned, applied = (
        run.changed.get(outcome.host, {}) for run in (outcome.planned, outcome.applied)
    )
    assert planned, outcome.planned.describe(outcome.host)
    assert planned == applied


@pytest.mark.parametrize("case", RESOLVED, ids=name)
def test_fault_is_fixed(case, outcomes):
    outcome = outcomes(case)
    run, host = outcome.applied, outcome.host
    assert run.outcome(host, case[1].remedy) == case[1].outcome, run.describe(host)
    assert run.roots(host) == case[1].left, run.describe(host)
    assert outcome.verification == case[1].expected


@pytest.mark.parametrize("case", RESOLVED, ids=name)
def test_second_run_changes_nothing(case, outcomes):
    outcome = outcomes(case)
    if not case[1].left or case[1].outcome != "kept":
        assert not outcome.again.changed.get(outcome.host), outcome.again.describe(outcome.host)
    # What did not help is not tried again so soon, and what waits for traffic stays so.
    held = {"kept": None, "unverified": "unverified"}.get(case[1].outcome, "guarded")
    assert outcome.again.outcome(outcome.host, case[1].remedy) == held


@pytest.mark.parametrize("case", ADVISED, ids=name)
def test_what_has_no_safe_remedy_is_left_to_a_person(case, outcomes):
    outcome = outcomes(case)
    run, host = outcome.planned, outcome.host
    assert not run.changed.get(host)
    advice = {item["id"]: item["advice"] for item in reports.bad(run.findings(host))}
    assert all(advice[root] for root in case[1].roots())
    if case[1].remedy is None:
        assert not [remedy for name, remedy in run.entries if name == host], run.describe(host)
    else:
        entry = run.entries[host, case[1].remedy]
        assert entry["outcome"] == "guarded"
        assert "sergas_app_tuning" in entry["reason"]


def test_unit_that_starts_slowly_is_given_the_time_it_takes(fleet, fix):
    """Every start is slow where a tenth of a second is long."""
    host = fleet.fresh(fleet.of("bookworm")[0])
    slow = {
        "sergas_thresholds": {"start_seconds": {"warn": 0.1, "fail": 0.2}},
        "sergas_skip": playbook.HOST_WIDE,
    }
    directory = "/etc/systemd/system/sergas-app.service.d"
    query(
        host,
        "mkdir -p %s && printf '[Service]\\nTimeoutStartSec=40\\n' > %s/short.conf"
        " && systemctl daemon-reload" % (directory, directory),
    )
    planned = fix([host], check=True, **slow)
    applied = fix([host], **slow)
    # The last start stays as slow as it was.
    assert applied.outcome(host, "raise_start_timeout") == "unverified", applied.describe(host)
    assert planned.changed[host] and planned.changed == applied.changed
    assert query(host, limit("TimeoutStartUSec")) == "1min 30s"
    again = fix([host], **slow, sergas_cooldown=0)
    assert not again.changed, again.describe(host)
    assert again.outcome(host, "raise_start_timeout") == "unverified"


PLAN_OPTIONS = {
    "sergas_app_memory_max": "400M",
    "sergas_app_restart_schedule": "*-*-* 03:30:00",
    "sergas_app_debug_logging": True,
    "sergas_env_values": {"MAX_CONCURRENT_ACCOUNTS": 3},
}
TIMER = "/etc/systemd/system/sergas-debug-logging.timer"


@pytest.fixture(scope="module")
def role(tmp_path_factory):
    """Return a function that runs role app on hosts and returns {host: {task: [diffs]}} of what it
    changed, or would change.
    """
    path = tmp_path_factory.mktemp("play") / "app.yml"
    path.write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "roles": ["sergas.ops.app"]}])
    )

    def run(hosts, *options, **variables):
        words = playbook.command(path, "--diff", *options, limit=hosts, **variables)
        played = playbook.play(words)
        assert played.status == 0, json.dumps(played.document)[-5000:] + played.shown[-2000:]
        return played.diffs()

    return run


def eventually(seconds, host, script, expected):
    """Poll a shell command on a host until it prints what is expected."""
    deadline = time.monotonic() + seconds
    while query(host, script) != expected:
        assert time.monotonic() < deadline, "%s on %s: %r" % (script, host, query(host, script))
        # Each query of a host starts processes on it and on this machine.
        time.sleep(1)


def let_the_time_pass_while_it_is_down(host):
    """Take a host down, let the end of debug logging come meanwhile, and start it again."""
    container = reference.find(host).container
    reference.run("podman", "stop", "--time", "10", container)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "timer"
        reference.run("podman", "cp", container + ":" + TIMER, str(file))
        ended = time.strftime("OnCalendar=%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() - 1))
        file.write_text(re.sub("OnCalendar=.*", ended, file.read_text()))
        reference.run("podman", "cp", str(file), container + ":" + TIMER)
    reference.run("podman", "start", container)


def test_debug_logging_ends_automatically_though_the_host_was_down(fleet, role):
    """What the role sets is planned, set and set once; then no further run follows."""
    # Of systemd's timers, what the oldest and the newest of the releases do alike.
    hosts = fleet.fresh_of_each(releases=("bullseye", "trixie"))
    before = {host: query(host, "cat %s/.env" % APP) for host in hosts}
    planned = role(hosts, "--check", **PLAN_OPTIONS)
    applied = role(hosts, **PLAN_OPTIONS)
    assert set(planned) == set(hosts)
    assert planned == applied
    until = {host: query(host, "grep OnCalendar %s" % TIMER) for host in hosts}
    assert role(hosts, **PLAN_OPTIONS) == {}
    for host in hosts:
        assert query(host, variable("LOG_LEVEL")) == "DEBUG"
        assert query(host, limit("MemoryMax")) == str(400 << 20)
        assert query(host, "systemctl is-active sergas-app-restart.timer") == "active"
        # The second run has not put the end off.
        assert query(host, "grep OnCalendar %s" % TIMER) == until[host]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(let_the_time_pass_while_it_is_down, hosts))
    for host in hosts:
        eventually(90, host, "ls %s /var/lib/sergas/debug-logging 2> /dev/null" % TIMER, "")
        eventually(90, host, variable("LOG_LEVEL"), "INFO")
        expected = before[host].replace("ACCOUNTS=5", "ACCOUNTS=3")
        assert query(host, "cat %s/.env" % APP) == expected
    # A schedule that is not set any more is removed.
    role(hosts)
    for host in hosts:
        assert query(host, "systemctl list-timers --all | grep -c sergas-app-restart") == "0"


#: Requests that fail on some hosts and are served on others, more than decide on a remedy.
TRAFFIC = "seq 105 | xargs -P 4 -I@ curl -s -o /dev/null 'http://127.0.0.1:8000/api/v1/%s?n=@'"
BROKEN = (
    """cat >> %s/src/main.py <<'CODE'
@app.get("/api/v1/broken")
def broken():
    raise KeyError("owner")
CODE
systemctl restart sergas-app
"""
    % APP
)


def test_traffic_decides_what_only_traffic_shows_and_no_one_else(fleet, fix):
    """One host whose errors end with the remedy, and one where they go on. Before either has served
    enough requests, a run changes nothing and decides nothing.
    """
    helped, not_helped = hosts = fleet.fresh_of_each(releases=("bullseye", "trixie"))[:2]
    given = {"sergas_approve": ["debug_logging"], "sergas_skip": playbook.HOST_WIDE}
    served = {"sergas_cooldown": 0, "sergas_skip": playbook.HOST_WIDE}
    for host in hosts:
        query(host, BROKEN)
        eventually(60, host, "curl -s -o /dev/null -w '%{http_code}' localhost:8000/health", "200")
        query(host, "for n in 1 2 3; do curl -s -o /dev/null localhost:8000/api/v1/broken; done")
        # Under half of what it serves fails.
        query(host, TRAFFIC % "accounts")
    # An app that serves is not restarted without a person.
    held = fix(hosts, **served)
    for host in hosts:
        assert held.outcome(host, "debug_logging") == "guarded", held.describe(host)
        assert [one["name"] for one in held.entries[host, "debug_logging"]["guards"]] == ["serving"]
    assert not held.changed
    applied = fix(hosts, **given)
    waiting = fix(hosts, **served)
    for host in hosts:
        assert applied.outcome(host, "debug_logging") == "unverified", applied.describe(host)
        assert waiting.outcome(host, "debug_logging") == "unverified", waiting.describe(host)
        (item,) = [one for one in waiting.findings(host) if one["id"] == "app.exceptions"]
        assert item["evidence"]["awaiting_traffic"]["requests"] < 100
    assert not waiting.changed
    query(helped, TRAFFIC % "accounts")
    query(not_helped, TRAFFIC % "broken")
    decided = fix(hosts, **served)
    assert decided.outcome(helped, "debug_logging") == "kept", decided.describe(helped)
    assert decided.outcome(not_helped, "debug_logging") == "failed", decided.describe(not_helped)
    assert "to go back" in decided.entries[not_helped, "debug_logging"]["reason"]
    assert not decided.roots(helped), decided.describe(helped)
    assert decided.roots(not_helped) == {"app.exceptions"}
    assert decided.status == 2 and not decided.changed
