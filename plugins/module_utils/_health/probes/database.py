# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database as the app reaches it, and how much of its connections is in use."""

from __future__ import annotations

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
    if ctx.has("app"):
        target = app_config.database_target(ctx.settings)
        missing = [name for key, name in _REQUIRED if not target[key]]
        if missing:
            unset = ["DATABASE_" + name for name in missing]
            results.append(
                {"unset": unset, "why": ctx.environment_error or _not_set(unset, ctx.env_file)}
            )
        else:
            results.append(dict(reach.postgresql(target, deadline), local=False))
    if not results or "postgresql" in (ctx.components or ()):
        known = {item.get("address") for item in results}
        for target in local_servers.postgresql():
            if reach.address(target) not in known:
                results.append(dict(reach.postgresql(target, deadline), local=True))
    if not results:
        raise NotHere("PostgreSQL is not on this host")
    return {
        "reached": results,
        "target": results[0].get("address"),
        "slots": results[0].get("slots"),
    }


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
    """Return a finding for each database that was to be reached."""
    threshold = ctx.thresholds["db_connections_percent"]
    return [judge(result, threshold) for result in observed["reached"]]


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
        evidence["slots_unknown"] = result.get("why", "the server has none")
        summary = "%s allows %s to use %s" % (server, result["user"], result["name"])
        return finding("db.connection.ok", "database", "ok", summary, evidence=evidence)
    warn, fail, unit = threshold
    percent = round(100.0 * result["used"] / result["slots"], 1)
    status = grade(percent, warn, fail)
    if status == "ok":
        identity, remedy, advice = "db.connection.ok", None, None
    else:
        identity, _sentence, remedy = _ERROR_KINDS["slots"]
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
        value=percent,
        unit=unit,
        warn=warn,
        fail=fail,
        evidence=evidence,
        remedy=remedy,
        advice=advice,
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
        evidence=evidence,
        remedy=remedy,
        advice=advice,
    )
