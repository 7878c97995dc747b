# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL and Redis as the app reaches them."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._health import redis_writes
from ansible_collections.sergas.ops.plugins.module_utils._net import (
    failures,
    pgwire,
    postgres_failures,
    resp,
    url,
)
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed

#: A statement that takes longer than it may.
_CANCELED = "57014"
#: pg_stat_activity counts background workers, too. A role that may not see another one's session
#: gets no backend_type for it: a session with a user and a database is a client's then.
_SLOTS = """
SELECT current_setting('max_connections'), current_setting('superuser_reserved_connections'),
  coalesce(current_setting('reserved_connections', true), '0'),
  (SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND
    coalesce(backend_type,
      CASE WHEN datid IS NOT NULL AND usesysid IS NOT NULL THEN 'client backend' END)
    = 'client backend')
"""
#: Whether the role can write here at all, by the setting that its sessions begin with.
_WRITES = """
SELECT current_setting('server_version'), pg_is_in_recovery(), s.setting = 'on', s.source,
  current_setting('port')
FROM pg_settings s WHERE s.name = 'default_transaction_read_only'
"""
#: Tables with what the role may not do: u for USAGE of the schema, r for SELECT, a for INSERT, w
#: for UPDATE, d for DELETE; whether it owns them; and what has been written there, by the same
#: letters.
#: Rights on a partition are not needed: its statements go to the table.
_RIGHTS = """
SELECT n.nspname, c.relname, pg_has_role(c.relowner, 'USAGE') AND NOT me.rolsuper,
  concat(CASE WHEN NOT p.u THEN 'u' END, CASE WHEN NOT p.r THEN 'r' END,
    CASE WHEN NOT p.a THEN 'a' END, CASE WHEN NOT p.w THEN 'w' END, CASE WHEN NOT p.d THEN 'd' END),
  concat(CASE WHEN s.n_tup_ins > 0 THEN 'a' END, CASE WHEN s.n_tup_upd > 0 THEN 'w' END,
    CASE WHEN s.n_tup_del > 0 THEN 'd' END)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
  JOIN pg_roles me ON me.rolname = current_user
  CROSS JOIN LATERAL (SELECT has_schema_privilege(n.oid, 'USAGE') AS u,
    has_table_privilege(c.oid, 'SELECT') AS r, has_table_privilege(c.oid, 'INSERT') AS a,
    has_table_privilege(c.oid, 'UPDATE') AS w, has_table_privilege(c.oid, 'DELETE') AS d) p
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (NOT (p.u AND p.r AND p.a AND p.w AND p.d)
    OR concat(n.nspname, '.', c.relname) IN (%s))
ORDER BY 1, 2 LIMIT 500
"""


def address(target):
    """Return what to call a target: behind a Unix socket is this host."""
    host = "localhost" if target["host"].startswith("/") else target["host"]
    return url.address(host, target["port"])


def postgresql(target, deadline, tables=()):
    """Return what a connection to the database shows: its address, ``failure`` or its figures.

    Args:
        target: as ``app_config.database_target`` returns it.
        deadline: of it all.
        tables: those that the app has to write to, each as ``schema.table``.
    """
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
    try:
        with session:
            result.update(_measure(session, tables), encrypted=session.encrypted, alive=True)
    except (*_FAILURES, ValueError, IndexError) as error:
        # It has accepted the role, and a session whose queries have no answer is of no use.
        result["failure"] = _failure(error)
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


def _measure(session, tables):
    version, recovery, read_only, source, port = _read(session, _WRITES)[0]
    facts = {
        "server_version": version,
        "in_recovery": recovery == "t",
        # Its own, which a pooler in between does not have.
        "server_port": int(port),
        "read_only": source if read_only == "t" else None,
        "slots": None,
        "rights": None,
        "gaps": {},
    }
    try:
        limit, superuser, reserved, used = _read(session, _SLOTS)[0]
        facts.update(
            slots=int(limit) - int(superuser) - int(reserved),
            max_connections=int(limit),
            used=int(used),
        )
    except pgwire.ServerError as error:
        facts["gaps"]["slots"] = "how many connections are in use may not be read: %s" % error
    try:
        facts["rights"] = _read(session, _RIGHTS % _names(tables))
    except pgwire.ServerError as error:
        facts["gaps"]["rights"] = "the role's rights on tables cannot be read: %s" % error
    return facts


def _names(tables):
    """Return the names of tables for a query; what they may hold is checked with the options."""
    return ", ".join("'%s'" % name.replace("'", "''") for name in tables) or "''"


def _read(session, query):
    # Within one read-only transaction, so that it holds behind a pooler, too, and leaves nothing.
    try:
        return session.query(
            "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog;"
            " SET LOCAL statement_timeout = 3000; SET LOCAL lock_timeout = 1000;%s; COMMIT" % query
        )
    except pgwire.ServerError:
        session.query("ROLLBACK")
        raise


def _failure(error):
    """Return error_kind, a word, and message, and sqlstate where the server spoke."""
    if isinstance(error, ConnectionFailed):
        return {"error_kind": error.reason, "message": str(error)}
    if isinstance(error, pgwire.PasswordMissing):
        return {"error_kind": "password_missing", "message": str(error), "sqlstate": None}
    if isinstance(error, pgwire.AuthenticationUnsupported):
        return {"error_kind": "method", "message": str(error), "sqlstate": None}
    if isinstance(error, (ValueError, IndexError)):
        return {"error_kind": failures.PROTOCOL, "message": "its answer cannot be read: %s" % error}
    if isinstance(error, pgwire.ServerError) and error.sqlstate == _CANCELED:
        return {"error_kind": failures.HUNG, "message": str(error), "sqlstate": error.sqlstate}
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
        # Where a login is refused for the memory or the slot of a key.
        kind = "refusal" if error.kind in ("memory", "cluster", "writes") else error.kind
        result["failure"] = {"error_kind": kind, "message": str(error)}
    return result


def _query(client, target):
    result = {"info": {}, "refused": None, "message": None, "gaps": {}}
    try:
        client.log_in(target["user"], target["password"])
    except resp.RedisError as error:
        # A Sentinel has no password of the servers that it watches.
        if error.kind != "password_unused" or _info(client).get("redis_mode") != "sentinel":
            raise
        return dict(result, refused="sentinel", message=str(error))
    refused, message = redis_writes.attempt(client)
    result["may_ping"] = redis_writes.may_ping(client)
    try:
        result["info"] = _info(client)
    except resp.RedisError as error:
        result["why"] = str(error)
    refused = refused or redis_writes.by_info(result["info"])
    if message and not refused and not result["info"]:
        result["gaps"]["writes"] = "whether this user can write cannot be seen: %s" % message
    return dict(result, refused=refused, message=message)


def _info(client):
    return resp.parse_info(client.call("INFO") or "")
