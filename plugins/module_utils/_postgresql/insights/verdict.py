# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings of the database: their shape, and the numbers in their sentences.

The id of a bad result ends in what is wrong (``db.disk.full``). A good one ends in ``ok``, an
unmeasurable one in ``unknown`` and an absent one in ``skipped``, after the subject of the check.
"""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding

_BINARY = ("B", "kB", "MB", "GB", "TB", "PB")


def bad(id, status, summary, **details):
    """Return a finding that needs attention, or the ok one where its status is ``ok``."""
    return finding(id, "database", status, summary, **details)


def ok(subject, summary, **details):
    return finding(subject + ".ok", "database", "ok", summary, **details)


def skipped(subject, summary, **details):
    return finding(subject + ".skipped", "database", "skipped", summary, **details)


def unknown(subject, summary, **details):
    return finding(subject + ".unknown", "database", "unknown", summary, **details)


def needs_role(subject, what, role, server):
    """Return the finding for what the session's role may not see."""
    return unknown(
        subject,
        "%s cannot be seen by the role %s: it is not a member of %s" % (what, server["role"], role),
        advice="GRANT %s TO %s, or let the diagnosis connect as a superuser over the local socket."
        % (role, quoted(server["role"])),
    )


def worst(statuses):
    """Return the worst of ``ok``, ``warn`` and ``fail``; ``ok`` for none."""
    order = ("ok", "warn", "fail")
    return max(statuses, key=order.index, default="ok")


def quoted(name):
    """Return a name as SQL takes it, with quotes where it needs them."""
    plain = name.replace("_", "a")
    if plain.isalnum() and plain.isascii() and name == name.lower() and not name[0].isdigit():
        return name
    return '"%s"' % name.replace('"', '""')


def qualified(row):
    """Return schema.table of a row that has both."""
    return "%s.%s" % (quoted(row["schema"]), quoted(row["table"]))


def size(value):
    """Return a number of bytes as people read it: 1536 is 1.5 kB."""
    number, unit = float(value), 0
    while abs(number) >= 1024 and unit < len(_BINARY) - 1:
        number, unit = number / 1024, unit + 1
    return ("%.1f %s" if unit else "%.0f %s") % (number, _BINARY[unit])


def span(seconds):
    """Return a number of seconds as people read it: 5400 is 1.5 h."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return "%.1f %s" % (seconds / length, unit)
    return "%.1f s" % seconds


def some(names, most=3):
    """Return the first names of a list as text, and how many more there are."""
    names = list(names)
    rest = len(names) - most
    return ", ".join(names[:most]) + (" and %d more" % rest if rest > 0 else "")
