# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._net import redis
from ansible_collections.sergas.ops.plugins.module_utils._net.resp import RedisError
from ansible_collections.sergas.ops.plugins.module_utils._net.tcp import ConnectionFailed
from ansible_collections.sergas.ops.plugins.module_utils._zoho import store

SCRIPT = "ERR Error running script (call to f_0a): @user_script:9: @user_script: 9: "


@pytest.mark.parametrize(
    ("text", "error_kind"),
    [
        ("NOAUTH Authentication required.", "auth"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "auth"),
        ("ERR invalid password", "auth"),
        ("ERR Client sent AUTH, but no password is set", "auth"),
        ("ERR AUTH <password> called without any password configured for the user", "auth"),
        ("NOPERM this user has no permissions to run the 'eval' command", "auth"),
        (SCRIPT + "-NOPERM this user has no permissions to access one of the keys", "auth"),
        ("LOADING Redis is loading the dataset in memory", "loading"),
        ("BUSY Redis is busy running a script.", "loading"),
        ("READONLY You can't write against a read only replica.", "readonly"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "readonly"),
        (SCRIPT + "-READONLY You can't write against a read only replica.", "readonly"),
        (SCRIPT + "-OOM command not allowed when used memory > 'maxmemory'.", "readonly"),
        ("MISCONF Redis is configured to save RDB snapshots", "readonly"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "refusal"),
        ("ERR unknown command `EVAL`, with args beginning with: `secret-token`", "refusal"),
    ],
)
def test_what_redis_refuses_is_distinguished_without_its_text(text, error_kind):
    failure = store.explain(RedisError(text), "10.0.0.7:6379")
    assert failure.error_kind == error_kind
    assert "10.0.0.7:6379" in str(failure)
    assert "secret-token" not in str(failure)


class Client:
    """A connection whose only command fails or is answered."""

    def __init__(self, outcome):
        self.outcome = outcome

    def within(self, deadline):
        """Keep no deadline."""

    def close(self):
        """Close nothing."""

    def call(self, *_words):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


REPLICA = RedisError("READONLY You can't write against a read only replica.")


@pytest.mark.parametrize(
    ("outcomes", "sentinels", "result"),
    [
        ([ConnectionFailed("closed", "first_byte", "x"), "1"], False, 1),
        ([RedisError("LOADING Redis is loading the dataset in memory"), "1"], False, 1),
        # A fixed address stays that of a replica; Sentinels name the new master.
        ([REPLICA, "1"], False, "readonly"),
        ([REPLICA, "1"], True, 1),
        ([RedisError("OOM command not allowed"), "1"], True, "readonly"),
        ([redis.DriverMissing("needs redis-py")], True, "driver"),
    ],
)
def test_what_is_over_in_a_moment_is_tried_again(monkeypatch, outcomes, sentinels, result):
    known = redis.Sentinels("mymaster", (("s1", 26379),)) if sentinels else None
    target = redis.Target("r1", sentinels=known)
    left = list(outcomes)

    def connect(_target, _deadline):
        outcome = left.pop(0)
        if isinstance(outcome, redis.DriverMissing):
            raise outcome
        return Client(outcome)

    monkeypatch.setattr(store.redis, "connect", connect)
    monkeypatch.setattr(store, "_PAUSE", 0)
    shared = store.RedisStore(target, "mine", "refresh", 10, 600, 15, timeout=5)
    if isinstance(result, int):
        assert shared.acquire("me") == result
        return
    with pytest.raises(store.StoreFailed) as failure:
        shared.acquire("me")
    assert failure.value.error_kind == result
