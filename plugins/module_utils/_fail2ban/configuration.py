# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This collection's files of fail2ban's configuration, and what an operator sets otherwise."""

from __future__ import annotations

import hashlib
import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core import files as core_files
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._fail2ban import client

DIRECTORIES = ("action.d", "filter.d", "jail.d")
#: Stands for a hash of all files, so that the server itself can say which of them it has read.
REVISION = "@REVISION@"
_OWN = re.compile(r"(?:action|filter|jail)\.d/sergas[\w-]*\.conf\Z")
_JAILS = "jail.d/sergas.conf"


def with_revision(files):
    """Return the files with ``@REVISION@`` put in place (pure)."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(("%s\0%s\0" % (path, files[path])).encode("utf-8"))
    revision = digest.hexdigest()[:12]
    return {path: text.replace(REVISION, revision) for path, text in files.items()}, revision


def differences(before, after):
    """Return {path: (old text or None, new text or None)} of what differs (pure)."""
    return {
        path: (before.get(path), after.get(path))
        for path in sorted(set(before) | set(after))
        if before.get(path) != after.get(path)
    }


def check_paths(files):
    """Raise InvalidValue for the first file that would not be ours."""
    for path in files:
        if not _OWN.match(path):
            raise InvalidValue(
                "files: %s is not a file of this collection, those are"
                " {action,filter,jail}.d/sergas*.conf" % path
            )


def read_own(config):
    """Return {relative path: text} of this collection's files under a configuration directory."""
    found = {}
    for directory in DIRECTORIES:
        try:
            names = os.listdir(os.path.join(config, directory))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            path = os.path.join(directory, name)
            if _OWN.match(path):
                found[path] = core_files.read_text(os.path.join(config, path))
    return found


def read_overrides(config, files):
    """Return what an operator's own files set otherwise than ours: see ``client.overridden``."""
    if _JAILS not in files:
        return []
    later = []
    directory = os.path.join(config, "jail.d")
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    paths = [
        os.path.join(directory, name)
        for name in names
        if name.endswith(".conf") and name > os.path.basename(_JAILS)
    ]
    paths.append(os.path.join(config, "jail.local"))
    paths += [os.path.join(directory, name) for name in names if name.endswith(".local")]
    for path in paths:
        try:
            later.append(client.parse_ini(path, core_files.read_text(path)))
        except FileNotFoundError:
            continue
    return client.overridden(client.parse_ini(_JAILS, files[_JAILS]), later)
