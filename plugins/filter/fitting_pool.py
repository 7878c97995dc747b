# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fitting_pool: calculate the largest pool that fits the database."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fitting_pool
short_description: Calculate the largest pool that fits the database
version_added: 1.0.0
description:
  - Calculates how large the pool of connections of each of the app's workers may be, so that all of
    them together fit the slots of the database and a tenth of them stays free for others.
positional: _input, hosts
options:
  _input:
    description:
      - The findings of M(sergas.ops.sergas_health) of the checks C(resources) and C(database).
    type: list
    elements: dict
    required: true
  hosts:
    description:
      - How many hosts like this one share the database.
    type: int
    default: 1
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Fit the pool of the app to its database
  sergas.ops.sergas_env:
    values: "{{ health.findings | sergas.ops.fitting_pool(hosts=2) }}"
"""

RETURN = r"""
_value:
  description: The variables to set, empty if the current pool fits.
  type: dict
  sample: {DATABASE_POOL_SIZE: 6, DATABASE_MAX_OVERFLOW: 4}
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.plugin_utils import pools


def fitting_pool(findings, hosts=1):
    """Return {name: value} of the largest pool that fits the database, {} if the current one does.

    Args:
        findings: of ``sergas_health``; those of the check ``resources`` have in their evidence what
            the app may open and what the database has.
        hosts: how many hosts like this one share the database.

    Raises:
        AnsibleFilterError: not even one connection for each worker fits.
    """
    found = [item["evidence"] for item in findings if item["evidence"].get("slots")]
    found = [evidence for evidence in found if "pool_size" in evidence]
    if not found:
        return {}
    numbers = {name: found[0][name] for name in ("workers", "pool_size", "max_overflow")}
    numbers["celery_workers"] = found[0].get("celery_workers", 0)
    rows = {"%04d" % number: numbers for number in range(int(hosts))}
    result = pools.budget(rows, found[0]["slots"])
    if result["fits"]:
        return {}
    fit = result["hosts"][0]["fit"]
    if fit is None:
        raise AnsibleFilterError(
            "%d hosts with %d workers and %d Celery workers each leave not even one connection for"
            " each worker within the %d that the database has: run fewer workers"
            % (hosts, numbers["workers"], numbers["celery_workers"], found[0]["slots"])
        )
    return {
        pools.VARIABLES["pool_size"]: fit["pool_size"],
        pools.VARIABLES["max_overflow"]: fit["max_overflow"],
    }


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"fitting_pool": fitting_pool}
