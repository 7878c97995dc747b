# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
VERSIONS = ROOT / "tests" / "matrix" / "versions.py"


@pytest.fixture
def versions(monkeypatch):
    spec = importlib.util.spec_from_file_location("matrix_versions", VERSIONS)
    module = importlib.util.module_from_spec(spec)
    # Where a dataclass looks its own annotations up.
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "OWN", ("2.19", "3.11"))
    monkeypatch.setattr(module, "pythons", lambda: dict.fromkeys(module.TARGETS, "python"))
    return module


def test_everything_is_each_core_with_each_python_that_it_supports(versions):
    found = versions.combinations(everything=True)
    assert len(found) == 22
    assert {python for core, python in found if core == "2.21"} == set(versions.TARGETS) - {"3.8"}
    assert versions.controllers(everything=True) == ["2.18", "2.19", "2.20", "2.21"]


def test_some_are_each_python_once_and_each_core(versions):
    assert sorted(python for _core, python in versions.SOME) == sorted(versions.TARGETS)
    assert {core for core, _python in versions.SOME} == set(versions.CONTROLLERS)
    assert all(versions.fits(*combination) for combination in versions.SOME)


def test_what_make_unit_runs_is_not_run_twice(versions):
    some = versions.combinations(everything=False)
    assert ("2.19", "3.11") not in some and len(some) == 5
    assert "2.19" not in versions.controllers(everything=False)


def test_a_core_whose_pythons_are_missing_has_the_newest_one_here(versions, monkeypatch):
    monkeypatch.setattr(versions, "pythons", lambda: {"3.8": "python", "3.11": "python"})
    some = set(versions.combinations(everything=False))
    # Those of SOME stay, to be skipped with the reason.
    assert some - versions.SOME == {("2.18", "3.11"), ("2.20", "3.11"), ("2.21", "3.11")}
    assert versions.SOME - some == {versions.OWN}


def test_the_requirements_allow_these_cores_and_no_newer_one(versions):
    oldest, newest = min(versions.CONTROLLERS), max(versions.CONTROLLERS)
    above = "%s.%d" % (newest.split(".")[0], int(newest.split(".")[1]) + 1)
    requirements = (ROOT / "requirements.txt").read_text()
    assert "ansible-core>=%s,<%s\n" % (oldest, above) in requirements
    assert 'requires_ansible: ">=%s.0"' % oldest in (ROOT / "meta" / "runtime.yml").read_text()


def test_the_readme_names_the_same_versions(versions):
    text = (ROOT / "README.md").read_text()
    for core, controllers in versions.CONTROLLERS.items():
        row = re.search(r"^\|.*\b%s\b.*$" % core, text, re.M)[0]
        targets = [python for python in versions.TARGETS if versions.fits(core, python)]
        assert "| %s " % min(controllers) in row
        assert "| %s to %s |" % (targets[0], targets[-1]) in row


def rows(text):
    """Return {ansible-core: the words of its row}."""
    found = [re.split(r"\s{2,}", line) for line in text.splitlines()]
    return {words[0]: words[1:] for words in found if words[0].startswith("2.")}


def test_the_table_has_what_was_run_and_why_the_rest_was_not(versions):
    missing = "this machine has no Python 3.9"
    text = versions.table(
        {
            ("2.19", "3.8"): ("run", ""),
            ("2.18", "3.10"): ("failed", ""),
            ("2.21", "3.9"): ("not run", missing),
            ("2.18", "controller"): ("run", ""),
        }
    )
    found = rows(text)
    assert found["2.19"][0] == "run" and found["2.18"][2] == "failed"
    assert found["2.18"][-1] == "run"
    # Not even ansible-core supports these.
    assert found["2.20"][0] == found["2.21"][0] == "-"

    def reason(cell):
        number = cell.rpartition(" ")[2]
        return re.search(r"^%s: (.*)$" % number, text, re.M)[1]

    assert reason(found["2.21"][1]) == missing
    assert reason(found["2.18"][0]) == "only with SERGAS_FLEET_TEST_ALL=1"
    assert reason(found["2.20"][-1]) == reason(found["2.20"][4]) == "not selected"
    assert found["2.19"][3].startswith("by unit")
    assert reason(found["2.19"][3]).startswith("make unit")


def test_packages_are_those_that_the_tests_require(versions):
    assert versions.requirements("pytest") == ["pytest>=8,<10"]
    with pytest.raises(KeyError):
        versions.requirements("no-such-package")


def test_a_python_that_is_hidden_is_not_found(tmp_path):
    links = tmp_path / "links"
    environment = {**os.environ, "SERGAS_TEST_PYTHONS": ""}
    subprocess.run([ROOT / "tests" / "pythons.sh", links], env=environment, check=True)
    assert list(links.iterdir()) == []


def test_where_no_python_fits_the_reason_is_named(versions, monkeypatch):
    monkeypatch.setattr(versions, "pythons", lambda: {"3.11": "/usr/bin/python3.11"})
    monkeypatch.setattr(versions.os, "geteuid", lambda: 1000)
    with pytest.raises(versions.Unavailable, match=r"^this machine has no Python 3\.8$"):
        versions.python("3.8")
    with pytest.raises(versions.Unavailable, match=r"3\.12 or 3\.13, and a container needs root$"):
        versions.controller("2.21")
