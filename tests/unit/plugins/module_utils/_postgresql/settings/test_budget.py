# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    budget as budgets,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.budget import (
    GB,
    MB,
    Tenants,
)


def lines(budget):
    return {line.consumer: line.kb for line in budget.lines}


def test_a_host_is_given_out_line_by_line():
    budget = budgets.share(
        16 * GB,
        Tenants(
            app_workers=4,
            app_worker_kb=512 * MB,
            celery_workers=2,
            redis_kb=GB,
            cognee_kb=2 * GB,
        ),
    )
    assert lines(budget) == {
        "reserve": 16 * GB // 10,
        "app": 2 * GB,
        "celery": 512 * MB,
        "redis": GB * 5 // 4,
        "cognee": 2 * GB,
        "postgresql": 8832 * MB,
        "unassigned": (
            16 * GB - 16 * GB // 10 - 2 * GB - 512 * MB - GB * 5 // 4 - 2 * GB - 8832 * MB
        ),
    }
    assert budget.postgresql_kb == lines(budget)["postgresql"]
    assert budget.warnings == []
    assert budget.lines[0].consumer == "postgresql"


def test_the_lines_of_every_host_add_up_to_its_memory_or_it_is_said():
    kept = overcommitted = 0
    for memory, app, celery, redis, cognee, other, limit in itertools.product(
        (512 * MB, 2 * GB, 8 * GB + 1, 256 * GB),
        (None, 0, 4, 64),
        (None, 8),
        (None, 0, GB),
        (None, GB),
        (None, 3 * GB),
        (None, 400 * MB),
    ):
        budget = budgets.share(
            memory, Tenants(app, None, celery, None, redis, cognee, other), limit
        )
        total = sum(line.kb for line in budget.lines)
        assert all(line.kb >= 0 for line in budget.lines)
        assert budget.postgresql_kb > 0
        if limit:
            assert budget.postgresql_kb <= limit
        if budget.warnings:
            overcommitted += 1
        else:
            kept += 1
            assert total == memory
    assert kept > 50
    assert overcommitted > 50


def test_others_that_take_everything_are_named_in_a_warning():
    budget = budgets.share(4 * GB, Tenants(app_workers=16))
    assert budget.postgresql_kb == 608 * MB
    assert "move a tenant, or add memory" in budget.warnings[0]


def test_a_limit_of_postgresql_s_own_group_bounds_its_share():
    budget = budgets.share(16 * GB, Tenants(app_workers=2), service_limit_kb=2 * GB)
    assert budget.postgresql_kb == 2 * GB
    assert lines(budget)["unassigned"] == 16 * GB - 2 * GB - 512 * MB - 16 * GB // 10


def test_redis_without_a_bound_gets_a_line_that_says_so():
    budget = budgets.share(10 * GB, Tenants(redis_kb=0))
    line = next(line for line in budget.lines if line.consumer == "redis")
    assert line.kb == GB
    assert "maxmemory" in line.why


@pytest.mark.parametrize(
    ("tenants", "expected"),
    [
        (Tenants(), False),
        (Tenants(reserve_kb=GB), False),
        (Tenants(app_workers=4), True),
        (Tenants(redis_kb=0), True),
        (Tenants(other_kb=GB), True),
    ],
)
def test_whether_anybody_else_is_there(tenants, expected):
    assert budgets.any_tenant(tenants) is expected
