# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernel's lines, as kernels 4.19 to 6.12 write them."""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import kernel_log

APPARMOR = (
    'audit: type=1400 audit(1733.1:42): apparmor="DENIED" operation="open" class="file"'
    ' profile="sergas-app" name="/srv/data/x.json" pid=4242 comm="uvicorn" requested_mask="r"'
)
SECCOMP = (
    'audit: type=1326 audit(1733.2:43): auid=4294967295 uid=998 gid=998 pid=4242 comm="uvicorn"'
    ' exe="/opt/app/venv/bin/python3.11" sig=31 arch=c000003e syscall=41 compat=0'
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "blk_update_request: I/O error, dev sda, sector 123 op 0x0:(READ) flags 0x0",
            ("device", "sda"),
        ),
        ("I/O error, dev nvme0n1, sector 8 op 0x1:(WRITE)", ("device", "nvme0n1")),
        ("Buffer I/O error on dev sdb1, logical block 0, async page read", ("device", "sdb1")),
        ("Buffer I/O error on device dm-0, logical block 7", ("device", "dm-0")),
        ("critical medium error, dev sdc, sector 99 op 0x0:(READ)", ("device", "sdc")),
        ("nvme nvme0: controller is down; will reset: CSTS=0xffffffff", ("device", "nvme0")),
        ("nvme0: controller is down", ("device", "nvme0")),
        ("ata1.00: failed command: READ FPDMA QUEUED", ("device", "ata1.00")),
        (
            "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm ls: reading dir",
            ("filesystem", "sda1"),
        ),
        ("EXT4-fs (sda1): Remounting filesystem read-only", ("filesystem", "sda1")),
        ("XFS (dm-1): Metadata corruption detected at xfs_agf_verify", ("filesystem", "dm-1")),
        ('XFS (sdb): metadata I/O error in "xfs_trans_read" at daddr 0x1', ("filesystem", "sdb")),
        ("BTRFS error (device sdc1): bdev /dev/sdc1 errs: wr 1", ("filesystem", "sdc1")),
        ("BTRFS: error (device vda3) in btrfs_commit: errno=-5", ("filesystem", "vda3")),
        ("nfs: server nas.example.com not responding, still trying", ("mount", "nas.example.com")),
        ("CIFS: VFS: \\\\filer has not responded in 180 seconds", None),
        ("CIFS: VFS: Server filer not responding", ("mount", "filer")),
        ("INFO: task uvicorn:4242 blocked for more than 120 seconds.", ("hung", "uvicorn")),
        (
            "nf_conntrack: nf_conntrack: table full, dropping packet",
            ("conntrack", "nf_conntrack"),
        ),
        (
            "cgroup: fork rejected by pids controller in /system.slice/sergas-app.service",
            ("tasks", "/system.slice/sergas-app.service"),
        ),
        (
            "TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:8000. Sending cookies.",
            ("syn", "0.0.0.0:8000."),
        ),
        ("EXT4-fs (sda1): mounted filesystem with ordered data mode", None),
        ("XFS (sda2): Mounting V5 Filesystem", None),
        ("nfs: server nas OK", None),
        ("[UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.5", None),
        ("I/O error", None),
        ("", None),
    ],
)
def test_a_line_is_of_one_kind_and_about_one_thing(line, expected):
    assert kernel_log.classify(line) == expected


def test_denials_say_by_what_of_whom():
    kind, subject = kernel_log.classify(APPARMOR)
    assert kind == "denied"
    found = kernel_log.denial(subject)
    assert (found["by"], found["profile"], found["comm"]) == ("apparmor", "sergas-app", "uvicorn")
    assert (found["operation"], found["name"]) == ("open", "/srv/data/x.json")
    found = kernel_log.denial(kernel_log.classify(SECCOMP)[1])
    assert (found["by"], found["syscall"], found["comm"]) == ("seccomp", "41", "uvicorn")


def entry(message, at):
    return {"MESSAGE": message, "__REALTIME_TIMESTAMP": str(at * 1000000)}


def test_lines_add_up_and_the_newest_is_kept():
    lines = [
        entry("I/O error, dev sda, sector 2", 20),
        entry("something else", 15),
        entry("I/O error, dev sda, sector 1", 10),
    ]
    found = kernel_log.add_up(lines)
    assert found == {
        "device": {"sda": {"count": 2, "last": 20.0, "line": "I/O error, dev sda, sector 2"}}
    }


def test_subjects_are_bounded():
    lines = [entry("I/O error, dev sd%d, sector 1" % number, 1) for number in range(999)]
    assert len(kernel_log.add_up(lines)["device"]) == 50


@pytest.mark.parametrize(
    "part", ["I/O error ", "(device ", "CIFS: server ", 'apparmor="DENIED" a="']
)
def test_a_hostile_line_is_cut_before_it_is_matched(part):
    assert len(kernel_log.add_up([entry(part * 200000, 1)])) <= 1
