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
from ansible_collections.sergas.ops.plugins.plugin_utils import controller, inventory, run_scope
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import (
    arguments,
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

#: Reasons of a failed diagnosis that are the inventory's or the controller's.
_UNCHANGED = ("undefined", "plugin", "left_out", "ssh_client", "become_password", "no_become")
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
            run_scope.found(task_vars["hostvars"], given.get("scope"))
        except ValueError as error:
            return dict(result, failed=True, msg=str(error))
        try:
            remedies, files = reading.read_catalogue(_directories(given.get("remedies_dir")))
            plan_options = arguments.plan_options(given, remedies)
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
        _refuse_foreign_report(found, addresses, from_report)
        applying = mode != "plan"
        acting = [name for batch in planned["batches"] for name in batch] if applying else []
        orders = _orders(planned, plan_options.approve)
        screen.show([("", None), *show.lines(planned, mode, screen.COLUMNS)])
        screen.show([*_unused_approvals(planned, plan_options), ("", None)])
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
            anchor_host=_anchor_host(found, left, acting),
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


def _unused_approvals(planned, plan_options):
    """Return the line on remedies that are approved and that nothing needs, as a list.

    It is no error: what is approved for a fleet is not needed in each run.
    """
    unused = plan.unused_approvals(planned, plan_options.approve)
    text = "Note: sergas_approve: nothing needs %s." % ", ".join(unused)
    return [(text, None)] if unused else []


def _refuse_foreign_report(found, addresses, from_report):
    """Fail for a report on hosts that are all gone."""
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


def _anchor_host(found, left, acting):
    """Return the name of a host that nothing is done on, and that cannot be lost by it therefore.

    A play ends with all that follows it when it has lost all of its hosts. One whose connection
    cannot even be made is lost with the first task.
    """
    never = _never_reached(found)
    usable = (name for name in left if name not in acting and name not in never)
    return next(usable, "localhost")


def _never_reached(found):
    """Return the names of the hosts that no task of this run can reach, by how they were diagnosed:
    nothing that is done on others changes that.
    """
    return {
        host["name"]
        for host in found["hosts"]
        if not host["diagnosed"]
        # An older report has no reasons.
        and all((item.get("reason") or "").split(":")[0] in _UNCHANGED for item in host["findings"])
    }


def _unhealthy_hosts(found, acting, left):
    """Return the names of the hosts to check again: those acted on, and all with root causes.

    Where nothing is done, nothing changes.
    """
    if not acting:
        return []
    bad = {host["name"] for host in found["hosts"] if host["roots"] or host["name"] in acting}
    return [name for name in left if name in bad - _never_reached(found)]


def _counts(planned):
    ready = [entry for entry in planned["entries"] if plan.is_ready(entry)]
    return (
        len(ready),
        len({entry["host"] for entry in ready}),
        len(planned["entries"]) - len(ready),
    )
