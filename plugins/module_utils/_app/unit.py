# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app as its systemd unit runs it, for the modules that act on it: where its configuration is,
when that was last changed, and the drop-in that this collection owns.
"""

from __future__ import annotations

import os
from typing import Dict, NamedTuple

from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_config,
    app_endpoint,
    app_environment,
    restore_points,
    systemctl,
    unit,
)

#: beyond those that a diagnosis reads
_PROPERTIES = ("TimeoutStartUSec",)
DIRECTORY = "/etc/systemd/system"


class AppError(OperationError):
    """It cannot be done; the message says why and what to do about it."""


class App(NamedTuple):
    """The app of this host."""

    service: str
    properties: Dict[str, str]
    app_dir: str
    env_file: str
    user: str
    group: str
    port: int
    python: str
    dropin_dir: str
    settings: Dict[str, str]

    def running(self):
        """Return whether the unit is up with a main process."""
        return unit.is_running(self.properties)


def show(name):
    """Return the properties of a unit by its full name.

    Raises:
        SystemctlError: systemd cannot be queried.
    """
    return systemctl.show(name, (*unit.PROPERTIES, *_PROPERTIES), Deadline(10))


def read(service, app_dir=None, env_file=None, port=None):
    """Return the ``App`` of this host.

    Args:
        service: its unit, with or without ``.service``.
        app_dir, env_file, port: what is known better than the unit and the ``.env`` say it.

    Raises:
        AppError: there is no such unit, or systemd cannot load it.
        SystemctlError: systemd cannot be queried.
    """
    name = unit.name(service)
    properties = show(name)
    if properties.get("LoadState") in ("not-found", "masked", "bad-setting", "error"):
        reason = {
            "not-found": "there is no such unit on this host",
            "masked": "it is masked; unmask it first (systemctl unmask %s)" % name,
        }.get(
            properties["LoadState"],
            "systemd cannot load it: %s" % (properties.get("LoadError") or "see systemctl status"),
        )
        raise AppError("%s: %s" % (name, reason))
    environment = app_environment.read(properties, {"app_dir": app_dir, "env_file": env_file})
    if isinstance(environment.error, app_config.Refusal):
        raise AppError(environment.error)
    # What acts on the app goes by what its next start gets: it restarts it.
    settings = environment.following
    user = properties.get("User") or "root"
    return App(
        service=properties.get("Id") or name,
        properties=properties,
        app_dir=environment.app_dir,
        env_file=environment.path,
        user=user,
        group=properties.get("Group") or user,
        port=app_endpoint.configured_port(properties, settings, port),
        python=os.path.join(environment.app_dir, "venv", "bin", "python"),
        dropin_dir=os.path.join(DIRECTORY, (properties.get("Id") or name) + ".d"),
        settings=settings,
    )


def configuration(app):
    """Return {path: when it was last changed} of what the unit reads as it starts, in seconds since
    the epoch.

    That is its files, its drop-ins, the directories of these (one may have gone) and the ``.env``.
    The time is the inode's own (ctime): a file that is restored with its old time has changed, too.
    """
    properties = app.properties
    fragment = properties.get("FragmentPath") or ""
    paths = {fragment, app.env_file}
    paths.update((properties.get("DropInPaths") or "").split())
    for directory in (DIRECTORY, "/run/systemd/system", os.path.dirname(fragment)):
        paths.add(os.path.join(directory, app.service + ".d"))
    found = {}
    for path in sorted(paths):
        try:
            status = files.stat(path)
        except OSError:
            continue
        if status is not None:
            found[path] = status.st_ctime
    return found


def read_text(path):
    """Return the text of a file with its line ends as they are, or None where there is none.

    Raises:
        AppError: it is none that may be read.
    """
    try:
        return files.read_text(path, newline="")
    except FileNotFoundError:
        return None
    except files.FileRefused as error:
        raise AppError(str(error))


def refuse_covered(*paths):
    """Refuse to write files that the host will restore for another run.

    Raises:
        AppError: names the file and the restore point.
    """
    try:
        restore_points.refuse_covered(paths)
    except restore_points.Armed as error:
        raise AppError(str(error))


def put(path, text, mode=0o644):
    """Write a file of root's in one step; for None remove it, and its directory if that is empty.

    Raises:
        AppError: that cannot be done; what was there stays.
    """
    directory = os.path.dirname(path)
    try:
        if text is None:
            files.remove(path)
            if directory.endswith(".d"):
                files.remove_empty_directory(directory)
            return
        files.make_directories(directory)
        files.replace(path, text.encode("utf-8"), (os.geteuid(), os.getegid()), mode)
    except OSError as error:
        raise AppError("%s: %s" % (path, error.strerror))


def difference(changes):
    """Return what Ansible shows as the difference of files.

    Args:
        changes: {path: (text before, text after)}, None for a file that is not there.
    """
    return [
        {
            "before_header": path,
            "after_header": path,
            "before": before or "",
            "after": after or "",
        }
        for path, (before, after) in changes.items()
        if before != after
    ]
