# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import dotenv

#: text, what python-dotenv 1.2 gives, what systemd 247, 252 and 257 give (all tried)
READINGS = [
    ("A=1\n", {"A": "1"}, {"A": "1"}),
    ("A = 1 \n", {"A": "1"}, {"A": "1"}),
    ("A=\n", {"A": ""}, {"A": ""}),
    ("A\n", {}, {}),
    ("TTL=300  # 5 minutes\n", {"TTL": "300"}, {"TTL": "300  # 5 minutes"}),
    ("A= # nothing\n", {"A": ""}, {"A": "# nothing"}),
    ("A=#x\n", {"A": "#x"}, {"A": "#x"}),
    ("A=x#y\n", {"A": "x#y"}, {"A": "x#y"}),
    ("export A=1\n", {"A": "1"}, {}),
    ('A="x # y" # c\n', {"A": "x # y"}, {"A": "x # y# c"}),
    ('A="p=q"\n', {"A": "p=q"}, {"A": "p=q"}),
    ("A='it''s'\n", {}, {"A": "its"}),
    ('A="a\\nb"\n', {"A": "a\nb"}, {"A": "a\\nb"}),
    ('A="a\\"b"\n', {"A": 'a"b'}, {"A": 'a"b'}),
    ("A='a\\'b'\n", {"A": "a'b"}, {"A": "a\\b'"}),
    ("A=a\\b\n", {"A": "a\\b"}, {"A": "ab"}),
    ("A=1\\\nB=2\n", {"A": "1\\", "B": "2"}, {"A": "1B=2"}),
    ('A="1\n2"\nB=3\n', {"A": "1\n2", "B": "3"}, {"A": "1\n2", "B": "3"}),
    ('A="1\nB=2\n', {"B": "2"}, {"A": "1\nB=2\n"}),
    ("A=1\nB=${A}x${C:-d}\n", {"A": "1", "B": "1xd"}, {"A": "1", "B": "${A}x${C:-d}"}),
    # The default is for a name that is not set, not for one that is set to nothing.
    ("A=\nB=${A:-x}\n", {"A": "", "B": ""}, {"A": "", "B": "${A:-x}"}),
    ("A\nB=${A:-x}\n", {"B": ""}, {"B": "${A:-x}"}),
    ("; A=1\nB=2\n", {"B": "2"}, {"B": "2"}),
    ("# A=1\n\nB=2\r\nC=3", {"B": "2", "C": "3"}, {"B": "2", "C": "3"}),
    ("A=1\nA=2\n", {"A": "2"}, {"A": "2"}),
]


@pytest.mark.parametrize(("text", "by_dotenv", "by_systemd"), READINGS)
def test_both_readings(text, by_dotenv, by_systemd):
    assert dotenv.dotenv_values(dotenv.parse(text)) == by_dotenv
    assert dotenv.systemd_values(text) == by_systemd


@pytest.mark.parametrize("text", [item[0] for item in READINGS])
def test_lines_give_the_file_again(text):
    assert "".join(line.text for line in dotenv.parse(text)) == text


def test_a_line_knows_its_number_name_and_the_position_of_its_value():
    lines = dotenv.parse("# c\nA='1\n2' # x\nexport B=3  # y\nbad line\n")
    named = [line for line in lines if line.name]
    assert [(line.number, line.name, line.export) for line in named] == [
        (2, "A", False),
        (4, "B", True),
    ]
    assert [line.text[line.start : line.end] for line in named] == ["'1\n2'", "3"]
    assert [(line.number, line.error) for line in lines if line.error] == [
        (5, "no = after the name")
    ]


def test_before_systemd_254_a_comment_goes_on_after_a_backslash():
    text = "# a \\\nA=1\n# b \\ \nB=2\n; c\\\n\nC=3\n"
    assert dotenv.systemd_values(text) == {"A": "1", "B": "2", "C": "3"}
    assert dotenv.systemd_values(text, comments_join=True) == {"B": "2", "C": "3"}


def test_a_reference_finds_what_the_process_has_and_the_file_has_not():
    lines = dotenv.parse("A=1\nB=${A}-${HOME}-${NONE:-x}\n")
    values = dotenv.dotenv_values(lines, {"A": "9", "HOME": "/home/sergas"})
    assert values == {"A": "1", "B": "1-/home/sergas-x"}
