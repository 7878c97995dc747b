# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what the hosts of a play have registered from the variables that Ansible has of them.

Variables are read as they are, and templated only where they are a template: registered results
need no templating, which takes most of the time of ``hostvars[name]``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.utils.display import Display

from ansible_collections.sergas.ops.plugins.plugin_utils import inventory
from ansible_collections.sergas.ops.plugins.plugin_utils.report import outcomes, results

_display = Display()
_TEMPLATE = re.compile(r"\{\{|\{%")
#: The directory of this collection.
_COLLECTION = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
)


def host_entries(
    task_vars: dict[str, Any], names: Sequence[str], reasons: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return an entry for every host of the play, as ``results.host_entry`` makes it.

    Args:
        task_vars: of the task.
        names: the variables with registered results.
        reasons: {host: why it was not to be diagnosed}.
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
                left_out=(reasons or {}).get(str(name)),
            )
        )
    for variable in names:
        if not any(variable in host["results"] for host in hosts):
            _display.warning("results: no host of the play has registered %s" % variable)
    return hosts


def recordings(task_vars: dict[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Return {file name: text} of what hosts have recorded, to be judged again without them.

    Args:
        task_vars: of the task.
        names: the variables with registered results.
    """
    documents = {}
    for host in task_vars["ansible_play_hosts_all"]:
        variables = task_vars["hostvars"].raw_get(host)
        for name in names:
            found = variables.get(name)
            if isinstance(found, Mapping) and "recording" in found:
                safe = re.sub(r"[^A-Za-z0-9_.-]", "_", str(host))
                documents["recording-%s.json" % safe] = json.dumps(results.plain(found))
    return documents


def _value(variables: Mapping[str, Any], name: str, hostvars: Any, host: str) -> Any:
    """Return a variable of a host, templated only where it is a template."""
    value = variables[name]
    return hostvars[host][name] if isinstance(value, str) and _TEMPLATE.search(value) else value


def remediation(task_vars: dict[str, Any], name: str, ahead: bool = False) -> dict[str, Any] | None:
    """Return what was planned and what became of it, or ``None`` where nothing was planned.

    Args:
        task_vars: of the task.
        name: the variable that holds the plan, on every host.
        ahead: whether what is planned is about to be carried out.
    """
    planned = task_vars.get(name)
    if not isinstance(planned, dict) or "entries" not in planned:
        return None
    planned = results.plain(planned)
    states = {
        host: results.plain(task_vars["hostvars"].raw_get(host).get("sergas_remediate") or {})
        for host in planned["acting"]
    }
    return outcomes.account(planned, states, ahead)


def collection_version() -> str:
    """Return the version of this collection, from its manifest if installed, else from
    ``galaxy.yml``.
    """
    try:
        with open(os.path.join(_COLLECTION, "MANIFEST.json"), encoding="utf-8") as file:
            return str(json.load(file)["collection_info"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        with open(os.path.join(_COLLECTION, "galaxy.yml"), encoding="utf-8") as file:
            found = re.search(r"^version:\s*[\"']?([^\s\"'#]+)", file.read(), re.M)
    except OSError:
        found = None
    return found.group(1) if found else "unknown"
