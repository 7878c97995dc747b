# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the app is to be queried: where its processes listen, else where its command line says.

uvicorn, gunicorn, hypercorn and others take that from options, variables, configuration files or a
socket that systemd passes on. The kernel's tables have the result.
"""

from __future__ import annotations

import re
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config, sockets, unit
from ansible_collections.sergas.ops.plugins.module_utils._net import http, url
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

#: What an app is called by that listens on this host. One that checks the names that it is called
#: by (TrustedHostMiddleware) accepts it rather than an address.
HOST_NAME = "localhost"
#: options of servers: what they say
_OPTIONS = {
    "--host": "host",
    "--port": "port",
    "--uds": "socket",
    "--unix-socket": "socket",
    "--bind": "bind",
    "-b": "bind",
    "-u": "socket",
    "-p": "port",
    "--ssl-certfile": "tls",
    "--ssl-keyfile": "tls",
    "--certfile": "tls",
    "--keyfile": "tls",
    "--ssl-certificate": "tls",
}
#: ``-b`` and ``-p`` mean something else to other programs.
_SERVERS = re.compile(r"(?:^|/)(gunicorn|hypercorn|daphne|uvicorn|granian)\Z")
_SHORT = {"gunicorn": ("-b",), "hypercorn": ("-b",), "daphne": ("-b", "-p", "-u")}
#: uvicorn takes each option from a variable, too.
_VARIABLES = {
    "UVICORN_HOST": "host",
    "UVICORN_PORT": "port",
    "UVICORN_UDS": "socket",
    "UVICORN_SSL_CERTFILE": "tls",
}
_OTHER_SCHEME = {"http": "https", "https": "http"}
#: What one protocol looks like to a client of the other one.
_WRONG_SCHEME = ("protocol", "closed", "tls")


class Configured(namedtuple("Configured", ["host", "port", "socket", "tls"])):
    """What a command line says: each None, or False, where it does not."""

    __slots__ = ()


class Endpoint(namedtuple("Endpoint", ["host", "port", "socket", "scheme", "own"])):
    """Where to query the app.

    Attributes:
        host, port: where to connect over TCP.
        socket: the path of the Unix socket to connect to instead, or None.
        scheme: ``http`` or ``https``, what is tried first.
        own: whether a process of the app's unit listens there.
    """

    __slots__ = ()

    @property
    def address(self):
        """Return (host, port) to connect to, as ``http.get`` takes it."""
        return (self.socket or self.host, self.port)

    def shown(self, path, scheme=None):
        """Return the URL of a path for people."""
        server = HOST_NAME if self.socket else url.address(self.host, self.port)
        shown = "%s://%s/%s" % (scheme or self.scheme, server, path.lstrip("/"))
        return shown + " at " + self.socket if self.socket else shown


def configured(properties, settings, running=""):
    """Return what the command line of a unit says, variables of its environment filled in (pure).

    Args:
        properties: those of the unit.
        settings: {name: value} that the app runs with.
        running: the command line of its main process, which counts where it is that of a server: a
            wrapper has decided by then, and the settings may have changed since.
    """
    found = {
        kind: settings[name].strip() for name, kind in _VARIABLES.items() if settings.get(name)
    }
    # systemd joins the words of its list with spaces, so quotes are those within a shell's command.
    command = re.sub(
        r"\$(?:\{(\w+)\}|(\w+))",
        lambda name: settings.get(name.group(1) or name.group(2)) or "",
        running if any(map(_SERVERS.search, running.split())) else unit.command_line(properties),
    )
    words = command.replace("'", " ").replace('"', " ").split()
    programs = [_SERVERS.search(word) for word in words]
    program = next((match.group(1) for match in programs if match), None)
    if program == "gunicorn":
        words += settings.get("GUNICORN_CMD_ARGS", "").split()
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in _OPTIONS and (name.startswith("--") or name in _SHORT.get(program, ())):
            value = value if equals else (words[index + 1 : index + 2] or [""])[0]
            if not value.startswith("-"):
                found[_OPTIONS[name]] = value
    found.update(_of_bind(found.get("bind", "")))
    host, port = found.get("host"), found.get("port", "")
    number = int(port) if re.match(r"[0-9]{1,5}\Z", port) else 0
    return Configured(
        addresses.known(host) or host or None,
        number if 0 < number < 65536 else None,
        found.get("socket") or None,
        bool(found.get("tls")),
    )


def _of_bind(text):
    """Return what ``unix:PATH``, ``HOST``, ``HOST:PORT`` or ``:PORT`` says."""
    if text.startswith("unix:"):
        return {"socket": re.sub(r"\A//(?=/)", "", text[5:])}
    if not text or "://" in text:
        return {}
    if text.startswith(":") and text[1:].isdigit():
        return {"port": text[1:]}
    try:
        host, port = url.split_address(text, 0)
    except ValueError:
        return {} if ":" in text and not addresses.known(text) else {"host": text}
    return {"host": host, "port": str(port)}


def choose(listening, wanted, port, scheme=None, fixed=False):
    """Return the ``Endpoint`` of an app (pure).

    Args:
        listening: ([(address, port)], [path]) of what its processes listen on.
        wanted: its ``Configured``.
        port: the port it is configured to listen on.
        scheme: ``http``, ``https``, or None for what the configuration says.
        fixed: whether the operator has named the port.
    """
    tcp, paths = listening
    scheme = scheme or ("https" if wanted.tls else "http")
    ports = {number for _address, number in tcp}
    path = wanted.socket if wanted.socket in paths else None
    if not fixed and port not in ports:
        # Of several, none is more likely than another one. A server that does not listen where its
        # command line says is not ready, whatever else it listens on.
        if len(ports) == 1 and not path and not wanted.port:
            port = next(iter(ports))
        elif not path and not ports and len(paths) == 1:
            path = paths[0]
        if path:
            return Endpoint(None, port, path, scheme, True)
    host = sockets.reachable(address for address, number in tcp if number == port)
    if host:
        return Endpoint(host, port, None, scheme, True)
    if wanted.socket and not fixed:
        return Endpoint(None, port, wanted.socket, scheme, False)
    host = "" if wanted.host == HOST_NAME else wanted.host
    return Endpoint(addresses.reached_at(host or "0.0.0.0"), port, None, scheme, False)  # noqa: S104


def find(properties, settings, port=None, scheme=None):
    """Return the ``Endpoint`` of the app of this host.

    Args:
        properties: those of its unit.
        settings: {name: value} that it runs with.
        port: the one that the operator names, or None.
        scheme: the one that the operator names, or None.
    """
    wanted = configured(properties, settings, unit.running_command(properties))
    number = port or wanted.port or app_config.port(settings) or app_config.DEFAULT_PORT
    try:
        listening = sockets.listening(unit.members(properties))
    except Unmeasurable:
        # The configuration is left, and the probe of the sockets says why.
        listening = [], []
    except PermissionError:
        return choose(([], []), wanted, number, scheme, port is not None)._replace(
            **_of_anyone(wanted, number)
        )
    return choose(listening, wanted, number, scheme, port is not None)


def _of_anyone(wanted, port):
    """Return the host that whatever listens on a port is reached at, for a user that may not see
    whose it is.
    """
    if wanted.socket:
        return {}
    try:
        host = sockets.reachable(sockets.on_port(port)[0])
    except Unmeasurable:
        host = None
    return {"host": host} if host else {}


def configured_port(properties, settings, port=None):
    """Return the port that the operator names, else that of the command line, the settings, or the
    default (pure).
    """
    wanted = configured(properties, settings).port
    return port or wanted or app_config.port(settings) or app_config.DEFAULT_PORT


def headers(params):
    """Return {name: value} of the headers that the options give for the app's own paths."""
    return {name: str(value) for name, value in (params.get("latency_headers") or {}).items()}


def get(
    endpoint, path, deadline, max_bytes=65536, headers=None, redirects=0, name=None, fixed=None
):
    """Request a path of the app; return (``http.Reply``, the scheme that it speaks).

    Args:
        endpoint: its ``Endpoint``.
        path: the path.
        deadline, max_bytes, headers, redirects: see ``http.get``.
        name: what the app is called by, with or without a port; ``HOST_NAME`` if not given.
        fixed: the scheme that the operator names: another one is not tried.

    Raises:
        ConnectionFailed: no answer.
    """
    first = fixed or endpoint.scheme
    try:
        return _get(endpoint, first, path, deadline, max_bytes, headers, redirects, name), first
    except ConnectionFailed as error:
        if fixed or error.kind not in _WRONG_SCHEME or error.phase not in ("tls", "first_byte"):
            raise
        other = _OTHER_SCHEME[first]
        try:
            return _get(endpoint, other, path, deadline, max_bytes, headers, redirects, name), other
        except ConnectionFailed:
            raise error from None


def _get(endpoint, scheme, path, deadline, max_bytes, headers, redirects, name):
    host = name or HOST_NAME
    if not name and not endpoint.socket:
        host = url.address(HOST_NAME, endpoint.port)
    address = "%s://%s/%s" % (scheme, host, path.lstrip("/"))
    return http.get(address, deadline, max_bytes, headers, redirects, endpoint.address)
