# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health import health_body
from ansible_collections.sergas.ops.plugins.module_utils._health.health_body import (
    BAD,
    GOOD,
    UNKNOWN,
    UNUSED,
    WARN,
)


def parsed(body):
    return health_body.parse(body if isinstance(body, str) else json.dumps(body))


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("pass", GOOD),
        ("UP", GOOD),
        ("SERVING", GOOD),
        ("operational", GOOD),
        ("Connected", GOOD),
        ("connected (3 ms)", GOOD),
        ("connected, 3 ms", GOOD),
        ("ok: 3 keys", GOOD),
        ("up 3 days", GOOD),
        ("PONG", GOOD),
        ("1", GOOD),
        (1, GOOD),
        (200, GOOD),
        (True, GOOD),
        (["connected"], GOOD),
        ({"status": "up", "latency_ms": 3}, GOOD),
        ({"status": "connected", "error": None}, GOOD),
        ({"ok": True}, GOOD),
        ([{"status": "pass"}, {"status": "pass"}], GOOD),
        ("ok (0 failed)", GOOD),
        ("warn", WARN),
        ("disconnected", BAD),
        ("not connected", BAD),
        ("no connection", BAD),
        ("NOT_SERVING", BAD),
        ("OUT_OF_SERVICE", BAD),
        ("rate_limited", BAD),
        ("rate limit exceeded: limited", UNKNOWN),
        ("connection refused", BAD),
        ("error: password authentication", BAD),
        ("timeout after 3 s", BAD),
        ("healthy, but the replica is unreachable", BAD),
        ("connected: false", BAD),
        (0, BAD),
        (503, BAD),
        (False, BAD),
        ({"ok": False}, BAD),
        ({"error": "timeout"}, BAD),
        ({"status": "UP", "components": {"primary": {"status": "DOWN"}}}, BAD),
        ([{"status": "pass"}, {"status": "fail"}], BAD),
        ("frobnicated", UNKNOWN),
        ("starting", UNKNOWN),
        ("no errors", UNKNOWN),
        ("", UNKNOWN),
        (7, UNKNOWN),
        ("disabled", UNUSED),
        ("not configured", UNUSED),
        (None, None),
        ({}, None),
        ([], None),
        ({"host": "db1"}, None),
    ],
)
def test_a_word_is_good_bad_or_in_no_table(word, verdict):
    assert health_body.judge(word)[0] == verdict


@pytest.mark.parametrize(
    ("body", "verdict", "components"),
    [
        (
            {
                "status": "pass",
                "checks": {
                    "database:connections": [{"status": "pass"}],
                    "redis:responseTime": [{"status": "warn"}],
                },
            },
            GOOD,
            {"database": GOOD, "redis": WARN},
        ),
        (
            {
                "status": "healthy",
                "checks": [
                    {"name": "database", "status": "pass"},
                    {"name": "redis", "status": "fail"},
                ],
            },
            GOOD,
            {"database": GOOD, "redis": BAD},
        ),
        (
            {"status": "UP", "components": {"db": {"status": "UP"}, "redis": {"status": "DOWN"}}},
            GOOD,
            {"database": GOOD, "redis": BAD},
        ),
        (
            {"status": "Healthy", "entries": {"search": {"status": "Unhealthy"}}},
            GOOD,
            {"search": BAD},
        ),
        (
            {"services": {"database": "ok", "search": "gone fishing"}},
            None,
            {"database": GOOD, "search": UNKNOWN},
        ),
        ({"data": {"status": "healthy", "redis": "disconnected"}}, GOOD, {"redis": BAD}),
        ({"database_online": True, "redis_online": False}, None, {"database": GOOD, "redis": BAD}),
        ({"status": ["ok"], "database": ["connected"]}, GOOD, {"database": GOOD}),
        ({"alive": True}, GOOD, {}),
        ({"status": "degraded"}, BAD, {}),
        ({"message": "pong"}, GOOD, {}),
        # Figures and settings say nothing of health.
        (
            {
                "status": "ok",
                "database_errors": 0,
                "database_version": "15.4",
                "checks": {"uptime": 0, "since": "3 days"},
            },
            GOOD,
            {},
        ),
        ({"message": "Welcome", "version": "1.0"}, None, {}),
        ({"detail": "Not authenticated"}, None, {}),
        ({}, None, {}),
        ("OK\n", GOOD, {}),
        ('"ok"', GOOD, {}),
        ("true", GOOD, {}),
    ],
)
def test_the_shapes_that_services_use(body, verdict, components):
    report = parsed(body)
    assert report.verdict == verdict
    assert {name: seen[0] for name, seen in report.components.items()} == components


@pytest.mark.parametrize("body", ["<html>ok</html>", "[1]", "", "null", "Welcome to nginx!", "3"])
def test_what_is_no_health_report(body):
    assert health_body.parse(body) is None


def test_a_hostile_body_is_bounded():
    deep = json.loads('{"status":' * 200 + "1" + "}" * 200)
    assert health_body.judge(deep)[0] in (None, UNKNOWN)
    wide = {"checks": {"x%d" % number: "y" * 100000 for number in range(300)}}
    report = health_body.read(wide)
    assert len(report.components) <= 200
    assert max(len(word) for _verdict, word in report.components.values()) <= 80
