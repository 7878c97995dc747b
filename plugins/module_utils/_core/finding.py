# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings: what a probe has to say about one subject of one host, in one fixed shape."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional, TypedDict

    class _Contract(TypedDict):
        id: str
        component: str
        status: str
        #: which of the causes that an id can have; ``code`` or ``code:detail``, see reason_code
        reason: Optional[str]
        summary: str
        value: Optional[float]
        unit: Optional[str]
        warn: Optional[float]
        fail: Optional[float]
        confidence: str
        evidence: Dict[str, Any]
        cause: Optional[str]
        remedy: Optional[str]
        advice: Optional[str]
        guide: Optional[str]

    class Finding(_Contract, total=False):
        """What ``finding`` returns, and what the report of all hosts adds to it."""

        #: the id of its root cause, and the host that has that one; None where it is the fleet's
        root: Optional[str]
        root_host: Optional[str]
        #: the part of the diagnosis that made it, and its check: ``health:disk``, ``zoho``
        check: Optional[str]


COMPONENTS = (
    "app",
    "api",
    "database",
    "redis",
    "zoho",
    "cognee",
    "host",
    "security",
    "loadbalancer",
)
#: From best to worst. A finding that could not be measured ranks above a warning: it may hide
#: anything.
STATUSES = ("skipped", "ok", "warn", "unknown", "fail")
BAD = ("warn", "unknown", "fail")
CONFIDENCES = ("measured", "estimated", "blind")


class Unmeasurable(OperationError):
    """What was to be measured cannot be; the message is the reason, as a report shows it."""


def finding(id: str, component: str, status: str, summary: str, **details: Any) -> Finding:
    """Return one finding, with every key of the contract.

    Args:
        id: dotted and stable, ``component.subject.state``.
        component: one of COMPONENTS.
        status: one of STATUSES.
        summary: one sentence with the figure and its threshold.
        details: any of reason, value, unit, warn, fail, confidence, evidence, cause, remedy,
            advice, guide. The reason is one of the codes that docs/findings.md has for the id; what
            tells two causes of one code apart follows after a colon: ``missing:DATABASE_NAME``.

    Raises:
        ValueError: for a component, status, confidence or key that the contract does not know, and
            for a blind finding that claims anything but ``unknown``.
    """
    if component not in COMPONENTS:
        raise ValueError("component %r is not one of %s" % (component, ", ".join(COMPONENTS)))
    if status not in STATUSES:
        raise ValueError("status %r is not one of %s" % (status, ", ".join(STATUSES)))
    result: Finding = {
        "id": id,
        "component": component,
        "status": status,
        "reason": None,
        "summary": summary,
        "value": None,
        "unit": None,
        "warn": None,
        "fail": None,
        "confidence": "blind" if status == "unknown" else "measured",
        "evidence": {},
        "cause": None,
        "remedy": None,
        "advice": None,
        "guide": None,
    }
    extra = set(details) - set(result)
    if extra:
        raise ValueError("a finding has no %s" % ", ".join(sorted(extra)))
    result.update(details)  # type: ignore[typeddict-item]  # its keys were just checked
    if result["confidence"] not in CONFIDENCES:
        raise ValueError(
            "confidence %r is not one of %s" % (result["confidence"], ", ".join(CONFIDENCES))
        )
    if result["confidence"] == "blind" and status not in ("unknown", "skipped"):
        raise ValueError("finding %s is blind, so its status cannot be %s" % (id, status))
    return result


def grade(value: float, warn: Optional[float], fail: Optional[float]) -> str:
    """Return ``ok``, ``warn`` or ``fail`` for a number where more is worse; a threshold may be
    None.
    """
    if fail is not None and value >= fail:
        return "fail"
    if warn is not None and value >= warn:
        return "warn"
    return "ok"


def reason_code(item: Finding) -> Optional[str]:
    """Return the reason of a finding without its detail."""
    reason = item["reason"]
    return reason.partition(":")[0] if reason else None


def is_bad(item: Finding) -> bool:
    """Return whether a finding needs attention: ``unknown`` does, it is not ok."""
    return item["status"] in BAD


def roots(findings: Iterable[Finding]) -> List[Finding]:
    """Return the bad findings that derive from no other one."""
    return [item for item in findings if is_bad(item) and not item["cause"]]


class NotHere(OperationError):
    """The thing to probe is not on this host; the message is the sentence for the report."""
