# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the sessions of a server and ends those that were decided on, each only if it is still the
same.
"""

from __future__ import annotations

import json
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import (
    InvalidValue,
    OperationError,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, is_bad, roots
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import findings, location
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    session as postgresql_session,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    sessions as postgresql_sessions,
)

#: PostgreSQL 14 says since when a lock is waited for, and can wait for an exit itself.
_WAIT_START = 140000
#: The options that choose sessions.
LISTS = ("states", "users", "applications", "clients", "databases", "sessions")
AGES = ("idle_longer_than", "query_longer_than", "transaction_longer_than", "blocking_longer_than")
#: What the options that are numbers may be: (name, least, most).
RANGES = tuple((name, 0, 10 * 366 * 86400) for name in AGES) + (
    ("deadline", 1, 600),
    ("wait", 0, 600),
    ("max_terminations", 1, 262143),
    ("login_port", 1, 65535),
)
#: Between two looks at whether the sessions are gone; in seconds.
_PAUSE = 0.02

_SESSIONS = """
SELECT a.pid, a.backend_type, a.leader_pid, a.usename::text AS "user", a.datname::text AS database,
  a.application_name AS application, host(a.client_addr) AS client, a.state, a.wait_event_type,
  a.backend_start, a.state_change, a.query_start,
  extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_seconds,
  extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS query_seconds,
  extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_seconds,
  coalesce(r.rolsuper, false) AS superuser, a.pid = pg_backend_pid() AS own, left(a.query, 2000) AS
    query,
  me.rolsuper OR coalesce(NOT r.rolsuper AND (pg_has_role(a.usesysid, 'USAGE')
    OR pg_has_role('pg_signal_backend', 'USAGE')), false) AS may_end
FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid, pg_roles me
WHERE me.rolname = current_user
"""

_LIMITS = """
SELECT current_setting('max_connections')::int AS max_connections,
  current_setting('superuser_reserved_connections')::int AS superuser_reserved_connections,
  current_setting('reserved_connections', true)::int AS reserved_connections,
  (SELECT json_object_agg(d.datname, d.datconnlimit) FROM pg_database d WHERE d.datconnlimit > 0)
    AS databases,
  (SELECT json_object_agg(r.rolname, r.rolconnlimit) FROM pg_roles r
    WHERE r.rolconnlimit > 0 AND r.rolcanlogin AND NOT r.rolsuper) AS roles
"""

# pg_blocking_pids holds up the lock manager for a moment: only those that wait are asked for.
_WAITS = """
SELECT w.pid, pg_blocking_pids(w.pid) AS blockers,
  extract(epoch FROM clock_timestamp() - w.since)::float8 AS waiting_seconds
FROM (SELECT l.pid, min({since}) AS since FROM pg_locks l WHERE NOT l.granted AND l.pid IS NOT NULL
  GROUP BY l.pid) w
"""

# One statement for all of them, and yet each is looked at anew right before its signal: what
# pg_stat_activity says is otherwise read once for a statement. A pid that has been given to another
# session, and a session that has done anything since it was chosen, are left alone.
_END = """
SELECT v.pid, ended.sent
FROM json_to_recordset(%s::json)
    AS v (pid int, backend_start timestamptz, state text, state_change timestamptz, query_start
      timestamptz)
  CROSS JOIN LATERAL (SELECT v.pid AS pid, pg_stat_clear_snapshot()::text AS cleared OFFSET 0) now
  CROSS JOIN LATERAL (
    SELECT {function}(a.pid) AS sent FROM pg_stat_get_activity(now.pid) a
    WHERE a.backend_start = v.backend_start AND a.state IS NOT DISTINCT FROM v.state
      AND a.state_change IS NOT DISTINCT FROM v.state_change AND a.query_start IS NOT DISTINCT FROM
        v.query_start
  ) ended
"""

_STILL_THERE = """
SELECT a.pid, a.backend_start, a.query_start, a.state FROM pg_stat_activity a WHERE a.pid = ANY(%s)
"""


def check_ranges(params):
    """Raise a ValueError for the first number among the options that is out of its range."""
    for name, least, most in RANGES:
        value = params[name]
        # Written so that "not a number" is out of every range, too.
        if value is not None and not least <= value <= most:
            raise InvalidValue(
                "%s: %r is not allowed, it must be from %d to %d" % (name, value, least, most)
            )


class Observation:
    """What the server said at one moment.

    Attributes:
        sessions, waits, limits: see pg_sessions.
    """

    def __init__(self, session):
        self.limits = session.rows(_LIMITS)[0]
        self.sessions = session.rows(_SESSIONS)
        self.waits = []
        # Who waits can be seen by anybody, but not in pg_stat_activity.
        if any(
            item["wait_event_type"] == "Lock" or postgresql_sessions.is_hidden(item)
            for item in self.sessions
        ):
            since = "l.waitstart" if session.version >= _WAIT_START else "NULL::timestamptz"
            self.waits = session.rows(_WAITS.format(since=since))

    def result(self, limits, target):
        """Return what the module returns about the sessions.

        Args:
            limits: thresholds, {name: (warn, fail, unit)}.
            target: C(host:port).
        """
        blocked, blocking = postgresql_sessions.lock_chains(self.sessions, self.waits)
        seen = postgresql_sessions.clients(self.sessions)
        most = postgresql_sessions.LISTED
        findings = postgresql_sessions.decide(
            self.sessions, self.waits, self.limits, limits, target
        )
        return {
            "connections": postgresql_sessions.summary(self.sessions, self.limits),
            "idle": _listed(seen, ("idle",)),
            "idle_in_transaction": _listed(seen, postgresql_sessions.IDLE_IN_TRANSACTION),
            "blocked": blocked[:most],
            "blocking": blocking[:most],
            "findings": findings,
            "roots": [item["id"] for item in roots(findings)],
            "bad": sum(1 for item in findings if is_bad(item)),
        }


def _listed(sessions, states):
    chosen = postgresql_sessions.longest_first(
        session for session in sessions if session["state"] in states
    )
    return [
        postgresql_sessions.described(session) for session in chosen[: postgresql_sessions.LISTED]
    ]


def observed(params, deadline):
    """Return the sessions and the findings on them; a server that cannot be asked is a finding,
    too.

    Args:
        params: the module's parameters.
        deadline: the Deadline of it all.

    Raises:
        ValueError: an option that cannot be.
    """
    limits = thresholds.merge(params["thresholds"], postgresql_sessions.THRESHOLDS)
    target = location.shown(params)
    try:
        with postgresql_session.connect(
            params, deadline, name="sergas.ops pg_connections"
        ) as session:
            return dict(
                Observation(session).result(limits, target),
                driver=session.driver,
                server_version=session.version,
                reserved_slot=session.reserved,
            )
    except errors.PostgresError as error:
        item = _failure(error, target)
        return {
            "connections": None,
            "idle": [],
            "idle_in_transaction": [],
            "blocked": [],
            "blocking": [],
            "findings": [item],
            "roots": [item["id"]],
            "bad": 1,
            "driver": None,
            "server_version": None,
            "reserved_slot": False,
        }


def _failure(error, target):
    if isinstance(
        error,
        (
            errors.StatementFailed,
            errors.InsufficientPrivilege,
            errors.LockTimedOut,
        ),
    ):
        return finding(
            "db.connections.unknown",
            "database",
            "unknown",
            "PostgreSQL at %s did not list its sessions: %s" % (target, error),
            evidence={"target": target, "sqlstate": error.sqlstate},
            guide=postgresql_sessions.GUIDE,
        )
    return findings.unreachable(error, target)


class Ending:
    """What came of ending sessions.

    Attributes:
        ended: those that are gone (terminate) or whose statement has ended (cancel).
        survived: those that were signalled and are still there.
        moved_on: those that did something, or went by themselves, between choice and signal.
    """

    def __init__(self, ended, survived, moved_on):
        self.ended = ended
        self.survived = survived
        self.moved_on = moved_on


def end(session, victims, method, wait, clock=time.monotonic, sleep=time.sleep):
    """End sessions and see to it that they are gone.

    All are signalled first and then waited for together: the server's own waiting, where it has
    any, takes them one by one, each for a tenth of a second.

    Args:
        session: an acting postgresql.Session.
        victims: sessions as read by Observation, which the session's role may end.
        method: C(terminate) or C(cancel).
        wait: how long to wait for them to go, in seconds.
    """
    names = ("pid", "backend_start", "state", "state_change", "query_start")
    identities = json.dumps([{name: victim[name] for name in names} for victim in victims])
    function = "pg_terminate_backend" if method == "terminate" else "pg_cancel_backend"
    sent = {
        row["pid"]
        for row in session.rows(_END.format(function=function), [identities])
        if row["sent"]
    }
    signalled = [victim for victim in victims if victim["pid"] in sent]
    end_of_wait = clock() + wait
    survived = _remaining(session, signalled, method)
    while survived and clock() < end_of_wait:
        sleep(_PAUSE)
        survived = _remaining(session, survived, method)
    ended = [victim for victim in signalled if victim not in survived]
    return Ending(ended, survived, [victim for victim in victims if victim not in signalled])


def _remaining(session, victims, method):
    if not victims:
        return []
    rows = session.rows(_STILL_THERE, [[victim["pid"] for victim in victims]])
    there = {row["pid"]: row for row in rows}

    def holds_on(victim):
        row = there.get(victim["pid"])
        if row is None or row["backend_start"] != victim["backend_start"]:
            return False
        if method == "terminate":
            return True
        return row["state"] == victim["state"] and row["query_start"] == victim["query_start"]

    return [victim for victim in victims if holds_on(victim)]


class Refused(OperationError):
    """Nothing was ended; the message says why, result what would have been."""

    def __init__(self, message, result):
        super().__init__(message)
        self.result = result


class Interrupted(OperationError):
    """Some sessions may have been ended and others not: the server was lost on the way."""

    result = {"changed": True}


def run(params, deadline, check_mode):
    """Return the result of the module, see ``observed`` and ``terminated``; it has failed where a
    session that was to end is still there.
    """
    check_ranges(params)
    if params["state"] == "observed":
        return observed(params, deadline)
    result = terminated(params, deadline, check_mode)
    if result["spared"].get("hidden"):
        result["warnings"] = [
            "%d sessions may match, but this role may not see what they do: grant it pg_monitor"
            % result["spared"]["hidden"]
        ]
    if result["survived"]:
        pids = ", ".join("%d (%s)" % (item["pid"], item["reason"]) for item in result["survived"])
        result["failed"] = True
        result["msg"] = "%d sessions were to end and did not: %s" % (len(result["survived"]), pids)
    return result


def terminated(params, deadline, check_mode):
    """End the sessions that the parameters choose.

    Args:
        params: the module's parameters.
        deadline: the Deadline of it all.
        check_mode: whether to stop once it is decided whom to end.

    Returns:
        The module's result, with C(survived) not empty where something went wrong.

    Raises:
        Refused: more sessions match than may be ended.
        Interrupted: the server was lost after the first signal.
        ValueError: an option that cannot be.
        postgresql.PostgresError: the server cannot be asked.
    """
    limits = thresholds.merge(params["thresholds"], postgresql_sessions.THRESHOLDS)
    filters = _filters(params)
    protection = _protection(params)
    target = location.shown(params)
    with postgresql_session.connect(
        params, deadline, acting=True, name="sergas.ops pg_connections"
    ) as session:
        seen = Observation(session)
        blocking = postgresql_sessions.lock_chains(seen.sessions, seen.waits)[1]
        plan = postgresql_sessions.plan(
            seen.sessions, filters, protection, params["method"], blocking
        )
        spared = {reason: len(sessions) for reason, sessions in sorted(plan.spared.items())}
        victims, result = plan.victims, {"matched": len(plan.victims), "spared": spared}
        if len(victims) > params["max_terminations"]:
            if params["on_excess"] == "fail":
                raise _too_many(params, result, victims)
            victims = victims[: params["max_terminations"]]
        allowed = [victim for victim in victims if victim["may_end"]]
        survived = [
            _survivor(victim, "this role may not end it")
            for victim in victims
            if not victim["may_end"]
        ]
        ended = allowed
        if allowed and not check_mode:
            wait = min(params["wait"], deadline.remaining())
            try:
                ending = end(session, allowed, params["method"], wait)
                seen = Observation(session)
            except errors.PostgresError as error:
                raise Interrupted(
                    "the server was lost while %d sessions were being ended, look again: %s"
                    % (len(allowed), error)
                ) from error
            ended = ending.ended
            survived += [
                _survivor(victim, "it did not end within %g s" % wait) for victim in ending.survived
            ]
            if ending.moved_on:
                spared["moved_on"] = len(ending.moved_on)
        result.update(
            seen.result(limits, target),
            driver=session.driver,
            server_version=session.version,
            reserved_slot=session.reserved,
            terminated=[postgresql_sessions.described(victim) for victim in ended],
            survived=survived,
            changed=bool(ended),
            diff={
                "before": {"sessions": [_line(victim) for victim in victims]},
                "after": {"sessions": [_line(victim) for victim in victims if victim not in ended]},
            },
        )
        return result


def _too_many(params, result, victims):
    listed = [
        postgresql_sessions.described(victim) for victim in victims[: postgresql_sessions.LISTED]
    ]
    return Refused(
        "%d sessions match and at most %d may be ended (max_terminations): none was"
        % (len(victims), params["max_terminations"]),
        dict(result, candidates=listed),
    )


def _survivor(session, reason):
    return dict(postgresql_sessions.described(session), reason=reason)


def _line(session):
    return "%d %s@%s %s (%s)" % (
        session["pid"],
        session["user"],
        session["database"],
        session["application"] or "without a name",
        session["state"],
    )


def _filters(params):
    filters = {name: params[name] for name in LISTS + AGES}
    for name in LISTS:
        # Most likely a variable that should have held something: it must not come to mean
        # everybody.
        if filters[name] is not None and not filters[name]:
            raise InvalidValue(
                "%s: an empty list chooses nobody, leave the option out or name somebody" % name
            )
    postgresql_sessions.networks(filters["clients"] or [], "clients")
    return filters


def _protection(params):
    return {
        "include": params["include"],
        "database": params["login_db"],
        "users": params["protected_users"],
        "applications": params["protected_applications"],
        "clients": postgresql_sessions.networks(params["protected_clients"], "protected_clients"),
    }
