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
    packet_filter,
    packet_walk,
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


def listeners(port, deadline=None):
    """Return {"addresses", "holder"} of a port of this host; None where /proc cannot be read.

    Args:
        port: the port.
        deadline: a ``Deadline`` to find out for what the holder has the port: {"unit", "advice"};
            None where that is of no interest.
    """
    addresses, holder = [], None
    try:
        found, _states = sockets.read(port)
    except (OSError, Unmeasurable):
        return None
    for listener in found:
        addresses.append(listener["address"])
        for process in listener["holders"]:
            holder = holder or _holder(process, port, deadline)
    return {"addresses": sorted(set(addresses)), "holder": holder}


def _holder(process, port, deadline):
    holder = {name: process[name] for name in ("pid", "user", "command")}
    holder["unit"] = sockets.unit_of(process["cgroup"])
    if deadline:
        from ansible_collections.sergas.ops.plugins.module_utils._host import port_holders

        held = port_holders.owner(process, port, deadline, sockets.own_container())
        holder["unit"] = held["name"] if held["kind"] in ("unit", "socket") else None
        holder["advice"] = port_holders.advice(process, held)
    return holder


def read(params, service, container, deadline):
    """Return (guard, [{"client", "allowed", "by"}], exposed).

    The guard is what decides who reaches the port: ``ufw``, ``engine`` where a container's engine
    publishes it past ufw, or None. It is exposed where the engine allows any client past a firewall
    that does not; None where that, or whether a client is allowed, is not known.

    Args:
        params: the module's options: clients.
        service: a ``settings.Service``.
        container: its container as ``container.describe`` gives it, or None.
        deadline: the ``Deadline`` of it all.
    """
    wide = cognee_container.publishes_widely(container, service.port)
    try:
        firewall, found = ufw.read(), packet_filter.read(deadline)
    except OSError as error:
        reason = "the rules cannot be read (%s)" % error.strerror
        unknown = [
            {"client": client, "allowed": None, "by": reason}
            for client in params["clients"]
            if not (cognee_settings.is_loopback(client) or is_here(client))
        ]
        return ("engine" if wide else None), unknown, None if wide else False
    guard = "engine" if wide else "ufw" if firewall.enabled else None
    to = (None, cognee_container.inside_port(container, service.port))
    access = []
    for client in params["clients"]:
        if cognee_settings.is_loopback(client) or is_here(client):
            continue
        source = _address(client, deadline)
        if source is None:
            allowed, by = False, "the name cannot be resolved here"
        elif wide:
            allowed, by = container_rules.verdict(found, service.port, source, to)
        else:
            allowed, by = _to_host(found, firewall, service.port, source)
        access.append({"client": client, "allowed": allowed, "by": by})
    if not wide or not firewall.enabled:
        return guard, access, False
    # A firewall that opens the port to any client does so on purpose.
    meant = ufw.verdict(firewall, service.port, _ANY_CLIENT)[0]
    closed = container_rules.restricts(found, service.port, to)
    return guard, access, False if meant or closed else None if closed is None else True


def _to_host(found, firewall, port, source):
    end, by, _by_ufw = packet_filter.fates(found, firewall, port, [source])[source]
    return {packet_walk.DROPPED: False, packet_walk.UNCLEAR: None}.get(end, True), by


def _address(client, deadline):
    """Return the address of a client that is given by it or by its name, or None."""
    found = core_addresses.known(client)
    if found is not None or not core_addresses.is_name(client):
        return found
    try:
        return tcp.resolve(client, None, deadline)[0][4][0]
    except tcp.ConnectionFailed:
        return None
