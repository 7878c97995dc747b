# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads and replaces files below directories that another user may write, without being led astray.

Each directory of a path is opened by its name in the one before it, and is held while the file in
it is read or replaced. Nothing that another user swaps in the meantime is followed.

A link among the directories is followed only if root made it, in a directory that only root may
change, which is as good as a directory (/var/run, a merged /usr). A link at the end is followed
only if it is wanted, which ``held`` decides, the only code with that rule:

- root made it, it is the only link at the end, and it has one name;
- it leads to a regular file with one name, which belongs to root or to the app's user;
- no third user may change one of the directories of that file.

The app's user is the owner of the directory of the link. In a directory that only root may change,
the link is root's word as the path itself is, and the owner of the file that it leads to, or of
that file's directory where the file is root's, counts as the app's user.

Another user than root who runs this counts as root: no one else gains anything then.

The standard library only, and nothing of the collection: a copy of this file lies beside the
program that ends debug logging on the host. The program that restores files has the same rule once
more, because it is a single file; the tests hold both to the same cases.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pwd
import stat as status_of
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

#: No file that is read whole is larger, in bytes.
MAX_BYTES = 1024 * 1024
#: Of directories; on Linux a directory that may be entered, but not read, can be held, too.
_HOLD = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 20
_BLOCK = 65536
_OTHERS_WRITE = status_of.S_IWGRP | status_of.S_IWOTH
_KINDS = (
    (status_of.S_ISDIR, "a directory"),
    (status_of.S_ISLNK, "a link"),
    (status_of.S_ISFIFO, "a FIFO"),
    (status_of.S_ISSOCK, "a socket"),
    (status_of.S_ISCHR, "a device"),
    (status_of.S_ISBLK, "a device"),
)
#: Bound to the inode or to the content, so that they belong to the old file only.
_NOT_COPIED = ("security.ima", "security.evm", "security.capability")
#: What only the kernel's security modules or root may set; not in a container, for example.
_PRIVILEGED = ("security.", "trusted.")
_ANYTHING = object()


class FileRefused(OSError):
    """The file is not what may be read or written here; the message says why and what to do.

    It is an OSError, so that what reports those by their ``strerror`` and ``filename`` names it.
    """

    strerror: str

    def __init__(self, path: str, why: str) -> None:
        super().__init__(errno.ELOOP, why, path)

    def __str__(self) -> str:
        why = self.strerror
        return self.filename + (why[2:] if why.startswith("it ") else ": " + why)


class FileUnsuitable(FileRefused):
    """It is no regular file, or too large: no program can do with it what it is for."""


class FileChanged(FileRefused):
    """Another process has changed the file since it was read."""


class Content(namedtuple("Content", ["status", "data"])):
    """A file as it was read: its os.stat_result, and its bytes."""

    __slots__ = ()

    status: os.stat_result
    data: bytes


def _user(uid: int) -> str:
    try:
        return "user %s" % pwd.getpwuid(uid).pw_name
    except KeyError:
        return "user %d" % uid


def _privileged() -> Set[int]:
    return {0, os.geteuid()}


def kind(status: os.stat_result) -> Optional[str]:
    """Return what a file is other than a regular one, as words with an article, or None."""
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            return words
    return None


class _Chain:
    """The directories from ``/`` down to one, each held open."""

    def __init__(self) -> None:
        self._held = [(os.open("/", _HOLD), "")]
        self._links = 0

    def close(self) -> None:
        while self._held:
            os.close(self._held.pop()[0])

    @property
    def last(self) -> int:
        """The descriptor of the innermost directory."""
        return self._held[-1][0]

    @property
    def path(self) -> str:
        """The path of the innermost directory, without any link."""
        return "/".join(name for _descriptor, name in self._held) or "/"

    def join(self, name: str) -> str:
        """Return the path of a name in the innermost directory."""
        return "%s/%s" % (self.path.rstrip("/"), name)

    def owner(self) -> int:
        """Return the user that the innermost directory belongs to."""
        return os.fstat(self.last).st_uid

    def only(self, uids: Set[int]) -> bool:
        """Return whether only these users can change what is in the innermost directory.

        In one above it with the sticky bit, others cannot replace what belongs to these users.
        """
        for descriptor, _name in self._held:
            status = os.fstat(descriptor)
            if status.st_uid not in uids:
                return False
            shared = status.st_mode & _OTHERS_WRITE
            if shared and (descriptor == self.last or not status.st_mode & status_of.S_ISVTX):
                return False
        return True

    def status(self, name: str) -> Optional[os.stat_result]:
        """Return the os.stat_result of a name in the innermost directory, or None."""
        try:
            return os.stat(name, dir_fd=self.last, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def descend(self, path: str, create: Optional[int] = None) -> None:
        """Enter the directories of a path one by one, from ``/`` on for an absolute one.

        Args:
            create: the mode of those that are missing; None raises FileNotFoundError for them.
        """
        if path.startswith("/"):
            while len(self._held) > 1:
                os.close(self._held.pop()[0])
        for name in path.split("/"):
            if name == "..":
                if len(self._held) > 1:
                    os.close(self._held.pop()[0])
            elif name not in ("", "."):
                self._enter(name, create)

    def _enter(self, name: str, create: Optional[int]) -> None:
        try:
            self._held.append((os.open(name, _HOLD, dir_fd=self.last), name))
        except FileNotFoundError as error:
            if create is None:
                raise FileNotFoundError(errno.ENOENT, error.strerror, self.join(name))
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, create, dir_fd=self.last)
            self._enter(name, None)
        except OSError as error:
            status = self.status(name)
            if status is None or not status_of.S_ISLNK(status.st_mode):
                raise OSError(error.errno, error.strerror, self.join(name))
            self._follow(name, status, create)

    def _follow(self, name: str, status: os.stat_result, create: Optional[int]) -> None:
        """Go where a link among the directories leads, or refuse it."""
        path, target = self.join(name), os.readlink(name, dir_fd=self.last)
        why = None
        if status.st_uid not in _privileged():
            why = "%s made it" % _user(status.st_uid)
        elif not self.only(_privileged()):
            why = "another user than root may change the directory that it is in"
        self._links += 1
        if self._links > _MOST_LINKS:
            why = "more than %d links follow one another" % _MOST_LINKS
        if why:
            raise FileRefused(
                path,
                "it is a link to %s among the directories, and is not followed: %s. Name the path"
                " without that link" % (target, why),
            )
        self.descend(target, create)


class Location:
    """A file by its name in a directory that is held open; see ``held``.

    Attributes:
        given: the requested path.
        path: where the file is, without any link.
        name: its name there.
    """

    def __init__(self, chain: _Chain, given: str, name: str) -> None:
        self._chain = chain
        self.given = given
        self.name = name
        self.path = chain.join(name)

    @property
    def directory(self) -> int:
        """The descriptor of its directory."""
        return self._chain.last

    def beside(self, name: str) -> Location:
        """Return the ``Location`` of another name in the same directory."""
        return Location(self._chain, self._chain.join(name), name)

    def status(self) -> Optional[os.stat_result]:
        """Return its os.stat_result, of a link itself, or None where nothing is."""
        return self._chain.status(self.name)

    def writable(self) -> bool:
        """Return whether this user may make files in its directory."""
        return os.access(".", os.W_OK | os.X_OK, dir_fd=self.directory, effective_ids=True)

    def check(self, status: os.stat_result) -> None:
        """Refuse what is no regular file, or is another user's file under a second name.

        Args:
            status: its os.stat_result.

        Raises:
            FileRefused
        """
        other = kind(status)
        if other:
            raise FileUnsuitable(self.path, "it is %s, not a regular file" % other)
        if status.st_nlink > 1 and not self._chain.only(_privileged()):
            raise FileRefused(
                self.path,
                "it is one of %d names of the same file (hard links), and another user than root"
                " may change its directory: it may be a file of another user. Copy it, and replace"
                " it by the copy" % status.st_nlink,
            )

    def open(self) -> int:
        """Return a descriptor to read it; the caller closes it.

        Raises:
            FileRefused: it is none that may be read.
            FileNotFoundError, OSError
        """
        status = self.status()
        if status is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)
        # A device is not even opened; the open file is checked once more, it may be another one.
        self.check(status)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
        try:
            descriptor = os.open(self.name, flags, dir_fd=self.directory)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise FileRefused(self.path, "it has just been replaced by a link")
            raise type(error)(error.errno, error.strerror, self.path)
        try:
            self.check(os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def read(self, limit: int = MAX_BYTES) -> Content:
        """Return its ``Content``.

        Args:
            limit: the most bytes that it may have.

        Raises:
            FileRefused: it is none that may be read, or is larger.
            FileNotFoundError, OSError
        """
        descriptor = self.open()
        try:
            status = os.fstat(descriptor)
            # A file of /proc has a size of 0, a sparse one may have any.
            parts, size = [], 0
            while size <= limit and status.st_size <= limit:
                part = os.read(descriptor, _BLOCK)
                if not part:
                    break
                parts.append(part)
                size += len(part)
        finally:
            os.close(descriptor)
        if max(size, status.st_size) > limit:
            raise FileUnsuitable(self.path, "it is larger than %d bytes" % limit)
        return Content(status, b"".join(parts))

    def replace(
        self,
        data: bytes,
        owner: Optional[Tuple[int, int]] = None,
        mode: Optional[int] = None,
        since: Any = _ANYTHING,
        like: Optional[Location] = None,
    ) -> None:
        """Replace it by a file with other bytes in one step: on a full disk, and whenever the host
        goes down, it is the old one or the new one.

        The new one has the owner, mode, access control list and extended attributes of the old
        one, apart from what is given.

        Args:
            data: bytes.
            owner: (uid, gid), None for that of the old file, or of this process.
            mode: None for that of the old file, or 0600.
            since: the os.stat_result of the file that it is to replace, None for no file; if not
                given, whatever is there.
            like: the ``Location`` of the file whose attributes the new one gets, if it is another
                one.

        Raises:
            FileChanged: another process has changed it since.
            FileRefused: what is there may not be replaced.
            OSError: it could not be written, and is as it was.
        """
        old = self.status()
        if old is not None:
            self.check(old)
        if since is not _ANYTHING:
            self._refuse_changed(old, since)
        source = like or (self if old is not None else None)
        attributes = source.attributes() if source is not None else None
        descriptor, temporary = self._temporary()
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                made = os.fstat(descriptor)
                wanted = owner or ((old.st_uid, old.st_gid) if old is not None else None)
                if wanted is not None and wanted != (made.st_uid, made.st_gid):
                    os.fchown(descriptor, *wanted)
                if attributes is not None:
                    _set_attributes(descriptor, attributes)
                if mode is None:
                    mode = 0o600 if old is None else status_of.S_IMODE(old.st_mode)
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
                written = os.fstat(descriptor)
            if since is not _ANYTHING:
                self._refuse_changed(self.status(), since)
            self._rename(temporary, written)
        except BaseException:
            # Its name only, whatever is there by now.
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self.directory)
            raise

    def _refuse_changed(
        self, now: Optional[os.stat_result], since: Optional[os.stat_result]
    ) -> None:
        if _identity(now) != _identity(since):
            raise FileChanged(
                self.path, "it has been changed by someone else just now; run it again"
            )

    def _temporary(self) -> Tuple[int, str]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            # With a dot first, which no program that reads a directory of settings takes.
            name = ".%s.%s" % (self.name[:200], os.urandom(6).hex())
            with contextlib.suppress(FileExistsError):
                return os.open(name, flags, 0o600, dir_fd=self.directory), name

    def _rename(self, temporary: str, written: os.stat_result) -> None:
        """Give the temporary file its name, and make that last."""
        with self._readable() as directory:
            # A user who may write the directory may have created another file there.
            if _inode(self._chain.status(temporary)) != _inode(written):
                raise FileRefused(self.path, "another user replaces files beside it just now")
            os.rename(temporary, self.name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
        try:
            with held(self.path, follow=False) as now:
                there = now.status()
        except OSError:
            there = None
        if _inode(there) != _inode(written):
            raise FileRefused(
                self.path, "another user has moved it, or its directory, while it was written"
            )

    def remove(self) -> None:
        """Remove it, and make that last; a link goes itself."""
        with self._readable() as directory:
            os.unlink(self.name, dir_fd=directory)
            os.fsync(directory)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[int]:
        """Yield its directory opened to be read, which only then can be made to last."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        directory = os.open(".", flags, dir_fd=self.directory)
        try:
            yield directory
        finally:
            os.close(directory)

    def attributes(self) -> Dict[str, bytes]:
        """Return {name: bytes} of its extended attributes, access control lists among them."""
        descriptor = self.open()
        try:
            return attributes_of(descriptor)
        finally:
            os.close(descriptor)


def _inode(status: Optional[os.stat_result]) -> Optional[Tuple[int, int]]:
    return None if status is None else (status.st_dev, status.st_ino)


def _identity(status: Optional[os.stat_result]) -> Optional[Tuple[int, ...]]:
    if status is None:
        return None
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def attributes_of(descriptor: int) -> Dict[str, bytes]:
    """Return {name: bytes} of the extended attributes of an open file that go with its content."""
    found: Dict[str, bytes] = {}
    try:
        names = os.listxattr(descriptor)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOSYS, errno.EPERM):
            raise
        return found
    for name in names:
        if name not in _NOT_COPIED:
            try:
                found[name] = os.getxattr(descriptor, name)
            except OSError as error:
                # Removed just now, or for root only.
                if error.errno not in (errno.ENODATA, errno.EPERM, errno.EACCES):
                    raise
    return found


def _set_attributes(descriptor: int, attributes: Dict[str, bytes]) -> None:
    """Give an open file exactly these attributes: a directory may have given it others."""
    for name in attributes_of(descriptor):
        if name not in attributes and not name.startswith(_PRIVILEGED):
            os.removexattr(descriptor, name)
    for name, value in attributes.items():
        try:
            os.setxattr(descriptor, name, value)
        except OSError as error:
            if not name.startswith(_PRIVILEGED) or error.errno not in (
                errno.EPERM,
                errno.EACCES,
                errno.ENOTSUP,
            ):
                raise


@contextlib.contextmanager
def held(path: str, follow: bool = True) -> Iterator[Location]:
    """Hold the directory of a file open, and yield the ``Location`` of the file.

    Args:
        path: of the file. A wanted link leads to the location that it names.
        follow: whether a link at the end is followed, or is the location itself.

    Raises:
        FileRefused: a link on the way is not wanted.
        FileNotFoundError: a directory is missing.
        OSError
    """
    path = os.path.abspath(path)
    chain = _Chain()
    try:
        name = os.path.basename(path)
        chain.descend(os.path.dirname(path))
        status = chain.status(name)
        if follow and status is not None and status_of.S_ISLNK(status.st_mode):
            name = _wanted(chain, name, status)
        yield Location(chain, path, name)
    finally:
        chain.close()


def _wanted(chain: _Chain, name: str, link: os.stat_result) -> str:
    """Follow a link at the end of a path if it is wanted, and return the name where it leads.

    Args:
        chain: the directories of the link; afterwards those of its target.
        name: of the link.
        link: its os.stat_result.

    Raises:
        FileRefused: it is not wanted.
    """
    path, target = chain.join(name), os.readlink(name, dir_fd=chain.last)
    trusted, why = _privileged(), None
    of_root = chain.only(trusted)
    if link.st_uid not in trusted:
        why = "%s made it, not root" % _user(link.st_uid)
    elif link.st_nlink != 1:
        why = "it has %d names (hard links)" % link.st_nlink
    else:
        if not of_root:
            trusted.add(chain.owner())
        parent, end = os.path.split(target)
        try:
            chain.descend(parent)
            why = _unwanted(chain, end, trusted, of_root)
        except FileRefused as error:
            why = str(error)
        except OSError as error:
            why = "%s: %s" % (error.filename or target, error.strerror)
    if why:
        raise FileRefused(
            path,
            "it is a link to %s, which is not followed: %s. Replace the link by the file, or"
            " have root make a link to a file of root or of the app's user, in a directory that"
            " no other user may write" % (target, why),
        )
    return end


def _unwanted(chain: _Chain, name: str, trusted: Set[int], of_root: bool) -> Optional[str]:
    """Return why a file must not be reached by a link, or None.

    Args:
        chain: the directories of the file.
        name: of the file.
        trusted: users whose file it may be.
        of_root: whether only root may change the directory of the link.
    """
    status = None if name in ("", ".", "..") else chain.status(name)
    if status is None:
        return "there is no such file"
    other = kind(status)
    if other:
        return "that is %s, not a regular file" % other
    if status.st_nlink != 1:
        return "that file has %d names (hard links)" % status.st_nlink
    if of_root:
        trusted = trusted | {chain.owner() if status.st_uid in trusted else status.st_uid}
    if status.st_uid not in trusted:
        return "that file belongs to %s" % _user(status.st_uid)
    if not chain.only(trusted):
        return "other users may change %s or a directory above it" % chain.path
    return None


# For those who need no more of it than one call


@contextlib.contextmanager
def open_safely(path: str) -> Iterator[int]:
    """Yield a descriptor to read a regular file that no one else can have replaced by another one.

    Raises:
        FileRefused: it is none that may be read.
        FileNotFoundError, OSError
    """
    with held(path) as location:
        descriptor = location.open()
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def read(path: str, limit: int = MAX_BYTES) -> bytes:
    """Return the bytes of a file; see ``Location.read``."""
    with held(path) as location:
        return location.read(limit).data


def read_text(
    path: str,
    limit: int = MAX_BYTES,
    errors: str = "replace",
    newline: Optional[str] = None,
) -> str:
    """Return the text of a UTF-8 file.

    Args:
        limit: the most bytes that it may have.
        errors, newline: as ``open`` takes them.

    Raises:
        FileRefused, FileNotFoundError, OSError, UnicodeDecodeError
    """
    data = io.BytesIO(read(path, limit))
    return io.TextIOWrapper(data, encoding="utf-8", errors=errors, newline=newline).read()


def stat(path: str) -> Optional[os.stat_result]:
    """Return the os.stat_result of what is at a path, or None for nothing.

    Raises:
        FileRefused: a link on the way is not wanted.
        OSError
    """
    try:
        with held(path) as location:
            return location.status()
    except (FileNotFoundError, NotADirectoryError):
        return None


def stat_directory(path: str) -> os.stat_result:
    """Return the os.stat_result of a directory; a link to one counts as one among the directories.

    Raises:
        FileRefused: a link on the way is not wanted.
        FileNotFoundError, OSError
    """
    chain = _Chain()
    try:
        chain.descend(os.path.abspath(path))
        return os.fstat(chain.last)
    finally:
        chain.close()


def names(path: str) -> List[str]:
    """Return the names in a directory.

    Raises:
        FileRefused: a link on the way is not wanted.
        FileNotFoundError, OSError
    """
    chain = _Chain()
    try:
        chain.descend(os.path.abspath(path))
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=chain.last)
        try:
            return os.listdir(descriptor)
        finally:
            os.close(descriptor)
    finally:
        chain.close()


def replace(
    path: str,
    data: bytes,
    owner: Optional[Tuple[int, int]] = None,
    mode: Optional[int] = None,
) -> None:
    """Replace a file in one step, or make it; see ``Location.replace``."""
    with held(path) as location:
        location.replace(data, owner, mode)


def remove(path: str) -> bool:
    """Remove a file, or a link itself; return whether there was one."""
    try:
        with held(path, follow=False) as location:
            location.remove()
    except FileNotFoundError:
        return False
    return True


def remove_empty_directory(path: str) -> None:
    """Remove a directory unless something is in it, or it is not there."""
    try:
        with held(path, follow=False) as location:
            os.rmdir(location.name, dir_fd=location.directory)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR):
            raise


def make_directories(path: str, mode: int = 0o755, owner: Optional[Tuple[int, int]] = None) -> None:
    """Make a directory and those above it that are missing.

    Args:
        mode: of the innermost one if it is made, less the umask; those above it get 0755.
        owner: (uid, gid) of the innermost one if it is made, None for this process.

    Raises:
        FileRefused: a link on the way is not wanted.
        OSError
    """
    path = os.path.abspath(path)
    chain = _Chain()
    try:
        chain.descend(os.path.dirname(path), 0o755)
        name = os.path.basename(path)
        if name and chain.status(name) is None:
            os.mkdir(name, mode, dir_fd=chain.last)
            if owner is not None:
                _give(chain, name, owner)
        else:
            chain.descend(name, mode)
    finally:
        chain.close()


def own_directory(path: str) -> None:
    """Make a directory for what only this user may read or write, with those above it.

    Raises:
        FileRefused: another user may change it, or one above it.
        OSError
    """
    refuse_shared(path)
    make_directories(path, 0o700)
    chain = _Chain()
    try:
        chain.descend(os.path.abspath(path))
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=chain.last)
        try:
            if status_of.S_IMODE(os.fstat(descriptor).st_mode) != 0o700:
                os.fchmod(descriptor, 0o700)
        finally:
            os.close(descriptor)
        _refuse_shared(chain)
    finally:
        chain.close()


def refuse_shared(path: str) -> None:
    """Refuse a directory that is missing and would be made where another user may change it.

    Raises:
        FileRefused
        OSError
    """
    path = os.path.abspath(path)
    chain = _Chain()
    try:
        try:
            chain.descend(path)
        except FileNotFoundError:
            _refuse_shared(chain)
    finally:
        chain.close()


def _refuse_shared(chain: _Chain) -> None:
    if not chain.only(_privileged()):
        raise FileRefused(
            chain.path, "it, or a directory above it, is one that another user may change"
        )


def _give(chain: _Chain, name: str, owner: Tuple[int, int]) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=chain.last)
    try:
        # Not one that another user has just replaced it by.
        if os.fstat(descriptor).st_uid != os.geteuid() or os.listdir(descriptor):
            raise FileRefused(chain.join(name), "another user has just replaced it")
        os.fchown(descriptor, *owner)
    finally:
        os.close(descriptor)
