# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/findings.md: the meanings in findings.yml, and what the code knows of each id.

Run it by `make findings`.
"""

from __future__ import annotations

import sys

import remedies
import yaml

SOURCE = remedies.ROOT / "scripts" / "findings.yml"
PAGE = remedies.ROOT / "docs" / "findings.md"
BEGIN = "<!-- From here on written by scripts/findings.py -->"


def sections():
    """Return those of the source."""
    return yaml.safe_load(SOURCE.read_text(encoding="utf-8"))


def render(parts, code, answers):
    """Return the reference as Markdown.

    Args:
        parts: what ``sections`` returned.
        code: the module ``finding_ids``.
        answers: {id: names of the remedies that answer it}.

    Raises:
        ValueError: an id that the code can make has no meaning or two, or one is not made.
    """
    lines, written, reasons = [BEGIN], [], {}
    for part in parts:
        subjects = part.get("subjects", [])
        states = [
            id
            for subject in subjects
            for id in (subject + state for state in code.STATES)
            if id in code.made() and id not in part["findings"]
        ]
        lines += ["", "## %s" % part["title"], "", part["about"].strip(), ""]
        lines += _of_section(part, code)
        for id, meaning in part["findings"].items():
            known = {} if isinstance(meaning, str) else meaning["reasons"]
            text = meaning if isinstance(meaning, str) else meaning["text"]
            reasons[id] = set(known)
            lines += ["", "### %s" % id, "", text.strip(), ""]
            for reason, means in known.items():
                lines += ["- Reason `%s`: %s" % (reason, means.strip())]
            lines += _of_finding(id, part, code, answers)
        if states:
            lines += ["", "Also: %s." % "; ".join(_state(id, code) for id in states)]
        written += [*states, *part["findings"]]
    wrong = sorted(id for id in {*written, *code.made()} if written.count(id) != 1)
    unknown = sorted(set(written) - code.made())
    if wrong or unknown:
        raise ValueError(
            "scripts/findings.yml: without a meaning, or with several: %s; not made by the code: %s"
            % (", ".join(wrong) or "none", ", ".join(unknown) or "none")
        )
    differ = sorted(
        id
        for id in {*reasons, *code.reasons()}
        if reasons.get(id, set()) != code.reasons().get(id, set())
    )
    if differ:
        raise ValueError(
            "scripts/findings.yml: the reasons of %s are not those that the code can give: %s"
            % (differ[0], ", ".join(sorted(code.reasons().get(differ[0], ()))) or "none")
        )
    return "\n".join(lines) + "\n"


def _of_section(part, code):
    """Return the lines about what finds something, by which thresholds, and the guide's section."""
    checks = _checks(part, code)
    thresholds = [(item.module, item.thresholds) for item in checks]
    thresholds += [
        (item.module, {name: item.thresholds[name] for name in part.get("thresholds", [])})
        for item in _found_by(part["findings"], code)
        if item.thresholds and not item.check
    ]
    several = len(thresholds) > 1
    shown = [
        "`%s`%s %s" % (name, " of `%s`" % module if several else "", _threshold(*value))
        for module, values in thresholds
        for name, value in values.items()
    ]
    lines = ["- Found by: %s." % _makers(checks or _found_by(part["findings"], code))]
    lines += ["- Thresholds: %s." % "; ".join(shown)] * bool(shown)
    guide = part.get("guide") or checks[0].guide
    return [*lines, "- Section of the troubleshooting guide: %s." % guide]


def _checks(part, code):
    """Return the checks that a section is about."""
    return [item for item in code.finders() if item.subject in part.get("subjects", [])]


def _found_by(ids, code):
    """Return what makes one of these, without modules that make it in one of their checks only."""
    found = [item for item in code.finders() if item.ids & set(ids)]
    in_checks = {item.module for item in found if item.check}
    return [item for item in found if item.check or item.module not in in_checks]


def _makers(finders):
    return "; ".join(
        "`%s`" % item.module + (", check `%s`" % item.check if item.check else "")
        for item in finders
    )


def _threshold(warn, fail, unit):
    if unit == "B":
        warn, fail, unit = warn / 1024**2, fail / 1024**2, "MiB"
    return "warns at {:,.10g}, fails at {:,.10g} {}".format(warn, fail, unit)


def _of_finding(id, part, code, answers):
    """Return the lines about what makes a finding beside its section, its causes and remedies."""
    found = _found_by([id], code)
    usual = _checks(part, code) or _found_by(part["findings"], code)
    lines = ["- Found by: %s." % _makers(found)] * (found != usual)
    lines += ["- May derive from: %s." % (_causes(id, code) or "nothing, it is a root cause")]
    links = ", ".join("[`%s`](remedies.md#%s)" % (name, name) for name in answers.get(id, ()))
    return [*lines, "- Remedy: %s." % (links or "none, its advice says what to do")]


def _state(id, code):
    """Return an id that ends in a state, with what it may derive from, as text."""
    found = _causes(id, code) if code.is_bad(id) else ""
    return "`%s`%s" % (id, " (may derive from %s)" % found if found else "")


def _causes(id, code):
    """Return the ids by which the rules may explain one, as text."""
    here, elsewhere = code.explained_by(id)
    text = _listed(here)
    if elsewhere:
        text += "; " * bool(here) + "on the host that serves it, %s" % _listed(elsewhere)
    return text


def _listed(ids):
    """Return ids as text, without those that one which ends in a dot stands for."""
    starts = tuple(id for id in ids if id.endswith("."))
    return ", ".join(
        "`%s`" % (id + "*" if id in starts else id)
        for id in dict.fromkeys(ids)
        if id in starts or not id.startswith(starts)
    )


def page(text, written):
    """Return the page with its part by hand as it is and the rest anew."""
    return text.partition(BEGIN)[0] + written


def reference():
    """Return the written part of the page."""
    catalogue = remedies.catalogue()
    import finding_ids

    answers = {}
    for name, remedy in catalogue.items():
        for id in remedy["answers"]:
            answers.setdefault(id, []).append(name)
    return render(sections(), finding_ids, answers)


def main():
    """Write the page."""
    try:
        written = reference()
    except ValueError as error:
        sys.exit("error: %s" % error)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), written), encoding="utf-8")


if __name__ == "__main__":
    main()
