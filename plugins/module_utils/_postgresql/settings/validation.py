# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuses what a server would refuse, before anything is written."""

from __future__ import annotations

import os

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    owned_file,
    server_files,
    values,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.plan import (
    SettingsError,
    contradictions,
)

#: Settings that name libraries which are loaded at a start, or as each session begins.
_LIBRARIES = (
    "shared_preload_libraries",
    "session_preload_libraries",
    "local_preload_libraries",
    "archive_library",
)


def validate(plan, live, cluster, candidate, control_data, deadline):
    """Check the values of a plan.

    Args:
        plan: the ``plan.Plan``.
        live: the ``plan.Live``.
        cluster: the ``cluster.Cluster``.
        candidate: its ``cluster.Candidate``.
        control_data: the lines of pg_controldata.
        deadline: the Deadline of it all.

    Returns:
        What could not be checked, as sentences.

    Raises:
        SettingsError: PostgreSQL refuses a value.
    """
    touched = {change["name"] for change in plan.changes}.union(plan.target)
    if not touched:
        return []
    refused = candidate.refusals(plan.target) if plan.target else []
    unknown, unvalidated = _unknown(plan.target, live)
    missing, unfound = _missing_libraries(plan, live, cluster)
    refused += unknown + missing
    if not refused and touched & server_files.CONCERNED:
        refused, unchecked = server_files.refusals(
            lambda name: _after(name, plan, live),
            # A stopped server has nothing open, and is to start with all of it.
            live.value if live.running else lambda name: None,
            cluster,
            deadline,
        )
        unfound += unchecked
    if not refused:
        segment = control_data.get("Bytes per WAL segment", "")
        slots = owned_file.names(os.path.join(cluster.data_directory, "pg_replslot"))
        refused = contradictions(
            lambda name: _effective(name, plan, live, candidate),
            cluster.version,
            int(segment) if segment.isdigit() else 16 << 20,
            len(slots or ()),
        )
    if refused:
        raise SettingsError(
            "PostgreSQL refuses the settings, nothing was written: %s" % "; ".join(refused)
        )
    return unvalidated + unfound


def _unknown(target, live):
    """Return (refusals of names that a loaded library does not have, notes on those that no loaded
    library has).
    """
    libraries = [name for name in target if "." in name]
    if not live.running:
        return [], [
            "%s: only the library that defines it knows its values" % name for name in libraries
        ]
    prefixes = {name.partition(".")[0] for name in live.rows if "." in name}
    unknown = [name for name in libraries if name not in live.rows]
    known = [name for name in unknown if name.partition(".")[0] in prefixes]
    return (
        ['unrecognized configuration parameter "%s"' % name for name in known],
        [
            "%s: the library that defines it is not loaded" % name
            for name in unknown
            if name not in known
        ],
    )


def _missing_libraries(plan, live, cluster):
    """Return (refusals of libraries that are not there, a note where that cannot be checked)."""
    names = [
        # Those that any role may load are in a separate directory.
        (setting, name.strip().strip('"'), "plugins" if setting.startswith("local") else "")
        for setting in _LIBRARIES
        for name in (plan.target.get(setting) or "").split(",")
    ]
    names = [(setting, name, part) for setting, name, part in names if name]
    directories = [
        os.path.join(cluster.programs, "..", part) for part in ("lib", "lib/postgresql", "lib64")
    ]
    # Every build has this one.
    home = next(
        (path for path in directories if os.path.exists(os.path.join(path, "dict_snowball.so"))),
        None,
    )
    if names and home is None:
        return [], ["%s: the directory of libraries was not found" % names[0][0]]
    missing = []
    for setting, name, part in names:
        search = _after("dynamic_library_path", plan, live) or "$libdir"
        paths = [
            os.path.join(directory.replace("$libdir", home), part, name)
            for directory in ("$libdir" if part else search).split(":")
        ]
        if "/" in name:
            paths = [name.replace("$libdir", home)]
        if not any(os.path.exists(path + end) for path in paths for end in ("", ".so")):
            missing.append(
                '%s: could not access file "%s": No such file or directory' % (setting, name)
            )
    return missing, []


def _after(name, plan, live):
    """Return what a setting is in the files after the change, as it stands there, or None."""
    winner = plan.tree.winner(name)
    if winner is not None:
        return winner.value
    row = live.rows.get(name)
    if row is None or not live.running:
        return None
    # What comes from the line that goes, or from a session, is not what a start would give it.
    gone = live.hidden(name) or row.get("source") == "configuration file"
    return row["boot_val"] if gone else row["setting"]


def _effective(name, plan, live, candidate):
    """Return what a setting will be, in PostgreSQL's spelling, or None."""
    row = live.rows.get(name)
    winner = plan.tree.winner(name)
    if winner is None or row is None:
        return row["setting"] if row else None
    if not live.running:
        return candidate.meaning(name, winner.value)
    try:
        value = values.canonical(winner.value, row)
    except values.ValueInvalid:
        return row["setting"]
    return values.plain(value)
