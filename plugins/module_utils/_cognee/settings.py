# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cognee's address and key, from the module's options and the app's settings (pure).

The app's ``.env`` names it by a URL (``COGNEE_BASE_URL`` and its other names) or by host and port.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._net import url

URLS = ("COGNEE_BASE_URL", "COGNEE_API_URL", "COGNEE_URL")
#: the guide's
DEFAULT_PORT = 8001
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SENDABLE = re.compile(r"[\x21-\x7e]+\Z")
#: A base URL may lead to the API already; the health check is beside it.
_API_PATH = re.compile(r"/api(?:/v[0-9]+)?/*\Z")


class Service(NamedTuple):
    """The service to check."""

    #: scheme://host:port and the path in front of all routes, without a slash at its end
    base: str
    host: str
    port: int
    key: Optional[str]
    #: what named it: options, a variable of the .env, or default
    source: str

    @property
    def target(self):
        """Return host:port."""
        return url.address(self.host, self.port)


def service(params, settings, published=None):
    """Return the ``Service``.

    Args:
        params: the module's options: url, api_key.
        settings: {name: value} of the app.
        published: the port that the container on this host publishes, or None.

    Raises:
        ValueError: the URL is not of http or https, or no header can have the key. The message
            names the option or the variable, and has no part of the value.
    """
    key = params["api_key"] or settings.get("COGNEE_API_KEY") or None
    if key and not _SENDABLE.match(key):
        raise InvalidValue("COGNEE_API_KEY has characters that no header can have")
    for source, text in [("url", params["url"])] + [(name, settings.get(name)) for name in URLS]:
        if text:
            return _from_url(source, text, key)
    host, port = settings.get("COGNEE_HOST"), settings.get("COGNEE_PORT") or ""
    if host:
        number = int(port) if port.isdigit() and 0 < int(port) < 65536 else DEFAULT_PORT
        return Service("http://" + url.address(host, number), host, number, key, "COGNEE_HOST")
    number = published or DEFAULT_PORT
    return Service("http://127.0.0.1:%d" % number, "127.0.0.1", number, key, "default")


def _from_url(source, text, key):
    try:
        parts = url.split(text.strip())
    except ValueError as error:
        raise InvalidValue("%s: %s" % (source, error))
    if parts.scheme not in ("http", "https") or not parts.host:
        raise InvalidValue("%s is no URL of http or https" % source)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    path = _API_PATH.sub("", parts.path).rstrip("/")
    address = url.address(parts.host, port)
    return Service("%s://%s%s" % (parts.scheme, address, path), parts.host, port, key, source)


def is_loopback(host):
    """Return whether an address is one that only its own host reaches."""
    return addresses.is_loopback(host)


def url_for_clients(text, own_address):
    """Return a URL as other hosts must use it: an address of loopback becomes that of its host.

    Args:
        text: the URL as the host of the service uses it.
        own_address: the address or the name by which other hosts reach that host; one of IPv6 may
            have brackets.
    """
    try:
        parts = url.split(text)
    except ValueError:
        return text
    if not is_loopback(parts.host):
        return text
    host = addresses.known(own_address) or own_address
    address = url.address(host, parts.port or _DEFAULT_PORTS.get(parts.scheme, 80))
    return "%s://%s%s" % (parts.scheme, address, parts.path)
