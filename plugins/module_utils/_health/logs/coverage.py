# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of the app's log was not seen: where it goes, what was dropped, how far back it reaches, and
how much of it is understood. Pure.

Each is an aspect of the probe ``logs``, and its gap is the reason why a check that stands on it
cannot say that all is well.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock

ASPECTS = ("journal", "destination", "loss", "window", "lines", "clients", "latency")
#: of the lines that begin a message
_FEWEST_UNDERSTOOD_PERCENT = 80.0
#: journald begins so many seconds after the first units at most, and an app to log after its start.
_BEGIN_SECONDS = 60
#: A log that was read back less far says nothing: the guide's first command reads as much.
_SHORTEST = 300
#: Fewer requests need not be timed.
_FEWEST_REQUESTS = 10
#: What a limit of journald drops is reported with the next line that it keeps.
_SILENCE = 2.0
_LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
#: standard output has the level info, unless the unit says otherwise
_INFO = 6


def stored(state):
    """Return why a journal keeps nothing of what it gets now, or None.

    Args:
        state: what ``journal_state.read`` returned.
    """
    if state["storage"] == "none":
        return "journald stores nothing (Storage=none)"
    if state["running"] is False:
        return "journald does not run"
    if _number(state["max_level"], len(_LEVELS)) < _INFO:
        return "journald stores no line below %s (MaxLevelStore)" % state["max_level"]
    if state["beginning"] is None:
        return "there are no journal files on this host"
    return None


def reach(beginning, since, begun):
    """Return why a journal does not have everything of the window, or None.

    Args:
        beginning: when its files begin, in seconds since the epoch, or None.
        since: when the window begins.
        begun: when what writes to it began, or None where that is not known.
    """
    if beginning is None or begun is None or beginning <= max(since, begun + _BEGIN_SECONDS):
        return None
    return "the journal has nothing from before %s any more, the window begins at %s" % (
        clock(beginning),
        clock(since),
    )


def destination(output, properties, journals, heard):
    """Return why a part of the unit's output cannot be read, or None.

    Args:
        output: what ``unit_output.read`` returned.
        properties: those of the unit.
        journals: why the journal that the unit writes to keeps nothing, or None.
        heard: whether what takes the output in a pipe writes to the journal.
    """
    if output["elsewhere"]:
        return "; ".join(output["elsewhere"])
    if not output["journal"]:
        return None
    level, most = properties.get("SyslogLevel", ""), properties.get("LogLevelMax", "")
    if most.isdigit() and int(most) < (int(level) if level.isdigit() else _INFO):
        return "LogLevelMax=%s of the unit discards its lines" % _LEVELS[min(int(most), 7)]
    if output["piped"] and not heard:
        return "a pipe takes the output of the unit's process, and none of it is in the journal"
    return journals


def loss(suppressed, properties, burst, now):
    """Return what was dropped of the unit's lines, or None.

    Args:
        suppressed: {count, last} of what journald says it has dropped, or None.
        properties: those of the unit.
        burst: {lines, newest, limit, interval}: how many lines came just before the newest one, and
            what journald keeps in that time; None where that is not known.
        now: the time of the diagnosis.
    """
    if suppressed:
        return "journald has dropped %d lines of the unit, the last ones at %s" % (
            suppressed["count"],
            clock(suppressed["last"]),
        )
    if properties.get("LogFilterPatterns"):
        return "LogFilterPatterns= of the unit discards lines"
    if (
        burst
        and burst["limit"]
        and burst["lines"] >= burst["limit"]
        and now - burst["newest"] > _SILENCE
    ):
        return (
            "the log ends at %s with %d lines within %g s, where journald keeps %d: what came then"
            " may have been dropped"
            % (clock(burst["newest"]), burst["lines"], burst["interval"], burst["limit"])
        )
    return None


def window(logs, journals, problems):
    """Return why the window was not read as a whole, or None.

    Args:
        logs: window, truncated, oldest and now of what was read.
        journals: why the journal that the unit writes to does not have everything, or None.
        problems: of the files that the unit writes to.
    """
    if problems:
        return "; ".join(problems)
    if journals:
        return journals
    if logs["truncated"] and logs["now"] - (logs["oldest"] or logs["now"]) < min(
        _SHORTEST, logs["window"]
    ):
        return "the time to read the log ran out at %s" % (
            clock(logs["oldest"]) or "its newest line"
        )
    return None


def understood_percent(result):
    """Return how many of the lines that begin a message are understood, None for no line."""
    begun = result["lines"] - result["continued"]
    return round(100.0 * (begun - result["unread"]) / begun, 1) if begun > 0 else None


def lines(result, fewest_errors):
    """Return why it is not known which lines are errors, or None: no access line says how requests
    end, and too few lines are understood.

    Args:
        result: what the survey adds up to.
        fewest_errors: so many error lines would be a finding.
    """
    percent = understood_percent(result)
    if (
        percent is None
        or percent >= _FEWEST_UNDERSTOOD_PERCENT
        or result["unread"] < fewest_errors
        or result["requests"]
    ):
        return None
    return (
        "%g %% of the log's lines are in a format that is understood, and it has no access lines:"
        " for example %r" % (percent, result["unread_samples"][0][:80])
    )


def clients(result, fewest_failures):
    """Return why it is not known who was refused, or None."""
    count = result["refused_without_address"]
    if count < fewest_failures:
        return None
    return "%d requests were refused, and the log does not say to which address" % count


def latency(result):
    """Return why it is not known how long requests take, or None."""
    if result["requests"] < _FEWEST_REQUESTS or result["timed"]:
        return None
    return "the log has %d requests and does not say how long they took" % result["requests"]


def _number(level, unknown):
    if level.isdigit():
        return int(level)
    return _LEVELS.index(level) if level in _LEVELS else unknown
