# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sergas_env against real files; what it wrote is read by python-dotenv, systemd and a shell."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import dotenv
import pytest

COLLECTION = Path(__file__).resolve().parents[2]
GENERATOR = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root gives files to others")

FILE = """\
# The app, as its operators keep it
DATABASE_HOST=db1.example.com  # primary
export LOG_LEVEL=INFO
DATABASE_PASSWORD='old-s3cret'
DATABASE_URL=postgresql://sergas:url-s3cret@db1.example.com/sergas_prod

; settings
DATABASE_POOL_SIZE=10
DATABASE_POOL_SIZE="20"
REDIS_CACHE_TTL=300  # 5 minutes
# ZOHO_SDK_REGION=eu
ZOHO_BATCH_DELAY=1
"""
VALUES = {
    "DATABASE_HOST": "db2.example.com",
    "LOG_LEVEL": "DEBUG",
    "DATABASE_PASSWORD": "new $s3cret #1",
    "DATABASE_POOL_SIZE": 5,
    "ENABLE_CACHE": True,
    "ZOHO_SDK_REGION": "us",
    "GREETING": 'it\'s "here" \\ ~ é',
}
AFTER = """\
# The app, as its operators keep it
# primary
DATABASE_HOST=db2.example.com
LOG_LEVEL=DEBUG
DATABASE_PASSWORD='new $s3cret #1'
DATABASE_URL=postgresql://sergas:url-s3cret@db1.example.com/sergas_prod

; settings
DATABASE_POOL_SIZE="5"
REDIS_CACHE_TTL=300  # 5 minutes
# ZOHO_SDK_REGION=eu
ZOHO_SDK_REGION=us
ENABLE_CACHE=true
GREETING="it's \\"here\\" \\\\ ~ é"
"""
TEXTS = {**VALUES, "DATABASE_POOL_SIZE": "5", "ENABLE_CACHE": "true"}


@pytest.fixture
def env(tmp_path):
    """A .env in a dedicated directory."""
    directory = tmp_path / "app"
    directory.mkdir()
    path = directory / ".env"
    path.write_text(FILE)
    path.chmod(0o640)
    return path


@pytest.fixture
def sergas_env(env, run_module):
    """Return a function that runs the module for that file."""

    def run(check=False, diff=False, **options):
        return run_module("sergas_env", {"path": str(env), **options}, check=check, diff=diff)

    return run


def state(path):
    """Return all of a file that a run may change, and its neighbours."""
    status = path.stat()
    return (
        path.read_bytes(),
        status.st_mode,
        status.st_uid,
        status.st_gid,
        sorted(os.listdir(path.parent)),
    )


# What the readers get


def test_lines_are_changed_in_their_place(env, sergas_env):
    result = sergas_env(values=VALUES, absent=["ZOHO_BATCH_DELAY", "NOT_THERE"])
    assert env.read_text() == AFTER
    assert result["changed"]
    assert result["changed_keys"] == [
        "DATABASE_HOST",
        "LOG_LEVEL",
        "DATABASE_PASSWORD",
        "DATABASE_POOL_SIZE",
        "ENABLE_CACHE",
        "ZOHO_SDK_REGION",
        "GREETING",
    ]
    assert result["removed"] == ["ZOHO_BATCH_DELAY"]
    assert result["dropped"] == [{"name": "DATABASE_POOL_SIZE", "line": 8}]
    assert list(result["ambiguous"]) == ["REDIS_CACHE_TTL"]
    assert "REDIS_CACHE_TTL" in str(result["warnings"])


def test_python_dotenv_reads_what_was_set(env, sergas_env):
    sergas_env(values=VALUES)
    read = dotenv.dotenv_values(env)
    assert {name: read[name] for name in VALUES} == TEXTS


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_reads_what_was_set(env, sergas_env, shell):
    # A ; begins a comment for systemd only.
    env.write_text(FILE.replace("; settings", "# settings"))
    sergas_env(values=VALUES)
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    done = subprocess.run(
        [shell, "-ec", 'set -a; . "$1"; exec "$2" -c "$3"', shell, str(env), sys.executable, show],
        capture_output=True,
        text=True,
        check=True,
    )
    read = json.loads(done.stdout)
    assert {name: read[name] for name in VALUES} == TEXTS


@pytest.mark.skipif(
    not Path("/run/systemd/system").is_dir(), reason="systemd does not run this machine"
)
@needs_root
def test_systemd_gives_a_service_what_was_set(env, sergas_env):
    sergas_env(values=VALUES)
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    command = [
        "systemd-run",
        "--quiet",
        "--wait",
        "--pipe",
        "-p",
        f"EnvironmentFile={env}",
        sys.executable,
        "-c",
        show,
    ]
    read = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert {name: read[name] for name in VALUES} == TEXTS


@pytest.mark.skipif(not GENERATOR.exists(), reason="this machine has no systemd")
def test_systemds_own_parser_reads_what_was_set(env, sergas_env, tmp_path):
    """Its generator of environments has the same parser; it also expands $, which a service does
    not get.
    """
    values = {name: value for name, value in VALUES.items() if "$" not in str(value)}
    sergas_env(values=values)
    (tmp_path / "environment.d").mkdir()
    shutil.copy(env, tmp_path / "environment.d" / "50-app.conf")
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run([GENERATOR], env=environment, capture_output=True, text=True, check=True)
    read = dict(word.partition("=")[::2] for word in shlex.split(done.stdout))
    assert {name: read.get(name) for name in values} == {name: TEXTS[name] for name in values}


def test_repairing_leaves_nothing_that_is_read_differently(env, sergas_env):
    result = sergas_env(repair=True)
    assert result["repaired"] == [
        "DATABASE_HOST",
        "LOG_LEVEL",
        "DATABASE_POOL_SIZE",
        "REDIS_CACHE_TTL",
    ]
    assert result["ambiguous"] == {}
    assert result["duplicates"] == []
    assert "# 5 minutes\nREDIS_CACHE_TTL=300\n" in env.read_text()
    assert not sergas_env(repair=True)["changed"]


def test_where_systemd_does_not_read_it_export_and_comments_stay(env, sergas_env):
    result = sergas_env(values={"LOG_LEVEL": "DEBUG", "REDIS_CACHE_TTL": 60}, systemd=False)
    assert "export LOG_LEVEL=DEBUG\n" in env.read_text()
    assert "REDIS_CACHE_TTL=60  # 5 minutes\n" in env.read_text()
    assert result["ambiguous"] == {}


# Prediction, and a second run

RUNS = [
    {"values": VALUES, "absent": ["ZOHO_BATCH_DELAY"]},
    {"values": VALUES, "repair": True},
    {"values": {"ZOHO_BATCH_DELAY": "1"}},
    {"absent": ["DATABASE_POOL_SIZE"], "mode": "0600"},
    {"mode": "0600"},
    {},
]


@pytest.mark.parametrize("options", RUNS)
def test_check_mode_predicts_what_the_run_does_and_touches_nothing(env, sergas_env, options):
    before = state(env)
    predicted = sergas_env(check=True, diff=True, **options)
    assert state(env) == before
    done = sergas_env(diff=True, **options)
    assert predicted == done
    assert done["changed"] == (state(env) != before)
    assert done["changed"] == any(part["before"] != part["after"] for part in done["diff"])


@pytest.mark.parametrize("options", RUNS)
def test_a_second_run_changes_nothing(env, sergas_env, options):
    sergas_env(**options)
    before, inode = state(env), env.stat().st_ino
    again = sergas_env(diff=True, backup=True, **options)
    assert not again["changed"]
    assert again["changed_keys"] == again["removed"] == again["repaired"] == again["dropped"] == []
    assert again["diff"][0]["before"] == again["diff"][0]["after"]
    assert (state(env), env.stat().st_ino) == (before, inode)


# Secrets


@pytest.fixture
def ansible(tmp_path):
    """Return a function that runs the module with Ansible on this machine and returns all that is
    printed.
    """
    program = Path(sys.executable).with_name("ansible")
    if not program.exists():
        pytest.skip("ansible is not installed beside this Python")
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION / ".build"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_CONFIG": str(COLLECTION / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
    }

    def run(*arguments, **options):
        variables = tmp_path / "options.json"
        variables.write_text(json.dumps(options))
        command = [
            program,
            "localhost",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-m",
            "sergas.ops.sergas_env",
        ]
        done = subprocess.run(
            [*map(str, command), "-a", json.dumps(options), *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_no_secret_is_printed_at_any_verbosity(env, ansible):
    env.write_text(
        FILE + "INTERNAL=old-internal\nREFRESH_TOKEN='tok-s3cret' # used to be was-s3cret\n"
    )
    values = {**VALUES, "INTERNAL": "new-internal", "DATABASE_URL": "redis://u:pw-s3cret/@x@h/0"}
    code, printed = ansible(
        "-vvv", "--diff", path=str(env), values=values, secret_keys=["INTERNAL"]
    )
    assert code == 0, printed
    assert "new-internal" in env.read_text()
    assert "pw-s3cret" in env.read_text()
    assert not re.search(r"(?<!was-)s3cret|(?:old|new)-internal", printed), printed
    # What is no secret is there, to be of use.
    assert "+DATABASE_HOST=db2.example.com" in printed
    assert "-DATABASE_PASSWORD=********\n" in printed
    assert "+DATABASE_PASSWORD=******** (changed)\n" in printed
    assert "LOG_LEVEL: DEBUG" in printed


def test_an_error_shows_no_secret(env, ansible):
    code, printed = ansible(
        "-vvv", "--diff", path=str(env), values={"DATABASE_PASSWORD": "it's $s3cret"}
    )
    assert code != 0
    assert (
        "DATABASE_PASSWORD cannot be set to this value: with $ or ` it needs single quotes"
        in printed
    )
    assert "$s3cret" not in printed
    assert env.read_text() == FILE


def test_a_short_secret_does_not_mask_the_result(env, sergas_env):
    result = sergas_env(values={"DATABASE_PASSWORD": "8", "API_KEY": str(env.parent)})
    assert result["file"] == str(env)
    assert result["invocation"]["module_args"]["values"] == {
        "DATABASE_PASSWORD": "********",
        "API_KEY": "********",
    }


# The file


def test_owner_mode_and_lists_of_access_stay(env, sergas_env):
    attributes = {}
    try:
        os.setxattr(env, "user.note", b"kept")
        attributes = {"user.note": b"kept"}
    except OSError:
        pass
    if os.geteuid() == 0:
        os.chown(env, 12345, 23456)
    before = env.stat()
    assert sergas_env(values={"LOG_LEVEL": "DEBUG"})["changed"]
    after = env.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert {name: os.getxattr(env, name) for name in attributes} == attributes
    assert os.listdir(env.parent) == [".env"]


@needs_root
def test_owner_group_and_mode_are_set_where_they_are_given(env, sergas_env):
    someone = pwd.getpwnam("daemon")
    result = sergas_env(
        owner="daemon", group=grp.getgrgid(someone.pw_gid).gr_name, mode="0600", diff=True
    )
    assert result["changed"]
    assert result["changed_keys"] == []
    assert result["diff"][1]["after"] == {
        "owner": someone.pw_uid,
        "group": someone.pw_gid,
        "mode": "0600",
    }
    status = env.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (
        someone.pw_uid,
        someone.pw_gid,
        0o600,
    )
    assert env.read_text() == FILE


def test_a_symbolic_link_stays_one(env, sergas_env, tmp_path):
    target = tmp_path / "shared.env"
    env.rename(target)
    env.symlink_to("../shared.env")
    result = sergas_env(values={"LOG_LEVEL": "DEBUG"}, backup=True)
    assert env.is_symlink()
    assert result["file"] == str(target)
    assert "LOG_LEVEL=DEBUG" in target.read_text()
    assert Path(result["backup_file"]).parent == tmp_path


def test_the_backup_is_the_old_file_and_as_private(env, sergas_env):
    env.chmod(0o600)
    result = sergas_env(values={"LOG_LEVEL": "DEBUG"}, backup=True)
    backup = Path(result["backup_file"])
    assert backup.read_text() == FILE
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert sorted(os.listdir(env.parent)) == [".env", backup.name]


def test_a_new_file_is_made_only_on_request_and_private(env, sergas_env):
    env.unlink()
    refused = sergas_env(values={"A": "1"})
    assert refused["failed"]
    assert "create: true" in refused["msg"]
    assert not sergas_env(absent=["A"], create=True)["changed"]
    assert not env.exists()
    assert sergas_env(values={"A": "1"}, create=True, check=True)["created"]
    assert not env.exists()
    assert sergas_env(values={"A": "1"}, create=True)["created"]
    assert env.read_text() == "A=1\n"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert not sergas_env(values={"A": "1"}, create=True)["changed"]


def test_check_mode_on_a_host_that_is_not_there_yet_says_so(env, sergas_env):
    shutil.rmtree(env.parent)
    options = {"values": {"A": "1"}, "create": True, "owner": "no-such-user"}
    predicted = sergas_env(check=True, **options)
    assert predicted["changed"]
    assert "no-such-user" in str(predicted["warnings"])
    assert "does not exist yet" in str(predicted["warnings"])
    assert sergas_env(**options)["msg"] == "owner: there is no no-such-user here"
    assert "directory" in sergas_env(values={"A": "1"}, create=True)["msg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A=\xff\n", "is not UTF-8 at byte 2"),
        (b"A=1\n" * 300000, "is larger than 1048576 bytes"),
        (b"A=\0\n", "has NUL bytes"),
        (None, "is a directory, not a regular file"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_is_no_env_file_is_refused(env, sergas_env, content, message, check):
    env.unlink()
    if content is None:
        env.mkdir()
    else:
        env.write_bytes(content)
    result = sergas_env(values={"A": "2"}, check=check)
    assert result["failed"]
    assert result["msg"].startswith(f"path: {env} ")
    assert message in result["msg"]
    assert content is None or env.read_bytes() == content


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": {"A B": "1"}}, "'A B' is no name of a variable"),
        ({"absent": ["1A"]}, "'1A' is no name of a variable"),
        ({"values": {"A": None}}, "A is null"),
        ({"values": {"A": ["x"]}}, "A is a list"),
        ({"values": {"A": "${B}"}}, "A cannot be set to this value: python-dotenv puts a variable"),
        ({"values": {"A": "1"}, "absent": ["A"]}, "A: both in values and in absent"),
        ({"values": {"A": "1"}, "mode": "u+q"}, "mode: 'u+q' is no mode"),
        ({"values": {"A": "1"}, "owner": "no-such-user"}, "owner: there is no no-such-user"),
        ({"values": {"A": "x" * 1048576}}, "values: the file would be larger"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_touched(env, sergas_env, options, message):
    before = state(env)
    result = sergas_env(**options)
    assert result["failed"]
    assert message in result["msg"]
    assert "Traceback" not in json.dumps(result)
    assert state(env) == before


def test_a_full_disk_leaves_the_old_file(run_module, tmp_path):
    """The limit of the size of a file stands for the disk where nothing can be mounted."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(directory)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root of a machine that may mount can fill a separate disk")
    try:
        path = directory / ".env"
        path.write_text(FILE)
        (directory / "ballast").write_bytes(b"x" * 8192)
        before = state(path)
        for backup in (False, True):
            result = run_module(
                "sergas_env", {"path": str(path), "values": {"A": "x" * 6000}, "backup": backup}
            )
            assert result["failed"]
            assert "could not be written and is as it was: No space left on device" in result["msg"]
            assert state(path) == before
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@needs_root
def test_a_user_who_cannot_keep_the_owner_is_refused_by_name(env):
    """The module as the app's neighbour: readable, in a directory that it may write to."""
    env.chmod(0o644)
    env.parent.chmod(0o777)
    for directory in env.parents:
        if not os.stat(directory).st_mode & stat.S_IXOTH:
            directory.chmod(directory.stat().st_mode | stat.S_IXOTH)
    code = (
        "import os, sys; sys.path.insert(0, %r); import conftest; os.setgroups([]);"
        " os.setgid(65534); os.setuid(65534)\nfrom"
        " ansible_collections.sergas.ops.plugins.module_utils._app import env as sergas_env\n"
        "params = dict(path=%r, values={'A': '1'}, absent=[], repair=False, systemd=True,"
        " secret_keys=[], create=False,\n              owner=None, group=None, mode=None,"
        " backup=False)\nfor check"
        " in (True, False):\n    try:\n        sergas_env.run(params, check)\n    except"
        " sergas_env.EnvError as error:\n        print(error)\n"
        % (str(COLLECTION / "tests"), str(env))
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        done.stdout.splitlines()
        == ["owner: the file is to belong to user 0, which takes become: true"] * 2
    ), done
    assert env.read_text() == FILE


# What another user may have put there


APP, THIRD = 1234, 4321


@pytest.fixture
def victim(tmp_path):
    """A file of root's that the app's user must not change, such as /etc/passwd."""
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "passwd"
    path.write_text("root:x:0:0::/root:/bin/sh\n")
    path.chmod(0o644)
    return path


@pytest.fixture
def owned(env):
    """The .env in a directory of the app's user."""
    for path in (env.parent, env):
        os.chown(path, APP, APP)
    return env


def link_to(path, target, uid=APP):
    path.unlink()
    path.symlink_to(target)
    os.chown(path, uid, uid, follow_symlinks=False)


@needs_root
@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("way", ["link", "hard link", "directory", "third user"])
def test_a_file_of_another_user_is_refused_by_name(owned, sergas_env, victim, tmp_path, way, check):
    options = {"values": {"A": "1"}, "mode": "0640", "backup": True}
    leads_to = victim
    if way == "link":
        link_to(owned, victim)
    elif way == "hard link":
        owned.unlink()
        os.link(victim, owned)
    elif way == "directory":
        victim.rename(victim.parent / ".env")
        leads_to = victim = victim.parent / ".env"
        os.rename(owned.parent, tmp_path / "moved")
        (tmp_path / "moved" / "current").symlink_to(victim.parent)
        os.chown(tmp_path / "moved" / "current", APP, APP, follow_symlinks=False)
        options["path"] = str(tmp_path / "moved" / "current" / ".env")
        leads_to = victim.parent
    else:
        leads_to = tmp_path / "etc" / "theirs"
        leads_to.write_text("A=0\n")
        os.chown(leads_to, THIRD, THIRD)
        link_to(owned, leads_to, 0)
    before = state(victim)
    result = sergas_env(check=check, diff=True, **options)
    assert result["failed"] and result["msg"].startswith("path: %s" % tmp_path)
    assert "hard links" in result["msg"] if way == "hard link" else str(leads_to) in result["msg"]
    assert "root:x:0" not in json.dumps(result)
    assert state(victim) == before


@needs_root
@pytest.mark.parametrize("owner", [0, APP])
def test_a_link_that_root_made_stays_and_its_target_changes(owned, sergas_env, tmp_path, owner):
    shared = tmp_path / "shared"
    shared.mkdir()
    target = shared / "app.env"
    target.write_text("A=0\n")
    target.chmod(0o646)
    os.chown(target, owner, APP)
    link_to(owned, target, 0)
    result = sergas_env(values={"A": "1"}, mode="o=", backup=True)
    assert result["changed"] and result["file"] == str(target)
    assert Path(result["backup_file"]).parent == shared
    assert owned.is_symlink() and target.read_text() == "A=1\n"
    status = target.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (owner, APP, 0o640)
    assert not sergas_env(values={"A": "1"}, mode="o=")["changed"]


@needs_root
def test_a_directory_that_the_apps_user_swaps_meanwhile_is_not_followed(
    owned, sergas_env, victim, tmp_path
):
    """In a race: whichever side wins, what is outside stays."""
    victim = victim.rename(victim.parent / ".env")
    before = state(victim)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, APP, APP)
    owned.parent.rename(home / "app")
    script = "while :; do mv app away; ln -s ../etc app; rm app; mv away app; done"
    attack = subprocess.Popen(["sh", "-c", script], cwd=home, user=APP, group=APP, extra_groups=[])
    try:
        for number in range(4):
            sergas_env(path=str(home / "app" / ".env"), values={"A": str(number)}, mode="0604")
    finally:
        attack.kill()
        attack.wait()
    assert state(victim) == before


@needs_root
@pytest.mark.parametrize(
    ("given", "mode"), [("o=", 0o770), ("g-w,o=r", 0o754), ("ug=rw,o=", 0o660), ("u+r", 0o777)]
)
def test_a_part_of_the_mode_is_changed(owned, sergas_env, given, mode):
    owned.chmod(0o777)
    predicted = sergas_env(mode=given, check=True, diff=True)
    done = sergas_env(mode=given, diff=True)
    assert (predicted["changed"], predicted["diff"]) == (done["changed"], done["diff"])
    assert stat.S_IMODE(owned.stat().st_mode) == mode
    assert not sergas_env(mode=given)["changed"]


@needs_root
@pytest.mark.parametrize("kind", ["FIFO", "device", "sparse"])
def test_what_would_never_end_is_named_at_once(owned, sergas_env, kind):
    if kind == "sparse":
        os.truncate(owned, 10 << 30)
    else:
        owned.unlink()
        try:
            mode = stat.S_IFIFO if kind == "FIFO" else stat.S_IFCHR
            os.mknod(owned, mode | 0o666, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("no device can be made here")
    result = sergas_env(values={"A": "1"})
    assert result["failed"]
    message = "larger than 1048576 bytes" if kind == "sparse" else "a %s, not a regular file" % kind
    assert message in result["msg"]


def test_what_was_set_before_is_returned_without_secrets(env, sergas_env):
    values = {"LOG_LEVEL": "DEBUG", "DATABASE_PASSWORD": "x", "DATABASE_URL": "y", "NEW": "1"}
    current = sergas_env(values=values, check=True)["current"]
    assert set(current) == {"LOG_LEVEL", "DATABASE_URL"} and current["LOG_LEVEL"] == "INFO"
    assert "s3cret" not in json.dumps(current)
