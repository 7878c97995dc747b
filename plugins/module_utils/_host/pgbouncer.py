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
#: The system users that distributions run it as. Any other one may only pretend to be it.
_USERS = ("postgres", "pgbouncer")
_MOST_LINES = 1000


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
            if state in "Tt" or holder["user"] not in _USERS:
                return found
            return dict(found, pools=_pools(port, holder["user"], deadline.within(_SECONDS)))
    return None


def _pools(port, user, deadline):
    """Return what its console says: PgBouncer lets its own system user log in to it.

    A command does it: a probe runs beside others in one process, whose identity cannot change.
    """
    for directory in SOCKETS:
        if not os.path.exists(os.path.join(directory, ".s.PGSQL.%d" % port)):
            continue
        query = ["psql", "-XAwq", "-F", "\t", "-P", "footer=off", "-h", directory]
        query += ["-p", str(port), "-U", "pgbouncer", "-d", "pgbouncer"]
        argv = ["runuser", "-u", user, "--", *query, "-c", "SHOW POOLS", "-c", "SHOW DATABASES"]
        try:
            status, out, _error = process.run(argv, deadline)
        except (process.CommandMissing, DeadlineExceeded):
            return []
        if status == 0:
            return pools(out)
    return []


def pools(text):
    """Return database, user, active, idle, waiting, seconds and size (0 where it is not known) of
    each pool.

    Args:
        text: the tables of ``SHOW POOLS`` and ``SHOW DATABASES``, each a line of names and one for
            each row, with tabs.
    """
    names, rows = [], []
    for line in text.splitlines()[:_MOST_LINES]:
        fields = line.split("\t")
        if fields[:2] in (["database", "user"], ["name", "host"]):
            names = fields
        else:
            rows.append(dict(zip(names, fields)))
    sizes = {row["name"]: _number(row.get("pool_size")) for row in rows if "name" in row}
    return [
        {
            "database": row["database"],
            "user": row["user"],
            "active": _number(row.get("sv_active")),
            "idle": _number(row.get("sv_idle")) + _number(row.get("sv_used")),
            "waiting": _number(row.get("cl_waiting")),
            "seconds": _number(row.get("maxwait")),
            "size": sizes.get(row["database"], 0),
        }
        for row in rows
        if "user" in row
    ]


def _number(text):
    return int(text) if re.match(r"[0-9]{1,9}\Z", text or "") else 0
