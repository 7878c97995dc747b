# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._host import (
    pgbouncer,
    postgresql_clusters,
    postgresql_reasons,
)

RUNNING = {
    "pid": 102,
    "port": 5432,
    "socket": "/var/run/postgresql",
    "listens": "localhost",
    "state": "ready",
    "process": "S",
}
FREE = 10 * 1024**3


def cluster(name="15/main", port=5432, running=None, log=(), **details):
    found = {
        "name": name,
        "port": port,
        "start": "auto",
        "data": "/var/lib/postgresql/" + name,
        "unit": "postgresql@%s.service" % name.replace("/", "-"),
        "running": dict(RUNNING, **running) if running is not None else None,
    }
    if running is None:
        found.update(access=None, available=FREE, log=list(log))
    found.update(details)
    return found


def reason(kind, *clusters, port=5432, tcp=True, pooler=None):
    return postgresql_reasons.of_server(kind, port, tcp, list(clusters), pooler)


#: What the servers and ``pg_ctlcluster`` of Debian have written: (log, code, detail).
LOGS = {
    "hba": (
        [
            '2026-12-01 03:10:11.102 UTC [211] LOG:  invalid authentication method "trsut"',
            '2026-12-01 03:10:11.102 UTC [211] CONTEXT:  line 128 of configuration file "/etc/postgresql/15/main/pg_hba.conf"',  # noqa: E501
            "2026-12-01 03:10:11.102 UTC [211] FATAL:  could not load /etc/postgresql/15/main/pg_hba.conf",  # noqa: E501
            "2026-12-01 03:10:11.103 UTC [211] LOG:  database system is shut down",
            "pg_ctl: could not start server",
        ],
        "15/main:/etc/postgresql/15/main/pg_hba.conf:128",
    ),
    "configuration": (
        [
            '2026-12-01 UTC [9] LOG:  syntax error in file "/etc/postgresql/15/main/conf.d/zz.conf" line 3, near token "="',  # noqa: E501
            '2026-12-01 UTC [9] FATAL:  configuration file "/etc/postgresql/15/main/conf.d/zz.conf" contains errors',  # noqa: E501
        ],
        "15/main:/etc/postgresql/15/main/conf.d/zz.conf:3",
    ),
    "port_taken": (
        [
            '2026-12-01 UTC [9] LOG:  could not bind IPv4 address "127.0.0.1": Address already in use',  # noqa: E501
            "2026-12-01 UTC [9] FATAL:  could not create any TCP/IP sockets",
        ],
        "15/main",
    ),
    "memory": (
        [
            "2026-12-01 UTC [9] FATAL:  could not map anonymous shared memory: Cannot allocate memory",  # noqa: E501
            "2026-12-01 UTC [9] LOG:  database system is shut down",
        ],
        "15/main",
    ),
    "library": (
        [
            '2026-12-01 UTC [9] FATAL:  could not access file "pg_stat_kcache": No such file or directory',  # noqa: E501
        ],
        "15/main:pg_stat_kcache",
    ),
    "certificate": (
        [
            '2026-12-01 UTC [9] FATAL:  could not load server certificate file "/etc/ssl/db.pem": No such file or directory',  # noqa: E501
        ],
        "15/main:/etc/ssl/db.pem",
    ),
    "damaged": (
        [
            "2026-12-01 UTC [9] LOG:  invalid primary checkpoint record",
            "2026-12-01 UTC [9] PANIC:  could not locate a valid checkpoint record",
            "2026-12-01 UTC [8] LOG:  startup process (PID 9) was terminated by signal 6: Aborted",
        ],
        "15/main",
    ),
}


@pytest.mark.parametrize("code", LOGS)
def test_the_last_words_of_a_cluster_that_does_not_start(code):
    log, detail = LOGS[code]
    before = [
        "2026-11-30 UTC [7] LOG:  received fast shutdown request",
        "2026-11-30 UTC [7] LOG:  database system is shut down",
    ]
    found = reason("refused", cluster(log=before + log))
    assert (found.code, found.detail, found.can_start) == (code, detail, False)
    assert found.advice
    assert found.lines[-1] in log


def test_what_a_server_that_came_up_since_has_complained_of_does_not_count():
    log = LOGS["hba"][0] + [
        "2026-12-01 UTC [12] LOG:  database system is ready to accept connections",
        "2026-12-01 UTC [12] LOG:  received fast shutdown request",
        "2026-12-01 UTC [12] LOG:  database system is shut down",
    ]
    found = reason("refused", cluster(log=log))
    assert (found.code, found.detail, found.can_start) == ("down", "15/main", True)


def test_a_cluster_that_was_killed_can_be_started():
    log = ["2026-12-01 UTC [12] LOG:  database system is ready to accept connections"]
    assert reason("missing", cluster(log=log), tcp=False).can_start
    assert reason("refused", cluster(log=())).code == "down"


def test_a_statement_that_failed_has_not_ended_the_server():
    log = [
        "2026-12-01 UTC [12] LOG:  database system is ready to accept connections",
        '2026-12-01 UTC [31] ERROR:  could not open file "/x" for reading: Permission denied',
        "2026-12-01 UTC [31] STATEMENT:  COPY t FROM '/x'",
    ]
    assert reason("refused", cluster(log=log)).code == "down"


def test_a_full_disk():
    log = [
        '2026-12-01 UTC [9] PANIC:  could not write to file "pg_wal/xlogtemp.9": No space left on device'  # noqa: E501
    ]
    found = reason("refused", cluster(log=log, available=4096))
    assert (found.code, found.can_start) == ("disk_full", False)
    assert reason("refused", cluster(available=4096)).code == "disk_full"
    found = reason("refused", cluster(log=log, available=FREE))
    assert (found.code, found.can_start) == ("down", True)
    assert "its disk was full" in found.words


def test_a_data_directory_that_the_server_may_not_use():
    found = reason("refused", cluster(access="its data directory /d has mode 0777, not 0700"))
    assert (found.code, found.detail, found.can_start) == ("data_permissions", "15/main", False)
    assert "mode 0777" in found.words


def test_a_frozen_server_is_what_hangs():
    for kind in ("hung", "timeout", "closed"):
        found = reason(kind, cluster(running={"process": "T"}))
        assert (found.code, found.detail, found.can_start) == ("frozen", "15/main", False)
    assert reason("hung", cluster(running={"process": "S"})) is None
    assert reason("hung", cluster(running={"process": "T", "port": 5433})) is None


def test_a_server_that_listens_elsewhere():
    found = reason("refused", cluster(running={"listens": "10.0.0.7"}))
    assert found.code == "listens_elsewhere"
    assert "10.0.0.7, port 5432" in found.words
    assert not found.can_start
    found = reason("refused", cluster(running={}), port=5439)
    assert (found.code, found.can_start) == ("listens_elsewhere", False)
    assert "listens on port 5432" in found.words
    moved = cluster(running={"port": 5433})
    assert "port 5433" in reason("refused", moved).words


def test_a_server_on_its_socket_only():
    found = reason("refused", cluster(running={"listens": ""}))
    assert (found.code, found.can_start) == ("socket_only", False)
    assert reason("missing", cluster(running={"listens": ""}), tcp=False) is None


def test_a_server_that_is_starting_says_so_itself():
    assert reason("refused", cluster(running={"state": "starting"})) is None
    assert reason("starting", cluster(running={"state": "starting"})) is None


@pytest.mark.parametrize("kind", ["password", "role", "database", "pg_hba"])
def test_another_cluster_on_the_port(kind):
    down, other = cluster(log=()), cluster("15/other", running={})
    found = reason(kind, down, other)
    assert (found.code, found.detail, found.can_start) == ("port_taken", "15/main", False)
    assert "15/other has its port 5432" in found.words
    # Without one that is down and meant to run, a wrong password is a wrong password.
    assert reason(kind, other) is None
    assert reason(kind, dict(down, start="manual"), other) is None


@pytest.mark.parametrize(
    ("count", "state", "code"),
    [
        (100, "idle in transaction", "reserved_taken"),
        # An ordinary role cannot take the last ones.
        (97, "idle in transaction", None),
        # Those that come and are refused are processes for a moment, too.
        (100, "authentication", None),
    ],
)
def test_slots_that_only_superusers_can_take(count, state, code):
    sessions = [{"user": "app", "database": "prod", "state": state}] * count
    found = reason("slots", cluster(running={}, backends=sessions, most=100))
    assert (found and found.code) == code
    if code:
        assert "100 are of app (idle in transaction)" in found.words
    assert reason("slots", cluster(running={})) is None


def test_the_sessions_by_the_titles_of_processes(tmp_path):
    (tmp_path / "proc/7/task/7").mkdir(parents=True)
    (tmp_path / "proc/7/task/7/children").write_text("8 9 10 11 ")
    for pid, title in (
        ("8", "postgres: 15/main: checkpointer \0\0"),
        ("9", "postgres: 15/main: app prod 127.0.0.1(41022) idle in transaction\0\0"),
        ("10", "postgres: app prod [local] idle"),
        ("11", "postgres: 15/main: walwriter "),
    ):
        (tmp_path / "proc" / pid).mkdir()
        (tmp_path / "proc" / pid / "cmdline").write_text(title)
    found = postgresql_clusters.backends(7, str(tmp_path))
    assert sorted(item["state"] for item in found) == ["idle", "idle in transaction"]
    assert found[0]["user"] == "app"


POOL = {
    "database": "prod",
    "user": "app",
    "active": 3,
    "idle": 0,
    "waiting": 0,
    "seconds": 0,
    "size": 3,
}


@pytest.mark.parametrize(
    ("row", "full"),
    [
        ({}, True),
        ({"waiting": 2, "seconds": 9, "size": 0}, True),
        ({"size": 20}, False),
        ({"size": 0}, False),
        ({"active": 2, "idle": 1}, False),
        ({"waiting": 2, "idle": 1}, False),
    ],
)
def test_a_pool_of_pgbouncer(row, full):
    pooler = {"pid": 7, "process": "S", "pools": [{**POOL, **row}]}
    found = reason("hung", pooler=pooler)
    assert (found is not None) is full
    if full:
        assert (found.code, found.detail, found.can_start) == ("pool_exhausted", "prod/app", False)
    # It has answered, so it is something else.
    assert reason("password", pooler=pooler) is None


def test_a_frozen_pgbouncer():
    found = reason("hung", pooler={"pid": 7, "process": "T", "pools": []})
    assert (found.code, found.detail) == ("frozen", "pgbouncer")
    assert "kill -CONT 7" in found.advice


def test_the_console_of_pgbouncer():
    text = (
        "database\tuser\tcl_active\tcl_waiting\tsv_active\tsv_idle\tsv_used\tmaxwait\n"
        "pgbouncer\tpgbouncer\t1\t0\t0\t0\t0\t0\n"
        "sergas_prod\tsergas_app\t3\t2\t3\t0\t0\t11\n"
        "name\thost\tport\tdatabase\tforce_user\tpool_size\n"
        "pgbouncer\t\t6432\tpgbouncer\tpgbouncer\t2\n"
        "sergas_prod\t127.0.0.1\t5432\tsergas_prod\t\t3\n"
    )
    assert pgbouncer.pools(text)[1:] == [
        {
            "database": "sergas_prod",
            "user": "sergas_app",
            "active": 3,
            "idle": 0,
            "waiting": 2,
            "seconds": 11,
            "size": 3,
        }
    ]
    assert pgbouncer.pools("") == []


def test_every_code_is_one_that_is_declared():
    assert {code for code, _pattern, _advice in postgresql_reasons._WORDS if code} <= set(
        postgresql_reasons.CODES
    )


def test_the_postmaster_of_a_data_directory():
    text = "102\n/var/lib/postgresql/15/main\n1796093761\n5432\n/var/run/postgresql\nlocalhost\n  4080233         0\nready   \n"  # noqa: E501
    assert postgresql_clusters.postmaster(text) == {
        "pid": 102,
        "port": 5432,
        "socket": "/var/run/postgresql",
        "listens": "localhost",
        "state": "ready",
    }
    with pytest.raises(ValueError, match="invalid literal"):
        postgresql_clusters.postmaster("")


def test_the_state_of_a_process_whose_name_has_a_parenthesis():
    assert postgresql_clusters.process_state("7 (a) (b) T 1 7 7 0") == ("a) (b", "T")


class TestRead:
    def make(self, root, state="S", name="postgres"):
        conf = root / "etc/postgresql/15/main"
        conf.mkdir(parents=True)
        data = root / "data"
        data.mkdir(mode=0o700)
        (conf / "postgresql.conf").write_text("data_directory = '%s'\nport = 5433\n" % data)
        (conf / "start.conf").write_text("manual\n")
        (root / "proc/44").mkdir(parents=True)
        (root / "proc/44/stat").write_text("44 (%s) %s 1 44\n" % (name, state))
        (data / "postmaster.pid").write_text("44\n%s\n1\n5433\n/run\n*\n0 0\nready\n" % data)
        return data

    def read(self, root):
        (found,) = postgresql_clusters.read(Deadline(3), str(root))
        return found

    def test_one_that_runs(self, tmp_path):
        self.make(tmp_path, "T")
        found = self.read(tmp_path)
        assert (found["name"], found["port"], found["start"]) == ("15/main", 5433, "manual")
        assert (found["running"]["process"], found["running"]["listens"]) == ("T", "*")

    def test_a_pid_that_another_program_has_now(self, tmp_path):
        self.make(tmp_path, name="cron")
        assert self.read(tmp_path)["running"] is None

    def test_one_that_is_down(self, tmp_path):
        data = self.make(tmp_path, name="cron")
        log = tmp_path / "var/log/postgresql"
        log.mkdir(parents=True)
        (log / "postgresql-15-main.log").write_text("a\nb password=hunter2\n")
        data.chmod(0o755)
        found = self.read(tmp_path)
        assert found["log"][0] == "a"
        assert "hunter2" not in str(found["log"])
        assert "mode 0755" in found["access"]
        assert found["available"] > 0

    @pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to have another owner's file")
    def test_a_data_directory_of_root(self, tmp_path):
        self.make(tmp_path, name="cron")
        assert "is root's" in self.read(tmp_path)["access"]

    def test_a_data_directory_that_is_not_there(self, tmp_path):
        data = self.make(tmp_path, name="cron")
        (data / "postmaster.pid").unlink()
        data.rmdir()
        found = self.read(tmp_path)
        assert "does not exist" in found["access"]
        assert found["available"] is None

    def test_a_link_to_another_file_is_not_read(self, tmp_path):
        self.make(tmp_path, name="cron")
        log = tmp_path / "var/log/postgresql"
        log.mkdir(parents=True)
        log.chmod(0o777)
        (tmp_path / "secret").write_text("secret\n")
        (log / "postgresql-15-main.log").symlink_to(tmp_path / "secret")
        if os.geteuid() == 0:
            os.lchown(log / "postgresql-15-main.log", 1, 1)
            assert self.read(tmp_path)["log"] == []
