# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which links root follows, on real files of several users; `files` and the program of a restore
point, which cannot share it, are held to the same cases.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import threading

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._remediation.restore import program

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root gives files to others")

APP, THIRD = 1234, 4321
SECRET = b"root:x:0:0::/root:/bin/sh\n"


@pytest.fixture
def host(tmp_path):
    """A host: a file of root's, the app's directory, one that root shares, and a third user's."""
    for name, owner in (("etc", 0), ("app", APP), ("shared", 0), ("third", THIRD)):
        (tmp_path / name).mkdir(mode=0o755)
        os.chown(tmp_path / name, owner, owner)
    (tmp_path / "etc" / "passwd").write_bytes(SECRET)
    (tmp_path / "etc" / "passwd").chmod(0o644)
    return tmp_path


def own(path, uid=APP):
    os.chown(path, uid, uid, follow_symlinks=False)
    return path


def write(path, uid=APP, text="A=1\n"):
    path.write_text(text)
    return own(path, uid)


def link(path, target, uid=0):
    path.symlink_to(target)
    return own(path, uid)


def env(host):
    return host / "app" / ".env"


# What is refused: each makes a file at app/.env, or a path below it, and returns that path.


def link_of_the_app_to_a_file_of_root(host):
    return link(env(host), host / "etc" / "passwd", APP)


def link_of_the_app_to_its_own_file(host):
    write(host / "app" / "real")
    return link(env(host), "real", APP)


def link_of_root_to_a_file_of_a_third_user(host):
    write(host / "shared" / "env", THIRD)
    return link(env(host), host / "shared" / "env")


def link_of_root_to_a_directory_of_a_third_user(host):
    write(host / "third" / "env", 0)
    return link(env(host), host / "third" / "env")


def link_of_root_to_a_directory_that_all_may_write(host):
    write(host / "shared" / "env", 0)
    (host / "shared").chmod(0o1777)
    return link(env(host), host / "shared" / "env")


def link_of_root_to_a_directory_that_a_group_may_write(host):
    write(host / "shared" / "env", 0)
    (host / "shared").chmod(0o775)
    return link(env(host), host / "shared" / "env")


def link_of_root_below_a_directory_that_all_may_write(host):
    (host / "shared" / "below").mkdir()
    write(host / "shared" / "below" / "env", 0)
    (host / "shared").chmod(0o777)
    return link(env(host), host / "shared" / "below" / "env")


def link_of_root_to_another_link(host):
    write(host / "shared" / "env", 0)
    link(host / "shared" / "second", "env")
    return link(env(host), host / "shared" / "second")


def link_of_root_to_a_file_with_two_names(host):
    write(host / "shared" / "env", 0)
    os.link(host / "shared" / "env", host / "shared" / "other")
    return link(env(host), host / "shared" / "env")


def link_of_root_with_two_names(host):
    write(host / "shared" / "env", 0)
    link(host / "shared" / "link", host / "shared" / "env")
    os.link(host / "shared" / "link", env(host), follow_symlinks=False)
    return env(host)


def link_of_root_to_nothing(host):
    return link(env(host), host / "shared" / "env")


def link_of_root_to_a_pipe(host):
    os.mkfifo(host / "shared" / "env")
    return link(env(host), host / "shared" / "env")


def link_of_root_by_a_directory_of_the_app(host):
    write(host / "shared" / "env", 0)
    link(host / "app" / "way", host / "shared", APP)
    return link(env(host), host / "app" / "way" / "env")


def directory_link_of_the_app(host):
    return link(host / "app" / "current", host / "etc", APP) / "passwd"


def directory_link_of_root_in_a_directory_of_the_app(host):
    return link(host / "app" / "current", host / "etc") / "passwd"


def directory_links_in_a_circle(host):
    link(host / "shared" / "one", "two")
    return link(host / "shared" / "two", "one") / "passwd"


def second_name_of_a_file_of_root(host):
    os.link(host / "etc" / "passwd", env(host))
    return env(host)


def second_name_of_a_file_of_the_app(host):
    write(host / "app" / "real")
    os.link(host / "app" / "real", env(host))
    return env(host)


REFUSED = {
    link_of_the_app_to_a_file_of_root: "user 1234 made it",
    link_of_the_app_to_its_own_file: "user 1234 made it",
    link_of_root_to_a_file_of_a_third_user: "belongs to user 4321",
    link_of_root_to_a_directory_of_a_third_user: "other users may change",
    link_of_root_to_a_directory_that_all_may_write: "other users may change",
    link_of_root_to_a_directory_that_a_group_may_write: "other users may change",
    link_of_root_below_a_directory_that_all_may_write: "other users may change",
    link_of_root_to_another_link: "regular file",
    link_of_root_to_a_file_with_two_names: "2 names",
    link_of_root_with_two_names: "2 names",
    link_of_root_to_nothing: "no such file",
    link_of_root_to_a_pipe: "regular file",
    link_of_root_by_a_directory_of_the_app: "among the directories",
    directory_link_of_the_app: "among the directories",
    directory_link_of_root_in_a_directory_of_the_app: "among the directories",
    directory_links_in_a_circle: "among the directories",
    second_name_of_a_file_of_root: "2 names",
    second_name_of_a_file_of_the_app: "2 names",
}


def read_by_files(path):
    return files.read(str(path))


def replaced_by_files(path):
    files.replace(str(path), b"A=2\n")


def described_by_the_program(path):
    return program.describe(str(path))


@pytest.mark.parametrize("act", [read_by_files, replaced_by_files, described_by_the_program])
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.__name__)
def test_a_link_that_is_not_wanted_is_refused_by_name(host, case, act):
    path = case(host)
    before = (host / "etc" / "passwd").stat()
    with pytest.raises(OSError) as caught:
        act(path)
    assert isinstance(caught.value, (files.FileRefused, program.Refused))
    assert REFUSED[case] in caught.value.strerror
    assert caught.value.filename.startswith(str(host))
    after = (host / "etc" / "passwd").stat()
    assert (host / "etc" / "passwd").read_bytes() == SECRET
    assert (after.st_ino, after.st_mode, after.st_uid) == (
        before.st_ino,
        before.st_mode,
        before.st_uid,
    )


def test_the_message_says_where_it_leads_why_not_and_what_to_do(host):
    path = link_of_the_app_to_a_file_of_root(host)
    with pytest.raises(files.FileRefused) as caught:
        files.read(str(path))
    message = str(caught.value)
    assert message.startswith("%s is a link to %s," % (path, host / "etc" / "passwd"))
    assert "user 1234 made it, not root" in message and "Replace the link by the file" in message


# What is followed: each returns the path, and where the file is.


def no_link(host):
    return (write(env(host)),) * 2


def no_link_in_a_directory_that_a_group_may_write(host):
    (host / "app").chmod(0o2775)
    return (write(env(host)),) * 2


def link_of_root_to_a_file_that_root_shares(host):
    target = write(host / "shared" / "env", 0)
    return link(env(host), target), target


def link_of_root_to_a_file_of_the_app(host):
    target = write(host / "shared" / "env")
    return link(env(host), target), target


def link_of_root_to_a_file_beside_it(host):
    target = write(host / "app" / "env.production")
    return link(env(host), "env.production"), target


def link_of_root_upwards(host):
    target = write(host / "shared" / "env", 0)
    return link(env(host), "../shared/./env"), target


def link_in_a_directory_of_root_to_a_file_of_the_app(host):
    target = write(host / "app" / "env.production")
    return link(host / "etc" / "app.env", target), target


def link_in_a_directory_of_root_to_a_file_of_the_app_there(host):
    target = write(host / "etc" / "production.env")
    return link(host / "etc" / "app.env", "production.env"), target


def directory_link_of_root_where_only_root_may_write(host):
    target = write(host / "app" / ".env")
    return link(host / "etc" / "run", "../app") / ".env", target


def second_name_where_only_root_may_write(host):
    target = write(host / "shared" / "env", 0)
    os.link(target, host / "shared" / "other")
    return target, target


FOLLOWED = (
    no_link,
    no_link_in_a_directory_that_a_group_may_write,
    link_of_root_to_a_file_that_root_shares,
    link_of_root_to_a_file_of_the_app,
    link_of_root_to_a_file_beside_it,
    link_of_root_upwards,
    link_in_a_directory_of_root_to_a_file_of_the_app,
    link_in_a_directory_of_root_to_a_file_of_the_app_there,
    directory_link_of_root_where_only_root_may_write,
    second_name_where_only_root_may_write,
)


@pytest.mark.parametrize("case", FOLLOWED, ids=lambda case: case.__name__)
def test_a_wanted_link_stays_and_its_target_is_read_and_replaced(host, case):
    path, target = case(host)
    target.chmod(0o640)
    owner = target.stat().st_uid
    assert files.read(str(path)) == b"A=1\n"
    assert files.stat(str(path)).st_ino == target.stat().st_ino
    files.replace(str(path), b"A=2\n")
    assert target.read_bytes() == b"A=2\n" and not target.is_symlink()
    assert path.is_symlink() == (path != target and case.__name__.startswith("link"))
    assert (target.stat().st_uid, stat.S_IMODE(target.stat().st_mode)) == (owner, 0o640)


@pytest.mark.parametrize("case", FOLLOWED, ids=lambda case: case.__name__)
def test_a_restore_point_restores_a_wanted_link_at_its_target(host, case):
    path, target = case(host)
    target.chmod(0o640)
    saved = host / "point" / "saved"
    saved.mkdir(parents=True)
    item = dict(program.describe(str(path)), saved="saved/0")
    (saved / "0").write_bytes(target.read_bytes())
    assert program.is_back(item)
    files.replace(str(path), b"A=2\n", (0, 0), 0o600)
    assert not program.is_back(item)
    assert program.restore_file(item, str(host / "point"))
    assert program.is_back(item)
    assert target.read_bytes() == b"A=1\n" and not target.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert not program.restore_file(item, str(host / "point"))


def test_a_link_that_came_since_is_replaced_and_not_followed(host):
    """Of a file that was saved, when it is restored."""
    path = write(env(host))
    saved = host / "point" / "saved"
    saved.mkdir(parents=True)
    item = dict(program.describe(str(path)), saved="saved/0")
    (saved / "0").write_bytes(path.read_bytes())
    path.unlink()
    link(path, host / "etc" / "passwd", APP)
    assert program.restore_file(item, str(host / "point"))
    assert not path.is_symlink() and path.read_bytes() == b"A=1\n"
    assert (host / "etc" / "passwd").read_bytes() == SECRET


def test_what_was_absent_is_not_removed_by_a_directory_that_became_a_link(host):
    (host / "app" / "conf.d").mkdir()
    item = program.describe(str(host / "app" / "conf.d" / "passwd"))
    assert item["kind"] == "absent"
    (host / "app" / "conf.d").rmdir()
    link(host / "app" / "conf.d", host / "etc", APP)
    with pytest.raises(program.Refused, match="among the directories"):
        program.restore_file(item, str(host))
    assert (host / "etc" / "passwd").read_bytes() == SECRET


# What is no file


@pytest.mark.parametrize("kind", ["a FIFO", "a directory", "a socket", "a device"])
def test_what_is_no_file_is_named_at_once(host, kind):
    path = env(host)
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a directory":
        path.mkdir()
    else:
        device = os.makedev(1, 5)
        try:
            os.mknod(path, (stat.S_IFSOCK if kind == "a socket" else stat.S_IFCHR) | 0o666, device)
        except PermissionError:
            pytest.skip("no device can be made here")
    own(path)
    for act in (read_by_files, replaced_by_files):
        with pytest.raises(files.FileUnsuitable, match="%s, not a regular file" % kind):
            act(path)
    assert program.describe(str(path))["kind"] == "other"


def test_a_file_of_any_size_is_bounded(host):
    path = write(env(host))
    os.truncate(path, 10 << 30)
    with pytest.raises(files.FileUnsuitable, match="larger than 1048576 bytes"):
        files.read(str(path))
    with pytest.raises(program.Refused, match="larger than"):
        program.describe(str(path))


def test_a_file_that_says_it_is_empty_is_bounded_too(tmp_path):
    assert files.read("/proc/self/stat").startswith(b"%d " % os.getpid())
    with pytest.raises(files.FileUnsuitable, match="larger than 4 bytes"):
        files.read("/proc/self/stat", 4)


def test_what_is_missing_is_missing(host):
    assert files.stat(str(host / "no" / "such")) is None
    assert files.stat(str(env(host) / "below")) is None
    with pytest.raises(FileNotFoundError) as caught:
        files.read(str(host / "no" / "such"))
    assert caught.value.filename == str(host / "no")
    assert not files.remove(str(env(host)))


# Swaps while it is at work


def swap(host):
    """Put a link to /etc in the location of the app's directory, as the app's user can."""
    (host / "app").rename(host / "moved")
    link(host / "app", host / "etc", APP)


def test_a_directory_that_is_swapped_for_a_link_meanwhile_is_not_followed(host):
    path = write(host / "app" / "passwd")
    with files.held(str(path)) as location:
        content = location.read()
        swap(host)
        with pytest.raises(files.FileRefused, match="moved it, or its directory"):
            location.replace(b"A=2\n", since=content.status)
    assert (host / "etc" / "passwd").read_bytes() == SECRET
    assert (host / "moved" / "passwd").read_bytes() == b"A=2\n"


def test_a_file_that_is_swapped_for_a_link_meanwhile_is_not_followed(host, monkeypatch):
    path, opened = write(env(host)), os.open

    def late(name, *arguments, **options):
        if name == ".env" and not path.is_symlink():
            path.unlink()
            link(path, host / "etc" / "passwd", APP)
        return opened(name, *arguments, **options)

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(files.FileRefused, match="just been replaced by a link"):
        files.read(str(path))


def test_a_temporary_file_that_is_swapped_is_not_given_the_name(host, monkeypatch):
    path, synced = write(env(host)), os.fsync

    def late(descriptor):
        synced(descriptor)
        for name in os.listdir(host / "app"):
            if name.startswith("..env."):
                (host / "app" / name).unlink()
                link(host / "app" / name, host / "etc" / "passwd", APP)

    monkeypatch.setattr(os, "fsync", late)
    with pytest.raises(files.FileRefused, match="replaces files beside it"):
        files.replace(str(path), b"A=2\n")
    assert path.read_bytes() == b"A=1\n" and os.listdir(host / "app") == [".env"]
    assert (host / "etc" / "passwd").read_bytes() == SECRET


def test_whatever_is_swapped_in_a_race_the_victim_stays(host):
    """The app's user swaps as fast as it can while root replaces."""
    path, real, done = env(host), host / "app" / "real", threading.Event()
    write(real)

    def attack():
        while not done.is_set():
            for target in (host / "etc" / "passwd", real):
                temporary = host / "app" / "temporary"
                temporary.unlink(missing_ok=True)
                if target == real:
                    write(temporary)
                else:
                    link(temporary, target, APP)
                os.replace(temporary, path)

    attacker = threading.Thread(target=attack)
    attacker.start()
    outcomes = set()
    try:
        for _turn in range(300):
            try:
                with files.held(str(path)) as location:
                    location.replace(b"A=2\n", since=location.read().status)
                outcomes.add("replaced")
            except OSError as error:
                outcomes.add(type(error).__name__)
    finally:
        done.set()
        attacker.join()
    assert (host / "etc" / "passwd").read_bytes() == SECRET
    assert (host / "etc" / "passwd").stat().st_uid == 0
    assert outcomes & {"FileRefused", "FileChanged"}, outcomes
    assert [name for name in os.listdir(host / "app") if name.startswith("..env")] == []


def test_a_new_file_is_for_its_owner_alone_unless_a_mode_is_given(host):
    for name, mode, expected in (("a", None, 0o600), ("b", 0o640, 0o640)):
        path = host / "etc" / name
        files.replace(str(path), b"secret", mode=mode)
        assert stat.S_IMODE(path.stat().st_mode) == expected


def test_a_change_since_it_was_read_is_kept(host):
    path = write(env(host))
    with files.held(str(path)) as location:
        content = location.read()
        path.write_text("A=theirs\n")
        with pytest.raises(files.FileChanged):
            location.replace(b"A=2\n", since=content.status)
    assert path.read_text() == "A=theirs\n"
    with files.held(str(path)) as location, pytest.raises(files.FileChanged):
        location.replace(b"A=2\n", since=None)


# What a file has besides its content


def access_list(uid):
    """Return a POSIX access control list that lets one more user read."""
    entries = ((1, 6, -1), (2, 4, uid), (4, 4, -1), (0x10, 4, -1), (0x20, 0, -1))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def listed(path, default=False):
    name = "system.posix_acl_default" if default else "system.posix_acl_access"
    try:
        os.setxattr(path, name, access_list(THIRD))
        if not default:
            os.setxattr(path, "user.note", b"ours")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        pytest.skip("this file system has no access control lists")


def test_access_control_list_and_attributes_are_kept(host):
    path = write(env(host))
    path.chmod(0o640)
    listed(path)
    files.replace(str(path), b"A=2\n")
    assert os.getxattr(path, "system.posix_acl_access") == access_list(THIRD)
    assert os.getxattr(path, "user.note") == b"ours"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_directory_gives_the_new_file_no_readers_that_the_old_one_had_not(host):
    path = write(env(host))
    path.chmod(0o640)
    listed(host / "app", default=True)
    files.replace(str(path), b"A=2\n")
    assert "system.posix_acl_access" not in os.listxattr(path)


def test_a_restore_brings_them_back(host):
    path, target = link_of_root_to_a_file_of_the_app(host)
    target.chmod(0o640)
    listed(target)
    saved = host / "point" / "saved"
    saved.mkdir(parents=True)
    item = dict(program.describe(str(path)), saved="saved/0")
    (saved / "0").write_bytes(target.read_bytes())
    target.unlink()
    write(target, 0, "A=3\n")
    program.restore_file(item, str(host / "point"))
    assert path.is_symlink() and target.read_bytes() == b"A=1\n"
    assert os.getxattr(target, "system.posix_acl_access") == access_list(THIRD)
    assert os.getxattr(target, "user.note") == b"ours"
    assert (target.stat().st_uid, stat.S_IMODE(target.stat().st_mode)) == (APP, 0o640)


# Directories


def test_directories_are_made_without_following_a_link(host):
    link(host / "app" / "conf", host / "etc", APP)
    with pytest.raises(files.FileRefused):
        files.make_directories(str(host / "app" / "conf" / "new"))
    assert os.listdir(host / "etc") == ["passwd"]
    files.make_directories(str(host / "app" / "a" / "b"), 0o750, (APP, APP))
    made = (host / "app" / "a" / "b").stat()
    assert (stat.S_IMODE(made.st_mode), made.st_uid) == (0o750, APP)
    assert (host / "app" / "a").stat().st_uid == 0
    files.make_directories(str(host / "app" / "a" / "b"), 0o700, (0, 0))
    assert (host / "app" / "a" / "b").stat().st_uid == APP


def test_what_only_root_may_write_is_not_kept_below_a_directory_of_another_user(host):
    files.own_directory(str(host / "shared" / "a" / "b"))
    assert stat.S_IMODE((host / "shared" / "a" / "b").stat().st_mode) == 0o700
    with pytest.raises(files.FileRefused, match="another user may change"):
        files.own_directory(str(host / "app" / "state"))
    (host / "shared").chmod(0o1777)
    files.own_directory(str(host / "shared" / "a" / "b"))
    (host / "shared").chmod(0o777)
    with pytest.raises(files.FileRefused, match="another user may change"):
        files.own_directory(str(host / "shared" / "a" / "b"))


def test_names_are_not_read_by_a_link_of_another_user(host):
    assert files.names(str(host / "etc")) == ["passwd"]
    with pytest.raises(files.FileRefused):
        files.names(str(link(host / "app" / "d", host / "etc", APP)))


@pytest.mark.parametrize("path", ["/bin/sh", "/var/run", "/lib"])
def test_links_of_the_system_are_followed(path):
    """A merged /usr, and /var/run; what they lead to may be a link itself, at the end only."""
    with files.held(
        os.path.join(path, "no-such") if path != "/bin/sh" else "/bin/no-such"
    ) as location:
        assert location.status() is None
