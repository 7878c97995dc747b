# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere
from ansible_collections.sergas.ops.plugins.module_utils._health import reach, redis_writes
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import redis
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config, local_servers
from ansible_collections.sergas.ops.plugins.module_utils._net import resp

THRESHOLD = (80.0, 90.0, "%")
MIB = 1024 * 1024


def answered(refused=None, **info):
    given = {
        "used_memory": 10 * MIB,
        "maxmemory": 100 * MIB,
        "evicted_keys": 0,
        "maxmemory_policy": "allkeys-lru",
    }
    return {
        "address": "r1:6379",
        "local": False,
        "info": dict(given, **info),
        "refused": refused,
        "message": None,
    }


def judged(result):
    (item,) = redis.judge(result, THRESHOLD)
    return item


def test_a_server_that_is_well():
    item = judged(answered(keyspace_hits=80, keyspace_misses=20))
    assert (item["id"], item["status"], item["value"]) == ("redis.ok", "ok", 10.0)
    assert (item["evidence"]["target"], item["evidence"]["hit_percent"]) == ("r1:6379", 80.0)


@pytest.mark.parametrize(
    ("used", "evicted", "id", "status"),
    [
        (79 * MIB, 0, "redis.ok", "ok"),
        (80 * MIB, 0, "redis.memory.high", "warn"),
        (90 * MIB, 0, "redis.memory.high", "fail"),
        (95 * MIB, 7, "redis.evicting", "fail"),
        (10 * MIB, 7, "redis.ok", "ok"),
    ],
)
def test_memory_against_its_limit(used, evicted, id, status):
    item = judged(answered(used_memory=used, evicted_keys=evicted))
    assert (item["id"], item["status"]) == (id, status)


def test_without_a_limit_the_memory_is_reported_only():
    item = judged(answered(maxmemory=0, used_memory=3 * MIB))
    assert (item["status"], item["value"], item["unit"]) == ("ok", 3 * MIB, "bytes")


def test_figures_that_may_not_be_read():
    item = judged(
        {"address": "r1:6379", "local": False, "info": {}, "refused": None, "why": "NOPERM"}
    )
    assert (item["status"], item["evidence"]["memory_unknown"]) == ("ok", "NOPERM")


@pytest.mark.parametrize("reason", redis_writes.WORDS)
def test_a_server_that_refuses_writes(reason):
    item = judged(answered(refused=reason))
    assert (item["id"], item["status"], item["reason"]) == ("redis.writes.refused", "fail", reason)
    assert redis_writes.WORDS[reason][0] in item["summary"]


def test_a_replica_names_its_master():
    info = {"role": "slave", "master_host": "10.0.0.9", "master_port": 6390}
    assert "a replica of 10.0.0.9:6390" in judged(answered(refused="replica", **info))["summary"]


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"role": "master"}, None),
        ({"role": "slave", "slave_read_only": 1}, "replica"),
        ({"role": "slave", "slave_read_only": 0}, None),
        ({"redis_mode": "sentinel"}, "sentinel"),
        ({"role": "master", "min_slaves_good_slaves": 0}, "replicas"),
        ({"role": "master", "min_slaves_good_slaves": 2}, None),
        ({"aof_last_write_status": "err"}, "save"),
        ({"used_memory": 11, "maxmemory": 10, "maxmemory_policy": "noeviction"}, "memory"),
        ({"used_memory": 11, "maxmemory": 10, "maxmemory_policy": "allkeys-lru"}, None),
        (
            {
                "used_memory": 11,
                "mem_not_counted_for_evict": 2,
                "maxmemory": 10,
                "maxmemory_policy": "noeviction",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_what_the_figures_say_of_writes(info, reason):
    assert redis_writes.by_info(info) == reason


class Script:
    """A client whose server gives these answers, an error for a text that begins with ``-``."""

    def __init__(self, **answers):
        self.answers = {"SETRANGE": "0", "INFO": "role:master\r\n", "AUTH": "OK", "PING": "PONG"}
        self.answers.update(answers)
        self.sent = []

    def log_in(self, user, password):
        self.call("AUTH", password)

    def call(self, *words):
        self.sent.append(words)
        answer = self.answers[words[0]]
        if answer.startswith("-"):
            raise resp.RedisError(answer[1:])
        return answer


NOPERM = "-NOPERM this user has no permissions to run the '%s' command"


@pytest.mark.parametrize(
    ("answers", "refused"),
    [
        ({}, None),
        ({"SETRANGE": "-READONLY You can't write against a read only replica."}, "replica"),
        ({"SETRANGE": "-NOREPLICAS Not enough good replicas to write."}, "replicas"),
        ({"SETRANGE": "-MISCONF Redis is configured to save RDB snapshots"}, "save"),
        ({"SETRANGE": "-OOM command not allowed when used memory > 'maxmemory'."}, "memory"),
        ({"SETRANGE": "-CLUSTERDOWN The cluster is down"}, "cluster"),
        ({"SETRANGE": "-MOVED 866 10.0.0.8:6379"}, None),
        ({"SETRANGE": "-WRONGTYPE Operation against a key"}, None),
        ({"SETRANGE": "-ERR unknown command", "INFO": "redis_mode:sentinel\r\n"}, "sentinel"),
        (
            {
                "AUTH": "-ERR AUTH <password> called without any password configured",
                "INFO": "redis_mode:sentinel\r\n",
            },
            "sentinel",
        ),
        (
            {"SETRANGE": NOPERM % "setrange", "INFO": "role:slave\r\nslave_read_only:1\r\n"},
            "replica",
        ),
    ],
)
def test_an_attempt_to_write(answers, refused):
    found = reach._query(Script(**answers), {"user": None, "password": "x"})
    assert (found["refused"], found["gaps"]) == (refused, {})


def test_a_user_that_may_write_and_nothing_else_is_well():
    found = reach._query(Script(INFO=NOPERM % "info"), {"user": "app", "password": "x"})
    assert (found["refused"], found["gaps"]) == (None, {})
    item = judged(dict(found, address="r1:6379", local=False))
    assert (item["id"], item["status"]) == ("redis.ok", "ok")


def test_a_user_that_may_not_ping_is_said_to():
    found = reach._query(Script(PING=NOPERM % "ping"), {"user": "app", "password": "x"})
    item = judged(dict(found, address="r1:6379", local=False))
    assert (item["id"], item["evidence"]["may_ping"]) == ("redis.ok", False)
    assert "may not PING" in item["summary"]
    found = reach._query(Script(), {"user": "app", "password": "x"})
    assert "PING" not in judged(dict(found, address="r1:6379", local=False))["summary"]


def test_a_user_of_whom_nothing_can_be_seen_is_a_gap():
    script = Script(SETRANGE=NOPERM % "setrange", INFO=NOPERM % "info")
    found = reach._query(script, {"user": "app", "password": "x"})
    assert list(found["gaps"]) == ["writes"]


def test_the_attempt_sets_nothing():
    script = Script()
    reach._query(script, {"user": None, "password": "x"})
    (attempt,) = [words for words in script.sent if words[0] == "SETRANGE"]
    assert attempt[2:] == ("0", "")


@pytest.mark.parametrize("message", ["NOAUTH Authentication required.", "LOADING Redis is loading"])
def test_a_login_that_is_refused_is_no_answer_about_writes(message):
    with pytest.raises(resp.RedisError):
        reach._query(Script(SETRANGE="-" + message), {"user": None, "password": None})


#: what real servers say (7.0, and 5.0 where it says it otherwise)
@pytest.mark.parametrize(
    ("message", "error_kind", "id"),
    [
        ("NOAUTH Authentication required.", "password", "redis.auth.failed"),
        (
            "WRONGPASS invalid username-password pair or user is disabled.",
            "password",
            "redis.auth.failed",
        ),
        ("ERR invalid password", "password", "redis.auth.failed"),
        ("ERR Client sent AUTH, but no password is set", "password_unused", "redis.auth.failed"),
        (
            "ERR AUTH <password> called without any password configured for the default user.",
            "password_unused",
            "redis.auth.failed",
        ),
        ("DENIED Redis is running in protected mode because", "protected", "redis.auth.failed"),
        ("LOADING Redis is loading the dataset in memory", "loading", "redis.unreachable"),
        ("BUSY Redis is busy running a script.", "busy", "redis.unreachable"),
        ("MASTERDOWN Link with MASTER is down", "replica", "redis.unreachable"),
        ("ERR max number of clients reached", "clients", "redis.unreachable"),
        ("ERR unknown command", "refusal", "redis.unreachable"),
    ],
)
def test_errors_are_distinguished(message, error_kind, id):
    assert resp.RedisError(message).kind == error_kind
    item = judged(
        {
            "address": "r1:6379",
            "local": False,
            "failure": {"error_kind": error_kind, "message": message},
        }
    )
    assert (item["id"], item["status"]) == (id, "fail")


@pytest.mark.parametrize(
    "kind",
    [
        "dns",
        "refused",
        "missing",
        "unreachable",
        "denied",
        "timeout",
        "hung",
        "closed",
        "protocol",
        "tls",
    ],
)
def test_every_way_a_connection_fails_has_a_distinct_sentence(kind):
    item = judged(
        {"address": "r1:6379", "local": False, "failure": {"error_kind": kind, "message": "m"}}
    )
    assert item["id"] == "redis.unreachable"
    sentences = [sentence for _id, sentence, _remedy, _advice in redis._ERROR_KINDS.values()]
    assert len(set(sentences)) == len(sentences)


def test_a_server_of_this_host_that_requires_a_password_is_alive():
    failure = {"error_kind": "password", "message": "NOAUTH Authentication required."}
    assert (
        judged({"address": "127.0.0.1:6379", "local": True, "failure": failure})["status"] == "ok"
    )


def test_settings_that_are_missing_are_unknown():
    item = judged({"unset": "REDIS_HOST is not set in .env"})
    assert (item["id"], item["status"]) == ("redis.unknown", "unknown")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "REDIS_HOST=r\n",
            {"host": "r", "port": 6379, "user": None, "password": None, "tls": False},
        ),
        (
            "REDIS_HOST=r\nREDIS_PORT=7000\nREDIS_SSL=True\nREDIS_PASSWORD=x\n",
            {"port": 7000, "tls": True, "password": "x"},
        ),
        (
            "REDIS_URL=rediss://u:p%40@r:7000/1\n",
            {"host": "r", "user": "u", "password": "p@", "tls": True},
        ),
        ("REDIS_URL=redis://r/1\nREDIS_SSL=true\n", {"tls": False}),
        ("REDIS_URL=unix:///run/redis.sock\n", {"host": "/run/redis.sock"}),
    ],
)
def test_the_settings_of_the_app(text, expected):
    found = app_config.redis_target(app_config.settings(app_config.interpret(text), {}))
    assert {key: found[key] for key in expected} == expected


def test_no_settings():
    assert app_config.redis_target({}) is None


class TestTheServerOfThisHost:
    @pytest.fixture
    def local(self, tmp_path, monkeypatch):
        monkeypatch.setattr(local_servers, "_UNITS", [str(tmp_path)])
        monkeypatch.setattr(local_servers, "_ENABLED", str(tmp_path / "*.wants"))
        monkeypatch.setattr(local_servers.sockets, "pids_of", lambda names: [])
        paths = {name: str(tmp_path / name) for name in local_servers._REDIS}
        monkeypatch.setattr(local_servers, "_REDIS", paths)

        def find(text, tcp=(), paths=(), name="redis-server"):
            (tmp_path / name).write_text(text)
            monkeypatch.setattr(
                local_servers.sockets, "listening", lambda pids: (list(tcp), list(paths))
            )
            return local_servers.redis()

        return find

    def test_how_to_log_in_is_in_its_configuration(self, local):
        assert local_servers.redis() is None
        found = local('# port 1\nbind 127.0.0.1\nport 6380\nrequirepass "s3cret"\n')
        assert (found["host"], found["port"], found["password"]) == ("127.0.0.1", 6380, "s3cret")

    @pytest.mark.parametrize(
        ("text", "tcp", "paths", "expected"),
        [
            ("", [("0.0.0.0", 6379), ("::", 6379)], [], ("127.0.0.1", 6379)),
            ("bind 10.0.0.5\n", [("10.0.0.5", 6379)], [], ("10.0.0.5", 6379)),
            ("", [("::1", 6379)], [], ("::1", 6379)),
            # An option of its unit wins over the file.
            ("port 6379\n", [("127.0.0.1", 7000)], [], ("127.0.0.1", 7000)),
            ("port 6379\n", [("127.0.0.1", 6379), ("10.0.0.5", 16379)], [], ("127.0.0.1", 6379)),
            (
                "port 0\nunixsocket /run/r.sock\n",
                [],
                ["/run/r.sock"],
                ("/run/r.sock", 6379),
            ),
            # It does not run: what it is configured to.
            ("bind 10.0.0.5\nport 6380\n", [], [], ("10.0.0.5", 6380)),
            ("bind 127.0.0.1 -::1\n", [], [], ("127.0.0.1", 6379)),
            ("bind * -::*\n", [], [], ("127.0.0.1", 6379)),
            ("port 0\nunixsocket /run/r.sock\n", [], [], ("/run/r.sock", 6379)),
        ],
    )
    def test_where_it_listens_is_in_the_tables_of_the_kernel(
        self, local, text, tcp, paths, expected
    ):
        found = local(text, tcp, paths)
        assert (found["host"], found["port"], found["tls"]) == (*expected, False)

    def test_tls_alone(self, local):
        found = local("port 0\ntls-port 6380\n", [("127.0.0.1", 6380)])
        assert (found["host"], found["port"], found["tls"]) == ("127.0.0.1", 6380, True)

    def test_valkey_is_redis(self, monkeypatch, tmp_path, local):
        assert local("port 6390\n", name="valkey-server")["port"] == 6390

    def test_of_both_it_is_the_one_that_runs_or_starts_at_boot(self, monkeypatch, tmp_path, local):
        assert local_servers.redis_unit() is None
        assert local("port 6380\n")["port"] == 6380
        for name in ("redis-server", "valkey-server"):
            (tmp_path / (name + ".service")).touch()
        assert local_servers.redis_unit() == "redis-server"
        (tmp_path / "multi-user.target.wants").mkdir()
        (tmp_path / "multi-user.target.wants" / "valkey-server.service").touch()
        assert local_servers.redis_unit() == "valkey-server"
        assert local_servers.is_redis_enabled()
        assert local("port 6390\n", name="valkey-server")["port"] == 6390
        monkeypatch.setattr(
            local_servers.sockets,
            "pids_of",
            lambda names: [7] if "redis-server" in names else [],
        )
        assert local_servers.redis_unit() == "redis-server"
        assert local("port 6380\n")["port"] == 6380


def test_what_starts_the_server_is_named():
    failure = {"error_kind": "refused", "message": "m"}
    item = judged(
        {"address": "r1:6379", "local": True, "failure": failure, "unit": "valkey-server"}
    )
    assert (item["remedy"], item["evidence"]["unit"]) == ("start_redis", "valkey-server")


class TestObserve:
    def context(self, app, components=None, text="", error=None, **params):
        return types.SimpleNamespace(
            has=lambda component: app,
            params={"redis_host": None, **params},
            components=components,
            env_file="/app/.env",
            environment_error=error,
            settings=app_config.settings(app_config.interpret(text), params),
            deadline=Deadline(3),
        )

    def test_a_host_without_either(self, monkeypatch):
        monkeypatch.setattr(local_servers, "redis", lambda: None)
        with pytest.raises(NotHere):
            redis.observe(self.context(app=False))

    @pytest.mark.parametrize("hosts", ["s1", "s1:26379,s2:26379"])
    def test_sentinels_are_not_taken_for_a_server(self, monkeypatch, hosts):
        monkeypatch.setattr(local_servers, "redis", lambda: None)
        text = "REDIS_URL=redis+sentinel://:pw@%s/mymaster/0\n" % hosts
        ((result,), _gaps) = redis.observe(self.context(app=True, text=text))
        assert "Sentinels" in result["unset"]
        (item,) = redis.judge(result, THRESHOLD)
        assert (item["id"], item["status"]) == ("redis.unknown", "unknown")
        # The option names a server.
        options = {"redis_host": "127.0.0.1", "redis_port": 1}
        ((result,), _gaps) = redis.observe(self.context(app=True, text=text, **options))
        assert result["failure"]["error_kind"] == "refused"

    def test_the_server_of_a_host_without_an_app(self, monkeypatch, tmp_path):
        local = {"host": "127.0.0.1", "port": 1, "user": None, "password": None, "tls": False}
        monkeypatch.setattr(local_servers, "redis", lambda: local)
        wants = tmp_path / "multi-user.target.wants"
        monkeypatch.setattr(local_servers, "_ENABLED", str(tmp_path / "*.wants"))
        with pytest.raises(NotHere, match="not meant to run"):
            redis.observe(self.context(app=False))
        ((result,), _gaps) = redis.observe(self.context(app=False, components=["redis"]))
        assert (result["local"], result["failure"]["error_kind"]) == (True, "refused")
        wants.mkdir()
        (wants / "redis-server.service").touch()
        ((result,), _gaps) = redis.observe(self.context(app=False))
        assert result["failure"]["error_kind"] == "refused"

    def test_settings_that_are_missing(self):
        assert redis.observe(self.context(app=True)).value == [
            {"unset": "REDIS_HOST is not set in /app/.env"}
        ]


def test_writes_that_are_refused_for_a_full_memory_derive_from_it():
    info = {"used_memory": 990, "maxmemory": 1000, "evicted_keys": 0}
    result = {"address": "r:6379", "info": info, "refused": "memory", "message": "OOM"}
    memory, refused = redis.judge(result, (80.0, 90.0, "%"))
    assert (memory["id"], memory["status"]) == ("redis.memory.high", "fail")
    assert (refused["id"], refused["cause"]) == ("redis.writes.refused", "redis.memory.high")
    (item,) = redis.judge(dict(result, info={}), (80.0, 90.0, "%"))
    assert (item["id"], item["cause"]) == ("redis.writes.refused", None)
