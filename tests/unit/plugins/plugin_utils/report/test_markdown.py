# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import markdown


def test_the_sample(makers):
    text = markdown.render(makers.build(makers.sample(), previous_note="this is the first report"))
    assert text.startswith(
        "# Sergas fleet\n\n2026-11-24T14:54:27Z · 20 hosts: **1 unreachable**, **15 fail**, **2"
        " unknown**, **2 ok**\n"
    )
    rows = [line for line in text.splitlines() if line.startswith("| \u274c fail |")]
    assert (
        rows[1] == "| \u274c fail | app1.example.com (affects lb1.example.com, lb2.example.com) |"
        " `app.port.conflict` Port 8000 is held by python3 (pid 4711, unit rogue.service),"
        " sergas-app cannot bind it | Stop rogue.service, or move the app with API\\_PORT. |"
    )
    assert "No comparison: this is the first report." in text


def test_text_of_a_host_stays_text():
    assert (
        markdown.text("a|b `c` *d* [e](http://f) <img src=x> @team #1\nnext")
        == "a\\|b \\`c\\` \\*d\\* \\[e\\](http&#58;//f) &lt;img src=x&gt; &#64;team \\#1 next"
    )


def test_every_row_has_the_cells_of_its_table(makers):
    evil = "a | b\n| c | d |\n# heading"
    items = [finding("app.errors.rate", "app", "fail", evil, advice=evil)]
    text = markdown.render(makers.build([makers.entry(evil, items)], title=evil))
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in (4, 5)
    assert sum(line.startswith("#") for line in text.splitlines()) == 3


def test_it_stays_short(makers):
    hosts = [
        makers.entry("web%d" % number, [finding("app.fault%d.x" % number, "app", "fail", "x")])
        for number in range(500)
    ]
    text = markdown.render(makers.build(hosts))
    assert len(text.splitlines()) < 120
    assert "And 470 more" in text and "And 450 more hosts" in text


def test_a_healthy_fleet_is_a_line(makers):
    text = markdown.render(makers.build([makers.entry("web1", makers.healthy())]))
    assert "Nothing is wrong" in text
    assert "|" not in text


def test_changes_are_named(makers):
    before = makers.build(
        [makers.entry("web1", makers.disk_high(makers.healthy()))],
        generated_at="2026-11-24T08:00:00Z",
    )
    after = makers.build([makers.entry("web1", makers.errors(makers.healthy()))], previous=before)
    lines = markdown.render(after).splitlines()
    assert "- New: 1 - web1 `app.errors.rate`" in lines
    assert "- Resolved: 1 - web1 `host.disk.high`" in lines
    assert "- Still bad: 0" in lines
