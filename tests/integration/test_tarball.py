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


#: What lies in a checkout and is not the collection's: git ignores some of it, and some not.
LEFTOVERS = (
    ".venv/bin/python",
    ".build/old.tar.gz",
    ".cache/x",
    ".fleet/id_ed25519",
    "sergas-reports/latest/report.json",
    "tests/output/unit.log",
    "plugins/modules/__pycache__/sergas_health.cpython-311.pyc",
    "playbooks/diagnose.retry",
    "sergas-ops-0.0.1.tar.gz",
    # A report, a vault, an environment, an inventory: at the top, and inside of what is shipped.
    ".env",
    "report.json",
    "vault.yml",
    "hosts.ini",
    "reports-of-march/latest/report.html",
    "reports-of-march/latest/report.md",
    "docs/report.json",
    "docs/report.html",
    "meta/vault.yml",
    "playbooks/group_vars/all.yml",
    "playbooks/hosts.ini",
    "playbooks/sergas-reports/latest/report.json",
    "playbooks/sergas-reports/latest/report.md",
    "plugins/.env",
    "plugins/report.json",
    "plugins/vault.yml",
    "plugins/module_utils/sergas-reports/latest/report.html",
    "roles/app/.env",
    "roles/app/files/id_ed25519",
    "roles/app/files/vault.yml",
    "roles/app/vars/secret.yml",
    "roles/app/sergas-reports/latest/report.json",
    "roles/remediate/remedies/report.json",
    # What editors and merges leave.
    "README.md~",
    "plugins/modules/sergas_env.py~",
    "plugins/modules/.sergas_env.py.swp",
    "plugins/modules/#sergas_env.py#",
    "plugins/modules/.sergas_env.py",
    "roles/app/tasks/main.yml.orig",
    "roles/app/tasks/.main.yml",
)
#: What only git tells from a file of the collection.
UNTRACKED = (
    "playbooks/unfinished.yml",
    "plugins/modules/unfinished.py",
    "roles/app/tasks/vault.yml",
)
#: What a user runs or reads.
SHIPPED = (
    "CHANGELOG.rst",
    "CONTRIBUTING.md",
    "COPYING",
    "README.md",
    "changelogs/",
    "docs/",
    "extensions/",
    "meta/",
    "playbooks/",
    "plugins/",
    "roles/",
)


def tracked():
    """Return the names of the files of the checkout that git tracks."""
    names = run("git", "ls-files", "--cached", cwd=CHECKOUT).splitlines()
    return {name for name in names if (CHECKOUT / name).is_file()}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A separate checkout of what git tracks, with what runs and people leave in one."""
    root = Path(
        run(
            CHECKOUT / "scripts" / "collection.sh", "copy", tmp_path_factory.mktemp("source")
        ).strip()
    )
    run("git", "init", "--quiet", cwd=root)
    run("git", "add", "--all", "--force", cwd=root)
    for name in (*LEFTOVERS, *UNTRACKED):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left behind: [\n")
    return root


@pytest.fixture(scope="module")
def tarball(checkout, tmp_path_factory):
    """The tarball of `make build`."""
    directory = tmp_path_factory.mktemp("tarball")
    run(checkout / "scripts" / "collection.sh", "build", directory)
    (built,) = directory.glob("sergas-ops-*.tar.gz")
    return built


def packed(path):
    """Return the names of the files in a tarball, but for the two that describe it."""
    with tarfile.open(path) as archive:
        names = {member.name for member in archive.getmembers() if member.isfile()}
    return names - {"MANIFEST.json", "FILES.json"}


def test_the_tarball_holds_all_that_a_user_runs_or_reads_and_nothing_else(tarball):
    assert packed(tarball) == {name for name in tracked() if name.startswith(SHIPPED)}


def test_a_build_without_make_ships_no_leftovers_either(checkout, tarball, tmp_path):
    run("ansible-galaxy", "collection", "build", "--output-path", tmp_path, cwd=checkout)
    (built,) = tmp_path.glob("sergas-ops-*.tar.gz")
    # What is named as a file of the collection cannot be distinguished from one.
    assert packed(built) - packed(tarball) == set(UNTRACKED)
    assert not packed(tarball) - packed(built)


def test_what_is_tested_is_what_git_tracks(checkout, tmp_path):
    """Lint and sanity inspect a copy, so what else lies in a checkout makes no test fail."""
    copied = Path(run(checkout / "scripts" / "collection.sh", "copy", tmp_path).strip())
    found = {str(path.relative_to(copied)) for path in copied.rglob("*") if path.is_file()}
    assert found == tracked()


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
        "community.docker",
        "community.general",
        "community.postgresql",
        "kubernetes.core",
    }
    modules = {path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py")}
    assert set(runtime["action_groups"]["sergas"]) == modules


def test_what_the_tarball_installs_diagnoses_this_machine(tarball, tmp_path):
    """From a directory outside of the checkout, as a user of the collection runs it."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")
    }
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(tmp_path / "installed")
    where = {"cwd": tmp_path, "env": environment}
    run(
        "ansible-galaxy",
        "collection",
        "install",
        "--offline",
        "--no-deps",
        "-p",
        "installed",
        tarball,
        **where,
    )
    run(
        "ansible-playbook",
        "sergas.ops.diagnose",
        "--inventory=localhost,",
        "--connection=local",
        "--extra-vars=ansible_python_interpreter=/usr/bin/python3",
        "--extra-vars=sergas_become=false",
        "--extra-vars=sergas_fail_on=never",
        **where,
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
