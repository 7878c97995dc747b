# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restarts a server, and starts it with its old file where it does not come up with the new one."""

from __future__ import annotations

import time

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    cluster as clusters,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.plan import (
    SettingsError,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.running import (
    POLL_SECONDS,
)


class Restart:
    """One restart of a cluster's server.

    Args:
        cluster: the ``cluster.Cluster``.
        server: the ``running.Server``.
        file: the ``owned_file.OwnedFile``.
        timeout: the most that each stop, start or restart may take, in seconds.
        query_timeout: the same for the requests to the server once it is up.
    """

    def __init__(self, cluster, server, file, timeout, query_timeout):
        self._cluster = cluster
        self._server = server
        self._file = file
        self._timeout = timeout
        self._query_timeout = query_timeout

    def run(self, plan):
        """Restart; where the server does not come up, restore the old file and start it again.

        Raises:
            SettingsError: it has not been restarted, or not with the new file.
        """
        old_pid = self._pid()
        since = clusters.log_size(self._cluster)
        deadline = Deadline(self._timeout)
        done, message = clusters.control(self._cluster, "restart", deadline)
        if self._comes_up(old_pid, done, deadline):
            return
        if self._pid() == old_pid:
            if self._server.accepts_sessions(Deadline(self._query_timeout)):
                raise SettingsError(
                    "the server was not restarted and still runs with its old settings, the file is"
                    " in place: %s" % message
                )
            # It takes long to stop, which is not the fault of the settings; it must not stay down
            # for it.
            message = self._start_when_stopped(old_pid)
            if message is None:
                return
        reasons = clusters.log_complaints(self._cluster, since) or [message or "no reason is known"]
        self._start_with_old_file(plan, reasons)

    def _pid(self):
        return clusters.pid_of(self._cluster.data_directory)

    def _start_when_stopped(self, old_pid):
        """Start the server when it has ended at last; return None if it comes up, else why not."""
        deadline = Deadline(self._timeout)
        while self._pid() == old_pid:
            if deadline.expired():
                return "the server was signalled to stop and does not end"
            time.sleep(POLL_SECONDS)
        deadline = Deadline(self._timeout)
        done, message = clusters.control(self._cluster, "start", deadline)
        return None if self._comes_up(old_pid, done, deadline) else message

    def _comes_up(self, old_pid, done, deadline):
        """Return whether a new server accepts sessions in time."""
        while True:
            pid = self._pid()
            if pid is not None and pid != old_pid:
                if self._server.accepts_sessions(deadline):
                    # The restart had its own time.
                    self._server.deadline = Deadline(self._query_timeout)
                    return True
            elif not done:
                return False
            if deadline.expired():
                return False
            time.sleep(POLL_SECONDS)

    def _start_with_old_file(self, plan, reasons):
        """Start the server with the file it last started with, and fail."""
        self._file.restore_last_started(plan)
        deadline = Deadline(self._timeout)
        if self._pid() is not None:
            # It hangs with the new settings.
            clusters.control(self._cluster, "stop", deadline.within(30))
        done, message = clusters.control(self._cluster, "start", deadline)
        up = self._comes_up(None, done, deadline)
        raise SettingsError(
            "the server did not start with the new settings (%s); the old file was restored,"
            " and the server is %s"
            % ("; ".join(reasons), "up with it" if up else "STILL DOWN: %s" % message)
        )
