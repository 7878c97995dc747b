# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types

import pytest

from ansible_collections.sergas.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.sergas.ops.plugins.module_utils._core.finding import NotHere
from ansible_collections.sergas.ops.plugins.module_utils._health.probes import resolver
from ansible_collections.sergas.ops.plugins.module_utils._host import app_config


def answered(server, seconds=0.01, answer="ok", error=None):
    return {"server": server, "seconds": seconds, "answer": answer, "error": error}


SILENT = answered("10.0.0.2", 2.0, None, "no answer")


@pytest.mark.parametrize(
    ("servers", "status", "reason"),
    [
        ([answered("10.0.0.2"), answered("10.0.0.3")], "ok", None),
        ([answered("10.0.0.2", answer="no such name")], "ok", None),
        ([SILENT, answered("10.0.0.3")], "warn", "server:10.0.0.2"),
        ([answered("10.0.0.3"), SILENT], "warn", "server:10.0.0.2"),
        ([answered("10.0.0.2", 1.5)], "warn", "server:10.0.0.2"),
        ([SILENT], "fail", "dead"),
        ([SILENT, answered("10.0.0.3", answer="refused")], "fail", "dead"),
    ],
)
def test_each_server_counts(servers, status, reason):
    (item,) = resolver.decide(None, {"name": "db1", "servers": servers})
    assert (item["status"], item["reason"]) == (status, reason)
    if status != "ok":
        assert reason == "dead" or servers[0]["server"] and reason[7:] in item["summary"]


def context(**settings):
    return types.SimpleNamespace(settings=settings, deadline=Deadline(5))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"DATABASE_HOST": "127.0.0.1", "REDIS_HOST": "::1"},
        {"DATABASE_HOST": "localhost", "COGNEE_BASE_URL": "http://10.0.0.1:8000"},
        {"DATABASE_HOST": "/var/run/postgresql", "REDIS_URL.host": "cache.lan"},
    ],
)
def test_a_host_that_needs_no_name_server_is_not_measured(monkeypatch, settings):
    monkeypatch.setattr(resolver, "_read", lambda path: "10.0.0.9 cache.lan cache # x\n")
    with pytest.raises(NotHere):
        resolver.observe(context(**settings))


def test_every_server_is_queried(monkeypatch):
    texts = {"/etc/resolv.conf": "nameserver 10.0.0.2\nnameserver 10.0.0.3\n"}
    monkeypatch.setattr(resolver, "_read", lambda path: texts.get(path, ""))
    monkeypatch.setattr(resolver.dns, "query", lambda server, name, deadline: answered(server))
    found = resolver.observe(context(DATABASE_HOST="db1.example.com"))
    assert found["name"] == "db1.example.com"
    assert [item["server"] for item in found["servers"]] == ["10.0.0.2", "10.0.0.3"]


def test_the_hosts_of_the_services():
    settings = {
        "DATABASE_URL.host": "db1",
        "DATABASE_HOST": "old",
        "REDIS_HOST": "cache",
        "COGNEE_BASE_URL": "http://memory:8000/x",
        "ZOHO_ACCOUNTS_URL": "http://[broken",
    }
    assert app_config.service_hosts(settings) == ["db1", "cache", "memory"]
