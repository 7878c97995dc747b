# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import traffic
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._health import awaiting

ENDED = "2026-03-01T12:00:00Z"
GOOD = finding("app.exceptions.ok", "app", "ok", "0 unhandled exceptions")
DISK = finding("host.disk.ok", "host", "ok", "half full")


def exceptions(summary="12 unhandled exceptions", status="fail", **evidence):
    return finding(
        "app.exceptions", "app", status, summary, evidence=evidence, remedy="debug_logging"
    )


def served(requests, id="app.errors.ok", status="ok"):
    return finding(id, "app", status, "requests", evidence={"requests": requests})


def entry(*ids, before=True):
    ids = list(ids or ("app.exceptions",))
    was = [{"id": id, "status": "fail", "summary": "%s was there" % id} for id in ids]
    return {
        "run": "r1",
        "remedy": "debug_logging",
        "time": "2026-03-01T11:59:00Z",
        "ended": ENDED,
        "outcome": "unverified",
        "findings": ids,
        "awaiting": ids,
        "before": was if before else [],
    }


def conclude(findings, fresh, waits=None, needed=100):
    waits = waits or entry()
    found, decided = awaiting.conclude(
        findings, dict.fromkeys(waits["awaiting"], waits), lambda _names, _entry: fresh, needed
    )
    return {item["id"]: item for item in found}, decided


@pytest.mark.parametrize(
    "window", [[exceptions()], [GOOD], []], ids=["still seen", "seen no more", "not checked"]
)
@pytest.mark.parametrize("requests", [0, 99, None])
def test_with_fewer_requests_the_finding_stays_whatever_the_window_shows(window, requests):
    found, decided = conclude([*window, DISK], [GOOD, served(requests)])
    item = found["app.exceptions"]
    assert (item["status"], item["remedy"], decided) == ("fail", "debug_logging", [])
    assert item["evidence"]["awaiting_traffic"] == {
        "since": ENDED,
        "requests": requests,
        "needed": 100,
        "remedy": "debug_logging",
        "run": "r1",
    }
    assert set(found) == {"app.exceptions", "host.disk.ok"}
    if window != [exceptions()]:
        assert item["summary"].startswith("app.exceptions was there (not verified yet")


def test_errors_that_go_on_decide_nothing_before_there_were_enough_requests():
    found, decided = conclude([exceptions()], [exceptions("3 since"), served(99)])
    assert "awaiting_traffic" in found["app.exceptions"]["evidence"] and not decided


def test_enough_requests_without_it_show_that_it_has_ended():
    # The window shows what was before the remedy, too.
    found, decided = conclude([exceptions(), DISK], [GOOD, served(100)])
    assert set(found) == {"app.exceptions.ok", "host.disk.ok"}
    item = found["app.exceptions.ok"]
    assert item["evidence"]["resolved"] == {
        "finding": "app.exceptions",
        "at": ENDED,
        "remedy": "debug_logging",
        "run": "r1",
    }
    (one,) = decided
    assert (one["outcome"], one["run"], one["remedy"]) == ("kept", "r1", "debug_logging")
    assert one["reason"] == "not seen in 100 requests since"


def test_a_symptom_of_what_has_ended_is_of_the_past_too():
    def lines(at):
        evidence = {"last_seen": at}
        return finding("app.errors.rate", "app", "fail", "12 lines", evidence=evidence)

    waits = dict(entry(), findings=["app.exceptions", "app.errors.rate"])
    found, _decided = conclude(
        [exceptions(), lines("2026-03-01T11:58:00Z")], [GOOD, served(100)], waits
    )
    assert set(found) == {"app.exceptions.ok", "app.errors.ok"}
    # What was seen since is no symptom of it.
    found, _decided = conclude(
        [exceptions(), lines("2026-03-01T12:01:00Z")], [GOOD, served(100)], waits
    )
    assert found["app.errors.rate"] == lines("2026-03-01T12:01:00Z")


def test_enough_requests_with_it_show_that_it_has_not_helped():
    found, decided = conclude([GOOD], [exceptions("3 since"), served(100)])
    item = found["app.exceptions"]
    assert item[
        "summary"
    ] == "3 since (debug_logging did not help: 100 requests served since %s)" % (ENDED)
    assert item["evidence"]["not_helped"]["run"] == "r1"
    assert set(found) == {"app.exceptions"}
    (one,) = decided
    assert (one["outcome"], one["reason"]) == ("failed", "still app.exceptions: 3 since")


def test_a_check_that_is_unmeasured_since_decides_nothing():
    unmeasured = finding("app.exceptions.unknown", "app", "unknown", "the log goes elsewhere")
    found, decided = conclude([GOOD], [unmeasured, served(500)])
    assert "awaiting_traffic" in found["app.exceptions"]["evidence"] and not decided


def test_what_the_log_does_not_count_decides_nothing():
    unknown = finding("app.errors.unknown", "app", "unknown", "no access lines")
    found, decided = conclude([GOOD], [GOOD, unknown])
    assert found["app.exceptions"]["evidence"]["awaiting_traffic"]["requests"] is None
    assert not decided


def test_a_remedy_is_decided_once_all_that_it_answered_is():
    both = entry("app.exceptions", "app.errors.rate")
    rate = finding("app.errors.rate", "app", "fail", "9 % fail", evidence={"requests": 200})
    _found, (one,) = conclude([GOOD], [GOOD, rate], both)
    assert (one["outcome"], one["reason"]) == ("failed", "still app.errors.rate: 9 % fail")
    _found, (one,) = conclude([GOOD], [GOOD, served(200)], both)
    assert one["outcome"] == "kept"
    # One of them belongs to a check that was not run.
    waits = {"app.exceptions": both}
    _found, decided = awaiting.conclude([GOOD], waits, lambda _n, _e: [GOOD, served(200)], 100)
    assert not decided


@pytest.mark.parametrize("id", traffic.SHOWN)
@pytest.mark.parametrize("before", [True, False])
def test_every_finding_that_waits_can_be_made_again_from_the_ledger(id, before):
    found, _decided = conclude([], [served(1)], entry(id, before=before))
    item = found[id]
    assert item["component"] == id.partition(".")[0]
    assert item["status"] == ("fail" if before else "warn")


@pytest.mark.parametrize(
    ("item", "waits"),
    [
        (exceptions(), True),
        (finding("app.errors.rate", "app", "warn", "x"), True),
        (finding("api.latency.high", "api", "warn", "measured now"), False),
        (finding("api.latency.high", "api", "warn", "x", evidence={"last_seen": ENDED}), True),
        (finding("app.oom.killed", "app", "fail", "x", evidence={"last_seen": ENDED}), False),
    ],
)
def test_what_only_traffic_shows(item, waits):
    assert traffic.shows_it(item) is waits
