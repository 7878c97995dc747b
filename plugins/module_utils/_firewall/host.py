# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a firewall has to know of its host: who is logged in from where, and what is open."""

from __future__ import annotations

import json
import os
import re
import socket
import struct

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses as core_addresses
from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._host import systemctl

_LISTEN = "0A"
_DEFAULT_SSH_PORT = 22
#: sshd's socket unit on Debian and Ubuntu, and on others
_SSH_SOCKETS = ("ssh.socket", "sshd.socket")
#: The chains and tables that the engines of containers make; other translations are a person's.
_ENGINES = re.compile(r"^(DOCKER|NETAVARK|CNI-)", re.I)


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


def ssh_ports(deadline):
    """Return the ports that sshd is reached at, as the host says now.

    Where systemd listens for sshd, its socket decides and ``Port`` of sshd_config does not count.
    """
    for unit in _SSH_SOCKETS:
        try:
            shown = systemctl.show(unit, ("ActiveState", "Listen"), deadline)
        except systemctl.SystemctlError:
            continue
        if shown.get("ActiveState") == "active":
            return parse_socket(shown.get("Listen", "")) or [_DEFAULT_SSH_PORT]
    return parse_sshd(_output(["sshd", "-T"], deadline)) or [_DEFAULT_SSH_PORT]


def parse_socket(listen):
    """Return the TCP ports in the property Listen of a socket (pure)."""
    return sorted({int(port) for port in re.findall(r"^\S*:(\d+) \(Stream\)", listen, re.M)})


def parse_sshd(text):
    """Return the ports in the output of ``sshd -T`` (pure)."""
    named = re.findall(r"^listenaddress \S*:(\d+)\s*$", text, re.M | re.I)
    return sorted({int(port) for port in named or re.findall(r"^port (\d+)", text, re.M | re.I)})


def _output(argv, deadline):
    try:
        return process.run(argv, deadline)[1]
    except (process.CommandMissing, DeadlineExceeded):
        return ""


def listeners(root="/proc/net"):
    """Return the TCP ports that are open on addresses others can reach.

    Returns:
        dicts with port and addresses, by port.
    """
    found: dict = {}
    for name in ("tcp", "tcp6"):
        try:
            with open(os.path.join(root, name), encoding="ascii") as table:  # path: /proc
                lines = table.readlines()
        except FileNotFoundError:
            continue  # a machine without IPv6
        for address, port in parse_listeners(lines):
            found.setdefault(port, set()).add(address)
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


def published(deadline):
    """Return the ports that containers are reached at past the rules for this host itself.

    Returns:
        dicts with port, protocol, to (where the engine sends it) and engine (docker or another),
        by port.
    """
    found = []
    for command in ("iptables-save", "ip6tables-save", "iptables-legacy-save"):
        # A query of the tables of the old kind would make them where nothing uses them.
        if "legacy" in command and not _has_legacy_nat():
            continue
        found += parse_translations(_output([command, "-t", "nat"], deadline))
    found += parse_ruleset(_output(["nft", "-j", "list", "ruleset"], deadline))
    unique = {(item["protocol"], item["port"]): item for item in found}
    return [unique[name] for name in sorted(unique)]


def _has_legacy_nat():
    try:
        with open("/proc/net/ip_tables_names", encoding="ascii") as names:
            return "nat" in names.read().split()
    except OSError:
        return False


def parse_translations(text):
    """Return the ports that engines of containers publish in the output of iptables-save (pure)."""
    found = []
    for line in text.splitlines():
        match = re.match(r"-A (\S+) (.*)-j DNAT --to-destination (\S+)", line)
        if not match or not _ENGINES.match(match.group(1)):
            continue
        destination = re.search(r"(?<!! )-d (\S+)", match.group(2))
        port = re.search(r"--dport (\d+)(?![\d:])", match.group(2))
        protocol = re.search(r"-p (tcp|udp)\b", match.group(2))
        if (
            port
            and protocol
            and not (destination and core_addresses.is_loopback(destination.group(1)))
        ):
            found.append(
                {
                    "port": int(port.group(1)),
                    "protocol": protocol.group(1),
                    "to": match.group(3),
                    "engine": _engine(match.group(1)),
                }
            )
    return found


def _engine(table):
    return "docker" if "docker" in table.lower() else "another"


def parse_ruleset(text):
    """Return the ports that engines of containers publish in the output of ``nft -j list ruleset``
    (pure).
    """
    try:
        items = json.loads(text)["nftables"]
    except (ValueError, KeyError, TypeError):
        return []
    found = []
    for rule in (item["rule"] for item in items if "rule" in item):
        if not (_ENGINES.match(rule.get("table", "")) or _ENGINES.match(rule.get("chain", ""))):
            continue
        target, ports, local = None, [], False
        for expression in rule.get("expr", ()):
            if not isinstance(expression, dict):
                continue
            target = expression.get("dnat") or target
            match = expression.get("match") or {}
            payload = _payload(match.get("left"))
            if payload.get("field") == "dport" and isinstance(match.get("right"), int):
                ports.append((payload.get("protocol"), match["right"]))
            if payload.get("field") == "daddr" and isinstance(match.get("right"), str):
                local = match.get("op") == "==" and core_addresses.is_loopback(match["right"])
        if isinstance(target, dict) and not local:
            where = "%s:%s" % (target.get("addr"), target.get("port"))
            found += [
                {
                    "port": port,
                    "protocol": protocol,
                    "to": where,
                    "engine": _engine(rule.get("table", "") + rule.get("chain", "")),
                }
                for protocol, port in ports
                if protocol in ("tcp", "udp")
            ]
    return found


def _payload(left):
    payload = left.get("payload") if isinstance(left, dict) else None
    return payload if isinstance(payload, dict) else {}


def has_chain(table, chain, deadline):
    """Return whether nftables holds a table of the family inet with a chain of this name."""
    try:
        argv = ["nft", "list", "chain", "inet", table, chain]
        return process.run(argv, deadline)[0] == 0
    except (process.CommandMissing, DeadlineExceeded):
        return False
