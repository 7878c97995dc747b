# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small HTTP/1.1 client: it times each phase and no server can hold it up.

``http.client`` costs more CPU to import than a whole probe, and neither it nor urllib bounds the
total time against a server that sends byte by byte.
"""

from __future__ import annotations

import re
import time
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp, url
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Dict, List, Optional, Tuple

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?\Z", re.S)
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS_LIMIT = 100
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*\Z")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Reply(
    namedtuple("Reply", ["status", "headers", "body", "truncated", "phases", "redirects", "url"])
):
    """An answer to a request.

    Attributes:
        status: its status.
        headers: {name in lower case: value}.
        body: bytes, as many as were requested.
        truncated: whether there was more of it.
        phases: seconds: name, connect and tls (https only) until each was done, first_byte from the
            request to the answer's first byte, total from the beginning to the end.
        redirects: the URLs that redirected here.
        url: the one that answered.
    """

    __slots__ = ()

    status: int
    headers: Dict[str, str]
    body: bytes
    truncated: bool
    phases: Dict[str, float]
    redirects: List[str]
    url: str

    def text(self) -> str:
        """Return the body as text; what is not UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")


def get(
    address: str,
    deadline: Deadline,
    max_bytes: int = 65536,
    headers: Optional[Dict[str, str]] = None,
    redirects: int = 0,
    at: Optional[Tuple[str, int]] = None,
) -> Reply:
    """Request a URL.

    Args:
        address: an http or https URL.
        deadline: for all of it, redirects included.
        max_bytes: how much of the body is read.
        headers: {name: value} to send besides Host.
        redirects: how many redirects are followed, on the same host and port only. The reply is
            that of the last one; one that is not followed is itself the reply.
        at: (host, port) to connect to instead of the URL's; a host that begins with ``/`` is a
            Unix socket. The URL's is what the server is called by: in Host and in TLS.

    Raises:
        ConnectionFailed: no answer, or none in HTTP; the kind is redirect where they go in a
            circle.
        ValueError: the address is no URL of http or https, or a header cannot be sent.
    """
    seen: List[str] = []
    while True:
        reply = _send_once(address, deadline, max_bytes, headers or {}, list(seen), at=at)
        target = reply.headers.get("location")
        if reply.status not in _REDIRECTS or not target or not redirects:
            return reply
        following = url.join(address, target)
        if following is None:
            return reply
        seen.append(address)
        if following in seen:
            raise ConnectionFailed(
                "redirect", "total", "%s redirects in a circle" % seen[0], reply.phases
            )
        if len(seen) > redirects:
            raise ConnectionFailed(
                "redirect", "total", "more than %d redirects" % redirects, reply.phases
            )
        address = following


def send(
    method: str,
    address: str,
    deadline: Deadline,
    body: Optional[bytes] = None,
    max_bytes: int = 65536,
    headers: Optional[Dict[str, str]] = None,
    context: Optional[ssl.SSLContext] = None,
    proxy: Optional[url.Url] = None,
) -> Reply:
    """Send one request and return its Reply, which may be a redirect.

    Args:
        method: of HTTP.
        address: an http or https URL.
        deadline: for all of it.
        body: bytes to send, or None.
        max_bytes: how much of the answer's body is read.
        headers: {name: value} to send besides Host.
        context: an ``ssl.SSLContext`` to verify the certificate with; without one, it is not
            verified.
        proxy: the ``url.Url`` of an HTTP proxy to go through, or None.

    Raises:
        ConnectionFailed: no answer, or none in HTTP; the kind is proxy where one is the reason.
        ValueError: the address is no URL of http or https.
    """
    return _send_once(address, deadline, max_bytes, headers or {}, [], method, body, context, proxy)


def _send_once(
    address: str,
    deadline: Deadline,
    max_bytes: int,
    headers: Dict[str, str],
    seen: List[str],
    method: str = "GET",
    body: Optional[bytes] = None,
    context: Optional[ssl.SSLContext] = None,
    proxy: Optional[url.Url] = None,
    at: Optional[Tuple[str, int]] = None,
) -> Reply:
    parts = url.split(address)
    if parts.scheme not in _DEFAULT_PORTS or not parts.host:
        raise InvalidValue("%s is no URL of http or https" % address)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    host = url.address(parts.host, port) if parts.port else url.address(parts.host, 0)[:-2]
    path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    if re.search(r"[\x00-\x20\x7f]", path + host):
        raise InvalidValue("%r has characters that a URL must not have" % address)
    check_headers(headers)
    sent = {
        "Host": host,
        "User-Agent": "sergas-ops",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    }
    sent.update(headers, Connection="close")
    if body is not None:
        sent["Content-Length"] = str(len(body))
    if proxy and parts.scheme == "http":
        path = "http://%s%s" % (host, path)
        sent.update(_login(proxy))
    lines = ["%s %s HTTP/1.1" % (method, path)] + ["%s: %s" % item for item in sent.items()]
    started = time.monotonic()
    with _reach(parts, at or (parts.host, port), deadline, proxy) as stream:
        if parts.scheme == "https":
            stream.start_tls(parts.host, context)
        sent_at = time.monotonic()
        stream.send(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8") + (body or b""))
        status, fields = _read_head(stream, sent_at)
        stream.phase = "total"
        answer, truncated = b"", False
        if status not in (204, 304):
            answer, truncated = _read_body(stream, fields, max_bytes)
        stream.phases["total"] = time.monotonic() - started
    return Reply(status, fields, answer, truncated, stream.phases, seen, address)


def check_headers(headers: Dict[str, str]) -> None:
    """Refuse a header that would end early, or begin another one.

    Raises:
        InvalidValue: it names the header, and has no value, which may be a secret.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.match(name):
            raise InvalidValue("%r is no name of a header" % name[:40])
        if not _HEADER_VALUE.match(value):
            raise InvalidValue("the header %s has a character that none may have" % name)


def _reach(
    parts: url.Url, server: Tuple[str, int], deadline: Deadline, proxy: Optional[url.Url]
) -> tcp.Stream:
    """Return the ``tcp.Stream`` to a server, or to the proxy on the way there."""
    if proxy is None:
        return tcp.connect(server[0], server[1], deadline)
    try:
        stream = tcp.connect(proxy.host, proxy.port or 80, deadline)
    except ConnectionFailed as error:
        raise ConnectionFailed("proxy", error.phase, str(error), error.phases)
    if parts.scheme == "https":
        try:
            _open_tunnel(stream, url.address(*server), proxy)
        except ConnectionFailed:
            stream.close()
            raise
    return stream


def _open_tunnel(stream: tcp.Stream, server: str, proxy: url.Url) -> None:
    lines = ["CONNECT %s HTTP/1.1" % server, "Host: " + server]
    lines += ["%s: %s" % item for item in _login(proxy).items()]
    try:
        stream.send(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"))
        status, _fields = _read_head(stream, time.monotonic())
    except ConnectionFailed as error:
        raise ConnectionFailed("proxy", error.phase, str(error), error.phases)
    if not 200 <= status < 300:
        message = "%s answers the request for a tunnel with HTTP %d" % (stream.peer, status)
        raise ConnectionFailed("proxy", "connect", message, stream.phases)
    del stream.phases["first_byte"]


def _login(proxy: url.Url) -> Dict[str, str]:
    if not proxy.user:
        return {}
    import base64  # for the few that need it

    login = "%s:%s" % (proxy.user, proxy.password or "")
    return {"Proxy-Authorization": "Basic " + base64.b64encode(login.encode("utf-8")).decode()}


def _read_head(stream: tcp.Stream, sent_at: float) -> Tuple[int, Dict[str, str]]:
    """Return (status, headers); interim answers (1xx) are passed over."""
    for _interim in range(10):
        first = stream.read_exactly(1)
        stream.phases.setdefault("first_byte", time.monotonic() - sent_at)
        match = _STATUS.match(first + stream.read_line()) if first == b"H" else None
        if not match:
            raise ConnectionFailed(
                "protocol", "first_byte", "%s does not speak HTTP" % stream.peer, stream.phases
            )
        fields = {}
        for _number in range(_HEADERS_LIMIT):
            line = stream.read_line()
            if not line:
                break
            name, _colon, value = line.decode("latin-1").partition(":")
            fields[name.strip().lower()] = value.strip()
        else:
            message = "%s sends more than %d headers" % (stream.peer, _HEADERS_LIMIT)
            raise ConnectionFailed("protocol", "first_byte", message, stream.phases)
        status = int(match.group(1))
        if status >= 200:
            return status, fields
    raise ConnectionFailed(
        "protocol", "first_byte", "%s sends endless interim answers" % stream.peer, stream.phases
    )


def _read_body(stream: tcp.Stream, fields: Dict[str, str], max_bytes: int) -> Tuple[bytes, bool]:
    """Return (body, truncated), at most max_bytes of it."""
    if "chunked" in fields.get("transfer-encoding", "").lower():
        return _read_chunks(stream, max_bytes)
    length = fields.get("content-length", "")
    wanted = int(length) if re.match(r"[0-9]{1,15}\Z", length) else None
    if wanted is not None:
        return stream.read_exactly(min(wanted, max_bytes)), wanted > max_bytes
    parts, size = [], 0
    while size <= max_bytes:
        data = stream.read()
        if not data:
            break
        parts.append(data)
        size += len(data)
    body = b"".join(parts)
    return body[:max_bytes], len(body) > max_bytes


def _read_chunks(stream: tcp.Stream, max_bytes: int) -> Tuple[bytes, bool]:
    parts: List[bytes] = []
    size = 0
    while True:
        text = stream.read_line().partition(b";")[0].strip()
        if not re.match(rb"[0-9A-Fa-f]{1,8}\Z", text):
            raise ConnectionFailed(
                "protocol", "total", "%s sends a broken body" % stream.peer, stream.phases
            )
        length = int(text, 16)
        if not length:
            return b"".join(parts), False
        if size + length > max_bytes:
            parts.append(stream.read_exactly(max_bytes - size))
            return b"".join(parts), True
        parts.append(stream.read_exactly(length))
        size += length
        stream.read_line()
