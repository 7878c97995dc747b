# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import app_config
from ansible_collections.sergas.ops.plugins.module_utils._net import redis
from ansible_collections.sergas.ops.plugins.module_utils._zoho import configuration
from ansible_collections.sergas.ops.plugins.module_utils._zoho.store import StoreFailed

OPTIONS = ("host", "port", "user", "password", "db", "tls", "ca_path")
SENTINEL = "redis+sentinel://:of-the-url@s1,s2:7000/mymaster/4"


def target(text, **given):
    params = {"redis_" + name: given.get(name) for name in OPTIONS}
    settings = app_config.settings(app_config.interpret(text), params)
    return configuration.redis_target(settings, params)


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("", {}, None),
        ("REDIS_HOST=r\nREDIS_DB=2\n", {}, redis.Target("r", database=2)),
        ("REDIS_HOST=r\nREDIS_DB=2\n", {"db": 0}, redis.Target("r")),
        (
            "REDIS_HOST=r\n",
            {"tls": True, "ca_path": "/ca"},
            redis.Target("r", tls=True, ca_path="/ca"),
        ),
        (
            "REDIS_URL=rediss://u:p@r:7000/3\nREDIS_DB=2\n",
            {},
            redis.Target("r", 7000, "u", "p", 3, True),
        ),
        # As redis-py reads it: the option of the URL comes first.
        ("REDIS_URL=redis://r/3?db=5\n", {}, redis.Target("r", database=5)),
        (
            "REDIS_URL=unix:///run/redis.sock?db=5\n",
            {},
            redis.Target("/run/redis.sock", database=5),
        ),
        (
            "REDIS_URL=unix://:p@/run/redis.sock\n",
            {},
            redis.Target("/run/redis.sock", password="p"),
        ),
        ("REDIS_URL=redis://r\n", {"host": "/run/s"}, redis.Target("/run/s")),
        ("REDIS_URL=unix:///run/s\n", {"host": "r"}, redis.Target("r")),
    ],
)
def test_the_redis_of_the_fleet(text, given, expected):
    assert target(text, **given) == expected


def test_sentinels():
    sentinels = redis.Sentinels("mymaster", (("s1", 26379), ("s2", 7000)))
    expected = redis.Target("", password="of-the-url", database=4, sentinels=sentinels)
    assert target("REDIS_URL=%s\n" % SENTINEL) == expected
    found = target("REDIS_URL=%s\n" % SENTINEL, user="u", password="given", db=1)
    assert found == expected._replace(user="u", password="given", database=1)
    bare = SENTINEL.replace(":of-the-url@", "")
    assert target("REDIS_URL=%s\nREDIS_PASSWORD=x\n" % bare).password == "x"
    # The option names a server.
    assert target("REDIS_URL=%s\n" % SENTINEL, host="r").sentinels is None


def test_a_url_of_sentinels_that_is_none_is_refused_without_its_text():
    with pytest.raises(StoreFailed, match="REDIS_URL") as failure:
        target("REDIS_URL=redis+sentinel://:s3cret@s1\n")
    assert "s3cret" not in str(failure.value)


def test_secrets():
    assert configuration.secrets(None) == []
    found = redis.sentinel_target("redis+sentinel://:one@s1/m?sentinel_password=two")
    assert configuration.secrets(found) == ["one", "two"]
