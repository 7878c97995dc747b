# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import terminal


def shown(report, width=100):
    return [text for text, _colour in terminal.lines(report, width)]


def test_the_sample_reads_from_the_worst_down(makers):
    report = makers.build(
        makers.sample(), previous_note="this is the first report in this directory"
    )
    assert shown(report) == [
        "Sergas fleet - 20 hosts: 2 ok, 0 warn, 15 fail, 2 unknown, 1 unreachable",
        (
            "FAIL  fleet (13 hosts)  fleet.db.unreachable  10.20.0.5:5432 refuses connections (13"
            " of 16 hosts"
        ),
        "      that use it)",
        (
            "      -> Start the cluster on its host: systemctl start postgresql, and read its log"
            " if it does not"
        ),
        "         stay up.",
        "FAIL  app1.example.com  app.port.conflict  Port 8000 is held by python3 (pid 4711, unit",
        "      rogue.service), sergas-app cannot bind it",
        "      -> Stop rogue.service, or move the app with API_PORT.",
        "FAIL  app8.example.com  host.unreachable  Ansible cannot reach it: Connection timed out",
        (
            "      -> Check that it is up, and what is between it and this controller (route,"
            " firewall)."
        ),
        "WARN  app4.example.com  app.errors.rate  57 error lines in the last hour, warn at 10",
        "      -> Check what /accounts waits for: its slow requests began with the errors.",
        "WARN  app3.example.com  host.disk.high  /var/log is 86.4 % full, warn at 80 %",
        "      -> Vacuum the journal: journalctl --vacuum-size=1G.",
        (
            "UNKNOWN  app6.example.com  redis.unknown  redis could not be measured: no answer"
            " within 5.0 s"
        ),
        "UNKNOWN  app9.example.com  host.diagnosis.failed  Not diagnosed: No space left on device",
        "No comparison: this is the first report in this directory.",
    ]


def many_faults(makers, number, advice="do this " * 40):
    statuses = ("fail", "warn", "unknown")
    return [
        makers.entry(
            "a-host-with-a-rather-long-name-%d.dc1.example.com" % index,
            [
                finding(
                    "app.fault%d.%s" % (index, status),
                    "app",
                    status,
                    "it is bad " * 60,
                    advice=advice,
                )
                for status in statuses
            ],
        )
        for index in range(number)
    ]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 8, 40])
@pytest.mark.parametrize("width", [0, 60, 80, 100, 500])
def test_it_stays_short_and_narrow_whatever_is_wrong(makers, number, width):
    result = shown(makers.build(many_faults(makers, number)), width)
    assert len(result) <= terminal.MOST_LINES
    assert max(map(len, result)) <= max(60, min(100, width))


def test_what_is_not_shown_is_counted(makers):
    result = shown(makers.build(many_faults(makers, 10)))
    assert "      ... and 13 more root causes: see the report" in result
    assert "      ... and 7 more could not be measured" in result


def test_the_hosts_of_a_cause_are_capped(makers):
    hosts = [
        makers.entry("web%d" % number, makers.disk_high(makers.healthy())) for number in range(9)
    ]
    assert any(
        line.startswith("WARN  web0, web1, web2, web3, web4, web5 +3  host.disk.high")
        for line in shown(makers.build(hosts))
    )


def test_a_long_name_leaves_room_for_what_is_wrong(makers):
    name = "a-very-long-name-of-a-host.in-a-long.domain.example.com"
    lines = shown(makers.build([makers.entry(name, makers.port_conflict(makers.healthy()))]))
    assert lines[1].startswith(
        "FAIL  a-very-long-name-of-a-host.in-a- ...  app.port.conflict  Port 8000"
    )


def test_a_healthy_fleet_says_so_in_green(makers):
    lines = terminal.lines(
        makers.build([makers.entry("web%d" % number, makers.healthy()) for number in (1, 2)]), 100
    )
    assert lines[0] == (
        "Sergas fleet - 2 hosts: 2 ok, 0 warn, 0 fail, 0 unknown, 0 unreachable",
        "green",
    )
    assert lines[1][0].startswith("Nothing is wrong")


def test_one_machine_says_what_it_does_not_have(makers):
    assert "Skipped, not on this host: loadbalancer." in shown(
        makers.build([makers.entry("web1", makers.healthy())])
    )


def test_the_changes_are_counted(makers):
    before = makers.build(
        [makers.entry("web1", makers.disk_high(makers.healthy()))],
        generated_at="2026-11-24T08:00:00Z",
    )
    after = makers.build([makers.entry("web1", makers.errors(makers.healthy()))], previous=before)
    assert shown(after)[-1] == "Since 2026-11-24 08:00 UTC: 1 new, 1 resolved, 0 still bad."


def test_nothing_of_a_host_steers_the_terminal(makers):
    evil = "\x1b[2J\x1b]0;owned\x07red\x1b[31m\r\nFAIL\x9b1m \u202eabc"
    items = [finding("app.errors.rate", "app", "fail", evil, advice=evil)]
    text = "\n".join(shown(makers.build([makers.entry("web\x1b[1m1", items)], title=evil)))
    assert not any(
        ord(char) < 32 and char != "\n" or 127 <= ord(char) < 160 or char == "\u202e"
        for char in text
    )
    assert "owned" not in text


def test_each_status_has_its_word_and_colour(makers):
    hosts = [
        makers.entry("web1", [finding("app.x.y", "app", status, "x")])
        for status in ("fail", "warn", "unknown")
    ]
    for host, word, colour in zip(
        hosts, ("FAIL", "WARN", "UNKNOWN"), ("red", "yellow", "magenta"), strict=True
    ):
        line = terminal.lines(makers.build([host]), 100)[1]
        assert line[0].startswith(word + "  ")
        assert line[1] == colour


def test_what_became_of_a_remedy_is_not_cut_in_the_middle_of_what_to_do(makers):
    report = makers.build([makers.entry("web1", makers.disk_high(makers.healthy()))])
    todo = (
        "it did not help and cannot be undone. " + "Read the log of the unit and " * 8 + "call DBA."
    )
    entry = {"outcome": "failed", "host": "web1", "remedy": "start_redis", "reason": todo}
    report["remediation"] = {"entries": [dict(entry) for _number in range(6)]}
    text = " ".join(" ".join(line for line, _colour in terminal.lines(report, 80)).split())
    assert text.count(" ".join(todo.split())) >= 2
    assert "more remedies: see the report" in text
    assert len(terminal.lines(report, 80)) <= terminal.MOST_LINES
