# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import random

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._app import (
    env_plan,
    env_readings,
    env_values,
)
from ansible_collections.sergas.ops.plugins.module_utils._app.env_values import Refused
from ansible_collections.sergas.ops.plugins.module_utils._host import dotenv, dotenv_masking


def readings(text):
    """Return what every reader gets: python-dotenv, systemd, and systemd before 254."""
    return (
        dotenv.dotenv_values(dotenv.parse(text)),
        dotenv.systemd_values(text),
        dotenv.systemd_values(text, comments_join=True),
    )


# How a value is written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", ""),
        ("300", "300"),
        ("https://api.example.com/v1?a=b%20c", "https://api.example.com/v1?a=b%20c"),
        ("a#b", "a#b"),
        ("#b", "'#b'"),
        ("a b", "'a b'"),
        ("~/x", "'~/x'"),
        ("a;b", "'a;b'"),
        ("$5", "'$5'"),
        ("a\\b", "'a\\b'"),
        ("it's", '"it\'s"'),
        ("a\\", '"a\\\\"'),
        ("line 1\nline 2", "'line 1\nline 2'"),
        ('["a", "b"]', '\'["a", "b"]\''),
    ],
)
def test_a_value_is_quoted_only_where_a_reader_needs_it(value, written):
    assert env_values.forms(value)[0] == written


@pytest.mark.parametrize(
    "value", ["${A}", "x${A:-b}", "it's $5", "`a`'b", "a\rb", "a\x01b", "a\x7f", "\ud800", "$\\"]
)
def test_a_value_that_cannot_be_read_alike_is_refused_without_showing_it(value):
    with pytest.raises(Refused) as error:
        env_plan.plan("", {"A": value})
    assert str(error.value).startswith("A cannot be set to this value: ")
    assert value not in str(error.value)


def test_every_form_of_a_value_is_read_alike():
    alphabet = "a \\'\"$`#=;~!{}\n\té\u00a0%*"
    values = [
        "".join(part) for size in (1, 2, 3) for part in itertools.product(alphabet, repeat=size)
    ]
    written = 0
    for value in values:
        try:
            forms = env_values.forms(value)
        except Refused:
            continue
        for form in forms:
            written += 1
            assert readings("A=%s\nB=1\n" % form) == ({"A": value, "B": "1"},) * 3, (value, form)
    assert written > 5000


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (5, "5"), (0.5, "0.5"), ("yes", "yes"), ("", "")],
)
def test_numbers_and_booleans_are_texts(value, text):
    assert env_values.as_text("A", value) == text


@pytest.mark.parametrize(
    ("value", "hint"), [(None, "absent"), ([1], "to_json"), ({"a": 1}, "to_json")]
)
def test_what_is_no_text_is_refused_with_the_way_out(value, hint):
    with pytest.raises(Refused, match=hint):
        env_values.as_text("A", value)


# What becomes of a line


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("A=1\n", "2", "A=2\n"),
        ("A=1\n", "1", "A=1\n"),
        ("A=1", "1", "A=1"),
        ("A=1", "2", "A=2\n"),
        ("A='1'\n", "2", "A='2'\n"),
        ('A="1"\n', "1", 'A="1"\n'),
        ('A="1"\n', "2", 'A="2"\n'),
        ('A="1"\n', "$2", "A='$2'\n"),
        ("  A=1\n", "2", "  A=2\n"),
        ("A=1  # why\n", "1", "# why\nA=1\n"),
        ("A=1  # why\n", "2", "# why\nA=2\n"),
        ("  A='1' # why\n", "2", "  # why\n  A='2'\n"),
        ("A= # why\n", "", "# why\nA=\n"),
        ("A=1 # why \\\n", "1", "# why \\ \nA=1\n"),
        ("export A=1\n", "1", "A=1\n"),
        ("A = 1\n", "1", "A=1\n"),
        ("A\n", "1", "A=1\n"),
        ("A # why\n", "1", "# why\nA=1\n"),
        ("'A'=1\n", "1", "A=1\n"),
        ("A=1\r\n", "1", "A=1\n"),
        ('A="1\n', "1", "A=1\n"),
        ("A='it''s'\n", "it's", 'A="it\'s"\n'),
        ('A="1\n2"\n', "3", 'A="3"\n'),
        ("", "1", "A=1\n"),
        ("B=2", "1", "B=2\nA=1\n"),
        ("# A=0\nB=2\n", "1", "# A=0\nA=1\nB=2\n"),
        ("#export A=0", "1", "#export A=0\nA=1\n"),
        ("# A=0 \\\nB=2\n\nC=3\n", "1", "# A=0 \\\nB=2\n\nC=3\nA=1\n"),
    ],
)
def test_setting_a_variable(before, value, after):
    plan = env_plan.plan(before, {"A": value})
    assert plan.text == after
    assert plan.changed == (["A"] if before != after else [])
    for reading in readings(after):
        assert reading["A"] == value
    assert env_plan.plan(after, {"A": value}) == (after, [], [], [], [])


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("export A=1  # why\n", "1", "export A=1  # why\n"),
        ("export A=1  # why\n", "2", "export A=2  # why\n"),
        ("A='1'# why\n", "1", "A='1'  # why\n"),
    ],
)
def test_export_and_inline_comments_stay_where_systemd_does_not_read_them(before, value, after):
    assert env_plan.plan(before, {"A": value}, by_systemd=False).text == after


FILE = """\
# The app
DATABASE_HOST = db1   # not requested

export LOG_LEVEL=INFO
EMPTY=
bad line
TOKEN="a b"\t
"""


def test_lines_that_are_not_requested_keep_their_text():
    plan = env_plan.plan(FILE, {"NEW": "1", "EMPTY": "no more"}, absent=["TOKEN", "GONE"])
    assert plan.text == FILE.replace("EMPTY=\n", "EMPTY='no more'\n").replace(
        'TOKEN="a b"\t\n', "NEW=1\n"
    )
    assert plan == (plan.text, ["EMPTY", "NEW"], [], ["TOKEN"], [])


def test_of_duplicates_the_last_one_stays_where_it_is():
    plan = env_plan.plan("A=1\nB=2\nA=3 # c\nA=4\n", {"A": "4"})
    assert plan.text == "B=2\nA=4\n"
    assert plan.dropped == [("A", 1), ("A", 3)]
    assert plan.changed == ["A"]


def test_of_duplicates_the_first_one_stays_where_another_variable_refers_to_it():
    plan = env_plan.plan("A=1\nB=${A}\nA=3\n", {"A": "4"})
    assert plan.text == "A=4\nB=${A}\n"
    assert plan.dropped == [("A", 3)]


def test_removing_removes_every_line_that_sets_or_tries_to():
    plan = env_plan.plan('A=1\nB=2\nexport A=3\nA="4\n', {}, absent=["A"])
    assert plan == ("B=2\n", [], [], ["A"], [])


@pytest.mark.parametrize("name", ["", "1A", "A B", "A-B", "A=B", "A\n", "Ä", "#A"])
@pytest.mark.parametrize("option", ["values", "absent"])
def test_names_that_are_none_are_refused(name, option):
    with pytest.raises(Refused, match="no name of a variable"):
        env_plan.plan(
            "", {name: "1"} if option == "values" else {}, [name] if option == "absent" else []
        )


def test_a_variable_cannot_be_set_and_removed():
    with pytest.raises(Refused, match="A: both in values and in absent"):
        env_plan.plan("", {"A": "1"}, ["A"])


# What is in the way


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("B=1\\\nA=2\n", "A cannot be set so that systemd reads it: line 1 ends in a backslash"),
        ("# why \\\nA=2\n", "A cannot be set so that systemd reads it: line 1 ends in a backslash"),
        (
            '\nB="1\nA=2\n',
            "A cannot be set so that systemd reads it: line 2 has a quote that is not closed",
        ),
    ],
)
def test_a_line_that_hides_the_variable_from_systemd_is_named(before, reason):
    with pytest.raises(Refused, match=reason):
        env_plan.plan(before, {"A": "3"})


def test_setting_the_line_that_hid_others_returns_them():
    plan = env_plan.plan('B="1\nA=2\n', {"B": "1"})
    assert plan.text == "B=1\nA=2\n"
    assert readings(plan.text) == ({"A": "2", "B": "1"},) * 3


def test_no_change_ever_changes_another_variable():
    """Whatever a file looks like: it is set as requested and all else reads as before, or it is
    refused.
    """
    source = random.Random(4)
    pieces = [
        "A",
        "B",
        "=",
        "1",
        " ",
        "#",
        "'",
        '"',
        "\\",
        "\n",
        "export ",
        "${A}",
        "$",
        ";",
        "\r\n",
    ]
    done = 0
    for _round in range(3000):
        before = "".join(source.choice(pieces) for _piece in range(source.randrange(1, 14)))
        try:
            plan = env_plan.plan(before, {"A": "x y"}, repair=source.random() < 0.3)
        except Refused:
            continue
        done += 1
        after = readings(plan.text)
        assert {reading["A"] for reading in after} == {"x y"}, before
        assert env_plan.plan(plan.text, {"A": "x y"}).text == plan.text, before
        raw = {
            line.name: line.value for line in dotenv.parse(before) if line.name not in (None, "A")
        }
        assert {
            line.name: line.value
            for line in dotenv.parse(plan.text)
            if line.name not in (None, "A")
        } == raw
        was = dotenv.systemd_values(before)
        for name in set(was) | set(after[1]) - {"A"}:
            assert name == "A" or after[1].get(name) in (was.get(name), after[0].get(name)), before
    assert done > 1500


# The other variables


def test_repairing_gives_systemd_what_dotenv_reads():
    before = (
        "TTL=300  # 5 minutes\nexport LEVEL=INFO\nB='x' # y\nC=1\nC=2\nD=${C}\nE='it''s'\nOK=1\n"
    )
    plan = env_plan.plan(before, {}, repair=True)
    assert (
        plan.text == "# 5 minutes\nTTL=300\nLEVEL=INFO\n# y\nB='x'\nC=2\nD=${C}\nE='it''s'\nOK=1\n"
    )
    assert plan.repaired == ["TTL", "LEVEL", "B", "C"]
    assert plan.dropped == [("C", 4)]
    assert plan.changed == []
    assert set(env_readings.ambiguous(plan.text)) == {"D", "E"}
    assert env_plan.plan(plan.text, {}, repair=True).text == plan.text


def test_repairing_that_cannot_be_does_not_stop_what_was_requested():
    plan = env_plan.plan('X=1 # c\nA=1\nB="1\nC=2\n', {"A": "2"}, repair=True)
    assert plan.text == 'X=1 # c\nA=2\nB="1\nC=2\n'
    assert plan.repaired == []


def test_what_is_read_differently_is_said_without_secrets():
    text = (
        "TTL=300  # 5 minutes\nAPI_KEY=hidden  # c\nURL=http://u:hidden@h # c\nMARKED=hidden # c\n"
        "export LEVEL=INFO\nOK=1\n# \\\nLATE=1\n"
    )
    found = env_readings.ambiguous(text, marked=["MARKED"])
    assert found["TTL"] == "line 1: systemd reads '300  # 5 minutes', python-dotenv reads '300'"
    assert found["LEVEL"] == "line 5: systemd reads nothing, python-dotenv reads 'INFO'"
    assert found["LATE"].startswith("line 8: systemd before 254")
    assert set(found) == {"TTL", "API_KEY", "URL", "MARKED", "LEVEL", "LATE"}
    assert "hidden" not in str(found)


def test_a_quote_that_swallows_a_secret_does_not_show_it():
    assert "hidden" not in str(env_readings.ambiguous('A="1\nDATABASE_PASSWORD=hidden\n'))


# What a diff shows


@pytest.mark.parametrize(
    "name",
    [
        "DATABASE_PASSWORD",
        "ZOHO_SDK_CLIENT_SECRET",
        "COGNEE_API_KEY",
        "ENCRYPTION_KEY",
        "SENTRY_DSN",
        "REDIS_PASS",
    ],
)
def test_names_that_speak_of_a_secret(name):
    assert dotenv_masking.is_secret(name)


@pytest.mark.parametrize(
    "name", ["DATABASE_HOST", "REDIS_CACHE_TTL", "LOG_LEVEL", "KEYSPACE", "BYPASS_CACHE"]
)
def test_names_that_do_not(name):
    assert not dotenv_masking.is_secret(name)
    assert dotenv_masking.is_secret(name, marked=[name])


@pytest.mark.parametrize(
    "text",
    [
        "PASSWORD=hidden\n",
        "export PASSWORD = 'hidden' # c\n",
        "'PASSWORD'=hidden\n",
        'PASSWORD="hid\nden hidden"\n',
        'PASSWORD="hidden\nhidden\n',
        "PASSWORD='hid''hidden'\n",
        "PRIVATE_KEY=-----BEGIN KEY-----\nhidden\nhidden==\n-----END KEY-----\n",
        "hidden\n",
        "hid+den=hidden\n",
        "# PASSWORD=hidden\n",
        "URL=redis://:hidden@h:1/0\n",
        "URL=postgres://u:hid/hidden@x@h/db\n",
        "MARKED=hidden\n",
    ],
)
def test_a_diff_shows_no_secret(text):
    shown = dotenv_masking.masked(text, set(), marked=["MARKED"])
    assert "hidden" not in shown
    assert shown.count("\n") <= text.count("\n")


def test_a_diff_shows_the_rest_and_that_a_secret_is_another_one():
    text = "# why\nPASSWORD=one-secret\nHOST='db 1' # c\nCOPY=one-secret\n"
    assert (
        dotenv_masking.masked(text, {"one-secret"}, changed=["PASSWORD"])
        == "# why\nPASSWORD=******** (changed)\nHOST='db 1' # c\nCOPY=********\n"
    )


def test_a_byte_order_mark_goes_so_that_all_read_the_first_variable():
    done = env_plan.plan("\ufeffDATABASE_HOST=db1\nA=1\n", {"A": "2"})
    assert done.text == "DATABASE_HOST=db1\nA=2\n"
    assert env_plan.plan(done.text, {"A": "2"}).text == done.text
