# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cache hit ratio of the database."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import grade
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict

#: A cache that has just been filled has missed everything once: 8 GB of accesses come first.
_FEWEST_BLOCKS = 1000 * 1000

_DATABASE = """
SELECT d.blks_hit::bigint AS hit, d.blks_read::bigint AS read,
  d.temp_files::bigint AS temp_files, d.temp_bytes::bigint AS temp_bytes,
  d.deadlocks::bigint AS deadlocks, d.xact_commit::bigint AS commits,
  d.xact_rollback::bigint AS rollbacks, current_setting('shared_buffers') AS shared_buffers
FROM pg_stat_database d WHERE d.datname = current_database()
"""

_TABLES = """
SELECT * FROM (
  SELECT n.nspname::text AS schema, c.relname::text AS "table",
    pg_stat_get_blocks_hit(c.oid) AS hit,
    pg_stat_get_blocks_fetched(c.oid) - pg_stat_get_blocks_hit(c.oid) AS read
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
) t
WHERE t.read > 0 ORDER BY t.read DESC LIMIT {limit}
"""


def observe(scope):
    """Return the database's block accesses, and the tables that read most from outside."""
    return dict(scope.row(_DATABASE), tables=scope.rows(_TABLES.format(limit=scope.limit)))


def decide(scope, observed):
    """Return the finding on the share of block accesses that the cache could not serve.

    With an earlier run's insights, the accesses since then count.
    """
    subject = "db.cache"
    warn, fail, unit = scope.thresholds["cache_miss_percent"]
    hit, read = observed["hit"], observed["read"]
    earlier = scope.earlier("cache")
    if earlier and earlier["hit"] <= hit and earlier["read"] <= read:
        hit, read = hit - earlier["hit"], read - earlier["read"]
    total = hit + read
    if total < _FEWEST_BLOCKS:
        return [
            verdict.skipped(
                subject,
                "%d block accesses are too few to judge the cache by (%d)"
                % (total, _FEWEST_BLOCKS),
            )
        ]
    missed = 100.0 * read / total
    status = grade(missed, warn, fail)
    summary = "%.1f %% of block accesses are served from shared_buffers (%s)" % (
        100.0 - missed,
        observed["shared_buffers"],
    )
    numbers = {"value": round(missed, 2), "unit": unit, "warn": warn, "fail": fail}
    if status == "ok":
        return [verdict.ok(subject, summary, **numbers)]
    return [
        verdict.bad(
            "db.cache.low",
            status,
            summary,
            evidence={"tables": observed["tables"]},
            advice=(
                "Index what is read from end to end first; then give shared_buffers more, up to "
                "a quarter of the memory."
            ),
            **numbers,
        )
    ]
