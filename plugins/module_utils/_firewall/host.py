# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a firewall has to know of its host: who is logged in from where, and what is open."""

from __future__ import annotations

import os
import re
import socket
import struct

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses as core_addresses
from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    container_rules,
    packet_filter,
    systemctl,
)

_LISTEN = "0A"
_DEFAULT_SSH_PORT = 22
#: sshd's socket unit on Debian and Ubuntu, and on others
_SSH_SOCKETS = ("ssh.socket", "sshd.socket")


def session(root="/proc"):
    """Return the SSH connection that this process was started over, or None where there is none.

    sudo drops SSH_CONNECTION, so that of the processes above is read.

    Returns:
        dict with peer, peer_port, address and port.
    """
    pid = os.getpid()
    while pid > 1:
        try:
            with open("%s/%d/environ" % (root, pid), "rb") as handle:  # path: /proc
                variables = handle.read().decode("utf-8", "replace").split("\0")
            found = [value for value in variables if value.startswith("SSH_CONNECTION=")]
            if found:
                return parse_session(found[0].partition("=")[2])
            pid = _parent(root, pid)
        except OSError:
            return None
    return None


def _parent(root, pid):
    with open(
        "%s/%d/stat" % (root, pid), encoding="utf-8", errors="replace"
    ) as handle:  # path: /proc
        # The command's name stands in parentheses and may hold some itself.
        return int(handle.read().rpartition(")")[2].split()[1])


def parse_session(text):
    """Return what a value of SSH_CONNECTION says, None where it is none (pure)."""
    fields = text.split()
    if len(fields) != 4 or not (fields[1].isdigit() and fields[3].isdigit()):
        return None
    # A link-local address carries its interface, and one of IPv4 may be an IPv4-mapped one.
    peer, own = (core_addresses.known(field) for field in fields[::2])
    if peer is None or own is None:
        return None
    return {
        "peer": peer,
        "peer_port": int(fields[1]),
        "address": own,
        "port": int(fields[3]),
    }


def ssh_ports(deadline, connection=None):
    """Return the ports that sshd is reached at, as the host says now.

    Where systemd listens for sshd, its socket decides and ``Port`` of sshd_config does not count.

    Args:
        deadline: a ``Deadline``.
        connection: what ``session`` returned: its port is one in any case.

    Raises:
        OperationError: what there is does not say it, and this is no session of sshd.
    """
    reason = None
    for unit in _SSH_SOCKETS:
        try:
            shown = systemctl.show(unit, ("ActiveState", "Listen"), deadline.within(10))
        except systemctl.SystemctlError as error:
            reason = str(error)
            continue
        if shown.get("ActiveState") == "active":
            return parse_socket(shown.get("Listen", "")) or [_DEFAULT_SSH_PORT]
    if process.find("sshd") is None:
        return [_DEFAULT_SSH_PORT]
    text, failure = packet_filter.output(["sshd", "-T"], deadline.within(10))
    found = parse_sshd(text)
    if found and (reason is None or process.find("systemctl") is None):
        return found
    if connection:
        return sorted({*found, connection["port"]})
    raise OperationError(
        "the port of sshd is not known: %s" % (failure or reason or "sshd -T names none"),
        "Check systemctl status ssh.socket and sshd -t; nothing was changed.",
    )


def parse_socket(listen):
    """Return the TCP ports in the property Listen of a socket (pure)."""
    return sorted({int(port) for port in re.findall(r"^\S*:(\d+) \(Stream\)", listen, re.M)})


def parse_sshd(text):
    """Return the ports in the output of ``sshd -T`` (pure)."""
    named = re.findall(r"^listenaddress \S*:(\d+)\s*$", text, re.M | re.I)
    return sorted({int(port) for port in named or re.findall(r"^port (\d+)", text, re.M | re.I)})


def listeners(root="/proc/net"):
    """Return the TCP ports that are open on addresses others can reach.

    Returns:
        dicts with port and addresses, by port.

    Raises:
        OperationError: the kernel shows no table of them.
    """
    found: dict = {}
    tables = 0
    for name in ("tcp", "tcp6"):
        try:
            with open(os.path.join(root, name), encoding="ascii") as table:  # path: /proc
                lines = table.readlines()
        except FileNotFoundError:
            continue  # a machine without IPv6
        tables += 1
        for address, port in parse_listeners(lines):
            found.setdefault(port, set()).add(address)
    if not tables:
        raise OperationError(
            "%s has no table of TCP sockets: which ports are open is not known" % root
        )
    return [
        {"port": port, "addresses": sorted(addresses)} for port, addresses in sorted(found.items())
    ]


def parse_listeners(lines):
    """Return (address, port) of each listener in /proc/net/tcp or tcp6 but loopback (pure)."""
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTEN:
            continue
        digits, _colon, port = fields[1].partition(":")
        words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
        packed = struct.pack("=%dI" % len(words), *words)
        family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
        address = core_addresses.canonical(socket.inet_ntop(family, packed))
        if not core_addresses.is_loopback(address):
            found.append((address, int(port, 16)))
    return found


def published(found):
    """Return the ports that containers are reached at past the rules for this host itself.

    Args:
        found: the ``packet_filter.Filter`` of the host.

    Returns:
        dicts with port, protocol, to (where the engine sends it) and engine (docker or another),
        by port.
    """
    unique = {}
    for table in found.tables:
        for chain in table.chains.values():
            names = (table.name, chain.name)
            if any(container_rules.ENGINES.match(name) for name in names):
                engine = "docker" if "docker" in "".join(names).lower() else "another"
                for rule in chain.rules:
                    unique.update(_of_rule(rule, engine))
    return [unique[name] for name in sorted(unique)]


def _of_rule(rule, engine):
    """Return {(protocol, port): published port} of a rule that an engine has made (pure)."""
    values = {field: given for field, negated, given in rule.matches if not negated}
    local = any(core_addresses.is_loopback(one) for one in values.get("daddr", ()))
    if rule.does != "translate" or not rule.target or local:
        return {}
    return {
        (protocol, low): {"port": low, "protocol": protocol, "to": rule.target, "engine": engine}
        for protocol in values.get("protocol", ())
        for low, high in values.get("dport", ())
        if protocol in ("tcp", "udp") and low == high
    }
