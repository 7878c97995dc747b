# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pg_settings against real clusters of Debian's kind; what it says is checked with psql and
SHOW.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from .ports import reserve_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="clusters are made and restarted by root")

COLLECTION = Path(__file__).resolve().parents[2]
MODULE = COLLECTION / "plugins" / "modules" / "pg_settings.py"
DRIVERS = ["psycopg2", "pgwire"]
AUTHENTICATION = ["--auth-local=peer", "--auth-host=scram-sha-256"]
#: The same machine everywhere, so that nothing depends on where the tests run.
MACHINE = {
    "memory": "2GB",
    "cpus": 4,
    "storage": "ssd",
    "shared_host": False,
    "env_file": "/nonexistent",
}
#: What MACHINE gets and a fresh cluster does not have, as SHOW says it.
TUNED = {
    "max_connections": "200",
    "shared_buffers": "512MB",
    "effective_cache_size": "1536MB",
    "maintenance_work_mem": "128MB",
    "wal_buffers": "16MB",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
    "min_wal_size": "1GB",
    "max_wal_size": "4GB",
    "max_worker_processes": "4",
    "max_parallel_workers": "4",
}


class Cluster:
    """One of Debian's clusters, of the test's own name and port."""

    def __init__(self, version, name, *, start=True):
        self.version, self.name, self.port = version, name, reserve_port()
        self._command(
            "pg_createcluster", "-p", self.port, version, name, "--", "--no-sync", *AUTHENTICATION
        )
        self.directory = Path("/etc/postgresql") / version / name
        self.data = Path("/var/lib/postgresql") / version / name
        self.main = self.directory / "postgresql.conf"
        with self.main.open("a") as file:
            file.write("fsync = off\n")
        self.pristine = self.main.read_bytes()
        self.file = self.directory / "conf.d" / "90-sergas.conf"
        if start:
            self.control("start")

    def _command(self, *command):
        done = subprocess.run(
            [str(part) for part in command], check=False, capture_output=True, text=True, cwd="/"
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def control(self, action):
        self._command("pg_ctlcluster", self.version, self.name, action)

    def sql(self, statement):
        """Return what psql prints, as a session that sets nothing."""
        return self._command(
            # Debian's psql and runuser take five times as long to get there.
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--init-groups",
            f"/usr/lib/postgresql/{self.version}/bin/psql",
            "-h",
            "/var/run/postgresql",
            "-X",
            "-A",
            "-t",
            "-p",
            self.port,
            "-c",
            statement,
        ).strip()

    def show(self, *names):
        return {name: self.sql(f"SHOW {name}") for name in names}

    def everything(self):
        """Return all settings with where they are from."""
        rows = self.sql(
            "SELECT name, setting, source, sourcefile, sourceline FROM pg_settings ORDER BY name"
        )
        # What the server works out at each start has no file behind it.
        return [row for row in rows.splitlines() if not row.startswith("shared_memory")]

    def pid(self):
        path = self.data / "postmaster.pid"
        return int(path.read_text().split()[0]) if path.exists() else None

    def running(self):
        return self.pid() is not None and Path(f"/proc/{self.pid()}").exists()

    def files(self):
        """Return every configuration file with its content and when it was written."""
        paths = [
            self.main,
            self.data / "postgresql.auto.conf",
            *(self.directory / "conf.d").rglob("*"),
        ]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}

    def reset(self):
        """Restore its files; restart it if anything had changed."""
        auto = self.data / "postgresql.auto.conf"
        clean = self.main.read_bytes() == self.pristine and not list(
            (self.directory / "conf.d").iterdir()
        )
        if clean and self.running() and "=" not in auto.read_text().replace("# ", ""):
            return
        shutil.rmtree(self.directory / "conf.d")
        (self.directory / "conf.d").mkdir()
        shutil.chown(self.directory / "conf.d", "postgres", "postgres")
        self.main.write_bytes(self.pristine)
        auto.write_text("")
        self.control("restart" if self.running() else "start")

    def remove(self):
        self._command("pg_dropcluster", "--stop", self.version, self.name)


@pytest.fixture(scope="module")
def cluster_version(postgres_programs):
    if not shutil.which("pg_createcluster"):
        pytest.skip("this system has no Debian clusters")
    return postgres_programs.parts[-2]


@pytest.fixture(scope="module")
def make_cluster(cluster_version):
    """Return a function that makes a cluster; all end with the tests."""
    made = []

    def make(name, **how):
        made.append(Cluster(cluster_version, f"sergas-test-{os.getpid()}-{name}", **how))
        return made[-1]

    yield make
    for cluster in made:
        cluster.remove()


@pytest.fixture(scope="module")
def shared_cluster(make_cluster):
    return make_cluster("main")


@pytest.fixture
def cluster(shared_cluster):
    shared_cluster.reset()
    return shared_cluster


@pytest.fixture
def settings(run_module, cluster):
    """Return a function that runs the module on the cluster and returns its result."""

    def run(driver="psycopg2", check=False, **options):
        return run_module(
            "pg_settings", {"cluster": cluster.name, **options}, driver, check, diff=True
        )

    return run


#: The module as a process that dies, as hard as can be, when it gets to one of its steps.
KILLED = """
import os, runpy, signal, sys
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    restart,
    running,
)
path, step = sys.argv.pop(1), sys.argv.pop(1)
owner, name = {
    "check_files": (running.Server, "check_files"),
    "reload": (running.Server, "reload"),
    "restart": (restart.Restart, "run"),
    "verify_restart": (running.Server, "verify_restart"),
}[step]
assert hasattr(owner, name)
setattr(owner, name, lambda *unused: os.kill(os.getpid(), signal.SIGKILL))
runpy.run_path(path, run_name="__main__")
"""


#: The module without what its server's program says of a candidate.
UNCHECKED = """
import runpy, sys
from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import (
    cluster as pg_cluster,
)
pg_cluster.Candidate.refusals = lambda *unused: []
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@pytest.fixture
def altered(cluster, tmp_path):
    """Return a function that runs the module altered by a script."""
    (tmp_path / "ansible_collections" / "sergas").mkdir(parents=True)
    (tmp_path / "ansible_collections" / "sergas" / "ops").symlink_to(COLLECTION)

    def run(script, *arguments, **options):
        return subprocess.run(
            [sys.executable, "-c", script, str(MODULE), *arguments],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": {"cluster": cluster.name, **options}}),
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def killed(altered):
    """Return a function that runs the module and kills it when it gets to a step."""

    def run(step, **options):
        done = altered(KILLED, step, **options)
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr

    return run


def without(result, *names):
    return {key: value for key, value in result.items() if key not in (*names, "invocation")}


def unchanged(result):
    assert "failed" not in result, result["msg"]
    return not (result["changed"] or result["reloaded"] or result["restarted"])


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_check_run_predicts_the_real_one_and_a_second_one_changes_nothing(
    cluster, settings, driver
):
    before, pid = cluster.files(), cluster.pid()
    predicted = settings(driver, check=True, allow_restart=True, **MACHINE)
    assert (cluster.files(), cluster.pid()) == (before, pid), "a check run has changed something"
    result = settings(driver, allow_restart=True, **MACHINE)
    assert without(result) == without(predicted)
    assert result["changed"] and result["driver"] == driver
    assert result["restarted"]
    assert cluster.pid() != pid
    assert cluster.show(*TUNED) == TUNED
    assert result["diff"][0]["after"] == cluster.file.read_text()
    assert unchanged(settings(driver, allow_restart=True, **MACHINE))
    assert unchanged(settings(driver, check=True, allow_restart=True, **MACHINE))


def test_the_file_is_the_server_s_and_says_why(cluster, settings):
    settings(**MACHINE)
    like, ours = cluster.main.stat(), cluster.file.stat()
    assert (ours.st_uid, ours.st_gid, ours.st_mode) == (like.st_uid, like.st_gid, like.st_mode)
    assert pwd.getpwuid(ours.st_uid).pw_name == "postgres"
    lines = cluster.file.read_text().splitlines()
    for number, line in enumerate(lines):
        if " = " in line and not line.startswith("#"):
            assert lines[number - 1].startswith("# "), line
    assert cluster.main.read_bytes() == cluster.pristine
    assert not [
        name
        for name in os.listdir(cluster.file.parent)
        if name not in (cluster.file.name, ".90-sergas.conf.before")
    ]


def test_without_leave_to_restart_sessions_live_on_and_what_waits_is_named(cluster, settings):
    session = subprocess.Popen(
        ["runuser", "-u", "postgres", "--", "psql", "-X", "-A", "-t", "-p", str(cluster.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    pid = cluster.pid()
    predicted = settings(check=True, **MACHINE)
    result = settings(**MACHINE)
    assert without(result) == without(predicted)
    waiting = [
        "huge_pages",
        "max_connections",
        "max_worker_processes",
        "shared_buffers",
        "wal_buffers",
    ]
    assert result["pending_restart"] == waiting
    assert result["restart_required"]
    assert not result["restarted"]
    assert cluster.pid() == pid
    assert cluster.show("max_wal_size", "max_connections") == {
        "max_wal_size": "4GB",
        "max_connections": "100",
    }
    assert session.communicate("SELECT 'still here'")[0].strip() == "still here"
    again = settings(**MACHINE)
    assert unchanged(again)
    assert again["pending_restart"] == waiting
    allowed = settings(allow_restart=True, **MACHINE)
    assert allowed["restarted"]
    assert not allowed["reloaded"]
    assert allowed["pending_restart"] == []
    assert cluster.show(*TUNED) == TUNED
    assert os.listdir(cluster.file.parent) == [cluster.file.name]


@pytest.mark.parametrize("step", ["check_files", "reload", "restart", "verify_restart"])
def test_a_run_that_is_killed_is_finished_by_the_next_one(cluster, settings, killed, step):
    killed(step, allow_restart=True, **MACHINE)
    assert cluster.file.exists()
    if step != "verify_restart":
        assert cluster.show("max_connections") == {"max_connections": "100"}
    result = settings(allow_restart=True, **MACHINE)
    assert result["pending_restart"] == []
    assert result["changed"] is (step != "verify_restart")
    assert cluster.show(*TUNED) == TUNED
    assert unchanged(settings(allow_restart=True, **MACHINE))
    assert os.listdir(cluster.file.parent) == [cluster.file.name]


@pytest.mark.parametrize("step", ["reload", "restart"])
def test_a_removal_that_is_killed_is_finished_by_the_next_one(cluster, settings, killed, step):
    before = cluster.everything()
    settings(allow_restart=True, **MACHINE)
    killed(step, state="absent", allow_restart=True)
    assert not cluster.file.exists()
    assert cluster.show("max_connections") == {"max_connections": "200"}
    result = settings(state="absent", allow_restart=True)
    assert result["changed"]
    assert result["restarted"]
    assert cluster.everything() == before
    assert unchanged(settings(state="absent", allow_restart=True))
    assert os.listdir(cluster.file.parent) == []


def test_absent_restores_what_was_there(cluster, settings):
    before = cluster.everything()
    settings(allow_restart=True, **MACHINE)
    assert cluster.everything() != before
    predicted = settings(check=True, state="absent", allow_restart=True)
    result = settings(state="absent", allow_restart=True)
    assert without(result) == without(predicted)
    assert result["restarted"]
    assert cluster.everything() == before
    assert cluster.main.read_bytes() == cluster.pristine
    assert unchanged(settings(state="absent", allow_restart=True))


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        ({"work_mem": "5XB"}, 'invalid value for parameter "work_mem": "5XB"'),
        (
            {"max_connections": 9999999},
            'outside the valid range for parameter "max_connections" (1 .. 262143)',
        ),
        ({"no_such_setting": 1}, 'unrecognized configuration parameter "no_such_setting"'),
        ({"wal_level": "some"}, "Available values: minimal, replica, logical"),
        ({"jit": "maybe"}, 'parameter "jit" requires a Boolean value'),
        ({"block_size": 4096}, 'parameter "block_size" cannot be changed'),
        (
            {"max_connections": 3},
            "superuser_reserved_connections (3) must be less than max_connections (3)",
        ),
        ({"wal_level": "minimal"}, "WAL streaming (max_wal_senders > 0) requires wal_level"),
        ({"min_wal_size": "8MB"}, '"min_wal_size" must be at least twice "wal_segment_size"'),
        (
            {"shared_preload_libraries": ["no_such_library"]},
            'could not access file "no_such_library"',
        ),
        ({"data_directory": "/tmp"}, "data_directory is not for a file"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_poisoned_value_is_refused_before_anything_is_written(
    cluster, settings, running, poison, reason
):
    if not running:
        cluster.control("stop")
    before, pid = cluster.files(), cluster.pid()
    for check in (True, False):
        result = settings(
            check=check, tune=False, settings={"work_mem": "7MB", **poison}, allow_restart=True
        )
        assert result["failed"]
        assert reason.split('"5XB"')[0] in result["msg"]
        assert cluster.files() == before
    assert cluster.pid() == pid
    assert cluster.running() is running


def test_several_poisoned_values_are_all_named(cluster, settings):
    cluster.sql("ALTER SYSTEM SET work_mem = '9MB'")
    result = settings(tune=False, settings={"work_mem": "5XB", "jit": "maybe", "wal_level": "some"})
    assert result["failed"]
    for name in ("work_mem", "jit", "wal_level"):
        assert f'parameter "{name}"' in result["msg"]


@pytest.mark.parametrize(
    "before", [None, {"work_mem": "6MB"}], ids=["without a file", "with a file"]
)
def test_what_only_the_server_itself_refuses_is_rolled_back_before_it_is_read(
    cluster, settings, altered, before
):
    if before:
        settings(tune=False, settings=before)
    files, shown = cluster.files(), cluster.show("work_mem", "jit")
    loaded = cluster.sql("SELECT pg_conf_load_time()")
    done = altered(UNCHECKED, tune=False, settings={"work_mem": "5XB", "jit": False})
    result = json.loads(done.stdout)
    assert result["failed"]
    assert "the server refuses the file, which was rolled back before it was read" in result["msg"]
    assert f"{cluster.file} line" in result["msg"]
    assert {path: text for path, (text, _written) in cluster.files().items()} == {
        path: text for path, (text, _written) in files.items()
    }
    assert cluster.show("work_mem", "jit") == shown
    assert cluster.sql("SELECT pg_conf_load_time()") == loaded


def test_what_alter_system_overrides_is_named(cluster, settings):
    cluster.sql("ALTER SYSTEM SET work_mem = '9MB'")
    cluster.sql("ALTER SYSTEM SET max_connections = 77")
    options = {
        "tune": False,
        "settings": {"work_mem": "5MB", "max_connections": 120, "temp_buffers": "9MB"},
    }
    predicted = settings(check=True, **options)
    result = settings(**options)
    assert without(result) == without(predicted)
    auto = str(cluster.data / "postgresql.auto.conf")
    assert {item["name"]: item["effective"] for item in result["overridden"]} == {
        "work_mem": "9MB",
        "max_connections": "77",
    }
    assert all(item["by"].startswith(auto + " line ") for item in result["overridden"])
    assert "work_mem = 5MB is overridden by" in json.dumps(result["warnings"])
    assert cluster.show("work_mem", "temp_buffers") == {"work_mem": "9MB", "temp_buffers": "9MB"}
    again = settings(**options)
    assert unchanged(again)
    assert again["overridden"] == result["overridden"]


def test_what_a_later_file_or_a_later_line_overrides_is_named(cluster, settings):
    later = cluster.file.with_name("95-later.conf")
    later.write_text("work_mem = 3MB\n")
    with cluster.main.open("a") as file:
        file.write("temp_buffers = 3MB\n")
    result = settings(
        tune=False,
        settings={"work_mem": "5MB", "temp_buffers": "5MB", "maintenance_work_mem": "80MB"},
    )
    assert {item["name"]: item["by"].partition(" line ")[0] for item in result["overridden"]} == {
        "work_mem": str(later),
        "temp_buffers": str(cluster.main),
    }
    assert cluster.show("maintenance_work_mem") == {"maintenance_work_mem": "80MB"}


def test_a_value_that_overrides_with_the_same_is_no_override(cluster, settings):
    cluster.sql("ALTER SYSTEM SET work_mem = '5120kB'")
    result = settings(tune=False, settings={"work_mem": "5MB"})
    assert result["overridden"] == []


@pytest.mark.parametrize(
    "before", [None, {"work_mem": "6MB"}], ids=["without a file", "with a file"]
)
@pytest.mark.parametrize(
    ("deadly", "reason"),
    [
        ({"shared_buffers": "7TB"}, "could not map anonymous shared memory"),
        ({"shared_preload_libraries": "/etc/passwd"}, "could not load library"),
    ],
)
def test_a_server_that_does_not_start_gets_its_old_file_back(
    cluster, settings, before, deadly, reason
):
    if before:
        settings(tune=False, settings=before)
    files, pid = cluster.files(), cluster.pid()
    result = settings(tune=False, settings={**(before or {}), **deadly}, allow_restart=True)
    assert result["failed"]
    assert reason in result["msg"]
    assert "the old file was restored, and the server is up with it" in result["msg"]
    assert {path: text for path, (text, _written) in cluster.files().items()} == {
        path: text for path, (text, _written) in files.items()
    }
    assert cluster.running()
    assert cluster.pid() != pid
    assert cluster.show("work_mem") == {"work_mem": before["work_mem"] if before else "4MB"}


def test_a_killed_run_with_a_deadly_value_is_rolled_back_by_the_next_one(cluster, settings, killed):
    settings(tune=False, settings={"work_mem": "6MB"})
    good = cluster.file.read_text()
    deadly = {"tune": False, "settings": {"shared_buffers": "7TB"}, "allow_restart": True}
    killed("restart", **deadly)
    assert cluster.file.read_text() != good
    result = settings(**deadly)
    assert "the old file was restored, and the server is up with it" in result["msg"]
    assert cluster.file.read_text() == good
    assert cluster.show("work_mem", "shared_buffers") == {
        "work_mem": "6MB",
        "shared_buffers": "128MB",
    }


def test_a_server_that_takes_long_to_stop_is_started_with_the_new_settings(cluster, settings):
    pid = cluster.pid()
    checkpointer = int(
        cluster.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
    )
    os.kill(checkpointer, signal.SIGSTOP)
    late = threading.Timer(8, os.kill, (checkpointer, signal.SIGCONT))
    late.start()
    try:
        result = settings(
            tune=False, settings={"max_connections": 120}, allow_restart=True, restart_timeout=6
        )
    finally:
        late.join()
    assert "failed" not in result, result["msg"]
    assert result["restarted"]
    assert cluster.pid() != pid
    assert cluster.show("max_connections") == {"max_connections": "120"}


def test_a_server_may_move_to_another_port(cluster, settings):
    old, new = cluster.port, reserve_port()
    try:
        result = settings(tune=False, settings={"port": new}, allow_restart=True)
        assert "failed" not in result, result["msg"]
        cluster.port = new
        assert cluster.show("port") == {"port": str(new)}
        assert unchanged(settings(tune=False, settings={"port": new}, allow_restart=True))
        assert settings(state="absent", allow_restart=True)["restarted"]
    finally:
        cluster.port = old
    assert cluster.show("port") == {"port": str(old)}


def test_temporary_files_of_killed_runs_are_cleaned_up(cluster, settings):
    litter = [
        cluster.file.with_name(".90-sergas.conf.x1y2"),
        cluster.main.with_name(".postgresql.conf.x1y2"),
    ]
    for path in litter:
        path.write_text("work_mem = 1MB\n")
    settings(check=True, tune=False, settings={"work_mem": "5MB"})
    assert all(path.exists() for path in litter)
    settings(tune=False, settings={"work_mem": "5MB"})
    assert not any(path.exists() for path in litter)
    assert cluster.show("work_mem") == {"work_mem": "5MB"}


def test_a_stopped_server_is_configured_and_stays_stopped(cluster, settings):
    cluster.control("stop")
    predicted = settings(check=True, allow_restart=True, **MACHINE)
    result = settings(allow_restart=True, **MACHINE)
    assert without(result) == without(predicted)
    assert result["changed"] and result["driver"] is None
    assert not result["restarted"]
    assert not result["reloaded"]
    assert result["cluster"]["server"] == "stopped"
    assert any("only taken at the start" in text for text in result["unvalidated"])
    assert not cluster.running()
    assert unchanged(settings(allow_restart=True, **MACHINE))
    cluster.control("start")
    assert cluster.show(*TUNED) == TUNED
    assert unchanged(settings(allow_restart=True, **MACHINE))


def test_a_stopped_server_names_what_is_overridden(cluster, settings):
    cluster.sql("ALTER SYSTEM SET work_mem = '9MB'")
    cluster.control("stop")
    result = settings(tune=False, settings={"work_mem": "5MB"})
    assert [(item["name"], item["effective"]) for item in result["overridden"]] == [
        ("work_mem", "9MB")
    ]
    settings(state="absent")
    assert not cluster.file.exists()


def test_what_is_there_within_five_percent_is_left_alone(cluster, settings):
    with cluster.main.open("a") as file:
        file.write(
            "shared_buffers = 530MB\nmax_connections = 195\nmax_wal_size = 4100MB\nmin_wal_size ="
            " 1GB\n"
        )
    cluster.control("restart")
    result = settings(**MACHINE)
    assert not {"shared_buffers", "max_connections", "max_wal_size", "min_wal_size"} & set(
        result["settings"]
    )
    assert result["pending_restart"] == ["huge_pages", "max_worker_processes"]
    # The machine has a little more memory: not worth a restart, and not worth a new file.
    bigger = settings(**{**MACHINE, "memory": "2090MB"})
    assert unchanged(bigger)
    assert settings(**{**MACHINE, "memory": "3GB"})["changed"]


def test_what_is_given_is_exact_and_units_do_not_matter(cluster, settings):
    assert unchanged(
        settings(tune=False, settings={"work_mem": "4096kB", "max_connections": "100", "jit": True})
    )
    assert not cluster.file.exists()
    assert settings(tune=False, settings={"work_mem": "4100kB"})["changed"]
    assert unchanged(settings(tune=False, settings={"work_mem": 4100}))
    assert cluster.show("work_mem") == {"work_mem": "4100kB"}


def test_a_directory_that_is_not_included_gets_one_line_and_loses_it_again(cluster, settings):
    original = cluster.main.read_text().replace("include_dir = 'conf.d'", "#include_dir = 'conf.d'")
    cluster.main.write_text(original)
    cluster.control("restart")
    predicted = settings(check=True, tune=False, settings={"work_mem": "5MB"})
    result = settings(tune=False, settings={"work_mem": "5MB"})
    assert without(result) == without(predicted)
    assert len(result["diff"]) == 2
    assert cluster.main.read_text().startswith(original)
    assert len(cluster.main.read_text().splitlines()) == len(original.splitlines()) + 1
    assert cluster.show("work_mem") == {"work_mem": "5MB"}
    assert unchanged(settings(tune=False, settings={"work_mem": "5MB"}))
    settings(state="absent")
    assert cluster.main.read_text() == original
    assert cluster.show("work_mem") == {"work_mem": "4MB"}


def test_errors_of_others_are_named_before_anything_is_written(cluster, settings):
    with cluster.main.open("a") as file:
        file.write("work_mem 'unclosed\n")
    before = cluster.files()
    result = settings(tune=False, settings={"jit": False})
    # Debian's own tools do not get past such a line either.
    assert str(cluster.main) in result["msg"]
    assert f"line {len(cluster.main.read_text().splitlines())}" in result["msg"]
    assert cluster.files() == before
    cluster.main.write_text(
        cluster.main.read_text().replace("work_mem 'unclosed", "temp_buffers = 5XB")
    )
    result = settings(tune=False, settings={"jit": False})
    assert "temp_buffers" in result["msg"]
    assert not cluster.file.exists()


def test_a_setting_of_the_role_hides_the_value_and_costs_no_time(cluster, settings):
    cluster.sql("ALTER ROLE postgres SET work_mem = '11MB'")
    cluster.sql("ALTER DATABASE postgres SET temp_buffers = '11MB'")
    try:
        started = time.monotonic()
        result = settings(tune=False, settings={"work_mem": "5MB", "temp_buffers": "5MB"})
        assert result["reloaded"]
        assert time.monotonic() - started < 10
        assert unchanged(settings(tune=False, settings={"work_mem": "5MB", "temp_buffers": "5MB"}))
        values = cluster.sql(
            "SELECT name, applied FROM pg_file_settings WHERE name IN ('work_mem', 'temp_buffers')"
        )
        assert values.splitlines() == ["work_mem|t", "temp_buffers|t"]
    finally:
        cluster.sql("ALTER ROLE postgres RESET ALL")
        cluster.sql("ALTER DATABASE postgres RESET ALL")


def test_a_library_and_its_settings_come_together(cluster, settings):
    options = {
        "tune": False,
        "allow_restart": True,
        "settings": {
            "shared_preload_libraries": ["auto_explain"],
            "auto_explain.log_min_duration": "3s",
        },
    }
    result = settings(**options)
    assert any(text.startswith("auto_explain.log_min_duration") for text in result["unvalidated"])
    assert cluster.show("auto_explain.log_min_duration") == {"auto_explain.log_min_duration": "3s"}
    again = settings(**options)
    assert unchanged(again)
    assert again["unvalidated"] == []
    # Now that the library is there, its names are known.
    options["settings"] = {**options["settings"], "auto_explain.nonsense": 1}
    assert (
        'unrecognized configuration parameter "auto_explain.nonsense"' in settings(**options)["msg"]
    )


def test_values_with_quotes_and_lines_arrive_as_they_are(cluster, settings):
    value = "it's \\ a 'test'\n"
    assert settings(tune=False, settings={"log_line_prefix": value})["changed"]
    assert (
        cluster.sql("SELECT replace(current_setting('log_line_prefix'), chr(10), '<n>')")
        == "it's \\ a 'test'<n>"
    )
    assert unchanged(settings(tune=False, settings={"log_line_prefix": value}))


def test_a_password_is_written_and_not_shown(cluster, settings):
    value = "host=db1 password='s3cr3t of many' user=replica"
    result = settings(tune=False, settings={"primary_conninfo": value})
    assert cluster.sql("SELECT current_setting('primary_conninfo')") == value
    shown = json.dumps({key: value for key, value in result.items() if key != "invocation"})
    assert "s3cr3t" not in shown
    assert "of many" not in shown
    assert "user=replica" in shown
    gone = settings(state="absent")
    assert "s3cr3t" not in json.dumps(
        {key: value for key, value in gone.items() if key != "invocation"}
    )


def test_files_are_read_as_the_server_reads_them(cluster, run_module):
    from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import conf

    more = cluster.directory / "more"
    more.mkdir()
    (cluster.directory / "conf.d" / "10-odd.conf").write_text(
        "WORK_MEM '5MB' # a comment\n  jit=off\nmaintenance_work_mem = 64MB\nlog_line_prefix = '%m"
        " ''q'' \\'x\\' # no'\nrandom_page_cost=1.5e0\nsearch_path = public\ninclude"
        " '../more/x.conf'\ninclude_if_exists = 'nothing.conf'\n"
    )
    (cluster.directory / "conf.d" / "notes.txt").write_text("work_mem = 1MB\n")
    (cluster.directory / "conf.d" / ".hidden.conf").write_text("work_mem = 1MB\n")
    (more / "x.conf").write_text("my.own_setting = 'x'\nwork_mem = 6MB\n")
    shutil.chown(more, "postgres")
    for path in (cluster.directory / "conf.d").iterdir():
        shutil.chown(path, "postgres")
    try:
        rows = json.loads(
            cluster.sql(
                "SELECT json_agg(json_build_array(lower(name), setting, sourcefile, sourceline)"
                " ORDER BY seqno) FROM pg_file_settings"
            )
        )

        def read(path):
            return Path(path).read_text() if Path(path).exists() else None

        tree = conf.Tree(
            str(cluster.main), str(cluster.data / "postgresql.auto.conf"), read, os.listdir
        )
        assert tree.faults == []
        ours = [[e.name, e.value, os.path.realpath(e.path), e.line] for e in tree.entries]
        assert ours == [
            [name, value, os.path.realpath(path), line] for name, value, path, line in rows
        ]
    finally:
        shutil.rmtree(more)


def test_a_role_that_may_not_is_refused(cluster, settings):
    cluster.sql("CREATE ROLE plain LOGIN PASSWORD 'secret'")
    try:
        login = {"login_host": "127.0.0.1", "login_user": "plain", "login_password": "secret"}
        before = cluster.files()
        assert "the role plain must be a superuser" in settings(**login)["msg"]
        wrong = settings(**{**login, "login_password": "wrong"})
        assert 'password authentication failed for user "plain"' in wrong["msg"]
        assert cluster.files() == before
    finally:
        cluster.sql("DROP ROLE plain")


def test_a_cluster_that_is_not_there_or_not_the_only_one(cluster, make_cluster, run_module):
    other = make_cluster("other", start=False)
    result = run_module("pg_settings", {"version": int(cluster.version)})
    assert "several PostgreSQL clusters are meant" in result["msg"]
    for one in (cluster, other):
        assert f"{one.version}/{one.name} (port {one.port})" in result["msg"]
    result = run_module("pg_settings", {"cluster": "missing"})
    assert "no PostgreSQL cluster with cluster missing here" in result["msg"]
    assert cluster.name in result["msg"]


def test_a_server_that_is_too_old_is_refused(run_module, tmp_path):
    (tmp_path / "PG_VERSION").write_text("12\n")
    result = run_module("pg_settings", {"data_directory": str(tmp_path)})
    assert "is of PostgreSQL 12: 13 is the oldest that is supported" in result["msg"]


def test_a_standby_is_not_given_less_than_its_primary(cluster, make_cluster, run_module, settings):
    settings(tune=False, allow_restart=True, settings={"max_connections": 250})
    standby = make_cluster("standby", start=False)
    shutil.rmtree(standby.data)
    subprocess.run(
        [
            "runuser",
            "-u",
            "postgres",
            "--",
            "pg_basebackup",
            "-h",
            "/var/run/postgresql",
            "-p",
            str(cluster.port),
        ]
        + ["-D", str(standby.data), "-R", "-c", "fast", "--no-sync"],
        check=True,
        cwd="/",
    )
    with standby.main.open("a") as file:
        file.write("max_connections = 250\n")
    standby.control("start")

    def run(**options):
        return run_module("pg_settings", {"cluster": standby.name, **options})

    assert standby.sql("SELECT pg_is_in_recovery()") == "t"
    refused = run(tune=False, settings={"max_connections": 120})
    assert "max_connections = 120 is below the primary's 250" in refused["msg"]
    result = run(allow_restart=True, **MACHINE)
    assert result["restarted"]
    assert standby.sql("SELECT pg_is_in_recovery()") == "t"
    assert standby.show("max_connections", "shared_buffers") == {
        "max_connections": "250",
        "shared_buffers": "512MB",
    }
    # 4 CPUs would have given 4 of them; the primary has 8.
    assert standby.show("max_worker_processes") == {"max_worker_processes": "8"}
    assert unchanged(run(allow_restart=True, **MACHINE))


@pytest.mark.postgresql_versions
def test_a_server_of_initdb_is_found_by_its_data_directory(make_postgres, run_module):
    server = make_postgres()
    original = (server.data / "postgresql.conf").read_text()
    options = {
        "data_directory": str(server.data),
        "tune": False,
        "settings": {"max_connections": 40, "work_mem": "5MB"},
    }
    result = run_module("pg_settings", {**options, "allow_restart": True})
    assert result["restarted"], result

    def show(name):
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SHOW {name}")
            return cursor.fetchone()[0]

    assert (show("max_connections"), show("work_mem")) == ("40", "5MB")
    assert unchanged(run_module("pg_settings", {**options, "allow_restart": True}))
    deadly = {**options, "settings": {"shared_buffers": "7TB"}, "allow_restart": True}
    assert (
        "the old file was restored, and the server is up with it"
        in run_module("pg_settings", deadly)["msg"]
    )
    assert show("max_connections") == "40"
    gone = run_module(
        "pg_settings",
        {"data_directory": str(server.data), "state": "absent", "allow_restart": True},
    )
    assert gone["restarted"]
    assert (show("max_connections"), show("work_mem")) == ("30", "4MB")
    assert (server.data / "postgresql.conf").read_text() == original


@pytest.mark.postgresql_versions
def test_a_server_of_initdb_is_tuned_as_its_version_allows(make_postgres, run_module):
    server = make_postgres()
    options = {"data_directory": str(server.data), "allow_restart": True}

    def show():
        with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT name, current_setting(name) FROM pg_settings")
            # What the server works out at each start has no file behind it.
            return {k: v for k, v in cursor.fetchall() if not k.startswith("shared_memory")}

    before = show()
    planned = run_module("pg_settings", {**options, **MACHINE}, check=True)
    result = run_module("pg_settings", {**options, **MACHINE})
    assert without(result) == without(planned)
    assert result["restarted"], result
    assert {name: show()[name] for name in TUNED} == TUNED
    assert unchanged(run_module("pg_settings", {**options, **MACHINE}, "pgwire"))
    newer = {**options, "tune": False, "settings": {"reserved_connections": 2}}
    result = run_module("pg_settings", newer, check=True)
    if server.version < 16:
        assert 'unrecognized configuration parameter "reserved_connections"' in result["msg"]
    else:
        assert result["changed"] and "reserved_connections" in result["settings"]
    assert run_module("pg_settings", {**options, "state": "absent"})["restarted"]
    assert show() == before


def test_a_data_directory_by_another_name_is_the_same(make_postgres, run_module, tmp_path):
    server = make_postgres()
    alias = tmp_path / "alias"
    alias.symlink_to(server.data)
    options = {"data_directory": str(alias), "tune": False, "settings": {"work_mem": "5MB"}}
    assert run_module("pg_settings", options)["reloaded"]
    assert unchanged(run_module("pg_settings", {**options, "data_directory": str(server.data)}))
    assert run_module("pg_settings", {"data_directory": str(alias), "state": "absent"})["reloaded"]
    assert unchanged(run_module("pg_settings", {"data_directory": str(alias), "state": "absent"}))


@pytest.mark.skipif(os.geteuid() != 0, reason="root gives files to others")
def test_a_link_that_the_servers_user_made_is_not_followed(make_postgres, run_module, tmp_path):
    """Its directory is that user's own, and what is written there is written as root."""
    server = make_postgres()
    victim = tmp_path / "victim.conf"
    victim.write_text("# root's\n")
    options = {"data_directory": str(server.data), "tune": False, "settings": {"work_mem": "5MB"}}
    uid = server.data.stat().st_uid
    for path, leads_to in (
        (server.data / "conf.d", tmp_path),
        (server.data / "conf.d" / "90-sergas.conf", victim),
    ):
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(leads_to)
        os.chown(path, uid, uid, follow_symlinks=False)
        for check in (True, False):
            result = run_module("pg_settings", options, check=check)
            assert result["failed"] and str(path) in result["msg"], result
            assert "link to %s" % leads_to in result["msg"]
        path.unlink()
    assert victim.read_text() == "# root's\n"
    assert sorted(os.listdir(tmp_path)) == ["victim.conf"]


@pytest.mark.parametrize("name", ["../postgresql.conf", "settings", ".hidden.conf"])
def test_a_file_that_the_server_would_not_read_is_refused(cluster, settings, name):
    before = cluster.files()
    assert "it needs a plain name that ends in .conf" in settings(filename=name)["msg"]
    assert cluster.files() == before


def test_calculated_needs_no_server_and_changes_nothing(run_module):
    options = {
        "state": "calculated",
        "memory": "16GB",
        "cpus": 8,
        "storage": "ssd",
        "workload": "web",
        "version": 14,
    }
    result = run_module("pg_settings", {**options, "shared_host": False})
    assert not result["changed"]
    assert result["settings"]["shared_buffers"] == "4GB"
    assert result["settings"]["work_mem"] == "20164kB"
    assert result["settings"]["max_connections"] == 200
    assert result["budget"] == []
    shared = run_module(
        "pg_settings",
        {
            **options,
            "shared_host": True,
            "wal_disk_size": "5GB",
            "tenants": {
                "app_workers": 4,
                "redis_maxmemory": "1GB",
                "cognee_memory": "2GB",
                "celery_workers": 2,
            },
        },
    )
    lines = {line["consumer"]: line["kb"] for line in shared["budget"]}
    assert {"postgresql", "reserve", "app", "celery", "redis", "cognee"} <= set(lines)
    assert sum(lines.values()) == 16 * 1024**2
    assert sum(use["kb"] for use in shared["postgresql_uses"]) <= lines["postgresql"]
    assert shared["settings"]["max_wal_size"] == "3GB"
    for version in (12, 99):
        refused = run_module("pg_settings", {**options, "version": version})
        assert "version: %d is not allowed" % version in refused["msg"]


def test_a_server_that_recovers_and_takes_no_sessions_says_so(make_postgres, run_module):
    server = make_postgres(hot_standby="off")
    server.stop(mode="fast")
    (server.data / "standby.signal").touch()
    shutil.chown(server.data / "standby.signal", server.owner)
    before = (server.data / "postgresql.conf").read_text()
    server.start(wait=False)
    options = {
        "data_directory": str(server.data),
        "tune": False,
        "settings": {"work_mem": "5MB"},
        "deadline": 3,
    }
    result = run_module("pg_settings", options)
    assert "takes no sessions" in result["msg"] and "the database system is" in result["msg"]
    assert (server.data / "postgresql.conf").read_text() == before
    server.remove()


@pytest.fixture
def certificate(cluster):
    """Return a function that makes a certificate and its key, which the server can read."""

    def make(name, owner="postgres", mode=0o600):
        key, pem = cluster.data / (name + ".key"), cluster.data / (name + ".crt")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
            + ["-nodes", "-subj", "/CN=" + name, "-days", "2", "-keyout", key, "-out", pem],
            check=True,
            capture_output=True,
        )
        for path in (key, pem):
            shutil.chown(path, owner, owner)
        key.chmod(mode)
        made.extend([key, pem])
        return {"ssl": "on", "ssl_cert_file": str(pem), "ssl_key_file": str(key)}

    made = []
    yield make
    for path in made:
        path.unlink()


def hba_file(cluster, text, name="hba-test.conf"):
    path = cluster.directory / name
    path.write_text(text)
    shutil.chown(path, "postgres", "postgres")
    path.chmod(0o640)
    return str(path)


RULES = "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\n"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"ssl_cert_file": "/nonexistent"}, "ssl_cert_file = /nonexistent: No such file"),
        ({"ssl_key_file": "/etc/shadow"}, "ssl_key_file = /etc/shadow: Permission denied"),
        ({"ssl_ca_file": "/etc/passwd"}, "ssl_ca_file = /etc/passwd: "),
        ({"ssl_crl_file": "/nonexistent"}, "ssl_crl_file = /nonexistent"),
        ({"ssl_ciphers": "nonsense"}, "ssl_ciphers = nonsense"),
        (
            {"ssl_min_protocol_version": "TLSv1.3", "ssl_max_protocol_version": "TLSv1.2"},
            "ssl_min_protocol_version tlsv1.3 is above",
        ),
        ({"hba_file": "/nonexistent"}, "hba_file = /nonexistent: No such file"),
        ({"hba_file": "pg_hba.conf"}, "hba_file must be absolute"),
        ({"ident_file": "/nonexistent"}, "ident_file = /nonexistent: No such file"),
        ({"session_preload_libraries": "nope"}, "session_preload_libraries: could not access file"),
        ({"archive_library": "nope"}, 'archive_library: could not access file "nope"'),
        ({"unix_socket_directories": "/nonexistent"}, "unix_socket_directories = /nonexistent"),
        ({"listen_addresses": "192.0.2.7"}, "listen_addresses = 192.0.2.7"),
        (
            {"logging_collector": "on", "log_directory": "/nonexistent/a/b"},
            "log_directory = /nonexistent/a/b",
        ),
    ],
)
def test_what_the_next_start_would_fail_over_is_refused_before_it_is_written(
    cluster, settings, wrong, named
):
    before, pid = cluster.files(), cluster.pid()
    for options in ({"check": True}, {}):
        result = settings(tune=False, settings={"ssl": "on", **wrong}, **options)
        assert result.get("failed") and named in result["msg"], result
    assert (cluster.files(), cluster.pid()) == (before, pid)


def test_a_certificate_and_its_key_have_to_fit(cluster, settings, certificate):
    first, second = certificate("one"), certificate("two")
    refused = settings(tune=False, settings={**first, "ssl_key_file": second["ssl_key_file"]})
    assert refused["failed"] and "ssl_key_file" in refused["msg"], refused
    for key, why in (
        (certificate("open", mode=0o644), "others may read it"),
        (certificate("mine", owner="root", mode=0o644), "others may read it"),
    ):
        refused = settings(tune=False, settings=key)
        assert refused["failed"] and why in refused["msg"], refused
    done = settings(tune=False, settings=first)
    assert done["changed"] and done["reloaded"] and not done["restart_required"], done
    cluster.control("restart")
    assert unchanged(settings(tune=False, settings=first))
    # What the file hides comes back with its end.
    cluster.main.write_text(cluster.main.read_text() + "ssl = on\nssl_cert_file = '/nonexistent'\n")
    gone = settings(state="absent")
    assert gone["failed"] and "ssl_cert_file = /nonexistent" in gone["msg"], gone


def test_another_pg_hba_conf_takes_a_restart_and_is_verified(cluster, settings):
    broken = hba_file(cluster, "local all all peer\nhost all all 10.0.0.300/8 md5\n", "broken.conf")
    refused = settings(tune=False, settings={"hba_file": broken}, allow_restart=True)
    assert refused["failed"] and "line 2: the address is none" in refused["msg"], refused
    wanted = {"hba_file": hba_file(cluster, RULES)}
    pid = cluster.pid()
    waits = settings(tune=False, settings=wanted)
    assert waits["restart_required"] and waits["pending_restart"] == ["hba_file"], waits
    assert cluster.pid() == pid
    planned = settings(tune=False, settings=wanted, allow_restart=True, check=True)
    done = settings(tune=False, settings=wanted, allow_restart=True)
    assert planned["restarted"] and done["restarted"] and cluster.pid() != pid
    assert cluster.show("hba_file") == wanted
    assert unchanged(settings(tune=False, settings=wanted, allow_restart=True))
    back = settings(state="absent", allow_restart=True)
    assert back["restarted"], back
    assert cluster.show("hba_file") == {"hba_file": str(cluster.directory / "pg_hba.conf")}


def test_a_port_that_another_program_has_is_refused(cluster, settings):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = settings(tune=False, settings={"port": port, "listen_addresses": "127.0.0.1"})
    assert (
        refused["failed"] and "127.0.0.1 port %d: Address already in use" % port in refused["msg"]
    )
