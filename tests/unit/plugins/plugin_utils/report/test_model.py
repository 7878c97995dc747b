# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import formats, model

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[5] / "docs" / "report.schema.json").read_text()
)


def host_with(makers, name, *statuses):
    items = [
        finding("host.n%d.x" % number, "host", status, "x")
        for number, status in enumerate(statuses)
    ]
    return makers.entry(name, items)


def test_the_sample_has_one_root_for_each_fault_worst_first(makers):
    report = makers.build(makers.sample())
    assert [(root["status"], root["id"]) for root in report["roots"]] == [
        ("fail", "fleet.db.unreachable"),
        ("fail", "app.port.conflict"),
        ("fail", "host.unreachable"),
        ("unknown", "redis.unknown"),
        ("unknown", "host.diagnosis.failed"),
        ("warn", "app.errors.rate"),
        ("warn", "host.disk.high"),
    ]


def test_a_root_names_its_hosts_and_those_it_affects(makers):
    report = makers.build(makers.sample())
    shared, port = report["roots"][:2]
    assert (shared["scope"], shared["target"], len(shared["hosts"])) == (
        "fleet",
        "10.20.0.5:5432",
        13,
    )
    assert (port["scope"], port["hosts"]) == ("host", ["app1.example.com"])
    assert port["affected"] == ["lb1.example.com", "lb2.example.com"]
    assert set(port["symptoms"]) == {
        "app.service.restarting",
        "fleet.lb.health.failing",
        "lb.health.failing",
    }


def test_one_id_on_several_hosts_is_one_root_and_the_example_is_named(makers):
    reasons = ("Connection timed out", "Timeout, server not responding", "Connection refused")
    report = makers.build(
        [makers.lost("web%d" % number, reason) for number, reason in enumerate(reasons)]
    )
    timeout, refused = report["roots"]
    assert (timeout["reason"], timeout["hosts"]) == ("timeout", ["web0", "web1"])
    assert timeout["summary"] == "web0: Ansible cannot reach it: Connection timed out"
    assert (refused["reason"], refused["hosts"]) == ("refused", ["web2"])
    assert refused["summary"] == "Ansible cannot reach it: Connection refused"


def test_each_host_that_fails_the_run_is_named_and_no_other(makers):
    bad = finding("host.disk.high", "host", "fail", "full")
    warned = finding("host.cpu.high", "host", "warn", "busy")
    hosts = [
        makers.entry("fine", makers.healthy()),
        makers.entry("warned", [warned]),
        makers.entry("full", [bad, warned]),
        makers.lost("lost"),
        makers.crashed("crashed"),
    ]
    assert model.failing(makers.build(hosts, fail_on="never")) == {}
    failing = model.failing(makers.build(hosts, fail_on="fail"))
    assert list(failing) == ["full", "lost", "crashed"]
    assert failing["full"] == "host.disk.high (fail); sergas_fail_on is fail"
    assert failing["crashed"] == "could not be diagnosed; sergas_fail_on is fail"
    assert set(model.failing(makers.build(hosts, fail_on="warn"))) == {*failing, "warned"}
    alone = model.failing(makers.build([makers.crashed("crashed")], fail_on="never"))
    assert list(alone) == ["crashed"]


def test_one_id_for_two_reasons_is_two_roots_each_with_its_hosts(makers):
    reasons = {
        "web0": "missing:DATABASE_NAME",
        "web1": "missing:ZOHO_CLIENT_ID",
        "web2": "missing:DATABASE_NAME",
    }
    report = makers.build(
        [
            makers.entry(name, [finding("app.env.missing", "app", "fail", "one", reason=reason)])
            for name, reason in reasons.items()
        ]
    )
    assert [(root["reason"], root["hosts"]) for root in report["roots"]] == [
        ("missing:DATABASE_NAME", ["web0", "web2"]),
        ("missing:ZOHO_CLIENT_ID", ["web1"]),
    ]


def test_each_host_is_in_one_class_and_the_worst_come_first(makers):
    hosts = [
        host_with(makers, "fine", "ok", "skipped"),
        host_with(makers, "empty", "skipped"),
        host_with(makers, "warned", "ok", "warn"),
        host_with(makers, "undiagnosed", "warn", "unknown"),
        host_with(makers, "broken", "unknown", "fail"),
        makers.lost("lost"),
    ]
    report = makers.build(hosts)
    assert [host["name"] for host in report["hosts"]] == [
        "lost",
        "broken",
        "undiagnosed",
        "warned",
        "fine",
        "empty",
    ]
    assert report["summary"]["hosts"] == {
        "total": 6,
        "unreachable": 1,
        "fail": 1,
        "unknown": 1,
        "warn": 1,
        "ok": 1,
        "skipped": 1,
    }


def test_a_component_has_its_worst_status(makers):
    (host,) = makers.build(
        [makers.entry("web1", makers.disk_high(makers.port_conflict(makers.healthy())))]
    )["hosts"]
    assert host["components"] == {
        "app": "fail",
        "api": "fail",
        "database": "ok",
        "redis": "ok",
        "zoho": "ok",
        "host": "warn",
        "security": "ok",
        "loadbalancer": "skipped",
    }
    assert host["roots"] == ["app.port.conflict", "host.disk.high"]


def test_a_healthy_fleet_has_no_root(makers):
    report = makers.build([makers.entry("web%d" % number, makers.healthy()) for number in range(3)])
    assert report["roots"] == [] and report["fleet"] == []
    assert report["summary"]["failed"] is False


@pytest.mark.parametrize(
    ("status", "fail_on", "failed"),
    [
        ("fail", "fail", True),
        ("fail", "warn", True),
        ("fail", "never", False),
        ("unknown", "fail", False),
        ("unknown", "warn", True),
        ("unknown", "never", False),
        ("warn", "fail", False),
        ("warn", "warn", True),
        ("warn", "never", False),
        ("ok", "fail", False),
        ("ok", "warn", False),
        ("ok", "never", False),
    ],
)
def test_the_decision_follows_fail_on(makers, status, fail_on, failed):
    summary = makers.build([host_with(makers, "web1", status)], fail_on=fail_on)["summary"]
    assert summary["failed"] is failed
    assert "fail_on is %s" % fail_on in summary["reason"]


@pytest.mark.parametrize(("fail_on", "failed"), [("fail", True), ("warn", True), ("never", False)])
def test_a_host_that_was_not_diagnosed_has_not_passed(makers, fail_on, failed):
    report = makers.build(
        [makers.crashed("web1"), makers.entry("web2", makers.healthy())], fail_on=fail_on
    )
    assert report["summary"]["failed"] is failed


@pytest.mark.parametrize("fail_on", ["fail", "warn", "never"])
def test_a_run_that_diagnosed_no_host_fails_with_each_fail_on(makers, fail_on):
    summary = makers.build([makers.crashed("web1"), makers.lost("web2")], fail_on=fail_on)[
        "summary"
    ]
    assert (summary["failed"], summary["reason"]) == (True, "no host could be diagnosed")


def test_the_decision_says_how_many(makers):
    assert (
        makers.build(makers.sample())["summary"]["reason"]
        == "fail_on is fail: 3 root causes with the status fail"
    )
    all_three = makers.build(makers.sample(), fail_on="warn")["summary"]["reason"]
    assert all_three == "fail_on is warn: 7 root causes with the status fail, unknown or warn"
    undiagnosed = makers.build([makers.crashed("web1"), makers.entry("web2", makers.healthy())])
    assert (
        undiagnosed["summary"]["reason"] == "fail_on is fail: 1 of 2 hosts could not be diagnosed"
    )


def every_shape(makers):
    """Return models that use every key of the schema."""
    before = makers.build(
        [makers.entry("web1", makers.disk_high(makers.healthy())), makers.lost("web2")]
    )
    return [
        makers.build(makers.sample()),
        makers.build(
            [makers.entry("web1", makers.healthy())], previous_note="this is the first report"
        ),
        makers.build(
            [makers.lost("web1"), makers.entry("web3", makers.errors(makers.healthy()))],
            previous=before,
        ),
        makers.build(
            [makers.crashed("web1")], fail_on="never", run={"window": 3600, "more": {"a": [1]}}
        ),
    ]


def test_the_json_keeps_its_schema(makers):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for report in every_shape(makers):
        written = json.loads(formats.render_json(report))
        jsonschema.validate(written, SCHEMA, cls=jsonschema.Draft202012Validator)
        assert written == report


@pytest.mark.parametrize(
    "damage",
    [
        lambda report: report.update(extra=1),
        lambda report: report["hosts"][0]["findings"][0].update(status="fine"),
        lambda report: report["hosts"][0]["findings"][0].pop("root"),
        lambda report: report["roots"][0].update(status="ok"),
        lambda report: report.update(schema_version="1.1"),
    ],
)
def test_the_schema_refuses_what_is_not_a_report(makers, damage):
    report = json.loads(formats.render_json(makers.build(makers.sample(4))))
    damage(report)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, SCHEMA, cls=jsonschema.Draft202012Validator)


def test_the_json_has_a_line_for_each_host(makers):
    lines = formats.render_json(makers.build(makers.sample())).splitlines()
    assert sum('"probe_seconds"' in line for line in lines) == 20


def test_the_schema_version_is_that_of_the_schema():
    assert SCHEMA["properties"]["schema_version"]["const"] == model.SCHEMA_VERSION
