# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges a recorded diagnosis again, without the host: ``scripts/replay FILE``.

FILE is what ``sergas_health`` returned with ``record``, as JSON, or its ``recording`` alone. The
findings are written to standard output as JSON. Where the file has the findings of the host, too,
each that differs is named, and the exit status is 1: this collection judges what the host observed
in another way than the one that recorded it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._health import checks, runner


def findings(result):
    """Return the findings of a recording.

    Args:
        result: what the module returned, or its ``recording``.

    Raises:
        InvalidValue: it is no recording, or one of another version.
    """
    recorded = result.get("recording", result) if isinstance(result, dict) else result
    return runner.replay(recorded, checks.CHECKS, checks.PROBES)["findings"]


def differences(before, after):
    """Return a line for each finding that only one of two lists has, or has otherwise."""
    # Of the clock, the controller has taken off what the way to the host had taken.
    before, after = (
        [item for item in found if not item["id"].startswith("host.clock.")]
        for found in (before, after)
    )
    lines = []
    for sign, some, others in (("-", before, after), ("+", after, before)):
        for item in some:
            if item not in others:
                lines.append("%s %s %s: %s" % (sign, item["status"], item["id"], item["summary"]))
    return lines


def main():
    """Read the file, write the findings."""
    parser = argparse.ArgumentParser(description="Judge a recorded diagnosis again.")
    parser.add_argument("file", type=Path, help="what sergas_health returned with record, as JSON")
    parser.add_argument("--accept", action="store_true", help="write the findings into the file")
    options = parser.parse_args()
    path = options.file
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        found = findings(result)
    except (OSError, ValueError, InvalidValue) as error:
        sys.exit("error: %s: %s" % (path, error))
    changed = differences(result["findings"], found) if "findings" in result else []
    if options.accept:
        path.write_text(json.dumps(dict(result, findings=found), indent=1) + "\n", encoding="utf-8")
        print("\n".join(changed))
        return
    print(json.dumps(found, indent=1))
    if changed:
        sys.exit("The host found otherwise (-):\n" + "\n".join(changed))


if __name__ == "__main__":
    main()
