# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import checks


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
