# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    finding,
    grade,
    is_bad,
    roots,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import (
    MASK,
    is_secret_name,
    redact,
    redact_all,
)

CONTRACT = {
    "id",
    "component",
    "status",
    "reason",
    "summary",
    "value",
    "unit",
    "warn",
    "fail",
    "confidence",
    "evidence",
    "cause",
    "remedy",
    "advice",
    "guide",
}


def test_a_finding_has_every_key_of_the_contract_and_no_other():
    assert set(finding("host.disk.ok", "host", "ok", "Fine")) == CONTRACT


@pytest.mark.parametrize(
    "arguments, details, named",
    [
        (("x.y.z", "kitchen", "ok", ""), {}, "kitchen"),
        (("x.y.z", "host", "great", ""), {}, "great"),
        (("x.y.z", "host", "ok", ""), {"colour": "red"}, "colour"),
        (("x.y.z", "host", "ok", ""), {"confidence": "sure"}, "sure"),
        (("x.y.z", "host", "ok", ""), {"confidence": "blind"}, "blind"),
    ],
)
def test_a_finding_outside_the_contract_is_refused(arguments, details, named):
    with pytest.raises(ValueError, match=named):
        finding(*arguments, **details)


def test_unknown_is_bad_and_measured_nothing():
    item = finding("db.connection.unknown", "database", "unknown", "No answer")
    assert item["confidence"] == "blind"
    assert is_bad(item)


@pytest.mark.parametrize(
    "value, expected", [(79.9, "ok"), (80, "warn"), (89.9, "warn"), (90, "fail"), (100, "fail")]
)
def test_a_value_at_its_threshold_counts(value, expected):
    assert grade(value, 80, 90) == expected


def test_a_threshold_may_be_left_out():
    assert grade(1000, None, None) == "ok"
    assert grade(1000, 1, None) == "warn"


def test_roots_are_bad_and_derive_from_nothing():
    cause = finding("app.port.conflict", "app", "fail", "Held")
    symptom = finding("api.health.unreachable", "api", "fail", "Refused", cause="app.port.conflict")
    good = finding("host.disk.ok", "host", "ok", "Fine")
    assert roots([symptom, cause, good]) == [cause]


@pytest.mark.parametrize(
    "text, secret",
    [
        ("postgresql://sergas:hunter2secret@db/sergas", "hunter2secret"),
        ("redis://:hunter2secret@cache:6379/0", "hunter2secret"),
        ("Authorization: Zoho-oauthtoken abcdef.123", "abcdef.123"),
        ("Authorization: Bearer eyJhbGciOi", "eyJhbGciOi"),
        ("token 1000.8cb99dxxxxxxxxxxxxx9be93.9b8xxxxxxxxxxxxxxxf in use", "9b8xxxxxxxxxxxxxxxf"),
        ("DATABASE_PASSWORD=hunter2secret next", "hunter2secret"),
        ('{"client_secret": "hunter2 secret", "a": 1}', "hunter2 secret"),
        ("X-Api-Key: hunter2secret", "hunter2secret"),
        ("ENCRYPTION_KEY=hunter2secret", "hunter2secret"),
        ("SENTRY_DSN=https://hunter2secret@errors.example.com/1", "hunter2secret"),
        ("it says swordfish here", "swordfish"),
    ],
)
def test_secrets_do_not_survive(text, secret):
    clean = redact(text, secrets=["swordfish"])
    assert secret not in clean
    assert MASK in clean


@pytest.mark.parametrize(
    "name, secret",
    [
        ("DATABASE_PASSWORD", True),
        ("COGNEE_API_KEY", True),
        ("ENCRYPTION_KEY", True),
        ("SENTRY_DSN", True),
        ("PGPASS", True),
        ("--private-key", True),
        ("API_PORT", False),
        ("KEYCLOAK_URL", False),
        ("PASSENGER_ROOT", False),
    ],
)
def test_which_names_are_those_of_secrets(name, secret):
    assert is_secret_name(name) is secret


def test_what_is_no_secret_stays():
    text = "authentication failed for user=alice remote_ip=203.0.113.9 path=/api/v1/login"
    assert redact(text) == text
    assert redact("sso is short", secrets=["sso"]) == "sso is short"


def test_secrets_in_keys_and_lists_are_found_too():
    data = {"swordfish": ["swordfish", 1, None, {"deep": ("swordfish",)}]}
    assert redact_all(data, ["swordfish"]) == {MASK: [MASK, 1, None, {"deep": [MASK]}]}


def test_redacting_a_long_word_takes_no_time():
    word = "x" * 1000000
    assert redact(word + " DB_PASSWORD=hidden") == word + " DB_PASSWORD=********"
