# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules that the kernel has in force, made by ufw, a person or an engine.

The kernel says which tables there are, so that a command is only run for what is there, and one
that is missing or fails is never taken for an empty set of rules.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import namedtuple

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._host import packet_walk, ufw

#: linux/netlink.h, linux/netfilter/nfnetlink.h and nf_tables.h
_NETLINK_NETFILTER = 12
_GET_TABLES = 10 << 8 | 1
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_NAME, _TYPE_MASK = 1, 0x3FFF
_FAMILIES = {1: "inet", 2: "ip", 5: "netdev", 10: "ip6"}
#: Tables that iptables makes in nftables, where its own command shows what nft cannot.
_OF_IPTABLES = ("filter", "nat", "mangle", "raw", "security")
_SAVE = {"ip": "iptables%s-save", "ip6": "ip6tables%s-save"}
_SECONDS = 4

#: ``tables``: of ``packet_walk``; ``gaps``: why rules that are there could not be read
Filter = namedtuple("Filter", ["tables", "gaps"])


def read(deadline, versions=(4, 6)):
    """Return the ``Filter`` of this host.

    Args:
        deadline: a ``Deadline``; each command has a few seconds of it.
        versions: of the addresses that it is for: what is for others only is not read.

    Raises:
        PermissionError: only root may read the rules.
    """
    tables, gaps = [], []
    families = [family for family, version in (("ip", 4), ("ip6", 6)) if version in versions]
    names = {
        (family, name)
        for family, name in _nft_tables(deadline, gaps)
        if family in (*families, "inet", "netdev")
    }
    shown = {}
    for family in families:
        save = _SAVE[family]
        theirs = {name for name in _OF_IPTABLES if (family, name) in names}
        if theirs:
            commands = (save % "-nft", save % "")
            found, reason = _saved(commands, family, deadline)
            kept = [table for table in found if table.name in theirs]
            tables += kept
            shown.update({(family, table.name): table for table in kept})
            gaps += [reason] if reason else []
        legacy = _legacy_tables(family)
        if legacy:
            found, reason = _saved((save % "-legacy", save % ""), family, deadline)
            tables += [table for table in found if table.name in legacy]
            missing = legacy - {table.name for table in found}
            if reason or missing:
                gaps.append(reason or "iptables does not show %s" % ", ".join(sorted(missing)))
    others = sorted(names - set(shown))
    if others:
        # It shows the tables of iptables as well, without what only iptables understands.
        found, reason = _ruleset(deadline)
        tables += [table for table in found if (table.family, table.name) not in shown]
        missing = set(others) - {(table.family, table.name) for table in found}
        if reason or missing:
            first = " ".join(min(missing or others))
            gaps.append("%s (the table %s)" % (reason or "nft does not show it", first))
    return Filter(tables, gaps)


def _saved(commands, family, deadline):
    """Return ([Table], None), or ([], why it cannot be read)."""
    name = next((name for name in commands if process.find(name)), commands[-1])
    text, reason = output([name], deadline)
    if reason:
        return [], reason
    from ansible_collections.sergas.ops.plugins.module_utils._host import iptables_rules

    try:
        return iptables_rules.parse(text, family), None
    except ValueError as error:
        return [], "%s: %s" % (name, error)


def _ruleset(deadline):
    text, reason = output(["nft", "-j", "list", "ruleset"], deadline)
    if reason:
        return [], reason
    # Only here: most hosts have no rules but those of iptables.
    from ansible_collections.sergas.ops.plugins.module_utils._host import nft_rules

    try:
        return nft_rules.parse(text), None
    except ValueError as error:
        return [], "nft -j list ruleset: %s" % error


def output(argv, deadline):
    """Return (what a command prints, None), or ("", why that is not known)."""
    try:
        status, out, err = process.run(argv, deadline.within(_SECONDS))
    except (process.CommandMissing, DeadlineExceeded) as error:
        return "", str(error)
    if status:
        said = (err.strip().splitlines() or ["exit status %d" % status])[-1][:200]
        return "", "%s: %s" % (" ".join(argv), said)
    return out, None


def _legacy_tables(family):
    """Return the names of the tables of the older kernel interface; no command makes them here."""
    try:
        with open("/proc/net/%s_tables_names" % family, encoding="ascii") as names:  # path: /proc
            return set(names.read().split())
    except FileNotFoundError:
        return set()


def _nft_tables(deadline, gaps):
    """Return {(family, name)} of the tables of nftables; why that fails goes into the gaps."""
    try:
        return _query_tables(deadline)
    except PermissionError:
        raise PermissionError(errno.EPERM, "only root may read them", "the packet filter's rules")
    except (OSError, struct.error, DeadlineExceeded) as error:
        # A kernel without nftables has no such socket, or no such subsystem behind it.
        absent = (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EINVAL, errno.EOPNOTSUPP)
        if getattr(error, "errno", None) not in absent:
            gaps.append("the kernel's tables of nftables cannot be read: %s" % error)
        return set()


def _query_tables(deadline):
    found = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        kernel.send(struct.pack("=IHHIIBBH", 20, _GET_TABLES, _REQUEST_DUMP, 1, 0, 0, 0, 0))
        while True:
            kernel.settimeout(deadline.within(_SECONDS).timeout("the kernel's packet filter"))
            done, named = parse_tables(kernel.recv(65536))
            found |= named
            if done:
                return found


def parse_tables(data):
    """Return (whether it is the last part, {(family, name)}) of an answer of the kernel (pure).

    Raises:
        OSError: the kernel refuses.
    """
    found, position = set(), 0
    while position + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, position)
        if kind == _ERROR:
            number = -struct.unpack_from("=i", data, position + 16)[0]
            if number:
                raise OSError(number, "the kernel refuses")
        if kind in (_ERROR, _DONE) or length < 20:
            return True, found
        family = _FAMILIES.get(data[position + 16])
        attribute = position + 20
        while attribute + 4 <= position + length:
            size, attribute_type = struct.unpack_from("=HH", data, attribute)
            if size < 4:
                break
            if attribute_type & _TYPE_MASK == _NAME and family:
                name = data[attribute + 4 : attribute + size].rstrip(b"\0")
                found.add((family, name.decode("utf-8", "replace")))
            attribute += size + 3 & ~3
        position += length + 3 & ~3
    return False, found


def route(source):
    """Return (own address, interface) of the way to an address, None for what is not known.

    No packet is sent: the kernel chooses both when a socket is connected.
    """
    address = addresses.network(source)[0]
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            own = addresses.known(probe.getsockname()[0])
    except OSError:
        return None, None
    return own, _interface(address)


def _interface(address):
    name, parse = ("ipv6_route", parse_route6) if address.version == 6 else ("route", parse_route)
    try:
        with open("/proc/net/" + name, encoding="ascii") as lines:  # path: /proc
            return parse(lines, address.packed)
    except (OSError, ValueError, IndexError):
        return None


def parse_route(lines, packed):
    """Return the interface of the longest route to an address in /proc/net/route (pure)."""
    # The kernel prints words in the host's byte order.
    number = struct.unpack("=I", packed)[0]
    found = []
    for line in list(lines)[1:]:
        fields = line.split()
        target, mask = int(fields[1], 16), int(fields[7], 16)
        if int(fields[3], 16) & 1 and number & mask == target:
            found.append((-bin(mask).count("1"), int(fields[6]), fields[0]))
    return min(found)[2] if found else None


def parse_route6(lines, packed):
    """Return the interface of the longest route to an address in /proc/net/ipv6_route (pure)."""
    number = int.from_bytes(packed, "big")
    found = []
    for line in lines:
        fields = line.split()
        length = int(fields[1], 16)
        if (number ^ int(fields[0], 16)) >> (128 - length) == 0 and fields[9] != "lo":
            found.append((-length, int(fields[5], 16), fields[9]))
    return min(found)[2] if found else None


def fates(found, firewall, port, sources):
    """Return {source: [end, what decides, whether ufw's own rules say the same]} of connections.

    Args:
        found: the ``Filter``.
        firewall: the ``ufw.Firewall``: its rules are named as a person has typed them.
        port: the port of this host.
        sources: addresses or networks; None for any address.
    """
    decided = {}
    for source in sources:
        packets = [packet_walk.Packet(None, port, family=family) for family in (4, 6)]
        if source is not None:
            packets = [packet_walk.Packet(source, port, *route(source))]
        ends = [fate(found, firewall, packet) for packet in packets]
        decided[source] = next((one for one in ends if one[0] != packet_walk.DROPPED), ends[0])
    return decided


def fate(found, firewall, packet):
    """Return [end, what decides, whether ufw's own rules say the same] of one connection (pure)."""
    end, by = packet_walk.fate(found.tables, packet)
    if found.gaps and end != packet_walk.DROPPED:
        # A rule that was not seen may block what the others accept; what they block, they do.
        return [packet_walk.UNCLEAR, found.gaps[0], False]
    by_ufw = ufw.fate(firewall, packet)
    if by_ufw[0] == end:
        return [end, by_ufw[1], firewall.enabled]
    return [end, by, False]
