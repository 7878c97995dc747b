# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import inspect
import json
import os
import stat
import subprocess
import sys

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._app import debug_logging
from ansible_collections.sergas.ops.plugins.module_utils._core import files

revert = {"__name__": "revert", "__file__": "/nowhere/revert.py"}
exec(compile(debug_logging.REVERT, "revert.py", "exec"), revert)  # noqa: S102 (what a host runs)


@pytest.mark.parametrize(
    "text",
    [
        "A=1\nLOG_LEVEL=INFO\nB=2\n",
        "A=1\nLOG_LEVEL='WARNING'\n",
        "A=1\nexport LOG_LEVEL=INFO  # as in production\nB=2\n",
        "A=1\nB=2\n",
        "A=1\n# LOG_LEVEL=INFO\nB=2\n",
        "A=1",
        "LOG_LEVEL=\nA=1\n",
    ],
)
def test_what_is_restored_is_exactly_what_was_there(text):
    made = debug_logging.plan(text, None)
    assert debug_logging.shown(made.text) == "LOG_LEVEL=DEBUG\n"
    assert revert["restore_lines"](made.text, made.hunks) == text


def test_what_was_changed_elsewhere_in_the_meantime_stays():
    made = debug_logging.plan("A=1\nLOG_LEVEL=INFO\nB=2\n", None)
    later = made.text.replace("A=1", "A=10") + "C=3\n"
    assert revert["restore_lines"](later, made.hunks) == "A=10\nLOG_LEVEL=INFO\nB=2\nC=3\n"


def test_a_level_that_was_set_in_the_meantime_stays(capsys):
    made = debug_logging.plan("LOG_LEVEL=INFO\n", None)
    later = "LOG_LEVEL=ERROR\n"
    assert revert["restore_lines"](later, made.hunks) == later
    assert "stays" in capsys.readouterr().out


def test_restoring_twice_is_restoring_once():
    made = debug_logging.plan("A=1\nLOG_LEVEL=INFO\n", None)
    once = revert["restore_lines"](made.text, made.hunks)
    assert revert["restore_lines"](once, made.hunks) == once


def test_of_two_lines_the_one_that_counts_is_restored():
    made = debug_logging.plan("LOG_LEVEL=INFO\nA=1\nLOG_LEVEL=WARNING\n", None)
    back = revert["restore_lines"](made.text, made.hunks)
    assert debug_logging.shown(back) == "LOG_LEVEL=WARNING\n"


def test_a_second_run_neither_changes_nor_discards():
    first = debug_logging.plan("LOG_LEVEL=INFO\n", None)
    second = debug_logging.plan(first.text, first.hunks)
    assert second == (None, first.hunks)


def test_a_run_that_ended_before_the_file_was_written_is_made_up_for():
    first = debug_logging.plan("LOG_LEVEL=INFO\n", None)
    assert debug_logging.plan("LOG_LEVEL=INFO\n", first.hunks) == first


def test_a_level_that_a_person_chose_while_it_is_on_is_left_to_them():
    first = debug_logging.plan("LOG_LEVEL=INFO\n", None)
    assert debug_logging.plan("LOG_LEVEL=ERROR\n", first.hunks).text is None


def test_what_is_debug_already_is_not_restored():
    assert debug_logging.plan("LOG_LEVEL=DEBUG\n", None) == (None, [])


def test_the_secrets_of_the_file_are_not_kept():
    text = "DATABASE_PASSWORD=hunter22\nLOG_LEVEL=INFO\nREDIS_PASSWORD=sesame99\n"
    kept = str(debug_logging.plan(text, None).hunks)
    assert "hunter22" not in kept and "sesame99" not in kept


@pytest.mark.parametrize(("seconds", "words"), [(1800, "30 minutes"), (45, "45 s")])
def test_times_for_people(seconds, words):
    assert debug_logging.span(seconds) == words


def test_the_time_is_given_so_that_no_time_zone_matters():
    assert debug_logging.when(1772357400) == "2026-03-01 09:30:00 UTC"


def by_the_host(directory, path, hunks):
    """Restore lines as the host does, from what lies in a dedicated directory."""
    (directory / "revert.py").write_text(debug_logging.REVERT)
    (directory / "files.py").write_text(inspect.getsource(files))
    code = (
        "import json, runpy, sys; program = runpy.run_path('revert.py');"
        " print(program['revert'](sys.argv[1], json.loads(sys.argv[2])))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(path), json.dumps(hunks)],
        cwd=directory,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_restored_on_the_host_keeps_its_mode(tmp_path):
    own, path = tmp_path / "own", tmp_path / ".env"
    own.mkdir()
    made = debug_logging.plan("A=1\nLOG_LEVEL=INFO\n", None)
    path.write_text(made.text)
    path.chmod(0o640)
    done = by_the_host(own, path, made.hunks)
    assert done.returncode == 0 and float(done.stdout) == path.stat().st_ctime, done.stderr
    assert path.read_text() == "A=1\nLOG_LEVEL=INFO\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    # Its directory is removed at the end.
    assert sorted(os.listdir(own)) == ["files.py", "revert.py"]
    assert by_the_host(own, tmp_path / "gone", made.hunks).stdout == "0\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="root gives files to others")
def test_what_is_restored_on_the_host_goes_by_no_link_of_the_app(tmp_path):
    own, app, victim = tmp_path / "own", tmp_path / "app", tmp_path / "victim"
    own.mkdir()
    app.mkdir()
    made = debug_logging.plan("A=1\nLOG_LEVEL=INFO\n", None)
    victim.write_text(made.text)
    (app / ".env").symlink_to(victim)
    for path in (app, app / ".env"):
        os.chown(path, 1234, 1234, follow_symlinks=False)
    done = by_the_host(own, app / ".env", made.hunks)
    assert done.returncode == 1 and "is a link to %s" % victim in done.stderr
    assert victim.read_text() == made.text
