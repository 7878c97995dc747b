# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sergas.ops.plugins.filter.host_addresses import (
    host_addresses as filter_addresses,
)
from ansible_collections.sergas.ops.plugins.filter.host_targets import (
    host_targets as filter_targets,
)
from ansible_collections.sergas.ops.plugins.module_utils._core import addresses
from ansible_collections.sergas.ops.plugins.plugin_utils import inventory

ROOT = Path(__file__).resolve().parents[4]
NAMES = {
    "lb.example": ["2001:db8::3", "192.0.2.3", "192.0.2.3"],
    "own.example": ["127.0.1.1", "192.0.2.4"],
    "here.example": ["127.0.1.1", "::1"],
}
HOSTVARS = {
    "lb2": {"ansible_host": "192.0.2.2", "sergas_addresses": ["198.51.100.2"]},
    "lb.example": {},
    "lb4": {"ansible_host": "::FFFF:192.0.2.4"},
    "lb5": {"ansible_host": "nowhere.example"},
    "lb6": {"ansible_host": "[2001:DB8::6]", "sergas_port": 8010},
    "own.example": {},
    "here.example": {},
    "localhost": {"ansible_connection": "local"},
}


class Hostvars(dict):
    """Ansible's, whose raw values are templates and whose items are templated."""

    def __init__(self, raw, templated):
        super().__init__(raw)
        self._templated = templated
        self.read = []

    def raw_get(self, name):
        return dict.__getitem__(self, name)

    def __getitem__(self, name):
        self.read.append(name)
        return self._templated[name]


def look_up(name, _port, **_options):
    if name not in NAMES:
        raise socket.gaierror(-2, "Name or service not known")
    return [(None, None, None, "", (address, 0)) for address in NAMES[name]]


def found(*hosts, **options):
    return inventory.host_addresses(HOSTVARS, hosts, look_up=look_up, **options)


def test_the_addresses_among_the_hosts_come_before_the_one_for_management():
    assert found("lb2") == ["198.51.100.2"]
    assert found("lb4", "lb6") == ["192.0.2.4", "2001:db8::6"]


def test_a_host_without_ansible_host_has_all_addresses_of_its_name():
    assert found("lb.example") == ["192.0.2.3", "2001:db8::3"]


def test_each_address_is_there_once_in_the_order_of_the_hosts():
    assert found("lb4", "lb2", "lb4", "own.example") == ["192.0.2.4", "198.51.100.2"]


def test_a_host_is_no_client_of_itself():
    assert found("lb2", "lb4", own="lb2") == ["192.0.2.4"]


def test_a_name_that_cannot_be_resolved_is_an_error_or_stays():
    with pytest.raises(inventory.Unresolved) as caught:
        found("lb2", "lb5")
    assert str(caught.value) == (
        "lb5: the name nowhere.example cannot be resolved on the controller: Name or service not"
        " known. Set sergas_addresses of lb5 to the addresses that the other hosts see it with"
    )
    assert found("lb2", "lb5", strict=False) == ["198.51.100.2", "nowhere.example"]


def test_loopback_of_the_controller_is_no_address_of_another_host():
    assert found("own.example") == ["192.0.2.4"]
    with pytest.raises(inventory.Unresolved, match="only loopback addresses"):
        found("here.example")
    # Who writes it means it.
    assert found("localhost") == ["localhost"]


def test_an_address_in_a_bad_form_is_not_resolved():
    for name, hostvars in (
        ("ansible_host", {"x": {"ansible_host": "192.0.2.011"}}),
        ("sergas_addresses", {"x": {"sergas_addresses": ["192.0.2.011"]}}),
    ):
        with pytest.raises(addresses.AddressError, match="%s of x: '192.0.2.011' is not" % name):
            inventory.host_addresses(hostvars, ["x"], strict=False, look_up=look_up)
        for wrapper in (filter_addresses, filter_targets):
            with pytest.raises(AnsibleFilterError, match="192.0.2.011"):
                wrapper(hostvars, ["x"])


@pytest.mark.parametrize(
    "text",
    ["198.51.100.2,2001:db8::2", "[198.51.100.2, 2001:db8::2]", "['198.51.100.2', '2001:DB8::2']"],
)
def test_a_list_of_an_ini_inventory_is_a_text(text):
    hostvars = {"lb2": {"sergas_addresses": text}}
    assert inventory.host_addresses(hostvars, ["lb2"]) == ["198.51.100.2", "2001:db8::2"]


def test_a_host_is_reached_at_its_first_address():
    hosts = ["lb2", "lb.example", "lb6", "no.member"]
    assert inventory.host_targets(HOSTVARS, hosts, "sergas_port", 8000) == [
        "198.51.100.2:8000",
        "lb.example:8000",
        "[2001:db8::6]:8010",
        "no.member:8000",
    ]
    assert inventory.host_targets(HOSTVARS, ["lb6"]) == ["[2001:db8::6]"]


def test_a_report_knows_a_host_by_all_its_addresses():
    assert inventory.known_as(HOSTVARS, "lb2") == ["198.51.100.2", "192.0.2.2"]
    assert inventory.known_as(HOSTVARS, "lb.example") == ["lb.example"]


def test_variables_are_templated_only_where_they_are_templates():
    hostvars = Hostvars(
        {"a": {"ansible_host": "192.0.2.1"}, "b": {"sergas_addresses": ["{{ data }}", "x.y"]}},
        {"b": {"sergas_addresses": ["198.51.100.9"]}},
    )
    assert inventory.host_addresses(hostvars, ["a", "b"]) == ["192.0.2.1", "198.51.100.9"]
    assert hostvars.read == ["b"]


def test_nothing_else_computes_the_addresses_of_hosts():
    """What else reads these variables speaks of them, connects to a host or protects all of it."""
    reads = re.compile(
        r"(?:\.get\(|\[)[\"'](?:ansible_host|sergas_addresses)[\"']|attribute=.ansible_host"
        r"|\{\{[^}]*\bansible_host\b"
    )
    others = [
        "%s: %s" % (path.relative_to(ROOT), line.strip())
        for top in ("plugins", "roles", "playbooks")
        for path in sorted((ROOT / top).rglob("*"))
        if path.suffix in (".py", ".yml", ".j2") and path.name != "inventory.py"
        for line in path.read_text().splitlines()
        if reads.search(line)
    ]
    assert not others
