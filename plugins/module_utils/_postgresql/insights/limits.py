# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The thresholds of pg_insights and where they come from."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds

#: name: (warn, fail, unit)
DEFAULTS = {
    # a statement's mean time; a statement below the guide's 1000 ms counts when it is called often
    "statement_ms": (20.0, 1000.0, "ms"),
    # the guide looks at what runs for more than a minute
    "running_seconds": (60.0, 600.0, "s"),
    "lock_wait_seconds": (5.0, 60.0, "s"),
    "transaction_seconds": (3600.0, 14400.0, "s"),
    "bloat_percent": (40.0, 80.0, "%"),
    # dead rows, or rows changed since ANALYZE, as a multiple of what makes autovacuum start
    "vacuum_factor": (2.0, 10.0, "times autovacuum's threshold"),
    "analyze_factor": (2.0, 10.0, "times autovacuum's threshold"),
    # transaction ids are used up at 2.1e9; vacuum_failsafe_age is 1.6e9
    "wraparound_age": (1.3e9, 1.4e9, "transactions"),
    "cache_miss_percent": (5.0, 20.0, "%"),
    "archive_backlog": (16.0, 128.0, "WAL files"),
    "slot_bytes": (64.0 * 1024**2, 1024.0**3, "B"),
    "replication_seconds": (5.0, 60.0, "s"),
    "replication_bytes": (128.0 * 1024**2, 1024.0**3, "B"),
    "disk_percent": (80.0, 90.0, "%"),
    "sequence_percent": (85.0, 95.0, "%"),
    "memory_percent": (100.0, 200.0, "% of the memory"),
}


def merge(overrides):
    """Return the thresholds with an operator's own over the defaults, see L(thresholds.merge)."""
    return thresholds.merge(overrides, DEFAULTS)
