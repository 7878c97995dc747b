# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Local filesystems: bytes, inodes, and what is mounted read-only though it should not be."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._core.sizes import size
from ansible_collections.sergas.ops.plugins.module_utils._host import mounts


def observe(ctx):
    """Return the local filesystems with their figures."""
    return mounts.measure()


def decide(ctx, disks):
    """Return the findings about bytes, inodes and read-only mounts."""
    return judge(disks, ctx.thresholds["disk_percent"], ctx.thresholds["inode_percent"])


#: Which of several causes a finding with an id has, see docs/findings.md.
REASONS = {"host.disk.readonly": ("error", "configured")}


def judge(disks, disk_threshold, inode_threshold):
    """Return the findings about filesystems (pure).

    Args:
        disks: what ``mounts.measure`` returned.
        disk_threshold, inode_threshold: (warn, fail, unit).
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
    # As df does: what is reserved for root is neither used nor available.
    bytes_used = {
        disk["path"]: _share(disk["blocks"] - disk["free"], disk["available"]) for disk in measured
    }
    findings.append(_fullest("host.disk", "Disk", bytes_used, measured, disk_threshold))
    inodes = [disk for disk in measured if disk["inodes"]]
    inodes_used = {
        disk["path"]: _share(disk["inodes"] - disk["free_inodes"], disk["free_inodes"])
        for disk in inodes
    }
    findings.append(_fullest("host.inodes", "Inodes", inodes_used, inodes, inode_threshold))
    return findings


def _share(used, available):
    return round(100.0 * used / (used + available), 1) if used + available else 0.0


def _fullest(subject, what, shares, disks, threshold):
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
    journal = what == "Disk" and paths[0] in ("/", "/var", "/var/log", "/var/log/journal")
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
            "; also " + ", ".join(others[:5]) if others else "",
        ),
        value=shares[paths[0]],
        unit=unit,
        warn=warn,
        fail=fail,
        evidence={
            "filesystem": {"path": disk["path"], "source": disk["source"], "type": disk["type"]},
            "percent": {path: shares[path] for path in paths[:10]},
        },
        remedy="vacuum_journal" if journal and status != "ok" else None,
        advice=None if status == "ok" else advice,
    )
