# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a connection fails: the kinds, what exceptions mean, and the words for people.

What a service adds to it, such as the remedy that starts it, is beside the checks of that service.
"""

from __future__ import annotations

import errno
import socket

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional

DNS = "dns"
REFUSED = "refused"
#: There is no such socket file.
MISSING = "missing"
UNREACHABLE = "unreachable"
DENIED = "denied"
#: The mode of a socket file, or of a directory above it.
PERMISSION = "permission"
#: Nothing comes back; with a phase after ``connect`` the reason is ``HUNG``.
TIMEOUT = "timeout"
HUNG = "hung"
CLOSED = "closed"
TLS = "tls"
#: What is wrong with the certificate of the other side, where that is known.
EXPIRED = "expired"
ISSUER = "issuer"
NAME = "name"
#: All that says that TLS was not agreed on.
ENCRYPTION = (TLS, EXPIRED, ISSUER, NAME)
#: No local port is left for another connection to there.
PORTS = "ports"
#: What answered speaks another protocol.
PROTOCOL = "protocol"
PROXY = "proxy"
REDIRECT = "redirect"

#: reason: what is wrong, to continue "PostgreSQL at 192.0.2.7:5432 cannot be used: "
WORDS = {
    DNS: "its name cannot be resolved",
    REFUSED: "nothing listens there",
    MISSING: "its socket is not there",
    UNREACHABLE: "no route leads there",
    DENIED: "this host's own firewall rejects it",
    PERMISSION: "this user may not open its socket",
    TIMEOUT: "nothing comes back: a packet filter in between, or the host is down",
    HUNG: "it accepts connections and then does not answer",
    CLOSED: "the connection was cut",
    TLS: "TLS cannot be agreed on",
    EXPIRED: "its certificate has expired, or is not valid yet by this host's clock",
    ISSUER: (
        "its certificate is of an issuer that is not known here: the server sends no intermediate"
        " certificate, or this host's bundle of authorities is missing one"
    ),
    NAME: "its certificate is for another name",
    PORTS: "this host has no local port left for a connection to it",
    PROTOCOL: "what listens there speaks another protocol",
    PROXY: "the proxy on the way does not let the connection through",
    REDIRECT: "it redirects without an end",
}
#: reason: what to do about it, where that is the same for every service
ADVICE = {
    DNS: "Correct the host name in .env, or the resolver of this host.",
    UNREACHABLE: "Check the network and the host name in .env.",
    DENIED: "Allow the connection in this host's firewall.",
    PERMISSION: "Check the mode and the group of the socket and of the directories above it.",
    TIMEOUT: "Check the firewalls in between and whether the host is up.",
    PROTOCOL: "Correct the host and the port in .env.",
    PROXY: "Check the proxy that the environment names.",
    EXPIRED: "Renew the certificate of the server; check this host's clock first.",
    ISSUER: (
        "Have the server send its whole chain; for a private authority add it here"
        " (update-ca-certificates), or install ca-certificates."
    ),
    NAME: "Use the name that the certificate has, or issue one for this name.",
    PORTS: "Find what opens a connection for each request (ss -tan), or widen"
    " net.ipv4.ip_local_port_range.",
}
#: X509_V_ERR_* of OpenSSL
_BY_CERTIFICATE = {
    9: EXPIRED,  # not yet valid
    10: EXPIRED,
    2: ISSUER,
    18: ISSUER,  # self-signed
    19: ISSUER,
    20: ISSUER,
    21: ISSUER,
    62: NAME,
    64: NAME,
}

_BY_ERRNO = {
    errno.ECONNREFUSED: REFUSED,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.EHOSTDOWN: UNREACHABLE,
    errno.ETIMEDOUT: TIMEOUT,
    errno.ECONNRESET: CLOSED,
    errno.EPIPE: CLOSED,
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
    errno.ENOENT: MISSING,
    errno.EADDRNOTAVAIL: PORTS,
}


class ConnectionFailed(OperationError):
    """A connection that could not be made or did not last.

    Attributes:
        kind: one of the constants above.
        phase: name, connect, tls, first_byte or total: what was being waited for.
        phases: {phase: seconds} of the phases that were completed.
        detail: what the other side or the library says of it, without the address.
    """

    def __init__(
        self,
        kind: str,
        phase: str,
        message: str,
        phases: Optional[Dict[str, float]] = None,
        detail: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.phase = phase
        self.phases = phases or {}
        self.detail = message if detail is None else detail

    @property
    def reason(self) -> str:
        """The kind, where a timeout is one of three by what was being waited for.

        Nothing comes back from a filter or a dead host (``TIMEOUT``), a server that accepts and
        then sends nothing hangs (``HUNG``), and without its name (``DNS``) a host cannot be
        queried at all.
        """
        if self.kind != TIMEOUT:
            return self.kind
        return {"name": DNS, "connect": TIMEOUT}.get(self.phase, HUNG)


def of(
    error: OSError, phase: str, peer: str, phases: Optional[Dict[str, float]] = None
) -> ConnectionFailed:
    """Return the ``ConnectionFailed`` for what a socket raised.

    Args:
        error: an ``OSError``, those of the ``ssl`` module among them.
        phase: what was being waited for.
        peer: the other side, for the message; the path of a Unix socket.
        phases: {phase: seconds} of the phases that were completed.
    """
    if isinstance(error, socket.timeout):
        detail = "no answer in time"
        return ConnectionFailed(TIMEOUT, phase, "%s: %s" % (peer, detail), phases, detail)
    # The numbers of OpenSSL's errors are not those of the system.
    if not type(error).__name__.startswith("SSL"):
        kind = _BY_ERRNO.get(error.errno or 0, CLOSED)
        # A packet filter decides on addresses, the file system on sockets.
        if kind == DENIED and peer.startswith("/"):
            kind = PERMISSION
    elif phase == "tls":
        reason = getattr(error, "verify_message", None) or getattr(error, "reason", None)
        detail = reason or "handshake failed"
        message = "%s: TLS: %s" % (peer, detail)
        kind = _BY_CERTIFICATE.get(getattr(error, "verify_code", 0), TLS)
        return ConnectionFailed(kind, phase, message, phases, detail)
    else:
        kind = CLOSED
    words = {REFUSED: "connection refused", DENIED: "not allowed by this host"}
    detail = words.get(kind) or error.strerror or str(error)
    return ConnectionFailed(kind, phase, "%s: %s" % (peer, detail), phases, detail)


def unresolved(host: str, error: Exception) -> ConnectionFailed:
    """Return the ``ConnectionFailed`` for a name that the resolver does not know."""
    detail = str(getattr(error, "strerror", None) or error)
    message = "the name %s cannot be resolved: %s" % (host, detail)
    return ConnectionFailed(DNS, "name", message, detail=detail)
