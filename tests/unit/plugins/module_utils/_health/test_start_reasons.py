# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a start has failed, by what systemd 247 to 257 and the app's log say of it."""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health import start_reasons


def systemd(*texts):
    return [
        {"at": 1.0, "systemd": True, "pid": "1", "invocation": "i1", "text": text} for text in texts
    ]


def app(text, invocation="i1"):
    return [
        {"at": 1.0, "systemd": False, "pid": "7", "invocation": invocation, "text": line}
        for line in text.split("\n")
    ]


def reason(lines=(), needs=None, conditions=(), **properties):
    start = {
        "lines": list(lines),
        "needs": needs or {},
        "conditions": list(conditions),
        "properties": properties,
    }
    return start_reasons.find(start)


SYNTAX = """Traceback (most recent call last):
  File "/opt/app/venv/bin/uvicorn", line 8, in <module>
    sys.exit(main())
  File "/opt/app/src/main.py", line 412
    <<<<<<< HEAD
    ^^
SyntaxError: invalid syntax"""
DENIED = """Traceback (most recent call last):
  File "/opt/app/venv/lib/python3.11/site-packages/dotenv/main.py", line 9, in load
    open(path)
  File "/opt/app/src/config.py", line 20, in settings
    load()
PermissionError: [Errno 13] Permission denied: '/opt/app/.env'"""
REFUSED = """Traceback (most recent call last):
  File "/opt/app/src/config.py", line 30, in <module>
    settings = Settings()
pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings
REDIS_PORT
  Input should be a valid integer [type=int_parsing, input_value='', input_type=str]
    For further information visit https://errors.pydantic.dev/2.6/v/int_parsing
ENABLE_CACHE
  Input should be a valid boolean [type=bool_parsing, input_value='maybe', input_type=str]"""
PRE = (
    "{ path=/usr/bin/test ; argv[]=/usr/bin/test -f /etc/sergas/license.key ; ignore_errors=no ;"
    " start_time=[x] ; stop_time=[y] ; pid=407 ; code=exited ; status=%d }"
)


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        (reason(app(SYNTAX)), "exception:SyntaxError", "syntax at /opt/app/src/main.py:412"),
        (reason(app(DENIED)), "exception:PermissionError", "Permission denied: '/opt/app/.env'"),
        (reason(app(REFUSED)), "variable:ENABLE_CACHE,REDIS_PORT", "refuses ENABLE_CACHE, REDIS"),
        (
            reason(app("Usage: uvicorn [OPTIONS] APP\nError: Invalid value for '--port': '80OO'")),
            "log",
            "Error: Invalid value for '--port'",
        ),
        # The newest attempt counts, and one that has said nothing yet does not hide it.
        (
            reason(app(SYNTAX, "i1") + app("INFO: Started server process [9]", "i2")),
            "exception:SyntaxError",
            "main.py:412",
        ),
        (reason(app(SYNTAX, "i1") + app(DENIED, "i2")), "exception:PermissionError", ".env"),
        (
            reason(
                systemd("sergas-app.service was skipped because of an unmet condition check"
                        " (ConditionPathExists=/etc/sergas/enabled).")
            ),
            "condition",
            "ConditionPathExists=/etc/sergas/enabled is not met",
        ),
        (
            reason(systemd("sergas-app.service skipped, unmet condition check ConditionUser=x")),
            "condition",
            "ConditionUser=x is not met",
        ),
        (
            reason(
                systemd("Condition check resulted in Sergas being skipped."),
                conditions=["ConditionHost=a"],
            ),
            "condition",
            "ConditionHost=a is not met",
        ),
        (
            reason(
                systemd(
                    "Dependency failed for Sergas.",
                    "sergas-app.service: Job sergas-app.service/start failed with result"
                    " 'dependency'.",
                ),
                needs={"mnt-data.mount": "failed", "redis.service": "active"},
            ),
            "dependency:mnt-data.mount",
            "mnt-data.mount, which it needs",
        ),
        (reason(ExecStartPre=PRE % 1), "command", "ExecStartPre /usr/bin/test ended with status 1"),
        (reason(app("last words"), ExecStartPre=PRE % 0), "log", "last words"),
        (
            reason(
                systemd("x: Failed at step EXEC spawning /opt/app/run: Permission denied"),
                ExecMainCode="1",
                ExecMainStatus="203",
            ),
            "systemd:203",
            "/opt/app/run: Permission denied",
        ),
        (reason(ExecMainCode="1", ExecMainStatus="217"), "systemd:217", "user does not exist"),
        (
            reason(systemd("x.service: Failed to load environment files: No such file")),
            "systemd:environment",
            "No such file",
        ),
        (reason(systemd("x: Watchdog timeout (limit 30s)!")), "watchdog", "watchdog"),
        (
            reason(systemd("x: Service reached runtime time limit. Stopping.")),
            "time_limit",
            "RuntimeMaxSec",
        ),
        (reason(systemd("x: start operation timed out. Terminating.")), "timeout", "TimeoutStart"),
        (
            reason(systemd("x: systemd-oomd killed 3 process(es) in this unit.")),
            "oomd",
            "memory pressure",
        ),
        (reason(ExecMainCode="2", ExecMainStatus="9"), "signal:KILL", "KILL"),
        (reason(ExecMainCode="1", ExecMainStatus="137"), "signal:KILL", "137"),
    ],
)  # fmt: skip
def test_each_kind_of_reason(found, code, words):
    assert found.code == code
    assert words in found.words


@pytest.mark.parametrize(
    "found",
    [
        reason(),
        # It was skipped once, and has been started since.
        reason(systemd("x skipped, unmet condition check ConditionUser=x", "Starting", "Started")),
        reason(ExecMainCode="1", ExecMainStatus="0"),
    ],
)
def test_none_is_none(found):
    assert found is None


@pytest.mark.parametrize("text", ["Traceback (most recent call last):\n" * 3000, "x" * 10**6])
def test_hostile_lines_are_bounded(text):
    found = reason(app(text))
    assert found is None or len(found.words) <= 300
