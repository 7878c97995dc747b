# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils import controller, host_lock

LEASE = {"run": "r1", "taken": 1.5}


class Action:
    """An action plugin whose module gives one prepared result after the other."""

    def __init__(self, *results):
        self.results = list(results)
        self.given = []
        self._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="removed by the task"))

    def _execute_module(self, module_args=None, module_name=None, task_vars=None):
        # What a module without pipelining would be copied into.
        assert module_name is None or self._connection._shell.tmpdir is None
        self.given.append(module_args)
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def cleanup(self):
        self._connection._shell.tmpdir = "left behind"


@pytest.fixture
def kept(monkeypatch):
    """The leases that were to be renewed in the background."""
    found = []
    monkeypatch.setattr(host_lock, "keep", lambda action, lease, *rest: found.append(lease))
    return found


def test_a_lease_that_was_taken_is_kept(kept):
    action = Action({"changed": True, "lease": LEASE})
    assert host_lock.execute(action, {"run": "r1"}, {})["changed"]
    assert kept == [LEASE] and len(action.given) == 1


def test_a_lock_of_a_run_that_is_gone_counts_as_free(kept):
    gone = dict(controller.identity(), started=1)
    action = Action(
        {"refused": "at work", "holder": {"run": "dead", "controller": gone}},
        {"changed": True, "lease": LEASE},
    )
    assert host_lock.execute(action, {"run": "r1", "dead_runs": ["other"]}, {})["changed"]
    assert action.given[1]["dead_runs"] == ["other", "dead"] and kept == [LEASE]


@pytest.mark.parametrize("who", [controller.identity(), {"name": "elsewhere"}, None])
def test_a_lock_of_a_run_that_may_be_alive_is_respected(kept, who):
    action = Action({"refused": "at work", "holder": {"run": "other", "controller": who}})
    assert host_lock.execute(action, {"run": "r1"}, {})["refused"]
    assert not kept and len(action.given) == 1


def test_a_lease_is_renewed_until_it_is_lost(monkeypatch):
    """A renewal that fails is tried again; the directory of the task is gone each time."""
    monkeypatch.setattr(host_lock, "PERIOD_S", 0)
    monkeypatch.setattr(host_lock.time, "sleep", lambda seconds: None)
    action = Action({"held": True}, OSError("lost"), {"held": True}, {"held": False})
    host_lock._renew(action, LEASE, {}, controller.identity())
    assert action.results == [] and action.given == [LEASE] * 4


def test_a_lease_is_not_renewed_for_a_run_that_is_gone():
    action = Action()
    host_lock._renew(action, LEASE, {}, dict(controller.identity(), started=1))
    assert action.given == []
