# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import tracebacks

PLAIN = """Traceback (most recent call last):
  File "/srv/venv/lib/python3.11/site-packages/starlette/routing.py", line 12, in app
    await route.handle(scope, receive, send)
  File "/srv/app/src/main.py", line 140, in accounts
    return rows["owner"]
           ~~~~^^^^^^^^^
KeyError: 'owner'"""

CHAIN = """Traceback (most recent call last):
  File "/srv/venv/lib/python3.11/site-packages/sqlalchemy/engine/base.py", line 145, in __init__
    self._dbapi_connection = engine.raw_connection()
  File "/srv/venv/lib/python3.11/site-packages/psycopg2/__init__.py", line 122, in connect
    conn = _connect(dsn)
psycopg2.OperationalError: connection to server at "127.0.0.1" failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/app/src/database.py", line 37, in ping
    with engine.connect() as session:
  File "/srv/venv/lib/python3.11/site-packages/sqlalchemy/engine/base.py", line 147, in __init__
    raise
sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server failed
(Background on this error at: https://sqlalche.me/e/20/e3q8)"""

GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "/srv/app/src/main.py", line 175, in group
  |     async with asyncio.TaskGroup() as tasks:
  | ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/srv/app/src/main.py", line 172, in _fails
    |     raise ValueError("part %d" % n)
    | ValueError: part 1
    +---------------- 2 ----------------
    | Traceback (most recent call last):
    |   File "/srv/app/src/main.py", line 173, in _fails
    | TypeError: part 2
    +------------------------------------"""


def test_a_traceback_is_one_exception_at_its_innermost_frame():
    reading = tracebacks.parse("ERROR: Exception in ASGI application\n" + PLAIN)
    assert (reading.type, reading.message) == ("KeyError", "'owner'")
    assert reading.location == "/srv/app/src/main.py:140:accounts"
    assert reading.caller is None
    assert reading.causes == []


def test_a_chain_is_the_exception_that_was_raised_last():
    reading = tracebacks.parse(CHAIN)
    assert reading.type == "sqlalchemy.exc.OperationalError"
    assert (
        reading.location
        == "/srv/venv/lib/python3.11/site-packages/sqlalchemy/engine/base.py:147:__init__"
    )
    assert reading.caller == "/srv/app/src/database.py:37:ping"
    assert reading.causes == ["psycopg2.OperationalError"]


def test_a_group_is_its_first_leaf():
    reading = tracebacks.parse(GROUP)
    assert (reading.type, reading.message, reading.location) == (
        "ValueError",
        "part 1",
        "/srv/app/src/main.py:172:_fails",
    )


def test_a_group_that_follows_another_one_is_a_new_one():
    reading = tracebacks.Traceback()
    steps = [reading.feed(line) for line in GROUP.split("\n")]
    assert set(steps) == {"more"}
    assert reading.feed("ERROR:    Exception in ASGI application") == "seen"
    assert reading.feed(GROUP.split("\n", 1)[0]) == "end"


def test_a_second_traceback_without_a_link_ends_the_first():
    reading = tracebacks.Traceback()
    for line in PLAIN.split("\n"):
        assert reading.feed(line) == "more"
    assert reading.feed("Traceback (most recent call last):") == "end"


def test_what_follows_the_exception_may_be_a_separate_line():
    reading = tracebacks.Traceback()
    for line in PLAIN.split("\n"):
        reading.feed(line)
    assert reading.feed("ERROR:    something else") == "seen"


def test_a_syntax_error_has_no_frame():
    reading = tracebacks.parse(
        'Traceback (most recent call last):\n  File "/srv/app/src/main.py", line 3, in <module>\n  '
        '  import x\n  File "/srv/app/src/x.py", line 7\n    def\n       ^\nSyntaxError: invalid'
        " syntax"
    )
    assert (reading.type, reading.location) == ("SyntaxError", "/srv/app/src/x.py:7:?")


def test_processes_that_get_a_signal_to_end_are_no_fault():
    assert not tracebacks.parse(
        'Traceback (most recent call last):\n  File "a.py", line 1, in b\nKeyboardInterrupt'
    ).is_fault
    assert not tracebacks.parse(
        "Traceback (most recent call last):\nasyncio.exceptions.CancelledError"
    ).is_fault


def test_garbage_ends_a_traceback():
    reading = tracebacks.Traceback()
    reading.feed("Traceback (most recent call last):")
    assert reading.feed("!!! what is this") == "end"
    assert reading.type is None


def test_what_asyncio_says_next_is_no_exception_where_a_line_was_lost():
    reading = tracebacks.Traceback()
    for line in PLAIN.split("\n")[:-1]:
        assert reading.feed(line) == "more"
    said = "socket: <asyncio.TransportSocket fd=7, family=2, type=1, laddr=('0.0.0.0', 8000)>"
    assert reading.feed(said) == "end"
    assert not reading.is_fault


@pytest.mark.parametrize(
    "line", ["socket.timeout: timed out", "KeyError: 'owner'", "zlib.error", "_Mine: x"]
)
def test_a_type_of_a_module_or_with_a_capital_is_one(line):
    reading = tracebacks.Traceback()
    for text in [*PLAIN.split("\n")[:-1], line]:
        assert reading.feed(text) == "more"
    assert reading.type == line.partition(":")[0]


def test_an_endless_traceback_is_given_up():
    reading = tracebacks.Traceback()
    reading.feed("Traceback (most recent call last):")
    assert [reading.feed("    x") for _number in range(6000)][-1] == "end"


def test_a_text_without_traceback():
    assert tracebacks.parse("nothing happened") is None
    assert tracebacks.parse("Traceback (most recent call last):") is None
