# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A timer of systemd and the service that it starts, two files that this collection owns."""

from __future__ import annotations

import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._app import unit as app_unit
from ansible_collections.sergas.ops.plugins.module_utils._app.unit import AppError
from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import systemctl

_HEADER = "# Written by the collection sergas.ops; changes by hand are lost.\n"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,100}\Z")


def service_text(description, command):
    """Return the text of the service: it runs one command and ends. Pure.

    Args:
        description: for people, on one line.
        command: the program with its full path and its arguments.
    """
    return _HEADER + "\n".join(
        [
            "[Unit]",
            "Description=" + _escaped(description),
            "",
            "[Service]",
            "Type=oneshot",
            "ExecStart=" + " ".join(quoted(word) for word in command),
            "",
        ]
    )


def timer_text(description, calendar, delay):
    """Return the text of the timer. Pure.

    What it misses while the host is down or the timer is stopped, it makes up for (Persistent).

    Args:
        calendar: when, as ``OnCalendar=`` takes it.
        delay: up to so many seconds later, each host at a different time.
    """
    lines = ["[Unit]", "Description=" + _escaped(description), "", "[Timer]"]
    lines += ["OnCalendar=" + calendar, "Persistent=true", "AccuracySec=1s"]
    if delay:
        lines.append("RandomizedDelaySec=%ds" % delay)
    return _HEADER + "\n".join(lines + ["", "[Install]", "WantedBy=timers.target", ""])


def quoted(word):
    """Return an argument of a command as a unit file takes it. Pure."""
    text = _escaped(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return text if re.match(r"[\w@%+=:,./-]+\Z", text) else '"%s"' % text


def _escaped(text):
    if re.search(r"[\x00-\x1f]", text):
        raise AppError("%r: a unit file takes no control characters" % text)
    return text.replace("%", "%%")


def check_calendar(calendar):
    """Return when the timer elapses next, as systemd says it.

    Raises:
        AppError: systemd does not understand it.
    """
    try:
        status, out, err = process.run(["systemd-analyze", "calendar", calendar], Deadline(20))
    except (process.CommandMissing, DeadlineExceeded) as error:
        raise AppError(str(error))
    if status:
        reason = err.strip().splitlines()
        raise AppError(
            "%r is no time that systemd understands%s"
            % (calendar, ": " + reason[-1] if reason else "")
        )
    found = re.search(r"Next elapse:\s*(.*)", out)
    return found.group(1).strip() if found else None


class Timer:
    """A pair of unit files by their name."""

    def __init__(self, name):
        if not _NAME.match(name):
            raise AppError("%r is no name of a unit" % name)
        self.name = name
        self.paths = {
            kind: os.path.join(app_unit.DIRECTORY, "%s.%s" % (name, kind))
            for kind in ("service", "timer")
        }

    def plan(self, texts):
        """Return {path: (before, after)} of the files, and whether the timer is as it should be.

        Args:
            texts: {service, timer}: the texts they are to have, None for files that are to go.
        """
        changes = {
            self.paths[kind]: (app_unit.read_text(self.paths[kind]), texts[kind])
            for kind in self.paths
        }
        present = texts["timer"] is not None
        seen = app_unit.show(self.name + ".timer")
        runs = seen.get("ActiveState") in ("active", "activating")
        enabled = seen.get("UnitFileState") == "enabled"
        return changes, (runs and enabled) if present else not runs

    def put(self, changes, present):
        """Carry out what ``plan`` returned, and have the timer run, or not."""
        unit = self.name + ".timer"
        if not present and app_unit.read_text(self.paths["timer"]) is not None:
            systemctl.run("disable", "--now", unit)
        for path, (before, after) in changes.items():
            if before != after:
                app_unit.put(path, after)
        systemctl.run("daemon-reload")
        if present:
            systemctl.run("enable", unit)
            # A timer that runs does not read its time anew.
            systemctl.run("restart", unit)


def run(params, check_mode):
    """Do what the options of ``sergas.ops.app_timer`` say and return its result.

    Raises:
        AppError: systemd does not understand the time, or refuses.
    """
    timer = Timer(params["name"])
    present = params["state"] == "present"
    elapses = check_calendar(params["calendar"]) if present else None
    texts = {"service": None, "timer": None}
    if present:
        description = params["description"] or " ".join(params["command"])
        texts["service"] = service_text(description, params["command"])
        texts["timer"] = timer_text(description, params["calendar"], params["delay"])
    changes, as_is = timer.plan(texts)
    changed = not as_is or any(before != after for before, after in changes.values())
    if changed and not check_mode:
        timer.put(changes, present)
    return {
        "changed": changed,
        "timer": timer.name + ".timer",
        "next": elapses,
        "diff": app_unit.difference(changes),
    }
