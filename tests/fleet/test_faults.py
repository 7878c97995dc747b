# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault on a real host is named as its root and nothing else, also beside another one."""

from __future__ import annotations

import fleet as reference
import playbook
import pytest
import reports
from waves import Waves

# Those of the database take its own modules, and what fixes them: test_postgresql.py. Those of
# Cognee take its container, and hosts that use it: test_cognee.py.
ELSEWHERE = (9, 10, 11, 14)
#: What is made by default: the faults of one host, where none explains another, and its release.
#: The faults that have a case in a test of what fixes them are named there by the same diagnosis,
#: so they are here only on releases that tell them otherwise: Python's and systemd's messages of an
#: app that cannot start, and how each systemd limits memory. In this order: a restart of the app
#: resolves what only its former process has logged.
TOGETHER = [
    ("bullseye", ("03_database_missing", "18_balancer_blocked")),
    ("bullseye", ("03_wrong_port", "19_disk")),
    ("bullseye", ("17_forwarded_from_everywhere", "17_bruteforce", "19_disk")),
    ("bullseye", ("03_hba_invalid",)),
    ("bullseye", ("18_slow_start",)),
    ("bookworm", ("03_database_stopped_under_app", "19_redis_down")),
    ("bookworm", ("03_role_reads_only", "19_redis_replica")),
    ("bookworm", ("05_out_of_memory",)),
    ("bookworm", ("17_bruteforce_text", "13_rate_limited_text", "18_balancer_blocked")),
    ("bookworm", ("17_scanning", "03_wrong_host", "18_balancer_limited")),
    ("trixie", ("03_pg_hba_denies", "18_balancer_denied")),
    ("trixie", ("03_server_frozen",)),
    ("trixie", ("04_import_error", "19_readonly_mount")),
    ("trixie", ("05_out_of_memory", "19_inodes", "18_balancer_dropped")),
    ("trixie", ("18_health_failing", "07_unhandled_exceptions")),
    ("bullseye", ("19_cpu",)),
    ("trixie", ("02_unreadable_env", "18_balancer_blocked")),
]
#: With SERGAS_FLEET_TEST_ALL=1: each fault alone, and each of these, on each release.
ALL = [
    (release, faults)
    for faults in [
        *((fault.name,) for fault in reference.faults().values() if fault.number not in ELSEWHERE),
        *dict.fromkeys(faults for _release, faults in TOGETHER if len(faults) > 1),
    ]
    for release in reference.RELEASES
]
FAULTY = ALL if reference.EVERYWHERE else TOGETHER


def name(case):
    """Name a case for pytest."""
    release, faults = case
    return "-".join((release, *faults))


def busy(case):
    """Return whether a case's faults keep the processor busy after they are made."""
    return not playbook.skipped(case[1])


@pytest.fixture(scope="module")
def findings_of(cases, fleet, diagnose, tmp_path_factory):
    """Return a function that gives the findings of a case's host, after running its wave."""

    def prepare(case, host):
        for fault in case[1]:
            reference.inject(fault, host)
        return host

    def run(hosts):
        # Where Zoho itself fails, querying it would make that the root.
        queried = [
            host
            for case, host in hosts.items()
            if not any(fault.startswith("08_") for fault in case[1])
        ]
        own = {
            host: {
                "own_thresholds": playbook.thresholds(case[1]),
                "own_skip": playbook.skipped(case[1]),
            }
            for case, host in hosts.items()
        }
        report = diagnose(
            sorted(own),
            inventory=playbook.inventory(tmp_path_factory.mktemp("inventory") / "own.json", own),
            sergas_thresholds="{{ own_thresholds }}",
            sergas_skip="{{ own_skip }}",
            sergas_zoho_hosts=",".join(queried) or "all:!all",
        )
        return {case: reports.findings(report)[host] for case, host in hosts.items()}

    # What computes without end would make every other host slow: such cases go together.
    return Waves(fleet, cases, prepare, run, kind=busy, at_once=4).of


def inspected(findings):
    """Return the components that there are good findings of."""
    return {finding["component"] for finding in findings if finding["status"] == "ok"}


@pytest.fixture(scope="module")
def healthy(fleet):
    """Names of fresh hosts, one of each release."""
    return fleet.fresh_of_each()


def test_healthy_host_has_nothing_bad(healthy, diagnose):
    report = diagnose(healthy, sergas_zoho_hosts="all:!all", sergas_thresholds=playbook.UNHURRIED)
    for findings in reports.findings(report).values():
        assert not reports.bad(findings), reports.describe(findings)
        # It was checked, not skipped.
        assert {"app", "api", "database", "redis", "host"} <= inspected(findings)


#: What gives an app its variables beside one .env, by release: functions of lib.sh.
OTHER_SOURCES = {
    # A second file of the unit.
    "bullseye": """
        unset_env DATABASE_NAME
        echo DATABASE_NAME=sergas_prod > /etc/sergas/db.conf
        dropin <<< $'[Service]\\nEnvironmentFile=/etc/sergas/*.conf'
    """,
    # Secrets in a file of root alone.
    "bookworm": """
        secret='^(ZOHO|DATABASE_PASSWORD|REDIS_PASSWORD)'
        grep -E "$secret" "$app/.env" > /etc/sergas/secrets.env
        sed -i -E "/$secret/d" "$app/.env"
        chmod 600 /etc/sergas/secrets.env
        dropin <<< $'[Service]\\nEnvironmentFile=/etc/sergas/secrets.env'
    """,
    # A script that exports one.
    "trixie": """
        unset_env DATABASE_NAME
        printf '#!/bin/sh\\nexport DATABASE_NAME=sergas_prod\\nexec %s/venv/bin/uvicorn %s\\n' \\
            "$app" 'src.main:app --host 0.0.0.0 --port 8000' > /usr/local/bin/run-app
        chmod 755 /usr/local/bin/run-app
        dropin <<< $'[Service]\\nExecStart=\\nExecStart=/usr/local/bin/run-app'
    """,
}


@pytest.fixture(scope="module")
def other_sources(healthy):
    """The healthy hosts, once their apps get their variables from other sources, too."""
    for host in map(reference.find, healthy):
        reference.run("podman", "cp", reference.FAULTS / "lib.sh", host.container + ":/tmp/lib.sh")
        script = "source /tmp/lib.sh\nmkdir -p /etc/sergas\n%s\nrestart_app\neventually 30 healthy"
        reference.run(
            "podman", "exec", host.container, "bash", "-c", script % OTHER_SOURCES[host.release]
        )
    return healthy


def test_healthy_host_of_declared_groups_has_nothing_bad(other_sources, diagnose, tmp_path):
    """Groups say what a host must have: nothing is expected that none of them stands for.

    Nor is anything missing that the app gets from elsewhere than its .env.
    """
    groups = ("sergas_app", "sergas_postgresql", "sergas_redis")
    own = playbook.inventory(
        tmp_path / "own.json",
        dict.fromkeys(other_sources, {}),
        dict.fromkeys(groups, other_sources),
    )
    report = diagnose(
        other_sources,
        inventory=own,
        sergas_zoho_hosts="all:!all",
        sergas_skip=playbook.HOST_WIDE,
    )
    for findings in reports.findings(report).values():
        assert not reports.bad(findings), reports.describe(findings)
        assert {"app", "database", "redis"} <= inspected(findings)


@pytest.mark.parametrize("case", FAULTY, ids=name)
def test_faults_are_the_only_roots(case, findings_of):
    findings = findings_of(case)
    expected = {reference.faults()[fault].root for fault in case[1]}
    assert reports.roots(findings) == expected, reports.describe(findings)
