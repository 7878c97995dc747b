# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which distribution a host has, and whether what changes a host supports it.

Any host is diagnosed. What changes one relies on Debian's packages, paths and names of units.
"""

from __future__ import annotations

import shlex

from ansible_collections.sergas.ops.plugins.module_utils._core import files

#: The second is what the first is a link to, where it is there at all: os-release(5).
PATHS = ("/etc/os-release", "/usr/lib/os-release")
_MAX_BYTES = 65536


def parse(text):
    """Return {id, like, name} of the text of an os-release file.

    ``like`` are the distributions that it says it derives from; ``id`` is None where it says none.
    """
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            try:
                words = shlex.split(value)
            except ValueError:
                continue
            found[name] = words[0] if words else ""
    return {
        "id": found.get("ID", "").lower() or None,
        "like": found.get("ID_LIKE", "").lower().split(),
        "name": found.get("PRETTY_NAME") or found.get("NAME") or found.get("ID") or None,
    }


def read():
    """Return what ``parse`` returns for this host."""
    for path in PATHS:
        try:
            return parse(files.read_text(path, _MAX_BYTES, errors="replace"))
        except OSError:
            continue
    return parse("")


def refusal(found, supported):
    """Return why a host with this distribution is not changed, in one sentence, or None.

    Args:
        found: what ``parse`` returns.
        supported: the ids of distributions; those that derive from one of them are supported, too.
    """
    if {found["id"], *found["like"]} & {name.lower() for name in supported}:
        return None
    return "it runs %s, and only %s and what derives from them (ID, ID_LIKE in %s) is changed" % (
        "%s (%s)" % (found["name"], found["id"]) if found["id"] else "an unknown distribution",
        " and ".join(name.capitalize() for name in supported) or "nothing",
        PATHS[0],
    )
