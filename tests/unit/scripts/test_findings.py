# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import types

import finding_ids
import findings
import pytest


@pytest.fixture(scope="module")
def text():
    return findings.PAGE.read_text(encoding="utf-8")


def test_the_page_is_what_make_findings_writes(text):
    assert text == findings.page(text, findings.reference()), "run: make findings"


def test_the_page_names_every_id_and_no_other(text):
    written = text.partition(findings.BEGIN)[2]
    headings = re.findall(r"^### (\S+)$", written, re.M)
    states = re.findall(
        r"`([a-z_.]+)`", re.sub(r"\(.*?\)", "", "".join(written.split("Also:")[1:]))
    )
    assert set(headings) <= finding_ids.made()
    assert finding_ids.made() - set(headings) <= set(states)


def test_everything_that_makes_findings_is_found():
    found = [item.ids for item in finding_ids.finders()]
    assert finding_ids.made() - frozenset().union(*found) == set()


def test_every_threshold_is_on_the_page(text):
    used = {(item.module, name) for item in finding_ids.finders() for name in item.thresholds}
    tables = {
        "sergas_health": finding_ids.thresholds.DEFAULTS,
        "pg_insights": finding_ids.scope.THRESHOLDS,
        "pg_connections": finding_ids.sessions_findings.THRESHOLDS,
        "cognee_check": finding_ids.cognee_decide.THRESHOLDS,
    }
    assert used == {(module, name) for module, table in tables.items() for name in table}
    for _module, name in used:
        assert re.search(r"- Thresholds: .*`%s`.* warns at " % name, text)


@pytest.mark.parametrize(
    ("id", "module", "check"),
    [
        ("app.port.conflict", "sergas_health", "port"),
        ("app.pool.exhausted", "sergas_health", "resources"),  # built from parts
        ("host.cpu.high", "sergas_health", "cpu"),  # ends in what a condition chooses
        ("db.locks.blocked", "pg_connections", None),
        ("security.ports.exposed", "firewall_check", None),  # below a decorated function
        ("db.unreachable", "pg_insights", None),
    ],
)
def test_what_makes_a_finding_is_read_from_code(id, module, check):
    assert (module, check) in {
        (item.module, item.check) for item in finding_ids.finders() if id in item.ids
    }


def test_a_rule_for_causes_makes_no_finding():
    finders = [item for item in finding_ids.finders() if item.module == "pg_connections"]
    assert all("db.bloat" not in item.ids for item in finders)


def code(*ids, reasons=None):
    return types.SimpleNamespace(
        made=lambda: frozenset(ids),
        STATES=finding_ids.STATES,
        is_bad=finding_ids.is_bad,
        reasons=lambda: reasons or {},
        finders=lambda: [
            finding_ids.Finder("m", "c", "app.x", "Guide", {"t": (1.0, 2.0, "%")}, frozenset(ids))
        ],
        explained_by=lambda id: (["redis.", "redis.missing"], []),
    )


SECTION = {"title": "X", "subjects": ["app.x"], "about": "?", "findings": {"app.x.high": "Text."}}


def test_a_section_says_what_the_code_knows():
    known = code("app.x.high", "app.x.ok", "app.x.unknown")
    lines = findings.render([SECTION], known, {"app.x.high": ["fix_it"]}).splitlines()
    assert "- Found by: `m`, check `c`." in lines
    assert "- Thresholds: `t` warns at 1, fails at 2 %." in lines
    assert "- May derive from: `redis.*`." in lines
    assert "- Remedy: [`fix_it`](remedies.md#fix_it)." in lines
    assert "Also: `app.x.ok`; `app.x.unknown` (may derive from `redis.*`)." in lines


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (["app.x.high", "app.x.low"], "or with several: app.x.low; not made by the code: none"),
        ([], "not made by the code: app.x.high"),
    ],
)
def test_an_id_without_a_meaning_or_a_meaning_without_its_id_is_an_error(made, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        findings.render([SECTION], code(*made), {})


def test_each_reason_has_its_meaning():
    meaning = {"text": "Text.", "reasons": {"full": "No space is left."}}
    section = dict(SECTION, findings={"app.x.high": meaning})
    known = code("app.x.high", reasons={"app.x.high": {"full"}})
    assert "- Reason `full`: No space is left." in findings.render([section], known, {})
    for other in ({"app.x.high": {"full", "slow"}}, {}, {"app.x.high": {"slow"}}):
        with pytest.raises(ValueError, match="the reasons of app.x.high"):
            findings.render([section], code("app.x.high", reasons=other), {})


def test_reasons_are_read_from_code():
    text = """
REASONS = {"app.y.bad": ("one", "two"), "app.z.bad": (*failures.WORDS, "own")}
finding("app.x.high", "app", "fail", "s", reason="full:%s" % mount)
finding("app.x.high", "app", "fail", "s", reason="slow" if late else "hung:" + name)
finding(id, "app", "fail", "s", reason=reason)
"""
    assert finding_ids.reasons_made(text, "x.py") == {
        "app.x.high": {"full", "slow", "hung"},
        "app.y.bad": {"one", "two"},
        "app.z.bad": {*finding_ids.failures.WORDS, "own"},
    }
    with pytest.raises(ValueError, match="x.py:5 computes a reason"):
        finding_ids.reasons_made(text.replace("REASONS", "OTHER"), "x.py")
