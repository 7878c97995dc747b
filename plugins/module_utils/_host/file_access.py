# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether another user may read a file: by its mode, else by what the kernel says to that user."""

from __future__ import annotations

import grp
import os
import pwd
import stat

from ansible_collections.sergas.ops.plugins.module_utils._core import process
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import DeadlineExceeded


def denial(path, user, group, more_groups, deadline):
    """Return why a user may not read a file, as a sentence, or None if it may or that is not known.

    Only root can find out. Nothing is opened.

    Args:
        path: of the file.
        user, group: as in a unit, by name or number; the group may be None.
        more_groups: further groups, by name or number.
        deadline: a ``Deadline``.
    """
    try:
        account = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        gid = _gid(group) if group else account.pw_gid
        gids = set(os.getgrouplist(account.pw_name, account.pw_gid)) | {gid}
        gids |= {_gid(name) for name in more_groups}
    except KeyError:
        return None
    parts = _parts(os.path.realpath(path))
    if account.pw_uid == 0 or all(_plainly_allowed(part, account.pw_uid) for part in parts):
        return None
    command = ["setpriv", "--reuid=%d" % account.pw_uid, "--regid=%d" % gid]
    command += ["--groups=" + ",".join(map(str, sorted(gids))), "--", "test", "-r", path]
    try:
        status = process.run(command, deadline)[0]
    except (process.CommandMissing, DeadlineExceeded):
        return None
    if status != 1:
        return None
    for part in parts:
        found = os.lstat(part)  # a mode only
        if not _allowed(found, account.pw_uid, gids):
            return "%s belongs to %s:%s and has the mode %04o" % (
                part,
                _name(pwd.getpwuid, found.st_uid),
                _name(grp.getgrgid, found.st_gid),
                stat.S_IMODE(found.st_mode),
            )
    return "an access list or a security module denies it"


def _gid(group):
    return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid


def _name(find, number):
    try:
        return find(number)[0]
    except KeyError:
        return number


def _parts(path):
    """Return the directories of a path and itself, from ``/`` on."""
    found = [path]
    while os.path.dirname(found[-1]) != found[-1]:
        found.append(os.path.dirname(found[-1]))
    return found[::-1]


def _allowed(found, uid, gids):
    bit = stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else stat.S_IROTH
    if found.st_uid == uid:
        bit <<= 6
    elif found.st_gid in gids:
        bit <<= 3
    return bool(found.st_mode & bit)


def _plainly_allowed(path, uid):
    """Return whether the mode alone says so; an access list may say otherwise."""
    try:
        found = os.lstat(path)  # a mode only
    except OSError:
        return False
    if found.st_uid == uid:
        return _allowed(found, uid, ())
    try:
        os.getxattr(path, "system.posix_acl_access", follow_symlinks=False)
    except OSError:
        return _allowed(found, uid, {found.st_gid}) and _allowed(found, uid, ())
    return False
