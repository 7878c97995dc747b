# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server is, and having it read its files again or write a checkpoint."""

from __future__ import annotations

import time

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import connect

#: Between two checks of whether a reload has taken effect; in seconds.
_PAUSE = 0.05

_ROLES = "SELECT r.rolname::text AS role FROM pg_roles r WHERE r.rolcanlogin ORDER BY 1"
_SETTINGS = """
SELECT s.name, current_setting(s.name) AS value FROM pg_settings s WHERE s.name = ANY(%s)
"""
# Only a superuser may see where the file is and when it was changed.
_ACCESS = """
SELECT CASE WHEN r.rolsuper THEN current_setting('hba_file') END AS path,
  CASE WHEN r.rolsuper THEN
    (pg_stat_file(current_setting('hba_file'))).modification > pg_conf_load_time()
  END AS unread
FROM pg_roles r WHERE r.rolname = current_user
"""
_LOADED = "SELECT pg_conf_load_time()::text AS at"


class ServerError(OperationError):
    """It cannot be done, or did not take effect; the message says why."""


def run(params, deadline, check_mode, sleep=time.sleep):
    """Do what the options say and return the module's result.

    Args:
        params: the options of ``pg_server``.
        deadline: the Deadline of it all.
        check_mode: whether to decide only.
        sleep: waits between two checks of whether a reload has taken effect.

    Raises:
        ServerError: there is no such setting, or the reload did not take effect in time.
        PostgresError: the server cannot be queried, or refused.
    """
    acting = params["state"] != "observed" and not check_mode
    with connect(params, deadline, acting=acting, name="sergas.ops pg_server") as session:
        access = session.rows(_ACCESS)[0]
        changes = (
            params["state"] == "checkpointed"
            or params["state"] == "reloaded"
            and bool(params["force"] or access["unread"])
        )
        if changes and acting:
            if params["state"] == "checkpointed":
                session.execute("CHECKPOINT")
            else:
                _reload(session, deadline, sleep)
                access = session.rows(_ACCESS)[0]
        return {
            "changed": changes,
            "driver": session.driver,
            "version": session.version,
            "login_roles": [row["role"] for row in session.rows(_ROLES)],
            "settings": _settings(session, params["settings"]),
            "hba_file": access["path"],
            "hba_unread": access["unread"],
        }


def _reload(session, deadline, sleep):
    """Have the server read its files, and wait until it has: it says when it last did."""
    before = session.rows(_LOADED)[0]["at"]
    session.rows("SELECT pg_reload_conf() AS sent")
    while session.rows(_LOADED)[0]["at"] == before:
        if deadline.remaining() < 2 * _PAUSE:
            raise ServerError("the server did not reload its files in time; its log says why")
        sleep(_PAUSE)


def _settings(session, names):
    """Return {name: value as the server shows it}, by the names as they were given."""
    found = {}
    if names:
        rows = session.rows(_SETTINGS, [[name.lower() for name in names]])
        found = {row["name"].lower(): row["value"] for row in rows}
    missing = [name for name in names if name.lower() not in found]
    if missing:
        raise ServerError("the server has no setting %s" % ", ".join(missing))
    return {name: found[name.lower()] for name in names}
