# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import foreseen


def compared(**changed):
    return {"results": [{"item": name, "changed_keys": keys} for name, keys in changed.items()]}


def test_what_is_in_use_already_cannot_help():
    found = compared(database_credentials=[], redis_credentials=["REDIS_PASSWORD"])
    assert foreseen.unchanged([], found, None) == {
        "database_credentials": "what it would set is in use already"
    }


def test_where_pip_would_replace_nothing_it_cannot_help():
    assert (
        "pip would replace nothing"
        in (foreseen.unchanged([], None, {"packages": []})["reinstall_requirements"])
    )
    assert foreseen.unchanged([], None, {"packages": [{"name": "structlog"}]}) == {}


def test_an_app_that_has_not_read_its_configuration_yet_is_helped_by_a_restart():
    pending = [{"id": "app.restart.pending"}]
    assert foreseen.unchanged(pending, compared(database_credentials=[]), None) == {}


@pytest.mark.parametrize(
    "registered",
    [None, {}, {"results": [{"skipped": True}]}, {"results": [{"item": "x", "msg": "unreadable"}]}],
)
def test_what_was_not_compared_holds_nothing_back(registered):
    assert foreseen.unchanged([], registered, registered) == {}
