# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of the inventory that have another name now."""

from __future__ import annotations

from collections.abc import Container

#: {old name: new name}, the same as in the upgrade notes.
VARIABLES = {
    "sergas_app_mend_variables": "sergas_app_repair_variables",
    "sergas_app_patience": "sergas_app_wait_timeout",
    "sergas_cognee_patience": "sergas_cognee_wait_timeout",
}


def refusal(variables: Container[str]) -> str | None:
    """Return why a host's variables are refused, or ``None``.

    Args:
        variables: those of a host, by name.
    """
    named = ["%s is named %s now" % pair for pair in VARIABLES.items() if pair[0] in variables]
    return "rename it where it is set: " + ", ".join(named) if named else None
