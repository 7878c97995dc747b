# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How requests end at a load balancer on this host: by the log of HAProxy or nginx, else by the
status of HAProxy.

It sees what the app's own log may not: requests that get no answer, and servers that are down.
"""

from __future__ import annotations

import csv
import glob
import re
import socket

from ansible_collections.sergas.ops.plugins.module_utils._core import files
from ansible_collections.sergas.ops.plugins.module_utils._core.diagnosis import Observed
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import finding, grade
from ansible_collections.sergas.ops.plugins.module_utils._core.times import clock
from ansible_collections.sergas.ops.plugins.module_utils._health.logs import formats, lines
from ansible_collections.sergas.ops.plugins.module_utils._host import journal
from ansible_collections.sergas.ops.plugins.module_utils._host.log_files import LogFile

HAPROXY, NGINX = "/etc/haproxy/haproxy.cfg", "/etc/nginx/nginx.conf"
_NGINX_PARTS = ("/etc/nginx/conf.d/*.conf", "/etc/nginx/sites-enabled/*")
_HAPROXY_LOG, _NGINX_LOG = "/var/log/haproxy.log", "/var/log/nginx/access.log"
_SOCKET = re.compile(r"^\s*stats\s+socket\s+(?:unix@)?(/\S+)", re.M)
_ACCESS_LOG = re.compile(r"^\s*access_log\s+([^\s;]+)", re.M)
_SERVER = re.compile(r"\b(?:proxy_pass\s+https?://|server\s+)([\w.:\[\]-]+:\d+)", re.M)
#: CLIENT:PORT [TIME] FRONTEND BACKEND/SERVER TIMERS STATUS .. "METHOD PATH, of HAProxy's httplog
_HTTPLOG = re.compile(
    r"\S{1,64}:\d+ \[[^\]]{10,40}\] \S{1,128} (\S{1,128})/(\S{1,128}) [-+\d/]{5,80} (\d{3}|-1) "
)
_MOST_BYTES = 1024 * 1024
_MOST = 500
_SHOWN = 10
_SLACK = 5.0
#: as few requests as in the app's log say little, unless so many of them failed
_FEWEST, _FEWEST_FAILED = 20, 3


class Counts:
    """Requests and those that failed, by path and by server."""

    def __init__(self):
        self.requests = self.failed = self.unread = 0
        self.by_path = {}
        self.by_server = {}

    def add(self, status, path=None, server=None):
        """Take a request; without an answer its status is below 0."""
        self.requests += 1
        if 0 <= status < 500:
            return
        self.failed += 1
        for table, key in ((self.by_path, path), (self.by_server, server)):
            if key and (key in table or len(table) < _MOST):
                table[key] = table.get(key, 0) + 1

    def line(self, text):
        """Take a line of HAProxy's or nginx's log."""
        found = _HTTPLOG.search(text[:2048])
        if found:
            path = text[found.end() :].partition('"')[2].split(" ")[1:2]
            server = "/".join(found.group(1, 2))
            self.add(int(found.group(3)), lines.route(path[0]) if path else None, server)
            return
        request = formats.access(text)
        if request:
            self.add(request[3], lines.route(request[2]))
            return
        known = formats.known(formats.structured(text) or {}) if text[:1] == "{" else {}
        try:
            self.add(int(known["status_code"]), lines.route(str(known.get("path") or "")))
        except (KeyError, TypeError, ValueError):
            self.unread += 1


def observe(ctx):
    """Return {balancers: [what each of them counts]}, and a gap where one counts nothing."""
    since = ctx.now - ctx.params["window"]
    found, gaps = [], []
    for name, read in (("HAProxy", _haproxy), ("nginx", _nginx)):
        counted = read(ctx, since)
        if counted is None:
            continue
        why = counted.pop("why")
        if why:
            gaps.append("%s: %s" % (name, why))
        found.append(dict(counted, name=name))
    return Observed({"balancers": found}, {"requests": "; ".join(gaps)} if gaps else {})


def _text(path):
    try:
        return files.read_text(path, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        return "# %s" % error


def _haproxy(ctx, since):
    configuration = _text(HAPROXY)
    if configuration is None:
        return None
    counts, why = Counts(), None
    reading = LogFile(_HAPROXY_LOG, since, ctx.deadline, None, ctx.now)
    for chunk in reading.chunks():
        for entry in chunk:
            counts.line(entry["MESSAGE"])
    if not counts.requests:
        selected = journal.Journal(["_SYSTEMD_UNIT=haproxy.service"], since, ctx.deadline)
        for chunk in selected.chunks():
            for entry in chunk:
                counts.line(journal.text_of(entry.get("MESSAGE")))
    if counts.requests:
        return _plain(counts, "its log", since, why)
    path = _SOCKET.search(configuration)
    if path is None:
        return _plain(counts, "its log", since, "no requests in its log, and no stats socket")
    try:
        status = _command(path.group(1), "show stat", ctx.deadline)
        began = uptime(_command(path.group(1), "show info", ctx.deadline), ctx.now)
    except OSError as error:
        return _plain(counts, "its log", since, "%s: %s" % (path.group(1), error))
    counts, server = counted(status)
    result = _plain(counts, "its status", began, None)
    result["target"] = server
    if counts.failed and (began is None or began < since - _SLACK):
        result["why"] = "its status counts since %s, and when %d requests failed is not known" % (
            clock(began) or "an unknown time",
            counts.failed,
        )
    return result


def _command(path, command, deadline):
    """Return what HAProxy answers to a command that only reads."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(0.1, deadline.remaining()))
        connection.connect(path)
        connection.sendall(command.encode("ascii") + b"\n")
        parts, size = [], 0
        while size < _MOST_BYTES:
            part = connection.recv(65536)
            if not part:
                break
            parts.append(part)
            size += len(part)
    return b"".join(parts).decode("utf-8", "replace")


def counted(text):
    """Return (``Counts``, address of the server with most failures) of HAProxy's statistics as
    CSV (pure).
    """
    counts, worst = Counts(), (0, None)
    for row in csv.DictReader(text.lstrip("# ").splitlines()):
        if row.get("svname") == "FRONTEND":
            counts.requests += _number(row, "req_tot")
            counts.failed += _number(row, "hrsp_5xx")
        elif row.get("svname") not in (None, "BACKEND"):
            failed = _number(row, "hrsp_5xx") + _number(row, "econ") + _number(row, "eresp")
            if failed:
                counts.by_server["%s/%s" % (row.get("pxname"), row["svname"])] = failed
                worst = max(worst, (failed, row.get("addr") or None), key=lambda item: item[0])
    counts.failed = min(counts.failed, counts.requests)
    return counts, worst[1]


def _number(row, name):
    text = row.get(name) or "0"
    return int(text) if text.isdigit() else 0


def uptime(text, now):
    """Return since when HAProxy has run by its ``show info``, seconds since the epoch, or None."""
    found = re.search(r"^Uptime_sec: (\d+)$", text, re.M)
    return now - int(found.group(1)) if found else None


def _nginx(ctx, since):
    texts = [_text(NGINX)]
    if texts[0] is None:
        return None
    for pattern in _NGINX_PARTS:
        texts += [_text(path) or "" for path in sorted(glob.glob(pattern))[:200]]
    configuration = "\n".join(texts)
    named = set(_ACCESS_LOG.findall(configuration))
    paths = {path for path in named if path.startswith("/") and "$" not in path}
    counts, problems = Counts(), ["access_log %s" % name for name in sorted(named - paths)]
    for path in sorted(paths or {_NGINX_LOG}):
        reading = LogFile(path, since, ctx.deadline, None, ctx.now)
        for chunk in reading.chunks():
            for entry in chunk:
                counts.line(entry["MESSAGE"])
        if reading.problem:
            problems.append(reading.problem)
    if counts.unread > counts.requests:
        problems.append("its access log is in a format that is not understood")
    result = _plain(counts, "its log", since, "; ".join(problems) or None)
    servers = set(_SERVER.findall(configuration))
    result["target"] = servers.pop() if len(servers) == 1 else None
    return result


def _plain(counts, source, since, why):
    def most(table):
        ordered = sorted(table.items(), key=lambda item: -item[1])[:_SHOWN]
        return [{"name": name, "count": count} for name, count in ordered]

    return {
        "source": source,
        "since": since,
        "requests": counts.requests,
        "failed": counts.failed,
        "by_path": most(counts.by_path),
        "by_server": most(counts.by_server),
        "target": None,
        "why": why,
    }


def decide(ctx, observed):
    """Return the finding about each balancer's requests."""
    warn, fail, unit = ctx.thresholds["error_rate_percent"]
    return [_judge(counts, warn, fail, unit) for counts in observed["balancers"]]


def _judge(counts, warn, fail, unit):
    requests, failed = counts["requests"], counts["failed"]
    percent = failed * 100.0 / requests if requests else 0.0
    status = grade(percent, warn, fail)
    if requests < _FEWEST and failed < _FEWEST_FAILED and (failed < requests or not requests):
        status = "ok"
    elif requests < _FEWEST and failed < _FEWEST_FAILED and status != "ok":
        status = "warn"
    good = status == "ok"
    worst = (counts["by_server"] or counts["by_path"] or [{"name": None}])[0]["name"]
    evidence = {key: counts[key] for key in ("source", "requests", "failed", "target")}
    evidence.update(
        since=clock(counts["since"]), by_path=counts["by_path"], by_server=counts["by_server"]
    )
    return finding(
        "lb.requests.ok" if good else "lb.requests.failing",
        "loadbalancer",
        status,
        "%d of %d requests through %s fail, by %s%s (from %g %% on)"
        % (
            failed,
            requests,
            counts["name"],
            counts["source"],
            ", mostly of %s" % worst if worst and not good else "",
            warn,
        ),
        value=round(percent, 2),
        unit=unit,
        warn=warn,
        fail=fail,
        evidence=evidence,
        advice=None if good else "Check the app on the servers named: its health and its log.",
    )
