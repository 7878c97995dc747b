# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Triggers that are disabled: what they did no longer happens, of a foreign key too."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import verdict
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights.scope import (
    IN_SCHEMAS,
)

_DISABLED = (
    """
SELECT n.nspname::text AS schema, c.relname::text AS "table",
  coalesce(k.conname, t.tgname)::text AS "trigger", k.oid IS NOT NULL AS is_constraint
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint
WHERE t.tgenabled = 'D' AND """
    + IN_SCHEMAS
    + """
GROUP BY 1, 2, 3, 4 ORDER BY 4 DESC, 1, 2, 3 LIMIT 100
"""
)


def observe(scope):
    """Return the disabled triggers, each with its table; those of a constraint by its name."""
    return scope.rows(_DISABLED, scope.schemas_json, scope.schemas_json)


def decide(scope, rows, locks=None):
    """Return the finding on disabled triggers: a note, for a bulk load disables them on purpose,
    unless sessions wait for one of their tables.
    """
    subject = "db.triggers"
    if not rows:
        return [verdict.ok(subject, "No trigger is disabled")]
    evidence = {"triggers": rows[: scope.limit]}
    names = verdict.some(
        dict.fromkeys("%s of %s" % (row["trigger"], verdict.qualified(row)) for row in rows)
    )
    waited = {(row["schema"], row["table"]) for row in (locks or {}).get("waiting", ())}
    if not any((row["schema"], row["table"]) in waited for row in rows):
        text = "%d trigger(s) are disabled, on purpose or left so: %s" % (len(rows), names)
        return [verdict.ok(subject, text, evidence=evidence)]
    return [
        verdict.bad(
            "db.triggers.disabled",
            "warn",
            "%d trigger(s) are disabled on tables that sessions wait for: %s" % (len(rows), names),
            evidence=evidence,
            advice=(
                "Find out what has disabled them (a bulk load that still runs, or one that was cut"
                " off), then ALTER TABLE ... ENABLE TRIGGER, and check the rows written since."
            ),
        )
    ]
