# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""verified_restore_points: which restore points of interrupted remedies are not needed any more."""

from __future__ import annotations

DOCUMENTATION = r"""
name: verified_restore_points
short_description: Tell which interrupted remedies have helped
version_added: 1.0.0
description:
  - Compares what a host's diagnosis finds now with what the interrupted remedies were to resolve. A
    remedy has helped if its findings were checked again and are gone, and nothing else has failed
    since.
  - Whatever was not checked counts as not resolved.
positional: _input, results
options:
  _input:
    description:
      - The C(evidence.points) of the finding C(host.restore_point.armed).
    type: list
    elements: dict
    required: true
  results:
    description:
      - The registered results of the host's diagnosis.
    type: list
    elements: dict
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Name the restore points that may be disarmed
  ansible.builtin.debug:
    msg: >-
      {{ (sergas_health.findings | selectattr('id', 'eq', 'host.restore_point.armed') | first).evidence.points
         | sergas.ops.verified_restore_points([sergas_health]) }}
"""

RETURN = r"""
_value:
  description: The names of the restore points.
  type: list
  elements: str
"""

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import verdict


def verified_restore_points(points, results):
    """Return the names of the restore points; see the documentation."""
    found = [
        item
        for result in results
        if isinstance(result, dict)
        for item in verdict.findings_of([result]) or ()
        if not item["id"].startswith("host.restore_point.")
    ]
    return [
        point["name"]
        for point in points
        if point["findings"] and verdict.judge(point["findings"], point["known"], found)["good"]
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"verified_restore_points": verified_restore_points}
