# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.filter.protected_addresses import protected_addresses

HOSTVARS = {
    "app1": {"ansible_host": "192.0.2.11", "sergas_addresses": ["2001:db8::11", "192.0.2.11"]},
    "lb.example": {},
    "localhost": {},
    "awx": {"ansible_host": "192.0.2.99", "ansible_connection": "local"},
}


def test_every_host_of_the_inventory_is_protected_by_all_its_addresses():
    found = protected_addresses(HOSTVARS, list(HOSTVARS))
    assert found == ["192.0.2.11", "2001:db8::11", "lb.example"]


def test_addresses_are_protected_in_the_notation_of_the_packet_filter():
    hostvars = {
        "app1": {"ansible_host": "::FFFF:192.0.2.11", "sergas_addresses": ["192.0.2.11"]},
        "app2": {"ansible_host": "[2001:DB8::12]", "sergas_addresses": ["fe80::12%eth0"]},
    }
    more = ["192.0.2.99:443", "::ffff:10.0.0.0/104", "::ffff:127.0.0.1"]
    found = protected_addresses(hostvars, list(hostvars), more)
    assert found == ["10.0.0.0/8", "192.0.2.11", "192.0.2.99", "2001:db8::12", "fe80::12"]


def test_what_is_no_address_fails_by_its_name():
    with pytest.raises(AnsibleFilterError, match="sergas_addresses of app1: '192.0.2.011' is not"):
        protected_addresses({"app1": {"sergas_addresses": ["192.0.2.011"]}}, ["app1"])


def test_others_join_once_and_loopback_does_not():
    found = protected_addresses(HOSTVARS, ["app1"], ["192.0.2.11", "", None, "::1", "10.0.0.0/8"])
    assert found == ["10.0.0.0/8", "192.0.2.11", "2001:db8::11"]
