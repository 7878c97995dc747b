# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere, Unmeasurable
from ansible_collections.sergas.ops.plugins.module_utils._health import reach
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import database
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config, local_servers
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, postgres_failures

THRESHOLD = (80.0, 90.0, "%")


def reached(**details):
    given = {
        "address": "db1:5432",
        "socket": None,
        "name": "prod",
        "user": "app",
        "tls": "prefer",
        "local": False,
        "alive": True,
        "encrypted": False,
        "slots": 97,
        "max_connections": 100,
        "used": 3,
        "server_version": "15.4",
        "in_recovery": False,
    }
    return dict(given, **details)


def refused(error_kind, **details):
    failure = dict({"error_kind": error_kind, "message": "m"}, **details.pop("failure", {}))
    return reached(failure=failure, alive=details.pop("alive", False), **details)


def judged(result):
    return database.judge(result, THRESHOLD)


def test_a_database_that_accepts_the_app():
    item = judged(reached())
    assert (item["id"], item["status"], item["value"]) == ("db.connection.ok", "ok", 3.1)
    assert item["evidence"]["target"] == "db1:5432"


@pytest.mark.parametrize(
    ("used", "status"), [(79, "ok"), (80, "warn"), (89, "warn"), (90, "fail"), (100, "fail")]
)
def test_connections_against_the_slots(used, status):
    item = judged(reached(slots=100, used=used))
    assert item["status"] == status
    assert item["id"] == ("db.connection.ok" if status == "ok" else "db.connections.exhausted")


def writable(**details):
    given = {"read_only": None, "rights": [], "in_recovery": False}
    return reached(**{**given, **details})


@pytest.mark.parametrize(
    ("details", "reason", "words"),
    [
        ({"in_recovery": True}, "recovery", "in recovery"),
        ({"read_only": "user"}, "read_only:user", "set for the role"),
        ({"read_only": "database"}, "read_only:database", "set for the database"),
        ({"read_only": "configuration file"}, "read_only:configuration file", "for the server"),
        (
            {"rights": [["public", "accounts", "t", "aw", "awd"]]},
            "permission:public.accounts",
            "misses INSERT, UPDATE on public.accounts",
        ),
    ],
)
def test_a_server_that_lets_the_app_read_only(details, reason, words):
    (item,) = database.writes_refused(writable(**details), [])
    assert (item["id"], item["status"], item["reason"]) == ("db.writes.refused", "fail", reason)
    assert words in item["summary"] and item["advice"]


def test_a_server_that_the_app_can_write_to():
    assert database.writes_refused(writable(), []) == []
    assert database.writes_refused(refused("refused"), []) == []
    # A standby may be the database of a host without the app.
    assert database.writes_refused(writable(in_recovery=True, local=True), []) == []


@pytest.mark.parametrize(
    ("own", "without", "written", "missing"),
    [
        # Only to read, and only to add, are ways to work.
        ("f", "awd", "awd", []),
        ("f", "wd", "awd", []),
        ("t", "wd", "awd", []),
        ("f", "d", "awd", []),
        ("f", "rwd", "awd", []),
        ("f", "urawd", "awd", []),
        # No one grants these.
        ("t", "awd", "ad", ["INSERT", "DELETE"]),
        ("f", "a", "a", ["INSERT"]),
        ("f", "w", "aw", ["UPDATE"]),
        ("f", "r", "aw", ["SELECT"]),
        # Nothing has been written that the role would miss it for.
        ("t", "a", "", []),
        ("f", "w", "a", []),
    ],
)
def test_rights_that_can_only_be_a_mistake(own, without, written, missing):
    found = database.rights_missing([["public", "accounts", own, without, written]], [])
    assert [item["missing"] for item in found] == ([missing] if missing else [])


def test_tables_that_are_required():
    rows = [
        ["public", "accounts", "f", "wd", ""],
        ["crm", "notes", "f", "u", ""],
        ["public", "ready", "t", "", "a"],
    ]
    required = ["public.accounts", "crm.notes", "public.ready", "public.gone"]
    assert database.rights_missing(rows, required) == [
        {"table": "public.accounts", "missing": ["UPDATE", "DELETE"], "exists": True},
        {
            "table": "crm.notes",
            "missing": ["SELECT", "INSERT", "UPDATE", "DELETE"],
            "exists": True,
        },
        {
            "table": "public.gone",
            "missing": ["SELECT", "INSERT", "UPDATE", "DELETE"],
            "exists": False,
        },
    ]


EXPLAINED = {
    "code": "hba",
    "detail": "15/main:/etc/hba:3",
    "words": "the cluster 15/main is down: its pg_hba.conf is not valid (/etc/hba:3)",
    "advice": "Correct that line, and start the cluster.",
    "can_start": False,
    "lines": ["FATAL:  could not load /etc/hba"],
}


def test_what_the_host_says_of_its_server_is_the_reason():
    item = judged(refused("refused", explained=EXPLAINED))
    assert (item["id"], item["reason"]) == ("db.unreachable", "hba:15/main:/etc/hba:3")
    assert (item["remedy"], item["evidence"]["log"]) == (None, EXPLAINED["lines"])
    assert item["evidence"]["error_kind"] == "refused"
    down = dict(EXPLAINED, code="down", can_start=True)
    assert judged(refused("refused", explained=down))["remedy"] == "start_postgresql"
    full = dict(EXPLAINED, code="pool_exhausted")
    assert judged(refused("hung", explained=full))["id"] == "db.connections.exhausted"


@pytest.mark.parametrize(
    ("code", "id"),
    [
        ("listens_elsewhere", "db.connection.ok"),
        ("socket_only", "db.connection.ok"),
        ("frozen", "db.unreachable"),
    ],
)
def test_a_cluster_of_the_host_may_listen_where_it_likes(code, id):
    item = judged(refused("refused", local=True, explained=dict(EXPLAINED, code=code)))
    assert item["id"] == id


@pytest.mark.parametrize(
    ("sqlstate", "routine", "error_kind", "id"),
    [
        ("28P01", "auth_failed", "password", "db.auth.failed"),
        ("28000", "ClientAuthentication", "pg_hba", "db.auth.failed"),
        ("28000", "auth_failed", "identity", "db.auth.failed"),
        ("28000", "InitializeSessionUserId", "role", "db.auth.failed"),
        ("42501", "CheckMyDatabase", "privilege", "db.auth.failed"),
        ("3D000", "InitPostgres", "database", "db.missing"),
        ("53300", "InitProcess", "slots", "db.connections.exhausted"),
        ("53300", "InitializeSessionUserId", "role_limit", "db.connections.exhausted"),
        ("53300", "CheckMyDatabase", "database_limit", "db.connections.exhausted"),
        ("57P03", "ProcessStartupPacket", "starting", "db.unreachable"),
        ("57P01", "", "stopping", "db.unreachable"),
        ("53100", "write_relcache_init_file", "disk_full", "db.unreachable"),
        ("55000", "CheckMyDatabase", "closed_database", "db.unreachable"),
        ("08P01", "", "pooler", "db.unreachable"),
        ("XX000", "", "refusal", "db.unreachable"),
    ],
)
def test_refusals_are_distinguished_by_sqlstate_and_routine(sqlstate, routine, error_kind, id):
    assert postgres_failures.of_login(sqlstate, routine) == error_kind
    item = judged(refused(error_kind, failure={"sqlstate": sqlstate}))
    assert (item["id"], item["status"], item["evidence"]["error_kind"]) == (id, "fail", error_kind)
    assert sqlstate in item["summary"]


@pytest.mark.parametrize(
    "kind",
    [
        "dns",
        "refused",
        "missing",
        "unreachable",
        "denied",
        "permission",
        "timeout",
        "hung",
        "closed",
        "protocol",
        "tls",
    ],
)
def test_every_way_a_connection_fails_has_a_distinct_sentence(kind):
    item = judged(refused(kind))
    assert item["id"] == "db.unreachable"
    assert item["advice"]
    sentences = [sentence for _id, sentence, _remedy in database._ERROR_KINDS.values()]
    assert len(set(sentences)) == len(sentences)


def test_every_reason_has_a_finding_with_advice():
    reasons = {*failures.WORDS, *postgres_failures._REFUSALS.values()}
    assert reasons <= set(database._ERROR_KINDS) == set(postgres_failures.ADVICE) | {"redirect"}


def test_remedies():
    assert judged(refused("refused"))["remedy"] == "start_postgresql"
    assert judged(refused("password"))["remedy"] == "database_credentials"
    assert judged(refused("timeout"))["remedy"] is None


def test_tls_that_is_required_is_reported():
    item = judged(refused("pg_hba", failure={"needs_tls": True}))
    assert item["evidence"]["error_kind"] == "tls_required"
    assert "over TLS only" in item["summary"]


def test_a_cluster_of_this_host_that_requires_a_password_is_alive():
    item = judged(refused("password_missing", local=True, alive=True))
    assert (item["id"], item["status"]) == ("db.connection.ok", "ok")
    assert judged(refused("refused", local=True))["status"] == "fail"
    assert judged(refused("starting", local=True))["status"] == "fail"
    assert judged(refused("slots", local=True, alive=True))["id"] == "db.connections.exhausted"


def test_peer_authentication_cannot_be_tried_by_another_user():
    item = judged(refused("identity", socket="/run/postgresql", alive=True))
    assert (item["id"], item["status"]) == ("db.connection.unknown", "unknown")


def test_settings_that_are_missing_are_unknown():
    item = judged(
        {
            "unset": ["DATABASE_HOST", "DATABASE_NAME"],
            "why": "DATABASE_HOST, DATABASE_NAME are not set in .env",
        }
    )
    assert (item["id"], item["status"]) == ("db.connection.unknown", "unknown")
    assert "DATABASE_HOST, DATABASE_NAME are not set" in item["summary"]


def target(text, **options):
    return app_config.database_target(app_config.settings(app_config.interpret(text), options))


def test_the_settings_of_the_app():
    text = 'DATABASE_HOST=db1\nDATABASE_PORT=5433\nDATABASE_NAME=prod\nDATABASE_USER=app\nDATABASE_PASSWORD="a=b#c"\n'  # noqa: E501
    assert target(text) == {
        "host": "db1",
        "port": 5433,
        "name": "prod",
        "user": "app",
        "password": "a=b#c",
        "tls": "prefer",
        "root": None,
    }
    assert target(text, database_host="db2", database_password="x")["host"] == "db2"
    assert target("DATABASE_HOST=db1\nDATABASE_PORT=none\n")["port"] == 5432


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            "postgresql://u:p%40@db:6000/prod",
            {"host": "db", "port": 6000, "name": "prod", "user": "u", "password": "p@"},
        ),
        ("postgresql+asyncpg://u:p@db/prod?ssl=require", {"port": 5432, "tls": "require"}),
        (
            "postgres://u:p@db/prod?sslmode=verify-full&sslrootcert=%2Fca.pem",
            {"tls": "verify-full", "root": "/ca.pem"},
        ),
        ("postgresql://u:p@/prod?host=/run/pg", {"host": "/run/pg"}),
        ("postgresql://u@[::1]/prod", {"host": "::1", "password": None}),
    ],
)
def test_a_url(address, expected):
    found = target("DATABASE_URL=%s\n" % address)
    assert {key: found[key] for key in expected} == expected


def test_options_replace_parts_of_a_url():
    found = target(
        "DATABASE_URL=postgresql://u:p@db/prod\n", database_host="db9", database_password="q"
    )
    assert (found["host"], found["password"], found["user"], found["name"]) == (
        "db9",
        "q",
        "u",
        "prod",
    )


def test_another_database_system():
    with pytest.raises(NotHere, match="sqlite"):
        target("DATABASE_URL=sqlite:///data.db\n")


def test_clusters_of_debian(tmp_path):
    for name, start, port in (
        ("13/old", "manual", 5431),
        ("15/main", "auto", 5432),
        ("17/main", "auto # x", 5433),
    ):
        directory = tmp_path / "etc/postgresql" / name
        (directory / "conf.d").mkdir(parents=True)
        (directory / "start.conf").write_text("# how\n%s\n" % start)
        (directory / "postgresql.conf").write_text(
            "#port = 1\nport = %d   # (change requires restart)\n" % port
        )
    (tmp_path / "etc/postgresql/17/main/conf.d/a.conf").write_text("port = '5444'\n")
    assert [item["port"] for item in local_servers.postgresql(str(tmp_path))] == [5432, 5444]


@pytest.mark.parametrize(
    ("found", "directories", "configured", "host"),
    [
        (["127.0.0.1"], ["/run/postgresql"], "", "127.0.0.1"),
        (["0.0.0.0", "::"], ["/run/postgresql"], "*", "127.0.0.1"),
        (["::"], [], "*", "::1"),
        (["10.0.0.5"], ["/run/postgresql"], "10.0.0.5", "10.0.0.5"),
        ([], ["/run/postgresql"], "", "/run/postgresql"),
        # It does not run.
        ([], [], "10.0.0.5", "10.0.0.5"),
        ([], [], "localhost", "127.0.0.1"),
        ([], [], "127.0.0.1, 10.0.0.5", "127.0.0.1"),
    ],
)
def test_a_cluster_is_queried_where_it_listens(monkeypatch, found, directories, configured, host):
    monkeypatch.setattr(local_servers.sockets, "on_port", lambda port: (found, directories))
    assert local_servers._local("5433", configured)["host"] == host
    monkeypatch.setattr(local_servers.sockets, "on_port", _unreadable)
    assert local_servers._local("5433")["host"] == "127.0.0.1"


def _unreadable(port):
    raise Unmeasurable("/proc/net/tcp cannot be read")


def test_clusters_that_show_only_their_sockets(tmp_path):
    (tmp_path / "tmp").mkdir()
    for name in (".s.PGSQL.5555", ".s.PGSQL.5555.lock"):
        (tmp_path / "tmp" / name).write_text("")
    assert [item["port"] for item in local_servers.postgresql(str(tmp_path))] == [5555]
    assert local_servers.postgresql(str(tmp_path / "none")) == []


class TestObserve:
    def context(self, app, components=None, text="", error=None, concealed=frozenset()):
        return types.SimpleNamespace(
            has=lambda component: app,
            params={},
            components=components,
            env_file="/app/.env",
            environment_error=error,
            settings=app_config.settings(app_config.interpret(text), {}),
            concealed=concealed,
            deadline=Deadline(3),
        )

    def test_of_several_servers_the_first_that_answers_counts(self, monkeypatch):
        reached = []

        def reach_one(target, deadline, tables):
            reached.append(target["host"])
            alive = target["host"] != "down"
            failure = {} if alive else {"failure": {"error_kind": "refused"}}
            return {"address": target["host"], "alive": alive, **failure}

        monkeypatch.setattr(database.reach, "postgresql", reach_one)
        monkeypatch.setattr(local_servers, "postgresql", list)
        text = "DATABASE_URL=postgresql://u:p@down,h2,h3/db\n"
        observed = database.observe(self.context(app=True, text=text)).value
        assert (reached, observed["target"]) == (["down", "h2"], "h2")
        text = text.replace("h2,h3", "down:5433")
        observed = database.observe(self.context(app=True, text=text)).value
        assert observed["reached"][0]["failure"]["error_kind"] == "refused"

    def test_a_password_that_is_a_credential_is_not_taken_for_none(self, monkeypatch):
        monkeypatch.setattr(local_servers, "postgresql", list)
        text = "DATABASE_HOST=h\nDATABASE_NAME=n\nDATABASE_USER=u\n"
        context = self.context(app=True, text=text, concealed={"DATABASE_PASSWORD"})
        (result,) = database.observe(context).value["reached"]
        item = database.judge(result, (80, 90, "%"))
        assert (item["id"], item["status"]) == ("db.connection.unknown", "unknown")

    def test_a_host_without_either(self, monkeypatch):
        monkeypatch.setattr(local_servers, "postgresql", list)
        with pytest.raises(NotHere):
            database.observe(self.context(app=False))

    def test_the_clusters_of_a_host_without_an_app(self, monkeypatch):
        monkeypatch.setattr(local_servers, "postgresql", lambda: [local_servers._local("1")])
        (result,) = database.observe(self.context(app=False)).value["reached"]
        assert (result["local"], result["failure"]["error_kind"]) == (True, "refused")

    def test_the_app_s_own_database_is_not_queried_twice(self, monkeypatch):
        monkeypatch.setattr(
            local_servers,
            "postgresql",
            lambda: [local_servers._local("1"), local_servers._local("2")],
        )
        text = "DATABASE_HOST=127.0.0.1\nDATABASE_PORT=1\nDATABASE_NAME=p\nDATABASE_USER=u\n"
        found, _gaps = database.observe(
            self.context(app=True, components=["app", "postgresql"], text=text)
        )
        assert [result["address"] for result in found["reached"]] == ["127.0.0.1:1", "127.0.0.1:2"]
        assert (found["target"], found["slots"]) == ("127.0.0.1:1", None)

    def test_a_server_that_hangs_leaves_time_for_the_others(self, monkeypatch):
        now = [0.0]
        ctx = self.context(app=False)
        ctx.deadline = Deadline(8, lambda: now[0])
        monkeypatch.setattr(
            local_servers,
            "postgresql",
            lambda: [local_servers._local("1"), local_servers._local("2")],
        )
        given = []

        def hangs(target, deadline, _tables):
            given.append(deadline.remaining())
            now[0] += deadline.remaining()
            failure = {"error_kind": "hung", "message": "no answer in time"}
            return refused("hung", failure=failure, address=str(target["port"]))

        monkeypatch.setattr(reach, "postgresql", hangs)
        monkeypatch.setattr(database, "_explained", lambda *_: None)
        found, gaps = database.observe(ctx)
        assert len(found["reached"]) == 2 and gaps == {}
        assert min(given) > 1
        # No time is left for a query: that is not known, it does not hang.
        given.clear()
        now[0] = 7.6
        found, gaps = database.observe(ctx)
        assert (given, found["reached"], list(gaps)) == ([], [], ["time"])

    def test_settings_that_are_missing(self):
        found, _gaps = database.observe(self.context(app=True, text="DATABASE_HOST=x\n"))
        why = "DATABASE_USER, DATABASE_NAME are not set in /app/.env"
        assert found["reached"] == [{"unset": ["DATABASE_USER", "DATABASE_NAME"], "why": why}]

    def test_an_env_that_cannot_be_read_is_the_reason(self):
        found, _gaps = database.observe(
            self.context(app=True, error="/app/.env cannot be read: Permission denied")
        )
        assert found["reached"][0]["why"] == "/app/.env cannot be read: Permission denied"
