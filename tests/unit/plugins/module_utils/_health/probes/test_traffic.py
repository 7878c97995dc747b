# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socketserver
import threading
import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core import thresholds
from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import loadbalancer, traffic

NOW = 1795530000.0
STATISTICS = """# pxname,svname,qcur,req_tot,hrsp_2xx,hrsp_5xx,econ,eresp,addr
web,FRONTEND,,40,30,10,,,
app,app1,0,,30,2,0,0,10.0.0.5:8000
app,app2,0,,0,3,5,0,10.0.0.6:8000
app,BACKEND,0,40,30,10,5,0,
"""
HTTPLOG = (
    "Nov 24 09:59:%02d lb1 haproxy[77]: 203.0.113.9:4242 [24/Nov/2026:09:59:00.123] web app/%s"
    ' 0/0/0/12/12 %s 212 - - ---- 1/1/0/0/0 0/0 "GET /api/v1/accounts/%d?x HTTP/1.1"'
)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Return a function that writes a file of the host, and the context of a diagnosis."""
    for name in ("HAPROXY", "NGINX", "_HAPROXY_LOG", "_NGINX_LOG"):
        monkeypatch.setattr(traffic, name, str(tmp_path / getattr(traffic, name).lstrip("/")))
    parts = tuple(str(tmp_path / part.lstrip("/")) for part in traffic._NGINX_PARTS)
    monkeypatch.setattr(traffic, "_NGINX_PARTS", parts)
    monkeypatch.setattr(traffic.journal.Journal, "chunks", lambda _self: [])

    def write(path, text):
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (NOW, NOW))
        return path

    return write


def context():
    return types.SimpleNamespace(
        now=NOW,
        deadline=Deadline(5),
        params={"window": 7 * 86400},
        thresholds=thresholds.merge({}),
    )


def judged(found):
    return [(item["id"], item["status"]) for item in traffic.decide(context(), found.value)]


def common(path, status):
    time = "24/Nov/2026:14:15:00 +0000"
    return '203.0.113.9 - - [%s] "GET %s HTTP/1.1" %d 42 "-" "x"\n' % (time, path, status)


def test_the_log_of_haproxy():
    counts = traffic.Counts()
    for number, (server, status) in enumerate([("app1", "200"), ("app2", "503"), ("app2", "-1")]):
        counts.line(HTTPLOG % (number, server, status, number))
    counts.line("Nov 24 09:59:00 lb1 haproxy[77]: Proxy web started.")
    assert (counts.requests, counts.failed, counts.unread) == (3, 2, 1)
    assert counts.by_server == {"app/app2": 2}
    assert counts.by_path == {"/api/v1/accounts/{id}": 2}


def test_the_log_of_nginx(host):
    host("etc/nginx/nginx.conf", "http { access_log %s; }")
    log = host("var/log/web.log", common("/a", 200) * 20 + common("/b/7", 502) * 5)
    host("etc/nginx/nginx.conf", "access_log %s main;\nproxy_pass http://10.0.0.5:8000;\n" % log)
    host("etc/nginx/conf.d/status.conf", "location / {\n  access_log off;\n}\n")
    found = traffic.observe(context())
    (counts,) = found.value["balancers"]
    assert (counts["requests"], counts["failed"]) == (25, 5)
    assert counts["by_path"] == [{"name": "/b/{id}", "count": 5}]
    assert counts["target"] == "10.0.0.5:8000"
    # What one location does not log is not seen.
    assert judged(found) == [("lb.requests.failing", "fail")]


def test_requests_that_nginx_does_not_log_are_a_gap(host):
    host("etc/nginx/nginx.conf", "access_log off;\n")
    host("var/log/nginx/access.log", "")
    assert "access_log off" in traffic.observe(context()).gaps["requests"]


def test_lines_of_nginx_as_json(host):
    host("etc/nginx/nginx.conf", "http {}")
    line = '{"time": "2026-11-24T14:15:00Z", "status": "%d", "request_uri": "/a?b"}\n'
    host("var/log/nginx/access.log", line % 200 + line % 500 * 3)
    found = traffic.observe(context())
    assert found.value["balancers"][0]["failed"] == 3 and found.gaps == {}


def test_a_format_of_nginx_that_is_not_known_is_a_gap(host):
    host("etc/nginx/nginx.conf", "http {}")
    host("var/log/nginx/access.log", "2026-11-24T14:15:00Z 500 /a\n" * 3)
    assert "not understood" in traffic.observe(context()).gaps["requests"]


def test_haproxy_without_log_and_socket_is_a_gap(host):
    host("etc/haproxy/haproxy.cfg", "global\n  daemon\n")
    found = traffic.observe(context())
    assert "no stats socket" in found.gaps["requests"]


@pytest.mark.parametrize(("uptime", "gap"), [(600, False), (9 * 86400, True)])
def test_the_status_of_haproxy(host, tmp_path, uptime, gap):
    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            command = self.rfile.readline().strip()
            answers = {b"show stat": STATISTICS, b"show info": "Uptime_sec: %d\n" % uptime}
            self.wfile.write(answers[command].encode())

    path = str(tmp_path / "admin.sock")
    host("etc/haproxy/haproxy.cfg", "global\n  stats socket %s mode 660 level admin\n" % path)
    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = traffic.observe(context())
        server.shutdown()
    (counts,) = found.value["balancers"]
    assert (counts["requests"], counts["failed"]) == (40, 10)
    assert (counts["target"], counts["by_server"][0]["name"]) == ("10.0.0.6:8000", "app/app2")
    assert bool(found.gaps) is gap
    assert judged(found) == [("lb.requests.failing", "fail")]


def test_a_socket_that_does_not_answer_is_a_gap(host, tmp_path):
    host("etc/haproxy/haproxy.cfg", "stats socket %s\n" % (tmp_path / "none.sock"))
    assert "none.sock" in traffic.observe(context()).gaps["requests"]


@pytest.mark.parametrize("text", ["", "#", "nothing", "# pxname,svname\nweb\n", "a,b\n1\n2,3,4"])
def test_what_is_no_statistics(text):
    counts, server = traffic.counted(text)
    assert (counts.requests, counts.failed, server) == (0, 0, None)


@pytest.mark.parametrize(
    ("requests", "failed", "status"),
    [
        (0, 0, "ok"),
        (100, 1, "warn"),
        (100, 5, "fail"),
        (3, 3, "fail"),
        (1, 1, "warn"),
        (9, 1, "ok"),
    ],
)
def test_rates(requests, failed, status):
    counts = traffic._plain(traffic.Counts(), "its log", NOW, None)
    counts.update(requests=requests, failed=failed, name="nginx")
    (item,) = traffic.decide(context(), {"balancers": [counts]})
    assert item["status"] == status


def test_most_hosts_have_no_balancer(monkeypatch):
    monkeypatch.setattr(loadbalancer, "_BALANCERS", ("/nowhere",))
    found = loadbalancer.observe_traffic(context())
    (item,) = loadbalancer.decide_traffic(context(), found)
    assert (item["id"], item["status"]) == ("lb.requests.skipped", "skipped")
