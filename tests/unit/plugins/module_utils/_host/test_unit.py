# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._host import systemctl, unit


def command(text):
    return {"ExecStart": "{ path=/usr/bin/uvicorn ; argv[]=%s ; ignore_errors=no ; pid=0 }" % text}


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("uvicorn src.main:app --host 0.0.0.0 --port 8000 --workers 4", 8000),
        ("uvicorn src.main:app --port=8443", 8443),
        ("uvicorn --port 8000 --port 9000", 9000),
        ("uvicorn src.main:app --port ${API_PORT}", None),
        ("uvicorn src.main:app --port 8000${SUFFIX}", None),
        ("uvicorn src.main:app --port 99999", None),
        ("uvicorn src.main:app", None),
        ("sh -c exec uvicorn --port 8000", 8000),
        ("app --report 8000", None),
    ],
)
def test_the_port_counts_only_where_the_unit_pins_it(text, port):
    assert unit.port(command(text)) == port


@pytest.mark.parametrize(
    ("text", "count"), [("x --workers 4", 4), ("gunicorn -w 3", 3), ("x --workers ${N}", None)]
)
def test_workers(text, count):
    assert unit.workers(command(text)) == count


@pytest.mark.parametrize("release", ["bookworm", "bullseye", "trixie"])
def test_a_running_unit_of_each_release(properties, release):
    running = properties("running_" + release)
    assert unit.is_loaded(running)
    assert unit.is_running(running)
    assert unit.working_directory(running) == "/home/sergas/super-account-manager"
    assert unit.port(running) is None
    assert unit.number(running, "MainPID") > 1
    assert unit.number(running, "MemoryMax") is None
    assert running["Environment"] == "PYTHONUNBUFFERED=1"


def test_a_unit_that_does_not_exist(properties):
    missing = properties("not_found")
    assert not unit.is_loaded(missing)
    assert not unit.is_running(missing)
    assert unit.working_directory(missing) is None


def test_names_with_and_without_suffix():
    assert unit.name("sergas-app") == "sergas-app.service"
    assert unit.name("sergas-app.service") == "sergas-app.service"
    assert unit.name("app@1.2") == "app@1.2.service"


@pytest.mark.parametrize("value", ["", "[not set]", "infinity", "18446744073709551615", "no"])
def test_what_is_no_number(value):
    assert unit.number({"MemoryMax": value}, "MemoryMax") is None


def test_times_are_those_of_systemds_clock(properties):
    shown = {"ActiveEnterTimestampMonotonic": "3000000"}
    assert unit.since(shown, "ActiveEnterTimestamp", 1000.0, 13.0) == 990.0
    assert (
        unit.since({"ActiveEnterTimestampMonotonic": "0"}, "ActiveEnterTimestamp", 1000.0, 13.0)
        is None
    )


def test_a_host_without_systemd(monkeypatch):
    monkeypatch.setattr(systemctl.process, "find", lambda name: None)
    assert unit.read("sergas-app", Deadline(5)) == ({}, "systemctl is not installed")


def test_systemd_that_does_not_run(monkeypatch):
    refusal = (
        "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to"
        " connect to bus\n"
    )
    monkeypatch.setattr(systemctl.process, "run", lambda argv, deadline: (1, "", refusal))
    shown, reason = unit.read("sergas-app", Deadline(5))
    assert shown == {}
    assert "has not been booted with systemd" in reason


def test_a_service_name_cannot_become_an_option(monkeypatch):
    seen = []

    def run(argv, deadline):
        seen.append(argv)
        return 0, "LoadState=not-found\n", ""

    monkeypatch.setattr(systemctl.process, "run", run)
    unit.read("--version", Deadline(5))
    assert seen[0][-2:] == ["--", "--version.service"]
