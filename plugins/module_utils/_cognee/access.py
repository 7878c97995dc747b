# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads on Cognee's own host who holds its port and who may reach it."""

from __future__ import annotations

import socket

from ansible_collections.sergas.ops.plugins.module_utils._cognee import (
    container as cognee_container,
)
from ansible_collections.sergas.ops.plugins.module_utils._cognee import settings as cognee_settings
from ansible_collections.sergas.ops.plugins.module_utils._core import addresses as core_addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    container_rules,
    sockets,
    ufw,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import tcp

#: TEST-NET-3: no real client has an address of it.
_ANY_CLIENT = "203.0.113.254"


def is_here(host):
    """Return whether an address is one of this host: no other can be bound."""
    if cognee_settings.is_loopback(host):
        return True
    host = core_addresses.known(host) or host
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((host, 0))
                return True
        except (OSError, UnicodeError):
            continue
    return False


def listeners(port):
    """Return {"addresses", "holder"} of a port of this host; None where /proc cannot be read."""
    addresses, holder = [], None
    try:
        found, _states = sockets.read(port)
    except (OSError, Unmeasurable):
        return None
    for listener in found:
        addresses.append(listener["address"])
        for process in listener["holders"]:
            holder = holder or {
                "pid": process["pid"],
                "user": process["user"],
                "command": process["command"],
                "unit": sockets.unit_of(process["cgroup"]),
            }
    return {"addresses": sorted(set(addresses)), "holder": holder}


def read(params, service, container, deadline):
    """Return (guard, [{"client", "allowed", "by"}], exposed).

    The guard is what decides who reaches the port: ``ufw``, ``engine`` where a container's engine
    publishes it past ufw, or None. It is exposed where the engine allows any client past a firewall
    that does not.

    Args:
        params: the module's options: clients.
        service: a ``settings.Service``.
        container: its container as ``container.describe`` gives it, or None.
        deadline: the ``Deadline`` of it all.
    """
    try:
        firewall = ufw.read()
    except OSError:
        return None, [], False
    wide = cognee_container.publishes_widely(container, service.port)
    guard = "engine" if wide else "ufw" if firewall.enabled else None
    rules = container_rules.read(deadline) if wide else None
    docker = wide and container["engine"] == "docker"
    access = []
    for client in params["clients"]:
        if cognee_settings.is_loopback(client) or is_here(client):
            continue
        source = _address(client, deadline)
        if source is None:
            allowed, by = False, "the name cannot be resolved here"
        elif wide:
            allowed, by = container_rules.verdict(rules, service.port, source, docker)
        else:
            allowed, by = ufw.verdict(firewall, service.port, source)
        access.append({"client": client, "allowed": allowed, "by": by})
    if not wide or not firewall.enabled:
        return guard, access, False
    # A firewall that opens the port to any client does so on purpose.
    meant = ufw.verdict(firewall, service.port, _ANY_CLIENT)[0]
    return guard, access, not meant and not container_rules.restricts(rules, service.port, docker)


def _address(client, deadline):
    """Return the address of a client that is given by it or by its name, or None."""
    found = core_addresses.known(client)
    if found is not None or not core_addresses.is_name(client):
        return found
    try:
        return tcp.resolve(client, None, deadline)[0][4][0]
    except tcp.ConnectionFailed:
        return None
