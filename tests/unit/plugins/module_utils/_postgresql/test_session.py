# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._postgresql import session

COLLECTION = Path(__file__).parents[5]

# As libpq 13 to 17 print them.
CONNECTION_FAILURES = [
    (
        (
            'connection to server at "10.0.0.5", port 5432 failed: FATAL:  password authentication'
            ' failed for user "sergas"\n'
        ),
        session.AuthenticationFailed,
        "28P01",
    ),
    (
        (
            'psql: error: connection to server on socket "/var/run/postgresql/.s.PGSQL.5432"'
            ' failed: FATAL:  Peer authentication failed for user "sergas"\n'
        ),
        session.AuthenticationFailed,
        "28P01",
    ),
    ('psql: error: FATAL:  role "root" does not exist', session.AuthenticationFailed, "28000"),
    ("fe_sendauth: no password supplied\n", session.AuthenticationFailed, "28P01"),
    (
        (
            'connection to server at "db" (10.0.0.5), port 5432 failed: FATAL:  no pg_hba.conf'
            ' entry for host "10.0.0.9", user "sergas", database "sergas_prod", SSL'
            ' encryption\nconnection to server at "db" (10.0.0.5), port 5432 failed: FATAL:  no'
            ' pg_hba.conf entry for host "10.0.0.9", user "sergas", database "sergas_prod", no'
            " encryption\n"
        ),
        session.NotAllowed,
        "28000",
    ),
    (
        (
            'connection to server at "db", port 5432 failed: FATAL:  password authentication failed'
            ' for user "sergas"\nconnection to server at "db", port 5432 failed: FATAL:  no'
            ' pg_hba.conf entry for host "10.0.0.9", user "sergas", database "sergas_prod", no'
            " encryption"
        ),
        session.AuthenticationFailed,
        "28P01",
    ),
    ('FATAL:  database "sergas_prd" does not exist', session.DatabaseMissing, "3D000"),
    ("FATAL:  sorry, too many clients already", session.TooManyConnections, "53300"),
    (
        "FATAL:  remaining connection slots are reserved for non-replication superuser connections",
        session.TooManyConnections,
        "53300",
    ),
    (
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        session.TooManyConnections,
        "53300",
    ),
    ('FATAL:  too many connections for role "sergas"', session.TooManyConnections, "53300"),
    ("FATAL:  the database system is starting up", session.StartingUp, "57P03"),
    ("FATAL:  the database system is shutting down", session.StartingUp, "57P03"),
    ("FATAL:  the database system is in recovery mode", session.StartingUp, "57P03"),
    (
        (
            "FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent"
            " recovery state has not been yet reached."
        ),
        session.StartingUp,
        "57P03",
    ),
    (
        (
            'connection to server at "127.0.0.1", port 5432 failed: Connection refused\n\tIs the'
            " server running on that host and accepting TCP/IP connections?\n"
        ),
        session.Refused,
        None,
    ),
    (
        (
            "could not connect to server: No such file or directory\n\tIs the server running"
            ' locally and accepting\n\tconnections on Unix domain socket "/tmp/.s.PGSQL.5432"?\n'
        ),
        session.Refused,
        None,
    ),
    (
        'connection to server at "10.0.0.5", port 5432 failed: timeout expired\n',
        session.TimedOut,
        None,
    ),
    ("could not connect to server: Connection timed out", session.TimedOut, None),
    (
        'connection to server at "10.0.0.5", port 5432 failed: No route to host',
        session.Unreachable,
        None,
    ),
    (
        'could not translate host name "db" to address: Name or service not known',
        session.NameUnresolved,
        None,
    ),
    ("server does not support SSL, but SSL was required", session.EncryptionFailed, None),
    ("SSL error: certificate verify failed", session.EncryptionFailed, None),
    (
        'root certificate file "/root/.postgresql/root.crt" does not exist',
        session.EncryptionFailed,
        None,
    ),
    ('FATAL:  permission denied for database "sergas_prod"', session.NotAllowed, "42501"),
    ("server closed the connection unexpectedly", session.ConnectionLost, None),
    ("FATAL:  unsupported startup parameter: options", session.PoolerInBetween, "08P01"),
    ("something that nobody has seen", session.PostgresError, None),
]


@pytest.mark.parametrize(("message", "error", "sqlstate"), CONNECTION_FAILURES)
def test_failed_connections_are_told_apart(message, error, sqlstate):
    found = session.connection_error(message)
    assert found.__class__ is error
    assert found.sqlstate == sqlstate
    assert not str(found).startswith("psql")


@pytest.mark.parametrize(
    ("sqlstate", "error"),
    [
        ("57014", session.TimedOut),
        ("55P03", session.LockTimedOut),
        ("42501", session.InsufficientPrivilege),
        ("25006", session.ReadOnly),
        ("57P01", session.ConnectionLost),
        ("08006", session.ConnectionLost),
        (None, session.ConnectionLost),
        ("42P01", session.StatementFailed),
    ],
)
def test_failed_statements_are_told_apart_in_any_language(sqlstate, error):
    found = session.statement_error("Anweisung  wegen\nZeitüberschreitung abgebrochen", sqlstate)
    assert found.__class__ is error
    assert str(found) == "Anweisung wegen Zeitüberschreitung abgebrochen"


@pytest.mark.parametrize(
    "error",
    [
        kind
        for _name, kind in sorted(vars(session).items())
        if isinstance(kind, type) and issubclass(kind, session.PostgresError)
    ],
)
def test_an_error_of_any_kind_is_a_finding_that_is_not_ok(error):
    found = session.unreachable_finding(error("it says why", "12345"), "db1:5432")
    assert found["status"] in ("fail", "unknown")
    assert found["evidence"]["target"] == "db1:5432"
    assert "it says why" in found["summary"]


@pytest.mark.parametrize(
    ("error", "id"),
    [
        (session.Refused, "db.unreachable"),
        (session.NameUnresolved, "db.unreachable"),
        (session.AuthenticationFailed, "db.auth.failed"),
        (session.NotAllowed, "db.auth.failed"),
        (session.DatabaseMissing, "db.missing"),
        (session.TooManyConnections, "db.connections.exhausted"),
        (session.ClientMissing, "db.connection.unknown"),
    ],
)
def test_what_is_wrong_names_the_finding(error, id):
    assert session.unreachable_finding(error("why"), "db1:5432")["id"] == id


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (-5, " -5"),
        (0.5, " 0.5"),
        ("it's", " E'it''s'"),
        ("a\\", " E'a\\\\'"),
        ([], "'{}'"),
        (["a'b", None], "ARRAY[ E'a''b', NULL]"),
    ],
)
def test_literals(value, text):
    assert session.literal(value) == text


def test_what_has_no_literal_is_refused():
    with pytest.raises(ValueError, match="null character"):
        session.literal("a\0b")
    with pytest.raises(TypeError, match="dict"):
        session.literal({})


def test_identifiers():
    assert session.identifier('a "b"') == '"a ""b"""'


def test_arguments_take_their_places_and_stay_data():
    assert session.interpolate("SELECT %s, 7 %% %s", ["%s", 2]) == "SELECT  E'%s', 7 %  2"
    assert session.interpolate("SELECT 7 % 2", []) == "SELECT 7 % 2"


@pytest.mark.parametrize(
    ("sql", "args"), [("%s %s", [1]), ("%s", [1, 2]), ("%d", [1]), ("100 %", [1])]
)
def test_arguments_that_do_not_fit_are_refused(sql, args):
    with pytest.raises(ValueError, match="SQL"):
        session.interpolate(sql, args)


def test_a_reading_session_is_bounded_and_read_only():
    settings = session.session_settings(Deadline(10, clock=lambda: 0.0))
    assert settings["default_transaction_read_only"] == "on"
    assert settings["statement_timeout"] == "9000"
    assert settings["lock_timeout"] == "2000"
    assert settings["search_path"] == "pg_catalog"


def test_an_acting_session_may_write_and_has_its_own_bounds():
    settings = session.session_settings(
        Deadline(100, clock=lambda: 0.0), acting=True, statement_timeout=30, lock_timeout=0.5
    )
    assert "default_transaction_read_only" not in settings
    assert (settings["statement_timeout"], settings["lock_timeout"]) == ("30000", "500")


UNIX_SOCKETS = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 22533 /run/systemd/private
0000000000000000: 00000002 00000000 00010000 0001 01 99213 /srv/with a space/.s.PGSQL.5432
0000000000000000: 00000003 00000000 00000000 0001 03 99300 /srv/with a space/.s.PGSQL.5432
0000000000000000: 00000002 00000000 00010000 0001 01 99214 /srv/two/.s.PGSQL.54321
0000000000000000: 00000002 00000000 00010000 0001 01 99215 @/srv/abstract/.s.PGSQL.5432
0000000000000000: 00000003 00000000 00000000 0001 03 22534
"""


def test_sockets_in_unusual_folders():
    assert session.listening_folders(UNIX_SOCKETS, 5432) == ("/srv/with a space",)
    assert session.listening_folders("", 5432) == ()


@pytest.mark.parametrize(
    ("params", "target"),
    [
        ({}, "localhost:5432"),
        ({"login_host": "db1", "login_port": 6432}, "db1:6432"),
        ({"login_host": "/run/postgresql"}, "localhost:5432"),
    ],
)
def test_target(params, target):
    assert session.target(params) == target


def test_a_password_is_in_the_environment_of_psql_and_not_among_its_arguments():
    place = session.Place(
        "db1", ["10.0.0.5", "10.0.0.6"], 5432, "sergas", "hidden", "sergas_prod", None, "test", {}
    )
    environment = place.environment()
    assert environment["PGPASSWORD"] == "hidden"
    assert (environment["PGHOST"], environment["PGHOSTADDR"]) == ("db1,db1", "10.0.0.5,10.0.0.6")
    assert place.demotion() == []


def test_the_fragment_documents_the_options():
    fragment = {}
    exec((COLLECTION / "plugins/doc_fragments/postgresql.py").read_text(), fragment)  # noqa: S102 - our own file
    options = yaml.safe_load(fragment["ModuleDocFragment"].DOCUMENTATION)["options"]
    assert set(options) == set(session.CONNECTION)
    for name, spec in session.CONNECTION.items():
        for key in ("type", "default", "choices"):
            assert options[name].get(key) == spec.get(key), (name, key)
