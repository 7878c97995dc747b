# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a remedy has helped: what the same probe says before it and after it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad
from ansible_collections.sergas.ops.plugins.plugin_utils.report.comparison import subject
from ansible_collections.sergas.ops.plugins.plugin_utils.report.outcomes import key

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

#: One problem may hide the next: behind a database that is down there may be a wrong password. What
#: comes to light deeper in one of these rows is not the work of the remedy.
LAYERS = (
    ("db.unreachable", "db.auth.failed", "db.missing", "db.connections.exhausted", "db."),
    ("redis.unreachable", "redis.auth.failed", "redis."),
    (
        "app.env.",
        "app.import.error",
        "app.port.conflict",
        "app.service.down",
        "app.port.closed",
        "db.",
        "redis.",
        "app.",
        "api.",
    ),
    ("zoho.token.invalid", "zoho."),
    ("cognee.", "cognee."),
)
_BAD = {"good": False, "gone": False, "worse": False, "awaiting": []}


def judge(
    wanted: Sequence[str],
    before: Container[str],
    after: Sequence[Finding] | None,
    resolves: bool = True,
    others: Container[tuple[str, str | None]] = (),
    awaiting: Sequence[str] = (),
) -> dict[str, Any]:
    """Return ``{good, gone, worse, awaiting, reason}`` of a check of a host.

    Args:
        wanted: the ids of the findings that should be gone.
        before: the ids of the bad findings before the remedy.
        after: those of the same probe now, or None if it gave none.
        resolves: whether the check shows the wanted, and they are to be gone. Otherwise it shows
            only that nothing else has failed.
        others: the (id, reason) of findings that were bad before and are no matter of the remedy: a
            second full disk, another missing variable.
        awaiting: those of the wanted that only traffic shows.

    Returns:
        good: the wanted were checked and none of them is bad any more, but for those that this
            check does not show, and nothing new has failed.
        gone: the wanted were checked and are gone, whatever else there is.
        worse: something has failed that had not before.
        awaiting: those of the wanted of which it is not known.
        reason: a sentence, for people.
    """
    if not after or all(item["status"] == "skipped" for item in after):
        return {**_BAD, "reason": "the probe gave no answer"}
    left = [id for id in wanted if not resolves or id in awaiting]
    shown = [id for id in wanted if id not in left]
    bad = [item for item in after if is_bad(item) and key(item) not in others]
    checked = {subject(item["id"]) for item in after if item["status"] in ("ok", "warn", "fail")}
    unchecked = [id for id in shown if subject(id) not in checked]
    gone = not left and not unchecked
    for item in bad:
        if item["id"] in shown:
            return {**_BAD, "reason": "still %s: %s" % _described(item)}
    for item in bad:
        if item["status"] == "unknown" and subject(item["id"]) in map(subject, shown):
            return {**_BAD, "reason": "not measured: %s: %s" % _described(item)}
    for item in bad:
        new = item["status"] == "fail" and not item["cause"]
        new = new and item["id"] not in before and item["id"] not in left
        if new and not any(_is_deeper(item["id"], id) for id in wanted):
            reason = "new: %s: %s" % _described(item)
            return {**_BAD, "gone": gone, "worse": True, "reason": reason}
    if unchecked:
        return {**_BAD, "reason": "not measured: %s" % ", ".join(unchecked)}
    return {
        "good": True,
        "gone": gone,
        "worse": False,
        "awaiting": left,
        "reason": _reason(shown, left, resolves),
    }


def _reason(shown: Sequence[str], left: Sequence[str], resolves: bool) -> str:
    parts = []
    if shown:
        parts.append("%s %s gone" % (", ".join(shown), "is" if len(shown) == 1 else "are"))
    if left and resolves:
        parts.append("only traffic shows whether %s has ended" % ", ".join(left))
    elif left:
        parts.append("nothing else has failed; this check does not show %s" % ", ".join(left))
    return "; ".join(parts)


def _described(item: Finding) -> tuple[str, str]:
    return item["id"], item["summary"]


def _is_deeper(id: str, other: str) -> bool:
    """Return whether a problem could not be seen while another one was there."""
    for layers in LAYERS:
        depth, hidden_by = _depth(id, layers), _depth(other, layers)
        if depth is not None and hidden_by is not None and depth > hidden_by:
            return True
    return False


def _depth(id: str, layers: Iterable[str]) -> int | None:
    """Return the first layer that an id belongs to; one with a dot at its end means all below."""
    for depth, layer in enumerate(layers):
        if id == layer or (layer.endswith(".") and id.startswith(layer)):
            return depth
    return None


def findings_of(results: Iterable[Any]) -> list[Finding] | None:
    """Return the findings of registered results, or None if one of them has none.

    Args:
        results: registered results, those of tasks that were skipped included.
    """
    found: list[Finding] = []
    for result in results:
        if not isinstance(result, dict) or result.get("skipped"):
            continue
        if not isinstance(result.get("findings"), list):
            return None
        found += result["findings"]
    return found or None
