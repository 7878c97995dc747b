# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus: its real answers (captured from 2.42 with the fleet's app), and what is none of
its.
"""

from __future__ import annotations

import contextlib
import http.server
import pathlib
import threading
import types
import urllib.parse

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import prometheus

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures" / "prometheus"


def result(name):
    return prometheus.read_result(200, (FIXTURES / name).read_text())


def test_rates_by_status_and_path():
    rates = prometheus.error_rate(result("rates.json"))
    assert rates["requests_per_second"] == pytest.approx(0.0769, abs=1e-4)
    assert rates["error_rate_percent"] == pytest.approx(13.93, abs=0.01)
    assert rates["failing"] == [{"status": "503", "path": "/health", "per_second": 0.0107}]
    assert rates["notes"] == {}


def test_the_rate_is_taken_over_all_requests_whatever_the_labels_are_called():
    samples = [({"code": "200", "handler": "/a"}, 99.0), ({"code": "500", "handler": "/a"}, 1.0)]
    assert prometheus.error_rate(samples)["error_rate_percent"] == 1.0


@pytest.mark.parametrize(
    ("samples", "note"),
    [
        ([], "no series matches"),
        ([({"status": "200"}, 0.0)], "no requests in the last 5 minutes"),
        ([({"status": "200"}, float("nan"))], "no requests in the last 5 minutes"),
    ],
)
def test_no_rate_without_requests(samples, note):
    rates = prometheus.error_rate(samples)
    assert rates["error_rate_percent"] is None
    assert rates["notes"] == {"error_rate_percent": note}


def test_the_largest_sample_counts():
    assert prometheus.largest(result("p95.json")) == (pytest.approx(0.07397, abs=1e-5), {}, None)
    samples = [({"a": "1"}, 1.0), ({"a": "2"}, float("nan")), ({"a": "3"}, 3.0)]
    assert prometheus.largest(samples) == (3.0, {"a": "3"}, None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.json", "no series"),
        ("nan.json", "not a number"),
        ("nan_vector.json", "not a number"),
    ],
)
def test_no_value_is_said_as_such(name, reason):
    value, labels, why = prometheus.largest(result(name))
    assert (value, labels) == (None, None)
    assert reason in why


def test_a_refused_expression_and_a_text_are_failures():
    with pytest.raises(prometheus.QueryFailed, match="unclosed left parenthesis"):
        result("error.json")
    with pytest.raises(prometheus.QueryFailed, match="has no number"):
        result("string.json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "[]",
        "null",
        "{}",
        '{"status":"success"}',
        '{"status":"healthy"}',
        "[" * 100000,
    ],
)
def test_what_is_not_prometheus(text):
    with pytest.raises(prometheus.NotPrometheus):
        prometheus.read_result(200, text)


def observed(**details):
    given = {
        "url": "http://p:9090",
        "given": True,
        "error": None,
        "error_rate_percent": None,
        "requests_per_second": None,
        "p95_seconds": None,
        "notes": {"error_rate_percent": "no series matches"},
        "queries": [],
    }
    return dict(given, **details)


def query(value, warn=None, fail=None, error=None, labels=None):
    labels = labels or {}
    return {
        "name": "depth",
        "query": "q",
        "warn": warn,
        "fail": fail,
        "value": value,
        "labels": labels,
        "error": error,
    }


def test_prometheus_itself():
    (item,) = prometheus.decide(types.SimpleNamespace(), observed())
    assert item["id"] == "app.metrics.ok"
    assert "no series matches" in item["summary"]
    (item,) = prometheus.decide(
        types.SimpleNamespace(), observed(error="p:9090: connection refused")
    )
    assert (item["id"], item["status"]) == ("app.metrics.unknown", "unknown")


@pytest.mark.parametrize(
    ("given", "id", "status"),
    [
        (query(1.0), "app.metrics.ok", "ok"),
        (query(1.0, warn=1.0), "app.metrics.high", "warn"),
        (query(1.0, warn=2.0), "app.metrics.ok", "ok"),
        (query(9.0, warn=2.0, fail=9.0), "app.metrics.high", "fail"),
        (query(float("inf"), fail=9.0), "app.metrics.high", "fail"),
        (query(None, error="no series matches"), "app.metrics.unknown", "unknown"),
    ],
)
def test_expressions(given, id, status):
    (item,) = prometheus.decide(types.SimpleNamespace(), observed(queries=[given]))
    assert (item["id"], item["status"]) == (id, status)


def test_the_labels_of_the_largest_value_are_named():
    given = query(5.0, warn=1.0, labels={"queue": "sync", "app": "x"})
    (item,) = prometheus.decide(types.SimpleNamespace(), observed(queries=[given]))
    assert 'for app="x", queue="sync" (threshold 1)' in item["summary"]


@contextlib.contextmanager
def serving(answers):
    """Answer queries by the first key that is in the expression; yields the URL and the
    queries.
    """
    queried = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            expression = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["query"][0]
            queried.append(expression)
            body = next(
                (text for key, text in answers.items() if key in expression), '{"status":"error"}'
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "http://127.0.0.1:%d" % server.server_port, queried
        server.shutdown()


def context(url, *queries):
    given = [{"name": "n", "query": text, "warn": None, "fail": None} for text in queries]
    params = {"prometheus_url": url, "prometheus_queries": given}
    return types.SimpleNamespace(params=params, deadline=Deadline(5))


def test_what_is_queried_and_found():
    answers = {
        "requests_total[5m]": (FIXTURES / "rates.json").read_text(),
        "duration": (FIXTURES / "p95.json").read_text(),
        "nosuch": (FIXTURES / "empty.json").read_text(),
        "sum(": (FIXTURES / "error.json").read_text(),
    }
    with serving(answers) as (url, queried):
        found = prometheus.query(context(url + "/", 'nosuch{a="b c"}', "sum("))
    assert queried == [prometheus.RATE, prometheus.P95, 'nosuch{a="b c"}', "sum("]
    assert (found["error"], round(found["p95_seconds"], 3)) == (None, 0.074)
    assert [query["error"] for query in found["queries"]] == [
        "no series matches",
        'bad_data: invalid parameter "query": 1:5: parse error: unclosed left parenthesis',
    ]


def test_something_else_on_the_port():
    with serving({"": "<html>"}) as (url, _queries):
        assert "not the answer of Prometheus" in prometheus.query(context(url))["error"]


def test_nothing_there():
    assert "refused" in prometheus.query(context("http://127.0.0.1:1"))["error"]


@pytest.mark.parametrize(
    ("queries", "id", "status"),
    [((), "app.metrics.skipped", "skipped"), (("up",), "app.metrics.unknown", "unknown")],
)
def test_only_who_has_queries_must_have_one(monkeypatch, queries, id, status):
    monkeypatch.setattr(prometheus, "DEFAULT_URL", "http://127.0.0.1:1")
    given = context(None, *queries)
    (item,) = prometheus.decide(given, prometheus.query(given))
    assert (item["id"], item["status"]) == (id, status)
    assert "refused" in item["summary"]
