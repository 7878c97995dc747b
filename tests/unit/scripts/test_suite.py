# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of the parts of ``make test``, and what they sum up to."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "suite.py"
_spec = importlib.util.spec_from_file_location("suite", PATH)
suite = importlib.util.module_from_spec(_spec)
# Where dataclasses look for the types of what they describe.
sys.modules["suite"] = suite
_spec.loader.exec_module(suite)

IMAGES = suite.Part("images", 100, ())
LINT = suite.Part("lint", 150, ())
LONG = suite.Part("long", 400, needs=("images",), hosts=12)
SHORT = suite.Part("short", 50, needs=("images",), hosts=3)
PARTS = (LINT, SHORT, LONG, IMAGES)
JUNIT = """<testsuites><testsuite errors="1" failures="1" skipped="2" tests="9">
<testcase classname="tests.a" name="one" time="2.5"/>
<testcase classname="tests.b" name="two" time="0.1">
<failure message="assert 1 == 2&#10;  and more">def test</failure></testcase>
<testcase classname="tests.b" name="three" time="0.0"><error message="no host"/></testcase>
</testsuite></testsuites>"""


def test_what_most_waits_for_begins_first():
    assert suite.choose(list(PARTS), [], PARTS, 99) is IMAGES
    assert suite.choose([LINT, SHORT, LONG], [IMAGES], PARTS, 99) is LINT
    assert suite.choose([SHORT, LONG], [IMAGES, LINT], PARTS, 99) is None
    assert suite.choose([SHORT, LONG], [LINT], PARTS, 99) is LONG


def test_what_a_part_needs_and_is_left_out_does_not_hold_it_up():
    assert suite.choose([SHORT], [], PARTS, 99) is SHORT


def test_no_more_hosts_than_the_memory_bears():
    assert suite.choose([LONG, SHORT], [], PARTS, 2) is LONG
    assert suite.choose([SHORT], [LONG], PARTS, 14) is None
    assert suite.choose([SHORT], [LONG], PARTS, 15) is SHORT
    assert suite.hosts_at_once("MemTotal: 1 kB\nMemAvailable:   3072000 kB\n") == 10
    assert suite.hosts_at_once("") == 0


@pytest.fixture
def output(tmp_path, monkeypatch):
    """Return a directory for the output of parts, which are shell commands here."""
    monkeypatch.setattr(suite, "OUTPUT", tmp_path)
    monkeypatch.setattr(suite, "CHECKOUT", tmp_path)
    return tmp_path


def part(name, script, needs=()):
    """Return a part that runs a shell script."""
    return type("Shell", (suite.Part,), {"command": ["sh", "-c", script]})(name, 1, needs)


def run(*parts, skip=()):
    """Return the sum of some parts, and each one's."""
    made = suite.Suite(parts, set(skip), 99)
    return made.run(), made.failed


def test_parts_are_summed_up(output):
    parts = [part("good", "true"), part("bad", "false"), part("left-out", "false")]
    total, failed = run(*parts, skip=["left-out"])
    assert total == Counter(passed=1, failed=1, skipped=1)
    assert failed == ["bad: exit status 1"]


def test_a_part_begins_when_what_it_needs_has_passed(output):
    first = part("first", "sleep 0.2; touch %s/first" % output)
    then = part("then", "[ -e %s/first ]" % output, needs=("first",))
    assert run(then, first)[0] == Counter(passed=2)


def test_a_part_is_not_run_when_what_it_needs_has_failed(output):
    then = part("then", "touch %s/then" % output, needs=("first",))
    total, failed = run(part("first", "false"), then)
    assert total == Counter(failed=2)
    assert sorted(failed) == ["first: exit status 1", "then: not run, as first failed"]
    assert not (output / "then").exists()


def test_tests_are_counted_and_timed(output):
    (output / "junit").write_text(JUNIT)
    made = suite.Suite((part("tests", "cp junit tests.xml; false"), part("one", "true")), set(), 9)
    assert made.run() == Counter(passed=6, failed=2, skipped=2)
    lines = suite.slowest(made.timed).splitlines()[1:]
    assert lines[0].split() == ["2", "s", "tests.a.one"]
    names = ["one", "tests.b.three", "tests.b.two"]
    assert sorted(line.split()[-1] for line in lines[1:]) == names
    assert made.failed == ["tests.b.two: assert 1 == 2 and more", "tests.b.three: no host"]


def test_a_killed_run_fails_though_its_tests_have_passed(output):
    passed = '<testsuite errors="0" failures="0" skipped="0" tests="3"/>'
    script = "echo '%s' > killed.xml; kill -9 $$" % passed
    assert run(part("killed", script))[0] == Counter(passed=3, failed=1)


def test_results_that_cannot_be_read_are_a_failure(output):
    assert run(part("cut", "echo '<testsuite' > cut.xml"))[0] == Counter(failed=1)


def test_each_test_of_the_fleet_is_in_one_part():
    named = [name for one in suite.PARTS for name in one.tests]
    files = [path.stem[len("test_") :] for path in suite.FLEET.glob("test_*.py")]
    assert sorted(named) == sorted(files)
