# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members of an extension: what a superuser may call, whichever role may create in its schema."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sql import literal

# A member of an extension that belongs to a superuser is what it says, whatever its schema is. But
# the owner of that schema can rename it and put another one in its place.
_MEMBER = """
SELECT /* sergas.ops */ quote_ident(n.nspname) AS schema, s.rolsuper AS superuser,
  w.rolsuper OR (w.rolname = 'pg_database_owner' AND (SELECT b.rolsuper FROM pg_database d
    JOIN pg_roles b ON b.oid = d.datdba WHERE d.datname = current_database())) AS stays
FROM pg_roles s
CROSS JOIN pg_extension e
JOIN pg_depend x ON x.refclassid = 'pg_extension'::regclass AND x.refobjid = e.oid
  AND x.deptype = 'e' AND x.classid = '{catalog}'::regclass
JOIN {catalog} m ON m.oid = x.objid AND m.{letters}name = {name}{signature}
JOIN pg_namespace n ON n.oid = m.{letters}namespace
JOIN pg_roles w ON w.oid = n.nspowner
JOIN pg_roles o ON o.oid = m.{letters}owner
WHERE s.rolname = session_user AND e.extname = {extension} AND (o.rolsuper OR NOT s.rolsuper)
"""
#: Of a schema by its quoted name: whether no session is about to rename it.
# Renaming a schema takes effect when it is committed, and need not lock the catalog for so long.
SCHEMA_STAYS = """
SELECT /* sergas.ops */ NOT EXISTS (
    SELECT 1 FROM pg_locks l WHERE l.locktype = 'transactionid' AND l.transactionid = n.xmax
  ) AS stays
FROM pg_namespace n WHERE quote_ident(n.nspname) = %s
"""


def member(extension, name, arguments=None):
    """Return the SQL that gives the row of a member of an extension, or none.

    What only a newer release of an extension has may be missing, and any role that may create in
    its schema can fill the gap: a superuser must call nothing there that is not the extension's
    own.

    Args:
        extension: its name.
        name: that of a relation, or with arguments of a function.
        arguments: the types of the function's arguments, for example ``oid, bigint``. It has to be
            called with exactly these: a call that leaves defaults out may be for another function.

    Returns:
        The SQL of a row of {schema: quoted, superuser: whether the session is one's, stays: whether
        only a superuser can rename the schema}.
    """
    function = arguments is not None
    return _MEMBER.format(
        catalog="pg_proc" if function else "pg_class",
        letters="pro" if function else "rel",
        name=literal(name),
        signature=(
            " AND oidvectortypes(m.proargtypes) = %s" % literal(arguments) if function else ""
        ),
        extension=literal(extension),
    )
