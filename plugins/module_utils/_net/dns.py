# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One query to one name server, timed: the C library does not say which one was slow."""

from __future__ import annotations

import os
import socket
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List

    from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline

#: RFC 1035 4.1.1, RFC 2136 2.2
CODES = {0: "ok", 1: "format error", 2: "server failure", 3: "no such name", 5: "refused"}
_HEADER = struct.Struct("!6H")
_MOST_SERVERS = 3  # MAXNS of resolv.conf(5)


def servers(text: str) -> List[str]:
    """Return the addresses of the name servers in the text of /etc/resolv.conf, in their order."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 1 and fields[0] == "nameserver":
            found.append(fields[1])
    return found[:_MOST_SERVERS] or ["127.0.0.1"]  # resolv.conf(5): the local one without a line


def query(server: str, name: str, deadline: Deadline) -> Dict[str, Any]:
    """Return server, seconds, and answer (a text of ``CODES``) or error of one query for a name.

    Args:
        server: its address; an IPv6 address may have a zone.
        name: the name whose addresses are queried, in ASCII.
        deadline: until when to wait for it.
    """
    result: Dict[str, Any] = {"server": server, "answer": None, "error": None}
    started = time.monotonic()
    number = int.from_bytes(os.urandom(2), "big")
    try:
        where = socket.getaddrinfo(server, 53, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        family, _type, _protocol, _name, address = where[0]
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.connect(address)
            channel.send(_question(number, name))
            while True:
                channel.settimeout(max(0.01, deadline.remaining()))
                reply = channel.recv(4096)
                if len(reply) >= _HEADER.size and _HEADER.unpack_from(reply)[0] == number:
                    code = _HEADER.unpack_from(reply)[1] & 0xF
                    result["answer"] = CODES.get(code, "code %d" % code)
                    break
    except socket.timeout:
        result["error"] = "no answer"
    except (OSError, UnicodeError) as error:
        result["error"] = getattr(error, "strerror", None) or str(error)
    result["seconds"] = round(time.monotonic() - started, 3)
    return result


def _question(number: int, name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if any(not 0 < len(label) < 64 for label in labels):
        raise UnicodeError("%s is no name" % name)
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + encoded + struct.pack("!2H", 1, 1)
