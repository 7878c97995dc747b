# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of Jinja stay short enough to be read at a glance; what is longer, or loops, is
Python with unit tests. Templates of configuration files may loop.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted(path for top in ("roles", "playbooks") for path in (ROOT / top).rglob("*.yml"))
#: Characters of a value, folded as YAML folds it.
LONGEST = 160
#: Filters that return a set as a list, whose order is another one in each run: a check run would
#: not show what the real run does. `(a + b) | unique`, `select("in", b)` and `reject` keep it.
SETS = re.compile(r"\|\s*(?:union|intersect|difference|symmetric_difference)\s*\(")
STATEMENT = re.compile(r"\{%-?\s*(?:for|set|if|macro)\b")


def templates(node, where=""):
    """Yield (where it is, text) of each value that is a template."""
    if isinstance(node, str):
        if "{{" in node or "{%" in node:
            yield where.lstrip("."), node
    elif isinstance(node, (dict, list)):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from templates(value, "%s.%s" % (where, key))


def faults(text):
    """Yield what is wrong with the templates and the conditions of a document."""
    for found in SETS.findall(text):
        yield "%s) has another order in each run" % found
    for where, value in templates(yaml.load(text, yaml.CSafeLoader)):
        if len(value) > LONGEST:
            yield "%s has %d characters" % (where, len(value))
        if STATEMENT.search(value):
            yield "%s has statements" % where


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_expressions_are_short_ordered_and_have_no_loops(path):
    assert not list(faults(path.read_text()))


def test_what_is_long_or_loops_is_found():
    long = "- name: x\n  vars:\n    long: >-\n      {{ a\n      %s }}\n" % ("b" * LONGEST)
    loop = "a: [{b: '{%- for x in y -%}{{ x }}{%- endfor -%}'}]"
    assert list(faults(long)) == ["0.vars.long has 168 characters"]
    assert list(faults(loop)) == ["a.0.b has statements"]
    assert list(faults("when: a | intersect(b)")) == ["| intersect() has another order in each run"]
    assert not list(faults("a: plain %s\nb: '{{ c }}'\n" % ("d" * LONGEST)))
