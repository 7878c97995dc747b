# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which findings show only while the app serves requests: that none is seen after a fix says
nothing until enough of them were served.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

#: {id: (the check of ``sergas_health`` that finds it, the subject of that check)}
SHOWN = {
    "app.exceptions": ("exceptions", "app.exceptions"),
    "app.errors.rate": ("errors", "app.errors"),
    "api.latency.high": ("latency", "api.latency"),
    "zoho.rate_limited": ("rate_limit", "zoho.api"),
    "zoho.circuit.open": ("rate_limit", "zoho.api"),
}
#: What is also measured directly; only where it is known from the log does it wait for traffic.
_MEASURED = ("api.latency.high",)
#: So many requests, served since a fix, decide whether it has helped.
REQUESTS = 100


def shows_it(item: Finding) -> bool:
    """Return whether a bad finding is one that only traffic shows."""
    if item["id"] in _MEASURED:
        return "last_seen" in item["evidence"]
    return item["id"] in SHOWN
