# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sergas_health against real PostgreSQL and Redis servers: each way to fail is distinguished."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time

import pytest
from redis.exceptions import OutOfMemoryError

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._host import postgresql_clusters

from .conftest import PASSWORD
from .redis_server import RedisServer

HBA = """\
local   all    all               peer
host    all    md5_role          127.0.0.1/32 md5
host    all    clear_role        127.0.0.1/32 password
hostssl all    tls_role          127.0.0.1/32 scram-sha-256
host    all    tls_role          127.0.0.1/32 reject
host    all    rejected_role     127.0.0.1/32 reject
host    all    all               127.0.0.1/32 scram-sha-256
"""


@pytest.fixture(scope="module")
def server(make_postgres, tmp_path_factory):
    """A server with TLS, ten slots, and a role for each way to authenticate and to fail."""
    tls = {}
    if shutil.which("openssl"):
        directory = tmp_path_factory.mktemp("tls")
        request = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]
        subprocess.run(
            [*request, "-keyout", directory / "key", "-out", directory / "cert"],
            check=True,
            capture_output=True,
        )
    server = make_postgres(max_connections=13, superuser_reserved_connections=3)
    if shutil.which("openssl"):
        for name in ("key", "cert"):
            target = server.directory / name
            shutil.copy(directory / name, target)
            shutil.chown(target, server.owner, server.owner)
            target.chmod(0o600)
        tls = {
            "ssl": "on",
            "ssl_cert_file": f"'{server.directory}/cert'",
            "ssl_key_file": f"'{server.directory}/key'",
        }
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        for role in ("app", "tls_role", "clear_role", "rejected_role", "limited_role"):
            cursor.execute(f"CREATE ROLE {role} LOGIN PASSWORD %s", [PASSWORD])
        cursor.execute("ALTER ROLE limited_role CONNECTION LIMIT 0")
        cursor.execute("CREATE ROLE nologin_role PASSWORD %s", [PASSWORD])
        cursor.execute("SET password_encryption = md5")
        cursor.execute("CREATE ROLE md5_role LOGIN PASSWORD %s", [PASSWORD])
        cursor.execute("CREATE DATABASE prod OWNER app")
        cursor.execute("CREATE DATABASE closed OWNER app")
        cursor.execute("REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
    server.stop()
    (server.data / "pg_hba.conf").write_text(HBA)
    server.configure(tls)
    server.start()
    server.tls = bool(tls)
    return server


@pytest.fixture
def diagnose(run_module, tmp_path):
    """Return a function that runs one check with the app's settings and returns its findings by
    id.
    """

    def run(check, deadline=5, **settings):
        path = tmp_path / "env"
        quoted = {
            name: value.replace("\\", "\\\\").replace('"', '\\"')
            for name, value in settings.items()
        }
        path.write_text("".join(f'{name}="{value}"\n' for name, value in quoted.items()))
        options = {"checks": [check], "components": ["app"], "env_file": str(path)}
        options["deadline"] = deadline
        result = run_module("sergas_health", options)
        assert PASSWORD not in repr(result)
        return {finding["id"]: finding for finding in result["findings"]}

    return run


def database(server, user="app", name="prod", password=PASSWORD, host="127.0.0.1", **more):
    given = {
        "HOST": host,
        "PORT": str(server.port),
        "NAME": name,
        "USER": user,
        "PASSWORD": password,
        **more,
    }
    return {"DATABASE_" + key: value for key, value in given.items()}


@pytest.mark.parametrize("user", ["app", "md5_role", "clear_role"])
def test_every_way_to_authenticate(server, diagnose, user):
    (item,) = diagnose("database", **database(server, user)).values()
    assert (item["id"], item["status"]) == ("db.connection.ok", "ok")
    assert item["evidence"]["slots"] == 10
    assert item["evidence"]["target"] == f"127.0.0.1:{server.port}"


def change(server, *statements):
    with contextlib.closing(server.connect(database="prod")) as connection:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def test_a_role_that_may_only_read_is_not_well(server, diagnose):
    settings = database(server)
    change(server, "ALTER ROLE app IN DATABASE prod SET default_transaction_read_only = on")
    try:
        (item,) = diagnose("database", **settings).values()
    finally:
        change(server, "ALTER ROLE app IN DATABASE prod RESET default_transaction_read_only")
    assert (item["id"], item["reason"]) == ("db.writes.refused", "read_only:database user")


def test_a_right_that_the_role_misses(server, diagnose):
    change(
        server,
        "CREATE TABLE accounts (id int)",
        "ALTER TABLE accounts OWNER TO app",
        "INSERT INTO accounts VALUES (1)",
        "REVOKE INSERT ON accounts FROM app",
    )
    try:
        for _attempt in range(20):
            # The server counts a moment later.
            found = diagnose("database", **database(server))
            if "db.writes.refused" in found:
                break
            time.sleep(0.2)
    finally:
        change(server, "DROP TABLE accounts")
    assert found["db.writes.refused"]["reason"] == "permission:public.accounts"


@pytest.mark.parametrize(
    ("settings", "id", "error_kind"),
    [
        ({"password": "wrong"}, "db.auth.failed", "password"),
        ({"user": "missing_role"}, "db.auth.failed", "password"),
        ({"user": "nologin_role"}, "db.auth.failed", "role"),
        ({"user": "rejected_role"}, "db.auth.failed", "pg_hba"),
        ({"user": "clear_role", "name": "closed"}, "db.auth.failed", "privilege"),
        ({"name": "missing"}, "db.missing", "database"),
        ({"user": "limited_role"}, "db.connections.exhausted", "role_limit"),
        ({"host": "no-such-host.invalid"}, "db.unreachable", "dns"),
    ],
)
def test_every_refusal_is_distinguished(server, diagnose, settings, id, error_kind):
    (item,) = diagnose("database", **database(server, **settings)).values()
    assert (item["id"], item["status"], item["evidence"]["error_kind"]) == (id, "fail", error_kind)


def test_tls_is_used_where_it_is_needed_and_reported_where_it_is_refused(server, diagnose):
    if not server.tls:
        pytest.skip("there is no openssl to make a certificate with")
    (item,) = diagnose("database", **database(server, "tls_role")).values()
    assert (item["status"], item["evidence"]["encrypted"]) == ("ok", True)
    (item,) = diagnose("database", **database(server, "tls_role", SSLMODE="disable")).values()
    assert (item["id"], item["evidence"]["error_kind"]) == ("db.auth.failed", "tls_required")
    (item,) = diagnose("database", **database(server, "app", SSLMODE="verify-full")).values()
    assert (item["id"], item["evidence"]["error_kind"]) == ("db.unreachable", "issuer")


def test_a_plain_role_sees_how_many_slots_others_take(server, diagnose):
    with contextlib.ExitStack() as stack:
        for _number in range(8):
            stack.enter_context(contextlib.closing(server.connect("md5_role", "prod")))
        (item,) = diagnose("database", **database(server)).values()
        assert (item["id"], item["status"], item["value"]) == (
            "db.connections.exhausted",
            "warn",
            80.0,
        )
        for _number in range(2):
            stack.enter_context(contextlib.closing(server.connect("md5_role", "prod")))
        (item,) = diagnose("database", **database(server)).values()
        assert (item["id"], item["status"]) == ("db.connections.exhausted", "fail")
        assert item["evidence"]["error_kind"] == "slots"


def test_a_server_that_is_stopped_or_frozen(server, diagnose):
    pid = int((server.data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        (item,) = diagnose("database", deadline=2, **database(server)).values()
        assert (item["id"], item["evidence"]["error_kind"]) == ("db.unreachable", "hung")
        assert time.monotonic() - started < 10
    finally:
        os.kill(pid, signal.SIGCONT)
    server.stop()
    try:
        (item,) = diagnose("database", **database(server)).values()
        assert (item["id"], item["evidence"]["error_kind"]) == ("db.unreachable", "refused")
        # One of Debian's clusters that runs here may be the server that was meant.
        clusters = postgresql_clusters.read(Deadline(10))
        elsewhere = any(cluster["running"] for cluster in clusters)
        assert item["remedy"] == (None if elsewhere else "start_postgresql")
    finally:
        server.start()


def test_settings_that_are_missing(diagnose):
    (item,) = diagnose("database", DATABASE_HOST="db1").values()
    assert (item["id"], item["status"]) == ("db.connection.unknown", "unknown")


@pytest.fixture
def redis(redis_programs, tmp_path):
    servers = []

    def start(*options, **settings):
        servers.append(RedisServer(tmp_path, *options, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def reached_by(server, **more):
    return {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port), **more}


class TestRedis:
    def test_a_server_that_is_well(self, redis, diagnose):
        (item,) = diagnose("redis", **reached_by(redis("--maxmemory", "64mb"))).values()
        assert (item["id"], item["status"]) == ("redis.ok", "ok")

    def test_passwords(self, redis, diagnose):
        good = PASSWORD.replace("\\", "x")
        server = redis(password=good)
        assert list(diagnose("redis", **reached_by(server, REDIS_PASSWORD=good))) == ["redis.ok"]
        for settings in (reached_by(server), reached_by(server, REDIS_PASSWORD="wrong-one")):
            assert (
                diagnose("redis", **settings)["redis.auth.failed"]["evidence"]["error_kind"]
                == "password"
            )
        unused = reached_by(redis(), REDIS_PASSWORD=good)
        assert (
            diagnose("redis", **unused)["redis.auth.failed"]["evidence"]["error_kind"]
            == "password_unused"
        )

    @pytest.mark.parametrize(
        ("policy", "id"),
        [("noeviction", "redis.writes.refused"), ("allkeys-lru", "redis.evicting")],
    )
    def test_memory_that_is_full(self, redis, diagnose, policy, id):
        server = redis("--maxmemory", "3mb", "--maxmemory-policy", policy)
        fill = "for i = 1, 4000 do redis.pcall('set', 'k' .. i, string.rep('x', 1000)) end"
        server.client.eval(fill, 0)
        for number in range(200):
            with contextlib.suppress(OutOfMemoryError):
                server.client.set(f"n{number}", "x" * 4000)
            if id in diagnose("redis", **reached_by(server)):
                break
        item = diagnose("redis", **reached_by(server))[id]
        assert item["status"] in ("warn", "fail")

    def test_a_server_that_takes_no_writes(self, redis, diagnose):
        server = redis()
        settings = reached_by(server)
        server.client.config_set("min-replicas-to-write", 1)
        assert diagnose("redis", **settings)["redis.writes.refused"]["reason"] == "replicas"
        server.client.config_set("min-replicas-to-write", 0)
        server.client.replicaof("127.0.0.1", "1")
        assert diagnose("redis", **settings)["redis.writes.refused"]["reason"] == "replica"
        server.client.replicaof("no", "one")
        assert list(diagnose("redis", **settings)) == ["redis.ok"]
        # The attempt has set nothing.
        assert server.client.dbsize() == 0

    def test_a_user_that_may_read_and_write_only(self, redis, diagnose):
        server = redis()
        server.client.acl_setuser(
            "app",
            enabled=True,
            passwords="+App-Secret-77",
            keys="*",
            categories=["+@read", "+@write"],
        )
        settings = reached_by(server, REDIS_USERNAME="app", REDIS_PASSWORD="App-Secret-77")
        assert list(diagnose("redis", **settings)) == ["redis.ok"]

    def test_a_server_that_hangs_or_is_gone(self, redis, diagnose):
        server = redis()
        server.suspend()
        started = time.monotonic()
        assert (
            diagnose("redis", deadline=2, **reached_by(server))["redis.unreachable"]["evidence"][
                "error_kind"
            ]
            == "hung"
        )
        assert time.monotonic() - started < 10
        server.stop()
        item = diagnose("redis", **reached_by(server))["redis.unreachable"]
        assert (item["evidence"]["error_kind"], item["remedy"]) == ("refused", "start_redis")

    def test_something_else_on_the_port(self, server, diagnose):
        item = diagnose("redis", REDIS_HOST="127.0.0.1", REDIS_PORT=str(server.port))[
            "redis.unreachable"
        ]
        assert item["evidence"]["error_kind"] in ("protocol", "closed")
