# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql import location

UNIX_SOCKETS = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 22533 /run/systemd/private
0000000000000000: 00000002 00000000 00010000 0001 01 99213 /srv/with a space/.s.PGSQL.5432
0000000000000000: 00000003 00000000 00000000 0001 03 99300 /srv/with a space/.s.PGSQL.5432
0000000000000000: 00000002 00000000 00010000 0001 01 99214 /srv/two/.s.PGSQL.54321
0000000000000000: 00000002 00000000 00010000 0001 01 99215 @/srv/abstract/.s.PGSQL.5432
0000000000000000: 00000003 00000000 00000000 0001 03 22534
"""


def test_sockets_in_unusual_directories():
    assert location.listening_directories(UNIX_SOCKETS, 5432) == ("/srv/with a space",)
    assert location.listening_directories("", 5432) == ()


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
