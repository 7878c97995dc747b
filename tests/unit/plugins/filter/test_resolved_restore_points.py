# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.filter.resolved_restore_points import (
    resolved_restore_points,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding

POINT = {
    "name": "set_variables",
    "run": "r1",
    "remedy": True,
    "findings": ["app.env.missing"],
    "known": ["host.disk.high"],
    "errors": [],
}
ENV_OK = finding("app.env.ok", "app", "ok", "all there")
ARMED = finding("host.restore_point.armed", "host", "fail", "armed", evidence={"points": [POINT]})


def left(**changes):
    """Return the finding about a restore point that differs from POINT in this."""
    point = {**POINT, **changes}
    return finding(
        "host.restore_point.failed", "host", "fail", "failed", evidence={"points": [point]}
    )


@pytest.mark.parametrize(
    ("findings", "verified"),
    [
        ([ENV_OK, ARMED], True),
        ([finding("app.env.missing", "app", "fail", "missing"), ARMED], False),
        # Not checked again, or not measured: not known to be resolved.
        ([ARMED], False),
        ([finding("host.disk.ok", "host", "ok", "enough"), ARMED], False),
        ([finding("app.env.unknown", "app", "unknown", "no answer"), ARMED], False),
        # Something else has failed since; what failed before has not.
        ([ENV_OK, finding("app.port.conflict", "app", "fail", "held"), ARMED], True),
        ([ENV_OK, finding("host.inodes.high", "host", "fail", "full"), ARMED], False),
        ([ENV_OK, finding("host.disk.high", "host", "fail", "full"), ARMED], True),
    ],
)
def test_a_point_is_verified_by_the_check_that_found_its_fault(findings, verified):
    results = [{}, {"skipped": True}, {"findings": findings}]
    (resolved,) = resolved_restore_points(results)
    assert (resolved["name"], resolved["run"], resolved["remedy"]) == ("set_variables", "r1", True)
    expected = ("disarmed", "kept") if verified else ("restored", "undone")
    assert (resolved["state"], resolved["outcome"]) == expected


def test_what_is_restored_in_part_is_restored():
    point = left(errors=["/opt/app/.env: No space left on device"])
    (resolved,) = resolved_restore_points([{"findings": [ENV_OK, point]}])
    assert (resolved["state"], resolved["outcome"]) == ("restored", "undone")


def test_a_point_of_no_remedy_cannot_be_verified():
    point = left(remedy=False, findings=[], known=[])
    (resolved,) = resolved_restore_points([{"findings": [ENV_OK, point]}])
    assert (resolved["state"], resolved["remedy"]) == ("restored", False)


def test_a_host_on_which_nothing_is_left_has_nothing_to_resolve():
    assert resolved_restore_points([{"findings": [ENV_OK]}, {"unreachable": True}]) == []
