# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Local filesystems: bytes, inodes, and what is mounted read-only though it should not be."""

from __future__ import annotations

import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._core.sizes import size

#: Filesystems that hold data of this host. Any other one is a view of the kernel, an image that is
#: full and read-only by nature, or remote: one whose server is gone would hold up whoever asks it.
_LOCAL = frozenset(
    "ext2 ext3 ext4 xfs btrfs zfs f2fs jfs reiserfs bcachefs nilfs2 vfat exfat ntfs ntfs3 fuseblk"
    " overlay tmpfs".split()
)
#: Those of which a read-only mount that nobody asked for means an error.
_WRITABLE = frozenset("ext2 ext3 ext4 xfs btrfs zfs f2fs jfs reiserfs bcachefs".split())
_NOT_DATA = re.compile(
    r"/(?:sys|proc|dev(?!/shm$)|run/(?:credentials|user|netns|docker|containerd|snapd)"
    r"|var/lib/(?:containers|docker|containerd|kubelet)/.+)(?:/|$)"
)


def observe(ctx):
    """Return the local filesystems with their figures."""
    return [
        dict(mount, **_figures(mount["path"]))
        for mount in local_mounts(_read("/proc/self/mountinfo"), _read("/etc/fstab"))
    ]


def _read(path):
    try:
        with open(
            path, encoding="utf-8", errors="surrogateescape"
        ) as handle:  # path: /proc and /etc
            return handle.read()
    except OSError:
        return ""


def _figures(path):
    """Return the numbers of one filesystem as df counts them, or why there are none."""
    try:
        figures = os.statvfs(path)
    except OSError as error:
        return {"error": error.strerror, "blocks": 0}
    return {
        "error": None,
        "blocks": figures.f_blocks * figures.f_frsize,
        "free": figures.f_bfree * figures.f_frsize,
        "available": figures.f_bavail * figures.f_frsize,
        "inodes": figures.f_files,
        "free_inodes": figures.f_ffree,
    }


def local_mounts(mountinfo, fstab, is_folder=os.path.isdir):
    """Return path, type, source and readonly of each local filesystem, once for each device.

    Args:
        mountinfo: the text of /proc/self/mountinfo (proc(5)).
        fstab: the text of /etc/fstab. What is read-only there is meant to be.
        is_folder: whether a path is a folder. A single file that is bound into a container lies on
            a
            disk that is not this host's.

    Returns:
        list of dicts; readonly is None, C(fstab) (it should be writable) or C(type) (nothing says
        it should be read-only).
    """
    wanted = {}
    for line in fstab.splitlines():
        fields = line.split()
        if len(fields) >= 4 and not fields[0].startswith("#"):
            wanted[_unescape(fields[1])] = fields[3].split(",")
    mounts = {}
    for line in mountinfo.splitlines():
        fields, dash, rest = line.partition(" - ")
        fields, rest = fields.split(" "), rest.split(" ")
        if not dash or len(fields) < 6 or len(rest) < 3:
            continue
        path, kind, source = _unescape(fields[4]), rest[0], _unescape(rest[1])
        if kind not in _LOCAL or _NOT_DATA.match(path) or (kind == "overlay" and path != "/"):
            continue
        if not is_folder(path):
            continue
        mount = {
            "path": path,
            "type": kind,
            "source": source,
            "readonly": None,
            "whole": fields[3] == "/",
        }
        if "ro" in rest[2].split(","):
            # Of the filesystem itself. A bind mount that is read-only leaves it writable elsewhere.
            options = wanted.get(path)
            if options is not None and "ro" not in options:
                mount["readonly"] = "fstab"
            elif (
                options is None
                and kind in _WRITABLE
                and mount["whole"]
                and source.startswith("/dev/")
            ):
                mount["readonly"] = "type"
        # Subvolumes of btrfs have devices of their own on one filesystem.
        key = source if source.startswith("/dev/") else fields[2]
        known = mounts.get(key)
        if known is None or (mount["whole"], -len(path)) > (known["whole"], -len(known["path"])):
            mounts[key] = mount
    # What is mounted over another filesystem hides it: only the last one can be asked.
    return list({mount["path"]: mount for mount in mounts.values()}.values())


def _unescape(text):
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)


def decide(ctx, disks):
    """Return the findings about bytes, inodes and read-only mounts."""
    return judge(disks, ctx.thresholds["disk_percent"], ctx.thresholds["inode_percent"])


def judge(disks, disk_threshold, inode_threshold):
    """Return the findings about filesystems (pure).

    Args:
        disks: what L(observe) returned.
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
                advice="Look at the kernel's log for errors of this filesystem.",
            )
        )
    if readonly:
        certain = [disk for disk in readonly if disk["readonly"] == "fstab"]
        disk = (certain or readonly)[0]
        findings.append(
            finding(
                "host.disk.readonly",
                "host",
                "fail" if certain else "warn",
                "%s (%s) is mounted read-only, %s"
                % (
                    disk["path"],
                    disk["source"],
                    (
                        "though /etc/fstab says otherwise"
                        if certain
                        else "and /etc/fstab does not ask for it"
                    ),
                ),
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
