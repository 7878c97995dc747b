# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql import sessions_report


class Session:
    """A session that answers with one client that waits for a lock, and keeps what it was sent."""

    def __init__(self, version, blocker=7):
        self.version = version
        self.blocker = blocker
        self.statements = []

    def rows(self, statement):
        self.statements.append(statement)
        row = {"wait_event_type": "Lock", "state": "active", "backend_type": "client backend"}
        return [dict(row, blockers=[self.blocker])]


@pytest.mark.parametrize(("version", "queried"), [(130023, False), (140000, True), (180004, True)])
def test_since_when_a_lock_is_read_where_the_server_has_it(version, queried):
    session = Session(version)
    sessions_report.Observation(session)
    waits = session.statements[-1]
    assert "pg_blocking_pids" in waits
    # PostgreSQL 13 refuses a statement with that column.
    assert ("waitstart" in waits) is queried


def test_prepared_transactions_are_read_where_a_session_waits_for_one():
    for blocker, read in ((0, True), (7, False)):
        session = Session(150000, blocker)
        sessions_report.Observation(session)
        assert ("pg_prepared_xacts" in session.statements[-1]) is read
