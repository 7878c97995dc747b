# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import environment, keys
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config

GOOD = "REQUIRE_MFA=true\nENABLE_RATE_LIMITING=true\nSESSION_TIMEOUT=1800\n"


def observed(text, mode=0o600, error=None, more=()):
    reading = None if text is None else app_config.interpret(text, "/srv/app/.env", mode)
    settings = app_config.settings(reading, {})
    return {
        "path": "/srv/app/.env",
        "mode": None if reading is None else mode,
        "error": error,
        "error_kind": "permission" if error else None,
        "files": [] if reading is None else [{"path": reading.path, "mode": mode}, *more],
        "hidden": [],
        "plain": {name: settings[name] for name in environment.PLAIN if name in settings},
        "plain_next": {name: settings[name] for name in environment.PLAIN if name in settings},
    }


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
    assert ids(keys.decide(None, observed(GOOD.replace(old, new)))) == expected


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
    assert ids(keys.decide_file(None, observed(GOOD, mode))) == [expected]


@pytest.mark.parametrize("decide", [keys.decide, keys.decide_file])
def test_file_that_cannot_be_read_is_never_ok(decide):
    (item,) = decide(None, observed(None, error="/srv/app/.env cannot be read: Permission denied"))
    assert (item["id"].rpartition(".")[2], item["status"]) == ("unknown", "unknown")
    (item,) = decide(None, observed(None))
    assert item["status"] == "skipped"


def test_another_file_with_secrets_that_everyone_may_read_is_reported():
    """What the remedy would change is the file that holds the settings."""
    more = [{"path": "/etc/default/sergas-app", "mode": 0o644}]
    (item,) = keys.decide_file(None, observed(GOOD, more=more))
    assert (item["id"], item["remedy"]) == ("security.env.readable", None)
    assert "/etc/default/sergas-app" in item["summary"]


@pytest.mark.parametrize(
    ("running", "following", "weak"),
    [("true", "true", False), ("true", "false", True), ("false", "true", True)],
)
def test_a_key_is_judged_as_it_runs_and_as_the_next_start_gets_it(running, following, weak):
    good = {"REQUIRE_MFA": "true", "SESSION_TIMEOUT": "900"}
    seen = {
        "mode": 0o600,
        "path": "/x/.env",
        "hidden": [],
        "plain": dict(good, ENABLE_RATE_LIMITING=running),
        "plain_next": dict(good, ENABLE_RATE_LIMITING=following),
    }
    (item,) = keys.decide(None, seen)
    assert (item["id"] == "security.keys.weak") is weak
