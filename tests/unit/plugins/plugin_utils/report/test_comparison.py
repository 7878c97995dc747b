# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import results


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


def checked(makers, name, check, *items, **counts):
    """Return a host whose result says which check made which finding."""
    found = [finding(id, "app", status, "x", reason=reason) for id, status, reason in items]
    result = {"findings": found, "checked": {check: len(found), **counts}}
    variable = "sergas_diagnose_health"
    return results.host_entry(name, [], [], {variable: result}, [variable])


def test_it_is_resolved_only_by_the_check_that_made_it(makers):
    before = [checked(makers, "web1", "resources", ("app.pool.high", "fail", None))]
    for check, kind in (("resources", "resolved"), ("api", "unmeasured")):
        after = [checked(makers, "web1", check, ("app.pool.ok", "ok", None))]
        result = compared(makers, before, after)
        assert keys(result[kind]) == [("web1", "app.pool.high")]
    gap = [
        checked(
            makers,
            "web1",
            "resources",
            ("app.tasks.ok", "ok", None),
            ("app.pool.unknown", "unknown", "gap:x"),
        )
    ]
    assert keys(compared(makers, before, gap)["unmeasured"]) == [("web1", "app.pool.high")]


def test_the_result_of_another_module_resolves_nothing(makers):
    bad = finding("db.locks.blocked", "database", "fail", "x")
    good = finding("db.connection.ok", "database", "ok", "x")

    def host_with(**results_of):
        names = ["sergas_diagnose_" + name for name in results_of]
        found = dict(
            zip(names, ({"findings": [item]} for item in results_of.values()), strict=True)
        )
        return results.host_entry("db1", [], [], found, names)

    before = [host_with(connections=bad)]
    health = compared(makers, before, [host_with(health=good)])
    assert keys(health["unmeasured"]) == [("db1", "db.locks.blocked")]
    same = compared(makers, before, [host_with(connections=good)])
    assert keys(same["resolved"]) == [("db1", "db.locks.blocked")]


def test_a_failed_part_is_resolved_by_that_part_alone(makers):
    names = ["sergas_diagnose_health", "sergas_diagnose_insights"]
    fine = {"findings": [finding("host.disk.ok", "host", "ok", "x")]}
    slow = {"findings": [finding("db.queries.ok", "database", "ok", "x")]}
    failed = {"failed": True, "msg": "boom"}

    def entry(*found):
        return [results.host_entry("db1", [], [], dict(zip(names, found, strict=False)), names)]

    before = entry(fine, failed)
    assert keys(compared(makers, before, entry(fine))["unmeasured"]) == [
        ("db1", "host.diagnosis.failed")
    ]
    assert keys(compared(makers, before, entry(fine, slow))["resolved"]) == [
        ("db1", "host.diagnosis.failed")
    ]


def test_another_reason_is_another_finding(makers):
    before = [checked(makers, "web1", "env", ("app.env.missing", "fail", "missing:A"))]
    after = [checked(makers, "web1", "env", ("app.env.missing", "fail", "missing:B"))]
    result = compared(makers, before, after)
    assert [entry["reason"] for entry in result["new"]] == ["missing:B"]
    assert [entry["reason"] for entry in result["resolved"]] == ["missing:A"]


def test_what_a_limited_run_left_out_is_neither_new_nor_gone(makers):
    def hosts(*names):
        return [host(makers, name, ("host.disk.high", "fail")) for name in names]

    def runs(before, after, left_then, left_now):
        earlier = makers.build(
            hosts(*before),
            generated_at="2026-11-24T08:00:00Z",
            run={"not_in_run": left_then},
        )
        later = makers.build(hosts(*after), previous=earlier, run={"not_in_run": left_now})
        return later["comparison"]

    wider = runs(["web1"], ["web1", "web2"], ["web2"], [])
    assert (keys(wider["new"]), wider["hosts_added"]) == ([], [])
    assert keys(wider["first_checked"]) == [("web2", "host.disk.high")]
    limited = runs(["web1", "web2"], ["web1"], [], ["web2"])
    assert (limited["resolved"], limited["hosts_gone"]) == ([], [])
    assert keys(limited["unmeasured"]) == [("web2", "host.disk.high")]


def test_a_check_that_did_not_run_before_finds_nothing_new(makers):
    before = [checked(makers, "web1", "disk", ("host.disk.ok", "ok", None))]
    after = [
        checked(
            makers,
            "web1",
            "disk",
            ("host.disk.high", "fail", None),
            ("app.service.down", "fail", None),
            disk=1,
            service=1,
        )
    ]
    result = compared(makers, before, after)
    assert keys(result["new"]) == [("web1", "host.disk.high")]
    assert keys(result["first_checked"]) == [("web1", "app.service.down")]


def test_a_finding_of_the_fleet_is_resolved_where_its_hosts_were_checked_again(makers):
    down = [
        makers.entry("web%d" % number, makers.database_down(makers.healthy())) for number in (1, 2)
    ]
    one = [makers.entry("web1", makers.healthy())]
    result = compared(makers, down, one)
    assert (None, "fleet.db.unreachable") not in keys(result["resolved"])


def test_root_causes_are_counted_once_however_many_hosts_have_them(makers):
    fine = [host(makers, "web%d" % number, ("host.disk.ok", "ok")) for number in range(14)]
    full = [host(makers, "web%d" % number, ("host.disk.high", "fail")) for number in range(14)]
    result = compared(makers, fine, full)
    assert len(result["new"]) == 14 and result["roots"]["new"] == 1
    spread = compared(makers, [full[0], *fine[1:]], full)
    assert len(spread["new"]) == 13
    assert (spread["roots"]["new"], spread["roots"]["still_bad"]) == (0, 1)
