# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hardware that PostgreSQL has: memory, CPUs, storage, the filesystem of its WAL.

The functions at the top read text and are pure; `Host` reads the files of /proc and /sys.
A control group's limit is the machine, as far as PostgreSQL can see: version 1 and 2 both count.
"""

from __future__ import annotations

import math
import os
import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue

#: More than this is what version 1 of control groups has for "no limit".
_UNLIMITED_BYTES = 1 << 60

#: What was found. Amounts in kB; limits are None where there is none.
#: memory_kb: of the host, or of the control group that the host is.
#: service_limit_kb: of the control group that PostgreSQL's own processes are in.
#: evidence: {figure: where it is from}.
Hardware = namedtuple(
    "Hardware", "memory_kb service_limit_kb cpus storage wal_disk_kb wal_disk_own evidence"
)

#: A mounted filesystem: the number of its device, and what it was mounted from.
Mount = namedtuple("Mount", "device source")


def parse_meminfo_kb(text):
    """Return MemTotal of /proc/meminfo in kB.

    Raises:
        InvalidValue: there is none.
    """
    match = re.search(r"^MemTotal:\s+(\d+) kB$", text, re.MULTILINE)
    if match is None:
        raise InvalidValue("/proc/meminfo has no MemTotal")
    return int(match.group(1))


def parse_limit_kb(text):
    """Return a control group's memory limit in kB, or None for no limit.

    Args:
        text: memory.max (version 2) or memory.limit_in_bytes (version 1); None if unreadable.
    """
    word = (text or "max").strip()
    if not word.isdigit() or int(word) >= _UNLIMITED_BYTES:
        return None
    return int(word) // 1024


def parse_cpu_max(text):
    """Return the CPUs that cpu.max (version 2) allows, or None for no limit."""
    parts = (text or "").split()
    if len(parts) != 2 or not parts[0].isdigit() or not int(parts[1]):
        return None
    return int(parts[0]) / float(parts[1])


def parse_cfs_quota(quota, period):
    """Return the CPUs that cpu.cfs_quota_us and cpu.cfs_period_us (version 1) allow, or None."""
    try:
        if int(quota) <= 0 or int(period) <= 0:
            return None
        return int(quota) / float(int(period))
    except (TypeError, ValueError):
        return None


def parse_cgroups(text):
    """Return {controller: path} of /proc/PID/cgroup; version 2 has the controller ''."""
    found = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                found[controller] = parts[2]
    return found


def parse_mount(text, path):
    """Return the ``Mount`` that holds a path, or None.

    Args:
        text: /proc/self/mountinfo.
        path: an absolute path without symbolic links.
    """
    found, length = None, -1
    for line in text.splitlines():
        before, _dash, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or len(kinds) < 2:
            continue
        point = re.sub(r"\\(\d{3})", lambda match: chr(int(match.group(1), 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two mounts on the same directory, the later one is on top.
        if inside and len(point) >= length:
            found, length = Mount(fields[2], kinds[1]), len(point)
    return found


def storage_of(disks):
    """Return (storage, where it is from) for the disks below a filesystem.

    Args:
        disks: for each disk (name, path in /sys, rotational: True, False or None if unknown).
    """
    if not disks:
        return "ssd", "no disk is seen below the filesystem: taken for an SSD"
    names = ", ".join(sorted(name for name, _path, _rotational in disks))
    if any(re.search(r"/rport-|/session\d", path) for _name, path, _rotational in disks):
        return "san", "%s comes over a storage network" % names
    if any(rotational and not _virtual(name, path) for name, path, rotational in disks):
        return "hdd", "%s says that it rotates" % names
    if all(name.startswith("nvme") for name, _path, _rotational in disks):
        return "nvme", "%s is NVMe" % names
    if any(_virtual(name, path) for name, path, _rotational in disks):
        return "ssd", "%s is virtual and does not know what it is on: taken for an SSD" % names
    return "ssd", "%s does not rotate" % names


def _virtual(name, path):
    """Return whether a disk is a hypervisor's, whose word on rotation means nothing."""
    return bool(re.match(r"(?:vd|xvd)[a-z]", name)) or "/virtio" in path or "/vmbus" in path


class Host:
    """The files of /proc and /sys."""

    def __init__(self, root="/"):
        self._root = root

    def read(self, path):
        """Return the text of a file, or None."""
        try:
            with open(
                os.path.join(self._root, path.lstrip("/")), encoding="utf-8", errors="replace"
            ) as file:  # path: /proc and /sys
                return file.read()
        except OSError:
            return None

    def memory_limits_kb(self, pid):
        """Return (limit of the host's own control group, limit of a process's groups below it)."""
        root = [
            parse_limit_kb(self.read("/sys/fs/cgroup/memory.max")),
            parse_limit_kb(self.read("/sys/fs/cgroup/memory/memory.limit_in_bytes")),
        ]
        below = []
        for path in self._groups(pid, "memory"):
            below.append(parse_limit_kb(self.read(path + "/memory.max")))
            below.append(parse_limit_kb(self.read(path + "/memory.limit_in_bytes")))
        return _least(root), _least(below)

    def cpu_limit(self, pid):
        """Return the CPUs that the control groups of a process allow, or None."""
        limits = []
        for path in ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu"] + self._groups(pid, "cpu"):
            limits.append(parse_cpu_max(self.read(path + "/cpu.max")))
            limits.append(
                parse_cfs_quota(
                    self.read(path + "/cpu.cfs_quota_us"), self.read(path + "/cpu.cfs_period_us")
                )
            )
        return _least(limits)

    def _groups(self, pid, controller):
        """Return the directories in /sys of a process's control groups, the root's left out."""
        groups = parse_cgroups(self.read("/proc/%s/cgroup" % pid) or "")
        directories = []
        for name, top in (("", "/sys/fs/cgroup"), (controller, "/sys/fs/cgroup/" + controller)):
            path = groups.get(name, "/")
            # A path from outside of our own view of the tree starts with "/..".
            while path.strip("/") and ".." not in path:
                directories.append(top + path)
                path = os.path.dirname(path)
        return directories

    def storage(self, path):
        """Return (storage, where that is from) of the filesystem that holds a path."""
        mount = parse_mount(self.read("/proc/self/mountinfo") or "", os.path.realpath(path))
        if mount is None:
            return storage_of([])
        block = "/sys/dev/block/" + mount.device
        if not os.path.exists(os.path.join(self._root, block.lstrip("/"))):
            # Some filesystems have a separate number; the source names the device.
            block = "/sys/class/block/" + os.path.basename(os.path.realpath(mount.source))
        return storage_of(
            self._disks(os.path.realpath(os.path.join(self._root, block.lstrip("/"))), 0)
        )

    def _disks(self, block, depth):
        """Return the disks below a block device: (name, path, rotational)."""
        if depth > 8 or not os.path.isdir(block):
            return []
        try:
            parts = sorted(os.listdir(block + "/slaves"))
        except OSError:
            parts = []
        if parts:
            found = []
            for part in parts:
                found += self._disks(
                    os.path.realpath(os.path.join(block, "slaves", part)), depth + 1
                )
            return found
        if os.path.exists(block + "/partition"):
            return self._disks(os.path.dirname(block), depth + 1)
        try:
            with open(block + "/queue/rotational", encoding="ascii") as file:  # path: /sys
                rotational = file.read().strip() == "1"
        except OSError:
            rotational = None
        return [(os.path.basename(block), block, rotational)]


def _least(values):
    values = [value for value in values if value is not None]
    return min(values) if values else None


def discover(data_directory=None, pid="self", host=None):
    """Return the ``Hardware`` of this host.

    Args:
        data_directory: PostgreSQL's, or None where there is none yet.
        pid: the process whose control groups count: PostgreSQL's first, where it runs.

    Raises:
        InvalidValue: the system does not say.
    """
    host = host or Host()
    evidence = {}
    total = parse_meminfo_kb(host.read("/proc/meminfo") or "")
    own_limit, service_limit = host.memory_limits_kb(pid)
    memory = total
    evidence["memory"] = "MemTotal"
    if own_limit is not None and own_limit < total:
        memory = own_limit
        evidence["memory"] = "the limit of the host's control group"
    if service_limit is not None and service_limit >= memory:
        service_limit = None
    # A login's own limits are not the server's.
    if pid == "self":
        service_limit = None
    cpus = len(os.sched_getaffinity(0)) if pid == "self" else _affinity(pid)
    evidence["cpus"] = "CPUs it may run on"
    quota = host.cpu_limit(pid)
    if quota is not None and quota < cpus:
        cpus = max(1, int(math.ceil(quota)))
        evidence["cpus"] = "the quota of the control group"
    directory = _existing(data_directory or "/var/lib/postgresql")
    storage, evidence["storage"] = host.storage(directory)
    wal_disk, wal_own = _wal_disk(data_directory)
    return Hardware(memory, service_limit, cpus, storage, wal_disk, wal_own, evidence)


def _affinity(pid):
    try:
        return len(os.sched_getaffinity(int(pid)))
    except OSError:
        return len(os.sched_getaffinity(0))


def _existing(path):
    while path != "/" and not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _wal_disk(data_directory):
    """Return (size in kB of the filesystem that holds pg_wal, whether it is not the data's)."""
    if not data_directory:
        return None, False
    try:
        wal = os.path.realpath(os.path.join(data_directory, "pg_wal"))
        size = os.statvfs(wal)
        own = os.stat(wal).st_dev != os.stat(data_directory).st_dev
        return size.f_blocks * size.f_frsize // 1024, own
    except OSError:
        return None, False
