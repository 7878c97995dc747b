# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""variables_to_set: choose the variables that are to be set."""

from __future__ import annotations

DOCUMENTATION = r"""
name: variables_to_set
short_description: Choose the variables that are to be set
version_added: 1.0.0
description:
  - Chooses, of the values that are known, those of the variables missing in a C(.env). Of
    alternatives, the first one with a value is chosen.
positional: _input, missing
options:
  _input:
    description:
      - The values that are known, by name.
    type: dict
    required: true
  missing:
    description:
      - The variables, as for P(sergas.ops.variables_without_value#filter). If none is named, all
        values are chosen.
    type: list
    elements: str
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Set what is missing
  sergas.ops.sergas_env:
    values: "{{ sergas_env_values | sergas.ops.variables_to_set(missing) }}"
"""

RETURN = r"""
_value:
  description: The values to set, by name.
  type: dict
  sample: {DATABASE_NAME: sergas_prod}
"""

from ansible_collections.sergas.ops.plugins.plugin_utils import app_variables


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"variables_to_set": app_variables.variables_to_set}
