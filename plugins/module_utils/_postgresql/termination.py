# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ends the sessions that were decided on, each only if it is still the same."""

from __future__ import annotations

import json
import time

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import (
    InvalidValue,
    OperationError,
)
from ansible_collections.sergas.ops.plugins.module_utils._net.postgres_errors import PostgresError
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    location,
    sessions_findings,
    termination_plan,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.session import connect
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sessions import (
    LISTED,
    described,
    lock_chains,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sessions_report import (
    Observation,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.termination_plan import (
    AGES,
    LISTS,
)

#: Between two checks of whether the sessions are gone; in seconds.
_PAUSE = 0.02

# One statement for all of them, and yet each is read anew right before its signal: what
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


class Ending:
    """What came of ending sessions.

    Attributes:
        ended: those that are gone (terminate) or whose statement has ended (cancel).
        survived: those that were signalled and are still there.
        moved_on: those that did something, or ended on their own, between choice and signal.
    """

    def __init__(self, ended, survived, moved_on):
        self.ended = ended
        self.survived = survived
        self.moved_on = moved_on


def end(session, victims, method, wait, clock=time.monotonic, sleep=time.sleep):
    """End sessions and ensure that they are gone.

    All are signalled first and then waited for together: the server's own waiting, where it has
    any, takes them one by one, each for a tenth of a second.

    Args:
        session: an acting ``session.Session``.
        victims: sessions as read by Observation, which the session's role may end.
        method: ``terminate`` or ``cancel``.
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


def terminated(params, deadline, check_mode):
    """End the sessions that the parameters choose.

    Args:
        params: the module's parameters.
        deadline: the Deadline of it all.
        check_mode: whether to stop once it is decided whom to end.

    Returns:
        The module's result, with ``survived`` not empty where something went wrong.

    Raises:
        Refused: more sessions match than may be ended.
        Interrupted: the server was lost after the first signal.
        ValueError: an option that cannot be.
        PostgresError: the server cannot be queried.
    """
    limits = thresholds.merge(params["thresholds"], sessions_findings.THRESHOLDS)
    filters = _filters(params)
    protection = _protection(params)
    target = location.shown(params)
    with connect(params, deadline, acting=True, name="sergas.ops pg_connections") as session:
        seen = Observation(session)
        blocking = lock_chains(seen.sessions, seen.waits)[1]
        plan = termination_plan.plan(seen.sessions, filters, protection, params["method"], blocking)
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
            except PostgresError as error:
                raise Interrupted(
                    "the server was lost while %d sessions were being ended, check again: %s"
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
            terminated=[described(victim) for victim in ended],
            survived=survived,
            changed=bool(ended),
            diff={
                "before": {"sessions": [_line(victim) for victim in victims]},
                "after": {"sessions": [_line(victim) for victim in victims if victim not in ended]},
            },
        )
        return result


def _too_many(params, result, victims):
    listed = [described(victim) for victim in victims[:LISTED]]
    return Refused(
        "%d sessions match and at most %d may be ended (max_terminations): none was"
        % (len(victims), params["max_terminations"]),
        dict(result, candidates=listed),
    )


def _survivor(session, reason):
    return dict(described(session), reason=reason)


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
        # every session.
        if filters[name] is not None and not filters[name]:
            raise InvalidValue(
                "%s: an empty list chooses no session, leave the option out or name one" % name
            )
    termination_plan.networks(filters["clients"] or [], "clients")
    return filters


def _protection(params):
    return {
        "include": params["include"],
        "database": params["login_db"],
        "users": params["protected_users"],
        "applications": params["protected_applications"],
        "clients": termination_plan.networks(params["protected_clients"], "protected_clients"),
    }
