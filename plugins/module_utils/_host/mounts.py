# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Local filesystems with their figures, from what the kernel has mounted."""

from __future__ import annotations

import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable

#: Filesystems that hold data of this host. Any other one is a view of the kernel, an image that is
#: full and read-only by nature, or remote: one whose server is gone would hold up any client.
_LOCAL = frozenset(
    "ext2 ext3 ext4 xfs btrfs zfs f2fs jfs reiserfs bcachefs nilfs2 vfat exfat ntfs ntfs3 fuseblk"
    " overlay tmpfs".split()
)
#: Those that the kernel makes read-only after an error.
_WRITABLE = frozenset("ext2 ext3 ext4 xfs btrfs zfs f2fs jfs reiserfs bcachefs".split())
_NOT_DATA = re.compile(
    r"/(?:sys|proc|dev(?!/shm$)|run/(?:credentials|user|netns|docker|containerd|snapd)"
    r"|var/lib/(?:containers|docker|containerd|kubelet)/.+)(?:/|$)"
)


#: On an image-based system these are read-only by design, whatever /etc/fstab says.
_OF_IMAGE = ("/", "/usr", "/boot", "/boot/efi", "/efi", "/sysroot", "/media/root-ro")
_IMMUTABLE = re.compile(
    r"(?:^|\s)(?:ostree|overlayroot|roothash|usrhash|systemd\.verity\w*|systemd\.volatile)="
)


def measure():
    """Return the local filesystems with their figures.

    Raises:
        Unmeasurable: the kernel does not show what is mounted.
    """
    mountinfo = _read("/proc/self/mountinfo")
    if not mountinfo:
        raise Unmeasurable("/proc/self/mountinfo cannot be read")
    image = os.path.exists("/run/ostree-booted") or is_image(_read("/proc/cmdline"))
    return [
        dict(mount, **_figures(mount["path"]))
        for mount in local_mounts(mountinfo, _read("/etc/fstab"), image=image)
    ]


def is_image(command_line):
    """Return whether the kernel's command line says that the system is a read-only image: ostree,
    dm-verity, overlayroot or systemd's volatile mode.
    """
    return bool(_IMMUTABLE.search(command_line))


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


def local_mounts(mountinfo, fstab, is_directory=os.path.isdir, image=False):
    """Return path, type, source and readonly of each local filesystem, once for each device.

    Args:
        mountinfo: the text of /proc/self/mountinfo (proc(5)).
        fstab: the text of /etc/fstab. What is read-only there is meant to be.
        is_directory: whether a path is a directory. A single file that is bound into a container
            lies on a disk that is not this host's.
        image: whether the system is a read-only image, as ``is_image`` says.

    Returns:
        list of dicts; readonly is None, ``error`` (the kernel has made it read-only) or
        ``configured`` (it was mounted read-only, and /etc/fstab says otherwise).

    What was mounted read-only is so in both fields of the kernel, that of the mount and that of the
    filesystem. After an error the kernel changes the filesystem only.
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
        if not is_directory(path):
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
            if "ro" not in fields[5].split(",") and kind in _WRITABLE:
                mount["readonly"] = "error"
            elif options is not None and "ro" not in options and not (image and path in _OF_IMAGE):
                mount["readonly"] = "configured"
        # Subvolumes of btrfs have separate devices on one filesystem.
        key = source if source.startswith("/dev/") else fields[2]
        known = mounts.get(key)
        if known is None or (mount["whole"], -len(path)) > (known["whole"], -len(known["path"])):
            mounts[key] = mount
    # What is mounted over another filesystem hides it: only the last one can be measured.
    return list({mount["path"]: mount for mount in mounts.values()}.values())


def _unescape(text):
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)
