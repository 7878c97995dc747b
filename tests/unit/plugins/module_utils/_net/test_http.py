# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP client against servers that are slow, endless, wrong or gone: real sockets, no
patches.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import http
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#: The seconds that a busy machine may add to a deadline; what ignores it ends later, if ever.
SLACK = 10.0


@contextlib.contextmanager
def serving(behave, family=socket.AF_INET, address="127.0.0.1"):
    """Run behave(connection, request) for each connection; yields the URL."""
    listener = socket.create_server((address, 0), family=family)
    stopped = threading.Event()

    def accept():
        while not stopped.is_set():
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(4096)
                if not part:
                    return
                request += part
            behave(connection, request.decode())

    threading.Thread(target=accept, daemon=True).start()
    port = listener.getsockname()[1]
    try:
        yield "http://%s:%d" % ("[%s]" % address if ":" in address else address, port)
    finally:
        stopped.set()
        listener.close()


def sending(data):
    return lambda connection, _request: connection.sendall(data)


def failing(url, seconds=5.0, **options):
    started = time.monotonic()
    with pytest.raises(ConnectionFailed) as failure:
        http.get(url, Deadline(seconds), **options)
    assert time.monotonic() - started < seconds + SLACK
    return failure.value


def test_an_answer_with_its_phases():
    with serving(sending(OK)) as url:
        reply = http.get(url + "/health?x=1", Deadline(5))
    assert (reply.status, reply.body, reply.truncated, reply.redirects) == (200, b"ok", False, [])
    assert set(reply.phases) == {"name", "connect", "first_byte", "total"}
    assert reply.phases["total"] >= reply.phases["first_byte"]


def test_what_is_requested():
    seen = []

    def remember(connection, request):
        seen.append(request)
        connection.sendall(OK)

    with serving(remember) as url:
        http.get(url + "/a?b=c", Deadline(5), headers={"X-Api-Key": "k"})
        host = url.partition("//")[2]
    lines = seen[0].split("\r\n")
    assert lines[0] == "GET /a?b=c HTTP/1.1"
    assert {"Host: " + host, "X-Api-Key: k", "Connection: close"} <= set(lines)


def test_the_slow_phase_is_timed():
    def late(connection, _request):
        time.sleep(0.2)
        connection.sendall(OK)

    with serving(late) as url:
        phases = http.get(url, Deadline(5)).phases
    assert 0.2 <= phases["first_byte"] <= phases["total"]
    assert phases["connect"] < 0.2


def test_ipv6():
    try:
        with serving(sending(OK), socket.AF_INET6, "::1") as url:
            assert http.get(url, Deadline(5)).status == 200
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.0 200 OK\n\nto the end", b"to the end"),
        (
            (
                b"HTTP/1.1 200\r\nTransfer-Encoding:"
                b" chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            ),
            b"abcde",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 503 \r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x01", b"\xff\xfe\x00\x01"),
    ],
)
def test_bodies(data, body):
    with serving(sending(data)) as url:
        reply = http.get(url, Deadline(5))
    assert reply.body == body
    assert isinstance(reply.text(), str)


@pytest.mark.parametrize(
    "head", [b"Content-Length: 10000000\r\n", b"", b"Transfer-Encoding: chunked\r\n"]
)
def test_ten_megabytes_are_cut(head):
    data = b"x" * 10000000
    if b"chunked" in head:
        data = b"989680\r\n" + data + b"\r\n0\r\n\r\n"
    with serving(sending(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + data)) as url:
        reply = http.get(url, Deadline(5), max_bytes=1000)
    assert (len(reply.body), reply.truncated) == (1000, True)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"\x00\x01\x02\x03" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"H" * 20000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    ],
)
def test_what_is_not_http(data):
    with serving(sending(data)) as url:
        assert failing(url).kind == "protocol"


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"]
)
def test_a_connection_that_is_cut(data):
    with serving(sending(data)) as url:
        assert failing(url).kind == "closed"


@pytest.mark.parametrize(
    ("head", "phase"),
    [
        (b"", "first_byte"),
        (b"HTTP/1.1 200 OK\r\n", "first_byte"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "total"),
    ],
)
def test_byte_by_byte_ends_at_the_deadline(head, phase):
    def dribble(connection, _request):
        connection.sendall(head)
        while True:
            connection.sendall(b"H")
            time.sleep(0.05)

    with serving(dribble) as url:
        failure = failing(url, 0.5)
    assert (failure.kind, failure.phase) == ("timeout", phase)


def test_no_answer_ends_at_the_deadline():
    with serving(lambda _connection, _request: time.sleep(30)) as url:
        failure = failing(url, 0.3)
    assert (failure.kind, failure.phase, failure.reason) == ("timeout", "first_byte", "hung")
    assert "connect" in failure.phases


def redirecting(target):
    def answer(connection, request):
        path = request.split(" ")[1]
        if path == "/end":
            connection.sendall(OK)
            return
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"
            % target(path).encode()
        )

    return answer


def test_redirects_are_reported_and_followed_on_the_same_server_only():
    with serving(redirecting(lambda path: "/end")) as url:
        assert http.get(url + "/a", Deadline(5)).status == 302
        reply = http.get(url + "/a", Deadline(5), redirects=3)
        assert (reply.status, reply.redirects, reply.url) == (200, [url + "/a"], url + "/end")
    for target in ("http://127.0.0.1:1/end", "//127.0.0.1:1/end", "ftp://x/"):
        with serving(redirecting(lambda path, target=target: target)) as url:
            reply = http.get(url + "/a", Deadline(5), redirects=3)
            assert (reply.status, reply.headers["location"]) == (302, target)


@pytest.mark.parametrize("target", [lambda path: path, lambda path: path + "x", lambda path: "a/b"])
def test_redirects_without_an_end(target):
    with serving(redirecting(target)) as url:
        assert failing(url + "/a", redirects=3).kind == "redirect"


def test_nothing_listens():
    # It has the port and does not listen, so that no other process can have it.
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        failure = failing("http://127.0.0.1:%d" % holder.getsockname()[1])
    assert (failure.kind, failure.phase) == ("refused", "connect")


def test_packets_that_are_swallowed():
    # A full queue of a socket that never accepts: its kernel drops what comes next.
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _number in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        failure = failing("http://127.0.0.1:%d" % listener.getsockname()[1], 0.5)
    assert (failure.kind, failure.phase, failure.reason) == ("timeout", "connect", "timeout")


def test_a_name_that_does_not_exist():
    failure = failing("http://no-such-host.invalid/", 10.0)
    assert failure.phase == "name"
    assert failure.kind in ("dns", "timeout")


def test_a_resolver_that_hangs_is_left_behind(monkeypatch):
    def hang(*_arguments, **options):
        if options.get("flags"):
            raise OSError
        time.sleep(30)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    failure = failing("http://app/", 0.3)
    assert (failure.kind, failure.phase, failure.reason) == ("timeout", "name", "dns")


def test_tls_with_a_server_that_has_none():
    with serving(sending(OK)) as url:
        failure = failing(url.replace("http:", "https:"), 1.0)
    assert failure.phase == "tls"


@pytest.mark.parametrize(
    "address", ["ftp://a/", "http://", "a", "http://a/b c", "http://a/\r\nX: y"]
)
def test_what_is_no_url(address):
    with pytest.raises(ValueError):
        http.get(address, Deadline(1))


@pytest.mark.parametrize(
    "module", ["ssl", "http.client", "urllib.request", "asyncio", "email", "logging"]
)
def test_modules_that_cost_more_than_the_request_are_not_imported(module):
    code = "import sys, %s; sys.exit(%r in sys.modules)" % (http.__name__, module)
    # The directory that holds ansible_collections, and nothing of what is installed.
    environment = dict(os.environ, PYTHONPATH=str(Path(http.__file__).parents[6]))
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment, check=False, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_server_is_called_by_another_name_than_it_is_reached_by():
    def behave(connection, request):
        host = request.partition("Host: ")[2].partition("\r\n")[0]
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(host))
        connection.sendall(host.encode())

    with serving(behave) as address:
        port = int(address.rpartition(":")[2])
        reply = http.get("http://app.test/x", Deadline(5), at=("127.0.0.1", port))
    assert (reply.text(), reply.url) == ("app.test", "http://app.test/x")


@pytest.mark.parametrize(
    "headers", [{"X": "hunter2\r\nY: z"}, {"X": "hunter2\0"}, {"X: y": "hunter2"}, {"": "hunter2"}]
)
def test_a_header_that_is_none_is_refused_without_its_value(headers):
    with pytest.raises(ValueError) as caught:
        http.get("http://127.0.0.1:1/", Deadline(5), headers=headers)
    assert "hunter2" not in str(caught.value)
