# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One table says why a connection failed, in one word and in words for people."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._health.probes import database, redis
from ansible_collections.sergas.ops.plugins.module_utils._net import failures, postgres_failures
from ansible_collections.sergas.ops.plugins.module_utils._zoho import client, findings

KINDS = {
    value for name, value in vars(failures).items() if name.isupper() and isinstance(value, str)
}


def of(number, phase="connect"):
    return failures.of(OSError(number, os.strerror(number)), phase, "192.0.2.7:5432", {"name": 0.1})


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ECONNREFUSED, "refused"),
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.ETIMEDOUT, "timeout"),
        (errno.ECONNRESET, "closed"),
        (errno.EPIPE, "closed"),
        (errno.EPERM, "denied"),
        (errno.ENOENT, "missing"),
        (errno.EIO, "closed"),
        (errno.EADDRNOTAVAIL, "ports"),
    ],
)
def test_what_the_system_says_has_a_kind(number, kind):
    failure = of(number)
    assert (failure.kind, failure.phase, failure.phases) == (kind, "connect", {"name": 0.1})
    assert str(failure) == "192.0.2.7:5432: %s" % failure.detail


@pytest.mark.parametrize(
    ("code", "kind"),
    [(10, "expired"), (9, "expired"), (20, "issuer"), (18, "issuer"), (62, "name"), (23, "tls")],
)
def test_what_is_wrong_with_a_certificate_has_a_kind(code, kind):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "as OpenSSL says it"
    failure = failures.of(error, "tls", "192.0.2.7:443")
    assert (failure.kind, failure.detail) == (kind, "as OpenSSL says it")
    assert failures.ADVICE.get(kind) or kind == "tls"


@pytest.mark.parametrize(
    ("phase", "reason"),
    [("name", "dns"), ("connect", "timeout"), ("tls", "hung"), ("first_byte", "hung")],
)
def test_a_timeout_is_what_was_being_waited_for(phase, reason):
    assert failures.of(socket.timeout(), phase, "x").reason == reason


def test_a_kind_other_than_a_timeout_is_the_reason():
    assert of(errno.ECONNREFUSED, "first_byte").reason == "refused"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_socket_file_that_may_not_be_opened_is_no_matter_of_the_firewall(number):
    error = OSError(number, os.strerror(number))
    failure = failures.of(error, "connect", "/run/redis/redis.sock")
    assert failure.reason == failures.PERMISSION
    assert "firewall" not in failures.WORDS[failure.reason] + failures.ADVICE[failure.reason]
    assert str(failure) == "/run/redis/redis.sock: %s" % os.strerror(number)
    for advice in (postgres_failures.ADVICE, redis._ADVICE):
        assert "firewall" not in advice[failure.reason]


def test_tls_that_fails_is_no_connection_that_was_cut():
    failure = failures.of(ssl.SSLError(1, "x"), "tls", "x:443")
    assert (failure.kind, failure.detail) == ("tls", "handshake failed")
    assert failures.of(ssl.SSLError(1, "x"), "first_byte", "x:443").kind == "closed"


def test_the_certificate_s_own_fault_is_the_detail():
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "certificate has expired"
    failure = failures.of(error, "tls", "x:443")
    assert (str(failure), failure.detail) == (
        "x:443: TLS: certificate has expired",
        "certificate has expired",
    )


def test_a_name_that_the_resolver_does_not_know():
    failure = failures.unresolved("db.invalid", socket.gaierror(-2, "Name or service not known"))
    assert (failure.kind, failure.phase) == ("dns", "name")
    assert str(failure).endswith("db.invalid cannot be resolved: Name or service not known")


def test_every_kind_has_words():
    assert set(failures.WORDS) == KINDS
    assert set(failures.ADVICE) <= KINDS


def test_each_service_has_a_finding_for_what_may_happen_on_the_way_to_it():
    for reason in KINDS - {failures.PROXY, failures.REDIRECT}:
        assert database._ERROR_KINDS[reason][0] == "db.unreachable"
        assert redis._ERROR_KINDS[reason][0] == "redis.unreachable"
        assert (
            database._ERROR_KINDS[reason][1]
            == redis._ERROR_KINDS[reason][1]
            == failures.WORDS[reason]
        )
    for kind in KINDS:
        error = failures.ConnectionFailed(kind, "connect", "x")
        assert client.explain(error, "accounts.zoho.com").error_kind in findings._PROBLEMS
