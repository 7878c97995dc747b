# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cognee_action: decide what makes Cognee ready again. Pure."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cognee_action
short_description: Decide what makes Cognee ready again
version_added: 1.0.0
description:
  - Decides from the state that M(sergas.ops.cognee_check) returned, so that a run that was
    interrupted and the next one come to the same.
positional: _input
options:
  _input:
    description:
      - What M(sergas.ops.cognee_check) returned on Cognee's host.
    type: dict
    required: true
  port_will_be_free:
    description:
      - Whether another service that has the port now would be stopped before, as a check run
        predicts it.
    type: bool
    default: false
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Show what would be done
  ansible.builtin.debug:
    msg: "{{ cognee | sergas.ops.cognee_action }}"
"""

RETURN = r"""
_value:
  description: What to do with the container or the unit. V(wait) means that it is starting already.
  type: str
  choices: [none, unpause, start, restart, wait]
"""


def cognee_action(result, port_will_be_free=False):
    """Return what makes Cognee ready again; see DOCUMENTATION."""
    foreign = result["identity"] in ("other", "cognee-mcp", "redirect")
    if result["ready"] or (foreign and not port_will_be_free):
        return "none"
    container = result.get("container") or {}
    if container.get("state") == "paused":
        return "unpause"
    if container and not container.get("running", True):
        return "start"
    if container.get("health") == "starting":
        return "wait"
    # Without a container it is a unit: one that answers anything, or hangs, runs.
    runs = container or result["reachable"] or result["error_kind"] in ("hung", "closed")
    return "restart" if runs else "start"


class FilterModule:
    """The filter."""

    def filters(self):
        """Return {name: function}."""
        return {"cognee_action": cognee_action}
