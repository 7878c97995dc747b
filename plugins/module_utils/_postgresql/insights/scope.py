# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a diagnosis looks at: which schemas, how many rows, by which thresholds, since when."""

from __future__ import annotations

import json

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.insights import server
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.sql import MARKER

#: Needs the alias n for pg_namespace, and scope.schemas_json twice as arguments.
IN_SCHEMAS = """n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (CAST(%s AS text) IS NULL
       OR n.nspname IN (SELECT json_array_elements_text(CAST(%s AS json))))"""

#: Relations that somebody holds, or waits to hold, exclusively: asking for their size would have
#: the diagnosis wait in the same queue.
#: A table counts as locked with its TOAST table or one of its indexes.
EXCLUSIVELY_LOCKED = """SELECT DISTINCT u.relation FROM pg_locks l
    LEFT JOIN pg_index i ON i.indexrelid = l.relation
    LEFT JOIN pg_class t ON t.reltoastrelid = l.relation
    CROSS JOIN LATERAL unnest(ARRAY[l.relation, i.indrelid, t.oid]) u(relation)
  WHERE l.mode = 'AccessExclusiveLock' AND u.relation IS NOT NULL AND l.relation <> 0
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())"""


class Scope:
    """The options of the diagnosis, the server's facts, and the session to ask.

    Raises:
        ValueError: the earlier run was not of this database.

    Attributes:
        server: the facts of the server, see L(server.observe).
        thresholds: {name: (warn, fail, unit)}.
        limit: how many rows a finding's evidence may have.
        previous: the insights of an earlier run, {} where there is none.
        schemas_json: the selected schemas as JSON, or None for all.
    """

    def __init__(self, session, thresholds, limit=20, schemas=None, previous=None, deadline=None):
        self._session = session
        self.deadline = deadline
        self.thresholds = thresholds
        self.limit = limit
        self.previous = previous or {}
        self.schemas_json = json.dumps(schemas) if schemas else None
        self.server = server.observe(self, session.version)
        if previous and self.earlier("server", "database") != self.server["database"]:
            raise InvalidValue(
                "previous: these are not the insights of an earlier run into the database %s"
                % self.server["database"]
            )

    def rows(self, statement, *args):
        """Return the rows of a statement as plain dicts."""
        if self.deadline:
            self.deadline.timeout("PostgreSQL")
        return self._session.rows(MARKER + statement, args)

    def member(self, extension, name, arguments=None):
        """Return the context of a member of an extension, see L(postgresql.Session.member)."""
        return self._session.member(extension, name, arguments)

    def row(self, statement, *args):
        """Return the only row of a statement."""
        return self.rows(statement, *args)[0]

    def earlier(self, *path):
        """Return what an earlier run has at a path of keys, or None."""
        value = self.previous
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value
