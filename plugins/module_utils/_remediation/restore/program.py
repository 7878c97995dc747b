# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores what a restore point has saved. It also runs standalone on the host.

A copy of this very file lies beside the saved files, and a timer of the host starts it when no run
has disarmed the point in time. So it uses the standard library only and nothing of the collection,
not even `files`, whose rule for links it has once more: a single file cannot be half there, and a
point that was armed by another version of the collection still has its own.

A restore point is a directory::

    point.json    what was saved, and the commands to run once it is back
    saved/0 ...   the files, with the owner and mode they had
    outcome       what came of it; its space is taken when the point is armed
    restore.py    this program
"""

from __future__ import annotations

import base64
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
import time

UNITS = "/etc/systemd/system"
#: The outcome is written over these bytes: a full disk has no others.
OUTCOME_BYTES = 8192
_LONGEST_MESSAGE = 300
_MOST_ERRORS = 10
_FULL = (errno.ENOSPC, errno.EDQUOT)
_BLOCK = 1024 * 1024
#: of a file that is saved
MOST_BYTES = 512 * 1024 * 1024
_MOST_ATTRIBUTES = 65536
#: Bound to the inode or to the content, so that they are another file's.
_BOUND = ("security.ima", "security.evm", "security.capability")
_PRIVILEGED = ("security.", "trusted.")
_HOLD = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 20
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
def locked(directory):
    """Hold the lock of a directory; it is free again when its holder dies.

    Raises:
        FileNotFoundError: there is no such directory, or it went while its lock was waited for.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_ino != os.stat(directory).st_ino:
            raise FileNotFoundError(errno.ENOENT, "replaced in the meantime", directory)
        yield
    finally:
        os.close(handle)


def read_point(directory):
    """Return the point that a directory holds as a dict, or None where there is none."""
    try:
        with open(os.path.join(directory, "point.json"), encoding="utf-8") as source:
            return json.load(source)
    except FileNotFoundError:
        return None


def read_outcome(directory):
    """Return what came of restoring a point as a dict, or None if it has not begun."""
    try:
        with open(os.path.join(directory, "outcome"), encoding="utf-8") as source:
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


def write_point(directory, point):
    """Write what a point holds, in one step."""
    temporary = os.path.join(directory, ".point.json")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temporary, flags, 0o600)  # path: in the point's own directory
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(point, file)
        file.flush()
        os.fsync(handle)
    os.rename(temporary, os.path.join(directory, "point.json"))


def write_outcome(directory, outcome):
    """Write what came of it over the space that was taken for it; None only takes the space."""
    text = b"" if outcome is None else json.dumps(outcome).encode("utf-8")
    while len(text) >= OUTCOME_BYTES and any(outcome[key] for key in ("files", "commands")):
        # Thousands of files: what failed is more telling than what did not.
        longest = max(("files", "commands"), key=lambda key: len(outcome[key]))
        outcome = dict(outcome, **{longest: outcome[longest][: len(outcome[longest]) // 2]})
        text = json.dumps(outcome).encode("utf-8")
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(os.path.join(directory, "outcome"), flags, 0o600)  # path: in the point's own
    try:
        os.pwrite(handle, text.ljust(OUTCOME_BYTES - 1) + b"\n", 0)
        os.fsync(handle)
    finally:
        os.close(handle)


class Refused(OSError):
    """A file that is not saved or restored, because it may be another user's; says why."""

    def __init__(self, path, why):
        super().__init__(errno.ELOOP, why, path)


class _Location:
    """A name in a directory that is held open, together with all directories above it.

    The rule is that of the module ``files``, which this program cannot import: a link among the
    directories is followed only if root made it, where only root may change it.
    """

    def __init__(self):
        self._held = [(os.open("/", _HOLD), "")]
        self._links = 0
        self.name = ""

    def close(self):
        while self._held:
            os.close(self._held.pop()[0])

    @property
    def directory(self):
        return self._held[-1][0]

    @property
    def path(self):
        return "/".join([name for _handle, name in self._held] + [self.name])

    def owner(self):
        return os.fstat(self.directory).st_uid

    def only(self, uids):
        """Return whether only these users can change what is in the directory."""
        for handle, _name in self._held:
            status = os.fstat(handle)
            if status.st_uid not in uids:
                return False
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                if handle == self.directory or not status.st_mode & stat.S_ISVTX:
                    return False
        return True

    def status(self):
        """Return the os.stat_result of the name, of a link itself, or None."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def move(self, path, create=False):
        """Go to a path, from ``/`` on if it is absolute."""
        if path.startswith("/"):
            while len(self._held) > 1:
                os.close(self._held.pop()[0])
        directory, name = os.path.split(path)
        self._descend(directory, create)
        self.name = name

    def _descend(self, directory, create):
        for name in directory.split("/"):
            if name == "..":
                if len(self._held) > 1:
                    os.close(self._held.pop()[0])
            elif name not in ("", "."):
                self._enter(name, create)

    def _enter(self, name, create):
        self.name = name
        try:
            self._held.append((os.open(name, _HOLD, dir_fd=self.directory), name))
        except FileNotFoundError:
            if not create:
                raise
            os.mkdir(name, 0o755, dir_fd=self.directory)
            self._enter(name, False)
        except OSError:
            status = self.status()
            if status is None or not stat.S_ISLNK(status.st_mode):
                raise
            target = os.readlink(name, dir_fd=self.directory)
            self._links += 1
            if status.st_uid not in _own() or not self.only(_own()) or self._links > _MOST_LINKS:
                raise Refused(
                    self.path,
                    "it is a link to %s among the directories, and is not followed: it is not"
                    " root's in a directory that only root may change" % target,
                )
            if target.startswith("/"):
                while len(self._held) > 1:
                    os.close(self._held.pop()[0])
            self._descend(target, create)

    def check(self, status):
        """Refuse another user's file under a second name."""
        if status.st_nlink > 1 and not self.only(_own()):
            raise Refused(
                self.path,
                "it is one of %d names of the same file (hard links), and another user than root"
                " may change its directory" % status.st_nlink,
            )

    def open(self, flags=os.O_RDONLY):
        """Return a descriptor of the regular file."""
        flags |= os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
        handle = os.open(self.name, flags, dir_fd=self.directory)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise Refused(self.path, "it is no regular file any more")
            self.check(status)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def rename(self, temporary, made):
        """Give a temporary name beside it its own name, if that is still what was made there."""
        now = os.stat(temporary, dir_fd=self.directory, follow_symlinks=False)
        if (now.st_dev, now.st_ino) != (made.st_dev, made.st_ino):
            raise Refused(self.path, "another user replaces files beside it just now")
        os.rename(temporary, self.name, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        self.sync()
        now = self.status()
        if now is None or (now.st_dev, now.st_ino) != (made.st_dev, made.st_ino):
            raise Refused(self.path, "another user has replaced it while it was restored")

    def sync(self):
        """Make what was renamed beside it last through a crash."""
        handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.directory)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _own():
    return {0, os.geteuid()}


@contextlib.contextmanager
def _held(path, create=False):
    """Yield the ``_Location`` of a path.

    Args:
        create: whether directories that are missing are made.

    Raises:
        Refused: a link among the directories is not to be followed.
        FileNotFoundError: a directory is missing.
    """
    location = _Location()
    try:
        location.move(path, create)
        yield location
    finally:
        location.close()


def describe(path):
    """Return what is at a path, as a dict: its kind, and what tells it from another one.

    The kind is ``absent``, ``file``, ``link`` or ``other``. A link has ``leads_to``, the file it
    leads to, if that is to be saved with it.

    Raises:
        Refused: what is there may be another user's file.
    """
    try:
        with _held(path) as location:
            item = _described(location, path)
            if item["kind"] == "link":
                target = _led_to(location, location.status(), item["target"])
                if target:
                    item["leads_to"] = target
            return item
    except (FileNotFoundError, NotADirectoryError):
        return {"path": path, "kind": "absent"}


def current(path):
    """Return what ``describe`` does, of a link only itself; of what it refuses ``other``."""
    try:
        with _held(path) as location:
            return _described(location, path)
    except (FileNotFoundError, NotADirectoryError):
        return {"path": path, "kind": "absent"}
    except Refused:
        return {"path": path, "kind": "other"}


def _described(location, path):
    status = location.status()
    if status is None:
        return {"path": path, "kind": "absent"}
    if stat.S_ISLNK(status.st_mode):
        return {
            "path": path,
            "kind": "link",
            "target": os.readlink(location.name, dir_fd=location.directory),
            "uid": status.st_uid,
            "gid": status.st_gid,
        }
    if not stat.S_ISREG(status.st_mode):
        return {"path": path, "kind": "other"}
    location.check(status)
    handle = location.open()
    try:
        status = os.fstat(handle)
        if status.st_size > MOST_BYTES:
            raise Refused(path, "it is larger than %d bytes" % MOST_BYTES)
        return {
            "path": path,
            "kind": "file",
            "mode": stat.S_IMODE(status.st_mode),
            "uid": status.st_uid,
            "gid": status.st_gid,
            "bytes": status.st_size,
            "sha256": digest(handle),
            "xattrs": _attributes(handle, path),
        }
    finally:
        os.close(handle)


def _led_to(location, link, target):
    """Return the description of the file that a link leads to, None where there is none to save.

    Args:
        location: of the link; afterwards of what it leads to.
        link: its os.stat_result.
        target: what it says.

    Raises:
        Refused: the link is none that is followed.
    """
    path = location.path
    trusted = _own()
    of_root = location.only(trusted)
    why = None
    if link.st_uid not in trusted:
        why = "user %d made it, not root" % link.st_uid
    elif link.st_nlink != 1:
        why = "it has %d names (hard links)" % link.st_nlink
    else:
        if not of_root:
            trusted.add(location.owner())
        try:
            location.move(target)
        except Refused as error:
            why = "%s: %s" % (error.filename, error.strerror)
        except (FileNotFoundError, NotADirectoryError):
            if of_root:
                return None
            why = "there is no such file"
    if why is None:
        status = location.status()
        if of_root and status is not None:
            trusted.add(location.owner() if status.st_uid in trusted else status.st_uid)
        if status is None or not stat.S_ISREG(status.st_mode):
            # Nothing is ever written through it.
            if of_root and (status is None or not stat.S_ISLNK(status.st_mode)):
                return None
            why = "there is no such file" if status is None else "that is no regular file"
        elif status.st_nlink != 1:
            why = "that file has %d names (hard links)" % status.st_nlink
        elif status.st_uid not in trusted:
            why = "that file belongs to user %d" % status.st_uid
        elif not location.only(trusted):
            why = "other users may change the directory of that file, or one above it"
        else:
            return _described(location, location.path)
    raise Refused(
        path,
        "it is a link to %s, which is not followed: %s. Replace the link by the file, or have"
        " root make a link to a file of root or of the app's user, in a directory that no other"
        " user may write" % (target, why),
    )


def digest(handle):
    """Return the SHA-256 of an open file in hexadecimal digits."""
    total = hashlib.sha256()
    for block in _blocks(handle):
        total.update(block)
    return total.hexdigest()


def _blocks(handle):
    position = 0
    # A file that grows meanwhile is another one then, however long it gets.
    while position <= MOST_BYTES:
        block = os.pread(handle, _BLOCK, position)
        if not block:
            return
        position += len(block)
        yield block


@contextlib.contextmanager
def opened(path):
    """Yield a descriptor of a regular file, of no link.

    Raises:
        Refused, FileNotFoundError, OSError
    """
    with _held(path) as location:
        handle = location.open()
        try:
            yield handle
        finally:
            os.close(handle)


def _attributes(handle, path=None):
    """Return {name: base64} of the extended attributes, access control lists among them."""
    found, size = {}, 0
    try:
        names = os.listxattr(handle)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOSYS, errno.EPERM):
            raise
        return found
    for name in names:
        if name in _BOUND:
            continue
        try:
            value = os.getxattr(handle, name)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EPERM, errno.EACCES):
                raise
            continue
        size += len(value)
        if path and size > _MOST_ATTRIBUTES:
            raise Refused(path, "it has more than %d bytes of attributes" % _MOST_ATTRIBUTES)
        found[name] = base64.b64encode(value).decode("ascii")
    return found


def give(handle, item):
    """Give an open file the owner, the extended attributes and the mode of a saved one."""
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (item["uid"], item["gid"]):
        os.fchown(handle, item["uid"], item["gid"])
    # A point that an earlier version has armed has none.
    wanted, there = item.get("xattrs"), _attributes(handle)
    if wanted is not None:
        for name in there:
            if name not in wanted and not name.startswith(_PRIVILEGED):
                os.removexattr(handle, name)
        for name, value in wanted.items():
            if there.get(name) != value:
                _set_attribute(handle, name, base64.b64decode(value))
    os.fchmod(handle, item["mode"])


def _set_attribute(handle, name, value):
    try:
        os.setxattr(handle, name, value)
    except OSError as error:
        # For the kernel's security modules to say, which a container may have none of.
        if not name.startswith(_PRIVILEGED) or error.errno not in (
            errno.EPERM,
            errno.EACCES,
            errno.ENOTSUP,
        ):
            raise


def is_back(item):
    """Return whether a saved file (an entry of the point's ``files``) is as it was."""
    now = current(item["path"])
    # What an earlier version did not save is not compared.
    same = now["kind"] == item["kind"] and all(
        item[key] == value for key, value in now.items() if key in item
    )
    return same and ("leads_to" not in item or is_back(item["leads_to"]))


def restore_file(item, directory):
    """Restore one file; return whether anything had to be done.

    Args:
        item: an entry of the point's ``files``.
        directory: that of the point.

    Raises:
        OSError: it could not be restored. What is there is whole: the old file or the new one.
    """
    if is_back(item):
        return False
    if not is_back({key: value for key, value in item.items() if key != "leads_to"}):
        with _held(item["path"], create=item["kind"] != "absent") as location:
            _put(location, item, directory)
        for made in item.get("made_in", ()):
            try:
                with _held(made) as location:
                    os.rmdir(location.name, dir_fd=location.directory)
            except OSError:
                break
    if "leads_to" in item:
        restore_file(dict(item["leads_to"], saved=item["saved"]), directory)
    return True


def _put(location, item, directory):
    status = location.status()
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a directory has taken its place", item["path"])
    if item["kind"] == "absent":
        os.unlink(location.name, dir_fd=location.directory)
        location.sync()
    elif item["kind"] == "link":
        _put_link(location, item)
    else:
        _put_file(location, item, os.path.join(directory, item["saved"]))


def _put_link(location, item):
    # A link is made in one step or not at all.
    temporary = _temporary_name()
    os.symlink(item["target"], temporary, dir_fd=location.directory)
    try:
        made = os.stat(temporary, dir_fd=location.directory, follow_symlinks=False)
        if (made.st_uid, made.st_gid) != (item["uid"], item["gid"]):
            os.chown(
                temporary,
                item["uid"],
                item["gid"],
                dir_fd=location.directory,
                follow_symlinks=False,
            )
        location.rename(temporary, made)
    except BaseException:
        _discard(location, temporary)
        raise


def _temporary_name():
    return ".sergas-restore." + os.urandom(6).hex()


def _discard(location, temporary):
    with contextlib.suppress(OSError):
        os.unlink(temporary, dir_fd=location.directory)


def _put_file(location, item, saved):
    """Replace a file in one step; on a full disk without a block more than there is.

    A copy beside the target, renamed, is the rule: the saved file stays for another time. Without
    the space for it, the saved file itself is renamed, which takes none. That only works on the
    saved file's own file system; on another one, the blocks of the file in its place are written
    over, once it is certain that they are enough.
    """
    source = os.open(saved, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)  # path: the point's own
    try:
        try:
            _copy_and_rename(location, item, source)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            try:
                give(source, item)
                os.rename(saved, location.name, dst_dir_fd=location.directory)
                location.sync()
            except OSError as other:
                if other.errno != errno.EXDEV:
                    raise
                _write_over(location, item, source)
    finally:
        os.close(source)


def _copy_and_rename(location, item, source):
    temporary = _temporary_name()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temporary, flags, 0o600, dir_fd=location.directory)
    try:
        with os.fdopen(handle, "wb") as file:
            for block in _blocks(source):
                file.write(block)
            file.flush()
            give(handle, item)
            os.fsync(handle)
            made = os.fstat(handle)
        location.rename(temporary, made)
    except BaseException:
        _discard(location, temporary)
        raise


def _write_over(location, item, source):
    handle = location.open(os.O_RDWR)
    try:
        if os.fstat(handle).st_nlink != 1:
            raise Refused(item["path"], "it is another name of a file that is not written over")
        os.posix_fallocate(handle, 0, max(1, item["bytes"]))
        position = 0
        for block in _blocks(source):
            position += os.pwrite(handle, block, position)
        os.ftruncate(handle, item["bytes"])
        give(handle, item)
        os.fsync(handle)
    finally:
        os.close(handle)


def sync(directory):
    """Make what was renamed in a directory last through a crash."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
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
    # A file in memory: a daemon that keeps it open delays nothing, and it needs no disk.
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
        saved, now: ``unit_state`` at the arming and now.
        touched: whether any file was not as it had been saved.
        booted: whether the host has started again since.
    """
    if not touched or booted or not saved or not now:
        return touched
    up = ("active", "activating", "reloading")
    ended = saved.get("ActiveState") in up and now.get("ActiveState") not in up
    return ended or saved.get("InvocationID") != now.get("InvocationID")


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


def restore(directory, by):
    """Restore a point unless that is done already, and return the outcome.

    Args:
        directory: of the point.
        by: who does it: ``module``, or ``timer`` for the host itself.

    Returns:
        dict: restored_at, by, complete, attempts, files, errors, commands, touched; or None where
        the point has been disarmed. ``complete`` says that all files are as they were; what became
        of the commands is in their own statuses. ``touched`` says that a file was not.
    """
    try:
        with locked(directory):
            return _restore(directory, by)
    except FileNotFoundError:
        return None


def _restore(directory, by):
    point, before = read_point(directory), read_outcome(directory)
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
        "errors": ["the restore has begun and not ended"],
        "commands": before["commands"],
        "touched": before.get("touched", True)
        or not all(_seems_back(item) for item in point["files"]),
    }
    if outcome["touched"] and not before.get("touched"):
        # Ahead of the files: an attempt that is cut off behind them leaves the commands to the
        # next.
        write_outcome(directory, outcome)
    put, errors = [], []
    for item in point["files"]:
        try:
            if restore_file(item, directory):
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
    saved = os.path.join(directory, "saved")
    try:
        write_outcome(directory, outcome)
    except OSError:
        # A file system that writes nothing in its place needs space even for this.
        if errors:
            raise
        shutil.rmtree(saved, ignore_errors=True)
        write_outcome(directory, outcome)
    if not errors:
        # They may hold secrets, and are not needed any more.
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
        "%d files restored, %d could not be, statuses of the commands: %s\n"
        % (
            len(outcome["files"]),
            len(outcome["errors"]),
            [command["status"] for command in outcome["commands"]],
        )
    )
    return 0 if outcome["complete"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
