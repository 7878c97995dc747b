# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a unit's last attempt to start has failed: pure, from what ``last_start`` has read."""

from __future__ import annotations

import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import tracebacks

#: systemd.exec(5): statuses with which systemd itself reports that it could not start a command
SYSTEMD_STATUS = {
    200: "its WorkingDirectory cannot be entered",
    203: "its command cannot be executed",
    205: "its resource limits cannot be set",
    208: "its input cannot be set up",
    209: "its output cannot be set up",
    214: "its scheduling cannot be set",
    216: "its group does not exist",
    217: "its user does not exist",
    218: "its capabilities cannot be set",
    219: "its control group cannot be set up",
    222: "its output of errors cannot be set up",
    226: "its namespace cannot be set up",
    228: "its filter of system calls cannot be set up",
    231: "its AppArmor profile cannot be set",
    233: "its RuntimeDirectory cannot be made",
    238: "its StateDirectory cannot be made",
    240: "its LogsDirectory cannot be made",
    241: "its ConfigurationDirectory cannot be made",
    243: "its credentials cannot be set up",
}
_SIGNALS = {"6": "ABRT", "9": "KILL", "11": "SEGV", "15": "TERM", "31": "SYS"}
_CONDITION = re.compile(r"\b((?:Condition|Assert)\w{1,40}=[^\s)]{0,300})")
_STEP = re.compile(r"Failed at step (\w{1,40}) spawning ([^:]{1,300}): (.{1,200})")
_COMMAND = re.compile(
    r"\{ path=(\S{0,300}) ; .{0,2000}?ignore_errors=no ; .{0,300}? code=(\w+) ; status=(\d+)"
)
_NAME = re.compile(r"[A-Za-z_][\w.]{0,80}\Z")
_LONGEST = 300
#: One entry of the journal may have many lines.
_MOST_LINES = 400


class Reason(namedtuple("Reason", ["code", "words"])):
    """Why a start has failed.

    Attributes:
        code: ``kind`` or ``kind:detail``, as a finding's reason.
        words: to continue "it does not start: ".
    """

    __slots__ = ()


def find(start):
    """Return the ``Reason`` of the last attempt that failed, or None where none is known.

    Args:
        start: what ``last_start.read`` returned.
    """
    lines = start["lines"][-_MOST_LINES:]
    own = [line for line in lines if line["systemd"]]
    return (
        _not_begun(own, start["needs"], start["conditions"])
        or _command(start["properties"])
        or _by_systemd(own, start["properties"])
        or _in_app(lines)
        or _ended(start["properties"])
    )


def _not_begun(own, needs, conditions):
    """Return why systemd has not begun to start it, by its last line on the unit."""
    for line in own[-2:]:
        text = line["text"]
        if "unmet condition" in text or "Condition check resulted in" in text:
            found = _CONDITION.search(text)
            what = found.group(1) if found else " or ".join(conditions) or "a condition of the unit"
            return Reason("condition", "%s is not met" % what)
        if "Assertion failed" in text:
            found = _CONDITION.search(text)
            return Reason("condition", "%s is not met" % (found.group(1) if found else "an assert"))
        if text.startswith("Dependency failed for"):
            bad = sorted(name for name, state in needs.items() if state != "active")
            name = bad[0] if bad else "a unit that it needs"
            code = "dependency:" + bad[0] if bad else "dependency"
            return Reason(code, "%s, which it needs, has failed" % name)
    return None


def _command(properties):
    """Return which command that runs before the app has failed."""
    for key in ("ExecCondition", "ExecStartPre"):
        for path, code, status in _COMMAND.findall(properties.get(key, "")):
            if code != "exited" or status != "0":
                how = "status" if code == "exited" else "signal"
                return Reason("command", "%s %s ended with %s %s" % (key, path, how, status))
    return None


def _by_systemd(own, properties):
    """Return why systemd could not start the command, or ended it."""
    status = properties.get("ExecMainStatus", "")
    if properties.get("ExecMainCode") == "1" and status.isdigit() and int(status) in SYSTEMD_STATUS:
        words = "%s (%s)" % (SYSTEMD_STATUS[int(status)], status)
        for line in reversed(own):
            step = _STEP.search(line["text"])
            if step:
                words = "%s: %s: %s" % (words, step.group(2), step.group(3))
                break
        return Reason("systemd:" + status, words)
    for line in reversed(own[-8:]):
        text = line["text"]
        if "Failed to load environment files" in text:
            return Reason("systemd:environment", text.partition(": ")[2][:_LONGEST])
        if "Watchdog timeout" in text:
            return Reason("watchdog", "systemd ended it, since its watchdog was not fed")
        if "reached runtime time limit" in text:
            return Reason("time_limit", "it has run as long as RuntimeMaxSec allows")
        if "start operation timed out" in text or "start-pre operation timed out" in text:
            return Reason("timeout", "it was not ready within TimeoutStartSec")
        if "systemd-oomd killed" in text:
            return Reason("oomd", "systemd-oomd ended it under memory pressure")
    return None


def _in_app(lines):
    """Return the last exception in the lines of the last two attempts, else the last line."""
    seen = [line for line in lines if not line["systemd"] and line["text"].strip()]
    if not seen:
        return None
    invocations = list(dict.fromkeys(line["invocation"] for line in reversed(seen)))[:2]
    for invocation in invocations:
        texts = [line["text"] for line in seen if line["invocation"] == invocation]
        found = _exception(texts)
        if found:
            return found
    last = [line["text"] for line in seen if line["invocation"] == invocations[0]][-1]
    return Reason("log", last.strip()[:_LONGEST])


def _exception(texts):
    for index in range(len(texts) - 1, -1, -1):
        if not texts[index].endswith(tracebacks.HEADER):
            continue
        # Of chained exceptions, the whole chain is one.
        reading = tracebacks.parse("\n".join(texts[index:]))
        if reading is None or not reading.is_fault:
            continue
        name = reading.type.rpartition(".")[2]
        if name == "ValidationError":
            variables = _variables(texts[index:])
            if variables:
                return Reason(
                    "variable:" + ",".join(variables),
                    "%s: %s" % (name, "the app refuses %s" % ", ".join(variables)),
                )
        words = "%s: %s" % (name, reading.message) if reading.message else name
        location = reading.caller or reading.location
        if location:
            words += " at %s" % ":".join(location.split(":")[:2])
        return Reason("exception:" + name, words[:_LONGEST])
    return None


def _variables(texts):
    """Return the names that a ValidationError of pydantic lists, each before its own reason."""
    names = []
    for name, reason in zip(texts, texts[1:]):
        if _NAME.match(name) and reason.startswith("  ") and not reason.lstrip().startswith("File"):
            names.append(name)
    return sorted(dict.fromkeys(names))[:5]


def _ended(properties):
    code, status = properties.get("ExecMainCode"), properties.get("ExecMainStatus", "")
    if code in ("2", "3"):
        name = _SIGNALS.get(status, status)
        return Reason("signal:" + name, "signal %s ended it" % name)
    if code == "1" and status == "137":
        return Reason("signal:KILL", "signal KILL ended its process (status 137)")
    return None
