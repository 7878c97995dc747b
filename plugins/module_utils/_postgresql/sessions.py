# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sessions of a PostgreSQL server are. Pure: no I/O.

A session is a dict: pid, backend_type, leader_pid, user, database, application, client, state,
wait_event_type, backend_start, state_change, query_start (ISO 8601), state_seconds, query_seconds,
transaction_seconds, superuser, own (whether it is the one that reads them), may_end (whether the
role that reads them may end it), query. A role without the rights of pg_read_all_stats gets no
backend_type and no state of other roles' sessions: those are hidden, and what is hidden is never
counted as nothing.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.statements import (
    without_literals,
)

CLIENT = "client backend"
IDLE_IN_TRANSACTION = ("idle in transaction", "idle in transaction (aborted)")
IDLE = ("idle",) + IDLE_IN_TRANSACTION
ACTIVE = ("active", "fastpath function call")
STATES = IDLE + ACTIVE + ("disabled",)
#: As many sessions are listed in evidence and results; the counts are of all.
LISTED = 20
_SHORT_QUERY = 200


def is_hidden(session):
    """Return whether this is another role's session of which nothing but its owner can be seen."""
    # Background processes have no role or no database; a client has both.
    return session["backend_type"] is None and None not in (session["user"], session["database"])


def clients(sessions):
    """Return the sessions that take a slot, as far as can be seen, without one's own."""
    return [
        session for session in sessions if session["backend_type"] == CLIENT and not session["own"]
    ]


def hidden(sessions):
    """Return the sessions that may or may not take a slot: a parallel worker looks the same."""
    return [session for session in sessions if is_hidden(session) and not session["own"]]


def described(session):
    """Return what a result says of one session: who it is and what it does, its query without
    literals.
    """
    text = without_literals(session["query"] or "")
    rounded = {
        name: None if session[name] is None else round(session[name], 1)
        for name in ("state_seconds", "query_seconds", "transaction_seconds")
    }
    return dict(
        {
            name: session[name]
            for name in (
                "pid",
                "backend_start",
                "user",
                "database",
                "application",
                "client",
                "state",
                "backend_type",
            )
        },
        query=text if len(text) <= _SHORT_QUERY else text[: _SHORT_QUERY - 3] + "...",
        **rounded,
    )


def longest_first(sessions, name="state_seconds"):
    """Return the sessions by how long they have been in their state (or by another age), longest
    first.
    """
    return sorted(sessions, key=lambda session: (-(session[name] or 0), session["pid"]))


def slots(limits):
    """Return how many sessions the app can have at once.

    Args:
        limits: max_connections, superuser_reserved_connections, and reserved_connections, which is
            None before
            PostgreSQL 16.
    """
    reserved = limits["superuser_reserved_connections"] + (limits["reserved_connections"] or 0)
    return limits["max_connections"] - reserved


def summary(sessions, limits):
    """Return the sessions by state, user, application, client and database, and how many slots they
    take.

    Args:
        sessions: all rows of pg_stat_activity.
        limits: see slots().

    Returns:
        A dict. The counts are of what can be seen; ``hidden`` says how many sessions may have to be
        added, and where there are any, by_state counts them as ``hidden``.
    """
    seen, unseen = clients(sessions), hidden(sessions)
    room = slots(limits)
    result = {
        "max_connections": limits["max_connections"],
        "reserved": limits["max_connections"] - room,
        "slots": room,
        "used": len(seen),
        "hidden": len(unseen),
        "percent": round(100.0 * len(seen) / room, 1) if not unseen else None,
        "idle_longest_seconds": longest_in_state(seen, ("idle",)) if not unseen else None,
        "idle_in_transaction_longest_seconds": (
            longest_in_state(seen, IDLE_IN_TRANSACTION) if not unseen else None
        ),
    }
    for group, name, unnamed in (
        ("by_state", "state", "disabled"),
        ("by_user", "user", ""),
        ("by_application", "application", ""),
        ("by_client", "client", "local"),
        ("by_database", "database", ""),
    ):
        result[group] = _counts(seen, name, unnamed)
        if unseen and name in ("state", "client"):
            result[group]["hidden"] = len(unseen)
        elif unseen:
            result[group] = _counts(seen + unseen, name, unnamed)
    return result


def longest_in_state(sessions, states):
    """Return for how many seconds the longest of these sessions has been in one of the states."""
    ages = [session["state_seconds"] or 0.0 for session in sessions if session["state"] in states]
    return round(max(ages), 1) if ages else 0.0


def _counts(sessions, name, unnamed):
    counts = {}
    for session in sessions:
        value = session[name] or unnamed
        counts[value] = counts.get(value, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def lock_chains(sessions, waits):
    """Return (blocked, blocking): who waits for a lock, and the sessions at the roots, which wait
    for unnamed.

    Args:
        sessions: all rows of pg_stat_activity.
        waits: rows with pid, blockers (list of pids; 0 is a prepared transaction) and
            waiting_seconds, which is None
            where the server does not say (before PostgreSQL 14).

    Returns:
        Two lists of described sessions, the longest wait and the widest blocking first. Each
        blocked one has blocked_by, roots (pids), waiting_seconds and exact (whether that is the
        wait, not the whole statement so far); each blocking one has blocks (how many wait for it,
        in the end), depth (steps to the farthest of them) and longest_wait_seconds. In a deadlock
        that the server has not broken yet, all of it counts as root.
    """
    by_pid = {session["pid"]: session for session in sessions}
    blockers = {
        wait["pid"]: [pid for pid in wait["blockers"] if pid != wait["pid"]] for wait in waits
    }
    blockers = {pid: pids for pid, pids in blockers.items() if pids and pid in by_pid}
    blocked, roots = [], {}
    for wait in waits:
        pid = wait["pid"]
        if pid not in blockers:
            continue
        exact = wait["waiting_seconds"] is not None
        waited = wait["waiting_seconds"] if exact else by_pid[pid]["query_seconds"] or 0.0
        ends, depth = _roots(pid, blockers)
        blocked.append(
            dict(
                described(by_pid[pid]),
                blocked_by=sorted(blockers[pid]),
                roots=sorted(ends),
                waiting_seconds=round(waited, 1),
                exact=exact,
            )
        )
        for end in ends:
            root = roots.setdefault(end, {"blocks": 0, "depth": 0, "longest_wait_seconds": 0.0})
            root["blocks"] += 1
            root["depth"] = max(root["depth"], depth)
            root["longest_wait_seconds"] = max(root["longest_wait_seconds"], round(waited, 1))
    blocking = [
        dict(described(by_pid.get(pid) or _unseen(pid)), **found) for pid, found in roots.items()
    ]
    return (
        sorted(blocked, key=lambda item: (-item["waiting_seconds"], item["pid"])),
        sorted(blocking, key=lambda item: (-item["blocks"], item["pid"])),
    )


def _roots(pid, blockers):
    """Return (the pids at the end of the chains from pid, how many steps away the farthest is)."""
    ends, seen, level, depth = set(), {pid}, [pid], 0
    while level:
        depth += 1
        ahead = {blocker for waiting in level for blocker in blockers[waiting]}
        ends |= {blocker for blocker in ahead if blocker not in blockers}
        level = [blocker for blocker in ahead if blocker in blockers and blocker not in seen]
        seen.update(level)
    return ends or seen, depth


def _unseen(pid):
    """Return a stand-in for who holds locks and has no session (0), or had ended when the sessions
    were read.
    """
    names = (
        "user database application client state backend_type backend_start state_seconds"
        " query_seconds transaction_seconds query"
    )
    absent = dict.fromkeys(names.split())
    return dict(absent, pid=pid, state="prepared transaction" if pid == 0 else None)
