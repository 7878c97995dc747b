# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tries a configuration of fail2ban before it is written, in a copy of the whole one.

``fail2ban-client -t`` says nothing of a jail that cannot start, so what its jails would read is
checked, too.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import (
    client,
    configuration,
    sources,
)


class TrialError(OperationError):
    """The configuration would not work; nothing was changed."""


def test(params, files, regexes, deadline):
    """Test the files in a copy of the whole configuration; return ({jail: Configured}, path of the
    database or None) of it.
    """
    with tempfile.TemporaryDirectory(prefix="sergas-fail2ban-") as directory:  # path: root's own
        stage = os.path.join(directory, "fail2ban")
        shutil.copytree(params["config_dir"], stage, symlinks=True)  # path: into that
        for path in configuration.read_own(stage):
            os.unlink(os.path.join(stage, path))  # path: in that
        for path, text in files.items():
            with open(os.path.join(stage, path), "w", encoding="utf-8") as file:  # path: in that
                file.write(text)
        argv = ["fail2ban-client", "-c", stage, "-d", "-t"]
        status, out, err = process.run(argv, deadline)
        if status:
            raise TrialError(
                "fail2ban refuses the configuration, nothing was changed: %s" % summary(err + out)
            )
        if regexes:
            for sample in params["samples"]:
                _test_filter(stage, directory, sample, deadline)
    return client.parse_dump(out), client.parse_database(out)


def _test_filter(stage, directory, sample, deadline):
    """Raise a TrialError unless a filter finds exactly the addresses it should in some lines."""
    path = os.path.join(directory, "lines")
    with open(path, "w", encoding="utf-8") as file:  # path: in the directory of the test
        file.write("".join(item["line"] + "\n" for item in sample["lines"]))
    expected = [item["address"] for item in sample["lines"] if item.get("address")]
    argv = ["fail2ban-regex", "-c", stage, "--out=ip", path]
    filter_file = os.path.join(stage, "filter.d", sample["filter"] + ".conf")
    status, out, err = process.run(argv + [filter_file], deadline)
    found = [line.strip() for line in out.splitlines() if line.strip()]
    if status not in (0, 1) or found != expected:
        raise TrialError(
            "the filter %s finds %s in its sample lines instead of %s, nothing was changed%s"
            % (
                sample["filter"],
                ", ".join(found) or "nothing",
                ", ".join(expected) or "nothing",
                "" if found else ": " + summary(err),
            )
        )


def refuse_no_input(configured, deadline):
    """Raise a TrialError for the first jail that would have nothing to read."""
    for jail in configured:
        seen = sources.observe(jail.backend, jail.journalmatch, jail.logpaths, deadline)
        reason = sources.no_input(seen)
        if reason and jail.name != sources.BY_HAND:
            raise TrialError(
                "the jail %s would watch nothing, nothing was changed: %s" % (jail.name, reason)
            )


def summary(text):
    """Return the errors of what fail2ban printed, or its last line, in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [re.sub(r"^.*?(ERROR|CRITICAL)\s+", "", line) for line in lines if "ERROR" in line]
    return "; ".join(errors[-3:] or lines[-1:] or ["it says nothing"])[:600]
