# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sessions of a PostgreSQL server amount to, and which of them may be ended. Pure: no I/O.

A session is a dict: pid, backend_type, leader_pid, user, database, application, client, state,
wait_event_type, backend_start, state_change, query_start (ISO 8601), state_seconds, query_seconds,
transaction_seconds, superuser, own (whether it is the one that asks), may_end (whether the role
that asks may end it), query. A role without the rights of pg_read_all_stats gets no backend_type
and no state of other roles' sessions: those are hidden, and what is hidden is never counted as
nothing.
"""

from __future__ import annotations

import fnmatch

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.statements import (
    without_literals,
)

#: name: (warn, fail, unit)
THRESHOLDS = {
    "db_connections_percent": (80.0, 90.0, "%"),
    "idle_transaction_seconds": (60.0, 600.0, "s"),
    "lock_wait_seconds": (5.0, 60.0, "s"),
}
CLIENT = "client backend"
IDLE_IN_TRANSACTION = ("idle in transaction", "idle in transaction (aborted)")
IDLE = ("idle",) + IDLE_IN_TRANSACTION
ACTIVE = ("active", "fastpath function call")
STATES = IDLE + ACTIVE + ("disabled",)
#: The guide ends sessions that have been idle for five minutes.
IDLE_SECONDS = 300
#: As many sessions are listed in evidence and results; the counts are of all.
LISTED = 20
GUIDE = "Database Connection Pool Exhausted"
_SHORT_QUERY = 200


def is_hidden(session):
    """Return whether this is another role's session of which nothing but its owner can be seen."""
    # Background processes have no role or no database; a client has both.
    return session["backend_type"] is None and None not in (session["user"], session["database"])


def clients(sessions):
    """Return the sessions that take a slot, as far as can be seen, without the one that asks."""
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
        A dict. The counts are of what can be seen; C(hidden) says how many sessions may have to be
        added, and where there are any, by_state counts them as C(hidden).
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
        "idle_longest_seconds": _longest(seen, ("idle",)) if not unseen else None,
        "idle_in_transaction_longest_seconds": (
            _longest(seen, IDLE_IN_TRANSACTION) if not unseen else None
        ),
    }
    for group, name, nobody in (
        ("by_state", "state", "disabled"),
        ("by_user", "user", ""),
        ("by_application", "application", ""),
        ("by_client", "client", "local"),
        ("by_database", "database", ""),
    ):
        result[group] = _counts(seen, name, nobody)
        if unseen and name in ("state", "client"):
            result[group]["hidden"] = len(unseen)
        elif unseen:
            result[group] = _counts(seen + unseen, name, nobody)
    return result


def _longest(sessions, states):
    ages = [session["state_seconds"] or 0.0 for session in sessions if session["state"] in states]
    return round(max(ages), 1) if ages else 0.0


def _counts(sessions, name, nobody):
    counts = {}
    for session in sessions:
        value = session[name] or nobody
        counts[value] = counts.get(value, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def lock_chains(sessions, waits):
    """Return (blocked, blocking): who waits for a lock, and the sessions at the roots, which wait
    for nobody.

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


def decide(sessions, waits, limits, thresholds, target):
    """Return the findings on slots, open transactions and locks.

    Args:
        sessions, waits, limits: see summary() and lock_chains(). limits may have databases and
        roles, {name: the most
            connections it may have}.
        thresholds: {name: (warn, fail, unit)} with the names of THRESHOLDS.
        target: C(host:port) of the server.
    """
    blocked, blocking = lock_chains(sessions, waits)
    locks = _decide_locks(blocked, blocking, thresholds["lock_wait_seconds"], target)
    transactions = _decide_transactions(sessions, thresholds["idle_transaction_seconds"], target)
    slow = transactions["status"] in ("warn", "fail")
    holders = {
        session["pid"] for session in clients(sessions) if session["state"] in IDLE_IN_TRANSACTION
    }
    if slow and locks["status"] in ("warn", "fail") and blocking[0]["pid"] in holders:
        locks["cause"] = transactions["id"]
    connections = _decide_connections(
        sessions, limits, thresholds["db_connections_percent"], target
    )
    if (
        connections["status"] in ("warn", "fail")
        and len(blocked) * 2 > connections["evidence"]["used"]
    ):
        # The app opens one session after another because none of them gets on.
        connections["cause"] = locks["id"] if locks["status"] in ("warn", "fail") else None
    return [connections, transactions, locks]


def _decide_connections(sessions, limits, threshold, target):
    warn, fail, unit = threshold
    counts = summary(sessions, limits)
    seen, unseen = clients(sessions), hidden(sessions)
    scope, used, room = _tightest(seen, limits, counts["slots"])
    percent = 100.0 * used / room
    most = 100.0 * (len(seen) + len(unseen)) / counts["slots"]
    evidence = dict(
        {"target": target, "scope": scope, "limit": room},
        **{
            name: counts[name]
            for name in (
                "used",
                "slots",
                "max_connections",
                "reserved",
                "by_state",
                "by_user",
                "by_application",
            )
        },
    )
    details = {"unit": unit, "warn": warn, "fail": fail, "evidence": evidence, "guide": GUIDE}
    figures = "%d of %d connections for %s (%.0f %%, thresholds %g %% and %g %%)" % (
        used,
        room,
        scope,
        percent,
        warn,
        fail,
    )
    status = grade(percent, warn, fail)
    if status == "ok" and unseen and grade(most, warn, fail) != "ok":
        return finding(
            "db.connections.unknown",
            "database",
            "unknown",
            "Between %d and %d of %d connections are used: this role may not see what %d"
            " sessions are" % (len(seen), len(seen) + len(unseen), counts["slots"], len(unseen)),
            advice="Grant pg_monitor to the role, or run as the server's system user.",
            **details,
        )
    if status == "ok":
        return finding(
            "db.connections.ok",
            "database",
            "ok",
            figures + (", and at most %d more that cannot be seen" % len(unseen) if unseen else ""),
            value=round(percent, 1),
            confidence="estimated" if unseen else "measured",
            **details,
        )
    reason, advice, remedy = _exhaustion(seen, bool(unseen))
    evidence["reason"] = reason
    return finding(
        "db.connections.exhausted",
        "database",
        status,
        "%s, most of them %s" % (figures, reason),
        value=round(percent, 1),
        advice=advice,
        remedy=remedy,
        **details,
    )


def _tightest(seen, limits, room):
    """Return (whose limit, used, limit) of the limit that is nearest: the server's, a database's or
    a role's.
    """
    found = [("the app", len(seen), room)]
    for kind, name in (("databases", "database"), ("roles", "user")):
        for owner, limit in (limits.get(kind) or {}).items():
            # A superuser is not held to either.
            used = sum(1 for session in seen if session[name] == owner and not session["superuser"])
            if limit > 0:
                found.append(("%s %s" % (kind[:-1], owner), used, limit))
    return max(found, key=lambda item: item[1] / float(item[2]))


def _exhaustion(seen, partly):
    """Return (what most sessions are, what a person would do, the remedy)."""
    idle = sum(1 for session in seen if session["state"] == "idle")
    open_transactions = sum(1 for session in seen if session["state"] in IDLE_IN_TRANSACTION)
    waiting = sum(1 for session in seen if session["wait_event_type"] == "Lock")
    busy = len(seen) - idle - open_transactions - waiting
    most = max(idle, open_transactions, waiting, busy)
    if partly and most * 2 < len(seen):
        return "not visible to this role", "Grant pg_monitor to the role.", None
    if most == open_transactions:
        return (
            "idle in transaction",
            (
                "End them, set idle_in_transaction_session_timeout for the app's role, and mend the"
                " code that leaves them."
            ),
            "end_idle_transactions",
        )
    if most == idle:
        return (
            "idle",
            "End sessions idle for more than %d s, and make workers x (pool size + overflow) of all"
            " app hosts fit the slots." % IDLE_SECONDS,
            "end_idle_sessions",
        )
    if most == waiting:
        return "waiting for a lock", "End the session at the root of the lock chain.", "end_blocker"
    return (
        "busy",
        (
            "Look for slow statements first; then raise max_connections or lower the app's"
            " concurrency."
        ),
        None,
    )


def _decide_transactions(sessions, threshold, target):
    warn, fail, unit = threshold
    seen, unseen = clients(sessions), hidden(sessions)
    left_open = longest_first(
        session
        for session in seen
        if session["state"] in IDLE_IN_TRANSACTION and (session["state_seconds"] or 0) >= warn
    )
    longest = _longest(seen, IDLE_IN_TRANSACTION)
    evidence = {"target": target}
    details = {"unit": unit, "warn": warn, "fail": fail, "evidence": evidence, "guide": GUIDE}
    if left_open:
        evidence.update(
            count=len(left_open),
            sessions=[described(session) for session in left_open[:5]],
            not_visible=len(unseen),
        )
        return finding(
            "db.transactions.idle",
            "database",
            grade(longest, warn, fail),
            "%d sessions sit in an open transaction without doing anything, the longest for %.0f s"
            " (thresholds %g s and %g s)" % (len(left_open), longest, warn, fail),
            value=longest,
            advice="End them, and set idle_in_transaction_session_timeout for the app's role.",
            remedy="end_idle_transactions",
            **details,
        )
    if unseen:
        return finding(
            "db.transactions.unknown",
            "database",
            "unknown",
            "This role may not see the state of %d sessions of other roles" % len(unseen),
            advice="Grant pg_monitor to the role, or run as the server's system user.",
            **details,
        )
    return finding(
        "db.transactions.ok",
        "database",
        "ok",
        "No session sits in an open transaction for %g s or more" % warn,
        value=longest,
        **details,
    )


def _decide_locks(blocked, blocking, threshold, target):
    warn, fail, unit = threshold
    longest = blocked[0]["waiting_seconds"] if blocked else 0.0
    evidence = {"target": target}
    details = {
        "unit": unit,
        "warn": warn,
        "fail": fail,
        "evidence": evidence,
        "guide": "Slow Database Queries",
    }
    status = grade(longest, warn, fail)
    if status == "ok":
        return finding(
            "db.locks.ok",
            "database",
            "ok",
            "No session waits %g s or more for a lock" % warn,
            value=longest,
            **details,
        )
    root = blocking[0]
    evidence.update(count=len(blocked), roots=blocking[:5], blocked=blocked[:5])
    exact = blocked[0]["exact"]
    return finding(
        "db.locks.blocked",
        "database",
        status,
        "%d sessions wait for a lock, the longest for %s%.0f s (thresholds %g s and %g s); at the"
        " root is %s"
        % (len(blocked), "" if exact else "at most ", longest, warn, fail, _named(root)),
        value=longest,
        confidence="measured" if exact else "estimated",
        advice=(
            "End the root with pg_connections (blocking_longer_than), if its work may be undone."
            if root["pid"]
            else "COMMIT PREPARED or ROLLBACK PREPARED the transactions of pg_prepared_xacts."
        ),
        remedy="end_blocker" if root["pid"] else None,
        **details,
    )


def _named(session):
    """Return a session in words."""
    if session["pid"] == 0:
        return "a prepared transaction"
    state = session["state"] or session["backend_type"] or "of a state that cannot be seen"
    age = "" if session["state_seconds"] is None else " for %.0f s" % session["state_seconds"]
    return "pid %d (%s, %s%s)" % (session["pid"], session["user"] or "no role", state, age)


class Plan:
    """Whom to end, and who matched and is spared.

    Attributes:
        victims: sessions, those longest in their state first.
        spared: {reason: sessions} of those that matched and are protected.
    """

    def __init__(self, victims, spared):
        self.victims = victims
        self.spared = spared


#: reason: what lifts the protection, in the words of the module's option include; None cannot be
#: lifted.
PROTECTIONS = {
    "own": None,
    "background": None,
    "hidden": None,
    "replication": "replication",
    "autovacuum": "autovacuum",
    "superuser": "superusers",
    "other_database": "other_databases",
    "listed": None,
    "nothing_to_cancel": None,
}


def plan(sessions, filters, protection, method="terminate", blocking=()):
    """Decide which sessions to end.

    Args:
        sessions: all rows of pg_stat_activity.
        filters: what a session must be, every one that is given (None is not given, empty is
            nobody): states, users, applications (shell patterns), clients (addresses, networks or
            C(local)), databases, idle_longer_than, query_longer_than, transaction_longer_than,
            blocking_longer_than (seconds), sessions (pid and backend_start).
        protection: include (values of PROTECTIONS that are lifted), database (the one that is not
            another one),
            users, applications, clients (as in filters) that are spared.
        method: C(terminate) or C(cancel), which only ends a statement.
        blocking: the sessions at the roots of lock chains, from lock_chains().
    """
    waits = {root["pid"]: root["longest_wait_seconds"] for root in blocking}
    victims, spared = [], {}
    for session in longest_first(sessions):
        if not _matches(session, filters, waits):
            continue
        reason = _protection(session, filters, protection, method)
        if reason is None:
            victims.append(session)
        else:
            spared.setdefault(reason, []).append(session)
    return Plan(victims, spared)


def _matches(session, filters, waits):
    """Return whether a session is what the filters say, or may be where it cannot be seen."""
    return _is_whose(session, filters) and (
        is_hidden(session) or _does_what(session, filters, waits)
    )


def _does_what(session, filters, waits):
    ages = (
        ("idle_longer_than", IDLE, "state_seconds"),
        ("query_longer_than", ACTIVE, "query_seconds"),
        ("transaction_longer_than", None, "transaction_seconds"),
    )
    for name, states, age in ages:
        if filters.get(name) is None:
            continue
        if states and session["state"] not in states:
            return False
        # Written so that "not a number" chooses nobody.
        if session[age] is None or not session[age] > filters[name]:
            return False
    least = filters.get("blocking_longer_than")
    if least is not None and not waits.get(session["pid"], -1) > least:
        return False
    return filters.get("states") is None or session["state"] in filters["states"]


def _is_whose(session, filters):
    return all(
        filters.get(name) is None or test(session, filters[name])
        for name, test in (
            ("users", _of_user),
            ("applications", _of_application),
            ("clients", _of_client),
            ("databases", _in_database),
            ("sessions", _is_one_of),
        )
    )


def _is_one_of(session, identities):
    return any(
        session["pid"] == given["pid"]
        and (is_hidden(session) or session["backend_start"] == given["backend_start"])
        for given in identities
    )


def _of_user(session, users):
    return session["user"] in users


def _in_database(session, databases):
    return session["database"] in databases


def _of_application(session, patterns):
    return any(fnmatch.fnmatchcase(session["application"] or "", pattern) for pattern in patterns)


def _of_client(session, networks):
    if is_hidden(session):
        # It may come from anywhere.
        return True
    if session["client"] is None:
        return "local" in networks
    return any(
        addresses.within(session["client"], network) for network in networks if network != "local"
    )


def _protection(session, filters, protection, method):
    """Return why a session that matched is spared, or None."""
    kind = session["backend_type"]
    listed = (
        _of_user(session, protection["users"])
        or _of_application(session, protection["applications"])
        or _of_client(session, protection["clients"])
    )
    other = not filters.get("databases") and session["database"] != protection["database"]
    reasons = (
        ("own", session["own"]),
        # No state and no kind: it might be anything.
        ("hidden", kind is None),
        ("background", kind not in (None, CLIENT, "walsender", "autovacuum worker")),
        ("replication", kind == "walsender"),
        ("autovacuum", kind == "autovacuum worker"),
        ("superuser", session["superuser"]),
        ("other_database", other and kind != "walsender"),
        ("listed", listed),
        ("nothing_to_cancel", method == "cancel" and session["state"] not in ACTIVE),
    )
    for reason, holds in reasons:
        if holds and PROTECTIONS[reason] not in protection["include"]:
            return reason
    return None


def networks(texts, option):
    """Return the addresses and networks as given, once each of them is known to be one, or
    C(local).

    Raises:
        ValueError: one of them is neither; the message names the option.
    """
    for text in texts:
        if text != "local":
            addresses.option(option, text, "an address, a network or local", addresses.network)
    return texts
