# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan as lines for a terminal: who, what, why, and what holds it back. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.plan import is_ready
from ansible_collections.sergas.ops.plugins.plugin_utils.report.terminal import Line, printable

#: impact: colour of its line
_COLOURS = {"none": "green", "reload": "green", "restart": "yellow", "disruptive": "red"}
#: Beyond these, a plan is in the report.
_ENTRIES, _PERSONS = 40, 8


def lines(plan: Mapping[str, Any], applying: str, width: int) -> list[Line]:
    """Return the plan as [(text, colour or None)].

    Args:
        plan: by ``plan.make``.
        applying: what comes next: apply, check or plan.
        width: columns of the terminal.
    """
    entries = plan["entries"]
    ready = [entry for entry in entries if is_ready(entry)]
    result = _head(plan, ready)
    for entry in (ready + [entry for entry in entries if not is_ready(entry)])[:_ENTRIES]:
        result += _entry(entry, width)
    if len(entries) > _ENTRIES:
        result.append(
            ("  ... and %d more: see the report" % (len(entries) - _ENTRIES), None),
        )
    result += _for_persons(plan["without_remedy"], width)
    if ready:
        result.append((_next(applying, plan), None))
    return result


def _head(plan: Mapping[str, Any], ready: list[dict[str, Any]]) -> list[Line]:
    hosts = {entry["host"] for entry in ready}
    guarded = len([entry for entry in plan["entries"] if not is_ready(entry)])
    if not plan["entries"]:
        text = "Plan: nothing to do"
        text += " (%d left out by choice)" % plan["left_out"] if plan["left_out"] else ""
        return [(text + ".", "green" if not plan["without_remedy"] else None)]
    text = "Plan: %s on %s" % (_count(len(ready), "remedy"), _count(len(hosts), "host"))
    text += ", %d held back" % guarded if guarded else ""
    text += ", %d left out by choice" % plan["left_out"] if plan["left_out"] else ""
    result: list[Line] = [(text + ".", None)]
    if plan["gone"]:
        result.append(
            ("  Gone from the inventory: %s." % printable(", ".join(plan["gone"])), "yellow")
        )
    return result


def _count(number: int, word: str) -> str:
    plural = {"remedy": "remedies"}.get(word, word + "s")
    return "%d %s" % (number, word if number == 1 else plural)


def _entry(entry: Mapping[str, Any], width: int) -> list[Line]:
    ready = is_ready(entry)
    head = "%s  %s  %s - %s" % (
        "impact " + _impact(entry) if ready else "HELD BACK",
        entry["host"] or entry["probe_host"],
        entry["remedy"],
        entry["title"],
    )
    result: list[Line] = [(printable(head), _COLOURS[entry["impact"]] if ready else "bright blue")]
    if not ready:
        result += _paragraph("impact", _impact(entry), width)
    why = "%s: %s" % (", ".join(entry["findings"]), entry["why"])
    if entry["probe_host"] != entry["host"] or len(entry["helps"]) > 1:
        why = "%s, on %s" % (why.rstrip("."), ", ".join(entry["helps"][:5]))
    result += _paragraph("why", why, width)
    if entry["after_remedy"]:
        result += _paragraph("when", "it is still needed after %s" % entry["after_remedy"], width)
    if entry["decides"]:
        text = "nothing is done: it is recorded as %(outcome)s: %(reason)s" % entry["decides"]
        return result + _paragraph("decided", text, width)
    result += _paragraph("changes", "; ".join(entry["changes"]), width)
    if entry["undo"]:
        result += _paragraph("no undo", entry["undo"], width)
    if entry["gone"]:
        result += _paragraph("gone", "it is no longer in the inventory", width)
    for guard in entry["guards"]:
        result += _paragraph("guard", "%s: %s" % (guard["name"], guard["reason"]), width)
        result += _paragraph("allow", guard["allow"], width)
    return result


def _impact(entry: Mapping[str, Any]) -> str:
    if entry["decides"]:
        return "none"
    return entry["impact"] + ("" if entry["reversible"] else ", NOT REVERSIBLE")


def _paragraph(word: str, text: str, width: int) -> list[Line]:
    wrapped = textwrap.wrap(
        "      %-8s %s" % (word, printable(text)),
        width,
        subsequent_indent=" " * 15,
        max_lines=3,
        placeholder=" ...",
        break_on_hyphens=False,
    )
    return [(line, None) for line in wrapped]


def _for_persons(roots: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    result = []
    for root in roots[:_PERSONS]:
        where = ", ".join(root["hosts"][:3])
        where += " +%d" % (len(root["hosts"]) - 3) if len(root["hosts"]) > 3 else ""
        text = "%s (%s): %s" % (root["id"], where, root["advice"] or "no remedy is known")
        result += _paragraph("person", text, width)
    if len(roots) > _PERSONS:
        result += _paragraph("person", "and %d more root causes" % (len(roots) - _PERSONS), width)
    return [("Needs a person (no remedy):", None), *result] if result else []


def _next(applying: str, plan: Mapping[str, Any]) -> str:
    if applying == "plan":
        return "Nothing was changed. Apply it with -e sergas_apply=true, see the diff with --check."
    batches = ", ".join(str(len(batch)) for batch in plan["batches"])
    if applying == "check":
        return "A check run: this is what would change."
    return "Applying now, in batches of %s: what ends badly on one host stops the next." % batches
