# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the sessions of a server and says what they come to; changes nothing."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, is_bad, roots
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    location,
    prepared,
    sessions_findings,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.findings import unreachable
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import connect
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sessions import (
    IDLE_IN_TRANSACTION,
    LISTED,
    clients,
    described,
    is_hidden,
    lock_chains,
    longest_first,
    summary,
)

#: PostgreSQL 14 says since when a lock is waited for, and can wait for an exit itself.
_WAIT_START = 140000
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

# pg_blocking_pids holds up the lock manager for a moment: only those that wait are queried.
_WAITS = """
SELECT w.pid, pg_blocking_pids(w.pid) AS blockers,
  extract(epoch FROM clock_timestamp() - w.since)::float8 AS waiting_seconds
FROM (SELECT l.pid, min({since}) AS since FROM pg_locks l WHERE NOT l.granted AND l.pid IS NOT NULL
  GROUP BY l.pid) w
"""


class Observation:
    """What the server said at one moment.

    Attributes:
        sessions, waits, limits: see ``sessions``.
        prepared: rows of ``prepared.QUERY``, where a session waits for one.
    """

    def __init__(self, session):
        self.limits = session.rows(_LIMITS)[0]
        self.sessions = session.rows(_SESSIONS)
        self.waits, self.prepared = [], []
        # Who waits can be seen by any role, but not in pg_stat_activity.
        if any(item["wait_event_type"] == "Lock" or is_hidden(item) for item in self.sessions):
            since = "l.waitstart" if session.version >= _WAIT_START else "NULL::timestamptz"
            self.waits = session.rows(_WAITS.format(since=since))
        if any(0 in wait["blockers"] for wait in self.waits):
            self.prepared = session.rows(prepared.QUERY)

    def result(self, limits, target):
        """Return what the module returns about the sessions.

        Args:
            limits: thresholds, {name: (warn, fail, unit)}.
            target: ``host:port``.
        """
        blocked, blocking = lock_chains(self.sessions, self.waits)
        seen = clients(self.sessions)
        most = LISTED
        findings = sessions_findings.decide(
            self.sessions, self.waits, self.limits, limits, target, self.prepared
        )
        return {
            "connections": summary(self.sessions, self.limits),
            "idle": _listed(seen, ("idle",)),
            "idle_in_transaction": _listed(seen, IDLE_IN_TRANSACTION),
            "blocked": blocked[:most],
            "blocking": blocking[:most],
            "findings": findings,
            "roots": [item["id"] for item in roots(findings)],
            "bad": sum(1 for item in findings if is_bad(item)),
        }


def _listed(sessions, states):
    chosen = longest_first(session for session in sessions if session["state"] in states)
    return [described(session) for session in chosen[:LISTED]]


def observed(params, deadline):
    """Return the sessions and the findings on them; a server that cannot be queried is a finding,
    too.

    Args:
        params: the module's parameters.
        deadline: the Deadline of it all.

    Raises:
        ValueError: an option that cannot be.
    """
    limits = thresholds.merge(params["thresholds"], sessions_findings.THRESHOLDS)
    target = location.shown(params)
    try:
        with connect(params, deadline, name="sergas.ops pg_connections") as session:
            return dict(
                Observation(session).result(limits, target),
                driver=session.driver,
                server_version=session.version,
                reserved_slot=session.reserved,
            )
    except errors.PostgresError as error:
        item = _failure(error, target, params)
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


def _failure(error, target, params):
    unseen = (errors.StatementFailed, errors.InsufficientPrivilege, errors.LockTimedOut)
    if isinstance(error, unseen) and not isinstance(error, errors.DiskFull):
        return finding(
            "db.connections.unknown",
            "database",
            "unknown",
            "PostgreSQL at %s did not list its sessions: %s" % (target, error),
            evidence={"target": target, "sqlstate": error.sqlstate},
            guide=sessions_findings.GUIDE,
        )
    return unreachable(error, target, params)
