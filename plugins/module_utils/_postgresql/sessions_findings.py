# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings on the sessions of a server: its slots, open transactions and locks. Pure."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core import causes
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import (
    cause_rules,
    prepared,
    termination_plan,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sessions import (
    IDLE_IN_TRANSACTION,
    clients,
    described,
    hidden,
    lock_chains,
    longest_first,
    longest_in_state,
    summary,
)

#: name: (warn, fail, unit)
THRESHOLDS = {
    "db_connections_percent": (80.0, 90.0, "%"),
    "idle_transaction_seconds": (60.0, 600.0, "s"),
    "lock_wait_seconds": (5.0, 60.0, "s"),
}
#: The guide ends sessions that have been idle for five minutes.
IDLE_SECONDS = 300
GUIDE = "Database Connection Pool Exhausted"


def decide(sessions, waits, limits, thresholds, target, prepared_rows=()):
    """Return the findings on slots, open transactions and locks.

    Args:
        sessions, waits, limits: see summary() and lock_chains(). limits may have databases and
        roles, {name: the most
            connections it may have}.
        thresholds: {name: (warn, fail, unit)} with the names of THRESHOLDS.
        target: ``host:port`` of the server.
        prepared_rows: of ``prepared.QUERY``, where a session waits for a prepared transaction.
    """
    blocked, blocking = lock_chains(sessions, waits)
    locks = _decide_locks(
        sessions, blocked, blocking, thresholds["lock_wait_seconds"], target, prepared_rows
    )
    transactions = _decide_transactions(sessions, thresholds["idle_transaction_seconds"], target)
    connections = _decide_connections(
        sessions, limits, thresholds["db_connections_percent"], target
    )
    _escalate(transactions, connections, locks)
    return causes.derive([connections, transactions, locks], cause_rules.RULES)


def _escalate(transactions, connections, locks):
    """Make a warning of open transactions a failure where what they hold keeps the others out: all
    the slots, or the lock that the longest wait is for.
    """
    if transactions["status"] != "warn":
        return
    full = connections["status"] == "fail" and (
        connections["evidence"].get("reason") == "idle in transaction"
    )
    roots = {root["pid"] for root in locks["evidence"].get("roots", ())}
    holds = locks["status"] == "fail" and any(
        session["pid"] in roots for session in transactions["evidence"]["sessions"]
    )
    if full or holds:
        transactions["status"] = "fail"
        transactions["summary"] += (
            "; they take all connections" if full else "; others wait for their locks"
        )


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
    reason, advice, remedy = _exhaustion(seen, bool(unseen), room == counts["slots"])
    evidence["reason"] = reason
    states = {"end_idle_transactions": IDLE_IN_TRANSACTION, "end_idle_sessions": ("idle",)}
    if remedy in states:
        evidence.update(_endable(sessions, lambda one: one["state"] in states[remedy]))
        left = 100.0 * (used - evidence["may_end"]) / room
        evidence["may_suffice"] = grade(left, warn, fail) == "ok"
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


def _exhaustion(seen, partly, of_server):
    """Return (what most sessions are, what a person would do, the remedy).

    Args:
        seen: the sessions of clients.
        partly: whether others cannot be seen.
        of_server: whether the limit is the server's, not that of a role or a database.
    """
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
                "End them, set idle_in_transaction_session_timeout for the app's role, and fix the"
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
            "Check for slow statements first; then raise %s or lower the app's concurrency."
            % ("max_connections" if of_server else "this limit")
        ),
        "raise_connections" if of_server else None,
    )


def _decide_transactions(sessions, threshold, target):
    warn, fail, unit = threshold
    seen, unseen = clients(sessions), hidden(sessions)
    left_open = longest_first(
        session
        for session in seen
        if session["state"] in IDLE_IN_TRANSACTION and (session["state_seconds"] or 0) >= warn
    )
    longest = longest_in_state(seen, IDLE_IN_TRANSACTION)
    evidence = {"target": target}
    details = {"unit": unit, "warn": warn, "fail": fail, "evidence": evidence, "guide": GUIDE}
    if left_open:
        evidence.update(
            count=len(left_open),
            sessions=[described(session) for session in left_open[:5]],
            not_visible=len(unseen),
            # They are not ended without a person's word for it.
            superusers=sum(1 for session in left_open if session["superuser"]),
            **_endable(sessions, lambda one: one in left_open),
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


def _decide_locks(sessions, blocked, blocking, threshold, target, prepared_rows):
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
    pids = {root["pid"] for root in blocking}
    evidence.update(_endable(sessions, lambda one: one["pid"] in pids))
    named, by_hand = (
        _named(root),
        "COMMIT PREPARED or ROLLBACK PREPARED what is in pg_prepared_xacts.",
    )
    if root["pid"] == 0 and prepared_rows:
        held = [row for row in prepared_rows if row["locks"]] or prepared_rows
        held = sorted(held, key=lambda row: (not prepared.locked(row), -row["seconds"]))
        evidence["prepared"] = held[:5]
        named, by_hand = prepared.in_words(held[0]), prepared.ADVICE % held[0]["gid"]
    exact = blocked[0]["exact"]
    return finding(
        "db.locks.blocked",
        "database",
        status,
        "%d sessions wait for a lock, the longest for %s%.0f s (thresholds %g s and %g s); at the"
        " root is %s" % (len(blocked), "" if exact else "at most ", longest, warn, fail, named),
        value=longest,
        confidence="measured" if exact else "estimated",
        advice=(
            "End the root with pg_connections (blocking_longer_than), if its work may be undone."
            if root["pid"]
            else by_hand
        ),
        remedy="end_blocker" if root["pid"] else None,
        **details,
    )


def _endable(sessions, matches):
    """Return how many of the matching sessions a remedy may end, and why it spares the others."""
    own = next((session["database"] for session in sessions if session["own"]), None)
    protection = {"include": (), "database": own, "users": (), "applications": (), "clients": ()}
    chosen = [session for session in sessions if matches(session)]
    plan = termination_plan.plan(chosen, {}, protection)
    spared = {reason: len(found) for reason, found in sorted(plan.spared.items())}
    return {"may_end": len(plan.victims), "spared": spared}


def _named(session):
    """Return a session in words."""
    if session["pid"] == 0:
        return "a prepared transaction"
    state = session["state"] or session["backend_type"] or "of a state that cannot be seen"
    age = "" if session["state_seconds"] is None else " for %.0f s" % session["state_seconds"]
    return "pid %d (%s, %s%s)" % (session["pid"], session["user"] or "no role", state, age)
