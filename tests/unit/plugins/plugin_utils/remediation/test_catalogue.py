# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.plugin_utils import renamed
from ansible_collections.sergas.ops.plugins.plugin_utils.remediation import catalogue


def test_a_remedy_is_completed(makers):
    made = catalogue.remedy("start_redis", makers.document())
    assert (made["runs_on"], made["cooldown"], made["timeout"]) == ("host", 900, 300)
    assert made["needs"] == {"approval": False, "variables": [], "values": {}}
    assert made["verification"] == {
        "part": "health",
        "checks": ["redis"],
        "timeout": 60,
        "resolves": True,
    }
    assert made["after_dependencies"] is False
    assert (made["restarts_app"], made["useless"]) == (False, [])


@pytest.mark.parametrize(
    ("changes", "restarts"),
    [
        ({"component": "app", "impact": "restart"}, True),
        ({"component": "app", "impact": "disruptive"}, True),
        ({"component": "app", "impact": "reload"}, False),
        ({"component": "redis", "impact": "restart"}, False),
        ({"component": "app", "impact": "disruptive", "restarts_app": False}, False),
        ({"component": "redis", "restarts_app": True}, True),
        ({"undo": {"restarts": ["{{ sergas_remedy_app.service }}"]}}, True),
    ],
)
def test_what_restarts_the_app_is_known_whatever_its_impact_says(makers, changes, restarts):
    assert catalogue.remedy("x", makers.document(**changes))["restarts_app"] is restarts


def test_what_is_templated_on_the_host_stays_a_template(makers):
    undo = {
        "files": ["{{ sergas_remedy_app.env_file }}"],
        "commands": "{{ commands }}",
        "restarts": ["{{ sergas_remedy_app.service }}"],
    }
    assert catalogue.remedy("x", makers.document(undo=undo))["undo"] == undo


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"impact": "high"}, "impact: 'high' is not allowed, it must be one of: none, reload"),
        ({"reversible": "no"}, "reversible: 'no' is not allowed, it must be true or false"),
        (
            {"risk": "restart"},
            "risk: 'restart' is not allowed, it must be given as impact (none, reload, restart,"
            " disruptive) and reversible (true or false)",
        ),
        (
            {"reversible": False},
            "needs.approval: False is not allowed, it must be true: it is not reversible",
        ),
        ({"component": "db"}, "component: 'db' is not allowed"),
        ({"answers": []}, "answers: [] is not allowed"),
        ({"answers": ["Redis"]}, "answers: ['Redis'] is not allowed, it must be a list of the ids"),
        ({"title": "Start it."}, "a title without a full stop"),
        ({"runs_on": "controller"}, "runs_on"),
        ({"cooldown": True}, "cooldown: True is not allowed"),
        ({"timeout": 0}, "timeout: 0 is not allowed, it must be a whole number of seconds, 1"),
        ({"undo": {}}, "none with the reason"),
        ({"undo": {"none": "no", "files": []}}, "either none with a reason"),
        ({"undo": {"files": "/etc/x"}}, "undo.files: '/etc/x' is not allowed, it must be a list"),
        ({"undo": {"commands": ["reboot"]}}, "undo.commands: 'reboot' is not allowed"),
        ({"needs": {"approval": "yes"}}, "needs.approval: 'yes' is not allowed"),
        ({"needs": {"variables": ["a b"]}}, "needs.variables"),
        ({"needs": {"values": ["A"]}}, "needs.values: ['A'] is not allowed"),
        ({"needs": {"values": {"Redis": ["A"]}}}, "needs.values: ['Redis'] is not allowed"),
        ({"needs": {"values": {"redis.x": "A"}}}, "a list of names, or evidence.NAME"),
        ({"restarts_app": "yes"}, "restarts_app: 'yes' is not allowed"),
        ({"useless": {}}, "useless: {} is not allowed, it must be a list of rules"),
        ({"useless": [{"because": "it is so"}]}, "a rule with reasons or evidence"),
        ({"useless": [{"evidence": {"a": 0}}]}, "a dictionary with because"),
        ({"useless": [{"evidence": [], "because": "x"}]}, "useless.evidence: [] is not allowed"),
        ({"verification": {"checks": []}}, "a dictionary with part"),
        (
            {"verification": {"part": "health", "resolves": "no"}},
            "verification.resolves: 'no' is not allowed, it must be true or false",
        ),
        ({"colour": "red"}, "colour: 'red' is not allowed, it must be one of the keys"),
    ],
)
def test_what_cannot_be_is_named_with_what_may_be(makers, changes, reason):
    with pytest.raises(catalogue.CatalogueError) as error:
        catalogue.remedy("start_redis", makers.document(**changes))
    assert str(error.value).startswith("remedy start_redis: ")
    assert reason in str(error.value)


@pytest.mark.parametrize(("old", "new"), renamed.REMEDY_KEYS.items())
def test_a_former_key_is_refused_with_its_new_name(makers, old, new):
    document = makers.document()
    *parent, key = old.split(".")
    keys, required = (document[parent[0]], "part") if parent else (document, "title")
    keys[key] = 1
    # Before what is missing, which may be what the former key gives.
    del keys[required]
    with pytest.raises(catalogue.CatalogueError) as error:
        catalogue.remedy("x", document)
    assert str(error.value).endswith("%s: 1 is not allowed, it must be given as %s" % (old, new))


@pytest.mark.parametrize(("old", "new"), renamed.FINDINGS.items())
def test_a_former_finding_is_refused_with_its_new_ids(makers, old, new):
    with pytest.raises(catalogue.CatalogueError) as error:
        catalogue.remedy("x", makers.document(answers=["redis.unreachable", old]))
    reason = "answers: %r is not allowed, it must be given as %s" % (old, ", ".join(new))
    assert str(error.value).endswith(reason)


def test_each_key_that_has_no_default_is_required(makers):
    for key in (
        "title",
        "answers",
        "changes",
        "impact",
        "reversible",
        "component",
        "undo",
        "verification",
    ):
        document = makers.document()
        del document[key]
        with pytest.raises(catalogue.CatalogueError, match="a dictionary with %s" % key):
            catalogue.remedy("x", document)


def test_a_remedy_without_tasks_or_with_another_name_is_refused(makers):
    with pytest.raises(catalogue.CatalogueError, match="no file with its tasks"):
        catalogue.catalogue({"start_redis": makers.document()}, set())
    with pytest.raises(catalogue.CatalogueError, match="a name is of"):
        catalogue.remedy("Start-Redis", makers.document())
    with pytest.raises(catalogue.CatalogueError, match="must be a dictionary"):
        catalogue.remedy("x", ["title"])
