# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""database_login: which database of a host the apps use."""

from __future__ import annotations

DOCUMENTATION = r"""
name: database_login
short_description: Return the port and the name of the database of a host that the apps use
version_added: 1.0.0
description:
  - Returns what the app of the host itself uses, if its database is on the host, else what the apps
    use whose settings name the host. It is what M(sergas.ops.sergas_health) found on them.
  - Apps that use different databases of the host leave open what differs.
positional: _input, host, apps
options:
  _input:
    description:
      - C(hostvars), with the results of the diagnosis.
    type: dict
    required: true
  host:
    description:
      - The name of the database host.
    type: str
    required: true
  apps:
    description:
      - The names of the hosts of the app.
    type: list
    elements: str
    default: []
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Show which database the apps use
  ansible.builtin.debug:
    msg: "{{ hostvars | sergas.ops.database_login(inventory_hostname, groups['sergas_app']) }}"
"""

RETURN = r"""
_value:
  description: The port and the name, each empty where it is not known.
  type: dict
  sample: {port: 5433, name: crm}
"""

from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.plugin_utils import inventory

_KEYS = ("port", "name")


def database_login(hostvars, host, apps=()):
    """Return the port and the name of the database of a host; see DOCUMENTATION."""
    own = _database(hostvars, host)
    if own and _is_here(own["host"]):
        found = [own]
    else:
        known = {addresses.same(name) for name in (host, *inventory.known_as(hostvars, host))}
        used = [_database(hostvars, app) for app in (host, *apps)]
        found = [one for one in used if one and addresses.same(one["host"]) in known]
    result = {}
    for key in _KEYS:
        values = {one[key] for one in found if one[key]}
        result[key] = values.pop() if len(values) == 1 else ""
    return result


def _database(hostvars, host):
    """Return what the diagnosis of a host says of the database of its app, or None."""
    result = inventory.read(hostvars, host, ("sergas_diagnose_health",))["sergas_diagnose_health"]
    app = result.get("app") if isinstance(result, dict) else None
    database = app.get("database") if isinstance(app, dict) else None
    return database if isinstance(database, dict) and database.get("host") else None


def _is_here(host):
    return host.startswith("/") or addresses.is_loopback(host)


class FilterModule:
    """The filter."""

    def filters(self):
        """Return {name: function}."""
        return {"database_login": database_login}
