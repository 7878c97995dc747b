# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a journal tells of is past once it is fixed, and present if it comes again."""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._health import resolved
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import (
    attacks,
    crashes,
    limits,
    logs,
    service,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

NOW = 1795534000.0


def line(at, message, pid="129"):
    return {
        "__REALTIME_TIMESTAMP": str(int(at * 1e6)),
        "MESSAGE": message,
        "_PID": pid,
        "PRIORITY": "6",
        "_TRANSPORT": "stdout",
        "_SYSTEMD_INVOCATION_ID": "a" * 32,
    }


def rate_limited(ctx, survey):
    found = survey([line(NOW - 20 + n, "WARNING: Zoho rate limit exceeded") for n in range(11)])
    return logs.decide_rate_limit(ctx, found)


def circuit_open(ctx, survey):
    return logs.decide_rate_limit(ctx, survey([line(NOW - 10, "WARNING: Circuit breaker opened")]))


def failing_requests(ctx, survey):
    text = 'INFO:     10.0.0.9:4711 - "GET /api/v1/accounts HTTP/1.1" %d'
    requests = [line(NOW - 99 + n, text % (500 if n == 89 else 200)) for n in range(95)]
    return logs.decide_errors(ctx, survey(requests))


def bruteforce(ctx, survey):
    text = 'INFO:     10.0.0.9:4711 - "POST /api/v1/auth/login HTTP/1.1" 401 Unauthorized'
    return attacks.decide(ctx, survey([line(NOW - 69 + n, text) for n in range(60)]))


def imports(ctx, survey):
    text = "ModuleNotFoundError: No module named 'fastapi'"
    return logs.decide_imports(ctx, survey([line(NOW - 10, "ERROR: " + text)]))


def exceptions(ctx, survey):
    text = 'Traceback (most recent call last):\n  File "/app/main.py", line %d, in f\n    f()\n'
    messages = [(text % (1 + n % 2) + "ValueError: x").split("\n") for n in range(4)]
    at = [NOW - 40, NOW - 30, NOW - 20, NOW - 10]
    return logs.decide_exceptions(
        ctx, survey([line(when, part) for when, own in zip(at, messages) for part in own])
    )


def log(**more):
    found = {
        name: [] for name in ("kills", "unit_events", "faults", "dumps", "worker_deaths", "pids")
    }
    return dict(found, since=0.0, completes={}, clean_start=None, begun=[], **more)


def kill(at):
    return {
        "at": at,
        "pid": 77,
        "process": "uvicorn",
        "rss_kb": 65536,
        "limit_kb": 65536,
        "cgroup": "/system.slice/sergas-app.service",
        "constraint": "CONSTRAINT_MEMCG",
    }


def oom(ctx, survey):
    ctx.unit = {"Id": "sergas-app.service"}
    return crashes.decide_oom(ctx, dict(log(), kills=[kill(NOW - 100), kill(NOW - 10)]), "none")


def died(at):
    return {"what": "exit", "at": at, "code": "killed", "status": 11, "invocation": "i"}


def signals(ctx, survey):
    found = dict(log(), unit_events=[died(NOW - 100), died(NOW - 10)])
    return crashes.decide(
        ctx,
        found,
        {
            "dumps": [],
            "older": [],
            "unreadable": [],
            "container": "none",
            "handler": None,
            "core_pattern": None,
        },
    )


def dumps(ctx, survey):
    files = [
        {"path": "/var/crash/%d" % at, "bytes": 1, "at": at, "program": "x", "uid": None}
        for at in (NOW - 10, NOW - 100)
    ]
    return crashes.decide(
        ctx,
        log(),
        {
            "dumps": files,
            "older": [],
            "unreadable": [],
            "container": "none",
            "handler": None,
            "core_pattern": None,
        },
    )


def open_files(ctx, survey):
    event = {"count": 7, "first": NOW - 100, "last": NOW - 10, "sample": "Too many open files"}
    process = {"pid": 1, "open_files": 9, "limit": 1024}
    seen = {"processes": [process], "hidden": 0, "tasks": None, "tasks_max": None, "pool": None}
    return limits.decide(ctx, seen, dict(log(), too_many_files=event))


def restarts(ctx, survey):
    properties = {
        "Id": "sergas-app.service",
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
    }
    events = [
        event
        for at in (NOW - 100, NOW - 60, NOW - 10)
        for event in (died(at - 1), {"what": "restart", "at": at, "invocation": "i"})
    ]
    found = dict(log(), unit_events=events, completes={"i": (1, 1)}, start_seconds=None)
    return service.decide(
        ctx,
        {
            "properties": properties,
            "times": dict.fromkeys(
                (
                    "ActiveEnterTimestamp",
                    "StateChangeTimestamp",
                    "ExecMainStartTimestamp",
                    "ExecMainExitTimestamp",
                )
            ),
        },
        dict(found, kinds={}),
    )


@pytest.mark.parametrize(
    ("observe", "id"),
    [
        (rate_limited, "zoho.rate_limited"),
        (circuit_open, "zoho.circuit.open"),
        (failing_requests, "app.errors.rate"),
        (bruteforce, "security.bruteforce"),
        (imports, "app.import.error"),
        (exceptions, "app.exceptions"),
        (oom, "app.oom.killed"),
        (signals, "app.crash.signal"),
        (dumps, "app.crash.dumps"),
        (open_files, "app.files.exhausted"),
        (restarts, "app.service.restarting"),
    ],
)
def test_it_is_past_after_its_last_time_only(observe, id, context, survey):
    (item,) = observe(context(now=NOW), survey)
    assert item["id"] == id and item["status"] in ("warn", "fail")
    # All of them happened last 10 s ago.
    assert item["evidence"]["last_seen"] == times.clock(NOW - 10)
    for ended, status in ((NOW - 11, item["status"]), (NOW - 9, "ok")):
        entry = {
            "ended": times.clock(ended),
            "outcome": "kept",
            "findings": [id],
            "remedy": "fix",
            "run": "r",
        }
        assert resolved.mark_resolved([item], "x.y.ok", [entry])[0]["status"] == status


def test_files_that_are_open_now_are_not_of_the_past(context):
    event = {"count": 7, "first": NOW - 100, "last": NOW - 10, "sample": "Too many open files"}
    process = {"pid": 1, "open_files": 1020, "limit": 1024}
    seen = {"processes": [process], "hidden": 0, "tasks": None, "tasks_max": None, "pool": None}
    (item,) = limits.decide(context(), seen, dict(log(), too_many_files=event))
    assert item["status"] == "fail" and "last_seen" not in item["evidence"]


def test_a_rate_that_prometheus_tells_is_of_the_present(context, survey):
    found = survey([line(NOW - 10, "ERROR:    oops")])
    (item,) = logs.decide_errors(context(), found, {"error_rate_percent": 50.0})
    assert item["status"] == "fail" and "last_seen" not in item["evidence"]


# What a remedy needs to know of the app


def test_who_the_app_runs_as(properties):
    shown = properties("running_bookworm")
    assert unit.user_and_group(dict(shown, User="daemon", Group="mail")) == ("daemon", "mail")
    assert unit.user_and_group(dict(shown, User="", Group="")) == ("root", "root")
    # Its primary group, where the unit names none; none where there is no such user.
    assert unit.user_and_group(dict(shown, User="nobody", Group=""))[1] in ("nogroup", "nobody")
    assert unit.user_and_group(dict(shown, User="no-such-user", Group="")) == ("no-such-user", None)
    assert unit.user_and_group(dict(shown, User="4294967294", Group=""))[1] is None
    assert unit.user_and_group(properties("not_found")) == (None, None)


def environment(directory):
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "python").write_text("")
    (directory / "pyvenv.cfg").write_text("")
    return str(directory / "bin" / "python")


def test_the_interpreter_is_that_of_the_units_command(tmp_path):
    own, other = environment(tmp_path / "own"), environment(tmp_path / "app" / "venv")
    start = "{ path=%s/bin/uvicorn ; argv[]=uvicorn src.main:app ; pid=0 }"
    app = str(tmp_path / "app")
    assert unit.virtual_interpreter({"ExecStart": start % (tmp_path / "own")}, app) == own
    # A shell starts it: the app's directory has the environment.
    assert unit.virtual_interpreter({"ExecStart": "{ path=/bin/sh ; argv[]=sh }"}, app) == other
    assert unit.virtual_interpreter({}, app) == other


def test_the_systems_python_is_no_environment(tmp_path):
    start = "{ path=/usr/bin/uvicorn ; argv[]=uvicorn }"
    assert unit.virtual_interpreter({"ExecStart": start}, str(tmp_path)) is None
