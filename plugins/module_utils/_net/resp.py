# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Redis client of the standard library: the RESP protocol, bounded in time and size."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

DEFAULT_PORT = 6379
#: INFO is about 6 KB.
_LONGEST_REPLY = 1024 * 1024
#: Of an array, and of arrays within arrays.
_LONGEST_ARRAY = 100000
_DEEPEST_ARRAY = 4


class RedisError(OperationError):
    """The server answered a command with an error; C(code) is its first word."""

    def __init__(self, text):
        Exception.__init__(self, text)
        self.code = text.partition(" ")[0]


class Client:
    """A connection to a Redis server."""

    def __init__(self, host, port, deadline, tls=False, context=None):
        """Connect; raises ConnectionFailed. A host that begins with / is a Unix socket.

        Args:
            deadline: for all that is asked, until within() replaces it.
            tls: whether to use TLS.
            context: an C(ssl.SSLContext); without one, the certificate is not verified.
        """
        self._stream = tcp.connect(host, port, deadline)
        if tls:
            try:
                self._stream.start_tls(host, context)
            except ConnectionFailed:
                self._stream.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        """End the connection."""
        self._stream.close()

    def within(self, deadline):
        """Give what is asked from now on another deadline."""
        self._stream.deadline = deadline

    def call(self, *words):
        """Send a command and return its reply: text (numbers, too), None for the null reply, or a
        list of replies.

        Raises:
            RedisError: the server refused it.
            ConnectionFailed: no reply, or none of Redis (the kind is protocol).
        """
        parts = [word.encode("utf-8", "surrogateescape") for word in words]
        packed = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._stream.send(b"*%d\r\n%s" % (len(parts), packed))
        return self._reply(_DEEPEST_ARRAY)

    def _reply(self, depth):
        line = self._stream.read_line()
        text = line[1:].decode("utf-8", "replace")
        if line[:1] == b"-":
            raise RedisError(text)
        if line[:1] in (b"+", b":"):
            return text
        if line[:1] == b"$" and re.match(r"-?[0-9]{1,9}\Z", text) and int(text) <= _LONGEST_REPLY:
            if int(text) < 0:
                return None
            return self._stream.read_exactly(int(text) + 2)[:-2].decode("utf-8", "replace")
        if depth and line[:1] == b"*" and re.match(r"-?[0-9]{1,6}\Z", text):
            count = int(text)
            if count < 0:
                return None
            if count <= _LONGEST_ARRAY:
                return [self._reply(depth - 1) for _item in range(count)]
        raise ConnectionFailed(
            "protocol", "first_byte", "%s does not speak Redis's protocol" % self._stream.peer
        )


def parse_info(text):
    """Return {name: value} of the reply to INFO, numbers as int."""
    values = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and not name.startswith("#"):
            values[name] = int(value) if re.match(r"[0-9]+\Z", value) else value
    return values
