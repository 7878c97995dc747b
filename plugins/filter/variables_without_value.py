# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""variables_without_value: name the variables that no value is known for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: variables_without_value
short_description: Name the variables that no value is known for
version_added: 1.0.0
description:
  - Returns those of the variables missing in a C(.env) that cannot be set, since no value is known.
positional: _input, values
options:
  _input:
    description:
      - The variables, as C(NAME) or C(NAME|ALTERNATIVE). What follows in brackets is a reason, and
        does not matter.
    type: list
    elements: str
    required: true
  values:
    description:
      - The values that are known, by name.
    type: dict
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Require a value for each missing variable
  ansible.builtin.assert:
    that: missing | sergas.ops.variables_without_value(sergas_env_values) | length == 0
"""

RETURN = r"""
_value:
  description: The variables without a value.
  type: list
  elements: str
  sample: [DATABASE_NAME]
"""

from ansible_collections.sergas.ops.plugins.plugin_utils import app_variables


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"variables_without_value": app_variables.variables_without_value}
