# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.filter.database_login import database_login


def app(host, port=5432, name="sergas_prod"):
    return {
        "sergas_diagnose_health": {"app": {"database": {"host": host, "port": port, "name": name}}}
    }


@pytest.mark.parametrize(
    ("hostvars", "expected"),
    [
        # The app is on the host itself.
        ({"db1": app("127.0.0.1", 5433, "crm")}, {"port": 5433, "name": "crm"}),
        ({"db1": app("/run/postgresql", 5433, "crm")}, {"port": 5433, "name": "crm"}),
        # By the host's address, its name, its own or that of another app host.
        (
            {"db1": {"ansible_host": "192.0.2.7"}, "app1": app("192.0.2.7", 5433, "crm")},
            {"port": 5433, "name": "crm"},
        ),
        ({"db1": {}, "app1": app("DB1", 5433, "crm")}, {"port": 5433, "name": "crm"}),
        (
            {"db1": dict(app("192.0.2.7", 5433, "crm"), ansible_host="192.0.2.7")},
            {"port": 5433, "name": "crm"},
        ),
        # Two databases of one server.
        (
            {"db1": {}, "app1": app("db1", name="crm"), "app2": app("db1", name="test")},
            {"port": 5432, "name": ""},
        ),
        # The database of another host, and hosts of which nothing is known.
        ({"db1": {}, "app1": app("db2", 5433, "crm")}, {"port": "", "name": ""}),
        ({"db1": {}, "app1": {}}, {"port": "", "name": ""}),
        ({"db1": {"sergas_diagnose_health": {"unreachable": True}}}, {"port": "", "name": ""}),
        ({"db1": {"sergas_diagnose_health": {"app": None}}}, {"port": "", "name": ""}),
    ],
)
def test_the_database_that_the_apps_use(hostvars, expected):
    apps = [name for name in hostvars if name.startswith("app")]
    assert database_login(hostvars, "db1", apps) == expected
