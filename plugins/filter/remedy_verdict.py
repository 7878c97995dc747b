# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""remedy_verdict: whether a remedy has helped, by the same probe before and after."""

from __future__ import annotations

DOCUMENTATION = r"""
name: remedy_verdict
short_description: Tell whether a remedy has helped
version_added: 1.0.0
description:
  - Compares what a probe found before a remedy with what it finds now.
  - It has helped if the findings that it answers are gone and nothing else has failed anew. What
    only came to light because they are gone, such as a wrong password behind a database that was
    down, is not held against it.
positional: _input
options:
  _input:
    description:
      - The registered results of the probe, as a list. Those of skipped tasks may be among them.
    type: list
    elements: dict
    required: true
  wanted:
    description:
      - The ids of the findings that should be gone.
    type: list
    elements: str
    required: true
  before:
    description:
      - The ids of the bad findings before the remedy, whose trouble is not its doing.
    type: list
    elements: str
    default: []
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Has the start of the database helped?
  ansible.builtin.debug:
    msg: >-
      {{ [sergas_diagnose_health]
         | sergas.ops.remedy_verdict(wanted=['db.unreachable'], before=earlier.roots) }}
"""

RETURN = r"""
_value:
  description: The verdict.
  type: dict
  contains:
    good:
      description: Whether it has helped, and nothing is worse.
      type: bool
    gone:
      description: Whether the wanted findings are gone, whatever else there is.
      type: bool
    reason:
      description: Why, as a sentence.
      type: str
    findings:
      description: What the probe found.
      type: list
      elements: dict
"""

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import verdict


def remedy_verdict(results, wanted, before=()):
    """Return the verdict on a remedy; see the documentation."""
    after = verdict.findings_of(results)
    return dict(verdict.judge(wanted, before or (), after), findings=after or [])


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"remedy_verdict": remedy_verdict}
