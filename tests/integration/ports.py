# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports for servers that want to know theirs before they start, and that start more than once."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

FIRST = 12000
_reservations = []


def reserve_port():
    """Return a port that no other process of the tests takes until this one ends.

    It is below those that the kernel gives to connections and to servers that name no port, so none
    of these has it in between two starts of a server either.
    """
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    while True:
        port = random.randrange(FIRST, int(text.split()[0]))
        reservation = socket.socket(socket.AF_UNIX)
        try:
            # A name that one process has, until it ends.
            reservation.bind("\0sergas-ops-tests-port-%d" % port)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
        else:
            _reservations.append(reservation)
            return port


@contextlib.contextmanager
def refusing_port():
    """Yield a port that refuses connections: it is taken, and nothing listens there."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
