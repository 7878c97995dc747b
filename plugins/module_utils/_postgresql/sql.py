# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and values as SQL takes them, where a statement cannot have parameters."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue

#: In the text of a statement, so that pg_stat_statements does not blame a diagnosis.
MARKER = "/* sergas.ops */"


def identifier(name):
    """Return a name quoted for use in SQL."""
    if "\0" in name:
        raise InvalidValue("a name in PostgreSQL cannot hold a null character")
    return '"%s"' % name.replace('"', '""')


def literal(text):
    """Return a text quoted for use in SQL.

    It comes as ``E'…'`` with backslashes doubled: that reads the same under every
    standard_conforming_strings.
    """
    if "\0" in text:
        raise InvalidValue("a text in PostgreSQL cannot hold a null character")
    return " E'%s'" % text.replace("\\", "\\\\").replace("'", "''")
