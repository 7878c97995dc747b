# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils import run_scope

GROUPS = {
    "all": ["web1", "web2", "db1"],
    "sergas_app": ["web1", "web2"],
    "sergas_postgresql": ["db1"],
    "empty": [],
}


@pytest.mark.parametrize(
    ("group", "meant"),
    [
        ("sergas_apps", "sergas_app"),
        ("sergas-app", "sergas_app"),
        ("SERGAS_APP", "sergas_app"),
        ("sergas_postgres", "sergas_postgresql"),
        ("sergas_pg", "sergas_postgresql"),
        ("sergas_database", "sergas_postgresql"),
        ("sergas_loadbalancer", "sergas_lb"),
        ("sergas_redis_servers", None),
        ("sergas_prod", None),
        ("sergas_berlin", None),
        ("sergas", None),
        ("webservers", None),
    ],
)
def test_a_group_that_looks_like_one_of_ours_is_named(group, meant):
    found = run_scope.misnamed_groups({"all": ["x"], group: ["x"]})
    assert found == ({group: meant} if meant else {})


def test_a_child_of_a_group_of_ours_is_meant_as_it_is():
    groups = {"all": ["a", "b"], "sergas_app": ["a", "b"], "sergas_app1": ["a"]}
    assert run_scope.misnamed_groups(groups) == {}
    assert run_scope.misnamed_groups({**groups, "sergas_app1": ["a", "c"]})


@pytest.mark.parametrize(
    ("connection", "network_os", "is_device"),
    [
        ("network_cli", "ios", True),
        ("ansible.netcommon.network_cli", None, True),
        ("httpapi", None, True),
        ("ansible.netcommon.httpapi", None, True),
        ("ansible.netcommon.netconf", None, True),
        ("local", "ios", True),
        ("local", None, False),
        ("ssh", None, False),
        ("community.docker.docker", None, False),
        (None, None, False),
    ],
)
def test_a_network_device_is_known_by_its_connection(connection, network_os, is_device):
    reason = run_scope.device(connection, network_os)
    assert bool(reason) is is_device
    assert not is_device or "network device" in reason


@pytest.mark.parametrize(
    ("pattern", "limit", "sentence"),
    [
        (
            "sergas_ap",
            None,
            "sergas_hosts: 'sergas_ap' matches no host of the inventory, did you mean",
        ),
        ("web3", None, "did you mean web"),
        ("empty", None, "matches no host, for the group empty is empty"),
        ("sergas_app", "db1", "matches no host within --limit db1"),
        (["qqq", "zzz"], None, "sergas_hosts: ['qqq', 'zzz'] matches none of the 3 hosts"),
        ("sergas_app:!all", None, "matches none of the 3 hosts"),
        ("", None, "sergas_hosts: '' matches none of the 3 hosts"),
    ],
)
def test_a_pattern_that_matches_nothing_says_why(pattern, limit, sentence):
    assert sentence in run_scope.nothing_matches("sergas_hosts", pattern, GROUPS, limit)


def test_names_in_a_pattern_that_the_inventory_does_not_have():
    assert run_scope.unknown_words("sergas_app:!web1,~web.*,we*", GROUPS) == []
    assert run_scope.unknown_words(["sergas_ap", "all:&nosuch"], GROUPS) == ["sergas_ap", "nosuch"]


@pytest.mark.parametrize(
    ("tags", "only", "skip", "runs"),
    [
        ([], ["all"], [], True),
        ([], ["report"], [], False),
        ([], ["untagged"], [], True),
        ([], ["all"], ["report"], True),
        ([], ["all"], ["untagged"], False),
        (["nightly"], ["nightly"], [], True),
        (["nightly"], ["other"], [], False),
        (["nightly"], ["tagged"], [], True),
        (["nightly"], ["all"], ["nightly"], False),
        (["nightly"], ["all"], ["all"], False),
    ],
)
def test_tags_select_as_ansible_selects(tags, only, skip, runs):
    assert run_scope.runs_with(tags, only, skip) is runs


def test_a_variable_of_the_whole_run_has_one_value():
    assert run_scope.single("sergas_serial", {}) is None
    assert run_scope.single("sergas_serial", {"a": [1, "25%"], "b": [1, "25%"]}) == [1, "25%"]
    with pytest.raises(ValueError, match="sergas_serial: .* 1 on a, 2 on b"):
        run_scope.single("sergas_serial", {"a": 1, "b": 2})


class Hostvars(dict):
    def raw_get(self, name):
        return self[name]


def test_a_run_that_was_begun_in_the_middle_is_refused():
    begun = Hostvars(a={}, b={"scope": {"not_diagnosed": {}}})
    assert run_scope.found(begun, None) is None
    assert run_scope.found(begun, "scope") == {"not_diagnosed": {}}
    for hostvars in (Hostvars(a={}), Hostvars(a={"scope": {"failed": True}}), Hostvars()):
        with pytest.raises(ValueError, match="--start-at-task"):
            run_scope.found(hostvars, "scope")
