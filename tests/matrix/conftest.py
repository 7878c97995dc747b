# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Skips what the machine cannot make, and shows what was run and what was not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

# Found by the path above.
import versions

#: The outcomes of pytest, as the table has them.
OUTCOMES = {"passed": "run", "failed": "failed", "error": "failed", "skipped": "not run"}


@pytest.fixture
def cell(request):
    """Return a function that names the cell of the table that a test is for."""
    return lambda *names: request.node.user_properties.append(("cell", names))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    try:
        return (yield)
    except versions.Unavailable as error:
        pytest.skip(str(error))


def pytest_terminal_summary(terminalreporter):
    results = {}
    for outcome, word in OUTCOMES.items():
        for report in terminalreporter.stats.get(outcome, ()):
            for name, cell in report.user_properties:
                if name == "cell":
                    reason = report.longrepr[2] if outcome == "skipped" else ""
                    results[tuple(cell)] = (word, reason.removeprefix("Skipped: "))
    text = versions.table(results)
    terminalreporter.write_line("\n" + text)
    (versions.CHECKOUT / "tests" / "output").mkdir(exist_ok=True)
    (versions.CHECKOUT / "tests" / "output" / "matrix.txt").write_text(text)
