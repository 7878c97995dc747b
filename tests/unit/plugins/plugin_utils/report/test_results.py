# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.plugin_utils.report import results


def one(**result):
    return results.host_entry(
        "web1", ["sergas_app", "all"], ["10.0.0.1"], {"health": result}, ["health"]
    )


def test_the_findings_of_a_diagnosed_host_are_taken_as_they_are():
    items = [
        finding("host.disk.ok", "host", "ok", "/ is 40 % full"),
        finding("redis.skipped", "redis", "skipped", "no"),
    ]
    entry = one(findings=items, probe_seconds={"disks": 0.01})
    named = [dict(items[0], check="health/host.disk"), dict(items[1], check="health/redis")]
    assert entry["findings"] == named
    assert entry["diagnosed"] and entry["reachable"]
    assert entry["groups"] == ["all", "sergas_app"]
    assert entry["addresses"] == ["10.0.0.1", "web1"]
    assert entry["probe_seconds"] == {"disks": 0.01}


@pytest.mark.parametrize(
    ("message", "summary", "advice"),
    [
        (
            (
                "Task failed: Failed to connect to the host via ssh: ssh: connect to host 192.0.2.1"
                " port 22: Connection timed out"
            ),
            "Ansible cannot reach it: Connection timed out",
            "Check that it is up",
        ),
        (
            (
                "Failed to connect to the host via ssh: ssh: Could not resolve hostname x: Name or"
                " service not known"
            ),
            "Ansible cannot reach it: Could not resolve hostname x: Name or service not known",
            "Correct its name",
        ),
        (
            "root@web1: Permission denied (publickey,password).",
            "Permission denied",
            "Check ansible_user",
        ),
        ("something never seen", "something never seen", "Connect to it by hand"),
        (None, "no reason was given", "Connect to it by hand"),
    ],
)
def test_an_unreachable_host_says_why_and_what_to_do(message, summary, advice):
    entry = one(unreachable=True, msg=message)
    (item,) = entry["findings"]
    assert not entry["reachable"] and not entry["diagnosed"]
    assert (item["id"], item["status"]) == ("host.unreachable", "fail")
    assert summary in item["summary"]
    assert item["advice"].startswith(advice)


#: What ssh and sudo write, as Ansible passes it on.
CHANGED = (
    "Failed to connect to the host via ssh: @@@@@ @ WARNING: REMOTE HOST IDENTIFICATION HAS"
    " CHANGED! @ @@@@@ IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY! Host key for 192.0.2.1"
    " has changed and you have requested strict checking. Host key verification failed."
)
UNKNOWN = (
    "Failed to connect to the host via ssh: No ED25519 host key is known for 192.0.2.1 and you have"
    " requested strict checking. Host key verification failed."
)


@pytest.mark.parametrize(
    ("message", "reason", "advice"),
    [
        (CHANGED, "host_key_changed", "remove the old key"),
        (UNKNOWN, "host_key_unknown", "add it to known_hosts"),
        ("Host key verification failed.", "host_key_unknown", "add it to known_hosts"),
        ("[Errno 2] No such file or directory: b'ssh'", "ssh_client", "Install an ssh client"),
        (
            "to use the 'ssh' connection type with passwords, you must install the sshpass program",
            "sshpass",
            "Install sshpass",
        ),
        ("Timed out waiting for become success.", "become_password", "-K"),
        ("Missing sudo password", "become_password", "-K"),
        ("Connection timed out", "timeout", "Check that it is up"),
    ],
)
def test_each_first_contact_has_its_own_reason(message, reason, advice):
    (item,) = one(unreachable=True, msg=message)["findings"]
    assert item["reason"] == reason and advice in item["advice"]


@pytest.mark.parametrize(
    ("message", "reason", "advice"),
    [
        ("Missing sudo password", "become_password", "-K"),
        ("sudo: a password is required", "become_password", "-K"),
        ("/bin/sh: 1: sudo: not found", "no_become", "It has no sudo"),
        ("bash: line 1: sudo: command not found", "no_become", "It has no sudo"),
        (
            "ops is not in the sudoers file. This incident will be reported.",
            "become_denied",
            "Allow",
        ),
        (
            "Unable to execute ssh command line on a controller: [Errno 2] No such file: b'ssh'",
            "ssh_client",
            "Install an ssh client",
        ),
        (
            "The field 'remote_addr' has an invalid value, which includes an undefined variable."
            " 'terraform_ip' is undefined",
            "undefined:terraform_ip",
            "Define the variable",
        ),
        ("Error processing keyword 'remote_user': 'x' is undefined", "undefined:x", "Define"),
        ("the connection plugin 'nosuch' was not found", "plugin:nosuch", "Correct"),
        ("No space left on device", "other:No space left on device", "-vvv"),
    ],
)
def test_each_failed_diagnosis_has_its_own_reason(message, reason, advice):
    (item,) = one(failed=True, msg=message)["findings"]
    assert item["reason"] == reason and advice in item["advice"]


def test_a_long_reason_keeps_what_was_wrong_at_its_end():
    message = "value of checks must be one or more of: %s. Got no match for: servce"
    (item,) = one(failed=True, msg=message % ", ".join(["some_check"] * 100))["findings"]
    assert "value of checks" in item["summary"] and item["summary"].endswith("match for: servce")
    assert len(item["summary"]) < 600


def test_a_host_that_was_left_out_says_why():
    entry = results.host_entry("switch", [], [], {}, ["health"], left_out="it is a device")
    (item,) = entry["findings"]
    assert (item["summary"], item["reason"]) == ("Not diagnosed: it is a device", "left_out")


def test_each_finding_has_the_check_that_made_it():
    items = [
        finding("host.disk.ok", "host", "ok", "x"),
        finding("host.inodes.ok", "host", "ok", "x"),
        finding("host.load.ok", "host", "ok", "x"),
    ]
    entry = one(findings=items, checked={"disk": 2, "load": 1})
    made = ["health:disk", "health:disk", "health:load"]
    assert [item["check"] for item in entry["findings"]] == made
    for counts in ({"disk": 10**9}, {"disk": "2"}, {"disk": 4, "load": -1}, [], "x"):
        entry = one(findings=items, checked=counts)
        assert entry["findings"][0]["check"] == "health/host.disk"


def test_the_reason_of_a_lost_connection_holds_no_secret():
    (item,) = one(unreachable=True, msg="sshpass: password=hunter22secret refused")["findings"]
    assert "hunter22secret" not in str(item)


def test_a_failed_diagnosis_is_unknown_with_its_reason():
    entry = one(failed=True, msg="Task failed: Module failed: No space left\non device")
    (item,) = entry["findings"]
    assert (item["id"], item["status"]) == ("host.diagnosis.failed", "unknown")
    assert item["summary"] == "Not diagnosed: No space left on device"
    assert entry["reachable"] and not entry["diagnosed"]


def test_a_broken_module_says_why_in_its_last_line():
    trace = "Traceback (most recent call last):\n  File x\nRuntimeError: boom\n"
    (item,) = one(
        failed=True, msg="MODULE FAILURE: No start of json char found", module_stderr=trace
    )["findings"]
    assert item["summary"] == "Not diagnosed: RuntimeError: boom"
    (item,) = one(failed=True, msg="MODULE FAILURE", module_stderr="")["findings"]
    assert item["summary"] == "Not diagnosed: MODULE FAILURE"


def test_a_failed_task_with_findings_keeps_them():
    entry = one(failed=True, findings=[finding("host.disk.ok", "host", "ok", "fine")])
    assert [item["id"] for item in entry["findings"]] == ["host.disk.ok"]


def test_a_host_without_a_result_is_not_dropped():
    absent = results.host_entry("web1", [], [], {}, ["health", "more"])
    assert absent["findings"][0]["summary"] == "Not diagnosed: it has not registered health or more"
    left = results.host_entry("web1", [], [], {}, ["health"], left_play=True)
    assert "left the play" in left["findings"][0]["summary"]


@pytest.mark.parametrize("result", [{"changed": False}, {"findings": "none"}, "text", None, 5])
def test_a_result_of_another_shape_is_no_diagnosis(result):
    entry = results.host_entry("web1", [], [], {"health": result}, ["health"])
    assert [item["id"] for item in entry["findings"]] == ["host.diagnosis.failed"]


def test_a_skipped_task_beside_another_result_adds_nothing():
    found = {
        "health": {"findings": [finding("host.disk.ok", "host", "ok", "fine")]},
        "pg": {"skipped": True},
    }
    entry = results.host_entry("web1", [], [], found, ["health", "pg"])
    assert [item["id"] for item in entry["findings"]] == ["host.disk.ok"]


def test_the_results_of_a_loop_are_put_together():
    items = [
        {"findings": [finding("db.connection.ok", "database", "ok", name)]}
        for name in ("one", "two")
    ]
    assert [item["summary"] for item in one(results=items)["findings"]] == ["one", "two"]


@pytest.mark.parametrize(
    "broken",
    [
        "text",
        {},
        {"id": "host.disk.ok", "component": "host", "status": "fine", "summary": "x"},
        {"id": "host.disk.ok", "component": "toaster", "status": "ok", "summary": "x"},
        {"id": "<b>", "component": "host", "status": "ok", "summary": "x"},
        {"id": "host.disk.ok", "component": "host", "status": "ok", "summary": None},
        {
            "id": "host.disk.ok",
            "component": "host",
            "status": "ok",
            "summary": "x",
            "value": "much",
        },
        {"id": "host.disk.ok", "component": "host", "status": "ok", "summary": "x", "evidence": []},
        {"id": "host.disk.ok", "component": "host", "status": "ok", "summary": "x", "cause": 5},
        {"id": "host.disk.ok", "component": "host", "status": "ok", "summary": "x", "extra": 1},
    ],
)
def test_a_finding_that_breaks_the_contract_is_counted_and_the_others_stay(broken):
    entry = one(findings=[broken, finding("host.cpu.ok", "host", "ok", "fine")])
    assert [item["id"] for item in entry["findings"]] == ["host.cpu.ok", "host.diagnosis.failed"]
    assert "1 of its findings cannot be read" in entry["findings"][1]["summary"]


def test_evidence_without_end_is_left_out():
    item = finding(
        "app.errors.rate", "app", "fail", "x" * 100_000, evidence={"lines": ["x" * 100] * 10_000}
    )
    (kept,) = one(findings=[item])["findings"]
    assert len(str(kept)) < 5_000
    assert "left_out" in kept["evidence"]


def test_plain_makes_data_of_json_only():
    class Text(str):
        pass

    value = results.plain({"a": Text("x"), "b": float("nan"), "c": (1, 2), "d": object})
    assert value["a"].__class__ is str
    assert value["b"] is None
    assert value["c"] == [1, 2]
    assert isinstance(value["d"], str)
