# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both views of the app's environment, from real files and a process that is made up."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_environment,
    process_environment,
    unit,
    unit_environment,
)

UVICORN = "/srv/app/venv/bin/uvicorn src.main:app --port ${API_PORT}"


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Return a function that reads the environment of an app in a directory of the test.

    Its arguments: the text of .env, {name: text} of the other files of the unit, and what the
    process was started with, None where the app does not run.
    """
    manager = {}
    monkeypatch.setattr(app_environment._Reader, "_manager", lambda reader: manager)

    def read(text, more=None, process=None, command=UVICORN, by_systemd=True, **properties):
        paths = []
        if text is not None:
            (tmp_path / ".env").write_text(text, encoding="utf-8")
            paths += [str(tmp_path / ".env")] if by_systemd else []
        for name, content in (more or {}).items():
            paths.append(str(tmp_path / name))
            (tmp_path / name).write_text(content)
        shown = {
            "Id": "sergas-app.service",
            "LoadState": "loaded",
            "WorkingDirectory": str(tmp_path),
            "EnvironmentFiles": "\n".join("%s (ignore_errors=no)" % path for path in paths),
            "ExecStart": "{ path=%s ; argv[]=%s ; ignore_errors=no }" % (command, command),
            "MainPID": "0" if process is None else "4711",
            "ExecMainStartTimestampMonotonic": str(
                int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6) + 5000000
            ),
            **properties,
        }

        def environ(_pids):
            if isinstance(process, Exception):
                raise process
            return 4711, process

        monkeypatch.setattr(process_environment, "read", environ)
        monkeypatch.setattr(unit, "processes", lambda _properties: [4711])
        return app_environment.read(
            shown, {"app_dir": None, "env_file": None}, None, time.time() + 10
        )

    read.manager = manager
    return read


def test_every_file_of_the_unit_counts_and_the_last_one_wins(app, tmp_path):
    found = app("A=1\nDATABASE_PORT=5432\n", {"second": "DATABASE_PORT=5439\nDATABASE_NAME=prod\n"})
    assert found.path == str(tmp_path / ".env")
    assert found.values == {"A": "1", "DATABASE_PORT": "5439", "DATABASE_NAME": "prod"}
    assert found.next["DATABASE_PORT"].source == str(tmp_path / "second")
    assert (found.gaps, found.absent, found.running) == ({}, [], None)


def test_dotenv_adds_what_systemd_does_not_give(app):
    found = app(
        "A=1 # x\nB=1\nC=${B}-${D}\n",
        by_systemd=False,
        Environment='B=2 "D=3 4"',
    )
    assert found.values == {"A": "1", "B": "2", "C": "1-3 4", "D": "3 4"}
    assert (found.by_systemd, found.by_dotenv) == (False, True)


def test_what_systemd_takes_away_dotenv_gives_again(app):
    assert app("A=1\n", UnsetEnvironment="A").values == {"A": "1"}


def test_a_dotenv_file_of_the_command_line_counts(app, tmp_path):
    (tmp_path / "prod.env").write_text("A=2\nB=2\n")
    found = app("A=1\nC=1\n", by_systemd=False, command=UVICORN + " --env-file prod.env")
    assert found.values == {"A": "2", "B": "2", "C": "1"}


def test_the_running_app_has_what_it_was_started_with(app):
    found = app("A=new\nB=1\nD=added\n", process={"A": "old", "B": "1", "C": "gone", "PATH": "/"})
    assert found.values == {"A": "old", "B": "1", "C": "gone"}
    assert found.following == {"A": "new", "B": "1", "D": "added"}
    assert found.pending == ["A", "C", "D"]


def test_an_app_that_has_what_it_would_get_again_waits_for_no_restart(app):
    found = app(
        "export A=1\nB=2\n",
        process={"B": "2", "INVOCATION_ID": "x", "MANAGED": "1", "LANG": "C"},
        Environment="",
    )
    assert found.pending == ["MANAGED"]
    app.manager["MANAGED"] = "1"
    found = app("export A=1\nB=2\n", process={"B": "2", "MANAGED": "1"})
    assert (found.pending, found.values) == ([], {"A": "1", "B": "2", "MANAGED": "1"})


@pytest.mark.parametrize(
    ("script", "set_by_it"),
    [
        ("#!/bin/sh\nexport DATABASE_NAME=prod\nexec uvicorn src.main:app\n", True),
        ("#!/bin/bash\n. /etc/sergas/more.sh\nexec uvicorn src.main:app\n", True),
        ("#!/bin/sh\nset -a; source /etc/x\nuvicorn src.main:app\n", True),
        ("#!/bin/sh\ncd /srv/app\nexec uvicorn src.main:app\n", False),
        ("#!/srv/app/venv/bin/python\nimport uvicorn\n", False),
    ],
)
def test_what_a_wrapper_sets_it_sets_again(app, tmp_path, script, set_by_it):
    wrapper = tmp_path / "sergas-run"
    wrapper.write_text(script)
    process = {"A": "1", "DATABASE_NAME": "prod"}
    found = app("A=1\n", process=process, command=str(wrapper))
    assert found.values == process
    assert ("DATABASE_NAME" in found.following) is set_by_it
    assert found.pending == ([] if set_by_it else ["DATABASE_NAME"])


def test_what_a_wrapper_may_set_is_known_before_the_start(app, tmp_path):
    wrapper = tmp_path / "sergas-run"
    wrapper.write_text("#!/bin/sh\nexport DATABASE_NAME=prod\nexec uvicorn src.main:app\n")
    found = app("A=1\n", command=str(wrapper))
    assert found.launcher.may_set("DATABASE_NAME") and not found.launcher.may_set("NAME")
    assert not found.launcher.opaque
    assert app("A=1\n").launcher is None
    assert app("A=1\n", command="/usr/bin/env A=2 uvicorn x").launcher.may_set("A")
    assert app("A=1\n", command="/opt/vault-run app").launcher.opaque


def test_an_environment_that_cannot_be_read_is_a_gap(app):
    found = app("A=1\n", process=process_environment.Unreadable("run with become"))
    # What nothing has changed since the start gives the same again.
    assert (found.gaps, found.values) == ({}, {"A": "1"})
    found = app(
        "A=1\n",
        process=process_environment.Unreadable("run with become"),
        ExecMainStartTimestampMonotonic="1",
    )
    assert found.gaps == {"running": "run with become"}
    assert (found.running, found.values) == (None, {"A": "1"})


def test_a_source_that_cannot_be_read_is_a_gap(app, tmp_path):
    (tmp_path / "directory").mkdir()
    files = "%s (ignore_errors=no)" % (tmp_path / "directory")
    found = app("A=1\n", by_systemd=False, EnvironmentFiles=files)
    assert "not a regular file" in found.gaps["sources"]
    found = app_environment.read({}, {}, "systemctl does not answer")
    assert found.gaps == {"sources": "systemctl does not answer"}


def test_a_file_of_the_settings_that_cannot_be_read_is_a_gap_too(app, tmp_path):
    """Nothing is known then of what a start would give the app, whatever its files' times say."""
    (tmp_path / ".env").mkdir()
    path = "%s (ignore_errors=no)" % (tmp_path / ".env")
    found = app(None, process=process_environment.Unreadable("run"), EnvironmentFiles=path)
    assert set(found.gaps) == {"sources", "running"} and "directory" in found.error
    assert app(None, EnvironmentFiles="").gaps["sources"] == found.error


def test_files_that_a_start_must_have_are_named(app):
    files = (
        "/none/a (ignore_errors=no)\n/none/b (ignore_errors=yes)\n/none/*.env (ignore_errors=no)"
    )
    assert app("A=1\n", EnvironmentFiles=files).absent == ["/none/a", "/none/*.env"]


def test_a_file_that_only_dotenv_reads_and_is_younger_than_the_app_is_a_gap(app):
    start = {"ExecMainStartTimestampMonotonic": "1"}
    found = app("A=1\n", process={"B": "1"}, by_systemd=False, Environment="B=1", **start)
    assert list(found.gaps) == ["loaded"]
    assert app("A=1\n", process={"B": "1"}, by_systemd=False, Environment="B=1").gaps == {}
    assert app("A=1\n", process={"A": "1"}, **start).gaps == {}


def test_credentials_are_of_the_environment(app, tmp_path):
    (tmp_path / "secret").write_text("hush-hush\n")
    fragment = tmp_path / "app.service"
    fragment.write_text(
        "[Service]\nLoadCredential=database_password:%s\nLoadCredentialEncrypted=api_key:/none\n"
        % (tmp_path / "secret")
    )
    found = app("A=1\n", FragmentPath=str(fragment))
    assert found.values["DATABASE_PASSWORD"] == "hush-hush"
    assert found.concealed == {"API_KEY"}
    assert "hush-hush" in found.secrets()


@pytest.mark.parametrize(
    ("version", "name"), [("1.2.3", "A"), ("1.10", "A"), ("1.2.2", "\ufeffA"), (None, "\ufeffA")]
)
def test_a_byte_order_mark_is_what_its_python_dotenv_makes_of_it(app, tmp_path, version, name):
    packages = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    (tmp_path / "venv" / "bin").mkdir()
    (tmp_path / "venv" / "bin" / "python").write_text("")
    if version:
        (packages / ("python_dotenv-%s.dist-info" % version)).mkdir()
    found = app("\ufeffA=1\nB=2\n")
    assert found.values == {name: "1", "B": "2"}
    # systemd takes the mark for a part of the name, and drops it.
    assert found.next["B"].source == found.path
    assert found.reading.marked == ("A" if name == "A" else None)


def test_secrets_are_those_of_all_views_and_files(app):
    url = "redis://:p%40ssword@r:6379/0"
    found = app(
        "DATABASE_PASSWORD=new-secret # x\nREDIS_URL=%s\n" % url,
        {"more": "API_KEY=of-more\n"},
        process={"DATABASE_PASSWORD": "old-secret"},
    )
    assert {"new-secret", "new-secret # x", "old-secret", "p@ssword", "p%40ssword", "of-more"} <= (
        found.secrets()
    )


def test_a_link_of_another_user_is_not_followed(app, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root has another user's link")
    (tmp_path / "secret").write_text("A=1\n")
    os.symlink(str(tmp_path / "secret"), str(tmp_path / "link.env"))
    os.chown(str(tmp_path / "link.env"), 65534, 65534, follow_symlinks=False)
    files = unit_environment.EnvironmentFile(str(tmp_path / "link.env"), False)
    found = app("B=1\n", EnvironmentFiles="%s (ignore_errors=no)" % files.pattern, by_systemd=False)
    assert "link" in found.gaps["sources"] and "A" not in found.values
