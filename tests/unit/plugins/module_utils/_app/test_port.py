# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._app import port
from ansible_collections.sergas.ops.plugins.module_utils._host import sockets


def holder(**more):
    known = {
        "pid": 4711,
        "started": 12.5,
        "user": "ops",
        "command": "python3 -m http.server 8000",
        "unit": None,
        "leftover": False,
        "ancestor": False,
    }
    known.update(more)
    return port.Holder(**known)


SAME = {"pid": 4711, "started": 12.5, "command": "python3 -m http.server 8000", "unit": None}


@pytest.mark.parametrize(
    "more",
    [
        {"pid": 1, "command": "/sbin/init"},
        {"command": "sshd: ops [priv]"},
        {"command": "/usr/sbin/sshd -D"},
        {"command": "/usr/lib/postgresql/15/bin/postgres -D /var"},
        {"command": "postgres: checkpointer"},
        {"command": "/usr/bin/docker-proxy -proto tcp"},
        {"unit": "postgresql@15-main.service"},
        {"unit": "ssh.service", "command": "something"},
        {"unit": "docker.service", "command": "something"},
        {"ancestor": True},
    ],
)
def test_some_things_are_never_ended(more):
    verdict = port.judge(holder(**more), {}, ["*"], True)
    assert verdict.how is None
    assert "never" in verdict.refused


def test_what_systemd_holds_for_a_socket_unit_is_stopped_by_that_unit():
    held = holder(pid=1, command="/lib/systemd/systemd", unit="legacy.socket", ancestor=True)
    assert port.judge(held, {}, ["legacy.socket"], False).how == "unit"
    assert port.judge(held, {}, [], False).refused
    assert "never" in port.judge(holder(pid=1, unit="ssh.socket"), {}, ["*"], True).refused


def test_what_a_socket_unit_has_started_is_stopped_with_it():
    found = dict(SAME, pid=1, unit="legacy.socket", triggers=["legacy.service"])
    assert port.judge(holder(unit="legacy.service"), found, [], True).how == "unit"
    assert port.judge(holder(unit="other.service"), found, [], True).refused


def test_nothing_is_ended_that_is_not_allowed():
    assert "approve" in port.judge(holder(), SAME, [], False).refused
    assert "approve" in port.judge(holder(unit="a.service"), {}, ["b.service"], False).refused


@pytest.mark.parametrize(
    ("more", "allowed", "how"),
    [
        ({"unit": "legacy-api.service"}, ["legacy-*.service"], "unit"),
        ({}, ["python3"], "process"),
    ],
)
def test_what_is_allowed_is_ended_by_its_unit_if_it_has_one(more, allowed, how):
    assert port.judge(holder(**more), {}, allowed, False) == (how, None)
    assert port.judge(holder(**more), {}, [], True) == (how, None)


def test_what_the_app_has_left_over_needs_nobodys_leave():
    assert port.judge(holder(leftover=True), SAME, [], False) == ("process", None)


@pytest.mark.parametrize("name", ["pid", "started", "command"])
def test_another_process_than_was_found_is_left_alone(name):
    other = {"pid": 9, "started": 99.0, "command": "python3 other.py"}
    verdict = port.judge(holder(**{name: other[name]}), SAME, ["*"], True)
    assert verdict.how is None
    assert "diagnose again" in verdict.refused


def test_a_service_is_the_same_whatever_its_process_is():
    found = dict(SAME, unit="legacy-api.service")
    today = holder(pid=5000, started=77.0, unit="legacy-api.service")
    assert port.judge(today, found, [], True) == ("unit", None)


def test_the_first_free_port_is_chosen():
    assert port.free({8001, 8003}, [8001, 8002, 8003]) == 8002
    assert port.free({8001}, [8001]) is None


def started(*words):
    process = subprocess.Popen([sys.executable, "-c", *words], stdout=subprocess.PIPE)
    process.stdout.readline()
    now = sockets.describe(process.pid)
    return process, holder(pid=process.pid, started=now["started"])


def test_term_comes_before_kill():
    process, one = started("print(flush=True); import time; time.sleep(60)")
    port.end(one, 5)
    assert process.wait(5) == -signal.SIGTERM


def test_a_process_that_does_not_heed_term_is_killed():
    process, one = started(
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    )
    port.end(one, 0.3)
    assert process.wait(5) == -signal.SIGKILL


def test_a_pid_that_is_another_process_now_is_left_alone():
    process, one = started("print(flush=True); import time; time.sleep(60)")
    try:
        port.end(one._replace(started=one.started - 1), 0.2)
        time.sleep(0.1)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_this_runs_own_ancestors_are_known():
    assert {os.getpid(), os.getppid()} <= set(port._ancestors(os.getpid()))
