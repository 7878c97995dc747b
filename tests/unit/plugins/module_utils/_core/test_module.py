# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that are refused by name: old names of options and variables."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import module

ROOT = Path(module.__file__).resolve().parents[3]
BASE = str(Path(module.__file__).parents[6])


def run(name, **options):
    """Return what a module says, run as a process with these options."""
    given = {**options, "_ansible_remote_tmp": "/tmp", "_ansible_tmpdir": None}
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.sergas.ops.plugins.modules." + name],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": BASE},
        check=False,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "old", "new", "required"),
    [
        ("app_service", "patience", "wait_timeout", {}),
        ("sergas_env", "mend", "repair", {}),
        ("fail2ban_jails", "proofs", "verify_commands", {"files": {}, "jails": []}),
    ],
)
def test_an_old_option_is_refused_with_its_new_name(name, old, new, required):
    found = run(name, **{old: 1}, **required)
    assert found["failed"]
    assert "option %s is named %s now" % (old, new) in found["msg"]


def test_another_unknown_option_is_refused_as_usual():
    message = run("app_service", wait_timout=1)["msg"]
    assert message.startswith("Unsupported parameters") and "is named" not in message
    # The new name among those that are allowed says nothing of the old one.
    assert "is named" not in run("sergas_env", repair=True, repaired=1)["msg"]


def test_the_upgrade_notes_have_what_is_refused():
    from ansible_collections.sergas.ops.plugins.plugin_utils import renamed as variables

    notes = (ROOT / "docs" / "upgrading.md").read_text()
    for old, new in variables.VARIABLES.items():
        assert re.search(r"`%s` *\| *`%s`" % (old, new), notes)
        assert variables.refusal({old: 1}) == "rename it where it is set: %s is named %s now" % (
            old,
            new,
        )
    assert variables.refusal({"sergas_app_wait_timeout": 1}) is None
    for old, new in variables.FINDINGS.items():
        assert "| finding | `%s` | %s |" % (old, ", ".join("`%s`" % id for id in new)) in notes
    for old in variables.REMEDY_KEYS:
        name = old.replace("verification.", "proof.")
        assert "| metadata of a remedy | `%s` |" % name in notes


def test_the_roles_refuse_the_same_variables():
    from ansible_collections.sergas.ops.plugins.plugin_utils import renamed as variables

    tasks = "".join(path.read_text() for path in ROOT.glob("roles/*/tasks/renamed.yml"))
    for old, new in variables.VARIABLES.items():
        assert '"%s is named %s now"' % (old, new) in tasks
