# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules for causes and the findings that the code makes know the same ids."""

from __future__ import annotations

import pytest
from finding_ids import PLUGINS, effects_and_causes, ids_made, is_bad, made

from ansible_collections.sergas.ops.plugins.module_utils._health import checks
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import reading
from ansible_collections.sergas.ops.plugins.plugin_utils.report.comparison import subject

ROLE = PLUGINS.parent / "roles" / "remediate"

#: Bad findings that are roots wherever they appear: nothing else that is measured explains them.
ROOTS = {
    "api.health.missing",
    "api.latency.missing",
    "app.connections.missing",
    "app.connections.unknown",
    "app.crash.missing",
    "app.env.ambiguous",
    "app.env.invalid",
    "app.env.missing",
    "app.env.unknown",
    "app.env.unreadable",
    "app.errors.missing",
    "app.events.missing",
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
    "app.restart.missing",
    "app.resources.unknown",
    "app.service.disabled",
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
    "db.cache.unknown",
    "db.transactions.prepared",
    "db.triggers.disabled",
    "db.triggers.unknown",
    "db.writes.refused",
    "host.clock.offset",
    "host.clock.unknown",
    "db.checksums.failing",
    "db.checksums.unknown",
    "db.collation.changed",
    "db.collation.unknown",
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
    "host.conntrack.dropped",
    "host.cpu.unknown",
    "host.device.errors",
    "host.diagnosis.failed",
    "host.disk.unknown",
    "host.inodes.high",
    "host.iowait.unknown",
    "host.kernel.unknown",
    "host.local_ports.high",
    "host.mount.hung",
    "host.network.unknown",
    "host.packages.restarted",
    "host.packages.unknown",
    "host.resolver.failing",
    "host.resolver.unknown",
    "app.denied",
    "host.load.unknown",
    "host.memory.high",
    "host.memory.unknown",
    "host.restore_point.armed",
    "host.restore_point.failed",
    "host.restore_point.unknown",
    "host.swap.unknown",
    "host.unreachable",
    "lb.health.missing",
    "lb.requests.missing",
    "lb.requests.unknown",
    "redis.evicting",
    "redis.memory.high",
    "redis.missing",
    "security.access.missing",
    "security.ban.ineffective",
    "security.ban.leftover",
    "security.ban.legitimate_client",
    "security.bans.unknown",
    "security.bruteforce",
    "security.env.missing",
    "security.env.readable",
    "security.firewall.drift",
    "security.firewall.unknown",
    "security.forwarded.any",
    "security.forwarded.missing",
    "security.jail.no_input",
    "security.jail.dead",
    "security.jail.exposed",
    "security.jail.missing",
    "security.jails.unknown",
    "security.keys.missing",
    "security.login.guessed",
    "security.ports.exposed",
    "security.ports.unknown",
    "security.sshd.invalid",
    "security.sshd.unknown",
    "security.sshd.weak",
    "zoho.api.missing",
    "zoho.cache.stale",
    "zoho.token.scope",
}


def test_every_id_in_a_rule_is_that_of_a_finding():
    effects, causes = effects_and_causes()
    named = {id for id in effects | causes if not id.endswith(".")}
    assert named - made() == set()
    prefixes = {id for id in effects | causes if id.endswith(".")}
    assert {id for id in prefixes if not any(known.startswith(id) for known in made())} == set()


def test_every_bad_finding_has_a_rule_or_is_a_root():
    effects, _causes = effects_and_causes()
    assert {id for id in made() if is_bad(id)} - effects == ROOTS


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
