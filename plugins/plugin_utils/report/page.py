# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.html: one page that holds all it needs, and asks nobody for anything.

Whatever comes from a host is escaped where it is put in. On top of that the page's own policy (CSP)
allows no script and no style but the two in it, named by their hashes, and no request at all.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
from html import escape

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    COMPONENTS,
    STATUSES,
    is_bad,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.report.terminal import OUTCOMES, moment

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_CLASSES = ("unreachable", "fail", "unknown", "warn", "ok", "skipped")
_NAMES = {"loadbalancer": "balancer"}
#: Longer lists are folded.
_HOSTS_SHOWN, _CHANGES_SHOWN = 12, 12
#: With no more bad hosts than this their details are open from the start.
_OPEN_HOSTS = 4
#: Lists of entries in the evidence beyond this are in report.json only.
_ENTRIES_SHOWN = 20
_CHANGE_TITLES = (
    ("new", "New", "fail"),
    ("resolved", "Resolved", "ok"),
    ("unmeasured", "Not looked at again", "unknown"),
    ("still_bad", "Still bad", "warn"),
)


def render(model):
    """Return the model as one HTML page."""
    style, script = _asset("page.css"), _asset("page.js")
    # Host names may be anything: an anchor is the host's number.
    anchors = {host["name"]: "h%d" % number for number, host in enumerate(model["hosts"], 1)}
    body = [
        _top(model),
        '<main id="main" class="wide">',
        _verdict(model),
        _remedies(model["remediation"], anchors),
        _roots(model["roots"], anchors),
        _matrix(model, anchors),
        _fleet(model["fleet"]),
        _changes(model["comparison"], anchors),
        _details(model["hosts"], anchors),
        "</main>",
        _footer(model),
    ]
    return _PAGE % {
        "policy": (
            "default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; base-uri 'none';"
            " form-action 'none'" % (_digest(style), _digest(script))
        ),
        "title": escape(model["title"]),
        "style": style,
        "script": script,
        "body": "\n".join(filter(None, body)),
    }


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="%(policy)s">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>%(title)s</title>
<style>%(style)s</style>
</head>
<body>
%(body)s
<script>%(script)s</script>
</body>
</html>
"""


@functools.cache
def _asset(name):
    with open(os.path.join(_FOLDER, name), encoding="utf-8") as file:
        return file.read()


def _digest(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _plural(number, noun):
    return "%d %s%s" % (number, noun, "" if number == 1 else "s")


def _tag(status):
    return '<span class="tag %s">%s</span>' % (status, status)


def _top(model):
    return (
        '<a class="skip" href="#main">Skip to the report</a>\n<header class="top"><div'
        ' class="wide"><svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><path d="M2'
        ' 13h5l3-8 4 14 3-6h5"/></svg><div><h1>%s</h1><p><time'
        ' datetime="%s">%s</time></p></div><button id="theme" type="button"'
        " hidden></button></div></header>"
        % (escape(model["title"]), escape(model["generated_at"]), moment(model["generated_at"]))
    )


def _verdict(model):
    counts = model["summary"]["hosts"]
    worst = next((name for name in _CLASSES[:4] if counts[name]), "ok")
    bad = counts["total"] - counts["ok"] - counts["skipped"]
    if model["roots"]:
        headline = "%s, %d of %s affected" % (
            _plural(len(model["roots"]), "root cause"),
            bad,
            _plural(counts["total"], "host"),
        )
    else:
        headline = "Nothing is wrong on %s" % _plural(counts["total"], "host")
    shown = [name for name in _CLASSES if counts[name] or name not in ("skipped",)]
    items = "".join(
        '<li class="%s%s"><b>%d</b>%s</li>'
        % (name, "" if counts[name] else " none", counts[name], name)
        for name in shown
    )
    return (
        '<section class="card verdict %s"><h2>%s</h2><p>%s</p>%s<ul'
        ' class="counts">%s</ul>%s</section>'
        % (
            worst,
            headline,
            "The run fails: " * model["summary"]["failed"] + escape(model["summary"]["reason"]),
            _bar(counts),
            items,
            _facts(model),
        )
    )


def _bar(counts):
    """Return the hosts' classes as one bar; the list of counts below it says the same in words."""
    position, parts = 0.0, []
    for name in _CLASSES:
        width = 1000.0 * counts[name] / (counts["total"] or 1)
        if width:
            parts.append(
                '<rect class="%s" x="%.1f" width="%.1f" height="10"/>'
                % (name, position, max(width - 2, 1))
            )
        position += width
    return (
        '<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none"'
        ' aria-hidden="true">%s</svg>' % "".join(parts)
    )


def _facts(model):
    shown = [
        (key.replace("_", " "), value)
        for key, value in model["run"].items()
        if value not in (None, "", False)
    ]
    return '<p class="facts">%s</p>' % "".join(
        "<span>%s <b>%s</b></span>"
        % (escape(key), escape("yes" if value is True else _scalar(value)))
        for key, value in shown
    )


def _scalar(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _links(names, anchors):
    """Return links to hosts, folded where there are many."""
    links = [
        '<a href="#%s">%s</a>' % (anchors[name], escape(name)) for name in names if name in anchors
    ]
    shown = " ".join(links[:_HOSTS_SHOWN])
    if len(links) > _HOSTS_SHOWN:
        more = len(links) - _HOSTS_SHOWN
        shown += " <details><summary>and %d more</summary>%s</details>" % (
            more,
            " ".join(links[_HOSTS_SHOWN:]),
        )
    return shown


def _remedies(remediation, anchors):
    """Return what was planned, what became of it, and the proof."""
    if not remediation or not remediation["entries"]:
        return ""
    rows = "\n".join(_remedy(entry, anchors) for entry in remediation["entries"])
    return (
        "<section><h2>Remedies <small>run %s by %s</small></h2><div"
        ' class="card scroll" tabindex="0" role="region" aria-label="Remedies"><table><thead><tr>'
        '<th scope="col">Outcome</th><th scope="col">Host</th><th scope="col">Remedy</th>'
        '<th scope="col">Why</th><th scope="col">How it ended</th></tr></thead>'
        "<tbody>%s</tbody></table></div></section>"
        % (escape(remediation["run"]), escape(remediation["by"]), rows)
    )


def _remedy(entry, anchors):
    told = [escape(entry["reason"] or "")]
    told += [
        "<b>%s</b> %s<br>%s"
        % (escape(guard["name"]), escape(guard["reason"]), escape(guard["allow"]))
        for guard in entry["guards"]
    ]
    told += [
        "after: %s <code>%s</code> %s"
        % (_tag(item["status"]), escape(item["id"]), escape(item["summary"]))
        for item in entry["after"]
    ]
    if entry["started"] and entry["ended"]:
        told.append("%s to %s" % (escape(entry["started"]), escape(entry["ended"][11:])))
    return (
        '<tr><td><span class="tag %s">%s</span></td><td>%s</td><td><code>%s</code><br>%s<br>impact'
        " %s, %sreversible; changes: %s</td><td>%s</td><td>%s</td></tr>"
        % (
            OUTCOMES.get(entry["outcome"], "skipped"),
            escape(entry["outcome"]),
            _host_link(entry["host"] or entry["helps"][0], anchors),
            escape(entry["remedy"]),
            escape(entry["title"]),
            escape(entry["impact"]),
            "" if entry["reversible"] else "not ",
            escape("; ".join(entry["changes"])),
            "<br>".join(
                "%s <code>%s</code> %s"
                % (_tag(item["status"]), escape(item["id"]), escape(item["summary"]))
                for item in entry["before"]
            ),
            "<br>".join(filter(None, told)),
        )
    )


def _roots(roots, anchors):
    if not roots:
        return ""
    items = []
    for root in roots:
        lines = [
            '<li class="%s"><div class="line">%s<code>%s</code></div><h3>%s</h3>'
            % (root["status"], _tag(root["status"]), escape(root["id"]), escape(root["summary"]))
        ]
        if root["advice"]:
            lines.append('<p class="next"><b>Next step</b>%s</p>' % escape(root["advice"]))
        lines.append(
            '<p class="where"><span class="label">On</span>%s</p>'
            % _links(root["hosts"], anchors)
            * bool(root["hosts"])
        )
        if root["affected"]:
            lines.append(
                '<p class="where"><span class="label">Also affects</span>%s</p>'
                % _links(root["affected"], anchors)
            )
        lines.append(_guide(root, root["symptoms"]))
        items.append("".join(lines) + "</li>")
    return (
        '<section><h2>Root causes <small>worst first</small></h2><ol class="card'
        ' roots">%s</ol></section>' % "\n".join(items)
    )


def _guide(item, symptoms=()):
    """Return where to read on, what would mend it, and what else it explains."""
    parts = []
    if symptoms:
        parts.append("Explains %s" % ", ".join("<code>%s</code>" % escape(id) for id in symptoms))
    if item["guide"]:
        parts.append("Guide: %s" % escape(item["guide"]))
    if item["remedy"]:
        parts.append("Remedy: <code>%s</code>" % escape(item["remedy"]))
    return '<p class="small">%s</p>' % " &middot; ".join(parts) if parts else ""


def _fleet(findings):
    if not findings:
        return ""
    rows = "\n".join(
        '<tr><th scope="row">%s</th><td>%s</td><td>%d of %d</td><td>%s</td></tr>'
        % (
            escape(item["evidence"]["target"]),
            _tag(item["status"]),
            item["evidence"]["hosts_bad"],
            item["evidence"]["hosts_using"],
            "<code>%s</code>" % escape(item["id"])
            + (" derives from <code>%s</code>" % escape(item["cause"]) if item["cause"] else ""),
        )
        for item in findings
    )
    return (
        "<section><h2>Shared dependencies <small>bad on most hosts that use them</small></h2><div"
        ' class="card scroll" tabindex="0" role="region" aria-label="Shared'
        ' dependencies"><table><thead><tr><th scope="col">Dependency</th><th'
        ' scope="col">Status</th><th scope="col">Hosts</th><th'
        ' scope="col">Finding</th></tr></thead><tbody>%s</tbody></table></div></section>' % rows
    )


def _changes(comparison, anchors):
    if comparison["previous"] is None:
        return (
            '<section><h2>Changes</h2><p class="small">No comparison: %s.</p></section>'
            % escape(comparison["note"] or "not asked for")
        )
    blocks = [
        _change(comparison[key], title, tone, anchors)
        for key, title, tone in _CHANGE_TITLES
        if comparison[key] or key != "unmeasured"
    ]
    hosts = ""
    for key, words in (
        ("hosts_added", "Hosts that were not in it"),
        ("hosts_gone", "Hosts that are no longer in it"),
    ):
        if comparison[key]:
            more = len(comparison[key]) - _CHANGES_SHOWN
            named = ", ".join(comparison[key][:_CHANGES_SHOWN]) + (
                " and %d more" % more if more > 0 else ""
            )
            hosts += '<p class="small">%s: %s</p>' % (words, escape(named))
    return (
        '<section><h2>Changes <small>since %s</small></h2><div class="changes">%s</div>%s</section>'
        % (
            escape(moment(comparison["previous"])),
            "".join(blocks),
            hosts,
        )
    )


def _change(entries, title, tone, anchors):
    """Return one block of changes: the root causes by name, how many derive from them."""
    causes = [entry for entry in entries if entry["root"]]
    items = [
        "<li>%s <code>%s</code></li>" % (_host_link(entry["host"], anchors), escape(entry["id"]))
        for entry in causes[:_CHANGES_SHOWN]
    ]
    rest = []
    if len(causes) > _CHANGES_SHOWN:
        rest.append("and %d more" % (len(causes) - _CHANGES_SHOWN))
    if len(entries) > len(causes):
        rest.append("%s that derive from others" % _plural(len(entries) - len(causes), "finding"))
    return '<div class="card %s"><h3>%s: %d</h3><ul>%s</ul>%s</div>' % (
        tone if entries else "skipped",
        title,
        len(entries),
        "".join(items),
        '<p class="small">%s</p>' % ", ".join(rest) if rest else "",
    )


def _host_link(name, anchors):
    if name is None:
        return "fleet"
    return (
        '<a href="#%s">%s</a>' % (anchors[name], escape(name)) if name in anchors else escape(name)
    )


def _filter_attributes(host):
    """Return what the filter reads: the host's class, and all words it can be found by."""
    words = [host["name"], host["class"]] + host["groups"] + host["roots"]
    words += [item["id"] for item in host["findings"] if is_bad(item)]
    return 'data-class="%s" data-host="%s"' % (
        host["class"],
        escape(" ".join(dict.fromkeys(words)).lower()),
    )


def _matrix(model, anchors):
    hosts = model["hosts"]
    columns = [name for name in COMPONENTS if any(name in host["components"] for host in hosts)]
    head = "".join(
        '<th scope="col" class="turn"><span>%s</span></th>' % _NAMES.get(name, name)
        for name in columns
    )
    rows = []
    for host in hosts:
        small = ", ".join(host["roots"]) or ", ".join(host["groups"])
        cells = "".join(_cell(host["components"].get(name)) for name in columns)
        rows.append(
            '<tr %s><th scope="row"><a href="#%s">%s</a><small>%s</small></th><td'
            ' class="class">%s</td>%s</tr>'
            % (
                _filter_attributes(host),
                anchors[host["name"]],
                escape(host["name"]),
                escape(small),
                _tag(host["class"]),
                cells,
            )
        )
    return (
        '<section><h2>Hosts <small>worst first</small></h2>%s<div class="card scroll" tabindex="0"'
        ' role="region" aria-label="Hosts and components"><table class="matrix"><caption'
        ' class="unseen">The worst status of each component on each host</caption><thead><tr><th'
        ' scope="col">Host</th><th scope="col"'
        ' class="class">Status</th>%s</tr></thead><tbody>%s</tbody></table></div><p'
        ' class="legend">skipped: not on this host. unknown: could not be measured, so it may be'
        " anything.</p></section>" % (_filter(model["summary"]["hosts"]), head, "\n".join(rows))
    )


def _cell(status):
    if status is None:
        return '<td class="state"></td>'
    return '<td class="state %s"><span>%s</span></td>' % (status, status)


def _filter(counts):
    if counts["total"] < 2:
        return ""
    chips = ['<button type="button" value="" aria-pressed="true">All %d</button>' % counts["total"]]
    chips += [
        '<button type="button" value="%s" aria-pressed="false">%s %d</button>'
        % (name, name, counts[name])
        for name in _CLASSES
        if counts[name]
    ]
    return (
        '<div id="filter" class="filter" role="search" hidden><input type="search"'
        ' aria-label="Filter hosts" placeholder="Host, group or finding"'
        ' autocomplete="off">%s<output aria-live="polite"></output></div>' % "".join(chips)
    )


def _details(hosts, anchors):
    few = sum(1 for host in hosts if host["class"] not in ("ok", "skipped")) <= _OPEN_HOSTS
    blocks = "\n".join(
        _host(host, anchors, few and host["class"] not in ("ok", "skipped")) for host in hosts
    )
    return "<section><h2>Details</h2>%s</section>" % blocks


def _host(host, anchors, opened):
    bad = sorted((item for item in host["findings"] if is_bad(item)), key=_urgency)
    quiet = [item for item in host["findings"] if not is_bad(item)]
    note = ", ".join(host["roots"]) or "all %d findings ok" % sum(
        1 for item in quiet if item["status"] == "ok"
    )
    parts = [_finding(item, anchors, host["name"]) for item in bad]
    if quiet:
        parts.append(_quiet(quiet))
    seconds = sorted(
        (
            (value, name)
            for name, value in host["probe_seconds"].items()
            if isinstance(value, (int, float))
        ),
        reverse=True,
    )
    if seconds:
        slowest = ", ".join("%s %.3g s" % (escape(name), value) for value, name in seconds[:5])
        parts.append('<p class="small">Slowest probes: %s</p>' % slowest)
    if host["changes"]:
        parts.append(_recent(host["changes"]))
    if host["groups"]:
        parts.append('<p class="small">Groups: %s</p>' % escape(", ".join(host["groups"])))
    return (
        '<details class="card host" id="%s" %s%s><summary>%s<h3>%s</h3><span'
        ' class="note">%s</span></summary><div>%s</div></details>'
        % (
            anchors[host["name"]],
            _filter_attributes(host),
            " open" * opened,
            _tag(host["class"]),
            escape(host["name"]),
            escape(note),
            "".join(parts),
        )
    )


def _recent(changes):
    """Return what was changed on the host lately, folded."""
    items = "".join(
        "<li>%s <code>%s</code> %s%s"
        % (
            escape(str(change["ended"] or change["time"])),
            escape(str(change["remedy"])),
            escape(str(change["outcome"])),
            escape(" by %s" % change["by"] if change["by"] else "")
            + escape(": %s" % change["reason"] if change["reason"] else ""),
        )
        for change in changes
    )
    return '<details><summary>recent changes: %d</summary><ul class="quiet">%s</ul></details>' % (
        len(changes),
        items,
    )


def _urgency(item):
    """Sort roots before what derives from them, and worse before better."""
    return (item["cause"] is not None, -STATUSES.index(item["status"]))


def _finding(item, anchors, host):
    parts = [
        '<article class="finding %s"><div class="line">%s<code>%s</code></div><h4>%s</h4>'
        % (item["status"], _tag(item["status"]), escape(item["id"]), escape(item["summary"]))
    ]
    if item["value"] is not None:
        parts.append(_measure(item))
    if item["cause"]:
        parts.append(
            '<p class="small">Derives from <code>%s</code>%s</p>'
            % (escape(item["cause"]), _elsewhere(item, anchors, host))
        )
    if item["advice"]:
        parts.append('<p class="next"><b>Next step</b>%s</p>' % escape(item["advice"]))
    parts.append(_evidence(item["evidence"]))
    parts.append(_guide(item))
    return "".join(parts) + "</article>"


def _elsewhere(item, anchors, host):
    other = item["evidence"].get("cause_host")
    return " on %s" % _host_link(other, anchors) if isinstance(other, str) and other != host else ""


def _measure(item):
    """Return the measured number beside its thresholds; a share also as a bar."""
    limits = [
        "%s at %s" % (name, _number(item[name], item["unit"]))
        for name in ("warn", "fail")
        if item[name] is not None
    ]
    text = "%s%s" % (
        _number(item["value"], item["unit"]),
        " (%s)" % ", ".join(limits) if limits else "",
    )
    if item["confidence"] == "estimated":
        text += ", estimated"
    meter = ""
    if item["unit"] == "%":
        marks = "".join(
            '<path class="mark-at" d="M%.1f 0v10"/>' % min(max(item[name], 0), 100)
            for name in ("warn", "fail")
            if item[name] is not None
        )
        meter = (
            '<svg class="meter" viewBox="0 0 100 10" preserveAspectRatio="none"'
            ' aria-hidden="true"><rect class="track" width="100" height="10" rx="2"/><rect'
            ' class="value" width="%.1f" height="10" rx="2"/>%s</svg>'
            % (min(max(item["value"], 0), 100), marks)
        )
    return '<p class="small">%s%s</p>' % (meter, escape(text))


def _number(value, unit):
    return (
        "%s %s" % ("%d" % value if float(value).is_integer() else "%.4g" % value, unit or "")
        if unit
        else "%.6g" % value
    )


def _evidence(evidence):
    rows = []
    for key, value in evidence.items():
        if key == "cause_host" or value in (None, "", [], {}):
            continue
        rows.append(
            "<dt>%s</dt><dd>%s</dd>" % (escape(str(key).replace("_", " ")), _evidence_value(value))
        )
    return "<dl>%s</dl>" % "".join(rows) if rows else ""


def _evidence_value(value):
    if isinstance(value, list):
        if all(not isinstance(entry, (dict, list)) and len(_scalar(entry)) < 40 for entry in value):
            return escape(", ".join(map(_scalar, value)))
        if all(isinstance(entry, dict) for entry in value):
            return _entries(value)
        lines = [_scalar(entry) for entry in value[:_ENTRIES_SHOWN]]
        if len(value) > _ENTRIES_SHOWN:
            lines.append("... and %d more" % (len(value) - _ENTRIES_SHOWN))
        return "<pre>%s</pre>" % escape("\n".join(lines))
    if isinstance(value, dict):
        return "<pre>%s</pre>" % escape(
            "\n".join("%s: %s" % (key, _scalar(entry)) for key, entry in value.items())
        )
    text = escape(_scalar(value))
    return "<pre>%s</pre>" % text if "\n" in text else text


def _entries(entries):
    """Return dictionaries as a table: their keys are the columns."""
    columns = list(dict.fromkeys(key for entry in entries[:_ENTRIES_SHOWN] for key in entry))
    head = "".join(
        '<th scope="col">%s</th>' % escape(str(key).replace("_", " ")) for key in columns
    )
    rows = "".join(
        "<tr>%s</tr>"
        % "".join("<td>%s</td>" % escape(_scalar(entry.get(key, ""))) for key in columns)
        for entry in entries[:_ENTRIES_SHOWN]
    )
    more = len(entries) - _ENTRIES_SHOWN
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Evidence">'
        '<table class="entries"><thead><tr>%s</tr></thead><tbody>%s</tbody></table></div>%s'
        % (head, rows, "and %d more" % more if more > 0 else "")
    )


def _quiet(items):
    counts = [
        "%d %s" % (number, status)
        for status in ("ok", "skipped")
        if (number := sum(i["status"] == status for i in items))
    ]
    lines = "".join(
        '<li class="%s"><code>%s</code> %s'
        % (item["status"], escape(item["id"]), escape(item["summary"]))
        for item in items
    )
    return '<details><summary>%s</summary><ul class="quiet">%s</ul></details>' % (
        ", ".join(counts),
        lines,
    )


def _footer(model):
    collection = model["collection"]
    return '<footer class="wide">%s %s &middot; report schema %s</footer>' % (
        escape(collection["name"]),
        escape(collection["version"]),
        escape(model["schema_version"]),
    )
