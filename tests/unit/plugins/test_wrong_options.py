# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No wrong option of any module ends in a traceback, and what no module can use is refused by name.

Wrong options are generated from the modules' argument specs. All of a module's run in one child
process that has no rights, starts no program and reaches no server.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import json
import os
import subprocess
import traceback
from pathlib import Path

import pytest
from ansible.module_utils import basic

from ansible_collections.sergas.ops.plugins.module_utils._core import options, process
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._core.module import Module
from ansible_collections.sergas.ops.plugins.module_utils._health import runner

MODULES = Path(__file__).resolve().parents[3] / "plugins" / "modules"
#: The others are documentation of action plugins.
NAMES = sorted(path.stem for path in MODULES.glob("*.py") if "def main(" in path.read_text())
CAPTURED = "the argument spec is known"

#: What no module can use: each is refused by the name of its option.
NO_TEXT = ["a\0b"]
NO_NUMBER = ["nan", "inf", "-inf", "1e400", -(10**30), 10**30, 1e300, 2**63]
#: What some modules can use.
TEXTS = ["", " ", "x" * 10000, "-x", "../../x", "a\nb", "%s", "9" * 30, "'\";--", "nope", "/"]
NUMBERS = [0, -1, 0.0000001, "", "x", [1], {}]
LISTS = [[], [""], [None], [["x"]], ["nope"], [{"a": 1}], [-1], [10**30], "", {}]
DICTS = [{}, {"nope": 1}, {"": ""}, {"a": None}, {"x": [1]}, {"x": {"y": 1}}, {"x": "nan"}, []]
BY_TYPE = {
    "str": TEXTS,
    "path": [*TEXTS, "/nonexistent/x", "/dev/null"],
    "int": NUMBERS,
    "float": NUMBERS,
    "list": LISTS,
    "dict": DICTS,
    "bool": ["nope", 7],
    "raw": TEXTS + NUMBERS + LISTS + DICTS,
}
EXAMPLES = {"str": "x", "path": "/nonexistent/y", "int": 1, "list": ["x"], "dict": {"x": "x"}}
#: With these, a module comes as far as it can here.
BASE = {
    "pg_connections": {"state": "terminated", "users": ["x"]},
    "pg_index": {"columns": ["a"]},
    "app_timer": {"calendar": "daily", "command": ["true"]},
    "remedy_ledger": {"state": "begun", "remedy": "x"},
    "restore_point": {"deadline": 60},
    "fail2ban_jails": {"files": {"jail.d/x.conf": "[x]\n"}},
}


def of_module(name):
    """Return (argument spec, ranges) of a module."""
    module = importlib.import_module("ansible_collections.sergas.ops.plugins.modules." + name)
    found = {}

    def capture(_self, ranges=(), **details):
        found.update(details, ranges=ranges)
        raise RuntimeError(CAPTURED)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match=CAPTURED):
        patch.setattr(Module, "__init__", capture)
        module.main()
    return found["argument_spec"], found["ranges"]


def example(option):
    if option.get("choices"):
        return option["choices"][0]
    return EXAMPLES.get(option.get("type", "str"))


def required(spec):
    return {name: example(option) for name, option in spec.items() if option.get("required")}


def wrong_values(option):
    """Yield (value, whether no module can use it)."""
    kind = option.get("type", "str")
    for value in BY_TYPE[kind]:
        yield value, False
    if kind in ("int", "float"):
        yield from ((value, True) for value in NO_NUMBER)
    elif kind in ("list", "dict", "raw"):
        yield from (([value], True) for value in NO_TEXT)
        yield from (({value: [{"x": value}]}, True) for value in NO_TEXT)
    elif kind != "bool":
        yield from ((value, True) for value in NO_TEXT)
    if option.get("elements") in ("int", "float"):
        yield from (([1, value], True) for value in NO_NUMBER)


def cases(spec):
    """Yield (the name of an option, wrong options of a module, whether it has to be refused)."""
    for name, option in spec.items():
        for value, refused in wrong_values(option):
            yield name, {name: value}, refused
        for inner, inner_option in (option.get("options") or {}).items():
            for value, refused in wrong_values(inner_option):
                given = {**required(option["options"]), inner: value}
                yield inner, {name: [given] if option["type"] == "list" else given}, refused


def outcome(module, given):
    """Return a module's result for options, or its traceback as text."""
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            module.main()
    except SystemExit:
        return json.loads(out.getvalue())
    except BaseException:
        return traceback.format_exc()
    return "it returned without a result"


START = subprocess.Popen.__init__


def start_false(process, _arguments, **keywords):
    """Start a program that fails instead of the one that is named."""
    keywords.update(shell=False, executable=None)
    START(process, ["false"], **keywords)


def refuse(*_arguments, **_keywords):
    raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def problems(name):
    """Yield what is wrong with how a module takes wrong options, as text."""
    module = importlib.import_module("ansible_collections.sergas.ops.plugins.modules." + name)
    spec, _ranges = of_module(name)
    base = {**required(spec), **BASE.get(name, {}), "_ansible_check_mode": True}
    base["_ansible_remote_tmp"] = "/nonexistent"
    for option, given, refused in cases(spec):
        found = outcome(module, {**base, **given})
        if isinstance(found, str):
            yield "%s: %s" % (ascii(given)[:80], found)
        elif refused and (not found.get("failed") or option not in found["msg"]):
            yield "%s is not refused by name: %s" % (ascii(given)[:80], found.get("msg"))


def in_child(function, *arguments):
    """Return the texts that a function yields in a process that can do no harm."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            try:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(process, "run", lambda *_arguments, **_more: (1, "", "failed"))
                    patch.setattr(subprocess.Popen, "__init__", start_false)
                    patch.setattr("socket.socket.connect", refuse)
                    # Its probes take their time, and what one raises makes a check unknown.
                    patch.setattr(runner.diagnosis, "run", lambda *_arguments: ([], {}))
                    patch.setattr("time.sleep", lambda _seconds: None)
                    if os.getuid() == 0:
                        os.setgid(65534)
                        os.setuid(65534)
                    found = list(function(*arguments))
            except BaseException:
                found = [traceback.format_exc()]
            json.dump(found, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        found = json.load(pipe)
    os.waitpid(pid, 0)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_option_is_no_traceback_and_is_refused_by_name(name):
    found = in_child(problems, name)
    assert not found, "%d wrong options, the first: %s" % (len(found), found[0])


def numbers(spec, prefix=""):
    for name, option in spec.items():
        if {option.get("type"), option.get("elements")} & {"int", "float"}:
            yield prefix + name
        yield from numbers(option.get("options") or {}, name + ".")


@pytest.mark.parametrize("name", NAMES)
def test_each_number_has_a_range(name):
    spec, ranges = of_module(name)
    named = {row[0] for row in ranges}
    assert set(numbers(spec)) == named & set(numbers(spec)), "without a range"


# What is not UTF-8 comes from ansible-core 2.18 only: newer ones refuse it themselves.
@pytest.mark.parametrize("end", ["\0", "\udcff"])
def test_a_refused_value_is_not_shown(end):
    with pytest.raises(InvalidValue) as refused:
        options.check({"password": "geheim" + end}, {"password": {"type": "str"}}, ())
    assert "password" in str(refused.value) and "geheim" not in str(refused.value)
