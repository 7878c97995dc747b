# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The PostgreSQL and Redis clients against local servers that misbehave: real sockets."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import pgwire, redis, resp
from ansible_collections.sergas.ops.plugins.module_utils._net.tcp import ConnectionFailed

#: The seconds that what ends at a deadline may take on a busy machine; else it never ends.
BUSY = 10.0


@contextlib.contextmanager
def serving(behave):
    """Run behave(connection) for each connection; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    behave(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def message(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


def error(code, routine="x", text="Fehler"):
    return message(
        b"E", b"SFATAL\0C%s\0M%s\0R%s\0\0" % (code.encode(), text.encode(), routine.encode())
    )


READY = (
    message(b"R", struct.pack("!i", 0))
    + message(b"S", b"server_version\x0017.2\0")
    + message(b"Z", b"I")
)


def answering(*answers):
    """Answer each thing the client sends with the next one."""

    def behave(connection):
        for answer in answers:
            connection.recv(4096)
            connection.sendall(answer)
        connection.recv(4096)

    return behave


def connect(port, seconds=2.0, tls="disable", **login):
    password = login.get("password", "secret")
    return pgwire.connect("127.0.0.1", port, "app", "prod", password, Deadline(seconds), tls)


def test_a_session_and_a_query():
    row = message(b"D", struct.pack("!h", 2) + struct.pack("!i", 1) + b"7" + struct.pack("!i", -1))
    result = message(b"T", b"\0\0") + row + message(b"C", b"SELECT 1\0") + message(b"Z", b"I")
    with serving(answering(READY, result)) as port, connect(port) as session:
        assert session.parameters == {"server_version": "17.2"}
        assert session.query("SELECT 7, NULL") == [["7", None]]


def test_the_session_waits_for_nothing():
    seen = []

    def behave(connection):
        seen.append(connection.recv(4096))
        connection.sendall(READY)
        connection.recv(4096)

    with serving(behave) as port, connect(port):
        words = seen[0][8:].split(b"\0")
    sent = dict(zip(words[::2], words[1::2]))
    assert (sent[b"user"], sent[b"database"]) == (b"app", b"prod")
    for option in (
        b"statement_timeout=3000",
        b"lock_timeout=1000",
    ):
        assert option in sent[b"options"]


def test_a_pooler_that_takes_no_options_gets_another_try_without():
    seen = []

    def behave(connection):
        seen.append(connection.recv(4096))
        connection.sendall(error("08P01") if b"options" in seen[-1] else READY)
        connection.recv(4096)

    with serving(behave) as port, connect(port):
        assert [b"options" in packet for packet in seen] == [True, False]


@pytest.mark.parametrize("code", ["28P01", "28000", "3D000", "53300", "57P03"])
def test_a_refusal_keeps_its_sqlstate_in_any_language(code):
    with serving(answering(error(code, "auth_failed"))) as port:
        with pytest.raises(pgwire.ServerError) as refusal:
            connect(port)
    assert (refusal.value.sqlstate, refusal.value.routine) == (code, "auth_failed")


def test_an_error_of_a_query_leaves_the_session_usable():
    broken = error("42501") + message(b"Z", b"I")
    with serving(answering(READY, broken, message(b"Z", b"I"))) as port, connect(port) as session:
        with pytest.raises(pgwire.ServerError, match="Fehler"):
            session.query("SELECT 1")
        assert session.query("SELECT 2") == []


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0" * 64,
        message(b"R", b""),
        b"R\x7f\xff\xff\xff",
        message(b"T", b"\0\0"),
    ],
)
def test_what_is_not_postgresql(data):
    with serving(answering(data)) as port, pytest.raises(ConnectionFailed) as failure:
        connect(port)
    assert failure.value.kind == "protocol"


@pytest.mark.parametrize("data", [b"", b"R\0\0", message(b"S", b"a\0b\0")])
def test_a_server_that_hangs_up(data):
    with serving(answering(data)) as port, pytest.raises(ConnectionFailed) as failure:
        connect(port, seconds=1.0)
    assert failure.value.kind in ("closed", "timeout")


@pytest.mark.parametrize("endless", [b"", message(b"N", b"x" * 50)])
def test_no_server_outlives_the_deadline(endless):
    def behave(connection):
        while True:
            connection.sendall(endless)
            time.sleep(0.02)

    started = time.monotonic()
    with serving(behave) as port, pytest.raises(ConnectionFailed) as failure:
        connect(port, seconds=0.4)
    assert failure.value.kind == "timeout"
    assert time.monotonic() - started < BUSY


def test_a_password_that_is_required_and_not_known():
    with serving(answering(message(b"R", struct.pack("!i", 3)))) as port:
        with pytest.raises(pgwire.PasswordMissing):
            connect(port, password=None)


@pytest.mark.parametrize("method", [7, 9])
def test_kerberos_is_said_not_to_be_known(method):
    request = message(b"R", struct.pack("!i", method))
    with serving(answering(request)) as port, pytest.raises(pgwire.AuthenticationUnsupported):
        connect(port)


@pytest.mark.parametrize(
    "challenge",
    [
        b"r=other,s=QSXCR+Q6sek8bf92,i=4096",
        b"nonsense",
        b"r=NONCE1,s=QSXCR+Q6sek8bf92,i=2000000000",
        b"r=NONCE1,s=!,i=x",
    ],
)
def test_a_scram_challenge_that_is_not_acceptable(challenge):
    def behave(connection):
        connection.recv(4096)
        connection.sendall(message(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0"))
        nonce = connection.recv(4096).partition(b"r=")[2]
        connection.sendall(
            message(b"R", struct.pack("!i", 11) + challenge.replace(b"NONCE", nonce))
        )
        connection.recv(4096)

    started = time.monotonic()
    with serving(behave) as port, pytest.raises(ConnectionFailed) as failure:
        connect(port)
    assert failure.value.kind == "protocol"
    assert time.monotonic() - started < BUSY


def test_scram_of_rfc_7677(monkeypatch):
    login = pgwire._Login("user", "pencil")
    login._bare = b"n=user,r=rOprNGfwEbeRWgbNEkqO"
    challenge = (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = login.answer(11, challenge)
    assert final.endswith(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    assert login.answer(12, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") is None
    with pytest.raises(ConnectionFailed):
        login.answer(12, b"v=AAAA")


@pytest.mark.parametrize(("tls", "works"), [("prefer", True), ("allow", True), ("require", False)])
def test_a_server_without_tls(tls, works):
    def behave(connection):
        first = connection.recv(4096)
        connection.sendall(b"N" if first == struct.pack("!ii", 8, 80877103) else READY)
        connection.recv(4096)

    with serving(behave) as port:
        if works:
            assert not connect(port, tls=tls).encrypted
        else:
            with pytest.raises(pgwire.TlsUnavailable):
                connect(port, tls=tls)


@pytest.mark.parametrize("driver", [resp.Client, redis.LibraryClient], ids=redis.DRIVERS[::-1])
class TestRedis:
    @pytest.fixture(autouse=True)
    def opener(self, driver):
        if driver.driver == "redis-py":
            pytest.importorskip("redis")
        self.open = lambda port, seconds=2.0: driver("127.0.0.1", port, Deadline(seconds))

    def call(self, *answers, seconds=2.0):
        with serving(answering(*answers)) as port, self.open(port, seconds) as client:
            return [client.call("PING") for _answer in answers]

    def test_replies(self, driver):
        assert self.call(b"+PONG\r\n", b":7\r\n", b"$-1\r\n", b"$3\r\na\nb\r\n") == [
            "PONG",
            "7",
            None,
            "a\nb",
        ]

    #: redis-py cuts off the codes of some of these, by its version.
    @pytest.mark.parametrize(
        ("text", "code", "kind"),
        [
            ("NOAUTH Authentication required.", "NOAUTH", "password"),
            ("WRONGPASS invalid username-password pair", "WRONGPASS", "password"),
            ("NOPERM this user has no permissions to run the 'get' command", "NOPERM", "password"),
            ("ERR invalid password", "ERR", "password"),
            ("ERR Client sent AUTH, but no password is set", "ERR", "password_unused"),
            ("READONLY You can't write against a read only replica.", "READONLY", "writes"),
            ("MISCONF Redis is configured to save RDB snapshots", "MISCONF", "writes"),
            ("LOADING Redis is loading the dataset in memory", "LOADING", "loading"),
            ("BUSY Redis is busy running a script.", "BUSY", "busy"),
            ("OOM command not allowed when used memory > 'maxmemory'.", "OOM", "memory"),
            ("MOVED 3999 192.0.2.7:6381", "MOVED", "cluster"),
            ("CLUSTERDOWN Hash slot not served", "CLUSTERDOWN", "cluster"),
            ("MASTERDOWN Link with MASTER is down", "MASTERDOWN", "replica"),
            ("DENIED Redis is running in protected mode", "DENIED", "protected"),
            ("ERR max number of clients reached", "ERR", "clients"),
            ("ERR unknown command", "ERR", "refusal"),
        ],
    )
    def test_an_error_has_its_code_and_its_text(self, driver, text, code, kind):
        with pytest.raises(resp.RedisError) as refusal:
            self.call(b"-%s\r\n" % text.encode())
        error = refusal.value
        assert (str(error), error.code, error.kind) == (text, code, kind)

    def test_a_connection_goes_on_after_an_error(self, driver):
        with serving(answering(b"-ERR unknown\r\n", b"+PONG\r\n")) as port:
            with self.open(port) as client:
                with pytest.raises(resp.RedisError):
                    client.call("NOSUCH")
                assert client.call("PING") == "PONG"

    @pytest.mark.parametrize(
        "data",
        [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"SSH-2.0-x\r\n",
            b"$999999999\r\n",
            b"$x\r\n",
            b"\r\n",
            b"x" * 20000,
        ],
    )
    def test_what_is_not_redis(self, driver, data):
        with pytest.raises(ConnectionFailed) as failure:
            self.call(data, seconds=0.5)
        self.is_no_reply(failure, driver.driver)

    @staticmethod
    def is_no_reply(failure, driver):
        """redis-py waits for the rest of what claims to be long, until the deadline."""
        kinds = {"resp": {"protocol"}, "redis-py": {"protocol", "timeout", "closed"}}
        assert failure.value.kind in kinds[driver]

    def test_a_server_that_drips_is_cut_off_at_the_deadline(self, driver):
        def behave(connection):
            connection.recv(4096)
            while True:
                connection.sendall(b"+")
                time.sleep(0.05)

        started = time.monotonic()
        with serving(behave) as port, self.open(port, 0.4) as client:
            with pytest.raises(ConnectionFailed) as failure:
                client.call("PING")
        assert (failure.value.kind, failure.value.reason) == ("timeout", "hung")
        assert time.monotonic() - started < BUSY

    def test_a_server_that_closes(self, driver):
        with serving(lambda connection: connection.recv(4096)) as port, self.open(port) as client:
            with pytest.raises(ConnectionFailed) as failure:
                client.call("PING")
        assert failure.value.kind == "closed"

    def test_a_server_that_hangs(self, driver):
        started = time.monotonic()
        with serving(lambda connection: time.sleep(30)) as port:
            with pytest.raises(ConnectionFailed) as failure:
                self.open(port, 0.3).call("PING")
        assert failure.value.kind == "timeout"
        assert time.monotonic() - started < BUSY

    def test_what_is_sent_is_not_taken_apart(self, driver):
        seen = []

        def behave(connection):
            seen.append(connection.recv(4096))
            connection.sendall(b"+OK\r\n")

        with serving(behave) as port, self.open(port) as client:
            client.call("AUTH", "p w\r\nPING é")
        assert seen == [b"*2\r\n$4\r\nAUTH\r\n$12\r\np w\r\nPING \xc3\xa9\r\n"]

    def test_arrays_within_arrays(self, driver):
        def behave(connection):
            connection.recv(4096)
            connection.sendall(b"*4\r\n$1\r\na\r\n:7\r\n*2\r\n$-1\r\n+OK\r\n*0\r\n")

        with serving(behave) as port, self.open(port) as client:
            assert client.call("EVAL", "...", "0") == ["a", "7", [None, "OK"], []]

    @pytest.mark.parametrize("reply", [b"*1\r\n" * 9, b"*999999\r\n", b"*x\r\n"])
    def test_arrays_without_end_are_no_reply(self, driver, reply):
        def behave(connection):
            connection.recv(4096)
            connection.sendall(reply)

        with serving(behave) as port, self.open(port) as client:
            with pytest.raises(ConnectionFailed) as failure:
                client.call("PING")
        self.is_no_reply(failure, driver.driver)

    def test_a_reply_without_end_is_cut_off(self, driver, monkeypatch):
        monkeypatch.setattr(redis, "_LONGEST_REPLY", 1024 * 1024)

        def behave(connection):
            connection.recv(4096)
            connection.sendall(b"*99999\r\n")
            while True:
                connection.sendall(b"$100000\r\n" + b"x" * 100000 + b"\r\n")

        with serving(behave) as port, self.open(port, 1.0) as client:
            with pytest.raises(ConnectionFailed) as failure:
                client.call("PING")
        assert failure.value.kind == ("protocol" if driver.driver == "redis-py" else "timeout")

    def test_info(self, driver):
        info = resp.parse_info(
            "# Memory\r\nused_memory:10\r\nmaxmemory_policy:noeviction\r\n\r\ndb0:keys=1,expires=0\r\n"  # noqa: E501
        )
        assert info == {
            "used_memory": 10,
            "maxmemory_policy": "noeviction",
            "db0": "keys=1,expires=0",
        }


USER = "user:p%40ss@"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "redis+sentinel://s1,s2:7000,[2001:db8::1]:7001/mymaster/3",
            {
                "database": 3,
                "tls": False,
                "user": None,
                "password": None,
                "sentinels": redis.Sentinels(
                    "mymaster", (("s1", 26379), ("s2", 7000), ("2001:db8::1", 7001))
                ),
            },
        ),
        (
            "rediss+sentinel://" + USER + "s1/m?sentinel_username=u&sentinel_password=q%26",
            {
                "database": 0,
                "tls": True,
                "user": "user",
                "password": "p@ss",
                "sentinels": redis.Sentinels("m", (("s1", 26379),), "u", "q&"),
            },
        ),
        ("redis+sentinel://:only@s1/m/", {"user": None, "password": "only"}),
    ],
)
def test_a_url_of_sentinels(text, expected):
    target = redis.sentinel_target(text)
    assert {name: getattr(target, name) for name in expected} == expected
    assert "pass" not in repr(target)


@pytest.mark.parametrize(
    "text", ["redis+sentinel://", "s1/m", "//p4ss@s1:x/m", "//p4ss@s1", "//p4ss@s1/m/x", "//@/m"]
)
def test_a_url_of_no_sentinels_has_no_part_of_it_in_the_message(text):
    with pytest.raises(ValueError, match="form") as error:
        redis.sentinel_target(text if "+" in text else "redis+sentinel:" + text)
    assert "p4ss" not in str(error.value)


def test_a_target_shows_no_secret():
    target = redis.Target("r1", password="s3cret", sentinels=redis.Sentinels("m", (("s1", 1),)))
    assert "s3cret" not in repr(target)
    assert target.address == "m (s1:1)"
    assert redis.Target("/run/redis.sock").address == "/run/redis.sock"
    assert redis.Target("2001:db8::1", 7000).address == "[2001:db8::1]:7000"


class TestDriver:
    @pytest.fixture(autouse=True)
    def fresh(self):
        redis._library.cache_clear()
        yield
        redis._library.cache_clear()

    def test_the_library_is_used_where_it_is_there(self):
        pytest.importorskip("redis")
        assert redis.driver() == "redis-py"

    @pytest.mark.parametrize("state", ["missing", "damaged", "other"])
    def test_a_host_without_a_library_that_works_has_the_built_in_one(
        self, monkeypatch, tmp_path, state
    ):
        for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
            monkeypatch.delitem(sys.modules, name)
        if state == "missing":
            monkeypatch.setitem(sys.modules, "redis", None)
        else:
            text = {"damaged": "def", "other": "connection = None"}[state]
            (tmp_path / "redis.py").write_text(text)
            monkeypatch.syspath_prepend(tmp_path)
        assert redis.driver() == "resp"
        with serving(answering(b"+PONG\r\n")) as port:
            with redis.connect(redis.Target("127.0.0.1", port), Deadline(2)) as client:
                assert (client.call("PING"), client.driver) == ("PONG", "resp")
        with pytest.raises(redis.DriverMissing, match="needs redis-py"):
            redis.connect(redis.sentinel_target("redis+sentinel://s1/m"), Deadline(2))
