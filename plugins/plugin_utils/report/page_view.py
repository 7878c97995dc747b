# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the templates of report.html show: figures, orders and texts, as plain data. Pure."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    COMPONENTS,
    STATUSES,
    is_bad,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.report.outcomes import OUTCOMES
from ansible_collections.sergas.ops.plugins.plugin_utils.report.terminal import NOT_COMPARED

_CLASSES = ("unreachable", "fail", "unknown", "warn", "ok", "skipped")
_NAMES = {"loadbalancer": "balancer"}
#: Longer lists are folded, or cut.
_HOSTS_SHOWN, _CHANGES_SHOWN = 12, 12
#: With no more bad hosts than this their details are open from the start.
_OPEN_HOSTS = 4
#: Lists of entries in the evidence beyond this are in report.json only.
_ENTRIES_SHOWN = 20
#: Shorter values of a list are shown in one line.
_SHORT = 40
_CHANGE_TITLES = (
    ("new", "New", "fail"),
    ("resolved", "Resolved", "ok"),
    ("unmeasured", "Not checked again", "unknown"),
    ("first_checked", "Not checked before", "unknown"),
    ("still_bad", "Still bad", "warn"),
)
_HOST_CHANGES = (
    ("hosts_added", "Hosts that were not in it"),
    ("hosts_gone", "Hosts that are no longer in it"),
)


class Verdict(NamedTuple):
    """The head of the page."""

    worst: str
    headline: str
    reason: str
    #: [(class, number)]
    counts: list[tuple[str, int]]
    #: The same as a bar: [(class, position, width)].
    segments: list[tuple[str, str, str]]
    #: [(name, value)] of the run
    facts: list[tuple[str, str]]


class Change(NamedTuple):
    """One block of changes: the root causes by name, how many derive from them."""

    title: str
    tone: str
    total: int
    #: [(host or None, id)]
    causes: list[tuple[str | None, str]]
    rest: str


class Measure(NamedTuple):
    """A measured number beside its thresholds; a share also as a bar with marks."""

    text: str
    share: str | None
    marks: list[str]


class Evidence(NamedTuple):
    """One row of the evidence: a line, a text of several lines, or a table."""

    name: str
    line: str | None = None
    text: str | None = None
    columns: list[str] = []
    rows: list[list[str]] = []
    more: int = 0


class Finding(NamedTuple):
    """A bad finding on its host."""

    item: dict[str, Any]
    measure: Measure | None
    #: The host that its cause is on, where that is another one.
    cause_host: str | None
    evidence: list[Evidence]


class Row(NamedTuple):
    """A host in the matrix."""

    name: str
    anchor: str
    status: str
    #: All words it can be found by.
    words: str
    note: str
    #: (CSS classes, worst status) in each column
    cells: Iterator[tuple[str, str]]


class Host(NamedTuple):
    """A host in the details."""

    name: str
    anchor: str
    status: str
    words: str
    note: str
    opened: bool
    bad: list[Finding]
    #: (status, id, summary) of the others
    quiet: Iterator[tuple[str, str, str]]
    quiet_counts: str
    slowest: str
    changes: list[dict[str, Any]]
    groups: str


def view(model: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of ``page.html.j2``.

    Hosts are made one by one, while the page is written: thousands of them at once would keep
    Python's garbage collector busy for longer than the page takes.
    """
    hosts = model["hosts"]
    # Host names may be anything: an anchor is the host's number.
    numbers = ["h%d" % number for number in range(1, len(hosts) + 1)]
    anchors = {host["name"]: number for host, number in zip(hosts, numbers, strict=True)}
    columns = [name for name in COMPONENTS if any(name in host["components"] for host in hosts)]
    words = [_words(host) for host in hosts]
    few = sum(map(_is_bad_host, hosts)) <= _OPEN_HOSTS
    counts = model["summary"]["hosts"]
    return {
        "model": model,
        "anchors": anchors,
        "hosts_shown": _HOSTS_SHOWN,
        "outcomes": OUTCOMES,
        "verdict": _verdict(model),
        "changes": _changes(model["comparison"]),
        "host_changes": _host_changes(model["comparison"]),
        "not_compared": model["comparison"]["note"] or NOT_COMPARED,
        "total": counts["total"],
        "chips": [(name, counts[name]) for name in _CLASSES if counts[name]],
        "columns": [_NAMES.get(name, name) for name in columns],
        "rows": map(_row, hosts, numbers, words, itertools.repeat(columns)),
        "hosts": map(_host, hosts, numbers, words, itertools.repeat(few)),
    }


def anchored(names: Iterable[str], anchors: dict[str, str]) -> list[tuple[str, str]]:
    """Return [(anchor, name)] of the hosts that the page has."""
    return [(anchors[name], name) for name in names if name in anchors]


def plural(number: int, noun: str) -> str:
    """Return a number of things."""
    return "%d %s%s" % (number, noun, "" if number == 1 else "s")


def _is_bad_host(host: dict[str, Any]) -> bool:
    return host["class"] not in ("ok", "skipped")


def _verdict(model: dict[str, Any]) -> Verdict:
    counts = model["summary"]["hosts"]
    hosts = plural(counts["total"], "host")
    if model["roots"]:
        bad = counts["total"] - counts["ok"] - counts["skipped"]
        causes = plural(len(model["roots"]), "root cause")
        headline = "%s, %d of %s affected" % (causes, bad, hosts)
    else:
        headline = "Nothing is wrong on %s" % hosts
    return Verdict(
        worst=next((name for name in _CLASSES[:4] if counts[name]), "ok"),
        headline=headline,
        reason="The run fails: " * model["summary"]["failed"] + model["summary"]["reason"],
        counts=[(name, counts[name]) for name in _CLASSES if counts[name] or name != "skipped"],
        segments=_segments(counts),
        facts=[
            (key.replace("_", " "), "yes" if value is True else _scalar(value))
            for key, value in model["run"].items()
            if value not in (None, "", False)
        ],
    )


def _segments(counts: dict[str, int]) -> list[tuple[str, str, str]]:
    position, parts = 0.0, []
    for name in _CLASSES:
        width = 1000.0 * counts[name] / (counts["total"] or 1)
        if width:
            parts.append((name, "%.1f" % position, "%.1f" % max(width - 2, 1)))
        position += width
    return parts


def _changes(comparison: dict[str, Any]) -> list[Change]:
    return [
        _change(comparison[key], title, tone)
        for key, title, tone in _CHANGE_TITLES
        if comparison[key] or key not in ("unmeasured", "first_checked")
    ]


def _change(entries: list[dict[str, Any]], title: str, tone: str) -> Change:
    causes = [(entry["host"], entry["id"]) for entry in entries if entry["root"]]
    rest = []
    if len(causes) > _CHANGES_SHOWN:
        rest.append("and %d more" % (len(causes) - _CHANGES_SHOWN))
    if len(entries) > len(causes):
        rest.append("%s that derive from others" % plural(len(entries) - len(causes), "finding"))
    return Change(
        title,
        tone if entries else "skipped",
        len(entries),
        causes[:_CHANGES_SHOWN],
        ", ".join(rest),
    )


def _host_changes(comparison: dict[str, Any]) -> list[tuple[str, str]]:
    """Return [(title, names)] of the hosts that only one of two reports has."""
    result = []
    for key, title in _HOST_CHANGES:
        names = comparison[key]
        if names:
            more = len(names) - _CHANGES_SHOWN
            shown = ", ".join(names[:_CHANGES_SHOWN])
            result.append((title, shown + (" and %d more" % more if more > 0 else "")))
    return result


def _row(host: dict[str, Any], anchor: str, words: str, columns: list[str]) -> Row:
    return Row(
        name=host["name"],
        anchor=anchor,
        status=host["class"],
        words=words,
        note=", ".join(host["roots"] or host["groups"]),
        cells=(
            ("state " + status, status) if status else ("state", "")
            for status in map(host["components"].get, columns)
        ),
    )


def _words(host: dict[str, Any]) -> str:
    words = [host["name"], host["class"], *host["groups"], *host["roots"]]
    words += [item["id"] for item in host["findings"] if is_bad(item)]
    return " ".join(dict.fromkeys(words)).lower()


def _host(host: dict[str, Any], anchor: str, words: str, few: bool) -> Host:
    bad: list[dict[str, Any]] = []
    quiet: list[dict[str, Any]] = []
    for item in host["findings"]:
        (bad if is_bad(item) else quiet).append(item)
    bad.sort(key=_urgency)
    counts = {
        status: sum(item["status"] == status for item in quiet) for status in ("ok", "skipped")
    }
    return Host(
        name=host["name"],
        anchor=anchor,
        status=host["class"],
        words=words,
        note=", ".join(host["roots"]) or "all %d findings ok" % counts["ok"],
        opened=few and _is_bad_host(host),
        bad=[_finding(item, host["name"]) for item in bad],
        quiet=((item["status"], item["id"], item["summary"]) for item in quiet),
        quiet_counts=", ".join("%d %s" % (counts[name], name) for name in counts if counts[name]),
        slowest=_slowest(host["probe_seconds"]),
        changes=host["changes"],
        groups=", ".join(host["groups"]),
    )


def _urgency(item: dict[str, Any]) -> tuple[bool, int]:
    """Sort roots before what derives from them, and worse before better."""
    return (item["cause"] is not None, -STATUSES.index(item["status"]))


def _slowest(probe_seconds: dict[str, Any]) -> str:
    seconds = [
        (value, name) for name, value in probe_seconds.items() if isinstance(value, (int, float))
    ]
    seconds.sort(reverse=True)
    return ", ".join("%s %.3g s" % (name, value) for value, name in seconds[:5])


def _finding(item: dict[str, Any], host: str) -> Finding:
    other = item["evidence"].get("cause_host")
    return Finding(
        item=item,
        measure=None if item["value"] is None else _measure(item),
        cause_host=other if isinstance(other, str) and other != host else None,
        evidence=[
            _evidence(str(key).replace("_", " "), value)
            for key, value in item["evidence"].items()
            if key != "cause_host" and value not in (None, "", [], {})
        ],
    )


def _measure(item: dict[str, Any]) -> Measure:
    limits = [(name, item[name]) for name in ("warn", "fail") if item[name] is not None]
    text = _number(item["value"], item["unit"])
    if limits:
        text += " (%s)" % ", ".join(
            "%s at %s" % (name, _number(limit, item["unit"])) for name, limit in limits
        )
    if item["confidence"] == "estimated":
        text += ", estimated"
    if item["unit"] != "%":
        return Measure(text, None, [])
    return Measure(text, _percent(item["value"]), [_percent(limit) for _name, limit in limits])


def _percent(value: float) -> str:
    return "%.1f" % min(max(value, 0), 100)


def _number(value: float, unit: str | None) -> str:
    if not unit:
        return "%.6g" % value
    return "%s %s" % ("%d" % value if float(value).is_integer() else "%.4g" % value, unit)


def _evidence(name: str, value: Any) -> Evidence:
    if isinstance(value, dict):
        return Evidence(
            name, text=_lines("%s: %s" % (key, _scalar(of)) for key, of in value.items())
        )
    if isinstance(value, list):
        if all(not isinstance(of, (dict, list)) and len(_scalar(of)) < _SHORT for of in value):
            return Evidence(name, line=", ".join(map(_scalar, value)))
        if all(isinstance(entry, dict) for entry in value):
            return _table(name, value)
        lines = [_scalar(entry) for entry in value[:_ENTRIES_SHOWN]]
        if len(value) > _ENTRIES_SHOWN:
            lines.append("... and %d more" % (len(value) - _ENTRIES_SHOWN))
        return Evidence(name, text=_lines(lines))
    text = _scalar(value)
    return Evidence(name, text=text) if "\n" in text else Evidence(name, line=text)


def _table(name: str, entries: list[dict[str, Any]]) -> Evidence:
    """Return dictionaries as a table: their keys are the columns."""
    shown = entries[:_ENTRIES_SHOWN]
    keys = list(dict.fromkeys(key for entry in shown for key in entry))
    return Evidence(
        name,
        columns=[str(key).replace("_", " ") for key in keys],
        rows=[[_scalar(entry.get(key, "")) for key in keys] for entry in shown],
        more=len(entries) - len(shown),
    )


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(texts)


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
