# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import patterns


def option(pattern, name="own", severity="fail"):
    return {"name": name, "pattern": pattern, "severity": severity}


def seen(line, given=()):
    found = patterns.Patterns(patterns.compiled(given))
    found.match(10.0, "a", line, line.lower())
    return [event["name"] for event in found.result()]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("ERROR agent session 17 failed: timeout", ["agent_sessions"]),
        ("agent_session_failed id=17", ["agent_sessions"]),
        ("failed to start agent session", ["agent_sessions"]),
        ("ERROR account sync failed", ["account_syncs"]),
        ("sync_failed: upstream closed", ["account_syncs"]),
        ("failed to sync accounts", ["account_syncs"]),
        ("failed syncing", ["account_syncs"]),
        ("memory query failed: connection refused", ["memory_queries"]),
        ("error in memory_search of account 5", ["memory_queries"]),
        ("account sync done", []),
        ("zoho_request_failed path=/api/v1/accounts/sync", []),
        ("error while sending mail", []),
    ],
)
def test_shipped_events(line, names):
    assert seen(line) == names


def test_the_operators_own_events():
    given = [option(r"quota of \d+ reached"), option("never", "other")]
    found = patterns.Patterns(patterns.compiled(given))
    for at, line in ((10.0, "QUOTA of 17 reached"), (20.0, "quota of 18 reached"), (30.0, "fine")):
        found.match(at, "a", line, line.lower())
    (event,) = found.result()
    assert (event["name"], event["severity"], event["count"]) == ("own", "fail", 2)
    assert (event["first"], event["last"]) == (10.0, 20.0)
    assert found.result(resolved={"a"}) == []


def test_one_of_the_operators_replaces_a_shipped_one():
    given = [option("nothing like that", "account_syncs")]
    assert seen("account sync failed", given) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([option("(")], r"log_patterns\.own: pattern '\(' is no expression"),
        ([option("(a+)+$")], r"log_patterns\.own: .*may take too long"),
        ([option("(a|b)*c")], None),
        ([option("(?:a|ab)*c")], "may take too long"),
        ([option(".*a.*b.*c")], "may take too long"),
        ([option(r"(a)\1")], "may take too long"),
        ([option("a?" * 40)], "may take too long"),
        ([option("(a{1,30}){1,30}")], "may take too long"),
        ([option(".*a.*b")], None),
        ([option(r"(?:\d{1,3}\.){3}\d{1,3} refused")], None),
        ([option("")], "1 to 300 are allowed"),
        ([option("a" * 301)], "pattern of 301 characters"),
        ([option("a", "Own")], "name 'Own' is not allowed"),
        ([option("a"), option("b")], "name 'own' is there twice"),
        ([option("a", severity="bad")], "severity 'bad' is not one of warn, fail"),
        ([option("a", "n%d" % number) for number in range(21)], "21 of them, at most 20"),
    ],
)
def test_what_the_option_may_be(given, message):
    if message is None:
        assert len(patterns.compiled(given)) == len(given)
        return
    with pytest.raises(InvalidValue, match=message):
        patterns.compiled(given)


def test_hostile_lines_cost_little_and_are_said(monkeypatch):
    monkeypatch.setattr(patterns, "_SECONDS", 0.1)
    found = patterns.Patterns(patterns.compiled([option(".*a.*b$")]))
    started = time.process_time()
    line = "a" * 100000
    for _time in range(3000):
        found.match(10.0, "a", line, "fail " + "agent session" * 200)
        if found.exhausted:
            break
    assert found.exhausted
    assert time.process_time() - started < 2.0


def test_patterns_that_took_too_long_are_given_up(monkeypatch):
    monkeypatch.setattr(patterns, "_SECONDS", -1.0)
    found = patterns.Patterns(patterns.compiled([option("a")]))
    found.match(10.0, "a", "a", "a")
    assert found.exhausted
    found.match(11.0, "a", "a", "a")
    assert found.result()[0]["count"] == 1
