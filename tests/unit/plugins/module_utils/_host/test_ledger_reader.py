# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger, ledger_reader


def line(time, run="r", outcome="kept", ended=None):
    return json.dumps(
        {"time": time, "ended": ended, "run": run, "remedy": "restart", "outcome": outcome}
    )


@pytest.fixture
def read(tmp_path):
    """Return a function that reads the host in a directory."""
    for name in ("lib", "run", "restore"):
        (tmp_path / name).mkdir()

    def run():
        return ledger_reader.read(
            str(tmp_path / "lib" / "ledger.jsonl"), str(tmp_path / "run"), str(tmp_path / "restore")
        )

    return run


def test_a_host_without_a_ledger_has_no_changes(read, tmp_path):
    assert read() == []
    assert (
        ledger_reader.read(str(tmp_path / "no"), str(tmp_path / "no"), str(tmp_path / "no")) == []
    )


def test_the_newest_comes_first_from_the_ledger_and_its_fallback(read, tmp_path):
    (tmp_path / "lib" / "ledger.jsonl").write_text(
        line("2026-03-01T12:00:00Z") + "\nbroken\n" + line("2026-03-01T12:02:00Z") + "\n"
    )
    (tmp_path / "run" / "ledger.jsonl").write_text(line("2026-03-01T12:01:00Z") + "\n")
    assert [entry["time"][14:16] for entry in read()] == ["02", "01", "00"]


def test_only_a_bounded_tail_is_read(read, tmp_path):
    path = tmp_path / "lib" / "ledger.jsonl"
    lines = [line("2026-03-01T12:%02d:%02dZ" % divmod(number, 60)) for number in range(3600)]
    path.write_text("\n".join(lines) + "\n")
    entries = read()
    assert 20 < len(entries) < 3600
    assert entries[0]["time"] == "2026-03-01T12:59:59Z"
    assert len(ledger_reader.read_tail(str(path), 1000)) <= 1000


def test_begun_is_interrupted_unless_the_lock_is_held(read, tmp_path):
    (tmp_path / "lib" / "ledger.jsonl").write_text(
        line("2026-03-01T12:00:00Z", outcome="begun") + "\n"
    )
    assert read()[0]["outcome"] == "interrupted"
    lease = {
        "run": "r",
        "remedy": "restart",
        "boot_id": times.boot_id(),
        "ends": times.uptime() + 100,
    }
    (tmp_path / "run" / "remedy.lease").write_text(json.dumps(lease))
    assert read()[0]["outcome"] == "begun"


def point(directory, name, outcome, **more):
    (directory / name).mkdir()
    (directory / name / "point.json").write_text(json.dumps(dict({"run": "r7"}, **more)))
    (directory / name / "outcome").write_text(
        outcome if isinstance(outcome, str) else json.dumps(outcome)
    )


DONE = {"restored_at": "2026-03-01T12:00:30Z", "by": "timer", "complete": True}


@pytest.mark.parametrize(
    ("by", "complete", "outcome", "words"),
    [
        ("timer", True, "undone", "by its deadline"),
        ("boot", True, "undone", "came up again"),
        ("boot", False, "failed", "came up again"),
    ],
)
def test_what_the_host_restored_automatically_is_a_change(
    read, tmp_path, by, complete, outcome, words
):
    done = dict(DONE, by=by, complete=complete)
    point(tmp_path / "restore", "firewall", done, armed_at="2026-03-01T12:00:00Z")
    (entry,) = read()
    assert set(entry) == set(ledger.KEYS)
    assert (entry["remedy"], entry["run"], entry["by"]) == ("firewall", "r7", "host")
    assert (entry["time"], entry["ended"]) == ("2026-03-01T12:00:00Z", "2026-03-01T12:00:30Z")
    assert entry["outcome"] == outcome and words in entry["reason"]


@pytest.mark.parametrize(
    "outcome",
    ["", " " * 8192, "{", dict(DONE, by="module"), dict(DONE, restored_at=None), {"by": "timer"}],
)
def test_what_a_run_restored_or_nothing_has_is_none(read, tmp_path, outcome):
    point(tmp_path / "restore", "firewall", outcome)
    assert read() == []


def test_who_may_not_read_it_gets_none(monkeypatch):
    def denied(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    assert ledger_reader.read() is None
