# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import causes
from ansible_collections.sergas.ops.plugins.module_utils._core.causes import Rule
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding


def bad(id, status="fail", cause=None, **evidence):
    return finding(id, "app", status, "as seen", cause=cause, evidence=evidence)


def derived(findings, *rules):
    return [item["cause"] for item in causes.derive(findings, causes.by_effect(*rules))]


def test_first_cause_of_the_first_rule_that_holds_is_taken():
    rules = (
        Rule("app.a", ("app.x",), lambda _effect, cause: cause["evidence"].get("big")),
        Rule("app.a", ("app.z", "app.y")),
    )
    findings = [bad("app.a"), bad("app.x"), bad("app.y"), bad("app.z")]
    assert derived(findings, *rules)[0] == "app.z"
    assert derived([bad("app.a"), bad("app.y"), bad("app.x", big=True)], *rules)[0] == "app.x"
    assert derived([bad("app.a"), bad("app.b")], *rules) == [None, None]


def test_condition_sees_effect_and_cause():
    seen = []
    derived(
        [bad("app.a"), bad("app.x")], Rule("app.a", ("app.x",), lambda *both: seen.append(both))
    )
    assert [(effect["id"], cause["id"]) for effect, cause in seen] == [("app.a", "app.x")]


def test_conditions_are_joined():
    both = causes.all_of(
        lambda effect, _cause: "x" in effect["evidence"],
        lambda _effect, cause: "y" in cause["evidence"],
    )
    rule = Rule("app.a", ("app.b",), both)
    assert derived([bad("app.a", x=1), bad("app.b", y=1)], rule)[0] == "app.b"
    assert derived([bad("app.a", x=1), bad("app.b")], rule)[0] is None


def test_chain_of_causes_ends_at_one_root():
    rules = (Rule("app.a", ("app.b",)), Rule("app.b", ("app.c",)))
    assert derived([bad("app.a"), bad("app.b"), bad("app.c")], *rules) == ["app.b", "app.c", None]


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_rules_that_form_a_circle_leave_one_root(order):
    rules = [Rule("app." + x, ("app." + y,)) for x, y in ("ab", "bc", "ca")]
    found = derived([bad("app." + name) for name in order], *rules)
    assert found.count(None) == 1
    assert found == derived([bad("app." + name) for name in order], *rules)


def test_finding_that_would_be_its_own_cause_takes_the_next_one():
    rules = (Rule("app.a", ("app.b",)), Rule("app.b", ("app.a", "app.c")))
    assert derived([bad("app.a"), bad("app.b"), bad("app.c")], *rules) == ["app.b", "app.c", None]


def test_given_cause_stays_and_closes_no_circle():
    rules = (Rule("app.a", ("app.x",)), Rule("app.b", ("app.a",)))
    assert derived([bad("app.a", cause="app.b"), bad("app.b"), bad("app.x")], *rules) == [
        "app.b",
        None,
        None,
    ]
    assert derived([bad("app.a", cause="host.reboot"), bad("app.x")], *rules)[0] == "host.reboot"


def test_given_causes_that_form_a_circle_explain_nothing_else():
    findings = [bad("app.a", cause="app.b"), bad("app.b", cause="app.a"), bad("app.c")]
    assert derived(findings, Rule("app.c", ("app.a",))) == ["app.b", "app.a", None]


def test_another_finding_of_the_same_id_may_be_the_cause():
    def seen_by_module(effect, cause):
        return "account" in cause["evidence"] and "account" not in effect["evidence"]

    findings = [bad("app.a"), bad("app.a", account="x")]
    assert derived(findings, Rule("app.a", ("app.a",), seen_by_module)) == ["app.a", None]
    assert derived(findings[:1], Rule("app.a", ("app.a",))) == [None]


def test_id_that_ends_in_a_dot_stands_for_all_that_begin_with_it_and_are_known():
    rule = Rule("app.a", ("host.disk.",))
    assert derived([bad("app.a"), bad("host.disk.high")], rule)[0] == "host.disk.high"
    assert derived([bad("app.a"), bad("host.disk.unknown", "unknown")], rule)[0] is None
    assert derived([bad("app.a"), bad("host.disks.high")], rule)[0] is None
    named = Rule("app.a", ("host.disk.unknown",))
    assert (
        derived([bad("app.a"), bad("host.disk.unknown", "unknown")], named)[0]
        == "host.disk.unknown"
    )


def test_most_specific_effect_has_the_rules():
    rules = (
        Rule("lb.", ("api.down",)),
        Rule("lb.blocked.", ("app.a",)),
        Rule("lb.blocked", ("app.b",)),
    )
    findings = [bad("app.a"), bad("app.b"), bad("api.down")]
    expected = {"lb.health": "api.down", "lb.blocked.port": "app.a", "lb.blocked": "app.b"}
    for id, cause in expected.items():
        assert derived([bad(id), *findings], *rules)[0] == cause


def test_selection_by_all_findings():
    def worst(_effect, findings):
        return [item["id"] for item in findings if item["evidence"].get("worst")]

    rule = Rule("app.a", ("app.b", "app.c"), select=worst)
    assert derived([bad("app.a"), bad("app.b"), bad("app.c", worst=True)], rule)[0] == "app.c"
    assert derived([bad("app.a"), bad("app.b")], rule)[0] is None


def test_what_is_good_is_no_cause_and_has_none_and_nothing_is_changed_in_place():
    findings = [bad("app.a"), finding("app.b", "app", "ok", "well"), bad("app.c")]
    rules = causes.by_effect(Rule("app.a", ("app.b", "app.c")), Rule("app.b", ("app.c",)))
    result = causes.derive(findings, rules)
    assert [item["cause"] for item in result] == ["app.c", None, None]
    assert findings[0]["cause"] is None
    assert result[1] is findings[1]
