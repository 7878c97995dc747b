# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many database connections all app hosts may open together, and what would fit. Pure.

Each worker process of the app has a separate pool: a host opens up to workers x (pool_size +
max_overflow).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding

if TYPE_CHECKING:
    from ansible_collections.sergas.ops.plugins.module_utils._core.finding import Finding

#: What ``budget`` returns of one host.
Row = dict[str, Any]

#: What applies where nothing is set: uvicorn's one worker, SQLAlchemy's pool of 5 and overflow of
#: 10, no Celery.
DEFAULTS = {"workers": 1, "pool_size": 5, "max_overflow": 10, "celery_workers": 0, "others": 0}
#: The names of the app's .env.
VARIABLES = {"pool_size": "DATABASE_POOL_SIZE", "max_overflow": "DATABASE_MAX_OVERFLOW"}
#: A Celery process runs one task at a time, and a task uses one connection.
CELERY_EACH = 1
#: Slots left for migrations, backups, monitoring and people: a share of all (in percent), and the
#: least.
HEADROOM_PERCENT = 10
HEADROOM_LEAST = 3
GUIDE = "Database Connection Pool Exhausted"


def budget(hosts: Mapping[str, Mapping[str, Any]], slots: int, reserved: int = 0) -> dict[str, Any]:
    """Return what all hosts may open, host by host, and the largest pools that would fit.

    The pools that fit are found by one common limit for a worker's connections: hosts below it keep
    what they have, so that a small host does not pay for a large one.

    Args:
        hosts: {host: numbers}, with the names of ``DEFAULTS``, which apply to what is not given,
            and ``assumed``, the names of those that are guessed. A pool_size of 0 or a max_overflow
            below 0 has no bound in SQLAlchemy; such a host's demand is ``None``.
        slots: connections that the app can have (max_connections less the reserved ones).
        reserved: the reserved ones, to say what max_connections would have to be.

    Returns:
        demand (``None`` where a host has no bound), slots, headroom (slots to be left free),
        percent of the slots, fits, needed_max_connections (``None`` without a bound), and hosts: a
        list with host, workers, pool_size, max_overflow, celery_workers, others, demand, assumed
        and fit, which is {pool_size, max_overflow}, or ``None`` where not even one connection for
        each worker fits.

    Raises:
        ValueError: there are no slots.
    """
    if slots < 1:
        raise ValueError("a database with %d slots takes no connections" % slots)
    headroom = min(slots - 1, max(HEADROOM_LEAST, -(-slots * HEADROOM_PERCENT // 100)))
    rows = [_row(host, dict(DEFAULTS, **numbers)) for host, numbers in sorted(hosts.items())]
    demands = [row["demand"] for row in rows]
    demand = None if None in demands else sum(demands)
    room = slots - headroom - sum(_fixed(row) for row in rows)
    limit = _common_limit(rows, room)
    for row in rows:
        row["fit"] = _fit(row, limit)
    return {
        "demand": demand,
        "slots": slots,
        "headroom": headroom,
        "percent": None if demand is None else round(100.0 * demand / slots, 1),
        "fits": demand is not None and demand <= slots - headroom,
        "needed_max_connections": None if demand is None else _needed(demand, reserved),
        "hosts": rows,
    }


def _row(host: str, numbers: Mapping[str, Any]) -> Row:
    row = {name: numbers[name] for name in DEFAULTS}
    each = _each(row)
    demand = None if each is None else row["workers"] * each + _fixed(row)
    return dict(row, host=host, demand=demand, assumed=list(numbers.get("assumed", ())))


def _each(row: Row) -> int | None:
    """Return how many connections one worker may open, or ``None`` where there is no bound."""
    if row["pool_size"] < 1 or row["max_overflow"] < 0:
        return None
    return row["pool_size"] + row["max_overflow"]


def _fixed(row: Row) -> int:
    return row["celery_workers"] * CELERY_EACH + row["others"]


def _common_limit(rows: list[Row], room: int) -> int:
    """Return the largest number of connections for each worker with which all of them fit, 0 if
    there is none.
    """

    def taken(limit: int) -> int:
        return sum(row["workers"] * min(limit, _each(row) or limit) for row in rows)

    low, high = 0, max([_each(row) or max(room, 1) for row in rows] or [1])
    while low < high:
        middle = (low + high + 1) // 2
        if taken(middle) <= room:
            low = middle
        else:
            high = middle - 1
    return low if taken(low) <= room else 0


def _fit(row: Row, limit: int) -> dict[str, int] | None:
    if limit < 1:
        return None
    each = _each(row)
    if each is not None and each <= limit:
        return {"pool_size": row["pool_size"], "max_overflow": row["max_overflow"]}
    # The same share of the connections stays open between requests as before.
    pool = max(1, limit * row["pool_size"] // each) if each else limit
    return {"pool_size": pool, "max_overflow": limit - pool}


def _needed(demand: int, reserved: int) -> int:
    """Return the least max_connections that leaves the headroom free with this demand."""
    slots = demand + HEADROOM_LEAST
    while slots - max(HEADROOM_LEAST, -(-slots * HEADROOM_PERCENT // 100)) < demand:
        slots += 1
    return slots + reserved


def decide(result: dict[str, Any], target: str) -> Finding:
    """Return the finding of the fleet on what ``budget`` returned.

    Args:
        result: what ``budget`` returned.
        target: ``host:port`` of the database.
    """
    hosts = result["hosts"]
    assumed = any(row["assumed"] for row in hosts)
    evidence = {"target": target, "headroom": result["headroom"], "hosts": hosts}
    details = {
        "value": result["demand"],
        "unit": "connections",
        "warn": result["slots"] - result["headroom"],
        "confidence": "estimated" if assumed else "measured",
        "evidence": evidence,
        "guide": GUIDE,
    }
    if result["fits"]:
        return finding(
            "db.pools.ok",
            "database",
            "ok",
            "%d app hosts may open %d connections, %d of %s's %d slots stay free for others"
            % (
                len(hosts),
                result["demand"],
                result["slots"] - result["demand"],
                target,
                result["slots"],
            ),
            **details,
        )
    unbounded = [row["host"] for row in hosts if row["demand"] is None]
    if unbounded:
        figure = "%s may open connections without a bound" % ", ".join(unbounded)
    else:
        largest = max(hosts, key=lambda row: row["demand"])
        figure = "%d app hosts may open %d connections (%s alone: %d)" % (
            len(hosts),
            result["demand"],
            largest["host"],
            largest["demand"],
        )
    return finding(
        "db.pools.overcommitted",
        "database",
        "warn",
        "%s and %s has %d slots, of which %d should stay free for others"
        % (figure, target, result["slots"], result["headroom"]),
        advice=_advice(result),
        **details,
    )


def _advice(result: dict[str, Any]) -> str:
    fits = [(row["host"], row["fit"]) for row in result["hosts"] if row["fit"] != _current(row)]
    needed = result["needed_max_connections"]
    raise_limit = (
        "" if needed is None else " Or raise max_connections to %d, if the memory allows." % needed
    )
    if any(fit is None for host, fit in fits):
        return (
            "Run fewer workers, or put pgbouncer in front: not even one connection for each fits."
            + raise_limit
        )
    lines = [
        "%s: DATABASE_POOL_SIZE=%d DATABASE_MAX_OVERFLOW=%d"
        % (host, fit["pool_size"], fit["max_overflow"])
        for host, fit in fits
    ]
    return "Set %s.%s" % ("; ".join(lines), raise_limit)


def _current(row: Row) -> dict[str, int]:
    return {"pool_size": row["pool_size"], "max_overflow": row["max_overflow"]}
