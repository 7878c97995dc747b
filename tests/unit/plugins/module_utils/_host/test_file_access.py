# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pwd
import struct

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._host import file_access

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
OTHER = pwd.getpwuid(65534)


@pytest.fixture
def path(tmp_path):
    """Return a file in a directory that everyone may enter."""
    directory = tmp_path / "app"
    directory.mkdir()
    for one in (directory, *list(tmp_path.parents)[:-1], tmp_path):
        if one.stat().st_uid == os.geteuid() and str(one).startswith("/tmp/"):
            one.chmod(0o755)
    (directory / ".env").write_text("A=1\n")
    (directory / ".env").chmod(0o600)
    return directory / ".env"


def denial(path, group=None, more=()):
    return file_access.denial(str(path), OTHER.pw_name, group, more, Deadline(5))


def test_a_file_of_root_alone_is_named_with_its_mode(path):
    assert denial(path) == "%s belongs to root:root and has the mode 0600" % path


def test_what_the_mode_or_a_group_allows_is_allowed(path):
    path.chmod(0o640)
    assert "0640" in denial(path)
    assert denial(path, group="root") is None
    assert denial(path, more=["0"]) is None
    path.chmod(0o644)
    assert denial(path) is None


def test_its_own_file_without_a_mode_is_named(path):
    os.chown(str(path), OTHER.pw_uid, OTHER.pw_gid)
    assert denial(path) is None
    path.chmod(0o000)
    assert "has the mode 0000" in denial(path)


def test_a_directory_on_the_way_is_named(path):
    path.chmod(0o644)
    path.parent.chmod(0o700)
    assert denial(path) == "%s belongs to root:root and has the mode 0700" % path.parent


def set_access_list(path, permission):
    """Write what setfacl -m u:USER:PERMISSION writes, where the filesystem has access lists."""
    others = 4 if permission == 0 else 0
    entries = ((1, 6, -1), (2, permission, OTHER.pw_uid), (4, 0, -1), (16, 4, -1), (32, others, -1))
    data = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, bits, who & 0xFFFFFFFF) for tag, bits, who in entries
    )
    try:
        os.setxattr(str(path), "system.posix_acl_access", data)
    except OSError as error:
        pytest.skip("no access lists here: %s" % error)


def test_an_access_list_that_allows_it_counts(path):
    set_access_list(path, 4)
    assert denial(path) is None


def test_an_access_list_that_forbids_it_counts(path):
    set_access_list(path, 0)
    assert path.stat().st_mode & 0o004
    assert denial(path) == "an access list or a security module denies it"


def test_a_user_that_does_not_exist_or_is_root_is_no_denial(path):
    assert file_access.denial(str(path), "no-such-user", None, (), Deadline(5)) is None
    assert file_access.denial(str(path), "root", None, (), Deadline(5)) is None
