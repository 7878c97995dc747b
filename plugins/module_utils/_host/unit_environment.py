# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd gives a unit's process as it starts it, by the unit's properties.

The order is systemd's own (systemd.exec(5)): the manager's environment, ``PassEnvironment=``,
``Environment=``, the files of ``EnvironmentFile=`` one after the other, and last what
``UnsetEnvironment=`` takes away.
"""

from __future__ import annotations

import glob
import os
import re
from collections import namedtuple

#: What systemd and shells themselves set for each start, and locales: no one's configuration.
OWN = frozenset(
    "PATH LANG LANGUAGE USER LOGNAME HOME SHELL TERM INVOCATION_ID XDG_RUNTIME_DIR"
    " RUNTIME_DIRECTORY STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY"
    " CONFIGURATION_DIRECTORY CREDENTIALS_DIRECTORY"
    " MAINPID MANAGERPID LISTEN_FDS LISTEN_PID LISTEN_PIDFDID LISTEN_FDNAMES NOTIFY_SOCKET"
    " WATCHDOG_PID WATCHDOG_USEC SYSTEMD_EXEC_PID SYSTEMD_NSS_BYPASS_BUS JOURNAL_STREAM"
    " LOG_NAMESPACE REMOTE_ADDR REMOTE_PORT MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE FDSTORE"
    " PWD OLDPWD SHLVL _ TRIGGER_UNIT TRIGGER_PATH SERVICE_RESULT EXIT_CODE EXIT_STATUS".split()
)
#: Of one pattern of ``EnvironmentFile=``; more are a mistake.
MOST_FILES = 100
# A word as systemctl prints one of a list: in double quotes with C escapes, or as it is.
_WORD = r'(?s)"((?:[^"\\]|\\.)*)"|(\S+)'
_ESCAPE = r"(?s)\\(x[0-9a-fA-F]{2}|[0-7]{3}|.)"
_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}


class Entry(namedtuple("Entry", ["value", "source", "line"])):
    """One variable: its value, None where that is not known; where it is set, and in which line."""

    __slots__ = ()


class EnvironmentFile(namedtuple("EnvironmentFile", ["pattern", "optional"])):
    """One ``EnvironmentFile=`` of a unit; an optional one (``-``) may be missing."""

    __slots__ = ()

    def paths(self):
        """Return the files that it stands for, in systemd's order; without wildcards, the one."""
        if not re.search(r"[*?\[]", self.pattern):
            return [self.pattern]
        return sorted(glob.glob(self.pattern))


def words(text):
    """Return the list that systemctl has printed as the value of a property (pure)."""
    if not text or '"' not in text:
        return (text or "").split()

    def unescaped(found):
        code = found.group(1)
        if code[0] == "x" and len(code) == 3:
            return chr(int(code[1:], 16))
        return chr(int(code, 8)) if len(code) == 3 else _CONTROL.get(code, code)

    return [
        plain or (re.sub(_ESCAPE, unescaped, quoted) if "\\" in quoted else quoted)
        for quoted, plain in re.findall(_WORD, text)
    ]


def assignments(properties):
    """Return {name: value} of the unit's ``Environment=``; of two lines, the last counts."""
    found = (word.partition("=") for word in words(properties.get("Environment")))
    return {name: value for name, sign, value in found if sign}


def environment_files(properties):
    """Return the ``EnvironmentFile``s of the unit, in order."""
    found = []
    for line in (properties.get("EnvironmentFiles") or "").split("\n"):
        path, _bracket, errors = line.partition(" (ignore_errors=")
        if path:
            found.append(EnvironmentFile(path.lstrip("-"), errors.startswith("yes")))
    return found


def default_file(properties, app_dir):
    """Return the file that holds the app's settings: of the unit's, the one named ``.env``, else
    that of the app's directory if it is there, else the unit's last one.
    """
    named = [path for one in environment_files(properties) for path in one.paths()]
    own = os.path.join(app_dir, ".env")
    for path in reversed(named):
        if os.path.basename(path) == ".env":
            return path
    return own if not named or os.path.lexists(own) else named[-1]


def passed(properties):
    """Return the names in the unit's ``PassEnvironment=``."""
    return words(properties.get("PassEnvironment"))


def given(properties, manager, readings):
    """Return {name: ``Entry``} of what systemd gives the unit's process, but for ``OWN`` (pure).

    Args:
        properties: of the unit.
        manager: {name: value} of the manager's own environment and of what the unit has passed on.
        readings: of the files that could be read, in order; see ``app_config.Reading``.
    """
    found = {name: Entry(value, "systemd", 0) for name, value in manager.items()}
    for name, value in assignments(properties).items():
        found[name] = Entry(value, "Environment=", 0)
    for reading in readings:
        for name, value in reading.values.items():
            if value.systemd is not None:
                found[name] = Entry(value.systemd, reading.path, value.line)
    for word in words(properties.get("UnsetEnvironment")):
        name, sign, value = word.partition("=")
        if name in found and (not sign or found[name].value == value):
            del found[name]
    return {name: entry for name, entry in found.items() if name not in OWN}
