# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a server is: the options of a login as a target, and the sockets of this host."""

from __future__ import annotations

import os
import pwd

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
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
#: Debian, Red Hat and the others give people the numbers after this one.
_LAST_SYSTEM_USER = 999


def shown(params):
    """Return ``host:port`` of what the parameters lead to, for ``evidence.target``."""
    host = params.get("login_host") or "localhost"
    return "%s:%d" % ("localhost" if host.startswith("/") else host, _port(params))


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
        host, owner = _socket(directory, _port(params))
        if os.geteuid() == 0 and user in (None, owner) and owner != "root":
            system_user = owner
    return postgres.Target(
        host=host,
        port=_port(params),
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
        directory, owner = _socket(params.get("login_unix_socket"), _port(params))
    except PostgresError:
        return None
    if os.geteuid() not in (0, pwd.getpwnam(owner).pw_uid):
        return None
    return postgres.Target(
        host=directory,
        port=_port(params),
        user=owner,
        database=params.get("login_db") or "postgres",
        system_user=owner if os.geteuid() == 0 and owner != "root" else None,
        name=name,
        settings=settings,
    )


def _port(params):
    return params.get("login_port") or 5432


def _socket(directory, port):
    """Return (the directory of the server's socket, the name of its owner).

    Raises:
        Refused: there is none.
    """
    listening = () if directory else listening_directories(_unix_sockets(), port)
    directories = (directory,) if directory else SOCKET_DIRECTORIES + listening
    for candidate in directories:
        try:
            owner = os.stat(os.path.join(candidate, ".s.PGSQL.%d" % port)).st_uid
            name = pwd.getpwuid(owner).pw_name
        except (OSError, KeyError):
            continue
        # Any user can put a socket of this name into /tmp and wait for an administrator's password.
        if directory or owner <= _LAST_SYSTEM_USER or owner == os.geteuid():
            return candidate, name
    raise Refused(
        "no server listens on port %d: there is no socket in %s" % (port, ", ".join(directories))
    )


def listening_directories(table, port):
    """Return the directories of the servers' sockets for a port.

    Args:
        table: the text of /proc/net/unix.
    """
    name = "/.s.PGSQL.%d" % port
    paths = ((line.split(None, 7) or [""])[-1] for line in table.splitlines())
    return tuple(
        dict.fromkeys(
            path[: -len(name)] for path in paths if path.startswith("/") and path.endswith(name)
        )
    )


def _unix_sockets():
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def is_local(host):
    """Return whether a name or address is this machine."""
    return tcp.is_own(host, Deadline(2))
