# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._security import sshd

GOOD = """\
port 22
passwordauthentication no
kbdinteractiveauthentication no
permitrootlogin without-password
permitemptypasswords no
maxauthtries 6
logingracetime 120
strictmodes yes
loglevel INFO
ciphers chacha20-poly1305@openssh.com,aes128-ctr
macs umac-64-etm@openssh.com,hmac-sha2-256,hmac-sha1
kexalgorithms curve25519-sha256,diffie-hellman-group14-sha256
"""


def weak(**settings):
    found = sshd.weaknesses(dict(sshd.parse(GOOD), **settings))
    return {name: status for name, _value, status, _why in found}


def test_defaults_of_the_distribution_with_keys_only_are_fine():
    assert weak() == {}


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"passwordauthentication": "yes"}, {"passwordauthentication": "warn"}),
        ({"kbdinteractiveauthentication": "yes"}, {"kbdinteractiveauthentication": "warn"}),
        # Root may log in by any method, and there is but one.
        ({"permitrootlogin": "yes"}, {}),
        (
            {"permitrootlogin": "yes", "passwordauthentication": "yes"},
            {"permitrootlogin": "fail", "passwordauthentication": "warn"},
        ),
        ({"permitemptypasswords": "yes"}, {}),
        ({"strictmodes": "no"}, {"strictmodes": "fail"}),
        ({"loglevel": "QUIET"}, {"loglevel": "warn"}),
        ({"maxauthtries": "20"}, {"maxauthtries": "warn"}),
        ({"logingracetime": "0"}, {"logingracetime": "warn"}),
        ({"ciphers": "aes128-ctr,3des-cbc"}, {"ciphers": "warn"}),
        ({"kexalgorithms": "diffie-hellman-group1-sha1"}, {"kexalgorithms": "warn"}),
        ({"permituserenvironment": "yes"}, {"permituserenvironment": "warn"}),
    ],
)
def test_weak_settings_are_found(settings, expected):
    assert weak(**settings) == expected


def test_worst_setting_gives_the_status():
    settings = dict(sshd.parse(GOOD), permitrootlogin="yes", passwordauthentication="yes")
    (item,) = sshd.decide(None, settings)
    assert (item["id"], item["status"], item["value"]) == ("security.sshd.weak", "fail", 2)


def test_configuration_that_sshd_refuses_is_a_failure():
    (item,) = sshd.decide(None, {"error": "line 3: Bad configuration option: Prot"})
    assert (item["id"], item["status"]) == ("security.sshd.invalid", "fail")


@pytest.mark.parametrize("printed", ["", "rubbish {", "port 22\n"])
def test_what_are_no_settings_are_not_settings_without_a_weakness(monkeypatch, printed):
    monkeypatch.setattr(process, "find", lambda name: "/usr/sbin/" + name)
    monkeypatch.setattr(process, "run", lambda _argv, _deadline: (0, printed, ""))
    monkeypatch.setattr(sshd.os, "geteuid", lambda: 0)
    with pytest.raises(Unmeasurable):
        sshd.observe(types.SimpleNamespace(deadline=Deadline(5)))
