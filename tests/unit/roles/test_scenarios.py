# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role has a scenario of molecule with all its steps, and hosts in the shared fleet."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / ".config" / "molecule"
SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
#: Part of the others, which no playbook uses alone.
WITHOUT = {"dead_man_switch", "supported_host"}


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def test_each_role_has_a_scenario():
    roles = {path.name for path in (ROOT / "roles").iterdir()} - WITHOUT
    assert set(SCENARIOS) == roles | {"default"}
    assert set(read(CONFIG / "hosts.yml")["groups"]) == {"role_" + role for role in roles}


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "default"])
def test_a_scenario_converges_twice_and_verifies(name):
    own = read(ROOT / "molecule" / name / "molecule.yml").get("scenario", {})
    steps = own.get("test_sequence", read(CONFIG / "config.yml")["scenario"]["test_sequence"])
    assert [step for step in steps if step not in ("prepare", "check")] == [
        "converge",
        "idempotence",
        "verify",
    ]
    playbooks = {path.stem for path in (ROOT / "molecule" / name).glob("*.yml")} - {"molecule"}
    assert playbooks == set(steps) - {"idempotence", "check"}
