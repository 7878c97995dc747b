# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real PostgreSQL servers, one for each use, started and thrown away by the tests."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from .embedded_postgresql import PACKAGES, unpack
from .module_processes import ModuleProcesses
from .ports import reserve_port

COLLECTION = Path(__file__).resolve().parents[2]
PASSWORD = 'Secr3t\'with "quotes" and \\'


def newest_server():
    """Return the directory of the newest PostgreSQL server's programs, or None."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def install_server():
    """Install PostgreSQL from Debian's packages, without the cluster that the package would make
    and start.
    """
    configuration = Path("/etc/postgresql-common/createcluster.conf")
    configuration.parent.mkdir(exist_ok=True)
    if not configuration.exists():
        configuration.write_text("create_main_cluster = false\n")
    subprocess.run([COLLECTION / "scripts" / "packages.sh", "postgresql"], check=True)


def _has_ended(pid):
    """Return whether a process has ended, even if the one that started it has not noticed yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Server:
    """A PostgreSQL cluster in a temporary directory: its own port, its own socket, no other
    data.

    Attributes:
        version: the major version.
    """

    def __init__(self, programs, settings, environment=None, copied_from=None):
        self.programs = programs
        self.password = PASSWORD
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", **(environment or {})}
        self.directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        # initdb refuses to run as root.
        self.owner = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        shutil.chown(self.directory, self.owner)
        self.directory.chmod(0o755)
        self.data = self.directory / "data"
        if copied_from is None:
            self._initialize()
        else:
            subprocess.run(["cp", "-a", copied_from.data, self.data], check=True)
        self.version = int((self.data / "PG_VERSION").read_text())
        self.settings = settings

    def _initialize(self):
        self._as_owner(
            "initdb",
            "-D",
            self.data,
            "-A",
            "scram-sha-256",
            "--auth-local=peer",
            "-N",
            "-E",
            "UTF8",
            "--locale=C",
            f"--pwfile={self._password_file()}",
        )

    def begin(self):
        """Start it for the first time, with its settings."""
        self.port = reserve_port()
        self.configure(
            {
                "port": self.port,
                "unix_socket_directories": f"'{self.directory}'",
                "listen_addresses": "'127.0.0.1'",
                "fsync": "off",
                "max_connections": 30,
                **self.settings,
            }
        )
        self.start()

    def _password_file(self):
        path = self.directory / "password"
        path.write_text(PASSWORD)
        shutil.chown(path, self.owner)
        path.chmod(0o600)
        return path

    def _as_owner(self, program, *args):
        entry = pwd.getpwnam(self.owner)
        demotion = (
            {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            if os.geteuid() == 0
            else {}
        )
        done = subprocess.run(
            [str(self.programs / program), *map(str, args)],
            check=False,
            cwd="/",
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=program != "pg_ctl",
            # The server inherits its starter's descriptors: a pipe would never end.
            stdout=subprocess.DEVNULL if program == "pg_ctl" else None,
            text=True,
            **demotion,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}\n{self.log()}"

    def log(self):
        path = self.directory / "log"
        return path.read_text() if path.exists() else ""

    def configure(self, settings):
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self, wait=True):
        earlier = len(self.log())
        self._as_owner("pg_ctl", "start", "-W", "-D", self.data, "-l", self.directory / "log")
        if wait:
            self._wait("it does not start", lambda: self._is_ready(earlier))

    def stop(self, mode="immediate"):
        pid = self.pid()
        os.kill(pid, {"immediate": signal.SIGQUIT, "fast": signal.SIGINT}[mode])
        self._wait("it does not stop", lambda: self.pid() is None and _has_ended(pid))

    def _wait(self, what, condition):
        """Wait for what pg_ctl checks ten times a second."""
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, f"{what}\n{self.log()}"
            time.sleep(0.01)

    def pid(self):
        """Return the process that runs it, or None."""
        lines = self._pid_file()
        return int(lines[0]) if lines else None

    def _is_ready(self, earlier):
        lines = self._pid_file()
        assert lines or "FATAL" not in self.log()[earlier:], self.log()
        return len(lines) > 7 and lines[7].strip() in ("ready", "standby")

    def _pid_file(self):
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def login(self, **overrides):
        """Return the options of a module for the local socket as the superuser."""
        return {"login_unix_socket": str(self.directory), "login_port": self.port, **overrides}

    def tcp(self, user, **overrides):
        """Return the options of a module for TCP as a role with the tests' password."""
        return {
            "login_host": "127.0.0.1",
            "login_port": self.port,
            "login_user": user,
            "login_password": PASSWORD,
            **overrides,
        }

    def connect(self, user="postgres", database="postgres", application="test"):
        """Return a psycopg2 connection that commits each statement."""
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=user if user != "postgres" else self.owner,
            password=PASSWORD,
            dbname=database,
            application_name=application,
        )
        connection.autocommit = True
        return connection

    def remove(self):
        if not self.directory.exists():
            return
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.directory)


def skip_unless_installable(what):
    """Skip a test where Debian's packages cannot be installed."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("there is no %s, and only root on Debian can install one here" % what)


def pytest_generate_tests(metafunc):
    """Run what has a PostgreSQL server on this system's, and on other versions where they matter.

    Which those are, the marker ``postgresql_versions`` says; SERGAS_FLEET_TEST_ALL=1 means all, for
    every test that needs none of Debian's clusters.
    """
    if "postgres_programs" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("postgresql_versions")
    versions = (marker.args or tuple(PACKAGES)) if marker else ()
    if os.environ.get("SERGAS_FLEET_TEST_ALL") == "1" and "cluster_version" not in (
        metafunc.fixturenames
    ):
        versions = tuple(PACKAGES)
    metafunc.parametrize(
        "postgres_programs", ["system", *map(str, versions)], indirect=True, scope="session"
    )


@pytest.fixture(scope="session")
def postgres_programs(request):
    """The directory of a PostgreSQL server's programs."""
    if request.param != "system":
        directory = Path(tempfile.mkdtemp(prefix="pg-programs-", dir="/tmp"))
        directory.chmod(0o755)
        yield unpack(request.param, directory)
        shutil.rmtree(directory)
        return
    if newest_server() is None:
        skip_unless_installable("PostgreSQL server")
        install_server()
    yield newest_server()


@pytest.fixture(scope="session")
def redis_programs():
    if not shutil.which("redis-server"):
        skip_unless_installable("Redis server")
        subprocess.run([COLLECTION / "scripts" / "packages.sh", "redis-server"], check=True)


@pytest.fixture(scope="session")
def make_postgres(postgres_programs):
    """Return a function that starts a server with given settings; all end with the session."""
    pristine = Server(postgres_programs, {})
    servers = [pristine]

    def make(environment=None, **settings):
        servers.append(Server(postgres_programs, settings, environment, copied_from=pristine))
        servers[-1].begin()
        return servers[-1]

    yield make
    for server in servers:
        server.remove()


@pytest.fixture(scope="session")
def postgres(make_postgres):
    """A server with the app's database and role, shared by the tests that leave it as it was."""
    server = make_postgres()
    connection = server.connect()
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE sergas LOGIN PASSWORD %s", [PASSWORD])
        cursor.execute("CREATE DATABASE sergas_prod OWNER sergas")
    connection.close()
    return server


@pytest.fixture(scope="session")
def run_module(tmp_path_factory):
    """Return a function that runs a module of the collection as a separate process and returns its
    result.
    """
    tree = tmp_path_factory.mktemp("tree")
    (tree / "ansible_collections" / "sergas").mkdir(parents=True)
    (tree / "ansible_collections" / "sergas" / "ops").symlink_to(COLLECTION)
    processes = {}

    def run(name, options, driver="psycopg2", check=False, diff=False):
        if driver not in processes:
            processes[driver] = ModuleProcesses(tree, driver)
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
        output, errors = processes[driver].run(name, arguments)
        assert output, errors
        return json.loads(output)

    yield run
    for driver in processes.values():
        driver.close()
