# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every package needs exists once, and no second one comes beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
#: It is a single file that runs on a host without the collection.
RESTORE_PROGRAM = "module_utils/_remediation/restore/program.py"
CASES = {
    "replacing a file": (
        r"os\.(?:rename|replace|link)\(|mkstemp|NamedTemporaryFile|os\.fsync\(",
        {
            "module_utils/_core/files.py",
            RESTORE_PROGRAM,
            # Whole directories, which get their names when they are complete.
            "module_utils/_remediation/restore/store.py",
            "plugin_utils/report/history.py",
        },
    ),
    "times as text": (
        r"strftime\(|strptime\(|gmtime\(|localtime\(|timegm\(|isoformat\(",
        {
            "module_utils/_core/times.py",
            RESTORE_PROGRAM,
            # The name of a backup as Ansible's own modules name theirs.
            "module_utils/_app/env.py",
        },
    ),
    "the boot and the time since": (
        r"random/boot_id|CLOCK_BOOTTIME",
        {
            "module_utils/_core/times.py",
            RESTORE_PROGRAM,
            # The controller's own boot.
            "plugin_utils/controller.py",
        },
    ),
    "what a socket's errors mean": (
        r"errno\.(?:ECONN|EHOST|ENET|ETIMEDOUT|EPIPE)",
        {"module_utils/_net/failures.py"},
    ),
    "words for a failed connection": (
        r"\"(?:its name cannot be resolved|nothing listens there|no route leads there)",
        {"module_utils/_net/failures.py"},
    ),
    "ending a module": (
        r"\.(?:fail_json|exit_json)\(",
        {"module_utils/_core/runner.py", "module_utils/_core/module.py"},
    ),
}


@pytest.mark.parametrize("what", sorted(CASES))
def test_there_is_one(what):
    pattern, known = CASES[what]
    found = {
        str(path.relative_to(PLUGINS))
        for path in PLUGINS.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert found == known
