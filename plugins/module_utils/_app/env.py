# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the app's .env to what is requested: reads it, has it planned, replaces it in one step.

What it becomes is decided in ``env_plan``; here it is carried out.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import stat
import time
from typing import NamedTuple, Optional

from ansible_collections.sergas.ops.plugins.module_utils._app import (
    env_plan,
    env_readings,
    env_values,
)
from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import MASK, redact_all
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    app_config,
    dotenv,
    dotenv_masking,
    restore_points,
)

#: Of a new file.
_MODE = 0o600
#: One part of a symbolic mode: whose, how, and what.
_CLAUSE = re.compile(r"([ugo]+)([=+-])([rwx]*)\Z")
#: A shorter secret would mask ordinary words all over a result.
_SHORTEST_SECRET = 6


class EnvError(OperationError):
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
        if value is not None and dotenv_masking.is_secret(name, marked)
    }


def shown_options(params):
    """Return the module's options as a result may show them."""
    marked = params["secret_keys"] or ()
    values = {}
    for name, value in params["values"].items():
        shown = dotenv_masking.without_url_password(value) if isinstance(value, str) else value
        values[name] = MASK if dotenv_masking.is_secret(name, marked) else shown
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
    """Do what the module's options say and return its result, with the key ``warnings``.

    Raises:
        EnvError, env_values.Refused: with a message for the person who runs it.
    """
    try:
        with files.held(params["path"]) as location:
            return _run(location, params, check_mode)
    except files.FileRefused as error:
        raise EnvError("path: %s" % error)
    except (FileNotFoundError, NotADirectoryError):
        return _run(_Nowhere(params["path"]), params, check_mode)
    except OSError as error:
        raise EnvError("path: %s: %s" % (error.filename or params["path"], error.strerror))


class _Nowhere:
    """The location of a file whose directory does not exist."""

    def __init__(self, path):
        self.path = path

    def read(self, limit):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)


def _run(location, params, check_mode):
    """Do what ``run`` does, with the file's directory held open.

    Args:
        location: the ``files.Location`` of the file. A wanted link stays, what it leads to is
            replaced.
    """
    path = location.path
    marked = params["secret_keys"] or ()
    values = {
        name: env_values.as_text(name, value) for name, value in (params["values"] or {}).items()
    }
    before_status, before = _read(location)
    plan = env_plan.plan(
        before or "", values, params["absent"] or [], params["repair"], params["systemd"]
    )
    if len(plan.text.encode("utf-8")) > app_config.MAX_BYTES:
        raise EnvError("values: the file would be larger than %d bytes" % app_config.MAX_BYTES)
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
        "repaired": plan.repaired,
        "removed": plan.removed,
        "dropped": [{"name": name, "line": line} for name, line in plan.dropped],
        "duplicates": env_readings.duplicates(plan.text),
        "ambiguous": env_readings.ambiguous(plan.text, marked) if params["systemd"] else {},
        "current": _current(before or "", values, marked),
        "diff": _diff(
            path, before, plan, (owned_before, owned) if reowned else None, secrets(params), marked
        ),
    }
    if result["changed"]:
        try:
            restore_points.refuse_covered([params["path"], location.path])
        except restore_points.Armed as error:
            raise EnvError("path: %s" % error)
        _refuse_unwritable(location, owned, check_mode, warnings)
        if not check_mode:
            keep = params["backup"] and rewritten and before is not None
            backup = _carry_out(
                location, plan.text, owned, before_status, owned_before if keep else None, before
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


def _read(location):
    """Return (status, text) of the file, or (None, None) if it does not exist."""
    try:
        content = location.read(app_config.MAX_BYTES)
    except FileNotFoundError:
        return None, None
    except files.FileRefused:
        raise
    except OSError as error:
        raise EnvError("path: %s cannot be read: %s" % (location.path, error.strerror))
    reading, reason = app_config.decode(content, location.path)
    if reason:
        raise EnvError("path: %s" % reason)
    return content.status, "".join(line.text for line in reading.lines)


def _current(text, values, marked):
    """Return {name: value} that a text gives the variables that are to be set, without secrets."""
    present = dotenv.dotenv_values(dotenv.parse(text))
    return {
        name: dotenv_masking.without_url_password(present[name])
        for name in values
        if name in present and not dotenv_masking.is_secret(name, marked)
    }


def _owned(status):
    return Ownership(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def _ownership(status, params, check_mode, warnings):
    """Return the ``Ownership`` that the file is to have."""
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
        wanted[0],
        wanted[1],
        kept.mode if params["mode"] is None else _mode(params["mode"], kept.mode),
    )


def _mode(given, current):
    """Return the mode that is requested.

    Args:
        given: digits, or clauses such as ``o=`` and ``u=rw,go-w``.
        current: the mode that the clauses change.
    """
    # An unquoted 0640 in YAML is a number already.
    if isinstance(given, int) and not isinstance(given, bool):
        mode = given
    elif re.match(r"0?o?[0-7]{3,4}\Z", str(given)):
        mode = int(given, 8)
    else:
        mode = _changed_mode(str(given).split(","), current)
    if not 0 <= mode <= 0o777:
        raise EnvError(
            "mode: %r is no mode of a file; give it as digits in quotes, for example '0640', or as"
            " 'o=' to change only a part of it" % (given,)
        )
    return mode


def _changed_mode(clauses, current):
    """Return a mode changed by the clauses of a symbolic one, or -1 where one makes no sense."""
    mode = current & 0o777
    for clause in clauses:
        match = _CLAUSE.match(clause)
        if not match:
            return -1
        who, how, what = match.groups()
        bits = sum({"r": 4, "w": 2, "x": 1}[letter] for letter in set(what))
        for shift in {{"u": 6, "g": 3, "o": 0}[letter] for letter in who}:
            if how == "=":
                mode = mode & ~(7 << shift) | bits << shift
            elif how == "+":
                mode |= bits << shift
            else:
                mode &= ~(bits << shift)
    return mode


def _refuse_unwritable(location, owned, check_mode, warnings):
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
    directory = os.path.dirname(location.path)
    if isinstance(location, _Nowhere):
        if not check_mode:
            raise EnvError("path: the directory %s does not exist" % directory)
        warnings.append("path: the directory %s does not exist yet" % directory)
    elif not location.writable():
        raise EnvError("path: nothing can be written to %s as this user" % directory)


def _diff(path, before, plan, reowned, hidden, marked):
    hidden = (
        hidden
        | dotenv_masking.secrets(before or "", marked)
        | dotenv_masking.secrets(plan.text, marked)
    )
    changed = plan.changed + plan.repaired
    parts = [
        {
            "before_header": path,
            "after_header": path,
            "before": dotenv_masking.masked(before or "", hidden, marked),
            "after": dotenv_masking.masked(plan.text, hidden, marked, changed),
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


def _carry_out(location, text, owned, status, kept_as, before):
    """Replace the file; return where the old one is kept, or None.

    Args:
        status: what it was when it was read, None where there was none.
        kept_as: the ``Ownership`` of the copy of the old file, None for no copy.
        before: the text of the old file.
    """
    backup = None
    try:
        if kept_as is not None:
            name = "%s.%d.%s~" % (location.name, os.getpid(), time.strftime("%Y-%m-%d@%H:%M:%S"))
            backup = location.beside(name)
            backup.replace(before.encode("utf-8"), kept_as[:2], kept_as.mode, None, like=location)
        location.replace(text.encode("utf-8"), owned[:2], owned.mode, status)
    except OSError as error:
        if backup is not None and backup.status() is not None:
            backup.remove()
        if isinstance(error, files.FileChanged):
            raise EnvError(
                "path: %s has been changed by someone else just now; run it again" % location.path
            )
        if isinstance(error, files.FileRefused):
            raise
        raise EnvError(
            "path: %s could not be written and is as it was: %s" % (location.path, error.strerror)
        )
    return backup.path if backup is not None else None
