# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app's systemd unit, as ``systemctl show`` gives it, and what its properties say."""

from __future__ import annotations

import grp
import os
import pwd
import re
import time

from ansible_collections.sergas.ops.plugins.module_utils._host import systemctl

PROPERTIES = (
    "Id LoadState LoadError ActiveState SubState UnitFileState Type Result NRestarts Restart"
    " MainPID ExecMainCode ExecMainStatus ExecMainStartTimestampMonotonic"
    " ExecMainExitTimestampMonotonic ActiveEnterTimestampMonotonic StateChangeTimestampMonotonic"
    " InvocationID ControlGroup User Group FragmentPath WorkingDirectory Environment"
    " EnvironmentFiles PassEnvironment UnsetEnvironment PAMName SupplementaryGroups DropInPaths"
    " ExecStart NeedDaemonReload MemoryCurrent MemoryMax MemoryLimit TasksCurrent TasksMax"
    " LimitNOFILESoft LimitNOFILE AppArmorProfile WantedBy RequiredBy TriggeredBy"
    " StandardOutput StandardError LogNamespace LogLevelMax SyslogLevel LogFilterPatterns"
    " LogRateLimitIntervalUSec LogRateLimitBurst TimeoutStartUSec"
).split()
_SUFFIXES = re.compile(r"\.(service|scope|socket|target|timer|mount|slice|path)$")
#: where cgroup v2 and systemd's own hierarchy of v1 are mounted
_CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd")
_PORT = re.compile(r"\s--port[ =](\d{1,5})(?=\s|$)")
_WORKERS = re.compile(r"\s(?:--workers|-w)[ =](\d{1,4})(?=\s|$)")
#: systemd's way to say "no limit" or "not known"
_UNSET = ("", "[not set]", "infinity", str(2**64 - 1))


def name(service):
    """Return the full name of a unit that may be given without ``.service``."""
    return service if _SUFFIXES.search(service) else service + ".service"


def read(service, deadline):
    """Return (properties, reason): the unit's properties, or {} and why there are none.

    A unit that does not exist has properties, too: its LoadState is ``not-found``.
    """
    try:
        return systemctl.show(name(service), PROPERTIES, deadline), None
    except systemctl.SystemctlError as error:
        return {}, str(error)


def span(text):
    """Return a time span as ``systemctl show`` prints it (``1min 30s``) in seconds, None for
    infinity or what cannot be read.
    """
    factors = (("min", 60), ("ms", 0.001), ("us", 1e-6), ("h", 3600), ("d", 86400), ("s", 1))
    total = 0.0
    for word in (text or "").split():
        for suffix, factor in factors:
            number = word[: -len(suffix)]
            if word.endswith(suffix) and number.replace(".", "", 1).isdigit():
                total += float(number) * factor
                break
        else:
            return None
    return total or None


def working_directory(properties):
    """Return the directory the unit works in, or None."""
    path = properties.get("WorkingDirectory", "").lstrip("!-")
    return path if path.startswith("/") else None


def command_line(properties):
    """Return the command the unit runs, as one text, or an empty one."""
    return properties.get("ExecStart", "").partition("argv[]=")[2].partition(" ; ")[0]


def program(properties):
    """Return the path of the program that the unit starts, or an empty text."""
    return properties.get("ExecStart", "").partition("path=")[2].partition(" ;")[0]


def running_command(properties):
    """Return the command line of the unit's main process as one text, or an empty one."""
    try:
        path = "/proc/%d/cmdline" % (number(properties, "MainPID") or 0)
        with open(path, encoding="utf-8", errors="replace") as source:  # path: /proc
            return source.read(65536).replace("\0", " ").strip()
    except OSError:
        return ""


def user_and_group(properties):
    """Return (user, group) that the unit runs as, by name; None for each that is not known."""
    if not is_loaded(properties):
        return None, None
    user, group = properties.get("User") or "root", properties.get("Group") or None
    if group is None:
        try:
            account = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
            group = grp.getgrgid(account.pw_gid).gr_name
        except KeyError:
            pass
    return user, group


def virtual_interpreter(properties, app_dir):
    """Return the Python of the virtual environment that the app runs in, or None.

    Args:
        properties: of the unit; its command shows it, if it is one of that environment.
        app_dir: the directory of the app, where it lies else.
    """
    command = program(properties)
    directories = [os.path.dirname(os.path.dirname(command))] if command.startswith("/") else []
    directories += [os.path.join(app_dir, name) for name in ("venv", ".venv", "env")]
    for directory in directories:
        python = os.path.join(directory, "bin", "python")
        if os.path.exists(os.path.join(directory, "pyvenv.cfg")) and os.path.exists(python):
            return python
    return None


def port(properties):
    """Return the port that the unit's command line pins, or None where it does not or uses a
    variable.
    """
    found = _PORT.findall(command_line(properties))
    return int(found[-1]) if found and 0 < int(found[-1]) < 65536 else None


def workers(properties):
    """Return the number of worker processes on the unit's command line, or None."""
    found = _WORKERS.findall(command_line(properties))
    return int(found[-1]) if found else None


def number(properties, key):
    """Return a property as a whole number, or None where it is not set, infinite or not a
    number.
    """
    value = properties.get(key, "")
    return None if value in _UNSET or not value.isdigit() else int(value)


def since(properties, key, now, monotonic=None):
    """Return when something happened, in seconds since the epoch, or None if it never did.

    Args:
        key: a property without its suffix ``Monotonic``, for example ``ActiveEnterTimestamp``.
        now: the time of the diagnosis, in seconds since the epoch.
        monotonic: the same moment on the clock systemd uses, in seconds.
    """
    microseconds = number(properties, key + "Monotonic")
    if not microseconds:
        return None
    if monotonic is None:
        monotonic = time.clock_gettime(time.CLOCK_MONOTONIC)
    return now - (monotonic - microseconds / 1e6)


def is_running(properties):
    """Return whether the unit is up with its own process."""
    return (
        properties.get("ActiveState") in ("active", "reloading")
        and properties.get("SubState") != "exited"
    )


def starts_at_boot(properties):
    """Return whether something starts the unit after a boot; of one that is not known, it does."""
    started = any(properties.get(name) for name in ("WantedBy", "RequiredBy", "TriggeredBy"))
    return started or properties.get("UnitFileState") != "disabled"


def is_loaded(properties):
    """Return whether there is such a unit and systemd can make sense of it."""
    return properties.get("LoadState") == "loaded"


def processes(properties):
    """Return the pids of the unit's main process and all that descend from it, the main one
    first.
    """
    main = number(properties, "MainPID")
    pids = [main] if main else []
    for pid in pids:
        try:
            for task in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/children" % (pid, task), encoding="ascii") as children:
                    pids += [int(child) for child in children.read().split()]
        except OSError:
            continue
    return pids


def members(properties):
    """Return the pids of all processes of the unit, the main one first: of its control group, which
    has also those whose parent has ended, and what descends from the main one.
    """
    pids, group = processes(properties), properties.get("ControlGroup", "").strip("/")
    for mount in _CGROUPS if group else ():
        for directory, _directories, _files in os.walk(os.path.join(mount, group)):
            path = os.path.join(directory, "cgroup.procs")
            try:
                with open(path, encoding="ascii") as listed:  # path: /sys
                    pids += [int(pid) for pid in listed.read().split()]
            except (OSError, ValueError):
                continue
    return list(dict.fromkeys(pids))


def memory_limit(properties):
    """Return the unit's memory limit in bytes, or None."""
    return number(properties, "MemoryMax") or number(properties, "MemoryLimit")


def open_files(properties):
    """Return ([{pid, open_files, limit}, ...], how many processes of the unit may not be read)."""
    found, hidden = [], 0
    for pid in processes(properties):
        try:
            used = len(os.listdir("/proc/%d/fd" % pid))
            with open("/proc/%d/limits" % pid, encoding="ascii") as source:
                limit = open_files_limit(source.read())
        except PermissionError:
            hidden += 1
            continue
        except OSError:
            continue  # it has ended in the meantime
        found.append({"pid": pid, "open_files": used, "limit": limit})
    return found, hidden


def open_files_limit(text):
    """Return the soft limit of open files of a /proc/PID/limits, or None where there is none."""
    found = re.search(r"^Max open files\s+(\d+|unlimited)", text, re.M)
    return int(found.group(1)) if found and found.group(1).isdigit() else None
