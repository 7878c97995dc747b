# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sergas_health: run the module as one lean program where pipelining allows, else as any module."""

from __future__ import annotations

import time

from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sergas.ops.plugins.module_utils._core import options
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import clock
from ansible_collections.sergas.ops.plugins.module_utils._health.runner import RANGES
from ansible_collections.sergas.ops.plugins.modules.sergas_health import ARGUMENT_SPEC
from ansible_collections.sergas.ops.plugins.plugin_utils import program, renamed, run_scope

display = Display()

_ENTRY = "module_utils._health.checks"
_PATHS = [name for name, option in ARGUMENT_SPEC.items() if option["type"] == "path"]  # type: ignore[index]
# The strategy imports this plugin before it forks: its workers find the sources read.
program.halves(_ENTRY)


class ActionModule(ActionBase):
    """Validates on the controller and costs the host one start of Python."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Return the module's result, whichever way it ran."""
        result = super().run(tmp, task_vars)
        del tmp
        refusal = renamed.refusal(task_vars)
        if refusal:
            return dict(result, failed=True, msg=refusal)
        network_os = self._templar.template(task_vars.get("ansible_network_os"))
        device = run_scope.device(self._play_context.connection, network_os)
        if device:
            return dict(result, failed=True, device=True, msg=device)
        found = None
        # Compared with the host's clock, whose diagnosis must not wait for another connection.
        self._given = {"controller_time": time.time(), **self._task.args}
        started = time.monotonic()
        if self._is_pipelining_enabled("new", bool(self._task.async_val)):
            found = self._run_program(task_vars)
        if found is None:
            found = self._execute_module(
                module_args=self._given, task_vars=task_vars, wrap_async=self._task.async_val
            )
        if isinstance(found.get("findings"), list):
            found = clock.corrected(found, time.monotonic() - started)
        result.update(found)
        return result

    def _run_program(self, task_vars):
        """Return the result of the program; None where the host's Python did not run it to its
        end: the module then tells why.
        """
        try:
            options.check(self._task.args, ARGUMENT_SPEC, RANGES)
        except InvalidValue as error:
            return {"failed": True, "msg": str(error)}
        validated, params = self.validate_argument_spec(ARGUMENT_SPEC)
        if params["controller_time"] is None:
            params["controller_time"] = self._given["controller_time"]
        paths = [name for name in _PATHS if params[name] is not None]
        # Not what validating made of it: ``~`` is another directory on the controller.
        params.update({name: str(self._task.args[name]) for name in paths})
        done = self._low_level_execute_command(
            "%s %s %s"
            % (self._compute_environment_string(), self._interpreter(task_vars), program.COMMAND),
            in_data=program.pack(_ENTRY, params, paths),
        )
        found = program.result(done["stdout"])
        if found is None:
            display.vv("sergas_health: run as a module, since: %s" % done["stderr"].strip()[-500:])
            return None
        secrets = validated._no_log_values
        return remove_values(found, secrets) if secrets else found

    def _interpreter(self, task_vars):
        """Return the Python that the inventory names, or that was discovered, or ``python3``."""
        named = self._templar.template(task_vars.get("ansible_python_interpreter"))
        if named and not named.startswith("auto"):
            return named
        facts = task_vars.get("ansible_facts") or {}
        return facts.get("discovered_interpreter_python") or "python3"
