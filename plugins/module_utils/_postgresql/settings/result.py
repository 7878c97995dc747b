# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pg_settings returns. Pure; no password of a connection string is in it."""

from __future__ import annotations

import re

#: A password in a connection string, as it stands in a value or, with its quotes doubled, in a
#: file.
_PASSWORD = re.compile(r"(password\s*=\s*)('{2}(?:[^']|'{4})*?'{2}|'[^']*'|[^\s']+)", re.IGNORECASE)


def of_calculation(calculation):
    """Return what is said of a ``calculation.Calculation``, or of None."""
    if calculation is None:
        return {"warnings": []}
    return {
        "machine": calculation.machine,
        "shared_host": calculation.shared,
        "budget": calculation.budget,
        "postgresql_uses": calculation.uses,
        "warnings": list(calculation.warnings),
    }


def calculated(calculation, wanted):
    """Return the result where nothing is changed."""
    return dict(
        of_calculation(calculation),
        changed=False,
        settings={name: _native(want.value) for name, want in wanted.items()},
        why={name: want.why for name, want in wanted.items()},
    )


def of_plan(plan, live, wanted, cluster, allow_restart):
    """Return what a plan comes to.

    Args:
        plan: the ``plan.Plan``.
        live: the ``plan.Live``.
        wanted: {name: ``plan.Wanted``}.
        cluster: the ``cluster.Cluster``.
        allow_restart: whether the server may be restarted.
    """
    restart = bool(plan.restart) and allow_restart
    overridden = [_masked_values(item) for item in plan.overridden]
    return {
        "changed": plan.before != plan.after
        or plan.main_before != plan.main_after
        or plan.reload
        or restart,
        "cluster": {
            "version": cluster.version,
            "name": cluster.name,
            "port": cluster.port,
            "data_directory": cluster.data_directory,
            "config_file": cluster.config_file,
            "server": "running" if live.running else "stopped",
        },
        "file": plan.path,
        "settings": {name: _native(_masked(value)) for name, value in plan.target.items()},
        "why": {name: wanted[name].why for name in plan.target},
        "changes": [_masked_values(change) for change in plan.changes],
        "reloaded": plan.reload,
        "restarted": restart,
        "pending_restart": [] if restart else plan.pending,
        "restart_required": bool(plan.restart) and not restart,
        "overridden": overridden,
        "warnings": [
            "%(name)s = %(value)s is overridden by %(by)s: %(effective)s" % item
            for item in overridden
        ],
        "unvalidated": ["memory and ports that are only taken at the start: the server is stopped"]
        if plan.target and not live.running
        else [],
        "diff": _diff(plan, cluster.config_file),
    }


def _diff(plan, config_file):
    diff = [_file_diff(plan.path, plan.before, plan.after)]
    if plan.main_before != plan.main_after:
        diff.append(_file_diff(config_file, plan.main_before, plan.main_after))
    return diff


def _file_diff(path, before, after):
    return {
        "before_header": path,
        "after_header": path,
        "before": _masked(before or ""),
        "after": _masked(after or ""),
    }


def _native(text):
    """Return a number as a number: registered results are easier to use that way."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _masked(text):
    """Return a text without the passwords of the connection strings in it."""
    return _PASSWORD.sub(r"\1********", text)


def _masked_values(item):
    return {key: _masked(value) if isinstance(value, str) else value for key, value in item.items()}
