# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from ansible_collections.sergas.ops.plugins.modules.sergas_health import ARGUMENT_SPEC
from ansible_collections.sergas.ops.plugins.plugin_utils import program

ENTRY = "module_utils._health.checks"
UTILS = "ansible_collections.sergas.ops.plugins.module_utils"


def start(packed, **environment):
    command = [sys.executable, *shlex.split(program.COMMAND)]
    return subprocess.run(
        command,
        input=packed,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def options(**given):
    params = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
    return {**params, **given}


def test_sources_are_all_that_the_entry_imports():
    found = program.sources(ENTRY)
    for name, source in found.items():
        for line in re.findall(r"^\s*from (ansible\S*) import", source, re.M):
            assert line in found, "%s imports %s" % (name, line)
    assert UTILS + "._health.probes.logs" in found and found[UTILS] == ""


def test_nothing_of_ansible_itself_is_needed_on_the_host():
    text = "".join(program.sources(ENTRY).values())
    assert not re.search(r"^\s*(from|import) ansible\.", text, re.M)


def test_the_notice_is_sent_once_and_lines_keep_their_numbers():
    packed = zlib.decompress(program.pack(ENTRY, options())).decode()
    assert packed.count("Copyright: (c)") == packed.count("GNU General Public License") == 1
    path = Path(program.__file__).parents[1] / "module_utils" / "_health" / "checks.py"
    source = program.sources(ENTRY)[UTILS + "._health.checks"].split("\n")
    assert [line for line in source if line] == [
        # without its notice, which is a paragraph
        line
        for line in path.read_text().partition("\n\n")[2].split("\n")
        if line
    ]
    assert source.index('APP = ("app",)') == path.read_text().split("\n").index('APP = ("app",)')


def test_what_only_a_type_checker_reads_is_not_sent():
    path = Path(program.__file__).parents[1] / "module_utils" / "_core" / "finding.py"
    whole = path.read_text().split("\n")
    source = program.sources(ENTRY)[UTILS + "._core.finding"].split("\n")
    assert "if TYPE_CHECKING:" in whole
    assert not re.search("TYPE_CHECKING|TypedDict", "\n".join(program.sources(ENTRY).values()))
    for line in ("COMPONENTS = (", "def is_bad(item: Finding) -> bool:"):
        assert source.index(line) == whole.index(line)


def test_sources_are_beside_the_code_and_not_a_literal_in_it():
    code, data = zlib.decompress(program.pack(ENTRY, options(service="x\0y"))).split(b"\0", 1)
    assert len(code) < 2000
    sources, params, _paths = json.loads(data)
    assert sources == json.loads(json.dumps(program.halves(ENTRY)))
    assert params["service"] == "x\0y"


SOURCE = '''


"""What it is."""
from x import y

LIMIT = 3


class Thing:
    """A thing."""

    def name(self):
        """Return it."""
        return "thing"


def long(value: Unknown, most=LIMIT):
    """Return it.

    Twice.
    """
    doubled = value * 2
    if doubled > most:
        raise ValueError(doubled)
    return doubled


def short(value):
    """It is short."""


@cached
def decorated(
    value,
):
    more = value

    return more
'''


def test_a_function_is_compiled_where_it_is_called():
    source, functions = program._halve(SOURCE)
    assert list(functions) == ["long"]
    assert "What it is" not in source and "Return it" not in source + functions["long"]
    assert source.count("\n") == SOURCE.count("\n")
    lines = SOURCE.split("\n")
    for text, line in (
        (source, "def short(value):"),
        (functions["long"], "        raise ValueError(doubled)"),
    ):
        assert text.split("\n").index(line) == lines.index(line)
    compile(source, "x", "exec")


def test_a_traceback_has_the_line_of_the_file(tmp_path):
    broken = (
        "\n\n\ndef run(params):\n    one = 1\n    two = 2\n    del one\n    raise KeyError(two)\n"
    )
    halves = {"ansible_collections.sergas.ops.plugins.module_utils.x": program._halve(broken)}
    for package in (
        "",
        ".sergas",
        ".sergas.ops",
        ".sergas.ops.plugins",
        ".sergas.ops.plugins.module_utils",
    ):
        halves["ansible_collections" + package] = ""
    packed = zlib.decompress(program.pack(ENTRY, {}))
    code = packed.split(b"\0", 1)[0].decode().replace("._health.checks", ".x")
    data = json.dumps([halves, {}, []])
    done = start(zlib.compress(b"\0".join((code.encode(), data.encode()))))
    assert b"line 8, in run" in done.stderr and b"KeyError" in done.stderr


def test_a_program_returns_what_run_returns():
    done = start(program.pack(ENTRY, options(checks=["memory"])))
    found = program.result(done.stdout.decode())
    assert [item["component"] for item in found["findings"]] == ["host"]
    assert done.returncode == 0


def test_an_option_that_cannot_be_is_its_failure():
    found = program.result(start(program.pack(ENTRY, options(deadline=-1))).stdout.decode())
    assert found["failed"] is True
    assert found["msg"].startswith("deadline: -1")


def test_the_host_expands_paths(tmp_path):
    (tmp_path / "settings.env").write_text("DATABASE_HOST=db\n")
    params = options(
        checks=["env"],
        components=["app"],
        env_file="~/$NAME",
        required_variables=["NOT_SET_ANYWHERE"],
    )
    done = start(program.pack(ENTRY, params, ["env_file"]), HOME=str(tmp_path), NAME="settings.env")
    assert "%s/settings.env" % tmp_path in done.stdout.decode()


@pytest.mark.parametrize("said", ["", "Welcome\n", "{}\n", "sergas\n"])
def test_what_is_no_result_is_none(said):
    assert program.result(said) is None


def test_a_login_shell_may_speak_before():
    assert program.result('Welcome to app1\n\nsergas.ops:{"changed": false}\n') == {
        "changed": False
    }
