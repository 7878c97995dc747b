# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL and Redis as the app reaches them."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._net import (
    pgwire,
    postgres_failures,
    resp,
    url,
)
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

#: pg_stat_activity counts background workers, too. A role that may not see another one's session
#: gets no backend_type for it: a session with a user and a database is a client's then.
SLOTS = """
SELECT current_setting('max_connections'), current_setting('superuser_reserved_connections'),
  coalesce(current_setting('reserved_connections', true), '0'),
  (SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND
    coalesce(backend_type,
      CASE WHEN datid IS NOT NULL AND usesysid IS NOT NULL THEN 'client backend' END)
    = 'client backend'),
  current_setting('server_version'), pg_is_in_recovery(), current_setting('port')
"""


def address(target):
    """Return what to call a target: behind a Unix socket is this host."""
    host = "localhost" if target["host"].startswith("/") else target["host"]
    return url.address(host, target["port"])


def postgresql(target, deadline):
    """Return what a connection to the database shows: its address, ``failure`` or its figures."""
    result = {
        "address": address(target),
        "socket": target["host"] if target["host"].startswith("/") else None,
        "name": target["name"],
        "user": target["user"],
        "tls": target["tls"],
        "alive": False,
    }
    try:
        session = _connect(target, deadline, target["tls"])
    except _FAILURES as error:
        result["failure"] = _failure(error)
        if (
            result["failure"]["error_kind"] == "pg_hba"
            and target["tls"] == "disable"
            and target["password"]
        ):
            result["failure"]["needs_tls"] = _works(target, deadline, "require")
        result["alive"] = (
            "sqlstate" in result["failure"] and result["failure"]["error_kind"] != "starting"
        )
        return result
    with session:
        result.update(alive=True, encrypted=session.encrypted)
        result.update(_measure(session))
    return result


def _connect(target, deadline, tls):
    return pgwire.connect(
        target["host"],
        target["port"],
        target["user"],
        target["name"],
        target["password"],
        deadline,
        tls,
        target["root"],
    )


_FAILURES = (
    ConnectionFailed,
    pgwire.ServerError,
    pgwire.PasswordMissing,
    pgwire.AuthenticationUnsupported,
    OSError,
)


def _works(target, deadline, tls):
    try:
        _connect(target, deadline, tls).__exit__()
    except _FAILURES:
        return False
    return True


def _measure(session):
    # Within one read-only transaction, so that it holds behind a pooler, too, and leaves nothing.
    try:
        rows = session.query(
            "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog;"
            " SET LOCAL statement_timeout = 3000; SET LOCAL lock_timeout = 1000;%s; COMMIT" % SLOTS
        )
        limit, superuser, reserved, used, version, recovery, port = rows[0]
        return {
            "slots": int(limit) - int(superuser) - int(reserved),
            "max_connections": int(limit),
            "used": int(used),
            "server_version": version,
            "in_recovery": recovery == "t",
            # Its own, which a pooler in between does not have.
            "server_port": int(port),
        }
    except (pgwire.ServerError, ConnectionFailed, ValueError, IndexError) as error:
        return {"slots": None, "why": str(error)}


def _failure(error):
    """Return error_kind, a word, and message, and sqlstate where the server spoke."""
    if isinstance(error, ConnectionFailed):
        return {"error_kind": error.reason, "message": str(error)}
    if isinstance(error, pgwire.PasswordMissing):
        return {"error_kind": "password_missing", "message": str(error), "sqlstate": None}
    if isinstance(error, pgwire.AuthenticationUnsupported):
        return {"error_kind": "method", "message": str(error), "sqlstate": None}
    if isinstance(error, pgwire.ServerError):
        return {
            "error_kind": postgres_failures.of_login(error.sqlstate, error.routine),
            "message": str(error),
            "sqlstate": error.sqlstate,
            "routine": error.routine,
        }
    return {
        "error_kind": "tls",
        "message": "the certificates for verification cannot be read: %s" % error,
    }


def redis(target, deadline, local):
    """Return what a connection to Redis shows: its address, ``failure`` or ``info``."""
    result = {"address": address(target), "local": local}
    try:
        with resp.Client(target["host"], target["port"], deadline, target["tls"]) as client:
            result.update(_query(client, target))
    except ConnectionFailed as error:
        result["failure"] = {"error_kind": error.reason, "message": str(error)}
    except resp.RedisError as error:
        # None of these three commands is refused for the memory or the slot of a key.
        kind = "refusal" if error.kind in ("memory", "cluster") else error.kind
        result["failure"] = {"error_kind": kind, "message": str(error)}
    return result


def _query(client, target):
    client.log_in(target["user"], target["password"])
    refused = None
    try:
        answer = client.call("PING")
    except resp.RedisError as error:
        # It refuses even this while it refuses writes, and still gives its figures.
        if error.kind != "writes":
            raise
        refused, answer = str(error), "PONG"
    if answer != "PONG":
        raise ConnectionFailed(
            "protocol", "first_byte", "it answers PING with %r" % str(answer)[:40]
        )
    try:
        return {"info": resp.parse_info(client.call("INFO") or ""), "refused": refused}
    except resp.RedisError as error:
        return {"info": {}, "refused": refused, "why": str(error)}
