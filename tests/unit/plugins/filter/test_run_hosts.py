# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.filter.run_hosts import run_hosts
from ansible_collections.sergas.ops.plugins.filter.run_serial import run_serial


class Hostvars(dict):
    def raw_get(self, name):
        return self[name]


SCOPE = {
    "not_diagnosed": {"switch": "a device"},
    "hosts": {"health": ["a"], "cognee": []},
    "report": ["a", "switch"],
    "serial": 2,
}
BEGUN = Hostvars(switch={}, a={"sergas_run_scope": SCOPE})


@pytest.mark.parametrize(
    ("part", "hosts"),
    [
        ("health", ["a"]),
        ("cognee", "all:!all"),
        ("postgresql", "all:!all"),
        ("report", ["a", "switch"]),
        ("failed", "all:!all"),
    ],
)
def test_hosts_are_those_of_the_scope(part, hosts):
    assert run_hosts(BEGUN, part) == run_hosts(BEGUN, part, begun=True) == hosts


def test_without_a_scope_they_are_those_of_the_pattern_or_the_groups():
    plain = Hostvars(a={"sergas_hosts": "web*"}, b={})
    assert run_hosts(plain, "health") == run_hosts(plain, "report") == "web*"
    assert run_hosts(plain, "security") == "sergas_firewall:sergas_fail2ban"
    assert run_hosts(Hostvars(), "health") == "all"
    # ansible-playbook --syntax-check has no hosts.
    assert run_hosts({}, "health") == "all"
    assert run_hosts(plain, "health", begun=True) == "all:!all"


def test_those_that_fail_are_those_of_the_last_report():
    ahead, last = {"failed": False}, {"failed_hosts": {"b": "host.disk.high (fail)"}}
    hostvars = Hostvars(a={"sergas_fleet_report": ahead}, b={"sergas_fleet_report": last})
    assert run_hosts(hostvars, "failed") == ["b"]


def test_a_part_that_is_none_is_an_error():
    with pytest.raises(AnsibleFilterError, match="run_hosts: 'x' is none of: health"):
        run_hosts(BEGUN, "x")


def test_serial_is_that_of_the_scope_or_the_default():
    assert run_serial(BEGUN, 1) == 2
    assert run_serial(Hostvars(a={"sergas_run_scope": dict(SCOPE, serial=None)}), [1]) == [1]
    assert run_serial(Hostvars(), [1, "25%"]) == [1, "25%"]
