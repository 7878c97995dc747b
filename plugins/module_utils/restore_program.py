# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts back what a restore point has saved. It runs by itself on the host, too.

A copy of this very file lies beside the saved files, and a timer of the host starts it when nobody
has disarmed the point in time. So it uses the standard library only and nothing of the collection.

A restore point is a folder::

    point.json    what was saved, and the commands to run once it is back
    saved/0 ...   the files, with the owner and mode they had
    outcome       what came of it; its space is taken when the point is armed
    restore.py    this program
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

UNITS = "/etc/systemd/system"
#: The outcome is written over these bytes: a full disk has no others.
OUTCOME_BYTES = 8192
_LONGEST_MESSAGE = 300
_MOST_ERRORS = 10
_FULL = (errno.ENOSPC, errno.EDQUOT)
_BLOCK = 1024 * 1024
_UNIT_SECONDS = 10
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def unit_of(name):
    """Return the name of the service that restores a point; its timer has the same one."""
    return "sergas-restore-%s.service" % name


def unit_files(name, units=UNITS):
    """Return (path of the unit, path of the link that starts it at boot) of a point."""
    unit = unit_of(name)
    return os.path.join(units, unit), os.path.join(units, "multi-user.target.wants", unit)


def boot():
    """Return what tells this boot of the host from another one, or None where nothing does.

    The kernel's id alone does not: a container that starts again has the same one. Its first
    process has another start.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as source:
            kernel = source.read().strip()
        with open("/proc/1/stat", encoding="ascii", errors="replace") as source:
            # The name of the command, in brackets, may have spaces.
            started = source.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
    return "%s %s" % (kernel, started)


@contextlib.contextmanager
def locked(folder):
    """Hold the lock of a folder; it is free again when its holder dies.

    Raises:
        FileNotFoundError: there is no such folder, or it went while its lock was waited for.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_ino != os.stat(folder).st_ino:
            raise FileNotFoundError(errno.ENOENT, "replaced in the meantime", folder)
        yield
    finally:
        os.close(handle)


def read_point(folder):
    """Return the point that a folder holds as a dict, or None where there is none."""
    try:
        with open(os.path.join(folder, "point.json"), encoding="utf-8") as source:
            return json.load(source)
    except FileNotFoundError:
        return None


def read_outcome(folder):
    """Return what came of restoring a point as a dict, or None if nobody has begun to."""
    try:
        with open(os.path.join(folder, "outcome"), encoding="utf-8") as source:
            text = source.read(OUTCOME_BYTES).strip()
    except FileNotFoundError:
        return None
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        # The host went down in the middle of writing it: begun, and to be done again.
        return {
            "restored_at": None,
            "by": None,
            "complete": False,
            "attempts": 1,
            "files": [],
            "errors": ["the host went down while the outcome was written"],
            "commands": [],
            "touched": True,
        }


def write_point(folder, point):
    """Write what a point holds, in one step."""
    draft = os.path.join(folder, ".point.json")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(point, file)
        file.flush()
        os.fsync(handle)
    os.rename(draft, os.path.join(folder, "point.json"))


def write_outcome(folder, outcome):
    """Write what came of it over the space that was taken for it; None only takes the space."""
    text = b"" if outcome is None else json.dumps(outcome).encode("utf-8")
    while len(text) >= OUTCOME_BYTES and any(outcome[key] for key in ("files", "commands")):
        # Thousands of files: what failed is more telling than what did not.
        longest = max(("files", "commands"), key=lambda key: len(outcome[key]))
        outcome = dict(outcome, **{longest: outcome[longest][: len(outcome[longest]) // 2]})
        text = json.dumps(outcome).encode("utf-8")
    handle = os.open(os.path.join(folder, "outcome"), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(handle, text.ljust(OUTCOME_BYTES - 1) + b"\n", 0)
        os.fsync(handle)
    finally:
        os.close(handle)


def describe(path):
    """Return what is at a path, as a dict: its kind, and what tells it from another one.

    The kind is C(absent), C(file), C(link) or C(other).
    """
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"path": path, "kind": "absent"}
    if stat.S_ISLNK(status.st_mode):
        return {
            "path": path,
            "kind": "link",
            "target": os.readlink(path),
            "uid": status.st_uid,
            "gid": status.st_gid,
        }
    if not stat.S_ISREG(status.st_mode):
        return {"path": path, "kind": "other"}
    return {
        "path": path,
        "kind": "file",
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "bytes": status.st_size,
        "sha256": digest(path),
    }


def digest(path):
    """Return the SHA-256 of a file in hexadecimal digits."""
    total = hashlib.sha256()
    with open(path, "rb") as source:
        for block in iter(lambda: source.read(_BLOCK), b""):
            total.update(block)
    return total.hexdigest()


def is_back(item):
    """Return whether a saved file (an entry of the point's C(files)) is as it was."""
    now = describe(item["path"])
    return all(item.get(key) == value for key, value in now.items())


def put_back(item, folder):
    """Put one file back; return whether anything had to be done.

    Args:
        item: an entry of the point's C(files).
        folder: that of the point.

    Raises:
        OSError: it could not be put back. What is there is whole: the old file or the new one.
    """
    path = item["path"]
    if is_back(item):
        return False
    if os.path.isdir(path) and not os.path.islink(path):
        raise IsADirectoryError(errno.EISDIR, "a directory has taken its place", path)
    if item["kind"] == "absent":
        os.unlink(path)
        for made in item.get("made_in", ()):
            try:
                os.rmdir(made)
            except OSError:
                break
        return True
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if item["kind"] == "link":
        _put_link(item)
    else:
        _put_file(item, os.path.join(folder, item["saved"]))
    sync(os.path.dirname(path))
    return True


def _put_link(item):
    # A link is made in one step or not at all.
    draft = os.path.join(os.path.dirname(item["path"]), ".sergas-restore.%d" % os.getpid())
    os.symlink(item["target"], draft)
    try:
        os.lchown(draft, item["uid"], item["gid"])
        os.rename(draft, item["path"])
    except BaseException:
        os.unlink(draft)
        raise


def _put_file(item, saved):
    """Put a file in its place in one step; on a full disk without a block more than there is.

    A copy beside the target, renamed, is the rule: the saved file stays for another time. Without
    the space for it, the saved file itself is renamed, which takes none. That only works on the
    saved file's own file system; on another one, the blocks of the file in its place are written
    over, once it is certain that they are enough.
    """
    try:
        _copy_and_rename(item, saved)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        try:
            os.rename(saved, item["path"])
        except OSError as other:
            if other.errno != errno.EXDEV:
                raise
            _write_over(item, saved)


def _copy_and_rename(item, saved):
    handle, draft = tempfile.mkstemp(prefix=".sergas-restore.", dir=os.path.dirname(item["path"]))
    try:
        with os.fdopen(handle, "wb") as file, open(saved, "rb") as source:
            shutil.copyfileobj(source, file, _BLOCK)
            file.flush()
            os.fchown(handle, item["uid"], item["gid"])
            os.fchmod(handle, item["mode"])
            os.fsync(handle)
        os.rename(draft, item["path"])
    except BaseException:
        os.unlink(draft)
        raise


def _write_over(item, saved):
    handle = os.open(item["path"], os.O_RDWR | os.O_NOFOLLOW)
    try:
        os.posix_fallocate(handle, 0, max(1, item["bytes"]))
        with open(saved, "rb") as source:
            place = 0
            for block in iter(lambda: source.read(_BLOCK), b""):
                place += os.pwrite(handle, block, place)
        os.ftruncate(handle, item["bytes"])
        os.fchown(handle, item["uid"], item["gid"])
        os.fchmod(handle, item["mode"])
        os.fsync(handle)
    finally:
        os.close(handle)


def sync(folder):
    """Make what was renamed in a folder last through a crash."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def run_command(argv, seconds):
    """Run a command and return {argv, status, seconds, error}.

    Args:
        argv: the command and its arguments.
        seconds: how long it may take; it and its children are killed then.

    Returns:
        dict: the status is None where it was killed or could not be started; the error is the end
        of its standard error, or None.
    """
    begun = time.monotonic()
    # A file in memory: a daemon that keeps it open delays nobody, and it needs no disk.
    errors = os.memfd_create("errors") if hasattr(os, "memfd_create") else os.open(os.devnull, 2)
    status = message = None
    try:
        command = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd="/",
            env={"PATH": _PATH, "LC_ALL": "C", "HOME": "/root"},
            start_new_session=True,
        )
        try:
            status = command.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(command.pid, signal.SIGKILL)
            command.wait()
            message = "killed after %g s" % seconds
        if message is None and status != 0:
            size = os.fstat(errors).st_size
            tail = os.pread(errors, _LONGEST_MESSAGE, max(0, size - _LONGEST_MESSAGE))
            message = tail.decode("utf-8", "replace").strip() or None
    except OSError as error:
        message = error.strerror
    finally:
        os.close(errors)
    return {
        "argv": argv,
        "status": status,
        "seconds": round(time.monotonic() - begun, 1),
        "error": message,
    }


def clock(at=None):
    """Return a time in seconds since the epoch, by default the current one, as text in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def unit_state(unit):
    """Return {InvocationID, ActiveState} of a unit, empty where systemd does not tell."""
    argv = ["systemctl", "show", "--property=InvocationID,ActiveState", "--", unit]
    try:
        shown = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": _PATH, "LC_ALL": "C"},
            timeout=_UNIT_SECONDS,
            check=True,
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def needs_restart(saved, now, touched, booted):
    """Return whether undoing what was done since a point was armed takes a restart of a unit.

    A process has the configuration that it was started with. One that is still the same has none of
    what was written since, and does not go down for it.

    Args:
        saved, now: L(unit_state) at the arming and now.
        touched: whether any file was not as it had been saved.
        booted: whether the host has started again since.
    """
    up = ("active", "activating", "reloading")
    if booted or not saved or not now:
        return touched
    if saved.get("ActiveState") in up and now.get("ActiveState") not in up:
        return True
    return touched and saved.get("InvocationID") != now.get("InvocationID")


def commands_of(point, touched, booted):
    """Return the commands that restoring a point takes, behind its files.

    Args:
        point: what it holds.
        touched: whether any file was not as it had been saved. Where none was, nothing was changed,
            and there is nothing that its commands could undo.
        booted: whether the host has started again since the point was armed.
    """
    units = point.get("restarts") or {}
    return (point["commands"] if touched else []) + [
        ["systemctl", "restart", "--no-block", unit]
        for unit in sorted(units)
        if needs_restart(units[unit], unit_state(unit), touched, booted)
    ]


def _seems_back(item):
    try:
        return is_back(item)
    except OSError:
        return False


def restore(folder, by):
    """Restore a point unless that is done already, and return the outcome.

    Args:
        folder: of the point.
        by: who does it: C(module), or C(timer) for the host itself.

    Returns:
        dict: restored_at, by, complete, attempts, files, errors, commands, touched; or None where
        the point has been disarmed. C(complete) says that all files are as they were; what became
        of the commands is in their own statuses. C(touched) says that a file was not.
    """
    try:
        with locked(folder):
            return _restore(folder, by)
    except FileNotFoundError:
        return None


def _restore(folder, by):
    point, before = read_point(folder), read_outcome(folder)
    if point is None or (before and before["complete"]):
        return before
    if by == "timer" and point["boot"] != boot():
        by = "boot"
    before = before or {"files": [], "commands": [], "attempts": 0, "touched": False}
    outcome = {
        "restored_at": clock(),
        "by": by,
        "complete": False,
        "attempts": before["attempts"] + 1,
        "files": before["files"],
        "errors": ["the host went down while it was restored"],
        "commands": before["commands"],
        "touched": before.get("touched", True)
        or not all(_seems_back(item) for item in point["files"]),
    }
    if outcome["touched"] and not before.get("touched"):
        # Ahead of the files: an attempt that is cut off behind them leaves the commands to the
        # next.
        write_outcome(folder, outcome)
    put, errors = [], []
    for item in point["files"]:
        try:
            if put_back(item, folder):
                put.append(item["path"])
        except OSError as error:
            errors.append("%s: %s" % (item["path"], error.strerror or error))
    commands = []
    if put or not errors:
        commands = [
            run_command(argv, point["command_timeout"])
            for argv in commands_of(point, outcome["touched"], by == "boot")
        ]
    outcome.update(
        restored_at=clock(),
        complete=not errors,
        files=outcome["files"] + [path for path in put if path not in outcome["files"]],
        errors=errors[:_MOST_ERRORS],
        commands=commands or outcome["commands"],
    )
    saved = os.path.join(folder, "saved")
    try:
        write_outcome(folder, outcome)
    except OSError:
        # A file system that writes nothing in its place needs space even for this.
        if errors:
            raise
        shutil.rmtree(saved, ignore_errors=True)
        write_outcome(folder, outcome)
    if not errors:
        # They may hold secrets, and nobody needs them any more.
        shutil.rmtree(saved, ignore_errors=True)
        remove_unit(point["name"])
    return outcome


def remove_unit(name, units=UNITS):
    """Remove what would restore a point at the next boot."""
    unit, link = unit_files(name, units)
    for path in (link, unit):
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def main():
    """Restore the point that this file lies in; systemd tries again after a status of 1."""
    outcome = restore(os.path.dirname(os.path.abspath(__file__)), "timer")
    if outcome is None:
        return 0
    sys.stdout.write(
        "%d files put back, %d could not be, statuses of the commands: %s\n"
        % (
            len(outcome["files"]),
            len(outcome["errors"]),
            [command["status"] for command in outcome["commands"]],
        )
    )
    return 0 if outcome["complete"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
