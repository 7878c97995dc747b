# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the app's unit may use of the host: memory, open files, time to start, workers.

The amounts are decided by pure functions from what the host has and what others use of it; they
are written to one drop-in, which nothing else writes to, and read back from systemd.
"""

from __future__ import annotations

import os
import re
from typing import Dict, NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._app import unit
from ansible_collections.sergas.ops.plugins.module_utils._app.unit import AppError
from ansible_collections.sergas.ops.plugins.module_utils._core import sizes
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import (
    InvalidValue,
    OperationError,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import memory, systemctl
from ansible_collections.sergas.ops.plugins.module_utils._host import unit as host_unit

MIB = 1 << 20
#: Of drop-ins, the last one by name counts, wherever it is. What "systemctl edit" makes is
#: override.conf: a name that sorts before it would be overruled.
FILE = "zz-sergas-limits.conf"
HEADER = (
    "# Written by the collection sergas.ops (module app_limits); changes by hand are lost.\n"
    "# Remove it with state: absent, or this file and then: systemctl daemon-reload\n"
)
#: Of a host's memory, left to the kernel's caches and to what is not running now: a share in
#: percent, and the least.
RESERVE_PERCENT = 10
RESERVE_LEAST = 64 * MIB
#: A limit that was met is raised by this factor, as far as the budget goes.
RAISE = 2
#: Limits are multiples of this.
STEP = 16 * MIB
#: One that follows from what others use is a multiple of this part of the host's memory: what they
#: use changes a little all the time, and each change is no other limit.
CAP_PARTS = 8
#: A worker of the app with its libraries does not live in less.
LEAST_FOR_WORKER = 96 * MIB
#: A host above this share of its memory is a finding; the app alone must not bring it there.
FULL_PERCENT = 80
#: The least that is requested where the open files were too few.
FILES_LEAST = 8192
_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Host(NamedTuple):
    """A host's memory in bytes."""

    #: what the host may use: its own, or its container's limit
    total: int
    #: what the processes of others have of it
    others: int


class Refused(AppError):
    """The host does not have what is requested; the message gives the figures."""


def size(text):
    """Return an amount of memory as systemd writes it (``512M``) in bytes.

    Raises:
        ValueError: it is none.
    """
    found = re.match(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*\Z", str(text), re.I)
    if not found:
        raise InvalidValue("%r is no amount of memory, such as 512M or 2G" % (text,))
    return int(float(found.group(1)) * _UNITS[found.group(2).upper()])


def written(count):
    """Return bytes as a drop-in says them."""
    return "%dM" % (count // MIB) if count % MIB == 0 else "%d" % count


def budget(host, percent=100):
    """Return how much the app may use in bytes: the host's memory, less what others use and a
    reserve.

    Args:
        host: ``Host``.
        percent: the share of the host's memory that app and others may use together.
    """
    reserve = max(RESERVE_LEAST, host.total * RESERVE_PERCENT // 100)
    within = min(host.total - reserve, host.total * percent // 100)
    return max(0, (within - host.others) // STEP * STEP)


def raised_memory(host, limit, met):
    """Return the memory limit to set where the app was killed at one, or None to leave it.

    Args:
        host: ``Host``.
        limit: the unit's current limit in bytes, None for none.
        met: the limit that the app met, in bytes.

    Raises:
        Refused: the host has no more for it, or it was another limit than the unit's.
    """
    if limit is None:
        raise Refused(
            "the unit itself has no limit: the %s that the app met are a limit of what it is"
            " in, a slice or a container" % sizes.size(met)
        )
    if limit > met:
        return None
    allowed = budget(host)
    wanted = min(met * RAISE, allowed) // STEP * STEP
    if wanted <= met:
        raise Refused(
            "the app met its limit of %s, and the host has no more: %s" % _described(met, host)
        )
    return wanted


def capped_memory(host, limit, workers):
    """Return the memory limit that keeps the app from filling the host, or None to leave it.

    Args:
        host: ``Host``.
        limit: the unit's current limit in bytes, None for none.
        workers: the number of the app's worker processes.

    Raises:
        Refused: what is left for the app is too little for it to run.
    """
    step = max(STEP, host.total // CAP_PARTS // STEP * STEP)
    allowed = budget(host, FULL_PERCENT) // step * step
    if limit is not None and limit <= host.total * FULL_PERCENT // 100:
        # It is capped; what others use just now moves no limit to and fro.
        return None
    least = LEAST_FOR_WORKER * max(1, workers)
    if allowed < least:
        raise Refused(
            "%d workers need %s, and the host has less for them: %s"
            % ((max(1, workers),) + _described(least, host))
        )
    return allowed


def given_memory(host, wanted, limit):
    """Return the memory limit that a person requests, or None where the unit has it.

    Raises:
        Refused: the host has not got as much.
    """
    if wanted == limit:
        return None
    allowed = budget(host)
    if wanted > allowed and (limit is None or wanted > limit):
        raise Refused("%s are requested, and the host has less: %s" % _described(wanted, host))
    return wanted


def _described(amount, host):
    return (
        sizes.size(amount),
        "%s in all, of which others use %s and %s stay in reserve, which leaves %s"
        % (
            sizes.size(host.total),
            sizes.size(host.others),
            sizes.size(max(RESERVE_LEAST, host.total * RESERVE_PERCENT // 100)),
            sizes.size(budget(host)),
        ),
    )


def raised_files(limit, met, ceiling):
    """Return the limit of open files to set where the app met one, or None to leave it.

    Args:
        limit: the current limit.
        met: the limit that the app met.
        ceiling: the most that a process of this host may have.

    Raises:
        Refused: the host gives no more.
    """
    if limit is not None and limit > met:
        return None
    wanted = min(max(met * 4, FILES_LEAST), ceiling)
    if wanted <= met:
        raise Refused(
            "the app met its limit of %d open files, and a process of this host may have no more"
            " than %d" % (met, ceiling)
        )
    return wanted


def command_with_workers(command, workers):
    """Return a unit's command line with another number of workers, or None where it says none.

    Args:
        command: what follows ``ExecStart=``.
        workers: the number.
    """
    changed, count = re.subn(
        r"(\s(?:--workers|-w)[ =])\d{1,4}(?=\s|$)", r"\g<1>%d" % workers, command
    )
    return changed if count else None


def parse(text):
    """Return {name: value} of the settings in a drop-in; the last one of a name counts."""
    found = {}
    for line in (text or "").splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.lstrip().startswith(("#", ";")):
            found[name.strip()] = value.strip()
    return found


def render(settings):
    """Return the text of the drop-in, None where it has nothing to say."""
    if not settings:
        return None
    lines = ["[Service]"]
    for name in sorted(settings):
        if name == "ExecStart":
            # A service has one command: the one above is cleared first.
            lines.append("ExecStart=")
        lines.append("%s=%s" % (name, settings[name]))
    return HEADER + "\n".join(lines) + "\n"


def exec_start(text):
    """Return the command of a unit's files as ``systemctl cat`` prints them, without our own."""
    command, file = None, ""
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        if line.startswith("# /"):
            file = line[2:].strip()
        elif line.startswith("ExecStart=") and not file.endswith("/" + FILE):
            command = line.partition("=")[2].strip()
    return command


def run(params, check_mode):
    """Do what the options of ``sergas.ops.app_limits`` say and return its result.

    Raises:
        AppError: the host does not have what is requested, or another drop-in overrules it.
    """
    app = unit.read(params["service"])
    path = os.path.join(app.dropin_dir, FILE)
    before = unit.read_text(path)
    settings = {} if params["state"] == "absent" else parse(before)
    wanted: Dict[str, str] = {}
    host = None
    if params["state"] == "present":
        host = _host(app) if _needs_memory(params) else None
        wanted = _wanted(params, app, host)
        settings.update(wanted)
    after = render(settings)
    result = {
        "changed": after != before,
        "path": path,
        "settings": settings,
        "diff": unit.difference({path: (before, after)}),
    }
    if host is not None:
        result["memory"] = dict(host._asdict(), budget=budget(host))
    if result["changed"]:
        unit.refuse_covered(path)
    if result["changed"] and not check_mode:
        unit.put(path, after)
        systemctl.run("daemon-reload")
        try:
            _verify(app.service, wanted)
        except OperationError:
            unit.put(path, before)
            systemctl.run("daemon-reload")
            raise
    return result


def _needs_memory(params):
    return params["memory_max"] or params["memory_above"] is not None or params["memory_cap"]


def _wanted(params, app, host):
    wanted: Dict[str, str] = {}
    limit = host_unit.memory_limit(app.properties)
    amount: Optional[int] = None
    try:
        given = size(params["memory_max"]) if params["memory_max"] else None
    except ValueError as error:
        raise AppError("memory_max: %s" % error)
    if given is not None:
        amount = given_memory(host, given, limit)
    elif params["memory_above"] is not None:
        amount = raised_memory(host, limit, params["memory_above"])
    elif params["memory_cap"]:
        amount = capped_memory(host, limit, _workers(app))
    if amount is not None:
        wanted["MemoryMax"] = written(amount)
    files = host_unit.number(app.properties, "LimitNOFILE")
    if params["open_files"] is not None:
        if params["open_files"] > _ceiling():
            raise Refused(
                "%d open files are requested, and a process of this host may have no more than %d"
                % (params["open_files"], _ceiling())
            )
        if params["open_files"] != files:
            wanted["LimitNOFILE"] = str(params["open_files"])
    elif params["open_files_above"] is not None:
        number = raised_files(files, params["open_files_above"], _ceiling())
        if number is not None:
            wanted["LimitNOFILE"] = str(number)
    if params["start_timeout"] is not None:
        now = host_unit.span(app.properties.get("TimeoutStartUSec"))
        if now is not None and now < params["start_timeout"]:
            wanted["TimeoutStartSec"] = str(params["start_timeout"])
    if params["workers"] is not None:
        wanted.update(_command(app, params["workers"]))
    return wanted


def _command(app, workers):
    if host_unit.workers(app.properties) == workers:
        return {}
    command = exec_start(systemctl.run("cat", app.service))
    changed = command_with_workers(command, workers) if command else None
    if changed is None:
        raise AppError(
            "%s does not say its number of workers on its command line: set WORKERS in %s"
            % (app.service, app.env_file)
        )
    return {"ExecStart": changed}


def _workers(app):
    number = app.settings.get("WORKERS", "")
    return host_unit.workers(app.properties) or (int(number) if number.isdigit() else 1)


def _ceiling():
    """Return the most files that a process of this host may have open: the kernel's limit, and
    systemd's own hard limit, which is lower in a container.
    """
    found = [1 << 20]
    for path, pattern in (
        ("/proc/sys/fs/nr_open", r"(\d+)"),
        ("/proc/1/limits", r"Max open files\s+\S+\s+(\d+)"),
    ):
        match = re.search(pattern, unit.read_text(path) or "")
        if match:
            found.append(int(match.group(1)))
    return min(found)


def _host(app):
    seen = memory.measure("/")
    if seen["used"] is None:
        raise AppError(
            "this host is a container whose control group cannot be read: what memory it has is not"
            " known"
        )
    own = set(host_unit.processes(app.properties))
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return Host(seen["total"], sum(_own(pid) for pid in pids if pid not in own))


def _own(pid):
    """Return a process's share of memory in bytes, shared pages divided by those that share."""
    found = None
    try:
        found = re.search(
            r"^Pss:\s+(\d+) kB", unit.read_text("/proc/%d/smaps_rollup" % pid) or "", re.M
        )
    except OSError:
        pass
    return int(found.group(1)) * 1024 if found else 0


def _verify(service, wanted):
    """Raise ``AppError`` unless systemd has understood what was written."""
    properties = unit.show(service)
    if properties.get("LoadState") != "loaded":
        raise AppError(
            "systemd cannot load %s with it: %s" % (service, properties.get("LoadError"))
        )
    known = {"MemoryMax": host_unit.memory_limit(properties)}
    known["LimitNOFILE"] = host_unit.number(properties, "LimitNOFILE")
    for name, value in wanted.items():
        if name in known and known[name] != size(value):
            others = [
                path
                for path in (properties.get("DropInPaths") or "").split()
                if os.path.basename(path) > FILE
            ]
            raise AppError(
                "%s of %s is %s and not %s%s"
                % (
                    name,
                    service,
                    known[name],
                    value,
                    ": overruled by %s" % ", ".join(others) if others else "",
                )
            )
