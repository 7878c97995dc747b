# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import keys
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config

GOOD = "REQUIRE_MFA=true\nENABLE_RATE_LIMITING=true\nSESSION_TIMEOUT=1800\n"


def context(text, mode=0o600, error=None):
    reading = None if text is None else app_config.interpret(text, "/srv/app/.env", mode)
    return types.SimpleNamespace(
        environment=reading,
        environment_error=error,
        env_file="/srv/app/.env",
        settings=app_config.settings(reading, {}),
    )


def ids(findings):
    return [(item["id"], item["status"], item["remedy"]) for item in findings]


WEAK = ("security.keys.weak", "warn", "rate_limit_keys")
OFF = ("security.mfa.off", "warn", "require_mfa")


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ("", "", [("security.keys.ok", "ok", None)]),
        ("REQUIRE_MFA=true", "REQUIRE_MFA=Yes", [("security.keys.ok", "ok", None)]),
        ("REQUIRE_MFA=true", "REQUIRE_MFA=false", [OFF]),
        ("REQUIRE_MFA=true\n", "", [OFF]),
        ("LIMITING=true", "LIMITING=0", [WEAK]),
        ("TIMEOUT=1800", "TIMEOUT=1801", [WEAK]),
        ("TIMEOUT=1800", "TIMEOUT=900", [("security.keys.ok", "ok", None)]),
        ("TIMEOUT=1800", "TIMEOUT=0", [WEAK]),
        # systemd, by whom the app gets it, takes the comment for a part of the value.
        ("TIMEOUT=1800", "TIMEOUT=1800  # 30 minutes", [WEAK]),
    ],
)
def test_weak_keys_are_reported(old, new, expected):
    assert ids(keys.decide(context(GOOD.replace(old, new)))) == expected


@pytest.mark.parametrize(
    "mode, expected",
    [
        (0o600, ("security.env.ok", "ok", None)),
        (0o640, ("security.env.ok", "ok", None)),
        (0o644, ("security.env.readable", "fail", "rate_limit_keys")),
        (0o602, ("security.env.readable", "fail", "rate_limit_keys")),
    ],
)
def test_file_for_everybody_is_reported(mode, expected):
    assert ids(keys.decide_file(context(GOOD, mode))) == [expected]


@pytest.mark.parametrize("decide", [keys.decide, keys.decide_file])
def test_file_that_cannot_be_read_is_never_ok(decide):
    (item,) = decide(context(None, error="/srv/app/.env cannot be read: Permission denied"))
    assert (item["id"].rpartition(".")[2], item["status"]) == ("unknown", "unknown")
    (item,) = decide(context(None))
    assert item["status"] == "skipped"
