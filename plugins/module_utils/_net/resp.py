# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Redis client of the standard library: the RESP protocol, bounded in time and size."""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any, Dict, List, Optional, Union

    from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline

    Reply = Union[str, None, List["Reply"]]

DEFAULT_PORT = 6379
#: A ``REDIS_URL`` that begins with one of these names Sentinels, not a Redis server.
SENTINEL_SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
#: INFO is about 6 KB.
_LONGEST_REPLY = 1024 * 1024
#: Of an array, and of arrays within arrays.
_LONGEST_ARRAY = 100000
_DEEPEST_ARRAY = 4
#: Redis 5 and 6 put the error of a command at the end of the error of the script that ran it.
_CODE_WITHIN = re.compile(
    r"(?:^|[ -])(NOPERM|READONLY|MISCONF|OOM|MASTERDOWN|NOREPLICAS|MOVED|CROSSSLOT) "
)
_KINDS = {
    "NOAUTH": "password",
    "WRONGPASS": "password",
    "NOPERM": "password",
    "DENIED": "protected",
    "LOADING": "loading",
    "BUSY": "busy",
    "MISCONF": "writes",
    "READONLY": "writes",
    "NOREPLICAS": "writes",
    "OOM": "memory",
    "MASTERDOWN": "replica",
    "MOVED": "cluster",
    "ASK": "cluster",
    "CROSSSLOT": "cluster",
    "CLUSTERDOWN": "cluster",
}


class RedisError(OperationError):
    """The server answered a command with an error. The text may quote a command with a secret.

    Attributes:
        code: its first word; of a script's error, the code of the command that failed.
        kind: what it means: ``password``, ``password_unused``, ``protected``, ``loading``,
            ``busy``, ``writes``, ``memory``, ``replica``, ``cluster``, ``clients`` or ``refusal``.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        within = _CODE_WITHIN.search(text)
        self.code = within.group(1) if within else text.partition(" ")[0]
        self.kind = _kind(self.code, text)


def _kind(code: str, text: str) -> str:
    if "without any password" in text or "no password is set" in text:
        return "password_unused"
    if "invalid password" in text or "can't access at least one" in text:
        return "password"
    return _KINDS.get(code, "clients" if "max number of clients" in text else "refusal")


def open_stream(
    host: str,
    port: int,
    deadline: Deadline,
    tls: bool = False,
    context: Optional[ssl.SSLContext] = None,
) -> tcp.Stream:
    """Return a ``Stream`` to a server; raises ``ConnectionFailed``.

    Args:
        host: a name, an address, or the path of a Unix socket.
        deadline: for all that is sent and read.
        tls: whether to use TLS.
        context: an ``ssl.SSLContext``; without one, the certificate is not verified.
    """
    stream = tcp.connect(host, port, deadline)
    if tls:
        try:
            stream.start_tls(host, context)
        except ConnectionFailed:
            stream.close()
            raise
    return stream


class Client:
    """A connection to a Redis server."""

    driver = "resp"

    def __init__(
        self,
        host: str,
        port: int,
        deadline: Deadline,
        tls: bool = False,
        context: Optional[ssl.SSLContext] = None,
    ) -> None:
        """Connect; raises ``ConnectionFailed``. The arguments are those of ``open_stream``."""
        self._stream = open_stream(host, port, deadline, tls, context)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._stream.close()

    def within(self, deadline: Deadline) -> None:
        """Set the deadline of the commands that follow."""
        self._stream.deadline = deadline

    def log_in(self, user: Optional[str], password: Optional[str], database: int = 0) -> None:
        """Authenticate where there is a password, and select a database other than 0."""
        if password:
            self.call("AUTH", *([user] if user else []), password)
        if database:
            self.call("SELECT", str(database))

    def call(self, *words: str) -> Reply:
        """Send a command and return its reply: text (numbers, too), None for the null reply, or a
        list of replies.

        Raises:
            RedisError: the server refused it.
            ConnectionFailed: no reply, or none of Redis (the kind is ``protocol``).
        """
        parts = [word.encode("utf-8", "surrogateescape") for word in words]
        packed = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._stream.send(b"*%d\r\n%s" % (len(parts), packed))
        return self._reply(_DEEPEST_ARRAY)

    def _reply(self, depth: int) -> Reply:
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
        raise not_redis(self._stream.peer)


def not_redis(peer: str) -> ConnectionFailed:
    """Return the ``ConnectionFailed`` for a server that sends something else."""
    return ConnectionFailed("protocol", "first_byte", "%s does not speak Redis's protocol" % peer)


def parse_info(text: str) -> Dict[str, Union[int, str]]:
    """Return {name: value} of the reply to INFO, numbers as int."""
    values = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and not name.startswith("#"):
            values[name] = int(value) if re.match(r"[0-9]+\Z", value) else value
    return values
