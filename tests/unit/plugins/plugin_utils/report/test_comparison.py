# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding


def keys(entries):
    return [(entry["host"], entry["id"]) for entry in entries]


def compared(makers, before, after):
    return makers.build(after, previous=makers.build(before, generated_at="2026-11-24T08:00:00Z"))[
        "comparison"
    ]


def host(makers, name, *items):
    return makers.entry(
        name,
        [
            finding(id, id.split(".")[0].replace("db", "database"), status, "x")
            for id, status in items
        ],
    )


def test_new_resolved_and_still_bad(makers):
    before = [
        host(
            makers,
            "web1",
            ("host.disk.high", "warn"),
            ("host.cpu.high", "fail"),
            ("host.load.ok", "ok"),
        )
    ]
    after = [
        host(
            makers,
            "web1",
            ("host.disk.ok", "ok"),
            ("host.cpu.high", "warn"),
            ("host.load.high", "warn"),
        )
    ]
    result = compared(makers, before, after)
    assert result["previous"] == "2026-11-24T08:00:00Z"
    assert keys(result["new"]) == [("web1", "host.load.high")]
    assert keys(result["resolved"]) == [("web1", "host.disk.high")]
    assert keys(result["still_bad"]) == [("web1", "host.cpu.high")]
    assert result["unmeasured"] == []


def test_what_was_not_measured_again_is_not_resolved(makers):
    before = [
        host(
            makers,
            "web1",
            ("host.disk.high", "warn"),
            ("db.unreachable", "fail"),
            ("app.port.closed", "fail"),
        )
    ]
    after = [
        host(
            makers,
            "web1",
            ("host.cpu.ok", "ok"),
            ("db.connection.unknown", "unknown"),
            ("app.port.skipped", "skipped"),
        )
    ]
    result = compared(makers, before, after)
    assert result["resolved"] == []
    assert keys(result["unmeasured"]) == [
        ("web1", "host.disk.high"),
        ("web1", "db.unreachable"),
        ("web1", "app.port.closed"),
    ]


def test_a_dependency_that_answers_again_is_resolved_whatever_its_ids(makers):
    result = compared(
        makers,
        [host(makers, "web1", ("db.unreachable", "fail"))],
        [host(makers, "web1", ("db.connection.ok", "ok"))],
    )
    assert keys(result["resolved"]) == [("web1", "db.unreachable")]


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("security.ban.ineffective", "security.bans.ok"),
        ("security.bruteforce", "security.access.ok"),
        ("security.jail.dead", "security.jails.ok"),
        ("security.login.guessed", "security.access.ok"),
        ("security.mfa.off", "security.keys.ok"),
    ],
)
def test_a_finding_is_resolved_where_its_check_says_ok(makers, bad, good):
    before = [host(makers, "web1", (bad, "fail"))]
    result = compared(makers, before, [host(makers, "web1", (good, "ok"))])
    assert keys(result["resolved"]) == [("web1", bad)]
    other = compared(makers, before, [host(makers, "web1", ("security.ports.ok", "ok"))])
    assert keys(other["unmeasured"]) == [("web1", bad)]


def test_nothing_is_resolved_on_a_host_that_is_lost(makers):
    result = compared(
        makers, [host(makers, "web1", ("host.disk.high", "warn"))], [makers.lost("web1")]
    )
    assert keys(result["new"]) == [("web1", "host.unreachable")]
    assert keys(result["unmeasured"]) == [("web1", "host.disk.high")]


def test_a_host_that_answers_again_is_resolved(makers):
    for lost in (makers.lost("web1"), makers.crashed("web1")):
        result = compared(makers, [lost], [host(makers, "web1", ("host.disk.high", "warn"))])
        assert keys(result["resolved"]) == [("web1", lost["findings"][0]["id"])]


def test_hosts_that_came_and_went_are_named_and_resolve_nothing(makers):
    bad = ("host.disk.high", "warn")
    result = compared(
        makers,
        [host(makers, "old", bad), host(makers, "both", bad)],
        [host(makers, "both", bad), host(makers, "new", bad)],
    )
    assert (result["hosts_added"], result["hosts_gone"]) == (["new"], ["old"])
    assert keys(result["still_bad"]) == [("both", "host.disk.high")]
    assert keys(result["new"]) == [("new", "host.disk.high")]
    assert result["resolved"] == result["unmeasured"] == []


def test_a_finding_of_the_fleet_comes_and_goes(makers):
    down = [
        makers.entry("web%d" % number, makers.database_down(makers.healthy())) for number in (1, 2)
    ]
    up = [makers.entry("web%d" % number, makers.healthy()) for number in (1, 2)]
    assert keys(compared(makers, down, up)["resolved"])[0] == (None, "fleet.db.unreachable")
    again = [
        makers.entry("web%d" % number, makers.database_down(makers.healthy())) for number in (1, 2)
    ]
    new = compared(makers, up, again)["new"]
    assert keys(new)[0] == (None, "fleet.db.unreachable")
    assert [entry["root"] for entry in new] == [True] + [False] * 4


def test_without_an_earlier_report_nothing_is_new(makers):
    result = makers.build(makers.sample(), previous_note="this is the first report")["comparison"]
    assert (result["previous"], result["note"], result["new"]) == (
        None,
        "this is the first report",
        [],
    )
