# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import struct

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import journal_state

MACHINE = "e7b68aa7b1fd32f394ac6b2ec86fc694"


@pytest.fixture
def root(tmp_path):
    """Return a host's root with a journal that begins at 1000 s."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text(MACHINE + "\n")
    units = tmp_path / "run/systemd/units"
    units.mkdir(parents=True)
    (units / "invocation:systemd-journald.service").symlink_to("x")
    (tmp_path / "var/log/journal" / MACHINE).mkdir(parents=True)
    write(tmp_path, "system.journal", 1000)
    return tmp_path


def write(root, name, seconds, machine=MACHINE, signature=b"LPKSHHRH"):
    header = signature.ljust(184, b"\0") + struct.pack("<Q", int(seconds * 1e6))
    (root / "var/log/journal" / machine / name).write_bytes(header.ljust(256, b"\0"))


def test_the_journal_of_a_host_as_it_comes(root):
    assert journal_state.read(root=str(root)) == {
        "running": True,
        "storage": "auto",
        "max_level": "debug",
        "interval": 30.0,
        "burst": 10000,
        "beginning": 1000.0,
        "beginning_of_user": None,
    }


def test_archived_files_say_by_their_names_when_they_begin(root):
    archived = "system@%s-%016x-%016x.journal" % ("0" * 32, 1, 500 * 10**6)
    (root / "var/log/journal" / MACHINE / archived).write_bytes(b"")
    write(root, "user-1001.journal", 900)
    write(root, "user-7.journal", 1)
    found = journal_state.read(user="1001", root=str(root))
    assert (found["beginning"], found["beginning_of_user"]) == (500.0, 900.0)


@pytest.mark.parametrize("damage", [b"", b"NOSUCHFI"])
def test_what_is_no_journal_file_says_nothing(root, damage):
    (root / "var/log/journal" / MACHINE / "system.journal").write_bytes(damage)
    assert journal_state.read(root=str(root))["beginning"] is None


def test_a_namespace_has_its_own(root):
    (root / "var/log/journal" / (MACHINE + ".sergas")).mkdir()
    write(root, "system.journal", 2000, MACHINE + ".sergas")
    (root / "etc/systemd").mkdir()
    (root / "etc/systemd/journald@sergas.conf").write_text("[Journal]\nStorage=none\n")
    found = journal_state.read("sergas", root=str(root))
    assert (found["beginning"], found["storage"], found["running"]) == (2000.0, "none", False)


def test_no_systemd_says_nothing_of_journald(tmp_path):
    found = journal_state.read(root=str(tmp_path))
    assert found["running"] is None and found["beginning"] is None


def test_a_configuration_is_put_together_as_systemd_does(root):
    for path, text in {
        "usr/lib/systemd/journald.conf": "[Journal]\nStorage=volatile\nMaxLevelStore=info\n",
        "etc/systemd/journald.conf": "[Journal]\n#Storage=none\n;Storage=none\nStorage=auto\n",
        "usr/lib/systemd/journald.conf.d/10-a.conf": "[Journal]\nRateLimitBurst=7\n",
        "etc/systemd/journald.conf.d/10-a.conf": "[Journal]\nRateLimitBurst=60\n",
        "run/systemd/journald.conf.d/90-b.conf": "[Journal]\nRateLimitIntervalSec = 1min 30s\n",
        "run/systemd/journald.conf.d/95-c.off": "[Journal]\nStorage=none\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    found = journal_state.read(root=str(root))
    assert (found["storage"], found["max_level"]) == ("auto", "debug")
    assert (found["interval"], found["burst"]) == (90.0, 60)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15s", 15), ("0", 0), ("1min 30s", 90), ("500ms", 0.5), ("", 30), ("soon", 30), ("5x", 30)],
)
def test_spans_of_time(text, seconds):
    assert journal_state.span(text, 30) == seconds


def test_when_the_first_units_were_started(root):
    link = root / "run/systemd/units/invocation:a.service"
    link.symlink_to("x")
    os.utime(link, (500, 500), follow_symlinks=False)
    assert journal_state.began(str(root)) == 500
    assert journal_state.began(str(root / "nowhere")) is None
