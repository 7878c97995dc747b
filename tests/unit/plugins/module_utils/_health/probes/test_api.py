# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import json
import pathlib
import threading
import time
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import diagnosis, thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health.checks import CHECKS, PROBES
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import api
from ansible_collections.sergas.ops.plugins.module_utils._host import app_endpoint

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


def test_a_body_without_components_is_judged_by_its_status_alone():
    (item,) = judged(sample(SHORT)).values()
    assert (item["id"], item["status"]) == ("api.health.ok", "ok")
    # They have dedicated checks.
    assert item["evidence"]["not_mentioned"] == ["database", "redis", "zoho", "cognee"]


def test_what_the_app_does_not_use_is_not_missed():
    assert list(judged(sample(SHORT), settings={})) == ["api.health.ok"]
    body = json.dumps({"status": "healthy", "cognee": "disabled"})
    (item,) = judged(sample(body), settings={"COGNEE_BASE_URL": "http://c"}).values()
    assert item["id"] == "api.health.ok" and "not_mentioned" not in item["evidence"]


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        ({}, "empty", "states nothing"),
        ({"version": "1.0"}, "empty", "states nothing"),
        ({"status": "frobnicated"}, "words", "status frobnicated"),
        ({"status": "ok", "database": "frobnicated"}, "words", "database frobnicated"),
    ],
)
def test_what_the_body_does_not_say_is_unknown(body, reason, words):
    (item,) = judged(sample(json.dumps(body))).values()
    assert (item["id"], item["status"]) == ("api.health.unknown", "unknown")
    assert item["reason"] == reason and words in item["summary"]


def test_concerns_are_said():
    (item,) = judged(sample('{"status":"warn","database":"connected"}')).values()
    assert item["id"] == "api.health.ok" and "with concerns: status warn" in item["summary"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (sample('{"detail":"Not authenticated"}', 401), "credentials"),
        (sample("", 403), "credentials"),
        (sample("Invalid host header", 400), "host_name"),
        (failure("timeout", "first_byte", 1.5), "deadline"),
    ],
)
def test_a_request_that_says_nothing_of_the_app_is_unknown(answer, reason):
    (item,) = judged(answer).values()
    assert (item["id"], item["status"]) == ("api.health.unknown", "unknown")
    assert item["reason"] == reason


def test_what_is_known_of_the_certificate_is_said():
    health = dict(seen(sample(SHORT)), tls="not verified: self-signed certificate")
    (item,) = api.judge(health, {})
    assert item["status"] == "ok"
    assert item["evidence"]["tls"] == "not verified: self-signed certificate"


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
        (sample("Service Unavailable", 503), "api.health.failing"),
        (sample('{"detail":"x"}', 400), "api.health.failing"),
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


def test_an_answer_that_comes_late_is_slow_and_not_unreachable():
    late = sample(SHORT, seconds=12.0)
    assert list(judged(late)) == ["api.health.ok"]
    assert api.judge_latency(seen(late), THRESHOLD)["status"] == "fail"


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


class TestObserve:
    def observed(self, endpoint, seconds=5, **params):
        given = {"health_path": "health", "latency_paths": ["/a"], "samples": 3}
        given.update(health_host=None, health_scheme=None, latency_token=None, latency_headers=None)
        ctx = types.SimpleNamespace(
            endpoint=endpoint,
            params=dict(given, **params),
            thresholds=thresholds.merge({}),
            deadline=Deadline(seconds),
        )
        return api.observe(ctx)

    @pytest.fixture
    def serve(self):
        """Return a function that starts a server; ``answers`` has what for which path."""
        requests, servers = [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append((self.path, dict(self.headers)))
                status, seconds = self.server.answers.get(self.path, (200, 0))
                time.sleep(seconds)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b'{"status":"ok"}')

            def log_message(self, *_arguments):
                pass

        def start(own=True, **answers):
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.answers = {"/" + path: answer for path, answer in answers.items()}
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            servers.append(server)
            port = server.server_address[1]
            return app_endpoint.Endpoint("127.0.0.1", port, None, "http", own), requests

        yield start
        for server in servers:
            server.shutdown()
            server.server_close()

    def test_a_server_that_does_not_answer_is_queried_once(self):
        endpoint = app_endpoint.Endpoint("127.0.0.1", 1, None, "http", False)
        found = self.observed(endpoint).value
        assert found["url"] == "http://127.0.0.1:1/health"
        assert [item["kind"] for item in found["samples"]] == ["refused"]
        assert found["paths"] == {}

    def test_a_path_is_measured_with_the_credentials_that_it_needs(self, serve):
        endpoint, requests = serve()
        found = self.observed(endpoint, latency_token="hunter2", latency_headers={"X-Key": 7})
        assert found.gaps == {} and list(found.value["paths"]) == ["/a"]
        sent = dict(requests)["/a"]
        assert (sent["Authorization"], sent["X-Key"]) == ("Bearer hunter2", "7")
        assert "Authorization" not in dict(requests)["/health"]
        assert "hunter2" not in str(found)

    def test_credentials_go_to_the_app_only(self, serve):
        endpoint, requests = serve(own=False)
        found = self.observed(endpoint, latency_token="hunter2")
        assert "/a" not in dict(requests) and found.value["paths"] == {}
        assert "not requested" in found.gaps["paths"]

    @pytest.mark.parametrize(
        ("answer", "words"),
        [((401, 0), "latency_token"), ((500, 0), "HTTP 500"), ((200, 1.5), "in time")],
    )
    def test_a_time_that_says_nothing_is_a_gap(self, serve, answer, words):
        endpoint, _requests = serve(a=answer)
        found = self.observed(endpoint, seconds=1.2)
        assert found.value["paths"] == {} and words in found.gaps["paths"]
        (item,) = diagnosis.decide(
            "latency",
            CHECKS["latency"],
            PROBES,
            types.SimpleNamespace(thresholds=thresholds.merge({})),
            {
                "health": seen_by(found),
                **dict.fromkeys(("prometheus", "logs", "metrics"), seen_by(None)),
            },
        )
        assert (item["id"], item["reason"]) == ("api.latency.unknown", "gap:health.paths")

    def test_a_request_may_take_what_the_deadline_leaves(self, serve):
        assert PROBES["health"].seconds >= 600
        endpoint, _requests = serve(health=(200, 1.0))
        (first, *_others) = self.observed(endpoint, seconds=1.8).value["samples"]
        assert first["status"] == 200

    @pytest.mark.parametrize(("share", "expected"), [(4, True), (1000, False)])
    def test_more_requests_show_whether_a_slow_one_was_an_accident(
        self, monkeypatch, share, expected
    ):
        requests = []

        def get(*_arguments):
            requests.append(1)
            total = 3.0 if len(requests) % share == 2 or len(requests) == 2 else 0.1
            return answered(total), "http"

        monkeypatch.setattr(api.app_endpoint, "get", get)
        found = self.observed(ANYWHERE, 30, latency_paths=[]).value
        assert len(found["repeated"]) == 12
        assert (api.judge_latency(found, THRESHOLD)["status"] != "ok") is expected

    def test_a_service_that_is_fast_is_not_queried_more(self, monkeypatch):
        monkeypatch.setattr(api.app_endpoint, "get", lambda *_arguments: (answered(0.1), "http"))
        assert "repeated" not in self.observed(ANYWHERE, 30, latency_paths=[]).value


ANYWHERE = app_endpoint.Endpoint("127.0.0.1", 1, None, "http", True)


def answered(seconds):
    return types.SimpleNamespace(
        status=200,
        text=lambda: "{}",
        truncated=False,
        phases={"total": seconds},
        redirects=[],
        headers={},
    )


def seen_by(found):
    observation = diagnosis.Observation()
    if found is not None:
        observation.value, observation.gaps = found
    return observation
