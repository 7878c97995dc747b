# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._host import cluster_managers

PATRONI = {
    "etc/patroni/17-main.yml": 'scope: "17-main"\nname: "db1"\n',
    "proc/77/cmdline": "/usr/bin/python3\0/usr/bin/patroni\0/etc/patroni/17-main.yml\0",
}
SENTINEL = {
    "etc/redis/sentinel.conf": "port 26380\nsentinel monitor mymaster 10.0.0.5 6379 2\n",
    "proc/78/cmdline": "/usr/bin/redis-sentinel 127.0.0.1:26380 [sentinel]\0",
}
REPMGR = {
    "etc/repmgr.conf": "node_id=1\n",
    "etc/systemd/system/multi-user.target.wants/repmgrd.service": "",
}
CIB = '<cib><primitive id="%s" class="ocf" provider="heartbeat" type="%s"/></cib>'


def manages(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return cluster_managers.read(str(root))


@pytest.mark.parametrize(
    ("files", "service", "name", "command"),
    [
        (PATRONI, "database", "Patroni", "patronictl -c /etc/patroni/17-main.yml list"),
        (REPMGR, "database", "repmgr", "repmgr -f /etc/repmgr.conf cluster show"),
        (
            {"var/lib/pacemaker/cib/cib.xml": CIB % ("pg", "pgsqlms")},
            "database",
            "Pacemaker",
            "crm_mon -1",
        ),
        (
            {"var/lib/pacemaker/cib/cib.xml": CIB % ("r", "redis")},
            "redis",
            "Pacemaker",
            "crm_mon -1",
        ),
        (SENTINEL, "redis", "Redis Sentinel", "redis-cli -p 26380 sentinel master mymaster"),
    ],
)
def test_the_manager_of_a_service(tmp_path, files, service, name, command):
    assert manages(tmp_path, files) == {service: {"name": name, "command": command}}


@pytest.mark.parametrize(
    "files",
    [
        {},
        # Installed, and no cluster of it.
        {"etc/patroni/config.yml": "# scope: x\n", "proc/77/cmdline": "patroni\0"},
        {"etc/patroni/17-main.yml": "scope: x\n", "proc/77/cmdline": "cron\0-f\0"},
        {"etc/redis/sentinel.conf": "port 26379\n", "proc/7/cmdline": "redis-sentinel *:26379\0"},
        {"etc/repmgr.conf": "node_id=1\n"},
        {"var/lib/pacemaker/cib/cib.xml": CIB % ("ip", "IPaddr2")},
        # An editor that has its configuration open.
        {"etc/patroni/17-main.yml": "scope: x\n", "proc/77/cmdline": "vi\0/etc/patroni/x.yml\0"},
    ],
)
def test_a_service_that_no_manager_owns(tmp_path, files):
    assert manages(tmp_path, files) == {}
