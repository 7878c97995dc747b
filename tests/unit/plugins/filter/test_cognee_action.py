# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.filter.cognee_action import cognee_action

#: A host where Cognee is not ready, and nothing else is known of it.
DOWN = {"ready": False, "identity": "none", "reachable": False, "error_kind": "refused"}
RUNNING = {"name": "cognee", "running": True, "state": "running"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ready": True, "container": RUNNING}, "none"),
        ({"container": {**RUNNING, "state": "paused"}}, "unpause"),
        ({"container": {"name": "cognee", "running": False, "state": "exited"}}, "start"),
        ({"container": {**RUNNING, "health": "starting"}}, "wait"),
        ({"container": {**RUNNING, "health": "unhealthy"}}, "restart"),
        ({"container": {"name": "cognee"}}, "restart"),
        # Without a container it is a unit.
        ({"container": None}, "start"),
        ({}, "start"),
        ({"reachable": True, "error_kind": None}, "restart"),
        ({"error_kind": "hung"}, "restart"),
        ({"error_kind": "closed"}, "restart"),
    ],
)
def test_what_makes_it_ready_follows_from_its_state(changes, expected):
    assert cognee_action({**DOWN, **changes}) == expected


@pytest.mark.parametrize("identity", ["other", "cognee-mcp", "redirect"])
def test_nothing_is_started_beside_another_service_on_its_port(identity):
    result = {**DOWN, "identity": identity, "reachable": True}
    assert cognee_action(result) == "none"
    # A check run leaves there what the real one has stopped before.
    stopped = {**result, "container": {**RUNNING, "running": False}}
    assert cognee_action(stopped, port_will_be_free=True) == "start"
