# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debug logging of the app for a limited time, which the host itself ends.

What restores the old value is a timer on the host, its service, and a small program with the lines
to restore. It needs no controller, and a host that is down when the time comes does it at boot.
"""

from __future__ import annotations

import difflib
import json
import time
from typing import List, NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._app import env, env_plan, unit
from ansible_collections.sergas.ops.plugins.module_utils._app import timer as app_timer
from ansible_collections.sergas.ops.plugins.module_utils._app.unit import AppError
from ansible_collections.sergas.ops.plugins.module_utils._core import files, times
from ansible_collections.sergas.ops.plugins.module_utils._host import dotenv, systemctl

NAME = "sergas-debug-logging"
VARIABLE, LEVEL = "LOG_LEVEL", "DEBUG"
DIRECTORY = "/var/lib/sergas/debug-logging"
STATE = DIRECTORY + "/state.json"
PROGRAM = DIRECTORY + "/revert.py"
#: what the program reads and replaces the .env with: a copy of `files`
FILES = DIRECTORY + "/files.py"
_PYTHON = "/usr/bin/python3"

#: Runs on the host when the time is up, with the system's Python and nothing else. Each step may be
#: done again: it is started anew until all of them have succeeded.
REVERT = r'''# Written by the collection sergas.ops (module app_debug_logging): ends debug logging.
import json, os, subprocess, sys, time

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
UNITS = "/etc/systemd/system/%(name)s."


def restore_lines(text, hunks):
    """Return the text with the lines as they were, where they are still as they were set."""
    lines = text.splitlines(True)
    for hunk in hunks:
        after, before = hunk["after"], hunk["before"]
        for start in range(len(lines) - len(after) + 1):
            if lines[start : start + len(after)] == after:
                lines[start : start + len(after)] = before
                break
        else:
            print("it was changed in the meantime and stays: " + "".join(after).strip())
    return "".join(lines)


def revert(path, hunks):
    """Restore the lines of a file; return when it was last changed, 0 if there is none.

    Its directory may be another user's, who can put a link there meanwhile: see files.py.
    """
    sys.dont_write_bytecode = True
    import files  # a copy, beside this program

    try:
        with files.held(path) as location:
            content = location.read()
            text = content.data.decode("utf-8")
            after = restore_lines(text, hunks)
            if after != text:
                location.replace(after.encode("utf-8"), since=content.status)
            return location.status().st_ctime
    except FileNotFoundError:
        return 0
    except files.FileRefused as error:
        raise SystemExit(str(error))


def systemctl(*words):
    return subprocess.run(
        ["systemctl", *words], check=True, stdout=subprocess.PIPE, universal_newlines=True
    ).stdout.strip()


def started(service):
    """Return when the unit was started, in seconds since the epoch, 0 if it does not run."""
    shown = dict(
        line.partition("=")[::2]
        for line in systemctl(
            "show", "--property=MainPID,ExecMainStartTimestampMonotonic", service
        ).splitlines()
    )
    if shown.get("MainPID", "0") == "0":
        return 0
    since = int(shown["ExecMainStartTimestampMonotonic"]) / 1e6
    return time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - since)


def main():
    if not os.path.exists(os.path.join(DIRECTORY, "state.json")):
        return
    with open(os.path.join(DIRECTORY, "state.json"), encoding="utf-8") as file:
        state = json.load(file)
    changed = revert(state["env_file"], state["hunks"])
    at = started(state["service"])
    if at and at < changed:
        systemctl("restart", state["service"])
    if os.path.exists(UNITS + "timer"):
        systemctl("disable", "%(name)s.timer")
    own = [os.path.join(DIRECTORY, name) for name in ("files.py", "revert.py", "state.json")]
    for name in (UNITS + "timer", UNITS + "service", *own):
        if os.path.exists(name):
            os.unlink(name)
    os.rmdir(DIRECTORY)
    systemctl("daemon-reload")
    # A pattern: a timer that has elapsed may be unloaded by now, which is no failure.
    systemctl("stop", "--no-block", "%(name)s*.timer")


if __name__ == "__main__":
    main()
''' % {"name": NAME}


class Plan(NamedTuple):
    """What turning debug logging on comes to."""

    #: the new text of the .env, None to leave it
    text: Optional[str]
    #: [{before, after}]: lines to restore at the end, and what they are found by
    hunks: List[dict]


def hunks(before, after):
    """Return [{before, after}] of the lines that differ between two texts. Pure.

    Lines that are only gone are not among them: nothing is left that they could be found by, and
    of several lines with one name only the last counts.
    """
    old, new = before.splitlines(True), after.splitlines(True)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return [
        {"before": old[first:last], "after": new[start:end]}
        for tag, first, last, start, end in matcher.get_opcodes()
        if tag in ("replace", "insert")
    ]


def plan(text, known):
    """Return the ``Plan`` for a ``.env``. Pure.

    Args:
        text: of the file.
        known: the hunks of a time that has begun and not ended, None if there is none.
    """
    after = env_plan.plan(text, {VARIABLE: LEVEL}).text
    if known is None:
        return Plan(after if after != text else None, hunks(text, after))
    if hunks(text, after) == known:
        # A run that ended before it came to this.
        return Plan(after, known)
    return Plan(None, known)


def shown(text):
    """Return the value that a text gives the variable, as a line, for a difference. Pure."""
    values = dotenv.dotenv_values(dotenv.parse(text))
    return "%s=%s\n" % (VARIABLE, values[VARIABLE]) if VARIABLE in values else ""


def span(seconds):
    """Return a time for people. Pure."""
    return "%d minutes" % (seconds // 60) if seconds % 60 == 0 else "%d s" % seconds


def run(params, check_mode):
    """Do what the options of ``sergas.ops.app_debug_logging`` say and return its result.

    Raises:
        AppError: it cannot be done; env_values.Refused, env.EnvError: the file is in the
        way.
    """
    app = unit.read(params["service"], None, params["env_file"])
    state = _state()
    if params["state"] == "absent":
        return _end(app, state, check_mode)
    text = unit.read_text(app.env_file)
    if text is None:
        raise AppError("%s does not exist" % app.env_file)
    made = plan(text, state["hunks"] if state else None)
    if state is None and made.text is None:
        return _result(app, False, None, text, None, "%s is %s already" % (VARIABLE, LEVEL))
    timer = app_timer.Timer(NAME)
    if state is None:
        until = int(time.time()) + params["seconds"]
        state = {
            "env_file": _location(app.env_file),
            "service": app.service,
            "until": until,
            "hunks": made.hunks,
        }
    texts = {
        "service": app_timer.service_text("End the debug logging of the app", [_PYTHON, PROGRAM])
        + "Restart=on-failure\nRestartSec=60\n",
        "timer": app_timer.timer_text("End the debug logging of the app", when(state["until"]), 0),
    }
    changes, as_is = timer.plan(texts)
    armed = as_is and all(before == after for before, after in changes.values())
    changed = not armed or made.text is not None
    if changed:
        unit.refuse_covered(app.env_file)
    if changed and not check_mode:
        if not armed:
            files.make_directories(DIRECTORY, 0o700)
            unit.put(FILES, files.__loader__.get_source(files.__name__), 0o600)
            unit.put(PROGRAM, REVERT, 0o600)
            unit.put(STATE, json.dumps(state), 0o600)
            timer.put(changes, True)
        if made.text is not None:
            # Last: from here on, something on the host will end it.
            env.run(
                {
                    "path": app.env_file,
                    "values": {VARIABLE: LEVEL},
                    "absent": [],
                    "repair": False,
                    "systemd": True,
                    "secret_keys": [],
                    "create": False,
                    "owner": None,
                    "group": None,
                    "mode": None,
                    "backup": False,
                },
                False,
            )
    return _result(app, changed, state, text, made.text, None, not armed, params["seconds"])


def when(at):
    """Return a time as ``OnCalendar=`` takes it. Pure.

    Args:
        at: in seconds since the epoch.
    """
    return times.clock(at).replace("T", " ").replace("Z", " UTC")


def _location(path):
    """Return where a file is, without any link."""
    try:
        with files.held(path) as location:
            return location.path
    except OSError as error:
        raise AppError("%s: %s" % (error.filename or path, error.strerror))


def _state():
    text = unit.read_text(STATE)
    if text is None:
        return None
    try:
        state = json.loads(text)
        return state if isinstance(state.get("hunks"), list) else None
    except ValueError:
        return None


def _result(app, changed, state, before, after, note, armed=False, seconds=0):
    parts = [
        {
            "before_header": app.env_file,
            "after_header": app.env_file,
            "before": shown(before),
            "after": shown(before if after is None else after),
        }
    ]
    if armed:
        # Not the time itself, which is another one in the real run.
        parts.append(
            {
                "before_header": NAME + ".timer",
                "after_header": NAME + ".timer",
                "before": "",
                "after": "%s is restored after %s\n" % (VARIABLE, span(seconds)),
            }
        )
    return {
        "changed": changed,
        "until": when(state["until"]) if state else None,
        "note": note,
        "env_changed": after is not None,
        "diff": [part for part in parts if part["before"] != part["after"]],
    }


def _end(app, state, check_mode):
    before = unit.read_text(app.env_file) or ""
    after = before
    if state is None:
        return _result(app, False, None, before, None, None)
    for hunk in state["hunks"]:
        after = after.replace("".join(hunk["after"]), "".join(hunk["before"]), 1)
    if not check_mode:
        systemctl.run("start", NAME + ".service")
    return _result(app, True, None, before, after if after != before else None, None)
