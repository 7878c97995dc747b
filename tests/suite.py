# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run every part of the tests, what does not disturb each other side by side, and sum them up.

The parts are targets of the Makefile, or some of the tests of one. Each one's output is in
tests/output/PART.log, with the results of pytest beside it as JUnit XML. The last line is ``N
passed, N failed, N skipped``: the tests of the parts that pytest runs, one for any other part. A
part that fails, or cannot run, fails the suite.

SKIP="part ..." in the environment leaves parts out; they count as skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

CHECKOUT = Path(__file__).resolve().parent.parent
OUTPUT = CHECKOUT / "tests" / "output"

# The lanes of a stage run side by side, the parts of a lane in turn. The images of the fleet wait
# for the network and the disk most of the time; what computes runs meanwhile.
STAGES = (
    (("fleet-images",), ("sanity",), ("lint", "unit")),
    (("fleet-waves", "molecule"), ("integration", "matrix", "fleet-others")),
)
# What these parts stand on: without it they fail without being run.
NEEDS = dict.fromkeys(("fleet-waves", "fleet-others", "molecule"), "fleet-images")
# Those that have a dozen hosts at once; the others do with one of each release.
WAVES = [
    "tests/fleet/test_%s.py" % name
    for name in ("cognee", "faults", "fix_app", "postgresql", "zoho")
]
# The parts that are some of a target's tests: the target, and what it is given. Two parts with
# hosts at the same time have a fleet each.
SOME = {
    "fleet-waves": ("fleet-test", {"ARGS": " ".join(WAVES)}),
    "fleet-others": (
        "fleet-test",
        {
            "ARGS": " ".join(["tests/fleet", *("--ignore=" + path for path in WAVES)]),
            "SERGAS_FLEET_NAME": "others",
            "SERGAS_FLEET_TEST_HOSTS": "1",
        },
    ),
}
LINES_OF_A_FAILURE = 60


def count_junit(path: Path) -> Counter:
    """Return how many tests of a JUnit file passed, failed and were skipped."""
    counted: Counter = Counter()
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):  # noqa: S314  pytest wrote it just now
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        counted.update(
            failed=failed, skipped=skipped, passed=int(suite.get("tests", 0)) - failed - skipped
        )
    return counted


def count(status: int, junit: Path) -> Counter:
    """Return what a part adds to the sum.

    Args:
        status: the exit status of the part.
        junit: where pytest has written its results, if the part is one of pytest's.
    """
    if not junit.exists():
        return Counter(failed=1) if status else Counter(passed=1)
    counted = count_junit(junit)
    if status and not counted["failed"]:
        # Nothing collected, an error outside a test, a run that was killed.
        counted["failed"] = 1
    return counted


class Suite:
    """The run of all parts."""

    def __init__(self, skip: set[str]):
        self.skip = skip
        self.results: dict[str, Counter] = {}
        self.lock = threading.Lock()

    def run(self) -> Counter:
        """Run all stages to their end and return the sum."""
        for stage in STAGES:
            lanes = [threading.Thread(target=self.run_lane, args=(lane,)) for lane in stage]
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()
        return sum(self.results.values(), Counter())

    def run_lane(self, lane: tuple[str, ...]) -> None:
        for part in lane:
            if part in self.skip:
                self.tell(part, Counter(skipped=1), "left out by SKIP")
            elif self.results.get(NEEDS.get(part, ""), Counter())["failed"]:
                self.tell(part, Counter(failed=1), "not run, as %s failed" % NEEDS[part])
            else:
                self.run_part(part)

    def run_part(self, part: str) -> None:
        log, junit = OUTPUT / (part + ".log"), OUTPUT / (part + ".xml")
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("ARGS", "MAKEFLAGS", "MAKELEVEL")
        }
        target, given = SOME.get(part, (part, {}))
        environment.update(given)
        environment["PYTEST_ADDOPTS"] = "%s --junitxml=%s" % (
            environment.get("PYTEST_ADDOPTS", ""),
            junit,
        )
        started = time.monotonic()
        with log.open("w") as out:
            status = subprocess.run(
                ["make", "--no-print-directory", target],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        counted = count(status, junit)
        self.tell(
            part, counted, "%.0f s, %s" % (time.monotonic() - started, log.relative_to(CHECKOUT))
        )
        if counted["failed"]:
            lines = log.read_text(errors="replace").splitlines()[-LINES_OF_A_FAILURE:]
            with self.lock:
                print("".join("    %s | %s\n" % (part, line) for line in lines), flush=True)

    def tell(self, part: str, counted: Counter, detail: str) -> None:
        self.results[part] = counted
        with self.lock:
            print("%-13s %s (%s)" % (part, in_words(counted), detail), flush=True)


def in_words(counted: Counter) -> str:
    """Return a sum as the closing line says it."""
    return "%d passed, %d failed, %d skipped" % (
        counted["passed"],
        counted["failed"],
        counted["skipped"],
    )


def main() -> int:
    known = {part for stage in STAGES for lane in stage for part in lane}
    skip = set(os.environ.get("SKIP", "").split())
    if skip - known:
        sys.exit(
            "SKIP: no such part: %s. There are: %s"
            % (", ".join(sorted(skip - known)), ", ".join(sorted(known)))
        )
    OUTPUT.mkdir(exist_ok=True)
    for old in [path for kind in ("log", "txt", "xml") for path in OUTPUT.glob("*." + kind)]:
        old.unlink()
    total = Suite(skip).run()
    for table in OUTPUT.glob("*.txt"):
        print("\n" + table.read_text().rstrip())
    print("\n" + in_words(total))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
