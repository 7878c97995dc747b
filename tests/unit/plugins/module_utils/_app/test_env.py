# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._app import env, env_plan

DEFAULTS = {
    "values": {},
    "absent": [],
    "repair": False,
    "systemd": True,
    "secret_keys": [],
    "create": False,
    "owner": None,
    "group": None,
    "mode": None,
    "backup": False,
}


def test_a_change_by_someone_else_in_between_is_kept(tmp_path, monkeypatch):
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    plan = env_plan.plan

    def slow_plan(*arguments):
        path.write_text("A=1\nB=theirs\n")
        return plan(*arguments)

    monkeypatch.setattr(env_plan, "plan", slow_plan)
    with pytest.raises(env.EnvError, match="changed by someone else just now; run it again"):
        env.run({**DEFAULTS, "path": str(path), "values": {"A": "2"}, "backup": True}, False)
    assert path.read_text() == "A=1\nB=theirs\n"
    assert os.listdir(tmp_path) == [".env"]


@pytest.mark.parametrize(
    ("given", "mode"),
    [("0640", 0o640), ("640", 0o640), ("0o600", 0o600), (0o640, 0o640), (None, 0o604)],
)
def test_the_mode_in_the_forms_that_yaml_makes_of_it(tmp_path, given, mode):
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    path.chmod(0o604)
    env.run({**DEFAULTS, "path": str(path), "mode": given}, False)
    assert path.stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize("given", ["rw", "u=rwX", "8", "0999", True, 0o10000, -1, "4755"])
def test_what_is_no_mode_is_refused_with_the_option(tmp_path, given):
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    with pytest.raises(env.EnvError, match="^mode: "):
        env.run({**DEFAULTS, "path": str(path), "mode": given}, False)


def test_only_secrets_are_masked_wherever_they_stand():
    values = {
        "POOL": 5,
        "HOST": "db1.example.com",
        "DB_PASSWORD": "sergas",
        "API_KEY": "k-123456",
        "PIN_TOKEN": "7",
    }
    params = {**DEFAULTS, "path": "/home/sergas/.env", "values": values}
    assert env.maskable(params) == {"k-123456"}
    assert env.shown_options(params)["values"] == {
        "POOL": 5,
        "HOST": "db1.example.com",
        "DB_PASSWORD": "********",
        "API_KEY": "********",
        "PIN_TOKEN": "********",
    }
