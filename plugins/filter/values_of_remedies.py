# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""values_of_remedies: what remedies of credentials would set on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: values_of_remedies
short_description: Name what remedies of credentials would set in the app's environment file
version_added: 1.0.0
description:
  - Returns what the remedies that answer a host's findings would set in the app's C(.env), of what
    the inventory has. Where that is what the host has already, they cannot help.
positional: _input, findings
options:
  _input:
    description:
      - The values of the inventory, C(sergas_env_values).
    type: dict
    required: true
  findings:
    description:
      - The findings of M(sergas.ops.sergas_health) on the host.
    type: list
    elements: dict
    required: true
  zoho:
    description:
      - The credentials of Zoho in the inventory - the client's id, its secret, the refresh token.
    type: list
    elements: str
    default: []
  cognee_key:
    description:
      - The key of Cognee in the inventory.
    type: str
    default: ""
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Name what would be set on the host
  ansible.builtin.set_fact:
    given: "{{ sergas_env_values | sergas.ops.values_of_remedies(health.findings) }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: The variables that each remedy would set, with their values.
  type: dict
  sample: {database_credentials: {DATABASE_PASSWORD: "********"}}
"""

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import is_bad

#: remedy: (the finding that it answers, the variables that it takes of the inventory's values)
_REMEDIES = {
    "database_credentials": (
        "db.auth.failed",
        (
            "DATABASE_HOST",
            "DATABASE_PORT",
            "DATABASE_NAME",
            "DATABASE_USER",
            "DATABASE_PASSWORD",
        ),
    ),
    "redis_credentials": ("redis.auth.failed", ("REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD")),
    "renew_cognee_key": ("cognee.auth", ("COGNEE_API_KEY",)),
    "zoho_credentials": (
        "zoho.token.invalid",
        ("ZOHO_SDK_CLIENT_ID", "ZOHO_SDK_CLIENT_SECRET", "ZOHO_SDK_REFRESH_TOKEN"),
    ),
}


def values_of_remedies(values, findings, zoho=(), cognee_key=""):
    """Return {remedy: {variable: value}}; see the documentation."""
    known = {
        "zoho_credentials": dict(zip(_REMEDIES["zoho_credentials"][1], zoho or (), strict=False)),
        "renew_cognee_key": {"COGNEE_API_KEY": cognee_key},
    }
    bad = {item["id"] for item in findings if is_bad(item)}
    found = {}
    for remedy, (id, names) in _REMEDIES.items():
        given = known.get(remedy, values)
        wanted = {name: given[name] for name in names if given.get(name) not in (None, "")}
        if id in bad and wanted:
            found[remedy] = wanted
    return found


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"values_of_remedies": values_of_remedies}
