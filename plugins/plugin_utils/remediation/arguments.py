# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arguments of ``remediation_plan``, as options of a plan. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import options as checked
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import plan

OPTIONS = (
    "apply",
    "approve",
    "batches",
    "cooldown",
    "maintenance_window",
    "max_share",
    "remedies",
    "remedies_dir",
    "repeat_hours",
    "repeat_times",
    "report_file",
    "results",
    "scope",
    "skip_remedies",
    "supported_distributions",
)
#: Those that ``plan_options`` reads.
PLANNED = tuple(
    name
    for name in OPTIONS
    if name not in ("apply", "remedies_dir", "report_file", "results", "scope")
)


def plan_options(given: Mapping[str, Any], remedies: Collection[str]) -> plan.PlanOptions:
    """Return the ``plan.PlanOptions`` of the task's arguments.

    Raises:
        OptionError: names the option, its value and what is allowed.
    """
    for name in given:
        if name not in OPTIONS:
            raise checked.OptionError(
                "%s: there is no such option, there are: %s" % (name, ", ".join(OPTIONS))
            )
    return plan.PlanOptions(
        only=tuple(checked.names("sergas_remedies", given.get("remedies"), remedies)),
        skip=tuple(checked.names("sergas_skip_remedies", given.get("skip_remedies"), remedies)),
        approve=tuple(checked.names("sergas_approve", given.get("approve"), remedies)),
        max_share=checked.share("sergas_max_share", given.get("max_share")),
        batches=tuple(checked.batches("sergas_batches", given.get("batches"))),
        window=checked.maintenance_window(
            "sergas_maintenance_window", given.get("maintenance_window")
        ),
        cooldown=checked.number("sergas_cooldown", given.get("cooldown"), None, 0, 31 * 86400),
        repeat_times=checked.number("sergas_repeat_times", given.get("repeat_times"), 3, 0, 1000),
        repeat_hours=checked.number(
            "sergas_repeat_hours", given.get("repeat_hours"), 24, 1, 31 * 24
        ),
        supported_distributions=tuple(
            checked.distributions(
                "sergas_supported_distributions", given.get("supported_distributions")
            )
        ),
    )
