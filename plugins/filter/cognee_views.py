# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cognee_views
short_description: Combine what other hosts see of Cognee with what its own host sees
version_added: 1.0.0
description:
  - A service that answers on its own host and not to the hosts that use it is blocked; one that
    answers no host is down. No host can decide that alone.
positional: views
options:
  _input:
    description:
      - What M(sergas.ops.cognee_check) returned on Cognee's host.
    type: dict
    required: true
  views:
    description:
      - What M(sergas.ops.cognee_check) with C(view=reach) returned for the other hosts, the
        C(results) of a task with a loop. The C(item) of each is the name of the host.
      - Hosts without an answer are passed over.
    type: list
    elements: dict
    required: true
  clients:
    description:
      - The names of the hosts that must get through, unless their app uses another Cognee.
        Others only add information.
    type: list
    elements: str
    default: []
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Combine the views
  ansible.builtin.set_fact:
    cognee: "{{ here | sergas.ops.cognee_views(others.results, clients=groups['sergas_app']) }}"
"""

RETURN = r"""
_value:
  description: The result of Cognee's host, with the findings as they are for all hosts together.
  type: dict
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.module_utils._cognee import views as cognee_view_rules


def cognee_views(result, views, clients=()):
    """Return a result of cognee_check with the views of other hosts; see DOCUMENTATION."""
    if not isinstance(result, dict) or not isinstance(views, list):
        raise AnsibleFilterError(
            "cognee_views combines a result of cognee_check with a list of results"
        )
    if not isinstance(result.get("findings"), list) or "identity" not in result:
        # It was skipped, failed or was not reachable: the report says so.
        return result
    seen = [
        {
            "from": str(view.get("item", "")),
            "queried": view.get("item") in clients,
            "client": view.get("item") in clients and not view.get("uses_own"),
            "target": view.get("target"),
            "reachable": bool(view["reachable"]),
            "error_kind": view.get("error_kind"),
            "identity": view["identity"],
        }
        for view in views
        if isinstance(view, dict) and "reachable" in view and "identity" in view
    ]
    return cognee_view_rules.merge(result, seen)


class FilterModule:
    """The filter, by its name."""

    def filters(self):
        """Return {name: function}."""
        return {"cognee_views": cognee_views}
