# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql import location


@pytest.fixture(autouse=True)
def _no_servers(monkeypatch):
    monkeypatch.setattr(location.sockets, "postgresql_ports", set)


@pytest.mark.parametrize(
    ("params", "ports", "port"),
    [
        ({}, {5432}, 5432),
        ({}, {5433}, 5433),
        ({"login_host": "127.0.0.1"}, {5433}, 5433),
        # Which one is meant is for the operator to say.
        ({}, {5433, 5434}, 5432),
        ({}, {5432, 5433}, 5432),
        ({}, set(), 5432),
        ({"login_port": 5440}, {5433}, 5440),
        ({"login_host": "192.0.2.7"}, {5433}, 5432),
    ],
)
def test_without_a_port_it_is_that_of_the_only_server(monkeypatch, params, ports, port):
    monkeypatch.setattr(location.sockets, "postgresql_ports", lambda: set(ports))
    assert location.port(params) == port


@pytest.mark.parametrize(
    ("params", "target"),
    [
        ({}, "localhost:5432"),
        ({"login_host": "db1", "login_port": 6432}, "db1:6432"),
        ({"login_host": "/run/postgresql"}, "localhost:5432"),
    ],
)
def test_the_target_as_it_is_shown(params, target):
    assert location.shown(params) == target


def test_a_target_over_tcp_has_every_option():
    params = {
        "login_host": "db1",
        "login_user": "sergas",
        "login_password": "hidden",
        "login_db": "sergas_prod",
        "ssl_mode": "verify-full",
        "ca_cert": "/etc/ca.crt",
        "ssl_cert": "/etc/client.crt",
        "ssl_key": "/etc/client.key",
    }
    target = location.target(params, "a test", {"jit": "off"})
    assert target._asdict() == {
        "host": "db1",
        "port": 5432,
        "user": "sergas",
        "database": "sergas_prod",
        "password": "hidden",
        "system_user": None,
        "tls": "verify-full",
        "ca_cert": "/etc/ca.crt",
        "cert": "/etc/client.crt",
        "key": "/etc/client.key",
        "name": "a test",
        "settings": {"jit": "off"},
    }
