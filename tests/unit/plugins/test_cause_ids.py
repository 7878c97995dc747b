# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules for causes and the findings that the code makes know the same ids."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import checks as fail2ban_checks
from ansible_collections.sergas.ops.plugins.module_utils._health import cause_rules, checks
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    cause_rules as database_rules,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import diagnosis
from ansible_collections.sergas.ops.plugins.module_utils._security import sshd
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import reading
from ansible_collections.sergas.ops.plugins.plugin_utils.report import fleet, shared_pools
from ansible_collections.sergas.ops.plugins.plugin_utils.report import host as report_host
from ansible_collections.sergas.ops.plugins.plugin_utils.report.comparison import subject

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
ROLE = PLUGINS.parent / "roles" / "remediate"
#: Modules with rules; an id that is named in one of them only is not made by anything.
RULES = (cause_rules, database_rules, report_host, fleet, shared_pools)
_ID = re.compile(r"(?:app|api|db|redis|zoho|cognee|host|security|lb)(?:\.[a-z_]+){1,3}")
#: What makes a finding: its first argument is the id.
_MAKERS = ("finding", "_finding", "cognee_finding", "bad")

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
    },
    "module_utils/_health/resolved.py": {check.subject + ".ok" for check in checks.CHECKS.values()},
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

#: Bad findings that are roots wherever they appear: nothing else that is measured explains them.
ROOTS = {
    "api.health.missing",
    "api.latency.missing",
    "app.connections.missing",
    "app.connections.unknown",
    "app.crash.missing",
    "app.env.ambiguous",
    "app.env.missing",
    "app.env.unknown",
    "app.env.unreadable",
    "app.errors.missing",
    "app.errors.unknown",
    "app.exceptions.missing",
    "app.import.error",
    "app.import.missing",
    "app.metrics.high",
    "app.metrics.missing",
    "app.metrics.unknown",
    "app.oom.missing",
    "app.port.conflict",
    "app.port.missing",
    "app.port.unknown",
    "app.files.exhausted",
    "app.files.unknown",
    "app.tasks.exhausted",
    "app.resources.missing",
    "app.resources.unknown",
    "app.service.missing",
    "app.service.unknown",
    "cognee.auth",
    "cognee.blocked",
    "cognee.components",
    "cognee.container",
    "cognee.exposed",
    "cognee.open",
    "cognee.query",
    "cognee.slow",
    "cognee.unknown",
    "cognee.wrong_service",
    "db.bloat.indexes",
    "db.cache.unknown",
    "db.connection.missing",
    "db.connections.unknown",
    "db.disk.unknown",
    "db.index.duplicate",
    "db.index.duplicate.unknown",
    "db.index.invalid",
    "db.index.invalid.unknown",
    "db.index.missing.unknown",
    "db.index.unused",
    "db.index.unused.unknown",
    "db.locks.unknown",
    "db.pools.overcommitted",
    "db.queries.running.unknown",
    "db.queries.slow.unknown",
    "db.replication.lag",
    "db.replication.unknown",
    "db.sequences.exhausted",
    "db.sequences.unknown",
    "db.settings.harmful",
    "db.settings.unknown",
    "db.size.unknown",
    "db.statistics.unknown",
    "db.transactions.idle",
    "db.transactions.unknown",
    "db.vacuum.unknown",
    "db.wal.archiver.unknown",
    "db.wal.archiver_failing",
    "db.wal.slot.unknown",
    "db.wal.slot_inactive",
    "db.wal.unknown",
    "db.wraparound.unknown",
    "host.cpu.unknown",
    "host.diagnosis.failed",
    "host.disk.readonly",
    "host.disk.unknown",
    "host.inodes.high",
    "host.iowait.unknown",
    "host.load.unknown",
    "host.memory.high",
    "host.memory.unknown",
    "host.restore_point.armed",
    "host.restore_point.failed",
    "host.restore_point.unknown",
    "host.swap.unknown",
    "host.unreachable",
    "lb.health.missing",
    "redis.evicting",
    "redis.memory.high",
    "redis.missing",
    "security.access.missing",
    "security.ban.ineffective",
    "security.ban.legitimate_client",
    "security.bans.unknown",
    "security.bruteforce",
    "security.env.missing",
    "security.env.readable",
    "security.firewall.drift",
    "security.jail.no_input",
    "security.jail.dead",
    "security.jail.exposed",
    "security.jail.missing",
    "security.jails.unknown",
    "security.keys.missing",
    "security.keys.weak",
    "security.login.guessed",
    "security.mfa.off",
    "security.ports.exposed",
    "security.sshd.invalid",
    "security.sshd.unknown",
    "security.sshd.weak",
    "zoho.api.missing",
    "zoho.cache.stale",
    "zoho.token.scope",
}
#: What ids begin with, and is no id itself.
SUBJECTS = {
    "db.cache",
    "db.disk",
    "db.locks",
    "db.replication",
    "db.sequences",
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
        assert not built or name in BUILT, "%s builds ids: add them to BUILT" % name
        found |= ids
    return frozenset(found.union(*BUILT.values()))


def test_every_id_in_a_rule_is_that_of_a_finding():
    effects, causes = effects_and_causes()
    named = {id for id in effects | causes if not id.endswith(".")}
    assert named - made() == set()
    prefixes = {id for id in effects | causes if id.endswith(".")}
    assert {id for id in prefixes if not any(known.startswith(id) for known in made())} == set()


def test_every_bad_finding_has_a_rule_or_is_a_root():
    effects, _causes = effects_and_causes()
    bad = {id for id in made() if id.rpartition(".")[2] not in ("ok", "skipped")}
    assert bad - effects - SUBJECTS == ROOTS


#: Remedies whose verification does not show what they answer: why.
NOT_SHOWN = {
    "debug_logging": "the exceptions go on until a person has fixed the code",
    "raise_start_timeout": "the balancer checks at its own intervals, the last start stays slow",
    "slow_query_log": "what is slow stays slow until the log has shown why",
}


def test_a_remedy_is_verified_by_a_check_that_says_ok_of_what_it_answers():
    remedies, _files = reading.read_catalogue([(ROLE / "remedies", ROLE / "tasks" / "remedies")])
    shown = {name for name, remedy in remedies.items() if remedy["verification"]["resolves"]}
    assert set(remedies) - shown == set(NOT_SHOWN)
    good = {subject(id) for id in made() if id.endswith(".ok")}
    for name in shown:
        verification = remedies[name]["verification"]
        subjects = good
        if verification["part"] == "health":
            found = {checks.CHECKS[check].subject for check in verification["checks"]}
            subjects = {subject(id) for id in found}
            if "app.resources" in found:
                subjects |= {"app.files", "app.tasks", "app.pool"}
        assert {id for id in remedies[name]["answers"] if subject(id) not in subjects} == set()


@pytest.mark.parametrize(
    ("text", "ids", "built"),
    [
        ("x = 'app.made.up'", set(), False),
        ("finding('app.made.up', 'app')", {"app.made.up"}, False),
        ("finding('app.made.' + ('up' if x else 'ok'))", {"app.made.up", "app.made.ok"}, False),
        ("def f(id): return finding(id)\nf('app.made.up')", {"app.made.up"}, False),
        ("finding(subject + '.unknown')", set(), True),
        ("finding(check.subject)", set(), True),
    ],
)
def test_ids_are_read_from_code(text, ids, built):
    assert ids_made(text) == (ids, built)
