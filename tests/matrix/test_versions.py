# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit tests on the versions of ansible-core and Python that the collection supports."""

from __future__ import annotations

import os
import subprocess

import pytest
import versions

UNIT = "tests/unit/plugins/"
ON_TARGETS = [UNIT + "module_utils"]
# This one reads the sources, and finds the same with each Python.
SCAN = UNIT + "module_utils/_core/test_addresses.py::test_no_other_parser_of_addresses"
ON_TARGETS.append("--deselect=" + SCAN)
ON_CONTROLLERS = [UNIT + name for name in ("action", "filter", "lookup", "plugin_utils")]
ON_CONTROLLERS += ["tests/unit/roles"]
TIMEOUT_S = 1200


def run(words, name, **environment):
    """Run unit tests with a command; its last words are the message of a failure."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    done = subprocess.run(
        [*words, "-q", "-o", "cache_dir=%s" % (versions.CACHE / "pytest" / name)],
        cwd=versions.CHECKOUT,
        # Several Pythons leave what they have compiled, none of it in the checkout.
        env={**inherited, "PYTHONPYCACHEPREFIX": str(versions.CACHE / "compiled"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize(
    ("core", "python"),
    versions.combinations(),
    ids=lambda version: version,
)
def test_what_runs_on_targets(core, python, cell):
    cell(core, python)
    words, environment = versions.target(core, python)
    run([*words, "-m", "pytest", *ON_TARGETS], "%s-%s" % (core, python), **environment)


@pytest.mark.parametrize("core", versions.controllers())
def test_what_runs_on_the_controller(core, cell):
    cell(core, "controller")
    run(versions.controller(core).command("python", "-m", "pytest", *ON_CONTROLLERS), core)
