# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much more an app is to be throttled than it is. Pure: plain values in and out."""

from __future__ import annotations

DOCUMENTATION = r"""
name: throttle_changes
short_description: Return the variables that throttle an app more than its .env does
version_added: 1.0.0
description:
  - Of the variables that limit an app's calls of Zoho, returns those that are missing in its
    C(.env), or have a number there that allows more.
  - A number of the app that is stricter than the wanted one stays.
positional: _input
options:
  _input:
    description:
      - The app's variables as they are, for example RV(sergas.ops.sergas_env#module:current) of a
        run in check mode.
    type: dict
    required: true
  wanted:
    description: The variables and their values.
    type: dict
    required: true
author:
  - Sergas DevOps (@sergas-ops)
"""

EXAMPLES = r"""
- name: Read the app's limits
  sergas.ops.sergas_env:
    values: &wanted
      RATE_LIMIT_PER_MINUTE: 50
  check_mode: true
  register: throttled

- name: Throttle the app
  sergas.ops.sergas_env:
    values: "{{ throttled.current | sergas.ops.throttle_changes(wanted) }}"
  vars:
    wanted: *wanted
"""

RETURN = r"""
_value:
  description: The variables to set.
  type: dict
"""

#: The number that bothers Zoho less, of two: the lower or the higher one.
_LESS = {
    "RATE_LIMIT_PER_MINUTE": min,
    "REDIS_CACHE_TTL": max,
    "CACHE_TTL": max,
    "ZOHO_BATCH_SIZE": max,
    "ZOHO_BATCH_DELAY": max,
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD": min,
    "CIRCUIT_BREAKER_RECOVERY_TIMEOUT": max,
    "MAX_RETRY_ATTEMPTS": min,
    "MAX_CONCURRENT_ACCOUNTS": min,
    "CELERY_WORKER_CONCURRENCY": min,
}


def throttle_changes(present, wanted):
    """Return {name: value} to set; see the documentation."""
    return {
        name: value
        for name, value in wanted.items()
        if not _is_as_strict(present.get(name), value, _LESS.get(name))
    }


def _is_as_strict(present, wanted, less):
    if less is None:
        return False
    try:
        present, wanted = float(present), float(wanted)
    except (TypeError, ValueError):
        return False
    return less(present, wanted) == present


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Return {name: filter}."""
        return {"throttle_changes": throttle_changes}
