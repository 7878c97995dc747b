# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database as the app reaches it, and how much of its connections is in use."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observed
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import (
    NotHere,
    finding,
    grade,
)
from ansible_collections.sergas.ops.plugins.module_utils._health import reach
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config, local_servers
from ansible_collections.sergas.ops.plugins.module_utils._net import (
    failures,
    postgres_failures,
)

_REQUIRED = (("host", "HOST"), ("user", "USER"), ("name", "NAME"))
_MARGIN = 0.3
_CONCEALED = {"DATABASE_PASSWORD", "DATABASE_URL"}
#: What is kept of the time to find out why a server does not answer, and the least for a query.
_EXPLAINING = 2.0
_LEAST = 0.5
#: The reasons that are not in the calls: error kinds, and the codes of ``postgresql_reasons``.
REASONS = {
    "db.unreachable": (
        *failures.WORDS,
        "starting",
        "stopping",
        "refusal",
        "pooler",
        "closed_database",
        "hba",
        "configuration",
        "port_taken",
        "disk_full",
        "data_permissions",
        "memory",
        "library",
        "certificate",
        "damaged",
        "down",
        "frozen",
        "listens_elsewhere",
        "socket_only",
    ),
    "db.auth.failed": (
        "password",
        "password_missing",
        "role",
        "identity",
        "pg_hba",
        "method",
        "privilege",
        "tls_required",
    ),
    "db.missing": ("database",),
    "db.connections.exhausted": (
        "slots",
        "role_limit",
        "database_limit",
        "pool_exhausted",
        "reserved_taken",
    ),
    "db.writes.refused": ("recovery", "read_only", "permission"),
}
#: What the observation may miss of a server that answers.
ASPECTS = ("slots", "rights", "time")


def observe(ctx):
    """Reach the database with the app's settings; without an app, the clusters of this host.

    Returns:
        dict with reached: a list of dicts (address, local: a cluster of this host, and either
        failure or its figures, see ``reach.postgresql``), and with the target and the slots of the
        first of them, None where they are not known.
    """
    results = []
    # A little less than there is, so that a server that hangs is reported as such and not as a late
    # probe.
    deadline = ctx.deadline.within(ctx.deadline.remaining() - _MARGIN)
    targets = []
    if ctx.has("app"):
        alternatives = app_config.database_targets(ctx.settings)
        missing = [name for key, name in _REQUIRED if not alternatives[0][key]]
        unset = ["DATABASE_" + name for name in missing]
        if not unset and not alternatives[0]["password"] and _CONCEALED & ctx.concealed:
            unset, why = ["DATABASE_PASSWORD"], "its password is a credential of the unit"
            results.append({"unset": unset, "why": why})
        elif unset:
            results.append(
                {"unset": unset, "why": ctx.environment_error or _not_set(unset, ctx.env_file)}
            )
        else:
            targets.append((alternatives, False))
    if not (results or targets) or "postgresql" in (ctx.components or ()):
        known = {
            reach.address(target) for alternatives, _local in targets for target in alternatives
        }
        for target in local_servers.postgresql():
            if reach.address(target) not in known:
                targets.append(([target], True))
    gaps = {}
    for number, (alternatives, local) in enumerate(targets):
        # A server that hangs must leave time for the others: what was not tried does not hang.
        left = deadline.remaining() - min(_EXPLAINING, deadline.remaining() / 4)
        share = deadline.within(left / (len(targets) - number))
        if share.remaining() < _LEAST:
            port = alternatives[0]["port"]
            gaps["time"] = "there was no time left to query the server on port %s" % port
            continue
        tables = ctx.params.get("required_tables") or ()
        target, result = _first_reached(alternatives, share, tables)
        result = dict(result, local=local)
        gaps.update(result.pop("gaps", {}))
        results.append(dict(result, explained=_explained(target, result, deadline)))
    if not results and not gaps:
        raise NotHere("PostgreSQL is not on this host")
    first = results[0] if results else {}
    value = {"reached": results, "target": first.get("address"), "slots": first.get("slots")}
    value["required_tables"] = ctx.params.get("required_tables") or []
    return Observed(value, gaps)


def _explained(target, result, deadline):
    """Return why a server of this host does not serve, as a dict, or None."""
    failure = result.get("failure")
    if not failure or (result["local"] and result["alive"]):
        return None
    # Only here: most servers answer.
    from ansible_collections.sergas.ops.plugins.module_utils._host import postgresql_server

    reason = postgresql_server.explain(
        target["host"], target["port"], failure["error_kind"], deadline
    )
    return reason and reason._asdict()


def _first_reached(targets, deadline, tables):
    """Return (target, what ``reach.postgresql`` does) of the first of several servers that answers,
    as libpq tries them; with none, of the first one.
    """
    results = []
    for position, target in enumerate(targets):
        share = deadline.within(deadline.remaining() / (len(targets) - position))
        results.append((target, reach.postgresql(target, share, tables)))
        if results[-1][1]["alive"]:
            return results[-1]
    return results[0]


def _not_set(names, env_file):
    return "%s %s not set in %s" % (", ".join(names), "is" if len(names) == 1 else "are", env_file)


#: error kind: (id, sentence, remedy)
_ERROR_KINDS = {
    **{
        reason: (
            "db.unreachable",
            words,
            "start_postgresql" if reason in (failures.REFUSED, failures.MISSING) else None,
        )
        for reason, words in failures.WORDS.items()
    },
    "starting": (
        "db.unreachable",
        "the server is starting up, recovering or shutting down",
        None,
    ),
    "stopping": ("db.unreachable", "the server is shutting down", "start_postgresql"),
    "refusal": ("db.unreachable", "the server refuses the session", None),
    "disk_full": ("db.unreachable", "the server's disk is full", None),
    "pooler": ("db.unreachable", "a connection pooler refuses the session", None),
    "closed_database": ("db.unreachable", "the database allows no connections", None),
    "password": ("db.auth.failed", "the user or the password is wrong", "database_credentials"),
    "password_missing": (
        "db.auth.failed",
        "it wants a password and none is set",
        "database_credentials",
    ),
    "role": (
        "db.auth.failed",
        "the role does not exist or may not log in",
        "database_credentials",
    ),
    "identity": (
        "db.auth.failed",
        "it wants another identity than a password (peer, ident, certificate)",
        None,
    ),
    "pg_hba": (
        "db.auth.failed",
        "no rule of pg_hba.conf allows this host, user and database",
        None,
    ),
    "method": ("db.auth.failed", "its way to authenticate is not known here", None),
    "privilege": ("db.auth.failed", "the role may not connect to this database", None),
    "database": ("db.missing", "the database does not exist", None),
    "slots": (
        "db.connections.exhausted",
        "all connection slots are taken",
        "end_idle_sessions",
    ),
    "role_limit": (
        "db.connections.exhausted",
        "the role's own connection limit is reached",
        "end_idle_sessions",
    ),
    "database_limit": (
        "db.connections.exhausted",
        "the database's own connection limit is reached",
        "end_idle_sessions",
    ),
}


def decide(ctx, observed):
    """Return the findings for each database that was to be reached."""
    threshold = ctx.thresholds["db_connections_percent"]
    findings = []
    for result in observed["reached"]:
        item = judge(result, threshold)
        refused = writes_refused(result, observed["required_tables"])
        # A server that only lets the app read is not ok, whatever else it is.
        findings += ([item] if item["status"] != "ok" or not refused else []) + refused
    if not findings:
        # None was tried: the runner says why.
        findings.append(finding("db.connection.ok", "database", "ok", "No server was queried"))
    return findings


#: Where the server has a setting from (pg_settings): whose it is, and what resets it.
_SOURCES = {
    "user": ("the role", "ALTER ROLE ... RESET default_transaction_read_only."),
    "database": ("the database", "ALTER DATABASE ... RESET default_transaction_read_only."),
    "database user": (
        "the role in this database",
        "ALTER ROLE ... IN DATABASE ... RESET default_transaction_read_only.",
    ),
    "global": ("all roles", "ALTER ROLE ALL RESET default_transaction_read_only."),
}
_SERVER_S = ("the server", "Set default_transaction_read_only = off in its configuration, reload.")
_PRIVILEGES = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}


def writes_refused(result, required):
    """Return the finding, in a list, on a server that lets the app read but not write (pure).

    Args:
        result: one of what ``observe`` reached.
        required: the tables that the app must be able to write to, as ``schema.table``.
    """
    if "read_only" not in result or result["local"]:
        return []
    server = "PostgreSQL at %s" % result["address"]
    evidence = {"target": result["address"], "database": result["name"], "user": result["user"]}
    if result["in_recovery"]:
        reason, evidence["in_recovery"] = "recovery", True
        words = "the server is in recovery (a standby, or one that was not promoted)"
        advice = (
            "Point .env at the primary, or promote this server (pg_promote) if it is meant to be"
            " the primary."
        )
    elif result["read_only"]:
        whose, advice = _SOURCES.get(result["read_only"], _SERVER_S)
        reason = "read_only:%s" % result["read_only"]
        words = "default_transaction_read_only is on, set for %s" % whose
    else:
        missing = rights_missing(result["rights"] or (), required)
        if not missing:
            return []
        evidence["tables"] = missing
        reason = "permission:%s" % ",".join(item["table"] for item in missing)
        first = missing[0]
        words = "%s misses %s on %s" % (
            result["user"],
            ", ".join(first["missing"]),
            ", ".join(item["table"] for item in missing[:5]),
        )
        advice = "GRANT %s ON %s TO %s." % (
            ", ".join(first["missing"]),
            first["table"],
            result["user"],
        )
        if not first["exists"]:
            words = "the table %s does not exist" % first["table"]
            advice = "Restore it, or run the migrations of the app."
    return [
        finding(
            "db.writes.refused",
            "database",
            "fail",
            "%s answers, and the app cannot write: %s" % (server, words),
            reason=reason,
            evidence=evidence,
            advice=advice,
        )
    ]


def rights_missing(rows, required):
    """Return table, missing (privileges) and exists of the tables that the role has to write to and
    may not (pure).

    Those are the required ones, and those that were written to whose grants have no sense other
    than a mistake: an owner who may not insert, or a role that may update or delete and not insert,
    or insert and delete and not update. Only to read, or only to add, is a way to work.

    Args:
        rows: of ``reach``: schema, table, ``t`` for an own one, what is missing, what was written.
        required: names of tables.
    """
    found, known = [], set()
    for schema, table, own, without, written in rows:
        name = "%s.%s" % (schema, table)
        known.add(name)
        if name in required:
            needed = "rawd"
        elif "u" in without:
            needed = ""
        elif "a" in without:
            needed = "a" if "a" in written and (own == "t" or "w" not in without) else ""
        else:
            needed = "w" if "w" in written and "d" not in without else ""
            # What may be changed has to be found.
            needed += "r" if written and "w" not in without else ""
        missing = []
        if any(letter in without or "u" in without for letter in needed):
            missing = [
                privilege
                for letter, privilege in _PRIVILEGES.items()
                if letter in needed + written and (letter in without or "u" in without)
            ]
        if missing:
            found.append({"table": name, "missing": missing, "exists": True})
    for name in required:
        if name not in known:
            found.append({"table": name, "missing": list(_PRIVILEGES.values()), "exists": False})
    return found


def judge(result, threshold):
    """Return the finding about one database (pure).

    Args:
        result: one of what ``observe`` reached.
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
    server = "PostgreSQL at %s" % result["address"]
    evidence = {"target": result["address"], "database": result["name"], "user": result["user"]}
    failure = result.get("failure")
    if failure and result["local"] and result["alive"]:
        # No one's credentials: that the server requires some is all there is to know.
        if failure["error_kind"] != "slots":
            evidence = {"target": result["address"], "error_kind": failure["error_kind"]}
            return finding(
                "db.connection.ok", "database", "ok", "%s answers" % server, evidence=evidence
            )
    if failure and result["local"] and result.get("explained"):
        if result["explained"]["code"] in ("listens_elsewhere", "socket_only"):
            # It serves, where no one said that it should not.
            words = "PostgreSQL runs: %s" % result["explained"]["words"]
            return finding("db.connection.ok", "database", "ok", words, evidence=evidence)
    if failure and result.get("explained"):
        return _explained_finding(server, evidence, failure, result["explained"])
    if failure:
        return _refused(server, evidence, failure, result["socket"])
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
        summary = "%s allows %s to use %s" % (server, result["user"], result["name"])
        return finding("db.connection.ok", "database", "ok", summary, evidence=evidence)
    warn, fail, unit = threshold
    percent = round(100.0 * result["used"] / result["slots"], 1)
    status = grade(percent, warn, fail)
    reason = None
    if status == "ok":
        identity, remedy, advice = "db.connection.ok", None, None
    else:
        identity, _sentence, remedy = _ERROR_KINDS["slots"]
        reason = "slots"
        advice = postgres_failures.ADVICE["slots"]
    return finding(
        identity,
        "database",
        status,
        "%s allows %s to use %s; %d of %d connection slots are in use (%.1f %%, threshold %g %%)"
        % (
            server,
            result["user"],
            result["name"],
            result["used"],
            result["slots"],
            percent,
            fail if status == "fail" else warn,
        ),
        reason=reason,
        value=percent,
        unit=unit,
        warn=warn,
        fail=fail,
        evidence=evidence,
        remedy=remedy,
        advice=advice,
    )


def _explained_finding(server, evidence, failure, explained):
    evidence["error_kind"] = failure["error_kind"]
    evidence["message"] = failure["message"][:300]
    if explained["lines"]:
        evidence["log"] = explained["lines"]
    exhausted = explained["code"] in ("pool_exhausted", "reserved_taken")
    return finding(
        "db.connections.exhausted" if exhausted else "db.unreachable",
        "database",
        "fail",
        "%s cannot be used: %s" % (server, explained["words"]),
        reason=":".join((explained["code"], explained["detail"])),
        evidence=evidence,
        remedy="start_postgresql" if explained["can_start"] else None,
        advice=explained["advice"],
    )


def _refused(server, evidence, failure, socket=None):
    identity, sentence, remedy = _ERROR_KINDS[failure["error_kind"]]
    advice = postgres_failures.ADVICE.get(failure["error_kind"])
    if socket and failure["error_kind"] == "identity":
        # The server identifies the user by the kernel, and this is not the app's.
        return finding(
            "db.connection.unknown",
            "database",
            "unknown",
            "%s answers at %s, but only the app's own user can check whether it allows %s"
            % (server, socket, evidence["user"]),
            evidence=evidence,
            advice="Try it as the app's user: psql -h %s -U %s %s."
            % (socket, evidence["user"], evidence["database"]),
        )
    if failure.get("needs_tls"):
        sentence, advice = "it allows this user over TLS only", "Drop sslmode=disable from .env."
    evidence["error_kind"] = "tls_required" if failure.get("needs_tls") else failure["error_kind"]
    evidence["message"] = failure["message"][:300]
    if failure.get("sqlstate"):
        evidence["sqlstate"] = failure["sqlstate"]
        sentence += " (SQLSTATE %s)" % failure["sqlstate"]
    subject = "%s cannot be used by %s for %s" % (server, evidence["user"], evidence["database"])
    return finding(
        identity,
        "database",
        "fail",
        "%s: %s" % (subject, sentence),
        reason=evidence["error_kind"],
        evidence=evidence,
        remedy=remedy,
        advice=advice,
    )
