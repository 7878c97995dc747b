# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import lines


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
        ("info:     started server process [429]", None, False),
        ("waiting for child process 429", None, False),
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
