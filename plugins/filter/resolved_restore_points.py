# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""resolved_restore_points: what becomes of the restore points that an interrupted run has left."""

from __future__ import annotations

DOCUMENTATION = r"""
name: resolved_restore_points
short_description: Decide what becomes of the restore points of interrupted remedies
version_added: 1.0.0
description:
  - Compares what a host's diagnosis finds now with what the interrupted remedies were to resolve. A
    remedy has helped if its findings were checked again and are gone, and nothing else has failed
    since. Its restore point is disarmed then.
  - Whatever was not checked counts as not resolved, and is restored.
positional: _input
options:
  _input:
    description:
      - The registered results of the host's diagnosis. The restore points are those of the finding
        C(host.restore_point.armed) or C(host.restore_point.failed) among them.
    type: list
    elements: dict
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Name what becomes of each restore point
  ansible.builtin.debug:
    msg: >-
      {{ [sergas_diagnose_health]
         | sergas.ops.resolved_restore_points }}
"""

RETURN = r"""
_value:
  description: For each of the restore points its C(name), its C(run), the C(state) that it is to
    get (V(disarmed) or V(restored)), the C(outcome) of its remedy (V(kept) or V(undone)), and
    whether it is a C(remedy) of the host's ledger.
  type: list
  elements: dict
"""

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import verdict

_POINTS = "host.restore_point."


def resolved_restore_points(results):
    """Return what becomes of each of the restore points; see the documentation."""
    every = [
        item
        for result in results
        if isinstance(result, dict)
        for item in verdict.findings_of([result]) or ()
    ]
    found = [item for item in every if not item["id"].startswith(_POINTS)]
    left = [item for item in every if item["id"] in (_POINTS + "armed", _POINTS + "failed")]
    resolved = []
    for point in left[0]["evidence"]["points"] if left else ():
        wanted = point["findings"]
        judged = verdict.judge(wanted, point["known"], found)
        # One that is restored in part has nothing left to keep.
        helped = bool(wanted and judged["good"] and not point["errors"])
        resolved.append(
            {
                "name": point["name"],
                "run": point["run"],
                "state": "disarmed" if helped else "restored",
                "outcome": "kept" if helped else "undone",
                "remedy": point["remedy"],
            }
        )
    return resolved


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"resolved_restore_points": resolved_restore_points}
