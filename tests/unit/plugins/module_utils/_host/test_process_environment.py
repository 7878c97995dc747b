# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import process_environment
from ansible_collections.sergas.ops.plugins.module_utils._host.process_environment import Process

SERVER = Process(3, "python3.11", ["/app/venv/bin/python", "/app/venv/bin/uvicorn", "src.main:app"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], []),
        ([], [Process(4, "python3.11", ["python", "-c", "from multiprocessing import spawn"])]),
        ([Process(1, "dash", ["/bin/sh", "/usr/local/bin/sergas-run"])], []),
        ([Process(1, "tini", ["tini"]), Process(2, "bash", ["bash", "-c", "uvicorn x"])], []),
        ([Process(1, "python3.11", ["python", "/app/venv/bin/dotenv", "run"])], []),
        ([Process(1, "sudo", ["sudo", "-u", "sergas", "uvicorn"])], []),
    ],
)
def test_the_app_is_what_its_launchers_have_started(before, after):
    assert process_environment.app([*before, SERVER, *after]) == SERVER


def test_an_app_without_an_interpreter_is_itself():
    one = Process(7, "sergas-server", ["/opt/sergas-server"])
    assert process_environment.app([Process(1, "dash", ["sh"]), one]) == one
    shell = Process(1, "dash", ["sh", "-c", "sleep 9"])
    assert process_environment.app([shell]) == shell


def test_a_client_of_a_container_engine_is_not_the_app():
    assert process_environment.app([Process(1, "docker", ["docker", "run", "app"])]) is None


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"A=1\0B=x=y\0C=\0", {"A": "1", "B": "x=y", "C": ""}),
        (b"A=1\0A=2\0", {"A": "1"}),
        (b"", None),
        (b"gunicorn: master [src.main:app]\0\0\0\0", None),
        (b"\0\0\0A=1\0", None),
        (b"A=\xff\0", {"A": "\ufffd"}),
    ],
)
def test_an_environment_is_read_or_known_to_be_none(data, values):
    assert process_environment.parse(data) == values


def test_a_real_process():
    with subprocess.Popen(
        ["/bin/sh", "-c", 'export ADDED=2; "$0" -c "input(0)"; :', sys.executable],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"GIVEN": "1"},
    ) as shell:
        try:
            # Its prompt: before it runs, it has another program, or no environment yet.
            assert shell.stdout.read(1) == b"0"
            with open(
                "/proc/%d/task/%d/children" % (shell.pid, shell.pid), encoding="ascii"
            ) as source:
                found = source.read().split()
            pid, values = process_environment.read([shell.pid, int(found[0])])
        finally:
            shell.communicate(b"\n")
    assert pid == int(found[0])
    assert (values["GIVEN"], values["ADDED"]) == ("1", "2")


def test_a_process_that_may_not_be_read_is_named(monkeypatch):
    def denied(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "readlink", denied)
    with pytest.raises(process_environment.Unreadable, match="run with become"):
        process_environment.read([1])
