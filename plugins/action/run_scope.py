# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""run_scope: decides which hosts a run is about, and refuses what cannot be before a host is
contacted.
"""

from __future__ import annotations

import json
from pathlib import Path

from ansible import context
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible.utils.display import Display

from ansible_collections.sergas.ops.plugins.modules import sergas_health
from ansible_collections.sergas.ops.plugins.plugin_utils import (
    inventory,
    renamed,
    run_scope,
    run_variables,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import arguments
from ansible_collections.sergas.ops.plugins.plugin_utils.report import results, screen

display = Display()

_COLLECTION = Path(__file__).resolve().parents[2]
_CHECKS = sergas_health.ARGUMENT_SPEC["checks"]["choices"]  # type: ignore[index]
_CHOICES = {"sergas_checks": _CHECKS, "sergas_skip": _CHECKS}


class ActionModule(ActionBase):
    """Runs once for the play, on the controller, and never connects to a host."""

    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Return the hosts of each part of the run; fails where there is nothing to report on, and
        for what no part of it could do.
        """
        del tmp
        result = super().run(task_vars=task_vars)
        name = self._task.args.get("playbook")
        if name not in run_scope.PLAYBOOKS or len(self._task.args) != 1:
            raise AnsibleActionFail(
                "playbook: %r is not allowed, it must be one of: %s"
                % (name, ", ".join(run_scope.PLAYBOOKS))
            )
        playbook = run_scope.PLAYBOOKS[name]
        found = _Inventory(task_vars, self._given(task_vars))
        notes = self._notes(found, task_vars["groups"])
        for note in notes:
            display.warning(note)
        result.update(hosts={}, report=[], not_diagnosed={}, serial=None, msg="")
        try:
            scope = {}
            if self._is_selected(playbook, task_vars):
                if playbook.reports:
                    self._check_values(found, name)
                scope["serial"] = run_scope.single("sergas_serial", found.of("sergas_serial"))
                scope.update(self._scope(playbook, found, task_vars))
        except ValueError as error:
            # Not raised: ansible-core 2.18 would show it as an error of this program.
            return {"failed": True, "changed": False, "msg": str(error)}
        result.update(scope, changed=False, notes=notes)
        if result["msg"]:
            screen.show([(result["msg"], "yellow")])
        return result

    def _given(self, task_vars):
        """Return {name: value} of the variables of the play, templated as on its first host: no
        host has them among its own.
        """
        given = {}
        for name, value in self._task.get_play().get_vars().items():
            value = task_vars.get(name, value)
            if inventory.is_template(value):
                try:
                    value = self._templar.template(value)
                except AnsibleError:
                    value = None  # left to what reads it
            given[name] = value
        return given

    def _is_selected(self, playbook, task_vars):
        """Return whether the tags of the command line leave the playbook in the run.

        Raises:
            ValueError: they select nothing of it, and it is all that was started.
        """
        only, skip = (list(context.CLIARGS.get(key) or ()) for key in ("tags", "skip_tags"))
        # This task has the tags of the playbook that imports it, and the tag always.
        tags = set(self._task.tags) - {"always"}
        parts = [{*tags, tag} for tag in playbook.tags] or [tags]
        if any(run_scope.runs_with(part, only, skip) for part in parts):
            return True
        started = Path(task_vars.get("playbook_dir") or "/").resolve()
        if started != _COLLECTION / "playbooks":
            return False
        option, given = ("--tags", only) if set(only) != {"all"} else ("--skip-tags", skip)
        has = ", ".join(playbook.tags)
        raise ValueError(
            "%s %s leaves nothing to do: this playbook has %s. Which checks run is selected with"
            " sergas_checks and sergas_skip, which hosts with --limit or sergas_hosts"
            % (option, ",".join(map(str, given)), "the tags " + has if has else "no tags")
        )

    def _notes(self, found, groups):
        """Return sentences on names that are likely misspelt."""
        notes = []
        for name, meant in run_variables.misspelt(found.names()).items():
            where = found.having(name)
            notes.append(
                "there is no variable %s (set for %s%s), did you mean %s?"
                % (name, where[0], " +%d" % (len(where) - 1) if len(where) > 1 else "", meant)
            )
        for name, meant in run_scope.misnamed_groups(groups).items():
            notes.append("the group %s means nothing here, did you mean %s?" % (name, meant))
        return notes

    def _check_values(self, found, playbook):
        """Raise a ValueError with the options of the diagnosis that cannot be, or with the first
        one of the remedies.
        """
        old_names = renamed.refusal(found.names())
        refused = [old_names] if old_names else []
        names = filter(run_variables.is_checked, found.names())
        refused += run_variables.refusals(found.values(names), _CHOICES)
        if refused:
            raise ValueError("; ".join(refused))
        if playbook == "fix":
            _check_plan_options(found)

    def _scope(self, playbook, found, task_vars):
        """Return {hosts, report, not_diagnosed, msg} of the hosts that the run is about."""
        groups = task_vars["groups"]
        limited = [str(name) for name in task_vars["ansible_play_hosts_all"]]
        limit = context.CLIARGS.get("subset")
        if not groups["all"]:
            sources = ", ".join(context.CLIARGS.get("inventory") or ())
            return self._nothing(
                playbook,
                "the inventory has no hosts (%s)"
                % ("-i " + sources if sources else "none was given with -i"),
            )
        devices = {
            name: reason
            for name in limited
            if (reason := run_scope.device(*found.connection(name))) is not None
        }
        hosts, chosen = {}, []
        for number, part in enumerate(playbook.parts):
            variable, default = run_scope.PARTS[part]
            pattern = run_scope.single(variable, found.of(variable))
            if pattern is None:
                named = set().union(*(groups.get(name, ()) for name in default))
                part_hosts = [name for name in limited if name in named or not default]
                why = "the group %s has no hosts" % " or ".join(default)
                if set(named) - set(part_hosts):
                    why += " within --limit %s" % limit
            else:
                everywhere = self._matching(pattern, task_vars)
                part_hosts = [name for name in limited if name in everywhere]
                why = run_scope.nothing_matches(variable, pattern, groups, limit)
                # One that is to match nothing leaves its part out of the run.
                unknown = run_scope.unknown_words(pattern, groups)
                if unknown and not everywhere and playbook.reports:
                    raise ValueError(why)
            if number == 0:
                chosen = part_hosts
                if not chosen:
                    return self._nothing(playbook, why)
            hosts[part] = [name for name in part_hosts if name not in devices]
        left_out = [name for name in chosen if name in devices]
        note = "not touched: %s" % ", ".join(
            "%s, for %s" % (name, devices[name]) for name in left_out
        )
        return {
            "hosts": hosts,
            "report": chosen,
            "not_diagnosed": devices,
            "msg": note if left_out and not playbook.reports else "",
        }

    def _nothing(self, playbook, why):
        """Return the scope of a run without hosts.

        Raises:
            ValueError: it should end with a report.
        """
        if playbook.reports:
            raise ValueError("there is no host to report on: %s" % why)
        return {"msg": "Nothing to do: %s." % why}

    def _matching(self, pattern, task_vars):
        """Return the hosts of the inventory that a pattern matches."""
        lookup = lookup_loader.get(
            "ansible.builtin.inventory_hostnames", loader=self._loader, templar=self._templar
        )
        terms = pattern if isinstance(pattern, list) else [str(pattern)]
        return set(map(str, lookup.run(terms, variables=task_vars)))


class _Inventory:
    """The variables of all hosts that begin with ``sergas``, each value templated once.

    Those that a playbook of the operator's gives with ``import_playbook`` are variables of the
    play: they hold for each of its hosts, over the inventory's.
    """

    def __init__(self, task_vars, given):
        self._hostvars = task_vars["hostvars"]
        self._hosts = [str(name) for name in task_vars["ansible_play_hosts_all"]]
        self._raw = {name: {**self._hostvars.raw_get(name), **given} for name in self._hosts}
        self._having: dict[str, list[str]] = {}
        for host, variables in self._raw.items():
            for name in variables:
                if name[:6].lower() == "sergas":
                    self._having.setdefault(str(name), []).append(host)

    def names(self):
        """Return the names of all variables."""
        return list(self._having)

    def having(self, name):
        """Return the names of the hosts that have a variable."""
        return self._having[name]

    def of(self, name):
        """Return {host: value} of the hosts that have a variable."""
        return {
            host: value
            for _name, value, hosts in self.values([name])
            for host in sorted(hosts, key=self._hosts.index)
        }

    def values(self, names):
        """Yield (variable, value, hosts) of each distinct value.

        What is undefined on a host is left to what reads it there.
        """
        for name in names:
            distinct: dict[tuple[str | None, str], list[str]] = {}
            for host in self._having.get(name, ()):
                raw = self._raw[host][name]
                # A template may be another value on each host.
                own = host if inventory.is_template(raw) else None
                key = (own, json.dumps(raw, default=str, sort_keys=True))
                distinct.setdefault(key, []).append(host)
            for hosts in distinct.values():
                value = inventory.read(self._hostvars, hosts[0], [name], self._raw[hosts[0]])[name]
                if value is not None:
                    yield name, results.plain(value), hosts

    def connection(self, host):
        """Return (ansible_connection, ansible_network_os) of a host."""
        names = ("ansible_connection", "ansible_network_os")
        values = inventory.read(self._hostvars, host, names, self._raw[host])
        default = context.CLIARGS.get("connection")
        return values["ansible_connection"] or default, values["ansible_network_os"]


def _check_plan_options(found):
    """Raise a ValueError for the first option of the plan that cannot be."""
    given = list(found.values(["sergas_" + option for option in arguments.PLANNED]))
    for name, value, _hosts in given:
        # An empty text is what its role takes for nothing, too.
        if value != "":
            arguments.plan_options({name.removeprefix("sergas_"): value}, _remedies(found))


def _remedies(found):
    """Return the names of the remedies there are."""
    directories = [_COLLECTION / "roles" / "remediate" / "remedies"]
    for _name, value, _hosts in found.values(["sergas_remedies_dir"]):
        if value:
            directories.append(Path(str(value)).expanduser())
    return {path.stem for directory in directories for path in directory.glob("*.yml")}
