# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._host import stuck

MOUNTS = """22 1 8:1 / / rw - ext4 /dev/sda1 rw
34 22 0:40 / /mnt/share rw - nfs4 nas:/share rw
35 22 0:41 / /mnt/share/in rw - fuse.sshfs host:/ rw
36 22 0:42 / /mnt/local rw - xfs /dev/sdb rw
"""


def test_remote_file_systems():
    assert stuck.remote_mounts(MOUNTS) == [
        ("/mnt/share", "nas:/share"),
        ("/mnt/share/in", "host:/"),
    ]


@pytest.mark.parametrize(
    ("paths", "path"),
    [
        (["/", "/mnt/share/x"], "/mnt/share"),
        (["/mnt/share/in/y"], "/mnt/share/in"),
        (["/mnt/share"], "/mnt/share"),
        (["/mnt/shared/x", "socket:[1]"], None),
        ([], None),
    ],
)
def test_the_mount_that_a_process_uses(paths, path):
    found = stuck.mount_of(paths, stuck.remote_mounts(MOUNTS))
    assert (found or {}).get("path") == path


def test_a_process_that_stays_so_is_seen_and_one_that_goes_on_is_not(monkeypatch):
    states = iter([{5, 6}, {6, 7}])
    monkeypatch.setattr(stuck, "_uninterruptible", lambda: next(states))
    monkeypatch.setattr(stuck.time, "sleep", lambda seconds: None)
    assert [item["pid"] for item in stuck.observe(Deadline(5))] == [6]
