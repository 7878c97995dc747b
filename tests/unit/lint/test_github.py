# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What no schema says of the workflow and of the hooks before a commit."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
WORKFLOW = yaml.safe_load((CHECKOUT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
HOOKS = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))


def steps():
    return [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_the_workflow_may_only_read():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not [job for job in WORKFLOW["jobs"].values() if "permissions" in job]


def test_actions_are_pinned_by_commit():
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert [name for name in used if not re.search(r"@[0-9a-f]{40}$", name)] == []


def test_each_job_runs_one_target_of_make_and_ends_in_time():
    for name, job in WORKFLOW["jobs"].items():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert len(commands) == 1, name
        assert re.match(r"(sudo env (\S+=\S+ )+)?make \S+( ARGS=\"[^\"]+\")?$", commands[0]), name
        # A value of the matrix reaches the shell as a variable.
        assert "${{" not in commands[0]
        assert job["timeout-minutes"] <= 300


def test_every_target_that_is_named_is_one_of_the_makefile():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    named = set(WORKFLOW["jobs"]["hosts"]["strategy"]["matrix"]["target"])
    pages = [
        (CHECKOUT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "README.md")
    ]
    for text in [str(steps()), str(HOOKS), *pages]:
        named |= set(re.findall(r"\bmake ([a-z-]+)(?=[^\w-])(?! [a-z])", text))
    assert named - known == set()


def test_hooks_need_nothing_but_the_checkout():
    for repository in HOOKS["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert {"id", "name", "entry"} <= set(hook)
            assert hook["language"] == "system"
            assert hook["entry"].startswith((".venv/bin/", "make "))
