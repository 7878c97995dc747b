# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What starts the restore program on a host: a timer at the deadline, and a unit at the next boot.

The transient timer runs on the clock that no one can set, and vanishes with the reboot that would
make it meaningless. The unit file has a link in ``multi-user.target.wants``: the run that armed the
point has lost its connection by then, so that the host restores itself as it comes up.
"""

from __future__ import annotations

import contextlib
import os
import sys

from ansible_collections.sergas.ops.plugins.module_utils._core import files, process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import (
    Deadline,
    DeadlineExceeded,
)
from ansible_collections.sergas.ops.plugins.module_utils._host import systemctl
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import program
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore.plan import (
    PointError,
    Refused,
)

_SYSTEMD_SECONDS = 20
_UNIT = """\
# Made by the collection sergas.ops: restores the restore point %(name)s, unless it is disarmed.
[Unit]
Description=Restore %(name)s, which was not disarmed
ConditionPathExists=%(directory)s/point.json
StartLimitIntervalSec=3600
StartLimitBurst=60

[Service]
# Nothing at boot waits for it, so that its commands may start and stop other units.
Type=simple
ExecStart=%(python)s -I -B %(directory)s/restore.py
# What the commands have started stays.
KillMode=process
Restart=on-failure
RestartSec=10
"""


def refuse_without_systemd(params):
    if not params["deadline"]:
        return
    if not os.path.isdir("/run/systemd/system"):
        raise Refused("deadline: systemd does not run this host, so that nothing would end it")
    if os.geteuid() != 0:
        raise Refused("deadline: a timer of the host takes become: true")


def write_unit(params, directory):
    unit, link = program.unit_files(params["name"])
    text = _UNIT % {"name": params["name"], "directory": directory, "python": sys.executable}
    files.replace(unit, text.encode("utf-8"), mode=0o644)
    os.makedirs(os.path.dirname(link), exist_ok=True)
    if not os.path.islink(link):
        os.symlink(unit, link)


def start(params):
    unit = program.unit_of(params["name"])
    argv = [
        "systemd-run",
        "--quiet",
        "--on-active=%d" % params["deadline"],
        "--timer-property=AccuracySec=100ms",
        "--unit=" + unit,
    ]
    try:
        status, _out, reason = process.run(argv, Deadline(_SYSTEMD_SECONDS))
    except (process.CommandMissing, DeadlineExceeded) as error:
        status, reason = 1, str(error)
    if status != 0:
        raise PointError(
            "the timer of %s could not be started, so that it is not armed: %s"
            % (params["name"], reason.strip())
        )


def stop(name):
    timer = program.unit_of(name)[: -len("service")] + "timer"
    with contextlib.suppress(systemctl.SystemctlError):
        systemctl.run("stop", "--", timer, deadline=Deadline(_SYSTEMD_SECONDS))
