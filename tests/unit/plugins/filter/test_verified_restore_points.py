# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.filter.verified_restore_points import (
    verified_restore_points,
)
from ansible_collections.sergas.ops.plugins.module_utils.finding import finding

POINT = {"name": "set_variables", "findings": ["app.env.missing"], "known": ["host.disk.high"]}
ENV_OK = finding("app.env.ok", "app", "ok", "all there")
ARMED = finding("host.restore_point.armed", "host", "fail", "armed")


@pytest.mark.parametrize(
    ("findings", "verified"),
    [
        ([ENV_OK, ARMED], True),
        ([finding("app.env.missing", "app", "fail", "missing"), ARMED], False),
        # Not checked again, or not measured: not known to be resolved.
        ([ARMED], False),
        ([finding("app.env.unknown", "app", "unknown", "no answer"), ARMED], False),
        # Something else has failed since; what failed before has not.
        ([ENV_OK, finding("app.port.conflict", "app", "fail", "held"), ARMED], True),
        ([ENV_OK, finding("host.inodes.high", "host", "fail", "full"), ARMED], False),
        ([ENV_OK, finding("host.disk.high", "host", "fail", "full"), ARMED], True),
    ],
)
def test_a_point_is_verified_by_the_check_that_found_its_fault(findings, verified):
    results = [{}, {"skipped": True}, {"findings": findings}]
    assert verified_restore_points([POINT], results) == (["set_variables"] if verified else [])


def test_a_point_of_no_remedy_cannot_be_verified():
    point = {"name": "firewall", "findings": [], "known": []}
    assert verified_restore_points([point], [{"findings": [ENV_OK]}]) == []
