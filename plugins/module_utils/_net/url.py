# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""URLs taken apart and put together, without the import time of urllib."""

from __future__ import annotations

import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^/?#]*))?@)?"
    r"(?:\[(?P<six>[^\]/?#]*)\]|(?P<host>[^:/?#@\s]*))(?::(?P<port>[0-9]*))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?\Z",
    re.S,
)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Url(namedtuple("Url", ["scheme", "user", "password", "host", "port", "path", "query"])):
    """The parts of a URL, user, password and host decoded; the path and the query as they are.

    What it does not have of user, password and port is None.
    """

    __slots__ = ()

    def option(self, *names):
        """Return the value of the first of these names in the query, or None."""
        options = dict(item.partition("=")[::2] for item in self.query.split("&"))
        return next((unquote(options[name]) for name in names if name in options), None)


def split(text):
    """Return the L(Url) of a text.

    Raises:
        ValueError: it is none. The message has no part of it, as there may be a password in it.
    """
    match = _URL.match(text)
    if not match:
        raise InvalidValue("it is not of the form scheme://user:password@host:port/path")
    port = int(match.group("port")) if match.group("port") else None
    if port is not None and not 0 < port < 65536:
        raise InvalidValue("%s is not a port" % port)
    user, password = match.group("user"), match.group("password")
    return Url(
        match.group("scheme").lower(),
        user and unquote(user),
        password and unquote(password),
        unquote(match.group("six") or match.group("host") or ""),
        port,
        match.group("path") or "",
        match.group("query") or "",
    )


def unquote(text):
    """Return a text with its percent escapes decoded."""
    decoded = _ESCAPE.sub(
        lambda found: bytes([int(found.group(1), 16)]), text.encode("utf-8", "surrogateescape")
    )
    return decoded.decode("utf-8", "replace")


def quote(text):
    """Return a text with all but unreserved characters escaped, for a value in a query."""
    return "".join(
        chr(byte) if byte in _UNRESERVED else "%%%02X" % byte for byte in text.encode("utf-8")
    )


def address(host, port):
    """Return host:port, with brackets around an IPv6 address."""
    return "%s:%s" % ("[%s]" % host if ":" in host else host, port)


def split_address(text, default_port):
    """Return (host, port) of C(host), C(host:port), C([IPv6]:port) or a bare IPv6 address.

    Raises:
        ValueError: it is none of these.
    """
    match = re.match(
        r"\s*(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:/\s\[\]]+))(?::(?P<port>[0-9]{1,5}))?\s*\Z",
        text,
    )
    if match:
        port = int(match.group("port") or default_port)
        if 0 < port < 65536:
            return match.group("six") or match.group("host"), port
    elif text.count(":") > 1 and re.match(r"[0-9A-Fa-f:.]+\Z", text):
        return text, default_port
    raise InvalidValue("%r is not of the form host:port" % text)
