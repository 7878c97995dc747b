# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""URLs of the app's services in its configuration, as libpq, SQLAlchemy and redis-py take them.

A password may have characters that none of them takes as they are. They split the URL at these, and
give away a part of the password as the name of a host. So the login reaches to the last ``@`` here,
which is what its author meant, and ``to_encode`` says what is wrong.
"""

from __future__ import annotations

import re

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._net import url

_QUERY = r"\?(?=[A-Za-z_][\w.-]*=)"
#: What a query may say of the server and of the login (libpq; SQLAlchemy with several hosts).
_OPTIONS = (("user", "user"), ("password", "password"), ("dbname", "name"))
#: No password that is one has more.
_MOST_PARTS = 20
#: Within a login, these separate the parts of the URL; a % begins two hexadecimal digits.
_TO_ENCODE = r"[@/?#]|%(?![0-9A-Fa-f]{2})"


def _parts(text):
    """Return (scheme, login, ``@`` or nothing, servers, the rest) of a URL."""
    scheme, _separator, rest = text.partition("://")
    query = re.search(_QUERY, rest)
    body, tail = (rest[: query.start()], rest[query.start() :]) if query else (rest, "")
    login, at, server = body.rpartition("@")
    servers = re.split("[/?#]", server, maxsplit=1)[0]
    return scheme, login, at, servers, server[len(servers) :] + tail


def _login(text):
    return _parts(text)[1] if re.match(r"[A-Za-z][\w+.-]*://", text) else ""


def to_encode(text):
    """Return the characters that the login of a URL has as they are and that must be encoded."""
    password = _login(text).partition(":")
    return "".join(sorted(set(re.findall(_TO_ENCODE, "".join(password[::2])))))


def fragments(text):
    """Return the secret parts of a URL: its password as it is and decoded, and what readers that
    split it at a wrong character make of it.
    """
    password = _login(text).partition(":")[2]
    found = {password, url.unquote(password)}
    if to_encode(text):
        for part in re.split("[@/?#:]", password)[:_MOST_PARTS]:
            # In quotes, as messages show it: alone, a short one would mask ordinary words.
            found.update(('"%s"' % part, "'%s'" % part) if part and len(part) < 6 else (part,))
        found.update(rest.group() for rest in re.finditer("(?<=[@/?#]).+", password))
    return found - {""}


def split(text):
    """Return (``url.Url`` of the first server, [(host, port or None), ...] of all servers).

    Raises:
        InvalidValue: it is no URL. The message has no part of it.
    """
    if "://" not in text:
        raise InvalidValue("it is not of the form scheme://user:password@host:port/path")
    from urllib.parse import quote

    scheme, login, at, servers, rest = _parts(text)
    found = [
        url.split("%s://%s%s%s%s" % (scheme, quote(login, ":%"), at, server, rest))
        for server in servers.split(",")
    ]
    first = found[0]
    if not scheme.lower().startswith(("postgres", "redis")):
        return first, [(first.host, first.port)]
    query = [item.partition("=")[::2] for item in first.query.split("&")]
    named = [url.unquote(value) for name, value in query if name == "host"]
    ports = [url.unquote(value) for name, value in query if name == "port"]
    addresses = [(one.host, one.port) for one in found]
    if named or ports:
        addresses = _of_query(",".join(named).split(",") if named else None, ports, addresses)
    options = {
        part: url.unquote(value)
        for name, value in query
        for option, part in _OPTIONS
        if name == option
    }
    path = options.pop("name", None)
    first = first._replace(host=addresses[0][0], port=addresses[0][1], **options)
    return (first._replace(path="/" + url.quote(path)) if path else first), addresses


def _of_query(hosts, ports, addresses):
    """Return the addresses with the hosts and the ports of the query: one for each, or one for
    all.
    """
    ports = ",".join(ports).split(",")
    found = []
    for position, host in enumerate(hosts or [host for host, _port in addresses]):
        own = ports[position] if len(ports) > 1 and position < len(ports) else ports[0]
        if own:
            if not re.match(r"[0-9]{1,5}\Z", own) or not 0 < int(own) < 65536:
                raise InvalidValue("the port in its query is not a port")
            port = int(own)
        else:
            port = addresses[min(position, len(addresses) - 1)][1] if hosts is None else None
        name = re.match(r"\[?([^\[\]/]*?)\]?(?::([0-9]{1,5}))?\Z", host)
        if name and name.group(2):
            host, port = name.group(1), int(name.group(2))
        found.append((host, port))
    return found
