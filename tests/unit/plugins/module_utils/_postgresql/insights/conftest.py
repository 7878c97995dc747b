# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds as merging
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    THRESHOLDS,
)


class FakeScope:
    """What decisions need of a scope: facts of the server, thresholds, an earlier run."""

    def __init__(self, previous=None, thresholds=None, **server):
        self.server = {
            "role": "monitor",
            "database": "sergas_prod",
            "version": 150004,
            "block_bytes": 8192,
            "in_recovery": False,
            "superuser": False,
            "sees_sessions": True,
            "monitors": True,
            "reads_data": True,
            "taken_at": 10000.0,
            "statistics_seconds": 30 * 86400.0,
            **server,
        }
        self.thresholds = merging.merge(thresholds or {}, THRESHOLDS)
        self.limit = 20
        self.statistics_error = None
        self.previous = previous or {}

    def earlier(self, *path):
        value = self.previous
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value


@pytest.fixture
def scope():
    """Return a function that makes a scope."""
    return FakeScope
