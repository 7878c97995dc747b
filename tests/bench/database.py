# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the database's modules cost a large server: one of this machine's own, thrown away after.

Every module runs as a separate process, as on a host, its start included.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import conftest as servers  # found by the path above

TABLES = 10_000
SESSIONS = 500
OLD_ROWS = 1_000_000
ROUNDS = 5
DATABASE = "sergas_prod"
APPLICATION = "sergas-app"
#: Writers, how often each writes, and for how long they are watched without the deletion.
WRITERS = 4
WRITES_PER_SECOND = 50
WATCHED_SECONDS = 15
TICKS = os.sysconf("SC_CLK_TCK")

# A table as an app has it: a key with its sequence, another index, a reference, some rows.
MANY_TABLES = """
DO $$ BEGIN FOR i IN %d..%d LOOP EXECUTE format(
  'CREATE TABLE many_%%s (id bigserial PRIMARY KEY, account_id bigint, note text)', i);
  EXECUTE format('CREATE INDEX ON many_%%s (account_id)', i);
  EXECUTE format('INSERT INTO many_%%s (account_id, note)
    SELECT n, repeat(''x'', 100) FROM generate_series(1, 5) n', i);
END LOOP; END $$
"""
AUDIT_ROWS = """
CREATE TABLE audit_logs (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(),
  actor text, detail text);
INSERT INTO audit_logs (created_at, actor, detail)
  SELECT now() - interval '91 days' - n * interval '1 second', 'user ' || n %% 1000,
    repeat('d', 120) FROM generate_series(1, %d) n;
INSERT INTO audit_logs (created_at, actor, detail)
  SELECT now() - n * interval '1 second', 'user ' || n %% 1000, repeat('d', 120)
  FROM generate_series(1, %d) n;
CREATE INDEX ON audit_logs (created_at)
"""


class Database:
    """A server with the app's database, and who works with it."""

    def __init__(self, **settings):
        if servers.newest_server() is None:
            servers.install_server()
        # Autovacuum would come whenever it likes, and count as work of the module.
        settings = {"max_connections": SESSIONS + 50, "autovacuum_naptime": "1d", **settings}
        self.server = servers.Server(servers.newest_server(), settings)
        with contextlib.closing(self.server.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute("CREATE ROLE sergas LOGIN PASSWORD %s", [self.server.password])
            cursor.execute("CREATE DATABASE %s OWNER sergas" % DATABASE)
        self.postmaster = int((self.server.data / "postmaster.pid").read_text().split()[0])

    def __enter__(self):
        return self

    def __exit__(self, *_reason):
        self.server.remove()

    def execute(self, *statements):
        """Run statements as the superuser, each in its own transaction."""
        with contextlib.closing(self.server.connect(database=DATABASE)) as connection:
            for statement in statements:
                connection.cursor().execute(statement)

    def sessions(self, count):
        """Open idle sessions of the app and return them."""
        opened = [self.server.connect("sergas", DATABASE, APPLICATION) for _n in range(count)]
        for connection in opened:
            connection.cursor().execute("SELECT 1")
        return opened

    def module(self, name, **options):
        """Run a module of the collection to its end and return its result."""
        options = {**self.server.login(login_db=DATABASE), **options}
        done = subprocess.run(
            [sys.executable, ROOT / "plugins" / "modules" / (name + ".py")],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
            env=dict(os.environ, PYTHONPATH=str(ROOT / ".build")),
            capture_output=True,
            text=True,
            check=False,
        )
        result = json.loads(done.stdout or '{"failed": true}')
        if result.get("failed"):
            sys.exit("%s failed: %s%s" % (name, result.get("msg", ""), done.stderr))
        return result

    def psql(self, statement):
        """Run a statement with psql, as the server's own system user, and return what it prints."""
        command = ["psql", "-X", "-A", "-t", "-w", "-h", self.server.directory, "-d", DATABASE]
        command += ["-p", str(self.server.port), "-c", statement]
        done = subprocess.run(
            command, user=self.server.owner, cwd="/", capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit("psql failed: %s" % done.stderr)
        return done.stdout.strip()

    def cpu(self):
        """Return the CPU seconds that the server has taken: all its processes, dead ones too."""
        total = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            # A process may end while it is inspected; then the server counts it as a dead one.
            with contextlib.suppress(OSError):
                pid, rest = int(path.parent.name), path.read_text().rpartition(")")[2].split()
                own, dead = map(int, rest[11:13]), map(int, rest[13:15])
                if pid == self.postmaster:
                    total += sum(own) + sum(dead)
                elif int(rest[1]) == self.postmaster:
                    total += sum(own)
        return total / TICKS

    def cost(self, times, work):
        """Return (median seconds, mean CPU seconds of the server) of work done some times."""
        seconds, before = [], self.cpu()
        for _time in range(times):
            started = time.monotonic()
            work()
            seconds.append(time.monotonic() - started)
        # The last session's process ends a moment after its client.
        time.sleep(0.2)
        return statistics.median(seconds), (self.cpu() - before) / times


def diagnosis():
    """Return rows: the diagnosis of a large and crowded database beside the least of questions."""
    with Database(max_locks_per_transaction=1000) as database:
        step = 500
        database.execute(
            *(MANY_TABLES % (n, n + step - 1) for n in range(1, TABLES, step)), "ANALYZE"
        )
        held = database.sessions(SESSIONS)

        def diagnose():
            database.module("pg_connections")
            database.module("pg_insights")

        def count():
            database.psql("SELECT count(*) FROM pg_stat_activity")

        for work in (diagnose, count):
            work()
        seconds, cpu = database.cost(ROUNDS, diagnose)
        count_seconds, count_cpu = database.cost(4 * ROUNDS, count)
        for connection in held:
            connection.close()
    where = "%s tables and %d sessions" % (format(TABLES, ","), SESSIONS)
    beside = "`pg_connections` and `pg_insights` / `SELECT count(*) FROM pg_stat_activity`"
    return [
        ("%s, %s" % (beside, where), seconds, count_seconds),
        ("The same, CPU of the server", cpu, count_cpu),
    ]


def ending():
    """Return a row: ending many sessions beside signalling and awaiting them in SQL."""
    with Database() as database:
        times = {"ours": [], "theirs": []}
        for _round in range(ROUNDS):
            for whose, work in (("ours", end_by_module), ("theirs", end_by_sql)):
                held = database.sessions(SESSIONS)
                started = time.monotonic()
                work(database)
                times[whose].append(time.monotonic() - started)
                for connection in held:
                    connection.close()
    ours, theirs = (statistics.median(times[whose]) for whose in ("ours", "theirs"))
    what = "Ending %d sessions with `pg_connections` / `pg_terminate_backend`, until they are gone"
    return [(what % SESSIONS, ours, theirs)]


def end_by_module(database):
    """End the app's idle sessions with pg_connections."""
    result = database.module(
        "pg_connections",
        state="terminated",
        states=["idle"],
        applications=[APPLICATION],
        max_terminations=SESSIONS,
    )
    if len(result["terminated"]) != SESSIONS:
        sys.exit("pg_connections ended %d of %d sessions" % (len(result["terminated"]), SESSIONS))


def end_by_sql(database):
    """End the app's sessions with bare SQL, and query until they are gone."""
    those = "FROM pg_stat_activity WHERE application_name = '%s'" % APPLICATION
    database.psql("SELECT count(pg_terminate_backend(pid)) " + those)
    while database.psql("SELECT count(*) " + those) != "0":
        pass


class Writers:
    """Sessions that write at a fixed pace. What comes too late for it counts as waiting."""

    def __init__(self, database):
        self._stop = threading.Event()
        self._waits = []
        self._threads = [
            threading.Thread(target=self._write, args=[database]) for _n in range(WRITERS)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_reason):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, database):
        with contextlib.closing(database.server.connect(database=DATABASE)) as connection:
            cursor, due = connection.cursor(), time.monotonic()
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                cursor.execute(
                    "INSERT INTO audit_logs (actor, detail) VALUES ('writer', repeat('d', 120))"
                )
                self._waits.append((due, time.monotonic() - due))
                due += 1 / WRITES_PER_SECOND

    def p95(self, since, until):
        """Return the 95th percentile of the latencies in a span of time, in seconds."""
        waits = [wait for due, wait in self._waits if since <= due < until]
        return statistics.quantiles(waits, n=20)[-1]


def retention():
    """Return a row: what writers wait while old rows are deleted, beside what they wait anyway."""
    # As a server that is in use: what is committed is on the disk.
    with Database(fsync="on", max_wal_size="4GB") as database:
        database.execute(
            *(AUDIT_ROWS % (OLD_ROWS, OLD_ROWS // 5)).split(";"), "ANALYZE", "CHECKPOINT"
        )
        with Writers(database) as writers:
            time.sleep(1)
            began = time.monotonic()
            time.sleep(WATCHED_SECONDS)
            started = time.monotonic()
            result = database.module("pg_retention", table="audit_logs", days=90)
            ended = time.monotonic()
        if result["rows"] != OLD_ROWS or not result["finished"]:
            sys.exit("pg_retention deleted %d of %d rows" % (result["rows"], OLD_ROWS))
        alone, beside = writers.p95(began, started), writers.p95(started, ended)
    what = "p95 of %d writers while `pg_retention` deletes %s rows in %.0f s / without it"
    return [(what % (WRITERS, format(OLD_ROWS, ","), ended - started), beside, alone)]


def measure():
    """Return all rows: (what, our figure in seconds, the one beside it); none has a goal."""
    return diagnosis() + ending() + retention()


if __name__ == "__main__":
    for line in measure():
        print("%s: %.4f s / %.4f s = %.2f" % (*line, line[1] / line[2]))
