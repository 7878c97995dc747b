# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "lint" / "plain_words.py"
spec = importlib.util.spec_from_file_location("plain_words", SCRIPT)
plain_words = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain_words)

CHECKER = plain_words.Checker(plain_words.read_rules(plain_words.WORDS.read_text(encoding="utf-8")))
EXAMPLES = 'EXAMPLES = r"""\n- name: %s\n  x:\n"""\n'


def found(path, text):
    return [(item.line, item.word) for item in CHECKER.check(path, text)]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        # names
        ("plugins/x/mended.py", "", [(1, "mended")]),
        ("plugins/x/extended.py", "", []),
        ("a.py", "def put_it_back(): pass\n", [(1, "put it back")]),
        ("a.py", "def put_in_place(): pass\n", []),
        ("a.py", "class HostAsked: pass\n", [(1, "Asked")]),
        ("a.py", "class HostTasked: pass\n", []),
        ("a.py", "\nFOLDER_MODE = 1\n", [(2, "FOLDER")]),
        ("a.py", "lambda told: 1\nself.told = f(told=2)\n", [(1, "told"), (2, "told")]),
        ("a.py", "look_at = 1\nlook_up = 2\n", [(1, "look at")]),
        ("a.py", "foreign.ask()\nx = foreign.folder\n", []),
        # strings
        ("a.py", 'f("Zoho was\\n"\n  "asked")\n', [(2, "asked")]),
        ("a.py", 'f("%s was told", x)\nf(f"{told} by itself")\n', [(1, "told"), (2, "by itself")]),
        ("a.py", 'x = {"told": told}\ny = b"told"\n', [(1, "told")]),
        ("a.py", 'f("a line in place of another")\n', []),
        (
            "a.py",
            'f("it puts %d files\\nback, lets the app log in")\n',
            [(1, "puts %d files back")],
        ),
        ("a.py", 'f("it lets them. The rest is in")\n', []),
        # docstrings and comments
        ("a.py", '"""One.\n\nIt is put\nback.\n"""\n', [(3, "put back")]),
        ("a.py", "x = 1\n# It is put\n#: back.\n", [(2, "put back")]),
        ("a.py", "x = 1  # The proof\n", [(1, "proof")]),
        ("plugins/x/pgwire.py", "x = 1  # The proof\n", []),
        ("a.py", '"""Return C(x), see L(y)."""\n', [(1, "C("), (1, "L(")]),
        ("a.py", 'def f():\n    """Return `x` of PLC(x)."""\n    # A V(true)\n', [(3, "V(")]),
        # plugins' documentation, which ansible-doc renders
        ("a.py", 'DOCUMENTATION = r"""\nx: C(y) mends\n"""\n', [(2, "mends")]),
        ("a.py", 'RETURN = r"""\nx: O(y) is tasked\n"""\n', []),
        ("a.py", EXAMPLES % "Start it", [(2, "Start it")]),
        ("a.py", EXAMPLES % "Start the app with it", []),
        # YAML
        ("r.yml", "- name: See to a token\n  x: 1\n", [(1, "See to")]),
        ("r.yml", "- name: Restart the app\n  # by\n  # itself\n", [(2, "by itself")]),
        (
            "r.yml",
            "sergas_x_patience: 1\ndescription: who lacks\n",
            [(1, "patience"), (2, "lacks")],
        ),
        ("r.yml", "a: \"{{ x.told }} is {{ 'told' if\n  told }}\"\n", [(1, "told")]),
        ("r.yml", "a: {b: look, tasks_from: look}\nlook: at\n", [(1, "look"), (2, "look")]),
        ("r.yml", "a: take a look there\n", []),
        ("r.yml", "a: {b: 1, look: at}\n", [(1, "look")]),
        (
            "r.yml",
            "a: >-\n  {{ __x_told\n  | f(y.told, sergas_looked) }}\n",
            [(2, "told"), (3, "looked")],
        ),
        ("r.yml", "a: \"{{ told | f('a __told') }}\"\n", [(1, "told")]),
        ("x.j2", "# {{ told }}\n{# forget #}\n", [(2, "forget")]),
        # documentation
        (
            "README.md",
            "It works\nof its own\n`told` and PUT\n",
            [(2, "of its own"), (3, "told")],
        ),
        ("changelogs/fragments/a.yml", "---\nx:\n  - y - lets\n    go of it\n", [(3, "lets go")]),
        ("docs/a.rst", "It takes place in the place of another, untold.\n", []),
        ("COPYING", "whoever asked", []),
    ],
)
def test_each_kind_of_text_is_searched(path, text, expected):
    assert found(path, text) == expected


@pytest.mark.parametrize(
    ("name", "is_vague"),
    [
        ("Keep it", True),
        ("Carry it out", True),
        ("'Ask for them again'", True),
        ("Start it, as it was", True),
        ("Build it and start it", True),
        ("Give it a moment", True),
        ("Judge what it says", True),
        ("Report", True),
        ("Report on all hosts", False),
        ("Name the missing package", True),
        ("Restart sergas-app", False),
        ("Keep its file", False),
        ("Write that file", False),
    ],
)
def test_a_task_says_what_is_done_to_what(name, is_vague):
    text = "- name: %s\n  ansible.builtin.ping:\n" % name
    assert any(name.strip("'") == word for _line, word in found("a.yml", text)) == is_vague


@pytest.mark.parametrize(
    "text",
    ["- {name: Keep it, x: 1}\n", "- name: >-\n    Keep it\n", "- {x: 1}\n- {name: Keep it}\n"],
)
def test_a_task_name_is_found_in_each_style(text):
    assert [word for _line, word in found("a.yml", text)] == ["Keep it"]


def test_every_rule_is_understood():
    with pytest.raises(ValueError, match="words.txt:2"):
        plain_words.read_rules("[words]\nask\n")
    with pytest.raises(ValueError, match="words.txt:1"):
        plain_words.read_rules("ask = query\n")
    rules = plain_words.read_rules("[words]\nput_up, b = use\n[phrases]\na b, c @ x/* = reason\n")
    assert rules.words == {"put up": "use", "b": "use"}
    assert rules.phrases == [("a b", "x/*"), ("c", "x/*")]


def test_findings_are_printed_and_set_the_status(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.md").write_text("fine\nwe ask\n", encoding="utf-8")
    (tmp_path / "b.bin").write_bytes(b"ask \xff")
    assert plain_words.main(["a.md", "b.bin", "gone"]) == 1
    assert capsys.readouterr().out == "a.md:2: ask (use: query, check, request)\n"
    assert plain_words.main(["b.bin"]) == 0
