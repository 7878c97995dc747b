# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes between the findings that several modules have on one host: the app's, its database's,
Zoho's and Cognee's. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses, causes
from ansible_collections.sergas.ops.plugins.module_utils._core.causes import Rule
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad
from ansible_collections.sergas.ops.plugins.module_utils._health import cause_rules

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.causes import Condition
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding


_FULL = "db.connections.exhausted"
#: What the app's own diagnosis sees of the database, and has derived its symptoms from already.
_SEEN_BY_APP = (
    "db.unreachable",
    "db.auth.failed",
    "db.missing",
    "db.writes.refused",
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
    joined: list[Finding] = [
        {**item, "cause": item["cause"] or _cause(item, bad)} if is_bad(item) else item
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
        {**item, "cause": item["cause"] or known.get(item["id"])} if is_bad(item) else item
        for item in joined
    ]


def answer_once(findings: Sequence[Finding]) -> None:
    """Give the findings of full slots one remedy: that for what the sessions do, where the server's
    own view is there beside the app's.
    """
    seen = {
        _target(item): item
        for item in findings
        if item["id"] == _FULL and is_bad(item) and "by_state" in item["evidence"]
    }
    for item in findings:
        inside = seen.get(_target(item)) if item["id"] == _FULL and is_bad(item) else None
        if inside:
            item["remedy"], item["advice"] = inside["remedy"], inside["advice"]


def _target(item: Finding) -> tuple[str, str]:
    """Return (host, port) of a finding's server, in one notation for this host itself."""
    host, _colon, port = str(item["evidence"].get("target")).rpartition(":")
    return "localhost" if addresses.is_loopback(host) else host, port


def _cause(item: Finding, bad: Sequence[Finding]) -> str | None:
    found = next(causes.explanations(causes.rules_for(item["id"], RULES), item, bad), None)
    return found["id"] if found else None


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
    pids = (
        [row.get("pid") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    )
    return {pid for pid in pids if pid is not None}


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


RULES = causes.by_effect(
    Rule("host.disk.high", ("db.disk.full",), _same_filesystem),
    Rule("db.connections.exhausted", ("db.transactions.idle",), _reason("idle in transaction")),
    Rule("db.connections.exhausted", ("db.locks.blocked",), _reason("waiting for a lock")),
    Rule("db.locks.blocked", ("db.transactions.idle",), _holds_lock),
    Rule("db.transactions.long", ("db.transactions.idle",), _same_transaction),
    Rule("host.iowait.high", ("db.queries.slow", "db.index.missing")),
    Rule(
        "cognee.down",
        (
            "cognee.wrong_service",
            "cognee.auth",
            "cognee.blocked",
            "cognee.slow",
            "cognee.query",
            "cognee.down",
        ),
        _by_cognee,
    ),
    Rule("zoho.token.invalid", ("app.env.missing", "app.env.invalid"), _names_zoho),
    Rule("zoho.token.invalid", ("zoho.token.invalid", "zoho.rate_limited"), _by_zoho),
    Rule("zoho.token.invalid", ("zoho.token.unknown",), _keeps_app_away),
    Rule("zoho.rate_limited", ("zoho.rate_limited",), _by_zoho),
    Rule(
        "zoho.token.unknown",
        ("redis.unreachable", "redis.auth.failed", "redis.writes.refused", "app.env.missing"),
        _of_store,
    ),
)
