# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a crash of the host leaves of a restore point; the module as a whole: tests/integration."""

from __future__ import annotations

import os
import shutil
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import (
    program,
    store,
    timer,
)


@pytest.fixture
def steps(monkeypatch):
    """A list of the directories that are renamed, removed and made to last, in this order."""
    done = []

    def recorded(owner, name, shown):
        act = getattr(owner, name)

        def record(*arguments, **options):
            # Files within a point are replaced by another function, which holds their directory.
            if os.path.isdir(str(arguments[0])) and not options.get("src_dir_fd"):
                done.append((name, *(os.path.basename(str(item)) for item in arguments[:shown])))
            return act(*arguments, **options)

        monkeypatch.setattr(owner, name, record)

    recorded(os, "rename", 2)
    recorded(shutil, "rmtree", 1)
    recorded(program, "sync", 1)
    for name in ("write_unit", "stop", "start"):
        monkeypatch.setattr(timer, name, lambda *_arguments: None)
    loader = types.SimpleNamespace(get_source=lambda _name: "# the program")
    monkeypatch.setattr(program, "__loader__", loader)
    monkeypatch.setattr(program, "remove_unit", lambda *_arguments: None)
    return done


def test_a_point_lasts_before_what_it_replaces_is_removed_and_is_gone_before_its_files(
    tmp_path, steps
):
    base, file = tmp_path / "points", tmp_path / "file"
    base.mkdir(0o700)
    file.write_text("before")
    with program.opened(str(file)) as source:
        sha256 = program.digest(source)
    params = {"name": "x", "run": "r", "directory": str(base), "deadline": 0}
    point = {
        "name": "x",
        "due": None,
        "files": [
            {
                "path": str(file),
                "kind": "file",
                "saved": "saved/0",
                "mode": 0o644,
                "uid": os.getuid(),
                "gid": os.getgid(),
                "sha256": sha256,
            }
        ],
    }
    directory = str(base / "x")
    store.save(params, directory, point)
    assert (base / "x" / "saved" / "0").read_text() == "before"
    # What was saved is there as surely as the list that names it.
    assert [step[0] for step in steps] == ["sync", "rename", "sync"]
    assert (steps[0][1], steps[2][1]) == ("saved", "points")
    program.write_outcome(directory, {"complete": True})
    del steps[:]
    store.save(params, directory, point)
    assert [step[0] for step in steps] == ["sync", "rename", "rename", "sync", "rmtree"]
    del steps[:]
    store.discard(params, directory)
    renamed = steps.index(("rename", "x", ".x.gone"))
    assert steps[renamed + 1 :] == [("sync", "points"), ("rmtree", ".x.gone")]
