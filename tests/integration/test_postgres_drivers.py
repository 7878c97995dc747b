# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of the two PostgreSQL drivers, held to by both against the same servers."""

from __future__ import annotations

import contextlib
import math
import os
import pwd
import shutil
import socket
import struct
import subprocess
import threading
import time

import psycopg2
import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres as drivers
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors

from .conftest import PASSWORD

HBA = """\
local   all    no_peer           reject
local   all    all               peer
host    all    md5_role          127.0.0.1/32 md5
host    all    clear_role        127.0.0.1/32 password
host    all    certificate_role  127.0.0.1/32 reject
hostssl all    tls_role          127.0.0.1/32 scram-sha-256
host    all    tls_role          127.0.0.1/32 reject
host    all    rejected_role     127.0.0.1/32 reject
host    all    all               127.0.0.1/32 scram-sha-256
"""
ROLES = ("app", "tls_role", "clear_role", "rejected_role", "certificate_role", "no_peer")


@pytest.fixture(params=["psycopg2", "pgwire"])
def driver(request):
    return request.param


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Certificates: of an authority, of the server, of a client, of another authority."""
    directory = tmp_path_factory.mktemp("tls")
    new = ("req", "-newkey", "rsa:2048", "-nodes")
    for name in ("ca", "other"):
        openssl(
            *(*new, "-x509", "-days", 2, "-subj", "/CN=the %s authority" % name),
            *("-keyout", directory / (name + ".key"), "-out", directory / (name + ".crt")),
        )
    for name, subject in (("server", "localhost"), ("client", "certificate_role")):
        openssl(
            *(*new, "-subj", "/CN=" + subject),
            *("-keyout", directory / (name + ".key"), "-out", directory / (name + ".csr")),
        )
        (directory / "names").write_text("subjectAltName=DNS:%s" % subject)
        openssl(
            *("x509", "-req", "-in", directory / (name + ".csr"), "-days", 2),
            *("-CA", directory / "ca.crt", "-CAkey", directory / "ca.key", "-CAcreateserial"),
            *("-extfile", directory / "names", "-out", directory / (name + ".crt")),
        )
    return directory


@pytest.fixture(scope="module")
def server(make_postgres, authority):
    """A server with TLS and a role for each way to authenticate and to fail."""
    server = make_postgres(max_connections=13, superuser_reserved_connections=3)
    for name in ("server.key", "server.crt", "ca.crt"):
        shutil.copy(authority / name, server.directory / name)
        shutil.chown(server.directory / name, server.owner, server.owner)
        (server.directory / name).chmod(0o600)
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        for role in ROLES:
            cursor.execute(f"CREATE ROLE {role} LOGIN PASSWORD %s", [PASSWORD])
        cursor.execute("CREATE ROLE limited_role LOGIN CONNECTION LIMIT 0 PASSWORD %s", [PASSWORD])
        cursor.execute("CREATE ROLE nologin_role PASSWORD %s", [PASSWORD])
        cursor.execute("SET password_encryption = md5")
        cursor.execute("CREATE ROLE md5_role LOGIN PASSWORD %s", [PASSWORD])
        cursor.execute("CREATE DATABASE closed")
        cursor.execute("REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
    server.stop(mode="fast")
    (server.data / "pg_hba.conf").write_text(
        HBA.replace(
            "host    all    certificate_role  127.0.0.1/32 reject",
            "hostssl all    certificate_role  127.0.0.1/32 cert",
        )
    )
    server.configure(
        {
            "ssl": "on",
            "ssl_cert_file": f"'{server.directory}/server.crt'",
            "ssl_key_file": f"'{server.directory}/server.key'",
            "ssl_ca_file": f"'{server.directory}/ca.crt'",
        }
    )
    server.start()
    return server


@pytest.fixture(scope="module")
def admin(server):
    with contextlib.closing(server.connect()) as connection:
        yield connection


def over_tcp(server, user="app", **changes):
    changes.setdefault("password", PASSWORD)
    changes.setdefault("host", "127.0.0.1")
    return drivers.Target(**{"port": server.port, "user": user, "database": "postgres", **changes})


def over_socket(server, user=None, **changes):
    owner = server.owner
    system_user = owner if os.geteuid() == 0 else None
    return drivers.Target(
        host=str(server.directory),
        port=server.port,
        user=user or owner,
        database="postgres",
        **{"system_user": system_user, **changes},
    )


def connect(target, driver, seconds=10):
    return drivers.connect(target, Deadline(seconds), driver)


def encrypted(connection):
    return connection.execute(
        "SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()"
    ).rows == [[True]]


@pytest.mark.postgresql_versions
def test_values_are_the_same_over_both(server):
    query = (
        "SELECT true, 7::int2, 7::int4, 9007199254740993::int8, 1.5::float8, 'NaN'::float8, 7::oid,"
        " 'text', 'name'::name, 1.50::numeric, '2026-01-02 03:04:05+00'::timestamptz,"
        " ARRAY[1, 2], '{\"a\": 1}'::jsonb, '\\xff'::bytea, NULL::int4, ''"
    )
    found = {}
    for driver in ("psycopg2", "pgwire"):
        with connect(over_tcp(server), driver) as connection:
            [found[driver]] = connection.execute(query).rows
    assert found["psycopg2"][:5] == [True, 7, 7, 9007199254740993, 1.5]
    assert found["psycopg2"][6:10] == [7, "text", "name", "1.50"]
    assert found["psycopg2"][11:] == ["{1,2}", '{"a": 1}', "\\xff", None, ""]
    assert math.isnan(found["psycopg2"].pop(5))
    assert math.isnan(found["pgwire"].pop(5))
    assert found["psycopg2"] == found["pgwire"]


@pytest.mark.parametrize(
    ("cast", "value"),
    [
        ("text", 'it\'s \\ "x" $1 %s'),
        ("int4", -5),
        ("int8", 2**40),
        ("numeric", 10**30),
        ("float8", -1.5e300),
        ("bool", True),
        ("text", None),
        ("text[]", ["a,b", 'c"d\\', "{}", "", "NULL", None, "  "]),
        ("int4[]", [1, -2, None]),
        ("int8[]", [1, 2**40]),
        ("bool[]", [True, False]),
        ("float8[]", [1.5, 2]),
        ("text[]", []),
        ("text[]", [None]),
    ],
)
def test_parameters_arrive_as_they_were_given(server, driver, cast, value):
    with connect(over_tcp(server), driver) as connection:
        [[text]] = connection.execute(f"SELECT to_json(%s::{cast})::text", [value]).rows
    # As psycopg2 alone brings it there.
    with contextlib.closing(server.connect()) as plain, plain.cursor() as cursor:
        cursor.execute(f"SELECT to_json(%s::{cast})::text", [value])
        assert cursor.fetchone() == (text,)


def test_a_value_has_the_type_that_it_has_in_a_statement(server, driver):
    """A function is found by the types of its arguments."""
    with connect(over_tcp(server), driver) as connection:
        assert connection.execute("SELECT count(*) FROM pg_stat_get_activity(%s)", [1]).rows == [
            [0]
        ]
        assert connection.execute(
            "SELECT pg_typeof(%s)::text, pg_typeof(%s)::text, pg_typeof(%s)::text",
            [7, 2**40, True],
        ).rows == [["integer", "bigint", "boolean"]]
        assert connection.execute("SELECT 7 WHERE %s = ANY(%s)", ["a", ["a", "b"]]).rows == [[7]]
        assert connection.execute("SELECT 1 LIMIT %s", [0]).rows == []


@pytest.mark.parametrize(
    ("statement", "parameters", "error"),
    [
        ("SELECT %s", ["a\0b"], ValueError),
        ("SELECT %s", [{}], TypeError),
        ("SELECT %s", [["a", ["b"]]], TypeError),
        ("SELECT %s, %s", [1], ValueError),
        ("SELECT %s", [1, 2], ValueError),
        ("SELECT 100 %", [1], ValueError),
        ("SELECT %d", [1], ValueError),
    ],
)
def test_what_is_no_parameter_never_reaches_the_server(
    server, driver, statement, parameters, error
):
    with connect(over_tcp(server), driver) as connection:
        with pytest.raises(error):
            connection.execute(statement, parameters)
        assert connection.execute("SELECT 1").rows == [[1]]


def test_rows_are_counted_and_returned(server, driver):
    with connect(over_socket(server), driver) as connection:
        connection.execute("CREATE TEMPORARY TABLE t (i int)")
        assert connection.execute("INSERT INTO t SELECT generate_series(1, 5)") == ([], 5)
        assert connection.execute("UPDATE t SET i = i + 1 WHERE i > %s", [3]).count == 2
        done = connection.execute("DELETE FROM t WHERE i > 4 RETURNING i")
        assert (sorted(done.rows), done.count) == ([[5], [6]], 2)
        connection.execute("BEGIN")
        connection.execute("DELETE FROM t")
        connection.execute("ROLLBACK")
        assert connection.execute("SELECT count(*) FROM t").rows == [[3]]
        connection.execute("VACUUM t")


def test_a_large_result_and_notices_in_between(server, driver):
    with connect(over_tcp(server), driver) as connection:
        connection.execute("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$")
        [[text]] = connection.execute("SELECT repeat('0123456789', 500000)").rows
        assert len(text) == 5000000
        rows = connection.execute("SELECT i, 'row ' || i FROM generate_series(1, 20000) i").rows
        assert rows[::9999] == [[1, "row 1"], [10000, "row 10000"], [19999, "row 19999"]]


def test_the_session_starts_with_its_settings(server, driver):
    settings = {"search_path": "pg_catalog", "TimeZone": "UTC", "DateStyle": "ISO, DMY"}
    with connect(over_tcp(server, settings=settings, name="a 'name'"), driver) as connection:
        assert connection.execute(
            "SELECT current_setting('search_path'), current_setting('datestyle'),"
            " current_setting('application_name'), current_setting('client_encoding')"
        ).rows == [["pg_catalog", "ISO, DMY", "a 'name'", "UTF8"]]
        assert connection.version == server.connect().server_version


@pytest.mark.postgresql_versions
@pytest.mark.parametrize("role", ["app", "md5_role", "clear_role"])
def test_passwords(server, driver, role):
    with connect(over_tcp(server, role), driver) as connection:
        assert connection.execute("SELECT current_user::text").rows == [[role]]
    for password in ("wrong", None):
        with pytest.raises(errors.AuthenticationFailed) as caught:
            connect(over_tcp(server, role, password=password), driver)
        assert caught.value.sqlstate == "28P01"


def test_the_system_user_over_the_socket(server, driver):
    with connect(over_socket(server), driver) as connection:
        assert connection.execute("SELECT session_user::text").rows == [[server.owner]]
    assert os.geteuid() == os.getuid()
    with pytest.raises(errors.AuthenticationFailed) as caught:
        connect(over_socket(server, "app"), driver)
    assert caught.value.sqlstate == "28000"
    with pytest.raises(errors.NotAllowed):
        connect(over_socket(server, "no_peer"), driver)
    if os.geteuid() == 0:
        # Peer authentication goes by who opened the socket.
        with pytest.raises(errors.AuthenticationFailed):
            connect(over_socket(server, system_user=None), driver)


def test_passwords_of_the_users_own_file(server, driver, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / ".pgpass"
    password = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    line = f"127.0.0.1:{server.port}:*:app:{password}\n"
    file.write_text("# a comment\nother:*:*:*:wrong\n" + line)
    file.chmod(0o600)
    with connect(over_tcp(server, password=None), driver) as connection:
        assert connection.execute("SELECT current_user::text").rows == [["app"]]
    # Others may read it, so it is not used.
    file.chmod(0o644)
    with pytest.raises(errors.AuthenticationFailed):
        connect(over_tcp(server, password=None), driver)


@pytest.mark.parametrize(
    ("tls", "is_encrypted"),
    [("disable", False), ("require", True), ("verify-ca", True), ("verify-full", True)],
)
def test_tls(server, authority, driver, tls, is_encrypted):
    target = over_tcp(server, host="localhost", tls=tls, ca_cert=str(authority / "ca.crt"))
    with connect(target, driver) as connection:
        assert encrypted(connection) is is_encrypted


@pytest.mark.parametrize("tls", ["prefer", "allow"])
def test_tls_is_used_where_the_server_wants_it(server, driver, tls):
    with connect(over_tcp(server, "tls_role", tls=tls), driver) as connection:
        assert encrypted(connection)


@pytest.mark.parametrize(
    ("changes", "error", "sqlstate"),
    [
        ({"user": "tls_role", "tls": "disable"}, errors.NotAllowed, "28000"),
        # As with libpq, an authority that is named is verified with require, too.
        ({"tls": "require", "ca_cert": "other.crt"}, errors.EncryptionFailed, None),
        ({"tls": "verify-ca", "ca_cert": "other.crt"}, errors.EncryptionFailed, None),
        ({"tls": "verify-full", "ca_cert": "other.crt"}, errors.EncryptionFailed, None),
        ({"tls": "verify-full", "ca_cert": "missing"}, errors.EncryptionFailed, None),
        ({"tls": "verify-full"}, errors.EncryptionFailed, None),
        # The certificate is for localhost.
        (
            {"tls": "verify-full", "ca_cert": "ca.crt", "host": "127.0.0.1"},
            errors.EncryptionFailed,
            None,
        ),
        ({"user": "certificate_role", "tls": "require"}, errors.NotAllowed, "28000"),
    ],
)
def test_tls_that_is_refused(
    server, authority, driver, tmp_path, monkeypatch, changes, error, sqlstate
):
    monkeypatch.setenv("HOME", str(tmp_path))
    changes = {"host": "localhost", **changes}
    if "ca_cert" in changes:
        changes["ca_cert"] = str(authority / changes["ca_cert"])
    with pytest.raises(errors.PostgresError) as caught:
        connect(over_tcp(server, **changes), driver)
    assert (caught.value.__class__, caught.value.sqlstate) == (error, sqlstate), caught.value


def test_a_clients_certificate(server, authority, driver):
    target = over_tcp(
        server,
        "certificate_role",
        host="localhost",
        password=None,
        tls="verify-full",
        ca_cert=str(authority / "ca.crt"),
        cert=str(authority / "client.crt"),
        key=str(authority / "client.key"),
    )
    with connect(target, driver) as connection:
        assert connection.execute("SELECT current_user::text").rows == [["certificate_role"]]
    with pytest.raises(errors.EncryptionFailed):
        connect(target._replace(key=str(authority / "server.key")), driver)


@pytest.mark.parametrize(
    ("changes", "error", "sqlstate"),
    [
        ({"user": "no_such_role"}, errors.AuthenticationFailed, "28P01"),
        ({"user": "nologin_role"}, errors.AuthenticationFailed, "28000"),
        ({"user": "rejected_role"}, errors.NotAllowed, "28000"),
        ({"user": "limited_role"}, errors.TooManyConnections, "53300"),
        ({"database": "no_such"}, errors.DatabaseMissing, "3D000"),
        ({"database": "closed"}, errors.NotAllowed, "42501"),
        ({"host": "no-such-host.invalid"}, errors.NameUnresolved, None),
        ({"port": 1}, errors.Refused, None),
        ({"host": "/no/such/directory"}, errors.Refused, None),
    ],
)
def test_why_a_login_fails(server, driver, changes, error, sqlstate):
    with pytest.raises(errors.PostgresError) as caught:
        connect(over_tcp(server, **changes), driver)
    assert (caught.value.__class__, caught.value.sqlstate) == (error, sqlstate), caught.value


@pytest.mark.postgresql_versions
def test_every_slot_is_taken(server, driver):
    with contextlib.ExitStack() as stack:
        with pytest.raises(errors.TooManyConnections) as caught:
            for _number in range(14):
                stack.enter_context(connect(over_tcp(server), driver))
        assert caught.value.sqlstate == "53300"
        # A superuser has reserved slots.
        stack.enter_context(connect(over_socket(server), driver))


def test_locks_are_waited_for_no_longer_than_set(server, driver, admin):
    with contextlib.closing(server.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS held (i int)")
        holder.autocommit = False
        cursor.execute("LOCK TABLE held")
        target = over_socket(server, settings={"lock_timeout": "200"})
        with connect(target, driver) as connection:
            with pytest.raises(errors.LockTimedOut) as caught:
                connection.execute("SELECT count(*) FROM held")
            assert caught.value.sqlstate == "55P03"
            assert connection.execute("SELECT 1").rows == [[1]]
        holder.rollback()


def test_a_session_that_only_reads(server, driver):
    target = over_socket(server, settings={"default_transaction_read_only": "on"})
    with connect(target, driver) as connection, pytest.raises(errors.ReadOnly) as caught:
        connection.execute("CREATE TABLE not_made (i int)")
    assert caught.value.sqlstate == "25006"


def until(admin, query, parameters, wanted):
    end = time.monotonic() + 10
    with admin.cursor() as cursor:
        while True:
            cursor.execute(query, parameters)
            found = cursor.fetchone()[0]
            if found == wanted:
                return
            assert time.monotonic() < end, found
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("function", "error", "sqlstate", "usable"),
    [
        ("pg_cancel_backend", errors.TimedOut, "57014", True),
        ("pg_terminate_backend", errors.ConnectionLost, "57P01", False),
    ],
)
def test_ended_by_an_administrator(server, driver, admin, function, error, sqlstate, usable):
    with connect(over_tcp(server), driver) as connection:
        [[pid]] = connection.execute("SELECT pg_backend_pid()").rows

        def end():
            until(admin, "SELECT wait_event FROM pg_stat_activity WHERE pid = %s", [pid], "PgSleep")
            admin.cursor().execute(f"SELECT {function}(%s)", [pid])

        thread = threading.Thread(target=end)
        thread.start()
        with pytest.raises(errors.PostgresError) as caught:
            connection.execute("SELECT pg_sleep(30)")
        thread.join()
        assert caught.value.__class__ is error
        # libpq keeps the code of a session that ended to itself.
        assert caught.value.sqlstate == (sqlstate if usable or driver == "pgwire" else None)
        if usable:
            assert connection.execute("SELECT 1").rows == [[1]]
        else:
            with pytest.raises(errors.ConnectionLost):
                connection.execute("SELECT 1")


@pytest.mark.parametrize("tls", ["disable", "require"])
def test_what_is_given_up_at_the_deadline_is_cancelled_on_the_server(server, driver, admin, tls):
    with connect(over_tcp(server, tls=tls), driver) as connection:
        [[pid]] = connection.execute("SELECT pg_backend_pid()").rows
        connection.deadline = Deadline(0.3)
        started = time.monotonic()
        with pytest.raises(errors.TimedOut) as caught:
            connection.execute("SELECT pg_sleep(30)")
        assert caught.value.kind == "hung"
        assert time.monotonic() - started < 3
        until(
            admin,
            "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'",
            [pid],
            0,
        )
        with pytest.raises(errors.ConnectionLost):
            connection.execute("SELECT 1")


@contextlib.contextmanager
def answering(*answers):
    """Yield the port of a server that answers each packet with the next one, in each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    with connection, contextlib.suppress(OSError):
                        for answer in answers:
                            if not connection.recv(4096):
                                break
                            connection.sendall(answer)
                        connection.settimeout(2)
                        connection.recv(4096)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def message(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


def refusal(sqlstate):
    return message(b"E", b"SFATAL\0VFATAL\0C%s\0Mnon\0\0" % sqlstate)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", errors.NotPostgres),
        (b"\0" * 64, errors.NotPostgres),
        (b"R\0\0", errors.TimedOut),
        (refusal(b"57P03"), errors.StartingUp),
        (refusal(b"57P01"), errors.ConnectionLost),
        # What PgBouncer says of settings that it does not know.
        (refusal(b"08P01"), errors.PoolerInBetween),
        (message(b"R", struct.pack("!i", 7)), errors.PostgresError),
    ],
)
def test_what_answers_is_no_server_or_takes_no_session(driver, answer, error):
    with answering(answer) as port, pytest.raises(errors.PostgresError) as caught:
        connect(
            drivers.Target(
                "127.0.0.1", port, "app", "postgres", "x", tls="disable", settings={"jit": "off"}
            ),
            driver,
            seconds=1,
        )
    assert isinstance(caught.value, error), caught.value


def test_a_server_that_accepts_and_says_nothing(driver):
    started = time.monotonic()
    with answering(b"") as port, pytest.raises(errors.TimedOut) as caught:
        connect(drivers.Target("127.0.0.1", port, "app", "postgres", "x"), driver, seconds=0.4)
    assert caught.value.kind == "hung"
    assert time.monotonic() - started < 3


def test_a_server_from_which_nothing_comes_back(driver):
    """Its queue is full, so that the kernel drops requests for a connection as a filter does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as s:
        for _connection in range(3):
            filler = s.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        with pytest.raises(errors.TimedOut) as caught:
            connect(drivers.Target("127.0.0.1", port, "app", "postgres", "x"), driver, seconds=0.4)
    assert caught.value.kind == "timeout"


def test_a_name_that_no_server_resolves_in_time(driver, monkeypatch):
    def getaddrinfo(*_arguments, flags=0, **_options):
        if not flags:
            time.sleep(1)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(errors.NameUnresolved):
        connect(drivers.Target("db1", 5432, "app", "postgres", "x"), driver, seconds=0.2)


READY = message(b"R", struct.pack("!i", 0)) + message(b"Z", b"I")


@pytest.mark.parametrize(
    ("junk", "error"),
    [
        (b"\0" * 64, errors.NotPostgres),
        (message(b"D", b"\0\7"), errors.NotPostgres),
        (message(b"T", b"\0\1name"), errors.NotPostgres),
        (message(b"G", b"\0\0\0"), errors.NotPostgres),
        (b"D\x7f\xff\xff\xff", errors.NotPostgres),
        (message(b"E", b"C57P01\0Mended\0\0"), errors.ConnectionLost),
    ],
)
def test_junk_within_a_session_of_the_built_in_client(junk, error):
    with answering(READY, junk) as port:
        connection = connect(
            drivers.Target("127.0.0.1", port, "app", "postgres", tls="disable"), "pgwire", 1
        )
        with pytest.raises(errors.PostgresError) as caught:
            connection.execute("SELECT 1")
        assert isinstance(caught.value, error), caught.value
        with pytest.raises(errors.ConnectionLost):
            connection.execute("SELECT 1")


def test_the_driver_is_named_and_chosen_by_what_there_is(server, driver, monkeypatch):
    if driver == "pgwire":
        monkeypatch.setattr(drivers, "psycopg2", None)
    with drivers.connect(over_tcp(server), Deadline(10)) as connection:
        assert connection.driver == driver


def test_a_failure_of_libpq_alone_is_not_hidden_by_the_other_driver(server, monkeypatch):
    """For example a setting of libpq that the built-in client does not know."""

    def fail(**_keywords):
        raise psycopg2.OperationalError("channel binding\nis required")

    monkeypatch.setattr(psycopg2, "connect", fail)
    with pytest.raises(errors.PostgresError, match="channel binding is required") as caught:
        connect(over_tcp(server), "psycopg2")
    assert caught.value.kind == "error"


def test_a_server_that_is_up_at_the_second_attempt_is_used(server, monkeypatch):
    attempts = []
    real = psycopg2.connect

    def fail_once(**keywords):
        attempts.append(keywords)
        if len(attempts) == 1:
            raise psycopg2.OperationalError("the database system is starting up")
        return real(**keywords)

    monkeypatch.setattr(psycopg2, "connect", fail_once)
    with connect(over_tcp(server), "psycopg2") as connection:
        assert connection.driver == "psycopg2"


def test_the_system_user_is_taken_for_the_login_only(server):
    """Whatever happens there."""
    if os.geteuid() == 0:
        assert pwd.getpwnam(server.owner).pw_uid != 0
        with pytest.raises(errors.Refused):
            connect(over_socket(server)._replace(port=1), "pgwire")
    assert os.geteuid() == os.getuid()
