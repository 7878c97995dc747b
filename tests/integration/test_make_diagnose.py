# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make diagnose`` on a machine that has Python and a copy of the checkout, and nothing else of
it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
#: Debian's user for what owns no files.
UNPRIVILEGED = "nobody"


def copy(directory):
    done = subprocess.run(
        [CHECKOUT / "scripts" / "collection.sh", "copy", directory],
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())


def make_diagnose(root, *words, user=None, **variables):
    """Run ``make diagnose`` as a person in a fresh shell would."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ANSIBLE_", "MAKE", "MFLAGS"))
        and key not in ("VIRTUAL_ENV", "ARGS", "INVENTORY")
    }
    kept["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    kept.update(variables)
    argv = ["make", "--no-print-directory", "diagnose", *words]
    if user:
        kept["HOME"] = str(root.parent)
        argv = ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups", *argv]
    return subprocess.run(
        argv,
        cwd=root,
        env=kept,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def report_of(root):
    return json.loads((root / "sergas-reports" / "latest" / "report.json").read_text())


def measured(root):
    (host,) = report_of(root)["hosts"]
    return {
        item["id"].rpartition(".")[0]
        for item in host["findings"]
        if item["confidence"] == "measured"
    }


@pytest.fixture(scope="module")
def fresh():
    """A copy in which ``make diagnose`` has run once, and what it said.

    Root runs it as another user first, who makes the environment that root then uses as well.
    """
    home = Path(tempfile.mkdtemp(prefix="sergas-fresh-"))
    try:
        root = copy(home)
        if os.getuid() == 0:
            for path in (home, *home.rglob("*")):
                shutil.chown(path, UNPRIVILEGED)
            done = make_diagnose(root, user=UNPRIVILEGED)
            assert done.returncode == 0, done.stdout + done.stderr
            unprivileged = done.stdout, measured(root)
        else:
            unprivileged = None
        done = make_diagnose(root)
        assert done.returncode == 0, done.stdout + done.stderr
        yield root, done.stdout, unprivileged
    finally:
        shutil.rmtree(home)


def test_it_diagnoses_this_machine_and_says_how_to_go_on_with_a_fleet(fresh):
    root, said, _unprivileged = fresh
    assert {"host.disk", "host.memory", "host.load"} <= measured(root)
    assert "Report: sergas-reports/latest/" in said
    assert "make diagnose INVENTORY=" in said


def test_it_installs_ansible_core_alone(fresh):
    root, _said, _unprivileged = fresh
    (packages,) = (root / ".venv" / "lib").glob("python3*/site-packages")
    assert (packages / "ansible").is_dir()
    assert not (packages / "ansible_collections").exists()


def test_it_leaves_nothing_that_git_would_see(fresh):
    root, _said, _unprivileged = fresh
    known = {path.relative_to(root).parts[0] for path in root.iterdir()}
    ignored = {".venv", ".build", ".cache", "sergas-reports"}
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert known - ignored <= {name.split("/")[0] for name in listed}


def test_a_finding_does_not_fail_it_unless_requested(fresh):
    root, _said, _unprivileged = fresh
    # Any disk is fuller than this.
    full = (
        '{"sergas_checks": ["disk"], "sergas_thresholds": {"disk_percent": {"warn": 0, "fail": 0}}}'
    )
    done = make_diagnose(root, "ARGS=-e '%s'" % full)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "host.disk.high" in done.stdout
    assert make_diagnose(root, "ARGS=-e '%s' -e sergas_fail_on=fail" % full).returncode != 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["INVENTORY=no/such/file"], "INVENTORY=no/such/file"),
        (["ARGS=-e sergas_checks=nonsense"], "checks"),
        (
            ['ARGS=-e \'{"sergas_thresholds": {"disk_percent": {"warn": 95}}}\''],
            "thresholds.disk_percent",
        ),
        (["ARGS=-e sergas_deadline=-1"], "deadline"),
        (["ARGS=-e sergas_window=yesterday"], "window"),
        (["ARGS=-e sergas_fail_on=sometimes"], "fail_on"),
    ],
)
def test_a_mistake_fails_it_and_is_named(fresh, words, named):
    root, _said, _unprivileged = fresh
    done = make_diagnose(root, *words)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert named in said
    assert "Traceback" not in said


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_it_works_without_root_and_says_what_that_means(fresh):
    _root, said, (said_without_root, found) = fresh
    assert "Not root" in said_without_root
    assert "Not root" not in said
    assert {"host.disk", "host.memory", "host.load"} <= found


def interpreter(directory, version, script="exit 1"):
    """An executable that says it is a Python of this version."""
    path = directory / ("python" + version)
    path.write_text("#!/bin/sh\ncase $2 in *print*) echo %s ;; *) %s ;; esac\n" % (version, script))
    path.chmod(0o755)
    return path


def test_a_python_that_is_too_old_is_named_with_what_is_needed(tmp_path):
    root = copy(tmp_path)
    done = make_diagnose(root, "PYTHON=%s" % interpreter(tmp_path, "3.9"))
    assert done.returncode != 0
    assert "is Python 3.9; ansible-core needs 3.11 or newer" in done.stderr
    assert not (root / ".venv").exists()
