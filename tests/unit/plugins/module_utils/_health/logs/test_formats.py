# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import formats


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'INFO:     203.0.113.9:51234 - "GET /api/v1/accounts?limit=5 HTTP/1.1" 200 OK',
            ("203.0.113.9", "GET", "/api/v1/accounts", 200, None),
        ),
        (
            'INFO:     ::1:51234 - "POST /api/v1/login HTTP/1.1" 401 Unauthorized',
            ("::1", "POST", "/api/v1/login", 401, None),
        ),
        (
            '2026-11-24 10:00:00 INFO uvicorn.access 10.0.0.1:80 - "GET / HTTP/2" 503',
            ("10.0.0.1", "GET", "/", 503, None),
        ),
        (
            'INFO:     10.0.0.1:80 - "GET /%22%20HTTP/1.1%22%20500 HTTP/1.1" 404 Not Found',
            ("10.0.0.1", "GET", "/%22%20HTTP/1.1%22%20500", 404, None),
        ),
        ('said "GET /x HTTP/1.1" 500 to no one', None),
        ("INFO:     Application startup complete.", None),
    ],
)
def test_access_lines(line, expected):
    assert formats.access(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "ERROR:    Exception in ASGI application",
        "ERROR:root:no such account",
        "CRITICAL: out of ideas",
        "2026-11-24 10:00:00,123 ERROR src.api request failed path=/x",
        "2026-11-24T10:00:00.123Z ERROR request path=/x",
        "2026-11-24 10:00:00,123 - src.api - ERROR - request failed",
        "[2026-11-24 10:00:00 +0000] [42] [ERROR] worker failed",
        "2026-11-24 10:00:00 | FATAL | src.api:12 - done",
        "2026-11-24T10:00:00Z [error    ] request_failed",
        "error: cannot do it",
    ],
)
def test_lines_with_the_level_of_an_error(line):
    assert formats.is_error(line)


@pytest.mark.parametrize(
    "line",
    [
        "INFO:     said ERROR",
        'INFO request user="ERROR" path=/x',
        "2026-11-24 10:00:00 INFO src.api user ERROR logged in",
        "2026-11-24 10:00:00 WARNING src.api ERROR budget is low",
        "user=ERROR path=/x",
        '"ERROR" is what the client sent',
        "no error here",
        "the ERROR page was shown",
        "",
    ],
)
def test_lines_that_only_speak_of_errors(line):
    assert not formats.is_error(line)


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"event": "mcp_request_failed", "error": "Connection refused"}, True),
        ({"event": "sync_error"}, True),
        ({"event": "request", "level": "error"}, True),
        ({"event": "request_failed", "level": "warning", "error": "trying again"}, False),
        ({"event": "request", "error": None}, False),
        ({"event": "request", "error": ""}, False),
        ({"event": 5}, False),
        ({}, False),
    ],
)
def test_structured_errors_often_have_no_level(entry, error):
    assert formats.is_structured_error(entry, formats.known(entry)) is error


@pytest.mark.parametrize("line", ["{", "{}x", "[1]", '{"a": ' * 2000, "{\ud800"])
def test_what_is_no_json_object(line):
    assert formats.structured(line) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("api - ERROR - account sync failed", "error"),
        ("src.sync | CRITICAL | out of ideas", "critical"),
        ("root:WARNING:careful", "warning"),
        (
            "[2025-10-19 12:00:01,123: ERROR/MainProcess] Task src.tasks.sync[6f1] raised",
            "error",
        ),
        ("E1019 12:00:01.123456   77 file.cc:12] no account", "error"),
        ("I1019 12:00:01.123456   77 file.cc:12] fine", "info"),
        ("[E 251019 12:00:01 web:1234] Uncaught exception", "error"),
        ("Oct 19 12:00:01 app1 sergas[77]: ERROR no account", "error"),
        ("Oct 19 12:00:01 app1 sergas[77]: INFO an account", "info"),
        ("<11>1 2025-10-19T12:00:01Z app1 sergas 77 - - no account", "error"),
        ("<14>1 2025-10-19T12:00:01Z app1 sergas 77 - - an account", "info"),
        ("<3>no account", "error"),
        ("2025-10-19 12:00:01.123 | ERROR    | src.sync:run:42 - account sync failed", "error"),
        ("2025-10-19T12:00:01.123Z\tERROR\tsync\tno account", "error"),
        ("12:00:01 ERR no account", "err"),
        ("2025-10-19 12:00:01.123 E sync: no account", "error"),
        ("2025-10-19 12:00:01.123 77 ERROR nova.api [req-1] no account", "error"),
        ("2025/10/19 12:00:01 [error] 77#77: *1 no account", "error"),
        ("2025-10-19 12:00:01,123 [main] SEVERE src.sync - no account", "severe"),
        ("[ERROR]\t2025-10-19T12:00:01.123Z\trequest\tno account", "error"),
        ("ERRO[0001] no account", "error"),
        ("processed account 5 of the batch", None),
        ("user:root ERROR of another one", None),
        ("saved 5 accounts - ERROR - was not among them", None),
        ("", None),
    ],
)
def test_the_level_of_common_formats(line, expected):
    assert formats.level(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'INFO:      - "POST /api/v1/accounts HTTP/1.1" 500 Internal Server Error',
            (None, "POST", "/api/v1/accounts", 500, None),
        ),
        (
            '203.0.113.9 - - [19/Oct/2025:12:00:01 +0000] "POST /a?b=1 HTTP/1.1" 500 42 "-" "x"',
            ("203.0.113.9", "POST", "/a", 500, None),
        ),
        (
            "[2025-10-19 12:00:01 +0000] [77] [INFO] 203.0.113.9:5000 - - [19/Oct/2025:12:00:01"
            ' +0000] "GET /a 1.1" 200 12 "-" "curl"',
            ("203.0.113.9", "GET", "/a", 200, None),
        ),
        (
            'INFO:aiohttp.access:203.0.113.9 [19/Oct/2025:12:00:01 +0000] "GET /a HTTP/1.1" 503 9'
            ' "-" "GET /x HTTP/1.1"',
            ("203.0.113.9", "GET", "/a", 503, None),
        ),
        (
            '2001:db8::1 - alice [19/Oct/2025:12:00:01 +0000] "GET /a HTTP/1.1" 404 -',
            ("2001:db8::1", "GET", "/a", 404, None),
        ),
        ('[19/Oct/2025 12:00:01] "GET /a HTTP/1.1" 500 12', (None, "GET", "/a", 500, None)),
        (
            "[pid: 77|app: 0|req: 1/1] 203.0.113.9 () {40 vars in 600 bytes} [Sun Oct 19 12:00:01"
            " 2025] GET /a?b => generated 12 bytes in 1500 msecs (HTTP/1.1 500) 2 headers",
            ("203.0.113.9", "GET", "/a", 500, 1.5),
        ),
        (
            "[E 251019 12:00:01 web:2239] 500 GET /a (203.0.113.9) 7000.12ms",
            ("203.0.113.9", "GET", "/a", 500, 7.00012),
        ),
        # what the app requests of others
        (
            'DEBUG:urllib3.connectionpool:https://www.zohoapis.com:443 "GET /a HTTP/1.1" 500 None',
            None,
        ),
        ('WARNING retry - "GET /x HTTP/1.1" 500 of upstream, 3 times', None),
        # the client's own words after the request
        (
            '203.0.113.9 - - [19/Oct/2025:12:00:01 +0000] "GET /a HTTP/1.1" 200 4 "-" "] "GET /x'
            ' HTTP/1.1" 500"',
            ("203.0.113.9", "GET", "/a", 200, None),
        ),
    ],
)
def test_access_lines_of_other_servers(line, expected):
    assert formats.access(line) == expected


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        # loguru, ECS, GELF, pino, Python's numbers, Google Cloud, Serilog
        ({"text": "x", "record": {"level": {"name": "ERROR", "no": 40}, "message": "m"}}, True),
        ({"text": "x", "record": {"level": {"name": "INFO", "no": 20}, "message": "m"}}, False),
        ({"@timestamp": "x", "log.level": "error", "message": "m"}, True),
        ({"log": {"level": "error"}, "message": "m"}, True),
        ({"short_message": "m", "level": 3}, True),
        ({"short_message": "m", "level": 6}, False),
        ({"msg": "m", "level": 40, "pid": 7, "hostname": "a"}, False),
        ({"msg": "m", "level": 50, "pid": 7, "hostname": "a"}, True),
        ({"message": "m", "levelno": 40}, True),
        ({"message": "m", "level": "40"}, True),
        ({"message": "m", "severity": "ERROR"}, True),
        ({"@m": "m", "@l": "Error"}, True),
        ({"@m": "m", "@l": "Information"}, False),
        ({"message": "m", "error": {"code": 7}}, True),
        ({"message": "m", "level": True}, False),
    ],
)
def test_levels_of_structured_lines(entry, error):
    known = formats.known(entry)
    assert formats.is_structured_error(entry, known) is error
    assert known["event"] == "m"


def test_fields_of_objects_in_objects():
    known = formats.known(
        {
            "message": "request",
            "http": {"response": {"status_code": 502}},
            "url": {"path": "/a"},
            "client": {"ip": "203.0.113.9"},
            "event": {"duration": 7_000_000_000},
        }
    )
    assert known == {
        "event": "request",
        "status_code": 502,
        "path": "/a",
        "remote_ip": "203.0.113.9",
        "duration_ns": 7_000_000_000,
    }


def test_an_object_that_is_deep_or_wide_costs_little():
    deep = wide = {"level": "error"}
    for _time in range(500):
        deep = {"a": deep}
    wide = {"a": {str(number): number for number in range(100000)}, "level": "error"}
    assert formats.known(deep) == {}
    assert len(formats.known(wide)) <= 1


def test_the_ends_of_a_line_that_was_cut_say_something():
    line = '{"level": "error", "event": "sync", "body": "%s ... %s", "status_code": 500}' % (
        "x" * 3000,
        "y" * 3000,
    )
    assert formats.salvaged(line[:5000] + line[-100:]) == {
        "level": "error",
        "event": "sync",
        "status_code": 500,
    }


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "ERROR " * 5000,
        "a - " * 5000,
        '"' * 5000,
        '- "GET ' * 2000,
        "[1" * 3000 + '] "GET / HTTP/1.1" 500 ',
        "x" * 6000 + '] "GET / HTTP/1.1" 500 ',
        "] 1 () {} [] GET " * 400 + " => generated ms",
        "1 1 " * 3000 + 'ms" ',
    ],
)
def test_hostile_lines_cost_little(text):
    started = time.process_time()
    for _time in range(20):
        formats.level(text)
        formats.access(text)
    assert time.process_time() - started < 0.5
