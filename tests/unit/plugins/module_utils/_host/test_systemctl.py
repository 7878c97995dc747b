# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import systemctl


@pytest.fixture
def answered(monkeypatch):
    """Return a function that has systemctl answer, and returns the commands that were run."""

    def answer(status=0, out="", err=""):
        commands = []

        def run(argv, _deadline):
            commands.append(argv)
            return status, out, err

        monkeypatch.setattr(systemctl.process, "run", run)
        return commands

    return answer


def test_a_command_returns_what_is_printed(answered):
    commands = answered(out="done\n")
    assert systemctl.run("stop", "--", "a.timer") == "done\n"
    assert commands == [["systemctl", "stop", "--", "a.timer"]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((1, "", "Access denied\n"), "systemctl restart a.service: Access denied"),
        ((4, "", ""), "systemctl restart a.service: exit status 4"),
    ],
)
def test_a_failed_command_raises_with_the_reason(answered, answer, message):
    answered(*answer)
    with pytest.raises(systemctl.SystemctlError) as raised:
        systemctl.run("restart", "a.service")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "error",
    [
        systemctl.process.CommandMissing("systemctl is not installed"),
        DeadlineExceeded("no answer in time from systemctl"),
    ],
)
def test_without_an_answer_there_is_one_error(monkeypatch, error):
    def run(_argv, _deadline):
        raise error

    monkeypatch.setattr(systemctl.process, "run", run)
    for call in (
        lambda: systemctl.run("daemon-reload"),
        lambda: systemctl.show("a.service", ["Id"], Deadline(5)),
    ):
        with pytest.raises(systemctl.SystemctlError, match=str(error)):
            call()


def test_properties_of_a_unit_are_returned_and_repeated_ones_joined(answered):
    commands = answered(out="LoadState=not-found\nListen=a\nListen=b\nResult=\n")
    shown = systemctl.show("a.socket", ["LoadState", "Listen", "Result"], Deadline(5))
    assert shown == {"LoadState": "not-found", "Listen": "a\nb", "Result": ""}
    assert commands[0][-3:] == ["--property=LoadState,Listen,Result", "--", "a.socket"]


def test_no_properties_are_an_error(answered):
    answered(1, "", "Failed to connect to bus\nmore\n")
    with pytest.raises(systemctl.SystemctlError, match="know a.service: Failed to connect to bus$"):
        systemctl.show("a.service", ["Id"], Deadline(5))
