# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stopped server: its own program says what its files give it at the next start."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    cluster as clusters,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.plan import Live


class _Rows(dict):
    """What stands for the rows of pg_settings, each computed when it is needed.

    Args:
        candidate: the ``cluster.Candidate``, which runs the server's program.
        described: {name: ``cluster.Described``}.
    """

    def __init__(self, candidate, described):
        super().__init__()
        self._candidate = candidate
        self._described = described

    def get(self, name, default=None):
        if name not in self:
            known = self._described.get(name)
            value = self._candidate.current(name) if known else None
            self[name] = None
            if value is not None:
                self[name] = {
                    "name": name,
                    "vartype": known.vartype,
                    "unit": None,
                    "context": known.context,
                    "setting": value,
                    "boot_val": value,
                    "pending_restart": False,
                }
        return self[name] or default


def live(candidate, cluster, deadline):
    """Return the ``plan.Live`` of a stopped server.

    Args:
        candidate: the ``cluster.Candidate``, which runs the server's program.
    """
    known = {}

    def meaning(name, value):
        if (name, value) not in known:
            try:
                known[name, value] = candidate.meaning(name, value)
            except (clusters.ProgramFailed, ValueError):
                known[name, value] = value
        return known[name, value]

    rows = _Rows(candidate, clusters.describe(cluster, deadline))
    return Live(rows, running=False, meaning=meaning)
