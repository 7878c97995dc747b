# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""restore_point: run the module, and keep the host's lock while a point is armed."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.sergas.ops.plugins.plugin_utils import controller, host_lock


class ActionModule(ActionBase):
    """Says which run arms a point, and which process that is."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Return the module's result."""
        result = super().run(tmp, task_vars)
        del tmp
        args = dict(self._task.args)
        plan = task_vars.get("sergas_remediation_plan")
        planned = plan.get("run") if isinstance(plan, dict) else None
        args["run"] = args.get("run") or planned or controller.run_name()
        if args.get("state") == "armed":
            args["by"] = args.get("by") or controller.who(task_vars)
            args["controller"] = args.get("controller") or controller.identity()
        result.update(host_lock.execute(self, args, task_vars))
        return result
