# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import findings


@pytest.mark.parametrize(
    "error",
    [
        error
        for _name, error in sorted(vars(errors).items())
        if isinstance(error, type) and issubclass(error, errors.PostgresError)
    ],
)
def test_an_error_of_any_kind_is_a_finding_that_is_not_ok(error):
    found = findings.unreachable(error("it says why", "12345"), "db1:5432")
    assert found["status"] in ("fail", "unknown")
    assert found["evidence"]["target"] == "db1:5432"
    assert "it says why" in found["summary"]


@pytest.mark.parametrize(
    ("error", "id"),
    [
        (errors.Refused, "db.unreachable"),
        (errors.NameUnresolved, "db.unreachable"),
        (errors.NotPostgres, "db.unreachable"),
        (errors.AuthenticationFailed, "db.auth.failed"),
        (errors.NotAllowed, "db.auth.failed"),
        (errors.DatabaseMissing, "db.missing"),
        (errors.TooManyConnections, "db.connections.exhausted"),
        (errors.MethodUnsupported, "db.connection.unknown"),
    ],
)
def test_what_is_wrong_names_the_finding(error, id):
    assert findings.unreachable(error("why"), "db1:5432")["id"] == id
