# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room for WAL on a disk that is nearly full: deletions write WAL as well, and a server that cannot
write any panics.
"""

from __future__ import annotations

import os

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import location

#: Below this, WAL is recycled by a checkpoint of ours instead of taking new files; in bytes, four
#: files of 16 MB.
LOW = 64 * 1024**2
#: Below this, with nothing left to recycle, nothing more is written; in bytes.
LEAST = 24 * 1024**2
#: So much WAL is written between two checkpoints of ours where room is low; in bytes, half a file.
_BETWEEN = 8 * 1024**2

_POSITION = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS at"


class NoRoom(OperationError):
    """There is too little room for WAL to go on; the message says how much."""


class WalRoom:
    """Keeps room for WAL while a session writes.

    Args:
        session: an acting ``session.Session``.
        params: where the session leads, to know whether its disk is this host's.
        free: returns the free bytes of the disk for WAL, or None; for tests.
    """

    def __init__(self, session, params, free=None):
        self._session = session
        self._checkpoint_at = None
        self._free = free or self._on_this_host(session, params)

    @staticmethod
    def _on_this_host(session, params):
        host = params.get("login_host")
        if host and not host.startswith("/") and not location.is_local(host):
            return lambda: None
        try:
            directory = session.rows("SELECT current_setting('data_directory') AS path")[0]["path"]
        except errors.InsufficientPrivilege:
            # A plain role, which may not CHECKPOINT either.
            return lambda: None

        def free():
            for path in (os.path.join(directory, "pg_wal"), directory):
                try:
                    numbers = os.statvfs(path)
                except OSError:
                    continue
                return numbers.f_bavail * numbers.f_frsize
            return None

        return free

    def make(self):
        """Ensure that there is room before the next statement that writes.

        Raises:
            NoRoom: a checkpoint has left too little.
        """
        free = self._free()
        if free is None or free >= LOW:
            return
        at = self._session.rows(_POSITION)[0]["at"]
        if self._checkpoint_at is None or at - self._checkpoint_at >= _BETWEEN or free < LEAST:
            self._session.execute("CHECKPOINT")
            self._checkpoint_at = self._session.rows(_POSITION)[0]["at"]
            free = self._free()
        if free < LEAST:
            raise NoRoom(
                "only %d MB are free where WAL is written, and %d MB are needed: a server that"
                " cannot write WAL stops. First check what holds WAL back (slots, the archiver),"
                " and which other files fill that disk" % (free >> 20, LEAST >> 20)
            )
