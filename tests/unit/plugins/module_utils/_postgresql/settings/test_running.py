# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import running


@pytest.mark.parametrize(
    ("error", "answers"),
    [
        (errors.Refused, False),
        (errors.StartingUp, False),
        (errors.ConnectionLost, False),
        (errors.TimedOut, False),
        # No server is reached.
        (errors.NameUnresolved, False),
        (errors.Denied, False),
        # It answers, if only to refuse.
        (errors.TooManyConnections, True),
        (errors.AuthenticationFailed, True),
    ],
)
def test_whether_a_server_answers(monkeypatch, error, answers):
    def connect(*_arguments, **_options):
        raise error("why")

    monkeypatch.setattr(running, "connect", connect)
    monkeypatch.setattr(running.Server, "_connection", lambda _self: {})
    server = running.Server({}, None, None, Deadline(5))
    assert server.accepts_sessions(Deadline(5)) is answers
