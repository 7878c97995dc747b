# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""restore_point on real files, on full file systems, and with its program run as the host runs it.

What systemd does with it, at a deadline and at a boot, is tried on the reference fleet.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root gives files to others")


@pytest.fixture
def host(tmp_path):
    """A directory with two files, a link and a path where nothing is."""
    directory = tmp_path / "etc"
    directory.mkdir()
    (directory / "app.conf").write_text("limit = 1\n")
    (directory / "app.conf").chmod(0o640)
    (directory / ".env").write_text("LOG_LEVEL=INFO\nDATABASE_PASSWORD=old-s3cret\n")
    (directory / "zone").symlink_to("app.conf")
    return directory


@pytest.fixture
def point(run_module, tmp_path, host):
    """Return a function that runs the module for the files of that host."""
    files = [str(host / name) for name in ("app.conf", ".env", "zone", "new/dropin/50.conf")]

    def run(state, check=False, diff=False, **options):
        given = {"name": "try", "state": state, "directory": str(tmp_path / "store")}
        if state == "armed":
            given.update(files=files, commands=[["touch", str(tmp_path / "commanded")]])
        return run_module("restore_point", {**given, **options}, check=check, diff=diff)

    return run


def state(directory):
    """Return all that a run may change below a directory."""
    found = {}
    for parent, directories, names in os.walk(directory):
        for name in directories + names:
            path = os.path.join(parent, name)
            status = os.lstat(path)
            content = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as source:
                    content = source.read()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            found[os.path.relpath(path, directory)] = (
                status.st_mode,
                status.st_uid,
                status.st_gid,
                content,
            )
    return found


def spoil(host):
    """Change each file in a different way."""
    (host / "app.conf").unlink()
    (host / ".env").write_text("LOG_LEVEL=DEBUG\nDATABASE_PASSWORD=new-s3cret\n")
    (host / ".env").chmod(0o666)
    (host / "zone").unlink()
    (host / "zone").write_text("no link any more\n")
    (host / "new" / "dropin").mkdir(parents=True)
    (host / "new" / "dropin" / "50.conf").write_text("[Service]\n")


def by_the_host(tmp_path, name="try"):
    """Run the program as the host's timer does; return its exit status."""
    program = tmp_path / "store" / name / "restore.py"
    return subprocess.run([sys.executable, "-I", "-B", str(program)], check=False).returncode


# Restoring


def test_restored_restores_files_links_and_absence(point, host, tmp_path):
    before = state(host)
    assert point("armed")["changed"]
    assert state(host) == before
    spoil(host)
    result = point("restored")
    assert result["changed"], result
    assert state(host) == before
    assert (tmp_path / "commanded").exists()
    assert result["outcome"]["complete"] and result["outcome"]["by"] == "module"
    assert len(result["differing"]) == 4


def test_where_nothing_was_changed_nothing_is_undone(point, host, tmp_path):
    """A remedy that refuses writes nothing; undoing it must not touch what works."""
    before = state(host)
    point("armed")
    planned = point("restored", check=True)
    assert planned["planned_commands"] == [] and planned["differing"] == []
    result = point("restored")
    assert not (tmp_path / "commanded").exists()
    assert result["planned_commands"] == [] and not result["outcome"]["touched"]
    assert result["outcome"]["files"] == [] and result["outcome"]["commands"] == []
    assert state(host) == before


def test_the_host_itself_leaves_alone_what_was_not_changed(point, host, tmp_path):
    before = state(host)
    point("armed")
    assert by_the_host(tmp_path) == 0
    assert not (tmp_path / "commanded").exists() and state(host) == before


def test_a_restore_that_was_cut_off_behind_the_files_still_runs_its_commands(point, host, tmp_path):
    before = state(host)
    point("armed")
    spoil(host)
    # As if the host had gone down between the files and the commands.
    point("restored")
    (tmp_path / "commanded").unlink()
    outcome = tmp_path / "store" / "try" / "outcome"
    cut = dict(json.loads(outcome.read_text()), complete=False, commands=[])
    outcome.write_text(json.dumps(cut).ljust(8192))
    (tmp_path / "store" / "try" / "saved").mkdir()
    assert by_the_host(tmp_path) == 0
    assert (tmp_path / "commanded").exists() and state(host) == before


def test_what_another_run_has_left_is_taken_over_with_what_it_has_saved(point, host, tmp_path):
    before = state(host)
    point("armed", run="r1")
    spoil(host)
    kept = str(host / "more")
    (host / "more").write_text("as it was\n")
    before = {**before, "more": state(host)["more"]}
    files = [str(host / ".env"), kept]
    assert "disarm or restore it first" in point("armed", run="r2", files=files)["msg"]
    for check in (True, False):
        adopted = point("armed", run="r2", adopt=True, files=files, check=check)
        assert adopted["changed"] and adopted["adopted"]["run"] == "r1", adopted
    assert point("observed")["run"] == "r2"
    (host / "more").unlink()
    restored = point("restored")
    assert kept in restored["differing"], restored
    assert state(host) == before


def test_what_another_point_will_restore_is_reported(point, host, tmp_path):
    point("armed", run="r1")
    path = tmp_path / "store" / "try" / "point.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), due="2026-03-01T12:05:00Z")))
    files = [str(host / ".env")]
    seen = point("observed", name="other", run="r2", files=files)
    assert "the restore point try of run r1" in seen["conflict"], seen
    assert point("observed", name="other", run="r1", files=files)["conflict"] is None
    assert point("observed", name="try", run="r2", files=files)["conflict"] is None
    assert point("observed", name="other", run="r2", files=["/etc/other"])["conflict"] is None


def test_what_there_is_can_be_observed(point):
    assert point("observed")["state"] == "none"
    point("armed", run="r1")
    seen = point("observed")
    assert not seen["changed"] and (seen["state"], seen["run"]) == ("armed", "r1")
    assert not seen["at_work"]
    point("restored")
    assert point("observed")["state"] == "restored"


def test_the_host_restores_it_automatically(point, host, tmp_path):
    before = state(host)
    point("armed")
    spoil(host)
    assert by_the_host(tmp_path) == 0
    assert state(host) == before
    assert (tmp_path / "commanded").exists()
    failed = point("disarmed")
    assert failed["failed"] and "was restored at" in failed["msg"]
    assert failed["outcome"]["by"] == "timer"


def test_running_it_twice_leaves_alone_what_came_after(point, host, tmp_path):
    point("armed")
    spoil(host)
    point("restored")
    (host / "app.conf").write_text("limit = 3\n")
    again = point("restored")
    assert not again["changed"] and again["outcome"]["attempts"] == 1
    assert by_the_host(tmp_path) == 0
    assert (host / "app.conf").read_text() == "limit = 3\n"


@needs_root
def test_the_owner_comes_back(point, host):
    os.chown(host / "app.conf", 1234, 1235)
    before = state(host)
    point("armed")
    os.chown(host / "app.conf", 0, 0)
    point("restored")
    assert state(host) == before


def test_no_saved_copy_stays(point, host, tmp_path):
    """They may hold secrets."""
    for end in ("restored", "disarmed"):
        point("armed")
        assert "old-s3cret" in str(state(tmp_path / "store"))
        point(end)
        assert "old-s3cret" not in str(state(tmp_path / "store"))


@needs_root
def test_no_one_else_can_read_it(point, tmp_path):
    point("armed")
    unprivileged = {"user": 65534, "group": 65534, "extra_groups": []}
    store = tmp_path / "store"
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    listed = subprocess.run(["ls", str(store)], capture_output=True, check=False, **unprivileged)
    assert b"denied" in listed.stderr


def test_each_command_runs_and_the_failed_one_is_reported(point, host, tmp_path):
    point(
        "armed",
        commands=[
            ["sh", "-c", "echo it broke >&2; exit 3"],
            ["no-such-command"],
            ["sleep", "30"],
            ["touch", str(tmp_path / "last")],
        ],
        command_timeout=1,
    )
    spoil(host)
    result = point("restored")
    assert result["failed"] and "it broke" in result["msg"] and "killed after 1 s" in result["msg"]
    assert [command["status"] for command in result["outcome"]["commands"]] == [3, None, None, 0]
    assert (tmp_path / "last").exists()


def test_a_directory_instead_of_a_file_is_left_and_reported(point, host, tmp_path):
    point("armed")
    spoil(host)
    (host / "app.conf").mkdir()
    result = point("restored")
    assert result["failed"] and "a directory has taken its place" in result["msg"]
    # The others are back, and it can be tried again.
    assert "old-s3cret" in (host / ".env").read_text()
    assert by_the_host(tmp_path) == 1
    (host / "app.conf").rmdir()
    again = point("restored")
    assert again["changed"] and again["outcome"]["complete"]
    assert (host / "app.conf").read_text() == "limit = 1\n"


# Arming and disarming


def test_check_mode_does_nothing_and_predicts(point, host, tmp_path):
    before = state(tmp_path)
    assert point("armed", check=True)["changed"]
    assert not point("disarmed", check=True)["changed"]
    assert "nothing is saved" in point("restored", check=True)["msg"]
    assert state(tmp_path) == before
    point("armed")
    spoil(host)
    before = state(tmp_path)
    predicted = point("restored", check=True, diff=True)
    assert point("disarmed", check=True)["changed"]
    assert state(tmp_path) == before
    done = point("restored", diff=True)
    for key in ("changed", "diff", "differing"):
        assert predicted[key] == done[key], key


def test_the_diff_shows_what_comes_back_without_secrets(point, host):
    point("armed")
    spoil(host)
    result = point("restored", diff=True)
    shown = json.dumps(result)
    assert "s3cret" not in shown
    parts = {part["after_header"].split()[0]: part for part in result["diff"]}
    dotenv = parts[str(host / ".env")]
    assert "LOG_LEVEL=DEBUG" in dotenv["before"] and "LOG_LEVEL=INFO" in dotenv["after"]
    assert "(changed)" in dotenv["after"]
    assert "0666" in dotenv["before_header"]
    assert parts[str(host / "zone")]["after"] == "-> app.conf\n"
    assert parts[str(host / "new/dropin/50.conf")]["after"] == ""


def test_disarmed_keeps_what_was_done(point, host, tmp_path):
    point("armed")
    spoil(host)
    after = state(host)
    assert point("disarmed")["changed"]
    assert state(host) == after
    assert state(tmp_path / "store") == {}
    assert not point("disarmed")["changed"]


def test_what_a_dead_run_left_half_saved_is_removed(point, tmp_path):
    point("armed")
    point("disarmed")
    left = tmp_path / "store" / ".try.x7"
    left.mkdir()
    (left / "0").write_text("old-s3cret")
    point("armed")
    assert os.listdir(tmp_path / "store") == ["try"]


def test_armed_again_with_the_same_content_is_no_change(point):
    point("armed", run="first")
    again = point("armed", run="second")
    assert not again["changed"] and again["run"] == "first"


def test_armed_by_another_with_other_content_is_refused(point, host):
    point("armed", run="first")
    spoil(host)
    refused = point("armed", run="second")
    assert refused["failed"] and "by run first" in refused["msg"]
    assert point("armed", run="second", check=True)["msg"] == refused["msg"]
    # What the first one saved is still what comes back.
    point("restored")
    assert (host / "app.conf").read_text() == "limit = 1\n"
    assert point("armed", run="second")["changed"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../etc"}, "name"),
        ({"name": "Upper"}, "name"),
        ({"files": ["relative"]}, "relative"),
        ({"files": ["/etc/../etc/passwd"]}, "without"),
        ({"files": ["/etc"]}, "neither a regular file"),
        ({"files": ["/etc/passwd", "/etc/passwd"]}, "twice"),
        ({"commands": [[]]}, "commands"),
        ({"deadline": 86401}, "deadline"),
        ({"deadline": -1}, "deadline"),
    ],
)
def test_what_cannot_be_is_refused(point, tmp_path, options, message):
    for check in (True, False):
        result = point("armed", check=check, **options)
        assert result["failed"] and message in result["msg"]
    assert not (tmp_path / "store").exists()


@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd runs this machine")
def test_without_systemd_no_deadline_is_promised(point, tmp_path):
    assert "systemd does not run this host" in point("armed", deadline=60)["msg"]
    assert not (tmp_path / "store").exists()


# Full disks


@pytest.fixture
def small(tmp_path):
    """A separate file system of 128 KiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k,mode=0755", "tmpfs", str(mount)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def fill(directory):
    """Take what is free."""
    with open(directory / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    assert not os.statvfs(directory).f_bavail


def test_on_a_full_disk_arming_fails_before_anything_is_touched(point, small):
    fill(small)
    before = state(small)
    for check in (True, False):
        result = point("armed", check=check, directory=str(small / "store"))
        assert result["failed"] and "nothing was touched" in result["msg"]
    assert state(small) == before


def test_a_disk_that_fills_up_after_the_check_leaves_nothing_behind(point, small, host):
    """Long commands take more than was computed, as another writer would."""
    (host / "app.conf").write_bytes(os.urandom(30000))
    (small / "filler").write_bytes(b"x" * 12288)
    result = point("armed", directory=str(small / "store"), commands=[["true", "x" * 60000]])
    assert result["failed"] and "could not be saved, and nothing was touched" in result["msg"]
    assert [name for name in state(small) if name.startswith("store/")] == []


@pytest.mark.parametrize("grown", [False, True])
def test_a_restore_on_a_full_disk_works_from_the_same_file_system(point, small, grown):
    target = small / "rules"
    target.write_text("old\n" * 1000)
    target.chmod(0o640)
    files = {"directory": str(small / "store"), "files": [str(target)]}
    point("armed", **files)
    target.write_text("new\n" * (1 if grown else 2000))
    fill(small)
    result = point("restored", directory=str(small / "store"))
    assert result["changed"] and result["outcome"]["complete"], result
    assert target.read_text() == "old\n" * 1000
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_restore_on_another_full_file_system_writes_over_what_is_there(point, small):
    target = small / "rules"
    target.write_text("old\n" * 1000)
    point("armed", files=[str(target)])
    target.write_text("new\n" * 2000)
    fill(small)
    result = point("restored")
    assert result["changed"] and result["outcome"]["complete"], result
    assert target.read_text() == "old\n" * 1000


def test_what_has_no_space_at_all_is_whole_and_is_tried_again(point, small, tmp_path):
    target = small / "rules"
    target.write_text("old\n" * 5000)
    point("armed", files=[str(target)])
    target.write_text("new\n")
    fill(small)
    result = point("restored")
    assert result["failed"] and "No space left" in result["msg"]
    assert target.read_text() == "new\n"
    (small / "filler").unlink()
    assert by_the_host(tmp_path) == 0
    assert target.read_text() == "old\n" * 5000


# What another user may have put there

APP = 1234


@pytest.fixture
def app(tmp_path):
    """The directory of the app's user, with its .env, and beside it what is root's."""
    for name in ("app", "shared", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "app" / ".env").write_text("LOG_LEVEL=INFO\nDATABASE_PASSWORD=old-s3cret\n")
    (tmp_path / "outside" / ".env").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "shared" / "app.env").write_text("LOG_LEVEL=INFO\nDATABASE_PASSWORD=old-s3cret\n")
    (tmp_path / "shared" / "app.env").chmod(0o640)
    for path in (tmp_path / "app", tmp_path / "app" / ".env", tmp_path / "shared" / "app.env"):
        os.chown(path, APP, APP)
    return tmp_path / "app"


def link(path, target, uid):
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    os.chown(path, uid, uid, follow_symlinks=False)


@needs_root
def test_a_link_that_root_made_is_restored_with_the_file_it_leads_to(point, app, tmp_path):
    target = tmp_path / "shared" / "app.env"
    link(app / ".env", target, 0)
    listed = True
    try:
        os.setxattr(target, "user.note", b"ours")
    except OSError:
        listed = False
    before = state(tmp_path / "shared"), state(app)
    files = [str(app / ".env")]
    assert point("armed", files=files)["changed"]
    assert not point("armed", files=files)["changed"]
    target.unlink()
    target.write_text("LOG_LEVEL=DEBUG\nDATABASE_PASSWORD=new-s3cret\n")
    result = point("restored", diff=True)
    assert result["differing"] == files and result["outcome"]["complete"], result
    assert "LOG_LEVEL=INFO" in result["diff"][0]["after"] and "s3cret" not in json.dumps(result)
    assert (state(tmp_path / "shared"), state(app)) == before
    assert not listed or os.getxattr(target, "user.note") == b"ours"


@needs_root
@pytest.mark.parametrize("gone", ["link", "both"])
def test_what_is_gone_of_a_link_and_its_file_comes_back(point, app, tmp_path, gone):
    link(app / ".env", tmp_path / "shared" / "app.env", 0)
    before = state(tmp_path / "shared"), state(app)
    point("armed", files=[str(app / ".env")])
    (app / ".env").unlink()
    if gone == "both":
        (tmp_path / "shared" / "app.env").unlink()
    assert by_the_host(tmp_path) == 0
    assert (state(tmp_path / "shared"), state(app)) == before


@needs_root
@pytest.mark.parametrize("way", ["link", "hard link", "directory"])
@pytest.mark.parametrize("check", [False, True])
def test_what_may_be_of_another_user_is_not_saved_but_named(point, app, tmp_path, way, check):
    path, victim = app / ".env", tmp_path / "outside" / ".env"
    if way == "link":
        link(path, victim, APP)
    elif way == "hard link":
        path.unlink()
        os.link(victim, path)
    else:
        path = app / "current" / ".env"
        link(app / "current", tmp_path / "outside", APP)
    result = point("armed", files=[str(path)], check=check)
    assert (
        result["failed"] and "hard link" in result["msg"]
        if way == "hard link"
        else (str(tmp_path / "outside") in result["msg"])
    )
    assert not (tmp_path / "store" / "try").exists()


@needs_root
def test_a_link_that_came_since_is_not_followed_as_it_is_restored(point, app, tmp_path):
    before = state(app)
    outside = state(tmp_path / "outside")
    point("armed", files=[str(app / ".env"), str(app / "conf.d" / ".env")])
    link(app / ".env", tmp_path / "outside" / ".env", APP)
    link(app / "conf.d", tmp_path / "outside", APP)
    result = point("restored")
    assert result["failed"] and "among the directories" in result["msg"], result
    assert state(tmp_path / "outside") == outside
    (app / "conf.d").unlink()
    assert by_the_host(tmp_path) == 0
    assert state(app) == before and state(tmp_path / "outside") == outside


@needs_root
def test_restore_points_are_kept_where_only_root_may_write(point, app):
    for check in (True, False):
        result = point("armed", directory=str(app / "store"), check=check)
        assert result["failed"] and "another user may change" in result["msg"]
    assert os.listdir(app) == [".env"]
