# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import api
from ansible_collections.sergas.ops.plugins.module_utils._host import unit

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures" / "health"
URL = "http://127.0.0.1:8000/health"
SETTINGS = {
    "DATABASE_HOST": "db1",
    "REDIS_HOST": "r1",
    "ZOHO_SDK_CLIENT_ID": "x",
    "COGNEE_BASE_URL": "http://cognee1:8001",
}
SHORT = (
    '{"status":"healthy","service":"sergas-agents","protocol":"ag-ui","copilotkit_configured":true}'
)
THRESHOLD = (2.0, 5.0, "s")


def sample(body="", status=200, seconds=0.01, **details):
    phases = {"name": 0.0, "connect": 0.001, "first_byte": seconds - 0.001, "total": seconds}
    given = {
        "status": status,
        "body": body,
        "truncated": False,
        "phases": phases,
        "redirects": [],
        "location": None,
    }
    return dict(given, **details)


def failure(kind, phase, seconds=0.01):
    return {
        "error": "127.0.0.1:8000: " + kind,
        "kind": kind,
        "phase": phase,
        "phases": {},
        "seconds": seconds,
    }


def seen(*samples, **paths):
    return {"url": URL, "samples": list(samples), "paths": paths}


def judged(*samples, settings=None):
    return {
        item["id"]: item
        for item in api.judge(seen(*samples), SETTINGS if settings is None else settings)
    }


def test_a_healthy_reply():
    body = (FIXTURES / "healthy.json").read_text()
    findings = judged(sample(body), sample(body))
    assert [(item["id"], item["status"]) for item in findings.values()] == [("api.health.ok", "ok")]


def test_a_degraded_reply_names_what_it_reports():
    findings = judged(sample((FIXTURES / "degraded.json").read_text(), 503))
    assert list(findings) == ["api.health.degraded"]
    assert "redis disconnected" in findings["api.health.degraded"]["summary"]


def test_every_dependency_has_a_finding_where_it_is_grouped():
    reply = json.loads((FIXTURES / "healthy.json").read_text())
    reply.update(status="degraded", zoho="unauthenticated", cognee="disconnected")
    findings = judged(sample(json.dumps(reply), 503))
    assert list(findings) == ["api.health.degraded", "zoho.token.invalid", "cognee.down"]
    assert findings["cognee.down"]["evidence"]["target"] == "cognee1:8001"
    assert findings["zoho.token.invalid"]["evidence"]["target"] == "accounts.zoho.com:443"
    assert {item["confidence"] for item in findings.values()} == {"measured", "estimated"}


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        ({"ZOHO_SDK_REGION": "eu"}, "accounts.zoho.eu:443"),
        ({"ZOHO_SDK_REGION": "AU"}, "accounts.zoho.com.au:443"),
        ({"ZOHO_ACCOUNTS_URL": "http://zoho.test:8002/x"}, "zoho.test:8002"),
    ],
)
def test_where_zoho_is(settings, target):
    findings = judged(sample('{"status":"degraded","zoho":"expired"}', 503), settings=settings)
    assert findings["zoho.token.invalid"]["evidence"]["target"] == target


def test_a_rate_limit_is_no_bad_token():
    findings = judged(sample('{"status":"degraded","zoho":"rate_limited"}', 503), settings={})
    assert list(findings) == ["api.health.degraded", "zoho.rate_limited"]


@pytest.mark.parametrize("word", ["connected", "ok", True, {"status": "healthy", "latency_ms": 3}])
def test_good_words(word):
    body = json.dumps({"status": "healthy", "database": word})
    assert list(judged(sample(body), settings={"DATABASE_HOST": "db1"})) == ["api.health.ok"]


@pytest.mark.parametrize(
    "word", ["disconnected", "error", False, {"status": "down"}, "not connected"]
)
def test_bad_words_count_even_with_200(word):
    body = json.dumps({"status": "healthy", "database": word})
    assert list(judged(sample(body), settings={"DATABASE_HOST": "db1"})) == ["api.health.degraded"]


def test_what_health_does_not_say_is_unknown():
    findings = judged(sample(SHORT))
    assert [(item["id"], item["status"]) for item in findings.values()] == [
        ("api.health.ok", "ok"),
        ("api.health.incomplete", "unknown"),
    ]
    assert findings["api.health.incomplete"]["evidence"]["missing"] == [
        "database",
        "redis",
        "zoho",
        "cognee",
    ]


def test_what_the_app_does_not_use_is_not_missed():
    assert list(judged(sample(SHORT), settings={})) == ["api.health.ok"]
    body = json.dumps({"status": "healthy", "cognee": "disabled"})
    assert list(judged(sample(body), settings={"COGNEE_BASE_URL": "http://c"})) == ["api.health.ok"]


@pytest.mark.parametrize(
    ("answer", "id"),
    [
        (sample("<html>", 200), "api.health.invalid"),
        (sample("[1]", 200), "api.health.invalid"),
        (sample("[" * 100000, 200), "api.health.invalid"),
        (sample("x" * 65536, 200, truncated=True), "api.health.invalid"),
        (sample("", 200), "api.health.invalid"),
        (sample("\ufffd\ufffd", 200), "api.health.invalid"),
        (sample("Internal Server Error", 500), "api.health.failing"),
        (sample("", 302, location="https://elsewhere/"), "api.health.failing"),
        (sample("", 404), "api.health.failing"),
        (failure("refused", "connect"), "api.health.unreachable"),
        (failure("timeout", "first_byte", 9.0), "api.health.unreachable"),
        (failure("closed", "first_byte"), "api.health.unreachable"),
        (failure("protocol", "first_byte"), "api.health.invalid"),
        (failure("redirect", "total"), "api.health.invalid"),
    ],
)
def test_other_answers(answer, id):
    (item,) = judged(answer).values()
    assert (item["id"], item["status"]) == (id, "fail")


def test_a_page_that_is_not_found_is_no_incomplete_report():
    assert list(judged(sample('{"detail":"Not Found"}', 404))) == ["api.health.failing"]


def test_one_bad_answer_of_three_counts():
    good = sample((FIXTURES / "healthy.json").read_text())
    item = judged(good, sample("", 500), good)["api.health.failing"]
    assert "500 in 1 of 3 requests" in item["summary"]
    assert (
        judged(good, failure("closed", "first_byte"))["api.health.unreachable"]["evidence"][
            "failed"
        ]
        == "1 of 2"
    )


class TestLatency:
    def judged(self, *samples, **kwargs):
        paths = kwargs.pop("paths", {})
        return api.judge_latency(seen(*samples, **paths), THRESHOLD, **kwargs)

    def test_fast(self):
        item = self.judged(sample(seconds=0.1))
        assert (item["id"], item["status"], item["value"]) == ("api.latency.ok", "ok", 0.1)

    @pytest.mark.parametrize(("seconds", "status"), [(1.999, "ok"), (2.0, "warn"), (5.0, "fail")])
    def test_thresholds(self, seconds, status):
        assert self.judged(sample(seconds=seconds))["status"] == status

    def test_the_slow_phase_is_named(self):
        answer = sample()
        answer["phases"] = {"name": 2.5, "connect": 0.1, "first_byte": 0.2, "total": 3.0}
        item = self.judged(answer)
        assert item["id"] == "api.latency.high"
        assert item["evidence"]["slow_phase"] == "name"
        assert item["evidence"]["phases"] == {
            "name": 2.5,
            "connect": 0.1,
            "first_byte": 0.2,
            "body": 0.2,
        }
        assert "resolution" in item["advice"]

    def test_one_slow_request_of_three_is_not_a_slow_service(self):
        assert (
            self.judged(sample(seconds=0.1), sample(seconds=6.0), sample(seconds=0.1))["status"]
            == "ok"
        )

    def test_further_paths_prometheus_and_the_log_count(self):
        good = sample(seconds=0.1)
        assert self.judged(good, paths={"/a": sample(seconds=3.0)})["value"] == 3.0
        assert (
            self.judged(good, paths={"/a": failure("timeout", "first_byte", 7.0)})["status"]
            == "fail"
        )
        assert self.judged(good, prometheus={"p95_seconds": 2.5})["status"] == "warn"
        assert self.judged(good, prometheus={"p95_seconds": None})["status"] == "ok"
        slow = {
            "path": "/b",
            "count": 9,
            "slow": 9,
            "mean": 5.5,
            "max": 8.0,
            "p95": 7.9,
            "last": 0.0,
        }
        assert self.judged(good, logs={"slow_paths": [slow]})["status"] == "fail"
        assert self.judged(good, logs={"slow_paths": [dict(slow, count=1)]})["status"] == "ok"

    def test_what_only_the_log_tells_was_last_seen_with_its_last_slow_request(self):
        good = sample(seconds=0.1)
        slow = {
            "path": "/b",
            "count": 9,
            "slow": 9,
            "mean": 5.5,
            "max": 8.0,
            "p95": 7.9,
            "last": 60.0,
        }
        paths = [
            slow,
            dict(slow, path="/c", last=90.0),
            dict(slow, path="/d", mean=0.1, slow=1, last=99.0),
        ]
        item = self.judged(good, logs={"slow_paths": paths})
        assert item["evidence"]["last_seen"] == "1970-01-01T00:01:30Z"
        # What is slow right now is of the present.
        item = self.judged(good, logs={"slow_paths": paths}, prometheus={"p95_seconds": 2.5})
        assert item["status"] == "fail" and "last_seen" not in item["evidence"]

    @pytest.mark.parametrize(
        ("repeated", "status"),
        [
            ([], "ok"),
            ([0.1] * 12, "ok"),
            ([0.1] * 10 + [7.0, 7.0], "fail"),
            ([0.1] * 11 + [2.5], "fail"),
        ],
    )
    def test_one_slow_request_in_four_is_a_slow_service(self, repeated, status):
        health = seen(sample(seconds=0.1), sample(seconds=6.0), sample(seconds=0.1))
        health["repeated"] = repeated
        item = api.judge_latency(health, THRESHOLD)
        assert item["status"] == status
        assert status == "ok" or "95th percentile of 15 requests" in item["summary"]

    def test_the_percentile_of_a_path_counts_beside_its_mean(self):
        path = {"path": "/b%20", "count": 24, "slow": 6, "mean": 1.8, "p95": 7.0, "last": 0.0}
        item = self.judged(sample(seconds=0.1), logs={"slow_paths": [path]})
        assert item["status"] == "fail"
        assert "95th percentile of /b%20 in the log (24 requests): 7.000 s" in item["summary"]
        alone = dict(path, slow=1)
        assert self.judged(sample(seconds=0.1), logs={"slow_paths": [alone]})["status"] == "ok"

    def test_the_apps_own_histogram_counts(self):
        path = {"path": "/b", "count": 24, "slow": 6, "p95": 7.0}
        item = self.judged(sample(seconds=0.1), metrics={"slow_paths": [path]})
        assert item["status"] == "fail" and "by /metrics" in item["summary"]

    def test_no_answer_at_all_is_unknown_and_one_that_is_late_is_slow(self):
        assert self.judged(failure("refused", "connect"))["status"] == "unknown"
        item = self.judged(failure("timeout", "first_byte", 9.0))
        assert (item["id"], item["status"], item["evidence"]["slow_phase"]) == (
            "api.latency.high",
            "fail",
            "first_byte",
        )


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        ("uvicorn src.main:app --host 0.0.0.0 --port 8000", "127.0.0.1"),
        ("uvicorn src.main:app", "127.0.0.1"),
        ("uvicorn src.main:app --host ${HOST}", "127.0.0.1"),
        ("uvicorn src.main:app --host=10.1.2.3 --workers 4", "10.1.2.3"),
    ],
)
def test_the_app_is_queried_where_it_listens(arguments, address):
    assert (
        unit.listen_address({"ExecStart": "{ path=/x ; argv[]=%s ; ignore_errors=no }" % arguments})
        == address
    )


def test_a_server_that_does_not_answer_is_queried_once():
    ctx = types.SimpleNamespace(
        unit={},
        port=1,
        params={"health_path": "health", "latency_paths": ["/a"], "samples": 3},
        thresholds=thresholds.merge({}),
        deadline=Deadline(5),
    )
    observed = api.observe(ctx)
    assert observed["url"] == "http://127.0.0.1:1/health"
    assert [item["kind"] for item in observed["samples"]] == ["refused"]
    assert observed["paths"] == {}


@pytest.mark.parametrize(("share", "expected"), [(4, True), (1000, False)])
def test_more_requests_show_whether_a_slow_one_was_an_accident(monkeypatch, share, expected):
    requests = []

    def get(address, deadline, max_bytes, redirects=0):
        requests.append(address)
        total = 3.0 if len(requests) % share == 2 or len(requests) == 2 else 0.1
        return types.SimpleNamespace(
            status=200,
            text=lambda: "{}",
            truncated=False,
            phases={"total": total},
            redirects=[],
            headers={},
        )

    monkeypatch.setattr(api.http, "get", get)
    ctx = types.SimpleNamespace(
        unit={},
        port=1,
        params={"health_path": "health", "latency_paths": [], "samples": 3},
        thresholds=thresholds.merge({}),
        deadline=Deadline(30),
    )
    observed = api.observe(ctx)
    assert len(observed["repeated"]) == 12
    assert (api.judge_latency(observed, THRESHOLD)["status"] != "ok") is expected


def test_a_service_that_is_fast_is_not_queried_more(monkeypatch):
    answer = types.SimpleNamespace(
        status=200,
        text=lambda: "{}",
        truncated=False,
        phases={"total": 0.1},
        redirects=[],
        headers={},
    )
    monkeypatch.setattr(api.http, "get", lambda *_args, **_more: answer)
    ctx = types.SimpleNamespace(
        unit={},
        port=1,
        params={"health_path": "health", "latency_paths": [], "samples": 3},
        thresholds=thresholds.merge({}),
        deadline=Deadline(30),
    )
    assert "repeated" not in api.observe(ctx)
