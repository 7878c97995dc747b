# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fleet_report: gathers the hosts' findings on the controller, prints the summary, writes the
reports.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible.utils.display import Display

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.plugin_utils import run_scope
from ansible_collections.sergas.ops.plugins.plugin_utils.report import (
    gather,
    history,
    model,
    results,
    screen,
    terminal,
)
from ansible_collections.sergas.ops.plugins.plugin_utils.report.formats import FORMATS

display = Display()

_OPTIONS = (
    "report_dir",
    "fail_on",
    "results",
    "formats",
    "keep",
    "title",
    "run",
    "plan",
    "ahead",
    "scope",
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class ActionModule(ActionBase):
    """Runs once for the play, on the controller, and never connects to a host."""

    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Return paths, counts, root causes and the decision; fails by ``fail_on``."""
        del tmp
        result = super().run(task_vars=task_vars)
        options = options_from(self._task.args)
        try:
            scope = run_scope.found(task_vars["hostvars"], options["scope"])
        except ValueError as error:
            return dict(result, failed=True, msg=str(error))
        now = datetime.now(UTC)
        hosts = gather.host_entries(
            task_vars, options["results"], scope["not_diagnosed"] if scope else {}
        )
        previous, note = history.read_previous(options["report_dir"])
        report = model.build(
            hosts,
            generated_at=times.clock(now.timestamp()),
            version=gather.collection_version(),
            run=self._run_info(task_vars, options["run"]),
            fail_on=options["fail_on"],
            title=options["title"],
            previous=previous,
            previous_note=note,
            remediation=gather.remediation(task_vars, options["plan"], options["ahead"]),
        )
        if not options["ahead"]:
            screen.show([("", None), *terminal.lines(report, screen.COLUMNS)])
        result.update(outcome(report))
        recordings = gather.recordings(task_vars, options["results"])
        result.update(self._write(report, options, now, recordings))
        if options["ahead"]:
            result["failed"] = False
        elif scope:
            # The play that follows fails on these, so that none fails for another.
            result["failed_hosts"] = model.failing(report)
            result["failed"] = result["failed"] and not result["failed_hosts"]
        if "unwritten" in result:
            result["msg"] = "%s; %s" % (result.pop("unwritten"), result["msg"])
            result["failed"] = True
        return result

    def _run_info(self, task_vars, given):
        """Return how the run was started: playbook, limit, check mode, options."""
        arguments = context.CLIARGS.get("args") or ()
        info = {
            "playbook": os.path.basename(str(arguments[0])) if arguments else None,
            "play": task_vars.get("ansible_play_name"),
            "limit": task_vars.get("ansible_limit"),
            "check_mode": bool(self._task.check_mode),
            "ansible": ansible_version,
            "not_in_run": left_out(task_vars),
        }
        info.update(given)
        return results.plain(info)

    def _write(self, report, options, now, recordings):
        """Write reports and recordings and print where they are; a directory that cannot be written
        is part of the result, not raised.
        """
        directory = options["report_dir"]
        documents = {FORMATS[name][0]: FORMATS[name][1](report) for name in options["formats"]}
        try:
            run = history.write(directory, now, {**documents, **recordings})
        except history.Unwritable as error:
            text = "report_dir: the reports could not be written to %s (%s)" % (directory, error)
            screen.show([(text, terminal.COLOURS["fail"]), ("", None)])
            return {"report_dir": None, "reports": {}, "latest": None, "unwritten": text}
        latest, why_not = history.link_latest(directory, run)
        if why_not:
            display.warning("%s. The reports of this run are in %s." % (why_not, run))
        history.prune(directory, options["keep"])
        if not options["ahead"]:
            screen.show([(location(run, latest, documents), None), ("", None)])
        return {
            "report_dir": run,
            "reports": {name: os.path.join(run, FORMATS[name][0]) for name in options["formats"]},
            "latest": latest,
        }


def left_out(task_vars):
    """Return the names of the hosts of the inventory that are not in this play."""
    inside = set(task_vars["ansible_play_hosts_all"])
    return [str(name) for name in task_vars.get("groups", {}).get("all", ()) if name not in inside]


def location(run, latest, documents):
    """Return the line that names the reports of a run, by the link to the latest where there is
    one.
    """
    directory = latest or run
    shown = os.path.relpath(directory)
    if shown.startswith(".."):
        shown = directory
    names = list(documents)
    return "Report: %s" % os.path.join(
        shown, names[0] if len(names) == 1 else "{%s}" % ",".join(names)
    )


def outcome(report):
    """Return the result of the task: small, because a failed task prints all of it."""
    summary = report["summary"]
    hosts = summary["hosts"]
    counts = ", ".join("%d %s" % (hosts[name], name) for name in model.HOST_CLASSES if hosts[name])
    return {
        "changed": False,
        "failed": summary["failed"],
        "msg": (
            "%s (%d host%s: %s)"
            % (summary["reason"], hosts["total"], "s"[: hosts["total"] != 1], counts)
        ),
        "summary": hosts,
        "roots": list(dict.fromkeys(root["id"] for root in report["roots"])),
    }


def options_from(given):
    """Return the options with their defaults.

    Args:
        given: the arguments of the task, templated.

    Raises:
        AnsibleActionFail: names the option, its value and what is allowed.
    """
    for name in given:
        if name not in _OPTIONS:
            raise AnsibleActionFail(
                "%s: there is no such option, there are: %s" % (name, ", ".join(_OPTIONS))
            )
    options = {
        "report_dir": _directory(given.get("report_dir")),
        "fail_on": _choice("fail_on", given.get("fail_on"), model.FAIL_ON, "fail"),
        "results": _names("results", given.get("results"), ["sergas_diagnose_health"]),
        "formats": _names("formats", given.get("formats"), list(FORMATS)),
        "keep": _count("keep", given.get("keep"), 30),
        "title": "Sergas fleet" if given.get("title") is None else given["title"],
        "run": {} if given.get("run") is None else given["run"],
        "plan": "sergas_remediation_plan" if given.get("plan") is None else given["plan"],
    }
    options["scope"] = given.get("scope")
    options["ahead"] = given.get("ahead") is not None and boolean(given["ahead"])
    for option in ("plan", "scope"):
        name = options[option]
        if name is not None and (not isinstance(name, str) or not _VARIABLE.match(name)):
            raise AnsibleActionFail("%s: %r is not the name of a variable" % (option, name))
    for name in options["results"]:
        if not _VARIABLE.match(name):
            raise AnsibleActionFail("results: %r is not the name of a variable" % name)
    for name in options["formats"]:
        _choice("formats", name, tuple(FORMATS), None)
    if not isinstance(options["title"], str) or not options["title"].strip():
        raise AnsibleActionFail("title: %r is not a text" % (options["title"],))
    if not isinstance(options["run"], dict):
        raise AnsibleActionFail("run: %r is not a dictionary" % (options["run"],))
    return options


def _directory(value):
    if value is None:
        value = "sergas-reports"
    if not isinstance(value, str) or not value.strip():
        raise AnsibleActionFail("report_dir: %r is not the path of a directory" % (value,))
    try:
        # Where ansible-playbook was started, not where the playbook lies: that is in an installed
        # collection.
        return os.path.abspath(os.path.expanduser(value))
    except FileNotFoundError as error:
        raise AnsibleActionFail(
            "report_dir: %r is relative, and the directory this was started in is gone; give an"
            " absolute path" % value
        ) from error


def _choice(option, value, allowed, default):
    if value is None:
        return default
    if value not in allowed:
        raise AnsibleActionFail(
            "%s: %r is not allowed, it must be one of: %s" % (option, value, ", ".join(allowed))
        )
    return str(value)


def _names(option, value, default):
    if value is None:
        return default
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(name, str) and name for name in value)
    ):
        raise AnsibleActionFail("%s: %r must be a list of at least one name" % (option, value))
    return list(dict.fromkeys(str(name) for name in value))


def _count(option, value, default):
    if value is None:
        return default
    try:
        if isinstance(value, (bool, float)):
            raise TypeError
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise AnsibleActionFail("%s: %r must be a whole number, 1 or more" % (option, value))
    return number
