# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps compiled code on the hosts of the fleet's tests."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

FLEET = Path(__file__).resolve().parents[2] / "fleet"
PROGRAM = """
import sys
fleet, sys.path[0], directory = sys.argv[1:]
sys.path.append(fleet)
import code_cache
code_cache.DIRECTORY = directory
compiled = []
plain = code_cache._compile
code_cache._compile = lambda *args: compiled.append(1) or plain(*args)
import sent
print(sent.VALUE, len(compiled))
"""


@pytest.fixture
def load(tmp_path):
    """Return a function that imports a module with a source from an archive in a fresh Python, and
    returns [its value, how often it was compiled].
    """

    def run(source):
        archive = tmp_path / "archive.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("sent.py", source)
        words = [sys.executable, "-c", PROGRAM, FLEET, archive, tmp_path / "kept"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()

    return run


def test_the_same_source_is_compiled_once(load):
    assert load("VALUE = 1") == ["1", "1"]
    assert load("VALUE = 1") == ["1", "0"]
    assert load("VALUE = 2") == ["2", "1"]


def test_what_cannot_be_read_or_written_is_compiled(load, tmp_path):
    load("VALUE = 1")
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(b"")
    assert load("VALUE = 1") == ["1", "1"]
    assert load("VALUE = 1") == ["1", "0"]
    kept.unlink()
    (tmp_path / "kept").rmdir()
    (tmp_path / "kept").write_text("")
    value, compiled = load("VALUE = 1")
    assert value == "1" and int(compiled)
