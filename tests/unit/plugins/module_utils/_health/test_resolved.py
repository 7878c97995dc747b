# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._health import resolved as health_resolved


def killed(last_seen="2026-03-01T12:00:00Z", status="fail"):
    evidence = {"kills": 3}
    if last_seen:
        evidence["last_seen"] = last_seen
    return finding(
        "app.oom.killed",
        "app",
        status,
        "The kernel killed the app",
        value=3,
        warn=1,
        evidence=evidence,
        remedy="raise_memory_limit",
        advice="Raise it.",
        guide="Crashes",
    )


def entry(ended="2026-03-01T12:05:00Z", outcome="kept", findings=("app.oom.killed",), run="r1"):
    return {
        "time": "2026-03-01T11:00:00Z",
        "ended": ended,
        "run": run,
        "remedy": "raise_memory_limit",
        "findings": list(findings),
        "outcome": outcome,
    }


def resolved(item, *entries):
    (result,) = health_resolved.mark_resolved([item], "app.oom.ok", entries)
    return result


def test_what_was_not_seen_since_its_remedy_is_ok_and_says_so():
    result = resolved(killed(), entry())
    assert (result["id"], result["status"], result["component"]) == ("app.oom.ok", "ok", "app")
    assert result["remedy"] is None and result["advice"] is None and result["value"] is None
    assert result["summary"] == (
        "Fixed at 2026-03-01T12:05:00Z by the remedy raise_memory_limit, not seen since (last at"
        " 2026-03-01T12:00:00Z): The kernel killed the app"
    )
    assert result["evidence"]["resolved"] == {
        "finding": "app.oom.killed",
        "at": "2026-03-01T12:05:00Z",
        "remedy": "raise_memory_limit",
        "run": "r1",
    }
    assert result["evidence"]["kills"] == 3 and result["guide"] == "Crashes"


@pytest.mark.parametrize("last_seen", ["2026-03-01T12:05:00Z", "2026-03-01T12:05:01Z"])
def test_what_was_seen_again_stays(last_seen):
    item = killed(last_seen)
    assert resolved(item, entry()) == item


@pytest.mark.parametrize(
    "other",
    [
        {"outcome": "undone"},
        {"outcome": "failed"},
        {"outcome": "interrupted"},
        {"outcome": "begun", "ended": None},
        {"findings": ["app.exceptions"]},
        {"findings": []},
        {"ended": None},
    ],
)
def test_only_a_kept_remedy_for_this_finding_counts(other):
    assert resolved(killed(), entry(**other)) == killed()


@pytest.mark.parametrize("last_seen", [None, "", "yesterday", 5])
def test_a_finding_of_the_present_stays(last_seen):
    item = killed()
    item["evidence"]["last_seen"] = last_seen
    assert resolved(item, entry()) == item
    assert resolved(killed(None), entry()) == killed(None)


def test_a_good_finding_is_left_alone():
    assert resolved(killed(status="ok"), entry()) == killed(status="ok")


def test_a_finding_that_derives_from_the_fixed_one_is_fixed_with_it():
    result = resolved(killed(), entry(findings=["app.service.restarting", "app.oom.killed"]))
    assert result["status"] == "ok"


def test_of_several_remedies_the_latest_is_named():
    earlier, later = entry("2026-03-01T12:01:00Z", run="r1"), entry(run="r2")
    for entries in ([earlier, later], [later, earlier]):
        assert resolved(killed(), *entries)["evidence"]["resolved"]["run"] == "r2"
