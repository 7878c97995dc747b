# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import threading
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import metrics
from ansible_collections.sergas.ops.plugins.module_utils._host import app_endpoint

NOW = 1795530000.0
TEXT = """# HELP process_start_time_seconds x
process_start_time_seconds %s
sergas_http_requests_total{method="GET",path="/metrics",status="200"} 2.0
sergas_http_requests_total{method="GET",path="/health",status="503"} 99
sergas_http_requests_total{method="GET",path="/api/v1/accounts",status="200"} 24.0
sergas_http_requests_total{method="GET",path="/api/v1/accounts",status="500"} 6.0
sergas_http_requests_created{method="GET",path="/api/v1/accounts",status="500"} 1.79e+09
httpx_client_requests_total{status="500"} 4000
sergas_http_request_duration_seconds_bucket{le="1.0",path="/api/v1/accounts"} 24.0
sergas_http_request_duration_seconds_bucket{le="2.0",path="/api/v1/accounts"} 24.0
sergas_http_request_duration_seconds_bucket{le="10.0",path="/api/v1/accounts"} 30.0
sergas_http_request_duration_seconds_bucket{le="+Inf",path="/api/v1/accounts"} 30.0
sergas_http_request_duration_seconds_count{path="/api/v1/accounts"} 30.0
"""


def judged(text, since=NOW - 3600, started=None):
    samples = metrics.read(text, ("/health", "/metrics"))
    result = {"since": samples["started"] or started, "slow_paths": [], **samples["requests"]}
    return metrics.judge(result, samples["durations"], since, 1.0, 2.0)


def test_counters_of_an_app_that_was_started_in_the_window():
    found, gaps = judged(TEXT % (NOW - 600))
    assert gaps == {}
    assert (found["requests"], found["failed"], found["within"]) == (30, 6, True)
    assert found["failed_by_path"] == [{"path": "/api/v1/accounts", "count": 6}]
    (slow,) = found["slow_paths"]
    assert (slow["path"], slow["count"], slow["slow"]) == ("/api/v1/accounts", 30, 6)
    assert slow["p95"] == pytest.approx(8.0)


def test_counters_that_began_before_do_not_say_when_it_failed():
    few = TEXT.replace('status="200"} 24.0', 'status="200"} 240000')
    found, gaps = judged(few % (NOW - 90000))
    assert set(gaps) == {"requests", "latency"}
    assert "its 6 failed requests" in gaps["requests"] and "6 slow" in gaps["latency"]
    assert found["slow_paths"] == [] and not found["within"]


def test_counters_that_began_before_and_have_no_failure_say_so():
    fine = TEXT.replace('status="500"} 6.0', 'status="500"} 0.0').replace(
        'le="2.0",path="/api/v1/accounts"} 24.0', 'le="2.0",path="/api/v1/accounts"} 30.0'
    )
    assert judged(fine % (NOW - 90000)).gaps == {}


def test_a_rate_that_is_bad_whenever_it_was():
    assert set(judged(TEXT % (NOW - 90000)).gaps) == {"latency"}


@pytest.mark.parametrize(
    "text",
    [
        'http_requests_total{handler="/a",status="5xx"} 3\nhttp_requests_total{handler="/a",status="2xx"} 1',  # noqa: E501
        'starlette_responses_total{path="/a",status_code="500"} 3\nstarlette_responses_total{path="/a",status_code="200"} 1',  # noqa: E501
        'http_server_request_duration_seconds_count{http_route="/a",http_response_status_code="503"} 3\n'  # noqa: E501
        'http_server_request_duration_seconds_count{http_route="/a",http_response_status_code="200"} 1',  # noqa: E501
    ],
)
def test_counters_of_other_exporters(text):
    found, gaps = judged(text, started=NOW - 60)
    assert (found["requests"], found["failed"]) == (4, 3)
    assert found["failed_by_path"] == [{"path": "/a", "count": 3}]
    assert set(gaps) == {"latency"}


@pytest.mark.parametrize(
    "text", ["", "<html>", "x{", 'http_requests_total{a="', 'http_total{status="5"} nan\n{} 1']
)
def test_what_has_no_counters(text):
    found, gaps = judged(text, started=NOW - 60)
    assert found["requests"] == 0 and set(gaps) == {"requests", "latency"}


def test_percentiles_of_buckets():
    infinite = float("inf")
    assert metrics.percentile({1.0: 0, 2.0: 100, infinite: 100}, 0.95) == pytest.approx(1.95)
    assert metrics.percentile({1.0: 90, infinite: 100}, 0.95) == 1.0
    assert metrics.percentile({}, 0.95) == 0.0


@pytest.fixture
def app():
    """Return a function: the context of an app that answers with a status and a text."""
    servers = []

    def make(status, text):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_words):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return context(server.server_address[1])

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def context(port):
    return types.SimpleNamespace(
        unit={},
        endpoint=app_endpoint.Endpoint("127.0.0.1", port, None, "http", True),
        now=NOW,
        deadline=Deadline(5),
        params={
            "health_path": "/health",
            "window": 3600,
            "health_host": None,
            "health_scheme": None,
        },
        thresholds=thresholds.merge({}),
    )


def test_an_app_that_answers(app):
    found = metrics.observe(app(200, TEXT % (NOW - 600)))
    assert found.gaps == {} and found.value["failed"] == 6


def test_an_app_that_has_none(app):
    found = metrics.observe(app(404, "not found"))
    assert set(found.gaps) == set(metrics.ASPECTS) and "404" in found.gaps["requests"]


def test_no_app():
    found = metrics.observe(context(1))
    assert set(found.gaps) == set(metrics.ASPECTS) and found.value["requests"] == 0
