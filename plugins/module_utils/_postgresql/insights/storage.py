# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What takes space: databases, tables, what grew, and what fills the data directory's disk."""

from __future__ import annotations

import contextlib
import itertools
import os

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import grade
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    EXCLUSIVELY_LOCKED,
    IN_SCHEMAS,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.location import is_local

#: So many tables are remembered for the next run, whatever the limit of the findings is.
_MOST_TABLES = 100
#: Debian's servers log here, whatever log_directory says; the journal is the other usual heap.
_LOG_DIRECTORIES = ("/var/log/postgresql", "/var/log/journal")
_MOST_LOG_FILES = 10000
_AUDIT_TABLE = "audit_logs"

_DATABASES = """
SELECT d.datname::text AS database, CASE
    WHEN {all} OR has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid)
  END AS bytes
FROM pg_database d ORDER BY bytes DESC NULLS LAST LIMIT 200
"""

# Two steps: by the pages the catalog remembers and the main fork's length first, then exactly for
# the few that come out. What is exclusively locked is taken from the catalog alone.
_TABLES = (
    "WITH locked AS MATERIALIZED ("
    + EXCLUSIVELY_LOCKED
    + """), large AS MATERIALIZED (
  SELECT * FROM (
    SELECT c.oid AS id, n.nspname::text AS schema, c.relname::text AS "table",
      greatest(c.reltuples, 0)::bigint AS rows,
      c.oid IN (SELECT l.relation FROM locked l) AS is_locked,
      CASE WHEN c.oid IN (SELECT l.relation FROM locked l) THEN c.relpages::bigint * {block}
        ELSE greatest(c.relpages::bigint * {block}, pg_relation_size(c.oid)) END
      + coalesce(t.relpages, 0)::bigint * {block} AS about
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND """
    + IN_SCHEMAS
    + """
  ) q ORDER BY q.about DESC LIMIT {most}
)
SELECT * FROM (
  SELECT g.schema, g."table", g.rows,
    CASE WHEN g.is_locked THEN g.about ELSE pg_table_size(g.id) END AS table_bytes,
    CASE WHEN g.is_locked THEN 0 ELSE pg_indexes_size(g.id) END AS index_bytes
  FROM large g
) e ORDER BY e.table_bytes + e.index_bytes DESC
"""
)

_LOCATIONS = """
SELECT {directory} AS data_directory, {log_directory} AS log_directory,
  (SELECT coalesce(json_agg(json_build_object('path', pg_tablespace_location(t.oid), 'bytes',
      CASE WHEN {all} OR has_tablespace_privilege(t.oid, 'CREATE')
        THEN pg_tablespace_size(t.oid) END)), '[]')
   FROM pg_tablespace t WHERE pg_tablespace_location(t.oid) <> '') AS tablespaces
"""


def observe_sizes(scope):
    """Return the sizes of databases and of the largest tables, and their growth since before."""
    everything = "true" if scope.server["sees_sessions"] else "false"
    sizes = {
        "databases": scope.rows(_DATABASES.format(all=everything)),
        "tables": scope.rows(
            _TABLES.format(block=scope.server["block_bytes"], most=_MOST_TABLES),
            scope.schemas_json,
            scope.schemas_json,
        ),
        "growth": None,
    }
    earlier = scope.earlier("sizes")
    if earlier:
        seconds = scope.server["taken_at"] - scope.earlier("server", "taken_at")
        sizes["growth"] = dict(growth(sizes, earlier, seconds), seconds=round(seconds))
    return sizes


def growth(sizes, earlier, seconds):
    """Return what grew between two runs, most first.

    Args:
        sizes: what ``observe_sizes`` returned.
        earlier: the same of the earlier run.
        seconds: the time between the two.

    Returns:
        {databases, tables}: rows with their name, grown_bytes and bytes_per_day.
    """
    result = {}
    for kind, keys in (("databases", ("database",)), ("tables", ("schema", "table"))):
        before = {tuple(row[key] for key in keys): _total(row) for row in earlier[kind]}
        rows = []
        for row in sizes[kind]:
            name, now = tuple(row[key] for key in keys), _total(row)
            then = before.get(name)
            if now is None or then is None or now <= then:
                continue
            rows.append(
                dict(
                    zip(keys, name),
                    grown_bytes=now - then,
                    bytes_per_day=round((now - then) * 86400 / max(1.0, seconds)),
                )
            )
        result[kind] = sorted(rows, key=lambda row: -row["grown_bytes"])
    return result


def _total(row):
    if "bytes" in row:
        return row["bytes"]
    return row["table_bytes"] + row["index_bytes"]


def decide_sizes(scope, sizes):
    """Return the finding on the sizes, and with an earlier run what grew."""
    known = [row for row in sizes["databases"] if row["bytes"] is not None]
    total = sum(row["bytes"] for row in known)
    evidence = {
        # What a later run needs to see what grew.
        "taken_at": scope.server["taken_at"],
        "databases": known[: scope.limit],
        "tables": [_table(row) for row in sizes["tables"][: scope.limit]],
    }
    summary = "%d database(s) take %s" % (len(known), verdict.size(total))
    if len(known) < len(sizes["databases"]):
        summary += ", and %d more cannot be seen by the role %s" % (
            len(sizes["databases"]) - len(known),
            scope.server["role"],
        )
    grown = sizes["growth"]
    if grown:
        evidence["growth"] = {key: grown[key][: scope.limit] for key in ("databases", "tables")}
        summary += "; what grew, grew by %s in %s" % (
            verdict.size(sum(row["grown_bytes"] for row in grown["databases"])),
            verdict.span(grown["seconds"]),
        )
        if grown["tables"]:
            summary += ", most of all " + verdict.some(
                "%s (%s)" % (verdict.qualified(row), verdict.size(row["grown_bytes"]))
                for row in grown["tables"]
            )
    return [verdict.ok("db.size", summary, value=total, unit="B", evidence=evidence)]


def _table(row):
    return dict(row, bytes=_total(row))


def observe_locations(scope):
    """Return the file systems of the server's directories, where it runs on this host.

    Returns:
        {local, reason, filesystems: [{path, holds, total, used, free, tablespace_bytes}],
        logs: [{path, bytes, shares_disk}]}.
    """
    server = scope.server
    if server["address"] and not is_local(server["address"]):
        return {"local": False, "reason": "the server is on another host", "filesystems": []}
    sees = server["sees_settings"]
    locations = scope.row(
        _LOCATIONS.format(
            directory="current_setting('data_directory')" if sees else "NULL::text",
            log_directory="current_setting('log_directory')" if sees else "NULL::text",
            all="true" if server["sees_sessions"] else "false",
        )
    )
    directory = locations["data_directory"] or _working_directory(server["backend_pid"])
    if not directory:
        return {
            "local": True,
            "reason": (
                "the role %s may not see data_directory: it is not a member of pg_monitor"
                % server["role"]
            ),
            "filesystems": [],
        }
    if not os.path.isdir(directory):
        return {
            "local": False,
            "reason": "there is no %s on this host" % directory,
            "filesystems": [],
        }
    log_directories = list(_LOG_DIRECTORIES)
    if locations["log_directory"]:
        log_directories.append(os.path.join(directory, locations["log_directory"]))
    holds = [("data", directory, 0), ("wal", os.path.join(directory, "pg_wal"), 0)]
    holds += [("tablespace", row["path"], row["bytes"] or 0) for row in locations["tablespaces"]]
    return {
        "local": True,
        "reason": None,
        "filesystems": _filesystems(holds, directory),
        "logs": [
            _log_directory(path, directory) for path in log_directories if os.path.isdir(path)
        ],
    }


def _working_directory(pid):
    """Return where a server's process works, which is its data directory, or None."""
    try:
        with open("/proc/%d/comm" % pid, encoding="utf-8") as stream:
            if not stream.read().startswith("postgres"):
                return None
        return os.readlink("/proc/%d/cwd" % pid)
    except OSError:
        return None


def _filesystems(holds, directory):
    """Return each file system once, with what it holds."""
    found = {}
    for what, path, tablespace_bytes in holds:
        try:
            device, numbers = os.stat(path).st_dev, os.statvfs(path)
        except OSError:
            # Inside a directory that only its owner may enter; as a rule the same file system.
            path = directory
            device, numbers = os.stat(path).st_dev, os.statvfs(path)
        entry = found.setdefault(
            device,
            {
                "path": path,
                "holds": [],
                "total": numbers.f_blocks * numbers.f_frsize,
                "used": (numbers.f_blocks - numbers.f_bfree) * numbers.f_frsize,
                "free": numbers.f_bavail * numbers.f_frsize,
                "tablespace_bytes": 0,
            },
        )
        entry["tablespace_bytes"] += tablespace_bytes
        if what not in entry["holds"]:
            entry["holds"].append(what)
    return list(found.values())


def _log_directory(path, data_directory):
    """Return the bytes of a directory's files, and whether it shares the data's disk."""
    total = 0
    files = (
        os.path.join(directory, name)
        for directory, _directories, names in os.walk(path)
        for name in names
    )
    try:
        for file in itertools.islice(files, _MOST_LOG_FILES):
            # A log may be rotated away while it is counted.
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(file).st_blocks * 512
        shares = os.stat(path).st_dev == os.stat(data_directory).st_dev
    except OSError:
        return {"path": path, "bytes": None, "shares_disk": None}
    return {"path": path, "bytes": total, "shares_disk": shares}


def used_percent(filesystem):
    """Return how full a file system is, as df counts: of what is used and free to all users."""
    return 100.0 * filesystem["used"] / max(1, filesystem["used"] + filesystem["free"])


def decide_disk(scope, locations, sizes, wal, slots, archiver):
    """Return the finding on the disk, with what fills it.

    Args:
        locations: what ``observe_locations`` returned.
        sizes: what ``observe_sizes`` returned, or None.
        wal, slots, archiver: what those of ``wal`` returned, or None.
    """
    subject = "db.disk"
    if not locations["filesystems"]:
        if locations["local"]:
            return [
                verdict.unknown(subject, "The disk cannot be inspected: " + locations["reason"])
            ]
        return [
            verdict.skipped(
                subject,
                "The disk can only be inspected on the database's host: " + locations["reason"],
                advice="Run the diagnosis on the host of the database as well.",
            )
        ]
    warn, fail, unit = scope.thresholds["disk_percent"]
    fullest = max(locations["filesystems"], key=used_percent)
    percent = used_percent(fullest)
    status = grade(percent, warn, fail)
    summary = "The file system of %s (%s) is %.0f %% full, %s are free" % (
        fullest["path"],
        " and ".join(fullest["holds"]),
        percent,
        verdict.size(fullest["free"]),
    )
    numbers = {"value": round(percent, 1), "unit": unit, "warn": warn, "fail": fail}
    if status == "ok":
        return [verdict.ok(subject, summary, **numbers)]
    filled = filled_by(fullest, locations, sizes, wal)
    return [
        verdict.bad(
            "db.disk.full",
            status,
            "%s; it is filled by %s"
            % (
                summary,
                verdict.some(
                    "%s (%s)" % (row["what"], verdict.size(row["bytes"])) for row in filled
                ),
            ),
            evidence={
                "filesystem": fullest,
                "filled_by": filled,
                "tables": [_table(row) for row in (sizes or {"tables": ()})["tables"][:5]],
                "wal_held_by": wal_holders(slots, archiver),
                "logs": [row for row in locations["logs"] if row["shares_disk"]],
            },
            advice=_disk_advice(filled, sizes),
            remedy=_disk_remedy(filled, sizes),
            **numbers,
        )
    ]


def filled_by(filesystem, locations, sizes, wal):
    """Return what takes the used space of a file system, the largest first: [{what, bytes}]."""
    parts = []
    tables = filesystem["tablespace_bytes"]
    if "data" in filesystem["holds"] and sizes:
        elsewhere = sum(entry["tablespace_bytes"] for entry in locations["filesystems"])
        tables += max(0, sum(row["bytes"] or 0 for row in sizes["databases"]) - elsewhere)
    parts.append({"what": "tables", "bytes": tables})
    if "wal" in filesystem["holds"] and wal and wal["bytes"] is not None:
        parts.append({"what": "wal", "bytes": wal["bytes"]})
    if "data" in filesystem["holds"]:
        logs = sum(row["bytes"] or 0 for row in locations["logs"] if row["shares_disk"])
        parts.append({"what": "logs", "bytes": logs})
    rest = filesystem["used"] - sum(part["bytes"] for part in parts)
    parts.append({"what": "other files", "bytes": max(0, rest)})
    return sorted((part for part in parts if part["bytes"]), key=lambda part: -part["bytes"])


def wal_holders(slots, archiver):
    """Return what keeps WAL from being removed: names of slots, and the archiver where it fails."""
    holders = [
        "slot %s (%s)" % (row["slot"], verdict.size(row["bytes"]))
        for row in slots or ()
        if not row["active"] and row["bytes"]
    ]
    if archiver and archiver["mode"] != "off" and archiver["ready"]:
        holders.append("archiver (%d files wait)" % archiver["ready"])
    return holders


def _disk_remedy(filled, sizes):
    """Return the remedy for what fills the disk; what holds WAL is a separate finding."""
    what = filled[0]["what"] if filled else None
    if what == "logs":
        return "vacuum_journal"
    if what == "tables":
        return "retain_audit" if _largest_table(sizes) == _AUDIT_TABLE else "delete_old_rows"
    return None


def _largest_table(sizes):
    return sizes["tables"][0]["table"] if sizes and sizes["tables"] else None


def _disk_advice(filled, sizes):
    what = filled[0]["what"] if filled else "other files"
    if what == "wal":
        return (
            "Repair the archiver or drop the dead slot: the next checkpoint then removes the WAL. "
            "Never delete in pg_wal by hand."
        )
    if what == "logs":
        return (
            "journalctl --vacuum-size=500M for the journal; for the server's own logs, rotate and "
            "compress them, and log less (log_statement, log_min_duration_statement)."
        )
    if what == "tables":
        if _largest_table(sizes) == _AUDIT_TABLE:
            return (
                "Delete audit rows older than 90 days in batches, then VACUUM %s; only VACUUM FULL "
                "returns the space to the disk." % _AUDIT_TABLE
            )
        return "Remove or archive rows of the largest tables, in batches, or enlarge the disk."
    return "Something else than PostgreSQL fills the disk: du -x --max-depth=2 on it shows which."
