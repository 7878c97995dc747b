# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A running server: what it has, its reload, and whether it has taken what its files say."""

from __future__ import annotations

import time

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import connect
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    cluster as clusters,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.plan import (
    Live,
    SettingsError,
)

#: Between two checks of what the server does; in seconds.
POLL_SECONDS = 0.1
#: What the server says of a value that only a start can change; for other settings it is an error.
_WAITS = "setting could not be applied"
_ROWS = """
    SELECT name, setting, unit, context, vartype, enumvals, boot_val, source, sourcefile,
      pending_restart,
           pg_catalog.current_setting(name, true) AS shown
    FROM pg_catalog.pg_settings"""
_STATE = """
    SELECT pg_catalog.pg_is_in_recovery() AS standby,
           extract(epoch FROM pg_catalog.pg_conf_load_time())::float8 AS loaded,
           (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser,
           current_user::text AS role"""
_FILE_ERRORS = """
    SELECT f.sourcefile, f.sourceline, f.name, f.error, s.context
    FROM pg_catalog.pg_file_settings f LEFT JOIN pg_catalog.pg_settings s ON lower(s.name) =
      lower(f.name)
    -- Without a file: a line that is gone, of a setting that only a start can change.
    WHERE f.error IS NOT NULL AND f.sourcefile IS NOT NULL"""


class Server:
    """The running server of a cluster.

    Args:
        params: the options of ``pg_settings``.
        cluster: the ``cluster.Cluster``.
        file: the ``owned_file.OwnedFile``.
        deadline: the Deadline of all requests to the server; it can be replaced.

    Attributes:
        driver: what spoke to it, None until then.
    """

    def __init__(self, params, cluster, file, deadline):
        self._params = params
        self._cluster = cluster
        self._file = file
        self.deadline = deadline
        self.driver = None

    def observe(self):
        """Return (its state, its ``plan.Live``); it may be about to accept sessions.

        Raises:
            SettingsError: it does not accept any, or its files have errors already.
        """
        starting = None
        while True:
            try:
                session = self._session()
                break
            except errors.StartingUp as error:
                starting = error
            except (errors.TimedOut, DeadlineExceeded):
                if starting is None:
                    raise
            if self.deadline.remaining() < 2 * POLL_SECONDS:
                raise SettingsError(
                    "the server runs and takes no sessions, it says: %s" % starting
                ) from starting
            time.sleep(POLL_SECONDS)
        with session:
            self.driver = session.driver
            state = session.rows(_STATE)[0]
            if not state["superuser"]:
                raise SettingsError(
                    "the role %s must be a superuser to see and to reload the server's files"
                    % state["role"]
                )
            faults = [row for row in _file_errors(session) if row["sourcefile"] != self._file.path]
            if faults:
                raise SettingsError(
                    "the configuration has errors already, so that the server would not take a"
                    " change: %s" % _shown(faults)
                )
            rows = _rows(session)
        return state, Live(rows, stale=self._file.written_at() > state["loaded"])

    def check_files(self, plan):
        """Have the server check its files before it reads them; roll back what it refuses.

        Raises:
            SettingsError: it refuses them.
        """
        with self._session() as session:
            faults = _file_errors(session)
        if faults:
            self._file.roll_back(plan)
            raise SettingsError(
                "the server refuses the file, which was rolled back before it was read: %s"
                % _shown(faults)
            )

    def reload(self, plan, state):
        """Have the server read its files, and wait until new sessions have what they say.

        Raises:
            SettingsError: they do not have it in time.
        """
        with self._session() as session:
            session.rows("SELECT pg_catalog.pg_reload_conf() AS sent")
        missing = ["the reload itself"]
        while missing:
            if self.deadline.expired():
                raise SettingsError(
                    "the server was signalled to reload and did not take in time: %s; its log says"
                    " why" % "; ".join(missing)
                )
            missing = self._missing(plan, state["loaded"])
            if missing:
                time.sleep(min(POLL_SECONDS, self.deadline.remaining()))

    def _missing(self, plan, loaded):
        """Return what a new session does not have yet."""
        with self._session() as session:
            if session.rows(_STATE)[0]["loaded"] <= loaded:
                return ["the reload itself"]
            live = Live(_rows(session))
        missing = []
        for name, value in plan.expected.items():
            row = live.rows.get(name)
            if row is None or live.hidden(name):
                continue
            if value is None and row["sourcefile"] != self._file.path:
                continue
            if value is None or not live.same(name, value, row["setting"]):
                missing.append("%s is %s" % (name, row["shown"]))
        for name in plan.restart:
            if not live.rows[name]["pending_restart"]:
                missing.append("%s is not marked for a restart" % name)
        return missing

    def pending_restart(self):
        """Return the names of the settings that wait for a restart."""
        with self._session() as session:
            rows = session.rows(
                "SELECT name FROM pg_catalog.pg_settings WHERE pending_restart ORDER BY name"
            )
        return [row["name"] for row in rows]

    def verify_restart(self, plan):
        """Check that the server has what the restart was for.

        Raises:
            SettingsError: it has not.
        """
        with self._session() as session:
            live = Live(_rows(session))
        wrong = []
        for name in plan.restart:
            winner = plan.tree.winner(name)
            row = live.rows.get(name)
            if winner and row and not live.same(name, winner.value, row["setting"]):
                wrong.append("%s is %s" % (name, row["shown"]))
        if wrong:
            raise SettingsError("the server was restarted and does not have: %s" % "; ".join(wrong))

    def accepts_sessions(self, deadline):
        """Return whether it answers, if only to refuse."""
        try:
            self._session(deadline.within(5)).close()
        except (
            errors.StartingUp,
            errors.Refused,
            errors.NameUnresolved,
            errors.Unreachable,
            errors.ConnectionLost,
            errors.TimedOut,
        ):
            return False
        except errors.PostgresError:
            return True
        return True

    def _session(self, deadline=None):
        return connect(
            self._connection(),
            deadline or self.deadline,
            acting=True,
            name="sergas.ops pg_settings",
            plain=True,
        )

    def _connection(self):
        # A restart may have moved it.
        running_port = clusters.port_of(self._cluster.data_directory)
        params = dict(self._params, login_port=running_port or self._cluster.port or 5432)
        if not params["login_host"] and not params["login_unix_socket"]:
            params["login_unix_socket"] = clusters.socket_directory(self._cluster.data_directory)
        return params


def _rows(session):
    """Return {name: row of pg_settings}."""
    return {row["name"].lower(): row for row in session.rows(_ROWS)}


def _file_errors(session):
    return [
        row
        for row in session.rows(_FILE_ERRORS)
        if not (row["error"] == _WAITS and row["context"] == "postmaster")
    ]


def _shown(faults):
    return "; ".join(
        "%s line %s: %s%s"
        % (
            row["sourcefile"],
            row["sourceline"],
            "%s: " % row["name"] if row["name"] else "",
            row["error"],
        )
        for row in faults[:5]
    )
