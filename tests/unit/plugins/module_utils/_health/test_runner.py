# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import times
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import (
    Check,
    Observation,
    Probe,
)
from ansible_collections.sergas.ops.plugins.module_utils._core.errors import InvalidValue
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding
from ansible_collections.sergas.ops.plugins.module_utils._health import runner
from ansible_collections.sergas.ops.plugins.module_utils._health.context import Context
from ansible_collections.sergas.ops.plugins.module_utils._host import ledger, ledger_reader
from ansible_collections.sergas.ops.plugins.modules import sergas_health
from ansible_collections.sergas.ops.plugins.modules.sergas_health import ARGUMENT_SPEC


@pytest.mark.parametrize("host", ["localhost", "app.example.com", "app:8443", "[::1]:8000", None])
def test_a_name_that_the_app_may_be_called_by(host):
    runner.check_requests({"health_host": host})


@pytest.mark.parametrize("host", ["", "a b", "a\r\nX: y", "http://app", "app/x", "user@app"])
def test_a_name_that_is_none_is_refused(host):
    with pytest.raises(InvalidValue, match="health_host") as caught:
        runner.check_requests({"health_host": host})
    assert repr(host) in str(caught.value)


@pytest.mark.parametrize(
    "params",
    [
        {"latency_token": "hunter2\nX: y"},
        {"latency_headers": {"X-Key": "hunter2\r\nX: y"}},
        {"latency_headers": {"X Key": "hunter2"}},
    ],
)
def test_a_secret_that_cannot_be_sent_is_refused_without_it(params):
    with pytest.raises(InvalidValue, match=next(iter(params))) as caught:
        runner.check_requests(params)
    assert "hunter2" not in str(caught.value)


def test_what_the_app_is_requested_with_is_masked_wherever_it_appears(tmp_path):
    params = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
    params.update(service="no-such-unit", env_file=str(tmp_path / ".env"), app_dir=str(tmp_path))
    params.update(latency_token="a-token-of-options", latency_headers={"X-Key": 1234567})
    context = Context(params, Deadline(5))
    assert {"a-token-of-options", "1234567"} <= set(context.secrets())
    assert context.endpoint.own is False and context.port == 8000


def test_the_database_of_the_app_has_the_servers_own_port(tmp_path):
    (tmp_path / ".env").write_text(
        "DATABASE_HOST=127.0.0.1\nDATABASE_PORT=6432\nDATABASE_NAME=crm\n"
    )
    params = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
    params.update(service="no-such-unit", env_file=str(tmp_path / ".env"), app_dir=str(tmp_path))
    context = Context(params, Deadline(5))
    # Behind a pooler, the port in the settings is that of the pooler.
    assert context.app({"server_port": 5433})["database"] == {
        "host": "127.0.0.1",
        "port": 5433,
        "name": "crm",
    }
    assert context.app()["database"]["port"] is None


def observe_logs(ctx):
    """Return the log of an app that failed before a remedy, and served 150 requests since."""
    old = ctx.params["window"] > 1000
    return {"exceptions": 12 if old else 0, "requests": 162 if old else 150}


def decide_exceptions(_ctx, logs):
    bad = logs["exceptions"] > 0
    id, status = ("app.exceptions", "fail") if bad else ("app.exceptions.ok", "ok")
    return [finding(id, "app", status, "%d exceptions" % logs["exceptions"])]


def decide_errors(_ctx, logs, _prometheus=None):
    return [finding("app.errors.ok", "app", "ok", "fine", evidence={"requests": logs["requests"]})]


PROBES = {"logs": Probe(observe_logs, 5), "prometheus": Probe(lambda _ctx: None, 5)}
CHECKS = {
    "exceptions": Check(decide_exceptions, ("logs",), "app.exceptions", "app", (), None),
    "errors": Check(
        decide_errors, ("logs",), "app.errors", "app", (), None, ("prometheus",), (), "a test"
    ),
}


def entry(outcome="unverified"):
    now = time.time()
    line = {
        "time": times.clock(now - 400),
        "ended": times.clock(now - 300),
        "run": "r1",
        "remedy": "debug_logging",
        "outcome": outcome,
        "findings": ["app.exceptions"],
        "awaiting": ["app.exceptions"],
        "before": [{"id": "app.exceptions", "status": "fail", "summary": "12 exceptions"}],
    }
    return ledger.parse(json.dumps(line).encode())[0][0]


@pytest.fixture
def diagnose(monkeypatch):
    """Return a function that diagnoses a host with these entries in its ledger."""

    def run(*entries, **params):
        monkeypatch.setattr(ledger_reader, "read", lambda: list(entries))
        spec = sergas_health.ARGUMENT_SPEC
        given = {name: option.get("default") for name, option in spec.items()}
        return runner.diagnose(dict(given, **params), CHECKS, PROBES)

    return run


def found(result):
    return {item["id"]: item for item in result["findings"]}


def test_enough_requests_since_a_remedy_decide_on_it_in_the_log_since_then(diagnose):
    result = diagnose(entry())
    assert set(found(result)) == {"app.exceptions.ok", "app.errors.ok"}
    (decided,) = result["decided"]
    assert (decided["outcome"], decided["run"]) == ("kept", "r1")


def test_more_requests_may_be_wanted(diagnose):
    result = diagnose(entry(), verify_requests=151)
    facts = found(result)["app.exceptions"]["evidence"]["awaiting_traffic"]
    assert (facts["requests"], facts["needed"], result["decided"]) == (150, 151, [])


@pytest.mark.parametrize("checks", [["exceptions"], ["exceptions", "errors"]])
def test_the_requests_are_counted_whichever_checks_are_run(diagnose, checks):
    assert [one["outcome"] for one in diagnose(entry(), checks=checks)["decided"]] == ["kept"]


def test_what_is_not_checked_stays_undecided(diagnose):
    result = diagnose(entry(), checks=["errors"])
    assert (set(found(result)), result["decided"]) == ({"app.errors.ok"}, [])


def test_a_recording_is_decided_as_its_host_decided_it(diagnose):
    result = json.loads(json.dumps(diagnose(entry(), record=True)))
    again = runner.replay(result["recording"], CHECKS, PROBES)
    assert again["findings"] == result["findings"]
    assert again["decided"] == result["decided"] != []


def test_nothing_more_is_read_where_nothing_waits(diagnose):
    for entries in ((), (entry("kept"),)):
        result = diagnose(*entries)
        assert set(result["probe_seconds"]) == {"logs", "prometheus"}
        assert result["found_by"] == {"app.exceptions": ["exceptions"]}
        assert (set(found(result)), result["decided"]) == (
            {"app.exceptions", "app.errors.ok"},
            [],
        )


@pytest.mark.parametrize(("status", "expected"), [("fail", "skipped"), ("ok", "unknown")])
def test_what_only_explains_is_no_fault_beside_what_it_is_to_explain(status, expected):
    probes = {"one": Probe(None, 5), "kernel": Probe(None, 5, (), True)}
    checks = {
        "first": Check(
            lambda ctx, one: [finding("app.x." + status, "app", status, "as seen")],
            ("one",), "app.x", "app", (), None,
        ),
        "kernel": Check(None, ("kernel",), "host.kernel", "host", (), None),
    }  # fmt: skip
    observations = {name: Observation() for name in probes}
    observations["kernel"].error = "no answer in time"
    result = runner.judge(list(checks), checks, probes, None, observations, None)
    found = {item["id"]: item["status"] for item in result["findings"]}
    assert found["host.kernel." + expected] == expected
