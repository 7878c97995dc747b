# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql import sql


@pytest.mark.parametrize(("text", "quoted"), [("it's", " E'it''s'"), ("a\\", " E'a\\\\'")])
def test_literals(text, quoted):
    assert sql.literal(text) == quoted


def test_names():
    assert sql.identifier('a "b"') == '"a ""b"""'


@pytest.mark.parametrize("quote", [sql.literal, sql.identifier])
def test_a_null_character_is_refused(quote):
    with pytest.raises(ValueError, match="null character"):
        quote("a\0b")
