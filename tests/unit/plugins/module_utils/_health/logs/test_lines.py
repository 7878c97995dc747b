# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'INFO:     203.0.113.9:51234 - "GET /api/v1/accounts?limit=5 HTTP/1.1" 200 OK',
            ("203.0.113.9", "GET", "/api/v1/accounts", 200),
        ),
        (
            'INFO:     ::1:51234 - "POST /api/v1/login HTTP/1.1" 401 Unauthorized',
            ("::1", "POST", "/api/v1/login", 401),
        ),
        (
            '2026-11-24 10:00:00 INFO uvicorn.access 10.0.0.1:80 - "GET / HTTP/2" 503',
            ("10.0.0.1", "GET", "/", 503),
        ),
        (
            'INFO:     10.0.0.1:80 - "GET /%22%20HTTP/1.1%22%20500 HTTP/1.1" 404 Not Found',
            ("10.0.0.1", "GET", "/%22%20HTTP/1.1%22%20500", 404),
        ),
        ('said "GET /x HTTP/1.1" 500 to no one', None),
        ("INFO:     Application startup complete.", None),
    ],
)
def test_access_lines(line, expected):
    assert lines.access(line) == expected


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
    assert lines.is_error(line)


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
    assert not lines.is_error(line)


def test_the_last_address_counts_the_loggers_own():
    known, ambiguous, words = lines.fields(
        "WARNING authentication failed user=x remote_ip=198.51.100.7 path=/api/v1/login"
        " remote_ip=203.0.113.9"
    )
    assert known["remote_ip"] == "203.0.113.9"
    assert ambiguous
    assert "198.51.100.7" not in words


def test_fields_inside_quotes_do_not_count():
    known, ambiguous, words = lines.fields(
        'WARNING authentication failed user="x remote_ip=198.51.100.7 status_code=500"'
        ' remote_ip=203.0.113.9 agent="remote_ip=192.0.2.1"'
    )
    assert known == {"remote_ip": "203.0.113.9"}
    assert not ambiguous
    assert words == "WARNING authentication failed"


def test_what_the_app_says_in_quotes_is_kept():
    known, _ambiguous, words = lines.fields(
        'level=error msg="zoho call failed" path="/api/v1/a b" user="too many open files"'
    )
    assert known["path"] == "/api/v1/a b"
    assert "zoho call failed" in words
    assert "open files" not in words


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
    assert lines.is_structured_error(entry) is error


@pytest.mark.parametrize("line", ["{", "{}x", "[1]", '{"a": ' * 2000, "{\ud800"])
def test_what_is_no_json_object(line):
    assert lines.structured(line) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/accounts/123/notes?x=1", "/api/v1/accounts/{id}/notes"),
        ("/api/v1/accounts/0f8fad5b-d9cb-469f-a165-70867728950e", "/api/v1/accounts/{id}"),
        ("/api/v1/accounts", "/api/v1/accounts"),
        ("/api/v2x", "/api/v2x"),
    ],
)
def test_routes(path, expected):
    assert lines.route(path) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-24T15:24:47Z ERROR request path=/x duration=0.1", "request"),
        ("ERROR:    worker 17 failed after 3.5 s", "worker # failed after #.# s"),
        ("2026-11-24 10:00:00 - src - ERROR - could not save", "could not save"),
    ],
)
def test_what_a_line_says(line, expected):
    assert lines.phrase(line) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("(psycopg2.OperationalError) connection to server failed", "database"),
        ("sqlalchemy.exc.TimeoutError: QueuePool limit of size 5", "database"),
        ("ConnectionRefusedError: Connect call failed ('127.0.0.1', 5432)", "database"),
        ("redis.exceptions.ConnectionError: Error 111", "redis"),
        ("OSError: [Errno 24] Too many open files: 'psycopg2'", "files"),
        ("[Errno 98] error while attempting to bind on address: address already in use", "port"),
        ("ModuleNotFoundError: No module named 'redis'", "import"),
        ("1 validation error for Settings", "environment"),
        ("PermissionError: [Errno 13] Permission denied: '/srv/app/.env'", "environment"),
        ("PermissionError: [Errno 13] Permission denied: '.env'", "environment"),
        ("mcp_request_failed: Connection refused", "zoho"),
        ("ValueError: bad value", "other"),
    ],
)
def test_kinds_of_failures(text, kind):
    assert lines.kind(text.lower()) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('FATAL:  password authentication failed for user "sergas_app"', "auth"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "auth"),
        ('FATAL:  pg_hba.conf rejects connection for host "127.0.0.1"', "auth"),
        ('FATAL:  database "nope" does not exist', "missing"),
        ("FATAL:  sorry, too many clients already", "exhausted"),
        ("QueuePool limit of size 5 overflow 5 reached, connection timed out", "pool"),
        ("canceling statement due to statement timeout", "timeout"),
        ("connection to server at x failed: Connection refused", "unreachable"),
        ('could not translate host name "db" to address', "unreachable"),
        ("division by zero", "other"),
    ],
)
def test_kinds_of_database_errors(text, kind):
    assert lines.database_kind(text.lower()) == kind


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("ModuleNotFoundError: No module named 'structlog'", "structlog"),
        ("ModuleNotFoundError: No module named 'google.protobuf'", "google.protobuf"),
        ("ImportError: cannot import name 'Foo' from 'pydantic' (/x/y.py)", "pydantic"),
        ('ERROR:    Error loading ASGI app. Could not import module "src.main".', "src.main"),
        ("ImportError: libpq.so.5: cannot open shared object file: No such file", "libpq.so.5"),
        ("ValueError: x", None),
    ],
)
def test_the_module_that_is_missing(text, module):
    assert lines.missing_module(text) == module


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("zoho rate limit exceeded, retry in 60 s", None, True),
        ("zoho_rate_limited", None, True),
        ("http 429 from https://www.zohoapis.com/crm/v2/accounts", None, True),
        ("429 too many requests", None, True),
        ("rate limiting enabled: 50 per minute", None, False),
        ("rate limit configured", None, False),
        ("too many requests", 429, False),  # the app limits its own client
        ("2026-11-24 10:00:00,429 info request handled", None, False),
        ("took 0.429 s", None, False),
        ("account 4290 saved", None, False),
    ],
)
def test_rate_limits(text, status, expected):
    assert lines.is_rate_limit(text, status) is expected


def test_the_apps_own_limit_of_its_clients_is_not_zohos():
    assert not lines.is_rate_limit("rate limit exceeded", None, "203.0.113.9")
    assert lines.is_rate_limit(
        "zoho_request_failed: rate limit exceeded: http 429", None, "203.0.113.9"
    )


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("zoho circuit breaker open", "open"),
        ("circuit breaker for zoho is now open", "open"),
        ("circuit_breaker_opened", "open"),
        ("circuit breaker closed", "closed"),
        ("circuit breaker half-open, trying", None),
        ("circuit breaker of redis open", None),
        ("circuit board ordered", None),
    ],
)
def test_circuits(text, state):
    assert lines.circuit(text) == state


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("authentication failed for user bob", True),
        ("login_failed", True),
        ("invalid credentials", True),
        ('fatal: password authentication failed for user "sergas_app"', False),
        ("authentication succeeded", False),
    ],
)
def test_failed_logins(text, failed):
    assert lines.is_failed_login(text) is failed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ('"203.0.113.9",', "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("999.1.1.1", None),
        ("localhost", None),
        ("1.2.3.4; rm", None),
        ("", None),
    ],
)
def test_addresses(text, expected):
    assert lines.address(text) == expected


@pytest.mark.parametrize(
    ("text", "milliseconds", "expected"),
    [
        ("1.234", False, 1.234),
        ("12ms", False, 0.012),
        ("1.5s", False, 1.5),
        (250, True, 0.25),
        ("x", False, None),
        ("-1", False, None),
        ("nan", False, None),
    ],
)
def test_durations(text, milliseconds, expected):
    assert lines.seconds(text, milliseconds) == expected
