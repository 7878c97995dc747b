# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils.report import formats, history

NOW = datetime(2026, 11, 24, 14, 54, 27, tzinfo=UTC)
STAMP = "2026-11-24T145427Z"


def write(directory, documents=None, moment=NOW):
    return history.write(
        str(directory), moment, documents or {"report.json": "{}", "report.md": "x"}
    )


def test_a_run_is_a_directory_named_by_its_time(tmp_path):
    run = write(tmp_path / "deep" / "reports")
    assert run == str(tmp_path / "deep" / "reports" / STAMP)
    assert sorted(os.listdir(run)) == ["report.json", "report.md"]
    assert os.listdir(tmp_path / "deep" / "reports") == [STAMP]


def test_reports_are_not_for_everybody(tmp_path):
    before = os.umask(0)
    try:
        run = write(tmp_path / "reports")
    finally:
        os.umask(before)
    for path in (tmp_path / "reports", run):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o750
    assert stat.S_IMODE(os.stat(os.path.join(run, "report.json")).st_mode) == 0o640


def test_runs_of_one_second_do_not_collide(tmp_path):
    assert [
        os.path.basename(write(tmp_path, {"report.md": str(number)})) for number in range(11)
    ] == [STAMP] + ["%s-%d" % (STAMP, number) for number in range(2, 12)]
    assert (tmp_path / (STAMP + "-3") / "report.md").read_text() == "2"
    assert history.runs(str(tmp_path))[-1] == STAMP + "-11"


def test_a_name_that_was_freed_is_not_taken_again(tmp_path):
    for _attempt in range(4):
        run = write(tmp_path)
        history.prune(str(tmp_path), 2)
    assert history.runs(str(tmp_path)) == [STAMP + "-3", STAMP + "-4"]
    assert run == str(tmp_path / (STAMP + "-4"))


def test_text_that_is_not_unicode_is_written_all_the_same(tmp_path):
    run = write(tmp_path, {"report.json": '{"a": "\udcff"}'})
    with open(os.path.join(run, "report.json"), encoding="utf-8") as file:
        assert file.read() == '{"a": "\\udcff"}'


def test_a_directory_that_cannot_be_one_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(history.Unwritable, match=r"/file: it is not a directory"):
        write(tmp_path / "file")
    with pytest.raises(history.Unwritable, match="Not a directory"):
        write(tmp_path / "file" / "reports")


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    with pytest.raises(history.Unwritable, match="File name too long"):
        write(tmp_path, {"report.md": "x", "x" * 300: "x"})
    assert os.listdir(tmp_path) == []


def test_latest_points_at_the_newest_run(tmp_path):
    for _attempt in range(2):
        run = write(tmp_path)
        link, why_not = history.link_latest(str(tmp_path), run)
        assert (link, why_not) == (str(tmp_path / "latest"), None)
        assert os.readlink(link) == os.path.basename(run)
    assert sorted(os.listdir(tmp_path)) == [STAMP, STAMP + "-2", "latest"]


def test_a_directory_called_latest_is_kept_and_named(tmp_path):
    (tmp_path / "latest").mkdir()
    run = write(tmp_path)
    link, why_not = history.link_latest(str(tmp_path), run)
    assert link is None
    assert "latest could not be made a link" in why_not
    assert sorted(os.listdir(tmp_path)) == [STAMP, "latest"]


def test_without_symbolic_links_there_is_no_latest(tmp_path, monkeypatch):
    def refuse(_source, _target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(history.os, "symlink", refuse)
    assert history.link_latest(str(tmp_path), write(tmp_path)) == (
        None,
        "%s could not be made a link to this run: Operation not permitted" % (tmp_path / "latest"),
    )


def test_the_oldest_runs_go(tmp_path):
    for day in range(1, 6):
        write(tmp_path, moment=NOW.replace(day=day))
    assert history.prune(str(tmp_path), 2) == ["2026-11-0%dT145427Z" % day for day in (1, 2, 3)]
    assert history.runs(str(tmp_path)) == ["2026-11-04T145427Z", "2026-11-05T145427Z"]
    assert history.prune(str(tmp_path), 2) == []


def test_nothing_but_reports_is_removed(tmp_path):
    for day in range(1, 4):
        write(tmp_path, moment=NOW.replace(day=day))
    (tmp_path / "2026-11-01T145427Z" / "notes.txt").write_text("mine")
    (tmp_path / "important").mkdir()
    assert history.prune(str(tmp_path), 1) == ["2026-11-02T145427Z"]
    assert sorted(os.listdir(tmp_path)) == ["2026-11-01T145427Z", "2026-11-03T145427Z", "important"]
    assert sorted(os.listdir(tmp_path / "2026-11-01T145427Z")) == [
        "notes.txt",
        "report.json",
        "report.md",
    ]


def test_a_link_named_like_a_run_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "report.json").write_text("mine")
    reports = tmp_path / "reports"
    write(reports)
    os.symlink(elsewhere, reports / "2020-01-01T000000Z")
    assert history.prune(str(reports), 1) == []
    assert (elsewhere / "report.json").read_text() == "mine"


def test_the_latest_report_is_read(tmp_path, makers):
    for number, day in enumerate((3, 1, 2)):
        report = makers.build(makers.sample(), title="number %d" % number)
        write(tmp_path, {"report.json": formats.render_json(report)}, NOW.replace(day=day))
    previous, note = history.read_previous(str(tmp_path))
    assert note is None
    assert previous["title"] == "number 0"


def test_the_first_report_has_nothing_before_it(tmp_path):
    for directory in (tmp_path, tmp_path / "missing"):
        assert history.read_previous(str(directory)) == (
            None,
            "this is the first report in this directory",
        )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ('{"schema_version": "2.0"', "is not JSON"),
        ("[]", "has the schema version None, this is 2.0"),
        ('{"schema_version": "1.1"}', "has the schema version 1.1, this is 2.0"),
        ('{"schema_version": 1}', "has the schema version 1, this is 2.0"),
        ('{"schema_version": "2.0"}', "does not match its schema"),
        (
            (
                '{"schema_version": "2.0", "generated_at": "2026-11-24T08:00:00Z", "fleet": [],'
                ' "hosts": [5]}'
            ),
            "does not match its schema",
        ),
        (
            '{"schema_version": "2.0", "generated_at": "<script>", "fleet": [], "hosts": []}',
            "does not match its schema",
        ),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_report_that_cannot_be_compared_with_is_named(tmp_path, text, reason):
    write(tmp_path, {"report.md": "x"} if text is None else {"report.json": text})
    previous, note = history.read_previous(str(tmp_path))
    assert previous is None
    assert reason in note
    assert STAMP in note


def test_a_later_minor_version_is_compared_with(tmp_path, makers):
    report = dict(makers.build(makers.sample()), schema_version="2.7", extra=1)
    write(tmp_path, {"report.json": formats.render_json(report)})
    assert history.read_previous(str(tmp_path))[1] is None
