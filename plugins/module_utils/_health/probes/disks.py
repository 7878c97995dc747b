# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Local filesystems: bytes, inodes, and what is mounted read-only though it should not be."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._core.sizes import size
from ansible_collections.sergas.ops.plugins.module_utils._host import mounts


def observe(ctx):
    """Return the local filesystems with their figures."""
    return mounts.measure()


def observe_space(ctx):
    """Return {path: what fills it} of the file systems over the threshold, the fullest first.

    It walks through directories, so it is observed only where something is bad.
    """
    from ansible_collections.sergas.ops.plugins.module_utils._host import space

    warn = ctx.thresholds["disk_percent"][0]
    shares = _shares(disk for disk in mounts.measure() if disk["blocks"])
    result = {}
    for path in sorted(shares, key=lambda path: -shares[path])[:_INSPECTED]:
        if shares[path] >= warn:
            consumers, complete = space.measure(path, ctx.deadline)
            result[path] = {
                "consumers": consumers,
                "complete": complete,
                "rotates": process.find("logrotate") is not None,
            }
    return result


def decide(ctx, disks, space=None):
    """Return the findings about bytes, inodes and read-only mounts."""
    thresholds = ctx.thresholds["disk_percent"], ctx.thresholds["inode_percent"]
    return judge(disks, *thresholds, space=space)


#: How many full file systems are inspected, and how much of what fills one is named.
_INSPECTED, _NAMED = 3, 3
#: What a remedy can clean without losing what someone needs; ``container_logs`` needs approval.
_REMEDIES = {
    "journal": "vacuum_journal",
    "package_cache": "clean_package_cache",
    "rotated_logs": "rotate_logs",
    "logs": "rotate_logs",
    "container_logs": "truncate_container_logs",
}
_WORDS = {
    "journal": "the journal",
    "package_cache": "downloaded packages",
    "container_logs": "logs of containers",
    "containers": "images and volumes of containers",
    "crash_dumps": "crash dumps",
    "wal": "PostgreSQL's WAL",
    "temporary_files": "temporary files of PostgreSQL's queries",
    "server_logs": "PostgreSQL's own logs",
    "database": "PostgreSQL's data",
    "redis": "Redis' data",
    "logs": "logs",
    "rotated_logs": "logs that were rotated",
    "temporary": "temporary files",
    "deleted": "deleted files that are still open",
    "files": "other files",
}
_ADVICE = {
    "wal": "Find what holds the WAL back (a dead slot, a failing archiver, wal_keep_size); never"
    " delete in pg_wal by hand.",
    "temporary_files": "End the query that sorts or joins on disk, and bound it: temp_file_limit.",
    "server_logs": "Rotate and compress them, and log less: log_statement,"
    " log_min_duration_statement.",
    "deleted": "Restart the process that keeps the file open, which frees its space.",
    "crash_dumps": "Move the dumps away after someone has read them.",
    "containers": "Remove images and containers that no one needs: docker system df.",
}


def judge(disks, disk_threshold, inode_threshold, space=None):
    """Return the findings about filesystems (pure).

    Args:
        disks: what ``mounts.measure`` returned.
        disk_threshold, inode_threshold: (warn, fail, unit).
        space: what ``observe_space`` returned, or None.
    """
    findings = []
    failed = [disk for disk in disks if disk["error"]]
    readonly = [disk for disk in disks if disk["readonly"]]
    if failed:
        findings.append(
            finding(
                "host.disk.unknown",
                "host",
                "unknown",
                "%s cannot be measured: %s" % (failed[0]["path"], failed[0]["error"]),
                evidence={
                    "filesystems": ["%s: %s" % (disk["path"], disk["error"]) for disk in failed]
                },
                advice="Check the kernel's log for errors of this filesystem.",
            )
        )
    if readonly:
        broken = [disk for disk in readonly if disk["readonly"] == "error"]
        disk = (broken or readonly)[0]
        findings.append(
            finding(
                "host.disk.readonly",
                "host",
                "fail",
                "%s (%s) is %s"
                % (
                    disk["path"],
                    disk["source"],
                    (
                        "read-only and was mounted writable: the kernel does so after an error"
                        if broken
                        else "mounted read-only, though /etc/fstab says otherwise"
                    ),
                ),
                reason="%s:%s" % (disk["readonly"], disk["path"]),
                evidence={"filesystems": [item["path"] for item in readonly], "type": disk["type"]},
                advice=(
                    "Read the kernel's log for disk errors first; remount it writable only after a"
                    " check of the filesystem."
                ),
            )
        )
    measured = [disk for disk in disks if disk["blocks"]]
    bytes_used = _shares(measured)
    findings.append(
        _fullest("host.disk", "Disk", bytes_used, measured, disk_threshold, space or {})
    )
    inodes = [disk for disk in measured if disk["inodes"]]
    inodes_used = {
        disk["path"]: _share(disk["inodes"] - disk["free_inodes"], disk["free_inodes"])
        for disk in inodes
    }
    findings.append(_fullest("host.inodes", "Inodes", inodes_used, inodes, inode_threshold))
    return findings


def _shares(disks):
    """Return {path: percent used}, as df does: what is reserved for root is neither used nor
    available.
    """
    return {
        disk["path"]: _share(disk["blocks"] - disk["free"], disk["available"]) for disk in disks
    }


def _share(used, available):
    return round(100.0 * used / (used + available), 1) if used + available else 0.0


def _fullest(subject, what, shares, disks, threshold, space=None):
    """Return one finding about the fullest filesystem, the others over a threshold beside it."""
    warn, fail, unit = threshold
    if not shares:
        return finding(
            subject + ".skipped",
            "host",
            "skipped",
            "%s: no local filesystem that counts them" % what,
        )
    paths = sorted(shares, key=lambda path: (-shares[path], path))
    status = grade(shares[paths[0]], warn, fail)
    disk = next(disk for disk in disks if disk["path"] == paths[0])
    if what == "Disk":
        left = "%s of %s left" % (size(disk["available"]), size(disk["blocks"]))
    else:
        left = "%d of %d left" % (disk["free_inodes"], disk["inodes"])
    others = [path for path in paths[1:] if grade(shares[path], warn, fail) != "ok"]
    inspected = (space or {}).get(paths[0]) or {"consumers": [], "rotates": False}
    filled = inspected["consumers"]
    advice = "Find what fills it: du -x %s%s." % ("--inodes " if what == "Inodes" else "", paths[0])
    return finding(
        subject + (".ok" if status == "ok" else ".high"),
        "host",
        status,
        "%s: %s is %.1f %% full, %s (threshold %g %%)%s"
        % (
            what,
            paths[0],
            shares[paths[0]],
            left,
            fail if status == "fail" else warn,
            _filled_by(filled) + ("; also " + ", ".join(others[:5]) if others else ""),
        ),
        reason=_reason(filled) if status != "ok" and what == "Disk" else None,
        value=shares[paths[0]],
        unit=unit,
        warn=warn,
        fail=fail,
        evidence={
            "filesystem": {"path": disk["path"], "source": disk["source"], "type": disk["type"]},
            "percent": {path: shares[path] for path in paths[:10]},
            "filled_by": filled[:10],
        },
        remedy=_remedy(inspected, disk, warn) if status != "ok" and what == "Disk" else None,
        advice=None if status == "ok" else _advice(filled) or advice,
    )


#: Which of several causes a finding with an id has, see docs/findings.md.
REASONS = {
    "host.disk.readonly": ("error", "configured"),
    "host.disk.high": ("filled_by", "several"),
}


def _reason(filled):
    """Return what holds half of what was counted, as a reason; None where nothing was counted."""
    if not filled:
        return None
    half = 2 * filled[0]["bytes"] >= sum(item["bytes"] for item in filled)
    return "filled_by:" + filled[0]["what"] if half else "several"


def _filled_by(filled):
    if not filled:
        return ""
    return ", filled by " + ", ".join(
        "%s (%s%s)" % (_WORDS[item["what"]], size(item["bytes"]), _where(item))
        for item in filled[:_NAMED]
    )


def _where(item):
    return " with %s" % item["path"] if item["what"] in ("files", "deleted", "logs") else ""


def _remedy(inspected, disk, warn):
    """Return the remedy that frees enough to get below the warning; None: none alone does."""
    used, available = disk["blocks"] - disk["free"], disk["available"]
    excess = used - warn / 100.0 * (used + available)
    for item in inspected["consumers"]:
        remedy = _REMEDIES.get(item["what"])
        if remedy and item["bytes"] > excess and (inspected["rotates"] or remedy != "rotate_logs"):
            return remedy
    return None


def _advice(filled):
    return _ADVICE.get(filled[0]["what"]) if filled else None
