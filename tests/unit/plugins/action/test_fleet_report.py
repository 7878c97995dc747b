# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import re
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.sergas.ops.plugins.action import fleet_report
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding


class Hostvars(dict):
    """The hosts' variables as Ansible hands them out: raw for little, templated for much."""

    def raw_get(self, name):
        return dict.__getitem__(self, name)

    def __getitem__(self, name):
        return {
            key: "templated" if isinstance(value, str) else value
            for key, value in self.raw_get(name).items()
        }


def variables(result=None, **more):
    found = {"group_names": ["sergas_app"], "inventory_hostname": "x", **more}
    if result is not None:
        found["sergas_diagnose_health"] = result
    return found


def good(*items):
    return {
        "changed": False,
        "findings": list(items) or [finding("host.disk.ok", "host", "ok", "/ is 40 % full")],
    }


BAD = finding("host.disk.high", "host", "fail", "/ is 95 % full, fail at 90 %", advice="Make room.")


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Run the action on {host: variables}, with options; returns its result, ``lines`` printed and
    the JSON.
    """
    monkeypatch.chdir(tmp_path)
    shown = []
    monkeypatch.setattr(
        fleet_report.display, "display", lambda text, **_options: shown.append(text)
    )
    monkeypatch.setattr(
        fleet_report.display, "warning", lambda text: shown.append("warning: " + text)
    )

    def run(hosts, check_mode=False, in_play=None, **options):
        task = SimpleNamespace(
            args=options, check_mode=check_mode, async_val=0, action="sergas.ops.fleet_report"
        )
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="x"))
        action = fleet_report.ActionModule(task, connection, None, None, None, None)
        task_vars = {
            "hostvars": Hostvars(hosts),
            "ansible_play_hosts_all": list(hosts),
            "ansible_play_hosts": list(hosts if in_play is None else in_play),
            "ansible_play_name": "Diagnose",
        }
        del shown[:]
        result = action.run(task_vars=task_vars)
        run.lines = list(shown)
        run.json = None
        if result["reports"].get("json"):
            with open(result["reports"]["json"], encoding="utf-8") as file:
                run.json = json.load(file)
        return result

    return run


def test_all_formats_are_written_where_it_was_started(report, tmp_path):
    result = report({"web1": variables(good())})
    assert sorted(result["reports"]) == ["html", "json", "md"]
    for path in result["reports"].values():
        assert os.path.isfile(path)
        assert os.path.dirname(os.path.dirname(path)) == str(tmp_path / "sergas-reports")
    assert os.path.realpath(result["latest"]) == result["report_dir"]
    assert (result["changed"], result["failed"]) == (False, False)
    assert "Report: sergas-reports/latest/{report.json,report.html,report.md}" in report.lines


def test_a_healthy_host_beside_one_of_each_kind(report):
    hosts = {
        "fine": variables(good()),
        "bad": variables(good(BAD)),
        "lost": variables({"unreachable": True, "msg": "Connection timed out"}),
        "crashed": variables({"failed": True, "msg": "boom"}),
        "absent": variables(),
    }
    result = report(hosts)
    assert {host["name"]: host["class"] for host in report.json["hosts"]} == {
        "fine": "ok",
        "bad": "fail",
        "lost": "unreachable",
        "crashed": "unknown",
        "absent": "unknown",
    }
    assert result["summary"]["total"] == 5
    assert result["roots"] == ["host.disk.high", "host.unreachable", "host.diagnosis.failed"]
    assert result["failed"] is True


@pytest.mark.parametrize(
    ("options", "failed"),
    [
        ({}, True),
        ({"fail_on": "fail"}, True),
        ({"fail_on": "warn"}, True),
        ({"fail_on": "never"}, False),
    ],
)
def test_fail_on_decides_after_the_reports_are_written(report, options, failed):
    result = report({"web1": variables(good(BAD))}, **options)
    assert result["failed"] is failed
    assert "\n" not in result["msg"]
    assert report.json["summary"]["failed"] is failed


def test_a_check_run_writes_the_same(report):
    report({"web1": variables(good())}, check_mode=True)
    assert report.json["run"]["check_mode"] is True


def test_variables_are_not_templated_for_nothing(report):
    report(
        {
            "web1": variables(good(), ansible_host="10.0.0.1"),
            "web2": variables(good(), ansible_host="{{ address }}"),
        }
    )
    assert report.json["hosts"][0]["findings"][0]["summary"] == "/ is 40 % full"


def test_an_address_that_is_a_template_is_templated(report):
    balancer = finding(
        "lb.health.failing", "loadbalancer", "fail", "x", evidence={"target": "templated:8000"}
    )
    web = variables(
        good(finding("app.service.down", "app", "fail", "x")), ansible_host="{{ address }}"
    )
    report({"web1": web, "lb1": variables(good(balancer))})
    assert [root["id"] for root in report.json["roots"]] == ["app.service.down"]


def test_several_results_of_a_host_are_put_together(report):
    more = {"findings": [finding("db.connection.ok", "database", "ok", "fine")]}
    report({"web1": variables(good(), pg=more)}, results=["sergas_diagnose_health", "pg"])
    assert len(report.json["hosts"][0]["findings"]) == 2


def test_a_name_that_no_host_has_registered_is_warned_of(report):
    report({"web1": variables(good())}, results="sergas_diagnose_health, typo")
    assert "warning: results: no host of the play has registered typo" in report.lines


def test_a_host_that_left_the_play_is_in_it(report):
    report({"web1": variables(good()), "web2": variables()}, in_play=["web1"])
    assert "left the play" in report.json["hosts"][0]["findings"][0]["summary"]


def test_the_second_run_compares_with_the_first(report):
    report({"web1": variables(good(BAD))}, fail_on="never")
    assert "No comparison: this is the first report in this directory." in report.lines
    report({"web1": variables(good())})
    assert re.match(r"Since .* UTC: 0 new, 1 resolved, 0 still bad\.", report.lines[-3])
    assert [entry["id"] for entry in report.json["comparison"]["resolved"]] == ["host.disk.high"]


def test_only_so_many_runs_are_kept(report, tmp_path):
    for _attempt in range(4):
        result = report({"web1": variables(good())}, keep=2)
    runs = sorted(name for name in os.listdir(tmp_path / "sergas-reports") if name != "latest")
    assert len(runs) == 2
    assert os.path.isdir(result["report_dir"])


def test_only_the_requested_formats(report):
    result = report({"web1": variables(good())}, formats=["md"])
    assert os.listdir(result["report_dir"]) == ["report.md"]
    assert report.lines[-2] == "Report: sergas-reports/latest/report.md"


def test_a_directory_that_cannot_be_written_fails_after_the_summary(report, tmp_path):
    (tmp_path / "file").write_text("x")
    result = report({"web1": variables(good())}, report_dir=str(tmp_path / "file"), fail_on="never")
    assert result["failed"] is True
    assert result["msg"].startswith(
        "report_dir: the reports could not be written to %s" % (tmp_path / "file")
    )
    assert (result["report_dir"], result["reports"], result["latest"]) == (None, {}, None)
    assert any(line.startswith("Sergas fleet - 1 host:") for line in report.lines)


def test_what_the_run_is_given_is_in_the_report(report):
    report({"web1": variables(good())}, run={"window": 3600}, title="Night shift")
    assert report.json["run"]["window"] == 3600
    assert report.json["run"]["play"] == "Diagnose"
    assert report.json["title"] == "Night shift"
    assert re.match(r"\d+\.\d+\.\d+", report.json["collection"]["version"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"fail_on": "critical"},
            "fail_on: 'critical' is not allowed, it must be one of: fail, warn, never",
        ),
        ({"fail_on": ["fail"]}, "fail_on: ['fail'] is not allowed"),
        ({"fail_on": ""}, "fail_on: '' is not allowed"),
        ({"keep": 0}, "keep: 0 must be a whole number, 1 or more"),
        ({"keep": "many"}, "keep: 'many' must be"),
        ({"keep": True}, "keep: True must be"),
        ({"keep": 1.5}, "keep: 1.5 must be"),
        ({"formats": ["pdf"]}, "formats: 'pdf' is not allowed, it must be one of: json, html, md"),
        ({"formats": []}, "formats: [] must be a list of at least one name"),
        ({"results": {}}, "results: {} must be a list"),
        ({"results": ["a-b"]}, "results: 'a-b' is not the name of a variable"),
        ({"report_dir": ""}, "report_dir: '' is not the path of a directory"),
        ({"report_dir": 5}, "report_dir: 5 is not the path of a directory"),
        ({"title": " "}, "title: ' ' is not a text"),
        ({"run": []}, "run: [] is not a dictionary"),
        ({"titel": "x"}, "titel: there is no such option, there are: report_dir, fail_on"),
    ],
)
def test_an_option_that_cannot_be_is_named_with_what_is_allowed(options, message):
    with pytest.raises(AnsibleActionFail, match=re.escape(message)):
        fleet_report.options_from(options)


def test_values_from_a_command_line_are_text():
    options = fleet_report.options_from({"keep": "7", "formats": "json,md", "report_dir": "~/x"})
    assert (options["keep"], options["formats"]) == (7, ["json", "md"])
    assert options["report_dir"] == os.path.expanduser("~/x")


def test_a_directory_that_is_gone_needs_an_absolute_path(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(AnsibleActionFail, match="give an absolute path"):
        fleet_report.options_from({})
    assert fleet_report.options_from({"report_dir": "/x"})["report_dir"] == "/x"
