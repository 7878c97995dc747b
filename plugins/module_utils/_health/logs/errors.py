# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Error lines and exceptions in the app's log, in groups and by kind."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._health.logs import lines
from ansible_collections.sergas.ops.plugins.module_utils._health.logs.tallies import (
    Event,
    Groups,
    Latest,
)


class Errors:
    """What the app complains of."""

    def __init__(self, route):
        """Args: route: returns a path with identifiers as ``{id}``."""
        self._route = route
        self._lines = Groups()
        self._latest = Latest()
        self._exceptions = Groups()
        self._imports = Groups()
        self._database = Groups()
        self._kinds = {}
        self._address_in_use = Event()
        self._too_many_files = Event()

    def line(self, at, invocation, low, type, path, line):
        """Take an error line; type: what it says without its numbers."""
        named = lines.exception_named(line)
        if named and named not in type:
            type = "%s: %s" % (type, named) if type else named
        where = self._route(path) if isinstance(path, str) else None
        kind = self._kind(at, invocation, low, line)
        self._lines.add(
            (type, where), at, invocation, type=type, path=where, kind=kind, sample=line[:200]
        )
        self._latest.add((type, where), at, invocation, line)

    def exception(self, at, invocation, reading):
        """Take a traceback that was read to its end."""
        if not reading.is_fault:
            return
        line = "%s: %s" % (reading.type, reading.message)
        low = " ".join([line] + reading.causes).lower()
        if reading.type == "KeyError" and reading.message.strip("'\"").isupper():
            low += " environment variable"  # os.environ[...]
        kind = self._kind(at, invocation, low, line)
        self._latest.add((reading.type, reading.location), at, invocation, line)
        self._exceptions.add(
            (reading.type, reading.location, kind),
            at,
            invocation,
            type=reading.type,
            location=reading.location,
            kind=kind,
            message=reading.message[:200],
            called_from=reading.caller,
            raised_from=next((cause for cause in reading.causes if cause != reading.type), None),
        )

    def _kind(self, at, invocation, low, line):
        kind = lines.kind(low)
        if kind == "other":
            return kind
        if kind == "database":
            kind = "database." + lines.database_kind(low)
            self._database.add(kind, at, invocation, kind=kind[9:], sample=line[:200])
        elif kind == "import":
            module = lines.missing_module(line)
            if module:
                self._imports.add(module, at, invocation, module=module, sample=line[:200])
        elif kind == "port":
            self._address_in_use.add(at, line)
        elif kind == "files":
            self._too_many_files.add(at, line)
        known = self._kinds.get(kind)
        self._kinds[kind] = (known[0] + 1, max(known[1], at)) if known else (1, at)
        return kind

    def result(self, clean_start, resolved):
        """Return all of it as plain data.

        Args:
            clean_start: when the app last came up, in seconds since the epoch, or None.
            resolved: invocations of the unit whose complaints do not count.
        """
        errors, resolved_errors = self._lines.listed(resolved)
        exceptions, resolved_exceptions = self._exceptions.listed(resolved)
        return {
            "errors": errors,
            "error_count": sum(group["count"] for group in errors),
            "last_lines": self._latest.listed(resolved),
            "exceptions": exceptions,
            "exception_count": sum(group["count"] for group in exceptions),
            "resolved": {"errors": resolved_errors, "exceptions": resolved_exceptions},
            "kinds": {
                name: {"count": count, "last": last} for name, (count, last) in self._kinds.items()
            },
            "imports": [
                group for group in self._imports.listed()[0] if group["last"] > (clean_start or 0)
            ],
            "address_in_use": self._address_in_use.plain(),
            "too_many_files": self._too_many_files.plain(),
            "database": self._database.listed(resolved)[0],
        }
