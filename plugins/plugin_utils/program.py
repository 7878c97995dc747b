# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of module_utils for a host's Python, sent by standard input.

Before a module's first line, its host has compiled AnsibleModule and what that imports: as much
work as a whole diagnosis. A program packed here is the same module_utils without it, for modules
that need nothing of AnsibleModule on the host.

A host compiles only the functions that it calls: most of what the checks know is for hosts with a
fault. In a program, a function is its name, and its text is compiled where it is called first.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_COLLECTION = "ansible_collections.sergas.ops.plugins."
_PLUGINS = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(
    r"from %s(module_utils[\w.]*) import (\([^)]*\)|[\w, ]+)" % re.escape(_COLLECTION)
)
_MARK = "sergas.ops:"
#: The notice at the head of each file, which the program has once.
_NOTICE = re.compile(r"\A(?:#.*\n)+")
#: What only a type checker reads. A host would compile it for nothing.
_TYPES = re.compile(r"^TYPE_CHECKING = False\nif TYPE_CHECKING:\n(?:(?:    .*)?\n)+", re.M)

#: What a shell on the host starts; the program follows by standard input, where no list of
#: processes shows it. ``-I -S``: no package of the host is needed.
COMMAND = (
    "-I -S -B -c 'import sys, zlib;"
    ' code, DATA = zlib.decompress(sys.stdin.buffer.read()).split(b"\\0", 1); exec(code)\''
)

_PROGRAM = """# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
import json, os, sys
from importlib.machinery import ModuleSpec

SOURCES, PARAMS, PATHS = json.loads(DATA.decode())


class Importer:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in SOURCES:
            return ModuleSpec(name, Importer, is_package=not SOURCES[name])

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        source, functions = SOURCES[module.__name__] or ("", {})
        names, made = module.__dict__, {}

        def first(name):
            if name not in made:
                # Two threads may do so at once, which does no harm.
                exec(compile(functions[name], module.__name__, "exec"), names)
                made[name] = names[name]
            return made[name]

        names["_first"] = first
        exec(compile(source, module.__name__, "exec"), names)


sys.meta_path.insert(0, Importer)
for name in PATHS:
    PARAMS[name] = os.path.expanduser(os.path.expandvars(PARAMS[name]))
from %s import run
sys.stdout.write("\\n" + %r + json.dumps(run(PARAMS)) + "\\n")
sys.stdout.flush()
# What hangs in a thread must not hold up the end.
os._exit(0)
"""


@functools.cache
def sources(entry: str) -> dict[str, str]:
    """Return {full name: source} of a module of module_utils and all that it imports.

    Args:
        entry: ``module_utils.x``, with a function ``run(params)`` that returns a module's result.
    """
    found: dict[str, str] = {}
    _gather(entry, found)
    packages = {name.rpartition(".")[0] for name in found}
    while packages:
        name = packages.pop()
        found.setdefault(name, "")
        if "." in name:
            packages.add(name.rpartition(".")[0])
    return found


def _gather(name: str, found: dict[str, str]) -> None:
    path = _PLUGINS.joinpath(*name.split(".")).with_suffix(".py")
    if _COLLECTION + name in found or not path.is_file():
        return
    source = path.read_text(encoding="utf-8")
    for left_out in (_NOTICE, _TYPES):
        # Lines keep their numbers, for tracebacks.
        source = left_out.sub(lambda match: "\n" * match.group().count("\n"), source)
    found[_COLLECTION + name] = source
    for package, names in _IMPORT.findall(source):
        _gather(package, found)
        for part in re.findall(r"\w+", names):
            _gather("%s.%s" % (package, part), found)


@functools.cache
def halves(entry: str) -> dict[str, tuple[str, dict[str, str]] | str]:
    """Return {full name: (source, {function: its text})} of what ``sources`` does, and an empty
    text for a package.

    The source has no docstrings, and calls of ``_first`` instead of longer functions.
    """
    return {name: _halve(source) if source else "" for name, source in sources(entry).items()}


#: A function with fewer lines is compiled as fast as a call of ``_first``.
_SHORT = 4


def _halve(source: str) -> tuple[str, dict[str, str]]:
    tree = ast.parse(source)
    lines = source.split("\n")
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and len(node.body) > 1:
            text = node.body[0]
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                _blank(lines, text.lineno, text.end_lineno)
    functions = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.decorator_list:
            continue
        end = node.end_lineno or node.lineno
        if end - node.lineno < _SHORT:
            continue
        # Lines keep their numbers, for tracebacks; the first one of a file was its notice.
        head = "from __future__ import annotations" + "\n" * (node.lineno - 1)
        functions[node.name] = head + "\n".join(lines[node.lineno - 1 : end])
        _blank(lines, node.lineno, end)
        lines[node.lineno - 1] = "def %s(*a, **k): return _first(%r)(*a, **k)" % (
            node.name,
            node.name,
        )
    return "\n".join(lines), functions


def _blank(lines: list[str], first: int, last: int | None) -> None:
    """Empty these lines, counted from 1."""
    lines[first - 1 : last] = [""] * ((last or first) - first + 1)


def pack(entry: str, params: dict[str, Any], paths: Iterable[str] = ()) -> bytes:
    """Return the program that runs an entry with params, as bytes for ``COMMAND``.

    Args:
        entry: see ``sources``.
        params: the module's validated options, plain data.
        paths: names of options in which the host expands ``~`` and variables.
    """
    # Beside the code: to read it as a literal in the code takes a host's Python 8 % of a diagnosis.
    data = json.dumps([halves(entry), params, list(paths)])
    code = _PROGRAM % (_COLLECTION + entry, _MARK)
    # The next level makes it 6 % smaller in a fraction of a millisecond, further ones take longer.
    return zlib.compress(b"\0".join((code.encode(), data.encode())), 2)


def result(stdout: str) -> dict[str, Any] | None:
    """Return what ``run`` returned, read from the program's standard output; ``None`` if it did not
    get that far.

    A login shell may print something before.
    """
    for line in reversed(stdout.splitlines()):
        if line.startswith(_MARK):
            return json.loads(line[len(_MARK) :])
    return None
