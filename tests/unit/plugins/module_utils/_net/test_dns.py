# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The query to a name server, against a server that answers on a real socket."""

from __future__ import annotations

import socket
import threading

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import dns


@pytest.fixture
def server(monkeypatch):
    """Yield a function that starts a server: it sends what ``replies(question)`` returns."""
    sockets = []

    def start(replies):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("127.0.0.1", 0))
        sockets.append(listener)
        port = listener.getsockname()[1]
        real = socket.getaddrinfo
        monkeypatch.setattr(
            dns.socket, "getaddrinfo", lambda host, _port, **more: real(host, port, **more)
        )

        def answer():
            question, client = listener.recvfrom(512)
            for reply in replies(question):
                listener.sendto(reply, client)

        threading.Thread(target=answer, daemon=True).start()

    yield start
    for listener in sockets:
        listener.close()


@pytest.mark.parametrize(
    ("code", "answer"), [(0, "ok"), (2, "server failure"), (3, "no such name"), (9, "code 9")]
)
def test_the_code_of_the_answer(server, code, answer):
    server(lambda question: [question[:2] + bytes([0x81, 0x80 | code]) + question[4:]])
    found = dns.query("127.0.0.1", "db1.example.com", Deadline(2))
    assert (found["answer"], found["error"]) == (answer, None)
    assert found["seconds"] < 1


def test_an_answer_to_another_question_is_not_taken(server):
    server(lambda question: [b"\0\0" + question[2:] if question[:2] != b"\0\0" else b"x", b"short"])
    found = dns.query("127.0.0.1", "db1.example.com", Deadline(0.2))
    assert (found["answer"], found["error"]) == (None, "no answer")


def test_the_question_is_one_of_rfc_1035():
    question = dns._question(0x1234, "db1.example.com.")
    assert question == (
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
        b"\x03db1\x07example\x03com\x00\x00\x01\x00\x01"
    )


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, "n\u00e4me"])
def test_what_is_no_name_is_an_error_not_a_traceback(name):
    assert dns.query("127.0.0.1", name, Deadline(1))["error"]


def test_servers_of_resolv_conf():
    text = "# x\nnameserver 10.0.0.2\nsearch a\nnameserver fe80::1%eth0\nnameserver\nnameserver 1\n"
    assert dns.servers(text) == ["10.0.0.2", "fe80::1%eth0", "1"]
    assert dns.servers("") == ["127.0.0.1"]
