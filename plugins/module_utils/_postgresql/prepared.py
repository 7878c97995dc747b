# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prepared transactions: no session has them, and they keep their locks until someone ends them."""

from __future__ import annotations

#: With the tables of this database that they hold, and in which modes. No process has these locks:
#: whose they are is known by the one on the transaction's own number, which each of them has.
QUERY = """
WITH held AS MATERIALIZED (SELECT * FROM pg_locks l WHERE l.pid IS NULL AND l.granted)
SELECT p.gid, p.owner::text AS role, p.database::text AS database,
  extract(epoch FROM clock_timestamp() - p.prepared)::float8 AS seconds,
  age(p.transaction)::bigint AS xmin_age,
  (SELECT coalesce(json_agg(json_build_object('table', concat(n.nspname, '.', c.relname),
      'mode', l.mode) ORDER BY n.nspname, c.relname, l.mode), '[]')
    FROM held own JOIN held l ON l.virtualtransaction = own.virtualtransaction
    JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'm')
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE own.locktype = 'transactionid' AND own.transactionid = p.transaction AND l.database
      = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) AS locks
FROM pg_prepared_xacts p ORDER BY p.prepared LIMIT 100
"""
#: Modes that a statement which writes has to wait for.
_HOLDS_UP = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
ADVICE = (
    "Find out from the transaction manager whether it is to be kept, then COMMIT PREPARED or"
    " ROLLBACK PREPARED '%s' in its database."
)


def locked(row):
    """Return the tables that no one else can write to while a prepared transaction is there."""
    return sorted({lock["table"] for lock in row["locks"] if lock["mode"] in _HOLDS_UP})


def in_words(row):
    """Return who and how old a prepared transaction is, and what it locks."""
    tables = locked(row) or sorted({lock["table"] for lock in row["locks"]})
    text = "the prepared transaction '%s' (%s, %s, for %.0f s" % (
        row["gid"],
        row["role"],
        row["database"],
        row["seconds"],
    )
    return text + (", locks on %s)" % ", ".join(tables[:5]) if tables else ")")
