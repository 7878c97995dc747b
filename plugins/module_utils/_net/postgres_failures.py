# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why PostgreSQL does not start a session: one word for each reason, and what to do about it.

The reasons are those of ``failures``, and those of a server that refuses a login. Which finding and
which remedy that is, is beside the checks.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._net import failures

#: (SQLSTATE, the server's function that raised it): reason; None is any other function.
_REFUSALS = {
    ("28P01", None): "password",
    ("28000", "InitializeSessionUserId"): "role",
    ("28000", "auth_failed"): "identity",
    ("28000", None): "pg_hba",
    ("42501", None): "privilege",
    ("55000", None): "closed_database",
    ("3D000", None): "database",
    ("53300", "InitializeSessionUserId"): "role_limit",
    ("53300", "CheckMyDatabase"): "database_limit",
    ("53300", None): "slots",
    ("53100", None): "disk_full",
    ("57P03", None): "starting",
    ("57P01", None): "stopping",
    ("57P02", None): "stopping",
    # A server knows every parameter that is sent to it here, PgBouncer only some.
    ("08P01", None): "pooler",
}
#: reason: what to do about it
ADVICE = {
    **failures.ADVICE,
    failures.REFUSED: "Start the cluster, or correct the host and the port in .env.",
    failures.MISSING: "Start the cluster.",
    failures.PERMISSION: "Check unix_socket_permissions and unix_socket_group of the server.",
    failures.HUNG: "See on the server what hangs: a stopped process, a full disk, no memory.",
    failures.CLOSED: "See the server's log, and what is in between.",
    failures.TLS: "Compare sslmode with what the server offers.",
    "starting": "Wait for it, and read the server's log.",
    "stopping": "Start the cluster.",
    "refusal": "Read the server's log.",
    "disk_full": "Free space on the file system of the server's data.",
    "pooler": "Read the log of the connection pooler, or connect to PostgreSQL itself.",
    "password": "Put the right credentials into .env, from the vault.",
    "password_missing": "Set the password in .env, from the vault.",
    "role": "Correct the user in .env, or create the role.",
    "identity": "Correct pg_hba.conf for this user.",
    "pg_hba": "Add a rule to pg_hba.conf and reload.",
    "method": "Check it with the app's own driver.",
    "privilege": "GRANT CONNECT ON DATABASE to the role.",
    "closed_database": "ALTER DATABASE with ALLOW_CONNECTIONS true.",
    "database": "Correct the name in .env, or restore the database.",
    "slots": (
        "End idle sessions, then compare workers x (pool size + overflow) of all hosts with the"
        " slots."
    ),
    "role_limit": "Raise the role's CONNECTION LIMIT, or lower the pool.",
    "database_limit": "Raise the database's CONNECTION LIMIT, or lower the pool.",
}


def of_login(sqlstate: str, routine: str = "") -> str:
    """Return the reason for which a server refused a login, ``refusal`` for any other code."""
    return _REFUSALS.get((sqlstate, routine)) or _REFUSALS.get((sqlstate, None), "refusal")
