# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault of the database, on a real server of each release: found, planned, fixed, verified,
and nothing else lost.

The faults are made on many hosts at once, which then share each run of a playbook. One host of each
release stands aside for the tests that are no such case, which run meanwhile.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import shlex
import tempfile
from pathlib import Path

import fleet as reference
import playbook
import pytest
import reports
from waves import Waves

#: A transaction left open is a finding after a minute; no test waits a minute here.
DIAGNOSIS = {
    "sergas_postgresql_hosts": "all",
    "sergas_skip": playbook.HOST_WIDE,
    "sergas_connection_thresholds": {"idle_transaction_seconds": {"warn": 1, "fail": 3600}},
}
DATA = "/var/lib/postgresql/*/main"
BECOME = {"ansible_become": True}
FULL_PERCENT = 80


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A fault of the database and what fixes it.

    Attributes:
        fault: its name in faults/.
        release: the one it is tried on, unless all are tried on each.
        variables: for maintain_postgresql.yml.
        verification: a shell command on the host that prints what is true once it is fixed.
        expected: that.
        kept: SQL that must have the same answer before and after.
        reset: SQL that resets the statistics once it is fixed: what it has counted since its
            start stays slow.
    """

    fault: str
    release: str
    variables: dict
    verification: str
    expected: str
    kept: str = "SELECT count(*), sum(hashtext(a::text)) FROM accounts a"
    reset: str = "SELECT 1"


def sql(query):
    """Return a shell command that queries the app's database."""
    return "echo %s | su postgres -c 'psql -d sergas_prod -XAtq -v ON_ERROR_STOP=1'" % shlex.quote(
        query
    )


def disk_is_full():
    """Return a shell command that prints whether the disk of the database is full."""
    return "[ $(df --output=pcent %s | tr -dc 0-9) -ge %d ] && echo full || echo relieved" % (
        DATA,
        FULL_PERCENT,
    )


CASES = [
    Case(
        "09_pool_idle_sessions",
        "bullseye",
        {"sergas_postgresql_end_idle_after": 1},
        sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'batch-import'"),
        "0",
    ),
    Case(
        "09_idle_in_transaction",
        "bookworm",
        {"sergas_postgresql_end_idle_in_transaction_after": 1},
        sql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"),
        "0",
    ),
    Case(
        "10_missing_index",
        "trixie",
        {"sergas_postgresql_indexes": [{"table": "accounts", "columns": ["owner_id"]}]},
        sql("EXPLAIN SELECT * FROM accounts WHERE owner_id = 7")
        + " | grep -o idx_accounts_owner_id | sort -u",
        "idx_accounts_owner_id",
        reset="SELECT pg_stat_statements_reset(), pg_stat_reset()",
    ),
    Case(
        "10_stale_statistics",
        "bookworm",
        {},
        sql("SELECT n_mod_since_analyze FROM pg_stat_user_tables WHERE relname = 'activities'"),
        "0",
        "SELECT count(*) FROM activities",
    ),
    Case(
        "10_lock_chain",
        # PostgreSQL 13 does not say since when a session waits.
        "bullseye",
        {"sergas_postgresql_end_blockers_after": 1},
        sql("SELECT count(*) FROM pg_locks WHERE NOT granted"),
        "0",
        "SELECT count(*) FROM activities",
    ),
    Case(
        "11_disk_tables",
        "bullseye",
        {
            "sergas_postgresql_retention": [
                {"table": "exports", "column": "made_at", "days": 30, "pause": 0.01}
            ]
        },
        disk_is_full(),
        "relieved",
        "SELECT count(*), sum(hashtext(e::text)) FROM exports e WHERE made_at > now() - interval '1"
        " day'",
        reset="SELECT pg_stat_reset()",
    ),
    Case(
        "11_disk_wal_slot",
        "bookworm",
        {"sergas_postgresql_drop_slots": ["old_replica"]},
        disk_is_full(),
        "relieved",
    ),
    Case(
        "11_disk_wal_archiver",
        "trixie",
        {"sergas_postgresql_archive_directory": "/srv/wal-archive"},
        disk_is_full(),
        "relieved",
    ),
    Case(
        "11_disk_audit_rows",
        "trixie",
        {"sergas_postgresql_retention": [{"table": "audit_logs", "days": 90, "pause": 0.01}]},
        disk_is_full(),
        "relieved",
        "SELECT count(*), sum(hashtext(a::text)) FROM audit_logs a WHERE created_at > now() -"
        " interval '80 days'",
        reset="SELECT pg_stat_reset()",
    ),
]
PARAMETERS = [(release, case) for case in CASES for release in reference.tried_on(case.release)]


@dataclasses.dataclass
class Outcome:
    """What came of a case: its host, findings and data before and after, and what each run of the
    playbook changed.
    """

    host: str
    before: list = None
    kept_before: str = None
    planned: dict = None
    applied: dict = None
    verification: str = None
    kept_after: str = None
    after: list = None
    again: dict = None


def play(name, hosts, *options):
    """Run a playbook on hosts, {name: variables}, and return {host: {task: [results]}}."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", dir=reference.STATE) as own:
        words = playbook.command(
            name,
            *options,
            inventory=playbook.inventory(Path(own.name), hosts),
            sergas_postgresql_hosts=",".join(hosts),
            sergas_serial="100%",
        )
        return playbook.play(words).results()


@pytest.fixture(scope="module")
def aside(request, fleet, diagnose, fix):
    """Return {what is done aside: the future of what comes of it}; all of it begins at once.

    It is done on the last host of each release, one thing after the other, while the cases have
    the others.
    """
    wanted = [
        work
        for name, work in ASIDE.items()
        if any(name in getattr(item, "fixturenames", ()) for item in request.session.items)
    ]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield {work: pool.submit(work, Aside(fleet, diagnose, fix)) for work in wanted}


class Aside:
    """What is done aside has one host of each release to itself."""

    def __init__(self, fleet, diagnose, fix):
        self.diagnose = diagnose
        self.fix = fix
        self._fleet = fleet

    def hosts(self):
        """Return a fresh host of each release."""
        return self._fleet.fresh_of_each(-1)


def side_by_side(function, arguments):
    """Call a function with each of the arguments at once, and return what it returns."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        return list(pool.map(function, arguments))


@pytest.fixture(scope="module")
def outcomes(cases, fleet, diagnose, aside):
    """Return a function that gives the outcome of a case, after running the wave that it is in."""

    def hosts(case):
        names = fleet.of(case[0])[: -1 if aside else None]
        assert names, "two hosts of each release are needed: one stands aside"
        return names

    def prepare(case, host):
        reference.inject(case[1].fault, host)
        return Outcome(host, kept_before=query(host, sql(case[1].kept)))

    def run(ready):
        return run_wave(diagnose, ready)

    return Waves(fleet, cases, prepare, run, hosts=hosts).of


def run_wave(diagnose, ready):
    """Diagnose all hosts of {case: Outcome}, fix and diagnose them again, and return it."""
    own = {outcome.host: case[1].variables for case, outcome in ready.items()}
    diagnose_and_play(diagnose, ready, own, "before", "planned", "--check")
    record(ready, "applied", play("sergas.ops.maintain_postgresql", own))

    def verify(case):
        host = ready[case].host
        ready[case].verification = query(host, case[1].verification)
        ready[case].kept_after = query(host, sql(case[1].kept))
        query(host, sql(case[1].reset))

    side_by_side(verify, ready)
    diagnose_and_play(diagnose, ready, own, "after", "again")
    return ready


def diagnose_and_play(diagnose, ready, own, diagnosed, run, *options):
    """Diagnose hosts while the playbook runs on them: neither of the two changes anything."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        found = pool.submit(diagnose, sorted(own), **DIAGNOSIS)
        record(ready, run, play("sergas.ops.maintain_postgresql", own, *options))
        record(ready, diagnosed, reports.findings(found.result()))


def record(ready, name, by_host):
    """Put down what a run gave for each host."""
    for outcome in ready.values():
        setattr(outcome, name, by_host[outcome.host])


def query(host, script):
    """Return what a shell command on a host prints."""
    return reference.on(reference.find(host), script).stdout.strip()


def name(case):
    """Name a case for pytest."""
    return "%s-%s" % (case[0], case[1].fault)


@pytest.mark.parametrize("case", PARAMETERS, ids=name)
def test_fault_is_the_only_root(case, outcomes):
    found = outcomes(case).before
    assert reports.roots(found) == {reference.faults()[case[1].fault].root}, reports.describe(found)


@pytest.mark.parametrize("case", PARAMETERS, ids=name)
def test_check_mode_plans_what_is_then_changed(case, outcomes):
    outcome = outcomes(case)
    assert playbook.changes(outcome.applied)
    assert playbook.changes(outcome.planned) == playbook.changes(outcome.applied)


@pytest.mark.parametrize("case", PARAMETERS, ids=name)
def test_fault_is_fixed(case, outcomes):
    outcome = outcomes(case)
    assert outcome.verification == case[1].expected
    assert not reports.roots(outcome.after), reports.describe(outcome.after)


@pytest.mark.parametrize("case", PARAMETERS, ids=name)
def test_second_run_changes_nothing(case, outcomes):
    assert not playbook.changes(outcomes(case).again)


@pytest.mark.parametrize("case", PARAMETERS, ids=name)
def test_nothing_is_lost_but_what_is_named(case, outcomes):
    outcome = outcomes(case)
    assert outcome.kept_before
    assert outcome.kept_after == outcome.kept_before


ADDRESSES = "10.0.0.0/8"
APP = "/home/sergas/super-account-manager"
HEALTHY = "until curl -sf http://127.0.0.1:8000/health > /dev/null; do sleep 0.2; done"


def share_a_database(aside):
    """Let every host's app use the first host's database: each pool fits, the sum does not.

    Returns:
        (hosts, the server, the report, the report once the pools are as that one said).
    """
    hosts = aside.hosts()
    server = reference.find(hosts[0])
    reference.on(
        server,
        "cd /etc/postgresql/*/main && echo \"listen_addresses = '*'\" > conf.d/zz-fault.conf &&"
        " echo 'host all all %s scram-sha-256' >> pg_hba.conf && ufw allow from %s to any port 5432"
        " proto tcp && systemctl restart 'postgresql@*'" % (ADDRESSES, ADDRESSES),
    )

    def configure(setting):
        host, values = setting
        edits = " ".join("-e 's/^%s=.*/%s=%s/'" % (name, name, values[name]) for name in values)
        reference.on(
            reference.find(host),
            "cd %s && sed -i %s .env && systemctl restart sergas-app && journalctl --quiet --rotate"
            " && %s" % (APP, edits, HEALTHY),
        )

    pool = {
        "DATABASE_HOST": server.address,
        "DATABASE_POOL_SIZE": 30,
        "DATABASE_MAX_OVERFLOW": 10,
    }
    side_by_side(configure, [(host, pool) for host in hosts])
    variables = {"sergas_postgresql_hosts": hosts[0], "sergas_skip": playbook.HOST_WIDE}
    report = aside.diagnose(hosts, **variables)
    fits = [
        (
            row["host"],
            {
                "DATABASE_POOL_SIZE": row["fit"]["pool_size"],
                "DATABASE_MAX_OVERFLOW": row["fit"]["max_overflow"],
            },
        )
        for found in report["fleet"][:1]
        for row in found["evidence"].get("pools", ())
    ]
    side_by_side(configure, fits)
    return hosts, server, report, aside.diagnose(hosts, **variables)


@pytest.fixture
def shared_database(aside):
    return aside[share_a_database].result()


def test_pools_that_fit_alone_and_not_together_are_one_root_of_the_fleet(shared_database):
    hosts, server, report, repaired = shared_database
    assert [root["id"] for root in report["roots"]] == ["fleet.db.pools.overcommitted"], report[
        "roots"
    ]
    found = report["fleet"][0]
    assert found["value"] > 97 and found["evidence"]["target"] == "%s:5432" % server.address
    rows = found["evidence"]["pools"]
    assert sorted(row["host"] for row in rows) == sorted(hosts)
    fits = sum(row["workers"] * sum(row["fit"].values()) + row["celery_workers"] for row in rows)
    assert fits <= 97 - found["evidence"]["headroom"]
    # What is said to fit does.
    assert not repaired["roots"]


#: Which of the hosts has no psycopg2, so that the built-in client speaks to its server.
WITHOUT_PSYCOPG2 = 0
#: A fault of each kind: which of the hosts has it, the remedy that fix.yml has for it, and what
#: then holds there.
REMEDIES = {
    "09_pool_idle_sessions": (0, "end_idle_sessions", CASES[0].verification, "0"),
    "10_missing_index": (1, "create_indexes", CASES[2].verification, "idx_accounts_owner_id"),
    # The index waits for a transaction of the chain: that has to be ended first.
    "10_lock_chain": (1, "end_blocker", CASES[4].verification, "0"),
    "11_disk_wal_slot": (2, "drop_dead_slots", disk_is_full(), "relieved"),
    "09_idle_in_transaction": (2, "end_idle_transactions", CASES[1].verification, "0"),
}


def remedy(aside):
    """Run fix.yml on hosts with the faults: a check run, the real one and one more.

    Returns:
        ({fault: host}, what each run did, {fault: what its verification prints}).
    """
    names = aside.hosts()
    hosts = {fault: names[which] for fault, (which, *_rest) in REMEDIES.items()}

    def inject(name):
        for fault, host in hosts.items():
            if host == name:
                reference.inject(fault, host)

    side_by_side(inject, names)
    # The faults are made with it.
    reference.remove_packages(reference.find(names[WITHOUT_PSYCOPG2]), ["python3-psycopg2"])
    variables = {
        **DIAGNOSIS,
        "sergas_approve": [
            remedy for _which, remedy, _verification, _expected in REMEDIES.values()
        ],
        "sergas_postgresql_end_idle_after": 1,
    }
    runs = [aside.fix(names, check=check, **variables) for check in (True, False)]
    verifications = {fault: query(host, REMEDIES[fault][2]) for fault, host in hosts.items()}
    # What was approved is no longer planned, and naming it would be refused.
    runs.append(aside.fix(names, **{**variables, "sergas_approve": []}))
    return hosts, runs, verifications


@pytest.fixture
def remedied(aside):
    return aside[remedy].result()


@pytest.mark.parametrize("fault", REMEDIES)
def test_fix_fixes_what_it_planned_once(fault, remedied):
    hosts, (planned, applied, again), verifications = remedied
    host, (_which, name, _verification, expected) = hosts[fault], REMEDIES[fault]
    assert planned.outcome(host, name) == "would apply", planned.shown[-5000:]
    assert applied.outcome(host, name) == "kept", applied.shown[-5000:]
    assert applied.changed[host] and set(applied.changed[host]) == set(planned.changed[host])
    assert verifications[fault] == expected
    assert not applied.roots(host), applied.shown[-5000:]
    assert not again.changed.get(host) and not [key for key in again.entries if key[0] == host]


def enlarge(aside):
    """Run fix.yml on a host whose sessions all work: a check run, the real one and one more.

    Returns:
        (the host, what each run did, the server's max_connections then).
    """
    host = aside.hosts()[0]
    reference.inject("09_busy_sessions", host)
    variables = {**DIAGNOSIS, "sergas_approve": ["raise_connections"]}
    runs = [aside.fix([host], check=check, **variables) for check in (True, False)]
    runs.append(aside.fix([host], **DIAGNOSIS))
    return host, runs, query(host, sql("SHOW max_connections"))


@pytest.fixture
def enlarged(aside):
    return aside[enlarge].result()


@pytest.mark.skipif(not reference.EVERYWHERE, reason="SERGAS_FLEET_TEST_ALL=1 tries it")
def test_a_server_that_is_too_small_for_its_work_gets_more_connections(enlarged):
    host, (planned, applied, again), connections = enlarged
    assert planned.outcome(host, "raise_connections") == "would apply", planned.shown[-5000:]
    assert applied.outcome(host, "raise_connections") == "kept", applied.shown[-5000:]
    # Nothing is idle that could be ended.
    assert {remedy for _host, remedy in applied.entries} == {"raise_connections"}
    assert connections == "200"
    assert not applied.roots(host), applied.shown[-5000:]
    assert not again.changed.get(host)


def test_a_host_without_psycopg2_is_diagnosed_and_fixed_by_the_built_in_client(remedied):
    hosts, runs, _verifications = remedied
    drivers = {}
    for run in runs:
        for host, tasks in run.tasks.items():
            for results in tasks.values():
                drivers.setdefault(host, set()).update(
                    result["driver"] for result in results if result.get("driver")
                )
    for fault, (which, *_rest) in REMEDIES.items():
        expected = {"pgwire"} if which == WITHOUT_PSYCOPG2 else {"psycopg2"}
        assert drivers[hosts[fault]] == expected, fault
    without = hosts["09_pool_idle_sessions"]
    assert [task for task in runs[1].changed[without] if "idle for long" in task]


#: What the app's role can do on its own. Wherever this runs with a superuser's rights, also once
#: the session has gone back to the role that it began with, the role is a superuser from then on.
ATTACK = """
CREATE FUNCTION public.seize() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    EXECUTE 'RESET SESSION AUTHORIZATION'; EXECUTE 'RESET ROLE';
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
    EXECUTE 'ALTER ROLE sergas_app SUPERUSER';
  END IF;
END $$;
CREATE FUNCTION public.hook() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM public.seize(); RETURN OLD; END $$;
CREATE TRIGGER hook BEFORE DELETE ON audit_logs FOR EACH ROW EXECUTE FUNCTION hook();
CREATE CONSTRAINT TRIGGER late AFTER DELETE ON audit_logs DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION hook();
CREATE FUNCTION public.folded(n bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN PERFORM public.seize(); RETURN n; END $$;
CREATE INDEX ON audit_logs ((id + folded(1)));
INSERT INTO audit_logs (actor, action, created_at) VALUES ('a', 'b', now() - interval '200 days');
CREATE TABLE reports (id bigint, made_at timestamptz);
INSERT INTO reports SELECT n, now() FROM generate_series(1, 1000) n;
CREATE INDEX ON reports ((id + folded(1))) WHERE id > folded(2);
CREATE FUNCTION public.joined(name, name) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM public.seize(); RETURN $1::text OPERATOR(pg_catalog.||) $2::text; END $$;
CREATE OPERATOR public.|| (LEFTARG = name, RIGHTARG = name, FUNCTION = joined);
ALTER DATABASE sergas_prod SET search_path = public, pg_catalog;
"""
#: The extension has this function itself before its 1.11, which comes with 17.
ATTACK_EXTENSION = """
CREATE FUNCTION public.pg_stat_statements_reset(oid, oid, bigint) RETURNS void
  LANGUAGE plpgsql AS $$ BEGIN PERFORM public.seize(); END $$;
"""
#: And in the database where administrators begin, which everybody may create in before 15.
ATTACK_NEARBY = """
CREATE FUNCTION public.seize() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
    EXECUTE 'ALTER ROLE sergas_app SUPERUSER';
  END IF;
  RETURN true;
END $$;
CREATE FUNCTION public.pg_drop_replication_slot(text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN PERFORM public.seize(); END $$;
"""
AS_APP = "PGPASSWORD='fleet-db=pass#1' psql -w -XAtq -h 127.0.0.1 -U sergas_app "
#: What administrators do there, all of it; the second deletion knows no password of the app's role.
UNDER_ATTACK = """
- hosts: all
  gather_facts: false
  vars:
    sergas_database_name: sergas_prod
  tasks:
    - name: Delete as the owner
      sergas.ops.pg_retention: {login_db: sergas_prod, table: audit_logs, days: 199}
    - name: Delete without the owner
      sergas.ops.pg_retention:
        {login_db: sergas_prod, table: audit_logs, days: 60, env_file: /nonexistent}
      ignore_errors: true
    - name: Index, vacuum, analyze and reset
      ansible.builtin.include_role:
        name: sergas.ops.remediate
        tasks_from: remedies/create_indexes
      vars:
        sergas_remedy_finding:
          evidence:
            indexes: [{schema: public, table: reports, columns: [made_at]}]
            counted: {schema: public, queryids: ["1"]}
    - name: Index a part
      sergas.ops.pg_index:
        {login_db: sergas_prod, table: reports, columns: [id], where: id > 7}
    - name: Rewrite
      sergas.ops.pg_vacuum: {login_db: sergas_prod, tables: [reports], full: true, always: true}
    - name: Diagnose
      sergas.ops.pg_insights: {login_db: sergas_prod}
    - name: Drop slots
      ansible.builtin.include_role:
        name: sergas.ops.postgresql
        tasks_from: wal
        rolespec_validate: false
      vars:
        sergas_postgresql_drop_slots: [old_replica]
"""


def attack(aside):
    """Maintain databases whose own role wants to be a superuser.

    Returns:
        {host: ({task: [results]}, whether the app's role is a superuser, the slots that are left)}.
    """
    hosts = aside.hosts()

    def lay(host):
        query(
            host,
            "echo \"shared_preload_libraries = 'pg_stat_statements'\""
            " > $(echo /etc/postgresql/*/main)/conf.d/zz-attack.conf"
            " && systemctl restart 'postgresql@*'",
        )
        query(host, sql("SELECT pg_create_physical_replication_slot('old_replica')"))
        query(host, sql("CREATE EXTENSION pg_stat_statements"))
        query(host, "%s -d sergas_prod -v ON_ERROR_STOP=1 <<'SQL'\n%s\nSQL" % (AS_APP, ATTACK))
        for database, code in (
            ("sergas_prod", ATTACK_EXTENSION),
            ("postgres", ATTACK_NEARBY),
        ):
            query(host, "%s -d %s 2>&1 <<'SQL' || :\n%s\nSQL" % (AS_APP, database, code))

    side_by_side(lay, hosts)
    with tempfile.TemporaryDirectory(dir=reference.STATE) as directory:
        path = Path(directory) / "play.yml"
        path.write_text(UNDER_ATTACK)
        done = playbook.play(playbook.command(path, limit=hosts, **BECOME)).results()
    superuser = sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'sergas_app'")
    slots = sql("SELECT count(*) FROM pg_replication_slots")
    return {host: (done[host], query(host, superuser), query(host, slots)) for host in hosts}


@pytest.fixture
def attacked(aside):
    return aside[attack].result()


def test_maintenance_never_makes_the_apps_role_a_superuser(attacked):
    for host, (tasks, superuser, slots) in attacked.items():
        assert superuser == "f", host
        failed = playbook.failures(tasks)
        assert set(failed) == {"Delete without the owner"}, failed
        assert "public.audit_logs" in failed["Delete without the owner"]
        assert "the trigger" in failed["Delete without the owner"]
        [deleted] = tasks["Delete as the owner"]
        assert (deleted["rows"], deleted["role"]) == (1, "sergas_app")
        assert tasks["Index a part"][0]["valid"] and tasks["Rewrite"][0]["changed"]
        assert slots == "0"


#: What is done aside, by the fixture that uses it.
ASIDE = {"attacked": attack, "remedied": remedy, "shared_database": share_a_database}
if reference.EVERYWHERE:
    ASIDE["enlarged"] = enlarge
