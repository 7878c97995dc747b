# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import disks
from ansible_collections.sergas.ops.plugins.module_utils._host import mounts, space

CONTAINER = (
    pathlib.Path(__file__).parents[4] / "fixtures" / "container-v1" / "mountinfo"
).read_text()
GIB = 1024**3
PERCENT = (80.0, 90.0, "%")
#: a server as cloud images set it up, with a data disk, a snap, a share, and a container on it
MACHINE = """\
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 0:22 / /sys rw,nosuid - sysfs sysfs rw
25 22 0:5 / /dev rw,nosuid - devtmpfs udev rw,size=4000000k
26 25 0:24 / /dev/shm rw,nosuid - tmpfs tmpfs rw
27 22 0:25 / /run rw,nosuid - tmpfs tmpfs rw,size=800000k
28 27 0:26 / /run/user/1000 rw - tmpfs tmpfs rw
29 27 0:27 / /run/credentials/x.service ro - ramfs none ro
30 22 259:1 / /boot/efi rw - vfat /dev/nvme0n1p1 rw
31 22 7:0 / /snap/core/1 ro,nodev - squashfs /dev/loop0 ro
32 22 259:5 / /srv/my\\040data rw - xfs /dev/nvme1n1p1 rw
33 22 259:5 /pg /var/lib/postgresql rw - xfs /dev/nvme1n1p1 rw
34 22 0:40 / /mnt/share rw - nfs4 nas:/share rw
35 22 0:41 / /mnt/sshfs rw - fuse.sshfs host:/ rw
36 22 0:42 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
37 22 0:43 / /mnt/auto rw - autofs systemd-1 rw
38 22 259:2 /etc /srv/chroot/etc ro,bind - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
39 22 0:50 /@home /home rw - btrfs /dev/sdb1 rw
40 22 0:51 /@log /var/log rw - btrfs /dev/sdb1 rw
"""
FSTAB = """\
# comment
UUID=1 / ext4 defaults,errors=remount-ro 0 1
UUID=2 /srv/my\\040data xfs defaults 0 0
/dev/sr0 /media/cd iso9660 ro,user 0 0
"""


def local_mounts(mountinfo, fstab, files=()):
    return mounts.local_mounts(mountinfo, fstab, lambda path: path not in files)


def paths(mountinfo, fstab=FSTAB, files=()):
    return [mount["path"] for mount in local_mounts(mountinfo, fstab, files)]


def test_local_filesystems_of_a_machine_once_for_each_device():
    assert paths(MACHINE) == ["/", "/dev/shm", "/run", "/boot/efi", "/srv/my data", "/home"]


def test_local_filesystems_of_a_real_container():
    files = ["/run/.containerenv", "/etc/hostname", "/etc/resolv.conf", "/etc/hosts"]
    files += ["/root/.ssh/authorized_keys", "/home/ops/.ssh/authorized_keys"]
    expected = ["/", "/tmp", "/run", "/dev/shm", "/run/lock", "/var/log/journal"]
    assert paths(CONTAINER, "", files) == expected
    volume = "270 220 254:0 /volumes/pg /var/lib/postgresql rw - ext4 /dev/vda rw\n"
    assert paths(CONTAINER + volume, "", files) == expected + ["/var/lib/postgresql"]


def test_a_file_is_no_filesystem_of_this_host(tmp_path):
    (tmp_path / "hosts").write_text("")
    line = "1 0 8:1 / %s rw - ext4 /dev/sda1 rw\n"
    assert mounts.local_mounts(line % (tmp_path / "hosts"), "") == []
    assert len(mounts.local_mounts(line % tmp_path, "")) == 1


def test_a_mount_over_another_hides_it():
    text = (
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /data rw - ext4 /dev/sdb rw\n3 2 8:3 / /data"
        " rw - ext4 /dev/sdc rw\n"
    )
    found = local_mounts(text, "")
    assert [(mount["path"], mount["source"]) for mount in found] == [
        ("/", "/dev/sda1"),
        ("/data", "/dev/sdc"),
    ]


@pytest.mark.parametrize(
    ("line", "fstab", "readonly"),
    [
        (
            "1 0 8:1 / / rw - ext4 /dev/sda1 ro,errors=remount-ro",
            "/dev/sda1 / ext4 errors=remount-ro 0 1",
            "error",
        ),
        ("1 0 8:1 / /d rw - btrfs /dev/sda1 ro", "", "error"),
        ("1 0 8:1 / /d rw,noatime - xfs /dev/sda1 ro", "/dev/sda1 /d xfs ro 0 0", "error"),
        ("1 0 8:1 / /d ro - xfs /dev/sda1 ro", "/dev/sda1 /d xfs defaults 0 0", "configured"),
        ("1 0 8:1 / /d ro - xfs /dev/sda1 ro", "/dev/sda1 /d xfs ro 0 0", None),
        # Mounted so by hand, by a unit, or by design: no one says that it should be writable.
        ("1 0 8:1 / /d ro - xfs /dev/sda1 ro", "", None),
        ("1 0 8:1 /sub /d ro - xfs /dev/sda1 rw", "", None),
        ("1 0 8:1 / /d ro - xfs /dev/sda1 rw", "", None),
        ("1 0 0:9 / /d ro - tmpfs tmpfs ro", "", None),
        ("1 0 0:9 / /d ro - tmpfs tmpfs ro", "tmpfs /d tmpfs size=1m 0 0", "configured"),
        ("1 0 8:1 / /d rw - xfs /dev/sda1 rw", "", None),
    ],
)
def test_what_is_read_only_and_should_not_be(line, fstab, readonly):
    (mount,) = local_mounts(line, fstab)
    assert mount["readonly"] == readonly


OSTREE = """24 1 8:4 /ostree/deploy/fcos/deploy/a.0 / rw,relatime - xfs /dev/sda4 rw,seclabel
25 24 8:4 / /sysroot ro,relatime - xfs /dev/sda4 rw,seclabel
26 24 8:3 / /boot ro,nosuid,nodev,relatime - ext4 /dev/sda3 ro,seclabel
27 24 8:2 / /boot/efi ro,nosuid - vfat /dev/sda2 ro
28 24 0:30 / / ro,relatime - overlay composefs ro
"""


@pytest.mark.parametrize("fstab", ["", "/dev/sda4 / xfs defaults 0 0\n/dev/sda3 /boot ext4 rw 0 0"])
def test_an_image_is_read_only_by_design(fstab):
    found = mounts.local_mounts(OSTREE, fstab, lambda path: True, image=True)
    assert {mount["readonly"] for mount in found} == {None}
    data = "29 24 8:5 / /data ro - ext4 /dev/sda5 ro\n"
    found = mounts.local_mounts(data, "/dev/sda5 /data ext4 rw 0 0", lambda path: True, image=True)
    assert [mount["readonly"] for mount in found] == ["configured"]


@pytest.mark.parametrize(
    ("line", "image"),
    [
        ("root=/dev/sda1 ro quiet", False),
        ("BOOT_IMAGE=(hd0)/ostree/x ostree=/ostree/boot.1/fcos/abc/0 rw", True),
        ("ro roothash=0123 systemd.verity_root_data=/dev/sda2", True),
        ("overlayroot=tmpfs:recurse=0 root=/dev/sda1", True),
        ("systemd.volatile=overlay", True),
        ("not_ostree=1 ostreed", False),
    ],
)
def test_an_image_by_the_kernels_command_line(line, image):
    assert mounts.is_image(line) is image


def disk(path="/", used=0.5, inodes_used=0.1, **details):
    given = {
        "path": path,
        "source": "/dev/sda1",
        "type": "ext4",
        "readonly": None,
        "error": None,
        "blocks": 100 * GIB,
        "free": int(100 * GIB * (1 - used)),
        "available": int(100 * GIB * (1 - used)),
        "inodes": 1000,
        "free_inodes": int(1000 * (1 - inodes_used)),
    }
    return dict(given, **details)


def judged(*found):
    return {item["id"]: item for item in disks.judge(list(found), PERCENT, PERCENT)}


def test_room_enough():
    assert [(id, item["status"]) for id, item in judged(disk(), disk("/data")).items()] == [
        ("host.disk.ok", "ok"),
        ("host.inodes.ok", "ok"),
    ]


@pytest.mark.parametrize(
    ("used", "status"), [(0.79, "ok"), (0.80, "warn"), (0.90, "fail"), (1.0, "fail")]
)
def test_bytes(used, status):
    found = judged(disk(), disk("/data", used))
    item = found["host.disk.ok" if status == "ok" else "host.disk.high"]
    assert (item["status"], item["value"]) == (status, round(used * 100, 1))
    assert "/data is" in item["summary"]


def test_inodes_run_out_with_bytes_left():
    found = judged(disk(used=0.1, inodes_used=0.95))
    assert [(id, item["status"]) for id, item in found.items()] == [
        ("host.disk.ok", "ok"),
        ("host.inodes.high", "fail"),
    ]


def test_filesystems_without_inodes_are_not_counted():
    assert judged(disk(inodes=0, free_inodes=0))["host.inodes.skipped"]["status"] == "skipped"


def test_what_is_reserved_for_root_is_not_available():
    item = judged(disk(free=20 * GIB, available=15 * GIB))["host.disk.high"]
    assert item["value"] == 84.2


def test_the_fullest_is_named_and_the_others_beside_it():
    item = judged(disk("/", 0.85), disk("/data", 0.95), disk("/srv", 0.2))["host.disk.high"]
    assert (item["status"], item["value"]) == ("fail", 95.0)
    assert item["summary"].startswith(
        "Disk: /data is 95.0 % full, 5 GiB of 100 GiB left (threshold 90 %); also /"
    )
    assert item["remedy"] is None


def part(what, gib, path="/x"):
    return {"what": what, "path": path, "bytes": int(gib * GIB)}


@pytest.mark.parametrize(
    ("consumers", "reason", "remedy"),
    [
        # 95 of 100 GiB are used: more than 15 have to go.
        ([part("journal", 60), part("files", 35)], "filled_by:journal", "vacuum_journal"),
        ([part("files", 60), part("journal", 20)], "filled_by:files", "vacuum_journal"),
        ([part("files", 80), part("journal", 14)], "filled_by:files", None),
        ([part("package_cache", 50)], "filled_by:package_cache", "clean_package_cache"),
        ([part("rotated_logs", 40), part("logs", 30)], "filled_by:rotated_logs", "rotate_logs"),
        ([part("container_logs", 90)], "filled_by:container_logs", "truncate_container_logs"),
        ([part("server_logs", 50), part("journal", 10)], "filled_by:server_logs", None),
        ([part("wal", 40), part("database", 39)], "filled_by:wal", None),
        ([part("files", 30), part("database", 30), part("wal", 30)], "several", None),
        ([part("deleted", 90, "/var/log/x, open in process 7")], "filled_by:deleted", None),
        ([], None, None),
    ],
)
def test_what_fills_it_is_named_and_cleaned_only_where_that_is_enough(consumers, reason, remedy):
    space = {"/": {"consumers": consumers, "complete": True, "rotates": True}}
    found = disks.judge([disk("/", 0.95)], PERCENT, PERCENT, space)
    (item,) = [item for item in found if item["id"] == "host.disk.high"]
    assert (item["reason"], item["remedy"]) == (reason, remedy)
    assert item["advice"]
    for consumer in consumers[:3]:
        assert disks._WORDS[consumer["what"]] in item["summary"]


def test_logs_are_not_rotated_where_there_is_no_logrotate():
    space = {"/": {"consumers": [part("logs", 90)], "complete": True, "rotates": False}}
    found = disks.judge([disk("/", 0.95)], PERCENT, PERCENT, space)
    assert [item["remedy"] for item in found if item["id"] == "host.disk.high"] == [None]


def test_each_consumer_has_its_words():
    known = {what for what, _patterns in space.CONSUMERS}
    assert known | {"rotated_logs", "deleted", "files"} == set(disks._WORDS)


def write(path, kib):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1024 * kib)


def test_a_file_is_counted_once_by_the_most_special_of_its_names(tmp_path):
    write(tmp_path / "var/log/journal/abc/system.journal", 64)
    write(tmp_path / "var/log/app.log", 128)
    write(tmp_path / "var/log/app.log.2.gz", 32)
    write(tmp_path / "var/log/old.log-20260101", 16)
    write(tmp_path / "var/cache/apt/archives/x.deb", 16)
    write(tmp_path / "var/lib/docker/containers/a/a-json.log", 256)
    write(tmp_path / "var/lib/docker/overlay2/b/diff/c", 8)
    data = tmp_path / "var/lib/postgresql/15/main"
    write(data / "base/1/2", 24)
    write(data / "base/pgsql_tmp/pgsql_tmp1", 40)
    write(data / "log/postgresql.log", 80)
    write(tmp_path / "srv/wal/0001", 512)
    (data / "pg_wal").symlink_to(tmp_path / "srv/wal")
    (tmp_path / "var/log/loop").symlink_to(tmp_path / "var")
    write(tmp_path / "home/someone/file", 4)
    found, complete = space.measure("/", Deadline(10), str(tmp_path))
    # A link may take a block of the file system.
    sizes = {item["what"]: item["bytes"] // 1024 // 8 * 8 for item in found}
    assert complete
    assert sizes.pop("files") < 64
    assert sizes == {
        "wal": 512,
        "container_logs": 256,
        "logs": 128,
        "journal": 64,
        "rotated_logs": 48,
        "temporary_files": 40,
        "database": 24,
        "server_logs": 80,
        "package_cache": 16,
        "containers": 8,
    }
    assert found[0]["path"] == str(tmp_path / "srv/wal/0001")


def test_deleted_files_that_are_open_are_found_for_real(tmp_path):
    with open(tmp_path / "gone.log", "wb") as handle:
        handle.write(b"x" * 1024 * 1024)
        handle.flush()
        os.fsync(handle.fileno())
        os.unlink(tmp_path / "gone.log")
        found = space._deleted(os.stat(tmp_path).st_dev, Deadline(30), "/")
    (item,) = [item for item in found if str(tmp_path) in item["path"]]
    assert item["bytes"] >= 1024 * 1024
    assert item["path"] == "%s, open in process %d" % (tmp_path / "gone.log", os.getpid())


def test_a_file_system_that_is_a_part_of_a_consumer_is_that_consumers(tmp_path):
    write(tmp_path / "var/cache/apt/archives/x.deb", 64)
    found, _complete = space.measure("/var/cache/apt/archives", Deadline(10), str(tmp_path))
    assert [item["what"] for item in found] == ["package_cache"]


def test_a_walk_ends_at_its_deadline(tmp_path):
    write(tmp_path / "var/log/app.log", 4)
    assert space.measure("/", Deadline(0), str(tmp_path)) == ([], False)


def test_read_only():
    item = judged(disk(readonly="configured"), disk("/data", readonly="error"))[
        "host.disk.readonly"
    ]
    assert (item["status"], item["evidence"]["filesystems"]) == ("fail", ["/", "/data"])
    assert item["summary"].startswith("/data") and item["reason"] == "error:/data"
    item = judged(disk(readonly="configured"))["host.disk.readonly"]
    assert (item["status"], item["reason"]) == ("fail", "configured:/")


def test_a_filesystem_that_cannot_be_queried_is_unknown():
    broken = dict(disk("/data"), error="Input/output error", blocks=0)
    found = judged(disk(), broken)
    assert (found["host.disk.unknown"]["status"], found["host.disk.ok"]["status"]) == (
        "unknown",
        "ok",
    )


def test_this_host_as_df_sees_it():
    ctx = types.SimpleNamespace(thresholds=thresholds.merge({}))
    found = disks.observe(ctx)
    root = next(mount for mount in found if mount["path"] == "/")
    assert root["blocks"] == os.statvfs("/").f_blocks * os.statvfs("/").f_frsize
