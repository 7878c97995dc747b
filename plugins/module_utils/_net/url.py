# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""URLs taken apart and put together, as ``urllib.parse`` does.

It is loaded where a URL is met: it takes a diagnosis as long as the modules of this package.
"""

from __future__ import annotations

import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

# Compiled where they are used, as the import is.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*\Z"
_SERVER = r"(?:\[([^\]]*)\]|([^:@\s]*))(?::([0-9]{0,9}))?\Z"
#: ``urlsplit`` leaves these out wherever they are.
_LEFT_OUT = r"[\t\r\n]"
#: What no encoding has: bytes that were none of UTF-8, or half a character of JSON.
_UNDECODED = "[\ud800-\udfff]"
_FORM = "it is not of the form scheme://user:password@host:port/path"


class Url(namedtuple("Url", ["scheme", "user", "password", "host", "port", "path", "query"])):
    """The parts of a URL, user, password and host decoded; the path and the query as they are.

    What it does not have of user, password and port is None.
    """

    __slots__ = ()

    scheme: str
    user: Optional[str]
    password: Optional[str]
    host: str
    port: Optional[int]
    path: str
    query: str

    def option(self, *names: str) -> Optional[str]:
        """Return the value of the first of these names in the query, or None."""
        options = dict(item.partition("=")[::2] for item in self.query.split("&"))
        return next((unquote(options[name]) for name in names if name in options), None)


def split(text: str) -> Url:
    """Return the ``Url`` of a text.

    Raises:
        InvalidValue: it is none. The message has no part of it, as there may be a password in it.
    """
    from urllib.parse import quote as escaped
    from urllib.parse import urlsplit

    text = re.sub(_UNDECODED, "\ufffd", text)
    scheme, separator, rest = text.partition("://")
    login = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[0]
    after = rest[len(login) :]
    if separator and re.match(_SCHEME, scheme) and not re.search(_LEFT_OUT, after):
        try:
            # Any character of a password is its own, also one that is none of a URL.
            parts = urlsplit("%s://%s%s" % (scheme, escaped(login, ":%"), after))
        except ValueError:
            raise InvalidValue(_FORM) from None
        # Not parts.hostname, which is in lower case: it may be the path of a socket.
        server = re.match(_SERVER, parts.netloc.rpartition("@")[2])
        if server:
            six, host, port = server.groups()
            if port and not 0 < int(port) < 65536:
                raise InvalidValue("%s is not a port" % int(port))
            return Url(
                parts.scheme,
                parts.username and unquote(parts.username),
                parts.password and unquote(parts.password),
                unquote(six or host or ""),
                int(port) if port else None,
                parts.path,
                parts.query,
            )
    raise InvalidValue(_FORM)


def unquote(text: str) -> str:
    """Return a text with its percent escapes decoded."""
    from urllib.parse import unquote as decoded

    return decoded(text)


def quote(text: str) -> str:
    """Return a text with all but unreserved characters escaped, for a value in a query."""
    from urllib.parse import quote as escaped

    return escaped(text, "")


def join(base: str, target: str) -> Optional[str]:
    """Return the URL that a reference leads to, without a fragment; None for another server."""
    from urllib.parse import urldefrag, urljoin, urlsplit

    try:
        found = urldefrag(urljoin(base, target)).url
        server, own = urlsplit(found), urlsplit(base)
    except ValueError:
        return None
    same = (server.scheme, server.netloc.lower()) == (own.scheme, own.netloc.lower())
    return found if same else None


def address(host: str, port: int) -> str:
    """Return host:port, with brackets around an IPv6 address."""
    return "%s:%s" % ("[%s]" % host if ":" in host else host, port)


def split_address(text: str, default_port: int) -> Tuple[str, int]:
    """Return (host, port) of ``host``, ``host:port``, ``[IPv6]:port`` or a bare IPv6 address.

    Raises:
        InvalidValue: it is none of these.
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
