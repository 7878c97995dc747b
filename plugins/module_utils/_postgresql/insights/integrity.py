# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what is stored is still what was written: checksums of pages, and the order of texts.

An index on text is in the order of the C library's collations. An upgrade of the library may
change that order: queries then miss rows, and unique indexes take duplicates. PostgreSQL keeps the
version that a collation had; from 15 on also that of the database's default.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict

_DEFAULT_VERSIONED_FROM = 150000

_CHECKSUMS = """
SELECT d.datname::text AS database, d.checksum_failures AS failures,
  to_char(d.checksum_last_failure AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_failure,
  current_setting('data_checksums') AS enabled
FROM pg_stat_database d
WHERE d.datname = current_database() OR d.checksum_failures > 0
ORDER BY d.checksum_failures DESC NULLS LAST, d.datname LIMIT 20
"""

# Also those that the database does not use may differ: only what an index is sorted by counts.
_COLLATIONS = """
SELECT n.nspname::text || '.' || c.collname::text AS collation, c.collversion::text AS recorded,
  pg_collation_actual_version(c.oid)::text AS actual,
  (SELECT count(DISTINCT i.indexrelid) FROM pg_index i WHERE c.oid = ANY(i.indcollation))::int
    AS indexes
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.collversion IS NOT NULL
  AND c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid)
  AND EXISTS (SELECT 1 FROM pg_index i WHERE c.oid = ANY(i.indcollation))
ORDER BY 1 LIMIT 20
"""

_DEFAULT = """
SELECT 'the default of ' || d.datname::text AS collation, d.datcollversion::text AS recorded,
  pg_database_collation_actual_version(d.oid)::text AS actual,
  (SELECT count(DISTINCT i.indexrelid) FROM pg_index i WHERE 100 = ANY(i.indcollation))::int
    AS indexes
FROM pg_database d WHERE d.datname = current_database()
"""


def observe_checksums(scope):
    """Return the pages with a wrong checksum that were read, by database."""
    return scope.rows(_CHECKSUMS)


def observe_collations(scope):
    """Return {default, changed}: the database's own collation, None where the server keeps no
    version of it, and others with another version than the one their indexes were made with.
    """
    default = None
    if scope.server["version"] >= _DEFAULT_VERSIONED_FROM:
        default = scope.row(_DEFAULT)
    return {"default": default, "changed": scope.rows(_COLLATIONS)}


def decide_checksums(scope, rows):
    """Return the finding about damaged pages."""
    subject = "db.checksums"
    damaged = [row for row in rows if row["failures"]]
    if damaged:
        return [
            verdict.bad(
                "db.checksums.failing",
                "fail",
                "Pages of %s are damaged: %d reads had a wrong checksum, the last at %s"
                % (damaged[0]["database"], damaged[0]["failures"], damaged[0]["last_failure"]),
                value=damaged[0]["failures"],
                unit="reads",
                evidence={"databases": damaged, "last_failure": damaged[0]["last_failure"]},
                advice="Stop writing and back up the data directory as it is; then restore the last"
                " good backup, and check disk and memory of the host.",
            )
        ]
    if not rows or rows[0]["enabled"] != "on":
        return [
            verdict.skipped(
                subject,
                "Data checksums are off, so damaged pages are not noticed",
                advice="Turn them on with the server stopped: pg_checksums --enable.",
            )
        ]
    return [verdict.ok(subject, "No page with a wrong checksum was read")]


def decide_collation(scope, collations):
    """Return the finding about indexes on text that may be in another order than the library's."""
    subject = "db.collation"
    default = collations["default"]
    changed = list(collations["changed"])
    # A collation without an order that may change, such as C, has no version.
    if default and default["recorded"] and default["recorded"] != default["actual"]:
        changed.insert(0, default)
    if changed:
        indexes = sum(row["indexes"] for row in changed)
        return [
            verdict.bad(
                "db.collation.changed",
                "fail" if indexes else "warn",
                "The order of texts has changed under %d indexes: %s was version %s and is %s"
                % (
                    indexes,
                    changed[0]["collation"],
                    changed[0]["recorded"],
                    changed[0]["actual"] or "unknown",
                ),
                value=indexes,
                unit="indexes",
                evidence={"collations": changed},
                advice="Rebuild the indexes on text (REINDEX DATABASE CONCURRENTLY), check unique"
                " ones for duplicates first; then ALTER DATABASE or ALTER COLLATION ... REFRESH"
                " VERSION.",
            )
        ]
    if default is None:
        return [
            verdict.skipped(
                subject, "Before version 15 the server keeps no version of the database's collation"
            )
        ]
    return [verdict.ok(subject, "Each index is in the order of its collation's current version")]
