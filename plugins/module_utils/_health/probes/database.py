# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database as the app reaches it, and how much of its connections is in use."""

from __future__ import annotations

import glob
import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    NotHere,
    finding,
    grade,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, pgwire, url
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
  current_setting('server_version'), pg_is_in_recovery()
"""
_REQUIRED = (("host", "HOST"), ("user", "USER"), ("name", "NAME"))
_MARGIN = 0.3


def observe(ctx):
    """Reach the database with the app's settings; without an app, the clusters of this host.

    Returns:
        dict with reached: a list of dicts (address, local: a cluster of this host, and either
        failure as L(_failure) tells it or what L(_measure) saw), and with the target and the slots
        of the first of them, None where they are not known.
    """
    results = []
    # A little less than there is, so that a server that hangs is told as such and not as a late
    # probe.
    deadline = ctx.deadline.within(ctx.deadline.remaining() - _MARGIN)
    if ctx.has("app"):
        target = app_config.database_target(ctx.settings)
        missing = [name for key, name in _REQUIRED if not target[key]]
        if missing:
            unset = ["DATABASE_" + name for name in missing]
            results.append(
                {"unset": unset, "why": ctx.environment_error or _not_set(unset, ctx.env_file)}
            )
        else:
            results.append(dict(_reach(target, deadline), local=False))
    if not results or "postgresql" in (ctx.components or ()):
        known = {item.get("address") for item in results}
        for target in local_clusters():
            if url.address("127.0.0.1", target["port"]) not in known:
                results.append(dict(_reach(target, deadline), local=True))
    if not results:
        raise NotHere("PostgreSQL is not on this host")
    return {
        "reached": results,
        "target": results[0].get("address"),
        "slots": results[0].get("slots"),
    }


def _not_set(names, env_file):
    return "%s %s not set in %s" % (", ".join(names), "is" if len(names) == 1 else "are", env_file)


def local_clusters(root="/"):
    """Return the targets of the clusters that are to run on this host, from Debian's folders."""
    targets = []
    for path in sorted(glob.glob(os.path.join(root, "etc/postgresql/*/*/postgresql.conf"))):
        folder = os.path.dirname(path)
        if _words(os.path.join(folder, "start.conf"))[:1] in (["manual"], ["disabled"]):
            continue
        targets.append(_local(_setting(folder, "port", "5432")))
    if not targets:
        for folder in app_config.SOCKETS[1:]:
            for path in glob.glob(os.path.join(root, folder.lstrip("/"), ".s.PGSQL.*[0-9]")):
                targets.append(_local(path.rpartition(".")[2]))
    return targets


def _local(port):
    return {
        "host": "127.0.0.1",
        "port": int(port),
        "name": "postgres",
        "user": "postgres",
        "password": None,
        "tls": "disable",
        "root": None,
    }


def _words(path):
    try:
        # In Debian, the directory is the server's own user's.
        lines = files.read_text(path).splitlines()
        return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    except OSError:
        return []


def _setting(folder, name, default):
    """Return a number set in postgresql.conf or in its conf.d; the last one counts."""
    found = default
    for path in [os.path.join(folder, "postgresql.conf")] + sorted(
        glob.glob(os.path.join(folder, "conf.d", "*.conf"))
    ):
        for line in _words(path):
            match = re.match(r"%s\s*=?\s*'?([0-9]+)'?\Z" % name, line, re.I)
            if match:
                found = match.group(1)
    return found


def _reach(target, deadline):
    result = {
        # Behind a Unix socket is this machine.
        "address": url.address(
            "localhost" if target["host"].startswith("/") else target["host"], target["port"]
        ),
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
            result["failure"]["told"] == "pg_hba"
            and target["tls"] == "disable"
            and target["password"]
        ):
            result["failure"]["needs_tls"] = _works(target, deadline, "require")
        result["alive"] = (
            "sqlstate" in result["failure"] and result["failure"]["told"] != "starting"
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
        limit, superuser, reserved, used, version, recovery = rows[0]
        return {
            "slots": int(limit) - int(superuser) - int(reserved),
            "max_connections": int(limit),
            "used": int(used),
            "server_version": version,
            "in_recovery": recovery == "t",
        }
    except (pgwire.ServerError, ConnectionFailed, ValueError, IndexError) as error:
        return {"slots": None, "why": str(error)}


def _failure(error):
    """Return told (what is wrong in one word) and message, and sqlstate where the server spoke."""
    if isinstance(error, ConnectionFailed):
        return {"told": error.reason, "message": str(error)}
    if isinstance(error, pgwire.PasswordMissing):
        return {"told": "password_missing", "message": str(error), "sqlstate": None}
    if isinstance(error, pgwire.AuthenticationUnsupported):
        return {"told": "method", "message": str(error), "sqlstate": None}
    if isinstance(error, pgwire.ServerError):
        return {
            "told": classify(error.sqlstate, error.routine),
            "message": str(error),
            "sqlstate": error.sqlstate,
            "routine": error.routine,
        }
    return {
        "told": "tls",
        "message": "the certificates for verification cannot be read: %s" % error,
    }


def classify(sqlstate, routine=""):
    """Return what a refusal at the start of a session means, from its SQLSTATE and the server's
    routine.
    """
    if sqlstate == "28000":
        return {"InitializeSessionUserId": "role", "auth_failed": "identity"}.get(routine, "pg_hba")
    if sqlstate == "53300":
        return {"InitializeSessionUserId": "role_limit", "CheckMyDatabase": "database_limit"}.get(
            routine, "slots"
        )
    return {
        "28P01": "password",
        "3D000": "database",
        "42501": "privilege",
        "57P03": "starting",
        "57P01": "stopping",
        "57P02": "stopping",
    }.get(sqlstate, "refusal")


#: What to do about a failed connection to this service.
_ADVICE = {
    **failures.ADVICE,
    failures.REFUSED: "Start the cluster, or correct the host and the port in .env.",
    failures.MISSING: "Start the cluster.",
    failures.HUNG: "See on the server what hangs: a stopped process, a full disk, no memory.",
    failures.CLOSED: "See the server's log, and what is in between.",
    failures.TLS: "Compare sslmode with what the server offers.",
}
#: told: (id, sentence, remedy, advice)
_TOLD = {
    **{
        reason: (
            "db.unreachable",
            failures.WORDS[reason],
            "start_postgresql" if reason in (failures.REFUSED, failures.MISSING) else None,
            advice,
        )
        for reason, advice in _ADVICE.items()
    },
    "starting": (
        "db.unreachable",
        "the server is starting up, recovering or shutting down",
        None,
        "Wait for it, and read the server's log.",
    ),
    "stopping": (
        "db.unreachable",
        "the server is shutting down",
        "start_postgresql",
        "Start the cluster.",
    ),
    "refusal": ("db.unreachable", "the server refuses the session", None, "Read the server's log."),
    "password": (
        "db.auth.failed",
        "the user or the password is wrong",
        "database_credentials",
        "Put the right credentials into .env, from the vault.",
    ),
    "password_missing": (
        "db.auth.failed",
        "it wants a password and none is set",
        "database_credentials",
        "Set the password in .env, from the vault.",
    ),
    "role": (
        "db.auth.failed",
        "the role does not exist or may not log in",
        "database_credentials",
        "Correct the user in .env, or create the role.",
    ),
    "identity": (
        "db.auth.failed",
        "it wants another identity than a password (peer, ident, certificate)",
        None,
        "Correct pg_hba.conf for this user.",
    ),
    "pg_hba": (
        "db.auth.failed",
        "no rule of pg_hba.conf lets this host, user and database in",
        None,
        "Add a rule to pg_hba.conf and reload.",
    ),
    "method": (
        "db.auth.failed",
        "its way to authenticate is not known here",
        None,
        "Check it with the app's own driver.",
    ),
    "privilege": (
        "db.auth.failed",
        "the role may not connect to this database",
        None,
        "GRANT CONNECT ON DATABASE to the role.",
    ),
    "database": (
        "db.missing",
        "the database does not exist",
        None,
        "Correct the name in .env, or restore the database.",
    ),
    "slots": (
        "db.connections.exhausted",
        "all connection slots are taken",
        "end_idle_sessions",
        (
            "End idle sessions, then compare workers x (pool size + overflow) of all hosts with the"
            " slots."
        ),
    ),
    "role_limit": (
        "db.connections.exhausted",
        "the role's own connection limit is reached",
        "end_idle_sessions",
        "Raise the role's CONNECTION LIMIT, or lower the pool.",
    ),
    "database_limit": (
        "db.connections.exhausted",
        "the database's own connection limit is reached",
        "end_idle_sessions",
        "Raise the database's CONNECTION LIMIT, or lower the pool.",
    ),
}


def decide(ctx, observed):
    """Return a finding for each database that was to be reached."""
    threshold = ctx.thresholds["db_connections_percent"]
    return [judge(result, threshold) for result in observed["reached"]]


def judge(result, threshold):
    """Return the finding about one database (pure).

    Args:
        result: one of what L(observe) reached.
        threshold: (warn, fail, unit) for the connections in percent of the slots.
    """
    if "unset" in result:
        names = ", ".join(result["unset"])
        return finding(
            "db.connection.unknown",
            "database",
            "unknown",
            "What the app connects to is not known: " + result["why"],
            evidence={"unset": result["unset"]},
            advice="Set %s in .env, or give the options of the module." % names,
        )
    place = "PostgreSQL at %s" % result["address"]
    evidence = {"target": result["address"], "database": result["name"], "user": result["user"]}
    failure = result.get("failure")
    if failure and result["local"] and result["alive"]:
        # No one's credentials: that the server asks for them is all there is to know.
        if failure["told"] != "slots":
            evidence = {"target": result["address"], "told": failure["told"]}
            return finding(
                "db.connection.ok", "database", "ok", "%s answers" % place, evidence=evidence
            )
    if failure:
        return _refused(place, evidence, failure, result["socket"])
    evidence.update(
        {
            key: result[key]
            for key in (
                "server_version",
                "in_recovery",
                "encrypted",
                "max_connections",
                "slots",
                "used",
            )
            if key in result
        }
    )
    if not result["slots"]:
        evidence["slots_unknown"] = result.get("why", "the server has none")
        summary = "%s lets %s into %s" % (place, result["user"], result["name"])
        return finding("db.connection.ok", "database", "ok", summary, evidence=evidence)
    warn, fail, unit = threshold
    percent = round(100.0 * result["used"] / result["slots"], 1)
    status = grade(percent, warn, fail)
    if status == "ok":
        identity, remedy, advice = "db.connection.ok", None, None
    else:
        identity, remedy, advice = _TOLD["slots"][0], _TOLD["slots"][2], _TOLD["slots"][3]
    return finding(
        identity,
        "database",
        status,
        "%s lets %s into %s; %d of %d connection slots are in use (%.1f %%, threshold %g %%)"
        % (
            place,
            result["user"],
            result["name"],
            result["used"],
            result["slots"],
            percent,
            fail if status == "fail" else warn,
        ),
        value=percent,
        unit=unit,
        warn=warn,
        fail=fail,
        evidence=evidence,
        remedy=remedy,
        advice=advice,
    )


def _refused(place, evidence, failure, socket=None):
    identity, sentence, remedy, advice = _TOLD[failure["told"]]
    if socket and failure["told"] == "identity":
        # The server asks the kernel who we are, and we are not the app's user.
        return finding(
            "db.connection.unknown",
            "database",
            "unknown",
            "%s answers at %s, but only the app's own user can tell whether it lets %s in"
            % (place, socket, evidence["user"]),
            evidence=evidence,
            advice="Try it as the app's user: psql -h %s -U %s %s."
            % (socket, evidence["user"], evidence["database"]),
        )
    if failure.get("needs_tls"):
        sentence, advice = "it lets this user in over TLS only", "Drop sslmode=disable from .env."
    evidence["told"] = "tls_required" if failure.get("needs_tls") else failure["told"]
    evidence["message"] = failure["message"][:300]
    if failure.get("sqlstate"):
        evidence["sqlstate"] = failure["sqlstate"]
        sentence += " (SQLSTATE %s)" % failure["sqlstate"]
    subject = "%s cannot be used by %s for %s" % (place, evidence["user"], evidence["database"])
    return finding(
        identity,
        "database",
        "fail",
        "%s: %s" % (subject, sentence),
        evidence=evidence,
        remedy=remedy,
        advice=advice,
    )
