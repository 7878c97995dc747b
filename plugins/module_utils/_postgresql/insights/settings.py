# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings that lose data, stop maintenance, or need more memory than there is."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._host import cgroup
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.location import is_local

#: (name, harmful value, status, why)
_HARMFUL = (
    ("fsync", "off", "fail", "a crash of the host destroys the database"),
    ("full_page_writes", "off", "fail", "a crash of the host leaves torn pages"),
    ("autovacuum", "off", "fail", "dead rows and stale statistics pile up"),
    ("track_counts", "off", "fail", "autovacuum does not know what to do"),
    ("zero_damaged_pages", "on", "fail", "a damaged page loses its rows silently"),
    ("ignore_checksum_failure", "on", "fail", "damage goes unnoticed"),
    ("ignore_invalid_pages", "on", "fail", "recovery goes on over missing pages"),
    ("enable_indexscan", "off", "warn", "the planner may not use indexes"),
    ("enable_seqscan", "off", "warn", "the planner must not read a table whole"),
    ("enable_hashjoin", "off", "warn", "the planner may not join by hashing"),
    ("enable_nestloop", "off", "warn", "the planner may not join by nested loops"),
    ("log_statement", "all", "warn", "every statement is logged, literals included"),
    ("log_min_duration_statement", "0", "warn", "every statement is logged, literals included"),
)
_MEMORY = ("shared_buffers", "work_mem", "max_connections")

# reset_val: the session's own settings are no news.
_SETTINGS = """
SELECT s.name, s.reset_val AS value, s.unit, s.source, s.pending_restart
FROM pg_settings s WHERE s.name IN ({names}) OR s.pending_restart
"""


def observe(scope):
    """Return the settings in question, and the memory of the host where the server is on it."""
    names = [row[0] for row in _HARMFUL] + list(_MEMORY)
    rows = scope.rows(_SETTINGS.format(names=", ".join("'%s'" % name for name in names)))
    memory = None
    if not scope.server["address"] or is_local(scope.server["address"]):
        memory = _memory()
    return {"settings": {row["name"]: row for row in rows}, "memory_bytes": memory}


def _memory():
    """Return the memory that this host, or the container that it is, may use in bytes, or None."""
    container = cgroup.memory() or {"limit": None}
    sizes = [size for size in (_total_memory(), container["limit"]) if size]
    return min(sizes, default=None)


def _total_memory():
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            for line in stream:
                if line.startswith("MemTotal:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def memory_wanted(settings):
    """Return the bytes that the server takes when every connection uses work_mem once."""
    number = {name: int(settings[name]["value"]) for name in _MEMORY}
    # pg_settings has shared_buffers in blocks and work_mem in kB.
    blocks = int(settings["shared_buffers"]["unit"].replace("kB", "")) * 1024
    return number["shared_buffers"] * blocks + number["max_connections"] * number["work_mem"] * 1024


def decide(scope, observed):
    """Return the finding on harmful settings."""
    subject = "db.settings"
    settings = observed["settings"]
    harmful = [
        {"name": name, "value": value, "status": status, "why": why}
        for name, value, status, why in _HARMFUL
        if name in settings and settings[name]["value"] == value
    ]
    numbers = {}
    if observed["memory_bytes"]:
        warn, fail, unit = scope.thresholds["memory_percent"]
        percent = 100.0 * memory_wanted(settings) / observed["memory_bytes"]
        numbers = {"value": round(percent, 1), "unit": unit, "warn": warn, "fail": fail}
        if percent >= warn:
            harmful.append(
                {
                    "name": "work_mem",
                    "value": "%s kB" % settings["work_mem"]["value"],
                    "status": "fail" if percent >= fail else "warn",
                    "why": (
                        "shared_buffers and one work_mem for each of %s connections come to "
                        "%.0f %% of the memory" % (settings["max_connections"]["value"], percent)
                    ),
                }
            )
    pending = sorted(name for name, row in settings.items() if row["pending_restart"])
    if harmful:
        return [
            verdict.bad(
                "db.settings.harmful",
                verdict.worst(row["status"] for row in harmful),
                "%d setting(s) are harmful: %s"
                % (
                    len(harmful),
                    "; ".join("%(name)s = %(value)s, %(why)s" % row for row in harmful),
                ),
                evidence={"settings": harmful, "pending_restart": pending},
                advice="Reset them; SELECT pg_reload_conf() suffices for all but the sizes.",
                **numbers,
            )
        ]
    return [
        verdict.ok(
            subject,
            "No harmful setting found"
            + ("; waiting for a restart: %s" % ", ".join(pending) if pending else ""),
            evidence={"pending_restart": pending},
            **numbers,
        )
    ]
