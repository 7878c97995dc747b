# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TCP and Unix connections under one deadline, with the phases timed."""

from __future__ import annotations

import socket
import threading
import time

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, url
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any, Dict, List, Optional


def resolve(host: str, port: Optional[int], deadline: Deadline) -> List[Any]:
    """Return the addresses of a host as ``socket.getaddrinfo`` does, bounded in time as it is not.

    Raises:
        ConnectionFailed: the kind is dns, or timeout with the phase name.
    """
    # A text would be encoded as IDNA, whose tables take longer to load than most answers to come.
    name = host.encode("ascii") if host.isascii() else host
    try:
        # An address needs no resolver, so it cannot be held up by one.
        return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass
    answer: List[Any] = []

    def look_up() -> None:
        try:
            answer.append(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.append(error)

    # The resolver of the C library takes no timeout.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(deadline.remaining())
    if not answer:
        raise ConnectionFailed("timeout", "name", "the name %s was not resolved in time" % host)
    if isinstance(answer[0], Exception):
        raise failures.unresolved(host, answer[0])
    return answer[0]


def is_own(host: str, deadline: Deadline) -> bool:
    """Return whether a name or address is this machine: its own addresses, and only those, can be
    bound.
    """
    try:
        entries = resolve(host, 0, deadline)
    except ConnectionFailed:
        return False
    for family, _type, _protocol, _name, target in entries:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind(target)
                return True
        except OSError:
            continue
    return False


def connect(host: str, port: int, deadline: Deadline) -> Stream:
    """Connect to the first address of a host that answers.

    A host that begins with ``/`` is a Unix socket.

    Returns:
        Stream

    Raises:
        ConnectionFailed: no address answered; it is the failure of the last one tried.
    """
    phases: Dict[str, float] = {}
    if host.startswith("/"):
        return _open(socket.AF_UNIX, host, host, deadline, phases)
    started = time.monotonic()
    addresses = resolve(host, port, deadline)
    phases["name"] = time.monotonic() - started
    failure = ConnectionFailed(failures.DNS, "name", "the name %s has no address" % host)
    for index, (family, _type, _protocol, _name, target) in enumerate(addresses):
        # One address that swallows packets must leave time for the others.
        share = deadline.within(deadline.remaining() / (len(addresses) - index))
        try:
            stream = _open(family, target, url.address(host, port), share, phases)
        except ConnectionFailed as error:
            failure = error
        else:
            stream.deadline = deadline
            return stream
    raise failure


def _open(
    family: int, target: Any, peer: str, deadline: Deadline, phases: Dict[str, float]
) -> Stream:
    started = time.monotonic()
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectionFailed("unreachable", "connect", "%s: %s" % (peer, error.strerror), phases)
    try:
        sock.settimeout(max(deadline.remaining(), 0.001))
        sock.connect(target)
    except OSError as error:
        sock.close()
        raise failures.of(error, "connect", peer, phases)
    phases["connect"] = time.monotonic() - started
    return Stream(sock, peer, deadline, phases)


class Stream:
    """A connection that is read piece by piece, never for longer than its deadline."""

    def __init__(
        self, sock: socket.socket, peer: str, deadline: Deadline, phases: Dict[str, float]
    ) -> None:
        self.peer = peer
        self.deadline = deadline
        self.phases = phases
        self.phase = "first_byte"
        self._sock = sock
        self._buffer = b""

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, whatever its state."""
        try:
            self._sock.close()
        except OSError:
            pass

    def start_tls(self, host: str, context: Optional[ssl.SSLContext] = None) -> None:
        """Go on in TLS.

        Args:
            host: the name for the server's choice of a certificate.
            context: an ``ssl.SSLContext``; without one, the certificate is not verified.
        """
        import ssl  # 20 ms of CPU: only where it is needed

        if context is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        started = time.monotonic()
        try:
            self._sock.settimeout(self._left("tls"))
            self._sock = context.wrap_socket(self._sock, server_hostname=host)
        except OSError as error:
            raise failures.of(error, "tls", self.peer, self.phases)
        self.phases["tls"] = time.monotonic() - started

    def _left(self, phase: str) -> float:
        try:
            return self.deadline.timeout(self.peer)
        except DeadlineExceeded as error:
            raise ConnectionFailed("timeout", phase, str(error), self.phases)

    def send(self, data: bytes) -> None:
        """Send all of the data."""
        try:
            self._sock.settimeout(self._left(self.phase))
            self._sock.sendall(data)
        except OSError as error:
            raise failures.of(error, self.phase, self.peer, self.phases)

    def read(self, limit: int = 65536) -> bytes:
        """Return what has come, at most limit bytes; empty at the end."""
        if self._buffer:
            data, self._buffer = self._buffer[:limit], self._buffer[limit:]
            return data
        try:
            self._sock.settimeout(self._left(self.phase))
            return self._sock.recv(limit)
        except OSError as error:
            raise failures.of(error, self.phase, self.peer, self.phases)

    def read_exactly(self, size: int) -> bytes:
        """Return this many bytes; fewer before the end is a failure of the kind closed."""
        parts = []
        while size:
            data = self.read(min(size, 65536))
            if not data:
                raise ConnectionFailed(
                    "closed", self.phase, "%s closed the connection" % self.peer, self.phases
                )
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def read_line(self, limit: int = 8192) -> bytes:
        """Return the next line without its end; a longer one is a failure of the kind protocol."""
        data = b""
        while b"\n" not in data:
            if len(data) > limit:
                raise ConnectionFailed(
                    "protocol", self.phase, "%s sends endless lines" % self.peer, self.phases
                )
            part = self.read(4096)
            if not part:
                raise ConnectionFailed(
                    "closed", self.phase, "%s closed the connection" % self.peer, self.phases
                )
            data += part
        line, _newline, rest = data.partition(b"\n")
        self._buffer = rest + self._buffer
        return line[:-1] if line.endswith(b"\r") else line
