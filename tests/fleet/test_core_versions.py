# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The oldest and the newest ansible-core find a fault on a real host, fix it and verify it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "matrix"))

# Found by the path above.
import versions

FAULT, ROOT, REMEDY = "01_start_limit", "app.service.down", "start_service"
#: The newest one has the host with the oldest Python.
ROUNDS = [(versions.OLDEST, "trixie"), (versions.NEWEST, "bullseye")]


@pytest.mark.parametrize(("core", "release"), ROUNDS)
def test_a_fault_is_found_fixed_and_verified(core, release, fresh_host, inject, fix):
    try:
        controller = versions.controller(core)
    except versions.Unavailable as error:
        pytest.skip(str(error))
    host = fresh_host(release)
    inject(host, FAULT)
    given = {"program": controller.command("ansible-playbook")}
    planned = fix([host], check=True, **given)
    assert planned.roots(host) == {ROOT}, planned.describe(host)
    applied = fix([host], **given)
    assert applied.outcome(host, REMEDY) == "kept", applied.describe(host)
    assert not applied.roots(host), applied.describe(host)
    assert planned.changed[host] == applied.changed[host]
    again = fix([host], **given)
    assert again.entries == again.changed == {}, again.describe(host)
    for run in (planned, applied, again):
        assert run.status == 0 and deprecations(run.shown) == [], run.shown


def deprecations(shown):
    """Return what Ansible calls deprecated, but for an import of these tests' JSON callback."""
    lines = [line for line in shown.splitlines() if line.startswith("[DEPRECATION WARNING]")]
    return [line for line in lines if "'ansible.module_utils._text'" not in line]
