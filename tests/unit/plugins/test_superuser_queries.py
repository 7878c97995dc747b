# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every query goes through the connection module, which keeps code of others out of a superuser's
session: what goes around it is found here, and is either pinned or named with the reason.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
TASKS = sorted([*(ROOT / "roles").rglob("*.yml"), *(ROOT / "playbooks").rglob("*.yml")])

#: The connection module, by its name and by what it defines, wherever it is.
CONNECTION = "_postgresql/session.py"
#: Modules beside it that import a client of the server, by their names, and why they may.
CLIENTS = {
    "psycopg2": {"_net/postgres.py": "one of the drivers"},
    "pgwire": {
        "_net/postgres.py": "the other driver",
        "_net/pgwire_statements.py": "a part of that driver",
        "_health/reach.py": "logs in as the app does, and runs fixed queries on catalogs:"
        " search_path is pinned as the session starts",
        "_host/app_config.py": "knows its port and opens nothing",
    },
    "pgwire_statements": {"_net/postgres.py": "the other driver"},
    "postgres": {
        CONNECTION: "the connection module, which pins what each session starts with",
        "_postgresql/location.py": "makes the targets for the connection module and opens nothing",
    },
}
#: The function of the drivers that opens a connection.
OPENS = re.compile(r"\bpostgres\.connect\b")
#: Modules that hold the name of a client and do not run it.
NAMES = {
    "modules/pg_connections.py": "the application names whose sessions are spared",
    "_host/pgbouncer.py": "runs it as pgbouncer's own user, in a console that runs no SQL",
}
#: Modules of community.postgresql that send no SQL.
NO_SQL = {"community.postgresql.postgresql_pg_hba"}
#: What runs a client by a command, by the name of its task, and why it may.
COMMANDS = {
    "Query pgbouncer's own console for its pools": "the console is not a server: it runs no SQL",
}
CLIENT = re.compile(r"\b(?:psql|pg_dump|pg_restore|vacuumdb|reindexdb|clusterdb|pgbench)\b")


def imported(tree):
    """Yield the last part of the names of all modules that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.rpartition(".")[2] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")
            yield from (alias.name for alias in node.names)


def is_text(node, tree_docs):
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in tree_docs


def prose(tree):
    """Return the constants of a module that nothing runs: docstrings and a module's manual."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr):
                found.add(first.value)
        if isinstance(node, ast.Assign) and any(
            getattr(target, "id", "") in ("DOCUMENTATION", "EXAMPLES", "RETURN", "TABLE", "WORK")
            for target in node.targets
        ):
            found.add(node.value)
    return found


def words(tree):
    """Return the texts of a module that are a whole word of a command: ``psql`` or a path to it."""
    skipped = prose(tree)
    return [
        node.value
        for node in ast.walk(tree)
        if is_text(node, skipped)
        and re.fullmatch(r"(?:\S*/)?(?:%s)" % CLIENT.pattern.replace(r"\b", ""), node.value)
    ]


def commands(tree):
    """Return the texts of a module that run a client, as another user or within a shell."""
    skipped = prose(tree)
    return [
        node.value
        for node in ast.walk(tree)
        if is_text(node, skipped)
        and re.search(r"(?:runuser|sudo|su|setpriv)\b.*" + CLIENT.pattern, node.value, re.S)
    ]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_server_is_only_reached_through_the_connection_module(path):
    tree = ast.parse(path.read_text())
    names = set(imported(tree))
    name = str(path.relative_to(ROOT / "plugins")).replace("module_utils/", "")
    for client, allowed in CLIENTS.items():
        assert client not in names or name in allowed, client
    assert not words(tree) or name in NAMES
    assert not commands(tree)


def test_only_the_connection_module_opens_a_connection():
    opening = [path for path in PLUGINS if OPENS.search(path.read_text())]
    modules = {str(path.relative_to(ROOT / "plugins/module_utils")) for path in opening}
    # The driver's own manual has an example.
    assert modules - {"_net/postgres.py"} == {CONNECTION}


@pytest.mark.parametrize(
    ("code", "finder"),
    [
        ("import psycopg2", imported),
        ("from psycopg2 import connect", imported),
        ("from ..module_utils import pgwire", imported),
        ("from a.b.pgwire import connect", imported),
        ("from a.b._net import postgres", imported),
        ("from a.b._net.postgres import connect", imported),
        ("run(['psql', '-c', query])", words),
        ("run(['/usr/bin/psql'])", words),
        ("run('runuser -u postgres -- psql -c x', shell=True)", commands),
        ("ARGV = ('sh', '-c', 'sudo -u postgres psql')", commands),
    ],
)
def test_what_goes_around_it_is_found(code, finder):
    found = list(finder(ast.parse(code)))
    assert set(CLIENTS) & set(found) if finder is imported else found


def tasks(items):
    """Yield tasks and those in their blocks."""
    for item in items or ():
        if isinstance(item, dict):
            yield item
            for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
                yield from tasks(item.get(part))


@functools.cache
def all_tasks():
    """Return [(file, task)] of all files of tasks, handlers and plays."""
    return [
        (path, task)
        for path in TASKS
        for document in [yaml.load(path.read_text(), yaml.CSafeLoader)]
        for task in tasks(document if isinstance(document, list) else ())
    ]


def test_modules_of_other_collections_are_pinned():
    pins = yaml.safe_load((ROOT / "roles/postgresql/vars/main.yml").read_text())
    assert pins["__postgresql_pinned"] == "-c search_path=pg_catalog"
    found = [
        (path, task, module)
        for path, task in all_tasks()
        for module in task
        if re.match(r"community\.postgresql\.|postgresql_", str(module)) and module not in NO_SQL
    ]
    assert found
    for path, task, module in found:
        where = "%s: %s" % (path.relative_to(ROOT), task.get("name"))
        # It runs SQL of its arguments.
        assert not re.search(r"postgresql_(?:query|script)$", module), where
        assert task.get("environment") == {"PGOPTIONS": "{{ __postgresql_pinned }}"}, where


def test_no_task_runs_a_client_by_a_command():
    found = {}
    for path, task in all_tasks():
        for module in ("command", "shell", "raw", "script", "expect"):
            text = yaml.dump(
                task.get("ansible.builtin." + module, task.get(module)),
                Dumper=yaml.CSafeDumper,
                width=10**6,
            )
            if CLIENT.search(text):
                found[task.get("name")] = path.relative_to(ROOT)
    assert set(found) == set(COMMANDS), found


def test_restore_commands_run_no_client():
    """What a remedy keeps to go back by runs as root, from a timer."""
    for path in (ROOT / "roles").rglob("*"):
        if path.is_file() and path.suffix in (".yml", ".j2", ".sh", ".py"):
            text = path.read_text()
            for line in text.splitlines():
                assert not re.search(r"\b(?:runuser|sudo|su|setpriv)\b.*" + CLIENT.pattern, line), (
                    path,
                    line,
                )
