# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run every part of the tests, several at a time, and sum them up.

The parts are targets of the Makefile, or some of the tests of one. Each one's output is in
tests/output/PART.log, with the results of pytest beside it as JUnit XML. What a part writes to
tests/output/PART.txt is shown at the end, after the tests that took longest and before the names of
those that failed. The last line is ``N passed, N failed, N skipped``: the tests of the parts that
pytest runs, one for any other part. A part that fails, or cannot run, fails the suite.

SKIP="part ..." in the environment leaves parts out; they count as skipped.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

CHECKOUT = Path(__file__).resolve().parent.parent
OUTPUT = CHECKOUT / "tests" / "output"
FLEET = CHECKOUT / "tests" / "fleet"


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of the suite.

    Attributes:
        name: by which it is skipped, and of its files in tests/output.
        seconds: about how long it takes on two cores beside others. What takes long begins early.
        needs: the names of the parts that have to pass before.
        hosts: how many hosts of the fleet it has at once.
        tests: those of tests/fleet that it runs, in a separate fleet.
    """

    name: str
    seconds: int
    needs: tuple[str, ...] = ("environment",)
    hosts: int = 0
    tests: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """The command that runs it."""
        return ["make", "--no-print-directory", "fleet-test" if self.tests else self.name]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that it is given."""
        if not self.tests:
            return {}
        return {
            "ARGS": " ".join("tests/fleet/test_%s.py" % name for name in self.tests),
            "SERGAS_FLEET_NAME": self.name.partition("-")[2],
            "SERGAS_FLEET_TEST_HOSTS": str(self.hosts // RELEASES),
        }


ON_HOSTS = ("environment", "fleet-images")
RELEASES = 3
MANY = RELEASES * int(os.environ.get("SERGAS_FLEET_TEST_HOSTS", "4"))
#: Those whose cases have a dozen hosts at once, then those that do with one of each release. All of
#: these also wait, so that several keep the cores busy.
FLEET_PARTS = (
    Part("fleet-fix", 700, ON_HOSTS, MANY, ("fix_app", "zoho")),
    Part("fleet-waves", 700, ON_HOSTS, MANY, ("postgresql", "cognee", "faults")),
    Part("fleet-security", 600, ON_HOSTS, RELEASES, ("fail2ban", "firewall", "harden")),
    Part("fleet-rollback", 450, ON_HOSTS, RELEASES, ("interrupted", "restore_point")),
)
PARTS = (
    Part("environment", 80, ()),
    Part("fleet-images", 240, ()),
    Part("lint", 100),
    Part("sanity", 150),
    Part("unit", 120),
    Part("integration", 500),
    # Where this machine does not have a Python, a container of the fleet has it.
    Part("matrix", 240, ON_HOSTS),
    Part("molecule", 200, ON_HOSTS, RELEASES),
    *FLEET_PARTS,
    # Each other file.
    Part(
        "fleet-others",
        500,
        ON_HOSTS,
        RELEASES,
        tuple(
            sorted(
                {path.stem[len("test_") :] for path in FLEET.glob("test_*.py")}
                - {name for part in FLEET_PARTS for name in part.tests}
            )
        ),
    ),
)
#: As many as there are cores: beside more, hosts of the fleet time out.
AT_ONCE = os.cpu_count() or 2
#: Of a host that is in use, with its files in memory.
HOST_BYTES = 300 << 20
SLOWEST = 10
LINES_OF_A_FAILURE = 60
LETTERS_OF_A_REASON = 300


def hosts_at_once(meminfo: str) -> int:
    """Return how many hosts of the fleet the memory that /proc/meminfo describes is enough for."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.M)
    return int(found[1]) * 1024 // HOST_BYTES if found else 0


def span(part: Part, parts: Iterable[Part]) -> int:
    """Return the seconds from a part's begin to the end of the last one that waits for it."""
    after = [span(other, parts) for other in parts if part.name in other.needs]
    return part.seconds + max(after, default=0)


def choose(waiting: list[Part], running: list[Part], parts: Iterable[Part], hosts: int):
    """Return the part to begin now, or None if one of those that run has to end first.

    Args:
        waiting: those that have not begun.
        running: those that have.
        parts: all of the suite.
        hosts: how many hosts there may be at once; a part that has more of them runs when there
            are no others.
    """
    unfinished = {part.name for part in [*waiting, *running]}
    used = sum(part.hosts for part in running)
    for part in sorted(waiting, key=lambda part: -span(part, parts)):
        fits = not part.hosts or not used or used + part.hosts <= hosts
        if fits and not unfinished.intersection(part.needs):
            return part
    return None


@dataclasses.dataclass
class Results:
    """What a part adds to the sum.

    Attributes:
        counted: how many tests passed, failed and were skipped.
        timed: (seconds, name) of each.
        failed: name and reason of those that failed, a line each.
    """

    counted: Counter
    timed: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)


def read_junit(path: Path) -> Results:
    """Return the results in a JUnit file."""
    results = Results(Counter())
    root = ElementTree.parse(path).getroot()  # noqa: S314  pytest wrote it just now
    for suite in root.iter("testsuite"):
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        results.counted.update(
            failed=failed, skipped=skipped, passed=int(suite.get("tests", 0)) - failed - skipped
        )
    for case in root.iter("testcase"):
        name = "%s.%s" % (case.get("classname"), case.get("name"))
        results.timed.append((float(case.get("time", 0)), name))
        for kind in ("failure", "error"):
            for found in case.iter(kind):
                reason = " ".join(found.get("message", "").split())[:LETTERS_OF_A_REASON]
                results.failed.append("%s: %s" % (name, reason))
    return results


def read_results(part: Part, status: int, seconds: float, junit: Path) -> Results:
    """Return the results of a part.

    Args:
        part: which one.
        status: its exit status.
        seconds: how long it took.
        junit: where pytest has written its results, if the part is one of pytest's.
    """
    if not junit.exists():
        results = Results(Counter(passed=int(not status)), [(seconds, part.name)])
    else:
        results = read_junit(junit)
    if status and not results.counted["failed"]:
        # One without tests, nothing collected, an error outside a test, a run that was killed.
        results.counted["failed"] = 1
        results.failed.append("%s: exit status %d" % (part.name, status))
    return results


class Suite:
    """The run of all parts.

    Args:
        parts: all there are.
        skip: the names of those that are left out.
        hosts: how many hosts of the fleet there may be at once.
    """

    def __init__(self, parts: tuple[Part, ...], skip: set[str], hosts: int):
        self.parts = parts
        self.hosts = hosts
        self.results: dict[str, Results] = {}
        self._running: list[Part] = []
        self._waiting = [part for part in parts if part.name not in skip]
        self._changed = threading.Condition()
        for name in sorted(skip):
            self._end(name, Results(Counter(skipped=1)), "left out by SKIP")

    def run(self) -> Counter:
        """Run all parts to their end and return the sum."""
        workers = [threading.Thread(target=self._work) for _number in range(AT_ONCE)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum((results.counted for results in self.results.values()), Counter())

    @property
    def timed(self) -> list[tuple[float, str]]:
        """(seconds, name) of each test that was run, or part without tests."""
        return [timed for results in self.results.values() for timed in results.timed]

    @property
    def failed(self) -> list[str]:
        """Name and reason of each that failed, a line each."""
        return [line for results in self.results.values() for line in results.failed]

    def _work(self) -> None:
        """Run one part after the other until none waits."""
        while part := self._begin():
            try:
                self._run(part)
            except Exception as error:  # such as a file of results that a killed run has left
                self._fail(part, "its run or its results: %r" % error)
            finally:
                with self._changed:
                    self._running.remove(part)
                    self._changed.notify_all()

    def _begin(self) -> Part | None:
        """Return the next part once it may run, None if there is none any more."""
        with self._changed:
            while self._waiting:
                part = choose(self._waiting, self._running, self.parts, self.hosts)
                if part:
                    self._waiting.remove(part)
                    self._running.append(part)
                    return part
                self._changed.wait()
            return None

    def _run(self, part: Part) -> None:
        for needed in part.needs:
            if needed in self.results and self.results[needed].counted["failed"]:
                self._fail(part, "not run, as %s failed" % needed)
                return
        log, junit = OUTPUT / (part.name + ".log"), OUTPUT / (part.name + ".xml")
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("ARGS", "MAKEFLAGS", "MAKELEVEL")
        }
        environment.update(part.environment)
        environment["PYTEST_ADDOPTS"] = "%s --junitxml=%s" % (
            environment.get("PYTEST_ADDOPTS", ""),
            junit,
        )
        started = time.monotonic()
        with log.open("w") as out:
            status = subprocess.run(
                part.command,
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        seconds = time.monotonic() - started
        results = read_results(part, status, seconds, junit)
        self._end(part.name, results, "%.0f s, %s" % (seconds, log.relative_to(CHECKOUT)))
        if results.counted["failed"]:
            lines = log.read_text(errors="replace").splitlines()[-LINES_OF_A_FAILURE:]
            with self._changed:
                print("".join("    %s | %s\n" % (part.name, line) for line in lines), flush=True)

    def _fail(self, part: Part, reason: str) -> None:
        results = Results(Counter(failed=1), failed=["%s: %s" % (part.name, reason)])
        self._end(part.name, results, reason)

    def _end(self, name: str, results: Results, detail: str) -> None:
        with self._changed:
            self.results[name] = results
            print("%-14s %s (%s)" % (name, in_words(results.counted), detail), flush=True)


def in_words(counted: Counter) -> str:
    """Return a sum as the closing line says it."""
    return "%d passed, %d failed, %d skipped" % (
        counted["passed"],
        counted["failed"],
        counted["skipped"],
    )


def slowest(timed: list[tuple[float, str]]) -> str:
    """Return lines of the tests that took longest; a part without tests counts as one."""
    lines = ["%6.0f s  %s" % (seconds, name) for seconds, name in sorted(timed, reverse=True)]
    return "\n".join(["The slowest:", *lines[:SLOWEST]])


def main() -> int:
    known = {part.name for part in PARTS}
    skip = set(os.environ.get("SKIP", "").split())
    if skip - known:
        sys.exit(
            "SKIP: no such part: %s. There are: %s"
            % (", ".join(sorted(skip - known)), ", ".join(sorted(known)))
        )
    OUTPUT.mkdir(exist_ok=True)
    for kind in ("log", "xml", "txt"):
        for old in OUTPUT.glob("*." + kind):
            old.unlink()
    suite = Suite(PARTS, skip, hosts_at_once(Path("/proc/meminfo").read_text()))
    total = suite.run()
    shown = [
        slowest(suite.timed),
        *(path.read_text().rstrip() for path in sorted(OUTPUT.glob("*.txt"))),
    ]
    print("", *shown, sep="\n")
    if suite.failed:
        print("", "Failed:", *suite.failed, sep="\n")
    print("\n" + in_words(total))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
