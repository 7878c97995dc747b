# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import times as core_times
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger

NOW = core_times.seconds("2026-03-01T12:00:00Z")


def entry(ago, outcome="kept", remedy="restart", run="r", lasted=10):
    """An entry that was begun some seconds ago."""
    ended = None if outcome in ("begun", "interrupted") else core_times.clock(NOW - ago + lasted)
    return {
        **dict.fromkeys(ledger.KEYS),
        "time": core_times.clock(NOW - ago),
        "ended": ended,
        "run": run,
        "remedy": remedy,
        "findings": [],
        "outcome": outcome,
        "before": [],
        "after": [],
        "known": [],
        "awaiting": [],
    }


def refusal(entries, cooldown=900, times=3, hours=24):
    return ledger.refusal(entries, "restart", NOW, cooldown, times, hours)


def test_times_are_whole_seconds_in_utc():
    assert core_times.clock(0) == "1970-01-01T00:00:00Z"
    assert (
        core_times.seconds("2026-03-01T12:00:00Z") - core_times.seconds("2026-03-01T11:59:59Z") == 1
    )
    for at in range(0, 4 * 10**9, 12345678):
        assert core_times.seconds(core_times.clock(at)) == at
    for day in ("2024-02-28", "2024-02-29", "2024-03-01", "2100-02-28", "2100-03-01", "2025-12-31"):
        at = core_times.seconds(day + "T23:59:59Z")
        assert core_times.clock(at) == day + "T23:59:59Z"
    for wrong in (None, "", "yesterday", 5, "2026-03-01T12:00:00", "2026-13-01T12:00:00Z"):
        assert core_times.seconds(wrong) is None


@pytest.mark.parametrize("outcome", ledger.ENDED)
def test_after_an_end_the_remedy_waits(outcome):
    message = refusal([entry(610, outcome)])
    assert "ended 600 s ago (%s)" % outcome in message and "after 900 s" in message


def test_the_cooldown_is_over_when_it_is_over():
    assert refusal([entry(909)]) is not None
    assert refusal([entry(910)]) is None


def test_the_cooldown_is_the_remedys_own():
    assert refusal([entry(20, remedy="another")]) is None


def test_who_was_interrupted_need_not_wait():
    assert refusal([entry(20, "interrupted")]) is None


def test_an_end_in_the_future_says_nothing():
    assert refusal([entry(-3600)]) is None


def test_the_third_repetition_goes_to_a_person():
    entries = [entry(ago) for ago in (9000, 6000, 3000)]
    assert "3 times in the last 24 hours" in refusal(entries)
    assert "someone has to investigate" in refusal(entries)
    assert refusal(entries[1:]) is None
    assert refusal(entries, times=4) is None
    assert refusal(entries, times=0) is None


def test_interrupted_ones_are_repetitions_too():
    assert refusal([entry(ago, "interrupted") for ago in (9000, 6000, 3000)]) is not None


def test_what_is_longer_ago_is_no_repetition():
    entries = [entry(25 * 3600), entry(6000), entry(3000)]
    assert refusal(entries) is None
    assert refusal(entries, hours=26) is not None


LEASE = {"run": "r", "remedy": "restart", "boot_id": "b", "ends": 100.0}


def test_a_lease_holds_until_its_end_in_this_boot():
    assert ledger.holder(LEASE, "b", 99.9) == LEASE
    assert ledger.holder(LEASE, "b", 100.0) is None
    assert ledger.holder(LEASE, "another", 50.0) is None
    assert ledger.holder(None, "b", 50.0) is None


def test_the_lease_of_a_dead_run_blocks_no_run():
    assert ledger.holder(LEASE, "b", 50.0, ["x", "r"]) is None
    assert ledger.holder(LEASE, "b", 50.0, ["x"]) == LEASE


def test_who_holds_the_lock_is_said():
    message = ledger.lock_refusal(dict(LEASE, by="alice"), 60.0)
    assert message == "run r of alice is at work on this host with restart, its lock ends in 40 s"


def test_begun_without_an_end_is_interrupted_unless_its_run_holds_the_lock():
    begun = [entry(20, "begun", run="r")]
    assert ledger.with_interruptions(begun, "r")[0]["outcome"] == "begun"
    assert ledger.with_interruptions(begun, None)[0]["outcome"] == "interrupted"
    assert ledger.with_interruptions(begun, "another")[0]["outcome"] == "interrupted"
    # The copy was marked: what is written down stays.
    assert begun[0]["outcome"] == "begun"


def test_of_one_entry_in_two_files_the_ended_one_counts():
    begun, ended = entry(20, "begun"), entry(20, "undone")
    for order in ([begun], [ended]), ([ended], [begun]):
        assert ledger.merge(*order) == [ended]


def test_merged_entries_are_in_the_order_of_their_time():
    first, second, third = entry(30), entry(20), entry(10)
    assert ledger.merge([second], [third, first]) == [first, second, third]


GOOD = ledger.line_of(entry(20))


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON",
        b"[]",
        b"7",
        b"{}",
        b"\xff\xfe",
        b"[" * 100000,
        json.dumps(dict(entry(20), time="yesterday")).encode(),
        json.dumps(dict(entry(20), run=None)).encode(),
        json.dumps(dict(entry(20), outcome=["kept"])).encode(),
    ],
)
def test_what_is_no_entry_is_skipped_and_counted(line):
    assert ledger.parse(GOOD + line + b"\n\n" + GOOD) == ([entry(20), entry(20)], 1)


def test_an_entry_has_all_of_its_keys_whatever_its_line_has():
    line = json.dumps(
        {"time": "2026-03-01T12:00:00Z", "run": "r", "remedy": "m", "outcome": "kept"}
    )
    ((found,), skipped) = ledger.parse(line.encode())
    assert set(found) == set(ledger.KEYS) and skipped == 0
    assert found["findings"] == found["before"] == found["after"] == []


def test_an_end_replaces_its_beginning():
    data = ledger.line_of(entry(30)) + ledger.line_of(entry(20, "begun")) + GOOD[:10] + b"\n"
    written = ledger.rewritten(data, [entry(20, "undone")], 10**6)
    expected = ledger.line_of(entry(30)) + ledger.line_of(entry(20, "undone")) + GOOD[:10] + b"\n"
    assert written == expected


def test_a_new_entry_comes_last_even_after_half_a_line():
    assert ledger.rewritten(b"half", [entry(20)], 10**6) == b"half\n" + GOOD


def test_of_too_much_the_oldest_goes_and_the_last_stays():
    old = [entry(ago) for ago in range(100, 20, -1)]
    data = b"".join(map(ledger.line_of, old))
    written = ledger.rewritten(data, [entry(20)], len(GOOD) * 3 + 5)
    assert ledger.parse(written)[0] == old[-2:] + [entry(20)]
    assert ledger.rewritten(data, [entry(20)], 1) == GOOD


def test_what_waits_for_traffic_is_no_repetition_and_has_its_cooldown():
    waits = [entry(ago, "unverified") for ago in (9000, 6000, 3000)]
    assert refusal(waits) is None
    assert "ended 10 s ago (unverified)" in refusal([entry(20, "unverified")])


def waits(ago, *ids, outcome="unverified", remedy="restart"):
    return dict(entry(ago, outcome, remedy), findings=list(ids), awaiting=list(ids))


def test_the_latest_remedy_of_a_finding_says_whether_it_waits():
    later, earlier = waits(20, "app.exceptions"), waits(900, "app.exceptions", "app.errors.rate")
    found = ledger.waiting([later, earlier])
    assert found == {"app.exceptions": later, "app.errors.rate": earlier}
    # Whatever has ended for it since: nothing is waited for any more.
    for outcome in ("kept", "undone", "failed"):
        since = waits(20, "app.exceptions", outcome=outcome)
        assert set(ledger.waiting([since, earlier])) == {"app.errors.rate"}
    # But for what was begun and never ended.
    assert ledger.waiting([waits(20, "app.exceptions", outcome="interrupted"), earlier]) == {
        "app.exceptions": earlier,
        "app.errors.rate": earlier,
    }
