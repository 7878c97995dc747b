# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import restore_points

ENV = "/opt/app/.env"


@pytest.fixture
def arm(tmp_path):
    """Return a function that leaves a restore point, and the directory it is in."""

    def leave(name="set_variables", outcome=None, **more):
        directory = tmp_path / name
        directory.mkdir()
        point = {
            "name": name,
            "run": "r1",
            "armed_at": "2026-03-01T12:00:00Z",
            "due": "2026-03-01T12:05:00Z",
            "files": [{"path": ENV, "kind": "file"}],
        }
        (directory / "point.json").write_text(json.dumps({**point, **more}))
        (directory / "outcome").write_text(json.dumps(outcome) if outcome else " " * 100)
        return str(tmp_path)

    return leave


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({}, ["set_variables"]),
        # Nothing restores it unless a run does.
        ({"due": None}, []),
        ({"outcome": {"complete": True}}, []),
        ({"outcome": {"complete": False}}, ["set_variables"]),
    ],
)
def test_what_the_host_will_still_restore_is_pending(arm, more, names):
    found = restore_points.pending(restore_points.points(arm(**more)))
    assert [item["name"] for item in found] == names


def test_what_is_no_restore_point_is_passed_over(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "point.json").write_text("{")
    (tmp_path / ".staging").mkdir()
    assert restore_points.points(str(tmp_path)) == []
    assert restore_points.points(str(tmp_path / "missing")) == []


def test_a_covered_file_is_written_by_its_own_run_only(arm, monkeypatch):
    monkeypatch.delenv(restore_points.RUN_VARIABLE, raising=False)
    directory = arm()
    with pytest.raises(restore_points.Armed) as refused:
        restore_points.refuse_covered([ENV], directory=directory)
    for word in (ENV, "set_variables of run r1", "2026-03-01T12:05:00Z", "playbook fix"):
        assert word in str(refused.value)
    with pytest.raises(restore_points.Armed):
        restore_points.refuse_covered([ENV], "r2", directory)
    restore_points.refuse_covered([ENV], "r1", directory)
    restore_points.refuse_covered(["/etc/other"], directory=directory)
    monkeypatch.setenv(restore_points.RUN_VARIABLE, "r1")
    restore_points.refuse_covered([ENV], directory=directory)


def test_the_target_of_a_saved_link_is_covered_as_well(arm):
    leads_to = {"path": "/etc/sergas/app.env", "kind": "file"}
    saved = {"path": ENV, "kind": "link", "target": "app.env", "leads_to": leads_to}
    directory = arm(files=[saved])
    with pytest.raises(restore_points.Armed):
        restore_points.refuse_covered(["/etc/sergas/app.env"], directory=directory)
