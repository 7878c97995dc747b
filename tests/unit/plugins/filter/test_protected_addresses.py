# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

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


def test_others_join_once_and_loopback_does_not():
    found = protected_addresses(HOSTVARS, ["app1"], ["192.0.2.11", "", None, "::1", "10.0.0.0/8"])
    assert found == ["10.0.0.0/8", "192.0.2.11", "2001:db8::11"]
