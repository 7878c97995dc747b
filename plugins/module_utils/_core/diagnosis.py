# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A diagnosis: probes observe side by side under one deadline, checks decide what that means.

Only the probes touch the host. A check is a pure function of what they observed, so a probe that is
blind makes its checks ``unknown``, and never takes the others down with it.
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


class Probe(namedtuple("Probe", ["observe", "seconds"])):
    """Something observed on the host. ``observe(context)`` returns plain data.

    Attributes:
        observe: the function.
        seconds: its own limit, within the deadline of the host.
    """

    __slots__ = ()

    observe: Callable[[Context], Any]
    seconds: float


class Check(
    namedtuple(
        "Check",
        ["decide", "needs", "subject", "component", "belongs", "guide", "uses"],
        defaults=[()],
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
    """

    __slots__ = ()

    decide: Callable[..., List[Finding]]
    needs: Tuple[str, ...]
    subject: str
    component: str
    belongs: Tuple[str, ...]
    guide: Optional[str]
    uses: Tuple[str, ...]


class Observation:
    """What a probe came back with: a value, or the reason why there is none."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: Optional[str] = None
        self.absent = False
        self.seconds: Optional[float] = None


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
            args=(probes[name].observe, limited, observations[name]),
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
    return observations


def _observe_one(
    function: Callable[[Context], Any], context: Context, observation: Observation
) -> None:
    started = time.monotonic()
    try:
        observation.value = function(context)
    except NotHere as absent:
        observation.absent = True
        observation.error = str(absent)
    except (DeadlineExceeded, CommandMissing, Unmeasurable) as reason:
        observation.error = str(reason)
    except PermissionError as denied:
        observation.error = "not allowed to read %s: run with become" % (denied.filename or "it")
    except Exception as error:  # a probe must never take the diagnosis of the host down with it
        observation.error = "%s: %s" % (type(error).__name__, error)
    observation.seconds = round(time.monotonic() - started, 3)


def decide(
    name: str, check: Check, context: Context, observations: Mapping[str, Observation]
) -> List[Finding]:
    """Return the findings of one check."""
    inputs = [observations[need] for need in check.needs]
    for observation in inputs:
        if observation.absent:
            return [_absent(check, context, observation.error or "")]
        if observation.error:
            return [_unknown(name, check, observation.error)]
    try:
        helpful = [observations[use].value for use in check.uses]
        findings = check.decide(context, *[observation.value for observation in inputs], *helpful)
    except NotHere as absent:
        return [_absent(check, context, str(absent))]
    except Exception as error:  # see _observe_one
        return [_unknown(name, check, "%s: %s" % (type(error).__name__, error))]
    for item in findings:
        item["guide"] = item["guide"] or check.guide
    return findings


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


def _unknown(name: str, check: Check, reason: str) -> Finding:
    return finding(
        check.subject + ".unknown",
        check.component,
        "unknown",
        "%s could not be measured: %s" % (name, reason),
        guide=check.guide,
    )


def run(
    names: Sequence[str], checks: Mapping[str, Check], probes: Mapping[str, Probe], context: Context
) -> Tuple[List[Tuple[str, List[Finding]]], Dict[str, Optional[float]]]:
    """Run checks with the probes that they need.

    Args:
        names: of the checks.
        checks: {name: Check}.
        probes: {name: Probe}.
        context: the ``Context``; checks that belong to some hosts only need its ``has_any``.

    Returns:
        ([(name, findings)] in the order of the names, {probe: seconds that it took}).
    """
    absent = {
        name for name in names if checks[name].belongs and not context.has_any(checks[name].belongs)
    }
    wanted = [checks[name] for name in names if name not in absent]
    needed = sorted({probe for check in wanted for probe in check.needs + check.uses})
    observations = observe(probes, needed, context)
    found = []
    for name in names:
        if name in absent:
            items = [_absent(checks[name], context, "%s: not on this host" % name)]
        else:
            items = decide(name, checks[name], context, observations)
        found.append((name, items))
    return found, {name: observations[name].seconds for name in needed}
