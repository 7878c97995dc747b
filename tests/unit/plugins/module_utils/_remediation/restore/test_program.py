# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import os

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import program

OUTCOME = {
    "restored_at": "2026-03-01T12:00:00Z",
    "by": "timer",
    "complete": True,
    "attempts": 1,
    "files": [],
    "errors": [],
    "commands": [],
    "touched": True,
}


def test_it_needs_nothing_of_the_collection_on_the_host():
    with open(program.__file__, encoding="utf-8") as source:
        tree = ast.parse(source.read())
    imported = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [getattr(node, "module", None) or node.names[0].name for node in imported]
    assert len(names) > 10
    assert not [name for name in names if name.startswith("ansible")]


def test_an_outcome_is_read_as_it_was_written(tmp_path):
    assert program.read_outcome(str(tmp_path)) is None
    program.write_outcome(str(tmp_path), None)
    assert program.read_outcome(str(tmp_path)) is None
    program.write_outcome(str(tmp_path), OUTCOME)
    assert program.read_outcome(str(tmp_path)) == OUTCOME


def test_an_outcome_never_takes_more_space_than_was_kept_for_it(tmp_path):
    files = ["/etc/%0100d" % number for number in range(200)]
    commands = [{"argv": ["x" * 500], "status": 0} for _number in range(50)]
    for outcome in (None, OUTCOME, dict(OUTCOME, files=files, commands=commands)):
        program.write_outcome(str(tmp_path), outcome)
        assert os.path.getsize(str(tmp_path / "outcome")) == program.OUTCOME_BYTES
    assert program.read_outcome(str(tmp_path))["complete"]


def test_an_outcome_cut_by_a_crash_is_to_be_done_again(tmp_path):
    (tmp_path / "outcome").write_text('{"restored_at": "2026-')
    outcome = program.read_outcome(str(tmp_path))
    assert set(outcome) == set(OUTCOME) and not outcome["complete"]


UP = {"ActiveState": "active", "InvocationID": "1"}


@pytest.mark.parametrize(
    ("now", "touched", "booted", "restart"),
    [
        # The process is the one from before: it has none of what was written.
        (UP, True, False, False),
        (UP, False, False, False),
        # Restarted since, with what was written or without anything.
        ({**UP, "InvocationID": "2"}, True, False, True),
        ({**UP, "InvocationID": "2"}, False, False, False),
        # It was up and is not any more: with what was written, or because of another process.
        ({"ActiveState": "inactive", "InvocationID": "1"}, True, False, True),
        ({"ActiveState": "failed", "InvocationID": "2"}, True, False, True),
        ({"ActiveState": "failed", "InvocationID": "2"}, False, False, False),
        # A start with the host is no restart, unless it was with what was written.
        ({**UP, "InvocationID": "2"}, True, True, True),
        ({**UP, "InvocationID": "2"}, False, True, False),
        # What systemd does not tell.
        ({}, True, False, True),
        ({}, False, False, False),
    ],
)
def test_a_unit_is_restarted_if_that_undoes_something(now, touched, booted, restart):
    assert program.needs_restart(UP, now, touched, booted) is restart


def test_a_unit_that_was_down_is_not_started():
    down = {"ActiveState": "inactive", "InvocationID": ""}
    assert not program.needs_restart(down, down, True, False)
    started = {"ActiveState": "active", "InvocationID": "2"}
    assert program.needs_restart(down, started, True, False)


def test_commands_are_for_what_was_changed():
    point = {"commands": [["ufw", "reload"]], "restarts": {}}
    assert program.commands_of(point, True, False) == [["ufw", "reload"]]
    assert program.commands_of(point, False, False) == []


def test_a_container_that_starts_again_is_another_boot(monkeypatch):
    def proc(started):
        def read(path, **options):
            return {
                "/proc/sys/kernel/random/boot_id": lambda: open_text("kernel\n"),
                "/proc/1/stat": lambda: open_text("1 (a b) c) S " + "0 " * 18 + started + " 0"),
            }[path]()

        return read

    def open_text(text):
        import io

        return io.StringIO(text)

    boots = []
    for started in ("77", "99", "99"):
        monkeypatch.setattr("builtins.open", proc(started))
        boots.append(program.boot())
    monkeypatch.undo()
    assert boots == ["kernel 77", "kernel 99", "kernel 99"]


def test_a_directory_that_went_while_its_lock_was_waited_for_is_no_directory(tmp_path, monkeypatch):
    directory = tmp_path / "point"
    directory.mkdir()

    def meanwhile(handle, operation):
        directory.rename(tmp_path / "gone")

    monkeypatch.setattr(program.fcntl, "flock", meanwhile)
    with pytest.raises(FileNotFoundError), program.locked(str(directory)):
        pass
    assert program.restore(str(tmp_path / "no-such"), "timer") is None
