# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What /proc does not say of a listening socket: whether it takes IPv6 only (sock_diag(7))."""

from __future__ import annotations

import socket
import struct

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_LISTEN = 1 << 10
_SKV6ONLY = 11
#: nlmsghdr; inet_diag_req_v2 without its sockid, and this; inet_diag_msg up to uid, and inode
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48s")
_MESSAGE = struct.Struct("=4x48x16xI")
_ATTRIBUTE = struct.Struct("=HH")
_SECONDS = 1.0


def ipv6_only():
    """Return the inodes (as texts) of the TCP sockets that listen for IPv6 only, or None where the
    kernel does not say.
    """
    request = _REQUEST.pack(socket.AF_INET6, socket.IPPROTO_TCP, 0, 0, _LISTEN, bytes(48))
    found = set()
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(_SECONDS)
            length = _HEADER.size + len(request)
            kernel.send(_HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + request)
            while True:
                more, inodes = parse(kernel.recv(1 << 20))
                found |= inodes
                if not more:
                    return found
    except (OSError, AttributeError, struct.error):
        return None


def parse(data):
    """Return (whether more follows, the inodes that are for IPv6 only) of a part of the answer
    (pure).

    Raises:
        OSError: it is an error of the kernel.
    """
    inodes, at = set(), 0
    while at + _HEADER.size <= len(data):
        length, kind = _HEADER.unpack_from(data, at)[:2]
        if kind == _DONE:
            return False, inodes
        if kind == _ERROR or length < _HEADER.size + _MESSAGE.size:
            raise OSError("sock_diag does not answer")
        (inode,) = _MESSAGE.unpack_from(data, at + _HEADER.size)
        inner, end = at + _HEADER.size + _MESSAGE.size, at + length
        while inner + _ATTRIBUTE.size <= end:
            size, name = _ATTRIBUTE.unpack_from(data, inner)
            if name == _SKV6ONLY and data[inner + _ATTRIBUTE.size]:
                inodes.add(str(inode))
            inner += max(_ATTRIBUTE.size, size + 3 & ~3)
        at += length + 3 & ~3
    return True, inodes
