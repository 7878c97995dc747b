# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import distribution

SUPPORTED = ["debian", "ubuntu"]
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nID=debian\n'
UBUNTU = "PRETTY_NAME=\"Ubuntu 24.04.3 LTS\"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID='24.04'\n"
DERIVED = '# a comment = no setting\nNAME="Our own"\nID=ours\nID_LIKE="ubuntu debian"\n'
ROCKY = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.3"\n'
ALPINE = 'NAME="Alpine Linux"\nID=alpine\nPRETTY_NAME="Alpine Linux v3.20"\n'


@pytest.mark.parametrize("text", [DEBIAN, UBUNTU, DERIVED])
def test_debian_ubuntu_and_what_derives_from_them_are_supported(text):
    assert distribution.refusal(distribution.parse(text), SUPPORTED) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (ROCKY, "Rocky Linux (rocky)"),
        (ALPINE, "Alpine Linux v3.20 (alpine)"),
        ("", "an unknown distribution"),
        ('ID="unclosed\nNAME=x\n', "an unknown distribution"),
    ],
)
def test_any_other_one_is_refused_by_name(text, named):
    refusal = distribution.refusal(distribution.parse(text), SUPPORTED)
    assert refusal.startswith("it runs %s, and only Debian and Ubuntu and what derives" % named)


def test_another_one_can_be_declared_supported():
    assert distribution.refusal(distribution.parse(ROCKY), ["Rocky"]) is None
    assert "only Rocky and what" in distribution.refusal(distribution.parse(DEBIAN), ["rocky"])


def test_the_first_file_that_is_there_is_read(tmp_path, monkeypatch):
    second = tmp_path / "second"
    monkeypatch.setattr(distribution, "PATHS", (str(tmp_path / "none"), str(second)))
    assert distribution.read() == {"id": None, "like": [], "name": None}
    second.write_text(ROCKY)
    assert distribution.read() == {
        "id": "rocky",
        "like": ["rhel", "centos", "fedora"],
        "name": "Rocky Linux",
    }
