# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tarball holds the collection, all of it and nothing else, and what it installs works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*argv, **options):
    """Run a command, one of this environment's own where it has that, and return what it prints."""
    ours = Path(sys.executable).parent / argv[0]
    argv = (ours if ours.exists() else argv[0], *argv[1:])
    done = subprocess.run(
        [str(word) for word in argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, "%s\n%s%s" % (" ".join(map(str, argv)), done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what git knows, with what runs leave behind in a checkout."""
    root = Path(
        run(
            CHECKOUT / "scripts" / "collection.sh", "copy", tmp_path_factory.mktemp("source")
        ).strip()
    )
    for leftover in (
        ".venv/bin/python",
        ".build/old.tar.gz",
        ".cache/x",
        ".fleet/id_ed25519",
        "sergas-reports/latest/report.json",
        "tests/output/unit.log",
        "plugins/modules/__pycache__/sergas_health.cpython-311.pyc",
        "playbooks/diagnose.retry",
        "sergas-ops-0.0.1.tar.gz",
    ):
        (root / leftover).parent.mkdir(parents=True, exist_ok=True)
        (root / leftover).write_text("left behind")
    return root


@pytest.fixture(scope="module")
def tarball(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tarball")
    run("ansible-galaxy", "collection", "build", "--output-path", folder, cwd=checkout)
    (built,) = folder.glob("sergas-ops-*.tar.gz")
    return built


def test_the_tarball_holds_only_what_a_user_of_the_collection_runs_or_reads(tarball):
    with tarfile.open(tarball) as archive:
        tops = {member.name.split("/")[0] for member in archive.getmembers()}
    assert tops <= {
        "MANIFEST.json",
        "FILES.json",
        "CHANGELOG.rst",
        "COPYING",
        "README.md",
        "changelogs",
        "docs",
        "extensions",
        "meta",
        "playbooks",
        "plugins",
        "roles",
    }


def test_the_tarball_holds_every_file_of_the_collection(checkout, tarball):
    with tarfile.open(tarball) as archive:
        packed = {member.name for member in archive.getmembers() if member.isfile()}
    known = run(
        "git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=CHECKOUT
    ).splitlines()
    shipped = ("plugins/", "roles/", "playbooks/", "meta/", "docs/", "COPYING", "README.md")
    missing = {
        name for name in known if name.startswith(shipped) and (CHECKOUT / name).is_file()
    } - packed
    assert not missing
    assert not {
        name
        for name in packed
        if "__pycache__" in name or name.endswith((".pyc", ".retry", ".tar.gz"))
    }


def test_the_manifest_says_what_galaxy_needs_to_know(tarball):
    with tarfile.open(tarball) as archive:
        info = json.load(archive.extractfile("MANIFEST.json"))["collection_info"]
        runtime = yaml.safe_load(archive.extractfile("meta/runtime.yml"))
    assert (info["namespace"], info["name"], info["license"]) == (
        "sergas",
        "ops",
        ["GPL-3.0-or-later"],
    )
    assert set(info["dependencies"]) == {
        "ansible.posix",
        "awx.awx",
        "community.docker",
        "community.general",
        "community.postgresql",
        "kubernetes.core",
    }
    modules = {path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py")}
    assert set(runtime["action_groups"]["sergas"]) == modules


def test_what_the_tarball_installs_diagnoses_this_machine(tarball, tmp_path):
    """From a folder with nothing of the checkout in sight, as a user of the collection runs it."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")
    }
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(tmp_path / "installed")
    place = {"cwd": tmp_path, "env": environment}
    run(
        "ansible-galaxy",
        "collection",
        "install",
        "--offline",
        "--no-deps",
        "-p",
        "installed",
        tarball,
        **place,
    )
    run(
        "ansible-playbook",
        "sergas.ops.diagnose",
        "--inventory=localhost,",
        "--connection=local",
        "--extra-vars=ansible_python_interpreter=/usr/bin/python3",
        "--extra-vars=sergas_become=false",
        "--extra-vars=sergas_fail_on=never",
        **place,
    )
    report = json.loads((tmp_path / "sergas-reports" / "latest" / "report.json").read_text())
    (host,) = report["hosts"]
    assert host["name"] == "localhost"
    # Any machine has these, and anybody may read them.
    measured = {
        found["id"].rpartition(".")[0]
        for found in host["findings"]
        if found["confidence"] == "measured"
    }
    assert {"host.disk", "host.memory", "host.load"} <= measured
