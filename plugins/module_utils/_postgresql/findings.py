# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The finding for a server that cannot be reached."""

from __future__ import annotations

import os

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, postgres_failures

#: The section of the troubleshooting guide on a database that the app cannot use.
GUIDE = "Application Won't Start"
_UNKNOWN = "db.connection.unknown"
_RUN_AS_ROOT = "Run with become: root logs in as the server's own user, or name a login_user."
#: kind of error: (id, remedy)
_FINDINGS = {
    **dict.fromkeys(failures.WORDS, ("db.unreachable", None)),
    failures.REFUSED: ("db.unreachable", "start_postgresql"),
    failures.MISSING: ("db.unreachable", "start_postgresql"),
    "starting": ("db.unreachable", None),
    "stopping": ("db.unreachable", "start_postgresql"),
    "password": ("db.auth.failed", "database_credentials"),
    "password_missing": ("db.auth.failed", "database_credentials"),
    "role": ("db.auth.failed", "database_credentials"),
    "identity": ("db.auth.failed", None),
    "pg_hba": ("db.auth.failed", None),
    "privilege": ("db.auth.failed", None),
    "closed_database": ("db.auth.failed", None),
    "database": ("db.missing", None),
    "slots": ("db.connections.exhausted", "end_idle_sessions"),
    "role_limit": ("db.connections.exhausted", "end_idle_sessions"),
    "database_limit": ("db.connections.exhausted", "end_idle_sessions"),
}
_ADVICE = {
    **postgres_failures.ADVICE,
    "pooler": "Give the host and port of PostgreSQL itself, not of pgbouncer.",
    "method": "Install python3-psycopg2, which supports more ways to authenticate.",
}


def unreachable(error, target, params=None):
    """Return the finding for a connection that failed.

    Args:
        error: a PostgresError.
        target: the ``host:port`` that did not answer as it should.
        params: the options of the login.
    """
    id, remedy = _FINDINGS.get(error.kind, (_UNKNOWN, None))
    advice = _ADVICE.get(error.kind)
    if id == "db.auth.failed" and _admits_only_root(params or {}):
        id, remedy, advice = _UNKNOWN, None, _RUN_AS_ROOT
    return finding(
        id,
        "database",
        "unknown" if id == _UNKNOWN else "fail",
        "PostgreSQL at %s: %s" % (target, error),
        evidence={"target": target, "error_kind": error.kind, "sqlstate": error.sqlstate},
        remedy=remedy,
        advice=advice,
        guide=GUIDE,
    )


def _admits_only_root(params):
    """Return whether it was tried as this process' own user, over the local socket: a server is not
    at fault for not knowing that one.
    """
    named = params.get("login_host") or params.get("login_user")
    return bool(params) and not named and os.geteuid() != 0
