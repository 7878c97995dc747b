# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store of one host without Redis: a lock and a budget in a file without secrets, a token
for this run only.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import tempfile
import time

from ansible_collections.sergas.ops.plugins.module_utils._zoho.credentials import (
    digest,
    trusted_api,
)
from ansible_collections.sergas.ops.plugins.module_utils._zoho.store import Shared, StoreFailed

#: gone after a restart of the host, as a lock should be
_DIRECTORY = "/run/lock"


class HostStore:
    """The ``RedisStore`` of the processes of one host; other hosts do not see it.

    The lock is the file's, so it ends with its holder. The clock is the host's.
    """

    shared = False
    address = "localhost"
    driver = None

    def __init__(self, credentials, refresh_token, budget, window, directory=None):
        """Keep the settings; see ``RedisStore`` for the arguments."""
        if directory is None:
            directory = _DIRECTORY if os.access(_DIRECTORY, os.W_OK) else tempfile.gettempdir()
        self._path = os.path.join(directory, "sergas-zoho-%d-%s" % (os.geteuid(), refresh_token))
        self._credentials = credentials
        self._budget, self._window = budget, int(window * 1000)
        self._lock = None
        self._grant = None

    def read(self):
        """Return the current state, a ``Shared``."""
        kept = self._kept()
        token, record, until = None, {}, None
        if self._grant:
            grant, issued = self._grant
            until = issued + grant.seconds * 1000
            token = grant.access_token
            record = {
                "digest": digest(token),
                "issued": str(issued),
                "expires": str(until),
                "credentials": self._credentials,
                "host": socket.gethostname(),
                "api": trusted_api(grant.api_domain) or "",
            }
        failure = kept["failure"] if kept["failure"].get("credentials") == self._credentials else {}
        return Shared(_now(), token, until, record, failure, self._recent(kept), None)

    def acquire(self, owner):
        """Return 1 for the lock, or None while another process has it."""
        lock = self._open(os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        self._lock = lock
        return 1

    def reserve(self, owner, member):
        """Take one of the budget; returns as ``RedisStore.reserve``."""
        kept = self._kept()
        now, spent = _now(), self._recent(kept)
        if len(spent) >= self._budget:
            return "exhausted", sorted(spent)[-self._budget] + self._window - now
        self._write(dict(kept, spent=spent + [now]))
        return "reserved", now

    def keep(self, owner, fence, member, issued, grant):
        """Keep a new token for this run."""
        self._grant = (grant, issued)
        self._write(dict(self._kept(), failure={}))
        self.release(owner)
        return "kept"

    def remember(self, owner, member, error_kind, message, blocked=0):
        """Keep a refusal for the next run."""
        now = _now()
        failure = {
            "error_kind": error_kind,
            "message": message,
            "host": socket.gethostname(),
            "credentials": self._credentials,
        }
        self._write(
            dict(
                self._kept(),
                failure=dict(failure, at=str(now), until=str(now + int(blocked * 1000))),
            )
        )

    def release(self, owner):
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def clear(self, fence):
        """Return 0: there is no cache."""
        return 0

    def verified(self, token):
        """Do nothing: there is no later run that could use it."""

    def _recent(self, kept):
        now = _now()
        # A clock that was set back makes times of the future; they count, but not for ever.
        return [time for time in kept["spent"] if now - self._window < time < now + self._window]

    def _kept(self):
        try:
            handle = self._open(os.O_RDONLY)
        except FileNotFoundError:
            return {"spent": [], "failure": {}}
        with os.fdopen(handle, encoding="utf-8") as file:
            try:
                kept = json.loads(file.read(65536) or "{}")
                return {
                    "spent": [int(time) for time in kept.get("spent", [])],
                    "failure": kept.get("failure") or {},
                }
            except (ValueError, TypeError, AttributeError):
                return {"spent": [], "failure": {}}

    def _write(self, kept):
        data = json.dumps(kept).encode()
        os.pwrite(self._lock, data, 0)
        os.ftruncate(self._lock, len(data))

    def _open(self, flags):
        try:
            # Any user may write to the directory: neither a link, nor a second name of another
            # file, nor a file of another user is taken.
            handle = os.open(  # path: checked below
                self._path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600
            )
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreFailed("refusal", "%s cannot be used: %s" % (self._path, error.strerror))
        status = os.fstat(handle)
        own = status.st_uid == os.geteuid() and status.st_nlink == 1
        if not stat.S_ISREG(status.st_mode) or not own:
            os.close(handle)
            raise StoreFailed("refusal", "%s belongs to another user" % self._path)
        return handle


def _now():
    return int(time.time() * 1000)
