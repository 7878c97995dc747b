# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which sessions of a server may be ended, and which match and are protected. Pure: no I/O."""

from __future__ import annotations

import fnmatch

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sessions import (
    ACTIVE,
    CLIENT,
    IDLE,
    is_hidden,
    longest_first,
)

#: The options that choose sessions.
LISTS = ("states", "users", "applications", "clients", "databases", "sessions")
AGES = ("idle_longer_than", "query_longer_than", "transaction_longer_than", "blocking_longer_than")


class Plan:
    """Which sessions to end, and which matched and are spared.

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
        filters: what a session must be, every one that is given (None is not given, empty is no
            session): states, users, applications (shell patterns), clients (addresses, networks or
            ``local``), databases, idle_longer_than, query_longer_than, transaction_longer_than,
            blocking_longer_than (seconds), sessions (pid and backend_start).
        protection: include (values of PROTECTIONS that are lifted), database (the one that is not
            another one),
            users, applications, clients (as in filters) that are spared.
        method: ``terminate`` or ``cancel``, which only ends a statement.
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
        # Written so that "not a number" chooses no session.
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
    ``local``.

    Raises:
        ValueError: one of them is neither; the message names the option.
    """
    for text in texts:
        if text != "local":
            addresses.option(option, text, "an address, a network or local", addresses.network)
    return texts
