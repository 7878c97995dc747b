# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ids of findings that the code can make, what makes them, and the rules for their causes."""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import re
import types
from pathlib import Path
from typing import NamedTuple

from ansible_collections.sergas.ops.plugins.module_utils._cognee import check as cognee_check
from ansible_collections.sergas.ops.plugins.module_utils._cognee import decide as cognee_decide
from ansible_collections.sergas.ops.plugins.module_utils._cognee import views
from ansible_collections.sergas.ops.plugins.module_utils._core import causes, thresholds, traffic
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import checks as fail2ban_checks
from ansible_collections.sergas.ops.plugins.module_utils._firewall import check as firewall_check
from ansible_collections.sergas.ops.plugins.module_utils._health import cause_rules, checks
from ansible_collections.sergas.ops.plugins.module_utils._net import failures
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    cause_rules as database_rules,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    connections,
    sessions_findings,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import (
    diagnosis,
    scope,
)
from ansible_collections.sergas.ops.plugins.module_utils._security import sshd
from ansible_collections.sergas.ops.plugins.module_utils._zoho import token
from ansible_collections.sergas.ops.plugins.plugin_utils import pools
from ansible_collections.sergas.ops.plugins.plugin_utils.report import fleet, results, shared_pools
from ansible_collections.sergas.ops.plugins.plugin_utils.report import host as report_host

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
#: Modules with rules; an id that is named in one of them only is not made by anything.
RULES = (cause_rules, database_rules, report_host, fleet, shared_pools)
_ID = re.compile(r"(?:app|api|db|redis|zoho|cognee|host|security|lb)(?:\.[a-z_]+){1,3}")
#: What makes a finding: its first argument is the id.
_MAKERS = ("finding", "_finding", "cognee_finding", "bad")

#: What an id ends in whatever a check is about.
STATES = (".ok", ".skipped", ".unknown", ".missing")
_COLLECTION = "ansible_collections.sergas.ops."
#: Ids that are built from parts: {file below plugins: ids}.
BUILT = {
    # absent, unmeasurable and missing: the subject of a check and one of these
    "module_utils/_core/diagnosis.py": {
        check.subject + state
        for table in (checks, fail2ban_checks, sshd)
        for check in table.CHECKS.values()
        for state in (".skipped", ".unknown", *([".missing"] if check.belongs else []))
    },
    # the same for the checks of pg_insights
    "module_utils/_postgresql/insights/verdict.py": {
        check.subject + state
        for check in diagnosis.CHECKS.values()
        for state in (".ok", ".skipped", ".unknown")
    }
    | {"db.bloat.indexes.skipped"},
    "module_utils/_health/resolved.py": {check.subject + ".ok" for check in checks.CHECKS.values()}
    - {"app.resources.ok"},  # its findings have subjects that say so themselves
    # what waits for traffic is kept, or is ok once that has decided
    "module_utils/_health/awaiting.py": set(traffic.SHOWN)
    | {subject + ".ok" for _check, subject in traffic.SHOWN.values()},
    # and is in the plan as it was
    "plugin_utils/remediation/plan.py": set(traffic.SHOWN),
    "module_utils/_health/probes/limits.py": {
        subject + state
        for subject in ("app.files", "app.tasks", "app.pool")
        for state in (".ok", ".exhausted")
    }
    | {"app.files.unknown", "app.files.skipped"},
    "module_utils/_health/probes/cpu.py": {
        subject + ".skipped" for subject in ("host.cpu", "host.load", "host.iowait")
    },
    "module_utils/_health/probes/disks.py": {
        subject + state
        for subject in ("host.disk", "host.inodes")
        for state in (".ok", ".high", ".skipped")
    },
    "module_utils/_health/probes/keys.py": {
        subject + state
        for subject in ("security.keys", "security.env")
        for state in (".unknown", ".skipped")
    },
}

#: What is said of any check, whatever it found.
_OF_ANY_CHECK = BUILT["module_utils/_core/diagnosis.py"] | BUILT["module_utils/_health/resolved.py"]
#: Of these, those that make the findings of any check.
_FOR_ALL_CHECKS = {
    "module_utils/_core/diagnosis.py",
    "module_utils/_health/resolved.py",
    "module_utils/_postgresql/insights/verdict.py",
}
#: What ids begin with, and is no id itself.
SUBJECTS = {
    "db.bloat.indexes",
    "db.cache",
    "db.checksums",
    "db.collation",
    "db.disk",
    "db.locks",
    "db.replication",
    "db.sequences",
    "db.triggers",
    "db.settings",
    "db.size",
    "db.statistics",
    "db.transactions",
    "db.vacuum",
    "db.wal",
    "db.wal.archiver",
    "db.wal.slot",
    "db.wraparound",
    "host.disk",
    "host.inodes",
    "host.iowait",
    "host.load",
    "security.bans",
    "security.env",
    "security.jails",
    "security.keys",
    "security.sshd",
}


def effects_and_causes():
    """Return the ids that rules explain, and those that they explain them by."""
    effects, found = set(), set()
    for module in RULES:
        for effect, rules in module.RULES.items():
            effects.add(effect.removeprefix("fleet."))
            for rule in rules:
                found.update(cause for cause in rule.causes if not cause.startswith("fleet."))
    return effects, found


def explained_by(id):
    """Return the ids that may explain one: on the same host, and on the host that serves it.

    An id that ends in a dot stands for all that begin with it. That one host's finding may derive
    from the same one of the host that serves it is not listed. What is missing on a host has no
    address, so no other host serves it.
    """
    here, elsewhere = [], []
    for module in RULES:
        for key in (id, "fleet." + id):
            for rule in causes.rules_for(key, module.RULES):
                if module is not fleet:
                    here += rule.causes
                elif not rule.select and not id.endswith(".missing"):
                    elsewhere += rule.causes
    return here, elsewhere


def texts(node):
    """Return the strings that an expression can be, as far as it is made of constants."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return {left + right for left in texts(node.left) for right in texts(node.right)}
    return set()


def ids_made(text):
    """Return the ids in a module that makes findings, and whether it builds others from parts."""
    if not any(maker + "(" in text for maker in _MAKERS):
        return set(), False
    tree = ast.parse(text)
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "id", "") or getattr(node.func, "attr", "")) in _MAKERS
        and node.args
    ]
    if not calls:
        return set(), False
    # A name as the first argument stands for one of the ids that the module has as constants.
    found = {text for node in ast.walk(tree) for text in texts(node) if _ID.fullmatch(text)}
    return found, any(
        isinstance(call.args[0], ast.BinOp)
        and not texts(call.args[0])
        or isinstance(call.args[0], ast.Attribute)
        for call in calls
    )


@functools.lru_cache(None)
def made():
    """Return all ids of findings that the code can make."""
    found = set()
    for path in PLUGINS.rglob("*.py"):
        if path in {Path(module.__file__).resolve() for module in RULES}:
            continue
        name = str(path.relative_to(PLUGINS))
        ids, built = ids_made(path.read_text(encoding="utf-8"))
        if built and name not in BUILT:
            raise ValueError("%s builds ids: add them to BUILT" % name)
        found |= ids
    return frozenset(found.union(*BUILT.values()) - SUBJECTS)


@functools.lru_cache(None)
def reasons():
    """Return {id: the codes of the reasons that its findings can have}, of all the code.

    A code stands in the call that makes the finding. Where id or reason are computed, the module
    says in ``REASONS`` which there are: {id: codes}.
    """
    found = {}
    for path in PLUGINS.rglob("*.py"):
        for id, codes in reasons_made(path.read_text(encoding="utf-8"), path.name).items():
            found.setdefault(id, set()).update(codes)
    return found


def reasons_made(text, name):
    """Return {id: codes} of one module.

    Raises:
        ValueError: the module computes a reason and has no ``REASONS``.
    """
    if "reason=" not in text or not any(maker + "(" in text for maker in _MAKERS):
        return {}
    tree = ast.parse(text)
    found = {}
    declared = next((node.value for node in tree.body if _is_reasons(node)), None)
    for id, codes in zip(declared.keys, declared.values, strict=True) if declared else ():
        found[ast.literal_eval(id)] = set(_declared(codes))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if (getattr(node.func, "id", "") or getattr(node.func, "attr", "")) not in _MAKERS:
            continue
        reason = next((item.value for item in node.keywords if item.arg == "reason"), None)
        if reason is None or isinstance(reason, ast.Constant) and reason.value is None:
            continue
        ids, codes = texts(node.args[0]), {one.partition(":")[0] for one in _codes(reason)}
        if ids and codes:
            for id in filter(is_bad, ids):
                found.setdefault(id, set()).update(codes)
        elif (
            declared is None and name != "diagnosis.py"
        ):  # those of any check, see docs/findings.md
            raise ValueError("%s:%d computes a reason: add REASONS" % (name, node.lineno))
    return found


def _declared(codes):
    """Yield the codes of a tuple in ``REASONS``; ``*failures.WORDS`` are those of connections."""
    for code in codes.elts:
        if isinstance(code, ast.Starred) and ast.unparse(code.value) == "failures.WORDS":
            yield from failures.WORDS
        else:
            yield ast.literal_eval(code)


def _is_reasons(node):
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "REASONS"


def _codes(node):
    """Return the texts that a reason can begin with: what stands before ``%`` counts."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return {text for text in texts(node.left) if not text.startswith("%")}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return texts(node.left)
    if isinstance(node, ast.IfExp):
        return _codes(node.body) | _codes(node.orelse)
    return {text for text in texts(node) if text}


def is_bad(id):
    """Return whether an id, by its end, is that of something that needs attention."""
    return id.rpartition(".")[2] not in ("ok", "skipped")


class Finder(NamedTuple):
    """A check, or a module without checks, and what its code says of the findings that it makes."""

    module: str
    check: str | None
    subject: str | None
    guide: str | None
    #: {name: (warn, fail, unit)} of the thresholds that it uses
    thresholds: dict[str, tuple]
    ids: frozenset[str]


@functools.lru_cache(None)
def finders():
    """Return all that makes findings, in the order of their tables."""
    tables = (
        ("sergas_health", checks.CHECKS, thresholds.DEFAULTS),
        ("pg_insights", diagnosis.CHECKS, scope.THRESHOLDS),
        ("security_check", {**fail2ban_checks.CHECKS, **sshd.CHECKS}, {}),
    )
    found = [
        _finder(module, name, check.subject, check.guide, defaults, [check.decide])
        for module, table, defaults in tables
        for name, check in table.items()
    ]
    whole = (
        ("pg_connections", sessions_findings.THRESHOLDS, [connections.run]),
        ("zoho_token", {}, [token.run]),
        ("cognee_check", cognee_decide.THRESHOLDS, [cognee_check.run, views.merge]),
        ("firewall_check", {}, [firewall_check.run]),
        ("pg_insights", {}, [diagnosis.unreachable]),
        ("fleet_report", {}, [results.host_entry, pools.decide]),
    )
    return found + [
        _finder(module, None, None, None, defaults, functions)
        for module, defaults, functions in whole
    ]


def _finder(module, check, subject, guide, defaults, functions):
    values = list(_reachable(functions))
    called = [value for value in values if isinstance(value, types.FunctionType)]
    strings = {value for value in values if isinstance(value, str)}
    strings |= {start + end for start in strings if start.endswith(".") for end in strings}
    strings |= {subject + state for subject in SUBJECTS & strings for state in STATES}
    ids = made() & strings
    for function in called:
        name = function.__code__.co_filename.partition("/ops/plugins/")[2]
        if name not in _FOR_ALL_CHECKS:
            ids |= BUILT.get(name, set()) - _OF_ANY_CHECK
    if subject:
        ids |= {subject + state for state in STATES} & made()
    used = set().union(*map(_thresholds, called))
    own = {name: value for name, value in defaults.items() if name in used}
    return Finder(module, check, subject, guide, own, ids)


def _reachable(functions):
    """Yield these functions and all of the collection that they may call, and the strings in them.

    What a function calls is what its code names: of its module, or of one that it names as well.
    """
    todo, seen = list(functions), set()
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            todo += [*item, *item.values()]
        elif isinstance(item, (tuple, list, set, frozenset)):
            todo += item
        elif isinstance(item, types.CodeType):
            todo += item.co_consts
        elif getattr(item, "__module__", "").startswith(_COLLECTION) and id(item) not in seen:
            seen.add(id(item))
            if isinstance(item, type):
                todo += vars(item).values()
            elif isinstance(item, types.FunctionType):
                item = inspect.unwrap(item)
                yield item
                todo += [item.__code__, *_named(item.__code__, item.__globals__)]


def _named(code, names):
    """Yield the values of what code names, as far as its module has them.

    Rules for causes are left out: they name the ids that others make.
    """
    values = [names[name] for name in code.co_names if name in names]
    # The modules that a function imports.
    for package in code.co_names:
        if package.startswith(_COLLECTION):
            values += [
                importlib.import_module("%s.%s" % (package, name))
                for name in code.co_names
                if "." not in name and importlib.util.find_spec("%s.%s" % (package, name))
            ]
    yield from values
    for module in values:
        if isinstance(module, types.ModuleType) and module.__name__.startswith(_COLLECTION):
            if module not in RULES:
                yield from (getattr(module, name, None) for name in code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _named(inner, names)


@functools.lru_cache(None)
def _thresholds(function):
    """Return the names of thresholds in a function: what it takes out of a dictionary of them."""
    text = inspect.getsource(function)
    if re.search(r"thresholds\[[a-z]", text):
        return set(re.findall(r'"(\w+)"', text))
    return set(re.findall(r'(?:thresholds|limits)\["(\w+)"\]', text))
