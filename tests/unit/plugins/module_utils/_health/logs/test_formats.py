# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

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
