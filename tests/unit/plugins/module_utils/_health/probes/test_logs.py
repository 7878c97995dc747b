# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import patterns, tallies
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import survey as health_survey
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.deaths import Deaths
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import attacks, events, logs
from ansible_collections.sergas.ops.plugins.module_utils._host import requirements

START = 1795530000


def entry(second, message, pid="129", **fields):
    base = {
        "__REALTIME_TIMESTAMP": str(int((START + second) * 1e6)),
        "MESSAGE": message,
        "_PID": pid,
    }
    return dict(base, PRIORITY="6", _TRANSPORT="stdout", _SYSTEMD_INVOCATION_ID="a" * 32, **fields)


def lines(*messages, pid="129"):
    return [entry(number, message, pid) for number, message in enumerate(messages)]


def only(findings):
    assert len(findings) == 1
    return findings[0]


# Captured journals


def test_exceptions_of_two_locations_in_the_text_style(survey, context):
    found = survey("exceptions_text")
    item = only(logs.decide_exceptions(context(), found))
    groups = {
        (group["type"], group["location"].rpartition("/")[2]): group["count"]
        for group in item["evidence"]["groups"]
    }
    assert set(groups) == {
        ("KeyError", "main.py:140:<listcomp>"),
        ("ZeroDivisionError", "main.py:169:reports"),
    }
    assert item["value"] == sum(groups.values())


@pytest.mark.parametrize("size", [1, 7, 50, 10**6])
@pytest.mark.parametrize(
    "name", ["exceptions_text", "mixed", "database_stopped", "resolved_missing_variable"]
)
def test_where_chunks_are_cut_makes_no_difference(survey, properties, name, size):
    cut, whole = survey(name, chunk=size), survey(name)
    assert cut["exception_count"] == whole["exception_count"]
    assert [(group["type"], group["location"], group["count"]) for group in cut["exceptions"]] == [
        (group["type"], group["location"], group["count"]) for group in whole["exceptions"]
    ]
    assert cut["error_count"] == whole["error_count"]
    assert cut["requests"] == whole["requests"]


def test_workers_that_write_at_once_and_odd_messages(survey):
    found = survey("mixed")
    assert [
        (group["type"], group["raised_from"], group["count"]) for group in found["exceptions"]
    ] == [
        ("RuntimeError", "KeyError", 4),
        ("ValueError", None, 4),
    ]
    assert {group["type"]: group["count"] for group in found["errors"]}["coloured line"] == 4
    assert (found["requests"], found["server_errors"]) == (12, 8)


def test_errors_behind_a_slow_database_are_the_same_in_both_styles(survey, context):
    for name in ("error_rate_text", "error_rate_structured"):
        found = survey(name)
        item = only(logs.decide_errors(context(), found))
        # All of 15 requests.
        assert (item["id"], item["status"]) == ("app.errors.rate", "fail")
        assert item["evidence"]["kinds"]["database.timeout"] == 15
        assert item["evidence"]["by_path"] == [{"path": "/api/v1/accounts", "count": 15}]
        assert item["evidence"]["slow_paths"][0]["path"] == "/api/v1/accounts"
        assert "DATABASE_TIMEOUT" in item["advice"]
        assert item["remedy"] == "bound_failures"


def test_errors_of_an_external_service(survey, context):
    item = only(logs.decide_errors(context(), survey("error_rate_zoho")))
    assert item["id"] == "app.errors.rate"
    assert item["evidence"]["kinds"] == {"zoho": 30}


def test_an_import_that_fails_names_module_and_requirement(survey, context):
    found = survey("import_error")
    found["requirements"] = {"structlog": "structlog==25.4.0"}
    item = only(logs.decide_imports(context(), found))
    assert (item["id"], item["remedy"]) == ("app.import.error", "reinstall_requirements")
    module = item["evidence"]["modules"][0]
    assert (module["module"], module["requirement"]) == ("structlog", "structlog==25.4.0")


def test_what_a_clean_start_has_resolved_is_no_present_fault(survey, context, properties):
    shown = properties("resolved")
    found = survey("resolved_missing_variable", shown)
    assert found["resolved"] == {"errors": 0, "exceptions": 2}
    assert only(logs.decide_exceptions(context(shown), found))["status"] == "ok"
    assert only(logs.decide_imports(context(shown), found))["status"] == "ok"
    assert 1 < found["start_seconds"] < 20


def test_the_same_before_the_clean_start_is_a_fault(survey, entries, context):
    journal = entries("resolved_missing_variable")
    good = max(
        number
        for number, item in enumerate(journal)
        if "Started server process" in str(item["MESSAGE"])
    )
    found = survey(journal[:good])
    assert only(logs.decide_exceptions(context(), found))["value"] == 2


def test_an_app_that_got_ready_and_not_its_port_has_not_started(survey):
    found = survey("port_in_use")
    ready = [group["type"] for group in found["errors"]]
    assert found["address_in_use"]["count"] == 1
    assert len(found["completes"]) == 1  # the run before, not the one without the port
    assert ready


@pytest.mark.parametrize("name", ["bruteforce_text", "bruteforce_structured"])
def test_brute_force_by_address_whatever_the_clients_write(survey, context, name):
    item = only(attacks.decide(context(), survey(name)))
    assert item["id"] == "security.bruteforce"
    found = {client["address"]: client["failures"] for client in item["evidence"]["addresses"]}
    assert set(found) == {"203.0.113.9", "203.0.113.10"}
    assert found["203.0.113.10"] == 25


FAILED = '{"path": "/api/v1/login", "remote_ip": "203.0.113.9", "event": "authentication failed"}'
LOGIN = '{"path": "/api/v1/login", "status_code": 200, "remote_ip": "%s", "event": "request"}'


@pytest.mark.parametrize(
    "messages, guessed",
    [
        ([FAILED] * 12 + [LOGIN % "203.0.113.9"], ["203.0.113.9"]),
        ([FAILED] * 12 + [LOGIN % "203.0.113.10"], None),
        # A client that mistypes a few times is no attacker.
        ([FAILED] * 5 + [LOGIN % "203.0.113.9"], None),
        ([LOGIN % "203.0.113.9"] + [FAILED] * 12, None),
        ([FAILED] * 12 + [(LOGIN % "203.0.113.9").replace("login", "accounts")], None),
    ],
)
@pytest.mark.parametrize("chunk", [10**6, 3])
def test_who_got_in_after_an_attack_is_reported(survey, context, messages, guessed, chunk):
    found = attacks.decide(context(), survey(lines(*messages), chunk=chunk))
    inside = [item for item in found if item["id"] == "security.login.guessed"]
    assert [item["evidence"]["addresses"] for item in inside] == ([guessed] if guessed else [])
    assert all(item["remedy"] == "revoke_sessions" for item in inside)


def test_scanning_by_address(survey, context):
    item = only(attacks.decide(context(), survey("scanning")))
    client = item["evidence"]["addresses"][0]
    assert client["address"] == "203.0.113.77"
    assert client["scanned"] >= 15
    assert client["failures"] == 0


def test_too_many_open_files_are_reported(survey):
    assert survey("open_files")["too_many_files"]["count"] > 5


# Both styles, plain values


def test_a_quiet_log_is_good(survey, context):
    found = survey(lines("INFO:     Application startup complete."))
    for decide in (
        logs.decide_imports,
        logs.decide_exceptions,
        logs.decide_errors,
        logs.decide_rate_limit,
        attacks.decide,
    ):
        assert only(decide(context(), found))["status"] == "ok"


@pytest.mark.parametrize(
    ("warn", "fail", "status"), [(1, 10, "warn"), (1, 2, "fail"), (3, 4, "ok")]
)
def test_thresholds_of_exceptions(survey, context, warn, fail, status):
    text = 'Traceback (most recent call last):\n  File "a.py", line 1, in b\nValueError: x'
    found = survey(lines(text, "INFO: between", text))
    item = only(logs.decide_exceptions(context(exceptions={"warn": warn, "fail": fail}), found))
    assert (item["value"], item["status"]) == (2, status)
    assert item["id"] == ("app.exceptions.ok" if status == "ok" else "app.exceptions")


def test_a_traceback_inside_a_json_line(survey):
    text = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in'
        " b\nredis.exceptions.ConnectionError: Error 111"
    )
    found = survey(
        lines(json.dumps({"event": "cache_failed", "exception": text, "level": "error"}))
    )
    assert [(group["type"], group["kind"]) for group in found["exceptions"]] == [
        ("redis.exceptions.ConnectionError", "redis")
    ]
    assert found["error_count"] == 1


def test_a_variable_that_the_code_misses_is_a_matter_of_the_environment(survey):
    text = 'Traceback (most recent call last):\n  File "a.py", line 1, in b\nKeyError: %s'
    found = survey(lines(text % "'DATABASE_NAME'", "INFO: between", text % "'owner'"))
    assert {group["message"]: group["kind"] for group in found["exceptions"]} == {
        "'DATABASE_NAME'": "environment",
        "'owner'": "other",
    }


def request(status, path="/api/v1/accounts", address="198.51.100.1"):
    return 'INFO:     %s:5000 - "GET %s HTTP/1.1" %d X' % (address, path, status)


def test_the_rate_of_failed_requests(survey, context):
    found = survey(lines(*[request(200)] * 95 + [request(500)] * 5))
    item = only(logs.decide_errors(context(), found))
    assert (item["id"], item["status"], item["value"], item["unit"]) == (
        "app.errors.rate",
        "fail",
        5.0,
        "%",
    )
    assert item["evidence"]["by_path"] == [{"path": "/api/v1/accounts", "count": 5}]


def test_a_request_that_is_logged_twice_counts_once(survey):
    own = (
        "2026-11-24T10:00:00Z INFO request path=/api/v1/accounts duration=0.1 status_code=200"
        " remote_ip=198.51.100.1"
    )
    found = survey(lines(*[request(200), own] * 30))
    assert found["requests"] == 30


def test_health_checks_are_no_requests(survey):
    found = survey(lines(*[request(503, "/health")] * 30 + [request(200, "/metrics")] * 30))
    assert (found["requests"], found["server_errors"]) == (0, 0)


def test_few_requests_give_no_rate(survey, context):
    item = only(logs.decide_errors(context(), survey(lines(request(200), request(500)))))
    assert (item["status"], item["unit"]) == ("ok", "log lines")


def test_prometheus_knows_the_rate_where_the_log_does_not(survey, context):
    found = survey(lines("INFO: nothing"))
    item = only(logs.decide_errors(context(), found, {"error_rate_percent": 7.5}))
    assert (item["status"], item["value"], item["unit"]) == ("fail", 7.5, "%")
    assert (
        only(logs.decide_errors(context(), found, {"error_rate_percent": None}))["status"] == "ok"
    )


def test_few_error_lines_of_very_many_requests_are_good(survey, context):
    found = survey(lines(*[request(200)] * 2000 + ["ERROR:    oops"] * 15))
    assert only(logs.decide_errors(context(), found))["status"] == "ok"


def test_error_lines_count_where_no_requests_fail(survey, context):
    found = survey(lines(*[request(200)] * 30 + ["ERROR:    the job failed"] * 100))
    item = only(logs.decide_errors(context(), found))
    assert (item["status"], item["value"], item["unit"]) == ("fail", 100, "log lines")


@pytest.mark.parametrize(
    ("messages", "ids"),
    [
        (["INFO:     rate limiting enabled"], ["zoho.api.ok"]),
        (["2026-11-24 10:00:00 WARNING zoho rate limit exceeded"], ["zoho.rate_limited"]),
        (["2026-11-24 10:00:00 ERROR zoho circuit breaker open"], ["zoho.circuit.open"]),
        (["ERROR zoho circuit breaker open", "INFO zoho circuit breaker closed"], ["zoho.api.ok"]),
        (
            ["INFO zoho circuit breaker closed", "ERROR zoho circuit breaker open"],
            ["zoho.circuit.open"],
        ),
        ([json.dumps({"event": "zoho_rate_limited", "error": "429"})] * 10, ["zoho.rate_limited"]),
        ([request(429)] * 50, ["zoho.api.ok"]),
    ],
)
def test_rate_limits_and_circuits(survey, context, messages, ids):
    found = logs.decide_rate_limit(context(), survey(lines(*messages)))
    assert [item["id"] for item in found] == ids


def test_ten_lines_of_a_rate_limit_are_a_failure(survey, context):
    item = only(
        logs.decide_rate_limit(context(), survey(lines(*["WARNING zoho rate limit exceeded"] * 10)))
    )
    assert (item["status"], item["value"]) == ("fail", 10)


def test_logins_are_counted_from_access_lines_too_but_not_twice(survey, context):
    refused = 'INFO:     203.0.113.5:1 - "POST /api/v1/login HTTP/1.1" 401 Unauthorized'
    failed = "WARNING authentication failed path=/api/v1/login remote_ip=203.0.113.5"
    found = survey(lines(*[refused, failed] * 12))
    assert [(client["address"], client["failures"]) for client in found["addresses"]] == [
        ("203.0.113.5", 12)
    ]


def test_a_client_whose_session_ended_is_no_attacker(survey, context):
    found = survey(lines(*[request(401)] * 40))
    assert only(attacks.decide(context(), found))["status"] == "ok"


def test_forged_addresses_are_noted(survey, context):
    failed = (
        "WARNING authentication failed user=x remote_ip=192.0.2.%d path=/api/v1/login"
        " remote_ip=203.0.113.5"
    )
    found = survey(lines(*[failed % number for number in range(12)]))
    item = only(attacks.decide(context(), found))
    assert [
        (client["address"], client["ambiguous"]) for client in item["evidence"]["addresses"]
    ] == [("203.0.113.5", 12)]


def test_the_database_refusing_the_app_is_no_attack(survey, context):
    text = (
        '2026-11-24 10:00:00 ERROR FATAL: password authentication failed for user "sergas_app" from'
        " 10.0.0.5"
    )
    assert survey(lines(*[text] * 60))["addresses"] == []


def test_a_priority_of_the_journal_makes_an_error(survey):
    assert survey([dict(entry(1, "plain words"), PRIORITY="3")])["error_count"] == 1


# Bounds


def test_memory_stays_bounded_whatever_the_lines_say(survey):
    messages = [
        'INFO:     10.%d.%d.1:5 - "GET /api/v1/x%d HTTP/1.1" 404 Not Found'
        % (number // 250, number % 250, number)
        for number in range(5000)
    ]
    messages += [
        "ERROR:    kind %s of error path=/p" % ("x" * (number % 70 + 1) + chr(97 + number % 26))
        for number in range(3000)
    ]
    messages += [
        'Traceback (most recent call last):\n  File "a.py", line %d, in b\nValueError: x' % number
        for number in range(2000)
    ]
    found = survey(lines(*messages), chunk=1000)
    assert len(found["addresses"]) <= 100
    assert found["unlisted_addresses"] > 0
    assert len(found["exceptions"]) <= tallies.MOST_GROUPS
    assert len(found["errors"]) <= tallies.MOST_GROUPS


def test_the_loudest_address_survives_a_crowd(survey, context):
    failed = "WARNING authentication failed path=/api/v1/login remote_ip=%s"
    messages = [failed % "203.0.113.5"] * 60
    messages += [failed % ("10.%d.%d.1" % (number // 250, number % 250)) for number in range(6000)]
    item = only(attacks.decide(context(), survey(lines(*messages), chunk=500)))
    assert "203.0.113.5" in [client["address"] for client in item["evidence"]["addresses"]]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"__REALTIME_TIMESTAMP": "x", "MESSAGE": "y"},
        {"__REALTIME_TIMESTAMP": "1", "MESSAGE": None},
        {"__REALTIME_TIMESTAMP": "1", "MESSAGE": [255, 254], "_PID": None},
        {"__REALTIME_TIMESTAMP": "1", "MESSAGE": {"a": 1}},
        {"__REALTIME_TIMESTAMP": "1", "MESSAGE": "x" * 10**6},
        {
            "__REALTIME_TIMESTAMP": "1",
            "MESSAGE": (
                '{"event": {"a": []}, "path": 5, "status_code": "x", "duration": null, "error": {}}'
            ),
        },
        {
            "__REALTIME_TIMESTAMP": "1",
            "MESSAGE": '{"event": "authentication failed", "remote_ip": ["x"], "path": null}',
        },
        {
            "__REALTIME_TIMESTAMP": "1",
            "MESSAGE": '{"status_code": 401, "remote_ip": {"a": 1}, "path": "/api/login"}',
        },
        {
            "__REALTIME_TIMESTAMP": "1",
            "MESSAGE": "ERROR status_code=99999999999999999999999 remote_ip= duration=NaN path=",
        },
        {"__REALTIME_TIMESTAMP": "1", "MESSAGE": "Killed process", "_TRANSPORT": "kernel"},
        {
            "__REALTIME_TIMESTAMP": "1",
            "MESSAGE": "code=killed, status=",
            "_PID": "1",
            "INVOCATION_ID": "x",
        },
        {"__REALTIME_TIMESTAMP": "1", "MESSAGE": "x", "COREDUMP_PID": "7"},
        {"__REALTIME_TIMESTAMP": "1", "MESSAGE": "\ud800 surrogate ERROR"},
    ],
)
def test_odd_entries_harm_nothing(odd):
    reading = health_survey.Survey(START + 100)
    reading.read([entry(1, "ERROR:    before"), odd, entry(2, "ERROR:    after")])
    found = reading.result({})
    assert found["error_count"] >= 2


def test_a_reading_that_stopped_early_says_so(survey, context):
    found = survey(lines("INFO: x"))
    found.update(truncated=True, oldest=START)
    item = only(logs.decide_exceptions(context(), found))
    assert item["confidence"] == "estimated"
    assert item["evidence"]["read_back_to"] == clock(START)
    assert "ran out" in item["summary"]


@pytest.mark.parametrize(
    ("module", "requirement"),
    [
        ("structlog", "structlog==25.4.0"),
        ("yaml", "PyYAML>=6"),
        ("psycopg2", "psycopg2-binary==2.9"),
        ("pydantic_settings", "pydantic-settings"),
        ("dotenv", "python-dotenv"),
        ("uvicorn.main", "uvicorn[standard]==0.30"),
        ("nothing", None),
        ("src.cache", None),
    ],
)
def test_the_requirement_that_brings_a_module(tmp_path, module, requirement):
    (tmp_path / "requirements.txt").write_text(
        "# the app\nstructlog==25.4.0\nPyYAML>=6  #"
        " settings\npsycopg2-binary==2.9\npydantic-settings\npython-dotenv\nuvicorn[standard]==0.30\n-r"  # noqa: E501
        " other.txt\n\n"
    )
    assert logs.requirement(module, requirements.read(str(tmp_path))) == requirement


def test_a_directory_without_requirements(tmp_path):
    assert requirements.read(str(tmp_path / "nowhere")) == {}


@pytest.mark.parametrize("capture", ["oom_unit", "oom_by_hand"])
def test_a_kill_is_a_death_that_the_kernel_tells_more_of(survey, capture):
    kills = survey(capture)["kills"]
    assert kills and all(kill["cgroup"] for kill in kills)


@pytest.mark.parametrize(
    ("message", "death"),
    [
        ("Started sergas-app.service.", False),
        ("sergas-app.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED", False),
        ("sergas-app.service: Main process exited, code=killed, status=9/KILL", True),
        ("sergas-app.service: Main process exited, code=dumped, status=11/SEGV", True),
    ],
)
def test_the_kernel_may_tell_more_of_what_a_signal_ended_only(message, death):
    reading = health_survey.Survey(START + 60)
    reading.read([entry(1, message, pid="1", MESSAGE_ID="x", INVOCATION_ID="a")])
    assert reading.saw_death is death


def test_what_an_app_reported_before_it_was_started_anew_is_over():
    event = tallies.Event()
    for at, invocation in ((10, "first"), (20, "first"), (40, "second")):
        event.add(at, "at %d" % at, invocation)
    assert event.plain() == {"count": 3, "first": 10, "last": 40, "sample": "at 40"}
    # It had begun to tell before it was ready.
    assert event.plain(30) == {"count": 1, "first": 40, "last": 40, "sample": "at 40"}
    assert event.plain(50) is None


def test_refusals_of_zoho_are_noted(survey):
    refusals = ["ERROR zoho refused a token: invalid_code", "ERROR invalid_client of a partner"]
    found = survey(lines(*refusals))["zoho_refusals"]
    assert (found["count"], found["sample"]) == (1, refusals[0])


# Formats of other loggers and servers


LOGURU = json.dumps(
    {
        "text": "2025-10-19 12:00:01.123 | ERROR    | src.sync:run:42 - account sync failed\n"
        'Traceback (most recent call last):\n\n  File "/srv/app/src/sync.py", line 42, in run\n'
        "    fetch(1)\n    \u2514 <function fetch>\n\nRuntimeError: upstream closed\n",
        "record": {
            "exception": {"type": "RuntimeError", "value": "upstream closed", "traceback": True},
            "level": {"icon": "x", "name": "ERROR", "no": 40},
            "message": "account sync failed",
            "name": "src.sync",
            "process": {"id": 77, "name": "MainProcess"},
        },
    }
)
ECS = json.dumps(
    {
        "@timestamp": "2025-10-19T12:00:01.123Z",
        "log.level": "error",
        "message": "account sync failed",
        "ecs": {"version": "1.6.0"},
        "log": {"logger": "src.sync"},
    }
)
CELERY = (
    "[2025-10-19 12:00:01,123: ERROR/MainProcess] Task src.tasks.sync[6f1] raised unexpected:"
    ' RuntimeError("upstream closed")'
)


@pytest.mark.parametrize(
    ("line", "exceptions"),
    [("api - ERROR - account sync failed", 0), (CELERY, 0), (LOGURU, 1), (ECS, 0)],
)
def test_error_lines_of_other_loggers_count(survey, context, line, exceptions):
    found = survey(lines(*[line] * 12))
    assert (found["error_count"], found["exception_count"]) == (12, 12 * exceptions)
    assert found["unread"] == 0
    item = only(logs.decide_errors(context(), found))
    assert (item["id"], item["value"]) == ("app.errors.rate", 12)
    assert "account sync failed" in str(item["evidence"]["last_lines"]) or line == CELERY


@pytest.mark.parametrize(
    "line",
    [
        'INFO:      - "POST /api/v1/accounts HTTP/1.1" %d Internal Server Error',
        '203.0.113.9 - - [19/Oct/2025:12:00:01 +0000] "POST /a HTTP/1.1" %d 42 "-" "x/2.31"',
    ],
)
def test_requests_in_the_access_lines_of_other_servers_count(survey, context, line):
    found = survey(lines(*[line % 500, line % 200] * 12))
    assert (found["requests"], found["server_errors"]) == (24, 12)
    assert only(logs.decide_errors(context(), found))["status"] == "fail"


def test_refusals_behind_a_socket_have_no_address(survey):
    found = survey(lines(*['INFO:      - "POST /login HTTP/1.1" 401 Unauthorized'] * 12))
    assert (found["refused_without_address"], found["addresses"]) == (12, [])


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        (0, 19, ("app.errors.rate", "fail")),
        (0, 3, ("app.errors.rate", "fail")),
        (1, 3, ("app.errors.rate", "fail")),
        (0, 1, ("app.errors.rate", "warn")),
        (0, 2, ("app.errors.rate", "warn")),
        (1, 1, ("app.errors.ok", "ok")),
        (5, 0, ("app.errors.ok", "ok")),
    ],
)
def test_few_requests_that_fail(survey, context, good, bad, expected):
    found = survey(lines(*[request(200)] * good, *[request(500)] * bad))
    item = only(logs.decide_errors(context(), found))
    assert (item["id"], item["status"]) == expected
    if bad == 19:
        assert item["summary"].startswith("19 of 19 requests fail, by the log, on /api/v1/accounts")


METRICS = {
    "source": "/metrics",
    "since": START,
    "within": True,
    "requests": 30,
    "failed": 6,
    "failed_by_path": [{"path": "/a", "count": 6}],
}


def test_the_apps_own_counters_know_what_the_log_does_not(survey, context):
    quiet = survey(lines("INFO:     nothing"))
    item = only(logs.decide_errors(context(), quiet, None, METRICS))
    assert (item["status"], item["value"]) == ("fail", 20.0)
    assert item["evidence"]["counted_by"]["source"] == "/metrics"
    assert item["evidence"]["by_path"] == [{"path": "/a", "count": 6}]
    assert item["remedy"] and "last_seen" not in item["evidence"]
    # A log of an earlier start must not hide them; counters of long ago must not hide the log.
    older = survey(lines(*[request(200)] * 30))
    assert only(logs.decide_errors(context(), older, None, METRICS))["status"] == "fail"
    since = dict(METRICS, within=False)
    assert only(logs.decide_errors(context(), older, None, since))["status"] == "ok"


def test_the_last_error_lines_are_grouped_and_bounded(survey, context):
    messages = ["ERROR:    first"] * 3
    messages += ["ERROR:    kind %s" % chr(97 + number % 26) * 1 for number in range(26)]
    messages += ["ERROR:    password=hunter22 cannot execute INSERT in a read-only transaction"] * 5
    found = survey(lines(*messages))
    shown = only(logs.decide_errors(context(), found))["evidence"]["last_lines"]
    assert len(shown) == 20
    assert shown[0]["line"].endswith("cannot execute INSERT in a read-only transaction")
    assert shown[0]["count"] == 5
    assert "first" not in str(shown)
    times = [item["last"] for item in shown]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("chunk", [3, 17, 10**6])
def test_the_last_lines_are_the_same_wherever_chunks_are_cut(survey, chunk):
    messages = [
        "ERROR:    kind %s%s" % (chr(97 + number % 26), "x" * (number % 7)) for number in range(500)
    ]
    found = survey(lines(*messages), chunk=chunk)["last_lines"]
    assert [item["last"] for item in found] == [START + 499 - number for number in range(20)]


def test_an_exception_is_among_the_last_lines(survey):
    text = 'Traceback (most recent call last):\n  File "a.py", line 1, in b\nValueError: no account'
    (item,) = survey(lines(text))["last_lines"]
    assert item["line"] == "ValueError: no account"


def test_lines_of_a_file_restart_nothing(survey, context):
    text = 'Traceback (most recent call last):\n  File "a.py", line 1, in b\nValueError: x'
    found = survey(lines(text, *["ERROR:    zoho rate limit exceeded"] * 12))
    assert only(logs.decide_exceptions(context(), found))["remedy"] == "debug_logging"
    found["files"] = ["/var/log/a.log"]
    for decide in (logs.decide_exceptions, logs.decide_errors, logs.decide_rate_limit):
        item = decide(context(), found)[0]
        assert (item["remedy"], item["confidence"]) == (None, "estimated") or (
            decide is logs.decide_rate_limit and item["remedy"] is None
        )
        assert item["status"] != "ok" and item["evidence"]["files"] == ["/var/log/a.log"]


def test_lines_that_no_format_fits_are_counted(survey):
    messages = ["processed account %d" % number for number in range(30)]
    messages += ["{", '  "level": "error"', "}"] * 5
    found = survey(lines(*messages, "INFO:     fine"))
    assert (found["unread"], found["continued"]) == (40, 5)
    assert len(found["unread_samples"]) == 3


def test_tracebacks_are_no_lines_that_are_understood_or_not(survey):
    text = 'Traceback (most recent call last):\n  File "a.py", line 1, in b\nValueError: x'
    found = survey(lines(text, "INFO: between"))
    assert found["unread"] == 0
    assert found["lines"] - found["continued"] == 2


def test_a_line_that_journald_cut_is_joined(survey):
    whole = json.dumps({"event": "sync", "body": "x" * 60000, "level": "error"})
    first = dict(entry(1, whole[:49152]), _LINE_BREAK="line-max")
    found = survey([first, entry(1, whole[49152:]), entry(2, "INFO:     fine")])
    assert (found["error_count"], found["unread"]) == (1, 0)


def test_a_line_that_was_cut_for_good_says_what_it_can(survey):
    whole = '{"level": "error", "event": "sync", "body": "' + "x" * 70000
    first = dict(entry(1, whole), _LINE_BREAK="line-max")
    found = survey([first, entry(2, "INFO:     fine")])
    assert (found["error_count"], found["unread"]) == (1, 0)


def test_what_journald_has_dropped(survey):
    def dropped(second, text):
        item = entry(second, text, pid="29")
        return dict(item, _TRANSPORT="driver", MESSAGE_ID="a596d6fe7bfa4994828e72309e95d61e")

    journal = [
        dropped(1, "Suppressed 10350 messages from sergas-app.service"),
        dropped(2, "Suppressed 7 messages from other.service"),
        dropped(3, "Suppressed 50 messages from /system.slice/sergas-app.service"),
        # What an app writes itself is not journald's word.
        entry(4, "Suppressed 9 messages from sergas-app.service"),
    ]
    found = survey(journal, {"Id": "sergas-app.service"})
    assert found["suppressed"] == {"count": 10400, "last": START + 3}
    assert survey(journal, {"Id": "a.service"})["suppressed"] is None


def test_one_slow_request_in_four_shows_in_the_percentile(survey):
    line = "INFO request path=/api/v1/accounts duration=%s status_code=200"
    found = survey(lines(*[line % seconds for seconds in ("7.01", "0.05", "0.05", "0.05")] * 6))
    (path,) = found["slow_paths"]
    assert path["slow"] == 6 and path["mean"] < 2 and 7.0 <= path["p95"] <= 7.01
    assert found["timed"] == 24


def test_events_become_findings(context):
    found = {
        "window": 3600,
        "lines": 9,
        "truncated": False,
        "skipped": 0,
        "events": [
            {
                "name": name,
                "severity": severity,
                "shipped": shipped,
                "count": 3,
                "first": START,
                "last": START + 5,
                "sample": "the line",
            }
            for name, severity, shipped in (
                ("account_syncs", "warn", True),
                ("quota", "fail", False),
                ("memory_queries", "fail", False),
            )
        ],
    }
    items = events.decide(context(), found)
    assert [(item["id"], item["status"], item["reason"]) for item in items] == [
        ("app.events.seen", "warn", "account_syncs"),
        ("app.events.seen", "fail", "pattern:quota"),
        ("app.events.seen", "fail", "pattern:memory_queries"),
    ]
    assert items[0]["summary"].startswith("Syncs of accounts fail: 3 lines")
    assert items[0]["evidence"]["last_seen"] == clock(START + 5)
    assert only(events.decide(context(), dict(found, events=[])))["id"] == "app.events.ok"


def test_what_went_well_is_no_event():
    reading = health_survey.Survey(START + 60, patterns=patterns.Patterns())
    reading.read(
        lines(
            "INFO:     agent session 5 ended, 0 errors",
            '{"event": "agent session ended, no errors", "level": "info"}',
            '{"event": "agent session ended, no errors"}',
            '{"event": "agent_session_failed"}',
            "WARNING:  account sync failed, trying again",
            "account sync failed",
            # what a client says
            'INFO:     login user="account sync failed" path=/api/v1/login',
        )
    )
    found = {event["name"]: event["count"] for event in reading.result({})["events"]}
    assert found == {"agent_sessions": 1, "account_syncs": 2}


@pytest.mark.parametrize(
    ("message", "count"),
    [
        ("Buffer I/O error on dev sdb1, logical block 0, async page read", 1),
        ("EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm ls: reading", 1),
        ("overlay: filesystem on /var/lib/docker/check/upper not supported as upperdir", 0),
    ],
)
def test_kernel_errors_count_where_their_kind_is_known(message, count):
    deaths = Deaths(1000, None, None)
    deaths.kernel(999, message, {"PRIORITY": "3"})
    assert deaths.result(())["kernel_errors"] == count
