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

import copy
import re
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import (
    addresses,
    diagnosis,
    options,
    times,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad, roots
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact_all
from ansible_collections.sergas.ops.plugins.module_utils._core.traffic import SHOWN
from ansible_collections.sergas.ops.plugins.module_utils._health import resolved
from ansible_collections.sergas.ops.plugins.module_utils._health.context import Context
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_endpoint,
    cluster_managers,
    distribution,
    ledger,
    ledger_reader,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import http

#: A name or an address of a URL: host, host:port, [IPv6]:port
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")
#: What the options that are numbers may be: (name, least, most).
RANGES = (
    ("window", 1, 366 * 86400),
    ("deadline", 1, 600),
    ("samples", 1, 100),
    ("verify_requests", 1, 1000000),
    ("port", 1, 65535),
    ("database_port", 1, 65535),
    ("redis_port", 1, 65535),
    # In units of the operator's own.
    ("prometheus_queries.warn", -1e15, 1e15),
    ("prometheus_queries.fail", -1e15, 1e15),
    ("controller_time", 0, 2**33),
)
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}\.[A-Za-z_][A-Za-z0-9_$]{0,62}\Z")
#: How many of the host's recent changes are shown.
CHANGES = 20


def diagnose(params, checks, probes):
    """Diagnose this host and return the result of the module.

    Args:
        params: the options of ``sergas_health``, as validated by its argument spec.
        checks: {name: Check}, in the order of the report.
        probes: {name: Probe}.

    Returns:
        dict with findings, roots, counts, the app, the distribution, recent changes and the seconds
        each probe took.

    Raises:
        ValueError: an option that cannot be; the message names it, its value and what is allowed.
    """
    started = time.monotonic()
    options.check_ranges(params, RANGES)
    check_addresses(params)
    check_requests(params)
    check_tables(params)
    if params.get("log_patterns"):
        from ansible_collections.sergas.ops.plugins.module_utils._health.logs import patterns

        patterns.compiled(params["log_patterns"])
    names = options.select(list(checks), params["checks"], params["skip"])
    context = Context(params, Deadline(params["deadline"]))
    recent = ledger_reader.read()
    observations = _observe(names, checks, probes, context, recent)
    secrets = context.secrets()
    if params["record"]:
        from ansible_collections.sergas.ops.plugins.module_utils._health import recording

        recorded = recording.record(context, observations, names, recent)
        judged = dict(replay(recorded, checks, probes), recording=recorded)
    else:
        judged = judge(names, checks, probes, context, observations, recent, secrets)
    return {
        "changed": False,
        **judged,
        "components": context.found(),
        "distribution": distribution.read(),
        "managed": cluster_managers.read(),
        "app": context.app(_own_database(observations)),
        "changes": None if recent is None else redact_all(recent[:CHANGES], secrets),
        "seconds": round(time.monotonic() - started, 3),
        "probe_seconds": {name: one.seconds for name, one in observations.items()},
    }


def _own_database(observations):
    """Return what was seen of the app's own database, None where it was not queried."""
    value = observations["database"].value if "database" in observations else None
    own = [item for item in (value or {}).get("reached", ()) if not item.get("local")]
    return own[0] if own else None


def _observe(names, checks, probes, context, recent):
    """Return {probe: Observation}: what each host needs, then what explains what is bad there.

    Most hosts are well most of the time, so the second step costs them nothing.
    """
    since = _since(_waiting(recent, names), probes, context.now)
    wanted = diagnosis.needed([*names, _COUNTING] if since else names, checks, context)
    first = [*(probe for probe in wanted if not probes[probe].explains), *since]
    later = [probe for probe in wanted if probes[probe].explains]
    observations = diagnosis.observe({**probes, **since}, first, context)
    if later:
        found = judge(names, checks, probes, context, observations, recent)
        if found["bad"] or _kernel_errors(observations):
            observations.update(diagnosis.observe(probes, later, context))
    return observations


def _kernel_errors(observations):
    """Return whether the kernel has reported errors: a disk may fail before any service does."""
    logs = observations.get("logs")
    return bool(logs and logs.value and logs.value.get("kernel_errors"))


def replay(recorded, checks, probes):
    """Return what ``judge`` says of a recording; nothing touches a host.

    Raises:
        InvalidValue: it is no recording, or one that this collection cannot judge.
    """
    from ansible_collections.sergas.ops.plugins.module_utils._health import recording

    names, context, observations, recent = recording.read(recorded)
    unknown = sorted(set(names) - set(checks))
    if unknown:
        raise InvalidValue("recording: there is no check %s" % ", ".join(unknown))
    return judge(names, checks, probes, context, observations, recent)


def judge(names, checks, probes, context, observations, recent, secrets=()):
    """Return the findings and what follows from them: pure.

    Args:
        names: of the checks.
        checks: {name: Check}.
        probes: {name: Probe}.
        context: a ``Context``, or a recorded one.
        observations: {probe: Observation}.
        recent: the entries of the host's ledger, or None.
        secrets: values that must not appear in the result.
    """
    found = diagnosis.judge(names, checks, probes, context, observations)
    findings, checked = [], {}
    for name, items in found:
        marked = resolved.mark_resolved(items, checks[name].subject + ".ok", recent or ())
        findings += marked
        checked[name] = len(marked)
    if any(item["status"] in ("warn", "fail") for item in findings):
        aside = {checks[name].subject for name in names if _explains(checks[name], probes)}
        findings = [_aside(item, aside) for item in findings]
    decided = []
    waiting = _waiting(recent, names)
    if waiting:
        # Only on hosts on which a remedy waits for traffic.
        from ansible_collections.sergas.ops.plugins.module_utils._health import awaiting

        def again(wanted, entry):
            since = dict(observations, logs=observations[_LOGS_SINCE % entry["ended"]])
            fresh = diagnosis.judge([*wanted, _COUNTING], checks, probes, context, since)
            return [item for _name, items in fresh for item in items]

        needed = context.params["verify_requests"]
        findings, decided = awaiting.conclude(findings, waiting, again, needed)
        # Their order is another one now.
        checked = {}
    flat = redact_all(_derive(findings), secrets)
    return {
        "findings": flat,
        "checked": checked,
        "found_by": _found_by(found),
        "decided": redact_all(decided, secrets),
        "roots": [item["id"] for item in roots(flat)],
        "bad": sum(1 for item in flat if is_bad(item)),
    }


def _explains(check, probes):
    return bool(check.needs) and all(probes[need].explains for need in check.needs)


def _aside(item, subjects):
    """Return a finding; one with these subjects only explains others, so that it could not be
    measured is no fault of the host beside what is to be explained.
    """
    subject = item["id"].rpartition(".")[0]
    if item["status"] != "unknown" or subject not in subjects:
        return item
    return dict(item, id=subject + ".skipped", status="skipped")


#: The observation of the log since a remedy ended.
_LOGS_SINCE = "logs@%s"
#: The check whose findings say how many requests there were.
_COUNTING = "errors"


def _waiting(recent, names):
    """Return {id: entry of the ledger} of what waits for traffic and is checked."""
    waiting = ledger.waiting(recent or ())
    return {id: waiting[id] for id in waiting if id in SHOWN and SHOWN[id][0] in names}


def _since(waiting, probes, now):
    """Return {name: Probe} of the log since each remedy that waits for traffic."""
    found = {}
    for entry in waiting.values():
        # Whole seconds: the one in which it ended belongs to what was before.
        seconds = max(1, int(now - times.seconds(entry["ended"])) - 1)
        found[_LOGS_SINCE % entry["ended"]] = probes["logs"]._replace(
            observe=_over(probes["logs"].observe, seconds)
        )
    return found


def _over(observe, seconds):
    def observe_since(context):
        since = copy.copy(context)
        since.params = dict(context.params, window=seconds)
        return observe(since)

    return observe_since


def _found_by(found):
    """Return {id: names of the checks that have it} of what is bad: they verify a remedy."""
    by = {}
    for name, items in found:
        for item in items:
            if is_bad(item) and name not in by.setdefault(item["id"], []):
                by[item["id"]].append(name)
    return by


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


def check_requests(params):
    """Refuse what cannot be sent to the app, by the name of the option; a value may be a secret."""
    host, token = params.get("health_host"), params.get("latency_token")
    if host is not None and not _HOST.match(host):
        raise InvalidValue(
            "health_host: %r is not allowed, it must be a name or an address, with or without port"
            % host
        )
    for option, headers in (
        ("latency_token", {"Authorization": token or ""}),
        ("latency_headers", app_endpoint.headers(params)),
    ):
        try:
            http.check_headers(headers)
        except InvalidValue as error:
            raise InvalidValue("%s: %s" % (option, error)) from None


def check_tables(params):
    """Raise a ValueError for the first of the required tables whose name cannot be one."""
    for name in params.get("required_tables") or ():
        if not _TABLE.match(name):
            raise InvalidValue(
                "required_tables: %r is not allowed, it must be of the form schema.table, of"
                " letters, digits, _ and $" % name
            )
