# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes between the findings that several modules have on one host: the app's, its database's,
Zoho's and Cognee's. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad
from ansible_collections.sergas.ops.plugins.module_utils._health import cause_rules

Finding = dict[str, Any]
Condition = Callable[[Finding, Finding], bool]

#: What the app's own diagnosis sees of the database, and has derived its symptoms from already.
_SEEN_BY_APP = (
    "db.unreachable",
    "db.auth.failed",
    "db.missing",
    "db.connections.exhausted",
    "db.connection.",
)


def join(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of a host with ``cause`` set where those of another module explain them.

    Each module has derived its own; what it could not explain, another one may. A cause that is set
    stays.

    Args:
        findings: of all modules, complete.
    """
    bad = [item for item in findings if is_bad(item)]
    joined = [
        dict(item, cause=item["cause"] or _cause(item, bad)) if is_bad(item) else item
        for item in findings
    ]
    within = {
        item["id"]
        for item in bad
        if (item["id"].startswith("db.") and not item["id"].startswith(_SEEN_BY_APP))
        or _is_of_zoho_token(item)
        or _is_of_cognee(item)
    }
    if within:
        derived = cause_rules.derive(joined)
        joined = [
            new if new["cause"] in within else old for old, new in zip(joined, derived, strict=True)
        ]
    # Two modules may have found the same of the database: what one of them knows of its cause, the
    # other need not.
    known = {
        item["id"]: item["cause"]
        for item in joined
        if item["id"].startswith("db.") and item["cause"]
    }
    return [
        dict(item, cause=item["cause"] or known.get(item["id"])) if is_bad(item) else item
        for item in joined
    ]


def _cause(item: Finding, bad: Iterable[Finding]) -> str | None:
    for id, explains in CAUSES.get(item["id"], ()):
        for other in bad:
            if other["id"] == id and explains(item, other):
                return id
    return None


def _same_filesystem(item: Finding, other: Finding) -> bool:
    """Return whether the fullest file system of the host is the one that the database fills."""
    percent = item["evidence"].get("percent")
    directory = (other["evidence"].get("filesystem") or {}).get("path")
    if not isinstance(percent, dict) or not isinstance(directory, str):
        return False
    mounts = [
        path
        for path in percent
        if directory == path or directory.startswith(path.rstrip("/") + "/")
    ]
    fullest = (item["evidence"].get("filesystem") or {}).get("path")
    return bool(mounts) and max(mounts, key=len) == fullest


def _reason(text: str) -> Condition:
    """Return a condition on what most sessions do, by the finding of exhausted slots."""
    return lambda item, _other: item["evidence"].get("reason") == text


def _holds_lock(item: Finding, other: Finding) -> bool:
    """Return whether the session at the root of a chain sits in a transaction."""
    return bool(_pids(item, "roots") & _pids(other, "sessions"))


def _same_transaction(item: Finding, other: Finding) -> bool:
    return bool(_pids(item, "transactions") & _pids(other, "sessions"))


def _pids(item: Finding, key: str) -> set[int]:
    rows = item["evidence"].get(key)
    return (
        {row.get("pid") for row in rows if isinstance(row, dict)} - {None}
        if isinstance(rows, list)
        else set()
    )


def _always(_item: Finding, _other: Finding) -> bool:
    return True


def _is_of_zoho_token(item: Finding) -> bool:
    """Return whether Zoho itself was queried; else the finding is what the app reports of it."""
    return item["id"].startswith("zoho.") and "account" in item["evidence"]


def _by_zoho(item: Finding, other: Finding) -> bool:
    """What the app reports of Zoho derives from what Zoho answers."""
    return not _is_of_zoho_token(item) and _is_of_zoho_token(other)


def _is_of_cognee(item: Finding) -> bool:
    """Return whether Cognee itself was queried; else the finding is what the app reports of it."""
    return item["id"].startswith("cognee.") and "reported" not in item["evidence"]


def _by_cognee(item: Finding, other: Finding) -> bool:
    """What the app reports of Cognee derives from what Cognee's own host and its clients see."""
    return not _is_of_cognee(item) and _is_of_cognee(other)


def _keeps_app_away(item: Finding, other: Finding) -> bool:
    """The same for what is on the way there, but the cache, which the app works without."""
    return _by_zoho(item, other) and other["evidence"].get("error_kind") not in ("store", "busy")


def _of_store(item: Finding, _other: Finding) -> bool:
    return item["evidence"].get("error_kind") == "store"


def _names_zoho(_item: Finding, other: Finding) -> bool:
    return any(str(name).startswith("ZOHO_") for name in other["evidence"].get("variables", ()))


#: finding: ((what may explain it, whether it does), ...), the likeliest first
CAUSES: dict[str, tuple[tuple[str, Condition], ...]] = {
    "host.disk.high": (("db.disk.full", _same_filesystem),),
    "db.connections.exhausted": (
        ("db.transactions.idle", _reason("idle in transaction")),
        ("db.locks.blocked", _reason("waiting for a lock")),
    ),
    "db.locks.blocked": (("db.transactions.idle", _holds_lock),),
    "db.transactions.long": (("db.transactions.idle", _same_transaction),),
    "host.iowait.high": (("db.queries.slow", _always), ("db.index.missing", _always)),
    "cognee.down": (
        ("cognee.wrong_service", _by_cognee),
        ("cognee.auth", _by_cognee),
        ("cognee.blocked", _by_cognee),
        ("cognee.slow", _by_cognee),
        ("cognee.query", _by_cognee),
        ("cognee.down", _by_cognee),
    ),
    "zoho.token.invalid": (
        ("app.env.missing", _names_zoho),
        ("zoho.token.invalid", _by_zoho),
        ("zoho.rate_limited", _by_zoho),
        ("zoho.token.unknown", _keeps_app_away),
    ),
    "zoho.rate_limited": (("zoho.rate_limited", _by_zoho),),
    "zoho.token.unknown": (
        ("redis.unreachable", _of_store),
        ("redis.auth.failed", _of_store),
        ("redis.writes.refused", _of_store),
        ("app.env.missing", _of_store),
    ),
}
