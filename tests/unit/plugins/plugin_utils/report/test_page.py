# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    COMPONENTS,
    STATUSES,
    finding,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.report import page
from ansible_collections.sergas.ops.plugins.plugin_utils.report.outcomes import OUTCOMES

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}<style>"
#: What decides how a report looks, and is never a host's text.
VOCABULARY = {
    *STATUSES,
    *COMPONENTS,
    *OUTCOMES,
    "unreachable",
    "measured",
    "estimated",
    "host",
    "%",
}
#: The dictionaries whose keys are a host's text, and the keys that a report reads.
FREE_KEYS, READ_KEYS = (
    ("evidence", "run", "probe_seconds"),
    ("target", "hosts_bad", "hosts_using", "cause_host"),
)
VOID = {"meta", "link", "input", "br", "img"}
OPTIONAL_END = {"li"}


class Page(HTMLParser):
    """The page as a browser would take it apart."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.text = []
        self.open = []
        self.headings = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID and tag not in OPTIONAL_END:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in OPTIONAL_END:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def of(self, tag, **wanted):
        return [
            attributes
            for name, attributes in self.tags
            if name == tag
            and all(attributes.get(key.strip("_")) == value for key, value in wanted.items())
        ]


def hostile_fleet(makers):
    evidence = {
        HOSTILE: HOSTILE,
        "list": [HOSTILE],
        "more": {HOSTILE: HOSTILE},
        "table": [{HOSTILE: HOSTILE}],
        "lines": [HOSTILE * 9],
        "target": HOSTILE,
    }
    text = {
        "advice": HOSTILE,
        "remedy": HOSTILE,
        "guide": HOSTILE,
        "unit": HOSTILE,
        "value": 5.0,
        "evidence": evidence,
    }
    items = [
        finding("app.errors.rate", "app", "fail", HOSTILE, **text),
        finding("app.port.ok", "app", "ok", HOSTILE),
    ]
    host = makers.entry(HOSTILE, items, groups=[HOSTILE])
    host["probe_seconds"] = {HOSTILE: 1.0}
    return [host, makers.lost("x", HOSTILE)]


def hostile(makers):
    previous = makers.build(hostile_fleet(makers))
    previous["hosts"][0]["name"] = HOSTILE + "gone"
    return makers.build(
        hostile_fleet(makers),
        title=HOSTILE,
        version=HOSTILE,
        run={HOSTILE: HOSTILE},
        previous=previous,
    )


def test_nothing_of_a_host_becomes_markup(makers):
    calm, parsed = (
        Page(page.render(makers.build(makers.sample()))),
        Page(page.render(hostile(makers))),
    )
    assert {tag for tag, _attributes in parsed.tags} <= {"pre"} | {
        tag for tag, _attributes in calm.tags
    }
    assert not parsed.of("img")
    assert len(parsed.of("script")) == len(parsed.of("style")) == 1
    assert not any(name.startswith("on") for _tag, attributes in parsed.tags for name in attributes)
    assert parsed.open == []
    assert HOSTILE in "".join(parsed.text)


def everything(makers):
    """A report with a value in each field that a page shows."""
    previous = makers.build(makers.sample())
    hosts = makers.sample(14)[3:]
    hosts[0]["changes"] = [
        {"time": "at", "ended": "then", "remedy": "m", "outcome": "o", "by": "me", "reason": "why"}
    ]
    hosts[1]["findings"].append(
        finding(
            "db.locks.blocked",
            "database",
            "warn",
            "locked",
            evidence={
                "lines": ["a" * 50, "b"],
                "by": {"pid": "7", "query": "SELECT"},
                "short": ["c"],
                "text": "d",
            },
            cause="db.transactions.idle",
        )
    )
    hosts[0]["findings"].append(
        finding("app.port.conflict", "app", "fail", "taken", remedy="free", guide="Ports")
    )
    before = {"id": "a.b", "status": "fail", "summary": "it was so"}
    entry = {
        "remedy": "restart_app",
        "title": "Restart",
        "host": hosts[0]["name"],
        "impact": "restart",
        "reversible": True,
        "helps": ["elsewhere"],
        "answers": [],
        "others": [],
        "changes": ["one", "two"],
        "guards": [{"name": "share", "reason": "too many", "allow": "set it"}],
        "before": [before],
        "after": [dict(before, status="ok")],
        "outcome": "kept",
        "reason": "it helped",
        "started": "2026-11-24T12:00:01Z",
        "ended": "2026-11-24T12:00:09Z",
    }
    remediation = {
        "run": "r1",
        "by": "alice",
        "failed": False,
        "entries": [entry, dict(entry, host=None, outcome="guarded")],
    }
    report = makers.build(hosts, previous=previous, remediation=remediation)
    report["fleet"][0]["cause"] = "fleet.host.down"
    return report


def with_texts(value, change, free=False):
    """Return a report with each text of hosts changed."""
    if isinstance(value, dict):
        return {
            (change(key) if free and key not in READ_KEYS else key): with_texts(
                of, change, free or key in FREE_KEYS
            )
            for key, of in value.items()
        }
    if isinstance(value, list):
        return [with_texts(of, change, free) for of in value]
    return change(value) if isinstance(value, str) and value not in VOCABULARY else value


@pytest.mark.parametrize(
    "hostile",
    [
        HOSTILE,
        '"><b>',
        "' onload='x",
        "-->",
        "]]>",
        "\n<b>\n",
        "\0<b>\0",
        "\u2028<b>",
        "&lt;b&gt;",
        "%s",
        "{% raw %}{#",
    ],
)
def test_a_hostile_value_is_the_same_text_in_every_field(makers, hostile):
    texts, report = {}, everything(makers)

    def evil(text):
        return texts.setdefault(text, "%04d %s" % (len(texts), hostile))

    def harmless(text):
        return re.sub(r"[^\d\n]", "x", evil(text))

    attacked = Page(page.render(with_texts(report, evil)))
    calm = Page(page.render(with_texts(report, harmless)))
    assert [(tag, list(names)) for tag, names in attacked.tags] == [
        (tag, list(names)) for tag, names in calm.tags
    ]
    written, expected = "".join(attacked.text), "".join(calm.text)
    missing = [text for text in texts if harmless(text) not in expected]
    # A report does not show which run of Ansible's a change is of, for example.
    assert len(missing) < len(texts) / 4
    for text in texts:
        shown = evil(text).replace("\0", "\ufffd")
        assert written.count(shown) == expected.count(harmless(text)), text
    for attributes, harmless_ones in zip(attacked.tags, calm.tags, strict=True):
        assert len(attributes[1].get("data-host") or "") == len(
            harmless_ones[1].get("data-host") or ""
        )


def test_no_page_holds_a_nul(makers):
    text = page.render(with_texts(everything(makers), "{}\0".format))
    assert "\0" not in text and "\ufffd" in text


def test_a_hostile_note_is_text(makers):
    assert not Page(page.render(makers.build(makers.sample(), previous_note=HOSTILE))).of("img")


def test_it_requests_nothing(makers):
    text = page.render(makers.build(makers.sample()))
    parsed = Page(text)
    links = [
        value
        for _tag, attributes in parsed.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action")
    ]
    assert links and all(link.startswith("#") or link == "data:," for link in links)
    assert not re.search(r"@import|url\(|https?://(?!127\.0\.0\.1)|fetch\(|XMLHttpRequest", text)


def test_its_policy_allows_its_own_script_and_style_alone(makers):
    text = page.render(makers.build(makers.sample()))
    (policy,) = Page(text).of("meta", **{"http-equiv": "Content-Security-Policy"})
    for name in ("style", "script"):
        inside = re.search("<%s>(.*?)</%s>" % (name, name), text, re.S).group(1)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert "%s-src 'sha256-%s'" % (name, digest) in policy["content"]
    assert policy["content"].startswith("default-src 'none';")
    assert "style=" not in re.sub("<style>.*?</style>|<script>.*?</script>", "", text, flags=re.S)


def test_every_link_leads_somewhere(makers):
    parsed = Page(page.render(makers.build(makers.sample())))
    ids = [attributes["id"] for _tag, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for attributes in parsed.of("a")} <= set(ids)


def test_headings_do_not_skip_a_level(makers):
    headings = Page(page.render(makers.build(makers.sample()))).headings
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(headings, headings[1:], strict=False))


def test_tables_have_headers_with_a_scope(makers):
    parsed = Page(page.render(makers.build(makers.sample())))
    assert parsed.of("th") and all(
        header.get("scope") in ("col", "row") for header in parsed.of("th")
    )


def test_what_needs_a_script_is_hidden_without_one_and_nothing_else(makers):
    parsed = Page(page.render(makers.build(makers.sample())))
    hidden = [attributes.get("id") for _tag, attributes in parsed.tags if "hidden" in attributes]
    assert hidden == ["theme", "filter"]


def test_every_host_and_finding_is_in_it(makers):
    report = makers.build(makers.sample())
    parsed = Page(page.render(report))
    text = "".join(parsed.text)
    assert len([1 for details in parsed.of("details") if "data-host" in details]) == 20
    for host in report["hosts"]:
        assert host["name"] in text
        for item in host["findings"]:
            assert item["summary"] in text
            assert (item["advice"] or "") in text


@pytest.mark.parametrize("status", ["ok", "warn", "fail", "unknown", "skipped"])
def test_a_status_is_a_word_in_the_matrix(makers, status):
    text = page.render(
        makers.build([makers.entry("web1", [finding("app.x.y", "app", status, "x")])])
    )
    assert '<td class="state %s"><span>%s</span></td>' % (status, status) in text


def test_a_few_bad_hosts_are_open_and_many_are_not(makers):
    def opened(number):
        hosts = [
            makers.entry("web%d" % index, makers.disk_high(makers.healthy()))
            for index in range(number)
        ]
        return sum(
            "open" in details for details in Page(page.render(makers.build(hosts))).of("details")
        )

    assert (opened(3), opened(30)) == (3, 0)


def test_a_cause_on_another_host_is_linked(makers):
    hosts = [
        makers.entry("web1", makers.port_conflict(makers.healthy())),
        makers.entry("lb1", makers.balancer([("web1:8000", False)])),
    ]
    assert 'Derives from <code>app.port.conflict</code> on <a href="#h1">web1</a>' in page.render(
        makers.build(hosts)
    )


def test_entries_of_the_evidence_are_a_table(makers):
    text = page.render(makers.build([makers.entry("web1", makers.errors(makers.healthy()))]))
    assert "<tr><td>TimeoutError</td><td>/api/v1/sync</td><td>16</td>" in text
    many = finding(
        "app.errors.rate", "app", "warn", "x", evidence={"groups": [{"n<": n} for n in range(50)]}
    )
    text = page.render(makers.build([makers.entry("web1", [many])]))
    assert "<td>19</td>" in text and "<td>20</td>" not in text and "and 30 more" in text


def test_a_large_fleet_stays_readable_by_a_browser(makers):
    hosts = [makers.entry("web%d" % number, makers.healthy()) for number in range(200)]
    assert len(page.render(makers.build(hosts))) < 200 * 6_000
