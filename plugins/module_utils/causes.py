# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root causes on one host: which bad finding derives from which other one."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils.finding import is_bad

_START = (
    "app.service.missing",
    "app.env.unreadable",
    "app.env.missing",
    "app.port.conflict",
    "app.import.error",
    "db.unreachable",
    "db.auth.failed",
    "db.missing",
    "db.connections.exhausted",
    "app.oom.killed",
    "app.resources.exhausted",
    "redis.unreachable",
    "redis.auth.failed",
)
_DOWN = _START + ("app.crash.signal", "app.service.down", "app.service.restarting", "app.port.closed")

#: finding: what it may derive from, the likeliest first. An entry ending in a dot means all below it.
CAUSES = {}


def derive(findings):
    """Return the findings with C(cause) set where one of them explains another."""
    bad = [item["id"] for item in findings if is_bad(item)]
    return [dict(item, cause=item["cause"] or _cause(item["id"], bad)) if is_bad(item) else item for item in findings]


def _cause(id, bad):
    for candidate in CAUSES.get(id, ()):
        if candidate in bad and candidate != id:
            return candidate
    return None
