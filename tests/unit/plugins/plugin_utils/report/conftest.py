# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet as sergas_health describes it: two databases, a Redis, balancers, hosts of the app, and
faults on them.
"""

from __future__ import annotations

import copy

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import model, results

DATABASE = "10.20.0.5:5432"
REDIS = "10.20.0.7:6379"
ZOHO = "accounts.zoho.eu:443"


def healthy():
    """Return the findings of a host of the app with nothing wrong, 35 of them."""
    percent = {"unit": "%", "warn": 80.0, "fail": 90.0}
    app = [
        (
            "app.service.ok",
            "sergas-app is running since 2026-11-20 06:12 UTC, 0 restarts",
            {"restarts": 0},
        ),
        ("app.port.ok", "Port 8000 is held by sergas-app (pid 812)", {"pid": 812}),
        ("app.env.ok", "All 9 required variables are set in .env", {}),
        ("app.import.ok", "No import error in the last hour", {}),
        ("app.oom.ok", "Nothing was killed for memory in the last hour", {}),
        ("app.crash.ok", "No crash in the last hour, no dump on the disk", {}),
        ("app.files.ok", "64 of 1024 files open", {}),
        ("app.exceptions.ok", "No unhandled exception in the last hour", {}),
        ("app.errors.ok", "2 error lines in the last hour, warn at 10", {"lines": 2}),
        ("app.connections.ok", "37 connections on port 8000, warn at 500", {}),
    ]
    found = [finding(id, "app", "ok", text, evidence=evidence) for id, text, evidence in app]
    found += [
        finding(
            "app.metrics.skipped", "app", "skipped", "Nothing answers at http://127.0.0.1:9090"
        ),
        finding(
            "api.health.ok",
            "api",
            "ok",
            "/health answers 200 with the status healthy",
            evidence={"status": 200},
        ),
        finding(
            "api.latency.ok",
            "api",
            "ok",
            "/health takes 0.012 s (median of 3), warn at 2 s",
            value=0.012,
            unit="s",
            warn=2.0,
            fail=5.0,
        ),
        finding(
            "db.connection.ok",
            "database",
            "ok",
            "PostgreSQL 15.6 answers in 4 ms",
            evidence={"target": DATABASE},
        ),
        finding(
            "redis.ok",
            "redis",
            "ok",
            "Redis 7.0.15 answers, 41 % of its memory used",
            evidence={"target": REDIS},
        ),
        finding(
            "zoho.api.ok", "zoho", "ok", "No rate limit in the last hour", evidence={"target": ZOHO}
        ),
        finding(
            "security.access.ok",
            "security",
            "ok",
            "No address with 10 failed logins in the last hour",
        ),
        finding("lb.health.skipped", "loadbalancer", "skipped", "loadbalancer: not on this host"),
    ]
    for name, value in (
        ("memory", 41.5),
        ("swap", 3.0),
        ("cpu", 22.0),
        ("load", 0.4),
        ("iowait", 0.5),
    ):
        found.append(
            finding(
                "host.%s.ok" % name,
                "host",
                "ok",
                "%s is at %g %%" % (name, value),
                value=value,
                **percent,
            )
        )
    for mount in ("/", "/boot", "/home", "/tmp", "/var", "/var/log", "/var/lib/postgresql"):
        found.append(
            finding(
                "host.disk.ok",
                "host",
                "ok",
                "%s is 38 %% full" % mount,
                value=38.0,
                evidence={"mount": mount},
                **percent,
            )
        )
    for mount in ("/", "/home", "/tmp", "/var", "/var/log"):
        found.append(
            finding(
                "host.inodes.ok",
                "host",
                "ok",
                "%s has 7 %% of its inodes used" % mount,
                value=7.0,
                **percent,
            )
        )
    return found


def replace(findings, subject, *bad):
    """Return the findings with those of a subject replaced by bad ones."""
    return [item for item in findings if not item["id"].startswith(subject)] + list(bad)


def port_conflict(findings):
    """The port is taken, so the app and its health are down as well."""
    findings = replace(
        findings,
        "app.port",
        finding(
            "app.port.conflict",
            "app",
            "fail",
            "Port 8000 is held by python3 (pid 4711, unit rogue.service), sergas-app cannot"
            " bind it",
            evidence={
                "pid": 4711,
                "unit": "rogue.service",
                "command": "python3 -m http.server 8000",
            },
            remedy="free_port",
            advice="Stop rogue.service, or move the app with API_PORT.",
            guide="Application Won't Start",
        ),
    )
    findings = replace(
        findings,
        "app.service",
        finding(
            "app.service.restarting",
            "app",
            "fail",
            "sergas-app restarted 14 times in the last hour, fail at 5",
            value=14.0,
            unit="restarts",
            warn=2.0,
            fail=5.0,
            cause="app.port.conflict",
            evidence={"exit_status": 1},
            guide="Application Won't Start",
        ),
    )
    return replace(
        findings,
        "api.health",
        finding(
            "api.health.unreachable",
            "api",
            "fail",
            "/health on port 8000 answers 501, not the app's",
            cause="app.service.restarting",
            guide="Health Check Matrix",
        ),
    )


def database_down(findings):
    """The shared database refuses, the app cannot start without it."""
    findings = replace(
        findings,
        "db.",
        finding(
            "db.unreachable",
            "database",
            "fail",
            "%s refuses connections" % DATABASE,
            evidence={"target": DATABASE, "phase": "connect"},
            remedy="start_postgresql",
            advice=(
                "Start the cluster on its host: systemctl start postgresql, and read its log if it"
                " does not stay up."
            ),
            guide="Application Won't Start",
        ),
    )
    return replace(
        findings,
        "api.health",
        finding(
            "api.health.degraded",
            "api",
            "fail",
            "/health answers 503, database: disconnected",
            cause="db.unreachable",
            evidence={"status": 503, "database": "disconnected"},
            guide="Health Check Matrix",
        ),
    )


def disk_high(findings):
    """A disk over its threshold."""
    return [
        *findings,
        finding(
            "host.disk.high",
            "host",
            "warn",
            "/var/log is 86.4 % full, warn at 80 %",
            value=86.4,
            unit="%",
            warn=80.0,
            fail=90.0,
            evidence={
                "mount": "/var/log",
                "free": "1.3 GiB",
                "largest": ["/var/log/journal 4.1 GiB", "/var/log/nginx 2.2 GiB"],
            },
            remedy="vacuum_journal",
            advice="Vacuum the journal: journalctl --vacuum-size=1G.",
            guide="Health Check Matrix",
        ),
    ]


def errors(findings):
    """Many errors, with lines of the journal as evidence."""
    return replace(
        findings,
        "app.errors",
        finding(
            "app.errors.rate",
            "app",
            "warn",
            "57 error lines in the last hour, warn at 10",
            value=57.0,
            unit="log lines",
            warn=10.0,
            fail=100.0,
            confidence="estimated",
            evidence={
                "groups": [
                    {
                        "type": "mcp_request_failed",
                        "path": "/accounts",
                        "count": 41,
                        "last": "2026-11-24T14:52:10Z",
                    },
                    {
                        "type": "TimeoutError",
                        "path": "/api/v1/sync",
                        "count": 16,
                        "last": "2026-11-24T14:40:01Z",
                    },
                ],
                "stopped_early": False,
            },
            advice="Check what /accounts waits for: its slow requests began with the errors.",
            guide="High Error Rate",
        ),
    )


def redis_unknown(findings):
    """Redis gave no answer in time."""
    return replace(
        findings,
        "redis",
        finding(
            "redis.unknown",
            "redis",
            "unknown",
            "redis could not be measured: no answer within 5.0 s",
            guide="Health Check Matrix",
        ),
    )


def balancer(backends):
    """Return the findings of a balancer: for each backend (target, healthy)."""
    host = [item for item in healthy() if item["component"] == "host"]
    for target, fine in backends:
        if fine:
            host.append(
                finding(
                    "lb.health.ok",
                    "loadbalancer",
                    "ok",
                    "%s is healthy" % target,
                    evidence={"target": target},
                )
            )
        else:
            host.append(
                finding(
                    "lb.health.failing",
                    "loadbalancer",
                    "fail",
                    "%s answers its health check with 501" % target,
                    evidence={"target": target, "status": 501},
                    advice="Check the app on that host first.",
                    guide="Load Balancer Health Check Failures",
                )
            )
    return host


def entry(name, findings, groups=("sergas_app",), address=None):
    """Return a host as the action plugin hands it to the model."""
    registered = {
        "findings": findings,
        "probe_seconds": {"database": 0.012, "logs": 0.31, "redis": None},
    }
    return results.host_entry(
        name, groups, [address or name], {"sergas_health": registered}, ["sergas_health"]
    )


def lost(
    name,
    reason="Task failed: Failed to connect to the host via ssh: ssh: connect to host 192.0.2.1 port 22: Connection timed out",  # noqa: E501
):
    """Return a host that did not answer."""
    registered = {"unreachable": True, "changed": False, "msg": reason}
    return results.host_entry(
        name, ["sergas_app"], [name], {"sergas_health": registered}, ["sergas_health"]
    )


def crashed(name):
    """Return a host whose diagnosis failed."""
    registered = {
        "failed": True,
        "changed": False,
        "msg": "Task failed: Module failed: No space left on device",
    }
    return results.host_entry(
        name, ["sergas_app"], [name], {"sergas_health": registered}, ["sergas_health"]
    )


def fleet(number=20):
    """Return a fleet of that many hosts with several faults, and the shared database down for most
    of them.
    """
    faults = {1: port_conflict, 3: disk_high, 4: errors, 6: redis_unknown}
    hosts = []
    for index in range(1, number - 1):
        findings = faults.get(index, copy.deepcopy)(healthy())
        if index % 6:
            findings = database_down(findings)
        hosts.append(entry("app%d.example.com" % index, findings, address="10.20.1.%d" % index))
    if number > 8:
        hosts[7] = lost("app8.example.com")
        hosts[8] = crashed("app9.example.com")
    backends = [("10.20.1.1:8000", False), ("10.20.1.2:8000", True)]
    hosts += [
        entry("lb%d.example.com" % index, balancer(backends), ["sergas_lb"]) for index in (1, 2)
    ]
    return hosts


def build(hosts, **changes):
    """Return the model of a report on these hosts."""
    options = {
        "generated_at": "2026-11-24T14:54:27Z",
        "version": "1.0.0",
        "run": {"playbook": "diagnose.yml", "limit": None, "check_mode": False, "window": 3600},
        "fail_on": "fail",
        "title": "Sergas fleet",
    }
    return model.build(hosts, **dict(options, **changes))


class Fleet:
    """The makers above, for the tests: ``fleet.build([fleet.entry(...)])``."""


for _maker in (
    healthy,
    replace,
    port_conflict,
    database_down,
    disk_high,
    errors,
    redis_unknown,
    balancer,
    entry,
    lost,
    crashed,
    build,
):
    setattr(Fleet, _maker.__name__, staticmethod(_maker))
Fleet.sample = staticmethod(fleet)


@pytest.fixture
def makers():
    """What makes hosts and reports of them."""
    return Fleet
