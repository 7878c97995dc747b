# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports between the packages of `plugins` go one way only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
COLLECTION = "ansible_collections.sergas.ops"
ROOT = COLLECTION + ".plugins."
#: What a package of module_utils may import besides itself.
LOWER = {
    "_core": (),
    "_net": ("_core",),
    "_host": ("_core", "_net"),
}
TOP = ("_health", "_postgresql", "_zoho", "_cognee", "_firewall", "_fail2ban", "_security")
TOP += ("_app", "_remediation")
PACKAGES = {**LOWER, **dict.fromkeys(TOP, ("_core", "_net", "_host"))}
#: What lies beside the packages of plugin_utils.
SHARED = tuple("plugin_utils." + path.stem for path in (PLUGINS / "plugin_utils").glob("*.py"))
#: directory of plugins: what its files may import
ALLOWED = {
    **{
        "module_utils/" + name: tuple("module_utils." + other for other in (name, *others))
        for name, others in PACKAGES.items()
    },
    # A host is sent module_utils only.
    "modules": ("module_utils",),
    "action": ("module_utils", "plugin_utils", "modules"),
    "filter": ("module_utils", "plugin_utils"),
    "lookup": ("module_utils", "plugin_utils"),
    "callback": ("module_utils", "plugin_utils"),
    "doc_fragments": (),
    "plugin_utils": ("module_utils", *SHARED),
    # A report knows nothing of remediation.
    "plugin_utils/report": ("module_utils", *SHARED, "plugin_utils.report"),
    "plugin_utils/remediation": (
        "module_utils",
        *SHARED,
        "plugin_utils.report",
        "plugin_utils.remediation",
    ),
}


def imported(text):
    """Return the full names that a module imports from this collection, also within functions."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level:
            names.add(ROOT + "relative imports are not used here")
        elif isinstance(node, ast.ImportFrom):
            names.update("%s.%s" % (node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    # A package above those of the plugins leads to all of them.
    return {
        name[len(ROOT) :] if name.startswith(ROOT) else name
        for name in names
        if (name + ".").startswith(COLLECTION + ".") or (COLLECTION + ".").startswith(name + ".")
    }


def wrong_imports(directory, text):
    """Return what a file in a directory of plugins imports and may not."""
    allowed = tuple(prefix + "." for prefix in ALLOWED[directory])
    return sorted(name for name in imported(text) if not (name + ".").startswith(allowed))


def test_every_module_is_in_a_directory_that_is_listed():
    utils = PLUGINS / "module_utils"
    assert {path.name for path in utils.iterdir() if path.suffix == ".py"} <= {"__init__.py"}
    packages = {path.name for path in utils.iterdir() if (path / "__init__.py").is_file()}
    assert packages == set(PACKAGES)
    files = [path.relative_to(PLUGINS) for path in PLUGINS.rglob("*.py")]
    assert {file.parts[0] for file in files} == {name.split("/")[0] for name in ALLOWED}
    assert {str(file.parent) for file in files if file.parts[0] == "plugin_utils"} <= set(ALLOWED)


@pytest.mark.parametrize("directory", sorted(ALLOWED))
def test_imports_go_one_way(directory):
    wrong = {}
    files = PLUGINS / directory
    for path in sorted(files.glob("*.py") if directory == "plugin_utils" else files.rglob("*.py")):
        found = wrong_imports(directory, path.read_text(encoding="utf-8"))
        if found:
            wrong[str(path.relative_to(PLUGINS))] = found
    assert wrong == {}


@pytest.mark.parametrize(
    ("directory", "text", "wrong"),
    [
        ("module_utils/_core", "from @module_utils._net import tcp", ["module_utils._net.tcp"]),
        (
            "module_utils/_core",
            "def f():\n    import @module_utils._net.tcp",
            ["module_utils._net.tcp"],
        ),
        ("module_utils/_zoho", "from @module_utils._app import env", ["module_utils._app.env"]),
        ("module_utils/_zoho", "from @module_utils import _app", ["module_utils._app"]),
        (
            "module_utils/_zoho",
            "from @plugin_utils import inventory",
            ["plugin_utils.inventory"],
        ),
        ("module_utils/_zoho", "from @module_utils._host import unit", []),
        (
            "module_utils/_zoho",
            "from ..._host import unit",
            ["relative imports are not used here"],
        ),
        ("module_utils/_zoho", "import %s.plugins" % COLLECTION, [COLLECTION + ".plugins"]),
        ("module_utils/_zoho", "from %s import plugins" % COLLECTION, [COLLECTION + ".plugins"]),
        ("module_utils/_zoho", "from ansible_collections import sergas", [COLLECTION[:-4]]),
        ("module_utils/_zoho", "from ansible_collections.community import sops", []),
        ("modules", "from @plugin_utils import pools", ["plugin_utils.pools"]),
        ("modules", "from @module_utils._zoho import token", []),
        ("action", "from @action import remedy_step", ["action.remedy_step"]),
        ("action", "from @filter.pools import x", ["filter.pools.x"]),
        ("action", "from @modules.sergas_health import ARGUMENT_SPEC", []),
        ("filter", "from @action import remedy_step", ["action.remedy_step"]),
        ("filter", "from @plugin_utils.report import model", []),
        ("plugin_utils", "from @plugin_utils import report", ["plugin_utils.report"]),
        (
            "plugin_utils",
            "from @plugin_utils.remediation import plan",
            ["plugin_utils.remediation.plan"],
        ),
        ("plugin_utils", "from @plugin_utils import controller", []),
        (
            "plugin_utils/report",
            "from @plugin_utils.remediation import plan",
            ["plugin_utils.remediation.plan"],
        ),
        ("plugin_utils/remediation", "from @plugin_utils.report import model", []),
    ],
)
def test_an_import_that_goes_the_other_way_is_found(directory, text, wrong):
    assert wrong_imports(directory, text.replace("@", ROOT)) == wrong
