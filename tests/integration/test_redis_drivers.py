# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both drivers of Redis with real servers: the same replies, errors and deadlines."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import redis
from ansible_collections.sergas.ops.plugins.module_utils._net.resp import RedisError
from ansible_collections.sergas.ops.plugins.module_utils._net.tcp import ConnectionFailed

from .redis_server import RedisServer, until

SPEC = importlib.util.spec_from_file_location(
    "zoho_server", Path(__file__).resolve().parents[1] / "zoho_server" / "server.py"
)
zoho_server = importlib.util.module_from_spec(SPEC)
sys.modules.setdefault(SPEC.name, zoho_server)
SPEC.loader.exec_module(zoho_server)

PASSWORD = "Pass w0rd\"of 'the\\fleet"
ACL_PASSWORD = "another-pässword"
#: A replica of a master that does not exist: it answers, and takes no writes.
REPLICA = ("--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "yes")


@pytest.fixture(params=redis.DRIVERS)
def driver(request):
    return request.param


@pytest.fixture(scope="module")
def start(redis_programs, tmp_path_factory):
    servers = []

    def run(*options, **settings):
        servers.append(RedisServer(tmp_path_factory.mktemp("redis"), *options, **settings))
        return servers[-1]

    yield run
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def server(start, tmp_path_factory):
    """A server with a password, a user who may read, TLS and a Unix socket."""
    certificate = zoho_server.make_certificate(tmp_path_factory.mktemp("tls"))
    both = ("--bind", "127.0.0.1", "127.0.0.2")
    server = start(*both, password=PASSWORD, certificate=certificate)
    grants = "on", ">" + ACL_PASSWORD, "~public:*", "+get", "+ping", "+select", "+eval"
    server.client.execute_command("ACL", "SETUSER", "reader", *grants)
    return server


def connect(target, driver, seconds=5.0):
    client = redis.connect(target, Deadline(seconds), driver)
    assert client.driver == driver
    return client


def refusal(target, driver, *words):
    """Return the error of a command, or of the login before it."""
    with pytest.raises(RedisError) as error:
        connect(target, driver).call(*words)
    return error.value


def failure(target, driver, seconds=5.0):
    """Return the failure of a connection, or of the first command on it."""
    with pytest.raises(ConnectionFailed) as error:
        connect(target, driver, seconds).call("PING")
    return error.value


def by_tcp(server, **more):
    return redis.Target("127.0.0.1", server.port, password=server.password, **more)


class TestConnections:
    def test_by_tcp_by_the_socket_and_by_tls(self, server, driver):
        targets = [
            by_tcp(server),
            redis.Target(str(server.socket), password=PASSWORD),
            redis.Target(
                "localhost",
                server.tls_port,
                password=PASSWORD,
                tls=True,
                ca_path=str(server.certificate),
            ),
        ]
        for target in targets:
            with connect(target, driver) as client:
                assert client.call("PING") == "PONG"

    def test_a_user_of_the_acl(self, server, driver):
        server.client.set("public:x", "1")
        target = by_tcp(server)._replace(user="reader", password=ACL_PASSWORD)
        with connect(target, driver) as client:
            assert client.call("GET", "public:x") == "1"
            for words in (("GET", "private"), ("SET", "public:x", "2")):
                with pytest.raises(RedisError) as error:
                    client.call(*words)
                assert (error.value.code, error.value.kind) == ("NOPERM", "password")
            with pytest.raises(RedisError) as error:
                client.call("EVAL", "return redis.call('GET', KEYS[1])", "1", "private")
            assert error.value.kind == "password"

    def test_a_number_of_a_database(self, server, driver):
        with connect(by_tcp(server, database=3), driver) as client:
            client.call("SET", "only-in-3", driver)
        assert server.client.get("only-in-3") is None
        assert refusal(by_tcp(server, database=99), driver, "PING").kind == "refusal"

    def test_the_certificate_is_checked(self, server, driver):
        trusted = redis.Target("localhost", server.tls_port, password=PASSWORD, tls=True)
        error = failure(trusted, driver)
        assert (error.kind, error.phase) == ("issuer", "tls")
        assert "self" in str(error)
        unreadable = trusted._replace(ca_path="/no/such/file.pem")
        error = failure(unreadable, driver)
        assert (error.kind, error.detail) == ("tls", "the file with the authorities cannot be read")
        # The certificate is not for this address.
        certified = trusted._replace(host="127.0.0.2", ca_path=str(server.certificate))
        assert failure(certified, driver).kind == "name"

    def test_without_tls_and_with_it_on_the_other_port(self, server, driver):
        # The server waits for more of what it takes for a command, until the deadline.
        assert failure(by_tcp(server, tls=True), driver, 1.0).kind in ("tls", "timeout", "closed")
        plain = redis.Target("127.0.0.1", server.tls_port)
        assert failure(plain, driver, 1.0).kind in ("closed", "protocol")

    @pytest.mark.parametrize(
        ("target", "kind"),
        [
            (redis.Target("127.0.0.1", 1), "refused"),
            (redis.Target("no-such-host.invalid"), "dns"),
            (redis.Target("/no/such/redis.sock"), "missing"),
        ],
    )
    def test_a_server_that_does_not_exist(self, driver, target, kind):
        assert failure(target, driver).reason == kind

    def test_a_server_that_hangs(self, start, driver):
        server = start()
        with connect(by_tcp(server), driver) as client:
            assert client.call("PING") == "PONG"
            server.suspend()
            started = time.monotonic()
            client.within(Deadline(0.5))
            with pytest.raises(ConnectionFailed) as error:
                client.call("PING")
            assert error.value.reason == "hung"
            assert failure(by_tcp(server, database=1), driver, 0.5).reason == "hung"
            assert time.monotonic() - started < 3

    def test_a_server_that_ends(self, start, driver):
        server = start()
        with connect(by_tcp(server), driver) as client:
            client.call("PING")
            server.stop()
            with pytest.raises(ConnectionFailed) as error:
                client.call("PING")
            assert error.value.kind == "closed"
        assert failure(by_tcp(server), driver).kind == "refused"


class TestReplies:
    def test_of_each_type(self, server, driver):
        with connect(by_tcp(server), driver) as client:
            assert client.call("EVAL", "return {1, 'a', {2, false}, -3}", "0") == [
                "1",
                "a",
                ["2", None],
                "-3",
            ]
            assert client.call("GET", "no-such-key") is None
            text = "two\r\nlines, ü and " + "x" * 100000
            assert client.call("SET", "text", text) == "OK"
            assert client.call("GET", "text") == text
            assert client.call("STRLEN", "text") == str(len(text.encode()))

    @pytest.mark.parametrize(
        ("user", "password", "code", "kind"),
        [
            (None, None, "NOAUTH", "password"),
            (None, "wrong", "WRONGPASS", "password"),
            ("reader", "wrong", "WRONGPASS", "password"),
            ("no-such-user", PASSWORD, "WRONGPASS", "password"),
        ],
    )
    def test_a_login_that_is_refused(self, server, driver, user, password, code, kind):
        error = refusal(by_tcp(server)._replace(user=user, password=password), driver, "PING")
        assert (error.code, error.kind) == (code, kind)

    def test_a_password_that_is_not_needed(self, start, driver):
        error = refusal(by_tcp(start())._replace(password="x"), driver, "PING")
        assert error.kind == "password_unused"

    def test_a_replica_takes_no_writes(self, start, driver):
        server = start(*REPLICA)
        script = "return redis.call('SET', KEYS[1], 'x')"
        for words in (["SET", "k", "v"], ["EVAL", script, "1", "k"]):
            error = refusal(by_tcp(server), driver, *words)
            assert (error.code, error.kind) == ("READONLY", "writes")

    def test_a_memory_that_is_full(self, start, driver):
        server = start("--maxmemory", "1", "--maxmemory-policy", "noeviction")
        error = refusal(by_tcp(server), driver, "SET", "k", "v")
        assert (error.code, error.kind) == ("OOM", "memory")

    def test_a_limit_of_clients(self, start, driver):
        server = start("--maxclients", "1")
        server.client.ping()
        with pytest.raises((RedisError, ConnectionFailed)) as error:
            connect(by_tcp(server), driver).call("PING")
        # Where the server has closed the connection before the command, its reason is lost.
        assert error.value.kind in ("clients", "closed")

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("LOADING Redis is loading the dataset in memory", "loading"),
            ("MOVED 3999 127.0.0.1:6381", "cluster"),
            ("MASTERDOWN Link with MASTER is down", "replica"),
            ("MISCONF Redis is configured to save RDB snapshots", "writes"),
        ],
    )
    def test_other_errors(self, server, driver, text, kind):
        script = "return redis.error_reply('%s')" % text
        error = refusal(by_tcp(server), driver, "EVAL", script, "0")
        assert (str(error), error.kind) == (text, kind)


@pytest.fixture(scope="module")
def sentinel(server, tmp_path_factory):
    directory = tmp_path_factory.mktemp("sentinel")
    file = directory / "sentinel.conf"
    quoted = '"%s"' % PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    file.write_text(
        "sentinel monitor mymaster 127.0.0.1 %d 1\nsentinel auth-pass mymaster %s\n"
        % (server.port, quoted)
    )
    sentinel = RedisServer(directory, leading=(file, "--sentinel"))
    yield sentinel
    sentinel.stop()


class TestSentinel:
    def url(self, sentinel, service="mymaster"):
        from urllib.parse import quote

        # The first one does not exist.
        hosts = "127.0.0.1:1,127.0.0.1:%d" % sentinel.port
        return "redis+sentinel://:%s@%s/%s/3" % (quote(PASSWORD, safe=""), hosts, service)

    def test_the_master_is_found(self, sentinel, server):
        target = redis.sentinel_target(self.url(sentinel))
        until(lambda: sentinel.client.sentinel_masters()["mymaster"]["flags"] == "master")
        with connect(target, "redis-py") as client:
            assert client.call("SET", "through", "sentinel") == "OK"
        server.client.select(3)
        assert server.client.get("through") == "sentinel"
        server.client.select(0)

    def test_a_service_that_no_sentinel_knows(self, sentinel):
        error = failure(redis.sentinel_target(self.url(sentinel, "other")), "redis-py")
        assert error.kind == "unreachable"
        assert "other" in str(error)

    def test_sentinels_that_hang(self, sentinel):
        sentinel.suspend()
        started = time.monotonic()
        error = failure(redis.sentinel_target(self.url(sentinel)), "redis-py", 1.0)
        assert error.kind in ("unreachable", "timeout")
        assert time.monotonic() - started < 3

    def test_the_built_in_client_says_what_it_needs(self, sentinel):
        with pytest.raises(redis.DriverMissing, match="needs redis-py"):
            connect(redis.sentinel_target(self.url(sentinel)), "resp")
