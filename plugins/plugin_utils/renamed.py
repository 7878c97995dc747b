# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an inventory or a remedy's metadata may still name as before, and what it is named now: the
same as in the upgrade notes.
"""

from __future__ import annotations

from collections.abc import Container

#: Variables of the inventory: {old name: new name}.
VARIABLES = {
    "sergas_app_mend_variables": "sergas_app_repair_variables",
    "sergas_app_patience": "sergas_app_wait_timeout",
    "sergas_cognee_patience": "sergas_cognee_wait_timeout",
}
#: Keys of a remedy's metadata: {old key: what it is given as now}.
REMEDY_KEYS = {
    "follows": "after_dependencies",
    "proof": "verification",
    "risk": "impact (none, reload, restart, disruptive) and reversible (true or false)",
    # Of what was named proof.
    "verification.patience": "verification.timeout",
}
#: Findings that a remedy may answer: {old id: its new ids}.
FINDINGS = {
    "app.resources.exhausted": (
        "app.files.exhausted",
        "app.tasks.exhausted",
        "app.pool.exhausted",
    ),
    "security.ban.innocent": ("security.ban.legitimate_client",),
    "security.jail.blind": ("security.jail.no_input",),
}


def refusal(variables: Container[str]) -> str | None:
    """Return why a host's variables are refused, or ``None``.

    Args:
        variables: those of a host, by name.
    """
    named = ["%s is named %s now" % pair for pair in VARIABLES.items() if pair[0] in variables]
    return "rename it where it is set: " + ", ".join(named) if named else None
