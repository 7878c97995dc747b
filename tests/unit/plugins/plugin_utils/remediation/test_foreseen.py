# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import foreseen


def compared(**changed):
    return {"results": [{"item": name, "changed_keys": keys} for name, keys in changed.items()]}


def sessions(remedy="end_idle_sessions", **more):
    return {"results": [{"item": {"remedy": remedy}, **more}]}


def test_what_is_in_use_already_cannot_help():
    found = compared(database_credentials=[], redis_credentials=["REDIS_PASSWORD"])
    because, allow = foreseen.unchanged([], found, None, None)["database_credentials"]
    assert because == "what it would set is in use already" and "correct it there" in allow
    assert set(foreseen.unchanged([], found, None, None)) == {"database_credentials"}


def test_where_pip_would_replace_nothing_it_cannot_help():
    found = foreseen.unchanged([], None, {"packages": []}, None)
    assert "pip would replace nothing" in found["reinstall_requirements"][0]
    assert foreseen.unchanged([], None, {"packages": [{"name": "structlog"}]}, None) == {}


@pytest.mark.parametrize(
    ("spared", "because"),
    [
        ({"superuser": 2, "other_database": 40}, "protected (2 superuser, 40 other_database)"),
        ({}, "no session is what it ends: none has been so for long enough"),
    ],
)
def test_where_no_session_may_be_ended_it_cannot_help(spared, because):
    """Cases: all slots are of another app's role; the open transaction is a superuser's."""
    found = foreseen.unchanged([], None, None, sessions(matched=0, spared=spared))
    assert because in found["end_idle_sessions"][0]
    assert foreseen.unchanged([], None, None, sessions(matched=3, spared=spared)) == {}
    # More match than it ends at once, which the remedy says itself.
    many = sessions(matched=300, spared=spared, msg="300 sessions match")
    assert foreseen.unchanged([], None, None, many) == {}


def test_where_the_server_cannot_be_queried_it_cannot_help():
    found = foreseen.unchanged([], None, None, sessions(msg="sorry, too many clients already"))
    because, allow = found["end_idle_sessions"]
    assert because == "it cannot query the server: sorry, too many clients already"
    assert "stop a client" in allow


def test_an_app_that_has_not_read_its_configuration_yet_is_helped_by_a_restart():
    pending = [{"id": "app.restart.pending", "status": "warn"}]
    found = foreseen.unchanged(pending, compared(database_credentials=[]), None, None)
    assert found == {}


@pytest.mark.parametrize(
    "registered",
    [None, {}, {"results": [{"skipped": True}]}, {"results": [{"item": "x", "msg": "unreadable"}]}],
)
def test_what_was_not_compared_holds_nothing_back(registered):
    assert foreseen.unchanged([], registered, registered, registered) == {}
