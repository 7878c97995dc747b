# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "remedies.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("remedies_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_make_remedies_writes(script):
    text = script.PAGE.read_text(encoding="utf-8")
    assert text == script.page(text, script.catalogue()), "run: make remedies"


def test_the_page_names_every_remedy_and_what_it_answers(script):
    text = script.PAGE.read_text(encoding="utf-8")
    for name, remedy in script.catalogue().items():
        assert "## %s\n" % name in text
        for id in remedy["answers"]:
            assert "`%s`" % id in text


def test_the_hand_written_part_stays(script):
    changed = script.page("# Mine\n\n%s\nold" % script.BEGIN, {})
    assert changed.startswith("# Mine\n\n%s" % script.BEGIN) and "old" not in changed
