# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.md: the report for a ticket or a chat. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ansible_collections.sergas.ops.plugins.plugin_utils.report.outcomes import OUTCOMES
from ansible_collections.sergas.ops.plugins.plugin_utils.report.terminal import (
    NOT_COMPARED,
    NOTHING_WRONG,
)

_ROOTS, _HOSTS, _CHANGES, _REMEDIES = 30, 50, 15, 50
_NAMED = 5
_MARKS = {
    "fail": "\u274c",
    "unreachable": "\u274c",
    "unknown": "\u2753",
    "warn": "\u26a0\ufe0f",
    "ok": "\u2705",
    "skipped": "\u2796",
}
_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def text(value: object) -> str:
    """Return a host's text so that it stays text: no markup, no HTML, no link, no mention."""
    value = re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", str(value)).strip()
    value = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    value = _SPECIAL.sub(r"\\\1", value)
    return value.replace("@", "&#64;").replace("://", "&#58;//")


def render(model: dict[str, Any]) -> str:
    """Return the model as Markdown."""
    parts = (
        _head(model)
        + _remedies(model["remediation"])
        + _roots(model["roots"])
        + _changes(model["comparison"])
        + _hosts(model["hosts"])
    )
    return "\n".join(parts).rstrip() + "\n"


def _head(model: dict[str, Any]) -> list[str]:
    counts = model["summary"]["hosts"]
    shown = [
        "**%d %s**" % (counts[name], name) for name in counts if name != "total" and counts[name]
    ]
    return [
        "# %s" % text(model["title"]),
        "",
        "%s · %d host%s: %s"
        % (
            model["generated_at"],
            counts["total"],
            "" if counts["total"] == 1 else "s",
            ", ".join(shown),
        ),
        "",
    ]


def _remedies(remediation: dict[str, Any] | None) -> list[str]:
    if not remediation or not remediation["entries"]:
        return []
    result = [
        "## Remedies",
        "",
        "Run `%s` by %s." % (remediation["run"], text(remediation["by"])),
        "",
        "| outcome | host | remedy | impact | why | how it ended |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for entry in remediation["entries"][:_REMEDIES]:
        held = "; ".join("%(name)s: %(reason)s (%(allow)s)" % guard for guard in entry["guards"])
        result.append(
            "| %s %s | %s | `%s` %s | %s, %sreversible | `%s` %s | %s |"
            % (
                _MARKS[OUTCOMES.get(entry["outcome"], "skipped")],
                entry["outcome"],
                text(entry["host"] or entry["helps"][0]),
                entry["remedy"],
                text(entry["title"]),
                entry["impact"],
                "" if entry["reversible"] else "not ",
                ", ".join(entry["findings"]),
                text(entry["why"]),
                text(held or entry["reason"] or ""),
            )
        )
    if len(remediation["entries"]) > _REMEDIES:
        more = len(remediation["entries"]) - _REMEDIES
        result += ["", "And %d more, in report.json and report.html." % more]
    return result + [""]


def _roots(roots: Sequence[dict[str, Any]]) -> list[str]:
    if not roots:
        return [NOTHING_WRONG, ""]
    result = [
        "## Root causes",
        "",
        "| status | where | what | next step |",
        "| --- | --- | --- | --- |",
    ]
    for root in roots[:_ROOTS]:
        where = "fleet: " * (root["scope"] == "fleet") + _named(root["hosts"])
        if root["affected"]:
            where += " (affects %s)" % _named(root["affected"])
        result.append(
            "| %s %s | %s | `%s` %s | %s |"
            % (
                _MARKS[root["status"]],
                root["status"],
                where,
                root["id"].replace("`", ""),
                text(root["summary"]),
                text(root["advice"] or ""),
            )
        )
    if len(roots) > _ROOTS:
        result += ["", "And %d more, in report.json and report.html." % (len(roots) - _ROOTS)]
    return result + [""]


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(text(name) for name in names[:_NAMED])
    return shown + (" +%d" % (len(names) - _NAMED) if len(names) > _NAMED else "")


def _changes(comparison: dict[str, Any]) -> list[str]:
    if comparison["previous"] is None:
        return ["No comparison: %s." % text(comparison["note"] or NOT_COMPARED), ""]
    result = ["## Since %s" % comparison["previous"], ""]
    for key, word in (
        ("new", "New"),
        ("resolved", "Resolved"),
        ("unmeasured", "Not checked again"),
        ("first_checked", "Not checked before"),
    ):
        entries = comparison[key]
        if entries:
            named = [
                "%s `%s`" % (text(entry["host"] or "fleet"), entry["id"])
                for entry in entries[:_CHANGES]
            ]
            more = " +%d" % (len(entries) - _CHANGES) if len(entries) > _CHANGES else ""
            result.append("- %s: %d - %s%s" % (word, len(entries), ", ".join(named), more))
    result.append("- Still bad: %d" % len(comparison["still_bad"]))
    return result + [""]


def _hosts(hosts: Sequence[dict[str, Any]]) -> list[str]:
    bad = [host for host in hosts if host["class"] not in ("ok", "skipped")]
    if not bad:
        return []
    result = ["## Hosts", "", "| host | status | root causes |", "| --- | --- | --- |"]
    for host in bad[:_HOSTS]:
        roots = ", ".join("`%s`" % id for id in host["roots"])
        result.append(
            "| %s | %s %s | %s |"
            % (text(host["name"]), _MARKS[host["class"]], host["class"], roots)
        )
    if len(bad) > _HOSTS:
        result += ["", "And %d more hosts, in report.json and report.html." % (len(bad) - _HOSTS)]
    return result + [""]
