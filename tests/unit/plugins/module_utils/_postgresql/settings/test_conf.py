# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import conf

MAIN = "/etc/pg/postgresql.conf"
AUTO = "/var/lib/pg/postgresql.auto.conf"


class Files:
    """Files by path; a directory is what has files in it."""

    def __init__(self, files):
        self.files = files

    def read(self, path):
        return self.files.get(path)

    def names(self, directory):
        found = [
            path[len(directory) + 1 :] for path in self.files if path.startswith(directory + "/")
        ]
        return [name for name in found if "/" not in name] or None

    def tree(self, changed=None):
        return conf.Tree(MAIN, AUTO, *conf.overlay(self.read, self.names, changed or {}))


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("work_mem = 4MB", "work_mem", "4MB"),
        ("work_mem 4MB", "work_mem", "4MB"),
        ("work_mem=4MB# why", "work_mem", "4MB"),
        ("  WORK_MEM = '4MB'   # why", "WORK_MEM", "4MB"),
        ("search_path = '\"$user\", public'", "search_path", '"$user", public'),
        (
            "log_line_prefix = '%m it''s \\'so\\' \\t\\\\ \\101'",
            "log_line_prefix",
            "%m it's 'so' \t\\ A",
        ),
        ("log_line_prefix = 'a # b'", "log_line_prefix", "a # b"),
        ("log_line_prefix = ''", "log_line_prefix", ""),
        ("random_page_cost=-1.5e3", "random_page_cost", "-1.5e3"),
        ("log_file_mode = 0640", "log_file_mode", "0640"),
        ("data_sync_retry on", "data_sync_retry", "on"),
        ("listen_addresses = localhost", "listen_addresses", "localhost"),
        ("auto_explain.log_min_duration='3s'", "auto_explain.log_min_duration", "3s"),
        ("timezone = Europe/Madrid", "timezone", "Europe/Madrid"),
        ("wal_level'replica'", "wal_level", "replica"),
    ],
)
def test_a_line_is_read_as_the_server_reads_it(line, name, value):
    assert conf.lines(line) == [(1, name, value)]


@pytest.mark.parametrize("line", ["", "   ", "# work_mem = 4MB", "\t# x"])
def test_nothing_is_on_an_empty_line_or_a_comment(line):
    assert conf.lines(line) == []


@pytest.mark.parametrize(
    "line", ["work_mem", "work_mem = 'open", "= 4", "a b c", "work_mem == 4", "9a = 1"]
)
def test_what_the_server_does_not_read_is_a_fault(line):
    assert conf.lines("jit = on\n" + line) == [(1, "jit", "on"), (2, None, line.strip())]


@pytest.mark.parametrize(
    "value", ["", "a", "it's", "\\", "\\'", "''", "a\nb\r\tc", "# no comment", "ü €", "x = 'y'"]
)
def test_a_value_survives_being_written_and_read(value):
    text = conf.render({"name": value}, {}, [])
    assert conf.settings(text) == {"name": value}


def test_a_null_character_cannot_be_written():
    with pytest.raises(ValueError, match="null character"):
        conf.quote("a\0b")


def test_each_value_has_its_reason_above_it():
    text = conf.render(
        {"jit": "off", "work_mem": "4MB"}, {"jit": "two\nlines of why"}, ["About the machine."]
    )
    lines = text.splitlines()
    assert lines[1] == "# About the machine."
    assert lines[lines.index("jit = 'off'") - 1] == "# two lines of why"
    assert lines[lines.index("work_mem = '4MB'") - 1] == ""


FILES = Files(
    {
        MAIN: (
            "jit = on\nwork_mem = 1MB\ninclude_dir 'conf.d'\nwork_mem = 2MB\ninclude"
            " '../more/a.conf'\ninclude_if_exists = 'missing.conf'\n"
        ),
        "/etc/pg/conf.d/20-b.conf": "jit = off\ntemp_buffers = 2MB\n",
        "/etc/pg/conf.d/10-a.conf": "temp_buffers = 1MB\n",
        "/etc/pg/conf.d/B.conf": "max_connections = 7\n",
        "/etc/pg/conf.d/.hidden.conf": "temp_buffers = 9MB\n",
        "/etc/pg/conf.d/notes.txt": "temp_buffers = 9MB\n",
        "/etc/more/a.conf": "max_connections = 8\n",
        AUTO: "wal_level = 'logical'\nmax_connections = 9\n",
    }
)


def test_files_count_in_the_server_s_order():
    tree = FILES.tree()
    assert tree.faults == []
    assert [(entry.name, entry.value) for entry in tree.entries] == [
        ("jit", "on"),
        ("work_mem", "1MB"),
        ("temp_buffers", "1MB"),
        ("jit", "off"),
        ("temp_buffers", "2MB"),
        ("max_connections", "7"),
        ("work_mem", "2MB"),
        ("max_connections", "8"),
        ("wal_level", "logical"),
        ("max_connections", "9"),
    ]
    assert tree.winner("JIT") == conf.Entry("jit", "off", "/etc/pg/conf.d/20-b.conf", 1)
    assert tree.winner("work_mem").line == 4
    assert tree.winner("max_connections").path == AUTO
    assert tree.winner("nothing") is None
    assert tree.includes("/etc/pg/conf.d/")
    assert not tree.includes("/etc/more")


def test_a_change_is_tried_before_it_is_made():
    new = "/etc/pg/conf.d/90-sergas.conf"
    tree = FILES.tree({new: "temp_buffers = 5MB\n"})
    assert tree.winner("temp_buffers").path == new
    assert FILES.tree({"/etc/pg/conf.d/20-b.conf": None}).winner("temp_buffers").value == "1MB"
    assert new not in FILES.files


def test_a_directory_appears_with_its_first_file():
    files = Files({MAIN: "include_dir = 'conf.d'\n"})
    assert files.tree().faults[0].reason.startswith("could not open configuration directory")
    assert files.tree({"/etc/pg/conf.d/a.conf": "jit = on\n"}).faults == []


def test_faults_name_their_file_and_line():
    files = Files({MAIN: "jit = on\ninclude 'gone.conf'\nwork_mem 'open\n"})
    assert files.tree().faults == [
        conf.Fault("/etc/pg/gone.conf", 2, "could not open configuration file"),
        conf.Fault(MAIN, 3, "syntax error: work_mem 'open"),
    ]


def test_a_file_that_includes_itself_is_a_fault():
    assert "too deeply" in Files({MAIN: "include 'postgresql.conf'\n"}).tree().faults[0].reason


@pytest.mark.parametrize("text", ["", "jit = on\n", "jit = on"])
def test_the_line_that_includes_comes_and_goes(text):
    more = conf.with_include(text, "conf.d")
    assert Files({MAIN: more, "/etc/pg/conf.d/a.conf": ""}).tree().includes("/etc/pg/conf.d")
    assert conf.without_include(more).rstrip("\n") == text.rstrip("\n")
