# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import service
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

NOW = 10000.0


def observed(properties, monotonic=5000.0):
    names = (
        "ActiveEnterTimestamp",
        "StateChangeTimestamp",
        "ExecMainStartTimestamp",
        "ExecMainExitTimestamp",
    )
    return {
        "properties": properties,
        "times": {name: unit.since(properties, name, NOW, monotonic) for name in names},
    }


def event(what, at, invocation="i", **more):
    return dict(more, what=what, at=at, invocation=invocation)


def log(events=(), completes=None, kinds=None, clean_start=None, start_seconds=None):
    return {
        "unit_events": list(events),
        "completes": completes or {},
        "kinds": {kind: {"count": 1, "last": last} for kind, last in (kinds or {}).items()},
        "clean_start": clean_start,
        "start_seconds": start_seconds,
        "begun": [],
        "child_deaths": 0,
    }


def died(at, invocation):
    """A run that dies and is started again."""
    return [
        event("exit", at, invocation, code="killed", status=11, name="SEGV"),
        event("failed", at, invocation, result="signal"),
        event("restart", at + 5, invocation, counter=1),
    ]


def only(findings):
    assert len(findings) == 1
    return findings[0]


@pytest.mark.parametrize(
    ("more", "id"),
    [
        ({"UnitFileState": "disabled"}, "app.service.disabled"),
        # Another unit, a socket or a timer starts it.
        ({"UnitFileState": "disabled", "WantedBy": "sergas.target"}, "app.service.ok"),
        ({"UnitFileState": "disabled", "TriggeredBy": "sergas-app.socket"}, "app.service.ok"),
        ({"UnitFileState": "static"}, "app.service.ok"),
        ({"UnitFileState": "generated"}, "app.service.ok"),
        ({"UnitFileState": ""}, "app.service.ok"),
    ],
)
def test_a_unit_that_runs_and_is_not_started_after_a_boot(properties, context, more, id):
    shown = {**properties("running_bookworm"), **more}
    item = only(service.decide(context(shown), observed(shown), log()))
    assert (item["id"], item["status"]) == (id, "ok" if id.endswith("ok") else "warn")


@pytest.mark.parametrize("release", ["bookworm", "bullseye", "trixie"])
def test_a_unit_that_runs(properties, context, release):
    item = only(service.decide(context(now=NOW), observed(properties("running_" + release))))
    assert (item["id"], item["status"], item["value"]) == ("app.service.ok", "ok", 0)
    assert item["evidence"]["enabled"] == "enabled"


def test_a_unit_that_does_not_exist(properties, context):
    shown = properties("not_found")
    item = only(service.decide(context(now=NOW), observed(shown)))
    assert (item["id"], item["status"]) == ("app.service.missing", "fail")
    with pytest.raises(NotHere):
        service.decide(context(now=NOW, has_app=False), observed(shown))


def test_a_unit_that_was_stopped(properties, context):
    item = only(service.decide(context(now=NOW), observed(properties("stopped"))))
    assert (item["id"], item["status"], item["evidence"]["stopped"]) == (
        "app.service.down",
        "fail",
        True,
    )
    assert "is stopped" in item["summary"]
    assert item["remedy"] == "start_service"


def test_a_unit_that_is_masked(properties, context):
    item = only(service.decide(context(now=NOW), observed(properties("masked"))))
    assert item["id"] == "app.service.down"
    assert "masked" in item["summary"]


def test_a_unit_that_has_failed(properties, context):
    item = only(service.decide(context(now=NOW), observed(properties("failed"))))
    assert (item["id"], item["evidence"]["stopped"]) == ("app.service.down", False)
    assert "has failed (exit-code)" in item["summary"]


def test_a_loop_of_failing_starts_is_down(properties, context):
    shown = properties("auto_restart")
    item = only(service.decide(context(now=NOW), observed(shown)))
    assert (item["id"], item["status"], item["evidence"]["loop"]) == (
        "app.service.down",
        "fail",
        True,
    )


def test_a_loop_is_down_even_while_it_runs_for_a_moment(properties, context):
    shown = dict(
        properties("running_bookworm"), NRestarts="37", ActiveEnterTimestampMonotonic="4998000000"
    )
    item = only(service.decide(context(now=NOW), observed(shown), log()))
    assert (item["id"], item["evidence"]["loop"]) == ("app.service.down", True)
    assert "37 restarts" in item["summary"]
    ready = log(completes={shown["InvocationID"]: (NOW - 1, NOW - 1)})
    assert only(service.decide(context(now=NOW), observed(shown), ready))["id"] == "app.service.ok"


def test_why_it_is_down_is_read_from_the_log_of_its_last_run(properties, context):
    shown = dict(properties("failed"), ExecMainStartTimestampMonotonic="4000000000")
    found = log(kinds={"database.unreachable": 9500.0, "import": 8000.0})
    item = only(service.decide(context(now=NOW), observed(shown), found))
    assert item["evidence"]["reasons"] == ["database.unreachable"]
    assert item["summary"].endswith("the database does not serve it")


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("1", "203", "status 203"),
        ("1", "3", "status 3"),
        ("2", "9", "killed by signal 9"),
    ],
)
def test_the_last_exit(properties, context, code, status, words):
    shown = dict(
        properties("failed"),
        ExecMainCode=code,
        ExecMainStatus=status,
        ExecMainExitTimestampMonotonic="4900000000",
    )
    assert words in only(service.decide(context(now=NOW), observed(shown)))["summary"]


@pytest.mark.parametrize(
    ("count", "id", "status"),
    [(1, "ok", "ok"), (2, "restarting", "warn"), (5, "restarting", "fail")],
)
def test_an_app_that_dies_again_and_again(properties, context, count, id, status):
    events, completes = [], {}
    for number in range(count):
        events += died(1000.0 * number, "run%d" % number)
        completes["run%d" % number] = (1000.0 * number - 500,) * 2
    item = only(
        service.decide(
            context(now=NOW), observed(properties("running_bookworm")), log(events, completes)
        )
    )
    assert (item["id"], item["status"], item["value"]) == ("app.service." + id, status, count)


def test_a_loop_of_failing_starts_that_ended_is_resolved(properties, context):
    events = [item for number in range(20) for item in died(100.0 * number, "run%d" % number)]
    shown = properties("running_bookworm")
    found = log(events, {shown["InvocationID"]: (3000.0, 3000.0)}, clean_start=3000.0)
    assert only(service.decide(context(now=NOW), observed(shown), found))["status"] == "ok"


def test_the_resolved_host_as_captured(properties, context, survey):
    shown = properties("resolved")
    found = survey("resolved_missing_variable", shown)
    names = (
        "ActiveEnterTimestamp",
        "StateChangeTimestamp",
        "ExecMainStartTimestamp",
        "ExecMainExitTimestamp",
    )
    times = {
        name: unit.since(shown, name, found["now"], found["now"] - 1795531320.0435)
        for name in names
    }
    item = only(
        service.decide(context(shown, found["now"]), {"properties": shown, "times": times}, found)
    )
    assert (item["status"], item["evidence"]["restarts_in_window"]) == ("ok", 2)


def test_workers_that_fail_while_the_unit_stays_active(properties, context):
    shown = dict(properties("running_bookworm"), ExecMainStartTimestampMonotonic="4900000000")
    found = dict(log(kinds={"import": 9950.0}), begun=[shown["InvocationID"]], child_deaths=7)
    item = only(service.decide(context(now=NOW), observed(shown), found))
    assert (item["id"], item["status"], item["evidence"]["worker_deaths"]) == (
        "app.service.down",
        "fail",
        7,
    )
    assert item["summary"].startswith("sergas-app.service runs, but the app in it does not start")
    up = dict(found, completes={shown["InvocationID"]: (9960.0, 9960.0)})
    assert only(service.decide(context(now=NOW), observed(shown), up))["status"] == "ok"
    slow = dict(found, kinds={})
    assert only(service.decide(context(now=NOW), observed(shown), slow))["status"] == "ok"
    silent = dict(found, begun=[])
    assert only(service.decide(context(now=NOW), observed(shown), silent))["status"] == "ok"


@pytest.mark.parametrize(
    ("code", "words", "reason", "reasons"),
    [
        (
            "exception:OperationalError",
            '(psycopg2.OperationalError) FATAL:  database "crm" does not exist',
            "kind:database",
            ["database.missing"],
        ),
        ("exception:ValueError", "ValueError: 3", "exception:ValueError", []),
        ("variable:REDIS_PORT", "redis_port is no number", "variable:REDIS_PORT", []),
    ],
)
def test_a_loop_whose_next_attempt_has_just_begun(
    properties, context, code, words, reason, reasons
):
    """Its log has nothing yet: what ended the last attempt says why."""
    shown = dict(
        properties("running_bookworm"),
        NRestarts="2",
        ActiveEnterTimestampMonotonic="4999000000",
        ExecMainStartTimestampMonotonic="4999000000",
    )
    start = {"code": code, "words": words}
    # Of the last attempt.
    earlier = log(kinds={"database.missing": NOW - 20})
    item = only(service.decide(context(shown, NOW), observed(shown), earlier, start))
    assert (item["id"], item["reason"]) == ("app.service.down", reason)
    assert item["evidence"]["reasons"] == reasons


def test_a_unit_that_is_starting(properties, context):
    shown = dict(properties("running_bookworm"), ActiveState="activating", SubState="start-pre")
    item = only(service.decide(context(now=NOW), observed(shown)))
    assert (item["id"], item["status"]) == ("app.service.down", "warn")


def test_a_host_without_systemd(context):
    ctx = context({})
    ctx.unit_error = "systemctl is not installed"
    with pytest.raises(service.UnitUnreadable, match="systemctl is not installed"):
        service.observe(ctx)


@pytest.mark.parametrize(
    ("code", "words", "remedy"),
    [
        ("exception:SyntaxError", "SyntaxError: invalid syntax at main.py:4", None),
        ("variable:REDIS_PORT", "the app refuses REDIS_PORT", None),
        ("condition", "ConditionPathExists=/x is not met", None),
        ("dependency:mnt.mount", "mnt.mount, which it needs, has failed", None),
        ("systemd:203", "its command cannot be executed (203)", None),
        ("signal:KILL", "signal KILL ended it", "start_service"),
        ("timeout", "it was not ready within TimeoutStartSec", "start_service"),
    ],
)
def test_why_the_last_start_failed_is_said_and_no_futile_start_is_planned(
    properties, context, code, words, remedy
):
    shown = observed(properties("failed"))
    start = {"code": code, "words": words}
    item = only(service.decide(context(now=NOW), shown, None, start))
    assert item["summary"].endswith(": " + words)
    assert (item["reason"], item["remedy"]) == (code, remedy)
    assert item["advice"]
    assert only(service.decide(context(now=NOW), shown))["remedy"] == "start_service"


def test_how_an_earlier_attempt_ended_says_nothing_of_a_unit_that_was_stopped(properties, context):
    stopped = dict(properties("failed"), ActiveState="inactive", Result="success")
    for code, is_stopped in (("exception:KeyError", True), ("condition", False)):
        start = {"code": code, "words": "words"}
        item = only(service.decide(context(now=NOW), observed(stopped), None, start))
        assert item["evidence"]["stopped"] is is_stopped
        assert (item["reason"] is None) is is_stopped
        assert (item["remedy"] is None) is not is_stopped
