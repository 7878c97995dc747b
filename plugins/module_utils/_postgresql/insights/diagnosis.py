# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The insights into a server: each query runs once, checks decide, causes are derived.

One session runs one query after the other. A query that fails leaves the checks that need it
``unknown``, with the reason; the others go on.
"""

from __future__ import annotations

import time
from typing import Callable, NamedTuple, Tuple

from ansible_collections.sergas.ops.plugins.module_utils._core import causes, options, thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad, roots
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact_all
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._net.postgres_errors import (
    InsufficientPrivilege,
    PostgresError,
    TimedOut,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import cause_rules, location
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.findings import unreachable
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import (
    bloat,
    cache,
    indexes,
    integrity,
    locks,
    maintenance,
    missing_indexes,
    sequences,
    settings,
    statements,
    storage,
    triggers,
    verdict,
    wal,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    THRESHOLDS,
    Scope,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import connect

#: One slow query of ours is not worth more to an overloaded server than this; in seconds.
_LONGEST_STATEMENT = 10.0

_SLOW = "Slow Database Queries"
_DISK = "Database Disk Space Full"
_POOL = "Database Connection Pool Exhausted"


class Check(NamedTuple):
    """A check that an operator can select. ``decide(scope, *observations)`` returns findings."""

    decide: Callable
    #: the queries whose answers ``decide`` takes, in this order
    needs: Tuple[str, ...]
    #: the findings of the check start with this
    subject: str
    guide: str
    #: queries that help where they have an answer: ``decide`` gets theirs after those, or None
    uses: Tuple[str, ...] = ()


#: name: function of the scope that returns plain data
QUERIES = {
    "locks": locks.observe_locks,
    "running": statements.observe_running,
    "transactions": locks.observe_transactions,
    "prepared": locks.observe_prepared,
    "statements": statements.observe_statements,
    "settings": settings.observe,
    "wal": wal.observe,
    "archiver": wal.observe_archiver,
    "slots": wal.observe_slots,
    "replication": wal.observe_replication,
    "sizes": storage.observe_sizes,
    "locations": storage.observe_locations,
    "maintenance": maintenance.observe_tables,
    "wraparound": maintenance.observe_wraparound,
    "missing_indexes": missing_indexes.observe,
    "unused_indexes": indexes.observe_unused,
    "duplicate_indexes": indexes.observe_duplicate,
    "invalid_indexes": indexes.observe_invalid,
    "cache": cache.observe,
    "sequences": sequences.observe,
    "triggers": triggers.observe,
    "checksums": integrity.observe_checksums,
    "collations": integrity.observe_collations,
    # last: it is the one that may read tables
    "bloat": bloat.observe,
}

CHECKS = {
    "slow_queries": Check(statements.decide_slow, ("statements",), "db.queries.slow", _SLOW),
    "running_queries": Check(statements.decide_running, ("running",), "db.queries.running", _SLOW),
    "missing_indexes": Check(
        missing_indexes.decide,
        ("missing_indexes",),
        "db.index.missing",
        _SLOW,
        ("statements", "running"),
    ),
    "unused_indexes": Check(indexes.decide_unused, ("unused_indexes",), "db.index.unused", _SLOW),
    "duplicate_indexes": Check(
        indexes.decide_duplicate, ("duplicate_indexes",), "db.index.duplicate", _SLOW
    ),
    "invalid_indexes": Check(
        indexes.decide_invalid, ("invalid_indexes",), "db.index.invalid", _SLOW
    ),
    "bloat": Check(bloat.decide, ("bloat",), "db.bloat", _SLOW),
    "vacuum": Check(maintenance.decide_vacuum, ("maintenance",), "db.vacuum", _SLOW),
    "statistics": Check(maintenance.decide_statistics, ("maintenance",), "db.statistics", _SLOW),
    "wraparound": Check(maintenance.decide_wraparound, ("wraparound",), "db.wraparound", _SLOW),
    "locks": Check(locks.decide_locks, ("locks",), "db.locks", _SLOW, ("prepared",)),
    "transactions": Check(
        locks.decide_transactions, ("transactions", "prepared"), "db.transactions", _POOL
    ),
    "cache": Check(cache.decide, ("cache",), "db.cache", _SLOW),
    "sizes": Check(storage.decide_sizes, ("sizes",), "db.size", _DISK),
    "disk": Check(
        storage.decide_disk,
        ("locations",),
        "db.disk",
        _DISK,
        ("sizes", "wal", "slots", "archiver"),
    ),
    "wal": Check(wal.decide_volume, ("wal",), "db.wal", _DISK),
    "archiver": Check(wal.decide_archiver, ("archiver",), "db.wal.archiver", _DISK),
    "slots": Check(wal.decide_slots, ("slots",), "db.wal.slot", _DISK),
    "replication": Check(wal.decide_replication, ("replication",), "db.replication", _DISK),
    "sequences": Check(sequences.decide, ("sequences",), "db.sequences", _DISK),
    "triggers": Check(triggers.decide, ("triggers",), "db.triggers", _SLOW, ("locks",)),
    "checksums": Check(integrity.decide_checksums, ("checksums",), "db.checksums", _DISK),
    "collation": Check(integrity.decide_collation, ("collations",), "db.collation", _SLOW),
    "settings": Check(settings.decide, ("settings",), "db.settings", _SLOW),
}


#: The queries that read what the server has counted.
STATISTICS = {
    "wal",
    "archiver",
    "maintenance",
    "missing_indexes",
    "unused_indexes",
    "duplicate_indexes",
    "cache",
    "checksums",
    "bloat",
}


class Answer(NamedTuple):
    """What a query came back with: a value, or the reason why there is none."""

    value: object
    error: str
    seconds: float


def select(wanted, skip):
    """Return the names of the checks to run, in the order of the report; see ``options.select``."""
    return options.select(CHECKS, wanted, skip)


def observe(scope, names):
    """Run the queries that the checks of these names need or use and return {query: Answer}."""
    needed = {query for name in names for query in CHECKS[name].needs + CHECKS[name].uses}
    answers = {}
    for query, function in QUERIES.items():
        if query in needed and scope.statistics_error and query in STATISTICS:
            answers[query] = Answer(None, scope.statistics_error, 0.0)
        elif query in needed:
            answers[query] = _observe(scope, function, query in STATISTICS)
    return answers


def _observe(scope, function, of_statistics):
    value = error = None
    started = time.monotonic()
    try:
        value = function(scope)
    except InsufficientPrivilege as denied:
        error = "%s; pg_monitor has the right, the role %s is not a member" % (
            denied,
            scope.server["role"],
        )
    except (PostgresError, DeadlineExceeded) as reason:
        gone = of_statistics and isinstance(reason, TimedOut) and scope.statistics_gone()
        error = gone or str(reason)
    except Exception as defect:  # one topic must not take the others with it
        error = "%s: %s" % (type(defect).__name__, defect)
    return Answer(value, error, round(time.monotonic() - started, 3))


def decide(scope, name, answers):
    """Return the findings of one check."""
    check = CHECKS[name]
    inputs = [answers[query] for query in check.needs]
    failed = [answer.error for answer in inputs if answer.error]
    if failed:
        findings = [_unknown(name, failed[0])]
    else:
        helpful = [answers[query].value for query in check.uses]
        try:
            findings = check.decide(scope, *[answer.value for answer in inputs], *helpful)
        except Exception as defect:  # see _observe
            findings = [_unknown(name, "%s: %s" % (type(defect).__name__, defect))]
    for item in findings:
        item["guide"] = item["guide"] or check.guide
    return findings


def _unknown(name, reason):
    return verdict.unknown(
        CHECKS[name].subject, "%s could not be measured: %s" % (name.replace("_", " "), reason)
    )


def run(params):
    """Connect and return the result of the module.

    A server that does not answer is a finding, too: the diagnosis has worked.

    Args:
        params: the options of ``pg_insights``, as validated by its argument spec.

    Raises:
        ValueError: an option that cannot be; the message names it.
        UnsupportedServer: the server is older than PostgreSQL 13.
    """
    names = select(params["checks"], params["skip"])
    merged = thresholds.merge(params["thresholds"], THRESHOLDS)
    deadline = Deadline(params["deadline"])
    target = location.shown(params)
    try:
        with connect(params, deadline, statement_timeout=_LONGEST_STATEMENT) as session:
            scope = Scope(
                session,
                merged,
                deadline=deadline,
                limit=params["limit"],
                schemas=params["schemas"],
                previous=params["previous"],
            )
            return dict(diagnose(scope, names, target), driver=session.driver)
    except errors.UnsupportedServer:
        raise
    except DeadlineExceeded as late:
        return _unreachable(errors.TimedOut(str(late)), target, params)
    except PostgresError as error:
        return _unreachable(error, target, params)


def _unreachable(error, target, params):
    return dict(_result([unreachable(error, target, params)]), driver=None)


def diagnose(scope, names, target):
    """Return the result of the module for a server that answers.

    Args:
        scope: the Scope of an open session to the database to inspect.
        names: the checks to run, from ``select``.
        target: ``host:port`` of the server, for the evidence.
    """
    answers = observe(scope, names)
    decided = [(name, decide(scope, name, answers)) for name in names]
    findings = causes.derive(
        [item for _name, items in decided for item in items], cause_rules.RULES
    )
    for item in findings:
        item["evidence"] = dict(item["evidence"], target=target, database=scope.server["database"])
    insights = {query: answer.value for query, answer in answers.items() if not answer.error}
    insights["server"] = scope.server
    return dict(
        _result(findings),
        checked={name: len(items) for name, items in decided},
        insights=redact_all(insights),
        query_seconds={query: answer.seconds for query, answer in answers.items()},
    )


def _result(findings):
    findings = redact_all(findings)
    return {
        "changed": False,
        "findings": findings,
        "roots": [item["id"] for item in roots(findings)],
        "bad": sum(1 for item in findings if is_bad(item)),
    }
