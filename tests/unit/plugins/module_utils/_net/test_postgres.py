# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the drivers of PostgreSQL share, without a server; with one: tests/integration."""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._net import (
    pgpass,
    pgwire,
    pgwire_statements,
    postgres,
)
from ansible_collections.sergas.ops.plugins.module_utils._net import postgres_errors as errors
from ansible_collections.sergas.ops.plugins.module_utils._net.failures import ConnectionFailed


@pytest.mark.parametrize(
    ("sqlstate", "routine", "error", "reason"),
    [
        ("28P01", "auth_failed", errors.AuthenticationFailed, "password"),
        # Peer authentication.
        ("28000", "auth_failed", errors.AuthenticationFailed, "identity"),
        # The role is not there, or may not log in.
        ("28000", "InitializeSessionUserId", errors.AuthenticationFailed, "role"),
        # No entry of pg_hba.conf, or one that rejects.
        ("28000", "ClientAuthentication", errors.NotAllowed, "pg_hba"),
        ("42501", "CheckMyDatabase", errors.NotAllowed, "privilege"),
        ("55000", "CheckMyDatabase", errors.NotAllowed, "closed_database"),
        ("3D000", "InitPostgres", errors.DatabaseMissing, "database"),
        # The server's slots, the reserved ones, those of the role.
        ("53300", "ProcArrayAdd", errors.TooManyConnections, "slots"),
        ("53300", "InitPostgres", errors.TooManyConnections, "slots"),
        ("53300", "InitializeSessionUserId", errors.TooManyConnections, "role_limit"),
        ("57P03", "ProcessStartupPacket", errors.StartingUp, "starting"),
        ("57P01", "ProcessInterrupts", errors.ConnectionLost, "stopping"),
        ("08P01", "", errors.PoolerInBetween, "pooler"),
        ("XX000", "", errors.StatementFailed, "statement"),
    ],
)
def test_a_refused_login_in_any_language(sqlstate, routine, error, reason):
    found = errors.of_login("Anmeldung abgelehnt", sqlstate, routine)
    assert (found.__class__, found.sqlstate, found.kind) == (error, sqlstate, reason)


@pytest.mark.parametrize(
    ("kind", "phase", "error", "reason"),
    [
        ("dns", "name", errors.NameUnresolved, "dns"),
        ("refused", "connect", errors.Refused, "refused"),
        ("missing", "connect", errors.Refused, "missing"),
        ("unreachable", "connect", errors.Unreachable, "unreachable"),
        ("denied", "connect", errors.Denied, "denied"),
        ("permission", "connect", errors.Denied, "permission"),
        # What was being waited for says who does not answer.
        ("timeout", "name", errors.NameUnresolved, "dns"),
        ("timeout", "connect", errors.TimedOut, "timeout"),
        ("timeout", "tls", errors.TimedOut, "hung"),
        ("timeout", "first_byte", errors.TimedOut, "hung"),
        ("closed", "first_byte", errors.ConnectionLost, "closed"),
        ("tls", "tls", errors.EncryptionFailed, "tls"),
        ("protocol", "first_byte", errors.NotPostgres, "protocol"),
        ("something new", "connect", errors.PostgresError, "something new"),
    ],
)
def test_a_failed_connection(kind, phase, error, reason):
    found = errors.of_connection(ConnectionFailed(kind, phase, "it says why"))
    assert (found.__class__, found.sqlstate, str(found)) == (error, None, "it says why")
    assert found.kind == reason


@pytest.mark.parametrize(
    ("sqlstate", "error"),
    [
        ("57014", errors.TimedOut),
        ("55P03", errors.LockTimedOut),
        ("42501", errors.InsufficientPrivilege),
        ("25006", errors.ReadOnly),
        ("57P01", errors.ConnectionLost),
        ("08006", errors.ConnectionLost),
        (None, errors.ConnectionLost),
        ("42P01", errors.StatementFailed),
        # At the start of a session these are refusals.
        ("08P01", errors.ConnectionLost),
        ("55000", errors.StatementFailed),
        ("53300", errors.TooManyConnections),
    ],
)
def test_a_failed_statement_in_any_language(sqlstate, error):
    found = errors.of_statement("Anweisung  wegen\nZeitüberschreitung abgebrochen", sqlstate)
    assert found.__class__ is error
    assert str(found) == "Anweisung wegen Zeitüberschreitung abgebrochen"


def test_kinds_are_stable_words():
    kinds = [
        error.kind
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.PostgresError)
    ]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize(
    ("statement", "count", "numbered"),
    [
        ("SELECT %s, 7 %% %s", 2, "SELECT $1, 7 % $2"),
        ("SELECT 7 % 2", 0, "SELECT 7 % 2"),
        ("SELECT '%%s', %s", 1, "SELECT '%s', $1"),
    ],
)
def test_parameters_are_numbered(statement, count, numbered):
    assert postgres.numbered(statement, count) == numbered


@pytest.mark.parametrize(
    ("statement", "count"), [("%s %s", 1), ("%s", 2), ("%d", 1), ("100 %", 1), ("none", 1)]
)
def test_parameters_that_do_not_fit_are_refused(statement, count):
    with pytest.raises(ValueError, match="SQL"):
        postgres.numbered(statement, count)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, (0, None)),
        (True, (16, b"t")),
        (-5, (23, b"-5")),
        (2**31, (20, b"2147483648")),
        (2**63, (1700, b"9223372036854775808")),
        (0.5, (701, b"0.5")),
        ("it's \\", (0, b"it's \\")),
        ([], (0, b"{}")),
        (["a'\"b", None], (1009, b'{"a\'\\"b",NULL}')),
        ([1, 2**40], (1016, b'{"1","1099511627776"}')),
        ([1, 0.5], (1022, b'{"1","0.5"}')),
        ([None], (1009, b"{NULL}")),
    ],
)
def test_values_are_encoded_with_the_type_of_their_literal(value, encoded):
    assert pgwire_statements.encode(value) == encoded


@pytest.mark.parametrize(
    ("value", "error"), [("a\0b", ValueError), ({}, TypeError), ([["a"]], TypeError)]
)
def test_values_without_a_type_are_refused(value, error):
    with pytest.raises(error):
        pgwire_statements.encode(value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("15.4 (Debian 15.4-1.pgdg120+1)", 150004),
        ("17beta1", 170000),
        ("18devel", 180000),
        ("9.6.24", 90624),
        ("", 0),
        ("unknown", 0),
    ],
)
def test_versions(text, number):
    assert postgres.version_number(text) == number


PGPASS = """\
# localhost:5432:*:sergas:of a comment
db1:5432:sergas_prod:sergas:one\\:with\\\\both
db1:*:*:sergas:two
*:6432:*:*:three
/srv/run:5432:*:postgres:four
localhost:5432:*:postgres:five
broken:line
::1:5432:*:sergas:six
\\:\\:1:5432:*:sergas:seven
"""


@pytest.mark.parametrize(
    ("host", "port", "database", "user", "password"),
    [
        ("db1", 5432, "sergas_prod", "sergas", "one:with\\both"),
        ("db1", 5432, "postgres", "sergas", "two"),
        ("db2", 6432, "postgres", "anyone", "three"),
        ("/srv/run", 5432, "postgres", "postgres", "four"),
        ("/var/run/postgresql", 5432, "postgres", "postgres", "five"),
        ("localhost", 5432, "postgres", "sergas", None),
        ("::1", 5432, "postgres", "sergas", "seven"),
        ("db2", 5432, "postgres", "sergas", None),
    ],
)
def test_the_file_of_passwords(host, port, database, user, password):
    assert pgpass.find(PGPASS, host, port, database, user) == password


def test_a_target_is_shown_without_its_password():
    target = postgres.Target("db1", 5432, "sergas", "sergas_prod", password="hidden")
    assert repr(target) == str(target) == "Target(sergas@db1:5432/sergas_prod)"


def test_settings_as_options():
    assert pgwire.options_text({"jit": "off", "a.b": "x y\\"}) == "-c jit=off -c a.b=x\\ y\\\\"
