# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._app import service, unit
from ansible_collections.sergas.ops.plugins.module_utils._host import unit as host_unit

ENV = "/srv/app/.env"


def seen(**more):
    known = {
        "active": "active",
        "sub": "running",
        "result": "success",
        "started": 1000.0,
        "configuration": {ENV: 900.0},
        "unread": False,
        "answers": True,
    }
    known.update(more)
    return service.Seen(**known)


def test_an_app_that_runs_with_its_configuration_and_answers_is_left_alone():
    assert service.decide(seen()) == (service.NONE, [])


def test_what_was_changed_after_the_start_is_the_reason_for_a_restart():
    action, reasons = service.decide(seen(configuration={ENV: 1000.5, "/etc/unit": 900.0}))
    assert action == service.RESTART
    assert reasons == ["it was started before %s was changed" % ENV]


@pytest.mark.parametrize(
    ("more", "action", "word"),
    [
        ({"unread": True}, service.RESTART, "not read"),
        ({"answers": False}, service.RESTART, "does not answer"),
        (
            {"active": "activating", "sub": "auto-restart", "started": None},
            service.RESTART,
            "again and again",
        ),
        (
            {"active": "failed", "sub": "failed", "result": "exit-code", "started": None},
            service.START,
            "exit-code",
        ),
        (
            {"active": "failed", "sub": "failed", "result": "start-limit-hit", "started": None},
            service.START,
            "no more",
        ),
        ({"active": "inactive", "sub": "dead", "started": None}, service.START, "stopped"),
    ],
)
def test_what_is_not_as_it_should_be_is_acted_on(more, action, word):
    decision = service.decide(seen(**more))
    assert decision.action == action
    assert word in decision.reasons[0]


def test_a_unit_that_is_started_is_enabled_where_nothing_starts_it_after_a_boot():
    down = {"active": "inactive", "sub": "dead", "started": None, "starts_at_boot": False}
    assert "disabled" in service.decide(seen(**down)).reasons[1]
    # One that runs is left as an operator has it.
    assert service.decide(seen(starts_at_boot=False)) == (service.NONE, [])


@pytest.mark.parametrize("sub", ["running", "auto-restart", "start-pre"])
def test_a_change_of_this_run_is_the_same_reason_at_every_moment_of_a_loop(sub):
    decision = service.decide(seen(sub=sub, answers=False), forced=True)
    assert decision == (service.RESTART, ["its configuration is changed"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1min 30s", 90.0),
        ("500ms", 0.5),
        ("2h", 7200.0),
        ("infinity", None),
        ("", None),
        ("1min nonsense", None),
    ],
)
def test_time_spans_of_systemd(text, expected):
    assert host_unit.span(text) == expected


def test_a_file_is_replaced_in_one_step_and_its_directory_goes_with_it(tmp_path):
    path = str(tmp_path / "x.service.d" / "a.conf")
    unit.put(path, "one\n")
    unit.put(path, "two\n")
    assert unit.read_text(path) == "two\n"
    assert [child.name for child in (tmp_path / "x.service.d").iterdir()] == ["a.conf"]
    unit.put(path, None)
    assert not (tmp_path / "x.service.d").exists()


def test_a_directory_with_something_of_others_stays(tmp_path):
    other = tmp_path / "x.service.d" / "override.conf"
    other.parent.mkdir()
    other.write_text("[Service]\n")
    path = str(tmp_path / "x.service.d" / "a.conf")
    unit.put(path, "one\n")
    unit.put(path, None)
    assert other.exists()
