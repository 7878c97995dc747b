# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health import reach
from ansible_collections.sergas.ops.plugins.module_utils._net import pgwire
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

TARGET = {
    "host": "127.0.0.1",
    "port": 5432,
    "name": "prod",
    "user": "app",
    "password": "x",
    "tls": "disable",
    "root": None,
}
WELL = {
    "default_transaction_read_only": [["15.4", "f", "f", "default", "5433"]],
    "max_connections": [["100", "3", "0", "5"]],
    "has_table_privilege": [],
}


def refusal(sqlstate):
    return pgwire.ServerError({"C": sqlstate, "M": "said"})


class Session:
    """A session whose queries have these answers, by a word of theirs; an error is raised."""

    encrypted = False

    def __init__(self, **answers):
        self.answers = {**WELL, **answers}
        self.sent = []

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        pass

    def query(self, sql):
        self.sent.append(sql)
        answer = next((self.answers[word] for word in self.answers if word in sql), [])
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def reached(monkeypatch):
    def run(tables=(), **answers):
        session = Session(**answers)
        monkeypatch.setattr(reach, "_connect", lambda *_: session)
        return reach.postgresql(TARGET, Deadline(3), tables), session

    return run


def test_a_server_that_answers(reached):
    found, session = reached()
    assert "failure" not in found
    assert found["server_port"] == 5433
    assert (found["alive"], found["slots"], found["read_only"], found["gaps"]) == (
        True,
        97,
        None,
        {},
    )
    assert all(sql.startswith("BEGIN READ ONLY;") for sql in session.sent)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionFailed("timeout", "total", "no answer in time"), "hung"),
        (ConnectionFailed("closed", "total", "closed the connection"), "closed"),
        # How PgBouncer ends a client that has waited for a server.
        (refusal("08P01"), "pooler"),
        (refusal("57014"), "hung"),
        (refusal("53100"), "disk_full"),
        (refusal("XX000"), "refusal"),
    ],
)
def test_a_query_without_an_answer_is_never_well(reached, error, kind):
    found, _session = reached(default_transaction_read_only=error)
    assert (found["failure"]["error_kind"], found["alive"]) == (kind, False)
    late, _session = reached(max_connections=ConnectionFailed("timeout", "total", "late"))
    assert late["failure"]["error_kind"] == "hung"


def test_an_answer_that_is_none(reached):
    found, _session = reached(default_transaction_read_only=[])
    assert found["failure"]["error_kind"] == "protocol"


def test_what_may_not_be_read_is_a_gap(reached):
    found, session = reached(max_connections=refusal("42501"), has_table_privilege=refusal("57014"))
    assert "failure" not in found
    assert sorted(found["gaps"]) == ["rights", "slots"]
    # A transaction that has failed takes no further query.
    assert session.sent.count("ROLLBACK") == 2


def test_tables_are_named_in_the_query(reached):
    _found, session = reached(tables=["public.accounts", "crm.o'brien"])
    assert "IN ('public.accounts', 'crm.o''brien')" in session.sent[-1]


def test_where_the_setting_is_from(reached):
    found, _session = reached(
        default_transaction_read_only=[["15.4", "t", "t", "database", "5432"]]
    )
    assert (found["in_recovery"], found["read_only"]) == (True, "database")
