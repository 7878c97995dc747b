# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._host import app_endpoint, sockets
from ansible_collections.sergas.ops.plugins.module_utils._host import unit as host_unit
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

NOTHING = ([], [])
UDS = "/run/sergas/app.sock"


def unit(command):
    return {"ExecStart": "{ path=/x ; argv[]=%s ; ignore_errors=no ; pid=0 }" % command}


@pytest.mark.parametrize(
    ("command", "settings", "expected"),
    [
        (
            "/venv/bin/gunicorn -k uvicorn.workers.UvicornWorker --bind unix:%s src.main:app" % UDS,
            {},
            UDS,
        ),
        ("/venv/bin/gunicorn --bind=10.0.0.5:8000 src.main:app", {}, ("10.0.0.5", 8000)),
        ("/venv/bin/gunicorn src.main:app", {"GUNICORN_CMD_ARGS": "-b [::1]:9000"}, ("::1", 9000)),
        ("/venv/bin/gunicorn -b :9000 src.main:app", {}, ("127.0.0.1", 9000)),
        ("/venv/bin/gunicorn -b fd://3 src.main:app", {}, ("127.0.0.1", 8000)),
        ("/venv/bin/uvicorn src.main:app --host ::1 --port 8000", {}, ("::1", 8000)),
        ("/venv/bin/uvicorn src.main:app --host :: --port 8000", {}, ("::1", 8000)),
        ("/venv/bin/uvicorn src.main:app --host fd00::5 --port 8000", {}, ("fd00::5", 8000)),
        ("/venv/bin/uvicorn src.main:app --uds %s" % UDS, {}, UDS),
        ("/venv/bin/hypercorn src.main:app -b 10.0.0.5:8000", {}, ("10.0.0.5", 8000)),
        ("/venv/bin/uvicorn src.main:app --host 0.0.0.0 --port 8000", {}, ("127.0.0.1", 8000)),
        ("/venv/bin/uvicorn src.main:app --host localhost", {}, ("127.0.0.1", 8000)),
        ("/venv/bin/fastapi run src/main.py --port 8000", {}, ("127.0.0.1", 8000)),
        ("uvicorn src.main:app", {}, ("127.0.0.1", 8000)),
        ("uvicorn src.main:app --host ${HOST}", {}, ("127.0.0.1", 8000)),
        (
            "uvicorn src.main:app --host ${HOST} --port $APP_PORT",
            {"HOST": "10.1.2.3", "APP_PORT": "9001"},
            ("10.1.2.3", 9001),
        ),
        ("uvicorn src.main:app --host=10.1.2.3 --workers 4", {}, ("10.1.2.3", 8000)),
        ("uvicorn src.main:app", {"UVICORN_HOST": "10.1.2.3"}, ("10.1.2.3", 8000)),
        ("uvicorn src.main:app --port ${API_PORT}", {"API_PORT": "8001"}, ("127.0.0.1", 8001)),
        ("sh -c exec uvicorn src.main:app --port 8002'", {}, ("127.0.0.1", 8002)),
        # Of another program, it says nothing of where that listens.
        ("/usr/bin/docker run -p 9000:8000 -b x sergas", {}, ("127.0.0.1", 8000)),
        ("uvicorn src.main:app --port 99999", {}, ("127.0.0.1", 8000)),
    ],
)
def test_where_an_app_that_does_not_run_is_configured_to_listen(command, settings, expected):
    wanted = app_endpoint.configured(unit(command), settings)
    port = app_endpoint.configured_port(unit(command), settings)
    found = app_endpoint.choose(NOTHING, wanted, port)
    assert not found.own
    assert (found.socket or (found.host, found.port)) == expected


@pytest.mark.parametrize(
    ("command", "scheme"),
    [
        ("uvicorn src.main:app", "http"),
        ("uvicorn src.main:app --ssl-keyfile k.pem --ssl-certfile=c.pem", "https"),
        ("gunicorn --certfile c.pem --keyfile k.pem src.main:app", "https"),
    ],
)
def test_a_command_line_with_a_certificate_speaks_tls(command, scheme):
    wanted = app_endpoint.configured(unit(command), {})
    assert app_endpoint.choose(NOTHING, wanted, 8000).scheme == scheme
    assert app_endpoint.choose(NOTHING, wanted, 8000, "http").scheme == "http"


@pytest.mark.parametrize(
    ("tcp", "paths", "expected"),
    [
        ([("0.0.0.0", 8000)], [], ("127.0.0.1", 8000)),
        ([("::", 8000)], [], ("::1", 8000)),
        ([("0.0.0.0", 8000), ("::", 8000)], [], ("127.0.0.1", 8000)),
        ([("10.0.0.5", 8000)], [], ("10.0.0.5", 8000)),
        ([("10.0.0.5", 8000), ("127.0.0.1", 8000)], [], ("127.0.0.1", 8000)),
        ([("fe80::1", 8000), ("fd00::5", 8000)], [], ("fd00::5", 8000)),
        # Its own socket wins over what is configured.
        ([("127.0.0.1", 9000)], [], ("127.0.0.1", 9000)),
        ([], [UDS], UDS),
        # Metrics and the like beside it.
        ([("0.0.0.0", 9100), ("0.0.0.0", 8000)], [], ("127.0.0.1", 8000)),
    ],
)
def test_an_app_is_queried_where_its_processes_listen(tcp, paths, expected):
    nowhere = app_endpoint.configured({}, {})
    found = app_endpoint.choose((tcp, paths), nowhere, 8000)
    assert found.own
    assert (found.socket or (found.host, found.port)) == expected


def test_of_several_ports_none_is_guessed():
    nowhere = app_endpoint.configured({}, {})
    found = app_endpoint.choose(([("0.0.0.0", 9100), ("0.0.0.0", 9200)], []), nowhere, 8000)
    assert (found.host, found.port, found.own) == ("127.0.0.1", 8000, False)
    # The one that is configured is among them.
    wanted = app_endpoint.configured(unit("uvicorn a:b --uds %s" % UDS), {})
    found = app_endpoint.choose(([("0.0.0.0", 9100)], [UDS, "/run/other.sock"]), wanted, 8000)
    assert found.socket == UDS


def test_a_server_that_does_not_listen_where_it_should_is_not_ready():
    """One that serves its metrics while it waits for its database is not queried there."""
    wanted = app_endpoint.configured(unit("uvicorn a:b --port 8000"), {})
    found = app_endpoint.choose(([("0.0.0.0", 9100)], []), wanted, 8000)
    assert (found.port, found.own) == (8000, False)


@pytest.mark.parametrize(
    ("running", "port"),
    [
        # The settings were changed after it was started.
        ("/venv/bin/python /venv/bin/uvicorn a:b --port 8000", 8000),
        # A wrapper that has not started the server yet.
        ("/bin/sh /usr/local/bin/run --port 7000", 9000),
        ("", 9000),
    ],
)
def test_the_command_line_of_a_running_server_counts(running, port):
    wanted = app_endpoint.configured(
        unit("uvicorn a:b --port ${API_PORT}"), {"API_PORT": "9000"}, running
    )
    assert wanted.port == port


def test_the_command_line_of_a_process():
    with open("/proc/self/cmdline") as source:
        first = source.read().split("\0")[0]
    assert host_unit.running_command({"MainPID": str(os.getpid())}).startswith(first)
    assert host_unit.running_command({"MainPID": "0"}) == ""


def test_the_port_that_the_operator_names_counts():
    nowhere = app_endpoint.configured({}, {})
    found = app_endpoint.choose(([("0.0.0.0", 9000)], []), nowhere, 8000, fixed=True)
    assert (found.port, found.own) == (8000, False)


def test_tables_that_cannot_be_read_leave_the_configuration(monkeypatch):
    def unreadable(pids):
        raise Unmeasurable("/proc/net/tcp cannot be read")

    monkeypatch.setattr(sockets, "listening", unreadable)
    found = app_endpoint.find(unit("uvicorn a:b --host 10.1.2.3"), {})
    assert (found.host, found.own) == ("10.1.2.3", False)


def test_a_user_who_may_not_see_whose_a_socket_is_sees_where_it_listens(monkeypatch):
    def denied(pids):
        raise PermissionError(13, "Permission denied", "/proc/1/fd")

    monkeypatch.setattr(sockets, "listening", denied)
    monkeypatch.setattr(sockets, "on_port", lambda port: (["::"] if port == 8000 else [], []))
    found = app_endpoint.find({}, {})
    assert (found.host, found.own) == ("::1", False)
    assert app_endpoint.find({}, {}, port=9000).host == "127.0.0.1"


def test_how_it_is_shown():
    over_tcp = app_endpoint.Endpoint("::1", 8000, None, "http", True)
    assert over_tcp.shown("/health") == "http://[::1]:8000/health"
    assert over_tcp.shown("health", "https") == "https://[::1]:8000/health"
    local = app_endpoint.Endpoint(None, 8000, UDS, "http", True)
    assert local.shown("/health") == "http://localhost/health at " + UDS


@contextlib.contextmanager
def serving(answer, path=None):
    """Answer each connection with what a function makes of its request; yields the endpoint."""
    listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    listener.bind(path or ("127.0.0.1", 0))
    listener.listen()

    def accept():
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.sendall(answer(connection.recv(65536)))

    threading.Thread(target=accept, daemon=True).start()
    port = None if path else listener.getsockname()[1]
    yield app_endpoint.Endpoint(None if path else "127.0.0.1", port or 8000, path, "http", True)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _hosts(request):
    host = [line for line in request.split(b"\r\n") if line.startswith(b"Host: ")][0]
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(host), host)


def test_an_app_is_called_localhost(tmp_path):
    path = str(tmp_path / "app.sock")
    with serving(_hosts, path) as endpoint:
        reply, scheme = app_endpoint.get(endpoint, "/health", Deadline(5))
        assert (reply.text(), scheme) == ("Host: localhost", "http")
    with serving(_hosts) as endpoint:
        reply, _scheme = app_endpoint.get(endpoint, "/health", Deadline(5))
        assert reply.text() == "Host: localhost:%d" % endpoint.port
        reply, _scheme = app_endpoint.get(endpoint, "/", Deadline(5), name="app.example.com")
        assert reply.text() == "Host: app.example.com"


def test_a_redirect_to_its_own_name_is_followed():
    def answer(request):
        if request.startswith(b"GET /health "):
            host = _hosts(request).rpartition(b"Host: ")[2]
            return b"HTTP/1.1 307 x\r\nLocation: http://%s/health/\r\n\r\n" % host
        return _hosts(request)

    with serving(answer) as endpoint:
        reply, _scheme = app_endpoint.get(endpoint, "/health", Deadline(5), redirects=3)
    assert reply.status == 200 and len(reply.redirects) == 1


@pytest.mark.parametrize("fixed", [None, "http"])
def test_what_does_not_answer_in_http_may_speak_tls(fixed):
    seen = []

    def answer(request):
        seen.append(request[:1])
        return b"\x15\x03\x03\x00\x02\x02\x46"

    with serving(answer) as endpoint, pytest.raises(ConnectionFailed) as caught:
        app_endpoint.get(endpoint, "/health", Deadline(5), fixed=fixed)
    # Neither: it is the first failure that counts.
    assert caught.value.kind == "protocol"
    assert seen == ([b"G", b"\x16"] if fixed is None else [b"G"])


def test_this_process_is_found_where_it_listens(tmp_path):
    path = str(tmp_path / "app.sock")
    with serving(_hosts, path), serving(_hosts) as endpoint:
        tcp, paths = sockets.listening([os.getpid()])
        assert ("127.0.0.1", endpoint.port) in tcp
        assert path in paths
    assert sockets.listening([]) == ([], [])
