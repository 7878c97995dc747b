# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The finding for a server that cannot be reached."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._net import failures

#: The section of the troubleshooting guide on a database that the app cannot use.
GUIDE = "Application Won't Start"
#: kind: (id, status, remedy, advice)
_FINDINGS = {
    "dns": (
        "db.unreachable",
        "fail",
        None,
        "Correct DATABASE_HOST, or the name in DNS or /etc/hosts.",
    ),
    "refused": (
        "db.unreachable",
        "fail",
        "start_postgresql",
        "Start PostgreSQL, or correct the host and port.",
    ),
    "missing": ("db.unreachable", "fail", "start_postgresql", "Start PostgreSQL."),
    "unreachable": (
        "db.unreachable",
        "fail",
        None,
        "Restore the network between this host and the database.",
    ),
    "denied": ("db.unreachable", "fail", None, failures.ADVICE[failures.DENIED]),
    "permission": ("db.unreachable", "fail", None, failures.ADVICE[failures.PERMISSION]),
    "timeout": ("db.unreachable", "fail", None, failures.ADVICE[failures.TIMEOUT]),
    "hung": (
        "db.unreachable",
        "fail",
        None,
        "See on the server what hangs: a stopped process, a full disk, no memory.",
    ),
    "tls": (
        "db.unreachable",
        "fail",
        None,
        "Make ssl_mode and the certificates fit what the server offers.",
    ),
    "protocol": (
        "db.unreachable",
        "fail",
        None,
        "Correct the host and port: what listens there is not PostgreSQL.",
    ),
    "starting_up": (
        "db.unreachable",
        "fail",
        None,
        "Wait for the start or recovery to end; the server's log shows it.",
    ),
    "closed": (
        "db.unreachable",
        "fail",
        None,
        "The server's log says why it ended the session.",
    ),
    "authentication": (
        "db.auth.failed",
        "fail",
        "database_credentials",
        "Correct the role and its password.",
    ),
    "not_allowed": (
        "db.auth.failed",
        "fail",
        None,
        "Allow the role, database and address in pg_hba.conf.",
    ),
    "database_missing": (
        "db.missing",
        "fail",
        None,
        "Create the database, or correct DATABASE_NAME.",
    ),
    "too_many_connections": (
        "db.connections.exhausted",
        "fail",
        "end_idle_sessions",
        "End idle sessions, then make the pools of all app hosts fit the server's slots.",
    ),
    "pooler": (
        "db.connection.unknown",
        "unknown",
        None,
        "Give the host and port of PostgreSQL itself, not of pgbouncer.",
    ),
    "authentication_method": (
        "db.connection.unknown",
        "unknown",
        None,
        "Install python3-psycopg2, which supports more ways to authenticate.",
    ),
}


def unreachable(error, target):
    """Return the finding for a connection that failed.

    Args:
        error: a PostgresError.
        target: the ``host:port`` that did not answer as it should.
    """
    id, status, remedy, advice = _FINDINGS.get(
        error.kind, ("db.connection.unknown", "unknown", None, None)
    )
    return finding(
        id,
        "database",
        status,
        "PostgreSQL at %s: %s" % (target, error),
        evidence={"target": target, "error": error.kind, "sqlstate": error.sqlstate},
        remedy=remedy,
        advice=advice,
        guide=GUIDE,
    )
