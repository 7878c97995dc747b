# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root causes: which bad finding derives from which other one. Rules are data, this applies them.

To add a cause, add a ``Rule`` to the rules of the subject it speaks of, for example
``Rule("app.port.closed", ("app.service.down",))``. Where it holds only for some findings with these
ids, write a small pure condition with a telling name beside the rules and give it as ``when``. One
fault must give one root, and two faults two: add both cases to the tests.
"""

from __future__ import annotations

from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

    Condition = Callable[[Finding, Finding], bool]
    Rules = Dict[str, List["Rule"]]


def always(_effect: Finding, _cause: Finding) -> bool:
    """Return whether a rule without a condition holds: it does."""
    return True


def all_of(*conditions: Condition) -> Condition:
    """Return a condition that holds where each of these does."""
    return lambda effect, cause: all(condition(effect, cause) for condition in conditions)


class Rule(
    namedtuple("Rule", ["effect", "causes", "when", "why", "select"], defaults=[always, "", None])
):
    """What one kind of finding may derive from.

    Attributes:
        effect: the id of the finding to explain. An id that ends in a dot stands for all that begin
            with it and have no separate rules.
        causes: ids of what explains it, the likeliest first. One that ends in a dot stands for all
            that begin with it, but not for an ``unknown`` finding: what is not known explains
            nothing.
        when: ``when(effect, cause)`` says for two findings whether the rule holds for them.
        why: one sentence, where ids and condition do not say it.
        select: ``select(effect, findings)`` returns which of the causes apply, the likeliest first,
            where that depends on all that is bad; None where all apply as they stand.
    """

    __slots__ = ()

    effect: str
    causes: Tuple[str, ...]
    when: Condition
    why: str
    select: Optional[Callable[[Finding, Sequence[Finding]], Iterable[str]]]


def by_effect(*rules: Rule) -> Rules:
    """Return {effect: its rules}, in the order in which they are tried."""
    result: Rules = {}
    for rule in rules:
        result.setdefault(rule.effect, []).append(rule)
    return result


def derive(findings: Iterable[Finding], rules: Rules) -> List[Finding]:
    """Return the findings with ``cause`` set where a rule explains one; a given cause stays.

    Causes form chains, and each chain ends at a root: no finding derives from itself by any way.

    Args:
        findings: those of one host.
        rules: see ``by_effect``.
    """
    bad = [item for item in findings if is_bad(item)]
    chosen = {id(item): _named(item, bad) for item in bad if item["cause"]}
    found: Dict[int, str] = {}
    unmeasured: Dict[str, Finding] = {}
    for item in bad:
        if not item["cause"]:
            for cause in explanations(rules_for(item["id"], rules), item, bad):
                if not _leads_to(item, cause, chosen):
                    chosen[id(item)] = cause
                    found[id(item)] = cause["id"]
                    break
            else:
                _join_unmeasured(item, unmeasured, found)
    return [{**item, "cause": found[id(item)]} if id(item) in found else item for item in findings]


def _join_unmeasured(item: Finding, unmeasured: Dict[str, Finding], found: Dict[int, str]) -> None:
    """Let what could not be measured for one and the same reason have one root: the first of them.

    Only a reason with a detail says what was not seen: two checks that are ``unknown`` without one
    have nothing in common.
    """
    reason = item["reason"] or ""
    if item["status"] == "unknown" and ":" in reason:
        first = unmeasured.setdefault(reason, item)
        if first is not item and first["id"] != item["id"]:
            found[id(item)] = first["id"]


def rules_for(effect: str, rules: Rules) -> Sequence[Rule]:
    """Return the rules for an id: its own, else those for the longest part that it begins with."""
    while effect:
        if effect in rules:
            return rules[effect]
        effect = effect[: effect.rstrip(".").rfind(".") + 1]
    return ()


def explanations(
    rules: Iterable[Rule], effect: Finding, findings: Sequence[Finding]
) -> Iterator[Finding]:
    """Yield the findings that explain another one, the likeliest first.

    Args:
        rules: a list of them, in the order in which they are tried.
        effect: the finding to explain.
        findings: the bad ones of the host.
    """
    for rule in rules:
        for cause in rule.select(effect, findings) if rule.select else rule.causes:
            for item in findings:
                if item is not effect and matches(item, cause) and rule.when(effect, item):
                    yield item


def matches(item: Finding, cause: str) -> bool:
    """Return whether a finding is what an id in a rule's causes stands for."""
    if cause.endswith("."):
        return item["id"].startswith(cause) and item["status"] != "unknown"
    return item["id"] == cause


def _named(item: Finding, findings: Iterable[Finding]) -> Optional[Finding]:
    """Return the finding that a given cause names, or None: it may be on another host."""
    found = (other for other in findings if other["id"] == item["cause"] and other is not item)
    return next(found, None)


def _leads_to(end: Finding, start: Optional[Finding], chosen: Dict[int, Optional[Finding]]) -> bool:
    for _step in range(len(chosen) + 1):
        if start is end:
            return True
        start = chosen.get(id(start))
        if start is None:
            return False
    return True  # a circle of given causes has no root to lead to
