# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports between the packages of `plugins` go one way only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
ROOT = "ansible_collections.sergas.ops.plugins."
#: What a package of module_utils may import besides itself; nothing beside it in the last row.
LOWER = {
    "_core": (),
    "_net": ("_core",),
    "_host": ("_core", "_net"),
}
TOP = ("_health", "_postgresql", "_zoho", "_cognee", "_firewall", "_fail2ban", "_security")
TOP += ("_app", "_remediation")
ALLOWED = {**LOWER, **dict.fromkeys(TOP, ("_core", "_net", "_host"))}
#: The same for plugin_utils.
REPORTS = {"report": (), "remediation": ("report",)}


def imported(text):
    """Return the full names that a module imports from this collection, also within functions."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(ROOT[:-1]):
            names.update("%s.%s" % (node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            names.add(ROOT + "relative imports are not used here")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names if alias.name.startswith(ROOT))
    return {name[len(ROOT) :] for name in names}


def wrong_imports(package, text):
    """Return what a module of a package of module_utils imports and may not."""
    allowed = {package, *ALLOWED[package]}
    return sorted(
        name
        for name in imported(text)
        if name.split(".")[0] != "module_utils" or name.split(".")[1] not in allowed
    )


def test_every_module_of_module_utils_is_in_a_package_that_is_listed():
    utils = PLUGINS / "module_utils"
    assert {path.name for path in utils.iterdir() if path.suffix == ".py"} <= {"__init__.py"}
    packages = {path.name for path in utils.iterdir() if (path / "__init__.py").is_file()}
    assert packages == set(ALLOWED)


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_go_one_way(package):
    wrong = {}
    for path in sorted((PLUGINS / "module_utils" / package).rglob("*.py")):
        found = wrong_imports(package, path.read_text(encoding="utf-8"))
        if found:
            wrong[str(path.relative_to(PLUGINS))] = found
    assert wrong == {}


@pytest.mark.parametrize("package", sorted(REPORTS))
def test_a_report_knows_nothing_of_remediation(package):
    wrong = {}
    allowed = {package, *REPORTS[package]}
    for path in sorted((PLUGINS / "plugin_utils" / package).rglob("*.py")):
        found = [
            name
            for name in imported(path.read_text(encoding="utf-8"))
            if name.split(".")[:2] == ["plugin_utils", *({*REPORTS} - allowed)]
        ]
        if found:
            wrong[str(path.relative_to(PLUGINS))] = found
    assert wrong == {}


@pytest.mark.parametrize(
    ("package", "text", "wrong"),
    [
        ("_core", "from %smodule_utils._net import tcp" % ROOT, ["module_utils._net.tcp"]),
        ("_core", "def f():\n    import %smodule_utils._net.tcp" % ROOT, ["module_utils._net.tcp"]),
        ("_zoho", "from %smodule_utils._app import env" % ROOT, ["module_utils._app.env"]),
        ("_zoho", "from %smodule_utils import _app" % ROOT, ["module_utils._app"]),
        ("_zoho", "from %splugin_utils import inventory" % ROOT, ["plugin_utils.inventory"]),
        ("_zoho", "from %smodule_utils._host import unit" % ROOT, []),
        ("_zoho", "from ..._host import unit", ["relative imports are not used here"]),
    ],
)
def test_an_import_that_goes_the_other_way_is_found(package, text, wrong):
    assert wrong_imports(package, text) == wrong
