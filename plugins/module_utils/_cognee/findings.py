# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts that the findings about Cognee share (pure)."""

from __future__ import annotations

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding

GUIDE = "Cognee Memory Service Down"


def cognee_finding(id, status, text, seen, error_kind=None, **details):
    """Return a finding.

    Args:
        id, status, text: of the finding.
        seen: {"target"} and more, see ``decide.decide``.
        error_kind: distinguishes the reasons of one finding.
        details: more of it; empty values of its evidence are left out.
    """
    evidence = {"target": seen["target"], "error_kind": error_kind}
    evidence.update(details.pop("evidence", {}))
    evidence = {key: value for key, value in evidence.items() if value not in (None, [], {})}
    return finding(id, "cognee", status, text, evidence=evidence, guide=GUIDE, **details)


def of_container(container):
    """Return what evidence has of a container."""
    keys = ("engine", "name", "state", "health", "exit_code", "oom_killed", "restarts", "error")
    return {key: container[key] for key in keys if container[key] not in (None, False)}


def memory(limit):
    """Return a limit of memory for people."""
    return "%d MiB" % (limit // 1048576) if limit else "none"
