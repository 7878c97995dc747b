# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""remediation_plan: decides on the controller which remedies which hosts get, and shows it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger
from ansible_collections.sergas.ops.plugins.plugin_utils import controller, inventory
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import (
    foreseen,
    plan,
    reading,
    show,
    verdict,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import (
    options as checked,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation.catalogue import CatalogueError
from ansible_collections.sergas.ops.plugins.plugin_utils.report import (
    gather,
    model,
    results,
    screen,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.report.targets import owners_of

display = Display()

_OPTIONS = (
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
    "skip_remedies",
    "supported_distributions",
)
_ROLE = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
    "roles",
    "remediate",
)


class ActionModule(ActionBase):
    """Runs once for the play, on the controller, and never connects to a host."""

    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Return the plan; fails for an option, a report or a remedy that cannot be."""
        del tmp
        result = super().run(task_vars=task_vars)
        given = self._task.args
        try:
            remedies, files = reading.read_catalogue(_directories(given.get("remedies_dir")))
            plan_options = plan_options_from(given, remedies)
            mode = self._mode(given)
            now = datetime.now(UTC)
            found, from_report = self._model(given, task_vars, now)
        except (checked.OptionError, CatalogueError) as error:
            raise AnsibleActionFail(str(error)) from error
        left, addresses = self._hosts(task_vars)
        planned = plan.make(
            found,
            remedies,
            self._contexts(task_vars, left),
            owners_of(addresses),
            plan_options,
            now,
        )
        _refuse_nonsense(planned, plan_options, found, addresses, from_report)
        applying = mode != "plan"
        acting = [name for batch in planned["batches"] for name in batch] if applying else []
        orders = _orders(planned, plan_options.approve)
        screen.show([("", None), *show.lines(planned, mode, screen.COLUMNS), ("", None)])
        result.update(planned)
        result.update(
            changed=False,
            run="%s-%d" % (times.compact(now.timestamp()), os.getppid()),
            by=controller.who(task_vars),
            mode=mode,
            from_report=from_report,
            files=files,
            acting=acting,
            orders=orders,
            schedule=_schedule(planned["batches"], orders) if applying else [],
            anchor_host=_anchor_host(left, acting),
            # A check run includes them, too: the verifications have not checked all of them.
            unhealthy_hosts=acting if mode == "check" else _unhealthy_hosts(found, acting, left),
            msg="%d remedies planned on %d hosts, %d held back" % _counts(planned),
        )
        return result

    def _mode(self, given):
        """Return what follows the plan: apply, check (nothing is changed by it) or plan."""
        if self._task.check_mode:
            return "check"
        return "apply" if checked.switch("sergas_apply", given.get("apply", False)) else "plan"

    def _model(self, given, task_vars, now):
        """Return the model of a report, and whether it is from a file."""
        path = given.get("report_file")
        if path:
            if not isinstance(path, str):
                checked.refuse("sergas_report_file", path, "the path of a report.json")
            path = os.path.abspath(os.path.expanduser(path))
            return reading.read_report("sergas_report_file", path), True
        hosts = gather.host_entries(task_vars, _registered(task_vars, given.get("results")))
        return model.build(
            hosts,
            generated_at=times.clock(now.timestamp()),
            version="",
            run={},
            fail_on="never",
            title="",
        ), False

    def _hosts(self, task_vars):
        """Return the names of the hosts that answer, and all of them with their addresses."""
        hostvars = task_vars["hostvars"]
        addresses = []
        left = []
        for name in task_vars["ansible_play_hosts_all"]:
            variables = hostvars.raw_get(name)
            known = inventory.known_as(hostvars, name, variables)
            addresses.append({"name": str(name), "addresses": sorted({*known, str(name)})})
            health = variables.get("sergas_diagnose_health")
            lost = isinstance(health, dict) and health.get("unreachable")
            if name in (task_vars.get("ansible_play_hosts") or ()) and not lost:
                left.append(str(name))
        return left, addresses

    def _contexts(self, task_vars, left):
        hostvars = task_vars["hostvars"]
        contexts = {}
        for name in left:
            variables = hostvars.raw_get(name)
            health = variables.get("sergas_diagnose_health")
            found = results.plain(health) if isinstance(health, dict) else {}
            contexts[name] = plan.HostContext(
                variables=frozenset(map(str, variables)),
                changes=changes_of(found),
                decided=decided_of(found),
                values=self._values(hostvars, variables, name),
                unchanged=foreseen.unchanged(
                    verdict.findings_of([found]) or (),
                    *(
                        results.plain(variables.get("__remediate_" + compared))
                        for compared in ("credentials", "requirements", "sessions")
                    ),
                ),
            )
        return contexts

    @staticmethod
    def _values(hostvars, variables, name):
        """Return {name: "" or a word} of the app's variables that the inventory has values for."""
        if "sergas_env_values" not in variables:
            return {}
        try:
            values = hostvars[name]["sergas_env_values"]
        except AnsibleError:
            # A vault that is not there: the remedy says so, once it needs it.
            return None
        if not isinstance(values, Mapping):
            return None
        return {str(key): "" if value in (None, "") else "set" for key, value in values.items()}


def changes_of(health):
    """Return the entries of a host's ledger that its diagnosis has read, complete."""
    given = health.get("changes") if isinstance(health, dict) else None
    known = [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list) else []
    # The host takes a run to be at work until its lease ends. Here its process would be seen.
    entries = [
        dict(entry, outcome="interrupted")
        if entry.get("outcome") == "begun" and controller.is_dead(entry.get("controller"))
        else entry
        for entry in known
    ]
    lines = "\n".join(map(json.dumps, entries))
    return tuple(ledger.parse(lines.encode())[0])


def decided_of(health):
    """Return what traffic has decided on a host by its diagnosis, as far as it can be used."""
    given = health.get("decided")
    return tuple(
        one
        for one in (given if isinstance(given, list) else ())
        if isinstance(one, dict)
        and one.get("outcome") in ("kept", "failed")
        and all(isinstance(one.get(key), list) for key in ("findings", "before"))
    )


def plan_options_from(given, remedies):
    """Return the ``plan.PlanOptions`` of the task's arguments.

    Raises:
        OptionError: names the option, its value and what is allowed.
    """
    for name in given:
        if name not in _OPTIONS:
            raise checked.OptionError(
                "%s: there is no such option, there are: %s" % (name, ", ".join(_OPTIONS))
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


def _registered(task_vars, given):
    """Return the names of the registered results that hold findings: those given, or all that the
    parts of role diagnose have registered.
    """
    if given:
        return given
    found = {"sergas_diagnose_health": None}
    for name in task_vars["ansible_play_hosts_all"]:
        for variable, value in task_vars["hostvars"].raw_get(name).items():
            if variable.startswith("sergas_diagnose_") and isinstance(value, dict):
                found[str(variable)] = None
    return list(found)


def _directories(own):
    """Return where remedies are: those of the role, and those of the user's own directory."""
    directories = [(os.path.join(_ROLE, "remedies"), os.path.join(_ROLE, "tasks", "remedies"))]
    if own:
        if not isinstance(own, str) or not own.strip():
            checked.refuse("sergas_remedies_dir", own, "the path of a directory")
        own = os.path.abspath(os.path.expanduser(own))
        directories.append((own, os.path.join(own, "tasks")))
    return directories


def _refuse_nonsense(planned, plan_options, found, addresses, from_report):
    """Fail for an approval of what nothing planned, and for a report on hosts that are all gone."""
    unused = plan.unused_approvals(planned, plan_options.approve)
    if unused:
        names = sorted({entry["remedy"] for entry in planned["entries"]})
        raise AnsibleActionFail(
            "sergas_approve: %s approves nothing, for nothing needs it; planned %s"
            % (", ".join(unused), "are: " + ", ".join(names) if names else "is nothing")
        )
    known = {host["name"] for host in addresses}
    if from_report and not any(host["name"] in known for host in found["hosts"]):
        raise AnsibleActionFail(
            "sergas_report_file: none of its hosts (%s) is a host of this run"
            % ", ".join([host["name"] for host in found["hosts"]][:10])
        )


def _orders(planned, approved):
    """Return {host: its entries that nothing holds back}, with what carrying them out needs."""
    return {
        name: [
            dict(
                entry,
                batch=number,
                resolves_points=plan.resolves_points(entry),
                approved=entry["remedy"] in approved,
                more=plan.has_more(entry, planned["entries"]),
            )
            for entry in planned["entries"]
            if entry["host"] == name and plan.is_ready(entry)
        ]
        for number, batch in enumerate(planned["batches"])
        for name in batch
    }


def _schedule(batches, orders):
    """Return the batches, each with its hosts and the turns in which they get their remedies."""
    return [
        {
            "hosts": batch,
            "turns": plan.turns(
                {name: [order["remedy"] for order in orders[name]] for name in batch}
            ),
        }
        for batch in batches
    ]


def _anchor_host(left, acting):
    """Return the name of a host that nothing is done on, and that cannot be lost by it therefore.

    A play ends with all that follows it when it has lost all of its hosts.
    """
    return next((name for name in left if name not in acting), "localhost")


def _unhealthy_hosts(found, acting, left):
    """Return the names of the hosts to check again: those acted on, and all with root causes.

    Where nothing is done, nothing changes.
    """
    if not acting:
        return []
    bad = {host["name"] for host in found["hosts"] if host["roots"] or host["name"] in acting}
    return [name for name in left if name in bad]


def _counts(planned):
    ready = [entry for entry in planned["entries"] if plan.is_ready(entry)]
    return (
        len(ready),
        len({entry["host"] for entry in ready}),
        len(planned["entries"]) - len(ready),
    )
