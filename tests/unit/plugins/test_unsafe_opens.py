# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs on hosts as root opens and changes no file by a path that another user may redirect.

It goes through `files`, or names a file relative to a directory that is held open (dir_fd), or
says on the line why its path is safe: ``# path: why``.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

MODULE_UTILS = Path(__file__).resolve().parents[3] / "plugins" / "module_utils"
SOURCES = sorted(MODULE_UTILS.rglob("*.py"))

#: Calls that open, make or change what is at a path.
UNSAFE = {
    "open": ("open",),
    "Path": ("Path",),
    "pathlib": ("Path",),
    "io": ("open",),
    "os": (
        "open",
        "chmod",
        "chown",
        "lchown",
        "link",
        "symlink",
        "mkdir",
        "makedirs",
        "mkfifo",
        "mknod",
        "remove",
        "removedirs",
        "rename",
        "renames",
        "replace",
        "rmdir",
        "setxattr",
        "removexattr",
        "truncate",
        "unlink",
        "utime",
    ),
    "shutil": ("chown", "copy", "copy2", "copyfile", "copymode", "copystat", "copytree")
    + ("make_archive", "move", "rmtree", "unpack_archive"),
    "tempfile": ("mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryDirectory"),
}
#: These work on an open file as well, which they are given here by such a name.
BY_DESCRIPTOR = {"setxattr", "removexattr", "open"}
DESCRIPTORS = {"descriptor", "handle", "source", "copy"}
#: Held open, or relative to what is.
RELATIVE = {"dir_fd", "src_dir_fd", "dst_dir_fd", "closefd"}
#: No one but the kernel puts a file there.
KERNEL = ("/proc/", "/sys/")
#: {file: the functions that may, None for all}
ALLOWED = {
    # In directories of root's own, /var/lib/sergas and /run/sergas.
    "_host/ledger_reader.py": None,
    "_remediation/ledger.py": None,
    "_remediation/host_lock.py": None,
    "_host/restore_points.py": None,
    # In the directory of restore points, which only root may change, and in /etc/systemd/system.
    "_remediation/restore/point.py": ("_save", "_give_up", "_fill", "_write", "_write_unit")
    + ("_discard",),
    "_remediation/restore/program.py": ("locked", "read_point", "read_outcome", "write_point")
    + ("sync", "_restore", "remove_unit"),
}


def literal(node):
    """Return the text that a path begins with, as far as it is written out."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp):
        return literal(node.left)
    if isinstance(node, ast.JoinedStr) and node.values:
        return literal(node.values[0])
    return ""


def name_of(call):
    """Return what a call calls as (module, name), or None."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id, function.id
    if isinstance(function, ast.Attribute):
        owner = function.value
        return owner.id if isinstance(owner, ast.Name) else "", function.attr
    return None


def unsafe(source, allowed=()):
    """Return [(line, call)] of the calls in a text that neither a rule nor a comment allows.

    Args:
        allowed: names of the functions that may do it.
    """
    lines = source.splitlines()
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    passed = {
        id(node)
        for function in functions
        if function.name in allowed
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in passed:
            continue
        called = name_of(node) if isinstance(node, ast.Call) else None
        if called is None:
            continue
        module, name = called
        if name not in UNSAFE.get(module, ()):
            continue
        first = node.args[0] if node.args else None
        by_descriptor = isinstance(first, ast.Name) and first.id in DESCRIPTORS
        text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        if (
            RELATIVE & {keyword.arg for keyword in node.keywords}
            or (name in BY_DESCRIPTOR and by_descriptor)
            or literal(first).startswith(KERNEL)
            or "# path: " in text
            or literal(first) == "/"
            or ast.unparse(first or node) == "os.devnull"
        ):
            continue
        found.append((node.lineno, "%s.%s" % called))
    return found


def test_nothing_opens_a_path_that_another_user_may_redirect():
    found = {
        str(path.relative_to(MODULE_UTILS)): unsafe(
            path.read_text(encoding="utf-8"), ALLOWED.get(str(path.relative_to(MODULE_UTILS)), ())
        )
        for path in SOURCES
        if ALLOWED.get(str(path.relative_to(MODULE_UTILS)), ()) is not None
    }
    assert len(SOURCES) > 50
    assert {name: calls for name, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("open(path)", ["open.open"]),
        ("open('/etc/hosts')", ["open.open"]),
        ("with open(os.path.join(directory, 'x'), 'w') as file: pass", ["open.open"]),
        ("os.open(path, os.O_RDONLY | os.O_NOFOLLOW)", ["os.open"]),
        ("os.chmod(path, 0o600)", ["os.chmod"]),
        ("os.chown(path, 0, 0)", ["os.chown"]),
        ("os.replace(temporary, path)", ["os.replace"]),
        ("os.makedirs(directory)", ["os.makedirs"]),
        ("shutil.copyfile(one, other)", ["shutil.copyfile"]),
        ("tempfile.mkstemp(dir=directory)", ["tempfile.mkstemp"]),
        ("pathlib.Path(path).write_text(text)", ["pathlib.Path"]),
        ("open('/proc/stat')", []),
        ("open('/proc/%d/stat' % pid)", []),
        ("open(path)  # path: of this user's own", []),
        ("os.open(name, flags, dir_fd=directory)", []),
        ("os.rename(temporary, name, src_dir_fd=one, dst_dir_fd=one)", []),
        ("os.fchmod(descriptor, 0o600)", []),
        ("os.setxattr(descriptor, name, value)", []),
        ("files.read_text(path)", []),
    ],
)
def test_what_it_finds(line, names):
    assert [name for _line, name in unsafe(line)] == names
