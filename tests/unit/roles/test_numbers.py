# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-core before 2.19 keeps a number that a task has set as text, with which nothing can be
computed until it is made a number again.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
FILES = sorted([*ROLES.glob("*/tasks/**/*.yml"), *ROLES.glob("*/vars/*.yml")])
NUMBER = re.compile(r"\| *(int|float)[ )]*\}\}\s*\Z|\A\{\{ *now\(.*timestamp\(\)")


def tasks(items):
    """Yield tasks and those in their blocks."""
    for item in items or ():
        yield item
        for part in ("block", "rescue", "always"):
            yield from tasks(item.get(part))


def numbers():
    """Return the names of the variables that tasks of the roles set to a number."""
    return {
        name
        for path in FILES
        if path.parts[-2] != "vars"
        for task in tasks(yaml.load(path.read_text(), yaml.CSafeLoader))
        for name, value in task.get("ansible.builtin.set_fact", {}).items()
        if isinstance(value, str) and NUMBER.search(value)
    }


def computed(name, text):
    """Return the lines of a text that compute with a variable as it is."""
    there = r"\b%s\b(?! *\|)" % name
    return re.findall(r".*(?:[-+*/<>]=? *%s|%s *[-+*/<>]).*" % (there, there), text)


def test_numbers_that_tasks_set_are_made_numbers_where_they_are_computed_with():
    names = numbers()
    assert "__firewall_until" in names
    found = [
        "%s: %s" % (path.relative_to(ROLES), line.strip())
        for path in FILES
        for text in [path.read_text()]
        for name in names
        if name in text
        for line in computed(name, text)
    ]
    assert not found
