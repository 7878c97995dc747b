# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host's app serves: then a person decides whether it is restarted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

#: What an app that serves does not have, whatever its health endpoint says.
_DOWN = ("app.service.down", "app.service.missing", "app.port.closed", "app.port.conflict")
_NO_ANSWER = ("api.health.unreachable", "api.health.invalid", "api.health.failing")
#: Percent of the requests that fail: from here on, a restart costs less than it may bring.
_MOST_FAILING = 50.0


def interruption(findings: Iterable[Finding]) -> str | None:
    """Return why an app does not serve, or None if it does as far as is known.

    A health endpoint that answers 200 is good for a load balancer, whatever it says of what the app
    depends on. What was not measured is no reason to restart it.
    """
    for item in findings:
        id, evidence = item["id"], item["evidence"]
        if item["status"] == "fail" and id in _DOWN + _NO_ANSWER:
            return "%s: %s" % (id, item["summary"])
        statuses = evidence.get("statuses")
        if id == "api.health.degraded" and not _answers(statuses):
            return "%s: %s" % (id, item["summary"])
        if id == "app.errors.rate" and _failing(item) >= _MOST_FAILING:
            return "%.0f %% of its requests fail" % _failing(item)
    return None


def serves_now(findings: Sequence[Finding]) -> bool:
    """Return whether it was measured that an app serves."""
    answers = any(
        item["id"] in ("api.health.ok", "api.health.degraded")
        and _answers(item["evidence"].get("statuses"))
        for item in findings
    )
    return answers and interruption(findings) is None


def _answers(statuses: object) -> bool:
    return isinstance(statuses, list) and bool(statuses) and set(statuses) == {200}


def _failing(item: Finding) -> float:
    """Return the percentage of failed requests that ``app.errors.rate`` knows."""
    rate = float(item["value"] or 0) if item["unit"] == "%" else 0.0
    requests, failed = (item["evidence"].get(name) for name in ("requests", "server_errors"))
    if isinstance(requests, int) and isinstance(failed, int) and requests > 0:
        rate = max(rate, 100.0 * failed / requests)
    return rate
