# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.filter.bounds_for_failures import bounds_for_failures
from ansible_collections.sergas.ops.plugins.filter.fitting_pool import fitting_pool
from ansible_collections.sergas.ops.plugins.plugin_utils.app_variables import (
    variables_to_set,
    variables_without_value,
)

MISSING = [
    "DATABASE_NAME (it is not set)",
    "COGNEE_BASE_URL|COGNEE_API_URL (it is empty)",
    "REDIS_HOST",
]


def test_what_has_no_value_is_named_with_its_alternatives():
    values = {"DATABASE_NAME": "", "REDIS_HOST": None}
    assert variables_without_value(MISSING, values) == [
        "DATABASE_NAME",
        "COGNEE_BASE_URL|COGNEE_API_URL",
        "REDIS_HOST",
    ]


def test_one_of_two_alternatives_is_enough():
    values = {"DATABASE_NAME": "a", "COGNEE_API_URL": "b", "REDIS_HOST": 0, "OTHER": "c"}
    assert variables_without_value(MISSING, values) == []
    assert variables_to_set(values, MISSING) == {
        "DATABASE_NAME": "a",
        "COGNEE_API_URL": "b",
        "REDIS_HOST": 0,
    }


def test_where_nothing_is_named_all_are_set():
    assert variables_to_set({"A": 1}, []) == {"A": 1}


def pools(**numbers):
    evidence = {"workers": 4, "pool_size": 30, "max_overflow": 50, "celery_workers": 0, "slots": 97}
    evidence.update(numbers)
    return [{"evidence": {}}, {"evidence": evidence}]


def test_a_pool_that_does_not_fit_becomes_the_largest_that_does():
    wanted = fitting_pool(pools())
    each = wanted["DATABASE_POOL_SIZE"] + wanted["DATABASE_MAX_OVERFLOW"]
    assert 4 * each <= 87 < 4 * (each + 1)


def test_hosts_share_the_database():
    one, three = fitting_pool(pools()), fitting_pool(pools(), 3)
    assert sum(three.values()) * 3 <= sum(one.values())


@pytest.mark.parametrize("findings", [pools(pool_size=5, max_overflow=5), [{"evidence": {}}], []])
def test_a_pool_that_fits_or_is_not_known_is_left_alone(findings):
    assert fitting_pool(findings) == {}


def test_workers_that_not_even_one_connection_fits_are_refused():
    with pytest.raises(AnsibleFilterError, match="fewer workers"):
        fitting_pool(pools(workers=200))


BY_KIND = {"database.timeout": {"DATABASE_TIMEOUT": 60}, "zoho": {"MAX_RETRY_ATTEMPTS": 5}}


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"zoho.http": 12, "other": 40}, {"MAX_RETRY_ATTEMPTS": 5}),
        ({"database.timeout": 9, "zoho": 2}, {"DATABASE_TIMEOUT": 60}),
        ({"database.pool": 9, "zoho": 2}, {}),
        ({"other": 9}, {}),
        ({}, {}),
    ],
)
def test_what_fails_most_decides(kinds, expected):
    assert bounds_for_failures({"evidence": {"kinds": kinds}}, BY_KIND) == expected
