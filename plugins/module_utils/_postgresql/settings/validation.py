# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuses what a server would refuse, before anything is written."""

from __future__ import annotations

import os

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    owned_file,
    values,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.plan import (
    SettingsError,
    contradictions,
)


def validate(plan, live, cluster, candidate, control_data):
    """Check the values of a plan.

    Args:
        plan: the ``plan.Plan``.
        live: the ``plan.Live``.
        cluster: the ``cluster.Cluster``.
        candidate: its ``cluster.Candidate``.
        control_data: the lines of pg_controldata.

    Returns:
        What could not be checked, as sentences.

    Raises:
        SettingsError: PostgreSQL refuses a value.
    """
    if not plan.target:
        return []
    refused = candidate.refusals(plan.target)
    unknown, unvalidated = _unknown(plan.target, live)
    missing, unfound = _missing_libraries(plan.target, cluster)
    refused += unknown + missing
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


def _missing_libraries(target, cluster):
    """Return (refusals of libraries that are not there, a note where that cannot be checked)."""
    names = [
        name.strip().strip('"').replace("$libdir/", "")
        for name in (target.get("shared_preload_libraries") or "").split(",")
    ]
    names = [name for name in names if name]
    directories = [
        os.path.join(cluster.programs, "..", part) for part in ("lib", "lib/postgresql", "lib64")
    ]
    # Every build has this one.
    home = next(
        (path for path in directories if os.path.exists(os.path.join(path, "dict_snowball.so"))),
        None,
    )
    if names and home is None:
        return [], ["shared_preload_libraries: the directory of libraries was not found"]
    missing = []
    for name in names:
        path = name if "/" in name else os.path.join(home, name)
        if not os.path.exists(path) and not os.path.exists(path + ".so"):
            missing.append('could not access file "%s": No such file or directory' % name)
    return missing, []


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
