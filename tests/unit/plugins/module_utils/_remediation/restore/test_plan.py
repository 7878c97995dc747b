# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import restore_points
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import plan

OPTIONS = {
    "name": "firewall",
    "state": "armed",
    "files": ["/etc/ufw/user.rules"],
    "commands": [["ufw", "reload"]],
    "restarts": [],
    "deadline": 120,
    "command_timeout": 60,
    "directory": "/var/lib/sergas/restore",
}


def item(path="/etc/a", kind="file", **more):
    if kind == "file":
        more = dict({"mode": 0o640, "uid": 0, "gid": 0, "bytes": 3, "sha256": "5a"}, **more)
    if kind == "link":
        more = dict({"target": "b", "uid": 0, "gid": 0}, **more)
    return dict({"path": path, "kind": kind}, **more)


def test_what_can_be_is_let_through():
    plan.check(OPTIONS)
    for name in ("a", "0", "remedy-raise_memory.limit", "x" * 64):
        plan.check(dict(OPTIONS, name=name))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("name", ""),
        ("name", "."),
        ("name", "a/b"),
        ("name", "a b"),
        ("name", "A"),
        ("name", "-a"),
        ("name", "a\n"),
        ("name", "x" * 65),
        ("directory", "relative"),
        ("directory", "/with space"),
        ("directory", "/with%percent"),
        ("deadline", -1),
        ("deadline", 86401),
        ("command_timeout", 0),
        ("files", ["etc/passwd"]),
        ("files", ["/etc/../etc/passwd"]),
        ("files", ["/etc//passwd"]),
        ("files", ["/etc/passwd/"]),
        ("files", ["/etc/a", "/etc/a"]),
        ("files", ["/var/lib/sergas/restore/other/point.json"]),
        ("files", ["/var/lib/sergas/restore"]),
        ("files", ["/f%d" % number for number in range(201)]),
        ("commands", [[]]),
        ("commands", ["ufw reload"]),
        ("restarts", ["--now"]),
        ("restarts", ["a b"]),
        ("commands", [["ufw", 1]]),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(option, value):
    with pytest.raises(plan.Refused, match=option):
        plan.check(dict(OPTIONS, **{option: value}))


def test_only_files_links_and_nothing_can_be_saved():
    plan.refuse_kinds([item(), item(kind="link"), item(kind="absent")])
    with pytest.raises(plan.Refused, match="/etc/a is neither"):
        plan.refuse_kinds([item(kind="other")])


def test_the_space_is_that_of_the_files_in_separate_blocks():
    found = [
        item(bytes=10000),
        item(bytes=0, path="/etc/b"),
        item(kind="link"),
        item(kind="absent"),
    ]
    assert plan.space_needed(found, 500) == 500 + 10000 + 2 * 4096


def test_a_point_is_the_same_if_it_would_restore_what_is_there():
    commands = [["ufw", "reload"]]
    saved = {"files": [dict(item(), saved="saved/0")], "commands": commands}
    assert plan.same(saved, [item()], commands)
    assert not plan.same(saved, [item(sha256="6b")], commands)
    assert not plan.same(saved, [item(mode=0o600)], commands)
    assert not plan.same(saved, [item()], commands, ["sergas-app.service"])
    assert not plan.same(saved, [item(), item("/etc/b")], commands)
    assert not plan.same(saved, [item()], [])


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(None, "armed"), ({"complete": False}, "failed"), ({"complete": True}, "restored")],
)
def test_a_point_stands_by_its_outcome(outcome, state):
    assert restore_points.standing({}, outcome) == state
    assert restore_points.standing(None, outcome) == "none"


def test_failures_are_reported_without_secrets():
    outcome = {
        "errors": ["/etc/a: No space left on device"],
        "commands": [
            {"argv": ["true"], "status": 0, "error": None},
            {"argv": ["ufw", "reload"], "status": 1, "error": "password=abcdef"},
            {"argv": ["sleep", "9"], "status": None, "error": "killed after 1 s"},
            {"argv": ["false"], "status": 1, "error": None},
        ],
    }
    assert plan.failures(outcome) == (
        "/etc/a: No space left on device; ufw reload: password=********; sleep 9: killed after 1 s;"
        " false: exit status 1"
    )
    assert plan.failures({"errors": [], "commands": outcome["commands"][:1]}) is None


# The diff


def shown(path, before, after):
    """Return the difference of a file's content."""
    (part,) = plan.diff([((item(path), before), (item(path), after))])
    return part


def test_of_a_env_secrets_are_masked_and_their_change_is_marked():
    before = b"A=1\nDATABASE_PASSWORD=new-s3cret\nURL=redis://:new-s3cret@h\nSALT=same\n"
    after = b"A=2\nDATABASE_PASSWORD=old-s3cret\nURL=redis://:old-s3cret@h\nSALT=same\n"
    for path in ("/app/.env", "/app/prod.env", "/app/.env.local"):
        part = shown(path, before, after)
        assert "s3cret" not in json.dumps(part)
        assert part["before"].startswith("A=1\n") and part["after"].startswith("A=2\n")
        assert "DATABASE_PASSWORD=******** (changed)" in part["after"]
        assert "SALT=********\n" in part["after"]


def test_a_secret_of_a_env_is_masked_in_the_other_files_too():
    pairs = [
        ((item("/app/.env"), b"TOKEN=s3cret-9\n"), (item("/app/.env"), b"TOKEN=s3cret-9\nA=1\n")),
        ((item("/etc/a"), b"use s3cret-9\n"), (item("/etc/a"), b"no\n")),
    ]
    assert "s3cret-9" not in json.dumps(plan.diff(pairs))


def test_of_other_files_what_looks_like_a_secret_is_masked():
    part = shown("/etc/app.yml", b"limit: 2\npassword: hunter22\n", b"limit: 1\n")
    assert part["before"] == "limit: 2\npassword: ********\n" and part["after"] == "limit: 1\n"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * 70000, None])
def test_what_is_no_short_text_is_shown_by_its_size(content):
    assert shown("/etc/a", content, b"")["before"] == "3 bytes, SHA-256 5a\n"


def test_owner_mode_and_kind_stand_above():
    pairs = [
        ((item(), b"x"), (item(kind="absent"), None)),
        ((item("/etc/z", "absent"), None), (item("/etc/z", "link"), None)),
    ]
    first, second = plan.diff(pairs)
    assert first["before_header"] == "/etc/a (0:0 0640)"
    assert first["after_header"] == "/etc/a (absent)" and first["after"] == ""
    assert second["before"] == "" and second["after"] == "-> b\n"
