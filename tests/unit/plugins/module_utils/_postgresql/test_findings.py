# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import database
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, postgres_failures
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


@pytest.mark.parametrize("reason", sorted(set(failures.WORDS) - {"proxy", "redirect"}))
def test_a_connection_that_fails_gets_the_id_of_the_health_check(reason):
    """And an advice about the connection: the server has not refused anyone yet."""
    phase = "connect" if reason == "timeout" else "first_byte"
    error = errors.of_connection(failures.ConnectionFailed(reason, phase, "why"))
    found = findings.unreachable(error, "db1:5432")
    assert (found["id"], found["status"]) == (database._ERROR_KINDS[reason][0], "fail")
    assert found["advice"]
    assert "pg_hba" not in found["advice"]


@pytest.mark.parametrize(
    ("sqlstate", "routine"),
    sorted(postgres_failures._REFUSALS, key=lambda key: (key[0], key[1] or "")),
)
def test_a_refused_login_has_the_reason_and_the_advice_of_the_health_check(sqlstate, routine):
    reason = postgres_failures.of_login(sqlstate, routine)
    found = findings.unreachable(errors.of_login("why", sqlstate, routine), "db1:5432")
    assert found["evidence"] == {"target": "db1:5432", "error_kind": reason, "sqlstate": sqlstate}
    if reason == "pooler":
        assert found["id"] == "db.connection.unknown"
        return
    assert found["advice"] == postgres_failures.ADVICE[reason]
    if reason != "closed_database":
        id, _sentence, remedy = database._ERROR_KINDS[reason]
        assert (found["id"], found["remedy"]) == (id, remedy)


@pytest.mark.parametrize(
    ("phase", "word"), [("name", "name"), ("connect", "firewalls"), ("tls", "hangs")]
)
def test_a_timeout_advises_on_what_was_being_waited_for(phase, word):
    error = errors.of_connection(failures.ConnectionFailed("timeout", phase, "why"))
    assert word in findings.unreachable(error, "db1:5432")["advice"]


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


@pytest.mark.parametrize(
    ("params", "euid", "status"),
    [
        ({"login_host": None, "login_user": None}, 1000, "unknown"),
        ({"login_host": None, "login_user": None}, 0, "fail"),
        ({"login_host": None, "login_user": "app"}, 1000, "fail"),
        ({"login_host": "192.0.2.5", "login_user": None}, 1000, "fail"),
    ],
)
def test_a_server_is_not_at_fault_for_not_knowing_this_user(monkeypatch, params, euid, status):
    monkeypatch.setattr(findings.os, "geteuid", lambda: euid)
    monkeypatch.setattr(findings, "_explained", lambda *_args: None)
    error = errors.PostgresError('role "nosudo" does not exist', kind="role")
    item = findings.unreachable(error, "localhost:5432", params)
    assert item["status"] == status
    assert ("become" in (item["advice"] or "")) is (status == "unknown")
