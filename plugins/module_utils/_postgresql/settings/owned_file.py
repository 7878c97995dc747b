# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration file that pg_settings owns, on the disk: read, written, rolled back."""

from __future__ import annotations

import errno
import os
import stat

from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings.plan import (
    SettingsError,
)


class OwnedFile:
    """The owned file of a cluster, beside the main one that includes it.

    Attributes:
        path: of the owned file.
    """

    def __init__(self, config_file, name):
        self._config_file = config_file
        self.path = os.path.join(os.path.dirname(config_file), "conf.d", name)
        self._backup = os.path.join(os.path.dirname(self.path), ".%s.before" % name)

    def write(self, plan):
        """Write what the plan says; first the file, then the line that includes it."""
        try:
            if plan.after != plan.before:
                self._make_directory(os.path.dirname(self.path))
                # The first one is what the server last started with: a killed run must not lose it.
                if files.stat(self._backup) is None:
                    self._put(self._backup, plan.before or "")
                self._put(self.path, plan.after)
            if plan.main_after != plan.main_before:
                self._put(self._config_file, plan.main_after)
        except OSError as error:
            raise SettingsError(
                "%s could not be written: %s" % (error.filename or self.path, error.strerror)
            )

    def roll_back(self, plan):
        """Restore what was there before this run, which the server has not read since."""
        self._restore(plan, plan.before)
        if not plan.restart:
            self.remove_backup()

    def restore_last_started(self, plan):
        """Restore what the server last started with."""
        old = read(self._backup)
        if old is None:
            old = plan.before if plan.before != plan.after else ""
        self._restore(plan, old or None)
        self.remove_backup()

    def remove_backup(self):
        """Remove what a later run does not need, temporary files of killed runs too."""
        for path in (self.path, self._config_file):
            directory, name = os.path.split(path)
            for other in names(directory) or ():
                if other.startswith(".%s." % name):
                    files.remove(os.path.join(directory, other))

    def written_at(self):
        """Return when the file was last written, in seconds since the epoch; 0.0 without one."""
        try:
            status = files.stat(self.path)
        except OSError:
            return 0.0
        return status.st_mtime if status else 0.0

    def _restore(self, plan, text):
        self._put(self.path, text)
        if plan.main_after != plan.main_before:
            self._put(self._config_file, plan.main_before)

    def _make_directory(self, directory):
        like = files.stat_directory(os.path.dirname(self._config_file))
        owner = (like.st_uid, like.st_gid) if os.geteuid() == 0 else None
        files.make_directories(directory, stat.S_IMODE(like.st_mode), owner)

    def _put(self, path, text):
        """Make a file have a text, at once and for good, or not at all; None removes it."""
        # The directory is the server's own user's, who can put links there.
        if text is None:
            files.remove(path)
            return
        like = files.stat(self._config_file)
        if like is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._config_file)
        owner = (like.st_uid, like.st_gid) if os.geteuid() == 0 else None
        mode = stat.S_IMODE(like.st_mode)
        # What it is called until it is whole begins with a dot, which the server does not read.
        files.replace(path, text.encode("utf-8", "surrogateescape"), owner, mode)


def read(path):
    """Return the text of a configuration file, or None where there is none."""
    try:
        return files.read_text(path, errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except files.FileRefused as error:
        raise SettingsError(str(error))
    except OSError as error:
        raise SettingsError("%s cannot be read: %s" % (path, error.strerror))


def names(directory):
    """Return the names in a directory, or None where it cannot be read."""
    try:
        return files.names(directory)
    except OSError:
        return None
