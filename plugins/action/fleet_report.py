# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""fleet_report: gathers the hosts' findings on the controller, prints the summary, writes the
reports.
"""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible.utils.display import Display

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.plugin_utils import inventory
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import account, steps
from ansible_collections.sergas.ops.plugins.plugin_utils.report import (
    history,
    model,
    results,
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
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TEMPLATE = re.compile(r"\{\{|\{%")
# The strategy imports this plugin before it forks: only there is standard output still the
# terminal.
_COLUMNS = display.columns if sys.stdout.isatty() else terminal.WIDEST
#: Callbacks whose standard output is for a program.
_MACHINE_READABLE = ("json", "ansible.posix.json", "ansible.posix.jsonl")


class ActionModule(ActionBase):
    """Runs once for the play, on the controller, and never connects to a host."""

    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Return paths, counts, root causes and the decision; fails by C(fail_on)."""
        del tmp
        result = super().run(task_vars=task_vars)
        options = options_from(self._task.args)
        now = datetime.now(UTC)
        hosts = host_entries(task_vars, options["results"])
        previous, note = history.read_previous(options["report_dir"])
        report = model.build(
            hosts,
            generated_at=times.clock(now.timestamp()),
            version=collection_version(),
            run=self._run_info(task_vars, options["run"]),
            fail_on=options["fail_on"],
            title=options["title"],
            previous=previous,
            previous_note=note,
            remediation=remediation(task_vars, options["plan"], options["ahead"]),
        )
        if not options["ahead"]:
            show([("", None), *terminal.lines(report, _COLUMNS)])
        result.update(outcome(report))
        result.update(self._write(report, options, now))
        if options["ahead"]:
            result["failed"] = False
        if "unwritten" in result:
            result["msg"] = "%s; %s" % (result.pop("unwritten"), result["msg"])
            result["failed"] = True
        return result

    def _run_info(self, task_vars, given):
        """Return what is worth knowing of the run: what was asked for, where it was limited to."""
        arguments = context.CLIARGS.get("args") or ()
        info = {
            "playbook": os.path.basename(str(arguments[0])) if arguments else None,
            "play": task_vars.get("ansible_play_name"),
            "limit": task_vars.get("ansible_limit"),
            "check_mode": bool(self._task.check_mode),
            "ansible": ansible_version,
        }
        info.update(given)
        return results.plain(info)

    def _write(self, report, options, now):
        """Write the reports and say where they are; a folder that cannot be written is told, not
        raised.
        """
        folder = options["report_dir"]
        documents = {FORMATS[name][0]: FORMATS[name][1](report) for name in options["formats"]}
        try:
            run = history.write(folder, now, documents)
        except history.Unwritable as error:
            text = "report_dir: the reports could not be written to %s (%s)" % (folder, error)
            show([(text, terminal.COLOURS["fail"]), ("", None)])
            return {"report_dir": None, "reports": {}, "latest": None, "unwritten": text}
        latest, why_not = history.link_latest(folder, run)
        if why_not:
            display.warning("%s. The reports of this run are in %s." % (why_not, run))
        history.prune(folder, options["keep"])
        if not options["ahead"]:
            show([(where_it_is(run, latest, documents), None), ("", None)])
        return {
            "report_dir": run,
            "reports": {name: os.path.join(run, FORMATS[name][0]) for name in options["formats"]},
            "latest": latest,
        }


def host_entries(task_vars, names):
    """Return an entry for every host of the play.

    The variables are read as they are: registered results need no templating, which takes most of
    the time that C(hostvars[name]) takes.
    """
    hostvars = task_vars["hostvars"]
    in_play = set(task_vars.get("ansible_play_hosts") or ())
    hosts = []
    for name in task_vars["ansible_play_hosts_all"]:
        variables = hostvars.raw_get(name)
        found = {
            variable: results.plain(_value(variables, variable, hostvars, name))
            for variable in names
            if variable in variables
        }
        hosts.append(
            results.host_entry(
                str(name),
                [str(group) for group in variables.get("group_names", ())],
                inventory.known_as(hostvars, name, variables),
                found,
                names,
                left_play=name not in in_play,
            )
        )
    for variable in names:
        if not any(variable in host["results"] for host in hosts):
            display.warning("results: no host of the play has registered %s" % variable)
    return hosts


def remediation(task_vars, name, ahead=False):
    """Return what was planned and what became of it, or None where nothing was planned.

    Args:
        task_vars: of the task.
        name: the variable that holds the plan, on every host.
        ahead: whether what is planned is about to be carried out.
    """
    planned = task_vars.get(name)
    if not isinstance(planned, dict) or "entries" not in planned:
        return None
    planned = results.plain(planned)
    acting = {host: task_vars["hostvars"].raw_get(host) for host in planned["acting"]}
    states = {
        host: steps.state_of(results.plain(of.get("sergas_remediate")))
        for host, of in acting.items()
    }
    return account.account(
        planned,
        {host: state["outcomes"] for host, state in states.items()},
        {host: state["current"] for host, state in states.items()},
        ahead,
    )


def show(lines):
    """Print (text, colour) lines beside whatever callback there is, out of the way of one for
    programs.
    """
    aside = C.DEFAULT_STDOUT_CALLBACK in _MACHINE_READABLE
    for text, colour in lines:
        display.display(text, color=colour, stderr=aside)


def _value(variables, name, hostvars, host):
    """Return a variable of a host, templated only where it is a template."""
    value = variables[name]
    return hostvars[host][name] if isinstance(value, str) and _TEMPLATE.search(value) else value


def where_it_is(run, latest, documents):
    """Return the line that names the reports of a run, by the link to the latest where there is
    one.
    """
    folder = latest or run
    shown = os.path.relpath(folder)
    if shown.startswith(".."):
        shown = folder
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
        "report_dir": _folder(given.get("report_dir")),
        "fail_on": _choice("fail_on", given.get("fail_on"), model.FAIL_ON, "fail"),
        "results": _names("results", given.get("results"), ["sergas_diagnose_health"]),
        "formats": _names("formats", given.get("formats"), list(FORMATS)),
        "keep": _count("keep", given.get("keep"), 30),
        "title": "Sergas fleet" if given.get("title") is None else given["title"],
        "run": {} if given.get("run") is None else given["run"],
        "plan": "sergas_remediation_plan" if given.get("plan") is None else given["plan"],
    }
    options["ahead"] = given.get("ahead") is not None and boolean(given["ahead"])
    if not isinstance(options["plan"], str) or not _VARIABLE.match(options["plan"]):
        raise AnsibleActionFail("plan: %r is not the name of a variable" % (options["plan"],))
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


def _folder(value):
    if value is None:
        value = "sergas-reports"
    if not isinstance(value, str) or not value.strip():
        raise AnsibleActionFail("report_dir: %r is not the path of a folder" % (value,))
    try:
        # Where ansible-playbook was started, not where the playbook lies: that is in an installed
        # collection.
        return os.path.abspath(os.path.expanduser(value))
    except FileNotFoundError as error:
        raise AnsibleActionFail(
            "report_dir: %r is relative, and the folder this was started in is gone; give an"
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


def collection_version():
    """Return the version of this collection: from its manifest if installed, else from
    galaxy.yml.
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        with open(os.path.join(root, "MANIFEST.json"), encoding="utf-8") as file:
            return str(json.load(file)["collection_info"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        with open(os.path.join(root, "galaxy.yml"), encoding="utf-8") as file:
            found = re.search(r"^version:\s*[\"']?([^\s\"'#]+)", file.read(), re.M)
    except OSError:
        found = None
    return found.group(1) if found else "unknown"
