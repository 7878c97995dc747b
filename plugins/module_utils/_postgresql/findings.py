# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The finding for a server that cannot be reached."""

from __future__ import annotations

import os

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, postgres_failures

#: The section of the troubleshooting guide on a database that the app cannot use.
GUIDE = "Application Won't Start"
_UNKNOWN = "db.connection.unknown"
#: Seconds to find out on this host why its server does not answer.
_EXPLAINING = 2.0
_RUN_AS_ROOT = "Run with become: root logs in as the server's own user, or name a login_user."
#: kind of error: (id, remedy)
_FINDINGS = {
    **dict.fromkeys(failures.WORDS, ("db.unreachable", None)),
    failures.REFUSED: ("db.unreachable", "start_postgresql"),
    failures.MISSING: ("db.unreachable", "start_postgresql"),
    "disk_full": ("db.unreachable", None),
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


#: Among others: all that ``_health/probes/database.py`` has for the same ids.
REASONS = {"db.unreachable": ("refused", "missing", "hung")}


def unreachable(error, target, params=None):
    """Return the finding for a connection that failed.

    Args:
        error: a PostgresError.
        target: the ``host:port`` that did not answer as it should.
        params: the options of the login; without them the reason is not looked for on this host.
    """
    id, remedy = _FINDINGS.get(error.kind, (_UNKNOWN, None))
    advice = _ADVICE.get(error.kind)
    if id == "db.auth.failed" and _admits_only_root(params or {}):
        id, remedy, advice = _UNKNOWN, None, _RUN_AS_ROOT
    explained = _explained(error, params) if params and id != _UNKNOWN else None
    evidence = {"target": target, "error_kind": error.kind, "sqlstate": error.sqlstate}
    if explained:
        if explained.lines:
            evidence["log"] = explained.lines
        return finding(
            "db.connections.exhausted"
            if explained.code in ("pool_exhausted", "reserved_taken")
            else "db.unreachable",
            "database",
            "fail",
            "PostgreSQL at %s cannot be used: %s" % (target, explained.words),
            reason=":".join(filter(None, (explained.code, explained.detail))),
            evidence=evidence,
            remedy="start_postgresql" if explained.can_start else None,
            advice=explained.advice,
            guide=GUIDE,
        )
    return finding(
        id,
        "database",
        "unknown" if id == _UNKNOWN else "fail",
        "PostgreSQL at %s: %s" % (target, error),
        reason=None if id == _UNKNOWN else error.kind,
        evidence=evidence,
        remedy=remedy,
        advice=advice,
        guide=GUIDE,
    )


def _explained(error, params):
    # Only here: most servers answer.
    from ansible_collections.sergas.ops.plugins.module_utils._host import (
        app_config,
        postgresql_server,
    )

    host = params.get("login_host") or params.get("login_unix_socket") or app_config.SOCKETS[0]
    port = params.get("login_port") or 5432
    # A server that hangs has taken all of the time that there was.
    return postgresql_server.explain(host, port, error.kind, Deadline(_EXPLAINING))


def _admits_only_root(params):
    """Return whether it was tried as this process' own user, over the local socket: a server is not
    at fault for not knowing that one.
    """
    named = params.get("login_host") or params.get("login_user")
    return bool(params) and not named and os.geteuid() != 0
