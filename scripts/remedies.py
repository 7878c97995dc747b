# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the catalogue in docs/remedies.md from the metadata of the remedies: `make remedies`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "remedies.md"
BEGIN = "<!-- From here on written by scripts/remedies.py -->"


def catalogue():
    """Return {name: remedy} of the collection."""
    sys.path.insert(0, str(ROOT / ".build"))
    from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import reading

    role = ROOT / "roles" / "remediate"
    return reading.read_catalogue([(str(role / "remedies"), str(role / "tasks" / "remedies"))])[0]


def render(remedies):
    """Return the catalogue as Markdown, remedy by remedy within its component."""
    parts = [BEGIN, "", "| remedy | answers | impact | reversible | needs |"]
    parts += ["| --- | --- | --- | --- | --- |"]
    ordered = sorted(remedies.values(), key=lambda one: (one["component"], one["name"]))
    for one in ordered:
        answers = ", ".join("`%s`" % id for id in one["answers"])
        parts.append(
            "| [`%s`](#%s) | %s | %s | %s | %s |"
            % (
                one["name"],
                one["name"],
                answers,
                one["impact"],
                "yes" if one["reversible"] else "no",
                _needs(one) or "nothing",
            )
        )
    for one in ordered:
        parts += ["", "## %s" % one["name"], "", "%s." % one["title"], ""]
        parts += ["- Changes: %s." % "; ".join(one["changes"])]
        parts += ["- Answers: %s." % ", ".join("`%s`" % id for id in one["answers"])]
        parts += ["- Impact: %s. Runs on %s." % (one["impact"], _location(one))]
        parts += ["- Reversible: %s." % ("yes" if one["reversible"] else "no")]
        needs = _needs(one)
        parts += ["- Needs: %s." % needs] * bool(needs)
        parts += ["- Undo: %s." % _undo(one["undo"]).rstrip(".")]
        parts += ["- Verification: %s." % _verification(one["verification"])]
        parts += [
            "- May take %(timeout)d s, and acts again after %(cooldown)d s at the earliest." % one
        ]
        if one["after_dependencies"]:
            parts += [
                "- Is also planned after remedies of what the app depends on, if still needed."
            ]
    return "\n".join(parts) + "\n"


def _location(one):
    if one["runs_on"] == "host":
        return "the host of the finding"
    return "the host that the finding speaks of"


def _needs(one):
    named = one["needs"]["approval"] or one["impact"] == "disruptive"
    needs = ["`sergas_approve: [%s]`" % one["name"]] if named else []
    return ", ".join(needs + ["`%s`" % name for name in one["needs"]["variables"]])


def _undo(undo):
    if "none" in undo:
        return "none. " + undo["none"]
    files, commands = undo["files"], undo["commands"]
    steps = []
    if files:
        names = files if isinstance(files, list) else [files]
        steps.append("restore %s" % ", ".join("`%s`" % name for name in names))
    if commands:
        lines = (
            [" ".join(map(str, c)) for c in commands] if isinstance(commands, list) else [commands]
        )
        steps.append("run %s" % ", ".join("`%s`" % line for line in lines))
    if undo["restarts"]:
        steps.append(
            "restart %s if it was restarted since" % ", ".join("`%s`" % u for u in undo["restarts"])
        )
    return ", ".join(steps) or "nothing to restore"


def _verification(verification):
    checks = ", ".join("`%s`" % name for name in verification["checks"])
    return "`%s`%s, within %d s%s" % (
        verification["part"],
        " (%s)" % checks if checks else "",
        verification["timeout"],
        "" if verification["resolves"] else "; the findings may stay, nothing else may fail",
    )


def page(text, remedies):
    """Return the page with its written part as it is and its catalogue anew."""
    return text.partition(BEGIN)[0] + render(remedies)


def main():
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), catalogue()), encoding="utf-8")


if __name__ == "__main__":
    main()
