# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis by one interface with two drivers: redis-py where this host has it, else ``resp``.

Both use the same streams, so deadlines, TLS and the failures of connections do not depend on the
driver, and both raise ``resp.RedisError`` with the server's own text.
"""

from __future__ import annotations

import functools
import re
import threading
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple
from urllib.parse import parse_qs, unquote

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._net import resp, tcp, url
from ansible_collections.sergas.ops.plugins.module_utils._net.tcp import ConnectionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
    from ansible_collections.sergas.ops.plugins.module_utils._net.resp import Reply

DRIVERS = ("redis-py", "resp")
_SENTINEL_PORT = 26379
_SENTINEL_URL = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?:(?P<user>[^:/?#]*)(?::(?P<password>[^/?#]*))?@)?"
    r"(?P<hosts>[^/?#@]+)/(?P<service>[^/?#]+)(?:/(?P<database>[0-9]{1,5}))?/?"
    r"(?:\?(?P<query>[^#]*))?\Z"
)
#: For one reply as a whole; redis-py has no limit.
_LONGEST_REPLY = 16 * 1024 * 1024


class DriverMissing(OperationError):
    """What is to be done needs redis-py, and this host does not have it."""


class Sentinels(NamedTuple):
    """Where the address of a service's master is known."""

    service: str
    #: (host, port) of each
    addresses: Tuple[Tuple[str, int], ...]
    user: Optional[str] = None
    password: Optional[str] = None

    def __repr__(self) -> str:
        return "Sentinels(service=%r)" % self.service


class Target(NamedTuple):
    """A Redis server, and how to log in."""

    #: a name, an address, or the path of a Unix socket; with Sentinels, they say where it is
    host: str
    port: int = resp.DEFAULT_PORT
    user: Optional[str] = None
    password: Optional[str] = None
    database: int = 0
    tls: bool = False
    #: a file with the authorities to trust; without it, those of the system
    ca_path: Optional[str] = None
    sentinels: Optional[Sentinels] = None

    def __repr__(self) -> str:
        return "Target(%r)" % self.address

    @property
    def address(self) -> str:
        """Return what to call it in a message."""
        if self.sentinels:
            known = ",".join(url.address(*address) for address in self.sentinels.addresses)
            return "%s (%s)" % (self.sentinels.service, known)
        return self.host if self.host.startswith("/") else url.address(self.host, self.port)


def sentinel_target(text: str) -> Target:
    """Return the ``Target`` of a URL of Sentinels (pure).

    It has the form ``redis+sentinel://user:password@host:port,host:port/service/database`` with
    Redis's own user and password; those of the Sentinels are the options ``sentinel_username`` and
    ``sentinel_password``. ``rediss+sentinel`` uses TLS to both.

    Raises:
        ValueError: it does not. The message has no part of it, as there may be a password in it.
    """
    found = _SENTINEL_URL.match(text.strip())
    if not found:
        raise ValueError(
            "it is not of the form redis+sentinel://user:password@host:port,host:port/service"
        )
    hosts = found.group("hosts").split(",")
    try:
        addresses = tuple(url.split_address(host, _SENTINEL_PORT) for host in hosts)
    except ValueError:
        raise ValueError("one of its Sentinels is not of the form host:port")
    options = parse_qs(found.group("query") or "")
    return Target(
        host="",
        user=unquote(found.group("user") or "") or None,
        password=unquote(found.group("password") or "") or None,
        database=int(found.group("database") or 0),
        tls=found.group("scheme") == "rediss",
        sentinels=Sentinels(
            unquote(found.group("service")),
            addresses,
            options.get("sentinel_username", [None])[-1],
            options.get("sentinel_password", [None])[-1],
        ),
    )


def driver() -> str:
    """Return which of DRIVERS ``connect`` uses on this host."""
    return DRIVERS[0] if _library() else DRIVERS[1]


@functools.lru_cache(maxsize=None)
def _library() -> Any:
    """Return redis-py's package, or None where it cannot be imported."""
    try:
        import redis
        from redis.connection import Connection, DefaultParser  # noqa: F401
    except Exception:  # a damaged library can raise anything, and resp does as well
        return None
    return redis


def connect(target: Target, deadline: Deadline, by: Optional[str] = None) -> resp.Client:
    """Return a client that is logged in: ``call``, ``within`` and ``close`` as of ``resp.Client``.

    Args:
        target: a ``Target``.
        deadline: for all that is sent and read, until ``within`` replaces it.
        by: one of DRIVERS; the one that this host has if not given.

    Raises:
        ConnectionFailed: the server cannot be reached, or does not speak Redis's protocol.
        RedisError: it refuses the login or the database.
        DriverMissing: only redis-py can query Sentinels.
    """
    by = by or driver()
    context = _context(target) if target.tls else None
    if target.sentinels:
        if by != "redis-py" or not _library():
            raise DriverMissing("Sentinel needs redis-py (python3-redis) on this host")
        host, port = _master(target, target.sentinels, deadline)
        target = target._replace(host=host, port=port)
    client_class = LibraryClient if by == "redis-py" else resp.Client
    client = client_class(target.host, target.port, deadline, target.tls, context)
    try:
        client.log_in(target.user, target.password, target.database)
    except BaseException:
        client.close()
        raise
    return client


def _context(target: Target) -> ssl.SSLContext:
    import ssl  # 20 ms of CPU: only where it is needed

    try:
        return ssl.create_default_context(cafile=target.ca_path)
    except OSError:
        reason = "the file with the authorities cannot be read"
        message = "%s: TLS: %s" % (target.address, reason)
        raise ConnectionFailed("tls", "tls", message, detail=reason)


class LibraryClient(resp.Client):
    """A connection to a Redis server by redis-py."""

    driver = "redis-py"

    def __init__(
        self,
        host: str,
        port: int,
        deadline: Deadline,
        tls: bool = False,
        context: Optional[ssl.SSLContext] = None,
    ) -> None:
        """Connect; the arguments are those of ``resp.open_stream``."""
        resp.Client.__init__(self, host, port, deadline, tls, context)
        self._socket = _Socket(self._stream)
        self._connection = _connection_class()(
            parser_class=_parser_class(), encoding_errors="replace", decode_responses=True
        )
        self._connection.stream_socket = self._socket

    def call(self, *words: str) -> Reply:
        """Send a command and return its reply as ``resp.Client.call`` does."""
        self._socket.left = _LONGEST_REPLY
        encoded = [word.encode("utf-8", "surrogateescape") for word in words]
        self._act(lambda: self._connection.send_command(*encoded))
        return _plain(self._act(self._connection.read_response))

    def _act(self, function: Callable[[], Any]) -> Any:
        exceptions = _library().exceptions
        try:
            return function()
        except exceptions.ResponseError as error:
            raise resp.RedisError(str(error))
        except (exceptions.InvalidResponse, ValueError):
            # Its parser takes a length for granted to be a number.
            raise resp.not_redis(self._stream.peer)
        except exceptions.RedisError as error:
            raise ConnectionFailed("closed", "first_byte", "%s: %s" % (self._stream.peer, error))


class _Socket:
    """A ``Stream`` as the socket that redis-py reads from and writes to."""

    def __init__(self, stream: tcp.Stream) -> None:
        self._stream = stream
        self.left = _LONGEST_REPLY

    def sendall(self, data: bytes) -> None:
        self._stream.send(data)

    def recv(self, size: int) -> bytes:
        data = self._stream.read(size)
        if not data:
            raise ConnectionFailed(
                "closed", "first_byte", "%s closed the connection" % self._stream.peer
            )
        self.left -= len(data)
        if self.left < 0:
            raise resp.not_redis(self._stream.peer)
        return data

    def recv_into(self, buffer: memoryview) -> int:
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def settimeout(self, _seconds: Optional[float]) -> None:
        """The deadline of the stream counts, which is for a reply as a whole."""

    def shutdown(self, _how: int) -> None:
        self._stream.close()

    def close(self) -> None:
        self._stream.close()


@functools.lru_cache(maxsize=None)
def _connection_class() -> Any:
    class Connection(_library().connection.Connection):  # type: ignore[misc]
        """One of redis-py's whose socket is there already.

        It sends no command at the start (HELLO, CLIENT SETINFO): a user's ACL may forbid
        it, and an error of the server would be lost.
        """

        protocol = 2

        def _connect(self) -> _Socket:
            return self.stream_socket

        def on_connect(self, *_options: Any, **_named: Any) -> None:
            self._parser.on_connect(self)

        on_connect_check_health = on_connect

    return Connection


@functools.lru_cache(maxsize=None)
def _parser_class() -> Any:
    class Parser(_library().connection.DefaultParser):  # type: ignore[misc]
        """One that keeps the text of an error: redis-py cuts off the code of some, by version."""

        @classmethod
        def parse_error(cls, response: str) -> Exception:
            return _library().exceptions.ResponseError(response)

    return Parser


def _plain(reply: Any) -> Reply:
    if isinstance(reply, list):
        return [_plain(item) for item in reply]
    if isinstance(reply, Exception):
        raise resp.RedisError(str(reply))
    return str(reply) if isinstance(reply, int) else reply


def _master(target: Target, sentinels: Sentinels, deadline: Deadline) -> Tuple[str, int]:
    """Return (host, port) of the master that the Sentinels name."""
    seconds = max(0.1, deadline.remaining() / len(sentinels.addresses))
    options: Dict[str, Any] = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    options.update(username=sentinels.user, password=sentinels.password, decode_responses=True)
    if target.tls:
        options.update(ssl=True, ssl_cert_reqs="required", ssl_check_hostname=True)
        options["ssl_ca_certs"] = target.ca_path
    answer = []

    def discover() -> None:
        from redis.sentinel import Sentinel

        try:
            found = Sentinel(sentinels.addresses, sentinel_kwargs={**options, **_no_retry()})
            answer.append(found.discover_master(sentinels.service))
        except (_library().exceptions.RedisError, OSError) as error:
            answer.append(error)

    # The library resolves names without a limit of time.
    thread = threading.Thread(target=discover, daemon=True)
    thread.start()
    thread.join(deadline.remaining())
    if not answer:
        raise ConnectionFailed("timeout", "first_byte", "%s: no answer in time" % target.address)
    if isinstance(answer[0], Exception):
        raise ConnectionFailed(
            "unreachable",
            "connect",
            "no Sentinel names a master of %s" % target.address,
        )
    host, port = answer[0]
    return host, int(port)


def _no_retry() -> Dict[str, Any]:
    """Return the option by which redis-py tries each Sentinel once; 3.5 does so anyway."""
    try:
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        return {}
    return {"retry": Retry(NoBackoff(), 0)}
