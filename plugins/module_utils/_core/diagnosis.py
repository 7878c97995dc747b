# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A diagnosis: probes observe side by side under one deadline, checks decide what that means.

Only the probes touch the host. A check is a pure function of what they observed, so a probe that is
blind makes its checks ``unknown``, and never takes the others down with it.

A probe may see a part only. It says so by ``gaps``: {aspect: reason}. A check names the aspects
that its ok stands on, and where one of them has a gap, ``decide`` turns the ok into ``unknown``: no
check has to remember to do so.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    NotHere,
    Unmeasurable,
    finding,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.process import CommandMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

    from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding


class Context:
    """What every probe and every check needs to know.

    Attributes:
        params: the options of the module.
        deadline: the ``Deadline`` of what is being done.
        components: what this host must have, or None where that is to be found out.
        has_any: whether the host has one of some components; only what names them in ``belongs``
            needs it.
    """

    has_any: Callable[[Sequence[str]], bool]

    def __init__(
        self, params: Dict[str, Any], deadline: Deadline, components: Optional[Sequence[str]] = None
    ) -> None:
        self.params = params
        self.deadline = deadline
        self.components = components

    def within(self, seconds: float) -> Context:
        """Return a copy whose deadline comes in this many seconds at the latest."""
        limited = copy.copy(self)
        limited.deadline = self.deadline.within(seconds)
        return limited


class Observed(namedtuple("Observed", ["value", "gaps"])):
    """What a probe returns that may see a part only.

    Attributes:
        value: plain data: what was seen.
        gaps: {aspect: why it was not seen, or not as a whole}; the aspects are the probe's.
    """

    __slots__ = ()

    value: Any
    gaps: Mapping[str, str]


class Probe(
    namedtuple("Probe", ["observe", "seconds", "aspects", "explains"], defaults=[(), False])
):
    """Something observed on the host. ``observe(context)`` returns plain data, or ``Observed``.

    Attributes:
        observe: the function.
        seconds: its own limit, within the deadline of the host.
        aspects: the parts of what it observes that it may miss while it sees the others.
        explains: whether it only explains what others find: it is run where something is bad.
    """

    __slots__ = ()

    observe: Callable[[Context], Any]
    seconds: float
    aspects: Tuple[str, ...]
    explains: bool


class Check(
    namedtuple(
        "Check",
        [
            "decide",
            "needs",
            "subject",
            "component",
            "belongs",
            "guide",
            "uses",
            "stands_on",
            "complete",
        ],
        defaults=[(), None, None],
    )
):
    """A question an operator can select. ``decide(context, *observations)`` returns findings.

    Attributes:
        decide: the function.
        needs: the probes whose observations ``decide`` takes, in this order.
        subject: the findings of the check start with it: ``host.disk`` gives ``host.disk.high``.
        component: that of the findings.
        belongs: what has to be on a host for the check to make sense; empty: any host.
        guide: the section of the troubleshooting guide.
        uses: probes that help where they answer: ``decide`` gets their observations after those, or
            None.
        stands_on: the aspects without which there is no ok, each as ``probe.aspect``, or as several
            of which one is enough; None: all aspects of the probes that it needs.
        complete: why there is no such aspect: what the check is decided from is seen as a whole, or
            its probe fails.
    """

    __slots__ = ()

    decide: Callable[..., List[Finding]]
    needs: Tuple[str, ...]
    subject: str
    component: str
    belongs: Tuple[str, ...]
    guide: Optional[str]
    uses: Tuple[str, ...]
    stands_on: Optional[Tuple[Any, ...]]
    complete: Optional[str]

    def aspects(self, probes: Mapping[str, Probe]) -> List[Tuple[str, ...]]:
        """Return what an ok of this check stands on: aspects, of each of which one is enough."""
        if self.stands_on is None:
            return [
                ("%s.%s" % (need, aspect),)
                for need in self.needs
                for aspect in probes[need].aspects
            ]
        return [(one,) if isinstance(one, str) else tuple(one) for one in self.stands_on]


class Observation:
    """What a probe came back with: a value and its gaps, or the reason why there is none.

    Attributes:
        value: plain data.
        gaps: {aspect: why it is not, or not as a whole, in the value}.
        error: why there is no value, or None.
        reason: the code of that, see ``FAILURES``.
        absent: whether there is nothing to observe on this host.
        seconds: how long it took.
    """

    def __init__(self) -> None:
        self.value: Any = None
        self.gaps: Dict[str, str] = {}
        self.error: Optional[str] = None
        self.reason: Optional[str] = None
        self.absent = False
        self.seconds: Optional[float] = None

    def gap(self, aspect: str) -> Optional[str]:
        """Return why an aspect was not seen, or None where it was."""
        return self.error or self.gaps.get(aspect)


def observe(
    probes: Mapping[str, Probe], names: Iterable[str], context: Context
) -> Dict[str, Observation]:
    """Run the named probes side by side and return {name: Observation}; none outlives the
    deadline.
    """
    observations = {name: Observation() for name in names}
    threads = []
    for name in names:
        limited = context.within(probes[name].seconds)
        thread = threading.Thread(
            target=_observe_one,
            args=(probes[name], limited, observations[name]),
            daemon=True,
        )
        thread.start()
        threads.append((name, thread, limited.deadline, limited.deadline.remaining()))
    for name, thread, deadline, seconds in threads:
        thread.join(deadline.remaining() + 0.1)
        if thread.is_alive():
            # The thread may still set a value later: what counts is what was there in time.
            observations[name] = Observation()
            observations[name].error = "no answer within %.1f s" % seconds
            observations[name].reason = "timeout"
    return observations


#: Why an observation failed, as the reason of what stays unknown: the first class that it is of.
FAILURES = (
    (DeadlineExceeded, "timeout"),
    (CommandMissing, "command"),
    (PermissionError, "permission"),
    (Unmeasurable, "unmeasurable"),
    (Exception, "error"),
)


def _observe_one(probe: Probe, context: Context, observation: Observation) -> None:
    started = time.monotonic()
    try:
        value = probe.observe(context)
        if isinstance(value, Observed):
            undeclared = set(value.gaps) - set(probe.aspects)
            if undeclared:
                raise ValueError("gaps in undeclared aspects: %s" % ", ".join(sorted(undeclared)))
            observation.gaps = dict(value.gaps)
            value = value.value
        observation.value = value
    except NotHere as absent:
        observation.absent = True
        observation.error = str(absent)
    except Exception as failure:  # a probe must never take the diagnosis of the host down with it
        observation.error = _sentence(failure)
        observation.reason = next(code for kind, code in FAILURES if isinstance(failure, kind))
    observation.seconds = round(time.monotonic() - started, 3)


def _sentence(failure: Exception) -> str:
    if isinstance(failure, PermissionError):
        return "not allowed to read %s: run with become" % (failure.filename or "it")
    if isinstance(failure, (DeadlineExceeded, CommandMissing, Unmeasurable)):
        return str(failure)
    return "%s: %s" % (type(failure).__name__, failure)


def decide(
    name: str,
    check: Check,
    probes: Mapping[str, Probe],
    context: Context,
    observations: Mapping[str, Observation],
) -> List[Finding]:
    """Return the findings of one check: no ok where an aspect has a gap that it stands on."""
    inputs = [observations[need] for need in check.needs]
    for need, observation in zip(check.needs, inputs):
        if observation.absent:
            return [_absent(check, context, observation.error or "")]
        if observation.error:
            reason = "%s:%s" % (observation.reason or "error", need)
            return [_unknown(name, check, observation.error, reason)]
    try:
        helpful = [observations[use].value if use in observations else None for use in check.uses]
        findings = check.decide(context, *[observation.value for observation in inputs], *helpful)
    except NotHere as absent:
        return [_absent(check, context, str(absent))]
    except Exception as error:  # see _observe_one
        return [_unknown(name, check, "%s: %s" % (type(error).__name__, error), "error:" + name)]
    findings = _judge_gaps(name, check, findings, _gaps(check, probes, observations))
    for item in findings:
        item["guide"] = item["guide"] or check.guide
    return findings


def _gaps(
    check: Check, probes: Mapping[str, Probe], observations: Mapping[str, Observation]
) -> Dict[str, str]:
    """Return {aspect that the check stands on: why it was not seen}."""
    gaps = {}
    for alternatives in check.aspects(probes):
        missing = {}
        for full in alternatives:
            probe, _dot, aspect = full.partition(".")
            missing[full] = observations[probe].gap(aspect)
        if all(missing.values()):
            gaps[alternatives[0]] = "; ".join(dict.fromkeys(missing.values()))  # type: ignore[arg-type]
    return gaps


def _judge_gaps(
    name: str, check: Check, findings: List[Finding], gaps: Dict[str, str]
) -> List[Finding]:
    """Return the findings without an ok that stands on what was not seen.

    What is bad was seen, so it stays as it is; its evidence says what was not.
    """
    if not gaps:
        return findings
    good = [item for item in findings if item["status"] == "ok"]
    result = [item for item in findings if item["status"] != "ok"]
    for item in result:
        if item["status"] in ("warn", "fail"):
            item["evidence"] = dict(item["evidence"], gaps=gaps)
    if good:
        aspect = min(gaps)
        item = _unknown(name, check, "; ".join(dict.fromkeys(gaps.values())), "gap:" + aspect)
        evidence = {key: value for one in good for key, value in one["evidence"].items()}
        item["evidence"] = dict(evidence, gaps=gaps, seen=[one["summary"] for one in good])
        result.append(item)
    return result


def _absent(check: Check, context: Context, reason: str) -> Finding:
    if set(check.belongs) & set(context.components or ()):
        return finding(
            check.subject + ".missing",
            check.component,
            "fail",
            "%s, and this host must have it" % reason,
            guide=check.guide,
        )
    return finding(
        check.subject + ".skipped", check.component, "skipped", reason, guide=check.guide
    )


def _unknown(name: str, check: Check, sentence: str, reason: str) -> Finding:
    return finding(
        check.subject + ".unknown",
        check.component,
        "unknown",
        "%s could not be measured: %s" % (name, sentence),
        reason=reason,
        guide=check.guide,
    )


def run(
    names: Sequence[str], checks: Mapping[str, Check], probes: Mapping[str, Probe], context: Context
) -> Tuple[List[Tuple[str, List[Finding]]], Dict[str, Observation]]:
    """Run checks with the probes that they need.

    Args:
        names: of the checks.
        checks: {name: Check}.
        probes: {name: Probe}.
        context: the ``Context``; checks that belong to some hosts only need its ``has_any``.

    Returns:
        ([(name, findings)] in the order of the names, {probe: its ``Observation``}).
    """
    observations = observe(probes, needed(names, checks, context), context)
    return judge(names, checks, probes, context, observations), observations


def needed(names: Iterable[str], checks: Mapping[str, Check], context: Context) -> List[str]:
    """Return the probes that checks need or use on this host."""
    wanted = [checks[name] for name in names if _is_here(checks[name], context)]
    return sorted({probe for check in wanted for probe in check.needs + check.uses})


def judge(
    names: Sequence[str],
    checks: Mapping[str, Check],
    probes: Mapping[str, Probe],
    context: Context,
    observations: Mapping[str, Observation],
) -> List[Tuple[str, List[Finding]]]:
    """Return [(name, findings)] of checks, from what was observed; nothing touches the host."""
    found = []
    for name in names:
        if any(probes[need].explains and need not in observations for need in checks[name].needs):
            items = [_absent(checks[name], context, "%s: nothing is wrong to be explained" % name)]
        elif _is_here(checks[name], context):
            items = decide(name, checks[name], probes, context, observations)
        else:
            items = [_absent(checks[name], context, "%s: not on this host" % name)]
        found.append((name, items))
    return found


def _is_here(check: Check, context: Context) -> bool:
    return not check.belongs or context.has_any(check.belongs)
