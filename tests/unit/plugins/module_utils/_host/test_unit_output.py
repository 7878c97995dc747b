# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import unit_output

LOG = {"StandardOutput": "/var/log/a.log"}


def decide(output, error=None, link=None, paths=(), **given):
    streams = {"StandardOutput": (output, link), "StandardError": (error or output, link)}
    return unit_output.decide(streams, dict(paths), **given)


@pytest.mark.parametrize("kind", ["journal", "journal+console", "syslog"])
def test_the_journal(kind):
    assert decide(kind, link="socket:[7]") == {
        "journal": True,
        "files": [],
        "elsewhere": [],
        "piped": False,
    }


@pytest.mark.parametrize("kind", ["null", "tty", "kmsg", "socket", "fd", "inherit"])
def test_what_keeps_nothing(kind):
    found = decide(kind)
    assert not found["journal"] and not found["files"]
    assert "StandardOutput=%s" % kind in found["elsewhere"][0]


def test_one_stream_of_two():
    found = decide("null", "journal")
    assert found["journal"] and len(found["elsewhere"]) == 1


@pytest.mark.parametrize(
    ("link", "path"),
    [
        (None, "/var/log/a.log"),
        ("/var/log/a.log", "/var/log/a.log"),
        ("/var/log/a.log.1", "/var/log/a.log.1"),  # renamed, and written on
        ("/etc/shadow", "/var/log/a.log"),  # a link that someone else has made
    ],
)
def test_a_file_is_the_one_that_the_unit_names(link, path):
    found = decide("append", link=link, paths=LOG)
    assert found["files"] == [{"path": path, "kind": "append", "end": None}]
    assert found["elsewhere"] == []


def test_a_file_that_is_gone():
    found = decide("append", link="/var/log/a.log (deleted)", paths=LOG)
    assert not found["files"] and "has been removed" in found["elsewhere"][0]


def test_a_file_that_no_file_of_the_unit_names():
    assert "do not name" in decide("append")["elsewhere"][0]


def test_a_file_that_is_written_from_its_beginning():
    found = decide("file", paths=LOG, positions={"StandardOutput": 7, "StandardError": 7})
    assert found["files"] == [{"path": "/var/log/a.log", "kind": "file", "end": 7}]
    assert "at each start" in decide("file", paths=LOG, running=False)["elsewhere"][0]


def test_a_command_that_sends_it_elsewhere():
    found = decide("journal", link="/tmp/x.log")
    assert "/tmp/x.log, which the unit does not name" in found["elsewhere"][0]
    assert decide("journal", link="pipe:[7]")["piped"]
    assert decide("journal", link="socket:[7]", in_shell=True)["piped"]


def test_the_paths_of_a_units_files():
    texts = [
        "[Service]\nStandardOutput=append:/var/log/one.log\nStandardError = file:/var/log/%N.err\n",
        "[Service]\n# StandardOutput=null\nStandardOutput=truncate:/var/log/two.log\n",
    ]
    assert unit_output.named(texts, "sergas-app.service") == {
        "StandardOutput": "/var/log/two.log",
        "StandardError": "/var/log/sergas-app.err",
    }
    assert unit_output.named(["StandardOutput=append:%L/x.log", "StandardError=journal"]) == {}
    assert unit_output.named(["StandardOutput=append:/a.log", "StandardOutput=journal"]) == {}


def test_no_unit():
    assert unit_output.read({})["journal"]
