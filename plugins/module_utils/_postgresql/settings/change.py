# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings a server to its settings: observe, plan, validate, write, reload, verify, restart.

What has to be done is decided in ``plan``; each step is in a separate module.
"""

from __future__ import annotations

import os

from ansible_collections.sergas.ops.plugins.module_utils._core import errors
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    calculation as calculations,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    cluster as clusters,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    conf,
    owned_file,
    result,
    stopped,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import plan as plans
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.plan import (
    SettingsError,
)
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.restart import Restart
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.running import Server
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.validation import (
    validate,
)


@errors.reported()
def run(params, check_mode):
    """Do what the module's options say and return its result.

    Raises:
        SettingsError, ValueError, cluster.ClusterError, cluster.ProgramFailed, PostgresError,
        DeadlineExceeded: with a message for the person who runs it.
    """
    deadline = Deadline(params["deadline"])
    if params["state"] == "calculated":
        cluster = calculations.locate_for_calculation(params, deadline)
        return _calculated(params, cluster, deadline)
    cluster = clusters.locate(
        params["version"],
        params["cluster"],
        params["login_port"],
        params["data_directory"],
        params["service"],
        deadline,
    )
    name = params["filename"]
    if "/" in name or name.startswith(".") or not name.endswith(".conf"):
        raise SettingsError(
            "the server reads no file named %s: it needs a plain name that ends in .conf" % name
        )
    return Run(params, cluster, deadline).carry_out(check_mode)


def _control_data(cluster, deadline):
    """Return pg_controldata's lines; none where they cannot be read."""
    if cluster is None:
        return {}
    try:
        return clusters.control_data(cluster, deadline)
    except (clusters.ProgramFailed, OSError):
        return {}


def _calculated(params, cluster, deadline):
    pid = clusters.pid_of(cluster.data_directory) if cluster else None
    calculation = calculations.calculate(params, cluster, _control_data(cluster, deadline), pid)
    wanted = plans.wanted_settings(calculation.settings, params["settings"])
    return result.calculated(calculation, wanted)


class Run:
    """One run against one cluster."""

    def __init__(self, params, cluster, deadline):
        self._params = params
        self._cluster = cluster
        self._deadline = deadline
        self._auto_file = os.path.join(cluster.data_directory, "postgresql.auto.conf")
        self._file = owned_file.OwnedFile(cluster.config_file, params["filename"])
        self._server = Server(params, cluster, self._file, deadline)
        self._candidate = clusters.Candidate(cluster, deadline)

    def carry_out(self, check_mode):
        """Return the module's result; nothing is touched in check mode."""
        params, cluster = self._params, self._cluster
        pid = clusters.pid_of(cluster.data_directory)
        self._refuse_faults()
        if pid is None:
            state, live = None, stopped.live(self._candidate, cluster, self._deadline)
        else:
            state, live = self._server.observe()
        control_data = _control_data(cluster, self._deadline)
        calculation, wanted, warnings = self._requested(control_data, pid, state)
        plan = plans.make(
            self._file.path,
            cluster.config_file,
            self._auto_file,
            wanted,
            calculation.about if calculation else [],
            live,
            owned_file.read,
            owned_file.names,
            params["tolerance"] / 100.0,
        )
        unvalidated = validate(plan, live, cluster, self._candidate, control_data, self._deadline)
        found = result.of_plan(plan, live, wanted, cluster, params["allow_restart"])
        found = {
            **result.of_calculation(calculation),
            **found,
            "driver": self._server.driver,
            "warnings": warnings + found["warnings"],
            "unvalidated": unvalidated + found["unvalidated"],
        }
        if not check_mode:
            found["pending_restart"] = self._apply(plan, live, state, found)
        return found

    def _refuse_faults(self):
        tree = conf.Tree(
            self._cluster.config_file, self._auto_file, owned_file.read, owned_file.names
        )
        faults = [fault for fault in tree.faults if fault.path != self._file.path]
        if faults:
            raise SettingsError(
                "the configuration has errors already, so that the server would not take a"
                " change: %s" % "; ".join("%s line %s: %s" % fault for fault in faults[:5])
            )

    def _requested(self, control_data, pid, state):
        """Return (``calculation.Calculation`` or None, {name: ``plan.Wanted``}, warnings)."""
        params = self._params
        if params["state"] == "absent":
            return None, {}, []
        calculation, settings, warnings = None, [], []
        if params["tune"]:
            calculation = calculations.calculate(params, self._cluster, control_data, pid)
            settings, warnings = calculations.for_this_server(
                calculation.settings,
                self._candidate.refusals,
                calculations.kernel_has_io_uring(),
            )
            warnings = calculation.warnings + warnings
        wanted = plans.wanted_settings(settings, params["settings"])
        if self._is_standby(state):
            wanted, refused = plans.standby_floor(wanted, control_data)
            if refused:
                raise SettingsError("; ".join(refused))
        return calculation, wanted, warnings

    def _is_standby(self, state):
        if state is not None:
            return state["standby"]
        return os.path.exists(os.path.join(self._cluster.data_directory, "standby.signal"))

    def _apply(self, plan, live, state, found):
        """Carry the plan out; return the names of the settings that still wait for a restart."""
        self._file.write(plan)
        if not live.running:
            self._file.remove_backup()
            return found["pending_restart"]
        if plan.before != plan.after or plan.main_before != plan.main_after:
            self._server.check_files(plan)
        if plan.reload:
            self._server.reload(plan, state)
        if found["restarted"]:
            params = self._params
            Restart(
                self._cluster,
                self._server,
                self._file,
                params["restart_timeout"],
                params["deadline"],
            ).run(plan)
            self._server.verify_restart(plan)
        pending = self._server.pending_restart()
        if found["restarted"] or not set(pending) & set(plan.restart):
            self._file.remove_backup()
        return pending
