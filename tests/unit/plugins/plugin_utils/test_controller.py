# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils import controller


@pytest.fixture
def process():
    """A process that could be a run of Ansible."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


def test_a_run_whose_process_is_there_is_alive(process):
    run = controller.identity(process.pid)
    assert run["pid"] == process.pid and run["started"]
    assert controller.is_alive(run) and not controller.is_dead(run)


def test_a_run_whose_process_is_gone_is_dead(process):
    run = controller.identity(process.pid)
    process.kill()
    # A zombie that no process has waited for counts as gone.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert controller.is_dead(run)
    process.wait()
    assert controller.is_dead(run)


def test_another_process_of_the_same_number_is_not_the_run(process):
    run = dict(controller.identity(process.pid), started=1)
    assert controller.is_dead(run)


@pytest.mark.parametrize(
    "other",
    [{"boot": "another"}, {"pid_namespace": "pid:[1]"}, {"boot": None}, {"started": None}],
)
def test_what_is_elsewhere_is_not_known_to_be_gone(process, other):
    run = dict(controller.identity(process.pid), **other)
    process.kill()
    process.wait()
    assert not controller.is_dead(run)


def test_without_proc_the_process_itself_is_checked(process):
    run = dict(controller.identity(process.pid), started=None)
    assert controller.is_alive(run)
    process.kill()
    process.wait()
    assert not controller.is_alive(run)


@pytest.mark.parametrize("run", [None, {}, {"host": "control", "pid": "42"}, "run"])
def test_what_makes_no_sense_is_not_known_to_be_gone(run):
    assert not controller.is_dead(run)
