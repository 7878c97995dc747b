# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import diagnosis, process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    NotHere,
    Unmeasurable,
)
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import (
    checks,
    client,
    configuration,
    rules,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import unit


def jail(name="sshd", **details):
    known = {
        "name": name,
        "watches": "journal: _SYSTEMD_UNIT=ssh.service",
        "reason": None,
        "failed": 0,
        "maxretry": 5,
        "findtime": 600,
        "bantime": 600,
        "ignored": ["127.0.0.0/8", "192.0.2.0/24"],
        "banned": [],
        "not_in_firewall": [],
    }
    return dict(known, **details)


def seen(*jails, **details):
    known = {
        "installed": True,
        "protected": ["192.0.2.2"],
        "active": "active",
        "enabled": "enabled",
        "result": "success",
        "silent": None,
        "jails": list(jails),
        "ufw": {},
        "overridden": [],
    }
    return dict(known, **details)


def context(*expected):
    return types.SimpleNamespace(params={"jails": list(expected)})


def ids(findings):
    return [(item["id"], item["status"]) for item in findings]


@pytest.mark.parametrize(
    "expected, observed, found",
    [
        ((), seen(jail()), [("security.jails.ok", "ok")]),
        (("sshd",), seen(jail()), [("security.jails.ok", "ok")]),
        (("sshd", "sergas-app"), seen(jail()), [("security.jail.missing", "fail")]),
        ((), seen(), [("security.jail.missing", "fail")]),
        ((), seen(jail(reason="nothing")), [("security.jail.no_input", "fail")]),
        ((), seen(active="failed"), [("security.jail.dead", "fail")]),
        ((), seen(jail(), silent="no answer"), [("security.jail.dead", "fail")]),
        (("sshd",), seen(active="inactive", enabled="disabled"), [("security.jail.dead", "fail")]),
        (("sshd",), {"installed": False}, [("security.jail.missing", "fail")]),
        (("sshd",), seen(jail(ignored=["::1"])), [("security.jail.exposed", "warn")]),
        # What is not declared may be as its operator wants it.
        ((), seen(jail(ignored=["::1"])), [("security.jails.ok", "ok")]),
    ],
)
def test_jails_that_do_not_work_are_found(expected, observed, found):
    assert ids(checks.decide_jails(context(*expected), observed)) == found


def test_service_that_was_switched_off_is_skipped():
    with pytest.raises(NotHere):
        checks.decide_jails(context(), seen(active="inactive", enabled="disabled"))


@pytest.mark.parametrize(
    "observed, found",
    [
        (seen(jail(banned=["203.0.113.9"])), [("security.bans.ok", "ok")]),
        (
            seen(jail(banned=["192.0.2.2", "203.0.113.9"])),
            [("security.ban.legitimate_client", "fail")],
        ),
        (
            seen(jail(banned=["203.0.113.9"], not_in_firewall=["203.0.113.9"])),
            [("security.ban.ineffective", "fail")],
        ),
        (
            seen(jail(banned=["203.0.113.9"]), ufw={"sshd": ["203.0.113.9"]}),
            [("security.bans.ok", "ok")],
        ),
        (
            seen(jail(banned=["203.0.113.9"]), ufw={"gone": ["203.0.113.9"]}),
            [("security.ban.leftover", "warn")],
        ),
    ],
)
def test_bans_that_do_harm_or_nothing_are_found(observed, found):
    assert ids(checks.decide_bans(None, observed)) == found


def test_banned_addresses_are_in_the_evidence():
    (item,) = checks.decide_bans(None, seen(jail(banned=["203.0.113.9"])))
    assert item["evidence"] == {"banned": {"sshd": ["203.0.113.9"]}} and item["value"] == 1


class TestGaps:
    """What a command did not say keeps its check from ok, and makes no failure."""

    DUMP = "['add', 'sshd', 'systemd']\n"

    @pytest.fixture(autouse=True)
    def host(self, monkeypatch):
        self.answers = {
            "fail2ban-client": (0, self.DUMP, ""),
            "journalctl": (0, "a line\n", ""),
            "nft": (0, "", ""),
        }
        self.banned = ()
        self.state = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
        self.reason = None
        test = self

        class Server:
            def __init__(self, timeout):
                pass

            def __enter__(self):
                return self

            def __exit__(self, *_error):
                pass

            def jails(self):
                return ["sshd"]

            def jail(self, name):
                match = "_SYSTEMD_UNIT=ssh.service"
                actions = (rules.NFTABLES,)
                return client.Jail(name, match, (), (), 5, 600, 600, actions, 0, test.banned)

        def run(argv, _deadline):
            answer = self.answers[argv[0]]
            if isinstance(answer, Exception):
                raise answer
            return answer

        def read(name, _deadline):
            failed = self.reason if name == "ssh.service" else None
            return ({}, failed) if failed else (self.state, None)

        monkeypatch.setattr(client, "Server", Server)
        monkeypatch.setattr(process, "find", lambda name: name)
        monkeypatch.setattr(process, "run", run)
        monkeypatch.setattr(unit, "read", read)
        monkeypatch.setattr(configuration, "read_own", lambda _directory: {})
        monkeypatch.setattr(configuration, "read_overrides", lambda *_given: [])

    def statuses(self):
        params = {"jails": ["sshd"], "protected": []}
        ctx = diagnosis.Context(params, Deadline(10))
        found, _seen = diagnosis.run(["jails", "bans"], checks.CHECKS, checks.PROBES, ctx)
        return {name: items[0]["status"] for name, items in found}

    def test_all_is_seen(self):
        self.banned = ("203.0.113.9",)
        assert self.statuses() == {"jails": "ok", "bans": "ok"}

    @pytest.mark.parametrize(
        "answer",
        [DeadlineExceeded("no answer"), process.CommandMissing("x"), (255, "", "x")],
    )
    def test_the_configuration_that_cannot_be_read(self, answer):
        self.answers["fail2ban-client"] = answer
        # Where it is not known which journal a jail reads, that one is empty says nothing.
        self.answers["journalctl"] = (0, "", "")
        assert self.statuses() == {"jails": "unknown", "bans": "ok"}

    def test_a_configuration_without_the_jail(self):
        self.answers["fail2ban-client"] = (0, "rubbish {", "")
        assert self.statuses()["jails"] == "unknown"

    def test_a_journal_that_cannot_be_read(self):
        self.answers["journalctl"] = (1, "", "x")
        assert self.statuses() == {"jails": "unknown", "bans": "ok"}

    def test_a_unit_that_is_not_known_is_not_one_that_is_not_there(self):
        self.reason = "no answer in time from systemctl"
        assert self.statuses() == {"jails": "unknown", "bans": "unknown"}

    @pytest.mark.parametrize(("status", "expected"), [(1, "fail"), (4, "unknown"), (-9, "unknown")])
    def test_a_rule_that_cannot_be_looked_up_is_not_one_that_is_missing(self, status, expected):
        self.banned = ("203.0.113.9",)
        self.answers["nft"] = (status, "", "x")
        assert self.statuses() == {"jails": "ok", "bans": expected}


def test_the_bans_of_a_server_that_does_not_answer_are_not_known():
    with pytest.raises(Unmeasurable):
        checks.decide_bans(None, seen(jail(), silent="no answer"))
