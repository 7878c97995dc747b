# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reading of the app's log within the window, from the journal or the files that its unit
writes to, and what of that was not seen.
"""

from __future__ import annotations

import time

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observed
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import coverage
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.patterns import (
    Patterns,
    compiled,
)
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.survey import Survey
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    journal_state,
    requirements,
    unit,
    unit_output,
)
from ansible_collections.sergas.ops.plugins.module_utils._host.journal import (
    KERNEL_DETAILS,
    Burst,
    Journal,
    JournalMissing,
    matches,
)

#: left of the deadline for what comes after reading
_RESERVE_SECONDS = 0.7


def observe(ctx):
    """Read the unit's log within the window and return what it adds up to, and what was not seen.

    Raises:
        JournalUnreadable: this user may not read it.
        CommandMissing: there is no journalctl.
    """
    properties, window = ctx.unit, ctx.params["window"]
    deadline = Deadline(max(0.1, ctx.deadline.remaining() - _RESERVE_SECONDS))
    since = ctx.now - window
    output = unit_output.read(properties)
    namespace = properties.get("LogNamespace", "")
    state = journal_state.read(user=properties.get("User"))
    own = journal_state.read(namespace, properties.get("User")) if namespace else state
    started = unit.since(properties, "ExecMainStartTimestamp", ctx.now)
    own_patterns = ctx.params.get("log_patterns") or ()
    patterns = Patterns(compiled(own_patterns) if own_patterns else ())
    journal = Journal(
        matches(unit.name(ctx.params["service"])), since, deadline, namespace=namespace
    )
    survey = Survey(
        ctx.now,
        (ctx.params["health_path"], "/metrics"),
        times.boot_id().replace("-", "") or None,
        time.clock_gettime(time.CLOCK_MONOTONIC),
        ctx.thresholds["latency_seconds"][0],
        patterns,
    )
    burst, heard = Burst(*_limit(properties, own)), False
    try:
        for chunk in journal.chunks():
            burst.count(chunk)
            heard = heard or output["piped"] and _is_heard(chunk, properties)
            survey.read(chunk)
            if deadline.expired():
                journal.truncated = True
                break
    except JournalMissing:
        pass  # the state of the journal says so
    if journal.truncated and not journal.entries:
        raise DeadlineExceeded("no answer in time from journalctl")
    if survey.saw_death:
        for chunk in Journal(KERNEL_DETAILS, since, deadline).chunks():
            survey.read(chunk)
    readings = [journal] if output["journal"] else []
    for entry in output["files"]:
        readings.append(_read_file(ctx, entry, since, deadline, started, survey))
    result = survey.result(properties)
    oldest = [reading.oldest for reading in readings if reading.oldest is not None]
    result.update(
        window=window,
        since=since,
        now=ctx.now,
        files=[entry["path"] for entry in output["files"]],
        understood_percent=coverage.understood_percent(result),
        entries=sum(reading.entries for reading in readings),
        skipped=sum(reading.skipped for reading in readings),
        truncated=any(reading.truncated for reading in readings),
        oldest=max(oldest) if oldest else None,
    )
    if result["imports"]:
        result["requirements"] = requirements.read(ctx.app_dir)
    problems = [reading.problem for reading in readings[output["journal"] :] if reading.problem]
    if patterns.exhausted:
        problems.append("log_patterns took too long to search every line")
    unreached = coverage.reach(state["beginning"], since, journal_state.began())
    gaps = {
        "journal": coverage.stored(state) or unreached,
        "destination": coverage.destination(output, properties, coverage.stored(own), heard),
        "loss": coverage.loss(result["suppressed"], properties, burst.plain(), ctx.now),
        "window": coverage.window(
            result,
            output["journal"]
            and (
                (unreached if not namespace else None)
                or coverage.reach(own["beginning_of_user"] or own["beginning"], since, started)
            ),
            problems,
        ),
        "lines": coverage.lines(result, ctx.thresholds["errors"][0]),
        "clients": coverage.clients(result, ctx.thresholds["auth_failures"][0]),
        "latency": coverage.latency(result),
    }
    return Observed(result, {aspect: why for aspect, why in gaps.items() if why})


def _is_heard(entries, properties):
    """Whether a process of the running unit beside its main one has written to the journal."""
    invocation, main = properties.get("InvocationID"), properties.get("MainPID")
    return any(
        entry.get("_SYSTEMD_INVOCATION_ID") == invocation and entry.get("_PID") != main
        for entry in entries
    )


def _limit(properties, state):
    """Return (seconds, lines) of journald's limit for the unit; 0 lines: it has none."""
    interval = journal_state.span(properties.get("LogRateLimitIntervalUSec", ""), 0)
    lines = unit.number(properties, "LogRateLimitBurst") or 0
    if not interval and not lines:
        return state["interval"], state["burst"] if state["interval"] else 0
    return interval or state["interval"], lines or state["burst"]


def _read_file(ctx, entry, since, deadline, started, survey):
    """Read a file that the unit writes to into a survey, and return the ``LogFile``."""
    # Only here: most units write to the journal.
    from ansible_collections.sergas.ops.plugins.module_utils._host.log_files import LogFile

    reading = LogFile(
        entry["path"],
        since,
        deadline,
        entry["end"],
        ctx.now,
        started,
        ctx.unit.get("InvocationID"),
    )
    for chunk in reading.chunks():
        survey.read(chunk)
    if entry["kind"] == "truncate" and started and started > since:
        reading.problem = "%s was emptied when the unit was started, at %s" % (
            entry["path"],
            clock(started),
        )
    return reading
