# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The diagnosis of one host: probes observe side by side, checks decide, causes are derived.

Three steps, so that only the first one touches the host:

1. every probe that a selected check needs runs in a thread, until its deadline;
2. each check turns what was observed into findings (pure functions);
3. ``causes.derive`` says which finding derives from which other one (pure, too).
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, diagnosis, ranges
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad, roots
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact_all
from ansible_collections.sergas.ops.plugins.module_utils._health import settled
from ansible_collections.sergas.ops.plugins.module_utils._health.context import Context
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger_reader

#: What the options that are numbers may be: (name, least, most).
RANGES = (
    ("window", 1, 366 * 86400),
    ("deadline", 1, 600),
    ("samples", 1, 100),
    ("port", 1, 65535),
    ("database_port", 1, 65535),
    ("redis_port", 1, 65535),
)
#: How many of the host's recent changes are shown.
CHANGES = 20


<<<<<<< HEAD
=======
class Probe(namedtuple("Probe", ["observe", "seconds"])):
    """Something observed on the host. ``observe(context)`` returns plain data.

    Attributes:
        observe: the function.
        seconds: its own limit, within the deadline of the host.
    """

    __slots__ = ()


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


class Observation:
    """What a probe came back with: a value, or the reason why there is none."""

    def __init__(self):
        self.value = None
        self.error = None
        self.absent = False
        self.seconds = None


def observe(probes, names, context):
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


def _observe_one(function, context, observation):
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


def decide(name, check, context, observations):
    """Return the findings of one check."""
    inputs = [observations[need] for need in check.needs]
    for observation in inputs:
        if observation.absent:
            return [_absent(check, context, observation.error)]
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


def _absent(check, context, reason):
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


def _unknown(name, check, reason):
    return finding(
        check.subject + ".unknown",
        check.component,
        "unknown",
        "%s could not be measured: %s" % (name, reason),
        guide=check.guide,
    )


>>>>>>> health
def diagnose(params, checks, probes):
    """Diagnose this host and return the result of the module.

    Args:
        params: the options of ``sergas_health``, as validated by its argument spec.
        checks: {name: Check}, in the order of the report.
        probes: {name: Probe}.

    Returns:
        dict with findings, roots, counts, the app, recent changes and the seconds each probe took.

    Raises:
        ValueError: an option that cannot be; the message names it, its value and what is allowed.
    """
    ranges.check(params, RANGES)
    check_addresses(params)
    names = diagnosis.select(list(checks), params["checks"], params["skip"])
    context = Context(params, Deadline(params["deadline"]))
    found, seconds = diagnosis.run(names, checks, probes, context)
    secrets = context.secrets()
    recent = ledger_reader.read()
    findings = []
    for name, items in found:
        findings += settled.settle(items, checks[name].subject + ".ok", recent or ())
    flat = redact_all(_derive(findings), secrets)
    return {
        "changed": False,
        "findings": flat,
        "roots": [item["id"] for item in roots(flat)],
        "bad": sum(1 for item in flat if is_bad(item)),
        "components": context.found(),
        "app": context.app(),
        "changes": None if recent is None else redact_all(recent[:CHANGES], secrets),
        "probe_seconds": seconds,
    }


def _derive(findings):
    if not any(is_bad(item) for item in findings):
        return findings
    # Only here: most hosts are well most of the time, and compiling it takes as long as a probe.
    from ansible_collections.sergas.ops.plugins.module_utils._health import cause_rules

    return cause_rules.derive(findings)


def check_addresses(params):
    """Raise a ValueError for the first of the balancers' addresses that is none.

    An address in a bad form is not resolved: some resolvers take 192.0.2.07 for an address.
    """
    for text in params.get("balancer_addresses") or ():
        addresses.option_or_name("balancer_addresses", text)
