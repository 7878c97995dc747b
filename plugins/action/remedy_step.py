# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""remedy_step: decides on the controller which step of a remedy comes next on a host."""

from __future__ import annotations

import time

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import steps
from ansible_collections.sergas.ops.plugins.plugin_utils.report import outcomes
from ansible_collections.sergas.ops.plugins.plugin_utils.report.results import plain

_EVENTS = ("taken", "failed", "recheck")
_STATE = "sergas_remediate"
_HEALTH = "sergas_diagnose_health"


class ActionModule(ActionBase):
    """Reads what the tasks of the role have registered, and never connects to a host."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Return the state of the host's remedies; see ``steps``."""
        del tmp
        result = super().run(task_vars=task_vars)
        event = self._task.args.get("event", "taken")
        if event not in _EVENTS:
            raise AnsibleActionFail(
                "event: %r is not allowed, it must be one of: %s" % (event, ", ".join(_EVENTS))
            )
        host = _Host(task_vars["hostvars"], task_vars["inventory_hostname"])
        state = steps.state_of(host.registered(_STATE))
        now = int(time.time())
        try:
            if host.name in task_vars["ansible_play_hosts"]:
                state = self._decide(event, state, host, now)
            else:
                state = steps.lost(state)
        except Exception as error:
            # Whatever the tasks have registered: the state must not be lost, for what was begun on
            # the host is undone and recorded by it.
            reason = "the result of a task cannot be used: %s: %s" % (type(error).__name__, error)
            if event == "recheck" or state["next"] == "done":
                result.update(failed=True, msg=reason)
            else:
                # The step that follows is taken at once, unless this is about a failed one.
                state = dict(steps.fail(state, reason, now), failed_over=event == "failed")
        # What a remedy has just changed may need a moment to take effect.
        time.sleep(state["wait"])
        result.update(state, changed=False)
        return result

    def _decide(self, event, state, host, now):
        """Return the state after an event."""
        if event == "recheck":
            return steps.recheck(state, host.diagnosis(), now)
        if event == "failed":
            failed = host.registered("ansible_failed_result")
            return steps.fail(state, steps.failure(failed, host.failed_task()), now)
        if state["next"] != "done":
            return steps.advance(state, host.situation(state), now)
        return self._take_up(state, host, now)

    def _take_up(self, state, host, now):
        """Return the state in which the remedy of the turn begins, or the same one where it is not
        the turn of this host.
        """
        turn = self._task.args.get("turn") or {}
        if host.name not in turn.get("hosts", ()):
            return state
        planned = host.variables["sergas_remediation_plan"]
        remedy = str(turn["remedy"])
        orders = planned["orders"][host.name]
        (position,) = (i for i, order in enumerate(orders) if order["remedy"] == remedy)
        order = dict(plain(orders[position]), position=position)
        earlier = [name for batch in planned["batches"][: order["batch"]] for name in batch]
        parts = [one["part"] for one in steps.verifying(order["verification"], order["found_by"])]
        facts = {
            "name": host.name,
            "app": host.app(),
            "from_report": bool(planned["from_report"]),
            "checked": all(
                any(host.registered(name) for name in steps.registered_by(part)) for part in parts
            ),
            "blocked_by": outcomes.stopped_by(
                {str(name): host.progress_of(name) for name in [*earlier, host.name]},
                remedy,
                order["answers"],
            ),
            "check_mode": bool(self._task.check_mode),
        }
        return steps.start(state, order, facts, now)


class _Host:
    """What the tasks have registered on a host."""

    def __init__(self, hostvars, name):
        self._hostvars = hostvars
        self.name = str(name)
        self.variables = hostvars.raw_get(name)

    def registered(self, name):
        """Return a registered result, empty where there is none."""
        found = self.variables.get(name)
        return plain(found) if isinstance(found, dict) else {}

    def failed_task(self):
        """Return the name of the task that has failed; what else Ansible says of it is large."""
        task = self.variables.get("ansible_failed_task")
        return str(task.get("name") or "") if isinstance(task, dict) else ""

    def app(self):
        """Return what the diagnosis knows of the host's app."""
        return self.registered(_HEALTH).get("app") or {}

    def diagnosis(self):
        """Return {variable: registered result} of the diagnosis."""
        names = [name for name in self.variables if str(name).startswith("sergas_diagnose_")]
        return {str(name): self.registered(name) for name in names}

    def situation(self, state):
        """Return what there is to know after the step of a state."""
        parts = [one["part"] for one in state["check"].get("parts", ())]
        return {
            "name": self.name,
            "app": self.app(),
            "results": [
                self.registered(name) for part in parts for name in steps.registered_by(part)
            ],
            "returned": self.registered(
                "__remediate_point" if state["next"] == "run" else "__remediate_returned"
            ),
        }

    def progress_of(self, name):
        """Return (records of the remedies that ended on a host, the one in progress or "")."""
        found = self._hostvars.raw_get(name).get(_STATE)
        return outcomes.progress(found if isinstance(found, dict) else {})
