# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""bounds_for_failures: choose what bounds the calls that fail most."""

from __future__ import annotations

DOCUMENTATION = r"""
name: bounds_for_failures
short_description: Choose what bounds the calls that fail most
version_added: 1.0.0
description:
  - Chooses, by what the finding C(app.errors.rate) counts as failing most, the variables that bound
    what such calls cost the app.
positional: _input, by_kind
options:
  _input:
    description:
      - The finding. Its evidence counts what fails by kind, such as V(database.timeout).
    type: dict
    required: true
  by_kind:
    description:
      - For each kind the variables by name. A kind also stands for those below it.
    type: dict
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Limit the cost of failing calls
  sergas.ops.sergas_env:
    values: "{{ finding | sergas.ops.bounds_for_failures({'zoho': {'MAX_RETRY_ATTEMPTS': 5}}) }}"
"""

RETURN = r"""
_value:
  description: The variables to set, empty where nothing is known.
  type: dict
  sample: {MAX_RETRY_ATTEMPTS: 5}
"""


def bounds_for_failures(finding, by_kind):
    """Return {name: value} to set against what a finding derives from, {} where nothing is known.

    Args:
        finding: its evidence counts what fails by kind (``kinds``), such as ``database.timeout``.
        by_kind: {kind: {name: value}}; a kind also stands for those below it.
    """
    kinds = finding.get("evidence", {}).get("kinds") or {}
    common = sorted((kind for kind in kinds if kind != "other"), key=lambda kind: -kinds[kind])
    for kind in common[:1]:
        while kind:
            if kind in by_kind:
                return dict(by_kind[kind])
            kind = kind.rpartition(".")[0]
    return {}


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"bounds_for_failures": bounds_for_failures}
