# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PgBouncer of this host: whether it is what listens on a port, and whom it lets wait."""

from __future__ import annotations

import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded
from ansible_collections.sergas.ops.plugins.module_utils._host import sockets
from ansible_collections.sergas.ops.plugins.module_utils._host.app_config import SOCKETS
from ansible_collections.sergas.ops.plugins.module_utils._host.postgresql_clusters import (
    process_state,
)

_SECONDS = 2
_MOST_POOLS = 1000


def read(port, deadline):
    """Return pid, process (a letter, see proc(5)) and pools (see ``pools``) of the PgBouncer that
    listens on a port, or None where that is something else.
    """
    try:
        listeners, _states = sockets.read(port)
    except OSError:
        return None
    for holder in (holder for item in listeners for holder in item["holders"]):
        try:
            with open("/proc/%d/stat" % holder["pid"], encoding="latin-1") as source:
                name, state = process_state(source.read(4096))
        except OSError:
            continue
        if name == "pgbouncer":
            found = {"pid": holder["pid"], "process": state, "pools": []}
            if state in "Tt":
                return found
            return dict(found, pools=_pools(port, holder["user"], deadline.within(_SECONDS)))
    return None


def _pools(port, user, deadline):
    """Return what ``SHOW POOLS`` says: PgBouncer lets its own system user log in to its console.

    A command does it: a probe runs beside others in one process, whose identity cannot change.
    """
    for directory in SOCKETS:
        if not os.path.exists(os.path.join(directory, ".s.PGSQL.%d" % port)):
            continue
        query = ["psql", "-XAtwq", "-F", "\t", "-P", "footer=off"]
        query += ["-h", directory, "-p", str(port), "-U", "pgbouncer", "-d", "pgbouncer"]
        argv = ["runuser", "-u", user, "--", *query, "-c", "SHOW POOLS"]
        try:
            status, out, _error = process.run(argv, deadline)
        except (process.CommandMissing, DeadlineExceeded):
            return []
        if status == 0:
            return pools(out)
    return []


def pools(text):
    """Return database, user, active, idle, waiting and seconds of each pool of ``SHOW POOLS``.

    Args:
        text: a line of names and one for each pool, with tabs.
    """
    lines = [line.split("\t") for line in text.splitlines()[: _MOST_POOLS + 1]]
    found = []
    for fields in lines[1:]:
        row = dict(zip(lines[0], fields))
        found.append(
            {
                "database": row.get("database", ""),
                "user": row.get("user", ""),
                "active": _number(row.get("sv_active")),
                "idle": _number(row.get("sv_idle")) + _number(row.get("sv_used")),
                "waiting": _number(row.get("cl_waiting")),
                "seconds": _number(row.get("maxwait")),
            }
        )
    return found


def _number(text):
    return int(text) if re.match(r"[0-9]{1,9}\Z", text or "") else 0
