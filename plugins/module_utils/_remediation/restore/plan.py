# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may become of a restore point, and how its files are shown: plain values in and out."""

from __future__ import annotations

import os
import re

from ansible_collections.sergas.ops.plugins.module_utils._core.errors import OperationError
from ansible_collections.sergas.ops.plugins.module_utils._core.redaction import redact, redact_all
from ansible_collections.sergas.ops.plugins.module_utils._host import dotenv, dotenv_masking

MOST_SECONDS = 86400
#: Of the options that are numbers, in seconds.
RANGES = (("deadline", 0, MOST_SECONDS), ("command_timeout", 1, 3600))
MOST_FILES = 200
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_DIRECTORY = re.compile(r"/[A-Za-z0-9/._-]*\Z")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@\\-]{0,254}\Z")
#: A longer file is shown by its size only.
_LONGEST_SHOWN = 65536


class Refused(OperationError):
    """It cannot be done, and nothing has been touched; the message says why and what to do.

    Attributes:
        holder: the lease of the run that is at work on the host, if that is why.
    """

    def __init__(self, message, holder=None):
        super().__init__(message)
        self.holder = holder
        self.result = {"holder": holder}


class PointError(OperationError):
    """It did not work; the message says what and in which state the host is now."""

    def __init__(self, message, **result):
        super().__init__(message)
        self.result = result


def check(params):
    """Refuse options that cannot be.

    Args:
        params: name, state, files, commands, deadline (s), command_timeout (s), directory.

    Raises:
        Refused: the message names the option, its value and what is allowed.
    """
    if not _NAME.match(params["name"]):
        raise Refused(
            "name: %r must be 1 to 64 of a-z, 0-9, '.', '_' and '-', and begin with a letter or a"
            " digit" % params["name"]
        )
    if not _DIRECTORY.match(params["directory"]):
        raise Refused(
            "directory: %r must be absolute, of letters, digits, '.', '_' and '-'"
            % params["directory"]
        )
    for option, least, most in RANGES:
        if not least <= params[option] <= most:
            raise Refused(
                "%s: %d must be from %d to %d seconds" % (option, params[option], least, most)
            )
    if len(params["files"]) > MOST_FILES:
        raise Refused("files: %d are too many, %d may be" % (len(params["files"]), MOST_FILES))
    for path in params["files"]:
        if not path.startswith("/") or os.path.normpath(path) != path or "\0" in path:
            raise Refused("files: %r must be an absolute path without '.', '..' and '//'" % path)
        if (path + "/").startswith(params["directory"].rstrip("/") + "/"):
            raise Refused("files: %s lies where restore points are kept" % path)
        if params["files"].count(path) > 1:
            raise Refused("files: %s is there twice" % path)
    for argv in params["commands"]:
        if not isinstance(argv, list) or not argv or not all(isinstance(a, str) for a in argv):
            raise Refused("commands: %r must be a command and its arguments as a list" % (argv,))
    for unit in params["restarts"]:
        if not _UNIT.match(unit):
            raise Refused("restarts: %r must be the name of a unit of systemd" % unit)


def refuse_kinds(found):
    """Refuse what cannot be saved.

    Args:
        found: what ``program.describe`` says of each path.

    Raises:
        Refused: one of them is a directory, a socket or the like.
    """
    for item in found:
        if item["kind"] == "other":
            raise Refused("files: %s is neither a regular file nor a symbolic link" % item["path"])


def space_needed(found, reserved):
    """Return the bytes that saving takes.

    Args:
        found: what ``program.describe`` says of each path.
        reserved: bytes for what comes with every point.
    """
    # Each file begins a new block.
    saved = [item.get("leads_to", item) for item in found]
    sizes = {item["path"]: item["bytes"] for item in saved if item["kind"] == "file"}
    return reserved + sum(size + 4096 for size in sizes.values())


def same(point, found, commands, restarts=()):
    """Return whether an armed point would restore just what is there now.

    Args:
        point: what the armed one holds.
        found: what ``program.describe`` says of each path that is requested.
        commands, restarts: those that are requested.
    """
    saved = [
        {key: value for key, value in item.items() if key not in ("saved", "made_in")}
        for item in point["files"]
    ]
    requested = (found, commands, sorted(restarts))
    return (saved, point["commands"], sorted(point.get("restarts") or ())) == requested


def who(outcome):
    """Return in words who has restored a point."""
    return {
        "timer": "by the host itself, at its deadline",
        "boot": "by the host itself, as it started again",
        "module": "by a run",
    }.get(outcome["by"], "by the host itself")


def failures(outcome):
    """Return in one sentence what of a restore did not work, or None."""
    words = list(outcome["errors"])
    for command in outcome["commands"]:
        if command["status"] != 0:
            words.append(
                "%s: %s"
                % (
                    " ".join(command["argv"]),
                    command["error"] or "exit status %s" % command["status"],
                )
            )
    return redact("; ".join(words)) if words else None


def shown_outcome(outcome):
    """Return what came of a restore as a result may show it, or None."""
    return None if outcome is None else redact_all(outcome)


# The diff


def diff(pairs):
    """Return the differences that a restore makes, for Ansible's ``diff``, without secrets.

    Args:
        pairs: (before, after) of each file that changes; each side is (what
            ``program.describe`` says of it, its content as bytes or None).
    """
    hidden = set()
    texts = []
    for sides in pairs:
        both = [_text(content) for _item, content in sides]
        texts.append(both)
        if _is_dotenv(sides[0][0]["path"]):
            hidden.update(
                secret for text in both if text for secret in dotenv_masking.secrets(text)
            )
    return [
        {
            "before_header": _header(before[0]),
            "after_header": _header(after[0]),
            "before": _shown(before, both, 0, hidden),
            "after": _shown(after, both, 1, hidden),
        }
        for (before, after), both in zip(pairs, texts)
    ]


def _text(content):
    if content is None or len(content) > _LONGEST_SHOWN:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _header(item):
    if item["kind"] == "file":
        return "%s (%d:%d %04o)" % (item["path"], item["uid"], item["gid"], item["mode"])
    return "%s (%s)" % (item["path"], item["kind"])


def _shown(side, texts, index, hidden):
    item, content = side
    if item["kind"] == "link":
        return "-> %s\n" % redact(item["target"])
    if item["kind"] != "file":
        return ""
    text = texts[index]
    if text is None:
        return "%d bytes, SHA-256 %s\n" % (item["bytes"], item["sha256"])
    if not _is_dotenv(item["path"]):
        return redact(text, hidden)
    changed = _changed(texts) if index else ()
    return dotenv_masking.masked(text, hidden, (), changed)


def _is_dotenv(path):
    name = os.path.basename(path)
    return name == ".env" or name.startswith(".env.") or name.endswith(".env")


def _changed(texts):
    """Return the variables that the two texts of a .env give different values."""
    before, after = (dotenv.dotenv_values(dotenv.parse(text or "")) for text in texts)
    return [name for name in after if before.get(name) != after[name]]


def refuse_restored(name, outcome):
    """Raise PointError where the host has restored a point automatically, or not all of it."""
    if outcome and (outcome["by"] != "module" or not outcome["complete"]):
        problem = failures(outcome)
        raise PointError(
            "%s was restored at %s %s: what was done under its protection is undone%s"
            % (
                name,
                outcome["restored_at"],
                who(outcome),
                "; but " + problem if problem else "",
            ),
            outcome=shown_outcome(outcome),
        )
