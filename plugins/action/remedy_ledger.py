# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""remedy_ledger: run the module, and keep the host's lock for as long as the run lives."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from ansible_collections.sergas.ops.plugins.plugin_utils import controller, host_lock


class ActionModule(ActionBase):
    """Says which process the run is, for others on the same controller."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Return the module's result."""
        result = super().run(tmp, task_vars)
        del tmp
        args = dict(self._task.args)
        if args.get("state") == "begun":
            args.setdefault("by", controller.who(task_vars))
            args.setdefault("host", task_vars.get("inventory_hostname"))
            if not args.get("controller"):
                args["controller"] = controller.identity()
        result.update(host_lock.execute(self, args, task_vars))
        return result
