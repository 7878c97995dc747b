# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server refuses in a pg_hba.conf, as PostgreSQL 15's own pg_hba_file_rules says it."""

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._postgresql.settings import hba

GOOD = """
# TYPE  DATABASE        USER            ADDRESS                 METHOD
local   all             postgres                                peer
local   "a, b",other    +group,@roles                           scram-sha-256
host    all             all             127.0.0.1/32            scram-sha-256
host    all             all             ::1/128                 md5   # by and by
host    replication     all             192.0.2.0  255.255.255.0  reject
hostssl sergas_prod     sergas_app      .example.com            cert  map=app clientcert=verify-full
host    all             all             samenet                 ldap ldapserver="a b" ldapbasedn=""
hostnogssenc all        all             db.example.com          trust
"""


def test_what_a_server_takes_is_no_fault():
    assert hba.faults(GOOD, 15) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hosst all all 127.0.0.1/32 md5", "type of connection"),
        ("host all", "database or the role"),
        ("host all all", "address is missing"),
        ("host all all 300.0.0.1/24 md5", "address is none"),
        ("host all all 10.0.0.1/33 md5", "address is none"),
        ("host all all 10.0.0.1 md5", "mask"),
        ("host all all 10.0.0.1/8", "method is missing"),
        ("local all all", "method is missing"),
        ("local all all scram-sha256", "no such method"),
        ("local all all ldap ldapserver", "no value"),
        ("include other.conf", "type of connection"),
    ],
)
def test_a_line_that_a_server_refuses_is_named_by_its_number(line, said):
    (fault,) = hba.faults("local all all peer\n%s\n" % line, 15)
    assert fault.startswith("line 2: ") and said in fault


def test_a_file_without_a_rule_is_refused():
    assert hba.faults("# nothing\n\n", 15) == ["it has no rule, so that no one could log in"]


def test_newer_servers_include_files_and_continue_lines():
    assert hba.faults("include other.conf\nlocal all \\\n all peer\n", 16) == []
    assert hba.faults("local all \\\n all peer\n", 13) != []


def test_nothing_of_a_line_is_shown():
    assert "geheim" not in str(hba.faults("local all all ldp ldapbindpasswd=geheim", 15))
