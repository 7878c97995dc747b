# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._app import requirements

MISSING = {"name": "structlog", "requirement": "structlog==25.4.0", "installed": None}
OLD = {"name": "redis", "requirement": "redis<6,>=5", "installed": "4.0.0"}
BROKEN = {
    "name": "idna",
    "requirement": "idna==3.10",
    "installed": "3.10",
    "file": "idna/core.py",
    "damage": "is gone",
}


def compared(missing=(), broken=()):
    return {"missing": list(missing), "broken": list(broken)}


def test_a_pinned_version_is_named_without_pip():
    (step,) = requirements.plan(compared([MISSING]))
    assert (step.before, step.after, step.why) == (None, "25.4.0", "it is not installed")


def test_where_pip_does_not_say_the_requirement_is_named():
    steps = requirements.plan(compared([OLD]))
    assert (steps[0].before, steps[0].after) == ("4.0.0", None)
    diff = requirements.difference(steps, "venv")
    assert (diff["before"], diff["after"]) == ("redis==4.0.0\n", "redis<6,>=5\n")


def test_what_pip_would_choose_is_named_with_what_that_needs():
    steps = requirements.plan(compared([OLD]), {"redis": "5.2.1", "async-timeout": "5.0.1"})
    assert [(step.name, step.after) for step in steps] == [
        ("redis", "5.2.1"),
        ("async-timeout", "5.0.1"),
    ]


def test_a_package_that_lost_files_comes_again_in_its_version():
    steps = requirements.plan(compared(broken=[BROKEN]))
    diff = requirements.difference(steps, "venv")
    assert diff["before"] == "idna==3.10 (broken)\n"
    assert diff["after"] == "idna==3.10\n"
    assert "idna/core.py" in steps[0].why


def test_where_all_is_there_nothing_is_planned():
    assert requirements.plan(compared()) == []


def test_names_of_a_report_of_pip_are_compared_as_pip_does():
    report = {"install": [{"metadata": {"name": "Typing_Extensions", "version": "4.12"}}]}
    assert requirements.chosen(report) == {"typing-extensions": "4.12"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment with a package that needs another one, both made by hand."""
    directory = tmp_path_factory.mktemp("venv")
    # Where this Python has pip, that is used: to install one takes five seconds.
    pip = importlib.util.find_spec("pip")
    options = ["--without-pip"] if pip else []
    subprocess.run([sys.executable, "-m", "venv", *options, str(directory)], check=True)
    site = next(directory.glob("lib/python*/site-packages"))
    if pip:
        (site / "pip").symlink_to(os.path.dirname(pip.origin))
    for name, version, needs in (("alpha", "1.0", "beta>=2"), ("beta", "2.1", None)):
        (site / (name + ".py")).write_text("")
        info = site / ("%s-%s.dist-info" % (name, version))
        info.mkdir()
        lines = ["Metadata-Version: 2.1", "Name: " + name, "Version: " + version]
        lines += ["Requires-Dist: " + needs] if needs else []
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "RECORD").write_text(
            "%s.py,,\n%s/METADATA,,\n%s/RECORD,,\n" % (name, info.name, info.name)
        )
    return directory


def compare(environment, tmp_path, text, before=""):
    path = tmp_path / "requirements.txt"
    path.write_text(text)
    done = subprocess.run(
        [
            str(environment / "bin" / "python"),
            "-I",
            "-c",
            before + requirements.COMPARE,
            str(path),
        ],
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout.decode())


def names(found, key):
    return [item["requirement"] for item in found[key]]


def test_an_environment_that_has_all_is_missing_nothing(environment, tmp_path):
    found = compare(environment, tmp_path, "# the app\nAlpha == 1.0  # pinned\nbeta\n")
    assert found["missing"] == found["broken"] == []
    assert found["compared"] == 3


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("alpha==2.0\n", ["alpha==2.0"]),
        ("gamma>=1 ; python_version >= '3'\ndelta ; python_version < '3'\n", ["gamma>=1"]),
        ("--index-url https://example.com\nalpha\ngamma==1 --hash=sha256:00\n", ["gamma==1"]),
        ("alpha \\\n  ==2.0\n", ["alpha==2.0"]),
    ],
)
def test_what_is_missing_is_named_as_it_is_required(environment, tmp_path, text, missing):
    assert names(compare(environment, tmp_path, text), "missing") == missing


def test_further_files_are_read_and_what_cannot_be_compared_is_reported(environment, tmp_path):
    (tmp_path / "more.txt").write_text("gamma\n")
    found = compare(environment, tmp_path, "-r more.txt\n-e ./here\ngit+https://example.com/x\n")
    assert names(found, "missing") == ["gamma"]
    assert found["unchecked"] == ["-e ./here", "git+https://example.com/x"]


def test_what_is_no_file_or_never_ends_is_named_at_once(environment, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    found = compare(environment, tmp_path, "-r pipe\n")
    assert found == {"error": "%s is not a regular file" % (tmp_path / "pipe")}
    (tmp_path / "more.txt").touch()
    os.truncate(tmp_path / "more.txt", 10 << 30)
    found = compare(environment, tmp_path, "-r more.txt\n")
    assert found == {"error": "%s is larger than 1048576 bytes" % (tmp_path / "more.txt")}


def test_a_requirement_of_a_requirement_counts(environment, tmp_path):
    (site,) = environment.glob("lib/python*/site-packages")
    hidden = site / "beta-2.1.dist-info"
    hidden.rename(site / "beta.hidden")
    try:
        found = compare(environment, tmp_path, "alpha\n")
    finally:
        (site / "beta.hidden").rename(hidden)
    assert names(found, "missing") == ["beta>=2"]


#: From 3.12 on, Python does not list a file of a package that is missing.
NEWER_PYTHON = """
import importlib.metadata
importlib.metadata.Distribution.files = property(lambda self: [])
"""


@pytest.mark.parametrize("before", ["", NEWER_PYTHON], ids=["this Python", "a newer one"])
def test_a_file_that_is_gone_makes_a_package_broken(environment, tmp_path, before):
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "beta.py").unlink()
    try:
        found = compare(environment, tmp_path, "alpha\n", before)
    finally:
        (site / "beta.py").write_text("")
    assert found["broken"] == [
        {
            "name": "beta",
            "requirement": "beta==2.1",
            "installed": "2.1",
            "file": "beta.py",
            "damage": "is gone",
        }
    ]


@pytest.mark.parametrize(
    ("module", "broken"), [("beta", ["beta==2.1"]), ("beta.inner", ["beta==2.1"]), ("alpha", [])]
)
def test_a_changed_file_of_what_cannot_be_imported_makes_its_package_broken(
    environment, tmp_path, module, broken
):
    (site,) = environment.glob("lib/python*/site-packages")
    record = site / "beta-2.1.dist-info" / "RECORD"
    before = record.read_text()
    # Of an empty file, which it was.
    digest = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0"
    record.write_text(before.replace("beta.py,,", "beta.py,%s" % digest))
    try:
        suspect = "import sys; sys.argv.insert(1, '--module=%s')\n" % module
        assert names(compare(environment, tmp_path, "alpha\n", suspect), "broken") == []
        (site / "beta.py").write_text("changed = True\n")
        assert names(compare(environment, tmp_path, "alpha\n", suspect), "broken") == broken
        assert names(compare(environment, tmp_path, "alpha\n"), "broken") == []
    finally:
        record.write_text(before)
        (site / "beta.py").write_text("")


#: What a package's RECORD says, and which of its files is then missing.
RECORDS = {
    "comma": ('"with, a comma.py",sha256=47DEQpj8,0\n', "with, a comma.py"),
    "quotes": ('"with ""quotes"".py",,\n', 'with "quotes".py'),
    "absolute": ("/nowhere/beta.py,,\n", "/nowhere/beta.py"),
    "script": ("../../../bin/beta,,\n", "../../../bin/beta"),
    "present": ('"beta.py",,\n%s,,\n../../../bin/python,,\n' % os.__file__, None),
    # Python writes these when it can, and other programs do beside it.
    "compiled": ("__pycache__/a.cpython-39.pyc,,\na/__pycache__/loop.nbc,,\nold.pyc,,\n", None),
    "empty": ("\n", None),
    # Debian ships none: such a package cannot be checked.
    "unrecorded": (None, None),
}
#: The same for those that setup.py has installed, and lists by the path from its .egg-info.
INSTALLED = {
    "whole": ("../alpha.py\nPKG-INFO\n../__pycache__/gone.pyc\n", None),
    "damaged": ("../alpha.py\n../gone.py\n", "../gone.py"),
    # As Debian's packages, and those that are installed from where they are developed.
    "unlisted": (None, None),
}


@pytest.fixture
def packages(environment):
    """Add the packages of RECORDS and INSTALLED to the environment."""
    (site,) = environment.glob("lib/python*/site-packages")
    made = []

    def add(directory, **files):
        (site / directory).mkdir()
        made.append(site / directory)
        for name, text in files.items():
            if text is not None:
                (site / directory / name).write_text(text)

    for name, (record, _missing) in RECORDS.items():
        text = "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % name
        add(name + "-1.0.dist-info", METADATA=text, RECORD=record)
    for name, (listed, _missing) in INSTALLED.items():
        text = "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % name
        # The sources of a package are not installed with it.
        files = {"PKG-INFO": text, "SOURCES.txt": "setup.py\n", "installed-files.txt": listed}
        add(name + "-1.0.egg-info", **files)
    yield
    for directory in made:
        shutil.rmtree(directory)


def test_what_is_missing_is_what_the_packages_own_list_names(environment, tmp_path, packages):
    cases = {**RECORDS, **INSTALLED}
    found = compare(environment, tmp_path, "\n".join(cases))
    assert found["missing"] == []
    expected = {name: missing for name, (_listed, missing) in cases.items() if missing}
    assert {item["name"]: item["file"] for item in found["broken"]} == expected
