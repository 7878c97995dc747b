# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""WAL: how much there is, who holds it back (archiver, slots), and how far replicas are behind."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import grade
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict

_NOW = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"

# wal_bytes of pg_stat_wal is reset with the statistics and not there in 13: the position in the
# stream of WAL counts bytes in every version, and two runs give the volume between them.
_WAL = (
    "SELECT pg_wal_lsn_diff(%s, '0/0')::bigint AS position, " % _NOW
    + """
  extract(epoch FROM clock_timestamp())::float8 AS taken_at,
  current_setting('max_wal_size') AS max_wal_size,
  current_setting('wal_keep_size') AS wal_keep_size,
  {files} AS files, {bytes} AS bytes, {timed} AS checkpoints_timed,
  {requested} AS checkpoints_requested
"""
)

_ARCHIVER = """
SELECT current_setting('archive_mode') AS mode, current_setting('archive_command') AS command,
  coalesce(current_setting('archive_library', true), '') AS library,
  a.archived_count, a.failed_count, a.last_archived_wal, a.last_failed_wal,
  extract(epoch FROM clock_timestamp() - a.last_archived_time)::float8 AS archived_seconds_ago,
  extract(epoch FROM clock_timestamp() - a.last_failed_time)::float8 AS failed_seconds_ago,
  {ready} AS ready
FROM pg_stat_archiver a
"""
_READY = "(SELECT count(*) FROM pg_ls_archive_statusdir() f WHERE f.name ~ '[.]ready$')"

_SLOTS = (
    """
SELECT s.slot_name::text AS slot, s.slot_type AS type, s.database::text AS database, s.active,
  s.wal_status, s.safe_wal_size, age(s.xmin)::bigint AS xmin_age,
  age(s.catalog_xmin)::bigint AS catalog_xmin_age, {since} AS inactive_seconds,
  current_setting('max_slot_wal_keep_size') AS keeps_at_most,
  greatest(0, pg_wal_lsn_diff(%s, s.restart_lsn))::bigint AS bytes
FROM pg_replication_slots s WHERE NOT s.temporary
ORDER BY bytes DESC NULLS LAST LIMIT 200
"""
    % _NOW
)
_INACTIVE_SINCE = "extract(epoch FROM clock_timestamp() - s.inactive_since)::float8"

_REPLICAS = (
    """
SELECT r.pid, r.usename::text AS role, r.application_name AS application,
  host(r.client_addr) AS client, r.state, r.sync_state,
  extract(epoch FROM r.replay_lag)::float8 AS seconds,
  pg_wal_lsn_diff(%s, r.replay_lsn)::bigint AS bytes
FROM pg_stat_replication r
ORDER BY bytes DESC NULLS LAST LIMIT 200
"""
    % _NOW
)

# A primary without writes sends nothing: the time since the last replayed transaction is a lag
# only while something received is not replayed.
_STANDBY = """
SELECT (SELECT count(*) FROM pg_stat_wal_receiver) AS receivers,
  current_setting('primary_conninfo') <> '' AS streams,
  pg_is_wal_replay_paused() AS paused,
  pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint AS bytes,
  CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
  END AS seconds
"""


def observe(scope):
    """Return how much WAL there is, how much was written in all, and the checkpoints."""
    monitors = scope.server["monitors"]
    from_directory = "(SELECT %s FROM pg_ls_waldir() w)" if monitors else "NULL::bigint"
    view = ("pg_stat_checkpointer", "num_timed", "num_requested")
    if scope.server["version"] < 170000:
        view = ("pg_stat_bgwriter", "checkpoints_timed", "checkpoints_req")
    statement = _WAL.format(
        files=from_directory % "count(*)" if monitors else from_directory,
        bytes=from_directory % "sum(w.size)::bigint" if monitors else from_directory,
        timed="(SELECT b.%s FROM %s b)" % (view[1], view[0]),
        requested="(SELECT b.%s FROM %s b)" % (view[2], view[0]),
    )
    result = scope.row(statement)
    earlier = scope.earlier("wal")
    result["bytes_per_hour"] = None
    if earlier and earlier["position"] <= result["position"]:
        hours = (result["taken_at"] - earlier["taken_at"]) / 3600.0
        if hours > 0:
            result["bytes_per_hour"] = round((result["position"] - earlier["position"]) / hours)
    return result


def observe_archiver(scope):
    """Return what the archiver did last, and how many files wait for it."""
    ready = _READY if scope.server["monitors"] else "NULL::bigint"
    result = scope.row(_ARCHIVER.format(ready=ready))
    # The command may hold credentials: whether there is one is all that is needed.
    result["has_command"] = bool(
        result.pop("command").replace("(disabled)", "") or result["library"]
    )
    return result


def observe_slots(scope):
    """Return the replication slots and the WAL each one holds back."""
    since = _INACTIVE_SINCE if scope.server["version"] >= 170000 else "NULL::float8"
    return scope.rows(_SLOTS.format(since=since))


def observe_replication(scope):
    """Return the replicas that this server feeds, and as a standby its own state."""
    standby = scope.row(_STANDBY) if scope.server["in_recovery"] else None
    return {"replicas": scope.rows(_REPLICAS), "standby": standby}


def decide_volume(scope, observed):
    """Return the finding on how much WAL there is, and with an earlier run how much comes.

    What keeps WAL is judged by the checks of the archiver and of the slots, how much of the disk it
    takes by that of the disk.
    """
    subject = "db.wal"
    if observed["bytes"] is None:
        return [
            verdict.needs_role(subject, "How much WAL there is", "pg_monitor", scope.server),
        ]
    summary = "%d WAL file(s) take %s (max_wal_size %s)" % (
        observed["files"],
        verdict.size(observed["bytes"]),
        observed["max_wal_size"],
    )
    if observed["bytes_per_hour"] is not None:
        summary += ", %s an hour were written" % verdict.size(observed["bytes_per_hour"])
    return [
        verdict.ok(
            subject, summary, value=observed["bytes"], unit="B", evidence={"wal": dict(observed)}
        )
    ]


def decide_archiver(scope, observed):
    """Return the finding on WAL that should have been archived."""
    subject = "db.wal.archiver"
    mode = observed["mode"]
    if mode == "off":
        return [verdict.skipped(subject, "WAL is not archived (archive_mode is off)")]
    if scope.server["in_recovery"] and mode != "always":
        return [verdict.skipped(subject, "A standby does not archive")]
    warn, fail, unit = scope.thresholds["archive_backlog"]
    ready = observed["ready"]
    numbers = {"value": ready, "unit": unit, "warn": warn, "fail": fail}
    failed, archived = observed["failed_seconds_ago"], observed["archived_seconds_ago"]
    problem, status = None, "fail"
    if not observed["has_command"]:
        problem = (
            "archive_mode is %s, and neither archive_command nor archive_library is set" % mode
        )
    elif failed is not None and (archived is None or failed < archived):
        problem = "archiving %s failed %s ago, %d times in all; the last success was %s" % (
            observed["last_failed_wal"],
            verdict.span(failed),
            observed["failed_count"],
            "never" if archived is None else "%s ago" % verdict.span(archived),
        )
    elif ready is not None and grade(ready, warn, fail) != "ok":
        status = grade(ready, warn, fail)
        problem = "archiving does not keep up"
    waiting = "" if ready is None else "%d WAL file(s) wait" % ready
    if problem:
        return [
            verdict.bad(
                "db.wal.archiver_failing",
                status,
                problem[0].upper() + problem[1:] + ("; " + waiting if waiting else ""),
                evidence=dict(observed),
                advice=(
                    "Fix archive_command (its errors are in the server's log) or where it "
                    "writes to. The server keeps every WAL file until then."
                ),
                remedy="repair_archiving",
                **numbers,
            )
        ]
    if ready is None:
        return [
            verdict.needs_role(
                subject, "How many WAL files wait to be archived", "pg_monitor", scope.server
            )
        ]
    return [verdict.ok(subject, "WAL is archived; %s" % waiting, **numbers)]


def decide_slots(scope, slots):
    """Return the finding on slots that no client reads from and that hold WAL back."""
    subject = "db.wal.slot"
    if not slots:
        return [verdict.skipped(subject, "There are no replication slots")]
    warn, fail, unit = scope.thresholds["slot_bytes"]
    held = [row for row in slots if not row["active"] and (row["bytes"] or 0) >= warn]
    lost = [row for row in slots if row["wal_status"] == "lost"]
    if not held and not lost:
        inactive = sum(1 for row in slots if not row["active"])
        return [
            verdict.ok(
                subject,
                "%d replication slot(s), %d of them inactive; none of those holds %s of WAL"
                % (len(slots), inactive, verdict.size(warn)),
                evidence={"slots": slots[: scope.limit]},
            )
        ]
    most = max((row["bytes"] for row in held), default=0)
    parts = []
    if held:
        parts.append(
            "%d inactive replication slot(s) hold WAL back: %s"
            % (
                len(held),
                verdict.some("%s %s" % (row["slot"], verdict.size(row["bytes"])) for row in held),
            )
        )
    if lost:
        parts.append(
            "%d slot(s) have lost WAL they need: %s"
            % (len(lost), verdict.some(row["slot"] for row in lost))
        )
    return [
        verdict.bad(
            "db.wal.slot_inactive",
            verdict.worst([grade(most, warn, fail), "warn"]),
            "; ".join(parts),
            value=most,
            unit=unit,
            warn=warn,
            fail=fail,
            evidence={"slots": (held + [row for row in lost if row not in held])[: scope.limit]},
            advice=(
                "Start its consumer again, or, if that is gone for good, SELECT"
                " pg_drop_replication_slot('%s'); max_slot_wal_keep_size bounds what a slot may"
                " hold."
            )
            % (held or lost)[0]["slot"].replace("'", "''"),
            remedy="drop_dead_slots" if held else None,
        )
    ]


def decide_replication(scope, observed):
    """Return the finding on replicas, or this standby, being behind."""
    subject = "db.replication"
    replicas, standby = observed["replicas"], observed["standby"]
    if not replicas and not standby:
        return [verdict.skipped(subject, "No replica is connected, and this is no standby")]
    late = [_late_replica(scope, row) for row in replicas]
    if standby:
        late.append(_late_standby(scope, standby))
    status = verdict.worst(item[0] for item in late)
    warn, fail, unit = scope.thresholds["replication_seconds"]
    seconds = [row["seconds"] for row in replicas + [standby or {"seconds": None}]]
    numbers = {
        "value": round(max((value for value in seconds if value is not None), default=0.0), 1),
        "unit": unit,
        "warn": warn,
        "fail": fail,
    }
    if status != "ok":
        return [
            verdict.bad(
                "db.replication.lag",
                status,
                "; ".join(text for state, text in late if state != "ok"),
                evidence={"replicas": replicas[: scope.limit], "standby": standby},
                advice=(
                    "Inspect the replica's own load, its long queries and the network between; "
                    "a paused replay goes on with SELECT pg_wal_replay_resume()."
                ),
                **numbers,
            )
        ]
    # The server hides other roles' sessions but for their existence.
    if any(row["state"] is None for row in replicas):
        return [verdict.needs_role(subject, "How far replicas are", "pg_monitor", scope.server)]
    return [verdict.ok(subject, "; ".join(text for _state, text in late), **numbers)]


def _late_replica(scope, row):
    seconds, size = row["seconds"] or 0.0, row["bytes"] or 0
    name = row["application"] or row["client"] or "pid %d" % row["pid"]
    return _lag(scope, "replica %s" % name, seconds, size)


def _late_standby(scope, standby):
    if standby["streams"] and not standby["receivers"]:
        return "fail", "this standby is not connected to its primary"
    status, text = _lag(scope, "this standby", standby["seconds"] or 0.0, standby["bytes"] or 0)
    if standby["paused"]:
        return verdict.worst([status, "warn"]), text + ", replay is paused"
    return status, text


def _lag(scope, name, seconds, size):
    status = verdict.worst(
        grade(value, *scope.thresholds[threshold][:2])
        for value, threshold in ((seconds, "replication_seconds"), (size, "replication_bytes"))
    )
    return status, "%s is %s and %s behind" % (name, verdict.span(seconds), verdict.size(size))
