# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import hardware

GB = 1024 * 1024
MEMINFO = "MemTotal:       24684092 kB\nMemFree:        22052412 kB\nMemAvailable:   24031180 kB\n"
# A host of containers with both versions of control groups.
CGROUPS = """\
9:name=systemd:/
4:memory:/process_api/f86917d6
2:cpuacct,cpu:/
0::/
"""
MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 27 259:3 / /var/lib/postgresql rw - xfs /dev/nvme0n1p3 rw
31 27 0:44 / /srv/my\\040data rw - btrfs /dev/sda2 rw
"""


def test_memory_is_what_the_kernel_counts():
    assert hardware.parse_meminfo_kb(MEMINFO) == 24684092
    with pytest.raises(ValueError, match="MemTotal"):
        hardware.parse_meminfo_kb("")


@pytest.mark.parametrize(
    ("text", "kilobytes"),
    [
        ("max\n", None),
        ("9223372036854771712\n", None),
        ("1073741824\n", GB),
        (None, None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_memory_limits_of_both_versions(text, kilobytes):
    assert hardware.parse_limit_kb(text) == kilobytes


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("max 100000", None), ("150000 100000", 1.5), ("", None), (None, None), ("100000 0", None)],
)
def test_cpu_limits_of_version_2(text, cpus):
    assert hardware.parse_cpu_max(text) == cpus


@pytest.mark.parametrize(
    ("quota", "period", "cpus"),
    [("-1", "100000", None), ("250000\n", "100000\n", 2.5), (None, None, None)],
)
def test_cpu_limits_of_version_1(quota, period, cpus):
    assert hardware.parse_cfs_quota(quota, period) == cpus


def test_control_groups_by_controller():
    assert hardware.parse_cgroups(CGROUPS) == {
        "name=systemd": "/",
        "memory": "/process_api/f86917d6",
        "cpuacct": "/",
        "cpu": "/",
        "": "/",
    }


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/var/lib/postgresql/15/main", "/dev/nvme0n1p3"),
        ("/var/lib/postgresql", "/dev/nvme0n1p3"),
        ("/var/lib/postgresqlish", "/dev/vda"),
        ("/srv/my data/x", "/dev/sda2"),
        ("/", "/dev/vda"),
    ],
)
def test_the_mount_that_holds_a_path(path, source):
    assert hardware.parse_mount(MOUNTS, path).source == source


@pytest.mark.parametrize(
    ("disks", "storage"),
    [
        ([("sda", "/sys/devices/pci0000:00/ata1/block/sda", True)], "hdd"),
        ([("sda", "/sys/devices/pci0000:00/ata1/block/sda", False)], "ssd"),
        ([("nvme0n1", "/sys/devices/pci0000:00/nvme/nvme0/nvme0n1", False)], "nvme"),
        ([("nvme0n1", "/sys/x/nvme0n1", False), ("nvme1n1", "/sys/x/nvme1n1", False)], "nvme"),
        ([("nvme0n1", "/sys/x/nvme0n1", False), ("sdb", "/sys/x/ata2/sdb", True)], "hdd"),
        ([("sdc", "/sys/devices/pci/host7/session1/target7:0:0/block/sdc", True)], "san"),
        ([("sdc", "/sys/devices/pci/host7/rport-7:0-2/target7:0:0/block/sdc", False)], "san"),
        # A hypervisor's disk says that it rotates, whatever it is on.
        ([("vda", "/sys/devices/pci0000:00/virtio2/block/vda", True)], "ssd"),
        ([("sda", "/sys/devices/pci0000:00/virtio1/host0/block/sda", True)], "ssd"),
        ([], "ssd"),
    ],
)
def test_storage_by_what_the_disks_say(disks, storage):
    found, why = hardware.storage_of(disks)
    assert found == storage
    assert why


def write(root, path, text):
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def test_limits_of_version_2_come_from_every_level(tmp_path):
    write(tmp_path, "/proc/7/cgroup", "0::/system.slice/postgresql.service\n")
    write(tmp_path, "/sys/fs/cgroup/memory.max", str(8 << 30))
    write(tmp_path, "/sys/fs/cgroup/system.slice/memory.max", str(6 << 30))
    write(tmp_path, "/sys/fs/cgroup/system.slice/postgresql.service/memory.max", str(2 << 30))
    write(tmp_path, "/sys/fs/cgroup/system.slice/cpu.max", "150000 100000")
    host = hardware.Host(str(tmp_path))
    assert host.memory_limits_kb(7) == (8 * GB, 2 * GB)
    assert host.cpu_limit(7) == 1.5


def test_limits_of_version_1_come_from_every_level(tmp_path):
    write(tmp_path, "/proc/7/cgroup", "4:memory:/a/b\n3:cpu,cpuacct:/a\n")
    write(tmp_path, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
    write(tmp_path, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", str(3 << 30))
    write(tmp_path, "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000")
    write(tmp_path, "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000")
    host = hardware.Host(str(tmp_path))
    assert host.memory_limits_kb(7) == (None, 3 * GB)
    assert host.cpu_limit(7) == 0.5


def test_a_group_outside_of_our_view_is_not_searched(tmp_path):
    write(tmp_path, "/proc/7/cgroup", "0::/../../elsewhere\n")
    write(tmp_path, "/elsewhere/memory.max", "1048576")
    assert hardware.Host(str(tmp_path)).memory_limits_kb(7) == (None, None)


class Limited(hardware.Host):
    """A host with a limit for everything and one for the server."""

    def __init__(self, own, service, cpus):
        super().__init__()
        self._limits, self._cpus = (own, service), cpus

    def memory_limits_kb(self, pid):
        return self._limits

    def cpu_limit(self, pid):
        return self._cpus


def test_the_smallest_limit_is_the_machine(tmp_path):
    (tmp_path / "pg_wal").mkdir()
    pid = os.getpid()
    found = hardware.discover(str(tmp_path), pid, Limited(300 * 1024, 200 * 1024, 0.2))
    assert (found.memory_kb, found.service_limit_kb, found.cpus) == (300 * 1024, 200 * 1024, 1)
    assert "control group" in found.evidence["memory"]
    assert found.wal_disk_kb > 0
    assert found.wal_disk_own is False
    # Nothing is limited: the machine as it is.
    found = hardware.discover(None, pid, Limited(None, None, None))
    assert found.memory_kb > 300 * 1024
    assert found.service_limit_kb is None
    assert found.cpus == len(os.sched_getaffinity(0))
    assert found.wal_disk_kb is None


def test_a_login_s_own_limits_are_not_the_server_s():
    assert hardware.discover(None, "self", Limited(None, 200 * 1024, None)).service_limit_kb is None
