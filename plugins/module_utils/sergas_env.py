# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the app's .env to what is asked for: reads it, has it planned, replaces it in one step.

What it becomes is decided in `dotenv_plan`; here it is carried out.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
import tempfile
import time
from typing import NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils import dotenv_plan, restore_reader
from ansible_collections.sergas.ops.plugins.module_utils.finding import MASK, redact_all
from ansible_collections.sergas.ops.plugins.module_utils.probes import environment

#: Of a new file.
_MODE = 0o600
#: A shorter secret would mask ordinary words all over a result.
_SHORTEST_SECRET = 6


class EnvError(Exception):
    """It cannot be done; the message says why, and the file is as it was."""


class Ownership(NamedTuple):
    """Who a file belongs to, and its mode. None for an owner that does not exist yet."""

    uid: Optional[int]
    gid: Optional[int]
    mode: int

    def shown(self):
        return {"owner": self.uid, "group": self.gid, "mode": "%04o" % self.mode}


def secrets(params):
    """Return the set of the secret values among the module's options."""
    marked = params["secret_keys"] or ()
    values = (params["values"] or {}).items()
    return {
        str(value)
        for name, value in values
        if value is not None and dotenv_plan.is_secret(name, marked)
    }


def shown_options(params):
    """Return the module's options as a result may show them."""
    marked = params["secret_keys"] or ()
    values = {}
    for name, value in params["values"].items():
        shown = dotenv_plan.without_url_password(value) if isinstance(value, str) else value
        values[name] = MASK if dotenv_plan.is_secret(name, marked) else shown
    return redact_all(dict(params, values=values), secrets(params))


def maskable(params):
    """Return the secret values that can be masked wherever they stand without making a result
    useless.

    What is short, or part of the path or of a name, is kept out of results by where it would stand.
    """
    plain = "\n".join([params["path"], *params["values"]])
    return {
        value for value in secrets(params) if len(value) >= _SHORTEST_SECRET and value not in plain
    }


def run(params, check_mode):
    """Do what the module's options ask for and return its result, with the key C(warnings).

    Raises:
        EnvError, dotenv_plan.Refused: with a message for the person who runs it.
    """
    # The link stays, what it leads to is replaced.
    path = os.path.realpath(params["path"])
    marked = params["secret_keys"] or ()
    values = {
        name: dotenv_plan.as_text(name, value) for name, value in (params["values"] or {}).items()
    }
    before_status, before = _read(path)
    plan = dotenv_plan.plan(
        before or "", values, params["absent"] or [], params["mend"], params["systemd"]
    )
    if len(plan.text.encode("utf-8")) > environment.MAX_BYTES:
        raise EnvError("values: the file would be larger than %d bytes" % environment.MAX_BYTES)
    if before is None and plan.text and not params["create"]:
        raise EnvError("path: %s does not exist; create: true makes it" % path)
    warnings = []
    owned = _ownership(before_status, params, check_mode, warnings)
    created = before is None and bool(plan.text)
    rewritten = created or (before is not None and plan.text != before)
    owned_before = None if before is None else _owned(before_status)
    reowned = owned_before is not None and owned != owned_before
    result = {
        "changed": rewritten or reowned,
        "file": path,
        "created": created,
        "changed_keys": plan.changed,
        "mended": plan.mended,
        "removed": plan.removed,
        "dropped": [{"name": name, "line": line} for name, line in plan.dropped],
        "duplicates": dotenv_plan.duplicates(plan.text),
        "ambiguous": dotenv_plan.ambiguous(plan.text, marked) if params["systemd"] else {},
        "diff": _diff(
            path, before, plan, (owned_before, owned) if reowned else None, secrets(params), marked
        ),
    }
    if result["changed"]:
        try:
            restore_reader.refuse_covered([path])
        except restore_reader.Armed as error:
            raise EnvError("path: %s" % error)
        _refuse_unwritable(path, owned, check_mode, warnings)
        if not check_mode:
            keep = params["backup"] and rewritten and before is not None
            backup = _carry_out(
                path, plan.text, owned, before_status, owned_before if keep else None, before
            )
            if backup:
                result["backup_file"] = backup
    if result["ambiguous"]:
        warnings.append(
            "systemd and python-dotenv read these variables of %s differently: %s"
            % (path, ", ".join(sorted(result["ambiguous"])))
        )
    result["warnings"] = warnings
    return result


# What is there


def _read(path):
    """Return (status, text) of the file, or (None, None) if it does not exist."""
    try:
        # Before it is read, so that a change in between is noticed.
        status = os.stat(path)
    except OSError:
        status = None
    reading, reason = environment.read(path)
    if reason:
        raise EnvError("path: %s" % reason)
    if reading is None or status is None:
        return None, None
    return status, "".join(line.text for line in reading.lines)


def _owned(status):
    return Ownership(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def _ownership(status, params, check_mode, warnings):
    """Return the L(Ownership) that the file is to have."""
    kept = Ownership(os.geteuid(), os.getegid(), _MODE) if status is None else _owned(status)
    wanted = []
    for option, current, find in (
        ("owner", kept.uid, lambda name: pwd.getpwnam(name).pw_uid),
        ("group", kept.gid, lambda name: grp.getgrnam(name).gr_gid),
    ):
        name = params[option]
        if name is None:
            wanted.append(current)
        elif re.match(r"[0-9]+\Z", name):
            wanted.append(int(name))
        else:
            try:
                wanted.append(find(name))
            except KeyError:
                if not check_mode:
                    raise EnvError("%s: there is no %s here" % (option, name))
                # A task before this one may make it.
                warnings.append("%s: there is no %s here yet" % (option, name))
                wanted.append(None)
    return Ownership(
        wanted[0], wanted[1], kept.mode if params["mode"] is None else _mode(params["mode"])
    )


def _mode(given):
    # An unquoted 0640 in YAML is a number already.
    if isinstance(given, int) and not isinstance(given, bool):
        mode = given
    else:
        mode = int(given, 8) if re.match(r"0?o?[0-7]{3,4}\Z", str(given)) else -1
    if not 0 <= mode <= 0o777:
        raise EnvError(
            "mode: %r is no mode of a file; give it as digits in quotes, for example '0640'"
            % (given,)
        )
    return mode


def _refuse_unwritable(path, owned, check_mode, warnings):
    """Refuse what a real run could not do, in check mode as well."""
    if os.geteuid() != 0:
        if owned.uid not in (None, os.geteuid()):
            raise EnvError(
                "owner: the file is to belong to user %d, which takes become: true" % owned.uid
            )
        if owned.gid is not None and owned.gid not in [os.getegid(), *os.getgroups()]:
            raise EnvError(
                "group: the file is to belong to group %d, which takes become: true" % owned.gid
            )
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        if not check_mode:
            raise EnvError("path: the directory %s does not exist" % folder)
        warnings.append("path: the directory %s does not exist yet" % folder)
    elif not os.access(folder, os.W_OK | os.X_OK):
        raise EnvError("path: nothing can be written to %s as this user" % folder)


def _diff(path, before, plan, reowned, hidden, marked):
    hidden = (
        hidden | dotenv_plan.secrets(before or "", marked) | dotenv_plan.secrets(plan.text, marked)
    )
    changed = plan.changed + plan.mended
    parts = [
        {
            "before_header": path,
            "after_header": path,
            "before": dotenv_plan.masked(before or "", hidden, marked),
            "after": dotenv_plan.masked(plan.text, hidden, marked, changed),
        }
    ]
    if reowned:
        parts.append(
            {
                "before_header": "%s (owner and mode)" % path,
                "after_header": "%s (owner and mode)" % path,
                "before": reowned[0].shown(),
                "after": reowned[1].shown(),
            }
        )
    return parts


# What is done


def _carry_out(path, text, owned, status, kept_as, before):
    """Replace the file; return where the old one is kept, or None.

    Args:
        kept_as: the L(Ownership) of the copy of the old file, None for no copy.
        before: the text of the old file.
    """
    backup = None
    try:
        if kept_as is not None:
            name = "%s.%d.%s~" % (path, os.getpid(), time.strftime("%Y-%m-%d@%H:%M:%S"))
            _put(name, before, kept_as, path, None)
            backup = name
        _put(path, text, owned, path if status else None, status)
    except (OSError, EnvError) as error:
        if backup:
            os.unlink(backup)
        if isinstance(error, EnvError):
            raise
        raise EnvError(
            "path: %s could not be written and is as it was: %s" % (path, error.strerror)
        )
    return backup


def _put(path, text, owned, like, status):
    """Write a whole file in one step: it is the old one or the new one, also on a full disk.

    Args:
        path: of the file.
        text: what it shall say.
        owned: its L(Ownership).
        like: the file whose extended attributes (lists of access, labels) it gets, or None.
        status: what C(os.stat) said of the file when it was read, or None.

    Raises:
        EnvError: someone else has changed the file since.
        OSError: it could not be written.
    """
    folder = os.path.dirname(path)
    descriptor, draft = tempfile.mkstemp(prefix=".%s." % os.path.basename(path), dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            if (owned.uid, owned.gid) != (os.geteuid(), os.fstat(descriptor).st_gid):
                os.fchown(descriptor, owned.uid, owned.gid)
            if like is not None:
                _copy_attributes(like, descriptor)
            os.fchmod(descriptor, owned.mode)
            os.fsync(descriptor)
        if status is not None and _identity(os.stat(path)) != _identity(status):
            raise EnvError(
                "path: %s has been changed by someone else just now; run it again" % path
            )
        os.rename(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _identity(status):
    return status.st_ino, status.st_size, status.st_mtime_ns


def _copy_attributes(like, descriptor):
    try:
        for name in os.listxattr(like):
            os.setxattr(descriptor, name, os.getxattr(like, name))
    except OSError:
        # The file system has none, or this user may not set them; owner and mode are set all the
        # same.
        pass
