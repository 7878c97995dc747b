# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a server is: the options of a login as a target, and the sockets of this host."""

from __future__ import annotations

import os
import pwd

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._host import sockets
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres, tcp
from ansible_collections.sergas.ops.plugins.module_utils._net.postgres_errors import (
    PostgresError,
    Refused,
)

#: Debian and Red Hat, the same without the link, PostgreSQL's own default.
SOCKET_DIRECTORIES = (
    "/var/run/postgresql",
    "/run/postgresql",
    "/tmp",  # noqa: S108  where a server built from source puts its socket
)
DEFAULT_PORT = 5432
#: Debian, Red Hat and the others give people the numbers after this one.
_LAST_SYSTEM_USER = 999


def shown(params):
    """Return ``host:port`` of what the parameters lead to, for ``evidence.target``."""
    host = params.get("login_host") or "localhost"
    return "%s:%d" % ("localhost" if host.startswith("/") else host, port(params))


def target(params, name, settings):
    """Return the ``postgres.Target`` of the options of ``session.CONNECTION``, with every default
    resolved.

    Args:
        name: the session's application_name.
        settings: {name: value} of what the session starts with.

    Raises:
        Refused: there is no socket of a server on this host.
    """
    host, directory = params.get("login_host"), params.get("login_unix_socket")
    user = params.get("login_user")
    if host and host.startswith("/"):
        host, directory = None, host
    system_user, encryption = None, {}
    if host:
        encryption = {
            "tls": params.get("ssl_mode") or "prefer",
            "ca_cert": params.get("ca_cert"),
            "cert": params.get("ssl_cert"),
            "key": params.get("ssl_key"),
        }
    else:
        host, owner = _socket(directory, port(params))
        if os.geteuid() == 0 and user in (None, owner) and owner != "root":
            system_user = owner
    return postgres.Target(
        host=host,
        port=port(params),
        user=user or system_user or pwd.getpwuid(os.geteuid()).pw_name,
        database=params.get("login_db") or "postgres",
        password=params.get("login_password"),
        system_user=system_user,
        name=name,
        settings=settings,
        **encryption,
    )


def reserved_target(params, name, settings):
    """Return the ``postgres.Target`` of a superuser's session over the server's own local socket
    as its own system user, or None where that is out of reach.
    """
    host = params.get("login_host")
    if host and not host.startswith("/") and not is_local(host):
        return None
    try:
        directory, owner = _socket(params.get("login_unix_socket"), port(params))
    except PostgresError:
        return None
    if os.geteuid() not in (0, pwd.getpwnam(owner).pw_uid):
        return None
    return postgres.Target(
        host=directory,
        port=port(params),
        user=owner,
        database=params.get("login_db") or "postgres",
        system_user=owner if os.geteuid() == 0 and owner != "root" else None,
        name=name,
        settings=settings,
    )


def port(params):
    """Return the port of the server: the one that is given, else the usual one; on this host, that
    of the only server where none listens on the usual one.
    """
    given, host = params.get("login_port"), params.get("login_host")
    if given or host and not host.startswith("/") and not is_local(host):
        return given or DEFAULT_PORT
    try:
        found = sockets.postgresql_ports()
    except (Unmeasurable, OSError):
        return DEFAULT_PORT
    return found.pop() if len(found) == 1 else DEFAULT_PORT


def _listening(number):
    try:
        return tuple(sockets.postgresql_sockets(number))
    except Unmeasurable:
        return ()


def _socket(directory, number):
    """Return (the directory of the server's socket, the name of its owner).

    Raises:
        Refused: there is none.
    """
    listening = () if directory else _listening(number)
    directories = (directory,) if directory else SOCKET_DIRECTORIES + listening
    for candidate in directories:
        try:
            owner = os.stat(os.path.join(candidate, ".s.PGSQL.%d" % number)).st_uid
            name = pwd.getpwuid(owner).pw_name
        except (OSError, KeyError):
            continue
        # Any user can put a socket of this name into /tmp and wait for an administrator's password.
        if directory or owner <= _LAST_SYSTEM_USER or owner == os.geteuid():
            return candidate, name
    raise Refused(
        "no server listens on port %d: there is no socket in %s" % (number, ", ".join(directories))
    )


def is_local(host):
    """Return whether a name or address is this machine."""
    return tcp.is_own(host, Deadline(2))
