# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._net.resp import RedisError
from ansible_collections.sergas.ops.plugins.module_utils._zoho import store

SCRIPT = "ERR Error running script (call to f_0a): @user_script:9: @user_script: 9: "


@pytest.mark.parametrize(
    ("text", "told"),
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
def test_what_redis_refuses_is_told_apart_without_its_text(text, told):
    failure = store.explain(RedisError(text), "10.0.0.7:6379")
    assert failure.error_kind == told
    assert "10.0.0.7:6379" in str(failure)
    assert "secret-token" not in str(failure)
