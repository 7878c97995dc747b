# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The summary on the terminal: what a person must know, in ten seconds. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

from ansible_collections.sergas.ops.plugins.plugin_utils.report.outcomes import OUTCOMES

NARROWEST, WIDEST = 60, 100
#: With the empty lines around it and the paths below it, 25 however large the fleet.
MOST_LINES = 22
_ROOTS, _UNKNOWN = 7, 3
#: Beside what remedies did there is room for fewer root causes.
_ROOTS_BESIDE, _REMEDIES = 4, 5
#: Lines for remedies: one that does not fit in whole is left to the report.
_REMEDY_LINES = 10
#: Lines of what to do about a root cause: all that the collection itself says fits.
_LONGEST_ADVICE = 6
#: Columns for the hosts of a root cause.
_WHERE = 36

COLOURS = {
    "fail": "red",
    "unreachable": "red",
    "unknown": "magenta",
    "warn": "yellow",
    "ok": "green",
}
#: What each format says where there is nothing to list.
NOTHING_WRONG = "Nothing is wrong, every requested check could be measured."
NOT_COMPARED = "not requested"
Line = tuple[str, str | None]
_WORDS = {"fail": "FAIL", "unknown": "UNKNOWN", "warn": "WARN"}
# Sequences that control a terminal, and every other control character: a host's text may hold any.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*["
    r" -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    """Return text in one line, without anything that controls a terminal."""
    return re.sub(r"\s+", " ", _CONTROL.sub(" ", text)).strip()


def moment(text: str) -> str:
    """Return an ISO 8601 time in UTC as a person reads it: 2026-11-24 14:54 UTC."""
    return text[:16].replace("T", " ") + " UTC"


def lines(model: dict[str, Any], width: int) -> list[Line]:
    """Return the summary as [(text, colour or ``None``)], at most ``MOST_LINES`` of them.

    Args:
        model: the model of the report.
        width: columns of the terminal; what is used lies between ``NARROWEST`` and ``WIDEST``.
    """
    width = max(NARROWEST, min(WIDEST, width))
    # Each text in full where there is room, else its beginning. What to do is not cut: half of it
    # may be wrong. The last root causes go without it where there is no room.
    for rows, advised in ((3, _ROOTS), (2, _ROOTS), (1, _ROOTS), (1, 4), (1, 2), (1, 1), (1, 0)):
        result = _summary(model, width, rows, advised)
        if len(result) <= MOST_LINES:
            break
    return result


def _summary(model: dict[str, Any], width: int, rows: int, advised: int) -> list[Line]:
    known = [root for root in model["roots"] if root["status"] != "unknown"]
    unknown = [root for root in model["roots"] if root["status"] == "unknown"]
    remedies = _remedies(model["remediation"], width)
    result = [_header(model, width), *remedies]
    if not model["roots"]:
        result.append((NOTHING_WRONG, COLOURS["ok"]))
    result += _causes(known, width, rows, _ROOTS_BESIDE if remedies else _ROOTS, advised)
    result += _not_measured(unknown, width, rows)
    return result + _absent(model["hosts"], width) + _since(model["comparison"], width)


def _header(model: dict[str, Any], width: int) -> Line:
    counts = model["summary"]["hosts"]
    parts = [
        "%d %s" % (counts[name], name) for name in ("ok", "warn", "fail", "unknown", "unreachable")
    ]
    if counts["skipped"]:
        parts.append("%d skipped" % counts["skipped"])
    worst = next(
        (name for name in ("unreachable", "fail", "unknown", "warn") if counts[name]), "ok"
    )
    total = "%d host%s" % (counts["total"], "" if counts["total"] == 1 else "s")
    title = printable(model["title"])
    return _cut("%s - %s: %s" % (title, total, ", ".join(parts)), width), COLOURS[worst]


def _remedies(remediation: dict[str, Any] | None, width: int) -> list[Line]:
    """Return what remedies did, the worst first, each with all that is to be done."""
    done = [
        entry for entry in (remediation or {}).get("entries", ()) if entry["outcome"] in OUTCOMES
    ]
    done.sort(key=lambda entry: list(OUTCOMES).index(entry["outcome"]))
    result: list[Line] = []
    shown = 0
    for entry in done[:_REMEDIES]:
        head = "%s  %s  %s  " % (
            entry["outcome"].upper(),
            printable(entry["host"] or entry["helps"][0]),
            entry["remedy"],
        )
        colour = COLOURS[OUTCOMES[entry["outcome"]]]
        lines = _paragraph(head, entry["reason"] or "", width, _REMEDY_LINES, colour)
        if shown and len(result) + len(lines) > _REMEDY_LINES:
            break
        result += lines
        shown += 1
    if len(done) > shown:
        result.append(
            ("      ... and %d more remedies: see the report" % (len(done) - shown), None)
        )
    return result


def _causes(
    roots: Sequence[dict[str, Any]], width: int, rows: int, most: int, advised: int
) -> list[Line]:
    result = []
    for number, root in enumerate(roots[:most]):
        head = "%-4s  %s  %s  " % (_WORDS[root["status"]], where(root), root["id"])
        result += _paragraph(head, root["summary"], width, rows, COLOURS[root["status"]])
        if root["advice"] and number < advised:
            result += _paragraph("      -> ", root["advice"], width, _LONGEST_ADVICE, None)
    if len(roots) > most:
        result.append(
            ("      ... and %d more root causes: see the report" % (len(roots) - most), None)
        )
    return result


def _not_measured(roots: Sequence[dict[str, Any]], width: int, rows: int) -> list[Line]:
    result = []
    for root in roots[:_UNKNOWN]:
        head = "%s  %s  %s  " % (_WORDS["unknown"], where(root), root["id"])
        result += _paragraph(head, root["summary"], width, rows, COLOURS["unknown"])
    if len(roots) > _UNKNOWN:
        result.append(
            ("      ... and %d more could not be measured" % (len(roots) - _UNKNOWN), None)
        )
    return result


def _absent(hosts: Sequence[dict[str, Any]], width: int) -> list[Line]:
    """Return what a single host does not have; of several, that is in the report."""
    absent = [name for name, status in hosts[0]["components"].items() if status == "skipped"]
    if len(hosts) > 1 or not absent:
        return []
    return [(_cut("Skipped, not on this host: %s." % ", ".join(absent), width), None)]


def _since(comparison: dict[str, Any], width: int) -> list[Line]:
    if comparison["previous"] is None:
        note = printable(comparison["note"] or NOT_COMPARED)
        return [(_cut("No comparison: %s." % note, width), None)]
    # Root causes, as everything above this line.
    roots = comparison["roots"]
    counts = "%(new)d new, %(resolved)d resolved, %(still_bad)d still bad" % roots
    if roots["unmeasured"]:
        counts += ", %d not checked again" % roots["unmeasured"]
    if roots["first_checked"]:
        counts += ", %d not checked before" % roots["first_checked"]
    return [(_cut("Since %s: %s." % (moment(comparison["previous"]), counts), width), None)]


def where(root: dict[str, Any]) -> str:
    """Return where a root cause is: the fleet, or as many of its hosts as fit and how many more."""
    if root["scope"] == "fleet":
        return "fleet (%d hosts)" % len(root["hosts"])
    names = [printable(name) for name in root["hosts"]]
    shown = _cut(names[0], _WHERE)
    number = 1
    while number < len(names) and len(shown) + len(names[number]) + 2 <= _WHERE:
        shown += ", " + names[number]
        number += 1
    return shown + (" +%d" % (len(names) - number) if len(names) > number else "")


def _paragraph(head: str, text: str, width: int, rows: int, colour: str | None) -> list[Line]:
    """Return a text after its head, in at most ``rows`` lines, indented from the second one."""
    wrapped = textwrap.wrap(
        head + printable(text),
        width,
        subsequent_indent=" " * (9 if head.startswith(" ") else 6),
        max_lines=rows,
        placeholder=" ...",
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return [(line, colour) for line in wrapped]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 4] + " ..."
